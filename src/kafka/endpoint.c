// Finds the address of this node as clients shall dial it.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "kafka/conn.h"
#include "kafka/state.h"

static bool text_of(struct kafka_request *request, int family, const void *address,
                    struct slice *out)
{
    char *text = kafka_request_alloc(request, INET6_ADDRSTRLEN, 1);
    if (!text)
        return false;
    if (!inet_ntop(family, address, text, INET6_ADDRSTRLEN))
        text[0] = '\0';
    *out = slice_text(text);
    return true;
}

bool kafka_endpoint_of(struct kafka_request *request, struct kafka_endpoint *out)
{
    const struct kafka *kafka = kafka_core(request->core)->kafka;
    out->node_id = broker_node_id(kafka->options.broker);
    if (kafka->options.advertised_host) {
        out->host = slice_text(kafka->options.advertised_host);
        out->port = kafka->options.advertised_port;
        return true;
    }
    const struct sockaddr_storage *local = conn_local_address(kafka_conn_conn(request->conn));
    if (local->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)local;
        out->port = ntohs(v4->sin_port);
        return text_of(request, AF_INET, &v4->sin_addr, &out->host);
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)local;
    out->port = ntohs(v6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return text_of(request, AF_INET, &v6->sin6_addr.s6_addr[12], &out->host);
    return text_of(request, AF_INET6, &v6->sin6_addr, &out->host);
}

void kafka_endpoint_of_peer(const struct conn *conn, char out[KAFKA_ENDPOINT_PEER_SIZE])
{
    const struct sockaddr_storage *peer = conn_peer_address(conn);
    char host[INET6_ADDRSTRLEN] = "";
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(out, KAFKA_ENDPOINT_PEER_SIZE, "%s:%u", host, ntohs(v4->sin_port));
        return;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        (void)inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host));
        (void)snprintf(out, KAFKA_ENDPOINT_PEER_SIZE, "%s:%u", host, ntohs(v6->sin6_port));
        return;
    }
    (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
    (void)snprintf(out, KAFKA_ENDPOINT_PEER_SIZE, "[%s]:%u", host, ntohs(v6->sin6_port));
}

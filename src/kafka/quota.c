// Counts requests against the quotas of their clients. KIP-13, KIP-124, KIP-219, KIP-599, KIP-612.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/quota.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "broker/quota.h"
#include "kafka/conn.h"

/* Who calls as long as nobody is asked for a name. */
#define QUOTA_USER SLICE_LITERAL("ANONYMOUS")

/* NULL: there are no rules, or the connection has gone. */
static struct broker_quota_client *quota_client(struct kafka_request *request)
{
    if (!broker_quota_any(request->core) || !request->conn)
        return NULL;
    struct broker_quota_client *client = kafka_conn_quota(request->conn);
    broker_quota_client_set(request->core, client, QUOTA_USER, request->frame.header.client_id);
    return client;
}

/* Spent so far; the handler at work is this request's unless it has ended before. */
static uint64_t time_spent_ns(const struct kafka_request *request)
{
    struct os *os = core_os(request->core);
    uint64_t began_ns = kafka_conn_began_ns(request->conn);
    if (request->handler_ns > 0 || began_ns == 0)
        return request->handler_ns;
    return os->ops->mono_ns(os) - began_ns;
}

static void throttle(struct kafka_request *request, uint64_t delay_ms)
{
    request->throttle_ms = MAX(request->throttle_ms, delay_ms);
}

void kafka_quota_answer(struct kafka_request *request, void *response)
{
    struct core *core = request->core;
    const struct kafka_api *api = request->frame.api;
    struct broker_quota_client *client = quota_client(request);
    if (!client)
        return;
    if (api->key == KAFKA_API_PRODUCE)
        throttle(request,
                 broker_quota_client_add(core, client, BROKER_QUOTA_PRODUCE, request->bytes.size));
    if (broker_quota_is_set(core, BROKER_QUOTA_REQUEST))
        throttle(request, broker_quota_client_add(core, client, BROKER_QUOTA_REQUEST,
                                                  time_spent_ns(request)));
    if (!response || request->throttle_ms == 0 || api->throttle_offset == SIZE_MAX)
        return;
    int32_t told_ms = (int32_t)MIN(request->throttle_ms, (uint64_t)INT32_MAX);
    memcpy((uint8_t *)response + api->throttle_offset, &told_ms, sizeof(told_ms));
}

bool kafka_quota_fetch(struct kafka_request *request, size_t size)
{
    struct broker_quota_client *client = quota_client(request);
    bool refused = false;
    if (!client)
        return false;
    throttle(request,
             broker_quota_client_try(request->core, client, BROKER_QUOTA_FETCH, size, &refused));
    return refused;
}

void kafka_quota_fetched(struct kafka_request *request, size_t size)
{
    struct broker_quota_client *client = quota_client(request);
    if (client)
        throttle(request, broker_quota_client_add(request->core, client, BROKER_QUOTA_FETCH, size));
}

size_t kafka_quota_fetch_max(struct kafka_request *request, size_t size_max)
{
    const struct broker_quota_client *client = quota_client(request);
    if (!client)
        return size_max;
    return (size_t)MIN((uint64_t)size_max,
                       broker_quota_client_burst(request->core, client, BROKER_QUOTA_FETCH));
}

bool kafka_quota_change(struct kafka_request *request, size_t count, int16_t strict_version)
{
    struct broker_quota_client *client = quota_client(request);
    bool refused = false;
    if (!client)
        return false;
    throttle(request, broker_quota_client_change(request->core, client, count,
                                                 request->version >= strict_version, &refused));
    return refused;
}

uint64_t kafka_quota_connect(struct conn *conn)
{
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_storage *peer = conn_peer_address(conn);
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
    const void *bytes = &((const struct sockaddr_in *)peer)->sin_addr;
    int family = AF_INET;
    if (!broker_quota_is_set(conn_core(conn), BROKER_QUOTA_CONNECT))
        return 0;
    if (peer->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        bytes = &v6->sin6_addr.s6_addr[12];
    } else if (peer->ss_family == AF_INET6) {
        bytes = &v6->sin6_addr;
        family = AF_INET6;
    } else if (peer->ss_family != AF_INET) {
        return 0;
    }
    if (!inet_ntop(family, bytes, text, sizeof(text)))
        return 0;
    return broker_quota_connect(conn_core(conn), slice_text(text));
}

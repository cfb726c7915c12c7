// FindCoordinator, and what the handlers of groups share. KIP-699.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/group.h"

#include <arpa/inet.h>

#include "kafka/conn.h"
#include "kafka/endpoint.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "wire/kafka_find_coordinator.h"

int16_t kafka_group_error(enum err err)
{
    switch (err) {
    case ERR_FENCED:
        return KAFKA_FENCED_INSTANCE_ID;
    case ERR_NOT_FOUND:
        return KAFKA_GROUP_ID_NOT_FOUND;
    case ERR_NO_MEMORY:
    case ERR_BUSY:
    case ERR_AGAIN:
    case ERR_TIMEOUT:
    case ERR_CANCELLED:
    case ERR_CLOSED:
    case ERR_DISK_FULL:
    case ERR_IO:
    case ERR_OFFLINE:
    case ERR_LIMIT:
        return KAFKA_COORDINATOR_NOT_AVAILABLE; /* retriable for every client */
    case ERR_TOO_LARGE:
        return KAFKA_UNKNOWN_SERVER_ERROR;
    default:
        return kafka_error_of(err);
    }
}

struct slice kafka_group_client_host(struct kafka_request *request)
{
    const struct sockaddr_storage *peer =
        request->conn ? conn_peer_address(kafka_conn_conn(request->conn)) : NULL;
    char *text = arena_alloc(&request->arena, INET6_ADDRSTRLEN + 1);
    if (!peer || !text)
        return slice_text("/");
    text[0] = '/';
    text[1] = 0;
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)peer;
        inet_ntop(AF_INET, &in->sin_addr, text + 1, INET6_ADDRSTRLEN);
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, text + 1, INET6_ADDRSTRLEN);
        else
            inet_ntop(AF_INET6, &in6->sin6_addr, text + 1, INET6_ADDRSTRLEN);
    }
    return slice_text(text);
}

enum coordinator_type { COORDINATOR_GROUP, COORDINATOR_TRANSACTION, COORDINATOR_SHARE };

/* Share partitions have one, too, but only brokers ask for it, and there is just this one. */
static int16_t coordinator_find(int8_t type, struct slice key, int16_t version)
{
    return type == COORDINATOR_GROUP || type == COORDINATOR_TRANSACTION ? KAFKA_NONE
                                                                        : KAFKA_INVALID_REQUEST;
}

static struct slice coordinator_words(int8_t type)
{
    if (type == COORDINATOR_GROUP || type == COORDINATOR_TRANSACTION)
        return SLICE_NULL;
    if (type == COORDINATOR_SHARE)
        return SLICE_LITERAL("the coordinator of share partitions is not for clients");
    return SLICE_LITERAL("unknown type of coordinator");
}

static void coordinators_fill(struct kafka_request *request,
                              const struct kafka_find_coordinator_request *asked,
                              const struct kafka_endpoint *endpoint)
{
    struct kafka_find_coordinator_response response;
    kafka_find_coordinator_response_init(&response);
    response.coordinators =
        kafka_request_alloc(request, asked->coordinator_keys_count, sizeof(*response.coordinators));
    if (!response.coordinators)
        return;
    response.coordinators_count = asked->coordinator_keys_count;
    for (size_t i = 0; i < asked->coordinator_keys_count; i++) {
        struct kafka_find_coordinator_response_coordinator *out = &response.coordinators[i];
        out->key = asked->coordinator_keys[i];
        out->error_code = coordinator_find(asked->key_type, out->key, request->version);
        out->error_message = coordinator_words(asked->key_type);
        out->node_id = out->error_code ? -1 : endpoint->node_id;
        out->host = out->error_code ? slice_text("") : endpoint->host;
        out->port = out->error_code ? -1 : endpoint->port;
    }
    kafka_request_answer(request, find_coordinator, &response);
}

void kafka_group_find_handle(struct kafka_request *request)
{
    struct kafka_find_coordinator_request asked;
    struct kafka_endpoint endpoint;
    if (!kafka_request_decode(request, find_coordinator, &asked) ||
        !kafka_endpoint_of(request, &endpoint))
        return;
    if (request->version >= 4) {
        coordinators_fill(request, &asked, &endpoint);
        return;
    }
    struct kafka_find_coordinator_response response;
    kafka_find_coordinator_response_init(&response);
    response.error_code = coordinator_find(asked.key_type, asked.key, request->version);
    response.error_message = coordinator_words(asked.key_type);
    response.node_id = response.error_code ? -1 : endpoint.node_id;
    response.host = response.error_code ? slice_text("") : endpoint.host;
    response.port = response.error_code ? -1 : endpoint.port;
    kafka_request_answer(request, find_coordinator, &response);
}

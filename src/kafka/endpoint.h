// The address of this node as clients shall dial it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

struct conn;

/* "[v6 address]:port" and its end. */
#define KAFKA_ENDPOINT_PEER_SIZE 56

struct kafka_endpoint {
    int32_t node_id;
    struct slice host;
    int32_t port;
};

/* What advertised.listeners says, else the address at which the client dialled us. Text lives as
 * long as the request. While the connection is there: call it before anything asynchronous. False:
 * the request has been rejected. */
bool kafka_endpoint_of(struct kafka_request *request, struct kafka_endpoint *out);

/* Where the other side of a connection is, for logs: "192.0.2.1:4711", "[2001:db8::1]:4711". */
void kafka_endpoint_of_peer(const struct conn *conn, char out[KAFKA_ENDPOINT_PEER_SIZE]);

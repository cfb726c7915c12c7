// The address of this node as clients shall dial it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

struct kafka_endpoint {
    int32_t node_id;
    struct slice host;
    int32_t port;
};

/* What advertised.listeners says, else the address at which the client dialled us. Text lives as
 * long as the request. While the connection is there: call it before anything asynchronous. False:
 * the request has been rejected. */
bool kafka_endpoint_of(struct kafka_request *request, struct kafka_endpoint *out);

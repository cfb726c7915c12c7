// Declares the handler of every API in apis.def.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/conn.h"

/* Takes a request whose version is supported; answers or rejects it once, at once or later. */
typedef void (*kafka_handler_fn)(struct kafka_request *request);

struct kafka_handler {
    int16_t key;
    bool overlap;
    kafka_handler_fn handle;
};

#define KAFKA_HANDLER(api, handler, overlap) void handler(struct kafka_request *request);
#include "kafka/apis.def"
#undef KAFKA_HANDLER

/* NULL when the API is not answered. */
const struct kafka_handler *kafka_handlers_find(int16_t key);
/* All, for ApiVersions. */
const struct kafka_handler *kafka_handlers_all(size_t *out_count);

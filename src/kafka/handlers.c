// The table of handlers, from apis.def.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/handlers.h"

static const struct kafka_handler kafka_handlers[] = {
#define KAFKA_HANDLER(api, handler, overlapping)                                                   \
    {.key = KAFKA_API_##api, .overlap = overlapping, .handle = handler},
#include "kafka/apis.def"
#undef KAFKA_HANDLER
};

const struct kafka_handler *kafka_handlers_find(int16_t key)
{
    for (size_t i = 0; i < COUNT_OF(kafka_handlers); i++)
        if (kafka_handlers[i].key == key)
            return &kafka_handlers[i];
    return NULL;
}

const struct kafka_handler *kafka_handlers_all(size_t *out_count)
{
    *out_count = COUNT_OF(kafka_handlers);
    return kafka_handlers;
}

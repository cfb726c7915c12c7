// What the Kafka room keeps on each core, and what all its connections share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/error.h"
#include "kafka/kafka.h"
#include "kafka/session.h"

#define KAFKA_FREE_REQUESTS_MAX 256
#define KAFKA_API_KEYS_MAX      128 /* keys of APIs are below this */

struct kafka_api_counters {
    struct metric_counter requests; /* answered, or closed without an answer */
    struct metric_counter bytes_in;
    struct metric_counter bytes_out;
    struct metric_counter time_ns; /* from arrival to answer */
    /* Error codes in answers, several in one answer too, by code - KAFKA_ERROR_CODE_MIN. */
    struct metric_counter errors[KAFKA_ERROR_CODE_MAX - KAFKA_ERROR_CODE_MIN + 1];
};

struct kafka {
    struct kafka_options options;
    struct kafka_core *cores; /* one a core */
};

struct kafka_core {
    struct kafka *kafka;
    struct list free_requests;
    unsigned free_count;
    uint64_t conn_id_last;
    struct kafka_sessions sessions;
    struct map gates; /* gate.c: of producers with transactional batches under way */
    struct kafka_api_counters apis[KAFKA_API_KEYS_MAX];
    struct metric_counter rejected; /* requests that closed their connection */
};

static inline struct kafka_core *kafka_core(const struct core *core)
{
    return core_slot_get(core, CORE_SLOT_KAFKA);
}

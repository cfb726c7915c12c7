// Opens the Kafka room: its state on each core, its listeners.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka.h"

#include <stdlib.h>

#include "kafka/conn.h"
#include "kafka/gate.h"
#include "kafka/state.h"

/* A request that has begun must go on at this rate, or its connection is closed (slow loris). */
#define KAFKA_FRAME_TIMEOUT_MS 30000
#define KAFKA_FRAME_RATE_MIN   1024
#define KAFKA_OUTPUT_SIZE_MAX  ((size_t)64 << 20)

enum err kafka_open(const struct kafka_options *options, struct kafka **out)
{
    unsigned count = reactor_core_count(options->reactor);
    struct kafka *kafka = calloc(1, sizeof(*kafka));
    struct kafka_core *cores = calloc(count, sizeof(*cores));
    if (!kafka || !cores) {
        free(kafka);
        free(cores);
        return ERR_NO_MEMORY;
    }
    kafka->options = *options;
    kafka->cores = cores;
    for (unsigned i = 0; i < count; i++) {
        struct core *core = reactor_core(options->reactor, i);
        int slots = broker_settings_now(core)->max_incremental_fetch_session_cache_slots;
        cores[i].kafka = kafka;
        kafka_session_cache_init(&cores[i].sessions, reactor_budget(options->reactor),
                                 ((size_t)slots + count - 1) / count, core_random(core));
        list_init(&cores[i].free_requests);
        map_init(&cores[i].gates, core_random(core));
        core_slot_set(core, CORE_SLOT_KAFKA, &cores[i]);
    }
    *out = kafka;
    return ERR_OK;
}

void kafka_close(struct kafka *kafka)
{
    unsigned count = reactor_core_count(kafka->options.reactor);
    for (unsigned i = 0; i < count; i++) {
        kafka_session_cache_deinit(&kafka->cores[i].sessions);
        kafka_gate_close(&kafka->cores[i].gates);
        struct list *node;
        while ((node = list_pop_front(&kafka->cores[i].free_requests)) != NULL) {
            struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
            arena_deinit(&request->arena);
            free(request);
        }
    }
    free(kafka->cores);
    free(kafka);
}

enum err kafka_listen(struct kafka *kafka, const struct sockaddr_storage *address,
                      socklen_t address_size, struct listener **out, struct diag *diag)
{
    struct core *core = reactor_core(kafka->options.reactor, 0);
    const struct broker_settings *settings = broker_settings_now(core);
    int64_t idle_ms = settings->connections_max_idle_ms;
    struct listener_options options = {
        .address = *address,
        .address_size = address_size,
        .ops = &kafka_conn_ops,
        .arg = kafka,
        .limits =
            {
                .idle_timeout_ms = idle_ms < 0 ? 0 : (unsigned)MIN(idle_ms, (int64_t)UINT32_MAX),
                .frame_timeout_ms = KAFKA_FRAME_TIMEOUT_MS,
                .frame_rate_min = KAFKA_FRAME_RATE_MIN,
                .output_size_max = KAFKA_OUTPUT_SIZE_MAX,
                .connections_max = (unsigned)settings->max_connections,
                .connections_per_ip_max = (unsigned)settings->max_connections_per_ip,
            },
    };
    return listener_open(core, &options, out, diag);
}

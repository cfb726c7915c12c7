// ListConfigResources: what there is that has settings. KIP-714, KIP-1142.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_list_config_resources.h"

#include <stdio.h>

#include "broker/group_settings.h"
#include "broker/telemetry.h"
#include "kafka/configs.h"
#include "kafka/error.h"
#include "kafka/handlers.h"

#define NODE_TEXT_SIZE 12

struct resources {
    struct kafka_list_config_resources_response response;
    size_t capacity;
    char node[NODE_TEXT_SIZE];
};

static const int8_t all_types[] = {KAFKA_RESOURCE_TOPIC, KAFKA_RESOURCE_BROKER,
                                   KAFKA_RESOURCE_LOGGER, KAFKA_RESOURCE_METRICS,
                                   KAFKA_RESOURCE_GROUP};

static bool is_type(int8_t type)
{
    for (size_t i = 0; i < COUNT_OF(all_types); i++)
        if (all_types[i] == type)
            return true;
    return false;
}

/* Names are encoded in this turn. */
static void add(struct resources *state, int8_t type, struct slice name)
{
    struct kafka_list_config_resources_response *response = &state->response;
    if (response->config_resources_count < state->capacity)
        response->config_resources[response->config_resources_count++] =
            (struct kafka_list_config_resources_response_resource){.resource_name = name,
                                                                   .resource_type = type};
}

static void add_all(struct core *core, struct resources *state, int8_t type)
{
    const struct broker_telemetry_rule *rule;
    const struct broker_topic *topic = NULL;
    size_t position = 0;
    struct slice name;
    switch (type) {
    case KAFKA_RESOURCE_TOPIC:
        while ((topic = broker_topic_after(core, topic ? topic->name : SLICE_NULL)))
            add(state, type, topic->name);
        break;
    case KAFKA_RESOURCE_BROKER:
    case KAFKA_RESOURCE_LOGGER:
        add(state, type, slice_text(state->node));
        break;
    case KAFKA_RESOURCE_METRICS:
        while ((rule = broker_telemetry_next(core, &position)))
            add(state, type, rule->name);
        break;
    case KAFKA_RESOURCE_GROUP:
        while ((name = broker_group_settings_next(core, &position)).data)
            add(state, type, name);
        break;
    default:
        break;
    }
}

void kafka_resources_list_handle(struct kafka_request *request)
{
    struct kafka_list_config_resources_request asked;
    struct resources state = {.capacity = 2 + BROKER_TELEMETRY_RULES_MAX};
    struct core *core = request->core;
    unsigned wanted = 0;
    if (!kafka_request_decode(request, list_config_resources, &asked))
        return;
    kafka_list_config_resources_response_init(&state.response);
    for (size_t i = 0; i < asked.resource_types_count; i++) {
        if (!is_type(asked.resource_types[i])) {
            state.response.error_code = KAFKA_UNSUPPORTED_VERSION;
            kafka_request_answer(request, list_config_resources, &state.response);
            return;
        }
        for (size_t j = 0; j < COUNT_OF(all_types); j++)
            wanted |= asked.resource_types[i] == all_types[j] ? 1u << j : 0;
    }
    if (request->version == 0)
        wanted = 1u << 3; /* subscriptions were all there was to list */
    else if (asked.resource_types_count == 0)
        wanted = ~0u;
    state.capacity += broker_topic_count(core) + broker_group_settings_count(core);
    state.response.config_resources =
        kafka_request_alloc(request, state.capacity, sizeof(*state.response.config_resources));
    if (!state.response.config_resources)
        return;
    (void)snprintf(state.node, sizeof(state.node), "%d", (int)broker_node_id(broker_of(core)));
    for (size_t i = 0; i < COUNT_OF(all_types); i++)
        if (wanted & 1u << i)
            add_all(core, &state, all_types[i]);
    kafka_request_answer(request, list_config_resources, &state.response);
}

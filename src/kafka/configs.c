// DescribeConfigs: what is set, where it comes from, and what it means.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_describe_configs.h"

#include "base/text.h"
#include "broker/group_settings.h"
#include "broker/telemetry.h"
#include "broker/topic_config.h"
#include "kafka/configs.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/loggers.h"
#include "kafka/topic.h"

bool kafka_configs_is_node(struct core *core, struct slice name)
{
    int64_t number;
    return text_parse_i64(name, &number) && number == broker_node_id(broker_of(core));
}

struct describe {
    struct kafka_request *request;
    const struct kafka_describe_configs_request *asked;
    const struct kafka_describe_configs_request_resource *resource;
    struct kafka_describe_configs_response_result *out;
    size_t capacity;
    bool failed;
};

/* Kafka's numbers of types. */
static int8_t type_code(enum config_type type)
{
    static const int8_t codes[] = {
        [CONFIG_TYPE_BOOL] = 1,   [CONFIG_TYPE_INT] = 3,  [CONFIG_TYPE_LONG] = 5,
        [CONFIG_TYPE_DOUBLE] = 6, [CONFIG_TYPE_TEXT] = 2, [CONFIG_TYPE_LIST] = 7,
        [CONFIG_TYPE_RESET] = 2,
    };
    return (unsigned)type < COUNT_OF(codes) ? codes[type] : 0;
}

static bool is_wanted(const struct describe *describe, const struct config_entry *entry)
{
    const struct kafka_describe_configs_request_resource *resource = describe->resource;
    if (resource->configuration_keys_count == 0) /* none named: all, as null */
        return true;
    for (size_t i = 0; i < resource->configuration_keys_count; i++)
        if (slice_equal_text(resource->configuration_keys[i], entry->name))
            return true;
    return false;
}

static struct slice copy_text(struct describe *describe, const char *text)
{
    return text ? arena_copy(&describe->request->arena, slice_text(text)) : SLICE_NULL;
}

static void synonyms_add(struct describe *describe, const struct config_entry *entry,
                         struct kafka_describe_configs_response_config *out)
{
    out->synonyms =
        arena_alloc_array(&describe->request->arena, entry->synonym_count, sizeof(*out->synonyms));
    if (!out->synonyms) {
        describe->failed = true;
        return;
    }
    out->synonyms_count = entry->synonym_count;
    for (unsigned i = 0; i < entry->synonym_count; i++)
        out->synonyms[i] = (struct kafka_describe_configs_response_synonym){
            .name = copy_text(describe, entry->synonyms[i].name),
            .value = entry->sensitive ? SLICE_NULL : copy_text(describe, entry->synonyms[i].value),
            .source = (int8_t)entry->synonyms[i].source,
        };
}

static void entry_count(void *arg, const struct config_entry *entry)
{
    struct describe *describe = arg;
    describe->capacity += is_wanted(describe, entry);
}

static void entry_add(void *arg, const struct config_entry *entry)
{
    struct describe *describe = arg;
    if (!is_wanted(describe, entry) || describe->out->configs_count == describe->capacity)
        return;
    struct kafka_describe_configs_response_config *config =
        &describe->out->configs[describe->out->configs_count++];
    kafka_describe_configs_response_config_init(config);
    config->name = copy_text(describe, entry->name);
    config->value = entry->sensitive ? SLICE_NULL : copy_text(describe, entry->value);
    config->read_only = entry->read_only;
    config->config_source = (int8_t)entry->source;
    config->is_sensitive = entry->sensitive;
    config->config_type = type_code(entry->type);
    if (describe->asked->include_synonyms)
        synonyms_add(describe, entry, config);
    if (describe->asked->include_documentation)
        config->documentation = copy_text(describe, entry->doc);
    describe->failed |= !config->name.data;
}

static void each(struct describe *describe, const struct broker_topic *topic, config_entry_fn fn)
{
    struct core *core = describe->request->core;
    if (topic)
        broker_topic_config_each(core, topic, fn, describe);
    else if (describe->resource->resource_type == KAFKA_RESOURCE_LOGGER)
        kafka_loggers_each(core, fn, describe);
    else if (describe->resource->resource_type == KAFKA_RESOURCE_METRICS)
        broker_telemetry_each(core, describe->resource->resource_name, fn, describe);
    else if (describe->resource->resource_type == KAFKA_RESOURCE_GROUP)
        broker_group_settings_each(core, describe->resource->resource_name, fn, describe);
    else
        broker_settings_each(core, describe->resource->resource_name.size == 0, fn, describe);
}

static void entries_fill(struct describe *describe, const struct broker_topic *topic)
{
    describe->capacity = 0;
    each(describe, topic, entry_count);
    describe->out->configs = arena_alloc_array(&describe->request->arena, describe->capacity,
                                               sizeof(*describe->out->configs));
    if (describe->out->configs)
        each(describe, topic, entry_add);
    else
        describe->failed = true;
}

static void resource_refuse(struct kafka_describe_configs_response_result *out, int16_t code,
                            const char *words)
{
    out->error_code = code;
    out->error_message = slice_text(words);
}

static void topic_describe(struct describe *describe)
{
    struct slice name = describe->resource->resource_name;
    const char *fault = kafka_topic_name_fault(name);
    const struct broker_topic *topic = broker_topic_find(describe->request->core, name);
    if (fault)
        resource_refuse(describe->out, KAFKA_INVALID_TOPIC_EXCEPTION, fault);
    else if (!topic)
        resource_refuse(describe->out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                        "This server does not host this topic-partition.");
    else
        entries_fill(describe, topic);
}

/* Names of settings in one resource: each is compared with all that there are. */
#define KEYS_MAX 4096

/* Why something that is no topic cannot be described, or NULL. */
static const char *resource_fault(struct core *core,
                                  const struct kafka_describe_configs_request_resource *resource)
{
    bool has_name = resource->resource_name.size > 0;
    switch (resource->resource_type) {
    case KAFKA_RESOURCE_METRICS:
        return has_name ? NULL : "Client metrics subscription name must not be empty";
    case KAFKA_RESOURCE_GROUP:
        return has_name ? NULL : "Group name must not be empty";
    case KAFKA_RESOURCE_BROKER:
        if (!has_name) /* the default of all */
            return NULL;
        break;
    case KAFKA_RESOURCE_LOGGER:
        break;
    default:
        return "Unsupported resource type";
    }
    return kafka_configs_is_node(core, resource->resource_name)
               ? NULL
               : "Unexpected broker id: only the settings of the node asked are known";
}

static void resource_describe(struct describe *describe)
{
    const struct kafka_describe_configs_request_resource *resource = describe->resource;
    describe->out->resource_type = resource->resource_type;
    describe->out->resource_name = resource->resource_name;
    const char *fault = NULL;
    if (resource->configuration_keys_count > KEYS_MAX)
        fault = "More than 4096 names of settings";
    else if (resource->resource_type != KAFKA_RESOURCE_TOPIC)
        fault = resource_fault(describe->request->core, resource);
    if (fault)
        resource_refuse(describe->out, KAFKA_INVALID_REQUEST, fault);
    else if (resource->resource_type == KAFKA_RESOURCE_TOPIC)
        topic_describe(describe);
    else
        entries_fill(describe, NULL);
}

void kafka_configs_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_configs_request asked;
    struct kafka_describe_configs_response response;
    if (!kafka_request_decode(request, describe_configs, &asked))
        return;
    kafka_describe_configs_response_init(&response);
    response.results =
        kafka_request_alloc(request, asked.resources_count, sizeof(*response.results));
    if (!response.results)
        return;
    response.results_count = asked.resources_count;
    struct describe describe = {.request = request, .asked = &asked};
    for (size_t i = 0; i < asked.resources_count && !describe.failed; i++) {
        describe.resource = &asked.resources[i];
        describe.out = &response.results[i];
        kafka_describe_configs_response_result_init(describe.out);
        resource_describe(&describe);
    }
    if (describe.failed)
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
    else
        kafka_request_answer(request, describe_configs, &response);
}

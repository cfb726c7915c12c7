// AlterConfigs and IncrementalAlterConfigs: settings of topics, of this broker, of groups.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_alter_configs.h"
#include "wire/kafka_incremental_alter_configs.h"

#include "base/map.h"
#include "broker/group_settings.h"
#include "broker/telemetry.h"
#include "kafka/configs.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/loggers.h"
#include "kafka/topic.h"

/* One resource, whichever of the two requests names it. */
struct alter_one {
    struct broker_settings_alter alter;
    struct kafka_request *request;
    int8_t type;
    struct slice name;
    int16_t code;
    struct slice words;
};

struct alter {
    struct alter_one *ones;
    size_t count;
    size_t pending;
    bool validate_only;
    bool incremental;
};

/* --- the answer ------------------------------------------------------------------------------- */

static void answer_plain(struct kafka_request *request)
{
    const struct alter *state = request->state;
    struct kafka_alter_configs_response response;
    kafka_alter_configs_response_init(&response);
    response.responses = kafka_request_alloc(request, state->count, sizeof(*response.responses));
    if (!response.responses)
        return;
    response.responses_count = state->count;
    for (size_t i = 0; i < state->count; i++)
        response.responses[i] = (struct kafka_alter_configs_response_resource){
            .error_code = state->ones[i].code,
            .error_message = state->ones[i].words,
            .resource_type = state->ones[i].type,
            .resource_name = state->ones[i].name,
        };
    kafka_request_answer(request, alter_configs, &response);
}

static void answer_incremental(struct kafka_request *request)
{
    const struct alter *state = request->state;
    struct kafka_incremental_alter_configs_response response;
    kafka_incremental_alter_configs_response_init(&response);
    response.responses = kafka_request_alloc(request, state->count, sizeof(*response.responses));
    if (!response.responses)
        return;
    response.responses_count = state->count;
    for (size_t i = 0; i < state->count; i++)
        response.responses[i] = (struct kafka_incremental_alter_configs_response_resource){
            .error_code = state->ones[i].code,
            .error_message = state->ones[i].words,
            .resource_type = state->ones[i].type,
            .resource_name = state->ones[i].name,
        };
    kafka_request_answer(request, incremental_alter_configs, &response);
}

static void alter_answer(struct kafka_request *request)
{
    const struct alter *state = request->state;
    if (state->incremental)
        answer_incremental(request);
    else
        answer_plain(request);
}

static void alter_done(struct broker_call *call)
{
    struct alter_one *one = CONTAINER_OF(call, struct alter_one, alter.call);
    struct alter *state = one->request->state;
    if (call->err) {
        one->code =
            one->alter.is_misasked ? KAFKA_INVALID_REQUEST : kafka_error_of_change(call->err);
        one->words = kafka_topic_words(one->request, &call->diag);
    }
    if (--state->pending == 0)
        alter_answer(one->request);
}

/* --- the request ------------------------------------------------------------------------------ */

static void one_refuse(struct alter_one *one, int16_t code, const char *words)
{
    one->code = code;
    one->words = slice_text(words);
}

static size_t type_slot(int8_t type)
{
    switch (type) {
    case KAFKA_RESOURCE_TOPIC:
        return 1;
    case KAFKA_RESOURCE_BROKER:
        return 2;
    case KAFKA_RESOURCE_LOGGER:
        return 3;
    case KAFKA_RESOURCE_METRICS:
        return 4;
    case KAFKA_RESOURCE_GROUP:
        return 5;
    default:
        return 0;
    }
}

/* What is named twice is refused: nobody could say which of the two holds. */
static bool doubles_refuse(struct alter *state, struct core *core)
{
    struct map seen[6]; /* by type; those of no known type together */
    bool ok = true;
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        map_init(&seen[i], core_random(core));
    for (size_t i = 0; i < state->count && ok; i++) {
        struct alter_one *one = &state->ones[i];
        void *before = NULL;
        ok = map_put(&seen[type_slot(one->type)], one->name, one, &before);
        if (!before)
            continue;
        one_refuse(one, KAFKA_INVALID_REQUEST, "Each resource must appear at most once.");
        one_refuse(before, KAFKA_INVALID_REQUEST, "Each resource must appear at most once.");
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        map_deinit(&seen[i]);
    return ok;
}

/* Done at once: the level is this server's alone, and forgotten when it stops. */
static void logger_alter(struct kafka_request *request, struct alter_one *one)
{
    const struct alter *state = request->state;
    struct diag diag = {""};
    if (!kafka_configs_is_node(request->core, one->name)) {
        one_refuse(one, KAFKA_INVALID_REQUEST,
                   "Unexpected broker id: only the loggers of the node asked can be changed");
        return;
    }
    if (!state->incremental) {
        one_refuse(one, KAFKA_INVALID_REQUEST, "Loggers can only be changed incrementally");
        return;
    }
    one->alter.validate_only = state->validate_only;
    one->code = kafka_loggers_alter(request->core, &one->alter, &diag);
    one->words = kafka_topic_words(request, &diag);
}

static void one_judge(struct kafka_request *request, struct alter_one *one)
{
    const struct broker_topic *topic;
    if (one->type == KAFKA_RESOURCE_BROKER) {
        one->alter.for_broker = true;
        one->alter.cluster = one->name.size == 0;
        if (one->name.size > 0 && !kafka_configs_is_node(request->core, one->name))
            one_refuse(one, KAFKA_INVALID_REQUEST,
                       "Unexpected broker id: only the settings of the node asked can be changed");
    } else if (one->type == KAFKA_RESOURCE_METRICS) {
        one->alter.name = one->name; /* judged where it is changed */
    } else if (one->type == KAFKA_RESOURCE_GROUP) {
        one->alter.name = one->name;
        if (one->name.size == 0)
            one_refuse(one, KAFKA_INVALID_REQUEST, "Default group resources are not allowed.");
    } else if (one->type != KAFKA_RESOURCE_TOPIC) {
        one_refuse(one, KAFKA_INVALID_REQUEST, "Unsupported resource type");
    } else if ((topic = broker_topic_find(request->core, one->name)) != NULL) {
        one->alter.topic_id = topic->id;
    } else {
        one_refuse(one, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic does not exist.");
    }
}

static void alter_start(struct kafka_request *request)
{
    struct alter *state = request->state;
    if (!doubles_refuse(state, request->core)) {
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
        return;
    }
    for (size_t i = 0; i < state->count; i++) {
        struct alter_one *one = &state->ones[i];
        if (!one->code && one->type == KAFKA_RESOURCE_LOGGER) {
            logger_alter(request, one);
            continue;
        }
        if (!one->code)
            one_judge(request, one);
        if (one->code)
            continue;
        one->request = request;
        one->alter.call.done = alter_done;
        one->alter.validate_only = state->validate_only;
        one->alter.replace_all = !state->incremental;
        state->pending++;
    }
    size_t pending = state->pending;
    for (size_t i = 0; i < state->count && pending > 0; i++)
        if (!state->ones[i].code && state->ones[i].request) {
            pending--;
            if (state->ones[i].type == KAFKA_RESOURCE_METRICS)
                broker_telemetry_alter(request->core, &state->ones[i].alter);
            else if (state->ones[i].type == KAFKA_RESOURCE_GROUP)
                broker_group_settings_alter(request->core, &state->ones[i].alter);
            else
                broker_settings_alter(request->core, &state->ones[i].alter);
        }
    if (state->pending == 0)
        alter_answer(request);
}

static struct alter *alter_new(struct kafka_request *request, size_t count, bool incremental)
{
    struct alter *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state)
        return NULL;
    state->incremental = incremental;
    state->count = count;
    state->ones = kafka_request_alloc(request, count, sizeof(*state->ones));
    return state->ones ? state : NULL;
}

/* A value must be there unless it is deleted, and nobody could say which of two holds. */
static void changes_judge(struct alter_one *one, uint64_t seed)
{
    struct map seen;
    map_init(&seen, seed);
    for (size_t i = 0; i < one->alter.change_count && !one->code; i++) {
        const struct broker_setting_change *change = &one->alter.changes[i];
        void *before = NULL;
        if (change->op != BROKER_SETTING_DELETE && !change->value.data)
            one_refuse(one, KAFKA_INVALID_REQUEST, "Null value not supported for this operation");
        else if (!map_put(&seen, change->name, one, &before) || before)
            one_refuse(one, KAFKA_INVALID_REQUEST, "A setting is named more than once");
    }
    map_deinit(&seen);
}

void kafka_configs_alter_handle(struct kafka_request *request)
{
    struct kafka_alter_configs_request asked;
    if (!kafka_request_decode(request, alter_configs, &asked))
        return;
    struct alter *state = alter_new(request, asked.resources_count, false);
    if (!state)
        return;
    state->validate_only = asked.validate_only;
    for (size_t i = 0; i < state->count; i++) {
        const struct kafka_alter_configs_request_resource *resource = &asked.resources[i];
        struct alter_one *one = &state->ones[i];
        struct broker_setting_change *changes =
            kafka_request_alloc(request, resource->configs_count, sizeof(*changes));
        if (!changes)
            return;
        one->type = resource->resource_type;
        one->name = resource->resource_name;
        one->alter.changes = changes;
        one->alter.change_count = resource->configs_count;
        for (size_t j = 0; j < resource->configs_count; j++)
            changes[j] = (struct broker_setting_change){
                .name = resource->configs[j].name,
                .value = resource->configs[j].value,
                .op = BROKER_SETTING_SET,
            };
        changes_judge(one, core_random(request->core));
    }
    alter_start(request);
}

static bool op_of(int8_t operation, enum broker_setting_op *out)
{
    static const enum broker_setting_op ops[] = {BROKER_SETTING_SET, BROKER_SETTING_DELETE,
                                                 BROKER_SETTING_APPEND, BROKER_SETTING_SUBTRACT};
    if (operation < 0 || (size_t)operation >= COUNT_OF(ops))
        return false;
    *out = ops[operation];
    return true;
}

static void changes_fill(const struct kafka_incremental_alter_configs_request_resource *resource,
                         struct broker_setting_change *changes, struct alter_one *one)
{
    for (size_t i = 0; i < resource->configs_count; i++) {
        const struct kafka_incremental_alter_configs_request_config *config = &resource->configs[i];
        changes[i].name = config->name;
        changes[i].value = config->value;
        if (!op_of(config->config_operation, &changes[i].op))
            one_refuse(one, KAFKA_INVALID_REQUEST, "Unknown operation on a setting");
    }
}

void kafka_configs_alter_incremental_handle(struct kafka_request *request)
{
    struct kafka_incremental_alter_configs_request asked;
    if (!kafka_request_decode(request, incremental_alter_configs, &asked))
        return;
    struct alter *state = alter_new(request, asked.resources_count, true);
    if (!state)
        return;
    state->validate_only = asked.validate_only;
    for (size_t i = 0; i < state->count; i++) {
        const struct kafka_incremental_alter_configs_request_resource *resource =
            &asked.resources[i];
        struct alter_one *one = &state->ones[i];
        one->type = resource->resource_type;
        one->name = resource->resource_name;
        struct broker_setting_change *changes =
            kafka_request_alloc(request, resource->configs_count, sizeof(*changes));
        if (!changes)
            return;
        one->alter.changes = changes;
        one->alter.change_count = resource->configs_count;
        changes_fill(resource, changes, one);
        changes_judge(one, core_random(request->core));
    }
    alter_start(request);
}

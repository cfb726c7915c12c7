// CreateTopics and CreatePartitions.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_create_partitions.h"
#include "wire/kafka_create_topics.h"

#include "base/map.h"
#include "broker/topic_config.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/quota.h"
#include "kafka/topic.h"

/* From these versions on clients know THROTTLING_QUOTA_EXCEEDED (KIP-599). */
#define TOPICS_CREATE_STRICT_VERSION 6
#define TOPICS_GROW_STRICT_VERSION   3

/* --- CreateTopics ----------------------------------------------------------------------------- */

struct topics_create {
    struct broker_topic_create create;
    struct kafka_request *request;
    struct kafka_create_topics_response_topic *out;
};

struct topics {
    struct kafka_create_topics_request asked;
    struct kafka_create_topics_response response;
    size_t pending;
};

struct config_fill {
    struct kafka_request *request;
    struct kafka_create_topics_response_topic *out;
    size_t capacity;
};

static void config_count(void *arg, const struct config_entry *entry)
{
    struct config_fill *fill = arg;
    fill->capacity++;
}

static void config_add(void *arg, const struct config_entry *entry)
{
    struct config_fill *fill = arg;
    struct arena *arena = &fill->request->arena;
    if (fill->out->configs_count == fill->capacity)
        return;
    struct kafka_create_topics_response_config *config =
        &fill->out->configs[fill->out->configs_count++];
    kafka_create_topics_response_config_init(config);
    config->name = arena_copy(arena, slice_text(entry->name));
    config->value = entry->sensitive ? SLICE_NULL : arena_copy(arena, slice_text(entry->value));
    config->read_only = entry->read_only;
    config->config_source = (int8_t)entry->source;
    config->is_sensitive = entry->sensitive;
}

static void made_each(const struct topics_create *made, config_entry_fn fn, void *arg)
{
    struct core *core = made->request->core;
    const struct broker_topic *topic = broker_topic_find_id(core, &made->create.out_id);
    if (made->create.out_settings)
        broker_topic_config_each_of(core, made->create.out_settings, fn, arg);
    else if (topic)
        broker_topic_config_each(core, topic, fn, arg);
}

/* Settings of a topic that was made, or that could be. */
static void made_configs_fill(const struct topics_create *made)
{
    struct kafka_create_topics_response_topic *out = made->out;
    struct config_fill fill = {.request = made->request, .out = out};
    made_each(made, config_count, &fill);
    out->configs = arena_alloc_array(&made->request->arena, fill.capacity, sizeof(*out->configs));
    if (out->configs)
        made_each(made, config_add, &fill);
    else
        out->topic_config_error_code = KAFKA_UNKNOWN_SERVER_ERROR;
}

static void topics_answer(struct kafka_request *request)
{
    struct topics *state = request->state;
    for (size_t i = 0; i < state->response.topics_count; i++) {
        struct kafka_create_topics_response_topic *out = &state->response.topics[i];
        if (out->error_code) /* no settings, which is not null */
            out->configs = arena_alloc_array(&request->arena, 0, sizeof(*out->configs));
    }
    kafka_request_answer(request, create_topics, &state->response);
}

static int16_t create_error(const struct topics_create *made)
{
    enum err err = made->create.call.err;
    if (err == ERR_INVALID && made->create.out_fault == BROKER_TOPIC_FAULT_NAME)
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (err == ERR_LIMIT)
        return KAFKA_INVALID_PARTITIONS;
    return kafka_error_of_change(err);
}

static void topic_created(struct broker_call *call)
{
    struct topics_create *made = CONTAINER_OF(call, struct topics_create, create.call);
    struct kafka_request *request = made->request;
    struct topics *state = request->state;
    struct kafka_create_topics_response_topic *out = made->out;
    out->error_code = create_error(made);
    out->error_message = call->err ? kafka_topic_words(request, &call->diag) : SLICE_NULL;
    if (call->err && !out->error_message.data)
        out->error_message = slice_text(err_text(call->err));
    if (!call->err) {
        out->topic_id = made->create.out_id;
        out->num_partitions = made->create.out_partition_count;
        out->replication_factor = 1;
        if (request->version >= 5)
            made_configs_fill(made);
    }
    broker_topic_create_release(&made->create);
    if (--state->pending == 0)
        topics_answer(request);
}

static int16_t assignments_judge(struct kafka_request *request,
                                 const struct kafka_create_topics_request_topic *asked,
                                 struct diag *diag)
{
    int32_t node = broker_node_id(broker_of(request->core));
    if (asked->num_partitions != -1 || asked->replication_factor != -1) {
        diag_set(diag, "A manual partition assignment was specified, but %s was not set to -1.",
                 asked->num_partitions != -1 ? "numPartitions" : "replication factor");
        return KAFKA_INVALID_REQUEST;
    }
    bool *seen = arena_alloc_array(&request->arena, asked->assignments_count, sizeof(*seen));
    for (size_t i = 0; seen && i < asked->assignments_count; i++) {
        const struct kafka_create_topics_request_assignment *one = &asked->assignments[i];
        int32_t index = one->partition_index;
        if (index < 0 || (size_t)index >= asked->assignments_count || seen[index])
            diag_set(diag, "partitions should be a consecutive 0-based integer sequence");
        else if (one->broker_ids_count != 1 || one->broker_ids[0] != node)
            diag_set(diag, "The manual partition assignment of partition %d can only be node %d.",
                     index, node);
        else
            seen[index] = true;
        if (diag->text[0])
            return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    return seen ? KAFKA_NONE : KAFKA_UNKNOWN_SERVER_ERROR;
}

static int16_t topic_judge(struct kafka_request *request,
                           const struct kafka_create_topics_request_topic *asked, struct diag *diag)
{
    const char *fault = kafka_topic_name_fault(asked->name);
    if (fault) {
        diag_set(diag, "%s", fault);
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (kafka_topic_name_is_internal(asked->name)) {
        diag_set(diag, "Topics with this name are made by the server alone.");
        return KAFKA_INVALID_REQUEST;
    }
    if (broker_topic_find(request->core, asked->name)) {
        diag_set(diag, "Topic '%.*s' already exists.", (int)asked->name.size,
                 (const char *)asked->name.data);
        return KAFKA_TOPIC_ALREADY_EXISTS;
    }
    for (size_t i = 0; i < asked->configs_count; i++) {
        if (asked->configs[i].value.data)
            continue;
        diag_set(diag, "Null value not supported for topic configs: %.*s",
                 (int)MIN(asked->configs[i].name.size, 200),
                 (const char *)asked->configs[i].name.data);
        return KAFKA_INVALID_CONFIG;
    }
    if (asked->assignments_count > 0)
        return assignments_judge(request, asked, diag);
    if (asked->replication_factor == 0 || asked->replication_factor < -1) {
        diag_set(diag, "Replication factor must be larger than 0, or -1 to use the default value.");
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    if (asked->replication_factor > 1) {
        diag_set(diag,
                 "Unable to replicate the partition %d time(s): The target replication factor of "
                 "%d cannot be reached because only 1 broker(s) are registered.",
                 asked->replication_factor, asked->replication_factor);
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    if (asked->num_partitions == 0 || asked->num_partitions < -1) {
        diag_set(diag, "Number of partitions was set to an invalid non-positive value.");
        return KAFKA_INVALID_PARTITIONS;
    }
    return KAFKA_NONE;
}

static int32_t partition_count_of(const struct kafka_create_topics_request_topic *asked)
{
    return asked->assignments_count > 0 ? (int32_t)asked->assignments_count : asked->num_partitions;
}

/* False: the request has been rejected. */
static bool topic_prepare(struct kafka_request *request,
                          const struct kafka_create_topics_request_topic *asked,
                          struct topics_create **out)
{
    struct broker_setting_pair *settings =
        kafka_request_alloc(request, asked->configs_count, sizeof(*settings));
    if (!settings)
        return false;
    struct topics_create *made = kafka_request_alloc(request, 1, sizeof(*made));
    if (!made)
        return false;
    for (size_t i = 0; i < asked->configs_count; i++)
        settings[i] = (struct broker_setting_pair){asked->configs[i].name, asked->configs[i].value};
    const struct topics *state = request->state;
    made->request = request;
    made->create.call.done = topic_created;
    made->create.name = asked->name;
    made->create.partition_count = partition_count_of(asked);
    made->create.replication_factor = -1;
    made->create.settings = settings;
    made->create.setting_count = asked->configs_count;
    made->create.validate_only = state->asked.validate_only;
    *out = made;
    return true;
}

/* What a topic's partitions cost of the client's quota; with an error when that is too much. */
static int16_t create_draw(struct kafka_request *request,
                           const struct kafka_create_topics_request_topic *asked, struct diag *diag)
{
    const struct topics *state = request->state;
    int32_t count = partition_count_of(asked);
    if (count < 0)
        count = broker_settings_now(request->core)->num_partitions;
    if (state->asked.validate_only ||
        !kafka_quota_change(request, (size_t)count, TOPICS_CREATE_STRICT_VERSION))
        return KAFKA_NONE;
    diag_set(diag, "The throttling quota has been exceeded.");
    return KAFKA_THROTTLING_QUOTA_EXCEEDED;
}

/* Names that come more than once are refused, once each. */
static bool names_collect(struct kafka_request *request, struct map *names)
{
    const struct topics *state = request->state;
    struct kafka_create_topics_response *response = &((struct topics *)request->state)->response;
    for (size_t i = 0; i < state->asked.topics_count; i++) {
        struct slice name = state->asked.topics[i].name;
        struct kafka_create_topics_response_topic *before = map_get(names, name);
        if (before) {
            before->error_code = KAFKA_INVALID_REQUEST;
            before->error_message = SLICE_LITERAL("Duplicate topic name.");
            continue;
        }
        struct kafka_create_topics_response_topic *out =
            &response->topics[response->topics_count++];
        kafka_create_topics_response_topic_init(out);
        out->name = name;
        if (!map_put(names, name, out, NULL))
            return false;
    }
    return true;
}

/* False: the request has been rejected. */
static bool topics_prepare(struct kafka_request *request, struct topics_create **creates,
                           size_t *out_count)
{
    struct topics *state = request->state;
    struct map names;
    map_init(&names, core_random(request->core));
    bool ok = names_collect(request, &names);
    if (!ok)
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
    *out_count = 0;
    for (size_t i = 0; ok && i < state->asked.topics_count; i++) {
        struct kafka_create_topics_response_topic *out =
            map_get(&names, state->asked.topics[i].name);
        struct diag diag = {""};
        if (out->error_code)
            continue;
        out->error_code = topic_judge(request, &state->asked.topics[i], &diag);
        if (!out->error_code)
            out->error_code = create_draw(request, &state->asked.topics[i], &diag);
        out->error_message = kafka_topic_words(request, &diag);
        if (out->error_code)
            continue;
        ok = topic_prepare(request, &state->asked.topics[i], &creates[*out_count]);
        if (ok)
            creates[(*out_count)++]->out = out;
    }
    map_deinit(&names);
    return ok;
}

void kafka_topics_create_handle(struct kafka_request *request)
{
    struct topics *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, create_topics, &state->asked))
        return;
    kafka_create_topics_response_init(&state->response);
    size_t count = state->asked.topics_count;
    state->response.topics = kafka_request_alloc(request, count, sizeof(*state->response.topics));
    if (!state->response.topics)
        return;
    struct topics_create **creates = kafka_request_alloc(request, count, sizeof(*creates));
    if (!creates || !topics_prepare(request, creates, &count))
        return;
    state->pending = count;
    for (size_t i = 0; i < count; i++)
        broker_topic_create(request->core, &creates[i]->create);
    if (count == 0)
        topics_answer(request);
}

/* --- CreatePartitions ------------------------------------------------------------------------- */

struct topics_grow {
    struct broker_topic_grow grow;
    struct kafka_request *request;
    struct kafka_create_partitions_response_result *out;
};

struct growth {
    struct kafka_create_partitions_request asked;
    struct kafka_create_partitions_response response;
    size_t pending;
};

static void topic_grown(struct broker_call *call)
{
    struct topics_grow *grow = CONTAINER_OF(call, struct topics_grow, grow.call);
    struct growth *state = grow->request->state;
    if (call->err) {
        grow->out->error_code = call->err == ERR_INVALID || call->err == ERR_LIMIT
                                    ? KAFKA_INVALID_PARTITIONS
                                    : kafka_error_of_change(call->err);
        grow->out->error_message = kafka_topic_words(grow->request, &call->diag);
    }
    if (--state->pending == 0)
        kafka_request_answer(grow->request, create_partitions, &state->response);
}

static int16_t growth_judge(struct kafka_request *request,
                            const struct kafka_create_partitions_request_topic *asked,
                            const struct broker_topic *topic, struct diag *diag)
{
    int32_t node = broker_node_id(broker_of(request->core));
    if (!topic) {
        diag_set(diag, "This server does not host this topic-partition.");
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    uint32_t now = topic->partition_count;
    if (asked->count == (int32_t)now) {
        diag_set(diag, "Topic already has %u partition(s).", now);
        return KAFKA_INVALID_PARTITIONS;
    }
    if (asked->count < (int32_t)now) {
        diag_set(diag, "The topic %.*s currently has %u partition(s); %d would not be an increase.",
                 (int)topic->name.size, (const char *)topic->name.data, now, asked->count);
        return KAFKA_INVALID_PARTITIONS;
    }
    size_t more = (size_t)asked->count - now;
    if (asked->assignments && asked->assignments_count != more) {
        diag_set(diag,
                 "Attempted to add %zu additional partition(s), but only %zu assignment(s) were "
                 "specified.",
                 more, asked->assignments_count);
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    for (size_t i = 0; i < asked->assignments_count; i++)
        if (asked->assignments[i].broker_ids_count != 1 ||
            asked->assignments[i].broker_ids[0] != node) {
            diag_set(diag, "The manual partition assignment can only be node %d.", node);
            return KAFKA_INVALID_REPLICA_ASSIGNMENT;
        }
    return KAFKA_NONE;
}

static void growth_start(struct kafka_request *request,
                         const struct kafka_create_partitions_request_topic *asked,
                         struct topics_grow *grow)
{
    struct growth *state = request->state;
    const struct broker_topic *topic = broker_topic_find(request->core, asked->name);
    struct diag diag = {""};
    kafka_create_partitions_response_result_init(grow->out);
    grow->out->name = asked->name;
    grow->out->error_code = growth_judge(request, asked, topic, &diag);
    if (!grow->out->error_code && !state->asked.validate_only &&
        kafka_quota_change(request, (size_t)asked->count - topic->partition_count,
                           TOPICS_GROW_STRICT_VERSION)) {
        diag_set(&diag, "The throttling quota has been exceeded.");
        grow->out->error_code = KAFKA_THROTTLING_QUOTA_EXCEEDED;
    }
    grow->out->error_message = kafka_topic_words(request, &diag);
    if (grow->out->error_code)
        return;
    grow->request = request;
    grow->grow.call.done = topic_grown;
    grow->grow.id = topic->id;
    grow->grow.partition_count = asked->count;
    grow->grow.validate_only = state->asked.validate_only;
    state->pending++;
    broker_topic_grow(request->core, &grow->grow);
}

void kafka_topics_grow_handle(struct kafka_request *request)
{
    struct growth *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, create_partitions, &state->asked))
        return;
    kafka_create_partitions_response_init(&state->response);
    size_t count = state->asked.topics_count;
    state->response.results = kafka_request_alloc(request, count, sizeof(*state->response.results));
    if (!state->response.results)
        return;
    state->response.results_count = count;
    struct topics_grow *grows = kafka_request_alloc(request, count, sizeof(*grows));
    if (!grows)
        return;
    for (size_t i = 0; i < count; i++) {
        grows[i].out = &state->response.results[i];
        growth_start(request, &state->asked.topics[i], &grows[i]);
    }
    if (state->pending == 0)
        kafka_request_answer(request, create_partitions, &state->response);
}

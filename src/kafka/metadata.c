// Metadata: nodes, topics, partitions; makes topics that are asked for when that is allowed.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_metadata.h"

#include "base/map.h"
#include "kafka/endpoint.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

struct metadata_create {
    struct broker_topic_create create;
    struct kafka_request *request;
    size_t index; /* of the topic asked for */
};

struct metadata {
    struct kafka_metadata_request asked;
    struct kafka_endpoint endpoint;
    bool all;
    bool by_id;
    size_t pending;
    int32_t *node;    /* the one replica of every partition */
    enum err *failed; /* for each topic asked for: why it could not be made */
};

/* --- one topic -------------------------------------------------------------------------------- */

static bool topic_fill(struct kafka_request *request, const struct broker_topic *topic,
                       struct kafka_metadata_response_topic *out)
{
    const struct metadata *state = request->state;
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = topic->internal;
    if (state->asked.include_topic_authorized_operations)
        out->topic_authorized_operations = KAFKA_OPERATIONS_TOPIC;
    out->partitions =
        kafka_request_alloc(request, topic->partition_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = topic->partition_count;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct broker_partition *partition = broker_partition_at(topic, (int32_t)i);
        bool offline = broker_partition_is_offline(partition);
        out->partitions[i] = (struct kafka_metadata_response_partition){
            .error_code = offline ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE,
            .partition_index = (int32_t)i,
            .leader_id = offline ? -1 : *state->node,
            .leader_epoch = broker_partition_epoch(partition),
            .replica_nodes = state->node,
            .replica_nodes_count = 1,
            .isr_nodes = state->node,
            .isr_nodes_count = offline ? 0 : 1,
            .offline_replicas = state->node,
            .offline_replicas_count = offline ? 1 : 0,
        };
    }
    return true;
}

static int16_t missing_error(const struct metadata *state, size_t index)
{
    const struct kafka_metadata_request_topic *asked = &state->asked.topics[index];
    if (state->by_id)
        return KAFKA_UNKNOWN_TOPIC_ID;
    if (kafka_topic_name_fault(asked->name))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    enum err err = state->failed ? state->failed[index] : ERR_OK;
    if (err == ERR_INVALID)
        return KAFKA_INVALID_TOPIC_EXCEPTION; /* collides with another name */
    return err ? kafka_error_of_change(err) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static bool topic_answer(struct kafka_request *request, size_t index,
                         struct kafka_metadata_response_topic *out)
{
    const struct metadata *state = request->state;
    const struct kafka_metadata_request_topic *asked = &state->asked.topics[index];
    const struct broker_topic *topic = state->by_id
                                           ? broker_topic_find_id(request->core, &asked->topic_id)
                                           : broker_topic_find(request->core, asked->name);
    if (topic)
        return topic_fill(request, topic, out);
    out->error_code = missing_error(state, index);
    out->name = state->by_id ? SLICE_NULL : asked->name;
    out->topic_id = asked->topic_id;
    out->is_internal = kafka_topic_name_is_internal(asked->name);
    return true;
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool fill_all(struct kafka_request *request, struct kafka_metadata_response *response)
{
    size_t count = broker_topic_count(request->core);
    response->topics = kafka_request_alloc(request, count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    const struct broker_topic *topic = broker_topic_after(request->core, SLICE_NULL);
    for (; topic && response->topics_count < count; response->topics_count++) {
        kafka_metadata_response_topic_init(&response->topics[response->topics_count]);
        if (!topic_fill(request, topic, &response->topics[response->topics_count]))
            return false;
        topic = broker_topic_after(request->core, topic->name);
    }
    return true;
}

static bool fill_asked(struct kafka_request *request, struct kafka_metadata_response *response)
{
    const struct metadata *state = request->state;
    response->topics =
        kafka_request_alloc(request, state->asked.topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = state->asked.topics_count;
    for (size_t i = 0; i < response->topics_count; i++) {
        kafka_metadata_response_topic_init(&response->topics[i]);
        if (!topic_answer(request, i, &response->topics[i]))
            return false;
    }
    return true;
}

static void metadata_answer(struct kafka_request *request)
{
    const struct metadata *state = request->state;
    struct kafka_metadata_response response;
    kafka_metadata_response_init(&response);
    struct kafka_metadata_response_broker node = {.node_id = state->endpoint.node_id,
                                                  .host = state->endpoint.host,
                                                  .port = state->endpoint.port};
    response.brokers = &node;
    response.brokers_count = 1;
    response.controller_id = state->endpoint.node_id;
    response.cluster_id = slice_text(broker_cluster_id(broker_of(request->core)));
    if (state->asked.include_cluster_authorized_operations)
        response.cluster_authorized_operations = KAFKA_OPERATIONS_CLUSTER;
    if (state->all ? fill_all(request, &response) : fill_asked(request, &response))
        kafka_request_answer(request, metadata, &response);
}

/* --- topics to make --------------------------------------------------------------------------- */

static void metadata_created(struct broker_call *call)
{
    struct metadata_create *made = CONTAINER_OF(call, struct metadata_create, create.call);
    struct metadata *state = made->request->state;
    state->failed[made->index] = call->err;
    if (--state->pending == 0)
        metadata_answer(made->request);
}

static bool may_create(struct kafka_request *request, struct slice name)
{
    return !broker_topic_find(request->core, name) && !kafka_topic_name_fault(name) &&
           !kafka_topic_name_is_internal(name);
}

/* False: the request has been rejected. */
static bool metadata_create(struct kafka_request *request)
{
    struct metadata *state = request->state;
    size_t count = state->asked.topics_count;
    state->failed = kafka_request_alloc(request, count, sizeof(*state->failed));
    if (!state->failed)
        return false;
    struct metadata_create **creates = kafka_request_alloc(request, count, sizeof(void *));
    size_t create_count = 0;
    for (size_t i = 0; creates && i < count; i++) {
        if (!may_create(request, state->asked.topics[i].name))
            continue;
        struct metadata_create *made = kafka_request_alloc(request, 1, sizeof(*made));
        if (!made)
            return false;
        made->request = request;
        made->index = i;
        made->create.call.done = metadata_created;
        made->create.name = state->asked.topics[i].name;
        made->create.partition_count = -1;
        made->create.replication_factor = -1;
        creates[create_count++] = made;
    }
    state->pending = create_count;
    for (size_t i = 0; i < create_count; i++)
        broker_topic_create(request->core, &creates[i]->create);
    return creates != NULL;
}

/* --- the request ------------------------------------------------------------------------------ */

/* Keeps the first of topics that are asked for more than once. False: out of memory. */
static bool metadata_unique(struct kafka_request *request, struct metadata *state)
{
    struct map seen;
    bool ok = true;
    size_t kept = 0;
    map_init(&seen, core_random(request->core));
    for (size_t i = 0; ok && i < state->asked.topics_count; i++) {
        struct kafka_metadata_request_topic *topic = &state->asked.topics[i];
        struct slice key = state->by_id ? slice_make(topic->topic_id.bytes, 16) : topic->name;
        if (map_get(&seen, key) || (state->by_id && uuid_is_zero(&topic->topic_id)))
            continue;
        state->asked.topics[kept] = *topic;
        topic = &state->asked.topics[kept++];
        key = state->by_id ? slice_make(topic->topic_id.bytes, 16) : topic->name;
        ok = map_put(&seen, key, topic, NULL);
    }
    state->asked.topics_count = kept;
    map_deinit(&seen);
    return ok;
}

/* Names may be null and ids may be used from version 12 on. */
static bool metadata_is_legal(const struct kafka_request *request, const struct metadata *state)
{
    for (size_t i = 0; request->version < 12 && i < state->asked.topics_count; i++)
        if (!state->asked.topics[i].name.data || !uuid_is_zero(&state->asked.topics[i].topic_id))
            return false;
    for (size_t i = 0; !state->by_id && i < state->asked.topics_count; i++)
        if (!state->asked.topics[i].name.data)
            return false;
    return true;
}

static void metadata_refuse(struct kafka_request *request)
{
    const struct metadata *state = request->state;
    struct kafka_metadata_response response;
    kafka_metadata_response_init(&response);
    response.topics =
        kafka_request_alloc(request, state->asked.topics_count, sizeof(*response.topics));
    if (!response.topics)
        return;
    response.topics_count = state->asked.topics_count;
    response.error_code = KAFKA_INVALID_REQUEST;
    for (size_t i = 0; i < response.topics_count; i++) {
        kafka_metadata_response_topic_init(&response.topics[i]);
        struct slice name = state->asked.topics[i].name;
        response.topics[i].error_code = KAFKA_INVALID_REQUEST;
        response.topics[i].name = name.data ? name : SLICE_LITERAL("");
        response.topics[i].topic_id = state->asked.topics[i].topic_id;
    }
    kafka_request_answer(request, metadata, &response);
}

void kafka_metadata_handle(struct kafka_request *request)
{
    struct metadata *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, metadata, &state->asked) ||
        !kafka_endpoint_of(request, &state->endpoint))
        return;
    state->node = &state->endpoint.node_id;
    state->all = request->version == 0 ? state->asked.topics_count == 0 : !state->asked.topics;
    for (size_t i = 0; i < state->asked.topics_count; i++)
        state->by_id |= !uuid_is_zero(&state->asked.topics[i].topic_id);
    if (!metadata_is_legal(request, state)) {
        metadata_refuse(request);
        return;
    }
    if (!metadata_unique(request, state)) {
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
        return;
    }
    bool create = state->asked.allow_auto_topic_creation && !state->by_id && !state->all &&
                  broker_settings_now(request->core)->auto_create_topics_enable;
    if (create && !metadata_create(request))
        return;
    if (state->pending == 0)
        metadata_answer(request);
}

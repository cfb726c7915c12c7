// OffsetCommit and OffsetDelete.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_offset_commit.h"
#include "wire/kafka_offset_delete.h"

/* --- OffsetCommit --- */

struct commit_state {
    struct group_commit commit;
    struct kafka_request *request;
    struct kafka_offset_commit_response response;
    int16_t **codes; /* where the code of each offset goes */
};

static int16_t commit_code(const struct commit_state *state, enum err err)
{
    if (err == ERR_TOO_LARGE)
        return KAFKA_OFFSET_METADATA_TOO_LARGE;
    if (err == ERR_NOT_FOUND && state->request->version < 9)
        return KAFKA_ILLEGAL_GENERATION;
    return kafka_group_error(err);
}

static void commit_done(struct broker_call *call)
{
    struct commit_state *state = CONTAINER_OF(call, struct commit_state, commit.call);
    for (size_t i = 0; i < state->commit.offset_count; i++) {
        enum err err = call->err ? call->err : state->commit.offsets[i].err;
        *state->codes[i] = commit_code(state, err);
    }
    kafka_request_answer(state->request, offset_commit, &state->response);
}

static const struct broker_topic *commit_topic(struct kafka_request *request,
                                               const struct kafka_offset_commit_request_topic *in)
{
    return request->version >= 10 ? broker_topic_find_id(request->core, &in->topic_id)
                                  : broker_topic_find(request->core, in->name);
}

/* Offsets of partitions that exist go to the group; the others have their answer. */
static bool commit_topic_fill(struct commit_state *state,
                              const struct kafka_offset_commit_request_topic *in,
                              struct kafka_offset_commit_response_topic *out)
{
    struct kafka_request *request = state->request;
    const struct broker_topic *topic = commit_topic(request, in);
    struct slice name = topic ? arena_copy(&request->arena, topic->name) : SLICE_NULL;
    out->name = in->name;
    out->topic_id = in->topic_id;
    out->partitions = kafka_request_alloc(request, in->partitions_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        const struct kafka_offset_commit_request_partition *part = &in->partitions[i];
        out->partitions[i].partition_index = part->partition_index;
        if (!topic || !name.data || !broker_partition_at(topic, part->partition_index)) {
            out->partitions[i].error_code = request->version >= 10 && !topic
                                                ? KAFKA_UNKNOWN_TOPIC_ID
                                                : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        size_t at = state->commit.offset_count++;
        state->codes[at] = &out->partitions[i].error_code;
        state->commit.offsets[at] =
            (struct group_offset){.topic = name,
                                  .topic_id = topic->id,
                                  .partition = part->partition_index,
                                  .offset = part->committed_offset,
                                  .leader_epoch = part->committed_leader_epoch,
                                  .metadata = kafka_group_text(part->committed_metadata),
                                  .commit_ms = -1};
    }
    return true;
}

static bool commit_fill(struct commit_state *state, const struct kafka_offset_commit_request *asked)
{
    size_t count = 0;
    for (size_t i = 0; i < asked->topics_count; i++)
        count += asked->topics[i].partitions_count;
    struct kafka_request *request = state->request;
    struct kafka_offset_commit_response *response = &state->response;
    state->codes = kafka_request_alloc(request, count, sizeof(*state->codes));
    if (!state->codes)
        return false;
    state->commit.offsets = kafka_request_alloc(request, count, sizeof(*state->commit.offsets));
    if (!state->commit.offsets)
        return false;
    response->topics = kafka_request_alloc(request, asked->topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = asked->topics_count;
    for (size_t i = 0; i < asked->topics_count; i++)
        if (!commit_topic_fill(state, &asked->topics[i], &response->topics[i]))
            return false;
    return true;
}

void kafka_group_commit_handle(struct kafka_request *request)
{
    struct kafka_offset_commit_request asked;
    struct commit_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, offset_commit, &asked))
        return;
    state->request = request;
    kafka_offset_commit_response_init(&state->response);
    struct group_commit *commit = &state->commit;
    commit->call.done = commit_done;
    commit->group_id = asked.group_id;
    commit->member_id = asked.member_id;
    commit->instance_id = asked.group_instance_id;
    commit->generation = asked.generation_id_or_member_epoch;
    commit->knows_epochs = request->version >= 9;
    commit->retention_ms = asked.retention_time_ms;
    if (!commit_fill(state, &asked))
        return;
    if (state->commit.offset_count > 0)
        broker_group_commit(request->core, &state->commit);
    else
        kafka_request_answer(request, offset_commit, &state->response);
}

/* --- OffsetDelete --- */

struct forget_state {
    struct group_forget forget;
    struct kafka_request *request;
    struct kafka_offset_delete_response response;
    int16_t **codes;
};

static void forget_done(struct broker_call *call)
{
    struct forget_state *state = CONTAINER_OF(call, struct forget_state, forget.call);
    state->response.error_code = kafka_group_error(call->err);
    if (call->err)
        state->response.topics_count = 0;
    for (size_t i = 0; i < state->forget.offset_count && !call->err; i++)
        *state->codes[i] =
            state->forget.offsets[i].err ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
    kafka_request_answer(state->request, offset_delete, &state->response);
}

static bool forget_topic_fill(struct forget_state *state,
                              const struct kafka_offset_delete_request_topic *in,
                              struct kafka_offset_delete_response_topic *out)
{
    struct kafka_request *request = state->request;
    const struct broker_topic *topic = broker_topic_find(request->core, in->name);
    out->name = in->name;
    out->partitions = kafka_request_alloc(request, in->partitions_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        int32_t index = in->partitions[i].partition_index;
        out->partitions[i].partition_index = index;
        if (!topic || !broker_partition_at(topic, index)) {
            out->partitions[i].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        size_t at = state->forget.offset_count++;
        state->codes[at] = &out->partitions[i].error_code;
        state->forget.offsets[at].topic = in->name;
        state->forget.offsets[at].partition = index;
    }
    return true;
}

void kafka_group_forget_handle(struct kafka_request *request)
{
    struct kafka_offset_delete_request asked;
    struct forget_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, offset_delete, &asked))
        return;
    size_t count = 0;
    for (size_t i = 0; i < asked.topics_count; i++)
        count += asked.topics[i].partitions_count;
    struct kafka_offset_delete_response *response = &state->response;
    kafka_offset_delete_response_init(response);
    state->request = request;
    state->forget.call.done = forget_done;
    state->forget.group_id = asked.group_id;
    state->codes = kafka_request_alloc(request, count, sizeof(*state->codes));
    if (!state->codes)
        return;
    state->forget.offsets = kafka_request_alloc(request, count, sizeof(*state->forget.offsets));
    if (!state->forget.offsets)
        return;
    response->topics = kafka_request_alloc(request, asked.topics_count, sizeof(*response->topics));
    if (!response->topics)
        return;
    response->topics_count = asked.topics_count;
    for (size_t i = 0; i < asked.topics_count; i++)
        if (!forget_topic_fill(state, &asked.topics[i], &response->topics[i]))
            return;
    broker_group_forget(request->core, &state->forget);
}

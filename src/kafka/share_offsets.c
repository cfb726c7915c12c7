// DescribeShareGroupOffsets, AlterShareGroupOffsets and DeleteShareGroupOffsets. KIP-932, KIP-1226.
// SPDX-License-Identifier: Apache-2.0
#include "broker/share.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_alter_share_group_offsets.h"
#include "wire/kafka_delete_share_group_offsets.h"
#include "wire/kafka_describe_share_group_offsets.h"

#define OFFSETS_ARENA_SIZE_MAX ((size_t)256 << 20)
#define NO_TOPIC_WORDS         SLICE_LITERAL("This server does not host this topic-partition.")
#define NO_OFFSET_WORDS        SLICE_LITERAL("There is no offset information to delete.")

static struct slice words_of(const struct broker_call *call)
{
    if (call->err == ERR_NOT_EMPTY)
        return SLICE_LITERAL("The group is not empty.");
    return slice_text(call->diag.text[0] ? call->diag.text : err_text(call->err));
}

/* --- DescribeShareGroupOffsets --- */

struct offsets_describe_part {
    struct share_start_call call;
    struct kafka_request *request;
    const struct kafka_describe_share_group_offsets_request_group *asked;
    struct kafka_describe_share_group_offsets_response_group *out;
};

struct offsets_describe_state {
    struct kafka_describe_share_group_offsets_request asked;
    struct kafka_describe_share_group_offsets_response response;
    struct offsets_describe_part *parts;
    size_t part_count;
    size_t next; /* to be asked for */
    size_t pending;
};

static void describe_release(struct kafka_request *request)
{
    struct offsets_describe_state *state = request->state;
    for (size_t i = 0; i < state->part_count; i++)
        arena_deinit(&state->parts[i].call.arena);
}

static void describe_start(const struct share_start *from,
                           struct kafka_describe_share_group_offsets_response_partition *to)
{
    kafka_describe_share_group_offsets_response_partition_init(to);
    to->partition_index = from->index;
    to->error_code = kafka_error_of(from->err);
    if (from->err) {
        to->error_message = slice_text(err_text(from->err));
        return;
    }
    to->start_offset = from->start;
    to->lag = from->lag;
}

/* Topics that are there, in the order of parts. */
static enum err describe_found(struct offsets_describe_part *part)
{
    struct share_start_call *call = &part->call;
    struct kafka_describe_share_group_offsets_response_topic *topic = NULL;
    struct kafka_describe_share_group_offsets_response_partition *outs =
        arena_alloc_array(&call->arena, call->part_count, sizeof(*outs));
    size_t room = call->part_count + (part->asked->topics ? part->asked->topics_count : 0);
    part->out->topics = arena_alloc_array(&call->arena, room, sizeof(*part->out->topics));
    if (!outs || !part->out->topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < call->part_count; i++) {
        const struct broker_topic *there =
            broker_topic_find_id(part->request->core, &call->parts[i].topic_id);
        if (!there)
            continue; /* it has just been deleted */
        if (!topic || !uuid_equal(&topic->topic_id, &there->id)) {
            topic = &part->out->topics[part->out->topics_count++];
            kafka_describe_share_group_offsets_response_topic_init(topic);
            topic->topic_id = there->id;
            topic->topic_name = arena_copy(&call->arena, there->name);
            topic->partitions = outs;
            if (!topic->topic_name.data)
                return ERR_NO_MEMORY;
        }
        describe_start(&call->parts[i], outs++);
        topic->partitions_count++;
    }
    return ERR_OK;
}

/* Those that are not: nothing is known, which is no error. */
static enum err describe_missing(struct offsets_describe_part *part)
{
    struct kafka_describe_share_group_offsets_response_partition *outs;
    for (size_t i = 0; part->asked->topics && i < part->asked->topics_count; i++) {
        const struct kafka_describe_share_group_offsets_request_topic *from =
            &part->asked->topics[i];
        if (broker_topic_find(part->request->core, from->topic_name))
            continue;
        outs = arena_alloc_array(&part->call.arena, from->partitions_count, sizeof(*outs));
        if (!outs)
            return ERR_NO_MEMORY;
        struct kafka_describe_share_group_offsets_response_topic *topic =
            &part->out->topics[part->out->topics_count++];
        kafka_describe_share_group_offsets_response_topic_init(topic);
        topic->topic_name = from->topic_name;
        topic->partitions = outs;
        topic->partitions_count = from->partitions_count;
        for (size_t j = 0; j < from->partitions_count; j++) {
            const struct share_start none = {.index = from->partitions[j], .start = -1, .lag = -1};
            describe_start(&none, &outs[j]);
        }
    }
    return ERR_OK;
}

/* What is asked for, where there is such a topic; of all groups all. */
static enum err describe_ask(struct offsets_describe_part *part)
{
    struct share_start_call *call = &part->call;
    size_t count = 0;
    call->is_all = part->asked->topics == NULL;
    for (size_t i = 0; i < part->asked->topics_count && !call->is_all; i++)
        count += part->asked->topics[i].partitions_count;
    /* Much more than what names it. */
    if (!kafka_request_charge(part->request, count * sizeof(*call->parts)))
        return ERR_NO_MEMORY;
    call->parts = arena_alloc_array(&call->arena, count, sizeof(*call->parts));
    if (!call->parts)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < part->asked->topics_count && !call->is_all; i++) {
        const struct kafka_describe_share_group_offsets_request_topic *from =
            &part->asked->topics[i];
        const struct broker_topic *topic = broker_topic_find(part->request->core, from->topic_name);
        for (size_t j = 0; topic && j < from->partitions_count; j++)
            call->parts[call->part_count++] =
                (struct share_start){.topic_id = topic->id, .index = from->partitions[j]};
    }
    return ERR_OK;
}

static void describe_next(struct kafka_request *request)
{
    struct offsets_describe_state *state = request->state;
    if (state->next < state->part_count)
        broker_share_starts(request->core, &state->parts[state->next++].call);
}

static void describe_done(struct broker_call *call)
{
    struct offsets_describe_part *part =
        CONTAINER_OF(call, struct offsets_describe_part, call.call);
    struct offsets_describe_state *state = part->request->state;
    enum err err = call->err;
    if (!err)
        err = describe_found(part);
    if (!err)
        err = describe_missing(part);
    if (!err && !kafka_request_charge(part->request, 2 * part->call.arena.size_total))
        err = ERR_NO_MEMORY;
    if (err) {
        call->err = err;
        part->out->topics_count = 0;
        part->out->error_code = kafka_group_error(err);
        part->out->error_message = words_of(call);
    }
    describe_next(part->request);
    if (--state->pending == 0)
        kafka_request_answer(part->request, describe_share_group_offsets, &state->response);
}

void kafka_share_offsets_describe_handle(struct kafka_request *request)
{
    struct offsets_describe_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, describe_share_group_offsets, &state->asked))
        return;
    struct kafka_describe_share_group_offsets_response *response = &state->response;
    kafka_describe_share_group_offsets_response_init(response);
    size_t count = state->asked.groups_count;
    state->parts = kafka_request_alloc(request, count, sizeof(*state->parts));
    if (!state->parts)
        return;
    response->groups = kafka_request_alloc(request, count, sizeof(*response->groups));
    if (!response->groups)
        return;
    response->groups_count = state->pending = count;
    request->state = state;
    request->release = describe_release;
    for (; state->part_count < count; state->part_count++) {
        struct offsets_describe_part *part = &state->parts[state->part_count];
        part->request = request;
        part->asked = &state->asked.groups[state->part_count];
        part->out = &response->groups[state->part_count];
        kafka_describe_share_group_offsets_response_group_init(part->out);
        part->out->group_id = part->asked->group_id;
        part->call.call.done = describe_done;
        part->call.group_id = part->asked->group_id;
        arena_init(&part->call.arena, OFFSETS_ARENA_SIZE_MAX);
        if (describe_ask(part)) {
            state->part_count++;
            kafka_request_reject(request, ERR_NO_MEMORY, "too many partitions to describe");
            return;
        }
    }
    if (count == 0)
        kafka_request_answer(request, describe_share_group_offsets, response);
    for (size_t i = 0; i < KAFKA_DESCRIBE_AT_ONCE && i < count; i++)
        describe_next(request);
}

/* --- AlterShareGroupOffsets --- */

struct offsets_alter_state {
    struct kafka_alter_share_group_offsets_request asked;
    struct share_start_call call;
    struct kafka_request *request;
    int32_t *places; /* of each asked partition among the call's parts; -1: there is no topic */
};

/* False: rejected. */
static bool alter_answer_topic(const struct offsets_alter_state *state, size_t index,
                               const int32_t *places,
                               struct kafka_alter_share_group_offsets_response_topic *out)
{
    const struct kafka_alter_share_group_offsets_request_topic *asked = &state->asked.topics[index];
    const struct broker_topic *topic = broker_topic_find(state->request->core, asked->topic_name);
    kafka_alter_share_group_offsets_response_topic_init(out);
    out->topic_name = asked->topic_name;
    if (topic)
        out->topic_id = topic->id;
    out->partitions =
        kafka_request_alloc(state->request, asked->partitions_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = asked->partitions_count;
    for (size_t i = 0; i < asked->partitions_count; i++) {
        struct kafka_alter_share_group_offsets_response_partition *to = &out->partitions[i];
        enum err err = places[i] >= 0 ? state->call.parts[places[i]].err : ERR_NOT_FOUND;
        kafka_alter_share_group_offsets_response_partition_init(to);
        to->partition_index = asked->partitions[i].partition_index;
        to->error_code = kafka_error_of(err);
        if (err)
            to->error_message = NO_TOPIC_WORDS;
    }
    return true;
}

static void alter_done(struct broker_call *call)
{
    struct offsets_alter_state *state = CONTAINER_OF(call, struct offsets_alter_state, call.call);
    struct kafka_alter_share_group_offsets_response response;
    const int32_t *places = state->places;
    kafka_alter_share_group_offsets_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    if (call->err)
        response.error_message = words_of(call);
    size_t count = call->err ? 0 : state->asked.topics_count;
    response.responses = kafka_request_alloc(state->request, count, sizeof(*response.responses));
    if (!response.responses)
        return;
    for (size_t i = 0; i < count; i++) {
        if (!alter_answer_topic(state, i, places, &response.responses[response.responses_count++]))
            return;
        places += state->asked.topics[i].partitions_count;
    }
    kafka_request_answer(state->request, alter_share_group_offsets, &response);
}

void kafka_share_offsets_alter_handle(struct kafka_request *request)
{
    struct offsets_alter_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, alter_share_group_offsets, &state->asked))
        return;
    size_t count = 0, place = 0;
    for (size_t i = 0; i < state->asked.topics_count; i++)
        count += state->asked.topics[i].partitions_count;
    state->places = kafka_request_alloc(request, count, sizeof(*state->places));
    if (!state->places)
        return;
    state->request = request;
    state->call.group_id = state->asked.group_id;
    state->call.call.done = alter_done;
    state->call.parts = kafka_request_alloc(request, count, sizeof(*state->call.parts));
    if (!state->call.parts)
        return;
    for (size_t i = 0; i < state->asked.topics_count; i++) {
        const struct kafka_alter_share_group_offsets_request_topic *from = &state->asked.topics[i];
        const struct broker_topic *topic = broker_topic_find(request->core, from->topic_name);
        for (size_t j = 0; j < from->partitions_count; j++) {
            state->places[place++] = topic ? (int32_t)state->call.part_count : -1;
            if (topic)
                state->call.parts[state->call.part_count++] =
                    (struct share_start){.topic_id = topic->id,
                                         .index = from->partitions[j].partition_index,
                                         .start = from->partitions[j].start_offset};
        }
    }
    broker_share_starts_set(request->core, &state->call);
}

/* --- DeleteShareGroupOffsets --- */

struct offsets_delete_state {
    struct kafka_delete_share_group_offsets_request asked;
    struct share_forget call;
    struct kafka_request *request;
    int32_t *places; /* of each asked topic among the call's; -1: there is none */
};

static void delete_answer_topic(struct slice name, const struct share_forget_topic *forgotten,
                                struct kafka_delete_share_group_offsets_response_topic *out)
{
    kafka_delete_share_group_offsets_response_topic_init(out);
    out->topic_name = name;
    if (forgotten && forgotten->was_there) {
        out->topic_id = forgotten->id;
        return;
    }
    out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    out->error_message = forgotten ? NO_OFFSET_WORDS : NO_TOPIC_WORDS;
}

static void delete_done(struct broker_call *call)
{
    struct offsets_delete_state *state = CONTAINER_OF(call, struct offsets_delete_state, call.call);
    struct kafka_request *request = state->request;
    struct kafka_delete_share_group_offsets_response response;
    kafka_delete_share_group_offsets_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    if (call->err)
        response.error_message = words_of(call);
    size_t count = call->err ? 0 : state->asked.topics_count;
    response.responses = kafka_request_alloc(request, count, sizeof(*response.responses));
    if (!response.responses)
        return;
    for (size_t i = 0; i < count; i++)
        delete_answer_topic(state->asked.topics[i].topic_name,
                            state->places[i] >= 0 ? &state->call.topics[state->places[i]] : NULL,
                            &response.responses[i]);
    response.responses_count = count;
    kafka_request_answer(request, delete_share_group_offsets, &response);
}

void kafka_share_offsets_delete_handle(struct kafka_request *request)
{
    struct offsets_delete_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, delete_share_group_offsets, &state->asked))
        return;
    size_t count = state->asked.topics_count;
    state->request = request;
    state->call.group_id = state->asked.group_id;
    state->call.call.done = delete_done;
    state->places = kafka_request_alloc(request, count, sizeof(*state->places));
    if (!state->places)
        return;
    state->call.topics = kafka_request_alloc(request, count, sizeof(*state->call.topics));
    if (!state->call.topics)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct broker_topic *topic =
            broker_topic_find(request->core, state->asked.topics[i].topic_name);
        state->places[i] = topic ? (int32_t)state->call.topic_count : -1;
        if (topic)
            state->call.topics[state->call.topic_count++] =
                (struct share_forget_topic){.id = topic->id};
    }
    broker_share_forget(request->core, &state->call);
}

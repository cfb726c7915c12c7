// ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups of the newer protocol. KIP-848.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_consumer_group_describe.h"
#include "wire/kafka_consumer_group_heartbeat.h"

/* What one group's description may take of memory. */
#define DESCRIBE_ARENA_SIZE_MAX ((size_t)256 << 20)
#define MEMBER_TYPE_CLASSIC     0
#define MEMBER_TYPE_CONSUMER    1

/* --- ConsumerGroupHeartbeat --- */

struct beat_state {
    struct group_beat beat;
    struct kafka_request *request;
};

static size_t topic_end(const struct group_part *parts, size_t count, size_t first)
{
    size_t next = first + 1;
    while (next < count && uuid_equal(&parts[next].topic, &parts[first].topic))
        next++;
    return next;
}

static size_t topic_count(const struct group_part *parts, size_t count)
{
    size_t topics = 0;
    for (size_t i = 0; i < count; i = topic_end(parts, count, i))
        topics++;
    return topics;
}

static bool beat_assignment(struct kafka_request *request, const struct group_beat *beat,
                            struct kafka_consumer_group_heartbeat_response *response)
{
    const struct group_part *parts = beat->assignment;
    size_t count = beat->assignment_count;
    struct kafka_consumer_group_heartbeat_response_assignment *out =
        kafka_request_alloc(request, 1, sizeof(*out));
    int32_t *indexes = out ? kafka_request_alloc(request, count, sizeof(*indexes)) : NULL;
    if (!indexes)
        return false;
    out->topic_partitions =
        kafka_request_alloc(request, topic_count(parts, count), sizeof(*out->topic_partitions));
    if (!out->topic_partitions)
        return false;
    for (size_t i = 0; i < count;) {
        size_t end = topic_end(parts, count, i);
        struct kafka_consumer_group_heartbeat_response_topic *topic =
            &out->topic_partitions[out->topic_partitions_count++];
        topic->topic_id = parts[i].topic;
        topic->partitions = indexes + i;
        topic->partitions_count = end - i;
        for (; i < end; i++)
            indexes[i] = parts[i].index;
    }
    response->assignment = out;
    return true;
}

static void beat_done(struct broker_call *call)
{
    struct beat_state *state = CONTAINER_OF(call, struct beat_state, beat.call);
    const struct group_beat *beat = &state->beat;
    void *result = beat->private; /* the answer ends the request, and beat */
    struct kafka_consumer_group_heartbeat_response response;
    kafka_consumer_group_heartbeat_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    if (call->err) {
        response.error_message =
            slice_text(call->diag.text[0] ? call->diag.text : err_text(call->err));
        kafka_request_answer(state->request, consumer_group_heartbeat, &response);
    } else {
        response.member_id = beat->member_id_out;
        response.member_epoch = beat->member_epoch_out;
        response.heartbeat_interval_ms = beat->heartbeat_ms;
        if (!beat->has_assignment || beat_assignment(state->request, beat, &response))
            kafka_request_answer(state->request, consumer_group_heartbeat, &response);
    }
    broker_group_result_release(result);
}

static bool beat_held(struct kafka_request *request, struct group_beat *beat,
                      const struct kafka_consumer_group_heartbeat_request *asked)
{
    struct group_held *held =
        kafka_request_alloc(request, asked->topic_partitions_count, sizeof(*held));
    if (!held)
        return false;
    for (size_t i = 0; i < asked->topic_partitions_count; i++)
        held[i] =
            (struct group_held){.topic = asked->topic_partitions[i].topic_id,
                                .partitions = asked->topic_partitions[i].partitions,
                                .partition_count = asked->topic_partitions[i].partitions_count};
    beat->has_held = asked->topic_partitions != NULL;
    beat->held = held;
    beat->held_count = asked->topic_partitions_count;
    return true;
}

void kafka_group_next_beat_handle(struct kafka_request *request)
{
    struct kafka_consumer_group_heartbeat_request asked;
    struct beat_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, consumer_group_heartbeat, &asked))
        return;
    state->request = request;
    state->beat =
        (struct group_beat){.call.done = beat_done,
                            .group_id = asked.group_id,
                            .member_id = asked.member_id,
                            .instance_id = asked.instance_id,
                            .rack_id = asked.rack_id,
                            .regex = asked.subscribed_topic_regex,
                            .assignor = asked.server_assignor,
                            .client_id = kafka_group_text(request->frame.header.client_id),
                            .client_host = kafka_group_client_host(request),
                            .member_epoch = asked.member_epoch,
                            .rebalance_timeout_ms = asked.rebalance_timeout_ms,
                            .member_id_required = request->version >= 1,
                            .has_topics = asked.subscribed_topic_names != NULL,
                            .topics = asked.subscribed_topic_names,
                            .topic_count = asked.subscribed_topic_names_count};
    if (beat_held(request, &state->beat, &asked))
        broker_group_beat(request->core, &state->beat);
}

/* --- ConsumerGroupDescribe --- */

struct describe_part {
    struct group_beat_describe describe;
    struct kafka_request *request;
    struct kafka_consumer_group_describe_response_group *out;
};

struct describe_state {
    struct kafka_consumer_group_describe_request asked;
    struct kafka_consumer_group_describe_response response;
    struct describe_part *parts;
    size_t part_count;
    size_t next; /* to be asked for */
    size_t pending;
};

static void describe_release(struct kafka_request *request)
{
    struct describe_state *state = request->state;
    for (size_t i = 0; i < state->part_count; i++)
        arena_deinit(&state->parts[i].describe.arena);
}

/* Topics that are gone have no name, and are left out. */
static enum err describe_parts(struct describe_part *part, const struct group_part *parts,
                               size_t count,
                               struct kafka_consumer_group_describe_response_assignment *out)
{
    struct arena *arena = &part->describe.arena;
    int32_t *indexes = arena_alloc_array(arena, count, sizeof(*indexes));
    out->topic_partitions =
        arena_alloc_array(arena, topic_count(parts, count), sizeof(*out->topic_partitions));
    if (!indexes || !out->topic_partitions)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count;) {
        size_t end = topic_end(parts, count, i);
        const struct broker_topic *topic =
            broker_topic_find_id(part->request->core, &parts[i].topic);
        struct kafka_consumer_group_describe_response_topic *to =
            &out->topic_partitions[out->topic_partitions_count];
        to->topic_id = parts[i].topic;
        to->partitions = indexes + i;
        to->partitions_count = end - i;
        for (; i < end; i++)
            indexes[i] = parts[i].index;
        if (!topic)
            continue;
        to->topic_name = arena_copy(arena, topic->name);
        if (!to->topic_name.data)
            return ERR_NO_MEMORY;
        out->topic_partitions_count++;
    }
    return ERR_OK;
}

static enum err describe_members(struct describe_part *part)
{
    struct group_beat_describe *from = &part->describe;
    struct kafka_consumer_group_describe_response_group *out = part->out;
    enum err err = ERR_OK;
    out->members = arena_alloc_array(&from->arena, from->member_count, sizeof(*out->members));
    if (!out->members)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->member_count && !err; i++) {
        const struct group_beat_member *member = &from->members[i];
        struct kafka_consumer_group_describe_response_member *to = &out->members[i];
        kafka_consumer_group_describe_response_member_init(to);
        to->member_id = member->member_id;
        to->instance_id = member->instance_id;
        to->rack_id = member->rack_id;
        to->member_epoch = member->epoch;
        to->client_id = kafka_group_text(member->client_id);
        to->client_host = kafka_group_text(member->client_host);
        to->subscribed_topic_names = (struct slice *)(uintptr_t)member->topics;
        to->subscribed_topic_names_count = member->topic_count;
        to->subscribed_topic_regex = member->regex;
        to->member_type = member->is_classic ? MEMBER_TYPE_CLASSIC : MEMBER_TYPE_CONSUMER;
        err = describe_parts(part, member->assignment, member->assignment_count, &to->assignment);
        if (!err)
            err =
                describe_parts(part, member->target, member->target_count, &to->target_assignment);
        out->members_count++;
    }
    return err;
}

static void describe_fail(struct describe_part *part, enum err err)
{
    struct kafka_consumer_group_describe_response_group *out = part->out;
    const char *what = err == ERR_PROTOCOL ? "is not a consumer group." : "not found.";
    bool is_unknown = err == ERR_PROTOCOL || err == ERR_NOT_FOUND;
    out->error_code = is_unknown ? KAFKA_GROUP_ID_NOT_FOUND : kafka_group_error(err);
    out->members_count = 0;
    if (!is_unknown)
        return;
    diag_set(&part->describe.call.diag, "Group %.*s %s", (int)MIN(out->group_id.size, (size_t)200),
             (const char *)out->group_id.data, what);
    out->error_message = slice_text(part->describe.call.diag.text);
}

/* Nobody knows before how much there is to tell: it is charged when it is there, and the answer
 * that it is encoded to with it. */
static enum err describe_charge(struct describe_part *part)
{
    if (kafka_request_charge(part->request, 2 * part->describe.arena.size_total))
        return ERR_OK;
    arena_deinit(&part->describe.arena);
    part->out->members_count = 0;
    return ERR_NO_MEMORY;
}

static void describe_next(struct kafka_request *request)
{
    struct describe_state *state = request->state;
    if (state->next < state->part_count)
        broker_group_beat_describe(request->core, &state->parts[state->next++].describe);
}

static void describe_done(struct broker_call *call)
{
    struct describe_part *part = CONTAINER_OF(call, struct describe_part, describe.call);
    struct describe_state *state = part->request->state;
    struct kafka_consumer_group_describe_response_group *out = part->out;
    enum err err = call->err ? call->err : describe_members(part);
    if (!err)
        err = describe_charge(part);
    if (err) {
        describe_fail(part, err);
    } else {
        out->group_state = slice_text(part->describe.state);
        out->group_epoch = part->describe.epoch;
        out->assignment_epoch = part->describe.assignment_epoch;
        out->assignor_name = slice_text(part->describe.assignor);
        if (state->asked.include_authorized_operations)
            out->authorized_operations = KAFKA_OPERATIONS_GROUP;
    }
    describe_next(part->request);
    if (--state->pending == 0)
        kafka_request_answer(part->request, consumer_group_describe, &state->response);
}

void kafka_group_next_describe_handle(struct kafka_request *request)
{
    struct describe_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, consumer_group_describe, &state->asked))
        return;
    struct kafka_consumer_group_describe_response *response = &state->response;
    kafka_consumer_group_describe_response_init(response);
    size_t count = state->asked.group_ids_count;
    state->parts = kafka_request_alloc(request, count, sizeof(*state->parts));
    if (!state->parts)
        return;
    response->groups = kafka_request_alloc(request, count, sizeof(*response->groups));
    if (!response->groups)
        return;
    response->groups_count = state->part_count = state->pending = count;
    request->state = state;
    request->release = describe_release;
    for (size_t i = 0; i < count; i++) {
        struct describe_part *part = &state->parts[i];
        part->request = request;
        part->out = &response->groups[i];
        kafka_consumer_group_describe_response_group_init(part->out);
        part->out->group_id = state->asked.group_ids[i];
        part->out->group_state = slice_text("");
        part->out->assignor_name = slice_text("");
        part->describe.call.done = describe_done;
        part->describe.group_id = state->asked.group_ids[i];
        arena_init(&part->describe.arena, DESCRIBE_ARENA_SIZE_MAX);
    }
    if (count == 0) {
        kafka_request_answer(request, consumer_group_describe, response);
        return;
    }
    for (size_t i = 0; i < KAFKA_DESCRIBE_AT_ONCE; i++)
        describe_next(request);
}

// ShareGroupHeartbeat and ShareGroupDescribe. KIP-932.
// SPDX-License-Identifier: Apache-2.0
#include "broker/share.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_share_group_describe.h"
#include "wire/kafka_share_group_heartbeat.h"

#define SHARE_GROUP_ARENA_SIZE_MAX ((size_t)256 << 20)

static size_t topic_end(const struct group_parts *parts, size_t first)
{
    size_t next = first + 1;
    while (next < parts->count && uuid_equal(&parts->items[next].topic, &parts->items[first].topic))
        next++;
    return next;
}

/* --- ShareGroupHeartbeat --- */

struct share_beat_state {
    struct share_beat beat;
    struct kafka_request *request;
};

static void beat_release(struct kafka_request *request)
{
    struct share_beat_state *state = request->state;
    arena_deinit(&state->beat.arena);
}

/* False: rejected. */
static bool beat_assignment(struct kafka_request *request, const struct group_parts *parts,
                            struct kafka_share_group_heartbeat_response *response)
{
    struct kafka_share_group_heartbeat_response_assignment *out =
        kafka_request_alloc(request, 1, sizeof(*out));
    int32_t *indexes = out ? kafka_request_alloc(request, parts->count, sizeof(*indexes)) : NULL;
    if (!indexes)
        return false;
    out->topic_partitions =
        kafka_request_alloc(request, parts->count, sizeof(*out->topic_partitions));
    if (!out->topic_partitions)
        return false;
    for (size_t i = 0; i < parts->count;) {
        size_t end = topic_end(parts, i);
        struct kafka_share_group_heartbeat_response_topic *topic =
            &out->topic_partitions[out->topic_partitions_count++];
        topic->topic_id = parts->items[i].topic;
        topic->partitions = indexes + i;
        topic->partitions_count = end - i;
        for (; i < end; i++)
            indexes[i] = parts->items[i].index;
    }
    response->assignment = out;
    return true;
}

static void beat_done(struct broker_call *call)
{
    struct share_beat_state *state = CONTAINER_OF(call, struct share_beat_state, beat.call);
    const struct share_beat *beat = &state->beat;
    struct kafka_share_group_heartbeat_response response;
    kafka_share_group_heartbeat_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    if (call->err) {
        response.error_message =
            slice_text(call->diag.text[0] ? call->diag.text : err_text(call->err));
    } else {
        response.member_id = beat->member_id;
        response.member_epoch = beat->member_epoch_out;
        response.heartbeat_interval_ms = beat->heartbeat_ms;
        if (beat->has_assignment && !beat_assignment(state->request, &beat->assignment, &response))
            return;
    }
    kafka_request_answer(state->request, share_group_heartbeat, &response);
}

void kafka_share_group_beat_handle(struct kafka_request *request)
{
    struct kafka_share_group_heartbeat_request asked;
    struct share_beat_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, share_group_heartbeat, &asked))
        return;
    state->request = request;
    state->beat =
        (struct share_beat){.call.done = beat_done,
                            .group_id = asked.group_id,
                            .member_id = asked.member_id,
                            .rack_id = asked.rack_id,
                            .client_id = kafka_group_text(request->frame.header.client_id),
                            .client_host = kafka_group_client_host(request),
                            .member_epoch = asked.member_epoch,
                            .has_topics = asked.subscribed_topic_names != NULL,
                            .topics = asked.subscribed_topic_names,
                            .topic_count = asked.subscribed_topic_names_count};
    arena_init(&state->beat.arena, SHARE_GROUP_ARENA_SIZE_MAX);
    request->state = state;
    request->release = beat_release;
    broker_share_beat(request->core, &state->beat);
}

/* --- ShareGroupDescribe --- */

struct share_describe_part {
    struct share_describe describe;
    struct kafka_request *request;
    struct kafka_share_group_describe_response_group *out;
};

struct share_describe_state {
    struct kafka_share_group_describe_request asked;
    struct kafka_share_group_describe_response response;
    struct share_describe_part *parts;
    size_t part_count;
    size_t next; /* to be asked for */
    size_t pending;
};

static void describe_release(struct kafka_request *request)
{
    struct share_describe_state *state = request->state;
    for (size_t i = 0; i < state->part_count; i++)
        arena_deinit(&state->parts[i].describe.arena);
}

/* Topics that are gone have no name, and are left out. */
static enum err describe_assignment(struct share_describe_part *part,
                                    const struct group_parts *parts,
                                    struct kafka_share_group_describe_response_assignment *out)
{
    struct arena *arena = &part->describe.arena;
    int32_t *indexes = arena_alloc_array(arena, parts->count, sizeof(*indexes));
    out->topic_partitions = arena_alloc_array(arena, parts->count, sizeof(*out->topic_partitions));
    if (!indexes || !out->topic_partitions)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < parts->count;) {
        size_t end = topic_end(parts, i);
        const struct broker_topic *topic =
            broker_topic_find_id(part->request->core, &parts->items[i].topic);
        struct kafka_share_group_describe_response_topic *to =
            &out->topic_partitions[out->topic_partitions_count];
        to->topic_id = parts->items[i].topic;
        to->partitions = indexes + i;
        to->partitions_count = end - i;
        for (; i < end; i++)
            indexes[i] = parts->items[i].index;
        if (!topic)
            continue;
        to->topic_name = arena_copy(arena, topic->name);
        if (!to->topic_name.data)
            return ERR_NO_MEMORY;
        out->topic_partitions_count++;
    }
    return ERR_OK;
}

static enum err describe_members(struct share_describe_part *part)
{
    struct share_describe *from = &part->describe;
    struct kafka_share_group_describe_response_group *out = part->out;
    enum err err = ERR_OK;
    out->members = arena_alloc_array(&from->arena, from->member_count, sizeof(*out->members));
    if (!out->members)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->member_count && !err; i++) {
        const struct share_member_view *member = &from->members[i];
        struct kafka_share_group_describe_response_member *to = &out->members[out->members_count++];
        kafka_share_group_describe_response_member_init(to);
        to->member_id = member->member_id;
        to->rack_id = member->rack_id;
        to->member_epoch = member->epoch;
        to->client_id = kafka_group_text(member->client_id);
        to->client_host = kafka_group_text(member->client_host);
        to->subscribed_topic_names = member->topics;
        to->subscribed_topic_names_count = member->topic_count;
        err = describe_assignment(part, &member->assignment, &to->assignment);
    }
    return err;
}

/* Nobody knows before how much there is to tell: it is charged when it is there, and the answer
 * that it is encoded to with it. */
static enum err describe_charge(struct share_describe_part *part)
{
    if (kafka_request_charge(part->request, 2 * part->describe.arena.size_total))
        return ERR_OK;
    arena_deinit(&part->describe.arena);
    return ERR_NO_MEMORY;
}

static void describe_next(struct kafka_request *request)
{
    struct share_describe_state *state = request->state;
    if (state->next < state->part_count)
        broker_share_describe(request->core, &state->parts[state->next++].describe);
}

static void describe_done(struct broker_call *call)
{
    struct share_describe_part *part =
        CONTAINER_OF(call, struct share_describe_part, describe.call);
    struct share_describe_state *state = part->request->state;
    struct kafka_share_group_describe_response_group *out = part->out;
    enum err err = call->err ? call->err : describe_members(part);
    if (!err)
        err = describe_charge(part);
    out->error_code = kafka_group_error(err);
    if (err) {
        out->members_count = 0;
        out->error_message = slice_text(call->diag.text[0] ? call->diag.text : err_text(err));
    } else {
        out->group_state = slice_text(part->describe.state);
        out->group_epoch = part->describe.epoch;
        out->assignment_epoch = part->describe.assignment_epoch;
        out->assignor_name = slice_text("simple");
        if (state->asked.include_authorized_operations)
            out->authorized_operations = KAFKA_OPERATIONS_GROUP;
    }
    describe_next(part->request);
    if (--state->pending == 0)
        kafka_request_answer(part->request, share_group_describe, &state->response);
}

void kafka_share_group_describe_handle(struct kafka_request *request)
{
    struct share_describe_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, share_group_describe, &state->asked))
        return;
    struct kafka_share_group_describe_response *response = &state->response;
    kafka_share_group_describe_response_init(response);
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
        struct share_describe_part *part = &state->parts[i];
        part->request = request;
        part->out = &response->groups[i];
        kafka_share_group_describe_response_group_init(part->out);
        part->out->group_id = state->asked.group_ids[i];
        part->out->group_state = slice_text("");
        part->out->assignor_name = slice_text("");
        part->describe.call.done = describe_done;
        part->describe.group_id = state->asked.group_ids[i];
        arena_init(&part->describe.arena, SHARE_GROUP_ARENA_SIZE_MAX);
    }
    if (count == 0)
        kafka_request_answer(request, share_group_describe, response);
    for (size_t i = 0; i < KAFKA_DESCRIBE_AT_ONCE && i < count; i++)
        describe_next(request);
}

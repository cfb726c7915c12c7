// OffsetFetch: committed offsets of one group or, from version 8 on, of several. KIP-709.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_offset_fetch.h"

/* What one group's offsets may take of memory while they are answered. */
#define FETCH_ARENA_SIZE_MAX ((size_t)256 << 20)

struct fetch_part {
    struct group_fetch fetch;
    struct kafka_request *request;
    const struct kafka_offset_fetch_request_group *asked;
    struct kafka_offset_fetch_response_group *out;
};

struct fetch_state {
    struct kafka_offset_fetch_request asked;
    struct kafka_offset_fetch_response response;
    struct fetch_part *parts;
    size_t part_count;
    size_t next; /* to be asked for */
    size_t pending;
};

static void fetch_release(struct kafka_request *request)
{
    struct fetch_state *state = request->state;
    for (size_t i = 0; i < state->part_count; i++)
        arena_deinit(&state->parts[i].fetch.arena);
}

/* Versions up to 7: the one group's answer stands at the top. */
static bool fetch_flatten(struct kafka_request *request)
{
    struct fetch_state *state = request->state;
    struct kafka_offset_fetch_response *response = &state->response;
    const struct kafka_offset_fetch_response_group *group = &response->groups[0];
    response->error_code = group->error_code;
    response->topics = kafka_request_alloc(request, group->topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = group->topics_count;
    for (size_t i = 0; i < group->topics_count; i++) {
        const struct kafka_offset_fetch_response_group_topic *in = &group->topics[i];
        struct kafka_offset_fetch_response_topic *out = &response->topics[i];
        out->name = in->name;
        out->partitions =
            kafka_request_alloc(request, in->partitions_count, sizeof(*out->partitions));
        if (!out->partitions)
            return false;
        out->partitions_count = in->partitions_count;
        for (size_t j = 0; j < in->partitions_count; j++) {
            const struct kafka_offset_fetch_response_group_partition *from = &in->partitions[j];
            out->partitions[j] = (struct kafka_offset_fetch_response_partition){
                .partition_index = from->partition_index,
                .committed_offset = from->committed_offset,
                .committed_leader_epoch = from->committed_leader_epoch,
                .metadata = from->metadata,
                .error_code = from->error_code};
        }
    }
    return true;
}

static void fetch_answer(struct kafka_request *request)
{
    struct fetch_state *state = request->state;
    if (request->version < 8 && !fetch_flatten(request))
        return;
    kafka_request_answer(request, offset_fetch, &state->response);
}

static void partition_fill(struct kafka_offset_fetch_response_group_partition *out,
                           const struct group_offset *offset)
{
    *out = (struct kafka_offset_fetch_response_group_partition){
        .partition_index = offset->partition,
        .committed_offset = offset->offset,
        .committed_leader_epoch = offset->leader_epoch,
        .metadata = kafka_group_text(offset->metadata),
        .error_code = kafka_group_error(offset->err)};
}

/* --- some partitions --- */

/* In the order in which they were asked for. */
static void asked_fill(struct fetch_part *part, int16_t code)
{
    size_t at = 0;
    for (size_t i = 0; i < part->out->topics_count; i++) {
        struct kafka_offset_fetch_response_group_topic *topic = &part->out->topics[i];
        for (size_t j = 0; j < topic->partitions_count; j++) {
            struct kafka_offset_fetch_response_group_partition *out = &topic->partitions[j];
            if (out->error_code)
                continue; /* its topic is not known */
            const struct group_offset *offset = &part->fetch.offsets[at++];
            if (code == KAFKA_NONE)
                partition_fill(out, offset);
            else
                out->error_code = code;
        }
    }
}

static bool asked_topic(struct fetch_part *part,
                        const struct kafka_offset_fetch_request_group_topic *in,
                        struct kafka_offset_fetch_response_group_topic *out)
{
    struct kafka_request *request = part->request;
    struct slice name = in->name;
    bool known = true;
    if (request->version >= 10) {
        const struct broker_topic *topic = broker_topic_find_id(request->core, &in->topic_id);
        known = topic != NULL;
        name = topic ? arena_copy(&request->arena, topic->name) : slice_text("");
    }
    out->name = in->name;
    out->topic_id = in->topic_id;
    out->partitions =
        kafka_request_alloc(request, in->partition_indexes_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = in->partition_indexes_count;
    for (size_t i = 0; i < in->partition_indexes_count; i++) {
        kafka_offset_fetch_response_group_partition_init(&out->partitions[i]);
        out->partitions[i].partition_index = in->partition_indexes[i];
        out->partitions[i].committed_offset = -1;
        out->partitions[i].metadata = slice_text("");
        out->partitions[i].error_code = known ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_ID;
        if (known)
            part->fetch.offsets[part->fetch.offset_count++] =
                (struct group_offset){.topic = name, .partition = in->partition_indexes[i]};
    }
    return true;
}

static bool asked_prepare(struct fetch_part *part)
{
    struct kafka_request *request = part->request;
    const struct kafka_offset_fetch_request_group *asked = part->asked;
    size_t count = 0;
    for (size_t i = 0; i < asked->topics_count; i++)
        count += asked->topics[i].partition_indexes_count;
    part->fetch.offsets = kafka_request_alloc(request, count, sizeof(*part->fetch.offsets));
    if (!part->fetch.offsets)
        return false;
    part->out->topics =
        kafka_request_alloc(request, asked->topics_count, sizeof(*part->out->topics));
    if (!part->out->topics)
        return false;
    part->out->topics_count = asked->topics_count;
    for (size_t i = 0; i < asked->topics_count; i++)
        if (!asked_topic(part, &asked->topics[i], &part->out->topics[i]))
            return false;
    return true;
}

/* --- all partitions --- */

static int offset_compare(const void *a, const void *b)
{
    const struct group_offset *left = a;
    const struct group_offset *right = b;
    int order = slice_compare(left->topic, right->topic);
    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

static size_t topic_run(const struct group_fetch *fetch, size_t first)
{
    size_t next = first + 1;
    while (next < fetch->offset_count &&
           slice_equal(fetch->offsets[next].topic, fetch->offsets[first].topic))
        next++;
    return next;
}

/* False: out of memory. */
static bool all_topic(struct fetch_part *part, size_t first, size_t next)
{
    const struct group_offset *offsets = part->fetch.offsets;
    struct kafka_offset_fetch_response_group_topic *out =
        &part->out->topics[part->out->topics_count];
    if (part->request->version >= 10) {
        const struct broker_topic *topic =
            broker_topic_find(part->request->core, offsets[first].topic);
        if (!topic)
            return true; /* it is gone, and has no id to name it by */
        out->topic_id = topic->id;
    }
    out->name = offsets[first].topic;
    out->partitions = arena_alloc_array(&part->fetch.arena, next - first, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = next - first;
    for (size_t i = first; i < next; i++)
        partition_fill(&out->partitions[i - first], &offsets[i]);
    part->out->topics_count++;
    return true;
}

static bool all_fill(struct fetch_part *part)
{
    struct group_fetch *fetch = &part->fetch;
    if (fetch->offset_count == 0)
        return true;
    qsort(fetch->offsets, fetch->offset_count, sizeof(*fetch->offsets), offset_compare);
    size_t topics = 0;
    for (size_t i = 0; i < fetch->offset_count; i = topic_run(fetch, i))
        topics++;
    part->out->topics = arena_alloc_array(&fetch->arena, topics, sizeof(*part->out->topics));
    if (!part->out->topics)
        return false;
    for (size_t i = 0; i < fetch->offset_count;) {
        size_t next = topic_run(fetch, i);
        if (!all_topic(part, i, next))
            return false;
        i = next;
    }
    return true;
}

/* --- both --- */

static void fetch_next(struct kafka_request *request)
{
    struct fetch_state *state = request->state;
    if (state->next < state->part_count)
        broker_group_fetch(request->core, &state->parts[state->next++].fetch);
}

static void fetch_done(struct broker_call *call)
{
    struct fetch_part *part = CONTAINER_OF(call, struct fetch_part, fetch.call);
    struct fetch_state *state = part->request->state;
    int16_t code = kafka_group_error(call->err);
    if (part->fetch.all && !call->err && !all_fill(part))
        code = kafka_group_error(ERR_NO_MEMORY);
    /* Nobody knows before how much there is: it is charged when it is there, and the answer that it
     * is encoded to with it. */
    if (!code && !kafka_request_charge(part->request, 2 * part->fetch.arena.size_total)) {
        arena_deinit(&part->fetch.arena);
        code = kafka_group_error(ERR_NO_MEMORY);
    }
    if (!part->fetch.all)
        asked_fill(part, part->request->version < 2 ? code : KAFKA_NONE);
    if (code && part->request->version >= 2) {
        part->out->error_code = code;
        part->out->topics_count = 0;
    }
    fetch_next(part->request);
    if (--state->pending == 0)
        fetch_answer(part->request);
}

static bool fetch_part_prepare(struct kafka_request *request, size_t index)
{
    struct fetch_state *state = request->state;
    struct fetch_part *part = &state->parts[index];
    const struct kafka_offset_fetch_request_group *asked = &state->asked.groups[index];
    part->request = request;
    part->asked = asked;
    part->out = &state->response.groups[index];
    part->out->group_id = asked->group_id;
    part->fetch = (struct group_fetch){.call.done = fetch_done,
                                       .group_id = asked->group_id,
                                       .member_id = asked->member_id,
                                       .member_epoch = asked->member_epoch,
                                       .require_stable = state->asked.require_stable,
                                       .all = asked->topics == NULL};
    arena_init(&part->fetch.arena, FETCH_ARENA_SIZE_MAX);
    state->part_count = index + 1;
    return part->fetch.all || asked_prepare(part);
}

/* Versions up to 7 ask for one group. */
static bool fetch_lift(struct kafka_request *request, struct kafka_offset_fetch_request *asked)
{
    asked->groups = kafka_request_alloc(request, 1, sizeof(*asked->groups));
    if (!asked->groups)
        return false;
    asked->groups_count = 1;
    kafka_offset_fetch_request_group_init(&asked->groups[0]);
    asked->groups[0].group_id = asked->group_id;
    if (!asked->topics)
        return true;
    asked->groups[0].topics =
        kafka_request_alloc(request, asked->topics_count, sizeof(*asked->groups[0].topics));
    if (!asked->groups[0].topics)
        return false;
    asked->groups[0].topics_count = asked->topics_count;
    for (size_t i = 0; i < asked->topics_count; i++) {
        struct kafka_offset_fetch_request_group_topic *to = &asked->groups[0].topics[i];
        to->name = asked->topics[i].name;
        to->partition_indexes = asked->topics[i].partition_indexes;
        to->partition_indexes_count = asked->topics[i].partition_indexes_count;
    }
    return true;
}

void kafka_group_fetch_handle(struct kafka_request *request)
{
    struct fetch_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, offset_fetch, &state->asked))
        return;
    if (request->version < 8 && !fetch_lift(request, &state->asked))
        return;
    kafka_offset_fetch_response_init(&state->response);
    size_t count = state->asked.groups_count;
    state->parts = kafka_request_alloc(request, count, sizeof(*state->parts));
    if (!state->parts)
        return;
    state->response.groups = kafka_request_alloc(request, count, sizeof(*state->response.groups));
    if (!state->response.groups)
        return;
    state->response.groups_count = count;
    request->state = state;
    request->release = fetch_release;
    for (size_t i = 0; i < count; i++)
        if (!fetch_part_prepare(request, i))
            return;
    state->pending = count;
    if (count == 0) {
        fetch_answer(request);
        return;
    }
    for (size_t i = 0; i < KAFKA_DESCRIBE_AT_ONCE; i++)
        fetch_next(request);
}

// ListOffsets: offsets by time or by their special names.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_list_offsets.h"

#include "base/map.h"
#include "kafka/error.h"
#include "kafka/handlers.h"

enum special_time {
    TIME_LATEST = -1,
    TIME_EARLIEST = -2,
    TIME_MAX = -3,
    TIME_EARLIEST_LOCAL = -4,
    TIME_LATEST_TIERED = -5,
    TIME_EARLIEST_PENDING = -6,
};

struct offsets_part {
    struct broker_offset_find find;
    struct kafka_request *request;
    struct kafka_list_offsets_response_partition *out;
};

struct offsets {
    struct kafka_list_offsets_request asked;
    struct kafka_list_offsets_response response;
    struct map seen; /* partitions of the topic at hand */
    size_t pending;
};

static bool time_is_known(int64_t time, int16_t version)
{
    switch (time) {
    case TIME_LATEST:
    case TIME_EARLIEST:
        return true;
    case TIME_MAX:
        return version >= 7;
    case TIME_EARLIEST_LOCAL:
        return version >= 8;
    case TIME_LATEST_TIERED:
        return version >= 9;
    case TIME_EARLIEST_PENDING:
        return version >= 11;
    default:
        return time >= 0;
    }
}

/* Nothing is tiered, nothing waits for it. */
static bool time_is_never_found(int64_t time)
{
    return time == TIME_LATEST_TIERED || time == TIME_EARLIEST_PENDING;
}

static enum broker_offset_kind kind_of(int64_t time)
{
    switch (time) {
    case TIME_LATEST:
    case TIME_LATEST_TIERED: /* for the check of the epoch alone */
    case TIME_EARLIEST_PENDING:
        return BROKER_OFFSET_LATEST;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        return BROKER_OFFSET_EARLIEST;
    case TIME_MAX:
        return BROKER_OFFSET_MAX_TIMESTAMP;
    default:
        return BROKER_OFFSET_TIMESTAMP;
    }
}

static void part_done(struct broker_call *call)
{
    struct offsets_part *part = CONTAINER_OF(call, struct offsets_part, find.call);
    struct offsets *state = part->request->state;
    if (call->err) {
        part->out->error_code = kafka_error_of_read(call->err);
    } else if (!time_is_never_found(part->find.timestamp_ms)) {
        part->out->offset = part->find.offset;
        part->out->timestamp = part->find.found_timestamp_ms;
        part->out->leader_epoch = part->find.leader_epoch;
    }
    if (--state->pending == 0)
        kafka_request_answer(part->request, list_offsets, &state->response);
}

/* Asked for more than once in one topic. Out of memory it is looked up twice, which harms nobody.
 */
static bool part_is_double(struct offsets *state, int32_t index)
{
    void *before = NULL;
    return map_put_u64(&state->seen, (uint32_t)index, state, &before) && before != NULL;
}

/* The code of what cannot be looked up, or 0 and *out_partition, NULL for nothing to look for. */
static int16_t part_judge(const struct kafka_request *request, const struct broker_topic *topic,
                          const struct kafka_list_offsets_request_partition *asked,
                          struct broker_partition **out_partition)
{
    *out_partition = NULL;
    if (!time_is_known(asked->timestamp, request->version))
        return KAFKA_UNSUPPORTED_VERSION;
    struct broker_partition *partition =
        topic ? broker_partition_at(topic, asked->partition_index) : NULL;
    if (!partition)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!time_is_never_found(asked->timestamp) || asked->current_leader_epoch >= 0)
        *out_partition = partition;
    return KAFKA_NONE;
}

static void part_start(struct kafka_request *request, struct broker_partition *partition,
                       const struct kafka_list_offsets_request_partition *asked,
                       struct offsets_part *part)
{
    struct offsets *state = request->state;
    part->request = request;
    part->find.call.done = part_done;
    part->find.kind = kind_of(asked->timestamp);
    part->find.timestamp_ms = asked->timestamp;
    part->find.epoch =
        asked->current_leader_epoch < 0 ? BROKER_EPOCH_ANY : asked->current_leader_epoch;
    part->find.committed = state->asked.isolation_level == 1;
    part->find.offset = -1;
    part->find.found_timestamp_ms = -1;
    part->find.leader_epoch = -1;
    state->pending++;
    broker_offset_find(request->core, partition, &part->find);
}

static void topic_start(struct kafka_request *request,
                        const struct kafka_list_offsets_request_topic *asked,
                        struct kafka_list_offsets_response_topic *out, struct offsets_part *parts)
{
    struct offsets *state = request->state;
    const struct broker_topic *topic = broker_topic_find(request->core, asked->name);
    for (size_t i = 0; i < asked->partitions_count; i++) {
        const struct kafka_list_offsets_request_partition *one = &asked->partitions[i];
        struct broker_partition *partition = NULL;
        parts[i].out = &out->partitions[i];
        kafka_list_offsets_response_partition_init(parts[i].out);
        parts[i].out->partition_index = one->partition_index;
        parts[i].out->error_code = part_is_double(state, one->partition_index)
                                       ? KAFKA_INVALID_REQUEST
                                       : part_judge(request, topic, one, &partition);
        if (partition)
            part_start(request, partition, one, &parts[i]);
    }
}

/* False: the request has been rejected. */
static bool offsets_shape(struct kafka_request *request, struct offsets_part **out_parts)
{
    size_t part_count = 0;
    struct offsets *state = request->state;
    struct kafka_list_offsets_response *response = &state->response;
    kafka_list_offsets_response_init(response);
    response->topics =
        kafka_request_alloc(request, state->asked.topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = state->asked.topics_count;
    for (size_t i = 0; i < response->topics_count; i++) {
        const struct kafka_list_offsets_request_topic *asked = &state->asked.topics[i];
        struct kafka_list_offsets_response_topic *out = &response->topics[i];
        kafka_list_offsets_response_topic_init(out);
        out->name = asked->name;
        out->partitions =
            kafka_request_alloc(request, asked->partitions_count, sizeof(*out->partitions));
        if (!out->partitions)
            return false;
        out->partitions_count = asked->partitions_count;
        part_count += asked->partitions_count;
    }
    *out_parts = kafka_request_alloc(request, part_count, sizeof(**out_parts));
    return *out_parts != NULL;
}

void kafka_offsets_handle(struct kafka_request *request)
{
    struct offsets *state = kafka_request_alloc(request, 1, sizeof(*state));
    struct offsets_part *parts;
    request->state = state;
    if (!state || !kafka_request_decode(request, list_offsets, &state->asked) ||
        !offsets_shape(request, &parts))
        return;
    for (size_t i = 0; i < state->asked.topics_count; i++) {
        map_init(&state->seen, core_random(request->core));
        topic_start(request, &state->asked.topics[i], &state->response.topics[i], parts);
        map_deinit(&state->seen);
        parts += state->asked.topics[i].partitions_count;
    }
    if (state->pending == 0)
        kafka_request_answer(request, list_offsets, &state->response);
}

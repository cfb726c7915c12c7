// DescribeProducers: the producers that a partition knows, and where their transactions began.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_describe_producers.h"

#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

struct producers_part {
    struct broker_producers describe;
    struct kafka_request *request;
    struct kafka_describe_producers_response_partition *out;
};

struct producers {
    struct kafka_describe_producers_request asked;
    struct kafka_describe_producers_response response;
    size_t pending;
};

/* False: out of memory. */
static bool part_fill(struct producers_part *part)
{
    struct broker_producers *found = &part->describe;
    struct kafka_describe_producers_response_producer *list =
        arena_alloc_array(&part->request->arena, found->count, sizeof(*list));
    if (!list)
        return found->count == 0;
    for (size_t i = 0; i < found->count; i++) {
        const struct store_producer *producer = &found->producers[i];
        kafka_describe_producers_response_producer_init(&list[i]);
        list[i].producer_id = producer->producer_id;
        list[i].producer_epoch = producer->epoch;
        list[i].last_sequence = producer->last_sequence;
        list[i].last_timestamp = producer->last_timestamp_ms;
        list[i].coordinator_epoch = producer->coordinator_epoch;
        list[i].current_txn_start_offset = producer->transaction_first;
    }
    part->out->active_producers = list;
    part->out->active_producers_count = found->count;
    return true;
}

static void part_done(struct broker_call *call)
{
    struct producers_part *part = CONTAINER_OF(call, struct producers_part, describe.call);
    struct producers *state = part->request->state;
    enum err err = call->err;
    if (!err && !part_fill(part))
        err = ERR_NO_MEMORY;
    part->out->error_code = kafka_error_of_read(err);
    broker_producers_release(&part->describe);
    if (--state->pending == 0)
        kafka_request_answer(part->request, describe_producers, &state->response);
}

static void part_start(struct kafka_request *request, struct slice name, int32_t index,
                       struct producers_part *part)
{
    const struct broker_topic *topic = broker_topic_find(request->core, name);
    struct producers *state = request->state;
    struct broker_partition *partition = topic ? broker_partition_at(topic, index) : NULL;
    kafka_describe_producers_response_partition_init(part->out);
    part->out->partition_index = index;
    if (!partition) {
        part->out->error_code = kafka_topic_name_fault(name) ? KAFKA_INVALID_TOPIC_EXCEPTION
                                                             : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    part->request = request;
    part->describe.call.done = part_done;
    state->pending++;
    broker_producers_describe(request->core, partition, &part->describe);
}

/* False: the request has been rejected. */
static bool producers_shape(struct kafka_request *request, struct producers_part **out_parts)
{
    struct producers *state = request->state;
    struct kafka_describe_producers_response *response = &state->response;
    size_t count = 0;
    kafka_describe_producers_response_init(response);
    response->topics =
        kafka_request_alloc(request, state->asked.topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = state->asked.topics_count;
    for (size_t i = 0; i < response->topics_count; i++) {
        struct kafka_describe_producers_response_topic *out = &response->topics[i];
        kafka_describe_producers_response_topic_init(out);
        out->name = state->asked.topics[i].name;
        out->partitions_count = state->asked.topics[i].partition_indexes_count;
        out->partitions =
            kafka_request_alloc(request, out->partitions_count, sizeof(*out->partitions));
        if (!out->partitions)
            return false;
        count += out->partitions_count;
    }
    *out_parts = kafka_request_alloc(request, count, sizeof(**out_parts));
    return *out_parts != NULL;
}

void kafka_producers_describe_handle(struct kafka_request *request)
{
    struct producers *state = kafka_request_alloc(request, 1, sizeof(*state));
    struct producers_part *part;
    request->state = state;
    if (!state || !kafka_request_decode(request, describe_producers, &state->asked) ||
        !producers_shape(request, &part))
        return;
    for (size_t i = 0; i < state->asked.topics_count; i++) {
        const struct kafka_describe_producers_request_topic *asked = &state->asked.topics[i];
        for (size_t j = 0; j < asked->partition_indexes_count; j++, part++) {
            part->out = &state->response.topics[i].partitions[j];
            part_start(request, asked->name, asked->partition_indexes[j], part);
        }
    }
    if (state->pending == 0)
        kafka_request_answer(request, describe_producers, &state->response);
}

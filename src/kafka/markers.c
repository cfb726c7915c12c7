// WriteTxnMarkers: ends transactions in partitions, for a coordinator or an administrator (KIP-98).
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_write_txn_markers.h"

#include "broker/transaction.h"
#include "kafka/error.h"
#include "kafka/handlers.h"

struct markers_part {
    struct broker_marker marker;
    struct transaction_settle settle;
    bool is_of_groups;
    struct kafka_request *request;
    struct kafka_write_txn_markers_response_partition *out;
};

struct markers {
    struct kafka_write_txn_markers_request asked;
    struct kafka_write_txn_markers_response response;
    size_t pending;
};

static void part_answer(struct markers_part *part, enum err err)
{
    struct markers *state = part->request->state;
    part->out->error_code = kafka_error_of_append(err);
    if (--state->pending == 0)
        kafka_request_answer(part->request, write_txn_markers, &state->response);
}

static void part_settled(struct broker_call *call)
{
    part_answer(CONTAINER_OF(call, struct markers_part, settle.call), call->err);
}

static void part_done(struct broker_call *call)
{
    struct markers_part *part = CONTAINER_OF(call, struct markers_part, marker.call);
    if (call->err || !part->is_of_groups) {
        part_answer(part, call->err);
        return;
    }
    part->settle = (struct transaction_settle){.call.done = part_settled,
                                               .partition = part->out->partition_index,
                                               .producer_id = part->marker.producer_id,
                                               .commit = part->marker.commit};
    broker_transaction_settle(part->request->core, &part->settle);
}

static void part_start(struct kafka_request *request, const struct broker_topic *topic,
                       const struct kafka_write_txn_markers_request_marker *asked,
                       struct markers_part *part)
{
    struct markers *state = request->state;
    if (!topic || !broker_partition_at(topic, part->out->partition_index)) {
        part->out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    if (asked->producer_id < 0 || asked->producer_epoch < 0) {
        part->out->error_code = KAFKA_INVALID_REQUEST;
        return;
    }
    part->request = request;
    part->is_of_groups = slice_equal_text(topic->name, "__consumer_offsets");
    part->marker.call.done = part_done;
    part->marker.producer_id = asked->producer_id;
    part->marker.epoch = asked->producer_epoch;
    part->marker.commit = asked->transaction_result;
    part->marker.coordinator_epoch = asked->coordinator_epoch;
    part->marker.transaction_version = asked->transaction_version;
    state->pending++;
    broker_marker_write(request->core, topic, part->out->partition_index, &part->marker);
}

/* The shape of one marker's answer; false: the request has been rejected. */
static bool marker_shape(struct kafka_request *request,
                         const struct kafka_write_txn_markers_request_marker *asked,
                         struct kafka_write_txn_markers_response_marker *out, size_t *count)
{
    kafka_write_txn_markers_response_marker_init(out);
    out->producer_id = asked->producer_id;
    out->topics_count = asked->topics_count;
    out->topics = kafka_request_alloc(request, out->topics_count, sizeof(*out->topics));
    if (!out->topics)
        return false;
    for (size_t i = 0; i < asked->topics_count; i++) {
        struct kafka_write_txn_markers_response_topic *topic = &out->topics[i];
        kafka_write_txn_markers_response_topic_init(topic);
        topic->name = asked->topics[i].name;
        topic->partitions_count = asked->topics[i].partition_indexes_count;
        topic->partitions =
            kafka_request_alloc(request, topic->partitions_count, sizeof(*topic->partitions));
        if (!topic->partitions)
            return false;
        for (size_t j = 0; j < topic->partitions_count; j++) {
            kafka_write_txn_markers_response_partition_init(&topic->partitions[j]);
            topic->partitions[j].partition_index = asked->topics[i].partition_indexes[j];
        }
        *count += topic->partitions_count;
    }
    return true;
}

static bool markers_shape(struct kafka_request *request, struct markers_part **out_parts)
{
    struct markers *state = request->state;
    struct kafka_write_txn_markers_response *response = &state->response;
    size_t count = 0;
    kafka_write_txn_markers_response_init(response);
    response->markers_count = state->asked.markers_count;
    response->markers =
        kafka_request_alloc(request, response->markers_count, sizeof(*response->markers));
    if (!response->markers)
        return false;
    for (size_t i = 0; i < response->markers_count; i++)
        if (!marker_shape(request, &state->asked.markers[i], &response->markers[i], &count))
            return false;
    *out_parts = kafka_request_alloc(request, count, sizeof(**out_parts));
    return *out_parts != NULL;
}

void kafka_markers_write_handle(struct kafka_request *request)
{
    struct markers *state = kafka_request_alloc(request, 1, sizeof(*state));
    struct markers_part *part;
    request->state = state;
    if (!state || !kafka_request_decode(request, write_txn_markers, &state->asked) ||
        !markers_shape(request, &part))
        return;
    for (size_t i = 0; i < state->response.markers_count; i++) {
        const struct kafka_write_txn_markers_response_marker *out = &state->response.markers[i];
        for (size_t j = 0; j < out->topics_count; j++) {
            const struct broker_topic *topic =
                broker_topic_find(request->core, out->topics[j].name);
            for (size_t k = 0; k < out->topics[j].partitions_count; k++, part++) {
                part->out = &out->topics[j].partitions[k];
                part_start(request, topic, &state->asked.markers[i], part);
            }
        }
    }
    if (state->pending == 0)
        kafka_request_answer(request, write_txn_markers, &state->response);
}

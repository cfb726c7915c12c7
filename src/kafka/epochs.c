// OffsetForLeaderEpoch: where a leader's time ended. KIP-101, KIP-279.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_offset_for_leader_epoch.h"

#include "kafka/error.h"
#include "kafka/handlers.h"

struct epochs_part {
    struct broker_epoch_end call;
    struct kafka_request *request;
    const struct broker_partition *partition;
    struct kafka_offset_for_leader_epoch_response_partition *out;
};

struct epochs {
    struct kafka_offset_for_leader_epoch_request asked;
    struct kafka_offset_for_leader_epoch_response response;
    size_t pending;
};

static void part_done(struct broker_call *call)
{
    struct epochs_part *part = CONTAINER_OF(call, struct epochs_part, call.call);
    struct epochs *state = part->request->state;
    if (call->err) {
        part->out->error_code = kafka_error_of_read(call->err);
    } else if (part->call.epoch <= broker_partition_epoch(part->partition)) {
        /* of an epoch that has not begun nothing is known */
        part->out->leader_epoch = part->call.out_epoch;
        part->out->end_offset = part->call.out_end;
    }
    if (--state->pending == 0)
        kafka_request_answer(part->request, offset_for_leader_epoch, &state->response);
}

static void part_start(struct kafka_request *request, const struct broker_topic *topic,
                       const struct kafka_offset_for_leader_epoch_request_partition *asked,
                       struct epochs_part *part)
{
    struct epochs *state = request->state;
    struct broker_partition *partition =
        topic ? broker_partition_at(topic, asked->partition) : NULL;
    kafka_offset_for_leader_epoch_response_partition_init(part->out);
    part->out->partition = asked->partition;
    if (!partition) {
        part->out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    part->request = request;
    part->partition = partition;
    part->call.call.done = part_done;
    part->call.current_epoch =
        asked->current_leader_epoch < 0 ? BROKER_EPOCH_ANY : asked->current_leader_epoch;
    part->call.epoch = asked->leader_epoch;
    state->pending++;
    broker_epoch_end(request->core, partition, &part->call);
}

/* False: the request has been rejected. */
static bool epochs_shape(struct kafka_request *request, struct epochs_part **out_parts)
{
    struct epochs *state = request->state;
    struct kafka_offset_for_leader_epoch_response *response = &state->response;
    size_t count = 0;
    kafka_offset_for_leader_epoch_response_init(response);
    response->topics =
        kafka_request_alloc(request, state->asked.topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = state->asked.topics_count;
    for (size_t i = 0; i < response->topics_count; i++) {
        struct kafka_offset_for_leader_epoch_response_topic *out = &response->topics[i];
        kafka_offset_for_leader_epoch_response_topic_init(out);
        out->topic = state->asked.topics[i].topic;
        out->partitions_count = state->asked.topics[i].partitions_count;
        out->partitions =
            kafka_request_alloc(request, out->partitions_count, sizeof(*out->partitions));
        if (!out->partitions)
            return false;
        count += out->partitions_count;
    }
    *out_parts = kafka_request_alloc(request, count, sizeof(**out_parts));
    return *out_parts != NULL;
}

void kafka_epochs_handle(struct kafka_request *request)
{
    struct epochs *state = kafka_request_alloc(request, 1, sizeof(*state));
    struct epochs_part *part;
    request->state = state;
    if (!state || !kafka_request_decode(request, offset_for_leader_epoch, &state->asked) ||
        !epochs_shape(request, &part))
        return;
    for (size_t i = 0; i < state->asked.topics_count; i++) {
        const struct kafka_offset_for_leader_epoch_request_topic *asked = &state->asked.topics[i];
        const struct broker_topic *topic = broker_topic_find(request->core, asked->topic);
        for (size_t j = 0; j < asked->partitions_count; j++, part++) {
            part->out = &state->response.topics[i].partitions[j];
            part_start(request, topic, &asked->partitions[j], part);
        }
    }
    if (state->pending == 0)
        kafka_request_answer(request, offset_for_leader_epoch, &state->response);
}

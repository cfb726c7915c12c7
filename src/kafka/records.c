// DeleteRecords: moves the start of logs. KIP-107.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_delete_records.h"

#include "broker/topic_config.h"
#include "kafka/error.h"
#include "kafka/handlers.h"

struct records_part {
    struct broker_trim trim;
    struct kafka_request *request;
    struct kafka_delete_records_response_partition *out;
};

struct records {
    struct kafka_delete_records_request asked;
    struct kafka_delete_records_response response;
    size_t pending;
};

static void part_done(struct broker_call *call)
{
    struct records_part *part = CONTAINER_OF(call, struct records_part, trim.call);
    struct records *state = part->request->state;
    part->out->error_code = kafka_error_of_read(call->err);
    part->out->low_watermark = call->err ? -1 : part->trim.log_start;
    if (--state->pending == 0)
        kafka_request_answer(part->request, delete_records, &state->response);
}

static int16_t part_judge(const struct broker_topic *topic,
                          const struct broker_partition *partition, int64_t offset)
{
    if (!partition)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic->internal)
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (!strstr(topic->config->cleanup_policy, "delete"))
        return KAFKA_POLICY_VIOLATION;
    return offset < -1 ? KAFKA_OFFSET_OUT_OF_RANGE : KAFKA_NONE;
}

static void part_start(struct kafka_request *request, const struct broker_topic *topic,
                       const struct kafka_delete_records_request_partition *asked,
                       struct records_part *part)
{
    struct records *state = request->state;
    struct broker_partition *partition =
        topic ? broker_partition_at(topic, asked->partition_index) : NULL;
    kafka_delete_records_response_partition_init(part->out);
    part->out->partition_index = asked->partition_index;
    part->out->low_watermark = -1;
    part->out->error_code = part_judge(topic, partition, asked->offset);
    if (part->out->error_code)
        return;
    part->request = request;
    part->trim.call.done = part_done;
    part->trim.offset = asked->offset;
    state->pending++;
    broker_trim(request->core, partition, &part->trim);
}

/* False: the request has been rejected. */
static bool records_shape(struct kafka_request *request, struct records_part **out_parts)
{
    struct records *state = request->state;
    struct kafka_delete_records_response *response = &state->response;
    size_t count = 0;
    kafka_delete_records_response_init(response);
    response->topics =
        kafka_request_alloc(request, state->asked.topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = state->asked.topics_count;
    for (size_t i = 0; i < response->topics_count; i++) {
        struct kafka_delete_records_response_topic *out = &response->topics[i];
        kafka_delete_records_response_topic_init(out);
        out->name = state->asked.topics[i].name;
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

void kafka_records_handle(struct kafka_request *request)
{
    struct records *state = kafka_request_alloc(request, 1, sizeof(*state));
    struct records_part *part;
    request->state = state;
    if (!state || !kafka_request_decode(request, delete_records, &state->asked) ||
        !records_shape(request, &part))
        return;
    for (size_t i = 0; i < state->asked.topics_count; i++) {
        const struct kafka_delete_records_request_topic *asked = &state->asked.topics[i];
        const struct broker_topic *topic = broker_topic_find(request->core, asked->name);
        for (size_t j = 0; j < asked->partitions_count; j++, part++) {
            part->out = &state->response.topics[i].partitions[j];
            part_start(request, topic, &asked->partitions[j], part);
        }
    }
    if (state->pending == 0)
        kafka_request_answer(request, delete_records, &state->response);
}

// Produce: checks what a request may hold, appends each batch, answers when all are durable.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_produce.h"

#include "kafka/error.h"
#include "kafka/gate.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

/* Fewer bytes than this cannot hold a batch's length and magic. */
#define PRODUCE_BATCH_SIZE_SEEN (BATCH_PREFIX_SIZE + 5)

/* From these versions on: TRANSACTION_ABORTABLE is known; a partition joins a transaction with its
 * first batch. */
#define PRODUCE_ABORTABLE_VERSION 11
#define PRODUCE_ADDING_VERSION    12

struct produce_part {
    struct kafka_gate_append gated;
    struct kafka_request *request;
    struct kafka_produce_response_partition *out;
};

struct produce {
    struct kafka_produce_request asked;
    struct kafka_produce_response response;
    size_t pending;
    bool failed;
};

static void produce_answer(struct kafka_request *request)
{
    struct produce *state = request->state;
    if (state->asked.acks != 0)
        kafka_request_answer(request, produce, &state->response);
    else if (state->failed)
        kafka_request_reject(request, ERR_INVALID, "a batch sent with acks=0 was refused");
    else
        kafka_request_answer_none(request);
}

static void part_fail(struct kafka_request *request, struct kafka_produce_response_partition *out,
                      int16_t code, struct slice words)
{
    struct produce *state = request->state;
    out->error_code = code;
    out->base_offset = -1;
    out->log_append_time_ms = -1;
    out->log_start_offset = -1;
    out->error_message = words;
    state->failed = true;
}

/* What the coordinator said, in words that the client's version retries or gives up on rightly. */
static int16_t append_code(const struct kafka_request *request, const struct produce_part *part)
{
    enum err err = part->gated.append.call.err;
    bool is_transactional = part->gated.topic;
    if (err == ERR_TXN_ABORTABLE)
        return request->version < PRODUCE_ABORTABLE_VERSION ? KAFKA_INVALID_TXN_STATE
                                                            : KAFKA_TRANSACTION_ABORTABLE;
    if (err == ERR_CONCURRENT && request->version >= PRODUCE_ADDING_VERSION)
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (err == ERR_CONCURRENT || (err == ERR_LOADING && is_transactional))
        return KAFKA_NOT_ENOUGH_REPLICAS;
    return kafka_error_of_append(err);
}

static void part_fail_append(struct produce_part *part)
{
    struct kafka_request *request = part->request;
    struct kafka_produce_response_partition *out = part->out;
    const struct broker_call *call = &part->gated.append.call;
    part_fail(request, out, append_code(request, part), kafka_topic_words(request, &call->diag));
    if (part->gated.append.error_record < 0)
        return;
    struct kafka_produce_response_record_error *record =
        arena_alloc_array(&request->arena, 1, sizeof(*record));
    if (!record)
        return; /* the code alone says enough */
    record->batch_index = part->gated.append.error_record;
    record->batch_index_error_message = out->error_message;
    out->record_errors = record;
    out->record_errors_count = 1;
}

static void part_done(struct broker_call *call)
{
    struct produce_part *part = CONTAINER_OF(call, struct produce_part, gated.append.call);
    struct produce *state = part->request->state;
    if (call->err == ERR_OK || call->err == ERR_DUPLICATE) {
        part->out->base_offset = part->gated.append.base_offset;
        part->out->log_append_time_ms = part->gated.append.append_time_ms;
        part->out->log_start_offset = part->gated.append.log_start;
    } else {
        part_fail_append(part);
    }
    if (--state->pending == 0)
        produce_answer(part->request);
}

/* --- what may be sent ------------------------------------------------------------------------- */

/* Whether a second whole batch follows; a torn one is cut off, as Kafka does. */
static bool batch_follows(struct slice rest)
{
    if (rest.size < PRODUCE_BATCH_SIZE_SEEN)
        return false;
    uint64_t size = (uint64_t)be32_get(rest.data + 8) + BATCH_PREFIX_SIZE;
    return size <= rest.size;
}

static int16_t records_judge(const struct kafka_request *request, struct slice records,
                             struct batch_header *out, const char **words)
{
    const struct produce *state = request->state;
    *words = "Produce requests must have exactly one record batch per partition";
    if (records.size < PRODUCE_BATCH_SIZE_SEEN)
        return KAFKA_INVALID_RECORD;
    uint8_t magic = records.data[16];
    struct batch_header header;
    enum err err = ERR_OK;
    if (magic == 2)
        err = batch_header_read(records, &header);
    else
        *words = "Produce requests must use message format version 2";
    if (magic != 2)
        return magic > 2 ? KAFKA_CORRUPT_MESSAGE : KAFKA_INVALID_RECORD;
    if (err == ERR_CORRUPT) {
        *words = "The record batch is corrupt";
        return KAFKA_CORRUPT_MESSAGE;
    }
    if (err || header.size > records.size)
        return KAFKA_INVALID_RECORD;
    *out = header;
    if (batch_follows(slice_make(records.data + header.size, records.size - header.size)))
        return KAFKA_INVALID_RECORD;
    if (batch_codec(&header) == BATCH_CODEC_ZSTD && request->version < 7) {
        *words = "Produce requests before version 7 are not allowed to use ZStandard compression";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (header.base_offset != 0) {
        *words = "The base offset of a record batch that is sent must be 0";
        return KAFKA_INVALID_RECORD;
    }
    if ((header.attributes & BATCH_TRANSACTIONAL) && !state->asked.transactional_id.data) {
        *words = "A transactional batch needs a transactional id in the request";
        return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    return KAFKA_NONE;
}

static int16_t request_judge(const struct kafka_produce_request *asked, const char **words)
{
    if (asked->acks < -1 || asked->acks > 1) {
        *words = "acks must be 0, 1 or -1";
        return KAFKA_INVALID_REQUIRED_ACKS;
    }
    return KAFKA_NONE;
}

/* --- the request ------------------------------------------------------------------------------ */

/* The part of the request's input that holds bytes, which point into it. */
static struct buf_range input_range(const struct kafka_request *request, struct slice bytes)
{
    return (struct buf_range){.buf = request->input.buf,
                              .offset = (uint32_t)(bytes.data - request->input.buf->data),
                              .size = (uint32_t)bytes.size};
}

/* Leaves the room for words alone: with many partitions it is most of the memory. */
static void part_init(struct produce_part *part)
{
    const size_t words = offsetof(struct produce_part, gated.append.call.diag);
    const size_t words_end = words + sizeof(part->gated.append.call.diag);
    memset(part, 0, words);
    part->gated.append.call.diag.text[0] = 0;
    memset((uint8_t *)part + words_end, 0, sizeof(*part) - words_end);
}

/* A batch of a transaction: it may have to be verified first. */
static void part_start_gated(struct kafka_request *request, const struct broker_topic *topic,
                             const struct batch_header *header, struct produce_part *part)
{
    struct produce *state = request->state;
    struct kafka_gate_append *gated = &part->gated;
    gated->transactional_id = state->asked.transactional_id;
    gated->producer_id = header->producer_id;
    gated->epoch = header->producer_epoch;
    gated->topic = topic;
    gated->partition = part->out->index;
    gated->is_adding = request->version >= PRODUCE_ADDING_VERSION;
    gated->done = part_done;
    if (kafka_gate_append(request->core, gated))
        return;
    state->pending--;
    part_fail(request, part->out, kafka_error_of_append(ERR_NO_MEMORY), SLICE_NULL);
}

static void part_start(struct kafka_request *request, const struct broker_topic *topic,
                       const struct kafka_produce_request_partition *asked,
                       struct produce_part *part)
{
    struct produce *state = request->state;
    const char *words = NULL;
    struct batch_header header;
    int16_t code = request_judge(&state->asked, &words);
    if (!code && !topic)
        code = request->version >= 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (!code && !broker_partition_at(topic, asked->index))
        code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (!code)
        code = records_judge(request, asked->records, &header, &words);
    if (code) {
        part_fail(request, part->out, code, words ? slice_text(words) : SLICE_NULL);
        return;
    }
    part->request = request;
    struct broker_append *append = &part->gated.append;
    append->call.done = part_done;
    append->error_record = -1;
    append->batch = input_range(request, slice_make(asked->records.data, header.size));
    state->pending++;
    if (header.attributes & BATCH_TRANSACTIONAL)
        part_start_gated(request, topic, &header, part);
    else
        broker_append(request->core, topic, asked->index, append);
}

/* False: the request has been rejected, nothing was appended. */
static bool produce_shape(struct kafka_request *request, struct produce_part **out_parts)
{
    struct produce *state = request->state;
    const struct kafka_produce_request *asked = &state->asked;
    struct kafka_produce_response *response = &state->response;
    size_t part_count = 0;
    response->responses =
        kafka_request_alloc(request, asked->topic_data_count, sizeof(*response->responses));
    if (!response->responses)
        return false;
    response->responses_count = asked->topic_data_count;
    for (size_t i = 0; i < asked->topic_data_count; i++) {
        const struct kafka_produce_request_topic *topic = &asked->topic_data[i];
        struct kafka_produce_response_topic *out = &response->responses[i];
        kafka_produce_response_topic_init(out);
        out->name = topic->name;
        out->topic_id = topic->topic_id;
        out->partition_responses_count = topic->partition_data_count;
        out->partition_responses = kafka_request_alloc(request, topic->partition_data_count,
                                                       sizeof(*out->partition_responses));
        if (!out->partition_responses)
            return false;
        part_count += topic->partition_data_count;
    }
    CHECK(part_count <= SIZE_MAX / sizeof(**out_parts)); /* decoded from fewer bytes than that */
    *out_parts = arena_alloc(&request->arena, part_count * sizeof(**out_parts));
    if (!*out_parts)
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
    return *out_parts != NULL;
}

void kafka_produce_handle(struct kafka_request *request)
{
    struct produce *state = kafka_request_alloc(request, 1, sizeof(*state));
    struct produce_part *part;
    request->state = state;
    if (!state || !kafka_request_decode(request, produce, &state->asked))
        return;
    kafka_produce_response_init(&state->response);
    if (!produce_shape(request, &part))
        return;
    for (size_t i = 0; i < state->asked.topic_data_count; i++) {
        const struct kafka_produce_request_topic *asked = &state->asked.topic_data[i];
        struct kafka_produce_response_topic *out = &state->response.responses[i];
        const struct broker_topic *topic =
            request->version >= 13 ? broker_topic_find_id(request->core, &asked->topic_id)
                                   : broker_topic_find(request->core, asked->name);
        for (size_t j = 0; j < asked->partition_data_count; j++, part++) {
            part_init(part);
            part->out = &out->partition_responses[j];
            kafka_produce_response_partition_init(part->out);
            part->out->index = asked->partition_data[j].index;
            part_start(request, topic, &asked->partition_data[j], part);
        }
    }
    if (state->pending == 0)
        produce_answer(request);
}

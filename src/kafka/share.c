// ShareFetch and ShareAcknowledge: records taken one by one, and what became of them. KIP-932.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/share.h"

#include <stdlib.h>

#include "broker/share.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "kafka/quota.h"
#include "wire/kafka_share_acknowledge.h"
#include "wire/kafka_share_fetch.h"

/* What the answer of one request may take of memory beside the records. */
#define SHARE_ARENA_SIZE_MAX ((size_t)64 << 20)
#define RECORD_COUNT_MAX     10000
#define MODE_RECORD_LIMIT    1

struct share_state {
    struct share_call call;
    struct kafka_request *request;
    struct kafka_chunks *chunks; /* one a part */
};

static int16_t error_of_call(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND:
        return KAFKA_SHARE_SESSION_NOT_FOUND;
    case ERR_SEQUENCE:
        return KAFKA_INVALID_SHARE_SESSION_EPOCH;
    case ERR_LIMIT:
        return KAFKA_SHARE_SESSION_LIMIT_REACHED;
    default:
        return kafka_group_error(err);
    }
}

/* What is not known to the group is Kafka's own secret. */
static int16_t error_of_part(enum err err)
{
    return err == ERR_INVALID ? KAFKA_UNKNOWN_SERVER_ERROR : kafka_error_of_read(err);
}

static int16_t error_of_ack(struct core *core, const struct share_call_part *part)
{
    if (part->ack_err == ERR_NOT_FOUND && !broker_topic_find_id(core, &part->topic_id))
        return KAFKA_UNKNOWN_TOPIC_ID;
    return part->ack_err == ERR_ACCESS ? KAFKA_INVALID_RECORD_STATE : kafka_error_of(part->ack_err);
}

/* --- a connection that goes takes its sessions along --- */

static void gone_done(struct broker_call *call)
{
    free(CONTAINER_OF(call, struct share_gone, call));
}

void kafka_share_gone(struct core *core, struct share_gone *take_gone)
{
    take_gone->call.done = gone_done;
    broker_share_gone(core, take_gone);
}

static void share_cancel(struct kafka_request *request)
{
    const struct share_state *state = request->state;
    struct share_gone *gone = calloc(1, sizeof(*gone));
    if (!gone)
        return; /* it answers when its time is over */
    gone->client = state->call.client;
    kafka_share_gone(request->core, gone);
}

static void share_release(struct kafka_request *request)
{
    struct share_state *state = request->state;
    broker_share_release(&state->call);
    arena_deinit(&state->call.arena);
}

/* False: rejected. */
static bool share_begin(struct share_state *state, struct kafka_request *request, size_t count)
{
    state->request = request;
    struct share_gone *gone = request->conn ? kafka_conn_share(request->conn) : NULL;
    if (!gone) {
        kafka_request_reject(request, ERR_NO_MEMORY, "no memory for a share session");
        return false;
    }
    state->call.client = gone->client;
    state->call.named = kafka_request_alloc(request, count, sizeof(*state->call.named));
    if (!state->call.named)
        return false;
    arena_init(&state->call.arena, SHARE_ARENA_SIZE_MAX);
    request->state = state;
    request->release = share_release;
    request->cancel = share_cancel;
    return true;
}

/* --- acknowledgements, which both APIs carry in the same words --- */

#define ACKS_TAKE(request, part, from)                                                             \
    do {                                                                                           \
        struct share_ack *acks_ =                                                                  \
            kafka_request_alloc(request, (from)->acknowledgement_batches_count, sizeof(*acks_));   \
        if (!acks_)                                                                                \
            return false;                                                                          \
        for (size_t k_ = 0; k_ < (from)->acknowledgement_batches_count; k_++)                      \
            acks_[k_] = ack_of((from)->acknowledgement_batches[k_].first_offset,                   \
                               (from)->acknowledgement_batches[k_].last_offset,                    \
                               (from)->acknowledgement_batches[k_].acknowledge_types,              \
                               (from)->acknowledgement_batches[k_].acknowledge_types_count);       \
        (part)->acks = acks_;                                                                      \
        (part)->ack_count = (from)->acknowledgement_batches_count;                                 \
    } while (0)

/* Without an end that can be said it is no acknowledgement: refused as one. */
static struct share_ack ack_of(int64_t first, int64_t last, const int8_t *types, size_t count)
{
    return (struct share_ack){.first = first,
                              .next = last < INT64_MAX ? last + 1 : 0,
                              .verbs = types,
                              .verb_count = count};
}

/* --- ShareFetch --- */

static bool fetch_part_is_told(const struct share_call_part *part)
{
    return part->err || part->is_read || part->ack_count > 0;
}

static void fetch_part_answer(const struct share_state *state, size_t index,
                              struct kafka_share_fetch_response_partition *out)
{
    const struct share_call_part *part = state->call.parts[index];
    struct kafka_chunks *chunks = &state->chunks[index];
    kafka_share_fetch_response_partition_init(out);
    out->partition_index = part->index;
    out->error_code = error_of_part(part->err);
    out->acknowledge_error_code = error_of_ack(state->request->core, part);
    out->records.bytes = SLICE_LITERAL("");
    if (!part->is_read)
        return;
    out->error_code = KAFKA_NONE;
    out->acquired_records =
        arena_alloc_array(&state->request->arena, part->lock_count, sizeof(*out->acquired_records));
    if (!out->acquired_records) {
        out->error_code = kafka_error_of(ERR_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < part->lock_count; i++) {
        struct kafka_share_fetch_response_acquired *to = &out->acquired_records[i];
        kafka_share_fetch_response_acquired_init(to);
        to->first_offset = part->locks[i].first;
        to->last_offset = part->locks[i].next - 1;
        to->delivery_count = part->locks[i].count;
    }
    out->acquired_records_count = part->lock_count;
    chunks->chunks = part->read.store.chunks;
    for (unsigned i = 0; i < part->read.store.chunk_count; i++)
        if (part->read.store.chunks[i].size > 0)
            chunks->count = i + 1;
    out->records.size = part->read.store.size;
    out->records.gap = chunks;
}

static void fetch_done(struct broker_call *call)
{
    struct share_state *state = CONTAINER_OF(call, struct share_state, call.call);
    struct kafka_request *request = state->request;
    struct kafka_share_fetch_response response;
    kafka_share_fetch_response_init(&response);
    response.error_code = error_of_call(call->err);
    if (call->err) {
        response.error_message =
            slice_text(call->diag.text[0] ? call->diag.text : err_text(call->err));
        kafka_request_answer(request, share_fetch, &response);
        return;
    }
    response.acquisition_lock_timeout_ms = state->call.lock_ms;
    kafka_quota_fetched(request, (size_t)state->call.size);
    size_t count = state->call.part_count;
    struct kafka_share_fetch_response_partition *outs =
        kafka_request_alloc(request, count, sizeof(*outs));
    state->chunks = outs ? kafka_request_alloc(request, count, sizeof(*state->chunks)) : NULL;
    if (!state->chunks)
        return;
    response.responses = kafka_request_alloc(request, count, sizeof(*response.responses));
    if (!response.responses)
        return;
    struct kafka_share_fetch_response_topic *topic = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct share_call_part *part = state->call.parts[i];
        if (!fetch_part_is_told(part))
            continue;
        fetch_part_answer(state, i, outs);
        if (!topic || !uuid_equal(&topic->topic_id, &part->topic_id)) {
            topic = &response.responses[response.responses_count++];
            kafka_share_fetch_response_topic_init(topic);
            topic->topic_id = part->topic_id;
            topic->partitions = outs;
        }
        topic->partitions_count++;
        outs++;
    }
    kafka_request_answer(request, share_fetch, &response);
}

static size_t fetch_count(const struct kafka_share_fetch_request *asked)
{
    size_t count = 0;
    for (size_t i = 0; i < asked->topics_count; i++)
        count += asked->topics[i].partitions_count;
    for (size_t i = 0; i < asked->forgotten_topics_data_count; i++)
        count += asked->forgotten_topics_data[i].partitions_count;
    return count;
}

/* False: rejected. */
static bool fetch_parts(struct share_state *state, const struct kafka_share_fetch_request *asked)
{
    struct share_call *call = &state->call;
    for (size_t i = 0; i < asked->topics_count; i++)
        for (size_t j = 0; j < asked->topics[i].partitions_count; j++) {
            const struct kafka_share_fetch_request_partition *from =
                &asked->topics[i].partitions[j];
            struct share_call_part *part = &call->named[call->named_count++];
            part->topic_id = asked->topics[i].topic_id;
            part->index = from->partition_index;
            ACKS_TAKE(state->request, part, from);
        }
    for (size_t i = 0; i < asked->forgotten_topics_data_count; i++)
        for (size_t j = 0; j < asked->forgotten_topics_data[i].partitions_count; j++)
            call->named[call->named_count++] =
                (struct share_call_part){.topic_id = asked->forgotten_topics_data[i].topic_id,
                                         .index = asked->forgotten_topics_data[i].partitions[j],
                                         .forgotten = true};
    return true;
}

static bool has_acks(const struct share_call *call)
{
    for (size_t i = 0; i < call->named_count; i++)
        if (call->named[i].ack_count > 0)
            return true;
    return false;
}

void kafka_share_fetch_handle(struct kafka_request *request)
{
    struct kafka_share_fetch_request asked;
    struct share_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, share_fetch, &asked) ||
        !share_begin(state, request, fetch_count(&asked)) || !fetch_parts(state, &asked))
        return;
    struct share_call *call = &state->call;
    int32_t size_max = MIN(asked.max_bytes, broker_settings_now(request->core)->fetch_max_bytes);
    call->call.done = fetch_done;
    call->group_id = kafka_group_text(asked.group_id);
    call->member_id = kafka_group_text(asked.member_id);
    call->epoch = asked.share_session_epoch;
    call->is_fetch = true;
    call->is_exact = asked.share_acquire_mode == MODE_RECORD_LIMIT;
    call->is_renewing = asked.is_renew_ack;
    call->split = asked.batch_size;
    call->wait_ms = asked.max_wait_ms;
    call->size_max = (int64_t)kafka_quota_fetch_max(request, (size_t)MAX(size_max, 1));
    call->size_max = MAX(call->size_max, (int64_t)1);
    call->size_min = MIN(asked.min_bytes, call->size_max);
    call->record_max = MAX(MIN(asked.max_records, RECORD_COUNT_MAX), 0);
    if (call->epoch == 0 && has_acks(call)) {
        struct kafka_share_fetch_response response;
        kafka_share_fetch_response_init(&response);
        response.error_code = KAFKA_INVALID_REQUEST;
        response.error_message = slice_text("a new session has nothing to acknowledge");
        kafka_request_answer(request, share_fetch, &response);
        return;
    }
    broker_share_call(request->core, call);
}

/* --- ShareAcknowledge --- */

static void acknowledge_done(struct broker_call *call)
{
    struct share_state *state = CONTAINER_OF(call, struct share_state, call.call);
    struct kafka_request *request = state->request;
    struct kafka_share_acknowledge_response response;
    kafka_share_acknowledge_response_init(&response);
    response.error_code = error_of_call(call->err);
    response.acquisition_lock_timeout_ms = state->call.lock_ms;
    size_t count = call->err ? 0 : state->call.named_count;
    if (call->err)
        response.error_message = slice_text(err_text(call->err));
    struct kafka_share_acknowledge_response_partition *outs =
        kafka_request_alloc(request, count, sizeof(*outs));
    if (!outs)
        return;
    response.responses = kafka_request_alloc(request, count, sizeof(*response.responses));
    if (!response.responses)
        return;
    struct kafka_share_acknowledge_response_topic *topic = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct share_call_part *part = &state->call.named[i];
        kafka_share_acknowledge_response_partition_init(&outs[i]);
        outs[i].partition_index = part->index;
        outs[i].error_code = error_of_ack(state->request->core, part);
        if (!topic || !uuid_equal(&topic->topic_id, &part->topic_id)) {
            topic = &response.responses[response.responses_count++];
            kafka_share_acknowledge_response_topic_init(topic);
            topic->topic_id = part->topic_id;
            topic->partitions = &outs[i];
        }
        topic->partitions_count++;
    }
    kafka_request_answer(request, share_acknowledge, &response);
}

/* False: rejected. */
static bool acknowledge_parts(struct share_state *state,
                              const struct kafka_share_acknowledge_request *asked)
{
    struct share_call *call = &state->call;
    for (size_t i = 0; i < asked->topics_count; i++)
        for (size_t j = 0; j < asked->topics[i].partitions_count; j++) {
            const struct kafka_share_acknowledge_request_partition *from =
                &asked->topics[i].partitions[j];
            struct share_call_part *part = &call->named[call->named_count++];
            part->topic_id = asked->topics[i].topic_id;
            part->index = from->partition_index;
            ACKS_TAKE(state->request, part, from);
        }
    return true;
}

void kafka_share_acknowledge_handle(struct kafka_request *request)
{
    struct kafka_share_acknowledge_request asked;
    struct share_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, share_acknowledge, &asked))
        return;
    size_t count = 0;
    for (size_t i = 0; i < asked.topics_count; i++)
        count += asked.topics[i].partitions_count;
    if (!share_begin(state, request, count) || !acknowledge_parts(state, &asked))
        return;
    state->call.call.done = acknowledge_done;
    state->call.group_id = kafka_group_text(asked.group_id);
    state->call.member_id = kafka_group_text(asked.member_id);
    state->call.epoch = asked.share_session_epoch;
    state->call.is_renewing = asked.is_renew_ack;
    broker_share_call(request->core, &state->call);
}

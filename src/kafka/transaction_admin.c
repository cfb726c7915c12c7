// DescribeTransactions and ListTransactions. KIP-664, 994.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/regex.h"
#include "broker/transaction.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/transaction.h"
#include "wire/kafka_describe_transactions.h"
#include "wire/kafka_list_transactions.h"

/* Steps that a pattern may take to be matched with all ids: some, and more for each byte of them.
 */
#define LIST_STEPS_MAX       10000000
#define LIST_BYTE_STEPS_MAX  32
#define LIST_STATES_COMPARED 64
/* What one answer may take of memory. */
#define ADMIN_ARENA_SIZE_MAX ((size_t)256 << 20)

/* --- DescribeTransactions --- */

struct describe_part {
    struct transaction_describe describe;
    struct kafka_request *request;
    struct kafka_describe_transactions_response_state *out;
};

struct describe_state {
    struct kafka_describe_transactions_response response;
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

static int place_compare(const void *a, const void *b)
{
    const struct transaction_place *left = a;
    const struct transaction_place *right = b;
    int order = slice_compare(left->topic, right->topic);
    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

/* Places in order become topics with their partitions. */
static enum err describe_topics(struct describe_part *part)
{
    struct transaction_describe *from = &part->describe;
    struct kafka_describe_transactions_response_state *out = part->out;
    size_t count = from->place_count;
    if (count > 1)
        qsort(from->places, count, sizeof(*from->places), place_compare);
    out->topics = arena_alloc_array(&from->arena, count, sizeof(*out->topics));
    int32_t *partitions = arena_alloc_array(&from->arena, count, sizeof(*partitions));
    if (!out->topics || !partitions)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct transaction_place *place = &from->places[i];
        partitions[i] = place->partition;
        if (i == 0 || !slice_equal(place->topic, from->places[i - 1].topic))
            out->topics[out->topics_count++] = (struct kafka_describe_transactions_response_topic){
                .topic = place->topic, .partitions = &partitions[i]};
        out->topics[out->topics_count - 1].partitions_count++;
    }
    return ERR_OK;
}

/* Nobody knows before how much there is to tell: it is charged when it is there, and the answer
 * that it is encoded to with it. */
static enum err describe_charge(struct describe_part *part)
{
    if (kafka_request_charge(part->request, 2 * part->describe.arena.size_total))
        return ERR_OK;
    arena_deinit(&part->describe.arena);
    part->out->topics_count = 0;
    return ERR_NO_MEMORY;
}

static void describe_next(struct kafka_request *request)
{
    struct describe_state *state = request->state;
    if (state->next < state->part_count)
        broker_transaction_describe(request->core, &state->parts[state->next++].describe);
}

static void describe_done(struct broker_call *call)
{
    struct describe_part *part = CONTAINER_OF(call, struct describe_part, describe.of.call);
    struct describe_state *state = part->request->state;
    const struct transaction_describe *from = &part->describe;
    struct kafka_describe_transactions_response_state *out = part->out;
    enum err err = call->err;
    if (!err)
        err = describe_topics(part);
    if (!err)
        err = describe_charge(part);
    if (err) {
        out->error_code = err == ERR_NOT_FOUND ? KAFKA_TRANSACTIONAL_ID_NOT_FOUND
                                               : kafka_transaction_error(err, true);
        out->topics_count = 0;
    } else {
        out->transaction_state = slice_text(from->state);
        out->transaction_timeout_ms = from->timeout_ms;
        out->transaction_start_time_ms = from->start_ms;
        out->producer_id = from->of.producer_id;
        out->producer_epoch = from->of.epoch;
    }
    describe_next(part->request);
    if (--state->pending == 0)
        kafka_request_answer(part->request, describe_transactions, &state->response);
}

void kafka_transaction_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_transactions_request asked;
    struct describe_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, describe_transactions, &asked))
        return;
    struct kafka_describe_transactions_response *response = &state->response;
    kafka_describe_transactions_response_init(response);
    size_t count = asked.transactional_ids_count;
    state->parts = kafka_request_alloc(request, count, sizeof(*state->parts));
    if (!state->parts)
        return;
    response->transaction_states =
        kafka_request_alloc(request, count, sizeof(*response->transaction_states));
    if (!response->transaction_states)
        return;
    response->transaction_states_count = state->part_count = state->pending = count;
    request->state = state;
    request->release = describe_release;
    for (size_t i = 0; i < count; i++) {
        struct describe_part *part = &state->parts[i];
        part->request = request;
        part->out = &response->transaction_states[i];
        part->out->transactional_id = asked.transactional_ids[i];
        part->out->transaction_state = slice_text("");
        part->describe.of.call.done = describe_done;
        part->describe.of.id = asked.transactional_ids[i];
        arena_init(&part->describe.arena, ADMIN_ARENA_SIZE_MAX);
    }
    if (count == 0) {
        kafka_request_answer(request, describe_transactions, response);
        return;
    }
    for (size_t i = 0; i < KAFKA_DESCRIBE_AT_ONCE; i++)
        describe_next(request);
}

/* --- ListTransactions --- */

struct list_state {
    struct transaction_list list;
    struct regex *pattern; /* NULL: all ids pass */
    struct kafka_request *request;
    struct kafka_list_transactions_request asked;
    bool any_state; /* none are named */
};

static void list_release(struct kafka_request *request)
{
    struct list_state *state = request->state;
    arena_deinit(&state->list.arena);
    regex_delete(state->pattern);
}

static bool state_passes(const struct list_state *state, struct slice name)
{
    for (size_t i = 0; i < state->asked.state_filters_count; i++)
        if (slice_equal(state->asked.state_filters[i], name))
            return true;
    return state->any_state;
}

static int id_compare(const void *a, const void *b)
{
    const int64_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static bool producer_passes(const struct kafka_list_transactions_request *asked, int64_t id)
{
    size_t count = asked->producer_id_filters_count;
    return count == 0 || bsearch(&id, asked->producer_id_filters, count, sizeof(id), id_compare);
}

/* There may be a great many filters, and each transaction is held against them: what is left are
 * states that there are, once each, and producers in order. */
static void filters_tidy(struct list_state *state)
{
    struct kafka_list_transactions_request *asked = &state->asked;
    size_t count = asked->state_filters_count;
    state->any_state = count == 0;
    asked->state_filters_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice name = asked->state_filters[i];
        if (broker_transaction_state_is(name) && !state_passes(state, name))
            asked->state_filters[asked->state_filters_count++] = name;
    }
    if (asked->producer_id_filters_count > 1)
        qsort(asked->producer_id_filters, asked->producer_id_filters_count,
              sizeof(*asked->producer_id_filters), id_compare);
}

static bool pattern_passes(const struct list_state *state, struct slice id)
{
    if (!state->pattern)
        return true;
    regex_allow(state->pattern, LIST_BYTE_STEPS_MAX * id.size);
    return regex_matches(state->pattern, id);
}

static bool list_passes(const struct list_state *state, const struct transaction_listed *listed)
{
    const struct kafka_list_transactions_request *asked = &state->asked;
    /* One that never began passes, as in Kafka, where its start is before all time. */
    bool is_old = asked->duration_filter < 0 ||
                  state->list.now_ms - listed->start_ms > asked->duration_filter;
    return is_old && state_passes(state, slice_text(listed->state)) &&
           producer_passes(asked, listed->producer_id) && pattern_passes(state, listed->id);
}

/* Among the names of states. A few at most are of use: of more than that some are told again. */
static bool is_first(const struct kafka_list_transactions_request *asked, size_t index)
{
    for (size_t i = 0; i < MIN(index, (size_t)LIST_STATES_COMPARED); i++)
        if (slice_equal(asked->state_filters[i], asked->state_filters[index]))
            return false;
    return true;
}

/* Out of memory: false. */
static bool list_fill(struct list_state *state, struct kafka_list_transactions_response *response)
{
    const struct kafka_list_transactions_request *asked = &state->asked;
    struct arena *arena = &state->list.arena;
    response->unknown_state_filters = arena_alloc_array(arena, asked->state_filters_count,
                                                        sizeof(*response->unknown_state_filters));
    response->transaction_states =
        arena_alloc_array(arena, state->list.count, sizeof(*response->transaction_states));
    if (!response->unknown_state_filters || !response->transaction_states)
        return false;
    for (size_t i = 0; i < asked->state_filters_count; i++)
        if (!broker_transaction_state_is(asked->state_filters[i]) && is_first(asked, i))
            response->unknown_state_filters[response->unknown_state_filters_count++] =
                asked->state_filters[i];
    filters_tidy(state);
    for (size_t i = 0; i < state->list.count; i++) {
        const struct transaction_listed *listed = &state->list.transactions[i];
        if (list_passes(state, listed))
            response->transaction_states[response->transaction_states_count++] =
                (struct kafka_list_transactions_response_state){.transactional_id = listed->id,
                                                                .producer_id = listed->producer_id,
                                                                .transaction_state =
                                                                    slice_text(listed->state)};
    }
    return true;
}

static void list_done(struct broker_call *call)
{
    struct list_state *state = CONTAINER_OF(call, struct list_state, list.call);
    struct kafka_list_transactions_response response;
    kafka_list_transactions_response_init(&response);
    response.error_code = kafka_transaction_error(call->err, true);
    if (state->pattern)
        regex_allow(state->pattern, LIST_STEPS_MAX);
    if (!call->err && (!list_fill(state, &response) ||
                       !kafka_request_charge(state->request, 2 * state->list.arena.size_total))) {
        kafka_request_reject(state->request, ERR_NO_MEMORY, "too many transactions to list");
        return;
    }
    if (state->pattern && regex_is_spent(state->pattern)) { /* it takes too long with so many ids */
        response.error_code = KAFKA_INVALID_REGULAR_EXPRESSION;
        response.transaction_states_count = 0;
    }
    kafka_request_answer(state->request, list_transactions, &response);
}

void kafka_transaction_list_handle(struct kafka_request *request)
{
    struct list_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, list_transactions, &state->asked))
        return;
    state->request = request;
    state->list.call.done = list_done;
    arena_init(&state->list.arena, ADMIN_ARENA_SIZE_MAX);
    request->state = state;
    request->release = list_release;
    struct slice pattern = state->asked.transactional_id_pattern;
    if (pattern.size == 0 || regex_new(pattern, &state->pattern, NULL) == ERR_OK) {
        broker_transaction_list(request->core, &state->list);
        return;
    }
    struct kafka_list_transactions_response response;
    kafka_list_transactions_response_init(&response);
    response.error_code = KAFKA_INVALID_REGULAR_EXPRESSION;
    kafka_request_answer(request, list_transactions, &response);
}

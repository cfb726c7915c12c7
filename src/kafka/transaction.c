// AddPartitionsToTxn, AddOffsetsToTxn and EndTxn. KIP-98, KIP-890.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/transaction.h"
#include "kafka/topic.h"

#include "broker/transaction.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_add_offsets_to_txn.h"
#include "wire/kafka_add_partitions_to_txn.h"
#include "wire/kafka_end_txn.h"

/* From these versions on. */
#define FENCE_KNOWN_VERSION 2
#define ADD_MANY_VERSION    4
#define END_BUMP_VERSION    5

int16_t kafka_transaction_error(enum err err, bool knows_fence)
{
    switch (err) {
    case ERR_FENCED:
        return knows_fence ? KAFKA_PRODUCER_FENCED : KAFKA_INVALID_PRODUCER_EPOCH;
    case ERR_NOT_FOUND:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case ERR_INVALID:
        return KAFKA_INVALID_REQUEST;
    default:
        return kafka_group_error(err);
    }
}

/* --- AddPartitionsToTxn --- */

struct add_part {
    struct transaction_add add;
    struct kafka_request *request;
    struct kafka_add_partitions_to_txn_response_partition **out; /* of each place */
};

struct add_state {
    struct kafka_add_partitions_to_txn_response response;
    struct add_part *parts;
    size_t pending;
};

static void add_answer(struct kafka_request *request)
{
    struct add_state *state = request->state;
    kafka_request_answer(request, add_partitions_to_txn, &state->response);
}

static void add_done(struct broker_call *call)
{
    struct add_part *part = CONTAINER_OF(call, struct add_part, add.of.call);
    struct kafka_request *request = part->request;
    struct add_state *state = request->state;
    bool knows_fence = request->version >= FENCE_KNOWN_VERSION;
    for (size_t i = 0; i < part->add.place_count; i++) {
        enum err err = call->err ? call->err : part->add.places[i].err;
        part->out[i]->partition_error_code = kafka_transaction_error(err, knows_fence);
    }
    if (--state->pending == 0)
        add_answer(request);
}

static size_t places_count(const struct kafka_add_partitions_to_txn_request_topic *topics,
                           size_t count)
{
    size_t places = 0;
    for (size_t i = 0; i < count; i++)
        places += topics[i].partitions_count;
    return places;
}

/* What no transaction can have; else why the partition is not added, should another be refused.
 * Internal topics are the server's, which adds those of groups itself. */
static int16_t add_judge(const struct broker_topic *topic, struct slice name, int32_t index)
{
    if (kafka_topic_name_is_internal(name))
        return KAFKA_TOPIC_AUTHORIZATION_FAILED;
    return topic && broker_partition_at(topic, index) ? KAFKA_OPERATION_NOT_ATTEMPTED
                                                      : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* False: the request has been rejected. *out_refused: a partition cannot be in a transaction. */
static bool add_topic(struct add_part *part,
                      const struct kafka_add_partitions_to_txn_request_topic *in,
                      struct kafka_add_partitions_to_txn_response_topic *out, bool *out_refused)
{
    struct kafka_request *request = part->request;
    const struct broker_topic *topic = broker_topic_find(request->core, in->name);
    out->name = in->name;
    out->results_by_partition_count = in->partitions_count;
    out->results_by_partition =
        kafka_request_alloc(request, in->partitions_count, sizeof(*out->results_by_partition));
    if (!out->results_by_partition)
        return false;
    for (size_t i = 0; i < in->partitions_count; i++) {
        struct kafka_add_partitions_to_txn_response_partition *result =
            &out->results_by_partition[i];
        size_t at = part->add.place_count++;
        result->partition_index = in->partitions[i];
        part->out[at] = result;
        part->add.places[at].topic = in->name;
        part->add.places[at].partition = in->partitions[i];
        result->partition_error_code = add_judge(topic, in->name, in->partitions[i]);
        if (result->partition_error_code != KAFKA_OPERATION_NOT_ATTEMPTED)
            *out_refused = true;
    }
    return true;
}

/* All of a transaction's partitions or, when one is refused, none. */
static bool add_start(struct add_part *part,
                      const struct kafka_add_partitions_to_txn_request_transaction *asked,
                      struct kafka_add_partitions_to_txn_response_topic **out_topics)
{
    struct kafka_request *request = part->request;
    struct add_state *state = request->state;
    size_t count = places_count(asked->topics, asked->topics_count);
    bool refused = false;
    *out_topics = kafka_request_alloc(request, asked->topics_count, sizeof(**out_topics));
    if (!*out_topics)
        return false;
    part->add.places = kafka_request_alloc(request, count, sizeof(*part->add.places));
    if (!part->add.places)
        return false;
    part->out = kafka_request_alloc(request, count, sizeof(*part->out));
    if (!part->out)
        return false;
    for (size_t i = 0; i < asked->topics_count; i++)
        if (!add_topic(part, &asked->topics[i], &(*out_topics)[i], &refused))
            return false;
    part->add.of.call.done = refused ? NULL : add_done;
    part->add.of.id = asked->transactional_id;
    part->add.of.producer_id = asked->producer_id;
    part->add.of.epoch = asked->producer_epoch;
    part->add.verify_only = asked->verify_only;
    state->pending += !refused;
    return true;
}

/* Versions up to 3 have one transaction. */
static void add_lift(const struct kafka_add_partitions_to_txn_request *asked,
                     struct kafka_add_partitions_to_txn_request_transaction *out)
{
    *out = (struct kafka_add_partitions_to_txn_request_transaction){
        .transactional_id = asked->v3_and_below_transactional_id,
        .producer_id = asked->v3_and_below_producer_id,
        .producer_epoch = asked->v3_and_below_producer_epoch,
        .topics = asked->v3_and_below_topics,
        .topics_count = asked->v3_and_below_topics_count};
}

static bool add_prepare(struct kafka_request *request,
                        const struct kafka_add_partitions_to_txn_request *asked, size_t count)
{
    struct add_state *state = request->state;
    struct kafka_add_partitions_to_txn_response *response = &state->response;
    state->parts = kafka_request_alloc(request, count, sizeof(*state->parts));
    if (!state->parts)
        return false;
    if (request->version < ADD_MANY_VERSION) {
        struct kafka_add_partitions_to_txn_request_transaction one;
        add_lift(asked, &one);
        state->parts->request = request;
        response->results_by_topic_v3_and_below_count = one.topics_count;
        return add_start(state->parts, &one, &response->results_by_topic_v3_and_below);
    }
    response->results_by_transaction_count = count;
    response->results_by_transaction =
        kafka_request_alloc(request, count, sizeof(*response->results_by_transaction));
    if (!response->results_by_transaction)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct kafka_add_partitions_to_txn_response_transaction *out =
            &response->results_by_transaction[i];
        state->parts[i].request = request;
        out->transactional_id = asked->transactions[i].transactional_id;
        out->topic_results_count = asked->transactions[i].topics_count;
        if (!add_start(&state->parts[i], &asked->transactions[i], &out->topic_results))
            return false;
    }
    return true;
}

void kafka_transaction_add_handle(struct kafka_request *request)
{
    struct kafka_add_partitions_to_txn_request asked;
    struct add_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, add_partitions_to_txn, &asked))
        return;
    kafka_add_partitions_to_txn_response_init(&state->response);
    size_t count = request->version < ADD_MANY_VERSION ? 1 : asked.transactions_count;
    if (!add_prepare(request, &asked, count))
        return;
    if (state->pending == 0) {
        add_answer(request);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (state->parts[i].add.of.call.done)
            broker_transaction_add(request->core, &state->parts[i].add);
}

/* --- AddOffsetsToTxn --- */

struct offsets_state {
    struct transaction_add add;
    struct transaction_place place;
    struct kafka_request *request;
};

static void offsets_done(struct broker_call *call)
{
    struct offsets_state *state = CONTAINER_OF(call, struct offsets_state, add.of.call);
    struct kafka_add_offsets_to_txn_response response;
    kafka_add_offsets_to_txn_response_init(&response);
    response.error_code =
        kafka_transaction_error(call->err, state->request->version >= FENCE_KNOWN_VERSION);
    kafka_request_answer(state->request, add_offsets_to_txn, &response);
}

void kafka_transaction_offsets_handle(struct kafka_request *request)
{
    struct kafka_add_offsets_to_txn_request asked;
    struct offsets_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, add_offsets_to_txn, &asked))
        return;
    state->request = request;
    broker_transaction_place_of_group(request->core, asked.group_id, &state->place);
    state->add = (struct transaction_add){.of = {.call.done = offsets_done,
                                                 .id = asked.transactional_id,
                                                 .producer_id = asked.producer_id,
                                                 .epoch = asked.producer_epoch},
                                          .places = &state->place,
                                          .place_count = 1};
    broker_transaction_add(request->core, &state->add);
}

/* --- EndTxn --- */

struct end_state {
    struct transaction_end end;
    struct kafka_request *request;
};

static void end_done(struct broker_call *call)
{
    struct end_state *state = CONTAINER_OF(call, struct end_state, end.of.call);
    struct kafka_end_txn_response response;
    kafka_end_txn_response_init(&response);
    response.error_code =
        kafka_transaction_error(call->err, state->request->version >= FENCE_KNOWN_VERSION);
    if (!call->err) {
        response.producer_id = state->end.of.producer_id;
        response.producer_epoch = state->end.of.epoch;
    }
    kafka_request_answer(state->request, end_txn, &response);
}

void kafka_transaction_end_handle(struct kafka_request *request)
{
    struct kafka_end_txn_request asked;
    struct end_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, end_txn, &asked))
        return;
    state->request = request;
    state->end = (struct transaction_end){.of = {.call.done = end_done,
                                                 .id = asked.transactional_id,
                                                 .producer_id = asked.producer_id,
                                                 .epoch = asked.producer_epoch},
                                          .commit = asked.committed,
                                          .bump = request->version >= END_BUMP_VERSION};
    broker_transaction_end(request->core, &state->end);
}

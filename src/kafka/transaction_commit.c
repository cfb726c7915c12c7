// TxnOffsetCommit: offsets of a group that count when a transaction commits. KIP-98, 447, 890.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"
#include "broker/transaction.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "kafka/transaction.h"
#include "wire/kafka_txn_offset_commit.h"

/* From these versions on: TRANSACTION_ABORTABLE is known; the group is added to the transaction
 * with its first offsets. */
#define ABORTABLE_VERSION 4
#define ADDING_VERSION    5

struct txn_commit {
    struct transaction_add add;
    struct transaction_place place;
    struct group_commit commit;
    struct kafka_request *request;
    struct kafka_txn_offset_commit_response response;
    int16_t **codes; /* where the code of each offset goes */
};

static int16_t txn_commit_code(const struct txn_commit *state, enum err err)
{
    bool is_old = state->request->version < ADDING_VERSION;
    switch (err) {
    case ERR_TOO_LARGE:
        return KAFKA_OFFSET_METADATA_TOO_LARGE;
    case ERR_NOT_FOUND:   /* the group is gone */
    case ERR_EPOCH_STALE: /* a transaction knows no other word for it */
        return KAFKA_ILLEGAL_GENERATION;
    case ERR_TXN_ABORTABLE:
        return state->request->version < ABORTABLE_VERSION ? KAFKA_INVALID_TXN_STATE
                                                           : KAFKA_TRANSACTION_ABORTABLE;
    case ERR_CONCURRENT: /* older clients retry the other one */
        return is_old ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_CONCURRENT_TRANSACTIONS;
    default:
        return kafka_transaction_error(err, false);
    }
}

static void txn_commit_answer(struct txn_commit *state, enum err err, bool is_instance)
{
    for (size_t i = 0; i < state->commit.offset_count; i++) {
        enum err one = err ? err : state->commit.offsets[i].err;
        *state->codes[i] = one == ERR_FENCED && is_instance ? KAFKA_FENCED_INSTANCE_ID
                                                            : txn_commit_code(state, one);
    }
    kafka_request_answer(state->request, txn_offset_commit, &state->response);
}

/* Before anything was tried: code for every offset, whether its partition exists or not. */
static void txn_commit_answer_all(struct txn_commit *state, int16_t code)
{
    struct kafka_txn_offset_commit_response *response = &state->response;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t j = 0; j < response->topics[i].partitions_count; j++)
            response->topics[i].partitions[j].error_code = code;
    kafka_request_answer(state->request, txn_offset_commit, response);
}

static void committed(struct broker_call *call)
{
    struct txn_commit *state = CONTAINER_OF(call, struct txn_commit, commit.call);
    txn_commit_answer(state, call->err, state->commit.instance_id.data);
}

static void added(struct broker_call *call)
{
    struct txn_commit *state = CONTAINER_OF(call, struct txn_commit, add.of.call);
    enum err err = call->err ? call->err : state->place.err;
    if (err)
        txn_commit_answer(state, err, false);
    else
        broker_group_commit(state->request->core, &state->commit);
}

/* Offsets of partitions that exist go on; the others have their answer. False: rejected. */
static bool topic_fill(struct txn_commit *state,
                       const struct kafka_txn_offset_commit_request_topic *in,
                       struct kafka_txn_offset_commit_response_topic *out)
{
    struct kafka_request *request = state->request;
    const struct broker_topic *topic = broker_topic_find(request->core, in->name);
    out->name = in->name;
    out->partitions = kafka_request_alloc(request, in->partitions_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        const struct kafka_txn_offset_commit_request_partition *part = &in->partitions[i];
        out->partitions[i].partition_index = part->partition_index;
        if (!topic || !broker_partition_at(topic, part->partition_index)) {
            out->partitions[i].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        size_t at = state->commit.offset_count++;
        state->codes[at] = &out->partitions[i].error_code;
        state->commit.offsets[at] =
            (struct group_offset){.topic = in->name,
                                  .topic_id = topic->id,
                                  .partition = part->partition_index,
                                  .offset = part->committed_offset,
                                  .leader_epoch = part->committed_leader_epoch,
                                  .metadata = kafka_group_text(part->committed_metadata),
                                  .commit_ms = -1};
    }
    return true;
}

static bool topics_fill(struct txn_commit *state,
                        const struct kafka_txn_offset_commit_request *asked)
{
    struct kafka_request *request = state->request;
    struct kafka_txn_offset_commit_response *response = &state->response;
    size_t count = 0;
    for (size_t i = 0; i < asked->topics_count; i++)
        count += asked->topics[i].partitions_count;
    state->codes = kafka_request_alloc(request, count, sizeof(*state->codes));
    if (!state->codes)
        return false;
    state->commit.offsets = kafka_request_alloc(request, count, sizeof(*state->commit.offsets));
    if (!state->commit.offsets)
        return false;
    response->topics = kafka_request_alloc(request, asked->topics_count, sizeof(*response->topics));
    if (!response->topics)
        return false;
    response->topics_count = asked->topics_count;
    for (size_t i = 0; i < asked->topics_count; i++)
        if (!topic_fill(state, &asked->topics[i], &response->topics[i]))
            return false;
    return true;
}

void kafka_transaction_commit_handle(struct kafka_request *request)
{
    struct kafka_txn_offset_commit_request asked;
    struct txn_commit *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, txn_offset_commit, &asked))
        return;
    state->request = request;
    kafka_txn_offset_commit_response_init(&state->response);
    broker_transaction_place_of_group(request->core, asked.group_id, &state->place);
    state->add = (struct transaction_add){.of = {.call.done = added,
                                                 .id = asked.transactional_id,
                                                 .producer_id = asked.producer_id,
                                                 .epoch = asked.producer_epoch},
                                          .verify_only = request->version < ADDING_VERSION,
                                          .places = &state->place,
                                          .place_count = 1};
    state->commit = (struct group_commit){.call.done = committed,
                                          .group_id = asked.group_id,
                                          .member_id = kafka_group_text(asked.member_id),
                                          .instance_id = asked.group_instance_id,
                                          .generation = asked.generation_id,
                                          .knows_epochs = true,
                                          .retention_ms = -1,
                                          .transactional_id = asked.transactional_id,
                                          .producer_id = asked.producer_id,
                                          .producer_epoch = asked.producer_epoch};
    if (!topics_fill(state, &asked))
        return;
    if (asked.group_id.size == 0)
        txn_commit_answer_all(state, KAFKA_INVALID_GROUP_ID);
    else if (state->commit.offset_count > 0)
        broker_transaction_add(request->core, &state->add);
    else
        kafka_request_answer(request, txn_offset_commit, &state->response);
}

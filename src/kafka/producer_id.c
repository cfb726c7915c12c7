// InitProducerId: ids for idempotent producers, and the claim of a transactional id.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_init_producer_id.h"

#include "broker/transaction.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/transaction.h"

/* PRODUCER_FENCED is known from this version on. */
#define FENCE_KNOWN_VERSION 4

struct producer_id {
    struct broker_producer_id call;
    struct kafka_request *request;
};

struct claim {
    struct transaction_init init;
    struct kafka_request *request;
};

static void producer_id_answer(struct kafka_request *request, int16_t code, int64_t id,
                               int16_t epoch)
{
    struct kafka_init_producer_id_response response;
    kafka_init_producer_id_response_init(&response);
    response.error_code = code;
    response.producer_id = code ? -1 : id;
    response.producer_epoch = code ? -1 : epoch;
    kafka_request_answer(request, init_producer_id, &response);
}

static void producer_id_done(struct broker_call *call)
{
    const struct producer_id *state = CONTAINER_OF(call, struct producer_id, call.call);
    producer_id_answer(state->request, kafka_error_of(call->err), state->call.producer_id,
                       state->call.epoch);
}

static void claim_done(struct broker_call *call)
{
    const struct claim *state = CONTAINER_OF(call, struct claim, init.of.call);
    struct kafka_request *request = state->request;
    producer_id_answer(request,
                       kafka_transaction_error(call->err, request->version >= FENCE_KNOWN_VERSION),
                       state->init.of.producer_id, state->init.of.epoch);
}

static void claim_start(struct kafka_request *request,
                        const struct kafka_init_producer_id_request *asked)
{
    struct claim *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state)
        return;
    state->request = request;
    state->init = (struct transaction_init){.of = {.call.done = claim_done,
                                                   .id = asked->transactional_id,
                                                   .producer_id = asked->producer_id,
                                                   .epoch = asked->producer_epoch},
                                            .timeout_ms = asked->transaction_timeout_ms};
    broker_transaction_init(request->core, &state->init);
}

void kafka_producer_id_handle(struct kafka_request *request)
{
    struct kafka_init_producer_id_request asked;
    if (!kafka_request_decode(request, init_producer_id, &asked))
        return;
    bool has_id = asked.producer_id != -1, has_epoch = asked.producer_epoch != -1;
    if (has_id != has_epoch || (asked.transactional_id.data && asked.transactional_id.size == 0)) {
        producer_id_answer(request, KAFKA_INVALID_REQUEST, -1, -1);
        return;
    }
    if (asked.transactional_id.data) {
        claim_start(request, &asked);
        return;
    }
    struct producer_id *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state)
        return;
    state->request = request;
    state->call.call.done = producer_id_done;
    broker_producer_id_get(request->core, &state->call);
}

// InitProducerId: ids for idempotent producers.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_init_producer_id.h"

#include "kafka/error.h"
#include "kafka/handlers.h"

struct producer_id {
    struct broker_producer_id call;
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

void kafka_producer_id_handle(struct kafka_request *request)
{
    struct kafka_init_producer_id_request asked;
    struct producer_id *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, init_producer_id, &asked))
        return;
    bool has_id = asked.producer_id != -1, has_epoch = asked.producer_epoch != -1;
    if (has_id != has_epoch || (asked.transactional_id.data && asked.transactional_id.size == 0)) {
        producer_id_answer(request, KAFKA_INVALID_REQUEST, -1, -1);
        return;
    }
    if (asked.transactional_id.data) {
        /* There are no transactions; clients take this as final and say it in words. */
        producer_id_answer(request, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1, -1);
        return;
    }
    state->request = request;
    state->call.call.done = producer_id_done;
    broker_producer_id_get(request->core, &state->call);
}

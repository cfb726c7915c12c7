// Keeps a producer's batches in order while its transaction is verified for their partition.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/gate.h"

#include <stdlib.h>

#include "base/endian.h"
#include "kafka/state.h"

#define GATE_KEY_SIZE (8 + sizeof(struct broker_partition *))

struct gate_question {
    struct transaction_add add;
    struct transaction_place place;
    struct kafka_gate *gate;
};

/* One a producer and partition, while appends of it are under way or wait. */
struct kafka_gate {
    struct core *core;
    struct slice key;
    uint8_t key_bytes[GATE_KEY_SIZE];
    size_t appends;   /* under way and waiting */
    size_t under_way; /* at the log */
    uint64_t arrivals;
    struct list waiting;            /* of kafka_gate_append.node, in order of arrival */
    bool is_shut;                   /* one was refused */
    struct gate_question *question; /* at the coordinator */
};

static void gate_look(struct kafka_gate *gate);

static struct kafka_gate *gate_get(struct core *core, const struct kafka_gate_append *append)
{
    struct map *gates = &kafka_core(core)->gates;
    const struct broker_partition *partition =
        broker_partition_at(append->topic, append->partition);
    uint8_t bytes[GATE_KEY_SIZE];
    be64_put(bytes, (uint64_t)append->producer_id);
    memcpy(bytes + 8, &partition, sizeof(partition));
    struct kafka_gate *gate = map_get(gates, slice_make(bytes, sizeof(bytes)));
    if (gate)
        return gate;
    gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    gate->core = core;
    memcpy(gate->key_bytes, bytes, sizeof(bytes));
    gate->key = slice_make(gate->key_bytes, sizeof(gate->key_bytes));
    list_init(&gate->waiting);
    if (!map_put(gates, gate->key, gate, NULL)) {
        free(gate);
        return NULL;
    }
    return gate;
}

static void gate_end(struct kafka_gate_append *append)
{
    struct kafka_gate *gate = append->gate;
    broker_topic_unref(append->topic);
    if (--gate->appends == 0) {
        CHECK(list_empty(&gate->waiting) && !gate->question && gate->under_way == 0);
        map_remove(&kafka_core(gate->core)->gates, gate->key);
        free(gate);
    }
    append->done(&append->append.call);
}

static void gate_wait(struct kafka_gate_append *append)
{
    struct list *waiting = &append->gate->waiting;
    struct list *at = waiting;
    while (at->prev != waiting &&
           LIST_ENTRY(at->prev, struct kafka_gate_append, node)->arrival > append->arrival)
        at = at->prev;
    list_insert_before(at, &append->node);
}

static void append_done(struct broker_call *call)
{
    struct kafka_gate_append *append = CONTAINER_OF(call, struct kafka_gate_append, append.call);
    struct kafka_gate *gate = append->gate;
    gate->under_way--;
    if (call->err == ERR_UNVERIFIED) {
        append->is_judged = true;
        gate->is_shut = true;
        gate_wait(append);
        gate_look(gate);
        return;
    }
    gate->appends++; /* it stays for the look */
    gate_end(append);
    gate_look(gate);
    if (--gate->appends > 0)
        return;
    map_remove(&kafka_core(gate->core)->gates, gate->key);
    free(gate);
}

static void append_send(struct kafka_gate_append *append, bool is_verified)
{
    struct kafka_gate *gate = append->gate;
    gate->under_way++;
    append->append.call.done = append_done;
    append->append.is_verified = is_verified;
    append->is_judged = false;
    broker_append(gate->core, append->topic, append->partition, &append->append);
}

bool kafka_gate_append(struct core *core, struct kafka_gate_append *append)
{
    struct kafka_gate *gate = gate_get(core, append);
    if (!gate)
        return false;
    append->gate = gate;
    append->arrival = gate->arrivals++;
    append->is_judged = false;
    list_init(&append->node);
    broker_topic_ref(append->topic);
    gate->appends++;
    if (gate->is_shut)
        gate_wait(append);
    else
        append_send(append, false);
    return true;
}

/* --- the question --- */

/* Those that asked the same get the same; what came behind them is tried. */
static void gate_answer(struct kafka_gate *gate, enum err err, int16_t epoch)
{
    struct list all;
    struct list *node;
    list_init(&all);
    list_splice_back(&all, &gate->waiting);
    gate->is_shut = false;
    gate->appends++; /* it stays until all are sent */
    while ((node = list_pop_front(&all)) != NULL) {
        struct kafka_gate_append *append = LIST_ENTRY(node, struct kafka_gate_append, node);
        bool is_asked = append->is_judged && append->epoch == epoch;
        if (is_asked && err) {
            append->append.call.err = err;
            gate_end(append);
        } else {
            append_send(append, is_asked);
        }
    }
    if (--gate->appends > 0)
        return;
    map_remove(&kafka_core(gate->core)->gates, gate->key);
    free(gate);
}

static void question_done(struct broker_call *call)
{
    struct gate_question *question = CONTAINER_OF(call, struct gate_question, add.of.call);
    struct kafka_gate *gate = question->gate;
    enum err err = call->err ? call->err : question->place.err;
    /* The coordinator's words for what the log calls by another name. */
    if (err == ERR_INVALID)
        err = ERR_PRODUCER_MAPPING;
    int16_t epoch = question->add.of.epoch;
    gate->question = NULL;
    free(question);
    gate_answer(gate, err, epoch);
}

/* All that was sent before is back, so that nothing can overtake. */
static void gate_look(struct kafka_gate *gate)
{
    if (!gate->is_shut || gate->question || gate->under_way > 0)
        return;
    struct kafka_gate_append *first =
        LIST_ENTRY(list_first(&gate->waiting), struct kafka_gate_append, node);
    struct gate_question *question = calloc(1, sizeof(*question));
    if (!question) {
        gate_answer(gate, ERR_NO_MEMORY, first->epoch);
        return;
    }
    question->gate = gate;
    question->place =
        (struct transaction_place){.topic = first->topic->name, .partition = first->partition};
    question->add = (struct transaction_add){.of = {.call.done = question_done,
                                                    .id = first->transactional_id,
                                                    .producer_id = first->producer_id,
                                                    .epoch = first->epoch},
                                             .verify_only = !first->is_adding,
                                             .places = &question->place,
                                             .place_count = 1};
    gate->question = question;
    broker_transaction_add(gate->core, &question->add);
}

void kafka_gate_close(struct map *gates)
{
    size_t position = 0;
    struct kafka_gate *gate;
    while ((gate = map_next(gates, &position)) != NULL) {
        map_remove(gates, gate->key);
        free(gate->question);
        free(gate);
    }
    map_deinit(gates);
}

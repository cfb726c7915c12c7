// Transactions across partitions: who may write in one, how it ends, what administrators see.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"

/* KIP-98, 360, 447, 890. Calls go to the coordinator's core and are answered there in order. A call
 * that comes while an earlier step is on its way to the log, or while markers are being written,
 * waits for up to TRANSACTION_WAIT_MS and then gets ERR_CONCURRENT. Slices must stay valid until
 * done. Errors of every call, beyond those named: LOADING, NO_MEMORY, BUSY, CLOSED, INVALID (the id
 * is empty or longer than TRANSACTION_ID_SIZE_MAX) and what an append can give. */
#define TRANSACTION_ID_SIZE_MAX 32767
#define TRANSACTION_WAIT_MS     1000

/* What every call of a producer begins with. */
struct transaction_call {
    struct broker_call call;
    struct slice id;
    int64_t producer_id;
    int16_t epoch;
    /* the broker's */
    bool is_add;
    int64_t deadline_ms; /* while it waits */
    int64_t id_new;      /* a producer id to be taken, or -1 */
    struct broker_producer_id id_asked;
};

/* Gives the transactional id to whoever asks: older holders are fenced, what they left open is
 * aborted first. producer_id and epoch: what the caller had, or -1; out: what it has now. err:
 * TXN_TIMEOUT, FENCED, CONCURRENT. */
struct transaction_init {
    struct transaction_call of;
    int32_t timeout_ms;
};
void broker_transaction_init(struct core *core, struct transaction_init *init);

struct transaction_place {
    struct slice topic;
    int32_t partition;
    enum err err; /* out */
};
/* Adds partitions, done when that is durable; or (verify_only) says of each whether it has been
 * added: TXN_ABORTABLE if not. err: PRODUCER_MAPPING, FENCED, CONCURRENT. */
struct transaction_add {
    struct transaction_call of;
    bool verify_only;
    struct transaction_place *places;
    size_t place_count;
};
void broker_transaction_add(struct core *core, struct transaction_add *add);
/* The partition that takes the offsets of a group. */
void broker_transaction_place_of_group(struct core *core, struct slice group_id,
                                       struct transaction_place *out);

/* Decides; done when the decision is durable, the markers follow. bump: the producer gets the next
 * epoch (KIP-890), out in producer_id and epoch. err: PRODUCER_MAPPING, FENCED, CONCURRENT,
 * TXN_STATE. */
struct transaction_end {
    struct transaction_call of;
    bool commit;
    bool bump;
};
void broker_transaction_end(struct core *core, struct transaction_end *end);

/* A marker that did not come from the coordinator is durable in a partition of the groups' topic:
 * offsets promised in it count now, or never. err: LOADING (the marker is to be written again). */
struct transaction_settle {
    struct broker_call call;
    int32_t partition;
    int64_t producer_id;
    bool commit;
};
void broker_transaction_settle(struct core *core, struct transaction_settle *settle);

/* --- For administrators --- */
/* The results lie in arena, which the caller inits before and deinits after. err: NOT_FOUND. */
struct transaction_describe {
    struct transaction_call of; /* producer_id and epoch are out */
    struct arena arena;
    const char *state; /* out: Kafka's name */
    int32_t timeout_ms;
    int64_t start_ms; /* -1: none is open */
    struct transaction_place *places;
    size_t place_count;
};
void broker_transaction_describe(struct core *core, struct transaction_describe *describe);

struct transaction_listed {
    struct slice id;
    int64_t producer_id;
    int64_t start_ms; /* -1: none is open */
    const char *state;
};
struct transaction_list {
    struct broker_call call;
    struct arena arena;
    struct transaction_listed *transactions; /* out */
    size_t count;
    int64_t now_ms; /* out: of the wall clock, for durations */
};
void broker_transaction_list(struct core *core, struct transaction_list *list);
/* Whether there is a state of this name. */
bool broker_transaction_state_is(struct slice name);

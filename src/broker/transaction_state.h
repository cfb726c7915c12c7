// The state machine of one transactional id: pure, time handed in, what is to be written out.
// SPDX-License-Identifier: Apache-2.0
//
// Empty -> Ongoing -> PrepareCommit -> CompleteCommit -> Ongoing ..., the same with Abort;
// PrepareAbort also straight from Empty and Complete (KIP-890: an abort without anything in it).
// Any move is first made durable as `next`, then takes force.
#pragma once

#include "base/budget.h"
#include "base/map.h"
#include "broker/transaction.h"

/* Beyond this no epoch is given to a producer; the last one is for fencing. */
#define TRANSACTION_EPOCH_LAST 32766

/* With Kafka's numbers: they stand in the log. */
enum transaction_state {
    TRANSACTION_EMPTY,
    TRANSACTION_ONGOING,
    TRANSACTION_PREPARE_COMMIT,
    TRANSACTION_PREPARE_ABORT,
    TRANSACTION_COMPLETE_COMMIT,
    TRANSACTION_COMPLETE_ABORT,
    TRANSACTION_DEAD,
    TRANSACTION_PREPARE_EPOCH_FENCE, /* only named: fencing is a PrepareAbort with a newer epoch */
    TRANSACTION_STATE_COUNT
};

struct transaction_value {
    int64_t producer_id;
    int64_t producer_id_previous; /* -1: none */
    int64_t producer_id_next;     /* -1: none; takes over when the markers are written */
    int16_t epoch;                /* -1: never given out */
    int16_t epoch_last;           /* -1: none; what the producer had before, for its retries */
    int32_t timeout_ms;
    enum transaction_state state;
    int64_t start_ms; /* wall clock; -1: none */
    int64_t update_ms;
    int16_t version; /* 2: the producer's epoch grew with the decision (KIP-890), else 0 */
};

/* A partition of the transaction. */
struct transaction_part {
    struct list node;
    struct slice key; /* partition (4 bytes), then the topic's name; bytes follow */
    bool is_new;      /* not durable yet */
    void *marker;     /* under way: the owner's */
    size_t size;
};

struct transaction {
    struct slice id; /* own block */
    struct transaction_value now;
    struct transaction_value next; /* while is_moving */
    bool is_moving;
    struct map by_key;
    struct list parts;
    struct budget *budget;
};

/* What follows from a call. */
enum transaction_step {
    TRANSACTION_STAY,    /* it is answered with the error, or with what is */
    TRANSACTION_MOVE,    /* next is to be written, applied, and then the call answered */
    TRANSACTION_FENCE,   /* the same, then the call is looked at again when all is complete */
    TRANSACTION_WANT_ID, /* it comes again with a new producer id */
};

/* ERR_NO_MEMORY. id is copied; now has no epoch yet. */
NODISCARD enum err broker_transaction_state_init(struct transaction *transaction, struct slice id,
                                                 struct budget *budget, uint64_t seed);
void broker_transaction_state_deinit(struct transaction *transaction);
/* As if nobody had ever had it. */
void broker_transaction_state_reset(struct transaction *transaction);

/* The steps of calls; not while it moves (adds may follow adds) or is being completed. */
NODISCARD enum err broker_transaction_state_claim(struct transaction *transaction,
                                                  const struct transaction_init *init,
                                                  int64_t now_ms, enum transaction_step *out);
NODISCARD enum err broker_transaction_state_add(struct transaction *transaction,
                                                const struct transaction_add *add, int64_t now_ms,
                                                enum transaction_step *out);
NODISCARD enum err broker_transaction_state_end(struct transaction *transaction,
                                                const struct transaction_end *end, int64_t now_ms,
                                                enum transaction_step *out);
/* Ongoing for too long: it moves to PrepareAbort, with a newer epoch. */
void broker_transaction_state_expire(struct transaction *transaction, int64_t now_ms);
/* All markers are written. In force at once: what is durable says the same after a restart. */
void broker_transaction_state_complete(struct transaction *transaction, int64_t now_ms);
/* next has become durable, or will not. */
void broker_transaction_state_apply(struct transaction *transaction);
void broker_transaction_state_forget(struct transaction *transaction);
/* What the producer of a decision is told. */
void broker_transaction_state_told(const struct transaction *transaction,
                                   struct transaction_call *out);

bool broker_transaction_state_is_allowed(enum transaction_state from, enum transaction_state to);
bool broker_transaction_state_is_prepared(const struct transaction *transaction);
/* Nothing is open: it may be forgotten when it is old. */
bool broker_transaction_state_is_over(const struct transaction *transaction);
const char *broker_transaction_state_name(enum transaction_state state);

/* --- its partitions --- */
struct transaction_part *broker_transaction_part_find(const struct transaction *transaction,
                                                      struct slice topic, int32_t partition);
/* The one that is there, or a new one; NULL: out of memory or budget. */
struct transaction_part *broker_transaction_part_get(struct transaction *transaction,
                                                     struct slice topic, int32_t partition);
void broker_transaction_part_remove(struct transaction *transaction, struct transaction_part *part);
void broker_transaction_part_remove_all(struct transaction *transaction);
int32_t broker_transaction_part_partition(const struct transaction_part *part);
struct slice broker_transaction_part_topic(const struct transaction_part *part);

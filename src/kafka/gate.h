// Keeps a producer's batches in order while its transaction is verified for their partition.
// SPDX-License-Identifier: Apache-2.0
//
// The first batch of a transaction in a partition is refused until the coordinator says that the
// partition belongs to it (KIP-890). Batches that follow wait behind it, or they would be refused
// as out of order.
#pragma once

#include "broker/transaction.h"
#include "kafka/request.h"

/* An append of a transactional batch. All but append is the gate's after kafka_gate_append; slices
 * stay valid until done. */
struct kafka_gate_append {
    struct broker_append append; /* batch set; done is not used */
    struct slice transactional_id;
    int64_t producer_id; /* as its header says */
    int16_t epoch;
    const struct broker_topic *topic;
    int32_t partition;
    bool is_adding; /* the partition joins the transaction with its first batch */
    void (*done)(struct broker_call *call); /* of append, as broker_append's */
    /* the gate's */
    struct kafka_gate *gate;
    struct list node; /* while it waits */
    uint64_t arrival;
    bool is_judged; /* it was refused, its verification decides */
};

/* False: out of memory, done is not called. */
NODISCARD bool kafka_gate_append(struct core *core, struct kafka_gate_append *append);
/* When the reactor has stopped. */
void kafka_gate_close(struct map *gates);

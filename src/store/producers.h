// What a log remembers of idempotent producers: epoch and the last five batches each (KIP-98).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/map.h"
#include "store/store.h"

#define PRODUCERS_BATCH_COUNT 5

struct producers_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t timestamp_ms;
    int32_t sequence_first;
    int32_t sequence_last;
};

struct producers_entry {
    struct list node; /* by last use, oldest first */
    int64_t producer_id;
    int64_t last_use_ms;       /* wall clock */
    int64_t marker_offset;     /* of its last transaction marker; -1: none since the start */
    int32_t coordinator_epoch; /* of that marker; -1: none */
    int16_t epoch;
    uint8_t batch_count;
    struct producers_batch batches[PRODUCERS_BATCH_COUNT]; /* oldest first */
    int64_t epoch_offset;                                  /* where this epoch began */
    bool has_left;      /* the batch before those above, of this epoch or another: what */
    int16_t left_epoch; /* counts again when they are not there after all */
    struct producers_batch left;
};

struct producers_known {
    struct map by_id;
    struct list by_use; /* producers_entry */
};

/* Pure state; belongs to its log. */
struct producers {
    uint64_t seed;
    struct producers_known *known; /* NULL: nobody; most logs stay so */
    struct budget *budget;         /* what they take is charged; NULL: nobody counts */
};

void producers_init(struct producers *producers, uint64_t seed);
void producers_deinit(struct producers *producers);
/* OK: may be appended. ERR_DUPLICATE: *out_batch is the original. ERR_SEQUENCE (45), ERR_FENCED
 * (47). Batches without a producer id are always OK. Sequences wrap from INT32_MAX to 0. A new
 * epoch must start at 0, also behind a marker that brought it; of an unknown producer any sequence
 * is accepted. */
NODISCARD enum err producers_check(const struct producers *producers,
                                   const struct batch_header *header,
                                   struct producers_batch *out_batch);
/* May one more producer be known? ERR_BUSY: the budget is used up. */
NODISCARD enum err producers_check_room(const struct producers *producers, int64_t producer_id);
/* May a transaction marker be appended? Its producer's epoch may be the same or newer: ERR_FENCED;
 * so may the coordinator's: ERR_COORDINATOR_FENCED. */
NODISCARD enum err producers_check_marker(const struct producers *producers,
                                          const struct batch_header *header,
                                          int32_t coordinator_epoch);
/* The batch was appended at header->base_offset. Also used in replay. */
NODISCARD enum err producers_add(struct producers *producers, const struct batch_header *header,
                                 int64_t now_ms);
/* The marker was. A newer epoch begins with sequence 0. */
NODISCARD enum err producers_add_marker(struct producers *producers,
                                        const struct batch_header *header,
                                        int32_t coordinator_epoch, int64_t now_ms);
/* Offset of the producer's last marker, or -1. */
int64_t producers_marker_offset(const struct producers *producers, int64_t producer_id);
/* Forgets who was not seen since before_ms, but nobody whose transaction is open. */
struct transactions;
void producers_expire(struct producers *producers, const struct transactions *transactions,
                      int64_t before_ms);
/* Forgets batches at and after offset: what is known is as it was before, or the producer unknown.
 */
void producers_truncate(struct producers *producers, int64_t offset);
/* Snapshot of everything below offset_limit: bytes appended to a growing text; and back. */
struct text;
NODISCARD enum err producers_encode(const struct producers *producers, int64_t offset_limit,
                                    struct text *out);
NODISCARD enum err producers_decode(struct producers *producers, struct slice bytes,
                                    int64_t now_ms);

// What a log remembers of idempotent producers: epoch and the last five batches each (KIP-98).
// SPDX-License-Identifier: Apache-2.0
#pragma once

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
    int64_t last_use_ms; /* wall clock */
    int16_t epoch;
    uint8_t batch_count;
    struct producers_batch batches[PRODUCERS_BATCH_COUNT]; /* oldest first */
};

/* Pure state; belongs to its log. */
struct producers {
    struct map by_id;
    struct list by_use;
};

void producers_init(struct producers *producers, uint64_t seed);
void producers_deinit(struct producers *producers);
/* OK: may be appended. ERR_DUPLICATE: *out_batch is the original. ERR_SEQUENCE (45), ERR_FENCED
 * (47). Batches without a producer id are always OK. Sequences wrap from INT32_MAX to 0. A new
 * epoch must start at 0; without state any sequence is accepted. */
NODISCARD enum err producers_check(const struct producers *producers,
                                   const struct batch_header *header,
                                   struct producers_batch *out_batch);
/* The batch was appended at header->base_offset. Also used in replay. */
NODISCARD enum err producers_add(struct producers *producers, const struct batch_header *header,
                                 int64_t now_ms);
/* Forgets who was not seen since before_ms. */
void producers_expire(struct producers *producers, int64_t before_ms);
/* Forgets batches at and after offset (truncation). */
void producers_truncate(struct producers *producers, int64_t offset);
/* Snapshot of everything below offset_limit: bytes appended to a growing text; and back. */
struct text;
NODISCARD enum err producers_encode(const struct producers *producers, int64_t offset_limit,
                                    struct text *out);
NODISCARD enum err producers_decode(struct producers *producers, struct slice bytes,
                                    int64_t now_ms);

// The aborted transactions of a log: which records of which producer readers must leave out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

/* One aborted transaction (KIP-98). */
struct aborted_entry {
    int64_t producer_id;
    int64_t first_offset; /* of its first record */
    int64_t last_offset;  /* of its marker */
    int64_t stable; /* last stable offset once it had ended: later ones begin at or after it */
};

/* By last_offset, rising; stable never falls. Pure state; belongs to its log. */
struct aborted {
    struct aborted_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

void aborted_init(struct aborted *aborted);
void aborted_deinit(struct aborted *aborted);
/* Room for count more, so that as many aborted_add cannot fail. ERR_NO_MEMORY, ERR_LIMIT. */
NODISCARD enum err aborted_reserve(struct aborted *aborted, uint32_t count);
/* There is room; last_offset is beyond all others. */
void aborted_add(struct aborted *aborted, const struct aborted_entry *entry);
/* Index of the first with last_offset >= offset; count: none. */
uint32_t aborted_find(const struct aborted *aborted, int64_t offset);
/* Whether the entry may have records in [from, to); *out_is_last: nor has any behind it. */
bool aborted_touches(const struct aborted_entry *entry, int64_t to, bool *out_is_last);
/* Forgets the first count entries; what was reserved stays. */
void aborted_drop(struct aborted *aborted, uint32_t count);
/* Bytes of the entries [from, to), about ten each; and back, behind those that are there.
 * ERR_NO_MEMORY, ERR_CORRUPT. */
struct text;
NODISCARD enum err aborted_encode(const struct aborted *aborted, uint32_t from, uint32_t to,
                                  struct text *out);
NODISCARD enum err aborted_decode(struct aborted *aborted, struct slice bytes);

// The newest offset of each key of a log's dirty part, in memory whose size is fixed beforehand.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/slice.h"

/* A key is known by 128 bits of a keyed hash, and never looked at again. Two halves of SipHash-2-4
 * under four random words that are drawn anew for each cleaning: nobody can choose keys that meet,
 * as they can with the MD5 of Apache Kafka, and by chance two of 2^28 keys meet once in 2^72
 * cleanings. A slot has 24 bytes, as there. */
struct compact_keys {
    struct compact_slot *slots;
    uint64_t capacity;
    uint64_t count;
    uint64_t count_max;
    uint64_t hash_keys[4];
    struct budget *budget;
    size_t charged_bytes;
};

#define COMPACT_KEYS_BYTES_MIN ((size_t)64 << 10)

/* Room for wanted keys, but no more than size_max_bytes; with less when the budget has not as much.
 * False: not even COMPACT_KEYS_BYTES_MIN are to be had now. */
NODISCARD bool compact_keys_init(struct compact_keys *keys, struct budget *budget, uint64_t wanted,
                                 size_t size_max_bytes);
void compact_keys_deinit(struct compact_keys *keys);
/* The offset is the key's newest; offsets come in rising order. False: there is no room. */
NODISCARD bool compact_keys_put(struct compact_keys *keys, struct slice key, int64_t offset);
/* -1: not known. */
int64_t compact_keys_get(const struct compact_keys *keys, struct slice key);

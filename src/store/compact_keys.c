// The newest offset of each key: one table with linear probing, four fifths full at most.
// SPDX-License-Identifier: Apache-2.0
#include "store/compact_keys.h"

#include <stdlib.h>

#include "base/hash.h"

struct compact_slot {
    uint64_t high;
    uint64_t low;
    int64_t place; /* offset + 1; 0: free */
};

bool compact_keys_init(struct compact_keys *keys, struct budget *budget, uint64_t wanted,
                       size_t size_max_bytes)
{
    uint64_t slots_max = size_max_bytes / sizeof(struct compact_slot);
    size_t size = MIN(wanted + wanted / 4 + 16, slots_max) * sizeof(struct compact_slot);
    size_t size_min = MIN(size, COMPACT_KEYS_BYTES_MIN);
    while (!budget_charge(budget, size)) {
        if (size / 2 < size_min)
            return false;
        size /= 2;
    }
    keys->budget = budget;
    keys->charged_bytes = size;
    keys->capacity = size / sizeof(struct compact_slot);
    keys->count_max = keys->capacity / 5 * 4;
    keys->count = 0;
    keys->slots = calloc(keys->capacity, sizeof(struct compact_slot));
    if (keys->slots && keys->count_max > 0)
        return true;
    compact_keys_deinit(keys);
    return false;
}

void compact_keys_deinit(struct compact_keys *keys)
{
    free(keys->slots);
    keys->slots = NULL;
    if (keys->budget)
        budget_release(keys->budget, keys->charged_bytes);
    keys->budget = NULL;
}

/* The key's slot, or the free one where it belongs. */
static struct compact_slot *slot_of(const struct compact_keys *keys, struct slice key,
                                    struct compact_slot *out_hash)
{
    out_hash->high = hash_siphash(keys->hash_keys, key);
    out_hash->low = hash_siphash(keys->hash_keys + 2, key);
    uint64_t at = (uint64_t)((unsigned __int128)out_hash->high * keys->capacity >> 64);
    for (;;) {
        struct compact_slot *slot = &keys->slots[at];
        if (slot->place == 0 || (slot->high == out_hash->high && slot->low == out_hash->low))
            return slot;
        at = at + 1 == keys->capacity ? 0 : at + 1;
    }
}

bool compact_keys_put(struct compact_keys *keys, struct slice key, int64_t offset)
{
    struct compact_slot hash;
    struct compact_slot *slot = slot_of(keys, key, &hash);
    if (slot->place == 0) {
        if (keys->count == keys->count_max)
            return false;
        keys->count++;
    }
    hash.place = offset + 1;
    *slot = hash;
    return true;
}

int64_t compact_keys_get(const struct compact_keys *keys, struct slice key)
{
    struct compact_slot hash;
    return slot_of(keys, key, &hash)->place - 1;
}

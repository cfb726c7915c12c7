// Hash maps: from bytes to a pointer and from a number to a pointer.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

struct map_slot;

/* Open addressing, grows by doubling, keys hashed with a seed of its own (SipHash for bytes), so
 * that outside data cannot force collisions. Keys are borrowed: they must live as long as their
 * entry, usually inside the value. Belongs to one core. */
struct map {
    struct map_slot *slots;
    size_t capacity;
    size_t count;
    size_t used; /* with tombstones */
    uint64_t seed[2];
};

void map_init(struct map *map, uint64_t seed);
void map_deinit(struct map *map);
void *map_get(const struct map *map, struct slice key);
/* Adds or replaces; *out_old (may be NULL) gets the replaced value. False: out of memory. */
NODISCARD bool map_put(struct map *map, struct slice key, void *value, void **out_old);
/* The removed value or NULL. */
void *map_remove(struct map *map, struct slice key);
/* Numbers as keys; one map must not mix both kinds. */
void *map_get_u64(const struct map *map, uint64_t key);
NODISCARD bool map_put_u64(struct map *map, uint64_t key, void *value, void **out_old);
void *map_remove_u64(struct map *map, uint64_t key);
/* Next value at or after *position in no order; NULL at the end. Start with 0. Removing the value
 * just returned is allowed. */
void *map_next(const struct map *map, size_t *position);

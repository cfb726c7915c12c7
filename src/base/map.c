// The hash map: linear probing, tombstones that vanish when nothing follows them.
// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <stdlib.h>

#include "base/hash.h"

#define MAP_CAPACITY_MIN 16

/* value NULL: free; the tombstone's address: removed, but a probe goes on behind it. */
struct map_slot {
    uint64_t hash;
    union {
        struct slice bytes;
        uint64_t number;
    } key;
    void *value;
};

/* A key to look for, of either kind. */
struct map_key {
    uint64_t hash;
    struct slice bytes;
    uint64_t number;
    bool is_number;
};

static const char tombstone_mark;
#define TOMBSTONE ((void *)(uintptr_t)&tombstone_mark)

static bool slot_is_live(const struct map_slot *slot)
{
    return slot->value != NULL && slot->value != TOMBSTONE;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t split_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static struct map_key key_of_bytes(const struct map *map, struct slice bytes)
{
    return (struct map_key){.hash = hash_siphash(map->seed, bytes), .bytes = bytes};
}

static struct map_key key_of_number(const struct map *map, uint64_t number)
{
    uint64_t hash = mix(number ^ map->seed[0], 0x9e3779b97f4a7c15u);
    hash = mix(hash ^ map->seed[1], 0xd6e8feb86659fd93u);
    return (struct map_key){.hash = hash, .number = number, .is_number = true};
}

static bool key_matches(const struct map_slot *slot, const struct map_key *key)
{
    if (slot->hash != key->hash)
        return false;
    return key->is_number ? slot->key.number == key->number
                          : slice_equal(slot->key.bytes, key->bytes);
}

static struct map_slot *find(const struct map *map, const struct map_key *key)
{
    if (map->count == 0)
        return NULL;
    size_t mask = map->capacity - 1;
    for (size_t i = key->hash & mask;; i = (i + 1) & mask) {
        struct map_slot *slot = &map->slots[i];
        if (slot->value == NULL)
            return NULL;
        if (slot->value != TOMBSTONE && key_matches(slot, key))
            return slot;
    }
}

static struct map_slot *free_slot(struct map_slot *slots, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i].value != NULL && slots[i].value != TOMBSTONE)
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

/* Rebuilds without tombstones, with at least twice the room that is needed. */
static bool rebuild(struct map *map)
{
    size_t capacity = MAP_CAPACITY_MIN;
    while (capacity / 2 < map->count + 1) {
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity))
            return false;
    }
    struct map_slot *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < map->capacity; i++) {
        if (slot_is_live(&map->slots[i]))
            *free_slot(slots, capacity, map->slots[i].hash) = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    map->used = map->count;
    return true;
}

static bool put(struct map *map, const struct map_key *key, void *value, void **out_old)
{
    CHECK(value != NULL);
    struct map_slot *slot = find(map, key);
    void *old = slot ? slot->value : NULL;
    if (!slot) {
        if (map->used + 1 > map->capacity - map->capacity / 4 && !rebuild(map))
            return false;
        slot = free_slot(map->slots, map->capacity, key->hash);
        map->used += slot->value == NULL;
        map->count++;
    }
    slot->hash = key->hash;
    slot->value = value;
    if (key->is_number)
        slot->key.number = key->number;
    else
        slot->key.bytes = key->bytes;
    if (out_old)
        *out_old = old;
    return true;
}

static void *take(struct map *map, const struct map_key *key)
{
    struct map_slot *slot = find(map, key);
    if (!slot)
        return NULL;
    void *value = slot->value;
    size_t mask = map->capacity - 1;
    size_t i = (size_t)(slot - map->slots);
    slot->value = TOMBSTONE;
    map->count--;
    if (map->slots[(i + 1) & mask].value != NULL)
        return value;
    /* no probe goes on behind a free slot, so neither this tombstone nor those before it matter */
    while (map->slots[i].value == TOMBSTONE) {
        map->slots[i].value = NULL;
        map->used--;
        i = (i - 1) & mask;
    }
    return value;
}

void map_init(struct map *map, uint64_t seed)
{
    *map = (struct map){
        .seed = {split_mix(seed + 0x9e3779b97f4a7c15u), split_mix(seed + 0x3c6ef372fe94f82au)}};
}

void map_deinit(struct map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->capacity = map->count = map->used = 0;
}

void *map_get(const struct map *map, struct slice key)
{
    struct map_key wanted = key_of_bytes(map, key);
    struct map_slot *slot = find(map, &wanted);
    return slot ? slot->value : NULL;
}

bool map_put(struct map *map, struct slice key, void *value, void **out_old)
{
    struct map_key wanted = key_of_bytes(map, key);
    return put(map, &wanted, value, out_old);
}

void *map_remove(struct map *map, struct slice key)
{
    struct map_key wanted = key_of_bytes(map, key);
    return take(map, &wanted);
}

void *map_get_u64(const struct map *map, uint64_t key)
{
    struct map_key wanted = key_of_number(map, key);
    struct map_slot *slot = find(map, &wanted);
    return slot ? slot->value : NULL;
}

bool map_put_u64(struct map *map, uint64_t key, void *value, void **out_old)
{
    struct map_key wanted = key_of_number(map, key);
    return put(map, &wanted, value, out_old);
}

void *map_remove_u64(struct map *map, uint64_t key)
{
    struct map_key wanted = key_of_number(map, key);
    return take(map, &wanted);
}

void *map_next(const struct map *map, size_t *position)
{
    while (*position < map->capacity) {
        const struct map_slot *slot = &map->slots[(*position)++];
        if (slot_is_live(slot))
            return slot->value;
    }
    return NULL;
}

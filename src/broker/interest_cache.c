// Recent matches by subject, dropped exactly when the interest in them changes.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "base/subject.h"
#include "broker/interest_state.h"

/* One match may use this share of the cache's memory. */
#define SHARE 4

enum err broker_interest_cache_init(struct interest *interest)
{
    struct interest_cache *cache = &interest->cache;
    uint32_t wanted = interest->options.cache_entries;
    if (wanted == 0)
        wanted = INTEREST_CACHE_ENTRIES;
    uint32_t sets = 1;
    while (sets < wanted / INTEREST_CACHE_WAYS)
        sets *= 2;
    cache->set_mask = sets - 1;
    cache->size_max = interest->options.cache_size_bytes;
    if (cache->size_max == 0)
        cache->size_max = INTEREST_CACHE_SIZE_BYTES;
    cache->slots = calloc((size_t)sets * INTEREST_CACHE_WAYS, sizeof(*cache->slots));
    cache->door = calloc(INTEREST_DOOR_COUNT, sizeof(*cache->door));
    cache->firsts = calloc(INTEREST_FIRST_COUNT, sizeof(*cache->firsts));
    cache->seconds = calloc(INTEREST_SECOND_COUNT, sizeof(*cache->seconds));
    cache->last = cache->slots;
    return cache->slots && cache->door && cache->firsts && cache->seconds ? ERR_OK : ERR_NO_MEMORY;
}

static size_t slot_count(const struct interest_cache *cache)
{
    return ((size_t)cache->set_mask + 1) * INTEREST_CACHE_WAYS;
}

static size_t slot_size(const struct interest_slot *slot)
{
    return slot->subject_capacity +
           (slot->box ? slot->box->capacity + sizeof(struct interest_box) : 0);
}

static void clear_slot(struct interest_cache *cache, struct interest_slot *slot)
{
    cache->size -= slot_size(slot);
    cache->entries -= slot->hash != 0;
    broker_interest_cache_drop_box(slot->box);
    free(slot->subject);
    *slot = (struct interest_slot){0};
}

void broker_interest_cache_deinit(struct interest *interest)
{
    struct interest_cache *cache = &interest->cache;
    for (size_t i = 0; cache->slots && i < slot_count(cache); i++)
        clear_slot(cache, &cache->slots[i]);
    free(cache->slots);
    free(cache->door);
    free(cache->firsts);
    free(cache->seconds);
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Multiply and fold, eight bytes a step, seeded. A set has few ways and every hit compares the
 * whole subject, so a collision made on purpose costs its author a match and nobody else more.
 * Never 0. */
uint64_t broker_interest_cache_hash(const struct interest *interest, struct slice subject)
{
    const uint8_t *at = subject.data;
    size_t left = subject.size;
    uint64_t odd = interest->options.seed[1] | 1;
    uint64_t hash = interest->options.seed[0] ^ subject.size * UINT64_C(0x9e3779b97f4a7c15);
    for (; left >= 8; left -= 8, at += 8)
        hash = fold(hash ^ load64(at), odd ^ UINT64_C(0xa0761d6478bd642f));
    uint64_t last = 0;
    if (subject.size >= 8) {
        if (left > 0)
            last = load64(at + left - 8);
    } else {
        for (size_t i = 0; i < left; i++)
            last = last << 8 | at[i];
    }
    hash = fold(hash ^ last, odd ^ UINT64_C(0xe7037ed1a0b428db));
    return hash + (hash == 0);
}

static struct interest_slot *set_of(struct interest_cache *cache, uint64_t hash)
{
    return &cache->slots[(size_t)((uint32_t)(hash >> 32) & cache->set_mask) * INTEREST_CACHE_WAYS];
}

static struct interest_slot *find_slot(struct interest_cache *cache, uint64_t hash,
                                       struct slice subject)
{
    struct interest_slot *set = set_of(cache, hash);
    for (size_t i = 0; i < INTEREST_CACHE_WAYS; i++)
        if (set[i].hash == hash &&
            slice_equal_short(slice_make(set[i].subject, set[i].subject_size), subject))
            return &set[i];
    return NULL;
}

struct interest_box *broker_interest_cache_get(struct interest *interest, uint64_t hash,
                                               struct slice subject)
{
    struct interest_slot *slot = find_slot(&interest->cache, hash, subject);
    if (!slot || slot->generation != broker_interest_cache_generation(&interest->cache, slot))
        return NULL;
    slot->referenced = true;
    interest->cache.last = slot;
    return slot->box;
}

/* Not seen lately: remembered, and false. */
static bool pass_door(struct interest_cache *cache, uint64_t hash)
{
    uint32_t *mark = &cache->door[hash & (INTEREST_DOOR_COUNT - 1)];
    uint32_t print = (uint32_t)(hash >> 20) | 1;
    if (*mark == print)
        return true;
    *mark = print;
    return false;
}

static struct interest_slot *victim(struct interest_cache *cache, uint64_t hash)
{
    struct interest_slot *set = set_of(cache, hash);
    for (size_t i = 0; i < INTEREST_CACHE_WAYS; i++)
        if (set[i].hash == 0)
            return &set[i];
    for (size_t i = 0; i < INTEREST_CACHE_WAYS; i++) {
        if (!set[i].referenced)
            return &set[i];
        set[i].referenced = false;
    }
    return &set[hash % INTEREST_CACHE_WAYS];
}

static void make_room(struct interest_cache *cache, size_t size, const struct interest_slot *keep)
{
    for (size_t i = 0; i < slot_count(cache) && cache->size + size > cache->size_max; i++) {
        struct interest_slot *slot = &cache->slots[cache->hand];
        cache->hand = (uint32_t)((cache->hand + 1) % slot_count(cache));
        if (slot != keep)
            clear_slot(cache, slot);
    }
}

static bool fit_subject(struct interest_slot *slot, struct slice subject)
{
    if (slot->subject_capacity < subject.size) {
        uint32_t capacity = (uint32_t)((subject.size + 31) & ~(size_t)31);
        uint8_t *bytes = realloc(slot->subject, capacity);
        if (!bytes)
            return false;
        slot->subject = bytes;
        slot->subject_capacity = capacity;
    }
    memcpy(slot->subject, subject.data, subject.size);
    slot->subject_size = (uint32_t)subject.size;
    return true;
}

struct interest_slot *broker_interest_cache_admit(struct interest *interest, uint64_t hash,
                                                  struct slice subject, size_t size)
{
    struct interest_cache *cache = &interest->cache;
    size_t need = sizeof(struct interest_box) + size + subject.size + 256;
    if (size > cache->size_max || need > cache->size_max / SHARE || subject.size > UINT16_MAX)
        return NULL;
    struct interest_slot *slot = find_slot(cache, hash, subject);
    if (!slot) {
        if (!pass_door(cache, hash))
            return NULL;
        slot = victim(cache, hash);
    }
    make_room(cache, need + need / 4, slot);
    cache->size -= slot_size(slot);
    cache->entries -= slot->hash != 0;
    slot->hash = 0;
    slot->box = broker_interest_cache_box(slot->box, size);
    bool fits = slot->box && fit_subject(slot, subject);
    cache->size += slot_size(slot);
    return fits ? slot : NULL;
}

/* Which counters a subject or filter belongs to, by its first one or two tokens. */
static uint32_t first_index(const struct interest *interest, struct slice first)
{
    return (uint32_t)broker_interest_trie_hash(interest, first) & (INTEREST_FIRST_COUNT - 1);
}

static uint32_t second_index(const struct interest *interest, struct slice first,
                             struct slice second)
{
    uint64_t hash = broker_interest_trie_hash(interest, first) * 31 +
                    broker_interest_trie_hash(interest, second);
    return (uint32_t)(hash >> 16) & (INTEREST_SECOND_COUNT - 1);
}

void broker_interest_cache_fill(struct interest *interest, struct interest_slot *slot,
                                uint64_t hash, struct slice subject)
{
    struct slice first = SLICE_NULL;
    struct slice second = SLICE_NULL;
    (void)subject_token_next(&subject, &first);
    (void)subject_token_next(&subject, &second);
    slot->first = first_index(interest, first);
    slot->second = second_index(interest, first, second);
    slot->generation = broker_interest_cache_generation(&interest->cache, slot);
    slot->hash = hash;
    slot->referenced = false;
    interest->cache.entries++;
}

static bool is_wildcard(struct slice token)
{
    return token.size == 1 && (token.data[0] == '*' || token.data[0] == '>');
}

void broker_interest_cache_change(struct interest *interest, struct slice filter)
{
    struct interest_cache *cache = &interest->cache;
    if (!subject_has_wildcard(filter)) {
        uint64_t hash = broker_interest_cache_hash(interest, filter);
        struct interest_slot *slot = find_slot(cache, hash, filter);
        if (slot) {
            slot->hash = 0;
            cache->entries--;
        }
        return;
    }
    struct slice first = SLICE_NULL;
    struct slice second = SLICE_NULL;
    (void)subject_token_next(&filter, &first);
    (void)subject_token_next(&filter, &second);
    if (is_wildcard(first))
        cache->all++;
    else if (is_wildcard(second))
        cache->firsts[first_index(interest, first)]++;
    else
        cache->seconds[second_index(interest, first, second)]++;
}

void broker_interest_tap_changed(struct interest *interest)
{
    interest->cache.all++;
}

struct interest_box *broker_interest_cache_box(struct interest_box *box, size_t size)
{
    if (box && box->holds == 0 && box->capacity >= size && box->capacity / 4 <= size + 256)
        return box;
    broker_interest_cache_drop_box(box);
    size_t capacity = (size + size / 4 + 63) & ~(size_t)63;
    box = malloc(sizeof(*box) + capacity);
    if (!box)
        return NULL;
    *box = (struct interest_box){.capacity = capacity};
    list_init(&box->held);
    return box;
}

void broker_interest_cache_drop_box(struct interest_box *box)
{
    if (box && box->holds > 0)
        box->orphan = true;
    else
        free(box);
}

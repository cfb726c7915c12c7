// Random field values for the tests of codecs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <math.h>

#include "base/arena.h"
#include "wire/writer.h"

/* A seeded generator (splitmix64); values come from the arena, which must not run out. */
struct wire_fill {
    uint64_t state;
    struct arena *arena;
    bool without_tags;
};

static inline uint64_t wire_fill_next(struct wire_fill *f)
{
    uint64_t mixed = (f->state += UINT64_C(0x9e3779b97f4a7c15));
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static inline int64_t wire_fill_int64(struct wire_fill *f)
{
    return (int64_t)wire_fill_next(f);
}

static inline int32_t wire_fill_int32(struct wire_fill *f)
{
    return (int32_t)wire_fill_next(f);
}

static inline uint32_t wire_fill_uint32(struct wire_fill *f)
{
    return (uint32_t)wire_fill_next(f);
}

static inline int16_t wire_fill_int16(struct wire_fill *f)
{
    return (int16_t)wire_fill_next(f);
}

static inline uint16_t wire_fill_uint16(struct wire_fill *f)
{
    return (uint16_t)wire_fill_next(f);
}

static inline int8_t wire_fill_int8(struct wire_fill *f)
{
    return (int8_t)wire_fill_next(f);
}

static inline bool wire_fill_bool(struct wire_fill *f)
{
    return wire_fill_next(f) & 1;
}

/* Whether a tagged field gets a value. */
static inline bool wire_fill_tag(struct wire_fill *f)
{
    return !f->without_tags && wire_fill_bool(f);
}

static inline double wire_fill_float64(struct wire_fill *f)
{
    return ldexp((double)wire_fill_int32(f), -8);
}

static inline struct uuid wire_fill_uuid(struct wire_fill *f)
{
    struct uuid uuid;
    for (size_t i = 0; i < sizeof(uuid.bytes); i++)
        uuid.bytes[i] = (uint8_t)wire_fill_next(f);
    return uuid;
}

/* Mostly short; one in 16 needs two bytes of compact length. */
static inline struct slice wire_fill_slice(struct wire_fill *f, bool null_allowed)
{
    if (null_allowed && wire_fill_next(f) % 4 == 0)
        return SLICE_NULL;
    size_t size = wire_fill_next(f) % (wire_fill_next(f) % 16 == 0 ? 300 : 12);
    uint8_t *data = arena_alloc(f->arena, size);
    CHECK(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)wire_fill_next(f);
    return slice_make(data, size);
}

static inline struct wire_records wire_fill_records(struct wire_fill *f)
{
    struct slice bytes = wire_fill_slice(f, true);
    return (struct wire_records){.size = bytes.size, .bytes = bytes};
}

static inline void *wire_fill_array(struct wire_fill *f, size_t *out_count, size_t size,
                                    bool null_allowed)
{
    *out_count = 0;
    if (null_allowed && wire_fill_next(f) % 4 == 0)
        return NULL;
    *out_count = wire_fill_next(f) % 4;
    void *array = arena_alloc_array(f->arena, *out_count, size);
    CHECK(array);
    return array;
}

static inline void *wire_fill_struct(struct wire_fill *f, size_t size)
{
    if (!wire_fill_bool(f))
        return NULL;
    void *memory = arena_alloc_array(f->arena, 1, size);
    CHECK(memory);
    return memory;
}

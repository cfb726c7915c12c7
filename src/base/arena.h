// A bump allocator for one request: everything in it is freed at once.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

struct arena_chunk;

/* Embed it in the request; belongs to one core. */
struct arena {
    struct arena_chunk *chunks;
    size_t used;       /* in the newest chunk */
    size_t size_total; /* bytes taken from the system */
    size_t size_max;   /* 0: no limit */
};

void arena_init(struct arena *arena, size_t size_max);
void arena_deinit(struct arena *arena);
/* Forgets every allocation, keeps one chunk for the next use. */
void arena_reset(struct arena *arena);
/* 16-byte aligned, not zeroed; NULL when over size_max or out of memory. size 0 gives a valid
 * pointer. */
void *arena_alloc(struct arena *arena, size_t size);
/* count * size checked for overflow, zeroed. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);
/* A copy that ends with a NUL byte beyond its size; null stays null. SLICE_NULL also when out of
 * memory. */
struct slice arena_copy(struct arena *arena, struct slice bytes);

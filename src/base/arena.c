// The bump allocator: a list of chunks, of which the first one is filled.
// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/poison.h"

#define ARENA_ALIGNMENT      16
#define ARENA_CHUNK_SIZE_MIN ((size_t)2048)
#define ARENA_CHUNK_SIZE_MAX ((size_t)64 * 1024)
/* From here on what was freed goes back to the system: the allocator would keep it. */
#define ARENA_TRIM_SIZE ((size_t)16 << 20)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of data */
    _Alignas(ARENA_ALIGNMENT) uint8_t data[];
};

static void chunk_free(struct arena *arena, struct arena_chunk *chunk)
{
    arena->size_total -= sizeof(*chunk) + chunk->size;
    UNPOISON(chunk->data, chunk->size);
    free(chunk);
}

static struct arena_chunk *chunk_new(struct arena *arena, size_t size_needed, size_t size_wanted)
{
    size_t size = MAX(size_needed, size_wanted);
    size_t total;
    if (__builtin_add_overflow(size, sizeof(struct arena_chunk), &total) ||
        __builtin_add_overflow(total, arena->size_total, &total))
        return NULL;
    if (arena->size_max != 0 && total > arena->size_max) {
        size_t over = total - arena->size_max;
        if (over > size - size_needed)
            return NULL;
        size -= over;
    }
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (!chunk)
        return NULL;
    chunk->next = NULL;
    chunk->size = size;
    arena->size_total += sizeof(*chunk) + size;
    POISON(chunk->data, size);
    return chunk;
}

/* Chunks double up to a limit; what is bigger gets a chunk of its own, behind the one being filled
 * so that the rest of that one stays in use. */
static void *alloc_slow(struct arena *arena, size_t size)
{
    struct arena_chunk *first = arena->chunks;
    if (first && size > ARENA_CHUNK_SIZE_MAX / 4) {
        struct arena_chunk *own = chunk_new(arena, size, 0);
        if (!own)
            return NULL;
        own->next = first->next;
        first->next = own;
        return own->data;
    }
    size_t wanted = first ? MIN(first->size * 2, ARENA_CHUNK_SIZE_MAX) : 0;
    struct arena_chunk *chunk = chunk_new(arena, size, MAX(wanted, ARENA_CHUNK_SIZE_MIN));
    if (!chunk)
        return NULL;
    chunk->next = first;
    arena->chunks = chunk;
    arena->used = size;
    return chunk->data;
}

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

void arena_deinit(struct arena *arena)
{
    bool was_huge = arena->size_total >= ARENA_TRIM_SIZE;
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        chunk_free(arena, chunk);
    }
    DCHECK(arena->size_total == 0);
    arena->used = 0;
    if (was_huge)
        (void)malloc_trim(0);
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *keep = arena->chunks;
    bool was_huge = arena->size_total >= ARENA_TRIM_SIZE;
    if (!keep)
        return;
    if (keep->size > ARENA_CHUNK_SIZE_MAX) {
        arena_deinit(arena);
        return;
    }
    while (keep->next) {
        struct arena_chunk *chunk = keep->next;
        keep->next = chunk->next;
        chunk_free(arena, chunk);
    }
    POISON(keep->data, keep->size);
    arena->used = 0;
    if (was_huge)
        (void)malloc_trim(0);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t needed;
    if (__builtin_add_overflow(MAX(size, 1), (size_t)ARENA_ALIGNMENT - 1, &needed))
        return NULL;
    needed &= ~((size_t)ARENA_ALIGNMENT - 1);
    uint8_t *data;
    if (arena->chunks && needed <= arena->chunks->size - arena->used) {
        data = arena->chunks->data + arena->used;
        arena->used += needed;
    } else {
        data = alloc_slow(arena, needed);
    }
    if (data)
        UNPOISON(data, size);
    return data;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *data = arena_alloc(arena, total);
    if (data)
        memset(data, 0, total);
    return data;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    if (!bytes.data || bytes.size == SIZE_MAX)
        return SLICE_NULL;
    uint8_t *data = arena_alloc(arena, bytes.size + 1);
    if (!data)
        return SLICE_NULL;
    memcpy(data, bytes.data, bytes.size);
    data[bytes.size] = 0;
    return slice_make(data, bytes.size);
}

// Reference-counted, aligned, recycled buffers: read once, sliced to disk and to many readers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/slice.h"

struct buf_pool;

/* data is 4096-byte aligned for capacities >= 4096 and stays where it is. Bytes below a reference
 * that somebody holds are never changed by anyone else. */
struct buf {
    _Atomic uint32_t refs;
    uint32_t capacity;
    uint8_t *data;
    struct buf_pool *pool; /* home; NULL: plain heap memory */
    struct buf *next;      /* for the pool while free */
};

/* A range of a buffer; holds one reference when the comment of the owner says so. */
struct buf_range {
    struct buf *buf;
    uint32_t offset;
    uint32_t size;
};

/* Gives up what it can of the caches, size bytes at least if there are as many; on the owner's
 * core, from inside buf_pool_get. */
typedef void (*buf_pressure_fn)(void *arg, size_t size);

/* One a core. Size classes are powers of two from 4 KiB to 64 KiB, then four to a doubling; freed
 * memory is kept for reuse up to size_keep_max bytes, beyond that it is unmapped. */
struct buf_pool *buf_pool_new(struct budget *budget, size_t size_keep_max);
/* Whom to ask when the budget refuses; NULL: nobody. */
void buf_pool_pressure_set(struct buf_pool *pool, buf_pressure_fn pressure, void *arg);
/* Frees the pool once its last buffer has come home. */
void buf_pool_free(struct buf_pool *pool);
/* Buffer with capacity >= size and one reference. NULL when over budget or out of memory. */
struct buf *buf_pool_get(struct buf_pool *pool, size_t size);
/* Buffers outside any pool, charged nowhere; for tests and small control data. */
struct buf *buf_new(size_t size);

static inline struct buf *buf_ref(struct buf *buf)
{
    atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}
/* Any core; the last reference sends it home. NULL is allowed. */
void buf_unref(struct buf *buf);

/* True when the caller holds the only reference, so bytes beyond what was handed out may change. */
static inline bool buf_is_exclusive(const struct buf *buf)
{
    return atomic_load_explicit(&buf->refs, memory_order_acquire) == 1;
}

static inline struct slice buf_range_slice(struct buf_range range)
{
    return slice_make(range.buf ? range.buf->data + range.offset : NULL, range.size);
}

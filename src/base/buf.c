// Buffer pools: one a core hands out, any core gives back.
// SPDX-License-Identifier: Apache-2.0
//
// Small buffers are cut one after the other from slabs, bigger ones are mapped one by one. A free
// buffer goes onto the pool's return stack, pushed by any core and taken as a whole by the owner.
// When enough is kept already, the freeing core gives the memory back to the kernel itself: a
// mapping is unmapped, a piece of a slab loses its pages, and the slab goes with its last piece.
// So memory never waits for a sleeping owner. Pieces given up are not cut again: that costs
// addresses, not memory.
#include "base/buf.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/poison.h"

#define PAGE_SIZE_BYTES 4096
#define CLASS_SHIFT_MIN 12 /* 4 KiB */
#define CLASS_SHIFT_FINE                                                                           \
    16 /* 64 KiB; above: four steps a doubling, so that at most a fifth is lost */
#define CLASS_SHIFT_MAX     24 /* 16 MiB; above: mapped exactly, never kept */
#define CLASS_COUNT_COARSE  (CLASS_SHIFT_FINE - CLASS_SHIFT_MIN + 1)
#define CLASS_COUNT         (CLASS_COUNT_COARSE + 4 * (CLASS_SHIFT_MAX - CLASS_SHIFT_FINE))
#define CLASS_NONE          CLASS_COUNT
#define SLAB_SIZE           ((size_t)1 << 20)
#define SLAB_PIECE_SIZE_MAX ((size_t)64 * 1024)

/* refs: one a piece, one while the pool still cuts from it. */
struct slab {
    _Atomic uint32_t refs;
    size_t used; /* owner only */
    uint8_t *data;
};

struct pool_buf {
    struct buf buf;
    struct slab *slab; /* NULL: a mapping of its own */
    unsigned class;
};

struct buf_pool {
    struct budget *budget;
    size_t size_keep_max;
    buf_pressure_fn pressure; /* owner only */
    void *pressure_arg;
    struct slab *slab;             /* owner only: being cut */
    struct buf *free[CLASS_COUNT]; /* owner only */
    _Alignas(64) struct buf *_Atomic returned;
    _Atomic size_t size_free; /* in free and returned */
    _Atomic size_t refs;      /* one a buffer that has memory, one for the owner */
};

/* On the return stack: the pool is closed, nothing may be pushed any more. */
#define RETURNED_CLOSED ((struct buf *)1)

static uint8_t *map_memory(size_t size)
{
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

static void slab_unref(struct slab *slab)
{
    if (atomic_fetch_sub_explicit(&slab->refs, 1, memory_order_acq_rel) != 1)
        return;
    /* fails only when the process has too many mappings; no page is left in it anyway */
    (void)munmap(slab->data, SLAB_SIZE);
    free(slab);
}

static struct slab *slab_new(void)
{
    struct slab *slab = malloc(sizeof(*slab));
    if (!slab)
        return NULL;
    slab->data = map_memory(SLAB_SIZE);
    if (!slab->data) {
        free(slab);
        return NULL;
    }
    /* a huge page would be more than the pieces are charged for; without such pages it fails */
    (void)madvise(slab->data, SLAB_SIZE, MADV_NOHUGEPAGE);
    slab->used = 0;
    atomic_init(&slab->refs, 1);
    return slab;
}

static void pool_unref(struct buf_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) == 1)
        free(pool);
}

/* Gives the memory of a free buffer back to the kernel; any core. */
static void give_up(struct buf *buf)
{
    struct pool_buf *pooled = CONTAINER_OF(buf, struct pool_buf, buf);
    struct buf_pool *pool = buf->pool;
    size_t size = buf->capacity;
    UNPOISON(buf->data, size);
    if (pooled->slab) {
        CHECK(madvise(buf->data, size, MADV_DONTNEED) == 0);
        slab_unref(pooled->slab);
    } else {
        /* fails only when the process has too many mappings; then the pages go all the same */
        if (munmap(buf->data, size) != 0)
            CHECK(madvise(buf->data, size, MADV_DONTNEED) == 0);
    }
    budget_release(pool->budget, size);
    free(pooled);
    pool_unref(pool);
}

/* Takes over everything that came back. */
static void drain(struct buf_pool *pool, struct buf *replacement)
{
    struct buf *buf = atomic_exchange_explicit(&pool->returned, replacement, memory_order_acq_rel);
    while (buf) {
        struct buf *next = buf->next;
        unsigned class = CONTAINER_OF(buf, struct pool_buf, buf)->class;
        buf->next = pool->free[class];
        pool->free[class] = buf;
        buf = next;
    }
}

static void give_up_free(struct buf_pool *pool)
{
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        while (pool->free[class]) {
            struct buf *buf = pool->free[class];
            pool->free[class] = buf->next;
            atomic_fetch_sub_explicit(&pool->size_free, buf->capacity, memory_order_relaxed);
            give_up(buf);
        }
    }
}

/* Charges the budget; under pressure the memory kept for reuse goes first, then others' caches. */
static bool charge(struct buf_pool *pool, size_t size)
{
    if (budget_charge(pool->budget, size))
        return true;
    drain(pool, NULL);
    give_up_free(pool);
    if (budget_charge(pool->budget, size))
        return true;
    if (!pool->pressure)
        return false;
    pool->pressure(pool->pressure_arg, size);
    drain(pool, NULL);
    give_up_free(pool);
    return budget_charge(pool->budget, size);
}

/* The smallest class that holds size bytes. */
static unsigned class_of(size_t size)
{
    unsigned shift = CLASS_SHIFT_MIN;
    while (((size_t)1 << shift) < size)
        shift++;
    if (shift <= CLASS_SHIFT_FINE)
        return shift - CLASS_SHIFT_MIN;
    size_t half = (size_t)1 << (shift - 1), step = half / 4;
    unsigned steps = (unsigned)((size - half + step - 1) / step); /* 1 to 4 */
    return CLASS_COUNT_COARSE + 4 * (shift - 1 - CLASS_SHIFT_FINE) + steps - 1;
}

static size_t class_size(unsigned class)
{
    if (class < CLASS_COUNT_COARSE)
        return (size_t)1 << (CLASS_SHIFT_MIN + class);
    unsigned fine = class - CLASS_COUNT_COARSE;
    size_t half = (size_t)1 << (CLASS_SHIFT_FINE + fine / 4);
    return half + half / 4 * (fine % 4 + 1);
}

static bool cut_from_slab(struct buf_pool *pool, struct pool_buf *pooled, size_t size)
{
    if (pool->slab && pool->slab->used + size > SLAB_SIZE) {
        slab_unref(pool->slab);
        pool->slab = NULL;
    }
    if (!pool->slab)
        pool->slab = slab_new();
    struct slab *slab = pool->slab;
    if (!slab)
        return false;
    pooled->buf.data = slab->data + slab->used;
    pooled->slab = slab;
    slab->used += size;
    atomic_fetch_add_explicit(&slab->refs, 1, memory_order_relaxed);
    return true;
}

static struct buf *make(struct buf_pool *pool, unsigned class, size_t size)
{
    if (!charge(pool, size))
        return NULL;
    struct pool_buf *pooled = calloc(1, sizeof(*pooled));
    if (!pooled)
        goto fail;
    pooled->class = class;
    pooled->buf.capacity = (uint32_t)size;
    pooled->buf.pool = pool;
    if (size <= SLAB_PIECE_SIZE_MAX) {
        if (!cut_from_slab(pool, pooled, size))
            goto fail;
    } else {
        pooled->buf.data = map_memory(size);
        if (!pooled->buf.data)
            goto fail;
    }
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    atomic_init(&pooled->buf.refs, 1);
    return &pooled->buf;
fail:
    budget_release(pool->budget, size);
    free(pooled);
    return NULL;
}

/* The buffer has no references left; any core. */
static void come_home(struct buf *buf)
{
    struct buf_pool *pool = buf->pool;
    size_t size = buf->capacity;
    if (CONTAINER_OF(buf, struct pool_buf, buf)->class == CLASS_NONE) {
        give_up(buf);
        return;
    }
    size_t before = atomic_fetch_add_explicit(&pool->size_free, size, memory_order_relaxed);
    if (before + size > pool->size_keep_max) {
        atomic_fetch_sub_explicit(&pool->size_free, size, memory_order_relaxed);
        give_up(buf);
        return;
    }
    POISON(buf->data, size);
    struct buf *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
    do {
        if (head == RETURNED_CLOSED) {
            give_up(buf);
            return;
        }
        buf->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, buf,
                                                    memory_order_acq_rel, memory_order_relaxed));
}

struct buf_pool *buf_pool_new(struct budget *budget, size_t size_keep_max)
{
    struct buf_pool *pool = aligned_alloc(_Alignof(struct buf_pool), sizeof(*pool));
    if (!pool)
        return NULL;
    memset(pool, 0, sizeof(*pool));
    pool->budget = budget;
    pool->size_keep_max = size_keep_max;
    atomic_init(&pool->returned, NULL);
    atomic_init(&pool->size_free, 0);
    atomic_init(&pool->refs, 1);
    return pool;
}

void buf_pool_pressure_set(struct buf_pool *pool, buf_pressure_fn pressure, void *arg)
{
    pool->pressure = pressure;
    pool->pressure_arg = arg;
}

void buf_pool_free(struct buf_pool *pool)
{
    if (!pool)
        return;
    drain(pool, RETURNED_CLOSED);
    give_up_free(pool);
    if (pool->slab)
        slab_unref(pool->slab);
    pool->slab = NULL;
    pool_unref(pool);
}

struct buf *buf_pool_get(struct buf_pool *pool, size_t size)
{
    if (size > UINT32_MAX - PAGE_SIZE_BYTES)
        return NULL;
    if (size > (size_t)1 << CLASS_SHIFT_MAX) {
        size_t rounded = (size + PAGE_SIZE_BYTES - 1) & ~((size_t)PAGE_SIZE_BYTES - 1);
        return make(pool, CLASS_NONE, rounded);
    }
    unsigned class = class_of(size);
    if (!pool->free[class])
        drain(pool, NULL);
    struct buf *buf = pool->free[class];
    if (!buf)
        return make(pool, class, class_size(class));
    pool->free[class] = buf->next;
    buf->next = NULL;
    atomic_fetch_sub_explicit(&pool->size_free, buf->capacity, memory_order_relaxed);
    UNPOISON(buf->data, buf->capacity);
    atomic_store_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}

struct buf *buf_new(size_t size)
{
    if (size > UINT32_MAX - PAGE_SIZE_BYTES)
        return NULL;
    struct buf *buf = calloc(1, sizeof(*buf));
    if (!buf)
        return NULL;
    size_t alignment = size >= PAGE_SIZE_BYTES ? PAGE_SIZE_BYTES : _Alignof(max_align_t);
    size_t rounded = (MAX(size, 1) + alignment - 1) & ~(alignment - 1);
    buf->data = aligned_alloc(alignment, rounded);
    if (!buf->data) {
        free(buf);
        return NULL;
    }
    buf->capacity = (uint32_t)size;
    atomic_init(&buf->refs, 1);
    return buf;
}

void buf_unref(struct buf *buf)
{
    if (!buf)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel);
    CHECK(before != 0);
    if (before != 1)
        return;
    if (buf->pool) {
        come_home(buf);
        return;
    }
    free(buf->data);
    free(buf);
}

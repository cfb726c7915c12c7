// The tail of a log: its newest batches in memory, as a ring with running numbers.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "store/log.h"

#define TAIL_DROP_COUNT     4  /* batches of one log before it is the next one's turn */
#define TAIL_PRESSURE_SHARE 16 /* part of the cache that goes at least when memory is short */

void tail_init(struct tail *tail)
{
    *tail = (struct tail){0};
}

struct tail_batch *tail_at(const struct tail *tail, uint64_t number)
{
    DCHECK(number >= tail->first && number < tail->next);
    return &tail->batches[number & (tail->capacity - 1)];
}

/* The ring's slots are charged to the budget, like the buffers they refer to. */
static void slots_free(struct store_log *log)
{
    struct tail *tail = &log->tail;
    budget_release(log_budget(log), tail->capacity * sizeof(*tail->batches));
    free(tail->batches);
    tail->batches = NULL;
    tail->capacity = 0;
}

void tail_deinit(struct store_log *log)
{
    struct tail *tail = &log->tail;
    for (uint64_t i = tail->first; i < tail->next; i++)
        buf_unref(tail_at(tail, i)->bytes.buf);
    slots_free(log);
    tail_init(tail);
}

bool tail_memory_charge(struct store_log *log, size_t size)
{
    if (budget_charge(log_budget(log), size))
        return true;
    tail_cache_pressure(log->home, size);
    return budget_charge(log_budget(log), size);
}

static enum err tail_resize(struct store_log *log, uint32_t capacity)
{
    struct tail *tail = &log->tail;
    size_t size = (size_t)capacity * sizeof(*tail->batches);
    if (!tail_memory_charge(log, size))
        return ERR_NO_MEMORY;
    struct tail_batch *batches = malloc(size);
    if (!batches) {
        budget_release(log_budget(log), size);
        return ERR_NO_MEMORY;
    }
    for (uint64_t i = tail->first; i < tail->next; i++)
        batches[i & (capacity - 1)] = *tail_at(tail, i);
    slots_free(log);
    tail->batches = batches;
    tail->capacity = capacity;
    return ERR_OK;
}

enum err tail_push(struct store_log *log, const struct tail_batch *batch)
{
    struct tail *tail = &log->tail;
    if (tail->next - tail->first == tail->capacity) {
        if (tail->capacity > UINT32_MAX / 4)
            return ERR_NO_MEMORY;
        enum err err = tail_resize(log, tail->capacity ? tail->capacity * 2 : 4);
        if (err != ERR_OK)
            return err;
    }
    tail->next++;
    *tail_at(tail, tail->next - 1) = *batch;
    return ERR_OK;
}

uint64_t tail_find(const struct tail *tail, int64_t offset)
{
    uint64_t low = tail->first, high = tail->next;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (tail_at(tail, middle)->last_offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Its part of the buffer that it keeps alive. */
static uint64_t batch_cost(const struct tail_batch *batch)
{
    uint32_t capacity = batch->bytes.buf->capacity, size = MAX(batch->bytes.size, 1u);
    return capacity / MAX(capacity / size, 1u);
}

static uint32_t batch_blocks(const struct tail_batch *batch)
{
    return (uint32_t)((batch_cost(batch) + LOG_BLOCK_SIZE - 1) / LOG_BLOCK_SIZE);
}

/* Skips what is in the segments already. */
static void tail_advance(struct tail *tail)
{
    while (tail->written < tail->committed && tail_at(tail, tail->written)->is_written) {
        const struct tail_batch *batch = tail_at(tail, tail->written++);
        tail->cached_bytes += batch_cost(batch);
        tail->stuck_blocks -= batch_blocks(batch);
    }
}

void tail_commit(struct tail *tail, uint32_t count)
{
    bool is_written = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct tail_batch *batch = tail_at(tail, tail->committed++);
        is_written = is_written || batch->is_written;
        if (batch->is_written)
            tail->stuck_blocks += batch_blocks(batch);
        else
            tail->unwritten_bytes += batch->bytes.size;
    }
    if (is_written)
        tail_advance(tail);
}

void tail_written(struct tail *tail, uint64_t number)
{
    for (uint64_t i = tail->written; i < number; i++) {
        struct tail_batch *batch = tail_at(tail, i);
        if (batch->is_written)
            continue;
        batch->is_written = true;
        tail->stuck_blocks += batch_blocks(batch);
        tail->unwritten_bytes -= batch->bytes.size;
    }
    tail_advance(tail);
}

void tail_pop_back(struct tail *tail, uint64_t number_next)
{
    CHECK(number_next >= tail->committed);
    while (tail->next > number_next) {
        buf_unref(tail_at(tail, tail->next - 1)->bytes.buf);
        tail->next--;
    }
}

/* Does the last block of the segment, which is not whole, need bytes of the batch? */
static bool is_block_part(const struct store_log *log, uint64_t number)
{
    const struct tail_batch *batch = tail_at(&log->tail, number);
    return number >= log->block_number && batch->segment_base == log->place.segment_base &&
           batch->position + batch->bytes.size > (log->place.size & ~(LOG_BLOCK_SIZE - 1));
}

enum err tail_block_sync(struct store_log *log)
{
    uint32_t at = log->place.size & (LOG_BLOCK_SIZE - 1);
    uint64_t number = log->tail.committed;
    if (number > log->block_number && at > 0) {
        uint8_t *block = realloc(log->block, at);
        if (!block)
            return ERR_NO_MEMORY;
        log->block = block;
    }
    while (at > 0 && number > MAX(log->block_number, log->tail.first) &&
           is_block_part(log, number - 1)) {
        const struct buf_range *bytes = &tail_at(&log->tail, --number)->bytes;
        uint32_t part = MIN(at, bytes->size);
        at -= part;
        memcpy(log->block + at, bytes->buf->data + bytes->offset + bytes->size - part, part);
    }
    log->block_number = log->tail.committed;
    return ERR_OK;
}

bool tail_drop_front(struct store_log *log)
{
    struct tail *tail = &log->tail;
    if (tail->first == tail->written)
        return false;
    if (is_block_part(log, tail->first) && tail_block_sync(log) != ERR_OK)
        return false;
    struct tail_batch *batch = tail_at(tail, tail->first);
    tail->cached_bytes -= batch_cost(batch);
    buf_unref(batch->bytes.buf);
    tail->first++;
    if (tail->first == tail->next && tail->capacity > 64)
        slots_free(log);
    return true;
}

void tail_cache_account(struct store_log *log, uint64_t before)
{
    struct log_core *home = log->home;
    home->cached_bytes += log->tail.cached_bytes - before;
    list_remove(&log->cache_node);
    if (log->tail.cached_bytes > 0)
        list_push_back(&home->cache, &log->cache_node);
    tail_cache_trim(home);
}

void tail_unwritten_account(struct store_log *log, uint64_t before)
{
    atomic_fetch_add_explicit(&log->home->unwritten_bytes, log->tail.unwritten_bytes - before,
                              memory_order_relaxed);
}

/* A few batches of each log in turn: small ones of many logs lie in one arena, which is free only
 * when all of them have gone. */
static void tail_cache_shrink(struct log_core *home, uint64_t bytes_max)
{
    while (home->cached_bytes > bytes_max && !list_empty(&home->cache)) {
        struct store_log *log = LIST_ENTRY(home->cache.next, struct store_log, cache_node);
        uint64_t before = log->tail.cached_bytes;
        bool is_dropped = true;
        for (unsigned i = 0; i < TAIL_DROP_COUNT && log->tail.cached_bytes > 0 && is_dropped; i++)
            is_dropped = tail_drop_front(log);
        home->cached_bytes -= before - log->tail.cached_bytes;
        list_remove(&log->cache_node);
        if (log->tail.cached_bytes > 0 && is_dropped)
            list_push_back(&home->cache, &log->cache_node);
    }
}

void tail_cache_trim(struct log_core *home)
{
    tail_cache_shrink(home, home->cached_bytes_max);
}

/* What waits for its segment can leave once it is there. */
static void unwritten_start(struct log_core *home)
{
    list_for_each (node, &home->live) {
        struct store_log *log = LIST_ENTRY(node, struct store_log, live_node);
        if (log->tail.unwritten_bytes > 0)
            tail_write_start(log, false);
    }
}

void tail_cache_pressure(void *arg, size_t size)
{
    struct log_core *home = arg;
    home->is_short = true;
    log_entries_free(home);
    uint64_t wanted = MAX(size, home->cached_bytes_max / TAIL_PRESSURE_SHARE);
    tail_cache_shrink(home, home->cached_bytes > wanted ? home->cached_bytes - wanted : 0);
    if (home->cached_bytes == 0)
        unwritten_start(home);
    home->is_short = false;
}

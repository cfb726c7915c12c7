// Reading a log's tail: from memory, or by reference to the segment it has been written to.
// SPDX-License-Identifier: Apache-2.0
//
// Bytes in memory are copied when they are sent, bytes of a file in the page cache are not. So a
// long stretch of batches that this process has checked and written to one segment goes out as a
// piece of its file. Were it not in the page cache sendfile would wait for the disk, and the disk
// might give back other bytes: then memory serves it.
#include <stdlib.h>

#include "store/read.h"
#include "store/read_span.h"

#define TAIL_FILE_SIZE_MIN (64u << 10) /* less is copied sooner than it is looked for */

bool read_chunk_add(struct store_read *read, const struct store_chunk *take_chunk)
{
    if ((read->chunk_count & (read->chunk_count - 1)) == 0) {
        unsigned capacity = read->chunk_count ? read->chunk_count * 2 : 1;
        struct store_chunk *grown = realloc(read->chunks, capacity * sizeof(*grown));
        if (!grown)
            return false;
        read->chunks = grown;
    }
    read->chunks[read->chunk_count++] = *take_chunk;
    read->size += take_chunk->size;
    return true;
}

/* May the batch follow what was read, and so many bytes more? */
static bool fits(const struct store_read *read, const struct tail_batch *batch, size_t more)
{
    size_t before = read->size + more;
    return batch->last_offset < read->offset_limit &&
           (before + batch->bytes.size <= read->size_max || (before == 0 && read->want_one));
}

/* --- from the file --- */

/* Batches from number on that lie in one segment, back to back; returns the number behind them. */
static uint64_t stretch_find(const struct store_log *log, const struct store_read *read,
                             uint64_t number, uint32_t *out_size)
{
    const struct tail *tail = &log->tail;
    const struct tail_batch *first = tail_at(tail, number);
    *out_size = 0;
    for (; number < tail->committed; number++) {
        const struct tail_batch *batch = tail_at(tail, number);
        if (!batch->is_written || batch->is_uncached ||
            batch->segment_base != first->segment_base ||
            batch->position != first->position + *out_size || !fits(read, batch, *out_size))
            break;
        *out_size += batch->bytes.size;
    }
    return number;
}

/* The number of the first batch that it does not serve. */
static uint64_t from_file(struct store_log *log, struct store_read *read, uint64_t number)
{
    struct tail *tail = &log->tail;
    bool may = log->state == LOG_OPEN && !log->is_swapping && log->err == ERR_OK &&
               !read->want_memory && log->holes.count == 0;
    if (!may || number >= tail->committed)
        return number;
    const struct tail_batch *first = tail_at(tail, number);
    uint32_t size;
    uint64_t next = stretch_find(log, read, number, &size);
    if (size < TAIL_FILE_SIZE_MIN)
        return number;
    struct segment *segment = segment_find(log, first->segment_base);
    if (!segment || !segment->file ||
        !read_span_is_cached(log->store->os, segment->file->file.fd, first->position, size))
        return number;
    struct store_chunk chunk = {
        .file = &segment->file->file, .file_offset = first->position, .size = size};
    if (!read_chunk_add(read, &chunk))
        return number;
    atomic_fetch_add(&chunk.file->refs, 1);
    segment_touch(log, segment);
    read->offset_next = tail_at(tail, next - 1)->last_offset + 1;
    return next;
}

/* --- from memory --- */

static bool chunk_extend(struct store_read *read, struct buf_range bytes)
{
    struct store_chunk *last = read->chunk_count ? &read->chunks[read->chunk_count - 1] : NULL;
    if (!last || last->bytes.buf != bytes.buf ||
        last->bytes.offset + last->bytes.size != bytes.offset)
        return false;
    last->bytes.size += bytes.size;
    last->size += bytes.size;
    read->size += bytes.size;
    return true;
}

enum err read_from_tail(struct store_log *log, struct store_read *read)
{
    uint64_t number = tail_find(&log->tail, read->offset);
    read->offset_next = read->offset;
    number = from_file(log, read, number);
    for (; number < log->tail.next; number++) {
        const struct tail_batch *batch = tail_at(&log->tail, number);
        if (!fits(read, batch, 0))
            break;
        read->offset_next = batch->last_offset + 1;
        if (chunk_extend(read, batch->bytes))
            continue;
        struct store_chunk chunk = {.bytes = batch->bytes, .size = batch->bytes.size};
        buf_ref(batch->bytes.buf);
        if (!read_chunk_add(read, &chunk)) {
            buf_unref(batch->bytes.buf);
            store_read_release(read);
            return ERR_BUSY;
        }
    }
    if (read->size > 0 && log->tail.cached_bytes > 0) {
        list_remove(&log->cache_node);
        list_push_back(&log->home->cache, &log->cache_node);
    }
    return ERR_OK;
}

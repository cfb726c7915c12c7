// Reading segments on a helper thread: walking, checking, finding the way past damage.
// SPDX-License-Identifier: Apache-2.0
//
// A batch's checksum does not cover its base offset, length and epoch. So a walk also asks that
// each batch begins at the offset where the one before it ended, and that its epoch is the log's.
// Behind damage a batch counts as good when its checksum is right and what follows it, or the end
// of what is there, begins at the next offset.
#include "store/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "store/index_file.h"

#define INDEX_GAP_MAX (16u << 20) /* between two entries; what is missing there is worth a walk */
#define WALK_AHEAD    (8u << 20)

static ssize_t window_fill(struct read_window *window, uint64_t position, uint32_t size)
{
    if (size > window->capacity) {
        uint8_t *grown = realloc(window->data, size);
        if (!grown)
            return -ENOMEM;
        window->data = grown;
        window->capacity = size;
    }
    window->at = position;
    window->size = 0;
    while (window->size < window->capacity) {
        ssize_t got =
            window->os->ops->pread(window->os, window->fd, window->data + window->size,
                                   window->capacity - window->size, position + window->size);
        if (got == -EINTR)
            continue;
        if (got < 0 && window->size < size)
            return got;
        if (got <= 0)
            break;
        window->size += (uint32_t)got;
    }
    return 0;
}

ssize_t read_file_get(struct read_window *window, uint64_t position, uint32_t size,
                      const uint8_t **out)
{
    if (position < window->at || position + size > window->at + window->size) {
        ssize_t error = window_fill(window, position, size);
        if (error < 0)
            return error;
    }
    uint64_t left = window->at + window->size - position;
    *out = window->data + (position - window->at);
    return (ssize_t)MIN((uint64_t)size, left);
}

static enum err err_of(ssize_t error)
{
    return error == -EIO ? ERR_CORRUPT : err_from_errno((int)-error);
}

enum err read_file_header(struct read_window *window, const struct read_scope *scope,
                          const struct read_step *step, struct batch_header *out)
{
    const uint8_t *bytes;
    if (step->position >= scope->limit)
        return ERR_NOT_FOUND;
    ssize_t size = read_file_get(window, step->position, BATCH_HEADER_SIZE, &bytes);
    if (size < 0)
        return err_of(size);
    if (batch_header_read(slice_make(bytes, (size_t)size), out) != ERR_OK ||
        out->size > scope->limit - step->position || out->base_offset < scope->base ||
        batch_last_offset(out) >= scope->offset_end ||
        (step->expected >= 0 && out->base_offset != step->expected))
        return ERR_CORRUPT;
    return ERR_OK;
}

bool read_file_check(const struct read_scope *scope, struct slice batch)
{
    struct batch_header header;
    if (batch_check(batch, &header) != ERR_OK)
        return false;
    int32_t epoch = epochs_at(&scope->epochs, header.base_offset);
    /* not known: older than the log's start */
    return epoch < 0 || header.leader_epoch == epoch;
}

/* Does something good begin behind the batch? */
static bool is_followed(struct read_window *window, const struct read_scope *scope,
                        uint32_t position, const struct batch_header *header)
{
    struct read_step after = {position + header->size, batch_last_offset(header) + 1};
    struct batch_header next;
    if (after.position == scope->limit)
        return after.expected == scope->offset_end;
    return read_file_header(window, scope, &after, &next) == ERR_OK;
}

static bool is_good(struct read_window *window, const struct read_scope *scope,
                    const struct read_step *step)
{
    struct batch_header header = {0};
    const uint8_t *bytes = NULL;
    if (read_file_header(window, scope, step, &header) != ERR_OK)
        return false;
    ssize_t size = read_file_get(window, step->position, header.size, &bytes);
    if (size < (ssize_t)header.size || !read_file_check(scope, slice_make(bytes, header.size)))
        return false;
    return is_followed(window, scope, step->position, &header);
}

void read_file_blame(struct read_window *window, const struct read_scope *scope,
                     const struct read_step *before, struct read_step *step)
{
    struct batch_header header = {0};
    const uint8_t *bytes = NULL;
    if (before->position >= step->position)
        return;
    if (read_file_header(window, scope, before, &header) == ERR_OK) {
        ssize_t size = read_file_get(window, before->position, header.size, &bytes);
        if (size >= (ssize_t)header.size && read_file_check(scope, slice_make(bytes, header.size)))
            return;
    }
    *step = *before;
}

/* The damaged batch's own length may still be right. */
static bool skip_by_length(struct read_window *window, const struct read_scope *scope,
                           struct read_step *step)
{
    const uint8_t *bytes;
    ssize_t got = read_file_get(window, step->position, BATCH_PREFIX_SIZE, &bytes);
    if (got < BATCH_PREFIX_SIZE)
        return false;
    uint64_t size = (uint64_t)be32_get(bytes + 8) + BATCH_PREFIX_SIZE;
    if (size < BATCH_HEADER_SIZE || size >= scope->limit - step->position)
        return false;
    struct read_step after = {step->position + (uint32_t)size, -1};
    if (!is_good(window, scope, &after))
        return false;
    *step = after;
    return true;
}

enum err read_file_resync(struct read_window *window, const struct read_scope *scope,
                          struct read_step *step)
{
    if (skip_by_length(window, scope, step))
        return ERR_OK;
    int64_t least = step->expected;
    uint32_t position = step->position + 1;
    for (; position < scope->limit && scope->limit - position >= BATCH_HEADER_SIZE; position++) {
        const uint8_t *bytes;
        struct read_step here = {position, -1};
        ssize_t got = read_file_get(window, position, BATCH_HEADER_SIZE, &bytes);
        if (got == -EIO) { /* the medium does not give this block */
            position |= LOG_BLOCK_SIZE - 1;
            continue;
        }
        if (got < BATCH_HEADER_SIZE)
            break;
        if (bytes[16] != 2 || (least >= 0 && (int64_t)be64_get(bytes) < least))
            continue;
        if (!is_good(window, scope, &here))
            continue;
        *step = here;
        return ERR_OK;
    }
    *step = (struct read_step){scope->limit, scope->offset_end};
    return ERR_NOT_FOUND;
}

/* --- indexes --- */

static enum err walk(struct read_window *window, const struct read_scope *scope,
                     struct read_step step, uint32_t to, struct index *out)
{
    enum err err = ERR_OK;
    struct read_step before = step;
    uint32_t asked = step.position;
    while (err == ERR_OK && step.position < to) {
        struct batch_header header = {0};
        if (step.position >= asked) { /* it reads a header here and there: no order to the kernel */
            asked = step.position + MIN(to - step.position, WALK_AHEAD);
            window->os->ops->prefetch(window->os, window->fd, step.position, asked - step.position);
        }
        err = read_file_header(window, scope, &step, &header);
        if (err == ERR_CORRUPT) {
            read_file_blame(window, scope, &before, &step);
            err = read_file_resync(window, scope, &step);
            before = step;
            continue;
        }
        if (err != ERR_OK)
            break;
        before = step;
        err = index_add(out, scope->base, step.position, &header, scope->index_interval);
        step.position += header.size;
        step.expected = batch_last_offset(&header) + 1;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static bool is_indexed_right(struct read_window *window, const struct read_scope *scope,
                             const struct index *index)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < index->count; i++) {
        if (index->entries[i].position - before > INDEX_GAP_MAX)
            return false;
        before = index->entries[i].position;
    }
    if (index->count == 0)
        return true;
    /* the last entry must lead to a batch that ends where the index says */
    const struct index_entry *last = &index->entries[index->count - 1];
    struct read_step step = {last->position, -1};
    struct batch_header header = {0};
    return read_file_header(window, scope, &step, &header) == ERR_OK &&
           batch_last_offset(&header) == scope->base + last->offset_delta &&
           header.max_timestamp_ms <= last->timestamp_ms;
}

enum err read_file_index(struct read_window *window, const struct read_scope *scope,
                         const char *path, uint32_t to, struct index *out)
{
    enum err err = index_file_load(window->os, path, to, out);
    struct read_step step = {0, scope->base};
    if (err != ERR_OK || !is_indexed_right(window, scope, out))
        index_deinit(out);
    else if (out->count > 0) /* from there on nobody has said what there is */
        step = (struct read_step){out->entries[out->count - 1].position, -1};
    return walk(window, scope, step, to, out);
}

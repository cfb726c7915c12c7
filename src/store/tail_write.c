// Write-behind: committed batches of a log's tail go to its segments, on a helper thread.
// SPDX-License-Identifier: Apache-2.0
#include "store/tail_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITE_PART_MAX 128
#define INDEX_SAVE_MIN 64u /* entries; a walk over what so few speak of takes no time */

struct log_write *tail_write_new(struct store_log *log)
{
    struct log_write *write = calloc(1, sizeof(*write));
    char *dir = malloc(LOG_PATH_SIZE);
    if (write && dir) {
        log_dir_path(log, dir);
        write->dir = strdup(dir);
        (void)snprintf(dir, LOG_PATH_SIZE, "%s/logs", log->store->dir);
        write->dir_parent = strdup(dir);
        write->log = log;
        write->os = log->store->os;
        /* segments are never more than these and the one to come */
        write->segments = calloc(log->segment_count + 1, sizeof(*write->segments));
    }
    free(dir);
    if (write && write->dir && write->dir_parent && write->segments)
        return write;
    if (write)
        tail_write_free(write);
    return NULL;
}

void tail_write_free(struct log_write *write)
{
    for (uint32_t i = 0; i < write->segment_count; i++) {
        segment_file_unref(write->segments[i].file);
        if (write->segments[i].is_uncached_opened && write->segments[i].uncached_fd >= 0)
            write->os->ops->close(write->os, write->segments[i].uncached_fd);
        text_deinit(&write->segments[i].entries.offsets);
        text_deinit(&write->segments[i].entries.times);
    }
    for (uint32_t i = 0; i < write->item_count; i++)
        buf_unref(write->items[i].bytes.buf);
    buf_unref(write->buffer);
    free(write->segments);
    free(write->items);
    free(write->dir);
    free(write->dir_parent);
    free(write->found);
    free(write);
}

struct write_segment *tail_write_segment(struct log_write *write, struct segment *segment)
{
    for (uint32_t i = write->segment_count; i > 0; i--) {
        if (write->segments[i - 1].base == segment->base)
            return &write->segments[i - 1];
    }
    struct write_segment *added = &write->segments[write->segment_count++];
    *added = (struct write_segment){
        .base = segment->base, .size = segment->size, .uncached_fd = UNCACHED_FD_NONE};
    text_init(&added->entries.offsets);
    text_init(&added->entries.times);
    if (segment->file) {
        atomic_fetch_add(&segment->file->file.refs, 1);
        added->file = segment->file;
        added->uncached_fd = segment->file->uncached_fd;
    }
    return added;
}

/* --- on the helper --- */

static enum err err_of(ssize_t result)
{
    return result >= 0 ? ERR_OK : err_from_errno((int)-result);
}

enum err tail_write_all(struct os *os, int fd, struct iovec *parts, int count, uint64_t offset)
{
    while (count > 0) {
        if (parts->iov_len == 0) {
            parts++;
            count--;
            continue;
        }
        ssize_t done = os->ops->pwritev(os, fd, parts, count, offset);
        if (done == -EINTR)
            continue;
        if (done < 0)
            return err_of(done);
        if (done == 0)
            return ERR_IO;
        offset += (uint64_t)done;
        while (count > 0 && (size_t)done >= parts->iov_len) {
            done -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (done > 0) {
            parts->iov_base = (char *)parts->iov_base + done;
            parts->iov_len -= (size_t)done;
        }
    }
    return ERR_OK;
}

static void file_open_uncached(struct log_write *write, struct write_segment *segment,
                               const char *path)
{
    if (!write->is_uncached || segment->uncached_fd != UNCACHED_FD_NONE)
        return;
    segment->uncached_fd = uncached_open(write->os, path);
    segment->is_uncached_opened = true;
}

static enum err file_open(struct log_write *write, struct write_segment *segment, const char *path)
{
    if (segment->file)
        return ERR_OK;
    int fd = segment_open_path(write->os, write->dir, path, true);
    if (fd < 0)
        return err_of(fd);
    segment->file = segment_file_new(write->os, fd);
    if (segment->file)
        return ERR_OK;
    write->os->ops->close(write->os, fd);
    return ERR_NO_MEMORY;
}

enum err tail_write_file(struct log_write *write, struct write_segment *segment)
{
    bool is_open = !write->is_uncached || segment->uncached_fd != UNCACHED_FD_NONE;
    if (segment->file && is_open)
        return ERR_OK;
    size_t size = strlen(write->dir) + 32;
    char *path = malloc(size);
    if (!path)
        return ERR_NO_MEMORY;
    (void)snprintf(path, size, "%s/%020lld.log", write->dir, (long long)segment->base);
    enum err err = file_open(write, segment, path);
    if (err == ERR_OK)
        file_open_uncached(write, segment, path);
    free(path);
    return err;
}

static void space_reserve(struct log_write *write)
{
    struct os *os = write->os;
    for (uint32_t i = 0; i < write->segment_count; i++) {
        const struct write_segment *segment = &write->segments[i];
        if (segment->space.size > 0) /* when it fails the write tells */
            (void)os->ops->reserve(os, segment->file->file.fd, segment->space.offset,
                                   segment->space.size);
    }
}

/* How many items from first on are one run of bytes in one segment, and its size. */
static uint32_t run_count(const struct log_write *write, uint32_t first, uint64_t *out_size)
{
    const struct write_item *items = write->items + first;
    uint64_t size = 0;
    uint32_t count = 0;
    while (first + count < write->item_count && items[count].segment == items->segment &&
           items[count].position == items->position + size)
        size += items[count++].bytes.size;
    *out_size = size;
    return count;
}

static enum err run_write_uncached(const struct log_write *write, const struct write_item *items,
                                   uint32_t count)
{
    const struct write_segment *segment = &write->segments[items->segment];
    struct uncached out = {.os = write->os,
                           .fd = segment->file->file.fd,
                           .fd_uncached = segment->uncached_fd,
                           .buffer = write->buffer};
    enum err err = ERR_OK;
    uncached_begin(&out, items->position);
    for (uint32_t i = 0; i < count && err == ERR_OK; i++)
        err = uncached_add(&out, buf_range_slice(items[i].bytes));
    return err == ERR_OK ? uncached_end(&out) : err;
}

static enum err run_write(const struct log_write *write, const struct write_item *items,
                          uint32_t count)
{
    const struct write_segment *segment = &write->segments[items->segment];
    struct iovec parts[WRITE_PART_MAX];
    enum err err = ERR_OK;
    for (uint32_t done = 0; done < count && err == ERR_OK;) {
        uint64_t offset = items[done].position;
        int part_count = 0;
        for (; done < count && part_count < WRITE_PART_MAX; done++, part_count++) {
            struct slice bytes = buf_range_slice(items[done].bytes);
            parts[part_count] = (struct iovec){(void *)(uintptr_t)bytes.data, bytes.size};
        }
        err = tail_write_all(write->os, segment->file->file.fd, parts, part_count, offset);
    }
    return err;
}

static enum err items_write(struct log_write *write)
{
    enum err err = ERR_OK;
    space_reserve(write);
    for (uint32_t i = 0; i < write->item_count && err == ERR_OK;) {
        const struct write_item *items = write->items + i;
        uint64_t size;
        uint32_t count = run_count(write, i, &size);
        bool is_uncached = write->buffer && size >= UNCACHED_SIZE_MIN &&
                           write->segments[items->segment].uncached_fd >= 0;
        err =
            is_uncached ? run_write_uncached(write, items, count) : run_write(write, items, count);
        i += count;
    }
    return err;
}

enum err tail_write_sync_dir(struct log_write *write, const char *path)
{
    struct os *os = write->os;
    int fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    if (fd < 0)
        return err_of(fd);
    int error = os->ops->fsync(os, fd);
    os->ops->close(os, fd);
    write->is_sync_failed = write->is_sync_failed || error < 0;
    return err_of(error);
}

static void index_write(struct log_write *write, struct write_segment *segment)
{
    char path[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%020lld.log", write->dir, (long long)segment->base);
    bool ok = segment->index_below > 0
                  ? index_file_append(write->os, path, &segment->entries, segment->index_below)
                  : index_file_replace(write->os, path, &segment->entries);
    segment->index_outcome = ok ? INDEX_SAVED : INDEX_LOST;
}

static enum err segment_end(struct log_write *write, struct write_segment *segment)
{
    struct os *os = write->os;
    struct os_stat stat;
    int error = 0;
    if (segment->is_cut) {
        error = os->ops->fstat(os, segment->file->file.fd, &stat);
        /* also of the right size: what was reserved behind it goes back */
        if (error == 0 && stat.size_bytes >= segment->size)
            error = os->ops->truncate(os, segment->file->file.fd, segment->size);
    }
    if (error == 0 && segment->entry_count > 0)
        index_write(write, segment);
    if (error == 0 && segment->want_sync && !write->is_grouped) {
        error = os->ops->fdatasync(os, segment->file->file.fd);
        write->is_sync_failed = write->is_sync_failed || error < 0;
    }
    return err_of(error);
}

static void work_run(struct core_work *work)
{
    struct log_write *write = CONTAINER_OF(work, struct log_write, work);
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < write->segment_count && err == ERR_OK; i++)
        err = tail_write_file(write, &write->segments[i]);
    if (err == ERR_OK)
        err = items_write(write);
    for (uint32_t i = 0; i < write->segment_count && err == ERR_OK; i++)
        err = segment_end(write, &write->segments[i]);
    bool want_name = write->want_name && !write->is_grouped;
    if (err == ERR_OK && want_name)
        err = tail_write_sync_dir(write, write->dir);
    if (err == ERR_OK && want_name)
        err = tail_write_sync_dir(write, write->dir_parent);
    write->err = err;
}

/* --- on the core --- */

void tail_write_files(struct log_write *write)
{
    for (uint32_t i = 0; i < write->segment_count; i++) {
        struct write_segment *from = &write->segments[i];
        struct segment *segment = segment_find(write->log, from->base);
        if (!segment || !from->file)
            continue;
        segment_file_set(write->log, segment, from->file);
        from->file = NULL;
        if (from->is_uncached_opened)
            segment_uncached_set(write->log, segment, from->uncached_fd);
        from->is_uncached_opened = false;
    }
}

/* What the files have is not known when older entries came from them meanwhile. They are made anew
 * when they are lost, too; but only who has all entries can do that. */
static void index_saved(const struct write_segment *from, struct segment *segment)
{
    bool is_unknown = from->index_from != segment->index_from;
    bool is_lost = from->index_outcome == INDEX_LOST && segment->index_from == 0;
    if (is_unknown || is_lost)
        segment->index.saved = 0;
    else if (from->index_outcome != INDEX_AS_BEFORE)
        segment->index.saved += from->entry_count;
}

static void marks_set(struct log_write *write)
{
    for (uint32_t i = 0; i < write->segment_count; i++) {
        struct segment *segment = segment_find(write->log, write->segments[i].base);
        if (!segment)
            continue;
        if (write->segments[i].want_sync && write->err == ERR_OK)
            segment->is_dirty = false;
        if (write->segments[i].is_cut && write->err == ERR_OK)
            segment->is_cut = true;
        if (write->want_name && write->err == ERR_OK)
            segment->is_named = true;
        if (write->segments[i].entry_count > 0)
            index_saved(&write->segments[i], segment);
    }
}

static void work_done(struct core *core, struct core_work *work)
{
    struct log_write *write = CONTAINER_OF(work, struct log_write, work);
    tail_write_files(write);
    if (write->is_grouped)
        checkpoint_group_add(write);
    else
        tail_write_finish(write);
}

void tail_write_finish(struct log_write *write)
{
    struct store_log *log = write->log;
    enum err err = write->err;
    log->write = NULL;
    log->home->job_count--;
    marks_set(write);
    if (err == ERR_OK) {
        uint64_t before = log->tail.cached_bytes, unwritten = log->tail.unwritten_bytes;
        tail_written(&log->tail, write->number);
        tail_unwritten_account(log, unwritten);
        tail_cache_account(log, before);
    } else if (write->is_sync_failed) { /* for lack of space too: its pages may count as clean */
        log_offline(log, "a sync of a segment failed");
    } else if (err != ERR_DISK_FULL && err != ERR_NO_MEMORY) {
        log_offline(log, "a write to a segment failed");
    }
    bool was_checkpoint = write->sync;
    tail_write_free(write);
    if (was_checkpoint)
        checkpoint_written(log, err);
    log_mark_dirty(log);
    log_settle_check(log);
}

static enum err item_add(struct log_write *write, const struct tail_batch *batch)
{
    struct segment *segment = segment_find(write->log, batch->segment_base);
    CHECK(segment);
    struct write_segment *into = tail_write_segment(write, segment);
    into->is_written = true;
    struct segment_space space =
        segment_reserve(write->log, segment, batch->position, batch->position + batch->bytes.size);
    if (space.size > 0 && into->space.size == 0)
        into->space = space;
    else if (space.size > 0)
        into->space.size = space.offset + space.size - into->space.offset;
    segment->is_dirty = true;
    buf_ref(batch->bytes.buf);
    write->items[write->item_count++] =
        (struct write_item){(uint32_t)(into - write->segments), batch->position, batch->bytes};
    return ERR_OK;
}

static enum err items_add(struct log_write *write)
{
    struct tail *tail = &write->log->tail;
    size_t count = (size_t)(tail->committed - tail->written);
    write->number = tail->committed;
    write->items = malloc((count + 1) * sizeof(*write->items));
    if (!write->items)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    for (uint64_t i = tail->written; i < tail->committed && err == ERR_OK; i++) {
        if (tail_at(tail, i)->is_written)
            continue;
        tail_at(tail, i)->is_uncached = write->buffer != NULL;
        err = item_add(write, tail_at(tail, i));
    }
    return err;
}

/* The entries that the segment's index files lack, when they are worth it. */
static void index_take(struct write_segment *into, const struct segment *segment,
                       uint32_t count_min)
{
    const struct index *index = &segment->index;
    uint32_t count = index->count - index->saved;
    if (count == 0 || (count < count_min && !into->is_cut) ||
        index_encode(index, index->saved, &into->entries.offsets, &into->entries.times) != ERR_OK)
        return;
    into->entry_count = count;
    into->index_from = segment->index_from;
    into->index_below =
        index->saved > 0 ? index->entries[index->saved].position : segment->index_from;
}

/* Segments that need more than bytes: to be synced, named, cut. */
static void segments_add(struct log_write *write)
{
    struct store_log *log = write->log;
    unsigned wanted = log->store->options.index_save_min;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        bool cut = segment->is_sealed && !segment->is_cut;
        bool sync = write->sync && (segment->is_dirty || cut);
        bool open = log->is_direct_wanted && segment->base == log->next.segment_base;
        if (!sync && !cut && !open)
            continue;
        struct write_segment *into = tail_write_segment(write, segment);
        into->want_sync = sync;
        into->is_cut = cut;
        write->want_name = write->want_name || ((write->sync || open) && !segment->is_named);
        segment->is_dirty = segment->is_dirty || cut;
        index_take(into, segment, wanted ? wanted : INDEX_SAVE_MIN);
    }
    log->is_direct_wanted = false;
}

static bool may_start(const struct store_log *log, bool sync)
{
    if (log->write || log->is_swap_wanted || log->state != LOG_OPEN || log->err != ERR_OK)
        return false;
    /* the cut waits for nothing to be on its way, and writes all the same */
    return sync || log->checkpoint_state != LOG_CP_CUT;
}

/* A commit waits in the disk's queue behind a piece that was there before it: where groups are
 * small, that is what those wait for who have little on its way. */
static uint32_t piece_size(const struct store_log *log)
{
    bool is_calm = journal_group_bytes(log->home->journal) < JOURNAL_UNCACHED_SIZE_MIN;
    return is_calm ? UNCACHED_CALM_SIZE : UNCACHED_BUFFER_SIZE;
}

void tail_write_start(struct store_log *log, bool sync)
{
    if (!may_start(log, sync))
        return;
    bool is_uncached = log_is_read_from_memory(log);
    struct buf *buffer = NULL;
    if (is_uncached && !log->home->is_short && log->tail.unwritten_bytes >= LOG_WRITE_SIZE_MIN)
        buffer = buf_pool_get(core_buffers(log->home->core), piece_size(log));
    /* for lack of memory it may have been started meanwhile */
    struct log_write *write = may_start(log, sync) ? tail_write_new(log) : NULL;
    if (!write) {
        buf_unref(buffer);
        return;
    }
    write->sync = sync;
    write->buffer = buffer;
    write->is_uncached = is_uncached && (buffer || log->is_direct_wanted);
    if (items_add(write) != ERR_OK) {
        tail_write_free(write);
        return;
    }
    write->is_grouped = sync && checkpoint_group_join(log->home);
    segments_add(write);
    log->write = write;
    log->home->job_count++;
    write->work.run = work_run;
    write->work.done = work_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &write->work);
}

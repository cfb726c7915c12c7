// Waking a log on first use: what its folder holds, what the journal gives back, its last block.
// SPDX-License-Identifier: Apache-2.0
//
// Until a log wakes nothing of it was touched since the start. Bytes that the journal holds are
// written to the segments again: a crash may have torn any of their blocks. Then each segment that
// the journal speaks of is cut where the log says it ends, and files behind the last are remnants
// of what nobody was promised.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/compact.h"
#include "store/tail_write.h"

#define WAKE_COPY_SIZE (1u << 20)

/* --- on the helper --- */

static bool name_parse(const char *name, int64_t *out)
{
    int64_t base = 0;
    for (unsigned i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(base, (int64_t)10, &base) ||
            __builtin_add_overflow(base, (int64_t)(name[i] - '0'), &base))
            return false;
    }
    *out = base;
    return strcmp(name + 20, ".log") == 0;
}

static void list_found(void *arg, const char *name, bool is_directory)
{
    struct log_write *write = arg;
    int64_t base;
    if (is_directory || write->err != ERR_OK)
        return;
    write->is_unfinished = write->is_unfinished || compact_swap_is_remnant(name);
    if (!name_parse(name, &base))
        return;
    if (write->found_count == write->found_capacity) {
        uint32_t capacity = write->found_capacity ? write->found_capacity * 2 : 8;
        struct wake_found *grown = realloc(write->found, capacity * sizeof(*grown));
        if (!grown) {
            write->err = ERR_NO_MEMORY;
            return;
        }
        write->found = grown;
        write->found_capacity = capacity;
    }
    write->found[write->found_count++] = (struct wake_found){.base = base};
}

static void found_path(const struct log_write *write, int64_t base, char *out)
{
    (void)snprintf(out, LOG_PATH_SIZE, "%s/%020lld.log", write->dir, (long long)base);
}

static enum err files_list(struct log_write *write)
{
    struct os *os = write->os;
    int error = os->ops->list(os, write->dir, list_found, write);
    if (error < 0 && error != -ENOENT)
        return err_from_errno(-error);
    if (write->is_unfinished) { /* a rewrite was: then look again */
        enum err err = compact_swap_recover(os, write->dir);
        if (err != ERR_OK)
            return err;
        write->is_unfinished = false;
        write->found_count = 0;
        return files_list(write);
    }
    char path[LOG_PATH_SIZE];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < write->found_count && write->err == ERR_OK; i++) {
        struct wake_found found = write->found[i];
        struct os_stat stat;
        found_path(write, found.base, path);
        if (found.base > write->place.segment_base) {
            log_warn(write->log->store->logger, "store", "removing a remnant file=%s", path);
            error = os->ops->unlink(os, path);
            if (error < 0)
                return err_from_errno(-error);
            write->want_name = true; /* else a crash brings it back, when it no longer shows */
            continue;
        }
        error = os->ops->stat(os, path, &stat);
        if (error == -ENOENT) /* what was below the log's start when it closed is being removed */
            continue;
        if (error < 0)
            return err_from_errno(-error);
        found.size = stat.size_bytes;
        found.modified_ms = stat.modified_ms;
        write->found[kept++] = found;
    }
    write->found_count = kept;
    if (write->err == ERR_OK && write->want_name)
        write->err = tail_write_sync_dir(write, write->dir);
    return write->err;
}

static enum err read_all(struct os *os, int fd, uint8_t *out, size_t size, uint64_t offset)
{
    size_t have = 0;
    while (have < size) {
        ssize_t got = os->ops->pread(os, fd, out + have, size - have, offset + have);
        if (got == -EINTR)
            continue;
        if (got < 0)
            return err_from_errno((int)-got);
        if (got == 0)
            return ERR_TRUNCATED;
        have += (size_t)got;
    }
    return ERR_OK;
}

static enum err restore_one(struct log_write *write, struct write_segment *segment,
                            const struct log_restore *restore, uint8_t *buffer)
{
    int from = journal_piece_file(restore->piece)->fd;
    for (uint32_t done = 0; done < restore->size;) {
        uint32_t part = MIN(restore->size - done, WAKE_COPY_SIZE);
        enum err err = read_all(write->os, from, buffer, part, restore->piece_offset + done);
        struct iovec bytes = {buffer, part};
        if (err == ERR_OK)
            err = tail_write_all(write->os, segment->file->file.fd, &bytes, 1,
                                 (uint64_t)restore->position + done);
        if (err != ERR_OK)
            return err;
        done += part;
    }
    return ERR_OK;
}

static struct write_segment *segment_of(struct log_write *write, int64_t base)
{
    for (uint32_t i = 0; i < write->segment_count; i++) {
        if (write->segments[i].base == base)
            return &write->segments[i];
    }
    return NULL;
}

static enum err restore_all(struct log_write *write)
{
    uint8_t *buffer = malloc(WAKE_COPY_SIZE);
    enum err err = buffer ? ERR_OK : ERR_NO_MEMORY;
    for (uint32_t i = 0; i < write->restore_count && err == ERR_OK; i++) {
        struct write_segment *segment = segment_of(write, write->restores[i].segment_base);
        if (segment)
            err = restore_one(write, segment, &write->restores[i], buffer);
    }
    free(buffer);
    return err;
}

static enum err segments_cut(struct log_write *write)
{
    struct os *os = write->os;
    for (uint32_t i = 0; i < write->segment_count; i++) {
        const struct write_segment *segment = &write->segments[i];
        struct os_stat stat;
        /* where the log goes on, the last block may be nowhere else: the next batch covers the rest
         */
        uint64_t size = segment->size;
        if (segment->base == write->place.segment_base)
            size = (size + LOG_BLOCK_SIZE - 1) & ~(uint64_t)(LOG_BLOCK_SIZE - 1);
        int error = os->ops->fstat(os, segment->file->file.fd, &stat);
        if (error == 0 && stat.size_bytes > size)
            error = os->ops->truncate(os, segment->file->file.fd, size);
        if (error < 0)
            return err_from_errno(-error);
        if (stat.size_bytes < segment->size)
            log_error(write->log->store->logger, "store",
                      "a segment is shorter than it was file=%s/%020lld.log size=%llu wanted=%u",
                      write->dir, (long long)segment->base, (unsigned long long)stat.size_bytes,
                      segment->size);
    }
    return ERR_OK;
}

static enum err block_read(struct log_write *write)
{
    struct write_segment *segment = segment_of(write, write->place.segment_base);
    uint32_t rest = write->place.size & (LOG_BLOCK_SIZE - 1);
    if (!segment || rest == 0)
        return ERR_OK;
    enum err err =
        read_all(write->os, segment->file->file.fd, write->block, rest, write->place.size - rest);
    return err == ERR_TRUNCATED ? ERR_OK : err;
}

static void wake_run(struct core_work *work)
{
    struct log_write *write = CONTAINER_OF(work, struct log_write, work);
    enum err err = files_list(write);
    for (uint32_t i = 0; i < write->segment_count && err == ERR_OK; i++)
        err = tail_write_file(write, &write->segments[i]);
    if (err == ERR_OK && write->restore_count > 0)
        err = restore_all(write);
    if (err == ERR_OK)
        err = segments_cut(write);
    if (err == ERR_OK && write->block)
        err = block_read(write);
    write->err = err;
}

/* --- on the core --- */

static enum err found_add(struct store_log *log, const struct wake_found *found)
{
    struct segment *segment = segment_find(log, found->base);
    if (segment)
        return ERR_OK;
    if (found->size > LOG_SEGMENT_SIZE_MAX)
        return ERR_OK;
    segment = segment_add(log, found->base);
    if (!segment)
        return ERR_NO_MEMORY;
    segment->size = segment->index_from = (uint32_t)found->size;
    segment->modified_ms = found->modified_ms;
    segment->first_ms = -1;
    segment->is_named = true;
    segment->is_sealed = true;
    segment->is_cut = true;
    return ERR_OK;
}

static void segments_take(struct log_write *write)
{
    struct store_log *log = write->log;
    tail_write_files(write);
    for (uint32_t i = 0; i < write->segment_count; i++) {
        struct segment *segment = segment_find(log, write->segments[i].base);
        if (!segment)
            continue;
        segment->is_dirty = true;
        segment->modified_ms = core_wall_ms(log->home->core);
        segment->is_cut = segment->base < log->place.segment_base;
    }
    log->sealed_bytes = 0;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        segment->is_sealed = segment->base < log->place.segment_base;
        if (segment->is_sealed)
            log->sealed_bytes += segment->size;
    }
}

static void opened(struct store_log *log)
{
    log->state = LOG_OPEN;
    log->is_listed = true;
    free(log->restores);
    log->restores = NULL;
    log->restore_count = log->restore_capacity = 0;
    log_mark_dirty(log);
    read_wake(log);
    if (log->is_retain_due)
        log_retain_check(log);
    log->is_retain_due = false;
    compact_log_opened(log);
    if (log->checkpoint_state == LOG_CP_NONE && log->piece_count == 0)
        log_wake_undo(log);
}

static void wake_failed(struct store_log *log, enum err err)
{
    log->state = LOG_CLOSED;
    compact_cancel(log);
    log_error(log->store->logger, "store", "a log cannot be opened log=%s error=%s",
              log_name(&log->key).text, err_name(err));
    read_fail_all(log, err);
    if (err != ERR_DISK_FULL && err != ERR_NO_MEMORY) {
        log_offline(log, "its files cannot be opened");
        return;
    }
    /* the flush comes again later */
    if (!log->is_dirty)
        list_push_back(&log->home->dirty, &log->dirty_node);
    log->is_dirty = true;
    core_timer_set(log->home->core, &log->home->retry, core_now_ns(log->home->core) + LOG_RETRY_NS);
}

static void wake_done(struct core *core, struct core_work *work)
{
    struct log_write *write = CONTAINER_OF(work, struct log_write, work);
    struct store_log *log = write->log;
    log->write = NULL;
    log->home->job_count--;
    enum err err = write->err;
    for (uint32_t i = 0; i < write->found_count && err == ERR_OK; i++)
        err = found_add(log, &write->found[i]);
    if (err == ERR_OK) {
        segments_take(write);
        opened(log);
    } else {
        wake_failed(log, write->is_sync_failed ? ERR_OFFLINE : err);
    }
    tail_write_free(write);
    log_settle_check(log);
}

/* Room for the last partial block, which the job reads; what is in it already stays. */
static bool block_make(struct store_log *log)
{
    uint32_t rest = log->place.size & (LOG_BLOCK_SIZE - 1);
    if (log->is_listed || rest == 0)
        return true;
    free(log->block);
    log->block = calloc(1, rest);
    log->block_number = log->tail.committed;
    return log->block != NULL;
}

void log_wake(struct store_log *log)
{
    if (log->state != LOG_CLOSED || log->err != ERR_OK || log->write)
        return;
    log_decode(log);
    /* room for its segment's part in the job comes with it */
    struct log_write *write = segment_place(log) == ERR_OK ? tail_write_new(log) : NULL;
    if (!write || !block_make(log)) {
        if (write)
            tail_write_free(write);
        wake_failed(log, ERR_NO_MEMORY);
        return;
    }
    if (log->is_new && !log->is_listed) {
        tail_write_free(write);
        opened(log);
        return;
    }
    /* going back after a failure (log_rollback) only looks for remnants */
    for (uint32_t i = 0; i < log->segment_count && !log->is_listed; i++) {
        struct segment *segment = log->segments[i];
        if (segment->base <= log->place.segment_base && segment->size > 0)
            (void)tail_write_segment(write, segment);
    }
    log->state = LOG_WAKING;
    log->is_visited =
        list_empty(&log->reads) && list_empty(&log->lookups) && list_empty(&log->queue);
    log->write = write;
    log->home->job_count++;
    write->place = log->place;
    write->block = log->is_listed ? NULL : log->block;
    write->restores = log->restores;
    write->restore_count = log->restore_count;
    write->work.run = wake_run;
    write->work.done = wake_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &write->work);
}

/* Nothing is on its way, and nothing that the journal alone holds. */
static bool is_at_rest(const struct store_log *log)
{
    return log->state == LOG_OPEN && log->err == ERR_OK && log_is_quiet(log) && !log->is_failing &&
           !log->is_moving && !log->is_deleted && !log->is_retaining && log->piece_count == 0 &&
           log->next.segment_base == log->place.segment_base;
}

/* As after a start. */
static void rest(struct store_log *log)
{
    log->is_visited = false;
    log->oldest_ms = log_retain_oldest_ms(log);
    if (log->segment_count == 1 && log->oldest_ms < log->place.first_ms)
        log->oldest_ms = log->place.first_ms; /* its greatest timestamp is not less */
    compact_plan_note(log);
    while (log->segment_count > 0)
        segment_remove(log, log->segments[0]);
    log->state = LOG_CLOSED;
    log->is_listed = false;
    log->is_new = false;
    list_remove(&log->dirty_node); /* what is closed and dirty wakes */
    log->is_dirty = false;
    free(log->block);
    log->block = NULL;
    log->block_number = 0;
    log->carry = (log->place.size & (LOG_BLOCK_SIZE - 1)) != 0;
}

void log_wake_undo(struct store_log *log)
{
    bool is_used = log->tail.next > log->tail.first || !list_empty(&log->queue) ||
                   !list_empty(&log->reads) || !list_empty(&log->jobs);
    log->is_visited = log->is_visited && !is_used;
    if (log->is_visited && is_at_rest(log))
        rest(log);
}

/* A file is found again at its size, so what lies behind a sealed segment must have been cut. */
static bool are_cut(const struct store_log *log)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment->base < log->place.segment_base && !segment->is_cut)
            return false;
    }
    return true;
}

void log_wake_end(struct store_log *log)
{
    const struct tail *tail = &log->tail;
    if (log->store->is_draining || log->is_checkpoint_forced || tail->written < tail->next ||
        !are_cut(log) || compact_plan_urgency(log) > 0 || !is_at_rest(log))
        return;
    uint64_t before = tail->cached_bytes;
    tail_deinit(log);
    tail_cache_account(log, before);
    rest(log);
}

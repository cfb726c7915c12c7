// What leaves a log: DeleteRecords, retention by time and size, single records, old files.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "store/log.h"

/* --- old files --- */

struct unlink_work {
    struct core_work work;
    struct store_log *log;
    size_t count;
    char *dir;
    int64_t bases[];
};

static void unlink_run(struct core_work *work)
{
    struct unlink_work *job = CONTAINER_OF(work, struct unlink_work, work);
    static const char *const suffixes[] = {".log", ".index", ".timeindex"};
    struct os *os = core_os(work->core);
    char path[LOG_PATH_SIZE];
    for (size_t i = 0; i < job->count; i++) {
        for (size_t j = 0; j < COUNT_OF(suffixes); j++) {
            (void)snprintf(path, sizeof(path), "%s/%020lld%s", job->dir, (long long)job->bases[i],
                           suffixes[j]);
            (void)os->ops->unlink(os, path); /* again at the next chance */
        }
    }
}

static void unlink_done(struct core *core, struct core_work *work)
{
    struct unlink_work *job = CONTAINER_OF(work, struct unlink_work, work);
    struct store_log *log = job->log;
    log->unlink_count--;
    log->home->job_count--;
    log_settle_check(log);
    free(job->dir);
    free(job);
}

/* Segments wholly below the start that nothing waits for. */
static bool is_gone(const struct store_log *log, uint32_t at)
{
    const struct segment *segment = log->segments[at];
    if (at + 1 >= log->segment_count || log->segments[at + 1]->base > log->start ||
        segment->base >= log->place.segment_base)
        return false;
    const struct tail *tail = &log->tail;
    return tail->written == tail->next ||
           tail_at(tail, tail->written)->segment_base > segment->base;
}

void log_retain_unlink(struct store_log *log)
{
    if (log->state != LOG_OPEN || log->write)
        return;
    uint32_t count = 0;
    while (count < log->segment_count && is_gone(log, count))
        count++;
    if (count == 0)
        return;
    struct unlink_work *job = calloc(1, sizeof(*job) + count * sizeof(job->bases[0]));
    char dir[LOG_PATH_SIZE];
    log_dir_path(log, dir);
    if (job)
        job->dir = strdup(dir);
    if (!job || !job->dir) {
        free(job);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct segment *segment = log->segments[0];
        job->bases[job->count++] = segment->base;
        log->sealed_bytes -= MIN(log->sealed_bytes, segment->size);
        segment_remove(log, segment);
    }
    /* not at the start itself: a batch across it is still served as a whole */
    if (log->segment_count > 0)
        holes_truncate_start(&log->holes, log->segments[0]->base);
    uint64_t before = log->tail.cached_bytes;
    while (log->tail.first < log->tail.written &&
           tail_at(&log->tail, log->tail.first)->last_offset < log->start)
        (void)tail_pop_front(&log->tail);
    tail_cache_account(log, before);
    job->log = log;
    log->unlink_count++;
    log->home->job_count++;
    job->work.run = unlink_run;
    job->work.done = unlink_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &job->work);
}

/* --- the start --- */

/* All that is there is to go: the log goes on in a new segment, so that the old file can go. */
static void roll(struct store_log *log)
{
    if (log->next.segment_base < 0 || log->next.size == 0)
        return;
    if (!segment_find(log, log->end) && !segment_add(log, log->end))
        return;
    log->next = (struct log_place){log->end, 0, -1};
}

static struct log_entry *control_new(struct store_log *log, enum log_entry_kind kind,
                                     store_done_fn done, void *arg)
{
    struct log_entry *entry = log_entry_new(log, kind);
    if (!entry)
        return NULL;
    entry->done = done;
    entry->arg = arg;
    return entry;
}

static void control_queue(struct store_log *log, struct log_entry *entry)
{
    entry->place = log->next;
    entry->next_offset = log->end;
    log_entry_queue(log, entry);
}

static enum err control_admit(const struct store_log *log)
{
    if (log->err != ERR_OK)
        return log->err;
    if (log->is_moving)
        return ERR_MOVED;
    if (log->is_failing)
        return log->fail_err;
    return log->is_deleted || log->store->is_draining ? ERR_CLOSED : ERR_OK;
}

void store_log_start_set(struct store_log *log, int64_t offset, store_done_fn done, void *arg)
{
    log_decode(log);
    enum err err = control_admit(log);
    int64_t durable = log_durable(log);
    if (offset == -1)
        offset = durable;
    if (err == ERR_OK && (offset < 0 || offset > durable))
        err = ERR_OUT_OF_RANGE;
    if (err != ERR_OK || offset <= log->start) {
        done(arg, err);
        return;
    }
    struct log_entry *entry = control_new(log, LOG_ENTRY_START, done, arg);
    if (!entry) {
        done(arg, ERR_NO_MEMORY);
        return;
    }
    if (offset == log->end)
        roll(log);
    entry->start = offset;
    control_queue(log, entry);
}

/* --- single records --- */

struct punch {
    store_done_fn done;
    void *arg;
    size_t pending;
    enum err err;
};

static void punch_done(void *arg, enum err err)
{
    struct punch *punch = arg;
    if (punch->err == ERR_OK)
        punch->err = err;
    if (--punch->pending > 0)
        return;
    punch->done(punch->arg, punch->err);
    free(punch);
}

static enum err punch_part(struct store_log *log, struct punch *punch, const int64_t *offsets,
                           size_t count)
{
    struct log_entry *entry = control_new(log, LOG_ENTRY_HOLES, punch_done, punch);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->offsets = malloc(count * sizeof(int64_t));
    entry->extra = malloc(count * sizeof(int64_t));
    if (!entry->offsets || !entry->extra) {
        log_entry_free(entry);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        entry->offsets[i] = offsets[i];
        le64_put(entry->extra + i * sizeof(int64_t), (uint64_t)offsets[i]);
    }
    entry->offset_count = count;
    punch->pending++;
    control_queue(log, entry);
    return ERR_OK;
}

void store_log_punch(struct store_log *log, const int64_t *offsets, size_t count,
                     store_done_fn done, void *arg)
{
    log_decode(log);
    enum err err = control_admit(log);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        if (offsets[i] < 0 || offsets[i] >= log_durable(log))
            err = ERR_OUT_OF_RANGE;
    }
    struct punch *punch = err == ERR_OK && count > 0 ? calloc(1, sizeof(*punch)) : NULL;
    if (!punch) {
        done(arg, err == ERR_OK && count > 0 ? ERR_NO_MEMORY : err);
        return;
    }
    *punch = (struct punch){.done = done, .arg = arg, .pending = 1};
    for (size_t at = 0; at < count && err == ERR_OK; at += LOG_HOLES_PER_ENTRY)
        err = punch_part(log, punch, offsets + at, MIN(count - at, LOG_HOLES_PER_ENTRY));
    punch_done(punch, err);
}

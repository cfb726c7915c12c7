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
           tail_at(&log->tail, log->tail.first)->last_offset < log->start && tail_drop_front(log))
        ;
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

/* --- retention --- */

static bool is_indexed(const struct segment *segment)
{
    return segment->index_from == 0;
}

/* Greatest timestamp; of batches without any, the last change of the file. */
static int64_t segment_ms(const struct segment *segment)
{
    int64_t ms = segment->index.timestamp_max_ms;
    return ms > 0 ? ms : segment->modified_ms;
}

int64_t log_retain_oldest_ms(const struct store_log *log)
{
    if (log->state != LOG_OPEN || log->segment_count == 0 || !is_indexed(log->segments[0]))
        return log->oldest_ms;
    return segment_ms(log->segments[0]);
}

static bool is_expired(const struct store_log *log, const struct segment *segment,
                       uint64_t total_bytes)
{
    const struct store_log_config *config = log->config;
    int64_t now_ms = core_wall_ms(log->home->core);
    int64_t ms = segment_ms(segment);
    if (config->retention_ms >= 0 && ms > 0 && now_ms > config->retention_ms &&
        now_ms - config->retention_ms > ms)
        return true;
    return config->retention_bytes >= 0 && segment->base != log->place.segment_base &&
           total_bytes - segment->size >= (uint64_t)config->retention_bytes;
}

/* Where the log may start; *out_is_blind: the index of the next segment must be loaded first. */
static int64_t start_allowed(const struct store_log *log, bool *out_is_blind)
{
    uint64_t total_bytes = store_log_size(log);
    int64_t start = log->start;
    *out_is_blind = false;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        bool is_last = i + 1 == log->segment_count;
        int64_t next = is_last ? log->end : log->segments[i + 1]->base;
        if (segment->size == 0 || next > log->committed || (is_last && log->queue_bytes > 0))
            break;
        if (next <= log->start) { /* its file goes by itself */
            total_bytes -= segment->size;
            continue;
        }
        *out_is_blind = !is_indexed(segment) && log->config->retention_ms >= 0;
        if (*out_is_blind || !is_expired(log, segment, total_bytes))
            break;
        total_bytes -= segment->size;
        start = next;
    }
    return start;
}

static void retained(void *arg, enum err err)
{
    struct store_log *log = arg;
    log->is_retaining = false;
    if (err != ERR_OK)
        log_warn(log->store->logger, "store", "retention failed log=%s error=%s",
                 log_name(&log->key).text, err_name(err));
}

static void check(struct store_log *log, bool may_index);

struct retain_look {
    struct store_lookup lookup;
    struct store_log *log;
};

static void indexed(struct store_lookup *lookup)
{
    struct retain_look *look = CONTAINER_OF(lookup, struct retain_look, lookup);
    struct store_log *log = look->log;
    bool is_found = lookup->result == ERR_OK;
    free(look);
    log->is_retaining = false;
    if (is_found && log->home)
        check(log, false);
    if (log->home)
        log_wake_undo(log);
}

/* may_index: an index that is missing is made, and then it is checked again, once. */
static void check(struct store_log *log, bool may_index)
{
    const struct store_log_config *config = log->config;
    if (!config->retain || (config->retention_ms < 0 && config->retention_bytes < 0) ||
        log->state != LOG_OPEN || log->err != ERR_OK || log->is_retaining || log->is_moving ||
        log->is_deleted || log->is_failing || log->store->is_draining)
        return;
    bool is_blind;
    int64_t start = start_allowed(log, &is_blind);
    log->oldest_ms = log_retain_oldest_ms(log);
    if (start > log->start) {
        log->is_retaining = true;
        log_info(log->store->logger, "store", "retention log=%s start=%lld",
                 log_name(&log->key).text, (long long)start);
        store_log_start_set(log, start, retained, log);
    } else if (is_blind && may_index) {
        struct retain_look *look = calloc(1, sizeof(*look));
        if (!look)
            return; /* at its next turn */
        log->is_retaining = true;
        look->log = log;
        look->lookup.done = indexed;
        store_log_find_max_time(log, &look->lookup);
    }
}

void log_retain_check(struct store_log *log)
{
    check(log, true);
}

void log_retain_turn(struct store_log *log)
{
    int64_t now_ms = core_wall_ms(log->home->core);
    const struct store_log_config *config = log->config;
    if (log->is_decoded && config->producer_expiry_ms > 0)
        producers_expire(&log->producers, log->transactions, now_ms - config->producer_expiry_ms);
    if (log->state == LOG_OPEN) {
        log_retain_check(log);
        return;
    }
    /* with bytes in the journal its checkpoint wakes it soon */
    bool is_due = config->retain && config->retention_ms >= 0 && log->committed > log->start &&
                  log->piece_count == 0 && log->oldest_ms < now_ms - config->retention_ms;
    log->is_retain_due = is_due;
    if (is_due)
        log_wake(log); /* which checks */
}

/* --- single records --- */

static struct log_entry *holes_new(struct store_log *log, const int64_t *offsets, size_t count)
{
    struct log_entry *entry = control_new(log, LOG_ENTRY_HOLES, NULL, NULL);
    if (!entry)
        return NULL;
    size_t size = count * sizeof(int64_t); /* of the bytes that are written, too */
    entry->offsets = malloc(size);
    entry->extra = malloc(size);
    if (!entry->offsets || !entry->extra) {
        log_entry_free(entry);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        entry->offsets[i] = offsets[i];
        le64_put(entry->extra + i * sizeof(int64_t), (uint64_t)offsets[i]);
    }
    entry->offset_count = count;
    return entry;
}

/* Entries of a log succeed in order: the last one speaks for all. */
void store_log_punch(struct store_log *log, const int64_t *offsets, size_t count,
                     store_done_fn done, void *arg)
{
    log_decode(log);
    enum err err = control_admit(log);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        if (offsets[i] < 0 || offsets[i] >= log_durable(log))
            err = ERR_OUT_OF_RANGE;
    }
    if (err != ERR_OK || count == 0) {
        done(arg, err);
        return;
    }
    for (size_t at = 0; at < count; at += LOG_HOLES_PER_ENTRY) {
        size_t part = MIN(count - at, LOG_HOLES_PER_ENTRY);
        struct log_entry *entry = holes_new(log, offsets + at, part);
        if (!entry) {
            done(arg, ERR_NO_MEMORY);
            return;
        }
        if (at + part == count) {
            entry->done = done;
            entry->arg = arg;
        }
        control_queue(log, entry);
    }
}

// Finding records by time: the first at or after one, and the one with the greatest.
// SPDX-License-Identifier: Apache-2.0
//
// Segments are asked one after the other, each by a job on a helper that loads its index when it
// must; then the batches in memory. The greatest timestamp is found first, then its first record.
#include <stdlib.h>

#include "record/codec.h"
#include "store/read.h"

#define FIND_RECORDS_MAX (256u << 20)

struct find_job {
    struct core_work work;
    struct list node;
    struct store_log *log;
    struct store_lookup *lookup;
    struct read_scope scope;
    struct read_window window;
    struct segment_file *file;
    struct buf_range batch; /* in memory: one reference */
    struct index index;     /* out, when !has_index */
    bool has_index;
    bool is_loading; /* only the index is wanted */
    uint32_t index_to;
    struct read_step step;
    int64_t timestamp_ms;
    int64_t start;
    int64_t end;
    int64_t base; /* of the segment asked last */
    enum err err; /* NOT_FOUND: not in this segment */
    int64_t offset;
    int64_t found_ms;
    int32_t epoch;
    bool want_max;
    char path[LOG_PATH_SIZE];
};

static void go_on(struct find_job *job);

/* --- on a helper --- */

static enum err find_in_records(struct find_job *job, const struct batch_header *header,
                                struct slice records)
{
    struct record record;
    while (record_next(&records, &record) == ERR_OK) {
        int64_t offset = header->base_offset + record.offset_delta;
        int64_t ms = header->attributes & BATCH_LOG_APPEND_TIME
                         ? header->max_timestamp_ms
                         : header->base_timestamp_ms + record.timestamp_delta_ms;
        if (offset < job->start || offset >= job->end || ms < job->timestamp_ms)
            continue;
        job->offset = offset;
        job->found_ms = ms;
        job->epoch = header->leader_epoch;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

static enum err find_in_batch(struct find_job *job, struct slice batch)
{
    struct batch_header header;
    struct codec_output scratch;
    struct slice records;
    if (!read_file_check(&job->scope, batch) || batch_header_read(batch, &header) != ERR_OK)
        return ERR_NOT_FOUND; /* damaged: reading it will tell */
    codec_output_init(&scratch, FIND_RECORDS_MAX);
    enum err err = codec_batch_records(batch, &scratch, &records);
    err = err == ERR_OK ? find_in_records(job, &header, records) : ERR_NOT_FOUND;
    codec_output_deinit(&scratch);
    return err;
}

static enum err find_in_segment(struct find_job *job)
{
    struct read_step before = job->step;
    for (;;) {
        struct batch_header header;
        enum err err = read_file_header(&job->window, &job->scope, &job->step, &header);
        if (err == ERR_CORRUPT) {
            read_file_blame(&job->window, &job->scope, &before, &job->step);
            err = read_file_resync(&job->window, &job->scope, &job->step);
            before = job->step;
            if (err == ERR_OK)
                continue;
        }
        if (err != ERR_OK)
            return err;
        const uint8_t *bytes = NULL;
        ssize_t got = 0;
        if (header.max_timestamp_ms >= job->timestamp_ms)
            got = read_file_get(&job->window, job->step.position, header.size, &bytes);
        if (got == (ssize_t)header.size) {
            err = find_in_batch(job, slice_make(bytes, header.size));
            if (err != ERR_NOT_FOUND)
                return err;
        }
        before = job->step;
        job->step.position += header.size;
        job->step.expected = batch_last_offset(&header) + 1;
    }
}

static void segment_run(struct core_work *work)
{
    struct find_job *job = CONTAINER_OF(work, struct find_job, work);
    enum err err = ERR_OK;
    if (!job->file)
        err = read_segment_open(job->window.os, job->path, &job->file);
    if (err == ERR_OK) {
        job->window.fd = job->file->file.fd;
        if (!job->has_index)
            err = read_file_index(&job->window, &job->scope, job->path, job->index_to, &job->index);
    }
    if (err == ERR_OK && !job->is_loading)
        err = find_in_segment(job);
    job->err = err;
}

static void batch_run(struct core_work *work)
{
    struct find_job *job = CONTAINER_OF(work, struct find_job, work);
    job->err = find_in_batch(job, buf_range_slice(job->batch));
}

/* --- on the core --- */

static void finish(struct find_job *job, enum err err)
{
    struct store_lookup *lookup = job->lookup;
    lookup->result = err == ERR_NOT_FOUND ? ERR_OK : err;
    lookup->offset = err == ERR_OK ? job->offset : -1;
    lookup->found_timestamp_ms = err == ERR_OK ? job->found_ms : -1;
    lookup->leader_epoch = err == ERR_OK ? job->epoch : -1;
    list_remove(&job->node);
    segment_file_unref(job->file);
    buf_unref(job->batch.buf);
    epochs_deinit(&job->scope.epochs);
    index_deinit(&job->index);
    free(job->window.data);
    job->log->home->job_count--;
    log_settle_check(job->log);
    free(job);
    lookup->done(lookup);
}

static void segment_done(struct core *core, struct core_work *work)
{
    struct find_job *job = CONTAINER_OF(work, struct find_job, work);
    struct segment *segment = segment_find(job->log, job->base);
    if (segment && job->file) {
        segment_file_set(job->log, segment, job->file);
        job->file = NULL;
    }
    if (segment && !job->has_index && (job->err == ERR_OK || job->err == ERR_NOT_FOUND))
        read_index_install(segment, &job->index, job->index_to);
    index_deinit(&job->index);
    segment_file_unref(job->file);
    job->file = NULL;
    if (job->err == ERR_NOT_FOUND || (job->err == ERR_OK && job->is_loading))
        go_on(job);
    else
        finish(job, job->err);
}

static void batch_done(struct core *core, struct core_work *work)
{
    struct find_job *job = CONTAINER_OF(work, struct find_job, work);
    buf_unref(job->batch.buf);
    job->batch.buf = NULL;
    if (job->err == ERR_NOT_FOUND)
        go_on(job);
    else
        finish(job, job->err);
}

static bool ask_segment(struct find_job *job, struct segment *segment)
{
    struct store_log *log = job->log;
    job->base = segment->base;
    epochs_deinit(&job->scope.epochs);
    if (!read_scope_fill(log, segment, &job->scope))
        return false;
    job->has_index = segment->index_from == 0;
    job->index_to = segment->index_from;
    job->window.at = job->window.size = 0;
    uint32_t position =
        job->has_index ? index_time_position(&segment->index, job->timestamp_ms) : 0;
    job->step = (struct read_step){position, position == 0 ? segment->base : -1};
    if (segment->file) {
        atomic_fetch_add(&segment->file->file.refs, 1);
        job->file = segment->file;
    }
    segment_path(log, segment->base, ".log", job->path);
    job->work.run = segment_run;
    job->work.done = segment_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &job->work);
    return true;
}

/* The first segment behind base that may hold what is wanted, outside memory. */
static struct segment *segment_next(const struct find_job *job)
{
    const struct store_log *log = job->log;
    const struct tail *tail = &log->tail;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        bool is_below = i + 1 < log->segment_count && log->segments[i + 1]->base <= log->start;
        if (segment->base <= job->base || segment->size == 0 || is_below)
            continue;
        if (tail->next > tail->first && tail_at(tail, tail->first)->base_offset <= segment->base)
            return NULL;
        if (segment->index_from == 0 &&
            (job->is_loading || segment->index.timestamp_max_ms < job->timestamp_ms))
            continue;
        return segment;
    }
    return NULL;
}

static bool ask_tail(struct find_job *job)
{
    const struct tail *tail = &job->log->tail;
    uint64_t number = tail_find(tail, MAX(job->start, job->offset));
    for (; number < tail->next; number++) {
        const struct tail_batch *batch = tail_at(tail, number);
        if (batch->base_offset >= job->end)
            return false;
        if (batch->max_timestamp_ms < job->timestamp_ms)
            continue;
        job->batch = batch->bytes;
        buf_ref(job->batch.buf);
        job->offset = batch->last_offset + 1; /* where to go on */
        job->work.run = batch_run;
        job->work.done = batch_done;
        core_work_submit(job->log->home->core, CORE_LANE_BULK, &job->work);
        return true;
    }
    return false;
}

/* All indexes are there: the greatest timestamp of segments and memory. */
static int64_t max_time(const struct store_log *log)
{
    int64_t max_ms = -1;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i]->size > 0)
            max_ms = MAX(max_ms, log->segments[i]->index.timestamp_max_ms);
    }
    return max_ms;
}

static void go_on(struct find_job *job)
{
    struct segment *segment = segment_next(job);
    if (segment) {
        if (!ask_segment(job, segment))
            finish(job, ERR_NO_MEMORY);
        return;
    }
    if (job->is_loading) {
        job->is_loading = false;
        job->base = -1;
        job->timestamp_ms = max_time(job->log);
        if (job->timestamp_ms < 0)
            finish(job, ERR_NOT_FOUND);
        else
            go_on(job);
        return;
    }
    if (!ask_tail(job))
        finish(job, ERR_NOT_FOUND);
}

void log_find_wake(struct store_log *log)
{
    struct list waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &log->lookups);
    struct list *node;
    while ((node = list_pop_front(&waiting))) {
        struct find_job *job = LIST_ENTRY(node, struct find_job, node);
        list_push_back(&log->jobs, &job->node);
        if (log->state == LOG_OPEN)
            go_on(job);
        else
            finish(job, log->err != ERR_OK ? ERR_OFFLINE : ERR_BUSY);
    }
}

static void start(struct store_log *log, struct store_lookup *lookup, bool want_max)
{
    log_decode(log);
    struct find_job *job = calloc(1, sizeof(*job));
    if (!job) {
        lookup->result = ERR_NO_MEMORY;
        lookup->offset = lookup->found_timestamp_ms = -1;
        lookup->done(lookup);
        return;
    }
    job->log = log;
    job->lookup = lookup;
    job->base = -1;
    job->timestamp_ms = lookup->timestamp_ms;
    job->is_loading = want_max;
    job->start = log->start;
    job->end = log_durable(log);
    job->window.os = log->store->os;
    index_init(&job->index);
    epochs_init(&job->scope.epochs);
    log->home->job_count++;
    list_push_back(&log->lookups, &job->node);
    if (log->state != LOG_OPEN && log->err == ERR_OK)
        log_wake(log);
    else if (!log->is_swapping)
        log_find_wake(log);
}

void store_log_find_time(struct store_log *log, struct store_lookup *lookup)
{
    start(log, lookup, false);
}

void store_log_find_max_time(struct store_log *log, struct store_lookup *lookup)
{
    start(log, lookup, true);
}

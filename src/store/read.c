// Reading a log: from memory when it is there, else from the segments by a job on a helper.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "record/build.h"
#include "store/read.h"
#include "store/read_span.h"

#define READ_BUFFER_MIN (64u << 10)
#define READ_BUFFER_MAX (8u << 20)

struct read_job {
    struct core_work work;
    struct list node; /* log->jobs */
    struct store_log *log;
    struct store_read *read;
    bool cancelled;
    struct read_scope scope;
    struct read_window window;
    struct segment_file *file; /* one reference; NULL: open it */
    bool has_index;            /* the segment's index is complete */
    bool is_indexed;           /* index is set */
    uint32_t index_to;
    struct index index; /* out, when !has_index */
    struct read_step step;
    int64_t offset;
    int64_t offset_limit;
    uint32_t size_max;
    bool want_one;
    bool is_full; /* out: more batches follow, but not within size_max */
    struct buf *buffer;
    uint32_t size; /* out */
    uint32_t position;
    uint32_t wanted; /* out: the buffer must be as large */
    int64_t offset_next;
    int64_t damage_first; /* out; -1: none */
    int64_t damage_next;
    enum err err;
    /* rebuild */
    int64_t *holes;
    size_t hole_count;
    struct codec_output rebuilt;
    char path[LOG_PATH_SIZE];
};

static enum err from_segment(struct store_log *log, struct store_read *read, int64_t base,
                             uint32_t buffer_size);

void store_read_release(struct store_read *read)
{
    for (unsigned i = 0; i < read->chunk_count; i++) {
        buf_unref(read->chunks[i].bytes.buf);
        struct conn_file *file = read->chunks[i].file;
        if (file && atomic_fetch_sub(&file->refs, 1) == 1)
            file->close(file);
    }
    free(read->chunks);
    if (read->aborted && read->aborted_budget)
        budget_release(read->aborted_budget, read->aborted_count * sizeof(*read->aborted));
    free(read->aborted);
    read->chunks = NULL;
    read->chunk_count = 0;
    read->aborted = NULL;
    read->aborted_count = 0;
    read->size = 0;
}

static void finish(struct store_log *log, struct store_read *read, enum err err)
{
    read->result = err == ERR_OK ? read_aborted_add(log, read) : err;
    read->done(read);
}

/* --- without what was deleted --- */

static bool hole_at(void *arg, int64_t offset)
{
    const struct read_job *job = arg;
    size_t low = 0, high = job->hole_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (job->holes[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < job->hole_count && job->holes[low] == offset;
}

static enum err rebuild_bytes(struct read_job *job, struct slice bytes)
{
    while (bytes.size > 0) {
        struct batch_header header;
        enum err err = batch_header_read(bytes, &header);
        if (err != ERR_OK || header.size > bytes.size)
            return ERR_CORRUPT;
        struct slice batch = slice_make(bytes.data, header.size);
        bool is_holed = false;
        for (size_t i = 0; i < job->hole_count && !is_holed; i++)
            is_holed =
                job->holes[i] >= header.base_offset && job->holes[i] <= batch_last_offset(&header);
        err = is_holed ? build_without(batch, hole_at, job, &job->rebuilt)
                       : codec_output_add(&job->rebuilt, batch);
        if (err != ERR_OK)
            return err;
        bytes = slice_make(bytes.data + header.size, bytes.size - header.size);
    }
    return ERR_OK;
}

static void rebuild_run(struct core_work *work)
{
    struct read_job *job = CONTAINER_OF(work, struct read_job, work);
    job->err = ERR_OK;
    for (unsigned i = 0; i < job->read->chunk_count && job->err == ERR_OK; i++)
        job->err = rebuild_bytes(job, buf_range_slice(job->read->chunks[i].bytes));
}

static void job_free(struct read_job *job)
{
    list_remove(&job->node);
    job->log->home->job_count--;
    segment_file_unref(job->file);
    epochs_deinit(&job->scope.epochs);
    index_deinit(&job->index);
    codec_output_deinit(&job->rebuilt);
    free(job->window.data);
    free(job->holes);
    buf_unref(job->buffer);
    log_settle_check(job->log);
    free(job);
}

static struct read_job *job_new(struct store_log *log, struct store_read *read)
{
    struct read_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->log = log;
    job->read = read;
    job->damage_first = -1;
    index_init(&job->index);
    epochs_init(&job->scope.epochs);
    codec_output_init(&job->rebuilt, INT32_MAX);
    list_push_back(&log->jobs, &job->node);
    log->home->job_count++;
    read->private = job;
    return job;
}

static void rebuild_done(struct core *core, struct core_work *work)
{
    struct read_job *job = CONTAINER_OF(work, struct read_job, work);
    struct store_read *read = job->read;
    enum err err = job->cancelled ? ERR_CANCELLED : job->err;
    store_read_release(read);
    struct buf *buf = NULL;
    if (err == ERR_OK && job->rebuilt.size > 0) {
        buf = buf_pool_get(core_buffers(core), job->rebuilt.size);
        err = buf ? ERR_OK : ERR_BUSY;
    }
    if (buf) {
        struct store_chunk chunk = {.bytes = {buf, 0, (uint32_t)job->rebuilt.size},
                                    .size = job->rebuilt.size};
        memcpy(buf->data, job->rebuilt.data, job->rebuilt.size);
        if (!read_chunk_add(read, &chunk)) {
            buf_unref(buf);
            err = ERR_BUSY;
        }
    }
    struct store_log *log = job->log;
    job_free(job);
    finish(log, read, err);
}

/* The chunks are in memory. */
static enum err rebuild_start(struct store_log *log, struct store_read *read)
{
    struct read_job *job = job_new(log, read);
    if (!job) {
        store_read_release(read);
        return ERR_BUSY;
    }
    const struct store_chunk *first = &read->chunks[0];
    int64_t from = (int64_t)be64_get(first->bytes.buf->data + first->bytes.offset);
    uint64_t count = holes_count(&log->holes, from, read->offset_next);
    job->holes = malloc((size_t)count * sizeof(int64_t));
    for (int64_t i = from; job->holes && i < read->offset_next; i++) {
        if (holes_has(&log->holes, i))
            job->holes[job->hole_count++] = i;
    }
    if (!job->holes) {
        store_read_release(read);
        job_free(job);
        return ERR_BUSY;
    }
    job->work.run = rebuild_run;
    job->work.done = rebuild_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &job->work);
    return ERR_AGAIN;
}

static bool has_holes(const struct store_log *log, const struct store_read *read)
{
    if (read->size == 0 || log->holes.count == 0)
        return false;
    const struct store_chunk *first = &read->chunks[0];
    int64_t from = (int64_t)be64_get(first->bytes.buf->data + first->bytes.offset);
    return holes_any(&log->holes, from, read->offset_next);
}

/* --- from a segment, on the helper --- */

enum err read_segment_open(struct os *os, const char *path, struct segment_file **out)
{
    int fd = segment_open_path(os, "", path, false);
    if (fd < 0)
        return err_from_errno(-fd);
    *out = segment_file_new(os, fd);
    if (*out)
        return ERR_OK;
    os->ops->close(os, fd);
    return ERR_NO_MEMORY;
}

static enum err job_open(struct read_job *job)
{
    enum err err = ERR_OK;
    if (!job->file)
        err = read_segment_open(job->window.os, job->path, &job->file);
    if (err == ERR_OK)
        job->window.fd = job->file->file.fd;
    return err;
}

static void damage_note(struct read_job *job, int64_t first, int64_t next)
{
    if (first >= next)
        return;
    if (job->damage_first < 0)
        job->damage_first = first;
    job->damage_next = next;
}

/* Steps over damage; CORRUPT when the wanted offset is in it. */
static enum err pass_damage(struct read_job *job)
{
    int64_t first = job->step.expected >= 0 ? job->step.expected : job->offset;
    enum err err = read_file_resync(&job->window, &job->scope, &job->step);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    int64_t next = job->scope.offset_end;
    struct batch_header header;
    if (err == ERR_OK) {
        err = read_file_header(&job->window, &job->scope, &job->step, &header);
        if (err != ERR_OK)
            return err;
        next = header.base_offset;
        job->step.expected = next;
    }
    damage_note(job, first, next);
    if (job->offset >= next)
        return ERR_OK;
    job->offset_next = next;
    return ERR_CORRUPT;
}

/* To the batch that holds the offset, or the first behind it. */
static enum err seek(struct read_job *job, struct batch_header *header)
{
    struct read_step before = job->step;
    for (;;) {
        enum err err = read_file_header(&job->window, &job->scope, &job->step, header);
        if (err == ERR_CORRUPT) {
            read_file_blame(&job->window, &job->scope, &before, &job->step);
            err = pass_damage(job);
            if (err != ERR_OK)
                return err;
            before = job->step;
            continue;
        }
        if (err != ERR_OK || batch_last_offset(header) >= job->offset)
            return err;
        before = job->step;
        job->step.position += header->size;
        job->step.expected = batch_last_offset(header) + 1;
    }
}

static ssize_t buffer_fill(struct read_job *job, uint32_t size)
{
    uint32_t have = 0;
    struct os *os = job->window.os;
    while (have < size) {
        ssize_t got = os->ops->pread(os, job->window.fd, job->buffer->data + have, size - have,
                                     (uint64_t)job->position + have);
        if (got < 0 && have == 0)
            return got;
        if (got <= 0)
            break;
        have += (uint32_t)got;
    }
    return have;
}

/* Takes whole good batches from the buffer. */
static void gather(struct read_job *job, uint32_t have)
{
    while (job->size < have) {
        struct slice rest = slice_make(job->buffer->data + job->size, have - job->size);
        struct batch_header header;
        if (batch_header_read(rest, &header) != ERR_OK)
            return;
        job->is_full = header.size > rest.size && have == job->buffer->capacity;
        if (header.size > rest.size || header.base_offset != job->step.expected ||
            batch_last_offset(&header) >= job->scope.offset_end ||
            !read_file_check(&job->scope, slice_make(rest.data, header.size)))
            return;
        if (batch_last_offset(&header) >= job->offset_limit)
            return;
        bool is_first = job->size == 0 && job->want_one;
        if (!is_first && job->size + header.size > job->size_max) {
            job->is_full = true;
            return;
        }
        job->size += header.size;
        job->step.expected = job->offset_next = batch_last_offset(&header) + 1;
    }
}

static enum err read_batches(struct read_job *job, const struct batch_header *header)
{
    if (batch_last_offset(header) >= job->offset_limit)
        return ERR_OK;
    if (header->size > job->size_max && !job->want_one)
        return ERR_OK;
    if (header->size > job->buffer->capacity) {
        job->wanted = header->size;
        return ERR_OK;
    }
    job->position = job->step.position;
    job->step.expected = header->base_offset;
    uint32_t size = MIN(job->buffer->capacity, job->scope.limit - job->position);
    ssize_t have = buffer_fill(job, size);
    if (have >= 0)
        gather(job, (uint32_t)have);
    if (job->size > 0)
        return ERR_OK;
    if (have < 0 && have != -EIO)
        return err_from_errno((int)-have);
    /* it claimed offsets that were not its own: those wanted may come behind it */
    enum err err = pass_damage(job);
    return err == ERR_OK ? ERR_AGAIN : err;
}

static void segment_run(struct core_work *work)
{
    struct read_job *job = CONTAINER_OF(work, struct read_job, work);
    struct batch_header header;
    enum err err = job_open(job);
    if (err == ERR_OK && !job->has_index) {
        err = read_file_index(&job->window, &job->scope, job->path, job->index_to, &job->index);
        job->is_indexed = err == ERR_OK;
        if (err == ERR_OK && job->offset > job->scope.base)
            job->step.position = index_position(&job->index, job->scope.base, job->offset);
        job->step.expected = job->step.position == 0 ? job->scope.base : -1;
    }
    while (err == ERR_OK || err == ERR_AGAIN) {
        err = seek(job, &header);
        if (err == ERR_OK)
            err = read_batches(job, &header);
        if (err == ERR_OK)
            break;
    }
    if (err == ERR_NOT_FOUND && job->offset < job->scope.offset_end) {
        /* the file ends too early */
        damage_note(job, MAX(job->offset, job->step.expected), job->scope.offset_end);
        job->offset_next = job->scope.offset_end;
        err = ERR_CORRUPT;
    }
    job->err = err;
}

/* --- back on the core --- */

void read_index_install(struct segment *segment, struct index *older, uint32_t to)
{
    if (segment->index_from != to)
        return;
    struct index *newer = &segment->index;
    if (newer->timestamp_max_ms > older->timestamp_max_ms) {
        older->timestamp_max_ms = newer->timestamp_max_ms;
        older->timestamp_max_offset = newer->timestamp_max_offset;
    }
    if (older->saved != older->count + newer->saved)
        older->saved = 0; /* the files are to be made anew */
    size_t count = (size_t)older->count + newer->count;
    struct index_entry *all = realloc(older->entries, (count + 1) * sizeof(*all));
    if (!all)
        return;
    for (uint32_t i = 0; i < newer->count; i++) {
        all[older->count + i] = newer->entries[i];
        if (older->count > 0)
            all[older->count + i].timestamp_ms =
                MAX(all[older->count - 1].timestamp_ms, newer->entries[i].timestamp_ms);
    }
    older->entries = all;
    older->count = older->capacity = (uint32_t)count;
    older->bytes_since = newer->bytes_since;
    index_deinit(newer);
    *newer = *older;
    index_init(older);
    segment->index_from = 0;
}

static void job_results(struct read_job *job)
{
    struct store_log *log = job->log;
    struct segment *segment = segment_find(log, job->scope.base);
    if (job->damage_first >= 0)
        store_damage_add(log->store, log->home->core, &log->key, job->damage_first,
                         job->damage_next);
    if (!segment || !job->file)
        return;
    atomic_fetch_add(&job->file->file.refs, 1);
    segment_file_set(log, segment, job->file);
    if (job->is_indexed)
        read_index_install(segment, &job->index, job->index_to);
}

static void span_keep(const struct read_job *job)
{
    struct read_span span = {.layout = job->log->layout,
                             .segment_base = job->scope.base,
                             .offset = job->offset,
                             .offset_next = job->offset_next,
                             .position = job->position,
                             .size = job->size,
                             .size_max = job->size_max};
    if (job->is_full && job->damage_first < 0)
        read_span_keep(job->log, &span);
}

static enum err chunk_take(struct read_job *job)
{
    struct store_read *read = job->read;
    uint32_t end = job->position + job->size;
    if (job->is_full)
        read_ahead(job->log->home, job->file, end, MIN(job->size_max, job->scope.limit - end));
    struct store_chunk chunk = {.size = job->size};
    if (read->want_memory || job->log->holes.count > 0) {
        chunk.bytes = (struct buf_range){job->buffer, 0, job->size};
        buf_ref(job->buffer);
    } else {
        chunk.file = &job->file->file;
        chunk.file_offset = job->position;
        atomic_fetch_add(&chunk.file->refs, 1);
        span_keep(job);
    }
    if (read_chunk_add(read, &chunk))
        return ERR_OK;
    buf_unref(chunk.bytes.buf);
    if (chunk.file)
        segment_file_unref(job->file);
    return ERR_BUSY;
}

/* The segment has nothing at or behind the offset: the next one, or the tail. */
static enum err go_on(struct store_log *log, struct store_read *read, int64_t base)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i]->base <= base)
            continue;
        if (log->tail.next > log->tail.first &&
            tail_at(&log->tail, log->tail.first)->base_offset <= log->segments[i]->base)
            break;
        return from_segment(log, read, log->segments[i]->base, 0);
    }
    enum err err = read_from_tail(log, read);
    if (err == ERR_OK && has_holes(log, read))
        err = rebuild_start(log, read);
    return err;
}

static enum err job_outcome(struct read_job *job)
{
    struct store_log *log = job->log;
    struct store_read *read = job->read;
    if (job->cancelled)
        return ERR_CANCELLED;
    if (job->wanted > 0)
        return from_segment(log, read, job->scope.base, job->wanted);
    if (job->err == ERR_NOT_FOUND)
        return go_on(log, read, job->scope.base);
    read->offset_next = job->offset_next;
    if (job->err != ERR_OK)
        return job->err;
    if (job->size == 0)
        return ERR_OK;
    enum err err = chunk_take(job);
    if (err == ERR_OK && log->holes.count > 0 && has_holes(log, read))
        err = rebuild_start(log, read);
    return err;
}

static void segment_done(struct core *core, struct core_work *work)
{
    struct read_job *job = CONTAINER_OF(work, struct read_job, work);
    struct store_read *read = job->read;
    struct store_log *log = job->log;
    job_results(job);
    enum err err = job_outcome(job);
    job_free(job);
    if (err != ERR_AGAIN)
        finish(log, read, err);
}

bool read_scope_fill(struct store_log *log, const struct segment *segment, struct read_scope *scope)
{
    scope->base = segment->base;
    scope->limit = segment->size;
    scope->offset_end = log->committed;
    scope->index_interval = log->config->index_interval_bytes;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i]->base > segment->base) {
            scope->offset_end = MIN(scope->offset_end, log->segments[i]->base);
            break;
        }
    }
    if (log->tail.next > log->tail.first) {
        const struct tail_batch *first = tail_at(&log->tail, log->tail.first);
        if (first->segment_base == segment->base) {
            scope->limit = MIN(scope->limit, first->position);
            scope->offset_end = first->base_offset;
        }
    }
    for (uint32_t i = 0; i < log->epochs.count; i++) {
        const struct epochs_entry *entry = &log->epochs.entries[i];
        if (epochs_add(&scope->epochs, entry->epoch, entry->start_offset) != ERR_OK)
            return false;
    }
    return true;
}

static enum err from_segment(struct store_log *log, struct store_read *read, int64_t base,
                             uint32_t buffer_size)
{
    struct segment *segment = segment_find(log, base);
    if (!segment)
        return ERR_OUT_OF_RANGE;
    struct read_job *job = job_new(log, read);
    if (!job)
        return ERR_BUSY;
    size_t size = MIN(MAX(read->size_max, READ_BUFFER_MIN), READ_BUFFER_MAX);
    job->buffer = buf_pool_get(core_buffers(log->home->core), MAX(size, buffer_size));
    if (!job->buffer || !read_scope_fill(log, segment, &job->scope)) {
        job_free(job);
        return ERR_BUSY;
    }
    job->offset = job->offset_next = read->offset;
    job->offset_limit = read->offset_limit;
    job->size_max = (uint32_t)MIN(read->size_max, UINT32_MAX);
    job->want_one = read->want_one;
    job->window.os = log->store->os;
    job->window.capacity = 0;
    job->has_index = segment->index_from == 0;
    job->index_to = segment->index_from;
    if (job->has_index && read->offset > base)
        job->step.position = index_position(&segment->index, base, read->offset);
    job->step.expected = job->step.position == 0 ? base : -1;
    if (segment->file) {
        atomic_fetch_add(&segment->file->file.refs, 1);
        job->file = segment->file;
    }
    segment_path(log, base, ".log", job->path);
    job->work.run = segment_run;
    job->work.done = segment_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &job->work);
    return ERR_AGAIN;
}

/* What was right before is served without a helper. */
static bool from_span(struct store_log *log, struct store_read *read, struct segment *segment)
{
    if (!segment->file || read->want_memory || log->holes.count > 0)
        return false;
    const struct read_span *span = read_span_find(log, segment, read);
    if (!span)
        return false;
    struct store_chunk chunk = {
        .file = &segment->file->file, .file_offset = span->position, .size = span->size};
    if (!read_chunk_add(read, &chunk))
        return false;
    atomic_fetch_add(&chunk.file->refs, 1);
    segment_touch(log, segment);
    read->offset_next = span->offset_next;
    return true;
}

/* --- the face --- */

enum err read_open(struct store_log *log, struct store_read *read)
{
    const struct tail *tail = &log->tail;
    bool in_tail =
        tail->next > tail->first && tail_at(tail, tail->first)->base_offset <= read->offset;
    struct segment *segment = in_tail ? NULL : segment_at(log, read->offset);
    if (segment && segment->base > read->offset) { /* its file is gone */
        store_damage_add(log->store, log->home->core, &log->key, read->offset, segment->base);
        read->offset_next = segment->base;
        return ERR_CORRUPT;
    }
    if (segment && from_span(log, read, segment))
        return ERR_OK;
    if (segment)
        return from_segment(log, read, segment->base, 0);
    enum err err = read_from_tail(log, read);
    if (err == ERR_OK && has_holes(log, read))
        err = rebuild_start(log, read);
    return err;
}

void read_wake(struct store_log *log)
{
    struct list reads;
    if (log->is_swapping)
        return;
    list_init(&reads);
    list_splice_back(&reads, &log->reads);
    struct list *node;
    while ((node = list_pop_front(&reads))) {
        struct store_read *read = LIST_ENTRY(node, struct store_read, node);
        enum err err = read->offset < log->start ? ERR_OUT_OF_RANGE : read_open(log, read);
        if (err != ERR_AGAIN)
            finish(log, read, err);
    }
    log_find_wake(log);
}

void read_fail_all(struct store_log *log, enum err err)
{
    struct list *node;
    while ((node = list_pop_front(&log->reads)))
        finish(log, LIST_ENTRY(node, struct store_read, node), err);
    log_find_wake(log);
}

void store_read_cancel(struct store_log *log, struct store_read *read)
{
    if (!list_empty(&read->node)) {
        list_remove(&read->node);
        finish(log, read, ERR_CANCELLED);
        return;
    }
    if (read->private)
        ((struct read_job *)read->private)->cancelled = true;
}

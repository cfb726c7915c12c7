// The journal's pieces: made ready in the background, counted, recycled, deleted.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/journal_state.h"

#define ZERO_STEP_SIZE (512u << 10)

static const uint8_t zeros[64u << 10];

static void piece_file_close(struct conn_file *file)
{
    struct journal_piece *piece = CONTAINER_OF(file, struct journal_piece, file);
    if (file->fd >= 0)
        piece->os->ops->close(piece->os, file->fd);
    if (piece->uncached_fd >= 0)
        piece->os->ops->close(piece->os, piece->uncached_fd);
    free(piece->path);
    free(piece);
}

static char *path_make(const char *dir, uint64_t number)
{
    size_t size = strlen(dir) + 32;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s/%016llx.jnl", dir, (unsigned long long)number);
    return path;
}

struct journal_piece *journal_piece_new(struct os *os, const char *dir, uint64_t number)
{
    struct journal_piece *piece = calloc(1, sizeof(*piece));
    if (!piece)
        return NULL;
    list_init(&piece->node);
    piece->os = os;
    piece->number = number;
    piece->file.fd = -1;
    piece->uncached_fd = UNCACHED_FD_NONE;
    piece->file.close = piece_file_close;
    atomic_init(&piece->file.refs, 1);
    piece->path = path_make(dir, number);
    if (piece->path)
        return piece;
    free(piece);
    return NULL;
}

void journal_piece_drop(struct journal_piece *piece)
{
    list_remove(&piece->node);
    if (atomic_fetch_sub(&piece->file.refs, 1) == 1)
        piece->file.close(&piece->file);
}

uint64_t journal_piece_number(const struct journal_piece *piece)
{
    return piece->number;
}

struct conn_file *journal_piece_file(struct journal_piece *piece)
{
    return &piece->file;
}

void journal_piece_ref(struct journal_piece *piece)
{
    atomic_fetch_add(&piece->refs, 1);
}

void journal_piece_unref(struct journal_piece *piece)
{
    while (piece) {
        bool is_last = piece->is_old || atomic_load(&piece->is_orphan);
        uint32_t refs = atomic_fetch_sub(&piece->refs, 1);
        CHECK(refs > 0);
        if (refs > 1 || !is_last)
            return;
        /* of a run before: the run's next piece, whose groups vouch for this one's, goes later */
        struct journal_piece *behind = piece->behind;
        bool is_kept = atomic_load(&piece->is_kept);
        if (piece->is_old && !is_kept)
            (void)piece->os->ops->unlink(piece->os, piece->path);
        journal_piece_drop(piece);
        piece = behind;
        if (piece && is_kept)
            atomic_store(&piece->is_kept, true);
    }
}

void journal_piece_keep(struct journal_piece *piece)
{
    atomic_store(&piece->is_kept, true);
    journal_piece_unref(piece);
}

/* --- the wheel --- */

static void activate(struct journal *journal, struct journal_piece *piece)
{
    struct list *last = list_empty(&journal->pieces) ? NULL : journal->pieces.prev;
    journal->number_before = last ? LIST_ENTRY(last, struct journal_piece, node)->number : 0;
    list_push_back(&journal->pieces, &piece->node);
}

static uint64_t number_take(struct journal *journal)
{
    uint64_t number = journal->number_next;
    journal->number_next += reactor_core_count(core_reactor(journal->options.core));
    return number;
}

struct journal_piece *journal_piece_take(struct journal *journal, uint64_t size, bool may_use_last)
{
    struct journal_piece *current = journal_current(journal);
    if (!current) {
        /* the first of a run is written as it comes: nobody waits for zeros */
        current = journal_piece_new(journal->os, journal->dir, number_take(journal));
        if (current)
            activate(journal, current);
        return current;
    }
    if (current->used == 0)
        return current;
    bool fits = current->written > 0 && current->used + size <= current->written;
    /* without a spare the current piece grows; the last spare is the reserve of a full disk */
    if (fits || journal->spare_count < (may_use_last ? 1 : JOURNAL_SPARE_COUNT))
        return current;
    struct list *node = list_pop_front(&journal->spares);
    journal->spare_count--;
    struct journal_piece *spare = LIST_ENTRY(node, struct journal_piece, node);
    activate(journal, spare);
    return spare;
}

void journal_piece_reap(struct journal *journal)
{
    struct journal_piece *current = journal_current(journal);
    struct journal_piece *oldest;
    while ((oldest = journal_oldest(journal)) != current) {
        if (atomic_load(&oldest->refs) > 0)
            return;
        list_remove(&oldest->node);
        list_push_back(&journal->dead, &oldest->node);
        journal->live_bytes -= oldest->used;
        journal->dead_count++;
    }
}

/* --- background work: one job at a time --- */

static enum err job_space(struct journal_job *job, struct os *os, uint64_t more)
{
    struct os_space space;
    int error = os->ops->space(os, job->dir, &space);
    if (error < 0)
        return err_from_errno(-error);
    job->is_low = space.free_bytes < job->free_min_bytes + more;
    return job->is_low && more > 0 ? ERR_DISK_FULL : ERR_OK;
}

static enum err job_create(struct journal_job *job, struct os *os)
{
    enum err err = job_space(job, os, job->piece_bytes);
    if (err != ERR_OK)
        return err;
    int fd = os->ops->open(os, job->piece->path,
                           OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE);
    if (fd < 0)
        return err_from_errno(-fd);
    job->piece->file.fd = fd;
    return ERR_OK;
}

static enum err job_zero(struct journal_job *job, struct os *os)
{
    struct iovec parts[ZERO_STEP_SIZE / sizeof(zeros)];
    struct journal_piece *piece = job->piece;
    uint64_t left = MIN(job->piece_bytes - piece->written, ZERO_STEP_SIZE);
    int count = 0;
    for (uint64_t size = 0; size < left; count++) {
        parts[count].iov_base = (void *)(uintptr_t)zeros;
        parts[count].iov_len = MIN(sizeof(zeros), left - size);
        size += parts[count].iov_len;
    }
    ssize_t size = os->ops->pwritev(os, piece->file.fd, parts, count, piece->written);
    if (size == -EINTR)
        return ERR_OK;
    if (size <= 0)
        return size == 0 ? ERR_IO : err_from_errno((int)-size);
    piece->written += (uint64_t)size;
    return ERR_OK;
}

static enum err job_sync(struct journal_job *job, int result)
{
    job->is_sync_failed = result < 0;
    return result < 0 ? ERR_OFFLINE : ERR_OK;
}

static enum err job_seal(struct journal_job *job, struct os *os)
{
    enum err err = job_sync(job, os->ops->fdatasync(os, job->piece->file.fd));
    return err == ERR_OK ? job_sync(job, os->ops->fsync(os, job->dir_fd)) : err;
}

/* The name is synced before anything is written into it: from then on its groups have the wrong
 * number, and its old head is that of another file. */
static enum err job_recycle(struct journal_job *job, struct os *os)
{
    enum err err = job_space(job, os, 0);
    if (err != ERR_OK)
        return err;
    int error = os->ops->rename(os, job->piece->path, job->path_new);
    if (error < 0)
        return err_from_errno(-error);
    return job_sync(job, os->ops->fsync(os, job->dir_fd));
}

static void job_run(struct core_work *work)
{
    struct journal_job *job = CONTAINER_OF(work, struct journal_job, work);
    struct os *os = core_os(work->core);
    job->is_low = false;
    job->is_sync_failed = false;
    job->err = ERR_OK;
    switch (job->kind) {
    case JOURNAL_JOB_CREATE:
        job->err = job_create(job, os);
        break;
    case JOURNAL_JOB_ZERO:
        job->err = job_zero(job, os);
        break;
    case JOURNAL_JOB_SEAL:
        job->err = job_seal(job, os);
        break;
    case JOURNAL_JOB_RECYCLE:
        job->err = job_recycle(job, os);
        break;
    case JOURNAL_JOB_DELETE:
        (void)os->ops->unlink(os, job->piece->path);
        break;
    case JOURNAL_JOB_CHECK:
        job->err = job_space(job, os, 0);
        break;
    case JOURNAL_JOB_NONE:
        break;
    }
}

static void job_done(struct core *core, struct core_work *work);

static void job_submit(struct journal *journal, enum journal_job_kind kind,
                       struct journal_piece *piece)
{
    struct journal_job *job = &journal->job;
    job->kind = kind;
    job->piece = piece;
    job->dir = journal->dir;
    job->dir_fd = journal->dir_fd;
    job->piece_bytes = journal->options.piece_bytes;
    job->free_min_bytes = journal->options.free_space_min_bytes;
    job->work.run = job_run;
    job->work.done = job_done;
    core_work_submit(journal->options.core, CORE_LANE_BULK, &job->work);
}

static void retry_later(struct journal *journal)
{
    struct core *core = journal->options.core;
    if (journal->is_closed || journal->is_offline)
        return;
    if (!core_timer_is_set(&journal->retry))
        core_timer_set(core, &journal->retry, core_now_ns(core) + JOURNAL_RETRY_NS);
}

static void full_set(struct journal *journal, bool is_full)
{
    if (is_full)
        retry_later(journal);
    if (journal->is_full == is_full)
        return;
    journal->is_full = is_full;
    atomic_store_explicit(&journal->full_told, is_full, memory_order_relaxed);
    struct logger *logger = core_logger(journal->options.core);
    if (is_full)
        log_warn(logger, "store", "journal refuses appends: the disk is full dir=%s", journal->dir);
    else
        log_info(logger, "store", "journal takes appends again dir=%s", journal->dir);
}

void journal_piece_full(struct journal *journal)
{
    full_set(journal, true);
}

static void spare_add(struct journal *journal, struct journal_piece *piece)
{
    piece->used = 0;
    list_push_back(&journal->spares, &piece->node);
    journal->spare_count++;
    if (!journal->job.is_low && journal->spare_count >= JOURNAL_SPARE_COUNT)
        full_set(journal, false);
}

static void recycle_done(struct journal *journal, struct journal_piece *piece)
{
    struct journal_job *job = &journal->job;
    if (job->err != ERR_OK) {
        free(job->path_new);
        journal_piece_drop(piece);
        return;
    }
    free(piece->path);
    piece->path = job->path_new;
    spare_add(journal, piece);
}

/* A part of a new piece is done; true when the next part was submitted. */
static bool create_done(struct journal *journal, struct journal_piece *piece)
{
    struct journal_job *job = &journal->job;
    if (job->err != ERR_OK && piece->file.fd < 0) {
        journal_piece_drop(piece);
        return false;
    }
    if (job->err != ERR_OK) {
        /* what there is of it goes with the next job */
        piece->written = 0;
        list_push_back(&journal->dead, &piece->node);
        journal->dead_count++;
        return false;
    }
    if (job->kind == JOURNAL_JOB_SEAL) {
        spare_add(journal, piece);
        return false;
    }
    bool is_whole = piece->written >= job->piece_bytes;
    job_submit(journal, is_whole ? JOURNAL_JOB_SEAL : JOURNAL_JOB_ZERO, piece);
    return true;
}

/* Closed meanwhile: what the job held goes too. */
static void job_abandon(struct journal *journal)
{
    struct journal_job *job = &journal->job;
    if (job->kind == JOURNAL_JOB_RECYCLE)
        free(job->path_new);
    if (job->piece)
        journal_piece_drop(job->piece);
    journal_free(journal);
}

static void job_result(struct journal *journal)
{
    const struct journal_job *job = &journal->job;
    if (job->is_sync_failed)
        journal_fail(journal);
    if (job->is_low || job->err == ERR_DISK_FULL)
        full_set(journal, true);
    else if (job->err != ERR_OK)
        retry_later(journal);
    else if (job->kind == JOURNAL_JOB_CHECK && journal->spare_count >= JOURNAL_SPARE_COUNT)
        full_set(journal, false);
}

static void job_done(struct core *core, struct core_work *work)
{
    struct journal_job *job = CONTAINER_OF(work, struct journal_job, work);
    struct journal *journal = CONTAINER_OF(job, struct journal, job);
    if (journal->is_closed) {
        job_abandon(journal);
        return;
    }
    job_result(journal);
    if (job->kind == JOURNAL_JOB_RECYCLE)
        recycle_done(journal, job->piece);
    else if (job->kind == JOURNAL_JOB_DELETE)
        journal_piece_drop(job->piece);
    else if (job->kind != JOURNAL_JOB_CHECK && create_done(journal, job->piece))
        return;
    job->kind = JOURNAL_JOB_NONE;
    journal_piece_tend(journal);
}

static struct journal_piece *dead_take(struct journal *journal, struct list *node)
{
    list_remove(node);
    journal->dead_count--;
    return LIST_ENTRY(node, struct journal_piece, node);
}

/* A piece of the right size that no reader has open any more. */
static struct journal_piece *recyclable_take(struct journal *journal)
{
    uint64_t size = journal->options.piece_bytes;
    list_for_each (node, &journal->dead) {
        struct journal_piece *piece = LIST_ENTRY(node, struct journal_piece, node);
        if (piece->written == size && piece->used <= size && atomic_load(&piece->file.refs) == 1)
            return dead_take(journal, node);
    }
    return NULL;
}

/* As many as checkpoints let go at once: zeros for a new one cost as much as its content. On a full
 * disk others need the room. */
static uint64_t dead_count_max(const struct journal *journal)
{
    uint64_t half = journal->options.size_max_bytes / 2 / journal->options.piece_bytes;
    return journal->is_full ? JOURNAL_DEAD_COUNT_MIN : MAX(half, JOURNAL_DEAD_COUNT_MIN);
}

static struct journal_piece *deletable_take(struct journal *journal)
{
    uint64_t size = journal->options.piece_bytes;
    list_for_each (node, &journal->dead) {
        struct journal_piece *piece = LIST_ENTRY(node, struct journal_piece, node);
        if (piece->written != size || piece->used > size ||
            journal->dead_count > dead_count_max(journal))
            return dead_take(journal, node);
    }
    return NULL;
}

static bool tend_spares(struct journal *journal)
{
    /* none before the first piece of a run: replay reads them in the order of their numbers */
    if (list_empty(&journal->pieces) || journal->spare_count >= JOURNAL_SPARE_COUNT)
        return false;
    bool is_waiting = core_timer_is_set(&journal->retry);
    /* a full disk is no reason not to recycle; another failure is */
    struct journal_piece *piece = is_waiting && !journal->is_full ? NULL : recyclable_take(journal);
    if (piece) {
        uint64_t number = number_take(journal);
        journal->job.path_new = path_make(journal->dir, number);
        if (!journal->job.path_new) {
            list_push_front(&journal->dead, &piece->node);
            journal->dead_count++;
            retry_later(journal);
            return true;
        }
        piece->number = number;
        job_submit(journal, JOURNAL_JOB_RECYCLE, piece);
        return true;
    }
    if (is_waiting)
        return false;
    piece = journal_piece_new(journal->os, journal->dir, number_take(journal));
    if (piece)
        job_submit(journal, JOURNAL_JOB_CREATE, piece);
    else
        retry_later(journal);
    return true;
}

void journal_piece_tend(struct journal *journal)
{
    if (journal->job.kind != JOURNAL_JOB_NONE || journal->is_offline || journal->is_closed)
        return;
    journal_piece_reap(journal);
    if (tend_spares(journal))
        return;
    struct journal_piece *piece = deletable_take(journal);
    if (piece)
        job_submit(journal, JOURNAL_JOB_DELETE, piece);
    else if (journal->is_full && !core_timer_is_set(&journal->retry))
        job_submit(journal, JOURNAL_JOB_CHECK, NULL);
}

void journal_piece_timer(struct core *core, struct core_timer *timer)
{
    journal_piece_tend(CONTAINER_OF(timer, struct journal, retry));
}

// The journal of a core: entries in, groups out, done callbacks in order.
// SPDX-License-Identifier: Apache-2.0
//
// Format. A piece is the file <dir>/<number, 16 hex digits>.jnl. Its name is the truth about its
// number: groups in it that carry another number are remnants of what the file was before. Heads of
// pieces and groups: journal_group.h. Entries: journal_state.h.
//
// Rules.
// 1. One group is in flight; the next is written only when it is durable. So a good group proves
//    that all before it in its run were durable, and a gap in front of it is damage.
// 2. A group is written to blocks that hold nothing acknowledged. After a failed attempt for lack
//    of space, and only then, the same blocks are written again.
// 3. A piece's name is durable before a group in it counts as durable. A new piece's zeros are
//    written and synced in the background; only the first of a run is written without.
// 4. Pieces leave in order of writing, so that what is left of a run has no hole.
// 5. A failed sync, or a failed write other than for lack of space, ends the journal: ERR_OFFLINE
//    for what is queued and all that comes. Nothing is synced a second time.
// 6. Two spares: the second is used only while there are two, or by control entries on a full disk.
#include "store/journal.h"

#include <stdlib.h>

#include "base/map.h"
#include "store/journal_state.h"

static void commit_done(struct core *core, struct core_work *work);
static void commit_task_run(struct core *core, struct core_task *task);
static void pressure_task_run(struct core *core, struct core_task *task);

static uint64_t run_new(struct os *os)
{
    uint64_t run = 0;
    while (run == 0)
        os->ops->random(os, &run, sizeof(run));
    return run;
}

enum err journal_open(const struct journal_options *options, struct journal **out)
{
    struct os *os = core_os(options->core);
    struct journal *journal = calloc(1, sizeof(*journal));
    if (!journal)
        return ERR_NO_MEMORY;
    journal->options = *options;
    size_t blocks = (options->piece_bytes + JOURNAL_BLOCK_SIZE - 1) / JOURNAL_BLOCK_SIZE;
    journal->options.piece_bytes = MAX(blocks, JOURNAL_PIECE_BLOCKS_MIN) * JOURNAL_BLOCK_SIZE;
    journal->os = os;
    journal->dir_fd = -1;
    journal->run = run_new(os);
    journal->number_next = options->piece_first + core_id(options->core);
    journal->sequence_next = 1;
    list_init(&journal->pieces);
    list_init(&journal->spares);
    list_init(&journal->dead);
    list_init(&journal->queue);
    list_init(&journal->commit.entries);
    core_task_init(&journal->commit_task, commit_task_run);
    core_task_init(&journal->pressure_task, pressure_task_run);
    core_timer_init(&journal->retry, journal_piece_timer);
    journal->dir = strdup(options->dir);
    if (!journal->dir) {
        free(journal);
        return ERR_NO_MEMORY;
    }
    journal->options.dir = journal->dir;
    journal->dir_fd = os->ops->open(os, journal->dir, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    if (journal->dir_fd < 0) {
        enum err err = err_from_errno(-journal->dir_fd);
        free(journal->dir);
        free(journal);
        return err;
    }
    *out = journal;
    return ERR_OK;
}

static void drop_all(struct list *pieces)
{
    list_for_each_safe (node, following, pieces) {
        struct journal_piece *piece = LIST_ENTRY(node, struct journal_piece, node);
        list_remove(node);
        atomic_store(&piece->is_orphan, true);
        if (atomic_load(&piece->refs) == 0)
            journal_piece_drop(piece);
    }
}

void journal_free(struct journal *journal)
{
    drop_all(&journal->pieces);
    drop_all(&journal->spares);
    drop_all(&journal->dead);
    journal->os->ops->close(journal->os, journal->dir_fd);
    buf_unref(journal->commit.buffer);
    free(journal->dir);
    free(journal);
}

void journal_close(struct journal *journal)
{
    CHECK(journal_pending(journal) == 0);
    core_timer_cancel(journal->options.core, &journal->retry);
    core_task_cancel(&journal->commit_task);
    core_task_cancel(&journal->pressure_task);
    journal->is_closed = true;
    if (journal->job.kind == JOURNAL_JOB_NONE)
        journal_free(journal);
}

bool journal_is_offline(const struct journal *journal)
{
    return journal->is_offline;
}

size_t journal_pending(const struct journal *journal)
{
    return journal->queue_count + journal->commit.entry_count;
}

static struct journal_piece *piece_at(struct journal *journal, struct list *node)
{
    return node == &journal->pieces ? NULL : LIST_ENTRY(node, struct journal_piece, node);
}

struct journal_piece *journal_oldest(struct journal *journal)
{
    return piece_at(journal, journal->pieces.next);
}

struct journal_piece *journal_current(struct journal *journal)
{
    return piece_at(journal, journal->pieces.prev);
}

/* Live bytes; a current piece that nobody needs does not count. */
static uint64_t live_bytes(struct journal *journal)
{
    struct journal_piece *current = journal_current(journal);
    bool is_idle = current && journal_pending(journal) == 0 && atomic_load(&current->refs) == 0;
    return journal->live_bytes - (is_idle ? current->used : 0);
}

static enum err room_check(struct journal *journal, uint64_t size)
{
    if (journal->is_full)
        return ERR_DISK_FULL;
    journal_piece_reap(journal);
    uint64_t used = live_bytes(journal) + journal->pending_bytes;
    if (used == 0 || used + size <= journal->options.size_max_bytes)
        return ERR_OK;
    core_task_post(journal->options.core, &journal->pressure_task);
    return ERR_BUSY;
}

enum err journal_add(struct journal *journal, struct journal_entry *entry, bool control)
{
    CHECK(entry->type > 0 && entry->type < JOURNAL_TYPE_COUNT && !journal->is_closed);
    if (journal->is_offline)
        return ERR_OFFLINE;
    uint64_t size = journal_entry_size(entry);
    enum err err = control ? ERR_OK : room_check(journal, size);
    if (err != ERR_OK)
        return err;
    entry->is_control = control;
    entry->result = ERR_OK;
    entry->piece = NULL;
    list_push_back(&journal->queue, &entry->node);
    journal->queue_count++;
    journal->pending_bytes += size;
    core_task_post_end(journal->options.core, &journal->commit_task, 0);
    return ERR_OK;
}

/* --- pressure --- */

static void pressure_task_run(struct core *core, struct core_task *task)
{
    struct journal *journal = CONTAINER_OF(task, struct journal, pressure_task);
    struct journal_piece *oldest = journal_oldest(journal);
    journal->pressure_bytes = journal->live_bytes;
    if (oldest && journal->options.on_pressure)
        journal->options.on_pressure(journal->options.arg, oldest);
}

/* At half of the limit, then with every piece more. */
static void pressure_check(struct journal *journal)
{
    uint64_t live = journal->live_bytes;
    if (live < journal->options.size_max_bytes / 2) {
        journal->pressure_bytes = 0;
        return;
    }
    journal->pressure_bytes = MIN(journal->pressure_bytes, live);
    if (journal->pressure_bytes == 0 ||
        live - journal->pressure_bytes >= journal->options.piece_bytes)
        core_task_post(journal->options.core, &journal->pressure_task);
}

/* --- one group --- */

static void commit_submit(struct journal *journal)
{
    struct journal_commit *commit = &journal->commit;
    commit->work.run = journal_commit_run;
    commit->work.done = commit_done;
    journal->in_flight = true;
    journal->submitted_ns = core_now_ns(journal->options.core);
    core_work_submit(journal->options.core, CORE_LANE_SYNC, &commit->work);
}

/* Moves entries from the queue to the group. */
static void group_take(struct journal *journal)
{
    struct journal_commit *commit = &journal->commit;
    uint64_t body_size = 0;
    uint64_t bytes = 0;
    unsigned direct_count = 0;
    while (!list_empty(&journal->queue) && commit->entry_count < JOURNAL_GROUP_ENTRY_MAX) {
        struct journal_entry *entry = LIST_ENTRY(journal->queue.next, struct journal_entry, node);
        uint64_t size = journal_entry_size(entry);
        if (body_size > 0 && body_size + size > JOURNAL_GROUP_BODY_MAX)
            break;
        if (bytes > JOURNAL_GROUP_BYTES_MAX || direct_count == JOURNAL_GROUP_DIRECT_MAX)
            break;
        list_remove(&entry->node);
        list_push_back(&commit->entries, &entry->node);
        journal->queue_count--;
        commit->entry_count++;
        if (entry->result != ERR_OK)
            continue;
        body_size += size;
        for (unsigned i = 0; entry->direct && i < entry->direct->part_count; i++)
            bytes += entry->direct->parts[i].size;
        direct_count += entry->direct != NULL;
    }
}

/* Sums up what is to be written: false when nothing is. */
static bool group_count(struct journal *journal, bool *out_control)
{
    struct journal_commit *commit = &journal->commit;
    commit->body_size = 0;
    commit->head.entry_count = 0;
    commit->has_direct = false;
    *out_control = true;
    list_for_each (node, &commit->entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        if (entry->result != ERR_OK)
            continue;
        commit->body_size += journal_entry_size(entry);
        commit->head.entry_count++;
        commit->has_direct = commit->has_direct || entry->direct;
        *out_control = *out_control && entry->is_control;
    }
    return commit->head.entry_count > 0;
}

static enum err group_prepare(struct journal *journal, bool is_control)
{
    struct journal_commit *commit = &journal->commit;
    struct journal_piece *piece = journal_piece_take(journal, journal_group_size(commit->body_size),
                                                     is_control && journal->is_full);
    if (!piece)
        return ERR_NO_MEMORY;
    if (!commit->buffer && (commit->has_direct || commit->body_size >= JOURNAL_UNCACHED_SIZE_MIN))
        commit->buffer = buf_pool_get(core_buffers(journal->options.core), UNCACHED_BUFFER_SIZE);
    commit->piece = piece;
    commit->dir_fd = journal->dir_fd;
    commit->number_before = journal->number_before;
    commit->head = (struct journal_head){
        .magic = JOURNAL_MAGIC_GROUP,
        .number = piece->number,
        .run = journal->run,
        .sequence = journal->sequence_next,
        .durable = journal->sequence_next - 1,
        .body_size = commit->body_size,
        .entry_count = commit->head.entry_count,
        .core = core_id(journal->options.core),
    };
    return ERR_OK;
}

/* --- failures: a log's entries behind a failed one fail too, so that its LSNs have no gap --- */

static bool key_failed(const struct map *failed, const struct journal_entry *entry)
{
    return map_get(failed, slice_make(&entry->key, sizeof(entry->key))) != NULL;
}

/* Marks with err every entry of the list that is not spared, and those of logs that failed. */
static void mark(struct list *entries, struct map *failed, enum err err, bool spare_control)
{
    list_for_each (node, entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        bool is_spared = spare_control && entry->is_control && !key_failed(failed, entry);
        if (is_spared && entry->result == ERR_OK)
            continue;
        if (entry->result == ERR_OK)
            entry->result = err;
        if (!map_put(failed, slice_make(&entry->key, sizeof(entry->key)), entry, NULL))
            spare_control = false; /* out of memory: nobody is spared */
    }
}

/* Those behind a failed entry of their log. */
static void mark_behind(struct list *entries, const struct map *failed, enum err err)
{
    list_for_each (node, entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        if (entry->result == ERR_OK && key_failed(failed, entry))
            entry->result = err;
    }
}

static void fail_group(struct journal *journal, enum err err)
{
    struct map failed;
    map_init(&failed, core_random(journal->options.core));
    bool is_full = err == ERR_DISK_FULL;
    bool control_too = true;
    if (is_full) {
        size_t spared = 0;
        mark(&journal->commit.entries, &failed, err, true);
        list_for_each (node, &journal->commit.entries)
            spared += LIST_ENTRY(node, struct journal_entry, node)->result == ERR_OK;
        control_too = spared == journal->commit.head.entry_count; /* nothing would change */
    }
    if (control_too)
        mark(&journal->commit.entries, &failed, err, false);
    if (is_full)
        mark(&journal->queue, &failed, err, true);
    else
        mark_behind(&journal->queue, &failed, err);
    map_deinit(&failed);
}

static void set_results(struct list *entries, enum err err)
{
    list_for_each (node, entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        entry->result = entry->result == ERR_OK ? err : entry->result;
    }
}

/* The results are set: hands the group back. */
static void group_finish(struct journal *journal)
{
    struct list entries;
    list_init(&entries);
    list_splice_back(&entries, &journal->commit.entries);
    struct list *node;
    while ((node = list_pop_front(&entries))) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        journal->commit.entry_count--;
        journal->pending_bytes -= journal_entry_size(entry);
        entry->done(entry, entry->result);
    }
}

void journal_fail(struct journal *journal)
{
    if (journal->is_offline)
        return;
    journal->is_offline = true;
    core_timer_cancel(journal->options.core, &journal->retry);
    log_error(core_logger(journal->options.core), "store",
              "journal offline until a restart: a write or sync failed dir=%s", journal->dir);
    core_task_post_end(journal->options.core, &journal->commit_task, 0);
}

/* Everything that waits fails; what is in flight follows when it comes back. */
static void offline_finish(struct journal *journal)
{
    set_results(&journal->queue, ERR_OFFLINE);
    set_results(&journal->commit.entries, ERR_OFFLINE);
    journal->commit.entry_count += journal->queue_count;
    journal->queue_count = 0;
    list_splice_back(&journal->commit.entries, &journal->queue);
    group_finish(journal);
}

static void commit_start(struct journal *journal)
{
    bool is_control;
    if (list_empty(&journal->commit.entries))
        group_take(journal);
    if (journal->is_offline) {
        offline_finish(journal);
        return;
    }
    while (group_count(journal, &is_control)) {
        enum err err = group_prepare(journal, is_control);
        if (err == ERR_OK) {
            commit_submit(journal);
            return;
        }
        fail_group(journal, err);
    }
    group_finish(journal);
    if (!list_empty(&journal->queue))
        core_task_post(journal->options.core, &journal->commit_task);
}

static void commit_task_run(struct core *core, struct core_task *task)
{
    struct journal *journal = CONTAINER_OF(task, struct journal, commit_task);
    if (!journal->in_flight && (journal->queue_count > 0 || journal->commit.entry_count > 0))
        commit_start(journal);
    journal_piece_tend(journal);
}

static void group_succeeded(struct journal *journal)
{
    struct journal_commit *commit = &journal->commit;
    struct journal_piece *piece = commit->piece;
    uint64_t begin = piece->used > 0 ? piece->used : JOURNAL_BLOCK_SIZE;
    uint64_t end = begin + journal_group_size(commit->body_size);
    uint64_t offset = begin + JOURNAL_HEAD_SIZE;
    list_for_each (node, &commit->entries) {
        struct journal_entry *entry = LIST_ENTRY(node, struct journal_entry, node);
        if (entry->result != ERR_OK)
            continue;
        entry->piece = piece;
        entry->body_offset = offset + JOURNAL_ENTRY_HEAD_SIZE;
        offset += journal_entry_size(entry);
    }
    journal->live_bytes += end - piece->used;
    piece->used = end;
    journal->sequence_next++;
}

bool journal_is_full(const struct journal *journal)
{
    return atomic_load_explicit(&((struct journal *)(uintptr_t)journal)->full_told,
                                memory_order_relaxed);
}

uint64_t journal_group_bytes(const struct journal *journal)
{
    return journal->commit.body_size;
}

const struct histogram *journal_commit_times(const struct journal *journal)
{
    return &journal->commit_ns;
}

static void commit_done(struct core *core, struct core_work *work)
{
    struct journal_commit *commit = CONTAINER_OF(work, struct journal_commit, work);
    struct journal *journal = CONTAINER_OF(commit, struct journal, commit);
    journal->in_flight = false;
    if (commit->err == ERR_OFFLINE)
        journal_fail(journal);
    if (journal->is_offline) {
        /* durable all the same when only something beside it failed, but no longer vouched for */
        offline_finish(journal);
        return;
    }
    if (commit->err != ERR_OK) {
        if (commit->err == ERR_DISK_FULL)
            journal_piece_full(journal);
        fail_group(journal, commit->err);
        commit_start(journal);
        return;
    }
    histogram_add(&journal->commit_ns, core_now_ns(core) - journal->submitted_ns);
    group_succeeded(journal);
    group_finish(journal);
    if (journal->queue_count > 0)
        core_task_post_end(core, &journal->commit_task, 0);
    pressure_check(journal);
    journal_piece_tend(journal);
}

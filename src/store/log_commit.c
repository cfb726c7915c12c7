// From a log's queue to the journal and back: entries, direct extents, results, going back.
// SPDX-License-Identifier: Apache-2.0
//
// A log's queue moves to the journal only when the journal has nothing in flight. So what arrives
// during one commit forms the next: that is where the direct path is chosen, and where a checkpoint
// can be cut with nothing of the log in between.
//
// The direct path. Bytes that go straight to a segment are written before their entry is durable,
// so the block they begin in must be held by the journal already: never while the tail block still
// waits to be carried. The entry itself holds the bytes of the first and last partial block, since
// neighbours written behind touch these blocks later.
#include <stdlib.h>

#include "base/endian.h"
#include "store/log.h"

static void entry_done(struct journal_entry *journal_entry, enum err err);

int64_t log_durable(const struct store_log *log)
{
    return log->config->async ? log->end : log->committed;
}

/* --- making entries --- */

static void head_fill(struct log_entry *entry, struct log_head *head)
{
    struct store_log *log = entry->log;
    const struct tail_batch *first = tail_at(&log->tail, entry->number);
    const struct tail_batch *last = tail_at(&log->tail, entry->number + entry->batch_count - 1);
    *head = (struct log_head){
        .base_offset = first->base_offset,
        .next_offset = last->last_offset + 1,
        .segment_base = first->segment_base,
        .first_ms = entry->place.first_ms,
        .position = first->position,
        .batch_count = entry->batch_count,
        .size = entry->size,
    };
}

static void make_append(struct log_entry *entry)
{
    struct store_log *log = entry->log;
    const struct tail_batch *batch = tail_at(&log->tail, entry->number);
    struct journal_entry *journal = &entry->journal;
    struct log_head head;
    head_fill(entry, &head);
    /* nothing came since the cut, so its block is the last one of where the log is: of the segment
     * before when the batch begins one */
    if (log->carry)
        head.carry_size = log->place.size & (LOG_BLOCK_SIZE - 1);
    if (log->carry)
        log->carry_lsn = log->lsn_next;
    log->carry = false;
    log_head_put(entry->head, &head);
    journal->type = JOURNAL_APPEND;
    journal->parts[0] = slice_make(entry->head, LOG_HEAD_SIZE);
    journal->parts[1] = slice_make(log->block, head.carry_size);
    journal->parts[2] = buf_range_slice(batch->bytes);
    journal->known_size = batch->bytes.size - BATCH_CRC_BEGIN;
    journal->known_crc = batch_crc_get(journal->parts[2].data);
}

static void make_control(struct log_entry *entry)
{
    struct journal_entry *journal = &entry->journal;
    struct log_head head = {.base_offset = entry->next_offset,
                            .next_offset = entry->next_offset,
                            .segment_base = entry->place.segment_base,
                            .first_ms = entry->place.first_ms,
                            .position = entry->place.size,
                            .start = entry->kind == LOG_ENTRY_START ? entry->start : 0};
    log_head_put(entry->head, &head);
    journal->type = entry->kind == LOG_ENTRY_START ? JOURNAL_LOG_START : JOURNAL_HOLES;
    journal->parts[0] = slice_make(entry->head, LOG_HEAD_SIZE);
    if (entry->kind == LOG_ENTRY_HOLES)
        journal->parts[1] = slice_make(entry->extra, entry->offset_count * sizeof(int64_t));
}

/* The last size bytes of the extent's batches. */
static void copy_back(const struct log_entry *entry, uint8_t *out, uint32_t size)
{
    uint64_t number = entry->number + entry->batch_count;
    while (size > 0) {
        const struct tail_batch *batch = tail_at(&entry->log->tail, --number);
        uint32_t part = MIN(size, batch->bytes.size);
        size -= part;
        memcpy(out + size, batch->bytes.buf->data + batch->bytes.offset + batch->bytes.size - part,
               part);
    }
}

/* --- the direct path --- */

static bool is_large(const struct log_entry *entry)
{
    return entry->kind == LOG_ENTRY_DATA && entry->size >= LOG_DIRECT_BATCH_MIN;
}

/* How many large batches at the front of the queue go on where entry ends. */
static uint32_t joinable_count(const struct store_log *log, const struct log_entry *entry,
                               uint32_t *out_size)
{
    uint32_t count = 0;
    list_for_each (node, &log->queue) {
        const struct log_entry *after = LIST_ENTRY(node, struct log_entry, node);
        if (count + 1 == LOG_EXTENT_BATCH_MAX || !is_large(after) ||
            after->place.segment_base != entry->place.segment_base)
            break;
        count++;
        *out_size += after->size;
    }
    return count;
}

/* The next count batches of the queue and entry are one extent. */
static void join(struct store_log *log, struct log_entry *entry, uint32_t count)
{
    for (; count > 0; count--) {
        struct log_entry *after = LIST_ENTRY(list_pop_front(&log->queue), struct log_entry, node);
        list_push_back(&entry->extent->joined, &after->node);
        entry->batch_count++;
        entry->size += after->size;
        entry->place = after->place;
        entry->next_offset = after->next_offset;
    }
}

void log_extent_free(struct log_entry *entry, struct list *queue)
{
    struct log_extent *extent = entry->extent;
    while (!list_empty(&extent->joined)) {
        struct log_entry *last = LIST_ENTRY(extent->joined.prev, struct log_entry, node);
        list_remove(&last->node);
        list_push_front(queue, &last->node);
    }
    entry->batch_count = 1;
    entry->size = extent->size;
    entry->place = extent->place;
    entry->next_offset = extent->next_offset;
    segment_file_unref(extent->file);
    free(extent);
    entry->extent = NULL;
    entry->journal.direct = NULL;
}

/* The batches' headers, then the bytes of the first and the last block that are not whole. */
static void extent_fill(struct log_entry *entry, const struct log_head *head,
                        struct segment_space space)
{
    struct log_extent *extent = entry->extent;
    struct journal_direct *direct = &extent->direct;
    uint8_t *body = (uint8_t *)(extent->parts + entry->batch_count), *out = body;
    for (uint32_t i = 0; i < entry->batch_count; i++, out += BATCH_HEADER_SIZE) {
        extent->parts[i] = buf_range_slice(tail_at(&entry->log->tail, entry->number + i)->bytes);
        memcpy(out, extent->parts[i].data, BATCH_HEADER_SIZE);
    }
    /* the first batch has LOG_DIRECT_BATCH_MIN bytes: more than a block */
    memcpy(out, extent->parts[0].data, head->carry_size);
    copy_back(entry, out + head->carry_size, head->trail_size);
    int uncached_fd = extent->file->uncached_fd;
    *direct = (struct journal_direct){
        .fd = extent->file->file.fd,
        .uncached_fd = log_is_read_from_memory(entry->log) ? uncached_fd : UNCACHED_FD_NONE,
        .dir_fd = -1,
        .offset = head->position,
        .reserve_offset = space.offset,
        .reserve_size = space.size,
        .parts = extent->parts,
        .part_count = entry->batch_count};
    log_head_put(entry->head, head);
    entry->journal.type = JOURNAL_EXTENT;
    entry->journal.direct = direct;
    entry->journal.parts[0] = slice_make(entry->head, LOG_HEAD_SIZE);
    entry->journal.parts[1] =
        slice_make(body, (size_t)(out - body) + head->carry_size + head->trail_size);
}

static bool make_extent(struct log_entry *entry, struct segment *segment)
{
    struct store_log *log = entry->log;
    uint32_t position = tail_at(&log->tail, entry->number)->position;
    uint32_t size = entry->size;
    uint32_t count = joinable_count(log, entry, &size) + 1;
    uint32_t carry_size = -position & (LOG_BLOCK_SIZE - 1);
    uint32_t trail_size = (position + size) & (LOG_BLOCK_SIZE - 1);
    entry->extent = malloc(sizeof(*entry->extent) + count * sizeof(entry->extent->parts[0]) +
                           (size_t)count * BATCH_HEADER_SIZE + carry_size + trail_size);
    if (!entry->extent)
        return false;
    list_init(&entry->extent->joined);
    entry->extent->size = entry->size;
    entry->extent->place = entry->place;
    entry->extent->next_offset = entry->next_offset;
    atomic_fetch_add(&segment->file->file.refs, 1);
    entry->extent->file = segment->file;
    join(log, entry, count - 1);
    struct log_head head;
    head_fill(entry, &head);
    head.carry_size = carry_size;
    head.trail_size = trail_size;
    extent_fill(entry, &head,
                segment_reserve(log, segment, head.position, head.position + head.size));
    return true;
}

static bool go_direct(struct store_log *log, struct log_entry *entry)
{
    if (!is_large(entry) || log->carry || log->carry_lsn > log->lsn_committed)
        return false;
    struct segment *segment = segment_find(log, entry->place.segment_base);
    if (!segment || !segment->file || !segment->is_named || !make_extent(entry, segment))
        return false;
    segment_touch(log, segment);
    return true;
}

/* --- the flush --- */

static bool may_use_reserve(const struct log_entry *entry)
{
    if (entry->kind != LOG_ENTRY_DATA)
        return true;
    return !list_empty(&entry->appends) &&
           log_append_is_control(LIST_ENTRY(entry->appends.next, struct store_append, node));
}

static enum err entry_add(struct store_log *log, struct log_entry *entry)
{
    struct journal_entry *journal = &entry->journal;
    journal->key = log->key;
    journal->lsn = log->lsn_next;
    journal->done = entry_done;
    enum err err = journal_add(log->home->journal, journal, may_use_reserve(entry));
    if (err != ERR_OK)
        return err;
    log->lsn_next++;
    log->inflight_count++;
    list_push_back(&log->inflight, &entry->node);
    return ERR_OK;
}

static void entry_unmake(struct store_log *log, struct log_entry *entry, bool carried)
{
    if (entry->extent)
        log_extent_free(entry, &log->queue);
    memset(entry->journal.parts, 0, sizeof(entry->journal.parts));
    entry->journal.known_size = 0;
    log->carry = log->carry || carried;
}

static enum err flush_one(struct store_log *log, bool direct)
{
    struct log_entry *entry = LIST_ENTRY(log->queue.next, struct log_entry, node);
    list_remove(&entry->node);
    uint64_t carry_lsn = log->carry_lsn;
    bool carry = log->carry;
    if (entry->kind != LOG_ENTRY_DATA)
        make_control(entry);
    else if (!direct || !go_direct(log, entry))
        make_append(entry);
    enum err err = entry_add(log, entry);
    if (err != ERR_OK) {
        entry_unmake(log, entry, carry);
        log->carry_lsn = carry_lsn;
        list_push_front(&log->queue, &entry->node);
        return err;
    }
    log->queue_bytes -= entry->size;
    log->home->queue_bytes -= entry->size;
    return ERR_OK;
}

/* The segment must be open (best past the page cache, too) and its name durable: in the background,
 * for next time. */
static void direct_prepare(struct store_log *log)
{
    const struct segment *segment = segment_find(log, log->next.segment_base);
    log->is_direct_wanted =
        !segment || !segment->file || !segment->is_named ||
        (segment->file->uncached_fd == UNCACHED_FD_NONE && log_is_read_from_memory(log));
    if (log->is_direct_wanted)
        tail_write_start(log, false);
}

/* False: the journal has no room now. */
static bool flush_log(struct store_log *log)
{
    if (log->state != LOG_OPEN) {
        log_wake(log);
        return true;
    }
    if (log->is_failing)
        return true;
    if (log->checkpoint_state == LOG_CP_CUT && log->inflight_count == 0 && !log->write &&
        !log->is_swap_wanted)
        checkpoint_cut(log);
    bool direct = log->queue_bytes >= log->store->options.direct_size_min_bytes;
    if (direct)
        direct_prepare(log);
    while (!list_empty(&log->queue)) {
        enum err err = flush_one(log, direct);
        if (err == ERR_BUSY)
            return false;
        if (err != ERR_OK) {
            log->is_failing = true;
            log->fail_err = err;
            log_mark_finished(log);
            return true;
        }
    }
    return true;
}

static void gathers_run(struct log_core *home)
{
    struct list gathers;
    list_init(&gathers);
    list_splice_back(&gathers, &home->gathers);
    struct list *node;
    while ((node = list_pop_front(&gathers))) {
        struct store_gather *gather = LIST_ENTRY(node, struct store_gather, node);
        gather->run(gather);
    }
}

void log_flush_task(struct core *core, struct core_task *task)
{
    struct log_core *home = CONTAINER_OF(task, struct log_core, flush_task);
    if (home->store->is_closing || journal_pending(home->journal) > 0)
        return; /* comes again when the group is done */
    gathers_run(home);
    struct list dirty;
    list_init(&dirty);
    list_splice_back(&dirty, &home->dirty);
    bool is_short = false;
    struct list *node;
    while ((node = list_pop_front(&dirty))) {
        struct store_log *log = LIST_ENTRY(node, struct store_log, dirty_node);
        log->is_dirty = false;
        if (flush_log(log))
            continue;
        is_short = true;
        log->is_dirty = true;
        list_push_back(&home->dirty, &log->dirty_node);
    }
    if (is_short)
        core_timer_set(core, &home->retry, core_now_ns(core) + LOG_RETRY_NS);
}

/* --- done --- */

static void data_committed(struct store_log *log, struct log_entry *entry)
{
    struct segment *segment = segment_find(log, entry->place.segment_base);
    CHECK(segment);
    for (uint32_t i = 0; i < entry->batch_count; i++) {
        struct tail_batch *batch = tail_at(&log->tail, entry->number + i);
        struct batch_header header = {.base_offset = batch->base_offset,
                                      .last_offset_delta =
                                          (int32_t)(batch->last_offset - batch->base_offset),
                                      .size = batch->bytes.size,
                                      .max_timestamp_ms = batch->max_timestamp_ms};
        batch->is_written = entry->journal.direct != NULL;
        batch->is_uncached = batch->is_written && entry->journal.direct->uncached_fd >= 0;
        /* without memory the index is only coarser */
        (void)!index_add(&segment->index, segment->base, batch->position, &header,
                         log->config->index_interval_bytes);
    }
    segment->first_ms = entry->place.first_ms;
    segment->size = entry->place.size;
    uint64_t before = log->tail.cached_bytes, unwritten = log->tail.unwritten_bytes;
    tail_commit(&log->tail, entry->batch_count);
    tail_unwritten_account(log, unwritten);
    tail_cache_account(log, before);
}

static void control_committed(struct store_log *log, struct log_entry *entry)
{
    if (entry->kind == LOG_ENTRY_START) {
        log->start = MAX(log->start, entry->start);
        epochs_truncate_start(&log->epochs, log->start);
        if (log->transactions)
            transactions_truncate_start(log->transactions, log->start);
        return;
    }
    for (size_t i = 0; i < entry->offset_count; i++) {
        if (holes_add(&log->holes, entry->offsets[i]) != ERR_OK)
            entry->err = ERR_NO_MEMORY;
    }
}

/* The log goes on in another segment. */
static void segment_seal(struct store_log *log)
{
    struct segment *segment = segment_find(log, log->place.segment_base);
    log->sealed_bytes += log->place.size;
    if (segment)
        segment->is_sealed = true;
    log->is_sealed_now = true;
}

static void entry_committed(struct store_log *log, struct log_entry *entry)
{
    enum err err = log_piece_add(log, entry->journal.piece, entry->journal.lsn);
    if (err != ERR_OK) {
        log_offline(log, "out of memory");
        entry->err = ERR_OFFLINE;
    }
    log->lsn_committed = entry->journal.lsn;
    if (log->place.segment_base >= 0 && entry->place.segment_base != log->place.segment_base)
        segment_seal(log);
    log->place = entry->place;
    if (entry->kind == LOG_ENTRY_DATA)
        data_committed(log, entry);
    else
        control_committed(log, entry);
    log->committed = entry->next_offset;
    if (log->transactions)
        transactions_commit(log->transactions, log->committed);
}

static void entry_done(struct journal_entry *journal_entry, enum err err)
{
    struct log_entry *entry = CONTAINER_OF(journal_entry, struct log_entry, journal);
    struct store_log *log = entry->log;
    list_remove(&entry->node);
    log->inflight_count--;
    entry->err = err;
    if (err == ERR_OK) {
        entry_committed(log, entry);
    } else {
        if (err == ERR_OFFLINE)
            log->err = ERR_OFFLINE;
        log->is_failing = true;
        log->fail_err = err;
    }
    list_push_back(&log->done_entries, &entry->node);
    log_mark_finished(log);
}

/* --- finishing --- */

void log_rollback(struct store_log *log)
{
    CHECK(log->inflight_count == 0);
    struct list *node;
    while ((node = list_pop_front(&log->queue))) {
        struct log_entry *entry = LIST_ENTRY(node, struct log_entry, node);
        entry->err = log->fail_err;
        log->queue_bytes -= entry->size;
        log->home->queue_bytes -= entry->size;
        list_push_back(&log->done_entries, &entry->node);
    }
    tail_pop_back(&log->tail, log->tail.committed);
    log->end = log->committed;
    log->next = log->place;
    log->lsn_next = log->lsn_committed + 1;
    epochs_truncate_end(&log->epochs, log->end);
    producers_truncate(&log->producers, log->end);
    if (log->transactions && transactions_rollback(log->transactions, log->end) != ERR_OK)
        log_offline(log, "out of memory");
    log->carry = log->carry || log->carry_lsn > log->lsn_committed;
    log->carry_lsn = MIN(log->carry_lsn, log->lsn_committed);
    while (log->segment_count > 0 &&
           log->segments[log->segment_count - 1]->base > log->place.segment_base) {
        segment_remove(log, log->segments[log->segment_count - 1]);
        log->state = LOG_CLOSED; /* its file may be there: waking removes it */
    }
    log->is_failing = false;
}

/* Duplicates whose original is durable, or gone. */
static void duplicates_finish(struct store_log *log)
{
    list_for_each_safe (node, following, &log->duplicates) {
        struct store_append *append = LIST_ENTRY(node, struct store_append, node);
        bool is_durable = append->end_offset <= log_durable(log);
        if (!is_durable && append->end_offset <= log->end && log->err == ERR_OK)
            continue;
        append->result = is_durable ? ERR_DUPLICATE : log->err ? log->err : log->fail_err;
        list_remove(node);
        list_push_back(&log->done_appends, node);
    }
}

/* The appends of all its batches are the entry's. */
static void extent_finish(struct log_entry *entry)
{
    struct list joined, *node;
    list_init(&joined);
    if (entry->extent)
        log_extent_free(entry, &joined);
    while ((node = list_pop_front(&joined))) {
        struct log_entry *other = LIST_ENTRY(node, struct log_entry, node);
        list_splice_back(&entry->appends, &other->appends);
        log_entry_free(other);
    }
}

static void entries_finish(struct store_log *log)
{
    struct list *node;
    while ((node = list_pop_front(&log->done_entries))) {
        struct log_entry *entry = LIST_ENTRY(node, struct log_entry, node);
        extent_finish(entry);
        list_for_each (append, &entry->appends)
            LIST_ENTRY(append, struct store_append, node)->result = entry->err;
        list_splice_back(&log->done_appends, &entry->appends);
        if (entry->done)
            entry->done(entry->arg, entry->err);
        log_entry_free(entry);
    }
}

/* Enough waits in this log: the less, the more waits in all of them together, for small batches
 * take several times their size in memory. */
static bool is_write_due(const struct store_log *log)
{
    const struct log_core *home = log->home;
    uint64_t all = atomic_load_explicit(&home->unwritten_bytes, memory_order_relaxed);
    uint64_t enough = LOG_WRITE_SIZE_MIN;
    if (all > home->unwritten_bytes_max)
        enough = LOG_WRITE_SIZE_PRESSED;
    else if (all <= home->unwritten_bytes_max / LOG_CALM_SHARE)
        enough = MAX(enough, MIN(LOG_WRITE_SIZE_CALM, home->unwritten_bytes_max / LOG_CALM_LOGS));
    /* what went straight to a segment leaves the memory only after what came before it */
    bool is_in_the_way =
        log->tail.unwritten_bytes > 0 && log->tail.stuck_blocks >= enough / LOG_BLOCK_SIZE;
    return is_in_the_way || log->tail.unwritten_bytes >= enough;
}

static void finish_log(struct store_log *log)
{
    bool is_offline = log->err != ERR_OK && log->durable_told >= 0;
    if (log->is_failing && log->inflight_count > 0)
        return; /* the rest follows */
    if (log->is_failing)
        log_rollback(log);
    duplicates_finish(log);
    int64_t durable = log_durable(log);
    if (log->events && log->events->on_durable && (durable != log->durable_told || is_offline))
        log->events->on_durable(log->events_arg, log);
    log->durable_told = is_offline ? -1 : durable;
    entries_finish(log);
    struct list *node;
    while ((node = list_pop_front(&log->done_appends))) {
        struct store_append *append = LIST_ENTRY(node, struct store_append, node);
        append->done(append);
    }
    if (is_write_due(log))
        tail_write_start(log, false);
    if (!list_empty(&log->queue) || log->checkpoint_state == LOG_CP_CUT)
        log_mark_dirty(log);
    if (log->is_sealed_now)
        log_retain_check(log);
    log->is_sealed_now = false;
    log_retain_unlink(log);
    log_move_check(log); /* the log may be gone now */
}

/* The journal has failed: so have all its logs. */
static void offline_spread(struct log_core *home)
{
    if (home->is_offline || !journal_is_offline(home->journal))
        return;
    home->is_offline = true;
    list_for_each (node, &home->all)
        log_offline(LIST_ENTRY(node, struct store_log, all_node), "its journal failed");
}

void log_finish_task(struct core *core, struct core_task *task)
{
    struct log_core *home = CONTAINER_OF(task, struct log_core, finish_task);
    struct list finished;
    list_init(&finished);
    offline_spread(home);
    list_splice_back(&finished, &home->finished);
    struct list *node;
    while ((node = list_pop_front(&finished))) {
        struct store_log *log = LIST_ENTRY(node, struct store_log, finished_node);
        log->is_finished = false;
        finish_log(log);
    }
    if (!list_empty(&home->dirty) || !list_empty(&home->gathers))
        core_task_post_end(core, &home->flush_task, 0);
    store_rest_check(home);
}

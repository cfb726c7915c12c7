// Appending to a log: checks, offsets, the place in the segments, and the queue to the journal.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "store/log.h"

static enum err admit(const struct store_log *log, const struct store_append *append)
{
    if (log->err != ERR_OK)
        return log->err;
    if (log->is_moving)
        return ERR_MOVED;
    if (log->is_failing)
        return log->fail_err;
    if (log->is_deleted || log->store->is_draining)
        return ERR_CLOSED;
    if (append->batch.size > log->config->segment_size_bytes ||
        append->batch.size > LOG_SEGMENT_SIZE_MAX || append->batch.size < BATCH_HEADER_SIZE)
        return ERR_TOO_LARGE;
    if (log->end > INT64_MAX - 1 - (int64_t)append->header.last_offset_delta)
        return ERR_LIMIT;
    return ERR_OK;
}

bool log_append_is_control(const struct store_append *append)
{
    return append->control && append->batch.size <= LOG_CONTROL_SIZE_MAX;
}

static enum err admit_new(const struct store_log *log, const struct store_append *append)
{
    if (store_is_full(log->store) && !log_append_is_control(append))
        return ERR_DISK_FULL;
    if (log->home->queue_bytes + append->batch.size > LOG_QUEUE_BYTES_MAX &&
        log->home->queue_bytes > 0)
        return ERR_BUSY;
    return ERR_OK;
}

/* A small batch must not keep a large buffer alive: it gets a copy. */
static enum err keep(struct log_core *home, struct buf_range batch, struct buf_range *out)
{
    if (batch.size >= LOG_COPY_SIZE_MAX && batch.size >= batch.buf->capacity / LOG_KEEP_SHARE) {
        *out = batch;
        buf_ref(batch.buf);
        return ERR_OK;
    }
    uint32_t size = batch.size;
    if (size > LOG_ARENA_SIZE / 4) {
        struct buf *own = buf_pool_get(core_buffers(home->core), size);
        if (!own)
            return ERR_BUSY;
        memcpy(own->data, batch.buf->data + batch.offset, size);
        *out = (struct buf_range){own, 0, size};
        return ERR_OK;
    }
    if (!home->arena || home->arena->capacity - home->arena_used < size) {
        struct buf *arena = buf_pool_get(core_buffers(home->core), LOG_ARENA_SIZE);
        if (!arena)
            return ERR_BUSY;
        buf_unref(home->arena);
        home->arena = arena;
        home->arena_used = 0;
    }
    memcpy(home->arena->data + home->arena_used, batch.buf->data + batch.offset, size);
    *out = (struct buf_range){buf_ref(home->arena), home->arena_used, size};
    home->arena_used += size;
    return ERR_OK;
}

/* Does the batch begin a new segment? Kafka's rules: size, time since its first batch, and offsets
 * that no longer fit into 31 bits. */
static bool must_roll(const struct store_log *log, const struct batch_header *header)
{
    const struct log_place *place = &log->next;
    if (place->segment_base < 0)
        return true;
    if (place->size == 0)
        return false;
    if ((uint64_t)place->size + header->size > log->config->segment_size_bytes)
        return true;
    if (log->end + header->last_offset_delta - place->segment_base > INT32_MAX)
        return true;
    int64_t limit_ms = log->config->segment_ms - log->config->segment_jitter_ms;
    return log->config->segment_ms > 0 && header->max_timestamp_ms >= 0 && place->first_ms >= 0 &&
           header->max_timestamp_ms - place->first_ms > limit_ms;
}

static enum err place_take(struct store_log *log, const struct batch_header *header)
{
    if (must_roll(log, header)) {
        struct segment *segment = segment_find(log, log->end);
        if (!segment)
            segment = segment_add(log, log->end);
        if (!segment)
            return ERR_NO_MEMORY;
        log->next = (struct log_place){log->end, 0, -1};
    }
    if (log->next.size == 0)
        log->next.first_ms = header->max_timestamp_ms;
    return ERR_OK;
}

/* A producer's rules: duplicates, epochs, sequences, transactions. */
static enum err check_batch(struct store_log *log, struct store_append *append,
                            struct producers_batch *out_original)
{
    const struct batch_header *header = &append->header;
    enum err err = producers_check(&log->producers, header, out_original);
    bool is_transactional = header->attributes & BATCH_TRANSACTIONAL;
    /* One that is there already may be of a transaction that is over: its producer must hear so. */
    bool is_settled = err != ERR_OK && err != ERR_SEQUENCE && err != ERR_DUPLICATE;
    if (is_settled || header->producer_id < 0 || (!log->transactions && !is_transactional))
        return err;
    /* Before its sequence: the batches before it may be on their way to be verified. */
    enum err verdict = transactions_check(log->transactions, header);
    if (verdict != ERR_UNVERIFIED)
        return err ? err : verdict;
    /* verified before the transaction ended does not count (KIP-890) */
    int64_t marker_offset = producers_marker_offset(&log->producers, header->producer_id);
    if (append->is_verified && marker_offset < append->verify_end)
        return err ? err : transactions_check_room(log->transactions);
    append->verify_end = log->end;
    return ERR_UNVERIFIED;
}

/* Is there memory for one more producer? When it is short those go who were silent for longer than
 * clients try again. */
static enum err check_room(struct store_log *log, const struct batch_header *header)
{
    enum err err = producers_check_room(&log->producers, header->producer_id);
    if (err == ERR_OK)
        return err;
    producers_expire(&log->producers, log->transactions,
                     core_wall_ms(log->home->core) - LOG_PRODUCER_SILENT_MS);
    return producers_check_room(&log->producers, header->producer_id);
}

static enum err check_marker(const struct store_log *log, const struct store_append *append,
                             const struct transactions_marker *marker)
{
    enum err err =
        producers_check_marker(&log->producers, &append->header, marker->coordinator_epoch);
    if (err != ERR_OK)
        return err;
    return transactions_check_marker(log->transactions, &append->header, append->marker_strict);
}

enum err log_batch_known(struct store_log *log, const struct batch_header *header,
                         const struct transactions_marker *marker, int64_t now_ms)
{
    if (marker) {
        enum err err =
            producers_add_marker(&log->producers, header, marker->coordinator_epoch, now_ms);
        if (err == ERR_OK && log->transactions)
            transactions_end(log->transactions, header, marker);
        return err;
    }
    enum err err = producers_add(&log->producers, header, now_ms);
    bool is_transactional =
        (header->attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL)) == BATCH_TRANSACTIONAL;
    if (err != ERR_OK || !is_transactional)
        return err;
    if (!log->transactions)
        log->transactions = log_transactions_new(log);
    return log->transactions ? transactions_add(log->transactions, header, now_ms) : ERR_NO_MEMORY;
}

struct transactions *log_transactions_new(struct store_log *log)
{
    uint64_t seed;
    struct os *os = log->store->os;
    os->ops->random(os, &seed, sizeof(seed));
    return transactions_new(seed, reactor_budget(log->store->options.reactor));
}

static void stamp(struct store_log *log, struct store_append *append)
{
    uint8_t *bytes = append->batch.buf->data + append->batch.offset;
    batch_stamp(bytes, log->end, append->leader_epoch);
    if (append->append_time)
        batch_stamp_append_time(bytes, append->batch.size, core_wall_ms(log->home->core));
    enum err err = batch_header_read(slice_make(bytes, append->batch.size), &append->header);
    CHECK(err == ERR_OK);
}

/* What deletes may go beyond the budget: it gives space back. */
static struct log_entry *entry_make(struct store_log *log, enum log_entry_kind kind)
{
    struct budget *budget = log_budget(log);
    if (kind != LOG_ENTRY_DATA)
        budget_charge_always(budget, sizeof(struct log_entry));
    else if (!tail_memory_charge(log, sizeof(struct log_entry)))
        return NULL;
    struct log_entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        budget_release(budget, sizeof(*entry));
    return entry;
}

struct log_entry *log_entry_new(struct store_log *log, enum log_entry_kind kind)
{
    struct log_core *home = log->home;
    struct list *node = list_pop_front(&home->entries_free);
    struct log_entry *entry = node ? LIST_ENTRY(node, struct log_entry, node) : NULL;
    if (entry) {
        home->entries_free_count--;
        memset(entry, 0, sizeof(*entry));
    } else {
        entry = entry_make(log, kind);
    }
    if (!entry)
        return NULL;
    entry->log = log;
    entry->kind = kind;
    entry->start = -1;
    list_init(&entry->node);
    list_init(&entry->appends);
    list_init(&entry->journal.node);
    return entry;
}

void log_entry_free(struct log_entry *entry)
{
    struct log_core *home = entry->log->home;
    CHECK(!entry->extent);
    free(entry->extra);
    free(entry->offsets);
    if (home->entries_free_count >= LOG_ENTRY_KEEP_MAX) {
        budget_release(log_budget(entry->log), sizeof(*entry));
        free(entry);
        return;
    }
    /* the one used last is the next: it is in the processor's cache */
    list_push_front(&home->entries_free, &entry->node);
    home->entries_free_count++;
}

void log_entries_free(struct log_core *home)
{
    struct list *node;
    while ((node = list_pop_front(&home->entries_free)))
        free(LIST_ENTRY(node, struct log_entry, node));
    budget_release(reactor_budget(home->store->options.reactor),
                   home->entries_free_count * sizeof(struct log_entry));
    home->entries_free_count = 0;
}

void log_entry_queue(struct store_log *log, struct log_entry *entry)
{
    list_push_back(&log->queue, &entry->node);
    log->queue_bytes += entry->size;
    log->home->queue_bytes += entry->size;
    log_mark_dirty(log);
}

static enum err add(struct store_log *log, struct store_append *append,
                    const struct transactions_marker *marker, struct log_entry *entry)
{
    struct buf_range bytes;
    stamp(log, append);
    enum err err = keep(log->home, append->batch, &bytes);
    if (err != ERR_OK)
        return err;
    const struct batch_header *header = &append->header;
    struct log_place before = log->next;
    entry->number = log->tail.next;
    err = place_take(log, header);
    struct tail_batch batch = {
        .base_offset = header->base_offset,
        .last_offset = batch_last_offset(header),
        .max_timestamp_ms = header->max_timestamp_ms,
        .segment_base = log->next.segment_base,
        .position = log->next.size,
        .bytes = bytes,
    };
    if (err == ERR_OK)
        err = epochs_add(&log->epochs, append->leader_epoch, header->base_offset);
    if (err == ERR_OK)
        err = tail_push(log, &batch);
    if (err != ERR_OK)
        buf_unref(bytes.buf);
    else
        err = log_batch_known(log, header, marker, core_wall_ms(log->home->core));
    if (err != ERR_OK) {
        tail_pop_back(&log->tail, entry->number);
        epochs_truncate_end(&log->epochs, log->end);
        producers_truncate(&log->producers, log->end);
        log->next = before;
        return ERR_BUSY;
    }
    entry->batch_count = 1;
    entry->size = header->size;
    log->next.size += header->size;
    log->end = batch.last_offset + 1;
    entry->place = log->next;
    entry->next_offset = log->end;
    return ERR_OK;
}

static enum err check(struct store_log *log, struct store_append *append,
                      struct transactions_marker *marker, bool *out_is_marker,
                      struct producers_batch *out_original)
{
    enum err err = ERR_NOT_FOUND;
    if (append->header.attributes & BATCH_CONTROL)
        err = transactions_marker_read(buf_range_slice(append->batch), &append->header, marker);
    *out_is_marker = err == ERR_OK;
    if (err == ERR_OK)
        return check_marker(log, append, marker);
    if (err == ERR_NOT_FOUND)
        err = check_batch(log, append, out_original);
    return err == ERR_OK ? check_room(log, &append->header) : err;
}

enum err store_log_append(struct store_log *log, struct store_append *append)
{
    struct producers_batch original = {0};
    struct transactions_marker marker;
    log_decode(log);
    log->is_used = true;
    enum err err = admit(log, append);
    if (err != ERR_OK)
        return err;
    list_init(&append->node);
    append->result = ERR_OK;
    bool is_marker = false;
    err = check(log, append, &marker, &is_marker, &original);
    if (err == ERR_DUPLICATE) {
        append->base_offset = original.base_offset;
        append->header.max_timestamp_ms = original.timestamp_ms;
        append->end_offset = original.last_offset + 1;
        list_push_back(&log->duplicates, &append->node);
        log_mark_finished(log);
        return ERR_OK;
    }
    if (err == ERR_OK)
        err = admit_new(log, append);
    if (err != ERR_OK)
        return err;
    struct log_entry *entry = log_entry_new(log, LOG_ENTRY_DATA);
    if (!entry)
        return ERR_BUSY;
    err = add(log, append, is_marker ? &marker : NULL, entry);
    if (err != ERR_OK) {
        log_entry_free(entry);
        return err;
    }
    append->base_offset = append->header.base_offset;
    append->end_offset = entry->next_offset;
    list_push_back(&entry->appends, &append->node);
    if (log->config->async) { /* accepted: nobody waits for the disk */
        list_splice_back(&log->done_appends, &entry->appends);
        log_mark_finished(log);
    }
    log_entry_queue(log, entry);
    return ERR_OK;
}

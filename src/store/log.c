// A log as the broker holds it: made, configured, moved between cores, deleted, asked.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"

#include <stdio.h>
#include <stdlib.h>

struct log_core *log_core_of(struct store *store, struct core *core)
{
    return &store->cores[core_id(core)];
}

struct log_name log_name(const struct store_log_key *key)
{
    struct log_name name;
    uuid_to_text(&key->topic, name.text);
    (void)snprintf(name.text + UUID_TEXT_SIZE, sizeof(name.text) - UUID_TEXT_SIZE, "-%u",
                   key->partition);
    return name;
}

struct budget *log_budget(const struct store_log *log)
{
    return reactor_budget(log->store->options.reactor);
}

void log_dir_path(const struct store_log *log, char *out)
{
    (void)snprintf(out, LOG_PATH_SIZE, "%s/logs/%s", log->store->dir, log_name(&log->key).text);
}

static void lists_init(struct store_log *log)
{
    list_init(&log->queue);
    list_init(&log->inflight);
    list_init(&log->duplicates);
    list_init(&log->done_appends);
    list_init(&log->done_entries);
    list_init(&log->reads);
    list_init(&log->jobs);
    list_init(&log->lookups);
    list_init(&log->dirty_node);
    list_init(&log->finished_node);
    list_init(&log->live_node);
    list_init(&log->cache_node);
    list_init(&log->checkpoint_node);
    list_init(&log->all_node);
    list_init(&log->turn_node);
}

/* What the catalogue knows: only at the start. */
static enum err checkpoint_load(struct store_log *log)
{
    uint8_t key[CHECKPOINT_KEY_SIZE];
    struct slice value = catalogue_get(log->store->catalogue, checkpoint_key(&log->key, key));
    if (!value.data)
        return ERR_OK;
    enum err err = log_checkpoint_read(log, value);
    if (err != ERR_OK || log->place.segment_base < 0)
        return err;
    log->carry = (log->place.size & (LOG_BLOCK_SIZE - 1)) != 0;
    log->checkpoint_base = log->place.segment_base;
    return ERR_OK;
}

struct store_log *log_make(struct store *store, struct store_log_key key)
{
    struct store_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    budget_charge_always(reactor_budget(store->options.reactor), sizeof(*log));
    log->store = store;
    log->key = key;
    log->place.segment_base = -1;
    log->oldest_ms = -1;
    log->clean_horizon_ms = log->dirty_ms = -1;
    log->is_new = store->is_claimed;
    lists_init(log);
    tail_init(&log->tail);
    epochs_init(&log->epochs);
    producers_init(&log->producers, store->seed);
    log->producers.budget = log_budget(log);
    holes_init(&log->holes);
    enum err err = store->is_claimed ? ERR_OK : checkpoint_load(log);
    if (err != ERR_OK) {
        log_error(store->logger, "store", "checkpoint cannot be used log=%s error=%s",
                  log_name(&key).text, err_name(err));
        log->err = ERR_OFFLINE;
    }
    log->lsn_committed = log->lsn_checkpoint;
    log->lsn_next = log->lsn_committed + 1;
    log->end = log->durable_told = log->committed;
    log->start_wanted = log->start;
    log->next = log->place;
    return log;
}

static void entries_free(struct list *entries)
{
    struct list *node;
    while ((node = list_pop_front(entries))) {
        struct log_entry *entry = LIST_ENTRY(node, struct log_entry, node);
        if (entry->extent)
            log_extent_free(entry, entries);
        log_entry_free(entry);
    }
}

/* The journal still holds what no checkpoint speaks of. */
static void pieces_keep(struct store_log *log)
{
    while (log->piece_count > 0)
        journal_piece_keep(log->pieces[--log->piece_count].piece);
    list_remove(&log->live_node);
}

void log_destroy(struct store_log *log)
{
    compact_drop(log);
    if (log->home) {
        scrub_forget(log);
        log_turn_remove(log);
        log->home->cached_bytes -= log->tail.cached_bytes;
        atomic_fetch_sub_explicit(&log->home->unwritten_bytes, log->tail.unwritten_bytes,
                                  memory_order_relaxed);
        segment_close_all(log);
    }
    list_remove(&log->dirty_node);
    list_remove(&log->finished_node);
    list_remove(&log->cache_node);
    list_remove(&log->checkpoint_node);
    list_remove(&log->all_node);
    pieces_keep(log);
    while (log->segment_count > 0)
        segment_remove(log, log->segments[log->segment_count - 1]);
    entries_free(&log->queue);
    entries_free(&log->inflight);
    entries_free(&log->done_entries);
    tail_deinit(log);
    epochs_deinit(&log->epochs);
    producers_deinit(&log->producers);
    holes_deinit(&log->holes);
    transactions_free(log->transactions);
    free(log->segments);
    free(log->pieces);
    free(log->restores);
    free(log->block);
    budget_release(log_budget(log), sizeof(*log));
    free(log);
}

void log_decode(struct store_log *log)
{
    if (log->is_decoded)
        return;
    log->is_decoded = true;
    if (!log->checkpoint_tail.data)
        return;
    int64_t now_ms = log->store->os->ops->wall_ms(log->store->os);
    enum err err = log_checkpoint_decode_tail(log, log->checkpoint_tail, now_ms);
    log->checkpoint_tail = SLICE_NULL;
    if (err != ERR_OK)
        log_offline(log, "its checkpoint cannot be read");
}

void log_mark_dirty(struct store_log *log)
{
    core_task_post_end(log->home->core, &log->home->flush_task, 0);
    if (log->is_dirty)
        return;
    log->is_dirty = true;
    list_push_back(&log->home->dirty, &log->dirty_node);
}

void log_mark_finished(struct store_log *log)
{
    core_task_post(log->home->core, &log->home->finish_task);
    if (log->is_finished)
        return;
    log->is_finished = true;
    list_push_back(&log->home->finished, &log->finished_node);
}

bool log_is_read_from_memory(const struct store_log *log)
{
    return log_now_s(log) >= log->behind_until_s;
}

/* Nothing is on its way; a checkpoint may wait for its turn. */
static bool is_still(const struct store_log *log)
{
    return list_empty(&log->queue) && log->inflight_count == 0 && !log->write &&
           log->checkpoint_state <= LOG_CP_CUT && !log->compact && list_empty(&log->jobs) &&
           list_empty(&log->lookups) && log->unlink_count == 0 && list_empty(&log->reads) &&
           list_empty(&log->done_appends) && list_empty(&log->done_entries) &&
           list_empty(&log->duplicates);
}

bool log_is_quiet(const struct store_log *log)
{
    return is_still(log) && log->checkpoint_state == LOG_CP_NONE;
}

void log_settle_check(struct store_log *log)
{
    if (log->is_swap_wanted)
        compact_swap_check(log);
    if (log->quiet_done || log->store->is_draining)
        log_mark_finished(log);
    if (log->store->is_closing)
        core_task_post(log->home->core, &log->home->finish_task);
}

void log_offline(struct store_log *log, const char *why)
{
    if (log->err == ERR_OK)
        log_error(log->store->logger, "store", "log offline until a restart: %s log=%s", why,
                  log_name(&log->key).text);
    log->err = ERR_OFFLINE;
    if (!log->home)
        return;
    if (!list_empty(&log->queue)) {
        log->is_failing = true;
        log->fail_err = ERR_OFFLINE;
    }
    log_mark_finished(log);
}

enum err log_piece_add(struct store_log *log, struct journal_piece *piece, uint64_t lsn)
{
    struct log_piece *last = log->piece_count ? &log->pieces[log->piece_count - 1] : NULL;
    if (log->piece_last == piece)
        return ERR_OK;
    if (last)
        last->lsn_last = log->lsn_committed;
    if (log->piece_count == log->piece_capacity) {
        uint32_t capacity = log->piece_capacity ? log->piece_capacity * 2 : 1;
        struct log_piece *grown = realloc(log->pieces, capacity * sizeof(*grown));
        if (!grown)
            return ERR_NO_MEMORY;
        log->pieces = grown;
        log->piece_capacity = capacity;
    }
    journal_piece_ref(piece);
    log->pieces[log->piece_count++] = (struct log_piece){piece, lsn};
    log->piece_last = piece;
    if (log->home && list_empty(&log->live_node))
        list_push_back(&log->home->live, &log->live_node);
    return ERR_OK;
}

void log_pieces_release(struct store_log *log, uint64_t lsn)
{
    uint32_t count = 0;
    if (log->piece_count > 0)
        log->pieces[log->piece_count - 1].lsn_last = log->lsn_committed;
    while (count < log->piece_count && log->pieces[count].lsn_last <= lsn)
        journal_piece_unref(log->pieces[count++].piece);
    log->piece_count -= count;
    if (count > 0 && log->piece_count > 0)
        memmove(log->pieces, log->pieces + count, log->piece_count * sizeof(*log->pieces));
    if (log->piece_count > 0)
        return;
    list_remove(&log->live_node);
    log->piece_last = NULL;
}

/* --- the face --- */

static void home_set(struct store_log *log, struct core *core)
{
    log->home = log_core_of(log->store, core);
    list_push_back(&log->home->all, &log->all_node);
    if (log->piece_count > 0)
        list_push_back(&log->home->live, &log->live_node);
    log_turn_add(log);
}

enum err store_log_new(struct store *store, struct core *core, struct store_log_key key,
                       const struct store_log_config *config, struct store_log **out)
{
    struct store_log *log = NULL;
    if (!store->is_claimed)
        log = map_remove(&store->found, slice_make(&key, sizeof(key)));
    if (!log)
        log = log_make(store, key);
    if (!log)
        return ERR_NO_MEMORY;
    if (!store->is_claimed &&
        !map_put(&store->claimed, slice_make(&log->key, sizeof(log->key)), log, NULL)) {
        log_destroy(log);
        return ERR_NO_MEMORY;
    }
    log->config = config;
    home_set(log, core);
    *out = log;
    return ERR_OK;
}

void store_log_events_set(struct store_log *log, const struct store_log_events *events, void *arg)
{
    log->events = events;
    log->events_arg = arg;
}

void store_log_config_set(struct store_log *log, const struct store_log_config *config)
{
    bool was_async = log->config->async;
    log->config = config;
    if (log->home)
        log_retain_check(log);
    if (!config->compact)
        compact_cancel(log);
    if (was_async == config->async)
        return;
    log_mark_finished(log);
    if (log->piece_count > 0 || log->inflight_count > 0)
        checkpoint_queue(log);
}

void store_log_free(struct store_log *log)
{
    CHECK(is_still(log));
    log_destroy(log);
}

int64_t store_log_start(const struct store_log *log)
{
    return log->start;
}

int64_t store_log_end(const struct store_log *log)
{
    return log->end;
}

int64_t store_log_durable(const struct store_log *log)
{
    return log_durable(log);
}

int64_t store_log_stable(const struct store_log *log)
{
    log_decode((struct store_log *)log);
    return MAX(log->start, transactions_stable(log->transactions, log_durable(log)));
}

uint64_t store_log_size(const struct store_log *log)
{
    return log->sealed_bytes + log->place.size;
}

enum err store_log_state(const struct store_log *log)
{
    if (log->err != ERR_OK)
        return ERR_OFFLINE;
    return log->home && journal_is_offline(log->home->journal) ? ERR_OFFLINE : ERR_OK;
}

bool store_log_epoch_end(const struct store_log *log, int32_t epoch, int32_t *out_epoch,
                         int64_t *out_end)
{
    log_decode((struct store_log *)log);
    return epochs_end(&log->epochs, epoch, log->end, out_epoch, out_end);
}

int32_t store_log_epoch_last(const struct store_log *log)
{
    log_decode((struct store_log *)log);
    return epochs_last(&log->epochs);
}

int32_t store_log_epoch_at(const struct store_log *log, int64_t offset)
{
    log_decode((struct store_log *)log);
    return epochs_at(&log->epochs, offset);
}

void store_log_producer_each(const struct store_log *log, store_producer_fn fn, void *arg)
{
    log_decode((struct store_log *)log);
    if (!log->producers.known)
        return;
    list_for_each (node, &log->producers.known->by_use) {
        const struct producers_entry *entry = LIST_ENTRY(node, struct producers_entry, node);
        const struct producers_batch *last =
            entry->batch_count ? &entry->batches[entry->batch_count - 1] : NULL;
        const struct transactions_open *open =
            transactions_find(log->transactions, entry->producer_id);
        struct store_producer producer = {
            .producer_id = entry->producer_id,
            .epoch = entry->epoch,
            .last_sequence = last ? last->sequence_last : -1,
            .last_timestamp_ms = last ? last->timestamp_ms : entry->last_use_ms,
            .coordinator_epoch = entry->coordinator_epoch,
            .transaction_first = open ? open->first_offset : -1,
        };
        fn(arg, &producer);
    }
}

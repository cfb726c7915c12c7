// Stands in for the store in tests of this room: logs in memory, syncs that a test can hold back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include "base/map.h"
#include "store/producers.h"
#include "store/transactions.h"

struct fixture_fact {
    struct slice key; /* bytes follow */
    struct slice value;
};

struct fixture_fact_put {
    struct core_work work;
    struct store *store;
    store_done_fn done;
    void *arg;
    enum err err;
};

/* Survives the broker: what a restart finds. */
struct store {
    struct reactor *reactor;
    struct map facts;
    unsigned fact_puts;
    unsigned fact_puts_open; /* not answered yet */
    unsigned fact_puts_open_max;
    enum err fact_err;     /* answers puts */
    _Atomic bool is_busy;  /* appends are refused with ERR_BUSY */
    _Atomic bool is_held;  /* commits wait */
    _Atomic unsigned logs; /* that exist */
    _Atomic unsigned deleted;
    bool is_claimed;
    bool is_keeping; /* batches outlive their log, for the next one of the same key */
    _Atomic bool is_refusing_markers; /* with ERR_DISK_FULL */
    _Atomic bool is_failing;          /* appends are refused with ERR_IO */
    _Atomic unsigned failures;        /* so many of them */
    _Atomic int read_err;             /* answers reads, unless it is ERR_OK */
    _Atomic int64_t read_next;        /* where whole batches begin again, with ERR_CORRUPT */
    _Atomic unsigned read_failures;
    struct fixture_kept *kept;
    struct list gathers; /* core 0; of store_gather.node */
    struct core_message gather_message;
};

struct fixture_batch {
    uint8_t *bytes;
    uint32_t size;
    int64_t base;
    int64_t next;
};

struct fixture_kept {
    struct fixture_kept *next;
    struct store_log_key key;
    struct fixture_batch *batches;
    size_t count;
    int64_t start;
    int64_t end;
};

struct store_log {
    struct store *store;
    struct core *core;
    struct store_log_key key;
    const struct store_log_config *config;
    const struct store_log_events *events;
    void *arg;
    struct fixture_batch *batches;
    size_t count;
    int64_t start;
    int64_t end;
    int64_t durable;
    struct producers producers; /* of transactional batches and markers alone */
    struct transactions *transactions;
    struct list waiting;
    struct core_work work;
    bool is_working;
    bool is_offline;
    struct core_message message; /* of detach, trim */
    store_done_fn done;
    void *done_arg;
};

/* --- facts --- */

static void fixture_fact_run(struct core_work *work)
{
}

static void fixture_fact_done(struct core *core, struct core_work *work)
{
    struct fixture_fact_put *put = CONTAINER_OF(work, struct fixture_fact_put, work);
    put->store->fact_puts_open--;
    put->done(put->arg, put->err);
    free(put);
}

void store_fact_put(struct store *store, struct slice key, struct slice value, store_done_fn done,
                    void *arg)
{
    struct fixture_fact_put *put = calloc(1, sizeof(*put));
    *put = (struct fixture_fact_put){.store = store, .done = done, .arg = arg};
    put->err = store->fact_err;
    store->fact_puts++;
    store->fact_puts_open++;
    store->fact_puts_open_max = MAX(store->fact_puts_open_max, store->fact_puts_open);
    if (!put->err)
        free(map_remove(&store->facts, key));
    if (!put->err && value.data) {
        struct fixture_fact *fact = malloc(sizeof(*fact) + key.size + value.size);
        memcpy(fact + 1, key.data, key.size);
        memcpy((char *)(fact + 1) + key.size, value.data, value.size);
        fact->key = slice_make(fact + 1, key.size);
        fact->value = slice_make((char *)(fact + 1) + key.size, value.size);
        CHECK(map_put(&store->facts, fact->key, fact, NULL));
    }
    put->work = (struct core_work){.run = fixture_fact_run, .done = fixture_fact_done};
    core_work_submit(reactor_core(store->reactor, 0), CORE_LANE_SYNC, &put->work);
}

void store_fact_each(struct store *store, store_fact_fn fn, void *arg)
{
    size_t position = 0;
    struct fixture_fact *fact;
    while ((fact = map_next(&store->facts, &position)))
        fn(arg, fact->key, fact->value);
}

static void fixture_store_init(struct store *store)
{
    memset(store, 0, sizeof(*store));
    map_init(&store->facts, 1);
}

static void fixture_batches_free(struct fixture_batch *batches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(batches[i].bytes);
    free(batches);
}

static void fixture_store_deinit(struct store *store)
{
    size_t position = 0;
    struct fixture_fact *fact;
    while ((fact = map_next(&store->facts, &position))) {
        map_remove(&store->facts, fact->key);
        free(fact);
    }
    map_deinit(&store->facts);
    struct fixture_kept *kept;
    while ((kept = store->kept)) {
        store->kept = kept->next;
        fixture_batches_free(kept->batches, kept->count);
        free(kept);
    }
}

/* --- logs --- */

/* What the batch means to transactions. */
static void fixture_log_know(struct store_log *log, struct slice batch,
                             const struct batch_header *header)
{
    struct transactions_marker marker;
    enum err err = ERR_OK;
    if (!(header->attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL)))
        return;
    if (!(header->attributes & BATCH_CONTROL)) {
        err = producers_add(&log->producers, header, 0);
        CHECK(err == ERR_OK && transactions_add(log->transactions, header, 0) == ERR_OK);
    } else if (transactions_marker_read(batch, header, &marker) == ERR_OK) {
        err = producers_add_marker(&log->producers, header, marker.coordinator_epoch, 0);
        CHECK(err == ERR_OK);
        transactions_end(log->transactions, header, &marker);
    }
}

static void fixture_log_transactions_free(struct store_log *log)
{
    producers_deinit(&log->producers);
    transactions_free(log->transactions);
}

static void fixture_log_keep(struct store_log *log)
{
    struct fixture_kept *kept = calloc(1, sizeof(*kept));
    *kept = (struct fixture_kept){.next = log->store->kept,
                                  .key = log->key,
                                  .batches = log->batches,
                                  .count = log->count,
                                  .start = log->start,
                                  .end = log->end};
    log->store->kept = kept;
    log->batches = NULL;
    log->count = 0;
}

static void fixture_log_find(struct store_log *log)
{
    for (struct fixture_kept **at = &log->store->kept; *at; at = &(*at)->next) {
        struct fixture_kept *kept = *at;
        if (!uuid_equal(&kept->key.topic, &log->key.topic) ||
            kept->key.partition != log->key.partition)
            continue;
        log->batches = kept->batches;
        log->count = kept->count;
        log->start = kept->start;
        log->end = log->durable = kept->end;
        *at = kept->next;
        free(kept);
        for (size_t i = 0; i < log->count; i++) {
            struct batch_header header;
            struct slice bytes = slice_make(log->batches[i].bytes, log->batches[i].size);
            CHECK(batch_header_read(bytes, &header) == ERR_OK);
            fixture_log_know(log, bytes, &header);
        }
        transactions_commit(log->transactions, log->durable);
        return;
    }
}

enum err store_log_new(struct store *store, struct core *core, struct store_log_key key,
                       const struct store_log_config *config, struct store_log **out)
{
    struct store_log *log = calloc(1, sizeof(*log));
    *log = (struct store_log){.store = store, .core = core, .key = key, .config = config};
    list_init(&log->waiting);
    producers_init(&log->producers, 1);
    log->transactions = transactions_new(1, NULL);
    CHECK(log->transactions);
    if (store->is_keeping)
        fixture_log_find(log);
    atomic_fetch_add(&store->logs, 1);
    *out = log;
    return ERR_OK;
}

void store_log_events_set(struct store_log *log, const struct store_log_events *events, void *arg)
{
    log->events = events;
    log->arg = arg;
}

void store_log_config_set(struct store_log *log, const struct store_log_config *config)
{
    log->config = config;
}

void store_log_free(struct store_log *log)
{
    CHECK(list_empty(&log->waiting) && !log->is_working);
    atomic_fetch_sub(&log->store->logs, 1);
    if (log->store->is_keeping)
        fixture_log_keep(log);
    fixture_log_transactions_free(log);
    fixture_batches_free(log->batches, log->count);
    free(log);
}

static void fixture_answer(struct core *core, struct core_message *message)
{
    struct store_log *log = CONTAINER_OF(message, struct store_log, message);
    store_done_fn done = log->done;
    log->done = NULL;
    done(log->done_arg, ERR_OK);
}

static void fixture_deleted(struct core *core, struct core_message *message)
{
    struct store_log *log = CONTAINER_OF(message, struct store_log, message);
    atomic_fetch_add(&log->store->deleted, 1);
    log->done(log->done_arg, ERR_OK);
    store_log_free(log);
}

static void fixture_answer_later(struct store_log *log, store_done_fn done, void *arg)
{
    CHECK(!log->done);
    log->done = done;
    log->done_arg = arg;
    log->message.run = fixture_answer;
    core_send(log->core, core_id(log->core), &log->message);
}

void store_log_delete(struct store_log *take_log, store_done_fn done, void *arg)
{
    fixture_answer_later(take_log, done, arg);
    take_log->message.run = fixture_deleted;
}

void store_logs_claimed(struct store *store)
{
    store->is_claimed = true;
}

void store_log_detach(struct store_log *log, store_done_fn done, void *arg)
{
    CHECK(list_empty(&log->waiting) && !log->is_working);
    fixture_answer_later(log, done, arg);
}

void store_log_attach(struct store_log *log, struct core *core)
{
    log->core = core;
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
    return log->durable;
}

int64_t store_log_stable(const struct store_log *log)
{
    return MAX(log->start, transactions_stable(log->transactions, log->durable));
}

void store_log_producer_each(const struct store_log *log, store_producer_fn fn, void *arg)
{
    if (!log->producers.known)
        return;
    list_for_each (node, &log->producers.known->by_use) {
        const struct producers_entry *entry = LIST_ENTRY(node, struct producers_entry, node);
        const struct transactions_open *open =
            transactions_find(log->transactions, entry->producer_id);
        struct store_producer producer = {.producer_id = entry->producer_id,
                                          .epoch = entry->epoch,
                                          .coordinator_epoch = entry->coordinator_epoch,
                                          .transaction_first = open ? open->first_offset : -1};
        fn(arg, &producer);
    }
}

uint64_t store_log_size(const struct store_log *log)
{
    uint64_t size = 0;
    for (size_t i = 0; i < log->count; i++)
        size += log->batches[i].size;
    return size;
}

enum err store_log_state(const struct store_log *log)
{
    return log->is_offline ? ERR_OFFLINE : ERR_OK;
}

/* --- appending --- */

static void fixture_commit_run(struct core_work *work)
{
}

static void fixture_commit_done(struct core *core, struct core_work *work)
{
    struct store_log *log = CONTAINER_OF(work, struct store_log, work);
    struct list batch;
    list_init(&batch);
    CHECK(core == log->core);
    if (atomic_load(&log->store->is_held)) { /* again and again until it is let go */
        core_work_submit(core, CORE_LANE_SYNC, work);
        return;
    }
    list_splice_back(&batch, &log->waiting);
    log->is_working = false;
    log->durable = log->end;
    transactions_commit(log->transactions, log->durable);
    struct list *node;
    while ((node = list_pop_front(&batch))) {
        struct store_append *append = LIST_ENTRY(node, struct store_append, node);
        append->result = ERR_OK;
        append->done(append);
    }
    log->events->on_durable(log->arg, log);
}

static void fixture_keep(struct store_log *log, const struct store_append *append)
{
    log->batches = realloc(log->batches, (log->count + 1) * sizeof(*log->batches));
    struct fixture_batch *batch = &log->batches[log->count++];
    batch->size = append->batch.size;
    batch->bytes = malloc(batch->size);
    batch->base = append->base_offset;
    batch->next = append->base_offset + append->header.last_offset_delta + 1;
    memcpy(batch->bytes, append->batch.buf->data + append->batch.offset, batch->size);
}

static enum err fixture_check(struct store_log *log, struct store_append *append)
{
    const struct batch_header *header = &append->header;
    struct producers_batch original;
    struct transactions_marker marker;
    if (!(header->attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL)))
        return ERR_OK;
    if (header->attributes & BATCH_CONTROL) {
        if (transactions_marker_read(buf_range_slice(append->batch), header, &marker) != ERR_OK)
            return ERR_OK;
        enum err err = producers_check_marker(&log->producers, header, marker.coordinator_epoch);
        return err ? err
                   : transactions_check_marker(log->transactions, header, append->marker_strict);
    }
    enum err err = producers_check(&log->producers, header, &original);
    if (err == ERR_OK)
        err = transactions_check(log->transactions, header);
    int64_t marker_offset = producers_marker_offset(&log->producers, header->producer_id);
    if (err == ERR_UNVERIFIED && append->is_verified && marker_offset < append->verify_end)
        return ERR_OK;
    append->verify_end = log->end;
    return err;
}

enum err store_log_append(struct store_log *log, struct store_append *append)
{
    if (log->is_offline)
        return ERR_OFFLINE;
    if (atomic_load(&log->store->is_busy))
        return ERR_BUSY;
    if (atomic_load(&log->store->is_failing)) {
        atomic_fetch_add(&log->store->failures, 1);
        return ERR_IO;
    }
    if (atomic_load(&log->store->is_refusing_markers) &&
        (append->header.attributes & BATCH_CONTROL))
        return ERR_DISK_FULL;
    enum err err = fixture_check(log, append);
    if (err != ERR_OK)
        return err;
    uint8_t *bytes = append->batch.buf->data + append->batch.offset;
    append->base_offset = log->end;
    batch_stamp(bytes, log->end, append->leader_epoch);
    if (append->append_time) {
        append->header.max_timestamp_ms = core_wall_ms(log->core);
        batch_stamp_append_time(bytes, append->batch.size, append->header.max_timestamp_ms);
    }
    append->header.base_offset = append->base_offset;
    fixture_log_know(log, buf_range_slice(append->batch), &append->header);
    fixture_keep(log, append);
    log->end += append->header.last_offset_delta + 1;
    list_push_back(&log->waiting, &append->node);
    if (!log->is_working) {
        log->is_working = true;
        log->work = (struct core_work){.run = fixture_commit_run, .done = fixture_commit_done};
        core_work_submit(log->core, CORE_LANE_SYNC, &log->work);
    }
    return ERR_OK;
}

/* --- reading: one batch --- */

enum err store_log_read(struct store_log *log, struct store_read *read)
{
    enum err failure = (enum err)atomic_load(&log->store->read_err);
    if (failure) {
        if (failure == ERR_CORRUPT)
            read->offset_next = atomic_load(&log->store->read_next);
        atomic_fetch_add(&log->store->read_failures, 1);
        return failure;
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct fixture_batch *batch = &log->batches[i];
        if (batch->next <= read->offset)
            continue;
        if (batch->next > read->offset_limit || (batch->size > read->size_max && !read->want_one))
            break;
        read->chunks = calloc(1, sizeof(*read->chunks));
        read->chunks->bytes = (struct buf_range){buf_new(batch->size), 0, batch->size};
        memcpy(read->chunks->bytes.buf->data, batch->bytes, batch->size);
        read->chunks->size = batch->size;
        read->chunk_count = 1;
        read->size = batch->size;
        read->offset_next = batch->next;
        break;
    }
    struct transactions_span span = {read->offset, read->offset_next, log->durable};
    if (read->want_aborted && read->size > 0)
        return transactions_aborted(log->transactions, &span, &read->aborted, &read->aborted_count);
    return ERR_OK;
}

static void gather_run(struct core *core, struct core_message *message)
{
    struct store *store = CONTAINER_OF(message, struct store, gather_message);
    struct list *node;
    while ((node = list_pop_front(&store->gathers)) != NULL) {
        struct store_gather *gather = LIST_ENTRY(node, struct store_gather, node);
        gather->run(gather);
    }
}

/* There is no turn to wait for: with the next message. */
void store_gather(struct store *store, struct core *core, struct store_gather *gather)
{
    CHECK(core_id(core) == 0);
    if (!store->gathers.next)
        list_init(&store->gathers);
    if (list_empty(&store->gathers)) {
        store->gather_message.run = gather_run;
        core_send(core, 0, &store->gather_message);
    }
    list_push_back(&store->gathers, &gather->node);
}

void store_read_release(struct store_read *read)
{
    for (unsigned i = 0; i < read->chunk_count; i++)
        buf_unref(read->chunks[i].bytes.buf);
    free(read->chunks);
    free(read->aborted);
    read->chunks = NULL;
    read->aborted = NULL;
    read->chunk_count = read->aborted_count = 0;
}

void store_log_find_time(struct store_log *log, struct store_lookup *lookup)
{
    lookup->offset = -1;
    lookup->leader_epoch = -1;
    for (size_t i = 0; i < log->count && lookup->offset < 0; i++) {
        struct batch_header header;
        struct slice bytes = slice_make(log->batches[i].bytes, log->batches[i].size);
        CHECK(batch_header_read(bytes, &header) == ERR_OK);
        if (header.max_timestamp_ms < lookup->timestamp_ms)
            continue;
        lookup->offset = header.base_offset;
        lookup->found_timestamp_ms = header.max_timestamp_ms;
        lookup->leader_epoch = header.leader_epoch;
    }
    lookup->result = ERR_OK;
    lookup->done(lookup);
}

void store_log_find_max_time(struct store_log *log, struct store_lookup *lookup)
{
    store_log_find_time(log, lookup);
}

bool store_log_epoch_end(const struct store_log *log, int32_t epoch, int32_t *out_epoch,
                         int64_t *out_end)
{
    return false;
}

int32_t store_log_epoch_last(const struct store_log *log)
{
    return log->end > 0 ? 0 : -1;
}

int32_t store_log_epoch_at(const struct store_log *log, int64_t offset)
{
    return offset < log->end ? 0 : -1;
}

void store_log_start_set(struct store_log *log, int64_t offset, store_done_fn done, void *arg)
{
    log->start = offset;
    fixture_answer_later(log, done, arg);
}

void store_log_punch(struct store_log *log, const int64_t *offsets, size_t count,
                     store_done_fn done, void *arg)
{
    fixture_answer_later(log, done, arg);
}

// A store on the fake disk for tests: logs, appended batches, crash, read back.
// SPDX-License-Identifier: Apache-2.0
#pragma once

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "os/fake.h"
#include "os/fake_random.h"
#include "record/build.h"
#include "store/store.h"

#define FIXTURE_LOG_COUNT 3

struct log_fixture {
    struct os_fake *fake;
    struct os *os;
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    struct store *store;
    struct store_options options;
    struct store_log_config config;
    struct store_log *logs[FIXTURE_LOG_COUNT];
    struct logger logger;
    unsigned durable_events;
    unsigned done_count;
    enum err done_err;
    bool drained;
    unsigned log_count; /* that are claimed */
};

static inline void log_fixture_line(struct logger *logger, struct slice line)
{
    (void)fwrite(line.data, 1, line.size, stderr);
}

static inline int64_t log_fixture_now(struct logger *logger)
{
    return 0;
}

static inline void log_fixture_turns(struct log_fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count && f->reactor; i++)
        core_run_once(f->core, 0);
}

static inline struct store_log_key log_fixture_key(unsigned log)
{
    struct store_log_key key = {.partition = log};
    memset(key.topic.bytes, (int)log + 1, sizeof(key.topic.bytes));
    return key;
}

static inline void log_fixture_durable(void *arg, struct store_log *log)
{
    ((struct log_fixture *)arg)->durable_events++;
}

/* The store is there, no log is claimed yet. */
static inline enum err log_fixture_replay(struct log_fixture *f)
{
    struct reactor_options options = {.os = f->os,
                                      .budget = &f->budget,
                                      .core_count = 1,
                                      .buffers_keep_bytes = 1 << 20,
                                      .logger = f->options.logger};
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    f->core = reactor_core(f->reactor, 0);
    f->options.reactor = f->reactor;
    struct diag diag = {.text = ""};
    enum err err = store_open(&f->options, &f->store, &diag);
    if (err != ERR_OK) {
        reactor_close(f->reactor);
        f->reactor = NULL;
    }
    return err;
}

static inline enum err log_fixture_open(struct log_fixture *f)
{
    static const struct store_log_events events = {log_fixture_durable};
    enum err err = log_fixture_replay(f);
    if (err != ERR_OK)
        return err;
    for (unsigned i = 0; i < f->log_count; i++) {
        err = store_log_new(f->store, f->core, log_fixture_key(i), &f->config, &f->logs[i]);
        assert_int_equal(err, ERR_OK);
        store_log_events_set(f->logs[i], &events, f);
    }
    store_logs_claimed(f->store);
    return ERR_OK;
}

/* Ends the process: with its works, without a drain. */
static inline void log_fixture_close(struct log_fixture *f)
{
    if (f->store)
        store_close(f->store);
    f->store = NULL;
    if (f->reactor)
        reactor_close(f->reactor);
    f->reactor = NULL;
    assert_int_equal(budget_used(&f->budget), 0);
}

static inline void log_fixture_drained(void *arg)
{
    ((struct log_fixture *)arg)->drained = true;
}

static inline void log_fixture_drain(struct log_fixture *f)
{
    f->drained = false;
    store_drain(f->store, log_fixture_drained, f);
    for (unsigned i = 0; i < 200 && !f->drained; i++)
        log_fixture_turns(f, 1);
    assert_true(f->drained);
}

static inline struct log_fixture *log_fixture_new(uint64_t seed)
{
    struct log_fixture *f = calloc(1, sizeof(*f));
    f->fake = os_fake_new(seed);
    f->os = os_fake_os(f->fake);
    f->log_count = FIXTURE_LOG_COUNT;
    budget_init(&f->budget, 64 << 20);
    f->logger = (struct logger){LOG_DEBUG, log_fixture_line, log_fixture_now};
    f->config = (struct store_log_config){
        .segment_size_bytes = 16384,
        .segment_ms = INT64_MAX / 2,
        .retention_ms = -1,
        .retention_bytes = -1,
        .index_interval_bytes = 1024,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .producer_expiry_ms = 86400000,
        .retain = true,
    };
    f->options = (struct store_options){
        .os = f->os,
        .data_dir = "/data",
        .logger = getenv("LEAT_TEST_LOG") ? &f->logger : NULL,
        .journal_size_max_bytes = 1 << 20,
        .journal_piece_bytes = 65536,
        .direct_size_min_bytes = 1 << 20,
        .cache_size_max_bytes = seed % 3 ? 1 << 20 : 0,
        .open_files_max = 64,
        .sync_together_min = seed % 2 ? 1 : 0,
        .index_save_min = seed % 5 ? 1 : 0,
    };
    return f;
}

static inline void log_fixture_free(struct log_fixture *f)
{
    log_fixture_close(f);
    os_fake_free(f->fake);
    free(f);
}

/* A batch of records whose values follow from seed: count records, each value size bytes; or a
 * transaction marker of the producer. */
enum log_fixture_marker { FIXTURE_NO_MARKER, FIXTURE_COMMIT, FIXTURE_ABORT };
struct log_fixture_batch {
    unsigned count;
    size_t size;
    uint64_t seed;
    int64_t timestamp_ms;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t sequence;
    bool is_transactional; /* appended as verified */
    enum log_fixture_marker marker;
};

static inline struct buf *log_fixture_batch(const struct log_fixture_batch *in, uint32_t *out_size)
{
    struct build build;
    struct codec_output out;
    build_init(&build, 16 << 20);
    codec_output_init(&out, 16 << 20);
    uint8_t *value = malloc(in->size + 1);
    for (unsigned i = 0; i < in->count; i++) {
        for (size_t j = 0; j < in->size; j++)
            value[j] = (uint8_t)(in->seed * 31 + i * 7 + j * 3 + j / 250);
        struct build_record record = {.timestamp_ms = in->timestamp_ms + i,
                                      .key = slice_make(&in->seed, sizeof(in->seed)),
                                      .value = slice_make(value, in->size)};
        const uint8_t key[] = {0, 0, 0, in->marker == FIXTURE_COMMIT}, epochs[6] = {0};
        if (in->marker) {
            record.key = slice_make(key, sizeof(key));
            record.value = slice_make(epochs, sizeof(epochs));
        }
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    if (in->is_transactional)
        build.header.attributes |= BATCH_TRANSACTIONAL;
    if (in->marker)
        build.header.attributes |= BATCH_TRANSACTIONAL | BATCH_CONTROL;
    if (in->producer_id > 0) {
        build.header.producer_id = in->producer_id;
        build.header.producer_epoch = in->producer_epoch;
        build.header.base_sequence = in->sequence;
    }
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    *out_size = (uint32_t)out.size;
    build_deinit(&build);
    codec_output_deinit(&out);
    free(value);
    return buf;
}

struct log_fixture_append {
    struct store_append append;
    bool is_done;
    enum err err;
    uint32_t size;
};

static inline void log_fixture_append_done(struct store_append *append)
{
    struct log_fixture_append *a = CONTAINER_OF(append, struct log_fixture_append, append);
    assert_false(a->is_done);
    a->is_done = true;
    a->err = append->result;
}

/* NULL when refused. */
static inline struct log_fixture_append *log_fixture_append(struct log_fixture *f, unsigned log,
                                                            const struct log_fixture_batch *batch,
                                                            enum err *out_err)
{
    struct log_fixture_append *a = calloc(1, sizeof(*a));
    struct buf *buf = log_fixture_batch(batch, &a->size);
    a->append.batch = (struct buf_range){buf, 0, a->size};
    bool in_transaction = batch->is_transactional;
    assert_int_equal(batch_check(slice_make(buf->data, a->size), &a->append.header), ERR_OK);
    a->append.done = log_fixture_append_done;
    a->append.is_verified = in_transaction;
    a->append.verify_end = INT64_MAX;
    enum err err = store_log_append(f->logs[log], &a->append);
    buf_unref(buf);
    a->append.batch.buf = NULL;
    if (out_err)
        *out_err = err;
    if (err == ERR_OK)
        return a;
    free(a);
    return NULL;
}

/* Appends and waits; the base offset. */
static inline int64_t log_fixture_put(struct log_fixture *f, unsigned log,
                                      const struct log_fixture_batch *batch)
{
    enum err err;
    struct log_fixture_append *a = log_fixture_append(f, log, batch, &err);
    assert_int_equal(err, ERR_OK);
    for (unsigned i = 0; i < 100 && !a->is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(a->is_done);
    assert_int_equal(a->err, ERR_OK);
    int64_t base = a->append.base_offset;
    free(a);
    return base;
}

struct log_fixture_read {
    struct store_read read;
    bool is_done;
    uint8_t *bytes; /* gathered */
};

static inline void log_fixture_read_done(struct store_read *read)
{
    CONTAINER_OF(read, struct log_fixture_read, read)->is_done = true;
}

/* Reads into one piece of memory; free bytes. */
static inline enum err log_fixture_read(struct log_fixture *f, unsigned log, int64_t offset,
                                        size_t size_max, struct log_fixture_read *out)
{
    memset(out, 0, sizeof(*out));
    out->read.offset = offset;
    out->read.offset_limit = INT64_MAX;
    out->read.size_max = size_max;
    out->read.want_one = true;
    out->read.done = log_fixture_read_done;
    enum err err = store_log_read(f->logs[log], &out->read);
    for (unsigned i = 0; i < 100 && err == ERR_AGAIN && !out->is_done; i++)
        log_fixture_turns(f, 1);
    if (err == ERR_AGAIN) {
        assert_true(out->is_done);
        err = out->read.result;
    }
    out->bytes = malloc(out->read.size + 1);
    size_t at = 0;
    for (unsigned i = 0; i < out->read.chunk_count; i++) {
        struct store_chunk *chunk = &out->read.chunks[i];
        if (chunk->file) {
            assert_int_equal(f->os->ops->pread(f->os, chunk->file->fd, out->bytes + at, chunk->size,
                                               chunk->file_offset),
                             chunk->size);
        } else {
            memcpy(out->bytes + at, chunk->bytes.buf->data + chunk->bytes.offset, chunk->size);
        }
        at += chunk->size;
    }
    assert_int_equal(at, out->read.size);
    size_t size = out->read.size;
    store_read_release(&out->read);
    out->read.size = size;
    return err;
}

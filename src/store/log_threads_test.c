// Logs on two cores with real files and threads: appends, moves to the other core, drain, restart.
// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "record/build.h"
#include "store/store.h"

#define LOG_COUNT   4
#define BATCH_COUNT 400
#define OUTSTANDING 8
#define BATCH_BYTES 3000

struct world;

struct driver {
    struct core_message message;
    struct world *w;
    struct store_log *log;
    struct core *core;
    unsigned added;
    unsigned done;
    unsigned goal;
    unsigned moves;
    int64_t offset;
    struct store_read read;
    struct driver_append {
        struct store_append append;
        struct driver *d;
    } appends[OUTSTANDING];
};

struct world {
    struct os *os;
    struct reactor *reactor;
    struct store *store;
    struct budget budget;
    struct buf *batch;
    uint32_t batch_size;
    struct driver drivers[LOG_COUNT];
    unsigned finished; /* on core 0 */
    char dir[64];
    unsigned round;
};

static const struct store_log_config config = {
    .segment_size_bytes = 300000,
    .segment_ms = INT64_MAX / 2,
    .retention_ms = -1,
    .retention_bytes = -1,
    .index_interval_bytes = 4096,
    .flush_messages = INT64_MAX,
    .flush_ms = INT64_MAX,
};

static void appended(struct store_append *append);

static void drained(void *arg)
{
    struct world *w = arg;
    reactor_stop(w->reactor);
}

static void finished(struct core *core, struct core_message *message)
{
    struct driver *d = CONTAINER_OF(message, struct driver, message);
    if (++d->w->finished == LOG_COUNT)
        store_drain(d->w->store, drained, d->w);
}

static void finish(struct driver *d)
{
    d->message.run = finished;
    core_send(d->core, 0, &d->message);
}

static void read_more(struct driver *d);

static void check_piece(struct driver *d)
{
    assert_int_equal(d->read.result, ERR_OK);
    assert_true(d->read.size > 0 && d->read.size % d->w->batch_size == 0);
    assert_true(d->read.offset_next > d->offset);
    for (unsigned i = 0; i < d->read.chunk_count; i++) {
        struct store_chunk *chunk = &d->read.chunks[i];
        struct batch_header header;
        assert_null(chunk->file);
        assert_int_equal(
            batch_check(slice_make(chunk->bytes.buf->data + chunk->bytes.offset, d->w->batch_size),
                        &header),
            ERR_OK);
    }
    d->offset = d->read.offset_next;
    store_read_release(&d->read);
}

static void was_read(struct store_read *read)
{
    struct driver *d = CONTAINER_OF(read, struct driver, read);
    check_piece(d);
    read_more(d);
}

static void read_more(struct driver *d)
{
    while (d->offset < store_log_durable(d->log)) {
        d->read = (struct store_read){.offset = d->offset,
                                      .offset_limit = INT64_MAX,
                                      .size_max = 100000,
                                      .want_one = true,
                                      .want_memory = true,
                                      .done = was_read};
        enum err err = store_log_read(d->log, &d->read);
        if (err == ERR_AGAIN)
            return;
        d->read.result = err;
        check_piece(d);
    }
    finish(d);
}

static void append_more(struct driver *d, struct store_append *append)
{
    struct world *w = d->w;
    struct buf *buf = buf_pool_get(core_buffers(d->core), w->batch_size);
    assert_non_null(buf);
    memcpy(buf->data, w->batch->data, w->batch_size);
    *append = (struct store_append){.batch = {buf, 0, w->batch_size}, .done = appended};
    assert_int_equal(batch_header_read(slice_make(buf->data, w->batch_size), &append->header),
                     ERR_OK);
    assert_int_equal(store_log_append(d->log, append), ERR_OK);
    append->batch.buf = NULL;
    buf_unref(buf);
    d->added++;
}

static void start(struct core *core, struct core_message *message)
{
    struct driver *d = CONTAINER_OF(message, struct driver, message);
    d->core = core;
    d->goal += BATCH_COUNT;
    if (d->moves > 0)
        store_log_attach(d->log, core);
    for (unsigned i = 0; i < OUTSTANDING; i++) {
        d->appends[i].d = d;
        append_more(d, &d->appends[i].append);
    }
}

static void detached(void *arg, enum err err)
{
    struct driver *d = arg;
    assert_int_equal(err, ERR_OK);
    d->moves++;
    d->message.run = start;
    core_send(d->core, 1 - core_id(d->core), &d->message);
}

static void appended(struct store_append *append)
{
    struct driver *d = CONTAINER_OF(append, struct driver_append, append)->d;
    assert_int_equal(append->result, ERR_OK);
    d->done++;
    if (d->added < d->goal)
        append_more(d, append);
    if (d->done < d->goal)
        return;
    if (d->moves < 2)
        store_log_detach(d->log, detached, d);
    else
        read_more(d);
}

static void batch_make(struct world *w)
{
    static uint8_t value[BATCH_BYTES];
    struct build build;
    struct codec_output out;
    build_init(&build, 1 << 20);
    codec_output_init(&out, 1 << 20);
    struct build_record record = {.timestamp_ms = 5, .value = slice_make(value, sizeof(value))};
    assert_int_equal(build_add(&build, &record), ERR_OK);
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    w->batch = buf_new(out.size);
    w->batch_size = (uint32_t)out.size;
    memcpy(w->batch->data, out.data, out.size);
    build_deinit(&build);
    codec_output_deinit(&out);
}

static void life(struct world *w)
{
    struct reactor_options options = {.os = w->os,
                                      .budget = &w->budget,
                                      .core_count = 2,
                                      .helper_count = 2,
                                      .buffers_keep_bytes = 1 << 20};
    struct diag diag = {.text = ""};
    assert_int_equal(reactor_open(&options, &w->reactor), ERR_OK);
    struct store_options store = {.reactor = w->reactor,
                                  .os = w->os,
                                  .data_dir = w->dir,
                                  .journal_size_max_bytes = 2 << 20,
                                  .journal_piece_bytes = 256 << 10,
                                  .direct_size_min_bytes = 1 << 20,
                                  .cache_size_max_bytes = 100000,
                                  .open_files_max = 16};
    assert_int_equal(store_open(&store, &w->store, &diag), ERR_OK);
    w->finished = 0;
    for (unsigned i = 0; i < LOG_COUNT; i++) {
        struct driver *d = &w->drivers[i];
        struct store_log_key key = {.partition = i};
        struct core *core = reactor_core(w->reactor, i % 2);
        memset(key.topic.bytes, 7, sizeof(key.topic.bytes));
        *d = (struct driver){.w = w, .core = core, .message.run = start};
        assert_int_equal(store_log_new(w->store, core, key, &config, &d->log), ERR_OK);
        assert_int_equal(store_log_end(d->log), (int64_t)w->round * 3 * BATCH_COUNT);
    }
    store_logs_claimed(w->store);
    for (unsigned i = 0; i < LOG_COUNT; i++)
        core_send(reactor_core(w->reactor, 0), i % 2, &w->drivers[i].message);
    reactor_run(w->reactor);
    store_close(w->store);
    reactor_close(w->reactor);
    w->round++;
}

static void two_lives(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->os = os_posix();
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/leat_log_XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    budget_init(&w->budget, 256 << 20);
    batch_make(w);
    life(w);
    life(w);
    buf_unref(w->batch);
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_lives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

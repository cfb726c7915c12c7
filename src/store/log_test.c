// Tests of a log's daily life: append, read, roll, restart, drain, duplicates, time, deletion.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"
#include "store/log_fixture.h"

static struct log_fixture_batch small(uint64_t seed)
{
    return (struct log_fixture_batch){
        .count = 3, .size = 100, .seed = seed, .timestamp_ms = 1000 + (int64_t)seed * 10};
}

static int64_t read_piece(struct slice rest, int64_t offset)
{
    while (rest.size > 0) {
        struct batch_header header;
        assert_int_equal(batch_header_read(rest, &header), ERR_OK);
        assert_true(header.size <= rest.size);
        assert_int_equal(batch_check(slice_make(rest.data, header.size), &header), ERR_OK);
        assert_true(header.base_offset <= offset && batch_last_offset(&header) >= offset);
        offset = batch_last_offset(&header) + 1;
        rest = slice_make(rest.data + header.size, rest.size - header.size);
    }
    return offset;
}

/* Reads the whole log: every batch begins where the one before ended; the end. */
static int64_t read_all(struct log_fixture *f, unsigned log, size_t size_max)
{
    int64_t offset = store_log_start(f->logs[log]);
    while (offset < store_log_durable(f->logs[log])) {
        struct log_fixture_read r;
        assert_int_equal(log_fixture_read(f, log, offset, size_max, &r), ERR_OK);
        assert_true(r.read.size > 0);
        offset = read_piece(slice_make(r.bytes, r.read.size), offset);
        assert_int_equal(offset, r.read.offset_next);
        free(r.bytes);
    }
    return offset;
}

static void put_many(struct log_fixture *f, unsigned log, unsigned count)
{
    int64_t base = store_log_end(f->logs[log]);
    for (unsigned i = 0; i < count; i++) {
        struct log_fixture_batch batch = small(i);
        assert_int_equal(log_fixture_put(f, log, &batch), base + (int64_t)i * 3);
    }
}

static struct log_fixture *opened(void)
{
    struct log_fixture *f = log_fixture_new(1);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    return f;
}

static void append_and_read(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 0, 50);
    assert_int_equal(store_log_end(f->logs[0]), 150);
    assert_int_equal(store_log_durable(f->logs[0]), 150);
    assert_true(f->durable_events >= 50);
    assert_int_equal(read_all(f, 0, 1000), 150);
    struct log_fixture_read r;
    assert_int_equal(log_fixture_read(f, 0, 151, 1000, &r), ERR_OUT_OF_RANGE);
    free(r.bytes);
    assert_int_equal(log_fixture_read(f, 0, 150, 1000, &r), ERR_OK);
    assert_int_equal(r.read.size, 0);
    free(r.bytes);
    log_fixture_free(f);
}

static void crash_and_read(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(log_fixture_open(f), ERR_OK);
        assert_int_equal(read_all(f, 0, 3000), round * 300);
        put_many(f, 0, 100);
        put_many(f, 1, 100);
        assert_int_equal(read_all(f, 0, 1000), round * 300 + 300);
        log_fixture_close(f);
        os_fake_crash(f->fake, round, OS_FAKE_CRASH_RANDOM);
    }
    log_fixture_free(f);
}

static void drain_and_read(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->options.cache_size_max_bytes = 0;
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(log_fixture_open(f), ERR_OK);
        assert_int_equal(read_all(f, 0, 3000), round * 300);
        put_many(f, 0, 100);
        log_fixture_drain(f);
        assert_int_equal(read_all(f, 0, 700), round * 300 + 300);
        log_fixture_close(f);
        os_fake_crash(f->fake, round, OS_FAKE_CRASH_LOSE_ALL);
    }
    log_fixture_free(f);
}

static void duplicates(void **state)
{
    struct log_fixture *f = opened();
    struct log_fixture_batch batch = small(1);
    batch.producer_id = 7;
    enum err err;
    for (int i = 0; i < 3; i++, batch.sequence += 3)
        assert_int_equal(log_fixture_put(f, 0, &batch), i * 3);
    for (unsigned round = 0; round < 2; round++) {
        batch.sequence = 3;
        struct log_fixture_append *a = log_fixture_append(f, 0, &batch, &err);
        assert_non_null(a);
        assert_int_equal(a->append.base_offset, 3);
        assert_false(a->is_done);
        log_fixture_turns(f, 4);
        assert_true(a->is_done);
        assert_int_equal(a->err, ERR_DUPLICATE);
        free(a);
        batch.sequence = 30;
        assert_null(log_fixture_append(f, 0, &batch, &err));
        assert_int_equal(err, ERR_SEQUENCE);
        log_fixture_close(f); /* known after a restart, too */
        assert_int_equal(log_fixture_open(f), ERR_OK);
    }
    batch.producer_epoch = 1;
    batch.sequence = 0;
    assert_int_equal(log_fixture_put(f, 0, &batch), 9);
    batch.producer_epoch = 0;
    batch.sequence = 9;
    assert_null(log_fixture_append(f, 0, &batch, &err));
    assert_int_equal(err, ERR_FENCED);
    log_fixture_free(f);
}

static void found(struct store_lookup *lookup)
{
    lookup->private = lookup;
}

static struct store_lookup find(struct log_fixture *f, int64_t timestamp_ms)
{
    struct store_lookup lookup = {.timestamp_ms = timestamp_ms, .done = found};
    if (timestamp_ms >= 0)
        store_log_find_time(f->logs[0], &lookup);
    else
        store_log_find_max_time(f->logs[0], &lookup);
    for (unsigned i = 0; i < 50 && !lookup.private; i++)
        log_fixture_turns(f, 1);
    assert_non_null(lookup.private);
    assert_int_equal(lookup.result, ERR_OK);
    return lookup;
}

static void find_by_time(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 0, 100); /* batch i: 1000 + 10 i and the two after */
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(find(f, 0).offset, 0);
        assert_int_equal(find(f, 1001).offset, 1);
        assert_int_equal(find(f, 1003).offset, 3);
        assert_int_equal(find(f, 1003).found_timestamp_ms, 1010);
        assert_int_equal(find(f, 1500).offset, 150);
        assert_int_equal(find(f, 1992).offset, 299);
        assert_int_equal(find(f, 1993).offset, -1);
        assert_int_equal(find(f, -1).offset, 299);
        assert_int_equal(find(f, -1).found_timestamp_ms, 1992);
        if (round == 0)
            log_fixture_drain(f);
        log_fixture_close(f);
        f->options.cache_size_max_bytes = 0;
        assert_int_equal(log_fixture_open(f), ERR_OK);
    }
    log_fixture_free(f);
}

static void done(void *arg, enum err err)
{
    struct log_fixture *f = arg;
    f->done_count++;
    f->done_err = err;
}

static void wait_done(struct log_fixture *f, unsigned count)
{
    for (unsigned i = 0; i < 100 && f->done_count < count; i++)
        log_fixture_turns(f, 1);
    assert_int_equal(f->done_count, count);
}

static unsigned file_count(struct log_fixture *f, unsigned log);

static void start_moves(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 0, 200);
    log_fixture_turns(f, 20);
    store_log_start_set(f->logs[0], 601, done, f);
    wait_done(f, 1);
    assert_int_equal(f->done_err, ERR_OUT_OF_RANGE);
    store_log_start_set(f->logs[0], 310, done, f);
    wait_done(f, 2);
    assert_int_equal(f->done_err, ERR_OK);
    assert_int_equal(store_log_start(f->logs[0]), 310);
    assert_int_equal(read_all(f, 0, 2000), 600);
    struct log_fixture_read r;
    assert_int_equal(log_fixture_read(f, 0, 309, 1000, &r), ERR_OUT_OF_RANGE);
    free(r.bytes);
    store_log_start_set(f->logs[0], -1, done, f);
    wait_done(f, 3);
    assert_int_equal(store_log_start(f->logs[0]), 600);
    put_many(f, 0, 2);
    log_fixture_drain(f);
    assert_true(file_count(f, 0) <= 1);
    assert_int_equal(store_log_size(f->logs[0]) < 2000, true);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(store_log_start(f->logs[0]), 600);
    assert_int_equal(read_all(f, 0, 2000), 606);
    log_fixture_free(f);
}

static void count_name(void *arg, const char *name, bool is_directory)
{
    const char *dot = strrchr(name, '.');
    *(unsigned *)arg += dot && strcmp(dot, ".log") == 0;
}

static unsigned file_count(struct log_fixture *f, unsigned log)
{
    char topic[UUID_TEXT_SIZE + 1];
    char path[256];
    unsigned count = 0;
    struct store_log_key key = log_fixture_key(log);
    uuid_to_text(&key.topic, topic);
    (void)snprintf(path, sizeof(path), "/data/logs/%s-%u", topic, key.partition);
    (void)f->os->ops->list(f->os, path, count_name, &count);
    return count;
}

static void retention(void **state)
{
    struct log_fixture *f = opened();
    f->config.retention_bytes = 20000;
    put_many(f, 0, 300); /* more than 100 KB in segments of 16 KiB */
    log_fixture_turns(f, 20);
    assert_true(store_log_start(f->logs[0]) > 0);
    assert_true(store_log_size(f->logs[0]) <= 20000 + 2 * 16384);
    assert_int_equal(read_all(f, 0, 2000), 900);
    f->config.retention_bytes = -1;
    f->config.retention_ms = 1000;
    os_fake_wall_set(f->fake, 1000000000);
    for (unsigned i = 0; i < 4; i++) {
        os_fake_advance(f->fake, 400000000000u);
        log_fixture_turns(f, 10);
    }
    assert_int_equal(store_log_start(f->logs[0]), 900);
    assert_int_equal(store_log_size(f->logs[0]), 0);
    log_fixture_free(f);
}

/* What is old when it comes stays until retention looks, as in Kafka. */
static void retention_keeps_its_interval(void **state)
{
    struct log_fixture *f = opened();
    f->config.retention_ms = 1000;
    os_fake_wall_set(f->fake, 1000000000000);
    put_many(f, 0, 3);
    log_fixture_turns(f, 20);
    assert_int_equal(store_log_start(f->logs[0]), 0);
    assert_int_equal(read_all(f, 0, 2000), 9);
    log_fixture_free(f);
}

/* The file of what is trimmed has no index after a crash, and nobody makes one. */
static void retention_after_a_trim(void **state)
{
    struct log_fixture *f = opened();
    f->config.retention_ms = 1000000000;
    put_many(f, 0, 3);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    store_log_start_set(f->logs[0], -1, done, f);
    wait_done(f, 1);
    assert_int_equal(f->done_err, ERR_OK);
    log_fixture_turns(f, 20);
    assert_int_equal(store_log_start(f->logs[0]), 9);
    put_many(f, 0, 1);
    assert_int_equal(read_all(f, 0, 2000), 12);
    log_fixture_free(f);
}

static void detach_and_delete(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 0, 20);
    put_many(f, 1, 20);
    store_log_detach(f->logs[0], done, f);
    struct log_fixture_batch batch = small(0);
    enum err err;
    assert_null(log_fixture_append(f, 0, &batch, &err));
    assert_int_equal(err, ERR_MOVED);
    wait_done(f, 1);
    assert_int_equal(f->done_err, ERR_OK);
    store_log_attach(f->logs[0], f->core);
    put_many(f, 0, 20);
    assert_int_equal(read_all(f, 0, 2000), 120);
    log_fixture_drain(f);
    assert_int_equal(file_count(f, 1), 1);
    store_log_delete(f->logs[1], done, f);
    wait_done(f, 2);
    assert_int_equal(f->done_err, ERR_OK);
    assert_int_equal(file_count(f, 1), 0);
    log_fixture_close(f);
    f->log_count = 1; /* nobody claims a deleted log again, though a journal may still name it */
    assert_int_equal(log_fixture_open(f), ERR_OK);
    log_fixture_turns(f, 10);
    assert_int_equal(store_log_end(f->logs[0]), 120);
    assert_int_equal(file_count(f, 1), 0);
    log_fixture_free(f);
}

/* Only log 0 is claimed: what is left of log 1 goes. */
static void unclaimed(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 1, 20);
    log_fixture_drain(f);
    log_fixture_close(f);
    f->log_count = 1;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    log_fixture_turns(f, 10);
    assert_int_equal(file_count(f, 1), 0);
    log_fixture_close(f);
    f->log_count = FIXTURE_LOG_COUNT;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(store_log_end(f->logs[1]), 0);
    log_fixture_free(f);
}

static void full_disk(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->options.free_space_min_bytes = 100000;
    os_fake_capacity_set(f->fake, 1000000);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 12000, .seed = 1};
    enum err err = ERR_OK;
    int64_t acked = 0;
    for (unsigned i = 0; i < 200 && err == ERR_OK; i++) {
        struct log_fixture_append *a = log_fixture_append(f, 0, &batch, &err);
        os_fake_advance(f->fake, 300000000);
        log_fixture_turns(f, 10);
        if (!a)
            break;
        assert_true(a->is_done);
        err = a->err;
        if (err == ERR_OK)
            assert_int_equal(a->append.base_offset, acked++);
        free(a);
    }
    assert_int_equal(err, ERR_DISK_FULL);
    assert_true(acked > 10);
    assert_int_equal(read_all(f, 0, 20000), acked);
    store_log_start_set(f->logs[0], -1, done, f);
    wait_done(f, 1);
    assert_int_equal(f->done_err, ERR_OK);
    for (unsigned i = 0; i < 20; i++) {
        os_fake_advance(f->fake, 1100000000);
        log_fixture_turns(f, 10);
    }
    assert_false(store_is_full(f->store));
    assert_int_equal(log_fixture_put(f, 0, &batch), acked);
    log_fixture_free(f);
}

/* What the journal held is in the segments soon after a start, and nothing stays open for it. */
static void visited(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 0, 30);
    put_many(f, 1, 2);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(f->logs[0]->state, LOG_CLOSED);
    assert_true(f->logs[0]->piece_count > 0);
    log_fixture_turns(f, 50);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(f->logs[i]->state, LOG_CLOSED);
        assert_int_equal(f->logs[i]->piece_count, 0);
        assert_null(f->logs[i]->block);
    }
    assert_int_equal(f->logs[0]->home->open_count, 0);
    put_many(f, 0, 3);
    assert_int_equal(f->logs[0]->state, LOG_OPEN);
    assert_int_equal(read_all(f, 0, 2000), 99);
    assert_int_equal(read_all(f, 1, 2000), 6);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(read_all(f, 0, 2000), 99);
    assert_int_equal(read_all(f, 1, 2000), 6);
    log_fixture_free(f);
}

/* One append of the server's own; its error. */
static enum err put_control(struct log_fixture *f, size_t size, bool is_control)
{
    struct log_fixture_batch batch = {.count = 1, .size = size, .seed = 2};
    struct log_fixture_append a = {0};
    struct buf *buf = log_fixture_batch(&batch, &a.size);
    a.append.batch = (struct buf_range){buf, 0, a.size};
    assert_int_equal(batch_check(slice_make(buf->data, a.size), &a.append.header), ERR_OK);
    a.append.done = log_fixture_append_done;
    a.append.control = is_control;
    enum err err = store_log_append(f->logs[1], &a.append);
    buf_unref(buf);
    for (unsigned i = 0; i < 100 && err == ERR_OK && !a.is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(err != ERR_OK || a.is_done);
    return err == ERR_OK ? a.err : err;
}

/* On a full disk the server's own small records go on, its large ones and all others do not. */
static void full_disk_control(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->options.free_space_min_bytes = 400000;
    f->config.segment_size_bytes = 1 << 20;
    os_fake_capacity_set(f->fake, 1500000);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    int64_t acked = 0;
    for (unsigned i = 0; i < 200 && !store_is_full(f->store); i++) {
        struct log_fixture_batch batch = {.count = 1, .size = 12000, .seed = 1};
        struct log_fixture_append *a = log_fixture_append(f, 0, &batch, NULL);
        os_fake_advance(f->fake, 300000000);
        log_fixture_turns(f, 10);
        free(a);
    }
    assert_true(store_is_full(f->store));
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(put_control(f, 100, true), ERR_OK);
        acked++;
        assert_int_equal(put_control(f, 100, false), ERR_DISK_FULL);
        assert_int_equal(put_control(f, LOG_CONTROL_SIZE_MAX, true), ERR_DISK_FULL);
    }
    assert_int_equal(store_log_durable(f->logs[1]), acked);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(read_all(f, 1, 20000), acked);
    log_fixture_free(f);
}

static void async_log(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->config.async = true;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = small(0);
    struct log_fixture_append *a = log_fixture_append(f, 0, &batch, NULL);
    assert_false(a->is_done);
    assert_int_equal(store_log_durable(f->logs[0]), 3);
    log_fixture_turns(f, 1);
    assert_true(a->is_done);
    assert_int_equal(a->err, ERR_OK);
    free(a);
    assert_int_equal(read_all(f, 0, 2000), 3);
    log_fixture_drain(f);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(read_all(f, 0, 2000), 3);
    log_fixture_free(f);
}

/* The cache gives way when the budget is used up; what cannot be kept is refused, not lost. */
static void little_memory(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->options.cache_size_max_bytes = 64 << 20;
    f->options.journal_size_max_bytes = 16 << 20;
    budget_init(&f->budget, 2 << 20);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 3000, .seed = 1};
    int64_t next = 0;
    for (unsigned i = 0; i < 2000; i++) {
        enum err err;
        struct log_fixture_append *a = log_fixture_append(f, 0, &batch, &err);
        log_fixture_turns(f, 6);
        assert_true(a || err == ERR_BUSY);
        if (!a)
            continue;
        assert_true(a->is_done && a->err == ERR_OK);
        assert_int_equal(a->append.base_offset, next++);
        free(a);
    }
    assert_true(next > 1900);
    assert_true(budget_used(&f->budget) <= 2 << 20);
    assert_int_equal(read_all(f, 0, 20000), next);
    log_fixture_free(f);
}

static void offline(void **state)
{
    struct log_fixture *f = opened();
    put_many(f, 0, 2);
    struct os_fake_fault fault = {.kind = OS_FAKE_SYNC, .path_part = ".jnl", .error = 5};
    os_fake_fault_add(f->fake, &fault);
    struct log_fixture_batch batch = small(0);
    enum err err;
    struct log_fixture_append *a = log_fixture_append(f, 0, &batch, &err);
    log_fixture_turns(f, 5);
    assert_true(a->is_done);
    assert_int_equal(a->err, ERR_OFFLINE);
    free(a);
    assert_int_equal(store_log_state(f->logs[0]), ERR_OFFLINE);
    assert_int_equal(store_log_state(f->logs[2]), ERR_OFFLINE);
    assert_null(log_fixture_append(f, 0, &batch, &err));
    assert_int_equal(err, ERR_OFFLINE);
    assert_int_equal(store_log_end(f->logs[0]), 6);
    log_fixture_free(f);
}

struct gathering {
    struct store_gather gather;
    struct log_fixture *f;
    struct log_fixture_append *append;
    int64_t durable; /* of the log when it was called */
};

static void gather_run(struct store_gather *gather)
{
    struct gathering *gathering = CONTAINER_OF(gather, struct gathering, gather);
    struct log_fixture_batch batch = {.count = 1, .size = 10, .seed = 2};
    gathering->durable = store_log_durable(gathering->f->logs[0]);
    gathering->append = log_fixture_append(gathering->f, 0, &batch, NULL);
}

static void gathering_start(struct gathering *gathering, struct log_fixture *f)
{
    *gathering = (struct gathering){.gather.run = gather_run, .f = f};
    list_init(&gathering->gather.node);
    store_gather(f->store, reactor_core(f->reactor, 0), &gathering->gather);
}

static void gathered_appends_are_in_the_next_commit(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    struct gathering gathering;
    struct log_fixture_batch batch = {.count = 1, .size = 10, .seed = 1};
    assert_int_equal(log_fixture_open(f), ERR_OK);
    gathering_start(&gathering, f);
    log_fixture_turns(f, 1);
    assert_non_null(gathering.append); /* nothing was under way */
    log_fixture_turns(f, 5);
    assert_true(gathering.append->is_done && gathering.append->err == ERR_OK);
    free(gathering.append);

    struct log_fixture_append *first = log_fixture_append(f, 0, &batch, NULL);
    log_fixture_turns(f, 1);
    assert_false(first->is_done);
    struct log_fixture_append *second = log_fixture_append(f, 0, &batch, NULL);
    gathering_start(&gathering, f);
    for (unsigned i = 0; i < 10 && !second->is_done; i++)
        log_fixture_turns(f, 1);
    assert_int_equal(gathering.durable, 2); /* the first was, the second not yet */
    assert_true(gathering.append->is_done && gathering.append->err == ERR_OK);
    assert_int_equal(store_log_durable(f->logs[0]), 4);
    free(first);
    free(second);
    free(gathering.append);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_and_read),
        cmocka_unit_test(gathered_appends_are_in_the_next_commit),
        cmocka_unit_test(crash_and_read),
        cmocka_unit_test(drain_and_read),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(find_by_time),
        cmocka_unit_test(start_moves),
        cmocka_unit_test(retention),
        cmocka_unit_test(retention_keeps_its_interval),
        cmocka_unit_test(detach_and_delete),
        cmocka_unit_test(unclaimed),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(async_log),
        cmocka_unit_test(offline),
        cmocka_unit_test(little_memory),
        cmocka_unit_test(full_disk_control),
        cmocka_unit_test(visited),
        cmocka_unit_test(retention_after_a_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

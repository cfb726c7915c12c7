// Tests of checkpoints: many that share a sync, the sync that fails, a drain that has no time.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "store/log.h"
#include "store/log_fixture.h"

static struct log_fixture *opened(unsigned sync_together_min)
{
    struct log_fixture *f = log_fixture_new(1);
    f->options.sync_together_min = sync_together_min;
    f->options.journal_size_max_bytes = 64 << 20; /* no pressure */
    assert_int_equal(log_fixture_open(f), ERR_OK);
    return f;
}

static void put_all(struct log_fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
            struct log_fixture_batch batch = {.count = 1, .size = 100, .seed = i + 1};
            log_fixture_put(f, log, &batch);
        }
    }
}

static void checkpoint_all(struct log_fixture *f)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++)
        checkpoint_queue(f->logs[log]);
    log_fixture_turns(f, 50);
}

static uint64_t checkpoint_lsn(const struct log_fixture *f, unsigned log)
{
    return f->logs[log]->lsn_checkpoint;
}

static void check_all(struct log_fixture *f, int64_t end)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        assert_int_equal(store_log_state(f->logs[log]), ERR_OK);
        assert_int_equal(store_log_end(f->logs[log]), end);
        struct log_fixture_read read;
        assert_int_equal(log_fixture_read(f, log, 0, 1 << 20, &read), ERR_OK);
        assert_int_equal(read.read.offset_next, end);
        free(read.bytes);
    }
}

/* What it takes to checkpoint all logs, in operations on the disk. */
static uint64_t cost(unsigned sync_together_min)
{
    struct log_fixture *f = opened(sync_together_min);
    put_all(f, 2);
    uint64_t before = os_fake_operation_count(f->fake);
    checkpoint_all(f);
    uint64_t taken = os_fake_operation_count(f->fake) - before;
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++)
        assert_int_equal(checkpoint_lsn(f, log), 2);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    check_all(f, 2);
    log_fixture_free(f);
    return taken;
}

/* As a server does that finds its port taken: it ends before any core has run. */
static void what_was_replayed_outlives_a_start_that_fails(void **state)
{
    struct log_fixture *f = opened(1000);
    put_all(f, 2);
    for (unsigned times = 0; times < 3; times++) {
        if (times == 2) {
            for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++)
                store_log_free(f->logs[log]);
        }
        log_fixture_close(f);
        assert_int_equal(log_fixture_open(f), ERR_OK);
    }
    check_all(f, 2);
    log_fixture_free(f);
}

static void one_sync_for_many(void **state)
{
    /* each log alone syncs its file, its folder and the folder above */
    assert_int_equal(cost(100) - cost(1), 3 * FIXTURE_LOG_COUNT - 1);
}

/* Whatever the reason: pages that were not written may count as clean from then on. */
static void sync_fails_with(unsigned sync_together_min, int error, bool is_one_alone)
{
    struct log_fixture *f = opened(sync_together_min);
    put_all(f, 1);
    struct os_fake_fault fault = {.kind = OS_FAKE_SYNC,
                                  .path_part = "/logs",
                                  .error = error,
                                  .count = is_one_alone ? 1 : 0,
                                  .forget = true};
    os_fake_fault_add(f->fake, &fault);
    checkpoint_all(f);
    if (is_one_alone)
        checkpoint_all(f); /* it would seem to go well */
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT && !is_one_alone; log++) {
        assert_int_equal(store_log_state(f->logs[log]), ERR_OFFLINE);
        assert_int_equal(checkpoint_lsn(f, log), 0);
    }
    log_fixture_close(f);
    os_fake_fault_clear(f->fake);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    check_all(f, 1);
    log_fixture_free(f);
}

static void sync_fails(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, ENOMEM};
    for (unsigned i = 0; i < COUNT_OF(errors); i++) {
        for (unsigned together = 1; together <= 100; together += 99) {
            sync_fails_with(together, errors[i], false);
            sync_fails_with(together, errors[i], true);
        }
    }
}

/* The folder of a log that wakes: what was removed from it might come back. */
static void sync_of_a_waking_log_fails(void **state)
{
    char path[LOG_PATH_SIZE];
    struct log_fixture_read read;
    struct log_fixture *f = opened(1);
    put_all(f, 1);
    log_fixture_drain(f);
    segment_path(f->logs[0], 999, ".log", path);
    log_fixture_close(f);
    f->os->ops->close(f->os, f->os->ops->open(f->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE));
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct os_fake_fault fault = {
        .kind = OS_FAKE_SYNC, .path_part = "/logs", .error = ENOSPC, .count = 1, .forget = true};
    os_fake_fault_add(f->fake, &fault);
    assert_int_not_equal(log_fixture_read(f, 0, 0, 1, &read), ERR_OK);
    free(read.bytes);
    assert_int_equal(store_log_state(f->logs[0]), ERR_OFFLINE);
    log_fixture_free(f);
}

/* Retention removes files on one helper while another looks at the folder. */
static void a_segment_goes_while_its_log_wakes(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < 10; i++) {
        struct log_fixture_batch batch = {.count = 1, .size = 3000, .seed = i + 1};
        log_fixture_put(f, 0, &batch);
    }
    log_fixture_drain(f);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct os_fake_fault fault = {
        .kind = OS_FAKE_STAT, .path_part = "/00000000000000000000.log", .error = ENOENT};
    os_fake_fault_add(f->fake, &fault);
    struct log_fixture_read read;
    assert_int_equal(log_fixture_read(f, 0, 9, 1, &read), ERR_OK);
    free(read.bytes);
    assert_int_equal(store_log_state(f->logs[0]), ERR_OK);
    log_fixture_free(f);
}

#define MANY (LOG_CHECKPOINT_PARALLEL + 100)

/* Logs enough that not all checkpoints begin at once, with one batch each. */
static void many_open(struct log_fixture *f, struct store_log **logs)
{
    struct store_log *first = f->logs[0];
    for (unsigned i = 0; i < MANY; i++) {
        struct store_log_key key = log_fixture_key(i % 100 + 10);
        key.partition = i;
        assert_int_equal(store_log_new(f->store, f->core, key, &f->config, &logs[i]), ERR_OK);
        f->logs[0] = logs[i];
        struct log_fixture_batch batch = {.count = 1, .size = 100, .seed = i + 1};
        if (store_log_end(logs[i]) == 0)
            log_fixture_put(f, 0, &batch);
    }
    f->logs[0] = first;
}

static void drain_without_time(void **state)
{
    struct log_fixture *f = opened(0);
    struct store_log **logs = calloc(MANY, sizeof(struct store_log *));
    many_open(f, logs);
    store_drain(f->store, log_fixture_drained, f);
    log_fixture_turns(f, 1);
    assert_false(f->drained);
    os_fake_advance(f->fake, 2 * LOG_DRAIN_NS);
    for (unsigned i = 0; i < 100 && !f->drained; i++)
        log_fixture_turns(f, 1);
    assert_true(f->drained);
    unsigned count = 0;
    for (unsigned i = 0; i < MANY; i++)
        count += logs[i]->lsn_checkpoint > 0;
    assert_in_range(count, 1, LOG_CHECKPOINT_PARALLEL);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    /* what has no checkpoint is found in the journal */
    f->log_count = 0;
    assert_int_equal(log_fixture_replay(f), ERR_OK);
    for (unsigned i = 0; i < MANY; i++) {
        struct store_log_key key = log_fixture_key(i % 100 + 10);
        key.partition = i;
        assert_int_equal(store_log_new(f->store, f->core, key, &f->config, &logs[i]), ERR_OK);
        assert_int_equal(store_log_end(logs[i]), 1);
    }
    store_logs_claimed(f->store);
    free(logs);
    log_fixture_free(f);
}

static uint64_t used_bytes(const struct log_fixture *f)
{
    struct os_space space;
    assert_int_equal(f->os->ops->space(f->os, "/data", &space), 0);
    return (64u << 20) - space.free_bytes;
}

/* Large segments take space before they are written, and give back what is left of it. */
static void space_ahead(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->config.segment_size_bytes = 1 << 20;
    f->options.journal_size_max_bytes = 64 << 20;
    os_fake_capacity_set(f->fake, 64 << 20);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 100000, .seed = 1};
    checkpoint_all(f);
    uint64_t before = used_bytes(f);
    for (unsigned i = 0; i < 6; i++)
        log_fixture_put(f, 0, &batch);
    log_fixture_turns(f, 20);
    const struct segment *first = f->logs[0]->segments[0];
    assert_true(first->reserved > 600000 && first->reserved <= 1 << 20);
    assert_true(used_bytes(f) - before >= first->reserved);
    for (unsigned i = 0; i < 6; i++)
        log_fixture_put(f, 0, &batch);
    checkpoint_all(f);
    assert_true(first->is_cut);
    struct os_stat stat;
    char path[LOG_PATH_SIZE];
    segment_path(f->logs[0], 0, ".log", path);
    assert_int_equal(f->os->ops->stat(f->os, path, &stat), 0);
    assert_int_equal(stat.size_bytes, first->size);
    uint64_t cut = used_bytes(f);
    int fd = f->os->ops->open(f->os, path, OS_OPEN_WRITE);
    assert_int_equal(f->os->ops->truncate(f->os, fd, first->size), 0);
    f->os->ops->close(f->os, fd);
    assert_int_equal(used_bytes(f), cut); /* there was nothing left to give back */
    log_fixture_free(f);
}

/* The cut at a segment's end writes its last block once more: the journal holds that block when the
 * batch behind it is the first after a checkpoint. */
static void a_sealed_segment_survives_its_cut(void **state)
{
    static const struct os_fake_crash_policy garble_all = {.garble = 1};
    struct log_fixture *f = opened(1000);
    struct log_fixture_batch batch = {.count = 1, .size = 5000, .seed = 1};
    for (unsigned i = 0; i < 3; i++)
        log_fixture_put(f, 0, &batch);
    checkpoint_all(f);
    assert_int_equal(checkpoint_lsn(f, 0), 3);
    const struct segment *first = f->logs[0]->segments[0];
    char path[LOG_PATH_SIZE];
    segment_path(f->logs[0], 0, ".log", path);
    int fd = f->os->ops->open(f->os, path, OS_OPEN_WRITE);
    assert_int_equal(f->os->ops->truncate(f->os, fd, 16384), 0);
    assert_int_equal(f->os->ops->fdatasync(f->os, fd), 0);
    f->os->ops->close(f->os, fd);
    log_fixture_put(f, 0, &batch);
    tail_write_start(f->logs[0], false);
    log_fixture_turns(f, 20);
    assert_true(first->is_cut);
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, garble_all);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_read read;
    for (int64_t offset = 0; offset < 4; offset++) {
        assert_int_equal(log_fixture_read(f, 0, offset, 1, &read), ERR_OK);
        assert_int_equal(read.read.offset_next, offset + 1);
        free(read.bytes);
    }
    log_fixture_free(f);
}

/* With so many bytes free above the floor: is the disk full? */
static bool is_full_with(struct log_fixture *f, uint64_t bytes)
{
    struct os_space space;
    os_fake_capacity_set(f->fake, 64 << 20);
    assert_int_equal(f->os->ops->space(f->os, "/data", &space), 0);
    uint64_t used = (64u << 20) - space.free_bytes;
    os_fake_capacity_set(f->fake, used + f->options.free_space_min_bytes + bytes);
    os_fake_advance(f->fake, 2 * LOG_SPACE_CHECK_NS);
    log_fixture_turns(f, 3);
    return store_is_full(f->store);
}

/* What waits in the journal for its segment is promised its space. */
static void space_for_what_waits(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->config.segment_size_bytes = 1 << 20;
    f->options.journal_size_max_bytes = 64 << 20;
    f->options.free_space_min_bytes = 100000;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_false(is_full_with(f, 50000));
    struct log_fixture_batch batch = {.count = 1, .size = 100000, .seed = 1};
    os_fake_capacity_set(f->fake, 64 << 20);
    log_fixture_put(f, 0, &batch);
    assert_true(is_full_with(f, 50000));
    assert_false(is_full_with(f, 150000));
    os_fake_capacity_set(f->fake, 64 << 20);
    checkpoint_all(f);
    assert_false(is_full_with(f, 50000));
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_replayed_outlives_a_start_that_fails),
        cmocka_unit_test(one_sync_for_many),
        cmocka_unit_test(sync_fails),
        cmocka_unit_test(sync_of_a_waking_log_fails),
        cmocka_unit_test(a_segment_goes_while_its_log_wakes),
        cmocka_unit_test(drain_without_time),
        cmocka_unit_test(space_ahead),
        cmocka_unit_test(a_sealed_segment_survives_its_cut),
        cmocka_unit_test(space_for_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

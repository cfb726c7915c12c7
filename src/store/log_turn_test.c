// Logs that nobody uses close by themselves and come back as they were.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"
#include "store/log_fixture.h"

#define ROUND_NS 300000000000ull /* in which each log has its turn */

/* Time passes; checkpoints come in between, and all logs have their turns. */
static void round_pass(struct log_fixture *f)
{
    for (unsigned i = 0; i < 10; i++) {
        os_fake_advance(f->fake, ROUND_NS / 10);
        log_fixture_turns(f, 12);
    }
}

static int64_t put(struct log_fixture *f, unsigned log, uint64_t seed)
{
    struct log_fixture_batch batch = {.count = 1, .size = 3000, .seed = seed, .timestamp_ms = 5000};
    return log_fixture_put(f, log, &batch);
}

/* All batches are those that were put. */
static void check_all(struct log_fixture *f, unsigned log, unsigned count)
{
    for (int64_t offset = 0; offset < (int64_t)count;) {
        struct log_fixture_read r;
        struct batch_header header;
        assert_int_equal(log_fixture_read(f, log, offset, 1, &r), ERR_OK);
        assert_int_equal(batch_check(slice_make(r.bytes, r.read.size), &header), ERR_OK);
        assert_int_equal(header.base_offset, offset);
        struct slice records = slice_make(r.bytes + BATCH_HEADER_SIZE, header.size);
        struct record record;
        assert_int_equal(record_next(&records, &record), ERR_OK);
        assert_int_equal(record.value.data[0], (uint8_t)(offset * 31));
        offset = r.read.offset_next;
        free(r.bytes);
    }
}

static void unused_logs_close(void **state)
{
    struct log_fixture *f = log_fixture_new(10);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct store_log *log = f->logs[0];
    const struct log_core *home = log->home;
    for (unsigned i = 0; i < 30; i++) /* several segments */
        assert_int_equal(put(f, 0, i), i);
    assert_int_equal(put(f, 1, 0), 0);
    round_pass(f);
    round_pass(f);
    assert_int_equal(log->state, LOG_CLOSED);
    assert_int_equal(log->segment_count, 0);
    assert_null(log->tail.batches);
    assert_null(log->block);
    assert_int_equal(home->open_count, 0);
    assert_int_equal(home->cached_bytes, 0);
    /* written at once, read from the first segment on */
    assert_int_equal(put(f, 0, 30), 30);
    assert_int_equal(log->state, LOG_OPEN);
    check_all(f, 0, 31);
    log_fixture_close(f);
    os_fake_crash(f->fake, 7, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    check_all(f, 0, 31);
    check_all(f, 1, 1);
    log_fixture_free(f);
}

static void a_reader_opens_it(void **state)
{
    struct log_fixture *f = log_fixture_new(10);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(put(f, 0, i), i);
    for (unsigned times = 0; times < 3; times++) {
        round_pass(f);
        round_pass(f);
        assert_int_equal(f->logs[0]->state, LOG_CLOSED);
        check_all(f, 0, 8);
        assert_int_equal(f->logs[0]->state, LOG_OPEN);
    }
    log_fixture_free(f);
}

/* Turns are spread over the round from its begin on. */
static void turns_are_spread(void **state)
{
    struct log_fixture *f = log_fixture_new(10);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < FIXTURE_LOG_COUNT; i++)
        f->logs[i]->is_used = true;
    for (unsigned turns = 0; turns <= FIXTURE_LOG_COUNT; turns++) {
        unsigned count = 0;
        for (unsigned i = 0; i < FIXTURE_LOG_COUNT; i++)
            count += !f->logs[i]->is_used;
        assert_int_equal(count, turns);
        os_fake_advance(f->fake, ROUND_NS / FIXTURE_LOG_COUNT);
        log_fixture_turns(f, 2);
    }
    log_fixture_free(f);
}

static void used_logs_stay_open(void **state)
{
    struct log_fixture *f = log_fixture_new(10);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(put(f, 0, i), i);
        round_pass(f);
        assert_int_equal(f->logs[0]->state, LOG_OPEN);
    }
    check_all(f, 0, 3);
    round_pass(f);
    assert_int_equal(f->logs[0]->state, LOG_OPEN);
    log_fixture_free(f);
}

/* What the journal alone holds is not forgotten, however long it lies there. */
static void not_without_a_checkpoint(void **state)
{
    struct log_fixture *f = log_fixture_new(10);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(put(f, 0, 0), 0);
    log_wake_end(f->logs[0]);
    assert_int_equal(f->logs[0]->state, LOG_OPEN);
    checkpoint_queue(f->logs[0]);
    log_fixture_turns(f, 20);
    log_wake_end(f->logs[0]);
    assert_int_equal(f->logs[0]->state, LOG_CLOSED);
    check_all(f, 0, 1);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_logs_close),        cmocka_unit_test(a_reader_opens_it),
        cmocka_unit_test(turns_are_spread),         cmocka_unit_test(used_logs_stay_open),
        cmocka_unit_test(not_without_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests that whoever is told of an aborted transaction meets its marker, whatever ends a cleaning.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "store/compact.h"
#include "store/log_fixture.h"

#define SECOND_NS  1000000000ull
#define WALL_MS    1000000
#define LAG_MS     10000
#define GROUP_SIZE 12 /* batches: more than a segment */
#define MARKER     1  /* its offset */

static void keyed_put(struct log_fixture *f, int64_t timestamp_ms)
{
    for (unsigned i = 0; i < GROUP_SIZE; i++) {
        struct log_fixture_batch batch = {
            .count = 1, .size = 3000, .seed = i % 3, .timestamp_ms = timestamp_ms};
        log_fixture_put(f, 0, &batch);
    }
}

static void clean(struct log_fixture *f, int64_t wall_ms)
{
    os_fake_wall_set(f->fake, wall_ms);
    for (unsigned i = 0; i < 30 && !os_fake_power_is_off(f->fake); i++) {
        os_fake_advance(f->fake, SECOND_NS / 4);
        log_fixture_turns(f, 3);
    }
}

static uint32_t aborted_count(struct log_fixture *f)
{
    log_decode(f->logs[0]);
    return f->logs[0]->transactions ? f->logs[0]->transactions->aborted.count : 0;
}

static bool marker_is_there(struct log_fixture *f)
{
    struct log_fixture_read r;
    struct batch_header header;
    assert_int_equal(log_fixture_read(f, 0, MARKER, 1, &r), ERR_OK);
    assert_int_equal(batch_check(slice_make(r.bytes, r.read.size), &header), ERR_OK);
    free(r.bytes);
    return header.base_offset == MARKER && header.record_count == 1 &&
           header.attributes & BATCH_CONTROL;
}

/* An aborted transaction whose records are gone already, and two groups of segments that are too
 * young to be cleaned: each lets one more cleaning begin when its time has come, and no checkpoint
 * is needed in between. */
static struct log_fixture *begun(void)
{
    struct log_fixture *f = log_fixture_new(1);
    f->log_count = 1;
    f->config.retain = false;
    f->config.compact = true;
    f->config.compact_ratio = 0.01;
    f->config.compact_lag_min_ms = LAG_MS;
    f->config.compact_lag_max_ms = INT64_MAX;
    f->options.compact_backoff_ms = 1000;
    f->options.compact_keys_bytes_max = 1 << 20;
    os_fake_wall_set(f->fake, WALL_MS);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch aborted = {
        .count = 1, .size = 100, .seed = 1, .producer_id = 7, .is_transactional = true};
    log_fixture_put(f, 0, &aborted);
    aborted.marker = FIXTURE_ABORT;
    aborted.sequence = -1;
    assert_int_equal(log_fixture_put(f, 0, &aborted), MARKER);
    keyed_put(f, 1000);
    keyed_put(f, WALL_MS);
    keyed_put(f, WALL_MS + 100000);
    keyed_put(f, WALL_MS + 200000);
    checkpoint_queue(f->logs[0]);
    clean(f, WALL_MS);
    assert_true(f->logs[0]->clean_end > MARKER && aborted_count(f) == 1);
    return f;
}

/* The next cleaning forgets the transaction, those behind it its marker. */
static void go_on(struct log_fixture *f)
{
    for (int64_t i = 0; i < 5; i++)
        clean(f, WALL_MS + 2 * LAG_MS + i * 100000);
}

static void come_back(struct log_fixture *f, uint64_t seed, struct os_fake_crash_policy policy)
{
    log_fixture_close(f);
    os_fake_cut_power(f->fake, 0, false);
    os_fake_fault_clear(f->fake);
    os_fake_crash(f->fake, seed, policy);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_true(aborted_count(f) == 0 || marker_is_there(f));
}

static void both_go_in_the_end(struct log_fixture *f)
{
    for (int64_t i = 0; i < 3; i++) { /* each group is a reason for a cleaning */
        keyed_put(f, 1000);
        checkpoint_queue(f->logs[0]);
        clean(f, WALL_MS + 500000 + i * 2 * LAG_MS);
    }
    assert_int_equal(aborted_count(f), 0);
    assert_false(marker_is_there(f));
    come_back(f, 1, OS_FAKE_CRASH_LOSE_ALL);
    log_fixture_free(f);
}

/* What was forgotten is not so for good: its marker stays. */
static void a_marker_waits_for_the_checkpoint(void **state)
{
    static const struct os_fake_fault fault = {
        .kind = OS_FAKE_WRITE, .path_part = "catalogue", .error = ENOSPC};
    struct log_fixture *f = begun();
    for (unsigned i = 0; i < 3; i++) { /* what one life rewrote the next goes on with */
        os_fake_fault_add(f->fake, &fault);
        go_on(f);
        assert_int_equal(aborted_count(f), 0);
        assert_true(marker_is_there(f));
        come_back(f, 1, OS_FAKE_CRASH_LOSE_ALL);
        assert_int_equal(aborted_count(f), 1);
    }
    both_go_in_the_end(f);
}

static void a_cut_anywhere_leaves_what_is_told(void **state)
{
    bool is_over = false;
    for (uint64_t at = 1; !is_over; at++) {
        struct log_fixture *f = begun();
        os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + at, at % 2);
        go_on(f);
        is_over = !os_fake_power_is_off(f->fake);
        come_back(f, at, at % 3 ? OS_FAKE_CRASH_LOSE_ALL : OS_FAKE_CRASH_RANDOM);
        both_go_in_the_end(f);
        assert_true(at > 20 || !is_over);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_marker_waits_for_the_checkpoint),
        cmocka_unit_test(a_cut_anywhere_leaves_what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the scrub: it finds damage nobody asked for, keeps its pace, leaves logs as they were.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"
#include "store/log_fixture.h"

#define BATCH_COUNT 20
#define SECOND_NS   1000000000ull

static void damage_found(void *arg, struct store_log_key key, int64_t first, int64_t next)
{
    int64_t *found = arg;
    assert_int_equal(key.partition, log_fixture_key(1).partition);
    found[0] = first;
    found[1] = next;
}

/* Two logs with old data, in a process that has done nothing with them. */
static struct log_fixture *filled(uint64_t bytes_per_second)
{
    struct log_fixture *f = log_fixture_new(7);
    f->options.scrub_bytes_per_second = bytes_per_second;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < 2 * BATCH_COUNT; i++) {
        struct log_fixture_batch batch = {.count = 1, .size = 1000, .seed = i};
        log_fixture_put(f, i % 2, &batch);
    }
    log_fixture_drain(f);
    log_fixture_close(f);
    return f;
}

static void seconds(struct log_fixture *f, unsigned count)
{
    for (unsigned i = 0; i < 4 * count; i++) {
        os_fake_advance(f->fake, SECOND_NS / 4);
        log_fixture_turns(f, 8);
    }
}

static void damage(struct log_fixture *f, unsigned log)
{
    char path[LOG_PATH_SIZE];
    struct store_log_key key = log_fixture_key(log);
    (void)snprintf(path, sizeof(path), "/data/logs/%s/%020d.log", log_name(&key).text, 0);
    assert_int_equal(os_fake_flip(f->fake, path, 5000, 2), 0);
}

static void damage_is_found(void **state)
{
    struct log_fixture *f = filled(1 << 20);
    int64_t found[2] = {-1, -1};
    damage(f, 1);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    seconds(f, 30);
    store_damage_each(f->store, damage_found, found);
    assert_int_equal(found[0], -1); /* it does not begin at once */
    seconds(f, 90);
    store_damage_each(f->store, damage_found, found);
    assert_int_equal(found[0], 4);
    assert_int_equal(found[1], 5);
    /* nobody else wanted them */
    for (unsigned log = 0; log < 2; log++) {
        assert_int_equal(f->logs[log]->state, LOG_CLOSED);
        assert_false(f->logs[log]->is_used);
        assert_int_equal(store_log_end(f->logs[log]), BATCH_COUNT);
    }
    assert_null(f->store->cores[0].scrub.log);
    assert_int_equal(f->store->cores[0].open_count, 0);
    log_fixture_free(f);
}

static void pace_is_kept(void **state)
{
    struct log_fixture *f = filled(1000);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    seconds(f, 62);
    /* the first log is one piece of some 16 KB: the second waits for as many seconds */
    struct scrub *scrub = &f->store->cores[0].scrub;
    int64_t offset = scrub->offset;
    const struct store_log *log = scrub->log;
    assert_non_null(log);
    assert_true(offset > 0);
    seconds(f, 10);
    assert_ptr_equal(scrub->log, log);
    assert_int_equal(scrub->offset, offset);
    seconds(f, 120);
    assert_null(scrub->log);
    assert_int_equal(scrub->pass_left, 0);
    log_fixture_free(f);
}

static void log_gone(void *arg, enum err err)
{
    assert_int_equal(err, ERR_OK);
    *(bool *)arg = true;
}

/* A log that goes while the scrub is at it. */
static void log_leaves(void **state)
{
    struct log_fixture *f = filled(1000);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    seconds(f, 62);
    struct scrub *scrub = &f->store->cores[0].scrub;
    unsigned at = scrub->log == f->logs[0] ? 0 : 1;
    assert_ptr_equal(scrub->log, f->logs[at]);
    bool is_done = false;
    store_log_delete(f->logs[at], log_gone, &is_done);
    seconds(f, 1);
    assert_true(is_done);
    assert_ptr_not_equal(scrub->log, f->logs[at]);
    seconds(f, 100);
    assert_null(scrub->log);
    assert_int_equal(store_log_state(f->logs[1 - at]), ERR_OK);
    log_fixture_free(f);
}

static void none_without_a_rate(void **state)
{
    struct log_fixture *f = filled(0);
    damage(f, 1);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    seconds(f, 200);
    int64_t found[2] = {-1, -1};
    store_damage_each(f->store, damage_found, found);
    assert_int_equal(found[0], -1);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(pace_is_kept),
        cmocka_unit_test(log_leaves),
        cmocka_unit_test(none_without_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of what a log's memory is charged to: queues and tails, until all is given back.
// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include "store/log.h"
#include "store/log_fixture.h"

#define APPEND_COUNT    1000
#define CLOSED_COUNT    20000
#define CLOSED_SIZE_MAX 800

/* Small appends that nobody commits until they are refused or enough. */
static unsigned append_many(struct log_fixture *f, struct log_fixture_append **appends)
{
    struct log_fixture_batch batch = {.count = 1, .size = 10, .seed = 1};
    for (unsigned i = 0; i < APPEND_COUNT; i++) {
        enum err err;
        appends[i] = log_fixture_append(f, 0, &batch, &err);
        if (appends[i])
            continue;
        assert_int_equal(err, ERR_BUSY);
        return i;
    }
    return APPEND_COUNT;
}

static void finish(struct log_fixture *f, struct log_fixture_append **appends, unsigned count)
{
    for (unsigned i = 0; i < 100 && !appends[count - 1]->is_done; i++)
        log_fixture_turns(f, 1);
    for (unsigned i = 0; i < count; i++) {
        assert_true(appends[i]->is_done && appends[i]->err == ERR_OK);
        free(appends[i]);
    }
}

static void queues_are_charged(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    struct log_fixture_append **appends = calloc(APPEND_COUNT, sizeof(*appends));
    assert_int_equal(log_fixture_open(f), ERR_OK);
    size_t before = budget_used(&f->budget);
    assert_int_equal(append_many(f, appends), APPEND_COUNT);
    size_t each = sizeof(struct log_entry) + sizeof(struct tail_batch);
    assert_true(budget_used(&f->budget) - before >= APPEND_COUNT * each);
    finish(f, appends, APPEND_COUNT);
    free(appends);
    log_fixture_free(f); /* looks that nothing stays charged */
}

/* Without memory for more the appends wait, and go on when there is some. */
static void queues_end_with_the_budget(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    struct log_fixture_append **appends = calloc(APPEND_COUNT, sizeof(*appends));
    budget_init(&f->budget, 300 << 10);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    unsigned count = append_many(f, appends);
    assert_in_range(count, 10, APPEND_COUNT - 1);
    finish(f, appends, count);
    struct log_fixture_batch batch = {.count = 1, .size = 10, .seed = 1};
    assert_int_equal(log_fixture_put(f, 0, &batch), count);
    free(appends);
    log_fixture_free(f);
}

/* Much that waits in several logs is written before any of them alone has enough. */
static void waiting_bytes_are_bounded(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->options.cache_size_max_bytes = 20000;
    f->options.journal_size_max_bytes = 8 << 20;
    f->options.journal_piece_bytes = 4 << 20; /* no checkpoint comes */
    f->config.segment_size_bytes = 1 << 20;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 1000, .seed = 1};
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(log_fixture_put(f, i % 3, &batch), i / 3);
    log_fixture_turns(f, 20);
    uint64_t waiting = 0;
    for (unsigned i = 0; i < FIXTURE_LOG_COUNT; i++)
        waiting += f->logs[i]->tail.unwritten_bytes;
    assert_int_equal(waiting, atomic_load(&f->logs[0]->home->unwritten_bytes));
    assert_true(waiting <= LOG_WAITING_SHARE * 20000 + 3 * LOG_WRITE_SIZE_PRESSED);
    log_fixture_free(f);
}

/* A log that is not in use: nothing of it is elsewhere than in the budget. */
static void closed_logs_are_small(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    struct store_log **logs = calloc(CLOSED_COUNT, sizeof(struct store_log *));
    assert_int_equal(log_fixture_open(f), ERR_OK);
    size_t before = budget_used(&f->budget);
    size_t heap_before = mallinfo2().uordblks;
    for (unsigned i = 0; i < CLOSED_COUNT; i++)
        assert_int_equal(
            store_log_new(f->store, f->core, log_fixture_key(1000 + i), &f->config, &logs[i]),
            ERR_OK);
    size_t each = (budget_used(&f->budget) - before) / CLOSED_COUNT;
    assert_in_range(each, 1, CLOSED_SIZE_MAX);
    /* of sanitizers' heaps it is 0 */
    assert_true((mallinfo2().uordblks - heap_before) / CLOSED_COUNT <= each + 16);
    for (unsigned i = 0; i < CLOSED_COUNT; i++)
        store_log_free(logs[i]);
    assert_int_equal(budget_used(&f->budget), before);
    free(logs);
    log_fixture_free(f);
}

/* One that was used, and one that a start found, take no more than one that never was. */
static void logs_at_rest_are_small(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    f->log_count = 1;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 5000, .seed = 1};
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(log_fixture_put(f, 0, &batch), i);
    struct store_log *log = f->logs[0];
    checkpoint_queue(log);
    log_fixture_turns(f, 20);
    assert_true(log->segment_count > 1);
    log_wake_end(log);
    assert_int_equal(log->state, LOG_CLOSED);
    assert_null(log->segments);
    assert_null(log->tail.batches);
    assert_null(log->block);
    log_fixture_drain(f);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    log = f->logs[0];
    assert_int_equal(log->state, LOG_CLOSED);
    assert_null(log->segments);
    assert_int_equal(budget_used(&f->budget), sizeof(*log));
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_are_charged),        cmocka_unit_test(queues_end_with_the_budget),
        cmocka_unit_test(waiting_bytes_are_bounded), cmocka_unit_test(closed_logs_are_small),
        cmocka_unit_test(logs_at_rest_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of what a log's memory is charged to: queues and tails, until all is given back.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"
#include "store/log_fixture.h"

#define APPEND_COUNT 1000

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_are_charged),
        cmocka_unit_test(queues_end_with_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

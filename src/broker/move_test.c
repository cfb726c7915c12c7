// Tests of moving partitions between cores under load: order is kept, nothing is lost or doubled.
// SPDX-License-Identifier: Apache-2.0
#include "broker/move_fixture.h"

static void a_partition_moves_under_load(void **state)
{
    enum { GOAL = 4000, MOVES = 30 };
    struct fixture *f = fixture_new(CORES);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    load_start(f, GOAL);
    assert_true(load_move(f) > MOVES);
    load_check(GOAL);
    fixture_free(f);
}

static void home_fn(struct core *core, void *arg)
{
    unsigned *home = arg;
    *home = atomic_load(&partition_of(core)->home);
}

/* All calls come from core 2: within some windows the partition is there. */
static void a_partition_follows_its_callers(void **state)
{
    struct fixture *f = fixture_new(CORES);
    unsigned home = 0;
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {1, 20, -1, 0};
    uint64_t from_ns = os_posix()->ops->mono_ns(os_posix());
    while (home != 2 && os_posix()->ops->mono_ns(os_posix()) - from_ns < 20000000000ull) {
        assert_int_equal(fixture_append(f, 2, &a, fixture_batch(&options)), ERR_OK);
        fixture_on(f, 0, home_fn, &home);
    }
    assert_int_equal(home, 2);
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_OK);
    fixture_free(f);
}

/* What is parked is bounded: beyond it callers hear that too much is waiting. */
#define PARKED 20
struct parked {
    struct broker_append appends[PARKED];
    struct buf_range batch;
    _Atomic unsigned done;
    _Atomic unsigned busy;
    sem_t sem;
};
static struct parked parked;

static void parked_done(struct broker_call *call)
{
    parked.busy += call->err == ERR_BUSY;
    if (++parked.done == PARKED)
        sem_post(&parked.sem);
}

static void parked_fn(struct core *core, void *arg)
{
    const unsigned *range = arg;
    for (unsigned i = range[0]; i < range[1]; i++) {
        parked.appends[i].batch = parked.batch;
        parked.appends[i].call.done = parked_done;
        broker_append(core, broker_topic_find(core, SLICE_LITERAL("t")), 0, &parked.appends[i]);
    }
}

static void is_marked_fn(struct core *core, void *arg)
{
    *(bool *)arg = broker_move_part(core, partition_of(core)) != NULL;
}

static void what_waits_for_a_move_is_bounded(void **state)
{
    struct fixture *f = fixture_new(CORES);
    struct fixture_batch_options options = {1, 1000000, -1, 0};
    struct mover mover = {.to = 1};
    unsigned first[] = {0, 1}, rest[] = {1, PARKED};
    bool is_marked = false;
    memset(&parked, 0, sizeof(parked));
    sem_init(&parked.sem, 0, 0);
    parked.batch = fixture_batch(&options);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    atomic_store(&f->store.is_held, true); /* the move cannot go on */
    fixture_on(f, 0, parked_fn, first);
    fixture_on(f, 0, mover_fn, &mover);
    assert_true(mover.started);
    while (!is_marked)
        fixture_on(f, 2, is_marked_fn, &is_marked);
    fixture_on(f, 2, parked_fn, rest);
    atomic_store(&f->store.is_held, false);
    while (sem_wait(&parked.sem) != 0) {
    }
    assert_int_equal(parked.busy, PARKED - 1 - 16);
    buf_unref(parked.batch.buf);
    sem_destroy(&parked.sem);
    fixture_free(f);
}

static void delete_fn(struct core *core, void *arg)
{
    broker_topic_delete(core, arg);
}

/* Deleting a topic whose partition is on its way: its log goes, its callers hear of it. */
static void a_moving_partition_can_be_deleted(void **state)
{
    for (unsigned round = 0; round < 50; round++) {
        struct fixture *f = fixture_new(CORES);
        struct mover mover = {.to = 1 + round % 2};
        assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
        const struct broker_topic *topic = fixture_find(f, 0, "t");
        struct broker_topic_delete ask = {.id = topic->id};
        fixture_on(f, 0, mover_fn, &mover);
        assert_true(mover.started);
        assert_int_equal(fixture_call(f, round % 3, &ask.call, delete_fn, &ask), ERR_OK);
        broker_topic_unref(topic);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partition_moves_under_load),
        cmocka_unit_test(a_partition_follows_its_callers),
        cmocka_unit_test(what_waits_for_a_move_is_bounded),
        cmocka_unit_test(a_moving_partition_can_be_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

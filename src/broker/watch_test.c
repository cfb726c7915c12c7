// Tests of watches, and of what is asked about a log: offsets, epochs, its start, its state.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"

struct watching {
    struct broker_watch watch;
    unsigned fired;
    enum err err;
    sem_t sem;
};

static void watching_done(struct broker_call *call)
{
    struct broker_watch *watch = CONTAINER_OF(call, struct broker_watch, call);
    struct watching *w = CONTAINER_OF(watch, struct watching, watch);
    w->fired++;
    w->err = call->err;
    sem_post(&w->sem);
}

static struct broker_partition *partition_of(struct core *core)
{
    return broker_partition_at(broker_topic_find(core, SLICE_LITERAL("t")), 0);
}

static void arm_fn(struct core *core, void *arg)
{
    struct watching *w = arg;
    w->watch.call.done = watching_done;
    broker_watch_arm(core, partition_of(core), &w->watch);
}

static void disarm_fn(struct core *core, void *arg)
{
    struct watching *w = arg;
    broker_watch_disarm(core, &w->watch);
    broker_watch_disarm(core, &w->watch);
}

static void nothing_fn(struct core *core, void *arg)
{
}

static void arm_at(struct fixture *f, struct watching *w, unsigned core, int64_t offset)
{
    memset(w, 0, sizeof(*w));
    sem_init(&w->sem, 0, 0);
    w->watch.offset = offset;
    fixture_on(f, core, arm_fn, w);
}

static void wait_for(struct watching *w)
{
    while (sem_wait(&w->sem) != 0) {
    }
}

static void append_some(struct fixture *f, unsigned core, unsigned count)
{
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {count, 10, -1, 0};
    assert_int_equal(fixture_append(f, core, &a, fixture_batch(&options)), ERR_OK);
}

static void state_fn(struct core *core, void *arg)
{
    broker_partition_state(core, partition_of(core), arg);
}

static void only_those_wake_who_can_see_something(void **state)
{
    struct fixture *f = fixture_new(2);
    struct watching near, far;
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    arm_at(f, &near, 1, 2);
    arm_at(f, &far, 0, 5);
    append_some(f, 0, 2);
    fixture_on(f, 1, nothing_fn, NULL);
    assert_int_equal(near.fired, 0);
    append_some(f, 1, 3);
    wait_for(&near);
    assert_int_equal(near.err, ERR_OK);
    assert_false(near.watch.armed);
    fixture_on(f, 0, nothing_fn, NULL);
    assert_int_equal(far.fired, 0);
    append_some(f, 1, 1);
    wait_for(&far);
    arm_at(f, &near, 1, 5);
    wait_for(&near);
    assert_int_equal(near.fired, 1);
    fixture_free(f);
}

/* An append that nobody waits for. */
struct pending_append {
    struct fixture_append a;
    sem_t sem;
};

static void pending_done(struct broker_call *call)
{
    struct broker_append *append = CONTAINER_OF(call, struct broker_append, call);
    struct fixture_append *a = CONTAINER_OF(append, struct fixture_append, append);
    sem_post(&CONTAINER_OF(a, struct pending_append, a)->sem);
}

static void what_is_not_durable_wakes_nobody(void **state)
{
    struct fixture *f = fixture_new(2);
    struct fixture_batch_options options = {1, 10, -1, 0};
    struct broker_partition_state now = {.size_bytes = 0};
    struct pending_append p = {.a = {.topic = "t"}};
    struct watching w;
    sem_init(&p.sem, 0, 0);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    atomic_store(&f->store.is_held, true);
    p.a.append.batch = fixture_batch(&options);
    p.a.append.call.done = pending_done;
    fixture_on(f, 1, fixture_append_fn, &p.a);
    arm_at(f, &w, 1, 0);
    assert_int_equal(fixture_call(f, 1, &now.call, state_fn, &now), ERR_OK);
    assert_int_equal(now.end, 1);
    assert_int_equal(now.high_watermark, 0);
    assert_int_equal(sem_trywait(&w.sem), -1);
    assert_int_equal(sem_trywait(&p.sem), -1);
    atomic_store(&f->store.is_held, false);
    while (sem_wait(&p.sem) != 0) {
    }
    wait_for(&w);
    buf_unref(p.a.append.batch.buf);
    fixture_free(f);
}

static void a_disarmed_watch_is_cancelled_once(void **state)
{
    struct fixture *f = fixture_new(2);
    struct watching w;
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    for (unsigned core = 0; core < 2; core++) {
        arm_at(f, &w, core, 100);
        fixture_on(f, core, disarm_fn, &w);
        wait_for(&w);
        assert_int_equal(w.err, ERR_CANCELLED);
        fixture_on(f, core, disarm_fn, &w);
        fixture_on(f, 0, nothing_fn, NULL);
        fixture_on(f, core, nothing_fn, NULL);
        assert_int_equal(w.fired, 1);
    }
    fixture_free(f);
}

static void delete_fn(struct core *core, void *arg)
{
    broker_topic_delete(core, arg);
}

static void watches_end_with_their_topic(void **state)
{
    struct fixture *f = fixture_new(2);
    struct watching w;
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, "t");
    struct broker_topic_delete ask = {.id = topic->id};
    broker_topic_unref(topic);
    arm_at(f, &w, 1, 100);
    assert_int_equal(fixture_call(f, 0, &ask.call, delete_fn, &ask), ERR_OK);
    wait_for(&w);
    fixture_free(f);
}

/* --- what is asked about a log ---------------------------------------------------------------- */

static void find_fn(struct core *core, void *arg)
{
    broker_offset_find(core, partition_of(core), arg);
}

static void trim_fn(struct core *core, void *arg)
{
    broker_trim(core, partition_of(core), arg);
}

static void epoch_fn(struct core *core, void *arg)
{
    broker_epoch_end(core, partition_of(core), arg);
}

static void punch_fn(struct core *core, void *arg)
{
    broker_punch(core, partition_of(core), arg);
}

static int64_t find(struct fixture *f, enum broker_offset_kind kind, int64_t timestamp_ms)
{
    struct broker_offset_find find = {
        .kind = kind, .timestamp_ms = timestamp_ms, .epoch = BROKER_EPOCH_ANY};
    assert_int_equal(fixture_call(f, 1, &find.call, find_fn, &find), ERR_OK);
    return find.offset;
}

static void offsets_are_found(void **state)
{
    struct fixture *f = fixture_new(2);
    struct broker_offset_find late = {.kind = BROKER_OFFSET_LATEST, .epoch = 1};
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    assert_int_equal(find(f, BROKER_OFFSET_TIMESTAMP, 5), -1);
    append_some(f, 0, 4);
    assert_int_equal(find(f, BROKER_OFFSET_EARLIEST, 0), 0);
    assert_int_equal(find(f, BROKER_OFFSET_LATEST, 0), 4);
    assert_int_equal(find(f, BROKER_OFFSET_TIMESTAMP, -1), 0);
    assert_int_equal(find(f, BROKER_OFFSET_TIMESTAMP, 5), -1);
    assert_int_equal(fixture_call(f, 1, &late.call, find_fn, &late), ERR_EPOCH_UNKNOWN);
    fixture_free(f);
}

static void the_start_moves_forwards_only(void **state)
{
    struct fixture *f = fixture_new(2);
    struct broker_trim trim = {.offset = 3};
    struct broker_partition_state now = {.size_bytes = 0};
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    append_some(f, 0, 5);
    assert_int_equal(fixture_call(f, 1, &trim.call, trim_fn, &trim), ERR_OK);
    assert_int_equal(trim.log_start, 3);
    trim.offset = 1;
    assert_int_equal(fixture_call(f, 1, &trim.call, trim_fn, &trim), ERR_OK);
    assert_int_equal(trim.log_start, 3);
    trim.offset = 6;
    assert_int_equal(fixture_call(f, 1, &trim.call, trim_fn, &trim), ERR_OUT_OF_RANGE);
    trim.offset = -2;
    assert_int_equal(fixture_call(f, 1, &trim.call, trim_fn, &trim), ERR_OUT_OF_RANGE);
    trim.offset = -1;
    assert_int_equal(fixture_call(f, 0, &trim.call, trim_fn, &trim), ERR_OK);
    assert_int_equal(trim.log_start, 5);
    assert_int_equal(fixture_call(f, 1, &now.call, state_fn, &now), ERR_OK);
    assert_int_equal(now.log_start, 5);
    assert_int_equal(now.high_watermark, 5);
    assert_int_equal(now.end, 5);
    assert_true(now.size_bytes > 0);
    assert_false(now.offline);
    fixture_free(f);
}

static void epochs_end_where_the_log_does(void **state)
{
    struct fixture *f = fixture_new(2);
    struct broker_epoch_end ask = {.current_epoch = BROKER_EPOCH_ANY, .epoch = 0};
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    append_some(f, 0, 5);
    assert_int_equal(fixture_call(f, 1, &ask.call, epoch_fn, &ask), ERR_OK);
    assert_int_equal(ask.out_epoch, 0);
    assert_int_equal(ask.out_end, 5);
    ask.epoch = 7;
    assert_int_equal(fixture_call(f, 1, &ask.call, epoch_fn, &ask), ERR_OK);
    assert_int_equal(ask.out_epoch, -1);
    assert_int_equal(ask.out_end, -1);
    ask.current_epoch = 3;
    assert_int_equal(fixture_call(f, 1, &ask.call, epoch_fn, &ask), ERR_EPOCH_UNKNOWN);
    fixture_free(f);
}

static void only_durable_records_are_punched(void **state)
{
    struct fixture *f = fixture_new(2);
    int64_t offsets[] = {0, 2};
    struct broker_punch punch = {.offsets = offsets, .count = 2};
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    append_some(f, 0, 2);
    assert_int_equal(fixture_call(f, 1, &punch.call, punch_fn, &punch), ERR_OUT_OF_RANGE);
    append_some(f, 0, 1);
    assert_int_equal(fixture_call(f, 1, &punch.call, punch_fn, &punch), ERR_OK);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_wake_who_can_see_something),
        cmocka_unit_test(what_is_not_durable_wakes_nobody),
        cmocka_unit_test(a_disarmed_watch_is_cancelled_once),
        cmocka_unit_test(watches_end_with_their_topic),
        cmocka_unit_test(offsets_are_found),
        cmocka_unit_test(the_start_moves_forwards_only),
        cmocka_unit_test(epochs_end_where_the_log_does),
        cmocka_unit_test(only_durable_records_are_punched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

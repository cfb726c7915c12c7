// Transactions as time passes: ids expire, calls wait and give up, what fails is tried again.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_fixture.h"
#include "broker/transaction.h"

#define DAY_MS    INT64_C(86400000)
#define LOOKS_MAX 20000
#define ADDS      16

static struct fixture *new_with(void **state, struct group_clock *clock)
{
    group_clock_init(clock);
    struct fixture *f = fixture_groups_new(*(unsigned *)*state, clock);
    fixture_stop(f);
    f->settings.transaction_state_log_num_partitions = 2;
    fixture_start(f);
    assert_int_equal(fixture_create(f, 0, "orders", ADDS), ERR_OK);
    return f;
}

static void init_fn(struct core *core, void *arg)
{
    broker_transaction_init(core, arg);
}

static void add_fn(struct core *core, void *arg)
{
    broker_transaction_add(core, arg);
}

static void end_fn(struct core *core, void *arg)
{
    broker_transaction_end(core, arg);
}

static void describe_fn(struct core *core, void *arg)
{
    broker_transaction_describe(core, arg);
}

static void list_fn(struct core *core, void *arg)
{
    broker_transaction_list(core, arg);
}

static enum err claim(struct fixture *f, struct transaction_call *out)
{
    struct transaction_init init = {
        .of = {.id = SLICE_LITERAL("id"), .producer_id = -1, .epoch = -1}, .timeout_ms = 60000};
    enum err err = fixture_call(f, f->core_count - 1, &init.of.call, init_fn, &init);
    *out = (struct transaction_call){
        .id = init.of.id, .producer_id = init.of.producer_id, .epoch = init.of.epoch};
    return err;
}

static enum err add(struct fixture *f, const struct transaction_call *producer, int32_t partition,
                    bool verify_only)
{
    struct transaction_place place = {.topic = SLICE_LITERAL("orders"), .partition = partition};
    struct transaction_add call = {
        .of = *producer, .verify_only = verify_only, .places = &place, .place_count = 1};
    enum err err = fixture_call(f, f->core_count - 1, &call.of.call, add_fn, &call);
    return err ? err : place.err;
}

static enum err end(struct fixture *f, const struct transaction_call *producer, bool commit)
{
    struct transaction_end call = {.of = *producer, .commit = commit};
    return fixture_call(f, f->core_count - 1, &call.of.call, end_fn, &call);
}

/* Its state, or "" when nobody knows it. */
static void describe(struct fixture *f, char out[32])
{
    struct transaction_describe call = {.of.id = SLICE_LITERAL("id")};
    arena_init(&call.arena, 1 << 16);
    enum err err = fixture_call(f, 0, &call.of.call, describe_fn, &call);
    snprintf(out, 32, "%s", err ? "" : call.state);
    arena_deinit(&call.arena);
}

static void await_state(struct fixture *f, struct group_clock *clock, const char *expected)
{
    char text[32];
    for (unsigned i = 0; describe(f, text), strcmp(text, expected) != 0; i++) {
        assert_true(i < LOOKS_MAX);
        group_clock_pass(clock, f, 1);
    }
}

static size_t count(struct fixture *f)
{
    struct transaction_list call = {0};
    arena_init(&call.arena, 1 << 16);
    assert_int_equal(fixture_call(f, f->core_count - 1, &call.call, list_fn, &call), ERR_OK);
    arena_deinit(&call.arena);
    return call.count;
}

static void what_nobody_uses_is_forgotten(void **state)
{
    struct group_clock clock;
    struct transaction_call producer, later;
    struct fixture *f = new_with(state, &clock);
    assert_int_equal(count(f), 0);
    assert_int_equal(claim(f, &producer), ERR_OK);
    assert_int_equal(count(f), 1);
    for (unsigned day = 0; day < 6; day++)
        group_clock_pass(&clock, f, DAY_MS);
    assert_int_equal(add(f, &producer, 0, false), ERR_OK); /* its time begins anew */
    assert_int_equal(end(f, &producer, true), ERR_OK);
    await_state(f, &clock, "CompleteCommit"); /* from here on it is old */
    for (unsigned day = 0; day < 6; day++)
        group_clock_pass(&clock, f, DAY_MS);
    assert_int_equal(count(f), 1);
    group_clock_pass(&clock, f, 2 * DAY_MS);
    await_state(f, &clock, "");
    assert_int_equal(add(f, &producer, 0, false), ERR_PRODUCER_MAPPING);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(count(f), 0);
    assert_int_equal(claim(f, &later), ERR_OK);
    assert_int_not_equal(later.producer_id, producer.producer_id);
    fixture_drain_stop(f);
    fixture_start(f);
    fixture_free(f);
}

struct late {
    struct core_message message;
    struct transaction_init init;
    sem_t done;
};

static void late_done(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct late, init.of.call)->done);
}

static void late_run(struct core *core, struct core_message *message)
{
    broker_transaction_init(core, &CONTAINER_OF(message, struct late, message)->init);
}

/* Markers cannot be written: the decision stands, what comes next waits, then gives up. */
static void markers_are_tried_until_they_are_there(void **state)
{
    struct group_clock clock;
    struct transaction_call producer;
    char text[32];
    struct fixture *f = new_with(state, &clock);
    struct late late = {.message.run = late_run,
                        .init = {.of = {.call.done = late_done,
                                        .id = SLICE_LITERAL("id"),
                                        .producer_id = -1,
                                        .epoch = -1},
                                 .timeout_ms = 60000}};
    sem_init(&late.done, 0, 0);
    assert_int_equal(claim(f, &producer), ERR_OK);
    assert_int_equal(add(f, &producer, 0, false), ERR_OK);
    atomic_store(&f->store.is_refusing_markers, true);
    assert_int_equal(end(f, &producer, true), ERR_OK);
    core_send_from_outside(reactor_core(f->reactor, f->core_count - 1), &late.message);
    for (unsigned core = f->core_count; core-- > 0;)
        fixture_on(f, core, fixture_nothing, NULL);
    assert_int_not_equal(sem_trywait(&late.done), 0);
    group_clock_pass(&clock, f, TRANSACTION_WAIT_MS + 100);
    while (sem_wait(&late.done) != 0) {
    }
    assert_int_equal(late.init.of.call.err, ERR_CONCURRENT);
    describe(f, text);
    assert_string_equal(text, "PrepareCommit");
    atomic_store(&f->store.is_refusing_markers, false);
    await_state(f, &clock, "CompleteCommit");
    assert_int_equal(end(f, &producer, true), ERR_OK);
    sem_destroy(&late.done);
    fixture_drain_stop(f);
    fixture_start(f);
    fixture_free(f);
}

static void timeouts_have_a_range(void **state)
{
    struct group_clock clock;
    struct fixture *f = new_with(state, &clock);
    static const int32_t wrong[] = {0, -1, 900001, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct transaction_init init = {
            .of = {.id = SLICE_LITERAL("id"), .producer_id = -1, .epoch = -1},
            .timeout_ms = wrong[i]};
        assert_int_equal(fixture_call(f, 0, &init.of.call, init_fn, &init), ERR_TXN_TIMEOUT);
    }
    assert_int_equal(count(f), 0);
    fixture_free(f);
}

/* Many partitions join at once, from batches that came together: one write takes them. */
struct adds {
    struct fixture *f;
    struct transaction_add calls[ADDS];
    struct transaction_place places[ADDS];
    unsigned left;
    sem_t done;
};

static struct adds adds;

static void adds_done(struct broker_call *call)
{
    CHECK(call->err == ERR_OK);
    if (--adds.left == 0)
        sem_post(&adds.done);
}

static void adds_fn(struct core *core, void *arg)
{
    for (unsigned i = 0; i < ADDS; i++)
        broker_transaction_add(core, &adds.calls[i]);
}

static unsigned long log_batches(const struct fixture *f)
{
    unsigned long batches = 0;
    for (const struct fixture_kept *kept = f->store.kept; kept; kept = kept->next)
        batches += kept->count;
    return batches;
}

static void adds_that_come_together_are_one_write(void **state)
{
    struct group_clock clock;
    struct transaction_call producer;
    struct fixture *f = new_with(state, &clock);
    assert_int_equal(claim(f, &producer), ERR_OK);
    sem_init(&adds.done, 0, 0);
    adds.left = ADDS;
    for (unsigned i = 0; i < ADDS; i++) {
        adds.places[i] =
            (struct transaction_place){.topic = SLICE_LITERAL("orders"), .partition = (int32_t)i};
        adds.calls[i] =
            (struct transaction_add){.of = producer, .places = &adds.places[i], .place_count = 1};
        adds.calls[i].of.call.done = adds_done;
    }
    fixture_on(f, f->core_count - 1, adds_fn, NULL);
    while (sem_wait(&adds.done) != 0) {
    }
    for (unsigned i = 0; i < ADDS; i++)
        assert_int_equal(add(f, &producer, (int32_t)i, true), ERR_OK);
    fixture_drain_stop(f);
    /* The claim, and one for the first and at most one for those that came while it was written. */
    assert_in_range(log_batches(f), 2, 1 + ADDS / 2);
    fixture_start(f);
    for (unsigned i = 0; i < ADDS; i++)
        assert_int_equal(add(f, &producer, (int32_t)i, true), ERR_OK);
    fixture_drain_stop(f);
    fixture_start(f);
    fixture_free(f);
    sem_destroy(&adds.done);
}

/* Where nothing can be written, what is due is tried now and then, not all the time. */
static void what_cannot_be_written_waits(void **state)
{
    struct group_clock clock;
    struct transaction_call producer;
    struct fixture *f = new_with(state, &clock);
    assert_int_equal(claim(f, &producer), ERR_OK);
    assert_int_equal(add(f, &producer, 0, false), ERR_OK);
    atomic_store(&f->store.is_failing, true);
    atomic_store(&f->store.failures, 0);
    for (unsigned i = 0; i < 200; i++) /* its timeout is 60 s */
        group_clock_pass(&clock, f, 1000);
    assert_in_range(atomic_load(&f->store.failures), 2, 40);
    struct transaction_call other;
    assert_int_equal(claim(f, &other), ERR_IO); /* told, although it would have to fence first */
    atomic_store(&f->store.is_failing, false);
    await_state(f, &clock, "CompleteAbort");
    atomic_store(&f->store.is_failing, true);
    atomic_store(&f->store.failures, 0);
    for (unsigned i = 0; i < 200; i++) /* ids are kept for 7 days */
        group_clock_pass(&clock, f, i < 8 ? DAY_MS : 1000);
    assert_in_range(atomic_load(&f->store.failures), 2, 40);
    atomic_store(&f->store.is_failing, false);
    await_state(f, &clock, "");
    fixture_drain_stop(f);
    fixture_start(f);
    fixture_free(f);
}

int main(void)
{
    static unsigned one = 1, three = 3;
#define ON_CORES(test)                                                                             \
    {#test " (1 core)", test, NULL, NULL, &one},                                                   \
    {                                                                                              \
#test " (3 cores)", test, NULL, NULL, &three                                               \
    }
    const struct CMUnitTest tests[] = {
        ON_CORES(what_nobody_uses_is_forgotten), ON_CORES(markers_are_tried_until_they_are_there),
        ON_CORES(timeouts_have_a_range),         ON_CORES(adds_that_come_together_are_one_write),
        ON_CORES(what_cannot_be_written_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

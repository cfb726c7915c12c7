// Groups of the newer protocol over a broker: told when durable, back after a stop, gone in time.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_fixture.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (1440 * MINUTE_MS)
#define LOOKS_MAX 100000
#define MEMBERS   20

static void beat_fn(struct core *core, void *arg)
{
    broker_group_beat(core, arg);
}

static void beat_describe_fn(struct core *core, void *arg)
{
    broker_group_beat_describe(core, arg);
}

struct beat {
    struct group_beat beat;
    struct slice topic;
};

static struct group_beat *beat_make(struct beat *beat, const char *member, int32_t epoch)
{
    beat->topic = SLICE_LITERAL("orders");
    beat->beat = (struct group_beat){.group_id = SLICE_LITERAL("team"),
                                     .member_id = slice_text(member),
                                     .client_id = SLICE_LITERAL("client"),
                                     .client_host = SLICE_LITERAL("/127.0.0.1"),
                                     .member_epoch = epoch,
                                     .rebalance_timeout_ms = epoch == 0 ? 30000 : -1,
                                     .member_id_required = true};
    if (epoch == 0) {
        beat->beat.has_topics = true;
        beat->beat.topics = &beat->topic;
        beat->beat.topic_count = 1;
        beat->beat.has_held = true;
    }
    return &beat->beat;
}

/* The epoch, or minus the error. */
static int32_t speak(struct fixture *f, const char *member, int32_t epoch, size_t *out_count)
{
    struct beat beat;
    beat_make(&beat, member, epoch);
    enum err err = fixture_call(f, f->core_count - 1, &beat.beat.call, beat_fn, &beat.beat);
    size_t count = beat.beat.has_assignment ? beat.beat.assignment_count : SIZE_MAX;
    broker_group_result_release(beat.beat.private);
    if (out_count)
        *out_count = count;
    return err ? -(int32_t)err : beat.beat.member_epoch_out;
}

/* Members there are; -1: no such group. */
static int look(struct fixture *f, int32_t *out_epoch)
{
    struct group_beat_describe describe = {.group_id = SLICE_LITERAL("team")};
    arena_init(&describe.arena, 1 << 20);
    enum err err = fixture_call(f, 0, &describe.call, beat_describe_fn, &describe);
    int count = err ? -1 : (int)describe.member_count;
    if (out_epoch)
        *out_epoch = describe.epoch;
    arena_deinit(&describe.arena);
    return count;
}

static struct fixture *team_new(void **state, struct group_clock *clock)
{
    group_clock_init(clock);
    struct fixture *f = fixture_groups_new(*(unsigned *)*state, clock);
    assert_int_equal(fixture_create(f, 0, "orders", 4), ERR_OK);
    return f;
}

static void a_restart_changes_nothing(void **state)
{
    struct group_clock clock;
    struct fixture *f = team_new(state, &clock);
    int32_t epoch;
    size_t count;
    assert_int_equal(speak(f, "a", 0, &count), 2);
    assert_int_equal(count, 4);
    assert_int_equal(speak(f, "b", 0, &count), 3);
    for (unsigned life = 0; life < 3; life++) {
        assert_int_equal(look(f, &epoch), 2);
        assert_int_equal(epoch, 3);
        assert_int_equal(speak(f, "b", 3, NULL), 3);
        fixture_drain_stop(f);
        fixture_start(f);
    }
    assert_int_equal(speak(f, "a", 2, &count), 2); /* it has not given up anything yet */
    assert_int_equal(speak(f, "c", 2, NULL), -(int32_t)ERR_MEMBER_UNKNOWN);
    fixture_free(f);
}

static void silent_members_go_and_then_the_group(void **state)
{
    struct group_clock clock;
    struct fixture *f = team_new(state, &clock);
    int32_t epoch;
    assert_int_equal(speak(f, "a", 0, NULL), 2);
    struct fixture_commit commit = {.group = "team", .topic = "orders", .offset = 5};
    assert_int_equal(fixture_commit(f, &commit), ERR_MEMBER_UNKNOWN);
    group_clock_pass(&clock, f, 44000);
    assert_int_equal(speak(f, "a", 2, NULL), 2);
    group_clock_pass(&clock, f, 44000);
    assert_int_equal(look(f, NULL), 1);
    group_clock_pass(&clock, f, 2000);
    for (unsigned i = 0; look(f, NULL) != 0; i++)
        assert_true(i < LOOKS_MAX);
    assert_int_equal(speak(f, "a", 2, NULL), -(int32_t)ERR_MEMBER_UNKNOWN);
    assert_int_equal(fixture_commit(f, &commit), ERR_OK);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(look(f, &epoch), 0);
    assert_int_equal(epoch, 3);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    group_clock_pass(&clock, f, 8 * DAY_MS);
    for (unsigned i = 0; look(f, NULL) != -1; i++)
        assert_true(i < LOOKS_MAX);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(look(f, NULL), -1);
    assert_int_equal(speak(f, "a", 0, NULL), 2);
    fixture_free(f);
}

/* What the log refused has not been: nobody was told, and everything goes on from before. */
static void what_cannot_be_written_has_not_been(void **state)
{
    struct group_clock clock;
    struct fixture *f = team_new(state, &clock);
    int32_t epoch;
    assert_int_equal(speak(f, "a", 0, NULL), 2);
    atomic_store(&f->store.is_failing, true);
    assert_int_equal(speak(f, "b", 0, NULL), -(int32_t)ERR_IO);
    assert_int_equal(look(f, &epoch), 1);
    assert_int_equal(epoch, 2);
    assert_int_equal(speak(f, "a", 2, NULL), 2);
    assert_int_equal(speak(f, "a", -1, NULL), -(int32_t)ERR_IO);
    assert_int_equal(speak(f, "a", 2, NULL), 2);
    atomic_store(&f->store.is_failing, false);
    assert_int_equal(speak(f, "b", 0, NULL), 3);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(look(f, &epoch), 2);
    assert_int_equal(epoch, 3);
    fixture_free(f);
}

/* A classic group that could not be changed is classic still. */
static void a_change_that_cannot_be_written_has_not_been(void **state)
{
    struct group_clock clock;
    char text[32];
    struct fixture *f = team_new(state, &clock);
    struct fixture_member member = {.group = "team",
                                    .subscription =
                                        slice_make("\0\1\0\0\0\1\0\6orders\0\0\0\0\0\0\0\0", 22),
                                    .session_ms = 60000};
    fixture_join_alone(f, &member);
    atomic_store(&f->store.is_failing, true);
    /* Its leader's words cannot be read: it stays classic whatever the log says. */
    assert_int_equal(speak(f, "new", 0, NULL), -(int32_t)ERR_NOT_FOUND);
    atomic_store(&f->store.is_failing, false);
    assert_int_equal(fixture_group_state(f, "team", text, sizeof(text)), ERR_OK);
    assert_string_equal(text, "Stable");
    assert_int_equal(fixture_heartbeat(f, &member), ERR_OK);
    fixture_leave(f, &member);
    struct fixture_commit commit = {.group = "team", .topic = "orders", .offset = 5};
    assert_int_equal(fixture_commit(f, &commit), ERR_OK); /* behind what the leave wrote */
    atomic_store(&f->store.is_failing, true);
    assert_int_equal(speak(f, "new", 0, NULL), -(int32_t)ERR_IO);
    assert_int_equal(look(f, NULL), -1);
    assert_int_equal(fixture_group_state(f, "team", text, sizeof(text)), ERR_OK);
    atomic_store(&f->store.is_failing, false);
    assert_int_equal(speak(f, "new", 0, NULL), 2);
    assert_int_equal(look(f, NULL), 1);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(look(f, NULL), 1);
    fixture_free(f);
}

/* --- durable before told --- */

struct waiting {
    struct core_message message;
    struct beat beat;
    sem_t done;
};

static void waiting_done(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct waiting, beat.beat.call)->done);
}

static void waiting_run(struct core *core, struct core_message *message)
{
    broker_group_beat(core, &CONTAINER_OF(message, struct waiting, message)->beat.beat);
}

static void answers_wait_for_the_log(void **state)
{
    struct group_clock clock;
    struct fixture *f = team_new(state, &clock);
    static struct waiting all[MEMBERS];
    char names[MEMBERS][8];
    assert_int_equal(speak(f, "first", 0, NULL), 2);
    atomic_store(&f->store.is_held, true);
    for (unsigned i = 0; i < MEMBERS; i++) {
        snprintf(names[i], sizeof(names[i]), "m%u", i);
        sem_init(&all[i].done, 0, 0);
        beat_make(&all[i].beat, i == 0 ? "first" : names[i], i == 0 ? 2 : 0);
        all[i].beat.beat.call.done = waiting_done;
        all[i].message.run = waiting_run;
        if (i > 0)
            core_send_from_outside(reactor_core(f->reactor, i % f->core_count), &all[i].message);
    }
    for (unsigned i = 0; i < 3; i++)
        for (unsigned core = 0; core < f->core_count; core++)
            fixture_on(f, core, fixture_nothing, NULL);
    /* It would be told of what the others did. */
    core_send_from_outside(reactor_core(f->reactor, 0), &all[0].message);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned core = 0; core < f->core_count; core++)
            fixture_on(f, core, fixture_nothing, NULL);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_not_equal(sem_trywait(&all[i].done), 0);
    atomic_store(&f->store.is_held, false);
    for (unsigned i = 0; i < MEMBERS; i++) {
        while (sem_wait(&all[i].done) != 0) {
        }
        assert_int_equal(all[i].beat.beat.call.err, ERR_OK);
        broker_group_result_release(all[i].beat.beat.private);
        sem_destroy(&all[i].done);
    }
    assert_int_equal(look(f, NULL), MEMBERS);
    fixture_free(f);
}

/* --- a log that stays small --- */

static void tune_fn(struct core *core, void *arg)
{
    struct groups *groups = broker_group_coordinator(core);
    groups->rewrite_size_min = 2000;
    groups->rewrite_again_ms = 1;
}

static void rewrites_fn(struct core *core, void *arg)
{
    *(unsigned long *)arg = broker_group_coordinator(core)->rewrites;
}

static void a_rewritten_log_says_the_same(void **state)
{
    struct group_clock clock;
    struct fixture *f = team_new(state, &clock);
    unsigned long rewrites = 0;
    char name[8];
    int32_t epoch = 0;
    int32_t stays = 0;
    for (unsigned life = 0; life < 3; life++) {
        fixture_on(f, 0, tune_fn, NULL);
        stays = speak(f, "stays", stays, NULL);
        assert_true(stays >= 1);
        for (unsigned i = 0; i < 60; i++) {
            snprintf(name, sizeof(name), "m%u", i);
            assert_true(speak(f, name, 0, NULL) > 0);
            assert_int_equal(speak(f, name, -1, NULL), -1);
        }
        for (unsigned i = 0; rewrites == 0; i++) {
            assert_true(i < LOOKS_MAX);
            fixture_on(f, 0, rewrites_fn, &rewrites);
        }
        rewrites = 0;
        assert_int_equal(look(f, &epoch), 1);
        fixture_drain_stop(f);
        fixture_start(f);
        int32_t again;
        assert_int_equal(look(f, &again), 1);
        assert_int_equal(again, epoch);
    }
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
        ON_CORES(a_restart_changes_nothing),
        ON_CORES(silent_members_go_and_then_the_group),
        ON_CORES(what_cannot_be_written_has_not_been),
        ON_CORES(a_change_that_cannot_be_written_has_not_been),
        ON_CORES(answers_wait_for_the_log),
        ON_CORES(a_rewritten_log_says_the_same),
    };
    return cmocka_run_group_tests_name("broker/group_beat", tests, NULL, NULL);
}

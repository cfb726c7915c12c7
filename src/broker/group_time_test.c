// Groups as time passes: offsets expire, calls wait for state, waiting joins are called off.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_fixture.h"

#define MINUTE_MS   INT64_C(60000)
#define DAY_MS      (1440 * MINUTE_MS)
#define LOOKS_MAX   100000
#define JOINS_COUNT 200

/* To the topic "orders". */
#define SUBSCRIPTION slice_make("\0\1\0\0\0\1\0\6orders\0\0\0\0", 18)

static struct fixture *new_with(void **state, struct group_clock *clock, int32_t retention_minutes)
{
    group_clock_init(clock);
    struct fixture *f = fixture_groups_new(*(unsigned *)*state, clock);
    fixture_stop(f);
    f->settings.offsets_retention_minutes = retention_minutes;
    fixture_start(f);
    return f;
}

static void commit(struct fixture *f, const struct fixture_member *member, const char *topic,
                   int64_t retention_ms)
{
    struct fixture_commit one = {.member = member,
                                 .group = "team",
                                 .topic = topic,
                                 .offset = 5,
                                 .retention_ms = retention_ms};
    assert_int_equal(fixture_commit(f, &one), ERR_OK);
}

static void await_gone(struct fixture *f, const char *topic)
{
    for (unsigned i = 0; fixture_committed(f, "team", topic, 0) != -1; i++)
        assert_true(i < LOOKS_MAX);
}

static void assert_forgotten(struct fixture *f)
{
    char text[32];
    for (unsigned life = 0; life < 2; life++) {
        for (unsigned i = 0; fixture_group_state(f, "team", text, sizeof(text)) == ERR_OK; i++)
            assert_true(i < LOOKS_MAX);
        assert_int_equal(fixture_committed(f, "team", "orders", 0), -1);
        fixture_drain_stop(f);
        fixture_start(f);
    }
}

static void offsets_without_members_expire(void **state)
{
    struct group_clock clock;
    struct fixture *f = new_with(state, &clock, 7 * 1440);
    commit(f, NULL, "orders", 0);
    commit(f, NULL, "others", 60 * MINUTE_MS);
    group_clock_pass(&clock, f, 50 * MINUTE_MS);
    assert_int_equal(fixture_committed(f, "team", "others", 0), 5);
    group_clock_pass(&clock, f, 11 * MINUTE_MS);
    await_gone(f, "others");
    group_clock_pass(&clock, f, 6 * DAY_MS);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    group_clock_pass(&clock, f, DAY_MS);
    await_gone(f, "orders");
    assert_forgotten(f);
    fixture_free(f);
}

static struct uuid topic_make(struct fixture *f, const char *name)
{
    struct broker_topic_create ask = {
        .name = slice_text(name), .partition_count = 1, .replication_factor = -1};
    assert_int_equal(fixture_call(f, f->core_count - 1, &ask.call, fixture_create_fn, &ask),
                     ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 0, name);
    struct uuid id = topic->id;
    broker_topic_unref(topic);
    return id;
}

static void topic_delete_fn(struct core *core, void *arg)
{
    broker_topic_delete(core, arg);
}

static void topic_delete(struct fixture *f, const struct uuid *id)
{
    struct broker_topic_delete ask = {.id = *id};
    assert_int_equal(fixture_call(f, f->core_count - 1, &ask.call, topic_delete_fn, &ask), ERR_OK);
}

/* Who reads a topic that was made anew must not begin where the old one's reader was. */
static void offsets_go_with_their_topic(void **state)
{
    struct group_clock clock;
    char text[32];
    struct fixture *f = new_with(state, &clock, 7 * 1440);
    struct uuid id = topic_make(f, "orders");
    struct fixture_commit one = {.group = "team", .topic = "orders", .topic_id = id, .offset = 5};
    assert_int_equal(fixture_commit(f, &one), ERR_OK);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    topic_delete(f, &id);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), -1);
    id = topic_make(f, "orders");
    for (unsigned life = 0; life < 2; life++) {
        assert_int_equal(fixture_committed(f, "team", "orders", 0), -1);
        fixture_drain_stop(f);
        fixture_start(f);
    }
    one.topic_id = id;
    one.offset = 3;
    assert_int_equal(fixture_commit(f, &one), ERR_OK);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 3);
    topic_delete(f, &id);
    /* nothing of the group is left but them */
    group_clock_pass(&clock, f, 2 * GROUP_CHECK_MS);
    for (unsigned i = 0; fixture_group_state(f, "team", text, sizeof(text)) == ERR_OK; i++)
        assert_true(i < LOOKS_MAX);
    fixture_free(f);
}

static void offsets_that_members_want_stay(void **state)
{
    struct group_clock clock;
    struct fixture *f = new_with(state, &clock, 1);
    struct fixture_member member = {
        .group = "team", .subscription = SUBSCRIPTION, .session_ms = 30 * MINUTE_MS};
    fixture_join_alone(f, &member);
    commit(f, &member, "orders", 0);
    commit(f, &member, "others", 0);
    group_clock_pass(&clock, f, 11 * MINUTE_MS);
    await_gone(f, "others");
    assert_int_equal(fixture_heartbeat(f, &member), ERR_OK);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    group_clock_pass(&clock, f, 11 * MINUTE_MS);
    assert_int_equal(fixture_heartbeat(f, &member), ERR_OK);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    fixture_leave(f, &member);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    group_clock_pass(&clock, f, 11 * MINUTE_MS);
    await_gone(f, "orders");
    group_clock_pass(&clock, f, 11 * MINUTE_MS);
    assert_forgotten(f);
    fixture_free(f);
}

/* The session ends by itself; its group is empty from then on. */
static void a_silent_member_is_taken_out(void **state)
{
    struct group_clock clock;
    char text[32];
    struct fixture *f = new_with(state, &clock, 7 * 1440);
    struct fixture_member member = {
        .group = "team", .subscription = SUBSCRIPTION, .session_ms = 10000};
    fixture_join_alone(f, &member);
    group_clock_pass(&clock, f, 9000);
    assert_int_equal(fixture_heartbeat(f, &member), ERR_OK);
    group_clock_pass(&clock, f, 9000);
    assert_int_equal(fixture_heartbeat(f, &member), ERR_OK);
    group_clock_pass(&clock, f, 10500);
    assert_int_equal(fixture_group_state(f, "team", text, sizeof(text)), ERR_OK);
    assert_string_equal(text, "Empty");
    assert_int_equal(fixture_heartbeat(f, &member), ERR_MEMBER_UNKNOWN);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(fixture_heartbeat(f, &member), ERR_MEMBER_UNKNOWN);
    fixture_free(f);
}

static void what_is_read_cannot_be_forgotten(void **state)
{
    struct group_clock clock;
    struct fixture *f = new_with(state, &clock, 7 * 1440);
    struct fixture_member member = {
        .group = "team", .subscription = SUBSCRIPTION, .session_ms = 60000};
    fixture_join_alone(f, &member);
    commit(f, &member, "orders", 0);
    commit(f, &member, "others", 0);
    struct group_offset offsets[2] = {{.topic = SLICE_LITERAL("orders")},
                                      {.topic = SLICE_LITERAL("others")}};
    struct group_forget forget = {
        .group_id = SLICE_LITERAL("team"), .offsets = offsets, .offset_count = 2};
    assert_int_equal(fixture_call(f, f->core_count - 1, &forget.call, fixture_forget_fn, &forget),
                     ERR_OK);
    assert_int_equal(offsets[0].err, ERR_NOT_EMPTY);
    assert_int_equal(offsets[1].err, ERR_OK);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    assert_int_equal(fixture_committed(f, "team", "others", 0), -1);
    fixture_leave(f, &member);
    assert_int_equal(fixture_call(f, 0, &forget.call, fixture_forget_fn, &forget), ERR_OK);
    assert_int_equal(offsets[0].err, ERR_OK);
    fixture_drain_stop(f);
    fixture_start(f);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), -1);
    fixture_free(f);
}

/* --- while state is read back --- */

struct asked {
    struct core_message message;
    struct group_heartbeat ask;
    sem_t done;
};

static void asked_done(struct broker_call *call)
{
    sem_post(&CONTAINER_OF(call, struct asked, ask.call)->done);
}

static void asked_run(struct core *core, struct core_message *message)
{
    broker_group_heartbeat(core, &CONTAINER_OF(message, struct asked, message)->ask);
}

static void loading_fn(struct core *core, void *arg)
{
    struct groups *groups = broker_group_coordinator(core);
    for (uint32_t i = 0; i < groups->partition_count; i++)
        groups->partitions[i].load = GROUP_LOADING;
}

static void loaded_fn(struct core *core, void *arg)
{
    struct groups *groups = broker_group_coordinator(core);
    for (uint32_t i = 0; i < groups->partition_count; i++) {
        groups->partitions[i].load = GROUP_LOADED;
        broker_group_coordinator_unpark(&groups->partitions[i], ERR_OK);
    }
}

static void ask(struct fixture *f, struct asked *asked)
{
    asked->message.run = asked_run;
    asked->ask.call.done = asked_done;
    core_send_from_outside(reactor_core(f->reactor, f->core_count - 1), &asked->message);
    for (unsigned core = f->core_count; core-- > 0;)
        fixture_on(f, core, fixture_nothing, NULL); /* it has come to core 0 */
}

static void calls_wait_for_state(void **state)
{
    struct group_clock clock;
    struct fixture *f = new_with(state, &clock, 7 * 1440);
    commit(f, NULL, "orders", 0);
    fixture_on(f, 0, loading_fn, NULL);
    struct asked asked = {.ask = {.group_id = SLICE_LITERAL("team"),
                                  .member_id = SLICE_LITERAL("nobody"),
                                  .generation = 1}};
    sem_init(&asked.done, 0, 0);
    ask(f, &asked);
    assert_int_not_equal(sem_trywait(&asked.done), 0);
    group_clock_pass(&clock, f, 5000);
    while (sem_wait(&asked.done) != 0) {
    }
    assert_int_equal(asked.ask.call.err, ERR_LOADING);
    ask(f, &asked);
    assert_int_not_equal(sem_trywait(&asked.done), 0);
    fixture_on(f, 0, loaded_fn, NULL);
    while (sem_wait(&asked.done) != 0) {
    }
    assert_int_equal(asked.ask.call.err, ERR_MEMBER_UNKNOWN);
    assert_int_equal(fixture_committed(f, "team", "orders", 0), 5);
    sem_destroy(&asked.done);
    fixture_free(f);
}

/* --- joins that are called off --- */

struct waiting_join {
    struct core_message begin;
    struct core_message cancel;
    struct group_protocol protocol;
    struct group_join join;
    bool is_done; /* on its core */
    unsigned done_count;
    sem_t *sem;
};

static void waiting_done(struct broker_call *call)
{
    struct waiting_join *waiting = CONTAINER_OF(call, struct waiting_join, join.call);
    waiting->is_done = true;
    waiting->done_count++;
    broker_group_result_release(waiting->join.private);
    sem_post(waiting->sem);
}

static void waiting_begin(struct core *core, struct core_message *message)
{
    broker_group_join(core, &CONTAINER_OF(message, struct waiting_join, begin)->join);
}

static void waiting_cancel(struct core *core, struct core_message *message)
{
    struct waiting_join *waiting = CONTAINER_OF(message, struct waiting_join, cancel);
    for (unsigned i = 0; i < 2 && !waiting->is_done; i++)
        broker_group_join_cancel(core, &waiting->join);
    sem_post(waiting->sem);
}

/* Each comes, waits for a member that does not come back, and is called off. */
static void joins_are_called_off_from_any_core(void **state)
{
    struct group_clock clock;
    sem_t sem;
    struct fixture *f = new_with(state, &clock, 7 * 1440);
    struct fixture_member member = {
        .group = "team", .subscription = SUBSCRIPTION, .session_ms = 600000};
    fixture_join_alone(f, &member);
    sem_init(&sem, 0, 0);
    struct waiting_join *all = calloc(JOINS_COUNT, sizeof(*all));
    for (unsigned i = 0; i < JOINS_COUNT; i++) {
        struct waiting_join *one = &all[i];
        struct core *core = reactor_core(f->reactor, i % f->core_count);
        *one = (struct waiting_join){.begin.run = waiting_begin,
                                     .cancel.run = waiting_cancel,
                                     .protocol = {SLICE_LITERAL("range"), SUBSCRIPTION},
                                     .sem = &sem};
        one->join = (struct group_join){.call.done = waiting_done,
                                        .group_id = SLICE_LITERAL("team"),
                                        .member_id = slice_text(""),
                                        .client_id = SLICE_LITERAL("client"),
                                        .client_host = SLICE_LITERAL("/127.0.0.1"),
                                        .protocol_type = SLICE_LITERAL("consumer"),
                                        .protocols = &one->protocol,
                                        .protocol_count = 1,
                                        .session_timeout_ms = 600000,
                                        .rebalance_timeout_ms = 600000};
        core_send_from_outside(core, &one->begin);
        if (i % 3 == 0)
            fixture_on(f, 0, fixture_nothing, NULL);
        core_send_from_outside(core, &one->cancel);
    }
    for (unsigned i = 0; i < 2 * JOINS_COUNT; i++) {
        while (sem_wait(&sem) != 0) {
        }
    }
    for (unsigned i = 0; i < JOINS_COUNT; i++) {
        assert_int_equal(all[i].done_count, 1);
        assert_int_equal(all[i].join.call.err, ERR_CLOSED);
    }
    assert_int_equal(fixture_heartbeat(f, &member), ERR_REBALANCE);
    fixture_drain_stop(f);
    fixture_start(f);
    fixture_free(f);
    sem_destroy(&sem);
    free(all);
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
        ON_CORES(offsets_without_members_expire),     ON_CORES(offsets_that_members_want_stay),
        ON_CORES(offsets_go_with_their_topic),        ON_CORES(a_silent_member_is_taken_out),
        ON_CORES(what_is_read_cannot_be_forgotten),   ON_CORES(calls_wait_for_state),
        ON_CORES(joins_are_called_off_from_any_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

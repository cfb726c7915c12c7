// Tests of readers that cannot read: what is lost is told, what is not lost comes later.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"
#include "nats/nats_fixture.h"
#include "nats/view_live.h"
#include "reactor/balance.h"

/* Watches the only partition of topic t, and nothing is read yet. */
static struct peer *watching(void)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 1, NULL);
    peer_send(p, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB kafka.t.0 1\r\nPING\r\n");
    peer_expect(p, "PONG");
    p->other_fd = peer_dial(p);
    peer_send_to(p, p->other_fd, "CONNECT {\"verbose\":false}\r\nSUB r 2\r\nPING\r\n");
    peer_expect_of(p, p->other_fd, "PONG");
    return p;
}

/* Appends a record without waiting for anybody to get it. */
static void append(struct peer *p, int64_t offset)
{
    char words[64];
    snprintf(words, sizeof(words), "{\"stream\":\"t\",\"seq\":%lld,", (long long)offset + 1);
    peer_send_to(p, p->other_fd, "PUB kafka.t r 1\r\nx\r\n");
    const char *line = peer_line_of(p, p->other_fd);
    assert_true(line && strncmp(line, "MSG r 2 ", 8) == 0);
    line = peer_line_of(p, p->other_fd);
    if (!line || strncmp(line, words, strlen(words)) != 0)
        fail_msg("'%s' lacks '%s'", line ? line : "(closed)", words);
}

/* The next message is the record at this offset. */
static void expect_record(struct peer *p, int64_t offset)
{
    char words[64];
    const char *line = peer_line_of(p, p->fd);
    assert_true(line && strncmp(line, "HMSG kafka.t.0 1 ", 17) == 0);
    peer_expect(p, "NATS/1.0");
    snprintf(words, sizeof(words), "Leat-Offset: %lld", (long long)offset);
    peer_expect(p, words);
    while (*peer_line_of(p, p->fd))
        continue;
    peer_expect(p, "x");
}

static void fail_reads(struct peer *p, enum err err)
{
    atomic_store(&p->store.read_failures, 0);
    atomic_store(&p->store.read_err, (int)err);
}

static void damage_is_stepped_over_and_told(void **state)
{
    struct peer *p = watching();
    fail_reads(p, ERR_CORRUPT);
    atomic_store(&p->store.read_next, 2);
    append(p, 0);
    PEER_UNTIL(p, atomic_load(&p->store.read_failures) > 0);
    append(p, 1);
    fail_reads(p, ERR_OK);
    append(p, 2);
    expect_record(p, 2);
    const char *told = strstr(p->logged.data, "subscribers of topic t partition 0 go on at offset");
    assert_true(told && strstr(told, "offset 2, not 0"));
    peer_free(p);
}

static void a_passing_failure_loses_nothing(void **state)
{
    static const enum err errors[] = {ERR_IO, ERR_NO_MEMORY, ERR_BUSY};
    struct peer *p = watching();
    for (int64_t i = 0; i < (int64_t)COUNT_OF(errors); i++) {
        fail_reads(p, errors[i]);
        append(p, i);
        PEER_UNTIL(p, atomic_load(&p->store.read_failures) > 2);
        fail_reads(p, ERR_OK);
        expect_record(p, i);
    }
    assert_true(!p->logged.data || !strstr(p->logged.data, "go on at offset"));
    peer_free(p);
}

static void what_is_gone_is_told(void **state)
{
    struct peer *p = watching();
    fail_reads(p, ERR_IO);
    append(p, 0);
    append(p, 1);
    append(p, 2);
    struct broker_trim trim = {.call.done = peer_done, .offset = 2};
    const struct broker_topic *topic = broker_topic_find(p->core, SLICE_LITERAL("t"));
    broker_trim(p->core, broker_partition_at(topic, 0), &trim);
    PEER_UNTIL(p, !trim.call.done);
    assert_int_equal(trim.call.err, ERR_OK);
    fail_reads(p, ERR_OK);
    expect_record(p, 2);
    assert_non_null(strstr(p->logged.data, "go on at offset 2, not 0"));
    peer_free(p);
}

static void a_reader_ends_with_its_topic_and_the_next_of_the_name_has_another(void **state)
{
    struct peer *p = watching();
    append(p, 0);
    expect_record(p, 0);
    assert_false(list_empty(&p->nats->cores[0].readers));
    struct broker_topic_delete ask = {.call.done = peer_done,
                                      .id = broker_topic_find(p->core, SLICE_LITERAL("t"))->id};
    broker_topic_delete(p->core, &ask);
    PEER_UNTIL(p, !ask.call.done);
    assert_int_equal(ask.call.err, ERR_OK);
    PEER_UNTIL(p, list_empty(&p->nats->cores[0].readers));
    peer_create(p, "t", 1, NULL);
    append(p, 0);
    expect_record(p, 0);
    peer_free(p);
}

/* --- from core to core ------------------------------------------------------------------------ */

/* A core takes its messages in the order of the cores they come from. */
enum { NEW_HOME, SUBSCRIBER, OLD_HOME, CORE_COUNT };

static void three_cores(struct peer *p)
{
    p->core_count = CORE_COUNT;
}

/* The subscriber's core hears nothing meanwhile. */
static void turn_homes(struct peer *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        core_run_once(reactor_core(p->reactor, NEW_HOME), 0);
        core_run_once(reactor_core(p->reactor, OLD_HOME), 0);
    }
}

static struct broker_partition *partition_of(struct peer *p)
{
    return broker_partition_at(broker_topic_find(p->core, SLICE_LITERAL("t")), 0);
}

static void move_to(struct peer *p, unsigned to)
{
    unsigned from = broker_partition_home(partition_of(p));
    if (from == to)
        return;
    assert_true(broker_move_start(reactor_core(p->reactor, from), partition_of(p), to));
}

static bool has_reader(struct peer *p, unsigned core)
{
    return !list_empty(&p->nats->cores[core].readers);
}

static void publish(struct peer *p)
{
    static const char TEXT[] = "PUB kafka.t 1\r\nx\r\n";
    assert_int_equal(send(p->other_fd, TEXT, sizeof(TEXT) - 1, MSG_NOSIGNAL), sizeof(TEXT) - 1);
}

static void until_appended(struct peer *p, int64_t end)
{
    for (unsigned turns = 0; partition_of(p)->log->durable < end; turns++) {
        assert_true(turns < PEER_TURNS_MAX);
        turn_homes(p, 1);
    }
    turn_homes(p, 100);
}

static void a_reader_does_not_overtake_what_it_sent(void **state)
{
    struct peer *p = peer_new(three_cores);
    assert_int_equal(balance_hand_over(p->core, SUBSCRIBER, true), 1);
    PEER_UNTIL(p, !list_empty(&p->nats->cores[SUBSCRIBER].conns));
    peer_create(p, "t", 1, NULL);
    move_to(p, OLD_HOME);
    PEER_UNTIL(p, broker_partition_home(partition_of(p)) == OLD_HOME && !partition_of(p)->move);
    peer_send(p, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB kafka.t.0 1\r\nPING\r\n");
    peer_expect(p, "PONG");
    assert_true(has_reader(p, OLD_HOME));
    p->other_fd = peer_dial(p);
    peer_send_to(p, p->other_fd, "CONNECT {\"verbose\":false}\r\n");
    atomic_store(&p->store.is_held, true);
    publish(p);
    PEER_UNTIL(p, partition_of(p)->pending > 0);
    move_to(p, NEW_HOME);
    for (unsigned i = 0; i < 20; i++)
        peer_turn(p); /* the move waits for the store */
    atomic_store(&p->store.is_held, false);
    until_appended(p, 1);
    assert_int_equal(broker_partition_home(partition_of(p)), NEW_HOME);
    publish(p);
    until_appended(p, 2);
    assert_true(has_reader(p, OLD_HOME));
    expect_record(p, 0);
    expect_record(p, 1);
    publish(p); /* it follows when there is something to read */
    expect_record(p, 2);
    PEER_UNTIL(p, has_reader(p, NEW_HOME));
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_stepped_over_and_told),
        cmocka_unit_test(a_passing_failure_loses_nothing),
        cmocka_unit_test(what_is_gone_is_told),
        cmocka_unit_test(a_reader_ends_with_its_topic_and_the_next_of_the_name_has_another),
        cmocka_unit_test(a_reader_does_not_overtake_what_it_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

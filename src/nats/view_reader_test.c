// Tests of readers that cannot read: what is lost is told, what is not lost comes later.
// SPDX-License-Identifier: Apache-2.0
#include "nats/nats_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_stepped_over_and_told),
        cmocka_unit_test(a_passing_failure_loses_nothing),
        cmocka_unit_test(what_is_gone_is_told),
        cmocka_unit_test(a_reader_ends_with_its_topic_and_the_next_of_the_name_has_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

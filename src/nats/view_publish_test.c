// Tests of what is done with messages that are published to topics: where they go, what is refused.
// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "broker/state.h"
#include "nats/nats_fixture.h"
#include "record/batch.h"

static void come_in(struct peer *p)
{
    peer_send(p, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB r 1\r\nPING\r\n");
    peer_expect(p, "PONG");
}

/* Publishes these header lines ("A: b\r\n...") and this payload to a subject. */
static void publish(struct peer *p, const char *subject, const char *lines, const char *payload)
{
    char text[1024];
    size_t head = strlen("NATS/1.0\r\n") + strlen(lines) + 2;
    snprintf(text, sizeof(text), "HPUB %s %zu %zu\r\nNATS/1.0\r\n%s\r\n%s\r\n", subject, head,
             head + strlen(payload), lines, payload);
    peer_send(p, text);
}

/* The PubAck, or the error in its place, holds these words. */
static void assert_answer(struct peer *p, const char *words)
{
    const char *line = peer_line_of(p, p->fd);
    assert_true(line && strncmp(line, "MSG r 1 ", 8) == 0);
    line = peer_line_of(p, p->fd);
    if (!line || !strstr(line, words))
        fail_msg("'%s' lacks '%s'", line ? line : "(closed)", words);
}

static void assert_published(struct peer *p, const char *lines, const char *words)
{
    publish(p, "kafka.t r", lines, "x");
    assert_answer(p, words);
}

static int32_t partition_of_key(const char *key, int32_t count)
{
    return (int32_t)((hash_murmur2(slice_text(key)) & INT32_MAX) % (uint32_t)count);
}

static void the_key_chooses_the_partition(void **state)
{
    static const char *const keys[] = {"ann", "bob", "a much longer key", "0", "kafka.t.0"};
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 5, NULL);
    come_in(p);
    bool seen[5] = {false};
    unsigned count = 0;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char lines[64], words[64];
        int32_t partition = partition_of_key(keys[i], 5);
        snprintf(lines, sizeof(lines), "Leat-Key: %s\r\n", keys[i]);
        snprintf(words, sizeof(words), "\"partition\":%d,", partition);
        assert_published(p, lines, words);
        count += !seen[partition];
        seen[partition] = true;
    }
    assert_true(count > 1);
    char words[64];
    snprintf(words, sizeof(words), "\"partition\":%d,", partition_of_key("ann", 5));
    assert_published(p, "Leat-Key-Base64: YW5u\r\n", words);
    /* Without a key all of a connection go to one. */
    publish(p, "kafka.t r", "", "x");
    (void)peer_line_of(p, p->fd);
    const char *place = strstr(peer_line_of(p, p->fd), "\"partition\":");
    assert_non_null(place);
    snprintf(words, sizeof(words), "%.14s", place);
    for (unsigned i = 0; i < 3; i++)
        assert_published(p, "", words);
    peer_free(p);
}

static void what_topics_cannot_do_is_refused(void **state)
{
    static const char *const lines[] = {
        "Nats-Msg-Id: 1\r\n",       "Nats-Expected-Last-Sequence: 1\r\n",
        "Nats-Rollup: sub\r\n",     "Nats-TTL: 1s\r\n",
        "Leat-Size: 5\r\n",         "Leat-Colour: blue\r\n",
        "Leat-Timestamp: soon\r\n", "Leat-Value: null\r\n",
        "Leat-Key-Base64: ###\r\n", "Leat-Key: a\r\nLeat-Key: b\r\n",
        "Leat-Header: nocolon\r\n",
    };
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 1, NULL);
    come_in(p);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_published(p, lines[i], "\"code\":400,");
    /* Nothing of it was appended, and a good one still is. */
    assert_published(p, "Leat-Offset: 9\r\nA: b\r\n", "\"seq\":1,");
    publish(p, "kafka.t", "Nats-Rollup: all\r\n", "x");
    const char *line = peer_line_of(p, p->fd);
    assert_true(line && strstr(line, "Permissions Violation for Publish to \"kafka.t\"") &&
                strstr(line, "Nats-Rollup"));
    peer_free(p);
}

static void subjects_that_take_nothing_are_refused(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 1, NULL);
    come_in(p);
    publish(p, "kafka.t.0 r", "", "x");
    assert_answer(p, "records are published to the subject of their topic");
    publish(p, "kafka r", "", "x"); /* an ordinary subject: nobody answers */
    publish(p, "kafka.__consumer_offsets r", "", "x");
    assert_answer(p, "names of internal topics are reserved");
    publish(p, "kafka.new r", "", "x");
    assert_answer(p, "{\"stream\":\"new\",\"seq\":1,\"partition\":0,\"offset\":0}");
    peer_free(p);
}

static void without_topics(struct peer *p)
{
    p->settings.auto_create_topics_enable = false;
}

static void unknown_topics_follow_the_setting(void **state)
{
    struct peer *p = peer_new(without_topics);
    come_in(p);
    publish(p, "kafka.new r", "", "x");
    assert_answer(p, "\"code\":404,");
    assert_null(broker_topic_find(p->core, SLICE_LITERAL("new")));
    peer_free(p);
}

/* The attributes of the newest batch in the log. */
static uint16_t newest_attributes(struct peer *p, const char *topic)
{
    struct batch_header header;
    const struct broker_topic *found = broker_topic_find(p->core, slice_text(topic));
    assert_non_null(found);
    struct store_log *log = broker_partition_at(found, 0)->log;
    assert_true(log && log->count > 0);
    const struct fixture_batch *batch = &log->batches[log->count - 1];
    assert_int_equal(batch_header_read(slice_make(batch->bytes, batch->size), &header), ERR_OK);
    return header.attributes;
}

static void what_was_delivered_at_once_is_marked(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 1, "orders.>");
    come_in(p);
    publish(p, "orders.1 r", "", "x");
    assert_answer(p, "\"stream\":\"t\",\"seq\":1,");
    assert_int_equal(newest_attributes(p, "t") & BATCH_DELIVERED, BATCH_DELIVERED);
    assert_published(p, "Leat-Key: orders.1\r\n", "\"seq\":2,");
    assert_int_equal(newest_attributes(p, "t") & BATCH_DELIVERED, 0);
    publish(p, "orders.1 r", "Leat-Subject: orders.2\r\n", "x");
    assert_answer(p, "names another subject");
    peer_free(p);
}

static void a_failed_append_is_told_to_who_asked_and_who_did_not(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 1, NULL);
    come_in(p);
    atomic_store(&p->store.is_failing, true);
    assert_published(p, "", "\"err_code\":10077,");
    publish(p, "kafka.t", "", "x");
    const char *line = peer_line_of(p, p->fd);
    assert_true(line && strstr(line, "-ERR 'Permissions Violation for Publish to \"kafka.t\""));
    atomic_store(&p->store.is_failing, false);
    assert_published(p, "", "\"seq\":1,");
    peer_free(p);
}

/* A time beyond what the topic takes fails alone, although it came with others. */
static void a_wrong_time_costs_one_message(void **state)
{
    struct peer *p = peer_new(NULL);
    peer_create(p, "t", 1, NULL);
    come_in(p);
    peer_send(p, "PUB kafka.t r 1\r\na\r\n"
                 "HPUB kafka.t r 44 45\r\nNATS/1.0\r\nLeat-Timestamp: 99999999999999\r\n\r\nb\r\n"
                 "PUB kafka.t r 1\r\nc\r\n");
    unsigned seen[3] = {0}; /* errors come at once, the others when they are durable */
    for (unsigned i = 0; i < 3; i++) {
        static const char *const words[] = {"message.timestamp", "\"seq\":1,", "\"seq\":2,"};
        (void)peer_line_of(p, p->fd);
        const char *line = peer_line_of(p, p->fd);
        for (unsigned k = 0; line && k < 3; k++)
            seen[k] += strstr(line, words[k]) != NULL;
    }
    assert_true(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_chooses_the_partition),
        cmocka_unit_test(what_topics_cannot_do_is_refused),
        cmocka_unit_test(subjects_that_take_nothing_are_refused),
        cmocka_unit_test(unknown_topics_follow_the_setting),
        cmocka_unit_test(what_was_delivered_at_once_is_marked),
        cmocka_unit_test(a_failed_append_is_told_to_who_asked_and_who_did_not),
        cmocka_unit_test(a_wrong_time_costs_one_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// A client on a librdkafka that speaks the newer group protocol: does one task against a broker.
// SPDX-License-Identifier: Apache-2.0
#include <rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_S = 120, RECORDS = 1200, PARTITIONS = 6, MEMBERS_MAX = 3 };

struct talk {
    const char *broker;
    char topic[64];
    time_t deadline;
};

/* A consumer, and which records it has read. */
struct member {
    rd_kafka_t *client;
    char name[32];
    int held; /* partitions */
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

static time_t now_s(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now))
        fail("no clock");
    return now.tv_sec;
}

static void expect(rd_kafka_resp_err_t code, const char *what)
{
    if (code)
        fail("%s: %s", what, rd_kafka_err2name(code));
}

static rd_kafka_t *client_open(const struct talk *talk, rd_kafka_type_t type,
                               const char *const *settings)
{
    char words[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", talk->broker, words, sizeof(words)))
        fail("%s", words);
    for (; *settings; settings += 2)
        if (rd_kafka_conf_set(conf, settings[0], settings[1], words, sizeof(words)))
            fail("%s", words);
    rd_kafka_t *client = rd_kafka_new(type, conf, words, sizeof(words));
    if (!client)
        fail("%s", words);
    return client;
}

static void topic_make(rd_kafka_t *client, const char *name, int partitions)
{
    char words[512];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, words, sizeof(words));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_S * 1000);
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    if (count != 1)
        fail("no answer for the topic");
    expect(rd_kafka_topic_result_error(results[0]), "create topic");
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

/* Number n goes to partition n % PARTITIONS. */
static void records_send(const struct talk *talk, rd_kafka_t *producer, int first, int next)
{
    for (int n = first; n < next; n++)
        expect(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(talk->topic),
                                 RD_KAFKA_V_PARTITION(n % PARTITIONS),
                                 RD_KAFKA_V_VALUE(&n, sizeof(n)),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
               "produce");
    expect(rd_kafka_flush(producer, DEADLINE_S * 1000), "flush");
}

static void member_open(const struct talk *talk, struct member *member, const char *subscription)
{
    const char *settings[] = {"group.id",
                              talk->topic,
                              "group.protocol",
                              "consumer",
                              "auto.offset.reset",
                              "earliest",
                              "enable.auto.commit",
                              "false",
                              "topic.metadata.refresh.interval.ms",
                              "500",
                              member->name[0] ? "group.instance.id" : NULL,
                              member->name,
                              NULL};
    member->client = client_open(talk, RD_KAFKA_CONSUMER, settings);
    rd_kafka_poll_set_consumer(member->client);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, subscription, RD_KAFKA_PARTITION_UA);
    expect(rd_kafka_subscribe(member->client, topics), "subscribe");
    rd_kafka_topic_partition_list_destroy(topics);
}

static void member_close(struct member *member)
{
    expect(rd_kafka_consumer_close(member->client), "close");
    rd_kafka_destroy(member->client);
    member->client = NULL;
    member->held = 0;
}

/* One look; a record it reads is counted. */
static void member_turn(struct member *member, int *seen)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(member->client, 20);
    if (message && !message->err && message->len == sizeof(int)) {
        int number;
        memcpy(&number, message->payload, sizeof(number));
        if (number >= 0 && number < RECORDS)
            seen[number]++;
    }
    if (message)
        rd_kafka_message_destroy(message);
    rd_kafka_topic_partition_list_t *held;
    expect(rd_kafka_assignment(member->client, &held), "assignment");
    member->held = held->cnt;
    rd_kafka_topic_partition_list_destroy(held);
}

static bool all_seen(const int *seen, int count)
{
    for (int i = 0; i < count; i++)
        if (seen[i] == 0)
            return false;
    return true;
}

/* Until they hold so many each, and have read the first count records. */
static void settle(const struct talk *talk, struct member *members, int member_count, int each,
                   int *seen, int count)
{
    for (;;) {
        bool done = all_seen(seen, count);
        for (int i = 0; i < member_count; i++) {
            member_turn(&members[i], seen);
            done = done && members[i].held == each;
        }
        if (done)
            return;
        if (now_s() > talk->deadline)
            fail("%d members do not hold %d each, or not all %d records came", member_count, each,
                 count);
    }
}

static void share_out(const struct talk *talk)
{
    static int seen[RECORDS];
    const char *none[] = {NULL};
    struct member members[MEMBERS_MAX] = {{0}};
    rd_kafka_t *producer = client_open(talk, RD_KAFKA_PRODUCER, none);
    topic_make(producer, talk->topic, PARTITIONS);
    records_send(talk, producer, 0, RECORDS / 2);
    member_open(talk, &members[0], talk->topic);
    settle(talk, members, 1, 6, seen, RECORDS / 2);
    expect(rd_kafka_commit(members[0].client, NULL, 0), "commit");
    member_open(talk, &members[1], talk->topic);
    settle(talk, members, 2, 3, seen, RECORDS / 2);
    member_open(talk, &members[2], talk->topic);
    settle(talk, members, 3, 2, seen, RECORDS / 2);
    records_send(talk, producer, RECORDS / 2, RECORDS);
    settle(talk, members, 3, 2, seen, RECORDS);
    for (int i = 0; i < MEMBERS_MAX; i++)
        expect(rd_kafka_commit(members[i].client, NULL, 0), "commit of a member");
    for (int i = RECORDS / 2; i < RECORDS; i++)
        if (seen[i] != 1)
            fail("record %d came %d times", i, seen[i]);
    member_close(&members[0]);
    settle(talk, members + 1, 2, 3, seen, RECORDS);
    member_close(&members[1]);
    member_close(&members[2]);
    rd_kafka_destroy(producer);
}

static void expression(const struct talk *talk)
{
    static int seen[RECORDS];
    char name[128];
    char pattern[128];
    const char *none[] = {NULL};
    struct member member = {0};
    rd_kafka_t *admin = client_open(talk, RD_KAFKA_PRODUCER, none);
    snprintf(name, sizeof(name), "%s-x1", talk->topic);
    topic_make(admin, name, 2);
    snprintf(name, sizeof(name), "%s-y", talk->topic);
    topic_make(admin, name, 2);
    snprintf(pattern, sizeof(pattern), "^%s-x[0-9]+$", talk->topic);
    member_open(talk, &member, pattern);
    settle(talk, &member, 1, 2, seen, 0);
    snprintf(name, sizeof(name), "%s-x22", talk->topic);
    topic_make(admin, name, 3);
    settle(talk, &member, 1, 5, seen, 0);
    member_close(&member);
    rd_kafka_destroy(admin);
}

/* A static member that closes and comes back has what it had, and the others keep theirs. */
static void instance(const struct talk *talk)
{
    static int seen[RECORDS];
    const char *none[] = {NULL};
    struct member members[2] = {{.name = "one"}, {.name = "two"}};
    rd_kafka_t *admin = client_open(talk, RD_KAFKA_PRODUCER, none);
    topic_make(admin, talk->topic, 4);
    member_open(talk, &members[0], talk->topic);
    member_open(talk, &members[1], talk->topic);
    settle(talk, members, 2, 2, seen, 0);
    member_close(&members[0]);
    settle(talk, members + 1, 1, 2, seen, 0);
    member_open(talk, &members[0], talk->topic);
    settle(talk, members, 2, 2, seen, 0);
    member_close(&members[0]);
    member_close(&members[1]);
    rd_kafka_destroy(admin);
}

int main(int argument_count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(const struct talk *talk);
    } tasks[] = {{"share-out", share_out}, {"expression", expression}, {"instance", instance}};
    if (argument_count != 3)
        fail("usage: groups_rdkafka BROKER TASK");
    struct talk talk = {.broker = arguments[1], .deadline = now_s() + DEADLINE_S};
    snprintf(talk.topic, sizeof(talk.topic), "next-%s-%d", arguments[2], (int)getpid());
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        if (strcmp(tasks[i].name, arguments[2]) == 0) {
            tasks[i].run(&talk);
            printf("ok\n");
            return 0;
        }
    }
    fail("no task %s", arguments[2]);
}

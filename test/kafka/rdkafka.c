// A client on librdkafka: does one task against a broker and says what went wrong.
// SPDX-License-Identifier: Apache-2.0
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_MS = 60000, RECORD_COUNT = 2000 };

struct talk {
    const char *broker;
    char topic[64];
    char words[512];
    int delivered;
    int failed;
};

/* Ends the program with the words; 1 is failure. */
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

static void expect(rd_kafka_resp_err_t code, const char *what)
{
    if (code)
        fail("%s: %s", what, rd_kafka_err2name(code));
}

static void count_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct talk *talk = opaque;
    if (message->err) {
        talk->failed++;
        printf("delivery: %s\n", rd_kafka_err2name(message->err));
    } else {
        talk->delivered++;
    }
}

/* settings: name, value, name, value, NULL. */
static rd_kafka_t *open_client(struct talk *talk, rd_kafka_type_t type, const char *const *settings)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char *words = talk->words;
    size_t size = sizeof(talk->words);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", talk->broker, words, size))
        fail("%s", words);
    for (; *settings; settings += 2)
        if (rd_kafka_conf_set(conf, settings[0], settings[1], words, size))
            fail("%s", words);
    rd_kafka_conf_set_opaque(conf, talk);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, count_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, words, size);
    if (!client)
        fail("%s", words);
    if (type == RD_KAFKA_CONSUMER)
        rd_kafka_poll_set_consumer(client);
    return client;
}

static rd_kafka_t *open_producer(struct talk *talk, const char *codec, const char *idempotent)
{
    const char *settings[] = {"compression.codec",
                              codec,
                              "enable.idempotence",
                              idempotent,
                              "message.timeout.ms",
                              "60000",
                              NULL};
    return open_client(talk, RD_KAFKA_PRODUCER, settings);
}

static rd_kafka_t *open_consumer(struct talk *talk)
{
    const char *settings[] = {"group.id",
                              talk->topic,
                              "auto.offset.reset",
                              "earliest",
                              "enable.auto.commit",
                              "false",
                              "check.crcs",
                              "true",
                              NULL};
    return open_client(talk, RD_KAFKA_CONSUMER, settings);
}

/* Waits for the answer to an administration call; the caller destroys it. */
static rd_kafka_event_t *take_event(rd_kafka_queue_t *queue, const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEADLINE_MS);
    if (!event)
        fail("%s: no answer", what);
    if (rd_kafka_event_error(event))
        fail("%s: %s", what, rd_kafka_event_error_string(event));
    return event;
}

static void expect_topic(const rd_kafka_topic_result_t **results, size_t count, const char *what)
{
    if (count != 1)
        fail("%s: %zu results", what, count);
    expect(rd_kafka_topic_result_error(results[0]), what);
}

static void create_topic(struct talk *talk, rd_kafka_t *client, int partitions)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(talk->topic, partitions, 1, talk->words, sizeof(talk->words));
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = take_event(queue, "CreateTopics");
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    expect_topic(results, count, "CreateTopics");
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

static void fill(struct talk *talk, rd_kafka_t *producer, int partitions, int count)
{
    talk->delivered = 0;
    for (int i = 0; i < count; i++) {
        char value[32];
        int size = snprintf(value, sizeof(value), "%d", i);
        expect(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(talk->topic),
                                 RD_KAFKA_V_PARTITION(i % partitions),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_VALUE(value, (size_t)size), RD_KAFKA_V_END),
               "produce");
        rd_kafka_poll(producer, 0);
    }
    expect(rd_kafka_flush(producer, DEADLINE_MS), "flush");
    if (talk->delivered != count || talk->failed)
        fail("%d of %d delivered, %d failed", talk->delivered, count, talk->failed);
}

static void assign(rd_kafka_t *consumer, const char *topic, int partitions, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = offset;
    expect(rd_kafka_assign(consumer, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
}

static rd_kafka_message_t *take_message(rd_kafka_t *consumer)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, DEADLINE_MS);
    if (!message)
        fail("no record came");
    if (message->err)
        fail("consume: %s", rd_kafka_message_errstr(message));
    return message;
}

/* Every partition holds its share of the numbers that fill() made, in order. */
static void expect_filled(rd_kafka_t *consumer, int partitions, int count)
{
    int64_t next[8] = {0};
    for (int i = 0; i < count; i++) {
        rd_kafka_message_t *message = take_message(consumer);
        char text[24] = {0};
        if (message->len >= sizeof(text))
            fail("a record of %zu bytes", message->len);
        memcpy(text, message->payload, message->len);
        int64_t number = strtoll(text, NULL, 10);
        int64_t wanted = next[message->partition] * partitions + message->partition;
        if (message->offset != next[message->partition] || number != wanted)
            fail("partition %d, offset %lld: %lld instead of %lld", message->partition,
                 (long long)message->offset, (long long)number, (long long)wanted);
        next[message->partition]++;
        rd_kafka_message_destroy(message);
    }
}

/* --- the tasks -------------------------------------------------------------------------------- */

static void task_round_trip(struct talk *talk)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    char stem[sizeof(talk->topic)];
    snprintf(stem, sizeof(stem), "%s", talk->topic);
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        snprintf(talk->topic, sizeof(talk->topic), "%.40s-%s", stem, codecs[i]);
        rd_kafka_t *producer = open_producer(talk, codecs[i], "false");
        create_topic(talk, producer, 4);
        fill(talk, producer, 4, RECORD_COUNT);
        rd_kafka_t *consumer = open_consumer(talk);
        assign(consumer, talk->topic, 4, RD_KAFKA_OFFSET_BEGINNING);
        expect_filled(consumer, 4, RECORD_COUNT);
        rd_kafka_consumer_close(consumer);
        rd_kafka_destroy(consumer);
        rd_kafka_destroy(producer);
    }
}

static void expect_header(rd_kafka_headers_t *headers, size_t index, const char *name,
                          const char *value)
{
    const char *got_name;
    const void *got;
    size_t size;
    expect(rd_kafka_header_get_all(headers, index, &got_name, &got, &size), "header");
    bool same = value ? got && size == strlen(value) && memcmp(got, value, size) == 0 : !got;
    if (strcmp(name, got_name) || !same)
        fail("header %zu is %s, %zu bytes", index, got_name, size);
}

static void task_headers(struct talk *talk)
{
    rd_kafka_t *producer = open_producer(talk, "none", "false");
    create_topic(talk, producer, 1);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
    rd_kafka_header_add(headers, "twice", -1, "one", -1);
    rd_kafka_header_add(headers, "twice", -1, "two", -1);
    rd_kafka_header_add(headers, "empty", -1, "", 0);
    rd_kafka_header_add(headers, "null", -1, NULL, 0);
    expect(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(talk->topic), RD_KAFKA_V_KEY("", 0),
                             RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
           "produce");
    expect(rd_kafka_flush(producer, DEADLINE_MS), "flush");
    rd_kafka_t *consumer = open_consumer(talk);
    assign(consumer, talk->topic, 1, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_message_t *message = take_message(consumer);
    if (message->payload || !message->key || message->key_len)
        fail("the value is not null or the key not empty");
    rd_kafka_headers_t *got;
    expect(rd_kafka_message_headers(message, &got), "headers");
    if (rd_kafka_header_cnt(got) != 4)
        fail("%zu headers", rd_kafka_header_cnt(got));
    expect_header(got, 0, "twice", "one");
    expect_header(got, 1, "twice", "two");
    expect_header(got, 2, "empty", "");
    expect_header(got, 3, "null", NULL);
    rd_kafka_message_destroy(message);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
}

static void task_idempotent(struct talk *talk)
{
    rd_kafka_t *producer = open_producer(talk, "lz4", "true");
    create_topic(talk, producer, 3);
    fill(talk, producer, 3, RECORD_COUNT);
    rd_kafka_t *consumer = open_consumer(talk);
    assign(consumer, talk->topic, 3, RD_KAFKA_OFFSET_BEGINNING);
    expect_filled(consumer, 3, RECORD_COUNT);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
}

static void expect_range(struct talk *talk, rd_kafka_t *client, int64_t low, int64_t high)
{
    int64_t got_low, got_high;
    expect(
        rd_kafka_query_watermark_offsets(client, talk->topic, 0, &got_low, &got_high, DEADLINE_MS),
        "watermarks");
    if (got_low != low || got_high != high)
        fail("from %lld to %lld", (long long)got_low, (long long)got_high);
}

static void task_delete_records(struct talk *talk)
{
    rd_kafka_t *producer = open_producer(talk, "none", "false");
    create_topic(talk, producer, 1);
    fill(talk, producer, 1, 100);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, talk->topic, 0)->offset = 40;
    rd_kafka_DeleteRecords_t *order = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer);
    rd_kafka_DeleteRecords(producer, &order, 1, NULL, queue);
    rd_kafka_event_t *event = take_event(queue, "DeleteRecords");
    const rd_kafka_topic_partition_list_t *done =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    expect(done->elems[0].err, "DeleteRecords");
    if (done->elems[0].offset != 40)
        fail("low watermark %lld", (long long)done->elems[0].offset);
    expect_range(talk, producer, 40, 100);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(order);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(producer);
}

static void describe(rd_kafka_t *client, const char *topic, const char *name, const char *value)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = take_event(queue, "DescribeConfigs");
    size_t count;
    const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    expect(rd_kafka_ConfigResource_error(found[0]), "DescribeConfigs");
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found[0], &count);
    const char *got = NULL;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), name))
            got = rd_kafka_ConfigEntry_value(entries[i]);
    if (!got || strcmp(got, value))
        fail("%s is %s, not %s", name, got ? got : "missing", value);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
}

static void grow(struct talk *talk, rd_kafka_t *client, size_t partitions)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(talk->topic, partitions, talk->words, sizeof(talk->words));
    rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
    rd_kafka_event_t *event = take_event(queue, "CreatePartitions");
    size_t count;
    expect_topic(rd_kafka_CreatePartitions_result_topics(
                     rd_kafka_event_CreatePartitions_result(event), &count),
                 1, "CreatePartitions");
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(more);
    rd_kafka_queue_destroy(queue);
}

static int partition_count(struct talk *talk, rd_kafka_t *client)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, talk->topic, NULL);
    expect(rd_kafka_metadata(client, 0, topic, &metadata, DEADLINE_MS), "metadata");
    int count = metadata->topics[0].err ? -1 : metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    return count;
}

static void task_admin(struct talk *talk)
{
    rd_kafka_t *client = open_producer(talk, "none", "false");
    create_topic(talk, client, 2);
    describe(client, talk->topic, "retention.ms", "604800000");
    grow(talk, client, 5);
    if (partition_count(talk, client) != 5)
        fail("%d partitions instead of 5", partition_count(talk, client));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *order = rd_kafka_DeleteTopic_new(talk->topic);
    rd_kafka_DeleteTopics(client, &order, 1, NULL, queue);
    rd_kafka_event_t *event = take_event(queue, "DeleteTopics");
    size_t count;
    expect_topic(
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count), 1,
        "DeleteTopics");
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(order);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

static void task_offsets(struct talk *talk)
{
    rd_kafka_t *producer = open_producer(talk, "none", "false");
    create_topic(talk, producer, 1);
    expect_range(talk, producer, 0, 0);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t first_ms = (int64_t)now.tv_sec * 1000 - 100000;
    for (int i = 0; i < 10; i++)
        expect(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(talk->topic),
                                 RD_KAFKA_V_TIMESTAMP(first_ms + i * 1000),
                                 RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_END),
               "produce");
    expect(rd_kafka_flush(producer, DEADLINE_MS), "flush");
    expect_range(talk, producer, 0, 10);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, talk->topic, 0)->offset = first_ms + 3500;
    expect(rd_kafka_offsets_for_times(producer, list, DEADLINE_MS), "offsets for times");
    if (list->elems[0].err || list->elems[0].offset != 4)
        fail("offset %lld for the time of 4", (long long)list->elems[0].offset);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(producer);
}

static void task_group(struct talk *talk)
{
    rd_kafka_t *producer = open_producer(talk, "none", "true");
    create_topic(talk, producer, 4);
    fill(talk, producer, 4, 400);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, talk->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_t *consumer = open_consumer(talk);
    expect(rd_kafka_subscribe(consumer, list), "subscribe");
    expect_filled(consumer, 4, 400);
    expect(rd_kafka_commit(consumer, NULL, 0), "commit");
    expect(rd_kafka_consumer_close(consumer), "close");
    rd_kafka_destroy(consumer);
    rd_kafka_topic_partition_list_destroy(list);

    list = rd_kafka_topic_partition_list_new(4);
    for (int i = 0; i < 4; i++)
        rd_kafka_topic_partition_list_add(list, talk->topic, i);
    consumer = open_consumer(talk);
    expect(rd_kafka_committed(consumer, list, DEADLINE_MS), "committed");
    for (int i = 0; i < 4; i++)
        if (list->elems[i].offset != 100)
            fail("committed %lld of partition %d", (long long)list->elems[i].offset, i);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
}

static const struct task {
    const char *name;
    void (*run)(struct talk *talk);
} tasks[] = {
    {"round-trip", task_round_trip}, {"headers", task_headers},
    {"idempotent", task_idempotent}, {"delete-records", task_delete_records},
    {"admin", task_admin},           {"offsets", task_offsets},
    {"group", task_group},
};

int main(int argument_count, char **arguments)
{
    if (argument_count != 3)
        fail("usage: talk_rdkafka_client HOST:PORT TASK");
    struct talk talk = {.broker = arguments[1]};
    snprintf(talk.topic, sizeof(talk.topic), "c-%.40s", arguments[2]);
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        if (strcmp(arguments[2], tasks[i].name))
            continue;
        tasks[i].run(&talk);
        printf("%s: done\n", tasks[i].name);
        return 0;
    }
    fail("no task is called %s", arguments[2]);
}

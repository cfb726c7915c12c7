// An idempotent producer, with transactions or without.
// SPDX-License-Identifier: Apache-2.0
#include "bench/transactions.h"

#include <poll.h>
#include <stdlib.h>

#include "bench/frames.h"
#include "bench/link.h"
#include "bench/stats.h"
#include "record/batch.h"
#include "wire/kafka_add_partitions_to_txn.h"
#include "wire/kafka_apis.h"
#include "wire/kafka_end_txn.h"
#include "wire/kafka_find_coordinator.h"
#include "wire/kafka_init_producer_id.h"

#define FIND_VERSION            1
#define FIND_TRANSACTIONS       1
#define INIT_VERSION            1
#define ADD_VERSION             1
#define END_VERSION             1
#define ATTRIBUTE_TRANSACTIONAL 0x10
#define TRIES_MAX               30000
#define TIMEOUT_MS              60000
#define PARTITION_HEAD_SIZE     8
#define CORRELATION_END         4
#define TRANSACTIONAL_ID        "bench"

/* Codes that mean: ask again. */
#define COORDINATOR_LOADING       14
#define COORDINATOR_NOT_AVAILABLE 15
#define CONCURRENT_TRANSACTIONS   51

struct exact {
    const struct options *options;
    struct link link;
    struct arena arena;
    struct frames_produce produce;
    struct batch_header header;
    uint64_t *sent_ns; /* by id % in_flight */
    uint32_t id_send;
    uint32_t id_answer;
    int32_t sequence;
    struct stats_run run;
};

static bool is_transactional(const struct exact *exact)
{
    return exact->options->transaction_ms > 0;
}

/* Decodes one answer; its error code. */
typedef int (*code_fn)(struct exact *exact, struct slice body);

/* Sends the request that w has until it is answered without an error that passes. */
static void ask(struct exact *exact, struct wire_writer *w, code_fn code_of, const char *what)
{
    struct frames_bytes frame = frames_end(w);
    int code = 0;
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        arena_reset(&exact->arena);
        struct slice body = link_call(&exact->link, frame.bytes, frame.size);
        code = body.data ? code_of(exact, body) : FRAMES_MALFORMED;
        if (code != COORDINATOR_LOADING && code != COORDINATOR_NOT_AVAILABLE &&
            code != CONCURRENT_TRANSACTIONS)
            break;
        poll(NULL, 0, 1);
    }
    if (code)
        stats_die_of("%s: %s (%d)", what, frames_error_name(code), code);
    free(frame.bytes);
}

static int find_code(struct exact *exact, struct slice body)
{
    struct kafka_find_coordinator_response response;
    if (kafka_find_coordinator_response_decode(body, FIND_VERSION, &exact->arena, &response))
        return FRAMES_MALFORMED;
    return response.error_code;
}

static void find_coordinator(struct exact *exact)
{
    struct kafka_find_coordinator_request request;
    kafka_find_coordinator_request_init(&request);
    request.key = SLICE_LITERAL(TRANSACTIONAL_ID);
    request.key_type = FIND_TRANSACTIONS;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_FIND_COORDINATOR, FIND_VERSION);
    kafka_find_coordinator_request_encode(&request, FIND_VERSION, &w);
    ask(exact, &w, find_code, "FindCoordinator");
}

static int init_code(struct exact *exact, struct slice body)
{
    struct kafka_init_producer_id_response response;
    if (kafka_init_producer_id_response_decode(body, INIT_VERSION, &exact->arena, &response))
        return FRAMES_MALFORMED;
    exact->header.producer_id = response.producer_id;
    exact->header.producer_epoch = response.producer_epoch;
    return response.error_code;
}

static void producer_init(struct exact *exact)
{
    struct kafka_init_producer_id_request request;
    kafka_init_producer_id_request_init(&request);
    if (is_transactional(exact))
        request.transactional_id = SLICE_LITERAL(TRANSACTIONAL_ID);
    request.transaction_timeout_ms = TIMEOUT_MS;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_INIT_PRODUCER_ID, INIT_VERSION);
    kafka_init_producer_id_request_encode(&request, INIT_VERSION, &w);
    ask(exact, &w, init_code, "InitProducerId");
}

static int add_code(struct exact *exact, struct slice body)
{
    struct kafka_add_partitions_to_txn_response response;
    if (kafka_add_partitions_to_txn_response_decode(body, ADD_VERSION, &exact->arena, &response) ||
        response.results_by_topic_v3_and_below_count != 1)
        return FRAMES_MALFORMED;
    const struct kafka_add_partitions_to_txn_response_topic *topic =
        &response.results_by_topic_v3_and_below[0];
    for (size_t i = 0; i < topic->results_by_partition_count; i++) {
        if (topic->results_by_partition[i].partition_error_code)
            return topic->results_by_partition[i].partition_error_code;
    }
    return 0;
}

static void transaction_begin(struct exact *exact)
{
    size_t count = exact->options->partitions;
    struct kafka_add_partitions_to_txn_request_topic topic;
    kafka_add_partitions_to_txn_request_topic_init(&topic);
    topic.name = slice_text(exact->options->topic);
    topic.partitions = calloc(count, sizeof(*topic.partitions));
    topic.partitions_count = count;
    if (!topic.partitions)
        stats_die("calloc");
    for (size_t i = 0; i < count; i++)
        topic.partitions[i] = (int32_t)i;
    struct kafka_add_partitions_to_txn_request request;
    kafka_add_partitions_to_txn_request_init(&request);
    request.v3_and_below_transactional_id = SLICE_LITERAL(TRANSACTIONAL_ID);
    request.v3_and_below_producer_id = exact->header.producer_id;
    request.v3_and_below_producer_epoch = exact->header.producer_epoch;
    request.v3_and_below_topics = &topic;
    request.v3_and_below_topics_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_ADD_PARTITIONS_TO_TXN, ADD_VERSION);
    kafka_add_partitions_to_txn_request_encode(&request, ADD_VERSION, &w);
    ask(exact, &w, add_code, "AddPartitionsToTxn");
    free(topic.partitions);
}

static int end_code(struct exact *exact, struct slice body)
{
    struct kafka_end_txn_response response;
    if (kafka_end_txn_response_decode(body, END_VERSION, &exact->arena, &response))
        return FRAMES_MALFORMED;
    return response.error_code;
}

static void transaction_end(struct exact *exact)
{
    struct kafka_end_txn_request request;
    kafka_end_txn_request_init(&request);
    request.transactional_id = SLICE_LITERAL(TRANSACTIONAL_ID);
    request.producer_id = exact->header.producer_id;
    request.producer_epoch = exact->header.producer_epoch;
    request.committed = true;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_END_TXN, END_VERSION);
    kafka_end_txn_request_encode(&request, END_VERSION, &w);
    ask(exact, &w, end_code, "EndTxn");
}

static void send_one(struct exact *exact)
{
    const struct frames_produce *produce = &exact->produce;
    frames_produce_patch(produce, produce->bytes, exact->id_send, 0);
    exact->header.base_sequence = exact->sequence;
    for (uint32_t i = 0; i < produce->spread; i++)
        batch_header_write(produce->bytes + produce->index_at + PARTITION_HEAD_SIZE +
                               i * produce->index_stride,
                           &exact->header);
    exact->sequence = (int32_t)(((uint32_t)exact->sequence + produce->batch_records) & INT32_MAX);
    exact->sent_ns[exact->id_send++ % exact->options->in_flight] = stats_now_ns();
    if (!link_send(&exact->link, produce->bytes, produce->size))
        stats_die_of("the server closed the connection");
}

static void take_one(struct exact *exact)
{
    struct slice frame;
    while (!(frame = link_frame(&exact->link, 0, NULL)).data) {
        if (link_read(&exact->link, LINK_READ_SIZE) <= 0)
            stats_die_of("no answer to Produce");
    }
    arena_reset(&exact->arena);
    struct slice body = slice_make(frame.data + CORRELATION_END, frame.size - CORRELATION_END);
    const struct frames_produce *produce = &exact->produce;
    int code = frames_produce_check(body, produce->spread, &exact->arena, NULL);
    if (code)
        stats_die_of("Produce: %s (%d)", frames_error_name(code), code);
    link_take(&exact->link);
    uint64_t sent_ns = exact->sent_ns[exact->id_answer++ % exact->options->in_flight];
    stats_times_add(&exact->run.times, stats_now_ns() - sent_ns);
    exact->run.requests++;
    exact->run.bytes += produce->batch_size * produce->spread;
    exact->run.records += (uint64_t)produce->batch_records * produce->spread;
}

/* Until then requests are on their way, afterwards none. */
static void produce_until(struct exact *exact, uint64_t end_ns)
{
    while (stats_now_ns() < end_ns) {
        while (exact->id_send - exact->id_answer < exact->options->in_flight)
            send_one(exact);
        take_one(exact);
    }
    while (exact->id_answer != exact->id_send)
        take_one(exact);
}

static void exact_run(struct exact *exact)
{
    const struct options *options = exact->options;
    stats_run_start(&exact->run, (int)options->pid);
    uint64_t end_ns = exact->run.started_ns + options->seconds * 1000000000u;
    if (!is_transactional(exact))
        produce_until(exact, end_ns);
    while (is_transactional(exact) && stats_now_ns() < end_ns) {
        transaction_begin(exact);
        produce_until(exact, stats_now_ns() + options->transaction_ms * 1000000u);
        transaction_end(exact);
    }
    stats_run_end(&exact->run);
}

bool transactions_run(const struct options *options)
{
    if (strcmp(options->mode, "exact") != 0)
        return false;
    static struct exact exact;
    exact.options = options;
    arena_init(&exact.arena, 0);
    exact.sent_ns = calloc(options->in_flight, sizeof(*exact.sent_ns));
    if (!exact.sent_ns || !link_open(&exact.link, (uint16_t)options->port, true))
        stats_die("connect");
    struct frames_shape shape = {
        .topic = options->topic,
        .transactional_id = is_transactional(&exact) ? TRANSACTIONAL_ID : NULL,
        .spread = (uint32_t)options->partitions,
        .record_bytes = (uint32_t)options->record_bytes,
        .batch_bytes = (uint32_t)options->batch_bytes,
        .batch_records = (uint32_t)options->batch_records,
        .acks = -1,
    };
    exact.produce = frames_produce_new(&shape, 1);
    struct slice batch =
        slice_make(exact.produce.bytes + exact.produce.index_at + PARTITION_HEAD_SIZE,
                   exact.produce.batch_size);
    if (batch_header_read(batch, &exact.header) != ERR_OK)
        stats_die_of("a batch cannot be read back");
    if (is_transactional(&exact)) {
        exact.header.attributes |= ATTRIBUTE_TRANSACTIONAL;
        find_coordinator(&exact);
    }
    producer_init(&exact);
    exact_run(&exact);
    stats_run_print(&exact.run, options->json);
    return true;
}

// A listener of this room over a broker with logs in memory, and a client on the loopback.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/store_fixture.h"
#include "kafka/conn.h"
#include "kafka/error.h"
#include "kafka/kafka.h"
#include "kafka/state.h"
#include "record/build.h"
#include "wire/kafka_create_topics.h"
#include "wire/kafka_frame.h"
#include "wire/kafka_produce.h"

#define PEER_TURNS_MAX 20000

struct peer {
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    struct store store;
    struct broker_settings settings;
    struct broker *broker;
    struct kafka *kafka;
    struct listener *listener;
    struct arena arena; /* of what was received */
    int fd;
    int32_t correlation_id;
};

static inline void peer_connect(struct peer *p)
{
    struct sockaddr_storage address;
    int one = 1;
    listener_address(p->listener, &address);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->fd >= 0);
    assert_int_equal(setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
}

static inline void peer_listen(struct peer *p)
{
    struct diag diag;
    struct kafka_options options = {
        .broker = p->broker, .reactor = p->reactor, .data_dir = "/somewhere"};
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(kafka_open(&options, &p->kafka), ERR_OK);
    assert_int_equal(kafka_listen(p->kafka, &address, sizeof(*v4), &p->listener, &diag), ERR_OK);
}

static inline struct peer *peer_new(void)
{
    struct diag diag = {""};
    struct peer *p = calloc(1, sizeof(*p));
    signal(SIGPIPE, SIG_IGN);
    budget_init(&p->budget, 256 << 20);
    broker_settings_init(&p->settings);
    fixture_store_init(&p->store);
    arena_init(&p->arena, 0);
    struct reactor_options reactor = {
        .os = os_posix(), .budget = &p->budget, .core_count = 1, .buffers_keep_bytes = 4 << 20};
    assert_int_equal(reactor_open(&reactor, &p->reactor), ERR_OK);
    p->core = reactor_core(p->reactor, 0);
    p->store.reactor = p->reactor;
    struct broker_options broker = {
        .reactor = p->reactor, .store = &p->store, .os = os_posix(), .settings = &p->settings};
    if (broker_open(&broker, &p->broker, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
    peer_listen(p);
    peer_connect(p);
    return p;
}

/* Everything has been given back. */
static inline void peer_free(struct peer *p)
{
    close(p->fd);
    for (unsigned i = 0; i < 100; i++)
        core_run_once(p->core, 0);
    listener_close(p->listener);
    kafka_close(p->kafka);
    broker_close(p->broker);
    reactor_close(p->reactor);
    fixture_store_deinit(&p->store);
    arena_deinit(&p->arena);
    assert_int_equal(budget_used(&p->budget), 0);
    free(p);
}

static inline void peer_turn(struct peer *p)
{
    core_run_once(p->core, 1000000);
}

static inline uint64_t peer_rejected(struct peer *p)
{
    return metric_get(&kafka_core(p->core)->rejected);
}

/* --- bytes --- */

static inline void peer_send_bytes(struct peer *p, struct slice bytes)
{
    for (unsigned turns = 0; bytes.size > 0; turns++) {
        ssize_t sent = send(p->fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(sent > 0 || errno == EAGAIN);
        assert_true(turns < PEER_TURNS_MAX);
        if (sent > 0)
            bytes = slice_make(bytes.data + sent, bytes.size - (size_t)sent);
        peer_turn(p);
    }
}

/* False: the server has closed the connection. */
static inline bool peer_recv_bytes(struct peer *p, uint8_t *out, size_t size)
{
    size_t got = 0;
    for (unsigned turns = 0; got < size; turns++) {
        ssize_t part = recv(p->fd, out + got, size - got, MSG_DONTWAIT);
        if (part == 0 || (part < 0 && errno == ECONNRESET))
            return false;
        got += part > 0 ? (size_t)part : 0;
        assert_true(turns < PEER_TURNS_MAX);
        if (part < 0)
            peer_turn(p);
    }
    return true;
}

static inline bool peer_is_closed(struct peer *p)
{
    uint8_t byte;
    return !peer_recv_bytes(p, &byte, 1);
}

/* Nothing comes within some turns. */
static inline bool peer_is_silent(struct peer *p)
{
    uint8_t byte;
    for (unsigned i = 0; i < 20; i++) {
        peer_turn(p);
        if (recv(p->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0)
            return false;
    }
    return true;
}

/* --- requests and responses --- */

typedef void (*peer_encode_fn)(const void *request, int16_t version, struct wire_writer *w);
typedef enum err (*peer_decode_fn)(struct slice body, int16_t version, struct arena *arena,
                                   void *out);

static inline void peer_send(struct peer *p, int16_t key, int16_t version, peer_encode_fn encode,
                             const void *request)
{
    struct wire_writer w;
    const struct kafka_api *api = kafka_api_find(key);
    wire_writer_init_growing(&w);
    wire_writer_int32(&w, 0);
    wire_writer_int16(&w, key);
    wire_writer_int16(&w, version);
    wire_writer_int32(&w, ++p->correlation_id);
    wire_writer_string_plain(&w, SLICE_LITERAL("test"));
    w.flexible = kafka_api_request_header_version(api, version) == 2;
    wire_writer_tag_count(&w, 0);
    encode(request, version, &w);
    assert_int_equal(w.error, ERR_OK);
    be32_put(w.data, (uint32_t)w.size - 4);
    peer_send_bytes(p, wire_writer_output(&w));
    wire_writer_deinit(&w);
}

/* The next response's body; it is the one with that number. */
static inline struct slice peer_recv(struct peer *p, int16_t key, int16_t version, int32_t number)
{
    uint8_t length[4];
    assert_true(peer_recv_bytes(p, length, sizeof(length)));
    size_t size = be32_get(length);
    uint8_t *frame = arena_alloc(&p->arena, size);
    assert_true(peer_recv_bytes(p, frame, size));
    assert_int_equal((int32_t)be32_get(frame), number);
    size_t start = 4 + (size_t)kafka_api_response_header_version(kafka_api_find(key), version);
    return slice_make(frame + start, size - start);
}

static inline void peer_decode(struct peer *p, struct slice body, int16_t version,
                               peer_decode_fn decode, void *out)
{
    assert_int_equal(decode(body, version, &p->arena, out), ERR_OK);
}

#define PEER_ENCODE(name) ((peer_encode_fn)(void (*)(void))kafka_##name##_request_encode)
#define PEER_DECODE(name) ((peer_decode_fn)(void (*)(void))kafka_##name##_response_decode)

#define PEER_SEND(p, KEY, name, version, request)                                                  \
    peer_send(p, KAFKA_API_##KEY, version, PEER_ENCODE(name),                                      \
              1 ? (request) : (struct kafka_##name##_request *)0)
#define PEER_RECV(p, KEY, name, version, number, response)                                         \
    peer_decode(p, peer_recv(p, KAFKA_API_##KEY, version, number), version, PEER_DECODE(name),     \
                1 ? (response) : (struct kafka_##name##_response *)0)
#define PEER_ASK(p, KEY, name, version, request, response)                                         \
    do {                                                                                           \
        PEER_SEND(p, KEY, name, version, request);                                                 \
        PEER_RECV(p, KEY, name, version, (p)->correlation_id, response);                           \
    } while (0)

/* --- what most tests begin with --- */

static inline void peer_create(struct peer *p, const char *name, int32_t partitions)
{
    struct kafka_create_topics_request_topic topic = {
        .name = slice_text(name), .num_partitions = partitions, .replication_factor = 1};
    struct kafka_create_topics_request request = {.topics = &topic, .topics_count = 1};
    struct kafka_create_topics_response response;
    PEER_ASK(p, CREATE_TOPICS, create_topics, 7, &request, &response);
    assert_int_equal(response.topics_count, 1);
    assert_int_equal(response.topics[0].error_code, KAFKA_NONE);
}

/* A batch of one record with a value of size bytes, in the arena. */
static inline struct slice peer_batch(struct peer *p, size_t size)
{
    struct build build;
    struct codec_output out;
    uint8_t *value = calloc(1, size + 1);
    build_init(&build, 64 << 20);
    codec_output_init(&out, 64 << 20);
    struct build_record record = {.timestamp_ms = core_wall_ms(p->core),
                                  .value = slice_make(value, size)};
    assert_int_equal(build_add(&build, &record), ERR_OK);
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct slice batch = arena_copy(&p->arena, slice_make(out.data, out.size));
    build_deinit(&build);
    codec_output_deinit(&out);
    free(value);
    return batch;
}

/* A request with one batch for one partition; lives in the arena. */
static inline struct kafka_produce_request *peer_produce(struct peer *p, const char *topic,
                                                         int16_t acks, struct slice batch)
{
    struct kafka_produce_request *request = arena_alloc_array(&p->arena, 1, sizeof(*request));
    struct kafka_produce_request_topic *one = arena_alloc_array(&p->arena, 1, sizeof(*one));
    struct kafka_produce_request_partition *part = arena_alloc_array(&p->arena, 1, sizeof(*part));
    *part = (struct kafka_produce_request_partition){.records = batch};
    *one = (struct kafka_produce_request_topic){
        .name = slice_text(topic), .partition_data = part, .partition_data_count = 1};
    *request = (struct kafka_produce_request){
        .acks = acks, .timeout_ms = 1000, .topic_data = one, .topic_data_count = 1};
    return request;
}

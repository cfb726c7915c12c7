// One Kafka request on its way: decoded, handled, answered in the order of its connection.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "broker/broker.h"
#include "reactor/conn.h"
#include "wire/kafka_frame.h"

/* So many things are looked up at once for a request that asks for many. */
#define KAFKA_DESCRIBE_AT_ONCE 32

struct kafka_conn;

/* Lives on its connection's core from the arrival of the frame until the answer is queued (or, when
 * the connection has gone meanwhile, until its handler has answered). */
struct kafka_request {
    struct list node;        /* in the connection's order */
    struct kafka_conn *conn; /* NULL once the connection is gone */
    struct core *core;
    struct wire_kafka_frame frame;
    int16_t version;
    struct slice bytes;     /* the frame without its length; the frame's slices point into it */
    struct buf_range input; /* the same with a reference; buf may be NULL unless it may overlap */
    struct arena arena;
    uint64_t arrived_ns;
    uint64_t handler_ns;  /* spent on it; where somebody has a quota of that */
    uint64_t throttle_ms; /* how long the connection is not read once this is answered */
    void *state;          /* the handler's, usually from the arena */
    /* Called once before the memory goes: gives back references held for the answer. May be NULL.
     */
    void (*release)(struct kafka_request *request);
    /* The connection is gone: stop waiting; the handler still answers. May be NULL. */
    void (*cancel)(struct kafka_request *request);
    /* the conversation's */
    size_t charged;       /* of the budget */
    size_t arena_charged; /* of that, for the arena */
    bool cancelled;
    bool answered;
    bool silent; /* no response (acks=0) */
    bool close;  /* close the connection instead of answering, or after the answer */
    struct slice output;
    struct wire_gap *gaps;
    size_t gap_count;
};

/* What a gap of a response stands for: pieces that the request keeps until it is sent. */
struct kafka_chunks {
    const struct store_chunk *chunks;
    unsigned count;
};

/* For the connection; bytes has the frame, copied or kept. needs_buf: input.buf must hold it.
 * NULL: out of memory. */
struct kafka_request *kafka_request_new(struct kafka_conn *conn, struct buf_range input,
                                        bool needs_buf);
/* Answered or rejected, and on no list. */
void kafka_request_free(struct kafka_request *request);
/* Queues the answer on conn. False: out of memory. */
bool kafka_request_write(const struct kafka_request *request, struct conn *conn);

typedef enum err (*kafka_decode_fn)(struct slice body, int16_t version, struct arena *arena,
                                    void *out);
/* Decodes kafka_<name>_request. False: the request has been rejected, the handler just returns. */
#define kafka_request_decode(request, name, out)                                                   \
    kafka_request_decode_with(request,                                                             \
                              (kafka_decode_fn)(void (*)(void))kafka_##name##_request_decode,      \
                              1 ? (out) : (struct kafka_##name##_request *)0)
bool kafka_request_decode_with(struct kafka_request *request, kafka_decode_fn decode, void *out);

typedef void (*kafka_encode_fn)(const void *response, int16_t version, struct wire_writer *w);

/* Answers with kafka_<name>_response, in which a wait that quotas demand is noted; it may be
 * forgotten afterwards, gaps (struct kafka_chunks) must live until release. Also from inside the
 * handler. */
#define kafka_request_answer(request, name, response)                                              \
    kafka_request_answer_with(request,                                                             \
                              (kafka_encode_fn)(void (*)(void))kafka_##name##_response_encode,     \
                              1 ? (response) : (struct kafka_##name##_response *)0)
void kafka_request_answer_with(struct kafka_request *request, kafka_encode_fn encode,
                               void *response);
/* The same with another version of the response than asked (ApiVersions). */
void kafka_request_answer_version(struct kafka_request *request, kafka_encode_fn encode,
                                  const void *response, int16_t version);
/* Done without a response (acks=0). */
void kafka_request_answer_none(struct kafka_request *request);
/* Malformed or impossible: the connection is closed, with a log line; earlier answers still go out.
 */
void kafka_request_reject(struct kafka_request *request, enum err err, const char *why);

/* Zeroed memory from the request's arena; when there is none the request is rejected and NULL
 * returned: the handler just returns. */
void *kafka_request_alloc(struct kafka_request *request, size_t count, size_t size);
/* Takes so much of the budget until the request goes. False: there is not so much left. */
NODISCARD bool kafka_request_charge(struct kafka_request *request, size_t size);

// Prebuilt Kafka requests, and what the load generator must know of their answers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"

#define FRAMES_PRODUCE_VERSION 7
#define FRAMES_FETCH_VERSION   11
/* Longest beginning of a Fetch answer that is needed to know where its records lie. */
#define FRAMES_FETCH_HEAD_MAX 512

/* What is to be built. */
struct frames_shape {
    const char *topic;
    const char *transactional_id; /* NULL: none */
    uint32_t spread;              /* partitions in one request, a batch each */
    uint32_t record_bytes;        /* of the value; no key */
    uint32_t batch_bytes;         /* at most, header included */
    uint32_t batch_records;       /* 0: as many as fit */
    int16_t acks;
};

/* One request with its length in front; correlation ids and partition numbers are patched in. Page-
 * aligned; never freed. */
struct frames_produce {
    uint8_t *bytes;
    size_t size;
    size_t index_at;     /* of the first partition's number */
    size_t index_stride; /* to the next one */
    uint32_t spread;
    size_t batch_size;
    uint32_t batch_records;
};

struct frames_fetch {
    uint8_t *bytes;
    size_t size;
    size_t offset_at;
};

struct frames_bytes {
    uint8_t *bytes; /* of the heap */
    size_t size;
};

/* copies: how many of the same request lie behind each other, for one write. Ends the program when
 * the batch cannot be built. */
struct frames_produce frames_produce_new(const struct frames_shape *shape, uint32_t copies);
/* A request at frame gets its id, and partitions first to first + spread. */
void frames_produce_patch(const struct frames_produce *produce, uint8_t *frame, uint32_t id,
                          uint32_t first);
/* Partition 0; waits at most wait_ms for the first byte, and asks for at most size_max bytes. */
struct frames_fetch frames_fetch_new(const char *topic, int32_t wait_ms, int32_t size_max);
void frames_fetch_patch(const struct frames_fetch *fetch, uint32_t id, int64_t offset);

/* A request of one's own: header, then its body is encoded into w, then its length is set. */
struct wire_writer;
void frames_start(struct wire_writer *w, int16_t key, int16_t version);
struct frames_bytes frames_end(struct wire_writer *w);

/* config: "name=value", or NULL. */
struct frames_bytes frames_create_new(const char *topic, int32_t partitions, const char *config);
struct frames_bytes frames_metadata_new(const char *topic);
struct frames_bytes frames_api_versions_new(void);

/* Answers: body is what follows the correlation id. They give a Kafka error code, or
 * FRAMES_MALFORMED; arena is the caller's and is not reset. */
#define FRAMES_MALFORMED (-2)
int frames_create_check(struct slice body, struct arena *arena);
/* Also an error when the topic has not as many partitions as asked for. */
int frames_metadata_check(struct slice body, int32_t partitions, struct arena *arena);
/* The first error of all partitions; out_offset (may be NULL): base offset of the first one. */
int frames_produce_check(struct slice body, uint32_t spread, struct arena *arena,
                         int64_t *out_offset);

/* What a Fetch answer says before its records begin. */
struct frames_fetched {
    int error;
    int64_t visible_end; /* the high watermark */
    size_t records_at;   /* in the body */
    size_t records_size;
};

/* start: the first bytes of the body, FRAMES_FETCH_HEAD_MAX or all. */
struct frames_fetched frames_fetch_read(struct slice start);
/* Checks whole batches (CRC) from offset on, without gaps; gives the offset behind the last, or
 * FRAMES_MALFORMED. */
int64_t frames_fetch_check(struct slice records, int64_t offset);
/* Words for a code that this generator can meet. */
const char *frames_error_name(int code);

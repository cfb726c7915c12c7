// The record batch, magic 2: header, check, stamp, iterate.
// SPDX-License-Identifier: Apache-2.0
//
// Layout (Kafka protocol guide, "Record Batch"), all integers big-endian:
//    0 base_offset i64        21 attributes i16          43 producer_id i64
//    8 length i32 (what       23 last_offset_delta i32   51 producer_epoch i16
//      follows this field)    27 base_timestamp i64      53 base_sequence i32
//   12 leader_epoch i32       35 max_timestamp i64       57 record_count i32
//   16 magic i8 = 2                                      61 records
//   17 crc u32 (CRC-32C of byte 21 to the end)
// A record: length, attributes i8, timestamp delta, offset delta, key, value, header count, headers
// (key, value); numbers are zigzag varints, bytes follow their length, null is length -1.
#pragma once

#include "base/err.h"
#include "base/slice.h"

#define BATCH_HEADER_SIZE 61
/* Bytes before what length counts: base_offset and length. */
#define BATCH_PREFIX_SIZE 12
#define BATCH_CRC_BEGIN   21
/* The smallest record (null key, null value, no headers) and the smallest header of a record. */
#define RECORD_SIZE_MIN        7
#define RECORD_HEADER_SIZE_MIN 2

enum batch_codec {
    BATCH_CODEC_NONE,
    BATCH_CODEC_GZIP,
    BATCH_CODEC_SNAPPY,
    BATCH_CODEC_LZ4,
    BATCH_CODEC_ZSTD,
};

enum batch_attributes {
    BATCH_CODEC_MASK = 0x07,
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40,
    /* Not Kafka's, whose readers ignore it: subscribers got the records as they were published. */
    BATCH_DELIVERED = 0x4000,
};

struct batch_header {
    int64_t base_offset;
    uint32_t size; /* whole batch in bytes, prefix included */
    int32_t leader_epoch;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp_ms;
    int64_t max_timestamp_ms;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
};

static inline int64_t batch_last_offset(const struct batch_header *header)
{
    return header->base_offset + header->last_offset_delta;
}

static inline enum batch_codec batch_codec(const struct batch_header *header)
{
    return (enum batch_codec)(header->attributes & BATCH_CODEC_MASK);
}

/* Reads the header at the start of bytes. ERR_TRUNCATED: fewer than BATCH_HEADER_SIZE bytes;
 * ERR_CORRUPT: magic is not 2, length too small, negative counts, last offset beyond 64 bits. The
 * batch may extend beyond bytes: compare size. */
NODISCARD enum err batch_header_read(struct slice bytes, struct batch_header *out);
/* Whole batch present and its CRC right; ERR_TRUNCATED or ERR_CORRUPT. */
NODISCARD enum err batch_check(struct slice bytes, struct batch_header *out);
/* Rules for what a producer sends (beyond batch_check): last_offset_delta == record_count - 1,
 * count >= 1, known codec, none of the bits that are the server's (control, append time, delete
 * horizon, delivered), timestamps >= -1, epoch and sequence when there is a producer id, a producer
 * id when transactional. ERR_INVALID, with words in diag (may be NULL). No decompression. */
NODISCARD enum err batch_check_produced(const struct batch_header *header, struct diag *diag);
/* The CRC that stands in the batch, of the bytes from BATCH_CRC_BEGIN to its end. */
uint32_t batch_crc_get(const uint8_t *batch);
/* Sets base offset and leader epoch in place; outside the CRC. batch holds a whole header. */
void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);
/* Sets LogAppendTime and max_timestamp and makes the CRC right again. size: the whole batch. */
void batch_stamp_append_time(uint8_t *batch, size_t size, int64_t append_time_ms);
/* Writes all header fields, magic and the CRC over what follows (header->crc is not used);
 * header->size bytes are there and the records in place already. */
void batch_header_write(uint8_t *batch, const struct batch_header *header);

struct record_header {
    struct slice key;
    struct slice value; /* may be null */
};

/* One record. Slices point into the (decompressed) records. */
struct record {
    int64_t offset_delta;
    int64_t timestamp_delta_ms;
    struct slice key;     /* may be null */
    struct slice value;   /* may be null */
    struct slice headers; /* encoded headers, for record_headers_next */
    int32_t header_count;
    struct slice whole; /* the record with its length prefix, as stored */
};

/* Walks plain records: cursor is a slice that shrinks. ERR_NOT_FOUND at the end. ERR_CORRUPT, and
 * the cursor stays; a record whose fields and headers do not fill its length exactly is corrupt. */
NODISCARD enum err record_next(struct slice *cursor, struct record *out);
/* Walks record.headers the same way; keys are never null. */
NODISCARD enum err record_headers_next(struct slice *cursor, struct record_header *out);
/* A cheap look at the plain records of a batch: their lengths lead from one to the next, as many
 * times as the header says, and end with the batch. ERR_CORRUPT. */
NODISCARD enum err batch_check_count(const struct batch_header *header, struct slice records);
/* The plain records of a batch against its header: as many as it says, nothing after the last,
 * offsets that rise and stay within the batch. ERR_CORRUPT. */
NODISCARD enum err batch_check_records(const struct batch_header *header, struct slice records);

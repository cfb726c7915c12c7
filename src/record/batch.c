// The record batch, magic 2: reads, checks, stamps and writes headers, and walks plain records.
// SPDX-License-Identifier: Apache-2.0
#include "record/batch.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/varint.h"

enum field {
    AT_BASE_OFFSET = 0,
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_OFFSET_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_RECORD_COUNT = 57,
};

_Static_assert(AT_LENGTH + 4 == BATCH_PREFIX_SIZE, "length counts what follows it");
_Static_assert(AT_RECORD_COUNT + 4 == BATCH_HEADER_SIZE, "the count is the last field");

#define MAGIC 2

static enum err header_bounds_check(const struct batch_header *header)
{
    if (header->last_offset_delta < 0 || header->record_count < 0)
        return ERR_CORRUPT;
    if (header->base_offset > INT64_MAX - header->last_offset_delta)
        return ERR_CORRUPT;
    return ERR_OK;
}

enum err batch_header_read(struct slice bytes, struct batch_header *out)
{
    if (bytes.size < BATCH_HEADER_SIZE)
        return ERR_TRUNCATED;
    const uint8_t *at = bytes.data;
    uint32_t length = be32_get(at + AT_LENGTH);
    if (at[AT_MAGIC] != MAGIC || length > INT32_MAX ||
        length < BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE)
        return ERR_CORRUPT;
    struct batch_header header = {
        .base_offset = (int64_t)be64_get(at + AT_BASE_OFFSET),
        .size = length + BATCH_PREFIX_SIZE,
        .leader_epoch = (int32_t)be32_get(at + AT_LEADER_EPOCH),
        .crc = be32_get(at + AT_CRC),
        .attributes = be16_get(at + AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)be32_get(at + AT_LAST_OFFSET_DELTA),
        .base_timestamp_ms = (int64_t)be64_get(at + AT_BASE_TIMESTAMP),
        .max_timestamp_ms = (int64_t)be64_get(at + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)be64_get(at + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)be16_get(at + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)be32_get(at + AT_BASE_SEQUENCE),
        .record_count = (int32_t)be32_get(at + AT_RECORD_COUNT),
    };
    enum err err = header_bounds_check(&header);
    if (err == ERR_OK)
        *out = header;
    return err;
}

_Static_assert(AT_ATTRIBUTES == BATCH_CRC_BEGIN, "the CRC is of what follows it");

uint32_t batch_crc_get(const uint8_t *batch)
{
    return be32_get(batch + AT_CRC);
}

static uint32_t batch_crc(const uint8_t *batch, size_t size)
{
    return crc32c(0, batch + AT_ATTRIBUTES, size - AT_ATTRIBUTES);
}

enum err batch_check(struct slice bytes, struct batch_header *out)
{
    struct batch_header header;
    enum err err = batch_header_read(bytes, &header);
    if (err != ERR_OK)
        return err;
    if (header.size > bytes.size)
        return ERR_TRUNCATED;
    if (batch_crc(bytes.data, header.size) != header.crc)
        return ERR_CORRUPT;
    *out = header;
    return ERR_OK;
}

static const char *produced_attributes_fault(const struct batch_header *header)
{
    if (batch_codec(header) > BATCH_CODEC_ZSTD)
        return "unknown compression codec";
    if (header->attributes & BATCH_CONTROL)
        return "control batches cannot be produced by clients";
    if (header->attributes & BATCH_LOG_APPEND_TIME)
        return "the timestamp type LogAppendTime is the server's to set";
    if (header->attributes & BATCH_DELETE_HORIZON)
        return "the delete horizon is the server's to set";
    if (header->attributes & BATCH_DELIVERED)
        return "that subscribers have the records is the server's to say";
    return NULL;
}

static const char *produced_numbers_fault(const struct batch_header *header)
{
    if (header->record_count < 1)
        return "a batch needs at least one record";
    if (header->last_offset_delta != header->record_count - 1)
        return "offsets inside a batch must be 0 to record count - 1";
    size_t records_size = header->size - BATCH_HEADER_SIZE;
    if (batch_codec(header) == BATCH_CODEC_NONE &&
        (size_t)header->record_count > records_size / RECORD_SIZE_MIN)
        return "more records announced than the batch has room for";
    if (header->base_timestamp_ms < -1 || header->max_timestamp_ms < -1)
        return "timestamps below -1";
    return NULL;
}

static const char *produced_producer_fault(const struct batch_header *header)
{
    if (header->producer_id < -1)
        return "producer id below -1";
    if (header->producer_id == -1)
        return header->attributes & BATCH_TRANSACTIONAL
                   ? "a transactional batch needs a producer id"
                   : NULL;
    if (header->producer_epoch < 0)
        return "producer epoch below 0";
    if (header->base_sequence < 0)
        return "sequence number below 0";
    return NULL;
}

enum err batch_check_produced(const struct batch_header *header, struct diag *diag)
{
    const char *fault = produced_attributes_fault(header);
    if (!fault)
        fault = produced_numbers_fault(header);
    if (!fault)
        fault = produced_producer_fault(header);
    if (!fault)
        return ERR_OK;
    diag_set(diag, "%s", fault);
    return ERR_INVALID;
}

void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    be64_put(batch + AT_BASE_OFFSET, (uint64_t)base_offset);
    be32_put(batch + AT_LEADER_EPOCH, (uint32_t)leader_epoch);
}

void batch_stamp_append_time(uint8_t *batch, size_t size, int64_t append_time_ms)
{
    CHECK(size >= BATCH_HEADER_SIZE);
    uint16_t attributes = be16_get(batch + AT_ATTRIBUTES);
    be16_put(batch + AT_ATTRIBUTES, attributes | BATCH_LOG_APPEND_TIME);
    be64_put(batch + AT_MAX_TIMESTAMP, (uint64_t)append_time_ms);
    be32_put(batch + AT_CRC, batch_crc(batch, size));
}

void batch_header_write(uint8_t *batch, const struct batch_header *header)
{
    CHECK(header->size >= BATCH_HEADER_SIZE);
    CHECK(header->size - BATCH_PREFIX_SIZE <= INT32_MAX);
    be64_put(batch + AT_BASE_OFFSET, (uint64_t)header->base_offset);
    be32_put(batch + AT_LENGTH, header->size - BATCH_PREFIX_SIZE);
    be32_put(batch + AT_LEADER_EPOCH, (uint32_t)header->leader_epoch);
    batch[AT_MAGIC] = MAGIC;
    be16_put(batch + AT_ATTRIBUTES, header->attributes);
    be32_put(batch + AT_LAST_OFFSET_DELTA, (uint32_t)header->last_offset_delta);
    be64_put(batch + AT_BASE_TIMESTAMP, (uint64_t)header->base_timestamp_ms);
    be64_put(batch + AT_MAX_TIMESTAMP, (uint64_t)header->max_timestamp_ms);
    be64_put(batch + AT_PRODUCER_ID, (uint64_t)header->producer_id);
    be16_put(batch + AT_PRODUCER_EPOCH, (uint16_t)header->producer_epoch);
    be32_put(batch + AT_BASE_SEQUENCE, (uint32_t)header->base_sequence);
    be32_put(batch + AT_RECORD_COUNT, (uint32_t)header->record_count);
    be32_put(batch + AT_CRC, batch_crc(batch, header->size));
}

static void skip(struct slice *in, size_t size)
{
    in->data += size;
    in->size -= size;
}

static bool take_i32(struct slice *in, int32_t *out)
{
    size_t used = varint_i32_get(in->data, in->size, out);
    skip(in, used);
    return used > 0;
}

static bool take_i64(struct slice *in, int64_t *out)
{
    size_t used = varint_i64_get(in->data, in->size, out);
    skip(in, used);
    return used > 0;
}

/* Length and bytes; -1 stands for null. */
static bool take_nullable(struct slice *in, struct slice *out)
{
    int32_t size;
    if (!take_i32(in, &size) || size < -1)
        return false;
    if (size < 0) {
        *out = SLICE_NULL;
        return true;
    }
    if ((size_t)size > in->size)
        return false;
    *out = slice_make(in->data, (size_t)size);
    skip(in, (size_t)size);
    return true;
}

static bool take_header(struct slice *in, struct record_header *out)
{
    return take_nullable(in, &out->key) && out->key.data && take_nullable(in, &out->value);
}

/* The headers fill all of in. */
static bool headers_check(struct slice in, int32_t count)
{
    if (count < 0 || (size_t)count > in.size / RECORD_HEADER_SIZE_MIN)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct record_header header;
        if (!take_header(&in, &header))
            return false;
    }
    return in.size == 0;
}

/* Everything after the length; fills all of body. */
static bool body_parse(struct slice body, struct record *out)
{
    int32_t offset_delta;
    if (body.size < 1)
        return false;
    skip(&body, 1); /* the record's own attributes: unused in magic 2 */
    if (!take_i64(&body, &out->timestamp_delta_ms) || !take_i32(&body, &offset_delta))
        return false;
    if (!take_nullable(&body, &out->key) || !take_nullable(&body, &out->value))
        return false;
    if (!take_i32(&body, &out->header_count))
        return false;
    out->offset_delta = offset_delta;
    out->headers = body;
    return headers_check(body, out->header_count);
}

enum err record_next(struct slice *cursor, struct record *out)
{
    if (cursor->size == 0)
        return ERR_NOT_FOUND;
    struct slice rest = *cursor;
    int32_t length;
    if (!take_i32(&rest, &length) || length < 0 || (size_t)length > rest.size)
        return ERR_CORRUPT;
    struct record record;
    if (!body_parse(slice_make(rest.data, (size_t)length), &record))
        return ERR_CORRUPT;
    skip(&rest, (size_t)length);
    record.whole = slice_make(cursor->data, cursor->size - rest.size);
    *out = record;
    *cursor = rest;
    return ERR_OK;
}

enum err record_headers_next(struct slice *cursor, struct record_header *out)
{
    if (cursor->size == 0)
        return ERR_NOT_FOUND;
    struct slice rest = *cursor;
    struct record_header header;
    if (!take_header(&rest, &header))
        return ERR_CORRUPT;
    *out = header;
    *cursor = rest;
    return ERR_OK;
}

/* A record's length as nearly all are, of one or two bytes and not negative: how many, else 0. */
static inline size_t short_length_get(const uint8_t *at, size_t *out_size)
{
    unsigned low = at[0], high = at[1];
    if (low & 1)
        return 0;
    *out_size = low < 0x80 ? low >> 1 : (low & 0x7f) >> 1 | high << 6;
    return low < 0x80 ? 1 : high < 0x80 ? 2 : 0;
}

enum err batch_check_count(const struct batch_header *header, struct slice records)
{
    const uint8_t *at = records.data;
    size_t left = records.size;
    for (int32_t i = 0; i < header->record_count; i++) {
        size_t size = 0;
        size_t used = left >= 2 ? short_length_get(at, &size) : 0;
        if (used == 0) {
            int32_t length;
            used = varint_i32_get(at, left, &length);
            if (used == 0 || length < 0)
                return ERR_CORRUPT;
            size = (size_t)length;
        }
        if (size > left - used)
            return ERR_CORRUPT;
        at += used + size;
        left -= used + size;
    }
    return left == 0 ? ERR_OK : ERR_CORRUPT;
}

enum err batch_check_records(const struct batch_header *header, struct slice records)
{
    int64_t count = 0;
    int64_t delta_last = -1;
    struct record record;
    enum err err;
    while ((err = record_next(&records, &record)) == ERR_OK) {
        if (record.offset_delta <= delta_last)
            return ERR_CORRUPT;
        delta_last = record.offset_delta;
        count++;
    }
    if (err != ERR_NOT_FOUND)
        return err;
    if (count != header->record_count || delta_last > header->last_offset_delta)
        return ERR_CORRUPT;
    return ERR_OK;
}

// Builds record batches, and rebuilds one without some of its records or under another codec.
// SPDX-License-Identifier: Apache-2.0
#include "record/build.h"

#include "base/varint.h"

/* A batch's length field is an i32. */
#define RECORDS_SIZE_MAX ((size_t)INT32_MAX + BATCH_PREFIX_SIZE - BATCH_HEADER_SIZE)

static const struct batch_header header_initial = {
    .leader_epoch = -1,
    .max_timestamp_ms = -1,
    .base_timestamp_ms = -1,
    .producer_id = -1,
    .producer_epoch = -1,
    .base_sequence = -1,
};

void build_init(struct build *build, size_t size_max)
{
    size_t records_size_max = size_max > BATCH_HEADER_SIZE ? size_max - BATCH_HEADER_SIZE : 0;
    codec_output_init(&build->records, MIN(records_size_max, RECORDS_SIZE_MAX));
    build->header = header_initial;
    build->level = CODEC_LEVEL_DEFAULT;
}

void build_deinit(struct build *build)
{
    codec_output_deinit(&build->records);
}

void build_reset(struct build *build)
{
    build->records.size = 0;
    build->header = header_initial;
    build->level = CODEC_LEVEL_DEFAULT;
}

/* Adds the encoded size of bytes that may be null. False: more than a record can hold. size is
 * below 2^31 before, so that nothing overflows. */
static bool nullable_count(struct slice bytes, size_t *size)
{
    if (bytes.data == NULL) {
        *size += varint_i32_size(-1);
        return true;
    }
    if (bytes.size > INT32_MAX)
        return false;
    *size += varint_i32_size((int32_t)bytes.size) + bytes.size;
    return *size <= INT32_MAX;
}

static enum err headers_count(const struct build_record *record, size_t *size)
{
    if (record->header_count > INT32_MAX)
        return ERR_TOO_LARGE;
    *size += varint_i32_size((int32_t)record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        if (record->headers[i].key.data == NULL)
            return ERR_INVALID;
        if (!nullable_count(record->headers[i].key, size) ||
            !nullable_count(record->headers[i].value, size))
            return ERR_TOO_LARGE;
    }
    return ERR_OK;
}

static uint8_t *put_nullable(uint8_t *at, struct slice bytes)
{
    if (bytes.data == NULL)
        return at + varint_i32_put(at, -1);
    at += varint_i32_put(at, (int32_t)bytes.size);
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

struct deltas {
    int64_t timestamp_ms;
    int32_t offset;
};

/* The record without its length. */
static uint8_t *put_body(uint8_t *at, const struct build_record *record, struct deltas deltas)
{
    *at++ = 0; /* attributes: unused in magic 2 */
    at += varint_i64_put(at, deltas.timestamp_ms);
    at += varint_i32_put(at, deltas.offset);
    at = put_nullable(at, record->key);
    at = put_nullable(at, record->value);
    at += varint_i32_put(at, (int32_t)record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        at = put_nullable(at, record->headers[i].key);
        at = put_nullable(at, record->headers[i].value);
    }
    return at;
}

static enum err body_count(const struct build_record *record, struct deltas deltas, size_t *out)
{
    size_t size = 1 + varint_i64_size(deltas.timestamp_ms) + varint_i32_size(deltas.offset);
    if (!nullable_count(record->key, &size) || !nullable_count(record->value, &size))
        return ERR_TOO_LARGE;
    enum err err = headers_count(record, &size);
    if (err != ERR_OK)
        return err;
    if (size > INT32_MAX)
        return ERR_TOO_LARGE;
    *out = size;
    return ERR_OK;
}

static enum err body_add(struct codec_output *records, const struct build_record *record,
                         struct deltas deltas)
{
    size_t body_size;
    enum err err = body_count(record, deltas, &body_size);
    if (err != ERR_OK)
        return err;
    size_t size = varint_i32_size((int32_t)body_size) + body_size;
    if (size > records->size_max - records->size)
        return ERR_TOO_LARGE;
    err = codec_output_reserve(records, size);
    if (err != ERR_OK)
        return err;
    uint8_t *start = records->data + records->size;
    uint8_t *at = start + varint_i32_put(start, (int32_t)body_size);
    at = put_body(at, record, deltas);
    CHECK((size_t)(at - start) == size);
    records->size += size;
    return ERR_OK;
}

enum err build_add(struct build *build, const struct build_record *record)
{
    struct batch_header *header = &build->header;
    if (header->record_count == INT32_MAX)
        return ERR_TOO_LARGE;
    bool first = header->record_count == 0;
    int64_t base_ms = first ? record->timestamp_ms : header->base_timestamp_ms;
    struct deltas deltas = {.offset = header->record_count};
    if (__builtin_sub_overflow(record->timestamp_ms, base_ms, &deltas.timestamp_ms))
        return ERR_INVALID;
    enum err err = body_add(&build->records, record, deltas);
    if (err != ERR_OK)
        return err;
    header->base_timestamp_ms = base_ms;
    header->max_timestamp_ms =
        first ? record->timestamp_ms : MAX(header->max_timestamp_ms, record->timestamp_ms);
    header->last_offset_delta = header->record_count++;
    return ERR_OK;
}

/* Appends a batch of these plain records, compressed as the header's attributes say. */
static enum err batch_write(struct batch_header header, struct slice records, int level,
                            struct codec_output *out)
{
    static const uint8_t space[BATCH_HEADER_SIZE];
    size_t size_before = out->size;
    enum err err = codec_output_add(out, slice_make(space, sizeof(space)));
    if (err == ERR_OK)
        err = codec_compress(batch_codec(&header), level, records, out);
    if (err == ERR_OK && out->size - size_before - BATCH_HEADER_SIZE > RECORDS_SIZE_MAX)
        err = ERR_TOO_LARGE;
    if (err != ERR_OK) {
        out->size = size_before;
        return err;
    }
    header.size = (uint32_t)(out->size - size_before);
    batch_header_write(out->data + size_before, &header);
    return ERR_OK;
}

enum err build_finish(struct build *build, struct codec_output *out)
{
    if (build->header.record_count == 0)
        return ERR_INVALID;
    struct slice records = slice_make(build->records.data, build->records.size);
    return batch_write(build->header, records, build->level, out);
}

static uint16_t attributes_with(uint16_t attributes, enum batch_codec codec)
{
    return (uint16_t)((attributes & ~BATCH_CODEC_MASK) | codec);
}

/* Checks the batch, CRC and every record; the records point into it or into scratch. */
static enum err batch_open(struct slice batch, struct codec_output *scratch,
                           struct batch_header *header, struct slice *records)
{
    enum err err = batch_check(batch, header);
    if (err == ERR_OK)
        err = codec_batch_records(batch, scratch, records);
    if (err == ERR_OK)
        err = batch_check_records(header, *records);
    return err;
}

struct filter {
    build_deleted_fn deleted;
    void *arg;
};

/* The records that stay, as they are stored: the base their deltas count from stays too. */
static enum err keep(const struct batch_header *header, struct slice records, struct filter filter,
                     struct codec_output *kept, int32_t *out_count)
{
    int32_t count = 0;
    struct record record;
    enum err err;
    while ((err = record_next(&records, &record)) == ERR_OK) {
        if (filter.deleted(filter.arg, header->base_offset + record.offset_delta))
            continue;
        err = codec_output_add(kept, record.whole);
        if (err != ERR_OK)
            return err;
        count++;
    }
    *out_count = count;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err build_without(struct slice batch, build_deleted_fn deleted, void *arg,
                       struct codec_output *out)
{
    struct batch_header header;
    struct slice records;
    struct codec_output scratch;
    struct codec_output kept;
    codec_output_init(&scratch, out->size_max);
    codec_output_init(&kept, out->size_max);
    enum err err = batch_open(batch, &scratch, &header, &records);
    if (err == ERR_OK)
        err = keep(&header, records, (struct filter){deleted, arg}, &kept, &header.record_count);
    if (err == ERR_OK) {
        /* Nothing to unpack is not compressed: clients skip it without asking a codec. */
        if (header.record_count == 0)
            header.attributes = attributes_with(header.attributes, BATCH_CODEC_NONE);
        err = batch_write(header, slice_make(kept.data, kept.size), CODEC_LEVEL_DEFAULT, out);
    }
    codec_output_deinit(&kept);
    codec_output_deinit(&scratch);
    return err;
}

/* The record with its timestamp counted from another base; what follows the deltas is the same. */
static enum err rebase_add(struct codec_output *kept, const struct record *record, int64_t delta_ms)
{
    uint8_t head[1 + 2 * 10];
    int32_t body_size;
    int64_t delta_before;
    const uint8_t *at = record->whole.data;
    const uint8_t *end = at + record->whole.size;
    at += varint_i32_get(at, record->whole.size, &body_size);
    uint8_t attributes = *at++;
    at += varint_i64_get(at, (size_t)(end - at), &delta_before);
    size_t rest = (size_t)(end - at);
    size_t size = 1 + varint_i64_size(delta_ms) + rest;
    if (size > INT32_MAX)
        return ERR_TOO_LARGE;
    size_t head_size = varint_i32_put(head, (int32_t)size);
    head[head_size++] = attributes;
    head_size += varint_i64_put(head + head_size, delta_ms);
    enum err err = codec_output_add(kept, slice_make(head, head_size));
    return err == ERR_OK ? codec_output_add(kept, slice_make(at, rest)) : err;
}

/* Walks the records that stay and makes header true for them. */
static enum err keep_compacted(struct batch_header *header, struct slice records,
                               const struct build_kept *kept, struct codec_output *out)
{
    int64_t base_ms = header->base_timestamp_ms;
    int64_t max_ms = -1;
    int32_t index = 0;
    int32_t count = 0;
    struct record record;
    enum err err;
    for (; (err = record_next(&records, &record)) == ERR_OK; index++) {
        if (!(kept->bits[index / 8] >> index % 8 & 1))
            continue;
        int64_t ms, delta_ms;
        if (__builtin_add_overflow(base_ms, record.timestamp_delta_ms, &ms) ||
            __builtin_sub_overflow(ms, kept->delete_horizon_ms, &delta_ms))
            return ERR_INVALID;
        err = kept->delete_horizon_ms < 0 ? codec_output_add(out, record.whole)
                                          : rebase_add(out, &record, delta_ms);
        if (err != ERR_OK)
            return err;
        max_ms = count == 0 ? ms : MAX(max_ms, ms);
        count++;
    }
    header->record_count = count;
    if (!(header->attributes & BATCH_LOG_APPEND_TIME))
        header->max_timestamp_ms = max_ms;
    return err != ERR_NOT_FOUND ? err : count > 0 ? ERR_OK : ERR_INVALID;
}

enum err build_compacted(const struct batch_header *header, struct slice records,
                         const struct build_kept *kept, struct codec_output *out)
{
    struct batch_header after = *header;
    struct codec_output bytes;
    codec_output_init(&bytes, out->size_max);
    CHECK(kept->delete_horizon_ms < 0 || !(header->attributes & BATCH_DELETE_HORIZON));
    enum err err = keep_compacted(&after, records, kept, &bytes);
    if (kept->delete_horizon_ms >= 0) {
        after.base_timestamp_ms = kept->delete_horizon_ms;
        after.attributes |= BATCH_DELETE_HORIZON;
    }
    if (err == ERR_OK)
        err = batch_write(after, slice_make(bytes.data, bytes.size), CODEC_LEVEL_DEFAULT, out);
    codec_output_deinit(&bytes);
    return err;
}

enum err build_empty(const struct batch_header *header, struct codec_output *out)
{
    struct batch_header empty = header_initial;
    empty.base_offset = header->base_offset;
    empty.last_offset_delta = header->last_offset_delta;
    empty.leader_epoch = header->leader_epoch;
    return batch_write(empty, SLICE_NULL, CODEC_LEVEL_DEFAULT, out);
}

enum err build_recompressed(struct slice batch, enum batch_codec codec, int level,
                            struct codec_output *out)
{
    struct batch_header header;
    struct slice records;
    struct codec_output scratch;
    codec_output_init(&scratch, out->size_max);
    enum err err = batch_open(batch, &scratch, &header, &records);
    if (err == ERR_OK) {
        enum batch_codec used = header.record_count > 0 ? codec : BATCH_CODEC_NONE;
        header.attributes = attributes_with(header.attributes, used);
        err = batch_write(header, records, level, out);
    }
    codec_output_deinit(&scratch);
    return err;
}

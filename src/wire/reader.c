// Reading the primitive types of the Kafka protocol within bounds.
// SPDX-License-Identifier: Apache-2.0
#include "wire/reader.h"

/* The protocol's sizes and counts are signed 32-bit numbers, in their compact form as well. */
#define SIZE_MAX_ON_WIRE ((uint32_t)INT32_MAX)

void wire_reader_fail(struct wire_reader *r, enum err error)
{
    if (r->error == ERR_OK)
        r->error = error;
    r->at = r->end;
}

const uint8_t *wire_reader_take(struct wire_reader *r, size_t size)
{
    if (r->error != ERR_OK || size > wire_reader_left(r)) {
        wire_reader_fail(r, ERR_TRUNCATED);
        return NULL;
    }
    const uint8_t *taken = r->at;
    if (size > 0)
        r->at += size;
    return taken;
}

int8_t wire_reader_int8(struct wire_reader *r)
{
    const uint8_t *at = wire_reader_take(r, 1);
    return at ? (int8_t)at[0] : 0;
}

int16_t wire_reader_int16(struct wire_reader *r)
{
    return (int16_t)wire_reader_uint16(r);
}

uint16_t wire_reader_uint16(struct wire_reader *r)
{
    const uint8_t *at = wire_reader_take(r, 2);
    return at ? be16_get(at) : 0;
}

int32_t wire_reader_int32(struct wire_reader *r)
{
    return (int32_t)wire_reader_uint32(r);
}

uint32_t wire_reader_uint32(struct wire_reader *r)
{
    const uint8_t *at = wire_reader_take(r, 4);
    return at ? be32_get(at) : 0;
}

int64_t wire_reader_int64(struct wire_reader *r)
{
    const uint8_t *at = wire_reader_take(r, 8);
    return at ? (int64_t)be64_get(at) : 0;
}

double wire_reader_float64(struct wire_reader *r)
{
    uint64_t bits = (uint64_t)wire_reader_int64(r);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

bool wire_reader_bool(struct wire_reader *r)
{
    return wire_reader_int8(r) != 0;
}

struct uuid wire_reader_uuid(struct wire_reader *r)
{
    struct uuid uuid = {{0}};
    const uint8_t *at = wire_reader_take(r, sizeof(uuid.bytes));
    if (at)
        memcpy(uuid.bytes, at, sizeof(uuid.bytes));
    return uuid;
}

uint32_t wire_reader_uvarint(struct wire_reader *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        const uint8_t *at = wire_reader_take(r, 1);
        if (!at)
            return 0;
        if (shift == 28 && at[0] > 0x0f)
            break;
        value |= (uint32_t)(at[0] & 0x7f) << shift;
        if (at[0] < 0x80)
            return value;
    }
    wire_reader_fail(r, ERR_INVALID);
    return 0;
}

/* A compact length is one more than the length, and 0 for null. */
static int64_t compact_get(struct wire_reader *r)
{
    uint32_t value = wire_reader_uvarint(r);
    if (value > SIZE_MAX_ON_WIRE) {
        wire_reader_fail(r, ERR_INVALID);
        return 0;
    }
    return (int64_t)value - 1;
}

static struct slice slice_get(struct wire_reader *r, int64_t size, bool null_allowed)
{
    if (r->error != ERR_OK)
        return SLICE_NULL;
    if (size < 0) {
        if (!null_allowed || size != -1)
            wire_reader_fail(r, ERR_INVALID);
        return SLICE_NULL;
    }
    const uint8_t *data = wire_reader_take(r, (size_t)size);
    return data ? slice_make(data, (size_t)size) : SLICE_NULL;
}

struct slice wire_reader_string(struct wire_reader *r)
{
    return wire_reader_string_nullable(r, false);
}

struct slice wire_reader_string_nullable(struct wire_reader *r, bool allowed)
{
    int64_t size = r->flexible ? compact_get(r) : wire_reader_int16(r);
    return slice_get(r, size, allowed);
}

struct slice wire_reader_string_plain(struct wire_reader *r)
{
    int64_t size = wire_reader_int16(r);
    return slice_get(r, size, true);
}

struct slice wire_reader_bytes(struct wire_reader *r)
{
    return wire_reader_bytes_nullable(r, false);
}

struct slice wire_reader_bytes_nullable(struct wire_reader *r, bool allowed)
{
    int64_t size = r->flexible ? compact_get(r) : wire_reader_int32(r);
    return slice_get(r, size, allowed);
}

void *wire_reader_array(struct wire_reader *r, size_t *out_count, size_t size, size_t size_min,
                        bool null_allowed)
{
    *out_count = 0;
    int64_t count = r->flexible ? compact_get(r) : wire_reader_int32(r);
    if (r->error != ERR_OK)
        return NULL;
    if (count < 0) {
        if (!null_allowed || count != -1)
            wire_reader_fail(r, ERR_INVALID);
        return NULL;
    }
    if ((uint64_t)count > wire_reader_left(r) / size_min) {
        wire_reader_fail(r, ERR_TRUNCATED);
        return NULL;
    }
    void *array = arena_alloc_array(r->arena, (size_t)count, size);
    if (!array)
        wire_reader_fail(r, ERR_NO_MEMORY);
    else
        *out_count = (size_t)count;
    return array;
}

void *wire_reader_struct(struct wire_reader *r, size_t size)
{
    int8_t present = wire_reader_int8(r);
    if (r->error != ERR_OK || present < 0)
        return NULL;
    void *memory = arena_alloc_array(r->arena, 1, size);
    if (!memory)
        wire_reader_fail(r, ERR_NO_MEMORY);
    return memory;
}

uint32_t wire_reader_tag_count(struct wire_reader *r)
{
    return r->flexible ? wire_reader_uvarint(r) : 0;
}

struct wire_reader wire_reader_tag(struct wire_reader *r, uint32_t *out_tag)
{
    struct wire_reader field = {.arena = r->arena, .flexible = r->flexible};
    *out_tag = wire_reader_uvarint(r);
    uint32_t size = wire_reader_uvarint(r);
    field.at = wire_reader_take(r, size);
    field.end = field.at ? field.at + size : NULL;
    field.error = r->error;
    return field;
}

void wire_reader_tag_end(struct wire_reader *r, const struct wire_reader *field)
{
    if (field->error != ERR_OK)
        wire_reader_fail(r, field->error);
    else if (field->at != field->end)
        wire_reader_fail(r, ERR_INVALID);
}

void wire_reader_tags_skip(struct wire_reader *r)
{
    uint32_t count = wire_reader_tag_count(r);
    for (uint32_t i = 0; i < count && r->error == ERR_OK; i++) {
        uint32_t tag;
        (void)wire_reader_tag(r, &tag);
    }
}

// Writing the primitive types of the Kafka protocol.
// SPDX-License-Identifier: Apache-2.0
#include "wire/writer.h"

#include <stdlib.h>

#define GROW_SIZE_MIN 256

void wire_writer_init_counting(struct wire_writer *w)
{
    *w = (struct wire_writer){.counting = true};
}

void wire_writer_init_fixed(struct wire_writer *w, void *data, size_t capacity)
{
    *w = (struct wire_writer){.data = data, .capacity = capacity};
}

void wire_writer_init_growing(struct wire_writer *w)
{
    *w = (struct wire_writer){.growing = true};
}

void wire_writer_set_gaps(struct wire_writer *w, struct wire_gap *gaps, size_t capacity)
{
    w->gaps = gaps;
    w->gap_capacity = capacity;
}

void wire_writer_deinit(struct wire_writer *w)
{
    if (w->growing)
        free(w->data);
    *w = (struct wire_writer){.error = ERR_CLOSED};
}

void wire_writer_fail(struct wire_writer *w, enum err error)
{
    if (w->error == ERR_OK)
        w->error = error;
}

static bool room_make(struct wire_writer *w, size_t size)
{
    size_t needed;
    if (__builtin_add_overflow(w->size, size, &needed)) {
        wire_writer_fail(w, ERR_TOO_LARGE);
        return false;
    }
    if (needed <= w->capacity)
        return true;
    if (!w->growing) {
        wire_writer_fail(w, ERR_TOO_LARGE);
        return false;
    }
    size_t capacity = MAX(needed, (size_t)GROW_SIZE_MIN);
    if (capacity < SIZE_MAX / 2 && capacity < w->capacity * 2)
        capacity = w->capacity * 2;
    uint8_t *data = realloc(w->data, capacity);
    if (!data) {
        wire_writer_fail(w, ERR_NO_MEMORY);
        return false;
    }
    w->data = data;
    w->capacity = capacity;
    return true;
}

uint8_t *wire_writer_reserve(struct wire_writer *w, size_t size)
{
    if (w->error != ERR_OK)
        return NULL;
    if (w->counting) {
        w->size += size;
        return NULL;
    }
    if (!room_make(w, size))
        return NULL;
    uint8_t *at = w->data ? w->data + w->size : NULL;
    w->size += size;
    return at;
}

void wire_writer_append(struct wire_writer *w, struct slice bytes)
{
    if (bytes.size == 0)
        return;
    uint8_t *at = wire_writer_reserve(w, bytes.size);
    if (at)
        memcpy(at, bytes.data, bytes.size);
}

void wire_writer_int8(struct wire_writer *w, int8_t value)
{
    uint8_t *at = wire_writer_reserve(w, 1);
    if (at)
        at[0] = (uint8_t)value;
}

void wire_writer_int16(struct wire_writer *w, int16_t value)
{
    wire_writer_uint16(w, (uint16_t)value);
}

void wire_writer_error_code(struct wire_writer *w, int16_t code)
{
    if (code != 0 && w->on_error_code)
        w->on_error_code(w->on_error_code_arg, code);
    wire_writer_int16(w, code);
}

void wire_writer_uint16(struct wire_writer *w, uint16_t value)
{
    uint8_t *at = wire_writer_reserve(w, 2);
    if (at)
        be16_put(at, value);
}

void wire_writer_int32(struct wire_writer *w, int32_t value)
{
    wire_writer_uint32(w, (uint32_t)value);
}

void wire_writer_uint32(struct wire_writer *w, uint32_t value)
{
    uint8_t *at = wire_writer_reserve(w, 4);
    if (at)
        be32_put(at, value);
}

void wire_writer_int64(struct wire_writer *w, int64_t value)
{
    uint8_t *at = wire_writer_reserve(w, 8);
    if (at)
        be64_put(at, (uint64_t)value);
}

void wire_writer_float64(struct wire_writer *w, double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    wire_writer_int64(w, bits);
}

void wire_writer_bool(struct wire_writer *w, bool value)
{
    wire_writer_int8(w, value ? 1 : 0);
}

void wire_writer_uuid(struct wire_writer *w, struct uuid value)
{
    wire_writer_append(w, slice_make(value.bytes, sizeof(value.bytes)));
}

void wire_writer_uvarint(struct wire_writer *w, uint32_t value)
{
    uint8_t bytes[5];
    size_t size = 0;
    while (value >= 0x80) {
        bytes[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (uint8_t)value;
    wire_writer_append(w, slice_make(bytes, size));
}

/* A compact length is one more than the length, and 0 for null. */
static bool compact_put(struct wire_writer *w, size_t size)
{
    if (size >= INT32_MAX) {
        wire_writer_fail(w, ERR_TOO_LARGE);
        return false;
    }
    wire_writer_uvarint(w, (uint32_t)size + 1);
    return true;
}

void wire_writer_string(struct wire_writer *w, struct slice value)
{
    wire_writer_string_nullable(w, value, false);
}

void wire_writer_string_nullable(struct wire_writer *w, struct slice value, bool allowed)
{
    if (!w->flexible) {
        if (!value.data && !allowed)
            value = SLICE_LITERAL("");
        wire_writer_string_plain(w, value);
    } else if (!value.data && allowed) {
        wire_writer_uvarint(w, 0);
    } else if (compact_put(w, value.data ? value.size : 0)) {
        wire_writer_append(w, value.data ? value : SLICE_NULL);
    }
}

void wire_writer_string_plain(struct wire_writer *w, struct slice value)
{
    if (!value.data) {
        wire_writer_int16(w, -1);
    } else if (value.size > INT16_MAX) {
        wire_writer_fail(w, ERR_TOO_LARGE);
    } else {
        wire_writer_int16(w, (int16_t)value.size);
        wire_writer_append(w, value);
    }
}

static void bytes_size_put(struct wire_writer *w, size_t size)
{
    if (w->flexible)
        (void)compact_put(w, size);
    else if (size > INT32_MAX)
        wire_writer_fail(w, ERR_TOO_LARGE);
    else
        wire_writer_int32(w, (int32_t)size);
}

static void bytes_null_put(struct wire_writer *w)
{
    if (w->flexible)
        wire_writer_uvarint(w, 0);
    else
        wire_writer_int32(w, -1);
}

void wire_writer_bytes(struct wire_writer *w, struct slice value)
{
    wire_writer_bytes_nullable(w, value, false);
}

void wire_writer_bytes_nullable(struct wire_writer *w, struct slice value, bool allowed)
{
    if (!value.data && allowed) {
        bytes_null_put(w);
        return;
    }
    bytes_size_put(w, value.data ? value.size : 0);
    wire_writer_append(w, value.data ? value : SLICE_NULL);
}

void wire_writer_records(struct wire_writer *w, const struct wire_records *records)
{
    if (!records->gap) {
        wire_writer_bytes_nullable(w, records->bytes, true);
        return;
    }
    bytes_size_put(w, records->size);
    if (w->error != ERR_OK)
        return;
    if (!w->counting) {
        if (w->gap_count >= w->gap_capacity) {
            wire_writer_fail(w, w->gaps ? ERR_TOO_LARGE : ERR_INVALID);
            return;
        }
        w->gaps[w->gap_count] =
            (struct wire_gap){.position = w->size, .size = records->size, .gap = records->gap};
    }
    w->gap_count++;
    w->gap_size += records->size;
}

void wire_writer_count(struct wire_writer *w, size_t count, bool is_null)
{
    if (is_null)
        bytes_null_put(w);
    else
        bytes_size_put(w, count);
}

void wire_writer_tag_count(struct wire_writer *w, uint32_t count)
{
    if (w->flexible)
        wire_writer_uvarint(w, count);
}

void wire_writer_tag(struct wire_writer *w, uint32_t tag, size_t size)
{
    if (size > INT32_MAX) {
        wire_writer_fail(w, ERR_TOO_LARGE);
        return;
    }
    wire_writer_uvarint(w, tag);
    wire_writer_uvarint(w, (uint32_t)size);
}

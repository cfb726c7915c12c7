// A bounded cursor over bytes from outside, with the primitive types of the Kafka protocol.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/endian.h"
#include "base/err.h"
#include "base/uuid.h"

/* The first error sticks: from then on every read gives zero or null and moves nothing, so callers
 * check once at the end. Slices read point into the input, arrays come from the arena. */
struct wire_reader {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;
    enum err error;
    bool flexible; /* compact lengths and tagged fields; set by each message's _read */
};

static inline void wire_reader_init(struct wire_reader *r, struct slice input, struct arena *arena)
{
    *r = (struct wire_reader){.at = input.data, .arena = arena};
    r->end = input.data ? input.data + input.size : NULL;
}

static inline size_t wire_reader_left(const struct wire_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* Keeps the first error and ends the input. */
void wire_reader_fail(struct wire_reader *r, enum err error);
/* The next size bytes, or NULL (ERR_TRUNCATED) when fewer are left. */
const uint8_t *wire_reader_take(struct wire_reader *r, size_t size);

int8_t wire_reader_int8(struct wire_reader *r);
int16_t wire_reader_int16(struct wire_reader *r);
uint16_t wire_reader_uint16(struct wire_reader *r);
int32_t wire_reader_int32(struct wire_reader *r);
uint32_t wire_reader_uint32(struct wire_reader *r);
int64_t wire_reader_int64(struct wire_reader *r);
double wire_reader_float64(struct wire_reader *r);
bool wire_reader_bool(struct wire_reader *r);
struct uuid wire_reader_uuid(struct wire_reader *r);
/* Unsigned variable-length integer of at most 32 bits; ERR_INVALID when it is longer. */
uint32_t wire_reader_uvarint(struct wire_reader *r);

/* Compact or with a 16-bit length, as r->flexible says; null is ERR_INVALID. */
struct slice wire_reader_string(struct wire_reader *r);
/* Null gives SLICE_NULL where allowed, ERR_INVALID where not. */
struct slice wire_reader_string_nullable(struct wire_reader *r, bool allowed);
/* With a 16-bit length even in flexible versions; may be null. */
struct slice wire_reader_string_plain(struct wire_reader *r);
/* Compact or with a 32-bit length; for bytes and records. */
struct slice wire_reader_bytes(struct wire_reader *r);
struct slice wire_reader_bytes_nullable(struct wire_reader *r, bool allowed);

/* Reads a count and allocates that many zeroed elements of size bytes. A count that cannot fit into
 * what is left, size_min bytes an element at least, is ERR_TRUNCATED before anything is allocated.
 * NULL means null (where allowed) or an error; an empty array is never NULL. */
void *wire_reader_array(struct wire_reader *r, size_t *out_count, size_t size, size_t size_min,
                        bool null_allowed);
/* The presence byte of a nullable struct: zeroed memory for it, or NULL for null and errors. */
void *wire_reader_struct(struct wire_reader *r, size_t size);

/* How many tagged fields follow; 0 when not flexible. */
uint32_t wire_reader_tag_count(struct wire_reader *r);
/* Steps over one tagged field and gives a reader of its bytes. */
struct wire_reader wire_reader_tag(struct wire_reader *r, uint32_t *out_tag);
/* Takes over the error of a tagged field's reader; bytes left in it are ERR_INVALID. */
void wire_reader_tag_end(struct wire_reader *r, const struct wire_reader *field);
/* Skips all tagged fields; nothing when not flexible. */
void wire_reader_tags_skip(struct wire_reader *r);

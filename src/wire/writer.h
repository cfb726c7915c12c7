// Writes the primitive types of the Kafka protocol: counted first, then into memory, with gaps.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/endian.h"
#include "base/err.h"
#include "base/uuid.h"

/* Bytes that the writer leaves out: whoever sends the output puts size bytes of what gap stands for
 * before output byte `position` (a buffer range, a range of a file). */
struct wire_gap {
    size_t position;
    size_t size;
    void *gap;
};

/* The records of a response. With gap NULL the bytes are written (data NULL: null); otherwise only
 * the length `size`, and the gap is noted. Decoding fills bytes and size. */
struct wire_records {
    size_t size;
    struct slice bytes;
    void *gap;
};

/* The first error sticks and nothing is written after it. size counts the bytes written, gap_size
 * the bytes left out: size + gap_size is what goes over the wire. */
struct wire_writer {
    uint8_t *data; /* NULL: counts only */
    size_t size;
    size_t capacity;
    struct wire_gap *gaps;
    size_t gap_count;
    size_t gap_capacity;
    size_t gap_size;
    enum err error;
    bool flexible; /* compact lengths and tagged fields; set by each message's _encode */
    bool counting;
    bool growing;
    /* Hears of every code that is not 0 in a field that holds Kafka's error codes; NULL: nobody. */
    void (*on_error_code)(void *arg, int16_t code);
    void *on_error_code_arg;
};

/* Only counts size, gap_size and gap_count. */
void wire_writer_init_counting(struct wire_writer *w);
/* Into memory of the caller; running over it is ERR_TOO_LARGE. */
void wire_writer_init_fixed(struct wire_writer *w, void *data, size_t capacity);
/* Onto heap memory that grows; wire_writer_deinit frees it. Out of memory is ERR_NO_MEMORY. */
void wire_writer_init_growing(struct wire_writer *w);
/* Where gaps are noted, memory of the caller; without it a gap is ERR_INVALID, and one too many is
 * ERR_TOO_LARGE. */
void wire_writer_set_gaps(struct wire_writer *w, struct wire_gap *gaps, size_t capacity);
void wire_writer_deinit(struct wire_writer *w);

static inline struct slice wire_writer_output(const struct wire_writer *w)
{
    return slice_make(w->data, w->size);
}

void wire_writer_fail(struct wire_writer *w, enum err error);
/* Room for size bytes, counted as written; NULL when counting or on an error. */
uint8_t *wire_writer_reserve(struct wire_writer *w, size_t size);
void wire_writer_append(struct wire_writer *w, struct slice bytes);

void wire_writer_int8(struct wire_writer *w, int8_t value);
void wire_writer_int16(struct wire_writer *w, int16_t value);
/* A field that holds an error code. */
void wire_writer_error_code(struct wire_writer *w, int16_t code);
void wire_writer_uint16(struct wire_writer *w, uint16_t value);
void wire_writer_int32(struct wire_writer *w, int32_t value);
void wire_writer_uint32(struct wire_writer *w, uint32_t value);
void wire_writer_int64(struct wire_writer *w, int64_t value);
void wire_writer_float64(struct wire_writer *w, double value);
void wire_writer_bool(struct wire_writer *w, bool value);
void wire_writer_uuid(struct wire_writer *w, struct uuid value);
void wire_writer_uvarint(struct wire_writer *w, uint32_t value);

/* A null slice is written as empty. Longer than the protocol's lengths can say: ERR_TOO_LARGE. */
void wire_writer_string(struct wire_writer *w, struct slice value);
/* A null slice is written as null where allowed, as empty where not. */
void wire_writer_string_nullable(struct wire_writer *w, struct slice value, bool allowed);
/* With a 16-bit length even in flexible versions; may be null. */
void wire_writer_string_plain(struct wire_writer *w, struct slice value);
void wire_writer_bytes(struct wire_writer *w, struct slice value);
void wire_writer_bytes_nullable(struct wire_writer *w, struct slice value, bool allowed);
void wire_writer_records(struct wire_writer *w, const struct wire_records *records);

/* The count of an array; is_null only where the protocol allows null. */
void wire_writer_count(struct wire_writer *w, size_t count, bool is_null);
/* How many tagged fields follow; nothing when not flexible. */
void wire_writer_tag_count(struct wire_writer *w, uint32_t count);
/* The head of a tagged field with size bytes. */
void wire_writer_tag(struct wire_writer *w, uint32_t tag, size_t size);

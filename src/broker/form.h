// How Kafka's records of internal topics write integers, texts, arrays and tags.
// SPDX-License-Identifier: Apache-2.0
//
// Integers are big-endian. In a flexible structure a text or array begins with its size + 1 as an
// unsigned varint (0: null), and a section of tags (their number; of each its number, size, bytes)
// ends it. Of several steps the first error stays; steps after it do nothing.
#pragma once

#include "broker/group_parts.h"
#include "record/codec.h"

struct form_out {
    struct codec_output *out;
    enum err err;
};

void broker_form_put(struct form_out *w, const void *bytes, size_t size);
void broker_form_put_i8(struct form_out *w, int8_t value);
void broker_form_put_i16(struct form_out *w, int16_t value);
void broker_form_put_i32(struct form_out *w, int32_t value);
void broker_form_put_i64(struct form_out *w, int64_t value);
/* As varint; ERR_TOO_LARGE beyond INT32_MAX. */
void broker_form_put_count(struct form_out *w, size_t count);
void broker_form_put_text(struct form_out *w, struct slice text);
/* Null becomes empty. */
void broker_form_put_text_not_null(struct form_out *w, struct slice text);
void broker_form_put_names(struct form_out *w, const struct group_names *names);
/* Array of i32: those of one topic, from first to before end. */
void broker_form_put_indexes(struct form_out *w, const struct group_parts *parts, size_t first,
                             size_t end);
/* Array of topic id and partitions. */
void broker_form_put_parts(struct form_out *w, const struct group_parts *parts);
/* Where the next topic begins. */
size_t broker_form_topic_end(const struct group_parts *parts, size_t first);
/* One tag of a section whose count has been put. */
void broker_form_put_tag(struct form_out *w, uint32_t tag, const void *bytes, size_t size);
/* In keys and in what is not flexible: i16 size and bytes. */
void broker_form_put_key_text(struct form_out *w, struct slice text);

struct form_in {
    struct slice rest;
    enum err err;
};

/* NULL on error. */
const uint8_t *broker_form_take(struct form_in *r, size_t size);
int8_t broker_form_take_i8(struct form_in *r);
int16_t broker_form_take_i16(struct form_in *r);
int32_t broker_form_take_i32(struct form_in *r);
int64_t broker_form_take_i64(struct form_in *r);
uint32_t broker_form_take_varint(struct form_in *r);
struct slice broker_form_take_text(struct form_in *r, bool nullable);
/* Of an array; each item takes so many bytes at least: a count from outside promises no more than
 * is there. */
size_t broker_form_take_count(struct form_in *r, size_t item_size_min);
/* A section of tags. The bytes of the one asked for, if it is there with that size, else NULL. */
const uint8_t *broker_form_take_tags(struct form_in *r, uint32_t tag, size_t size);
struct slice broker_form_take_key_text(struct form_in *r);
/* Replaces *own. */
NODISCARD enum err broker_form_take_names(struct form_in *r, struct budget *budget,
                                          struct group_names *own);
NODISCARD enum err broker_form_take_parts(struct form_in *r, struct budget *budget,
                                          struct group_parts *own);

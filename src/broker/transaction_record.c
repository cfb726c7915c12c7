// Writes and reads the records of __transaction_state; their layout stands in transaction_record.h.
// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_record.h"

#include "base/endian.h"
#include "base/varint.h"
#include "broker/offsets.h"

#define KEY_VERSION     0
#define VALUE_VERSION   1
#define TAG_ID_PREVIOUS 0
#define TAG_ID_NEXT     1
#define TAG_VERSION     2

/* --- writing --- */

struct record_out {
    struct codec_output *out;
    enum err err;
};

static void put(struct record_out *w, const void *bytes, size_t size)
{
    if (!w->err && size > 0)
        w->err = codec_output_add(w->out, slice_make(bytes, size));
}

static void put_i8(struct record_out *w, int8_t value)
{
    put(w, &value, 1);
}

static void put_i16(struct record_out *w, int16_t value)
{
    uint8_t bytes[2];
    be16_put(bytes, (uint16_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_i32(struct record_out *w, int32_t value)
{
    uint8_t bytes[4];
    be32_put(bytes, (uint32_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_i64(struct record_out *w, int64_t value)
{
    uint8_t bytes[8];
    be64_put(bytes, (uint64_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_varint(struct record_out *w, uint32_t value)
{
    uint8_t bytes[VARINT_U32_SIZE_MAX];
    put(w, bytes, varint_u32_put(bytes, value));
}

enum err broker_transaction_record_key(struct codec_output *out, struct slice id)
{
    struct record_out w = {.out = out};
    if (id.size > TRANSACTION_ID_SIZE_MAX)
        return ERR_TOO_LARGE;
    put_i16(&w, KEY_VERSION);
    put_i16(&w, (int16_t)id.size);
    put(&w, id.data, id.size);
    return w.err;
}

static void put_part(struct record_out *w, const struct transaction_part *part)
{
    struct slice topic = broker_transaction_part_topic(part);
    put_varint(w, (uint32_t)topic.size + 1);
    put(w, topic.data, topic.size);
    put_varint(w, 2); /* one partition */
    put_i32(w, broker_transaction_part_partition(part));
    put_varint(w, 0);
}

static void put_parts(struct record_out *w, const struct transaction *transaction, bool proposed)
{
    uint32_t count = 0;
    list_for_each (node, &transaction->parts) {
        count += proposed || !LIST_ENTRY(node, struct transaction_part, node)->is_new;
    }
    put_varint(w, count + 1);
    list_for_each (node, &transaction->parts) {
        const struct transaction_part *part = LIST_ENTRY(node, struct transaction_part, node);
        if (proposed || !part->is_new)
            put_part(w, part);
    }
}

static void put_tag_i64(struct record_out *w, uint32_t tag, int64_t value)
{
    if (value == -1)
        return;
    put_varint(w, tag);
    put_varint(w, sizeof(value));
    put_i64(w, value);
}

static void put_tags(struct record_out *w, const struct transaction_value *value)
{
    bool has_version = value->version != 0;
    put_varint(w, (uint32_t)(value->producer_id_previous != -1) +
                      (uint32_t)(value->producer_id_next != -1) + (uint32_t)has_version);
    put_tag_i64(w, TAG_ID_PREVIOUS, value->producer_id_previous);
    put_tag_i64(w, TAG_ID_NEXT, value->producer_id_next);
    if (!has_version)
        return;
    put_varint(w, TAG_VERSION);
    put_varint(w, sizeof(value->version));
    put_i16(w, value->version);
}

enum err broker_transaction_record_value(struct codec_output *out,
                                         const struct transaction *transaction, bool proposed)
{
    const struct transaction_value *value = proposed ? &transaction->next : &transaction->now;
    struct record_out w = {.out = out};
    put_i16(&w, VALUE_VERSION);
    put_i64(&w, value->producer_id);
    put_i16(&w, value->epoch);
    put_i32(&w, value->timeout_ms);
    put_i8(&w, (int8_t)value->state);
    if (value->state == TRANSACTION_EMPTY)
        put_varint(&w, 0);
    else
        put_parts(&w, transaction, proposed);
    put_i64(&w, value->update_ms);
    put_i64(&w, value->start_ms);
    put_tags(&w, value);
    return w.err;
}

/* --- reading --- */

struct record_in {
    struct slice rest;
    bool compact;
    enum err err;
};

static const uint8_t *take(struct record_in *r, size_t size)
{
    if (!r->err && r->rest.size < size)
        r->err = ERR_TRUNCATED;
    if (r->err)
        return NULL;
    const uint8_t *at = r->rest.data;
    r->rest.data += size;
    r->rest.size -= size;
    return at;
}

static int8_t take_i8(struct record_in *r)
{
    const uint8_t *at = take(r, 1);
    return at ? (int8_t)*at : 0;
}

static int16_t take_i16(struct record_in *r)
{
    const uint8_t *at = take(r, 2);
    return at ? (int16_t)be16_get(at) : 0;
}

static int32_t take_i32(struct record_in *r)
{
    const uint8_t *at = take(r, 4);
    return at ? (int32_t)be32_get(at) : 0;
}

static int64_t take_i64(struct record_in *r)
{
    const uint8_t *at = take(r, 8);
    return at ? (int64_t)be64_get(at) : 0;
}

static uint32_t take_varint(struct record_in *r)
{
    uint32_t value;
    size_t size = r->err ? 0 : varint_u32_get(r->rest.data, r->rest.size, &value);
    if (!r->err && size == 0)
        r->err = ERR_TRUNCATED;
    return take(r, size) && !r->err ? value : 0;
}

/* -1: null. Never more than there are bytes. */
static int64_t take_count(struct record_in *r)
{
    int64_t count = r->compact ? (int64_t)take_varint(r) - 1 : (int64_t)take_i32(r);
    if (!r->err && (count < -1 || count > (int64_t)r->rest.size))
        r->err = ERR_CORRUPT;
    return r->err ? -1 : count;
}

static struct slice take_string(struct record_in *r)
{
    int64_t size = r->compact ? (int64_t)take_varint(r) - 1 : (int64_t)take_i16(r);
    if (!r->err && (size < 0 || size > OFFSETS_STRING_SIZE_MAX))
        r->err = ERR_CORRUPT;
    const uint8_t *at = r->err ? NULL : take(r, (size_t)size);
    return at ? slice_make(at, (size_t)size) : SLICE_NULL;
}

static void take_tag(struct record_in *r, struct transaction_value *out)
{
    uint32_t tag = take_varint(r);
    uint32_t size = take_varint(r);
    const uint8_t *at = take(r, size);
    size_t want = tag == TAG_VERSION ? 2 : 8;
    if (!at || !out || tag > TAG_VERSION)
        return;
    if (size != want)
        r->err = ERR_CORRUPT;
    else if (tag == TAG_ID_PREVIOUS)
        out->producer_id_previous = (int64_t)be64_get(at);
    else if (tag == TAG_ID_NEXT)
        out->producer_id_next = (int64_t)be64_get(at);
    else
        out->version = (int16_t)be16_get(at);
}

/* out NULL: whatever they say. */
static void take_tags(struct record_in *r, struct transaction_value *out)
{
    for (uint32_t left = r->compact ? take_varint(r) : 0; left > 0 && !r->err; left--)
        take_tag(r, out);
}

static void take_parts(struct record_in *r, transaction_record_part_fn fn, void *arg)
{
    for (int64_t topics = take_count(r); topics > 0 && !r->err; topics--) {
        struct slice topic = take_string(r);
        for (int64_t left = take_count(r); left > 0 && !r->err; left--) {
            int32_t partition = take_i32(r);
            if (!r->err)
                r->err = fn(arg, topic, partition);
        }
        take_tags(r, NULL);
    }
}

enum err broker_transaction_record_read_key(struct slice bytes, struct slice *out_id)
{
    struct record_in r = {.rest = bytes};
    int16_t version = take_i16(&r);
    if (!r.err && version != KEY_VERSION)
        return ERR_UNSUPPORTED;
    struct slice id = take_string(&r);
    if (!r.err)
        *out_id = id;
    return r.err;
}

enum err broker_transaction_record_read_value(struct slice bytes, struct transaction_value *out,
                                              transaction_record_part_fn fn, void *arg)
{
    struct record_in r = {.rest = bytes};
    struct transaction_value value = {
        .producer_id_previous = -1, .producer_id_next = -1, .epoch_last = -1};
    int16_t version = take_i16(&r);
    if (!r.err && (version < 0 || version > VALUE_VERSION))
        return ERR_UNSUPPORTED;
    r.compact = version >= 1;
    value.producer_id = take_i64(&r);
    value.epoch = take_i16(&r);
    value.timeout_ms = take_i32(&r);
    int8_t state = take_i8(&r);
    if (!r.err && (state < 0 || state >= TRANSACTION_PREPARE_EPOCH_FENCE))
        return ERR_CORRUPT;
    value.state = (enum transaction_state)state;
    take_parts(&r, fn, arg);
    value.update_ms = take_i64(&r);
    value.start_ms = take_i64(&r);
    take_tags(&r, &value);
    if (!r.err && (value.producer_id < 0 || value.epoch < 0))
        return ERR_CORRUPT;
    if (!r.err)
        *out = value;
    return r.err;
}

// Writes and reads the records of __transaction_state; their layout stands in transaction_record.h.
// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_record.h"

#include "base/endian.h"
#include "broker/form.h"
#include "broker/offsets.h"

#define KEY_VERSION     0
#define VALUE_VERSION   1
#define TAG_ID_PREVIOUS 0
#define TAG_ID_NEXT     1
#define TAG_VERSION     2

/* --- writing --- */

enum err broker_transaction_record_key(struct codec_output *out, struct slice id)
{
    struct form_out w = {.out = out};
    if (id.size > TRANSACTION_ID_SIZE_MAX)
        return ERR_TOO_LARGE;
    broker_form_put_i16(&w, KEY_VERSION);
    broker_form_put_key_text(&w, id);
    return w.err;
}

static void put_part(struct form_out *w, const struct transaction_part *part)
{
    broker_form_put_text_not_null(w, broker_transaction_part_topic(part));
    broker_form_put_count(w, 2); /* one partition */
    broker_form_put_i32(w, broker_transaction_part_partition(part));
    broker_form_put_count(w, 0);
}

static void put_parts(struct form_out *w, const struct transaction *transaction, bool proposed)
{
    uint32_t count = 0;
    list_for_each (node, &transaction->parts) {
        count += proposed || !LIST_ENTRY(node, struct transaction_part, node)->is_new;
    }
    broker_form_put_count(w, count + 1);
    list_for_each (node, &transaction->parts) {
        const struct transaction_part *part = LIST_ENTRY(node, struct transaction_part, node);
        if (proposed || !part->is_new)
            put_part(w, part);
    }
}

static void put_tag_i64(struct form_out *w, uint32_t tag, int64_t value)
{
    if (value == -1)
        return;
    broker_form_put_count(w, tag);
    broker_form_put_count(w, sizeof(value));
    broker_form_put_i64(w, value);
}

static void put_tags(struct form_out *w, const struct transaction_value *value)
{
    bool has_version = value->version != 0;
    broker_form_put_count(w, (uint32_t)(value->producer_id_previous != -1) +
                                 (uint32_t)(value->producer_id_next != -1) + (uint32_t)has_version);
    put_tag_i64(w, TAG_ID_PREVIOUS, value->producer_id_previous);
    put_tag_i64(w, TAG_ID_NEXT, value->producer_id_next);
    if (!has_version)
        return;
    broker_form_put_count(w, TAG_VERSION);
    broker_form_put_count(w, sizeof(value->version));
    broker_form_put_i16(w, value->version);
}

enum err broker_transaction_record_value(struct codec_output *out,
                                         const struct transaction *transaction, bool proposed)
{
    const struct transaction_value *value = proposed ? &transaction->next : &transaction->now;
    struct form_out w = {.out = out};
    broker_form_put_i16(&w, VALUE_VERSION);
    broker_form_put_i64(&w, value->producer_id);
    broker_form_put_i16(&w, value->epoch);
    broker_form_put_i32(&w, value->timeout_ms);
    broker_form_put_i8(&w, (int8_t)value->state);
    if (value->state == TRANSACTION_EMPTY)
        broker_form_put_count(&w, 0);
    else
        put_parts(&w, transaction, proposed);
    broker_form_put_i64(&w, value->update_ms);
    broker_form_put_i64(&w, value->start_ms);
    put_tags(&w, value);
    return w.err;
}

/* --- reading --- */

struct record_in {
    struct form_in form;
    bool compact;
};

/* -1: null. Never more than there are bytes. */
static int64_t take_count(struct record_in *r)
{
    int64_t count = r->compact ? (int64_t)broker_form_take_varint(&r->form) - 1
                               : (int64_t)broker_form_take_i32(&r->form);
    if (!r->form.err && (count < -1 || count > (int64_t)r->form.rest.size))
        r->form.err = ERR_CORRUPT;
    return r->form.err ? -1 : count;
}

static struct slice take_string(struct record_in *r)
{
    int64_t size = r->compact ? (int64_t)broker_form_take_varint(&r->form) - 1
                              : (int64_t)broker_form_take_i16(&r->form);
    if (!r->form.err && (size < 0 || size > OFFSETS_STRING_SIZE_MAX))
        r->form.err = ERR_CORRUPT;
    const uint8_t *at = r->form.err ? NULL : broker_form_take(&r->form, (size_t)size);
    return at ? slice_make(at, (size_t)size) : SLICE_NULL;
}

static void take_tag(struct record_in *r, struct transaction_value *out)
{
    uint32_t tag = broker_form_take_varint(&r->form);
    uint32_t size = broker_form_take_varint(&r->form);
    const uint8_t *at = broker_form_take(&r->form, size);
    size_t want = tag == TAG_VERSION ? 2 : 8;
    if (!at || !out || tag > TAG_VERSION)
        return;
    if (size != want)
        r->form.err = ERR_CORRUPT;
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
    for (uint32_t left = r->compact ? broker_form_take_varint(&r->form) : 0;
         left > 0 && !r->form.err; left--)
        take_tag(r, out);
}

static void take_parts(struct record_in *r, transaction_record_part_fn fn, void *arg)
{
    for (int64_t topics = take_count(r); topics > 0 && !r->form.err; topics--) {
        struct slice topic = take_string(r);
        for (int64_t left = take_count(r); left > 0 && !r->form.err; left--) {
            int32_t partition = broker_form_take_i32(&r->form);
            if (!r->form.err)
                r->form.err = fn(arg, topic, partition);
        }
        take_tags(r, NULL);
    }
}

enum err broker_transaction_record_read_key(struct slice bytes, struct slice *out_id)
{
    struct record_in r = {.form = {.rest = bytes}};
    int16_t version = broker_form_take_i16(&r.form);
    if (!r.form.err && version != KEY_VERSION)
        return ERR_UNSUPPORTED;
    struct slice id = take_string(&r);
    if (!r.form.err)
        *out_id = id;
    return r.form.err;
}

enum err broker_transaction_record_read_value(struct slice bytes, struct transaction_value *out,
                                              transaction_record_part_fn fn, void *arg)
{
    struct record_in r = {.form = {.rest = bytes}};
    struct transaction_value value = {
        .producer_id_previous = -1, .producer_id_next = -1, .epoch_last = -1};
    int16_t version = broker_form_take_i16(&r.form);
    if (!r.form.err && (version < 0 || version > VALUE_VERSION))
        return ERR_UNSUPPORTED;
    r.compact = version >= 1;
    value.producer_id = broker_form_take_i64(&r.form);
    value.epoch = broker_form_take_i16(&r.form);
    value.timeout_ms = broker_form_take_i32(&r.form);
    int8_t state = broker_form_take_i8(&r.form);
    if (!r.form.err && (state < 0 || state >= TRANSACTION_PREPARE_EPOCH_FENCE))
        return ERR_CORRUPT;
    value.state = (enum transaction_state)state;
    take_parts(&r, fn, arg);
    value.update_ms = broker_form_take_i64(&r.form);
    value.start_ms = broker_form_take_i64(&r.form);
    take_tags(&r, &value);
    if (!r.form.err && (value.producer_id < 0 || value.epoch < 0))
        return ERR_CORRUPT;
    if (!r.form.err)
        *out = value;
    return r.form.err;
}

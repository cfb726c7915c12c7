// Writes and reads the records of __share_group_state in Kafka's format.
// SPDX-License-Identifier: Apache-2.0
//
// Key:   i16 0 | i16 size, group id | 16 bytes topic id | i32 partition
// Value: i16 0 | i32 snapshot epoch | i32 state epoch | i32 leader epoch | i64 start |
//        i64 created ms | i64 written ms | varint runs + 1 | runs | tags
// Tag 0: i32 offsets from start on that are over (KIP-1226)
// Run:   i64 first | i64 last | i8 state | i16 deliveries | varint 0 (no tags)
//
// Every record is a snapshot: the newest of each key is all there is to know, as compaction keeps
// it. What is locked is written as free: a lock does not outlive the server.
#include "base/endian.h"
#include "broker/form.h"
#include "broker/share_state.h"

#define KEY_VERSION   0
#define VALUE_VERSION 0

enum err broker_share_record_key(struct codec_output *out, const struct share_record_key *key)
{
    struct form_out w = {.out = out};
    broker_form_put_i16(&w, KEY_VERSION);
    broker_form_put_key_text(&w, key->group_id);
    broker_form_put(&w, key->topic_id.bytes, sizeof(key->topic_id.bytes));
    broker_form_put_i32(&w, key->index);
    return w.err;
}

enum err broker_share_record_value(struct codec_output *out, const struct share_cursor *cursor,
                                   int64_t wall_ms)
{
    struct form_out w = {.out = out};
    broker_form_put_i16(&w, VALUE_VERSION);
    broker_form_put_i32(&w, cursor->snapshot_epoch);
    broker_form_put_i32(&w, cursor->state_epoch);
    broker_form_put_i32(&w, 0);
    broker_form_put_i64(&w, cursor->cursor.start);
    broker_form_put_i64(&w, wall_ms);
    broker_form_put_i64(&w, wall_ms);
    broker_form_put_count(&w, (uint32_t)cursor->cursor.run_count + 1);
    for (size_t i = 0; i < cursor->cursor.run_count; i++) {
        const struct cursor_run *run = &cursor->cursor.runs[i];
        broker_form_put_i64(&w, run->first);
        broker_form_put_i64(&w, run->next - 1);
        broker_form_put_i8(&w, run->state == CURSOR_LOCKED ? CURSOR_FREE : (int8_t)run->state);
        broker_form_put_i16(&w, run->count);
        broker_form_put_count(&w, 0);
    }
    uint8_t over[4];
    be32_put(over, (uint32_t)MIN(broker_cursor_over(&cursor->cursor), (int64_t)INT32_MAX));
    broker_form_put_count(&w, 1);
    broker_form_put_tag(&w, 0, over, sizeof(over));
    return w.err;
}

/* --- reading --- */

enum err broker_share_record_read_key(struct slice bytes, struct share_record_key *out)
{
    struct form_in r = {.rest = bytes};
    int16_t version = broker_form_take_i16(&r);
    if (!r.err && version != KEY_VERSION)
        return ERR_UNSUPPORTED;
    struct slice group_id = broker_form_take_key_text(&r);
    const uint8_t *topic = broker_form_take(&r, sizeof(out->topic_id.bytes));
    int32_t index = broker_form_take_i32(&r);
    if (r.err)
        return r.err;
    out->group_id = group_id;
    memcpy(out->topic_id.bytes, topic, sizeof(out->topic_id.bytes));
    out->index = index;
    return ERR_OK;
}

static void take_run(struct form_in *r, struct share_cursor *out)
{
    struct cursor_run run = {.first = broker_form_take_i64(r)};
    int64_t last = broker_form_take_i64(r);
    int8_t state = broker_form_take_i8(r);
    run.count = broker_form_take_i16(r);
    broker_form_take_tags(r, 0, 0);
    if (r->err)
        return;
    if (last == INT64_MAX) {
        r->err = ERR_CORRUPT;
        return;
    }
    run.next = last + 1;
    run.state = (enum cursor_state)state;
    r->err = broker_cursor_restore(&out->cursor, &run);
}

enum err broker_share_record_read_value(struct slice bytes, struct share_cursor *out)
{
    struct form_in r = {.rest = bytes};
    int16_t version = broker_form_take_i16(&r);
    if (!r.err && version != VALUE_VERSION)
        return ERR_UNSUPPORTED;
    out->snapshot_epoch = broker_form_take_i32(&r);
    out->state_epoch = broker_form_take_i32(&r);
    broker_form_take_i32(&r);
    int64_t start = broker_form_take_i64(&r);
    broker_form_take_i64(&r);
    broker_form_take_i64(&r);
    if (!r.err && start < 0)
        return ERR_CORRUPT;
    if (!r.err)
        out->cursor.start = out->cursor.end = start;
    for (uint32_t left = broker_form_take_varint(&r); left > 1 && !r.err; left--)
        take_run(&r, out);
    broker_form_take_tags(&r, 0, 0);
    if (!r.err)
        broker_cursor_restored(&out->cursor);
    return r.err;
}

// Writes and reads the records of __share_group_state in Kafka's format.
// SPDX-License-Identifier: Apache-2.0
//
// Key:   i16 0 | i16 size, group id | 16 bytes topic id | i32 partition
// Value: i16 0 | i32 snapshot epoch | i32 state epoch | i32 leader epoch | i64 start |
//        i64 created ms | i64 written ms | varint runs + 1 | runs | varint tags, tagged fields
// Run:   i64 first | i64 last | i8 state | i16 deliveries | varint 0 (no tags)
//
// Every record is a snapshot: the newest of each key is all there is to know, as compaction keeps
// it. What is locked is written as free: a lock does not outlive the server.
#include "base/endian.h"
#include "base/varint.h"
#include "broker/share_state.h"

#define KEY_VERSION   0
#define VALUE_VERSION 0

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

enum err broker_share_record_key(struct codec_output *out, const struct share_record_key *key)
{
    struct record_out w = {.out = out};
    put_i16(&w, KEY_VERSION);
    put_i16(&w, (int16_t)key->group_id.size);
    put(&w, key->group_id.data, key->group_id.size);
    put(&w, key->topic_id.bytes, sizeof(key->topic_id.bytes));
    put_i32(&w, key->index);
    return w.err;
}

enum err broker_share_record_value(struct codec_output *out, const struct share_cursor *cursor,
                                   int64_t wall_ms)
{
    struct record_out w = {.out = out};
    put_i16(&w, VALUE_VERSION);
    put_i32(&w, cursor->snapshot_epoch);
    put_i32(&w, cursor->state_epoch);
    put_i32(&w, 0);
    put_i64(&w, cursor->cursor.start);
    put_i64(&w, wall_ms);
    put_i64(&w, wall_ms);
    put_varint(&w, (uint32_t)cursor->cursor.run_count + 1);
    for (size_t i = 0; i < cursor->cursor.run_count; i++) {
        const struct cursor_run *run = &cursor->cursor.runs[i];
        put_i64(&w, run->first);
        put_i64(&w, run->next - 1);
        put_i8(&w, run->state == CURSOR_LOCKED ? CURSOR_FREE : (int8_t)run->state);
        put_i16(&w, run->count);
        put_varint(&w, 0);
    }
    put_varint(&w, 0);
    return w.err;
}

/* --- reading --- */

struct record_in {
    struct slice rest;
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
    uint32_t value = 0;
    size_t size = r->err ? 0 : varint_u32_get(r->rest.data, r->rest.size, &value);
    if (!r->err && size == 0)
        r->err = ERR_TRUNCATED;
    return take(r, size) ? value : 0;
}

static void take_tags(struct record_in *r)
{
    for (uint32_t left = take_varint(r); left > 0 && !r->err; left--) {
        take_varint(r);
        take(r, take_varint(r));
    }
}

enum err broker_share_record_read_key(struct slice bytes, struct share_record_key *out)
{
    struct record_in r = {.rest = bytes};
    int16_t version = take_i16(&r);
    if (!r.err && version != KEY_VERSION)
        return ERR_UNSUPPORTED;
    int16_t size = take_i16(&r);
    if (!r.err && size < 0)
        return ERR_CORRUPT;
    const uint8_t *group = take(&r, (size_t)MAX(size, (int16_t)0));
    const uint8_t *topic = take(&r, sizeof(out->topic_id.bytes));
    int32_t index = take_i32(&r);
    if (r.err)
        return r.err;
    out->group_id = slice_make(group, (size_t)size);
    memcpy(out->topic_id.bytes, topic, sizeof(out->topic_id.bytes));
    out->index = index;
    return ERR_OK;
}

static void take_run(struct record_in *r, struct share_cursor *out)
{
    struct cursor_run run = {.first = take_i64(r)};
    int64_t last = take_i64(r);
    const uint8_t *state = take(r, 1);
    run.count = take_i16(r);
    take_tags(r);
    if (r->err)
        return;
    if (last == INT64_MAX) {
        r->err = ERR_CORRUPT;
        return;
    }
    run.next = last + 1;
    run.state = (enum cursor_state) * state;
    r->err = broker_cursor_restore(&out->cursor, &run);
}

enum err broker_share_record_read_value(struct slice bytes, struct share_cursor *out)
{
    struct record_in r = {.rest = bytes};
    int16_t version = take_i16(&r);
    if (!r.err && version != VALUE_VERSION)
        return ERR_UNSUPPORTED;
    out->snapshot_epoch = take_i32(&r);
    out->state_epoch = take_i32(&r);
    take_i32(&r);
    int64_t start = take_i64(&r);
    take_i64(&r);
    take_i64(&r);
    if (!r.err && start < 0)
        return ERR_CORRUPT;
    if (!r.err)
        out->cursor.start = out->cursor.end = start;
    for (uint32_t left = take_varint(&r); left > 1 && !r.err; left--)
        take_run(&r, out);
    take_tags(&r);
    if (!r.err)
        broker_cursor_restored(&out->cursor);
    return r.err;
}

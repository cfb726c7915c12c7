// Writes and reads the records of __consumer_offsets; their layout stands in offsets.h.
// SPDX-License-Identifier: Apache-2.0
#include "base/endian.h"
#include "broker/offsets.h"

#define KEY_COMMIT    1
#define KEY_GROUP     2
#define VALUE_EXPIRES 1
#define VALUE_COMMIT  3
#define VALUE_GROUP   3
#define MEMBER_SIZE_MIN                                                                            \
    20 /* three empty strings, a timeout and two empty byte strings, at least                      \
        */

/* --- writing: the first error sticks --- */

struct offsets_out {
    struct codec_output *out;
    enum err err;
};

static void put(struct offsets_out *w, const void *bytes, size_t size)
{
    if (!w->err && size > 0)
        w->err = codec_output_add(w->out, slice_make(bytes, size));
}

static void put_i16(struct offsets_out *w, int16_t value)
{
    uint8_t bytes[2];
    be16_put(bytes, (uint16_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_i32(struct offsets_out *w, int32_t value)
{
    uint8_t bytes[4];
    be32_put(bytes, (uint32_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_i64(struct offsets_out *w, int64_t value)
{
    uint8_t bytes[8];
    be64_put(bytes, (uint64_t)value);
    put(w, bytes, sizeof(bytes));
}

static void put_string(struct offsets_out *w, struct slice text)
{
    if (!w->err && text.size > OFFSETS_STRING_SIZE_MAX)
        w->err = ERR_TOO_LARGE;
    put_i16(w, (int16_t)text.size);
    put(w, text.data, text.size);
}

static void put_string_or_null(struct offsets_out *w, struct slice text)
{
    if (text.data)
        put_string(w, text);
    else
        put_i16(w, -1);
}

static void put_bytes(struct offsets_out *w, struct slice bytes)
{
    if (!w->err && bytes.size > INT32_MAX)
        w->err = ERR_TOO_LARGE;
    put_i32(w, (int32_t)bytes.size);
    put(w, bytes.data, bytes.size);
}

enum err broker_offsets_key_write(struct codec_output *out, const struct offsets_key *key)
{
    struct offsets_out w = {.out = out};
    put_i16(&w, key->is_group ? KEY_GROUP : KEY_COMMIT);
    put_string(&w, key->group);
    if (!key->is_group) {
        put_string(&w, key->topic);
        put_i32(&w, key->partition);
    }
    return w.err;
}

enum err broker_offsets_value_write(struct codec_output *out, const struct offsets_value *value)
{
    struct offsets_out w = {.out = out};
    bool expires = value->expire_ms != -1;
    put_i16(&w, expires ? VALUE_EXPIRES : VALUE_COMMIT);
    put_i64(&w, value->offset);
    if (!expires)
        put_i32(&w, value->leader_epoch);
    put_string(&w, value->metadata);
    put_i64(&w, value->commit_ms);
    if (expires)
        put_i64(&w, value->expire_ms);
    return w.err;
}

enum err broker_offsets_group_write(struct codec_output *out, const struct group *group,
                                    bool proposed)
{
    struct offsets_out w = {.out = out};
    put_i16(&w, VALUE_GROUP);
    put_string(&w, group->protocol_type);
    put_i32(&w, group->generation);
    put_string_or_null(&w, group->protocol_name);
    put_string_or_null(&w, group->leader ? group->leader->id : SLICE_NULL);
    put_i64(&w, group->state_since_ms);
    put_i32(&w, (int32_t)group->members.count);
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        put_string(&w, member->id);
        put_string_or_null(&w, member->instance_id);
        put_string(&w, member->client_id);
        put_string(&w, member->client_host);
        put_i32(&w, member->rebalance_timeout_ms);
        put_i32(&w, member->session_timeout_ms);
        put_bytes(&w, broker_group_member_metadata(member, group->protocol_name));
        put_bytes(&w, proposed ? member->proposed : member->assignment);
    }
    return w.err;
}

/* --- reading --- */

struct offsets_in {
    struct slice rest;
    enum err err;
};

static const uint8_t *take(struct offsets_in *r, size_t size)
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

static int16_t take_i16(struct offsets_in *r)
{
    const uint8_t *at = take(r, 2);
    return at ? (int16_t)be16_get(at) : 0;
}

static int32_t take_i32(struct offsets_in *r)
{
    const uint8_t *at = take(r, 4);
    return at ? (int32_t)be32_get(at) : 0;
}

static int64_t take_i64(struct offsets_in *r)
{
    const uint8_t *at = take(r, 8);
    return at ? (int64_t)be64_get(at) : 0;
}

static struct slice take_sized(struct offsets_in *r, int32_t size, bool nullable)
{
    if (!r->err && size < (nullable ? -1 : 0))
        r->err = ERR_CORRUPT;
    if (r->err || size < 0)
        return SLICE_NULL;
    const uint8_t *at = take(r, (size_t)size);
    return at ? slice_make(at, (size_t)size) : SLICE_NULL;
}

static struct slice take_string(struct offsets_in *r)
{
    return take_sized(r, take_i16(r), false);
}

static struct slice take_string_or_null(struct offsets_in *r)
{
    return take_sized(r, take_i16(r), true);
}

static struct slice take_bytes(struct offsets_in *r)
{
    return take_sized(r, take_i32(r), false);
}

enum err broker_offsets_key_read(struct slice bytes, struct offsets_key *out)
{
    struct offsets_in r = {.rest = bytes};
    int16_t version = take_i16(&r);
    if (!r.err && (version < 0 || version > KEY_GROUP))
        return ERR_UNSUPPORTED;
    struct offsets_key key = {.is_group = version == KEY_GROUP, .group = take_string(&r)};
    if (!key.is_group) {
        key.topic = take_string(&r);
        key.partition = take_i32(&r);
    }
    if (!r.err)
        *out = key;
    return r.err;
}

enum err broker_offsets_value_read(struct slice bytes, struct offsets_value *out)
{
    struct offsets_in r = {.rest = bytes};
    int16_t version = take_i16(&r);
    if (!r.err && (version < 0 || version > VALUE_COMMIT))
        return ERR_UNSUPPORTED;
    struct offsets_value value = {.leader_epoch = -1, .expire_ms = -1};
    value.offset = take_i64(&r);
    if (version == VALUE_COMMIT)
        value.leader_epoch = take_i32(&r);
    value.metadata = take_string(&r);
    value.commit_ms = take_i64(&r);
    if (version == VALUE_EXPIRES)
        value.expire_ms = take_i64(&r);
    if (!r.err)
        *out = value;
    return r.err;
}

enum err broker_offsets_group_read(struct slice bytes, struct offsets_group *out)
{
    struct offsets_in r = {.rest = bytes};
    struct offsets_group group = {.version = take_i16(&r), .state_since_ms = -1};
    if (!r.err && (group.version < 0 || group.version > VALUE_GROUP))
        return ERR_UNSUPPORTED;
    group.protocol_type = take_string(&r);
    group.generation = take_i32(&r);
    group.protocol = take_string_or_null(&r);
    group.leader = take_string_or_null(&r);
    if (group.version >= 2)
        group.state_since_ms = take_i64(&r);
    group.member_count = take_i32(&r);
    group.members = r.rest;
    if (!r.err && (group.member_count < 0 || group.generation < 0 ||
                   (size_t)group.member_count > group.members.size / MEMBER_SIZE_MIN))
        return ERR_CORRUPT;
    if (!r.err)
        *out = group;
    return r.err;
}

enum err broker_offsets_member_read(struct offsets_group *group, struct group_restored *out)
{
    struct offsets_in r = {.rest = group->members};
    struct group_restored member = {.protocol_name = group->protocol};
    member.id = take_string(&r);
    if (group->version >= 3)
        member.instance_id = take_string_or_null(&r);
    member.client_id = take_string(&r);
    member.client_host = take_string(&r);
    if (group->version >= 1)
        member.rebalance_timeout_ms = take_i32(&r);
    member.session_timeout_ms = take_i32(&r);
    if (group->version < 1)
        member.rebalance_timeout_ms = member.session_timeout_ms;
    member.metadata = take_bytes(&r);
    member.assignment = take_bytes(&r);
    if (r.err)
        return r.err;
    member.leader = group->leader.data && slice_equal(group->leader, member.id);
    group->members = r.rest;
    *out = member;
    return ERR_OK;
}

bool broker_offsets_subscription_has(struct slice subscription, struct slice topic, bool *out_known)
{
    struct offsets_in r = {.rest = subscription};
    bool found = false;
    int16_t version = take_i16(&r);
    int32_t count = take_i32(&r);
    if (version < 0 || count < 0)
        r.err = ERR_CORRUPT;
    for (int32_t i = 0; i < count && !r.err; i++)
        found |= slice_equal(take_string(&r), topic);
    *out_known = !r.err;
    return found && !r.err;
}

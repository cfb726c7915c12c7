// Writes and reads the records of __consumer_offsets; their layout stands in offsets.h.
// SPDX-License-Identifier: Apache-2.0
#include "broker/form.h"
#include "broker/offsets.h"

#define KEY_COMMIT    1
#define KEY_GROUP     2
#define VALUE_EXPIRES 1
#define VALUE_COMMIT  4
#define VALUE_EPOCH   3 /* the first with a leader epoch */
#define TAG_TOPIC_ID  0
#define VALUE_GROUP   3
#define MEMBER_SIZE_MIN                                                                            \
    20 /* three empty strings, a timeout and two empty byte strings, at least                      \
        */

/* --- writing --- */

static void put_string_or_null(struct form_out *w, struct slice text)
{
    if (text.data)
        broker_form_put_key_text(w, text);
    else
        broker_form_put_i16(w, -1);
}

static void put_bytes(struct form_out *w, struct slice bytes)
{
    if (!w->err && bytes.size > INT32_MAX)
        w->err = ERR_TOO_LARGE;
    broker_form_put_i32(w, (int32_t)bytes.size);
    broker_form_put(w, bytes.data, bytes.size);
}

enum err broker_offsets_key_write(struct codec_output *out, const struct offsets_key *key)
{
    struct form_out w = {.out = out};
    broker_form_put_i16(&w, key->is_group ? KEY_GROUP : KEY_COMMIT);
    broker_form_put_key_text(&w, key->group);
    if (!key->is_group) {
        broker_form_put_key_text(&w, key->topic);
        broker_form_put_i32(&w, key->partition);
    }
    return w.err;
}

static void value_write_expiring(struct form_out *w, const struct offsets_value *value)
{
    broker_form_put_i16(w, VALUE_EXPIRES);
    broker_form_put_i64(w, value->offset);
    broker_form_put_key_text(w, value->metadata);
    broker_form_put_i64(w, value->commit_ms);
    broker_form_put_i64(w, value->expire_ms);
}

enum err broker_offsets_value_write(struct codec_output *out, const struct offsets_value *value)
{
    struct form_out w = {.out = out};
    bool has_id = !uuid_is_zero(&value->topic_id);
    if (value->expire_ms != -1) {
        value_write_expiring(&w, value);
        return w.err;
    }
    broker_form_put_i16(&w, VALUE_COMMIT);
    broker_form_put_i64(&w, value->offset);
    broker_form_put_i32(&w, value->leader_epoch);
    broker_form_put_text_not_null(&w, value->metadata);
    broker_form_put_i64(&w, value->commit_ms);
    broker_form_put_count(&w, has_id);
    if (has_id)
        broker_form_put_tag(&w, TAG_TOPIC_ID, value->topic_id.bytes, sizeof(value->topic_id.bytes));
    return w.err;
}

enum err broker_offsets_group_write(struct codec_output *out, const struct group *group,
                                    bool proposed)
{
    struct form_out w = {.out = out};
    broker_form_put_i16(&w, VALUE_GROUP);
    broker_form_put_key_text(&w, group->protocol_type);
    broker_form_put_i32(&w, group->generation);
    put_string_or_null(&w, group->protocol_name);
    put_string_or_null(&w, group->leader ? group->leader->id : SLICE_NULL);
    broker_form_put_i64(&w, group->state_since_ms);
    broker_form_put_i32(&w, (int32_t)group->members.count);
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        broker_form_put_key_text(&w, member->id);
        put_string_or_null(&w, member->instance_id);
        broker_form_put_key_text(&w, member->client_id);
        broker_form_put_key_text(&w, member->client_host);
        broker_form_put_i32(&w, member->rebalance_timeout_ms);
        broker_form_put_i32(&w, member->session_timeout_ms);
        put_bytes(&w, broker_group_member_metadata(member, group->protocol_name));
        put_bytes(&w, proposed ? member->proposed : member->assignment);
    }
    return w.err;
}

/* --- reading --- */

static struct slice take_sized(struct form_in *r, int32_t size, bool nullable)
{
    if (!r->err && size < (nullable ? -1 : 0))
        r->err = ERR_CORRUPT;
    if (r->err || size < 0)
        return SLICE_NULL;
    const uint8_t *at = broker_form_take(r, (size_t)size);
    return at ? slice_make(at, (size_t)size) : SLICE_NULL;
}

static struct slice take_string_or_null(struct form_in *r)
{
    return take_sized(r, broker_form_take_i16(r), true);
}

static struct slice take_bytes(struct form_in *r)
{
    return take_sized(r, broker_form_take_i32(r), false);
}

enum err broker_offsets_key_read(struct slice bytes, struct offsets_key *out)
{
    struct form_in r = {.rest = bytes};
    int16_t version = broker_form_take_i16(&r);
    if (!r.err && (version < 0 || version > KEY_GROUP))
        return ERR_UNSUPPORTED;
    struct offsets_key key = {.is_group = version == KEY_GROUP,
                              .group = broker_form_take_key_text(&r)};
    if (!key.is_group) {
        key.topic = broker_form_take_key_text(&r);
        key.partition = broker_form_take_i32(&r);
    }
    if (!r.err)
        *out = key;
    return r.err;
}

enum err broker_offsets_value_read(struct slice bytes, struct offsets_value *out)
{
    struct form_in r = {.rest = bytes};
    int16_t version = broker_form_take_i16(&r);
    if (!r.err && (version < 0 || version > VALUE_COMMIT))
        return ERR_UNSUPPORTED;
    struct offsets_value value = {.leader_epoch = -1, .expire_ms = -1};
    value.offset = broker_form_take_i64(&r);
    if (version >= VALUE_EPOCH)
        value.leader_epoch = broker_form_take_i32(&r);
    value.metadata =
        version == VALUE_COMMIT ? broker_form_take_text(&r, false) : broker_form_take_key_text(&r);
    value.commit_ms = broker_form_take_i64(&r);
    if (version == VALUE_EXPIRES)
        value.expire_ms = broker_form_take_i64(&r);
    const uint8_t *id = version == VALUE_COMMIT
                            ? broker_form_take_tags(&r, TAG_TOPIC_ID, sizeof(value.topic_id))
                            : NULL;
    if (id)
        memcpy(value.topic_id.bytes, id, sizeof(value.topic_id.bytes));
    if (!r.err)
        *out = value;
    return r.err;
}

enum err broker_offsets_group_read(struct slice bytes, struct offsets_group *out)
{
    struct form_in r = {.rest = bytes};
    struct offsets_group group = {.version = broker_form_take_i16(&r), .state_since_ms = -1};
    if (!r.err && (group.version < 0 || group.version > VALUE_GROUP))
        return ERR_UNSUPPORTED;
    group.protocol_type = broker_form_take_key_text(&r);
    group.generation = broker_form_take_i32(&r);
    group.protocol = take_string_or_null(&r);
    group.leader = take_string_or_null(&r);
    if (group.version >= 2)
        group.state_since_ms = broker_form_take_i64(&r);
    group.member_count = broker_form_take_i32(&r);
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
    struct form_in r = {.rest = group->members};
    struct group_restored member = {.protocol_name = group->protocol};
    member.id = broker_form_take_key_text(&r);
    if (group->version >= 3)
        member.instance_id = take_string_or_null(&r);
    member.client_id = broker_form_take_key_text(&r);
    member.client_host = broker_form_take_key_text(&r);
    if (group->version >= 1)
        member.rebalance_timeout_ms = broker_form_take_i32(&r);
    member.session_timeout_ms = broker_form_take_i32(&r);
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
    struct form_in r = {.rest = subscription};
    bool found = false;
    int16_t version = broker_form_take_i16(&r);
    int32_t count = broker_form_take_i32(&r);
    if (version < 0 || count < 0)
        r.err = ERR_CORRUPT;
    for (int32_t i = 0; i < count && !r.err; i++)
        found |= slice_equal(broker_form_take_key_text(&r), topic);
    *out_known = !r.err;
    return found && !r.err;
}

// The records of a group of the newer protocol, as Kafka writes them to __consumer_offsets.
// SPDX-License-Identifier: Apache-2.0
//
// Integers big-endian. A key is its kind (i16) and strings of length (i16) and UTF-8; a value is
// its version (i16, 0) and flexible: lengths are unsigned varints of size + 1 (0: null), a tag
// section (count, then each tag, size, bytes) ends every structure.
//   key 3: group                value: epoch i32; tag 0: hash of the topics i64
//   key 5: group, member        value: instance id string?, rack string?, client id string, client
//                               host string, topics []string, expression string?, rebalance timeout
//                               i32, assignor string?; tag 0: session timeout i32, protocols
//                               []{name string, metadata bytes} of a classic member
//   key 6: group                value: assignment epoch i32
//   key 7: group, member        value: []{topic uuid, partitions []i32}: its target
//   key 8: group, member        value: epoch i32, previous epoch i32, state i8, assigned, revoking:
//                               each as in 7
//   key 16: group, expression   value: topics []string, version i64, when i64 (ms)
// The tag of a classic member begins with a byte: 1 where it is one, else 0 and nothing more.
#include <stdlib.h>

#include "base/endian.h"
#include "base/varint.h"
#include "broker/group_consumer.h"

#define VALUE_VERSION 0
#define TEXT_SIZE_MAX 32767

/* --- writing: the first error sticks --- */

struct record_out {
    struct codec_output *out;
    enum err err;
};

static void put(struct record_out *w, const void *bytes, size_t size)
{
    if (!w->err && size > 0)
        w->err = codec_output_add(w->out, slice_make(bytes, size));
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

static void put_count(struct record_out *w, size_t count)
{
    uint8_t bytes[VARINT_U32_SIZE_MAX];
    if (!w->err && count > INT32_MAX)
        w->err = ERR_TOO_LARGE;
    put(w, bytes, varint_u32_put(bytes, (uint32_t)count));
}

static void put_text(struct record_out *w, struct slice text)
{
    put_count(w, text.data ? text.size + 1 : 0);
    put(w, text.data, text.size);
}

static void put_text_not_null(struct record_out *w, struct slice text)
{
    put_text(w, text.data ? text : slice_text(""));
}

static void put_names(struct record_out *w, const struct group_names *names)
{
    put_count(w, names->count + 1);
    for (size_t i = 0; i < names->count; i++)
        put_text(w, names->items[i]);
}

static size_t topic_end(const struct group_parts *parts, size_t first)
{
    size_t next = first + 1;
    while (next < parts->count && uuid_equal(&parts->items[next].topic, &parts->items[first].topic))
        next++;
    return next;
}

static void put_parts(struct record_out *w, const struct group_parts *parts)
{
    size_t topics = 0;
    for (size_t i = 0; i < parts->count; i = topic_end(parts, i))
        topics++;
    put_count(w, topics + 1);
    for (size_t i = 0; i < parts->count;) {
        size_t end = topic_end(parts, i);
        put(w, parts->items[i].topic.bytes, sizeof(parts->items[i].topic.bytes));
        put_count(w, end - i + 1);
        for (; i < end; i++)
            put_i32(w, parts->items[i].index);
        put_count(w, 0);
    }
}

static struct record_out value_begin(struct group_consumer *group)
{
    group->scratch.size = 0;
    struct record_out w = {.out = &group->scratch};
    put_i16(&w, VALUE_VERSION);
    return w;
}

static void value_send(struct group_consumer *group, const struct record_out *w,
                       enum consumer_fact fact, struct slice name)
{
    enum err err = w->err;
    if (!err)
        err = group->env->record(group->env, group->owner, fact, name,
                                 slice_make(group->scratch.data, group->scratch.size));
    if (err)
        group->is_broken = true;
}

void broker_group_consumer_record_epoch(struct group_consumer *group)
{
    struct record_out w = value_begin(group);
    put_i32(&w, group->epoch);
    put_count(&w, 1); /* one tag: 0, eight bytes */
    put_count(&w, 0);
    put_count(&w, sizeof(group->hash));
    put_i64(&w, (int64_t)group->hash);
    value_send(group, &w, CONSUMER_FACT_EPOCH, SLICE_NULL);
}

void broker_group_consumer_record_target_epoch(struct group_consumer *group)
{
    struct record_out w = value_begin(group);
    put_i32(&w, group->assignment_epoch);
    put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_TARGET_EPOCH, SLICE_NULL);
}

void broker_group_consumer_record_member(struct group_consumer *group,
                                         const struct consumer_member *member)
{
    struct record_out w = value_begin(group);
    put_text(&w, member->instance_id);
    put_text(&w, member->rack_id);
    put_text_not_null(&w, member->client_id);
    put_text_not_null(&w, member->client_host);
    put_names(&w, &member->topics);
    put_text_not_null(&w, member->regex);
    put_i32(&w, member->rebalance_timeout_ms);
    put_text(&w, member->assignor);
    const uint8_t there = member->is_classic;
    put_count(&w, 1); /* one tag */
    put_count(&w, 0);
    put_count(&w, member->is_classic ? 1 + 4 + member->protocols.size + 1 : 1);
    put(&w, &there, 1);
    if (member->is_classic) {
        put_i32(&w, member->session_timeout_ms);
        put(&w, member->protocols.data, member->protocols.size);
        put_count(&w, 0);
    }
    value_send(group, &w, CONSUMER_FACT_MEMBER, member->id);
}

void broker_group_consumer_record_target(struct group_consumer *group,
                                         const struct consumer_member *member)
{
    struct record_out w = value_begin(group);
    put_parts(&w, &member->target);
    put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_TARGET, member->id);
}

void broker_group_consumer_record_current(struct group_consumer *group,
                                          const struct consumer_member *member)
{
    struct record_out w = value_begin(group);
    uint8_t state = (uint8_t)member->state;
    put_i32(&w, member->epoch);
    put_i32(&w, member->previous_epoch);
    put(&w, &state, 1);
    put_parts(&w, &member->assigned);
    put_parts(&w, &member->revoking);
    put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_CURRENT, member->id);
}

void broker_group_consumer_record_regex(struct group_consumer *group,
                                        const struct consumer_regex *regex)
{
    struct record_out w = value_begin(group);
    put_names(&w, &regex->topics);
    put_i64(&w, (int64_t)(regex->generation & INT64_MAX));
    put_i64(&w, group->env->wall_ms);
    put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_REGEX, regex->text);
}

void broker_group_consumer_record_gone(struct group_consumer *group, enum consumer_fact fact,
                                       struct slice name)
{
    if (group->env->record(group->env, group->owner, fact, name, SLICE_NULL))
        group->is_broken = true;
}

void broker_group_consumer_record_none(struct group_consumer *group)
{
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        broker_group_consumer_record_gone(group, CONSUMER_FACT_CURRENT, member->id);
        broker_group_consumer_record_gone(group, CONSUMER_FACT_TARGET, member->id);
        broker_group_consumer_record_gone(group, CONSUMER_FACT_MEMBER, member->id);
    }
    list_for_each (node, &group->regexes)
        broker_group_consumer_record_gone(group, CONSUMER_FACT_REGEX,
                                          LIST_ENTRY(node, struct consumer_regex, node)->text);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_TARGET_EPOCH, SLICE_NULL);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_EPOCH, SLICE_NULL);
}

/* --- keys --- */

static bool fact_has_name(enum consumer_fact fact)
{
    return fact == CONSUMER_FACT_MEMBER || fact == CONSUMER_FACT_TARGET ||
           fact == CONSUMER_FACT_CURRENT || fact == CONSUMER_FACT_REGEX;
}

static void put_key_text(struct record_out *w, struct slice text)
{
    if (!w->err && text.size > TEXT_SIZE_MAX)
        w->err = ERR_TOO_LARGE;
    put_i16(w, (int16_t)text.size);
    put(w, text.data, text.size);
}

enum err broker_group_consumer_record_key(struct codec_output *out, enum consumer_fact fact,
                                          struct slice group_id, struct slice name)
{
    struct record_out w = {.out = out};
    put_i16(&w, (int16_t)fact);
    put_key_text(&w, group_id);
    if (fact_has_name(fact))
        put_key_text(&w, name);
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

static uint32_t take_varint(struct record_in *r)
{
    uint32_t value = 0;
    size_t used = r->err ? 0 : varint_u32_get(r->rest.data, r->rest.size, &value);
    if (!r->err && used == 0)
        r->err = ERR_TRUNCATED;
    return take(r, used) ? value : 0;
}

static struct slice take_text(struct record_in *r, bool nullable)
{
    uint32_t size = take_varint(r);
    if (!r->err && size == 0 && !nullable)
        r->err = ERR_CORRUPT;
    if (r->err || size == 0)
        return SLICE_NULL;
    const uint8_t *at = take(r, size - 1);
    return at ? slice_make(at, size - 1) : SLICE_NULL;
}

/* Each item takes so many bytes at least: a count from outside promises no more than is there. */
static size_t take_count(struct record_in *r, size_t item_size_min)
{
    uint32_t count = take_varint(r);
    if (!r->err && (count == 0 || (count - 1) > r->rest.size / item_size_min))
        r->err = ERR_CORRUPT;
    return r->err ? 0 : count - 1;
}

static void take_tags(struct record_in *r)
{
    uint32_t count = take_varint(r);
    for (uint32_t i = 0; i < count && !r->err; i++) {
        take_varint(r);
        take(r, take_varint(r));
    }
}

enum err broker_group_consumer_record_key_read(struct slice bytes, enum consumer_fact *out_fact,
                                               struct slice *out_group, struct slice *out_name)
{
    struct record_in r = {.rest = bytes};
    int16_t kind = take_i16(&r);
    if (!r.err && (kind < CONSUMER_FACT_EPOCH || kind > CONSUMER_FACT_REGEX ||
                   (kind > CONSUMER_FACT_CURRENT && kind < CONSUMER_FACT_REGEX)))
        return ERR_UNSUPPORTED;
    for (unsigned i = 0; i < 2; i++) {
        struct slice text = SLICE_NULL;
        if (i == 0 || fact_has_name((enum consumer_fact)kind)) {
            int16_t size = take_i16(&r);
            if (!r.err && size < 0)
                r.err = ERR_CORRUPT;
            const uint8_t *at = take(&r, r.err ? 0 : (size_t)size);
            text = at ? slice_make(at, (size_t)size) : SLICE_NULL;
        }
        *(i == 0 ? out_group : out_name) = text;
    }
    *out_fact = (enum consumer_fact)kind;
    return r.err;
}

/* --- back from the log --- */

static enum err take_names(struct record_in *r, struct budget *budget, struct group_names *own)
{
    size_t count = take_count(r, 1);
    struct slice *names = reallocarray(NULL, count + 1, sizeof(*names));
    if (!names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names[i] = take_text(r, false);
    enum err err = r->err ? r->err : broker_group_parts_names(budget, own, names, count);
    free(names);
    return err;
}

/* How many parts there are, then the parts. */
static size_t parts_walk(struct record_in *r, struct group_parts *out)
{
    size_t total = 0;
    size_t topics = take_count(r, sizeof(struct uuid) + 2);
    for (size_t i = 0; i < topics && !r->err; i++) {
        const uint8_t *id = take(r, sizeof(struct uuid));
        size_t count = take_count(r, 4);
        for (size_t j = 0; j < count && !r->err; j++) {
            int32_t index = take_i32(r);
            if (out && id) {
                memcpy(out->items[out->count].topic.bytes, id, sizeof(struct uuid));
                out->items[out->count++].index = index;
            }
        }
        total += count;
        take_tags(r);
    }
    return total;
}

static enum err take_parts(struct record_in *r, struct budget *budget, struct group_parts *own)
{
    struct record_in ahead = *r;
    size_t room = parts_walk(&ahead, NULL);
    struct group_parts parts;
    if (ahead.err)
        return ahead.err;
    enum err err = broker_group_parts_room(budget, room, &parts);
    if (err)
        return err;
    parts_walk(r, &parts);
    broker_group_parts_sort(&parts);
    err = r->err ? r->err : broker_group_parts_set(budget, own, &parts);
    broker_group_parts_free(budget, &parts, room);
    return err;
}

static struct consumer_member *member_get(struct group_consumer *group, struct slice id)
{
    struct consumer_member *member = broker_group_consumer_member_find(group, id);
    return member ? member : broker_group_consumer_member_new(group, id, SLICE_NULL);
}

/* The tag of a classic member. */
static enum err take_classic(struct record_in *r, struct budget *budget,
                             struct consumer_member *member)
{
    uint32_t tags = take_varint(r);
    for (uint32_t i = 0; i < tags && !r->err; i++) {
        uint32_t tag = take_varint(r);
        uint32_t size = take_varint(r);
        const uint8_t *at = take(r, size);
        struct record_in inner = {.rest = slice_make(at, size), .err = r->err};
        const uint8_t *there = tag == 0 ? take(&inner, 1) : NULL;
        if (!there || *there == 0 || *there == 255)
            continue;
        int32_t session_ms = take_i32(&inner);
        struct slice protocols = inner.rest;
        size_t count = take_count(&inner, 3);
        for (size_t p = 0; p < count && !inner.err; p++) {
            take_text(&inner, false);
            take_text(&inner, false);
            take_tags(&inner);
        }
        protocols.size -= inner.rest.size;
        if (inner.err)
            return inner.err;
        member->is_classic = true;
        member->session_timeout_ms = session_ms;
        return broker_group_parts_text(budget, &member->protocols, protocols);
    }
    return r->err;
}

static enum err member_read(struct group_consumer *group, struct consumer_member *member,
                            struct record_in *r)
{
    struct budget *budget = group->env->budget;
    if (member->client_id.data)
        return ERR_CORRUPT; /* it has one such record */
    struct slice instance_id = take_text(r, true);
    struct slice rack_id = take_text(r, true);
    struct slice client_id = take_text(r, false);
    struct slice client_host = take_text(r, false);
    enum err err = take_names(r, budget, &member->topics);
    struct slice regex = take_text(r, true);
    member->rebalance_timeout_ms = take_i32(r);
    struct slice assignor = take_text(r, true);
    if (!err)
        err = r->err;
    if (!err)
        err = take_classic(r, budget, member);
    if (!err && instance_id.data && map_get(&group->instances, instance_id))
        err = ERR_CORRUPT; /* two have it: the log lies */
    if (!err)
        err = broker_group_parts_text(budget, &member->instance_id, instance_id);
    if (!err)
        err = broker_group_parts_text(budget, &member->rack_id, rack_id);
    if (!err)
        err = broker_group_parts_text(budget, &member->client_id, client_id);
    if (!err)
        err = broker_group_parts_text(budget, &member->client_host, client_host);
    if (!err)
        err = broker_group_parts_text(budget, &member->regex, regex);
    if (!err)
        err = broker_group_parts_text(budget, &member->assignor, assignor);
    if (!err && instance_id.data && !map_put(&group->instances, member->instance_id, member, NULL))
        err = ERR_NO_MEMORY;
    return err;
}

static enum err current_read(struct group_consumer *group, struct consumer_member *member,
                             struct record_in *r)
{
    struct budget *budget = group->env->budget;
    struct group_parts assigned = {NULL, 0};
    struct group_parts revoking = {NULL, 0};
    int32_t epoch = take_i32(r);
    int32_t previous_epoch = take_i32(r);
    const uint8_t *state = take(r, 1);
    if (state && *state > CONSUMER_UNRELEASED)
        r->err = ERR_CORRUPT;
    enum err err = take_parts(r, budget, &assigned);
    if (!err)
        err = take_parts(r, budget, &revoking);
    for (unsigned i = 0; i < 2 && !err; i++) {
        const struct group_parts *parts = i == 0 ? &assigned : &revoking;
        for (size_t p = 0; p < parts->count && !err; p++)
            if (broker_group_consumer_member_owner(group, &parts->items[p]))
                err = ERR_CORRUPT; /* two hold it: the log lies */
    }
    if (!err)
        err = broker_group_consumer_member_hold(group, member, &assigned, &revoking);
    if (!err) {
        member->epoch = epoch;
        member->previous_epoch = previous_epoch;
        member->state = (enum consumer_state) * state;
    }
    broker_group_parts_free(budget, &assigned, assigned.count);
    broker_group_parts_free(budget, &revoking, revoking.count);
    return err;
}

static enum err regex_read(struct group_consumer *group, struct slice text, struct record_in *r)
{
    struct consumer_regex *regex = broker_group_consumer_target_regex_new(group, text);
    return regex ? take_names(r, group->env->budget, &regex->topics) : ERR_NO_MEMORY;
}

/* The hash, from the tags. */
static void epoch_read(struct group_consumer *group, struct record_in *r)
{
    group->epoch = take_i32(r);
    uint32_t tags = take_varint(r);
    for (uint32_t i = 0; i < tags && !r->err; i++) {
        uint32_t tag = take_varint(r);
        uint32_t size = take_varint(r);
        const uint8_t *at = take(r, size);
        if (tag == 0 && at && size == 8)
            group->hash = be64_get(at);
    }
}

enum err broker_group_consumer_record_restore(struct group_consumer *group, enum consumer_fact fact,
                                              struct slice name, struct slice value)
{
    struct record_in r = {.rest = value};
    int16_t version = take_i16(&r);
    if (!r.err && version != VALUE_VERSION)
        return ERR_UNSUPPORTED;
    struct consumer_member *member = NULL;
    if (fact == CONSUMER_FACT_MEMBER || fact == CONSUMER_FACT_TARGET ||
        fact == CONSUMER_FACT_CURRENT) {
        member = member_get(group, name);
        if (!member)
            return ERR_NO_MEMORY;
    }
    enum err err = ERR_OK;
    switch (fact) {
    case CONSUMER_FACT_EPOCH:
        epoch_read(group, &r);
        break;
    case CONSUMER_FACT_TARGET_EPOCH:
        group->assignment_epoch = take_i32(&r);
        break;
    case CONSUMER_FACT_MEMBER:
        err = member_read(group, member, &r);
        break;
    case CONSUMER_FACT_TARGET:
        err = take_parts(&r, group->env->budget, &member->target);
        break;
    case CONSUMER_FACT_CURRENT:
        err = current_read(group, member, &r);
        break;
    case CONSUMER_FACT_REGEX:
        err = regex_read(group, name, &r);
        break;
    case CONSUMER_FACT_PARTITIONS:
        break;
    }
    return err ? err : r.err;
}

void broker_group_consumer_record_restored(struct group_consumer *group)
{
    list_for_each_safe (node, following, &group->order) {
        struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        if (!member->client_id.data) { /* only a member's own record has that */
            broker_group_consumer_member_free(group, member);
            continue;
        }
        broker_group_consumer_touch(group, member);
        if (member->state != CONSUMER_UNREVOKED)
            continue;
        member->rebalance_deadline_ms = group->env->now_ms + MAX(member->rebalance_timeout_ms, 0);
        broker_group_consumer_due(group, member->rebalance_deadline_ms);
    }
}

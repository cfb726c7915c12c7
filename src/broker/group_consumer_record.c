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
//                               each as in 7; tag 0 of a topic: epochs []i32 since when it has
//                               each of the partitions (KIP-1251)
//   key 16: group, expression   value: topics []string, version i64, when i64 (ms)
// The tag of a classic member begins with a byte: 1 where it is one, else 0 and nothing more.
#include <stdlib.h>

#include "base/endian.h"
#include "base/varint.h"
#include "broker/form.h"
#include "broker/group_consumer.h"

#define VALUE_VERSION 0

/* --- writing --- */

static struct form_out value_begin(struct group_consumer *group)
{
    group->scratch.size = 0;
    struct form_out w = {.out = &group->scratch};
    broker_form_put_i16(&w, VALUE_VERSION);
    return w;
}

static void value_send(struct group_consumer *group, const struct form_out *w,
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
    struct form_out w = value_begin(group);
    broker_form_put_i32(&w, group->epoch);
    uint8_t hash[8];
    be64_put(hash, group->hash);
    broker_form_put_count(&w, 1);
    broker_form_put_tag(&w, 0, hash, sizeof(hash));
    value_send(group, &w, CONSUMER_FACT_EPOCH, SLICE_NULL);
}

void broker_group_consumer_record_target_epoch(struct group_consumer *group)
{
    struct form_out w = value_begin(group);
    broker_form_put_i32(&w, group->assignment_epoch);
    broker_form_put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_TARGET_EPOCH, SLICE_NULL);
}

void broker_group_consumer_record_member(struct group_consumer *group,
                                         const struct consumer_member *member)
{
    struct form_out w = value_begin(group);
    broker_form_put_text(&w, member->instance_id);
    broker_form_put_text(&w, member->rack_id);
    broker_form_put_text_not_null(&w, member->client_id);
    broker_form_put_text_not_null(&w, member->client_host);
    broker_form_put_names(&w, &member->topics);
    broker_form_put_text_not_null(&w, member->regex);
    broker_form_put_i32(&w, member->rebalance_timeout_ms);
    broker_form_put_text(&w, member->assignor);
    const uint8_t there = member->is_classic;
    broker_form_put_count(&w, 1); /* one tag */
    broker_form_put_count(&w, 0);
    broker_form_put_count(&w, member->is_classic ? 1 + 4 + member->protocols.size + 1 : 1);
    broker_form_put(&w, &there, 1);
    if (member->is_classic) {
        broker_form_put_i32(&w, member->session_timeout_ms);
        broker_form_put(&w, member->protocols.data, member->protocols.size);
        broker_form_put_count(&w, 0);
    }
    value_send(group, &w, CONSUMER_FACT_MEMBER, member->id);
}

void broker_group_consumer_record_target(struct group_consumer *group,
                                         const struct consumer_member *member)
{
    struct form_out w = value_begin(group);
    broker_form_put_parts(&w, &member->target);
    broker_form_put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_TARGET, member->id);
}

/* As broker_form_put_parts, each topic with the epochs of its parts. */
static void put_held(struct form_out *w, const struct group_consumer *group,
                     const struct group_parts *parts)
{
    size_t topics = 0;
    for (size_t i = 0; i < parts->count; i = broker_form_topic_end(parts, i))
        topics++;
    broker_form_put_count(w, topics + 1);
    for (size_t i = 0; i < parts->count;) {
        size_t end = broker_form_topic_end(parts, i);
        broker_form_put(w, parts->items[i].topic.bytes, sizeof(parts->items[i].topic.bytes));
        broker_form_put_indexes(w, parts, i, end);
        broker_form_put_count(w, 1);
        broker_form_put_count(w, 0);
        broker_form_put_count(w, varint_u32_size((uint32_t)(end - i + 1)) + 4 * (end - i));
        broker_form_put_count(w, end - i + 1);
        for (; i < end; i++)
            broker_form_put_i32(w, broker_group_consumer_member_since(group, &parts->items[i]));
    }
}

void broker_group_consumer_record_current(struct group_consumer *group,
                                          const struct consumer_member *member)
{
    struct form_out w = value_begin(group);
    uint8_t state = (uint8_t)member->state;
    broker_form_put_i32(&w, member->epoch);
    broker_form_put_i32(&w, member->previous_epoch);
    broker_form_put(&w, &state, 1);
    put_held(&w, group, &member->assigned);
    put_held(&w, group, &member->revoking);
    broker_form_put_count(&w, 0);
    value_send(group, &w, CONSUMER_FACT_CURRENT, member->id);
}

void broker_group_consumer_record_regex(struct group_consumer *group,
                                        const struct consumer_regex *regex)
{
    struct form_out w = value_begin(group);
    broker_form_put_names(&w, &regex->topics);
    broker_form_put_i64(&w, (int64_t)(regex->generation & INT64_MAX));
    broker_form_put_i64(&w, group->env->wall_ms);
    broker_form_put_count(&w, 0);
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
           fact == CONSUMER_FACT_CURRENT || fact == CONSUMER_FACT_REGEX ||
           fact == SHARE_FACT_MEMBER || fact == SHARE_FACT_TARGET || fact == SHARE_FACT_CURRENT;
}

enum err broker_group_consumer_record_key(struct codec_output *out, enum consumer_fact fact,
                                          struct slice group_id, struct slice name)
{
    struct form_out w = {.out = out};
    broker_form_put_i16(&w, (int16_t)fact);
    broker_form_put_key_text(&w, group_id);
    if (fact_has_name(fact))
        broker_form_put_key_text(&w, name);
    return w.err;
}

/* --- reading --- */

enum err broker_group_consumer_record_key_read(struct slice bytes, enum consumer_fact *out_fact,
                                               struct slice *out_group, struct slice *out_name)
{
    struct form_in r = {.rest = bytes};
    int16_t kind = broker_form_take_i16(&r);
    if (!r.err && (kind < CONSUMER_FACT_EPOCH || kind > CONSUMER_FACT_REGEX ||
                   (kind > CONSUMER_FACT_CURRENT && kind < SHARE_FACT_MEMBER)))
        return ERR_UNSUPPORTED;
    for (unsigned i = 0; i < 2; i++) {
        struct slice text = SLICE_NULL;
        if (i == 0 || fact_has_name((enum consumer_fact)kind)) {
            text = broker_form_take_key_text(&r);
        }
        *(i == 0 ? out_group : out_name) = text;
    }
    *out_fact = (enum consumer_fact)kind;
    return r.err;
}

/* --- back from the log --- */

static struct consumer_member *member_get(struct group_consumer *group, struct slice id)
{
    struct consumer_member *member = broker_group_consumer_member_find(group, id);
    return member ? member : broker_group_consumer_member_new(group, id, SLICE_NULL);
}

/* The tag of a classic member. */
static enum err take_classic(struct form_in *r, struct budget *budget,
                             struct consumer_member *member)
{
    uint32_t tags = broker_form_take_varint(r);
    for (uint32_t i = 0; i < tags && !r->err; i++) {
        uint32_t tag = broker_form_take_varint(r);
        uint32_t size = broker_form_take_varint(r);
        const uint8_t *at = broker_form_take(r, size);
        struct form_in inner = {.rest = slice_make(at, size), .err = r->err};
        const uint8_t *there = tag == 0 ? broker_form_take(&inner, 1) : NULL;
        if (!there || *there == 0 || *there == 255)
            continue;
        int32_t session_ms = broker_form_take_i32(&inner);
        struct slice protocols = inner.rest;
        size_t count = broker_form_take_count(&inner, 3);
        for (size_t p = 0; p < count && !inner.err; p++) {
            broker_form_take_text(&inner, false);
            broker_form_take_text(&inner, false);
            broker_form_take_tags(&inner, 0, 0);
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
                            struct form_in *r)
{
    struct budget *budget = group->env->budget;
    if (member->client_id.data)
        return ERR_CORRUPT; /* it has one such record */
    struct slice instance_id = broker_form_take_text(r, true);
    struct slice rack_id = broker_form_take_text(r, true);
    struct slice client_id = broker_form_take_text(r, false);
    struct slice client_host = broker_form_take_text(r, false);
    enum err err = broker_form_take_names(r, budget, &member->topics);
    struct slice regex = broker_form_take_text(r, true);
    member->rebalance_timeout_ms = broker_form_take_i32(r);
    struct slice assignor = broker_form_take_text(r, true);
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

/* The epochs of one topic's parts, from the section of tags behind them. Without them, or with
 * another number of them, the member's own hold. */
static void take_epochs(struct form_in *r, struct group_consumer *group, struct slice topic,
                        struct slice indexes)
{
    struct form_in epochs = {.rest = SLICE_NULL};
    uint32_t tags = broker_form_take_varint(r);
    for (uint32_t i = 0; i < tags && !r->err; i++) {
        uint32_t tag = broker_form_take_varint(r);
        uint32_t size = broker_form_take_varint(r);
        const uint8_t *at = broker_form_take(r, size);
        if (at && tag == 0)
            epochs.rest = slice_make(at, size);
    }
    if (r->err || epochs.rest.size == 0 || broker_form_take_count(&epochs, 4) != indexes.size / 4 ||
        epochs.err)
        return;
    struct form_in index = {.rest = indexes};
    while (index.rest.size > 0) {
        struct group_part part;
        memcpy(part.topic.bytes, topic.data, topic.size);
        part.index = broker_form_take_i32(&index);
        int32_t epoch = broker_form_take_i32(&epochs);
        broker_group_consumer_member_since_set(group, &part, MAX(epoch, 0));
    }
}

/* Again over what was read as parts, which are held now. */
static void take_held(struct form_in *r, struct group_consumer *group)
{
    size_t topics = broker_form_take_count(r, sizeof(struct uuid) + 2);
    for (size_t i = 0; i < topics && !r->err; i++) {
        const uint8_t *id = broker_form_take(r, sizeof(struct uuid));
        size_t count = broker_form_take_count(r, 4);
        const uint8_t *indexes = broker_form_take(r, count * 4);
        if (id && indexes)
            take_epochs(r, group, slice_make(id, sizeof(struct uuid)),
                        slice_make(indexes, count * 4));
    }
}

static enum err current_read(struct group_consumer *group, struct consumer_member *member,
                             struct form_in *r)
{
    struct budget *budget = group->env->budget;
    struct group_parts assigned = {NULL, 0};
    struct group_parts revoking = {NULL, 0};
    int32_t epoch = broker_form_take_i32(r);
    int32_t previous_epoch = broker_form_take_i32(r);
    const uint8_t *state = broker_form_take(r, 1);
    if (state && *state > CONSUMER_UNRELEASED)
        r->err = ERR_CORRUPT;
    struct form_in again = *r;
    enum err err = broker_form_take_parts(r, budget, &assigned);
    if (!err)
        err = broker_form_take_parts(r, budget, &revoking);
    for (unsigned i = 0; i < 2 && !err; i++) {
        const struct group_parts *parts = i == 0 ? &assigned : &revoking;
        for (size_t p = 0; p < parts->count && !err; p++)
            if (broker_group_consumer_member_owner(group, &parts->items[p]))
                err = ERR_CORRUPT; /* two hold it: the log lies */
    }
    int32_t before = member->epoch;
    member->epoch = epoch; /* since when it has what it has, unless the record says else */
    if (!err)
        err = broker_group_consumer_member_hold(group, member, &assigned, &revoking);
    if (!err) {
        take_held(&again, group);
        take_held(&again, group);
        member->previous_epoch = previous_epoch;
        member->state = (enum consumer_state) * state;
    }
    if (err)
        member->epoch = before;
    broker_group_parts_free(budget, &assigned, assigned.count);
    broker_group_parts_free(budget, &revoking, revoking.count);
    return err;
}

static enum err regex_read(struct group_consumer *group, struct slice text, struct form_in *r)
{
    struct consumer_regex *regex = broker_group_consumer_target_regex_new(group, text);
    return regex ? broker_form_take_names(r, group->env->budget, &regex->topics) : ERR_NO_MEMORY;
}

/* The hash, from the tags. */
static void epoch_read(struct group_consumer *group, struct form_in *r)
{
    group->epoch = broker_form_take_i32(r);
    const uint8_t *hash = broker_form_take_tags(r, 0, sizeof(group->hash));
    if (hash)
        group->hash = be64_get(hash);
}

enum err broker_group_consumer_record_restore(struct group_consumer *group, enum consumer_fact fact,
                                              struct slice name, struct slice value)
{
    struct form_in r = {.rest = value};
    int16_t version = broker_form_take_i16(&r);
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
        group->assignment_epoch = broker_form_take_i32(&r);
        break;
    case CONSUMER_FACT_MEMBER:
        err = member_read(group, member, &r);
        break;
    case CONSUMER_FACT_TARGET:
        err = broker_form_take_parts(&r, group->env->budget, &member->target);
        break;
    case CONSUMER_FACT_CURRENT:
        err = current_read(group, member, &r);
        break;
    case CONSUMER_FACT_REGEX:
        err = regex_read(group, name, &r);
        break;
    default:
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

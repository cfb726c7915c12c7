// The records of a share group's members, as Kafka writes them to __consumer_offsets.
// SPDX-License-Identifier: Apache-2.0
//
// Keys and values as told in group_consumer_record.c and form.h; a value begins with its version 0.
//   key 10: group, member   value: rack string?, client id string, client host string,
//                           topics []string
//   key 11: group           value: epoch i32, hash of the topics i64
//   key 12: group           value: assignment epoch i32; tag 0: when it was made i64 (ms)
//   key 13: group, member   value: []{topic uuid, partitions []i32}: its target
//   key 14: group, member   value: epoch i32, previous epoch i32, state i8 (0), assigned as in 13
//   key 15: group           value: beginning []{topic uuid, name string, partitions []i32},
//                           begun: the same, ending []{topic uuid, name string}
// Here nothing is ever beginning or ending: what a group forgets goes before this record says so.
#include "base/endian.h"
#include "broker/form.h"
#include "broker/group_share.h"

#define VALUE_VERSION 0

/* --- writing --- */

static struct form_out value_begin(struct group_share *group)
{
    group->scratch.size = 0;
    struct form_out w = {.out = &group->scratch};
    broker_form_put_i16(&w, VALUE_VERSION);
    return w;
}

static void value_send(struct group_share *group, const struct form_out *w, enum consumer_fact fact,
                       struct slice name)
{
    enum err err = w->err;
    if (!err)
        err = group->env->record(group->env, group->owner, fact, name,
                                 slice_make(group->scratch.data, group->scratch.size));
    if (err)
        group->is_broken = true;
}

void broker_group_share_record_member(struct group_share *group,
                                      const struct group_share_member *member)
{
    struct form_out w = value_begin(group);
    broker_form_put_text(&w, member->rack_id);
    broker_form_put_text_not_null(&w, member->client_id);
    broker_form_put_text_not_null(&w, member->client_host);
    broker_form_put_names(&w, &member->topics);
    broker_form_put_count(&w, 0);
    value_send(group, &w, SHARE_FACT_MEMBER, member->id);
}

void broker_group_share_record_epoch(struct group_share *group)
{
    struct form_out w = value_begin(group);
    broker_form_put_i32(&w, group->epoch);
    broker_form_put_i64(&w, (int64_t)group->hash);
    broker_form_put_count(&w, 0);
    value_send(group, &w, SHARE_FACT_EPOCH, SLICE_NULL);
}

void broker_group_share_record_target_epoch(struct group_share *group)
{
    struct form_out w = value_begin(group);
    uint8_t made[8];
    be64_put(made, (uint64_t)group->env->wall_ms);
    broker_form_put_i32(&w, group->assignment_epoch);
    broker_form_put_count(&w, 1);
    broker_form_put_tag(&w, 0, made, sizeof(made));
    value_send(group, &w, SHARE_FACT_TARGET_EPOCH, SLICE_NULL);
}

void broker_group_share_record_target(struct group_share *group,
                                      const struct group_share_member *member)
{
    struct form_out w = value_begin(group);
    broker_form_put_parts(&w, &member->target);
    broker_form_put_count(&w, 0);
    value_send(group, &w, SHARE_FACT_TARGET, member->id);
}

void broker_group_share_record_current(struct group_share *group,
                                       const struct group_share_member *member)
{
    struct form_out w = value_begin(group);
    broker_form_put_i32(&w, member->epoch);
    broker_form_put_i32(&w, member->previous_epoch);
    broker_form_put_i8(&w, CONSUMER_STABLE);
    broker_form_put_parts(&w, &member->assigned);
    broker_form_put_count(&w, 0);
    value_send(group, &w, SHARE_FACT_CURRENT, member->id);
}

static void put_begun(struct group_share *group, struct form_out *w)
{
    const struct group_parts *parts = &group->parts;
    size_t topics = 0;
    for (size_t i = 0; i < parts->count; i = broker_form_topic_end(parts, i))
        topics++;
    broker_form_put_count(w, topics + 1);
    for (size_t i = 0; i < parts->count;) {
        size_t end = broker_form_topic_end(parts, i);
        const struct uuid *id = &parts->items[i].topic;
        struct consumer_topic topic = {.name = SLICE_LITERAL("<UNKNOWN>")};
        if (!group->env->topic_with_id(group->env, id, &topic))
            topic.name = SLICE_LITERAL("<UNKNOWN>");
        broker_form_put(w, id->bytes, sizeof(id->bytes));
        broker_form_put_text(w, topic.name);
        broker_form_put_indexes(w, parts, i, end);
        broker_form_put_count(w, 0);
        i = end;
    }
}

void broker_group_share_record_parts(struct group_share *group)
{
    struct form_out w = value_begin(group);
    broker_form_put_count(&w, 1); /* nothing is beginning */
    put_begun(group, &w);
    broker_form_put_count(&w, 1); /* nor ending */
    broker_form_put_count(&w, 0);
    value_send(group, &w, SHARE_FACT_PARTITIONS, SLICE_NULL);
}

void broker_group_share_record_gone(struct group_share *group, enum consumer_fact fact,
                                    struct slice name)
{
    if (group->env->record(group->env, group->owner, fact, name, SLICE_NULL))
        group->is_broken = true;
}

void broker_group_share_record_none(struct group_share *group)
{
    list_for_each (node, &group->order) {
        const struct group_share_member *member = LIST_ENTRY(node, struct group_share_member, node);
        broker_group_share_record_gone(group, SHARE_FACT_CURRENT, member->id);
        broker_group_share_record_gone(group, SHARE_FACT_TARGET, member->id);
        broker_group_share_record_gone(group, SHARE_FACT_MEMBER, member->id);
    }
    broker_group_share_record_gone(group, SHARE_FACT_TARGET_EPOCH, SLICE_NULL);
    broker_group_share_record_gone(group, SHARE_FACT_PARTITIONS, SLICE_NULL);
    broker_group_share_record_gone(group, SHARE_FACT_EPOCH, SLICE_NULL);
}

/* --- back from the log --- */

static enum err member_read(struct group_share *group, struct group_share_member *member,
                            struct form_in *r)
{
    struct budget *budget = group->env->budget;
    if (member->client_id.data)
        return ERR_CORRUPT; /* it has one such record */
    struct slice rack_id = broker_form_take_text(r, true);
    struct slice client_id = broker_form_take_text(r, false);
    struct slice client_host = broker_form_take_text(r, false);
    enum err err = broker_form_take_names(r, budget, &member->topics);
    if (!err)
        err = broker_group_parts_text(budget, &member->rack_id, rack_id);
    if (!err)
        err = broker_group_parts_text(budget, &member->client_host, client_host);
    if (!err)
        err = broker_group_parts_text(budget, &member->client_id, client_id);
    return err;
}

static enum err current_read(struct group_share *group, struct group_share_member *member,
                             struct form_in *r)
{
    member->epoch = broker_form_take_i32(r);
    member->previous_epoch = broker_form_take_i32(r);
    broker_form_take_i8(r);
    return broker_form_take_parts(r, group->env->budget, &member->assigned);
}

/* Partitions of one topic: how many, then into out. */
static size_t topic_walk(struct form_in *r, struct group_parts *out)
{
    const uint8_t *id = broker_form_take(r, sizeof(struct uuid));
    broker_form_take_text(r, false);
    size_t count = broker_form_take_count(r, 4);
    for (size_t i = 0; i < count && !r->err; i++) {
        struct group_part part = {.index = broker_form_take_i32(r)};
        if (!out || !id || r->err)
            continue;
        memcpy(part.topic.bytes, id, sizeof(part.topic.bytes));
        out->items[out->count++] = part;
    }
    broker_form_take_tags(r, 0, 0);
    return count;
}

/* Those that were beginning, too: nothing of them is lost that way. */
static size_t begun_walk(struct form_in *r, struct group_parts *out)
{
    size_t total = 0;
    for (unsigned list = 0; list < 2; list++) {
        size_t topics = broker_form_take_count(r, sizeof(struct uuid) + 3);
        for (size_t i = 0; i < topics && !r->err; i++)
            total += topic_walk(r, out);
    }
    return total;
}

static enum err parts_read(struct group_share *group, struct form_in *r)
{
    struct budget *budget = group->env->budget;
    struct form_in ahead = *r;
    struct group_parts parts;
    size_t room = begun_walk(&ahead, NULL);
    if (ahead.err)
        return ahead.err;
    enum err err = broker_group_parts_room(budget, room, &parts);
    if (err)
        return err;
    begun_walk(r, &parts);
    broker_group_parts_sort(&parts);
    err = r->err ? r->err : broker_group_parts_set(budget, &group->parts, &parts);
    broker_group_parts_free(budget, &parts, room);
    return err;
}

static struct group_share_member *member_get(struct group_share *group, struct slice id)
{
    struct group_share_member *member = broker_group_share_member_find(group, id);
    return member ? member : broker_group_share_member_new(group, id);
}

enum err broker_group_share_record_restore(struct group_share *group, enum consumer_fact fact,
                                           struct slice name, struct slice value)
{
    struct form_in r = {.rest = value};
    int16_t version = broker_form_take_i16(&r);
    if (!r.err && version != VALUE_VERSION)
        return ERR_UNSUPPORTED;
    struct group_share_member *member = NULL;
    if (fact == SHARE_FACT_MEMBER || fact == SHARE_FACT_TARGET || fact == SHARE_FACT_CURRENT) {
        member = member_get(group, name);
        if (!member)
            return ERR_NO_MEMORY;
    }
    enum err err = ERR_OK;
    switch (fact) {
    case SHARE_FACT_MEMBER:
        err = member_read(group, member, &r);
        break;
    case SHARE_FACT_EPOCH:
        group->epoch = broker_form_take_i32(&r);
        group->hash = (uint64_t)broker_form_take_i64(&r);
        break;
    case SHARE_FACT_TARGET_EPOCH:
        group->assignment_epoch = broker_form_take_i32(&r);
        break;
    case SHARE_FACT_TARGET:
        err = broker_form_take_parts(&r, group->env->budget, &member->target);
        break;
    case SHARE_FACT_CURRENT:
        err = current_read(group, member, &r);
        break;
    case SHARE_FACT_PARTITIONS:
        err = parts_read(group, &r);
        break;
    default:
        break;
    }
    return err ? err : r.err;
}

void broker_group_share_record_restored(struct group_share *group, int32_t session_ms)
{
    list_for_each_safe (node, following, &group->order) {
        struct group_share_member *member = LIST_ENTRY(node, struct group_share_member, node);
        if (member->client_id.data) /* only a member's own record has that */
            broker_group_share_touch(group, member, session_ms);
        else
            broker_group_share_member_free(group, member);
    }
}

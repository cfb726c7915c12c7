// What the members of a share group are to read.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "base/hash.h"
#include "broker/group_share.h"

/* Partitions of all members together. */
#define PARTS_MAX ((size_t)1 << 22)

/* A member that reads a topic. */
struct reader {
    struct slice topic; /* its name; the member's */
    struct group_share_member *member;
    size_t order; /* of arrival */
};

struct readers {
    struct reader *items; /* by topic, then in order of arrival */
    size_t count;
};

static int reader_order(const void *a, const void *b)
{
    const struct reader *x = a, *y = b;
    int order = slice_compare(x->topic, y->topic);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static enum err readers_make(const struct group_share *group, struct readers *out)
{
    size_t room = 0, order = 0;
    list_for_each (node, &group->order)
        room += LIST_ENTRY(node, struct group_share_member, node)->topics.count;
    *out = (struct readers){.items = reallocarray(NULL, room + 1, sizeof(*out->items))};
    if (!out->items)
        return ERR_NO_MEMORY;
    list_for_each (node, &group->order) {
        struct group_share_member *member = LIST_ENTRY(node, struct group_share_member, node);
        for (size_t i = 0; i < member->topics.count; i++)
            out->items[out->count++] = (struct reader){member->topics.items[i], member, order};
        order++;
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), reader_order);
    return ERR_OK;
}

/* Those of the topic of first, up to the index returned. */
static size_t readers_end(const struct readers *readers, size_t first)
{
    size_t end = first + 1;
    while (end < readers->count &&
           slice_equal(readers->items[end].topic, readers->items[first].topic))
        end++;
    return end;
}

enum err broker_group_share_target_hash(struct group_share *group, uint64_t *out)
{
    struct readers readers;
    enum err err = readers_make(group, &readers);
    if (err)
        return err;
    uint64_t hash = 0;
    for (size_t i = 0; i < readers.count; i = readers_end(&readers, i)) {
        struct consumer_topic topic;
        if (!group->env->topic_named(group->env, readers.items[i].topic, &topic))
            continue;
        uint8_t tail[sizeof(struct uuid) + 4];
        memcpy(tail, topic.id.bytes, sizeof(struct uuid));
        be32_put(tail + sizeof(struct uuid), topic.partition_count);
        const uint64_t key[2] = {hash, topic.name.size};
        hash = hash_siphash(key, slice_make(tail, sizeof(tail)));
    }
    free(readers.items);
    *out = hash;
    return ERR_OK;
}

/* Gives the partitions of one topic to its readers, or (is_counting) says how many each gets. */
static void topic_share(const struct readers *readers, size_t first, size_t end,
                        const struct consumer_topic *topic, bool is_counting)
{
    size_t count = end - first;
    size_t turns = MAX(count, (size_t)topic->partition_count);
    for (size_t i = 0; i < turns && topic->partition_count > 0; i++) {
        struct group_parts *parts = &readers->items[first + i % count].member->making;
        if (!is_counting)
            parts->items[parts->count] = (struct group_part){
                .topic = topic->id, .index = (int32_t)(i % topic->partition_count)};
        parts->count++;
    }
}

static void pass(const struct group_share *group, const struct readers *readers, bool is_counting)
{
    for (size_t i = 0; i < readers->count;) {
        size_t end = readers_end(readers, i);
        struct consumer_topic topic;
        if (group->env->topic_named(group->env, readers->items[i].topic, &topic))
            topic_share(readers, i, end, &topic, is_counting);
        i = end;
    }
}

static enum err member_take(struct group_share *group, struct group_share_member *member)
{
    broker_group_parts_sort(&member->making);
    if (broker_group_parts_equal(&member->making, &member->target))
        return ERR_OK;
    enum err err = broker_group_parts_set(group->env->budget, &member->target, &member->making);
    if (!err)
        broker_group_share_record_target(group, member);
    return err;
}

enum err broker_group_share_target_make(struct group_share *group)
{
    struct readers readers;
    enum err err = readers_make(group, &readers);
    if (err)
        return err;
    size_t total = 0, used = 0;
    list_for_each (node, &group->order)
        LIST_ENTRY(node, struct group_share_member, node)->making = (struct group_parts){NULL, 0};
    pass(group, &readers, true);
    list_for_each (node, &group->order)
        total += LIST_ENTRY(node, struct group_share_member, node)->making.count;
    struct group_parts room;
    err = total > PARTS_MAX ? ERR_LIMIT : broker_group_parts_room(group->env->budget, total, &room);
    if (!err) {
        list_for_each (node, &group->order) {
            struct group_parts *making = &LIST_ENTRY(node, struct group_share_member, node)->making;
            size_t count = making->count;
            *making = (struct group_parts){.items = room.items + used};
            used += count;
        }
        pass(group, &readers, false);
        list_for_each (node, &group->order)
            if (!err)
                err = member_take(group, LIST_ENTRY(node, struct group_share_member, node));
        broker_group_parts_free(group->env->budget, &room, total);
    }
    free(readers.items);
    if (err)
        return err;
    group->assignment_epoch = group->epoch;
    broker_group_share_record_target_epoch(group);
    return ERR_OK;
}

enum err broker_group_share_target_begin(struct group_share *group)
{
    struct readers readers;
    enum err err = readers_make(group, &readers);
    if (err)
        return err;
    size_t total = 0;
    struct consumer_topic topic;
    for (size_t i = 0; i < readers.count; i = readers_end(&readers, i))
        if (group->env->topic_named(group->env, readers.items[i].topic, &topic))
            total += topic.partition_count;
    struct group_parts parts;
    err =
        total > PARTS_MAX ? ERR_LIMIT : broker_group_parts_room(group->env->budget, total, &parts);
    if (!err) {
        for (size_t i = 0; i < readers.count; i = readers_end(&readers, i)) {
            if (!group->env->topic_named(group->env, readers.items[i].topic, &topic))
                continue;
            for (uint32_t index = 0; index < topic.partition_count; index++)
                parts.items[parts.count++] =
                    (struct group_part){.topic = topic.id, .index = (int32_t)index};
        }
        err = broker_group_share_begin(group, parts.items, parts.count);
        broker_group_parts_free(group->env->budget, &parts, total);
    }
    free(readers.items);
    return err;
}

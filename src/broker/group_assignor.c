// The assignors: uniform keeps what it can and evens the rest out, range cuts each topic in order.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_assignor.h"

#include <stdlib.h>

#define NOBODY (-1)

static int32_t *owner_of(const struct assignor *assignor, const struct group_part *part)
{
    size_t low = 0;
    size_t high = assignor->topic_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct assignor_topic *topic = &assignor->topics[middle];
        int order = memcmp(part->topic.bytes, topic->id.bytes, sizeof(topic->id.bytes));
        if (order == 0)
            return (uint32_t)part->index < topic->partition_count
                       ? &assignor->owners[topic->base + (uint32_t)part->index]
                       : NULL;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static size_t topic_of(const struct assignor *assignor, size_t partition)
{
    size_t low = 0;
    size_t high = assignor->topic_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (assignor->topics[middle].base <= partition)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool is_subscribed(const struct assignor_member *member, size_t topic)
{
    size_t low = 0;
    size_t high = member->topic_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (member->topics[middle] == topic)
            return true;
        if (member->topics[middle] < topic)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* --- uniform, when all read the same topics: everybody gets its share --- */

static bool is_homogeneous(const struct assignor *assignor)
{
    for (size_t i = 0; i < assignor->member_count; i++)
        if (assignor->members[i].topic_count != assignor->topic_count)
            return false;
    return true;
}

static void share_keep(struct assignor *assignor, size_t index, size_t share, size_t *extra)
{
    struct assignor_member *member = &assignor->members[index];
    const struct group_parts *before = member->before;
    for (size_t i = 0; i < before->count; i++) {
        int32_t *owner = owner_of(assignor, &before->items[i]);
        if (!owner || *owner != NOBODY)
            continue;
        if (member->count == share && *extra > 0)
            --*extra;
        else if (member->count >= share)
            return;
        *owner = (int32_t)index;
        member->count++;
    }
}

static void share_out(struct assignor *assignor)
{
    const size_t count = assignor->member_count;
    CHECK(count > 0);
    size_t share = assignor->partition_count / count;
    size_t extra = assignor->partition_count % count;
    for (size_t i = 0; i < count; i++)
        share_keep(assignor, i, share, &extra);
    size_t next = 0; /* one after the other, so that a topic is spread */
    size_t short_of = 0;
    for (size_t i = 0; i < count; i++)
        short_of += assignor->members[i].count < share ? share - assignor->members[i].count : 0;
    for (size_t p = 0; p < assignor->partition_count; p++) {
        if (assignor->owners[p] != NOBODY)
            continue;
        size_t limit = short_of > 0 ? share : share + 1;
        while (assignor->members[next].count >= limit)
            next = (next + 1) % count;
        assignor->owners[p] = (int32_t)next;
        assignor->members[next].count++;
        short_of -= short_of > 0;
        next = (next + 1) % count;
    }
}

/* --- uniform, when they do not --- */

static void mixed_keep(struct assignor *assignor, size_t index)
{
    struct assignor_member *member = &assignor->members[index];
    for (size_t i = 0; i < member->before->count; i++) {
        int32_t *owner = owner_of(assignor, &member->before->items[i]);
        if (!owner || *owner != NOBODY ||
            !is_subscribed(member, topic_of(assignor, (size_t)(owner - assignor->owners))))
            continue;
        *owner = (int32_t)index;
        member->count++;
    }
}

/* Members that read the same topic. */
struct readers {
    int32_t *items;
    size_t count;
};

static void readers_find(const struct assignor *assignor, size_t topic, struct readers *readers)
{
    readers->count = 0;
    for (size_t i = 0; i < assignor->member_count; i++)
        if (is_subscribed(&assignor->members[i], topic))
            readers->items[readers->count++] = (int32_t)i;
}

/* Who of them has least. */
static int32_t mixed_poorest(const struct assignor *assignor, const struct readers *readers)
{
    int32_t poorest = readers->items[0];
    for (size_t i = 1; i < readers->count; i++) {
        int32_t reader = readers->items[i];
        if (assignor->members[reader].count < assignor->members[poorest].count)
            poorest = reader;
    }
    return poorest;
}

/* Every move makes the sum of squares smaller, so it ends. */
static bool mixed_even(struct assignor *assignor, struct readers *readers)
{
    bool moved = false;
    for (size_t t = 0; t < assignor->topic_count; t++) {
        const struct assignor_topic *topic = &assignor->topics[t];
        readers_find(assignor, t, readers);
        for (uint32_t p = 0; p < topic->partition_count && readers->count > 0; p++) {
            int32_t *owner = &assignor->owners[topic->base + p];
            int32_t poorest = mixed_poorest(assignor, readers);
            if (*owner != NOBODY &&
                assignor->members[*owner].count <= assignor->members[poorest].count + 1)
                continue;
            if (*owner != NOBODY)
                assignor->members[*owner].count--;
            assignor->members[poorest].count++;
            *owner = poorest;
            moved = true;
        }
    }
    return moved;
}

/* --- range --- */

static int member_order(const void *a, const void *b)
{
    const struct assignor_member *const *left = a;
    const struct assignor_member *const *right = b;
    return slice_compare((*left)->sort, (*right)->sort);
}

static void range_topic(struct assignor *assignor, struct assignor_member **order, size_t index)
{
    const struct assignor_topic *topic = &assignor->topics[index];
    size_t readers = 0;
    for (size_t i = 0; i < assignor->member_count; i++)
        readers += is_subscribed(order[i], index);
    if (readers == 0)
        return;
    size_t share = topic->partition_count / readers;
    size_t extra = topic->partition_count % readers;
    size_t next = 0;
    for (size_t i = 0; i < assignor->member_count; i++) {
        if (!is_subscribed(order[i], index))
            continue;
        size_t count = share + (extra > 0);
        extra -= extra > 0;
        for (size_t p = next; p < next + count; p++)
            assignor->owners[topic->base + p] = (int32_t)(order[i] - assignor->members);
        order[i]->count += count;
        next += count;
    }
}

static enum err range_run(struct assignor *assignor)
{
    struct assignor_member **order = reallocarray(NULL, assignor->member_count, sizeof(*order));
    if (!order)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < assignor->member_count; i++)
        order[i] = &assignor->members[i];
    qsort(order, assignor->member_count, sizeof(*order), member_order);
    for (size_t t = 0; t < assignor->topic_count; t++)
        range_topic(assignor, order, t);
    free(order);
    return ERR_OK;
}

static enum err mixed_run(struct assignor *assignor)
{
    struct readers readers = {
        .items = reallocarray(NULL, assignor->member_count, sizeof(*readers.items))};
    if (!readers.items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < assignor->member_count; i++)
        mixed_keep(assignor, i);
    while (mixed_even(assignor, &readers)) {
    }
    free(readers.items);
    return ERR_OK;
}

enum err broker_group_assignor_run(struct assignor *assignor)
{
    size_t total = 0;
    for (size_t i = 0; i < assignor->topic_count; i++) {
        assignor->topics[i].base = total;
        total += assignor->topics[i].partition_count;
    }
    assignor->partition_count = total;
    assignor->owners = reallocarray(NULL, total > 0 ? total : 1, sizeof(*assignor->owners));
    if (!assignor->owners)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < total; i++)
        assignor->owners[i] = NOBODY;
    for (size_t i = 0; i < assignor->member_count; i++)
        assignor->members[i].count = 0;
    enum err err = ERR_OK;
    if (assignor->member_count == 0)
        return ERR_OK;
    if (assignor->kind == ASSIGNOR_RANGE)
        err = range_run(assignor);
    else if (is_homogeneous(assignor))
        share_out(assignor);
    else
        err = mixed_run(assignor);
    if (err) {
        free(assignor->owners);
        assignor->owners = NULL;
    }
    return err;
}

enum err broker_group_assignor_parts(const struct assignor *assignor, struct budget *budget,
                                     struct group_parts *parts)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < assignor->member_count; i++)
        parts[i] = (struct group_parts){NULL, 0};
    for (size_t i = 0; i < assignor->member_count && !err; i++)
        err = broker_group_parts_room(budget, assignor->members[i].count, &parts[i]);
    for (size_t t = 0; t < assignor->topic_count && !err; t++) {
        const struct assignor_topic *topic = &assignor->topics[t];
        for (uint32_t p = 0; p < topic->partition_count; p++) {
            int32_t owner = assignor->owners[topic->base + p];
            if (owner != NOBODY)
                parts[owner].items[parts[owner].count++] =
                    (struct group_part){.topic = topic->id, .index = (int32_t)p};
        }
    }
    for (size_t i = 0; i < assignor->member_count && err; i++)
        broker_group_parts_free(budget, &parts[i], assignor->members[i].count);
    return err;
}

// Members of a group of the newer protocol: their memory, and who holds which partition.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_consumer.h"

/* A partition that a member holds: assigned to it, or not given up yet. */
struct consumer_owner {
    struct group_part part;
    struct consumer_member *member;
    int32_t epoch; /* its own when it got the partition: KIP-1251 */
};

static void *take(struct group_consumer *group, size_t size)
{
    struct budget *budget = group->env->budget;
    if (budget && !budget_charge(budget, size))
        return NULL;
    void *memory = calloc(1, size);
    if (!memory && budget)
        budget_release(budget, size);
    return memory;
}

static void give(struct group_consumer *group, void *memory, size_t size)
{
    if (memory && group->env->budget)
        budget_release(group->env->budget, size);
    free(memory);
}

struct consumer_member *broker_group_consumer_member_find(const struct group_consumer *group,
                                                          struct slice id)
{
    return map_get(&group->members, id);
}

static void member_release(struct group_consumer *group, struct consumer_member *member)
{
    struct budget *budget = group->env->budget;
    struct slice *const texts[] = {&member->id,        &member->instance_id, &member->rack_id,
                                   &member->client_id, &member->client_host, &member->regex,
                                   &member->assignor,  &member->protocols};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        broker_group_parts_text_free(budget, texts[i]);
    broker_group_parts_names_free(budget, &member->topics);
    broker_group_parts_free(budget, &member->assigned, member->assigned.count);
    broker_group_parts_free(budget, &member->revoking, member->revoking.count);
    broker_group_parts_free(budget, &member->target, member->target.count);
    give(group, member, sizeof(*member));
}

struct consumer_member *broker_group_consumer_member_new(struct group_consumer *group,
                                                         struct slice id, struct slice instance_id)
{
    struct budget *budget = group->env->budget;
    struct consumer_member *member = take(group, sizeof(*member));
    if (!member)
        return NULL;
    member->rebalance_timeout_ms = -1;
    member->session_deadline_ms = CONSUMER_NEVER_MS;
    member->rebalance_deadline_ms = CONSUMER_NEVER_MS;
    member->join_deadline_ms = CONSUMER_NEVER_MS;
    member->sync_deadline_ms = CONSUMER_NEVER_MS;
    list_init(&member->node);
    enum err err = broker_group_parts_text(budget, &member->id, id);
    if (!err)
        err = broker_group_parts_text(budget, &member->instance_id, instance_id);
    if (!err)
        err = broker_group_parts_names(budget, &member->topics, NULL, 0);
    if (err || !map_put(&group->members, member->id, member, NULL))
        goto fail;
    if (instance_id.data && !map_put(&group->instances, member->instance_id, member, NULL)) {
        map_remove(&group->members, member->id);
        goto fail;
    }
    list_push_back(&group->order, &member->node);
    return member;
fail:
    member_release(group, member);
    return NULL;
}

static void owners_drop(struct group_consumer *group, const struct consumer_member *member,
                        const struct group_parts *parts, const struct group_parts *kept,
                        const struct group_parts *kept_too)
{
    for (size_t i = 0; i < parts->count; i++) {
        if ((kept && broker_group_parts_has(kept, &parts->items[i])) ||
            (kept_too && broker_group_parts_has(kept_too, &parts->items[i])))
            continue;
        struct slice key = slice_make(&parts->items[i], sizeof(parts->items[i]));
        struct consumer_owner *owner = map_get(&group->owners, key);
        if (!owner || owner->member != member)
            continue;
        map_remove(&group->owners, key);
        give(group, owner, sizeof(*owner));
    }
}

static enum err owners_add(struct group_consumer *group, struct consumer_member *member,
                           const struct group_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct slice key = slice_make(&parts->items[i], sizeof(parts->items[i]));
        const struct consumer_owner *other = map_get(&group->owners, key);
        CHECK(!other || other->member == member);
        if (other)
            continue;
        struct consumer_owner *owner = take(group, sizeof(*owner));
        if (!owner)
            return ERR_NO_MEMORY;
        *owner = (struct consumer_owner){
            .part = parts->items[i], .member = member, .epoch = MAX(member->epoch, 0)};
        if (!map_put(&group->owners, slice_make(&owner->part, sizeof(owner->part)), owner, NULL)) {
            give(group, owner, sizeof(*owner));
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

enum err broker_group_consumer_member_hold(struct group_consumer *group,
                                           struct consumer_member *member,
                                           const struct group_parts *assigned,
                                           const struct group_parts *revoking)
{
    struct budget *budget = group->env->budget;
    if (!assigned)
        assigned = &member->assigned;
    if (!revoking)
        revoking = &member->revoking;
    owners_drop(group, member, &member->assigned, assigned, revoking);
    owners_drop(group, member, &member->revoking, revoking, NULL); /* assigned again: anew */
    enum err err = ERR_OK;
    if (assigned != &member->assigned)
        err = broker_group_parts_set(budget, &member->assigned, assigned);
    if (!err && revoking != &member->revoking)
        err = broker_group_parts_set(budget, &member->revoking, revoking);
    if (!err)
        err = owners_add(group, member, &member->assigned);
    if (!err)
        err = owners_add(group, member, &member->revoking);
    if (err)
        group->is_broken = true;
    return err;
}

struct consumer_member *broker_group_consumer_member_owner(const struct group_consumer *group,
                                                           const struct group_part *part)
{
    const struct consumer_owner *owner = map_get(&group->owners, slice_make(part, sizeof(*part)));
    return owner ? owner->member : NULL;
}

int32_t broker_group_consumer_member_since(const struct group_consumer *group,
                                           const struct group_part *part)
{
    const struct consumer_owner *owner = map_get(&group->owners, slice_make(part, sizeof(*part)));
    return owner ? owner->epoch : 0;
}

void broker_group_consumer_member_since_set(struct group_consumer *group,
                                            const struct group_part *part, int32_t epoch)
{
    struct consumer_owner *owner = map_get(&group->owners, slice_make(part, sizeof(*part)));
    if (owner)
        owner->epoch = epoch;
}

void broker_group_consumer_member_free(struct group_consumer *group, struct consumer_member *member)
{
    owners_drop(group, member, &member->assigned, NULL, NULL);
    owners_drop(group, member, &member->revoking, NULL, NULL);
    map_remove(&group->members, member->id);
    if (member->instance_id.data && map_get(&group->instances, member->instance_id) == member)
        map_remove(&group->instances, member->instance_id);
    list_remove(&member->node);
    member_release(group, member);
}

enum err broker_group_consumer_member_rename(struct group_consumer *group,
                                             struct consumer_member *member, struct slice id)
{
    map_remove(&group->members, member->id);
    enum err err = broker_group_parts_text(group->env->budget, &member->id, id);
    if (!map_put(&group->members, member->id, member, NULL))
        err = ERR_NO_MEMORY;
    member->epoch = 0;
    member->previous_epoch = 0;
    if (err)
        group->is_broken = true;
    return err;
}

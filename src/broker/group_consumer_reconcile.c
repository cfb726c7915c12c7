// One member goes towards the target assignment: gives up first, then takes what is free. KIP-848.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_consumer.h"

struct next {
    struct group_parts assigned; /* what it keeps, later with what it gets */
    struct group_parts revoking;
    size_t assigned_room;
    size_t revoking_room;
    size_t added;
    bool is_unreleased; /* something is held by another member */
};

static enum err next_make(struct group_consumer *group, const struct consumer_member *member,
                          struct next *next)
{
    struct budget *budget = group->env->budget;
    *next = (struct next){.assigned_room = member->assigned.count + member->target.count,
                          .revoking_room = member->assigned.count};
    enum err err = broker_group_parts_room(budget, next->assigned_room, &next->assigned);
    if (err)
        return err;
    err = broker_group_parts_room(budget, next->revoking_room, &next->revoking);
    if (err)
        broker_group_parts_free(budget, &next->assigned, next->assigned_room);
    for (size_t i = 0; i < member->assigned.count && !err; i++) {
        const struct group_part *part = &member->assigned.items[i];
        struct group_parts *to =
            broker_group_parts_has(&member->target, part) ? &next->assigned : &next->revoking;
        to->items[to->count++] = *part;
    }
    return err;
}

/* What of its target is free. */
static void next_add(const struct group_consumer *group, const struct consumer_member *member,
                     struct next *next)
{
    for (size_t i = 0; i < member->target.count; i++) {
        const struct group_part *part = &member->target.items[i];
        if (broker_group_parts_has(&member->assigned, part))
            continue;
        /* What it has just let go itself is free for it again. */
        const struct consumer_member *owner = broker_group_consumer_member_owner(group, part);
        if (owner && !(owner == member && member->state == CONSUMER_UNREVOKED)) {
            next->is_unreleased = true;
            continue;
        }
        next->assigned.items[next->assigned.count++] = *part;
        next->added++;
    }
}

static void epoch_set(struct consumer_member *member, int32_t epoch)
{
    member->previous_epoch = member->epoch;
    member->epoch = epoch;
}

static enum err member_move(struct group_consumer *group, struct consumer_member *member,
                            int32_t epoch, const struct group_parts *owned)
{
    struct next next;
    struct budget *budget = group->env->budget;
    const struct group_parts none = {NULL, 0};
    enum err err = next_make(group, member, &next);
    if (err) {
        group->is_broken = true;
        return err;
    }
    bool must_revoke =
        next.revoking.count > 0 && (!owned || broker_group_parts_meet(owned, &next.revoking));
    if (must_revoke) {
        member->state = CONSUMER_UNREVOKED;
        epoch_set(member, epoch);
        err = broker_group_consumer_member_hold(group, member, &next.assigned, &next.revoking);
    } else {
        next_add(group, member, &next);
        if (next.added > 0)
            broker_group_parts_sort(&next.assigned);
        member->state = next.is_unreleased ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
        epoch_set(member, group->assignment_epoch);
        err = broker_group_consumer_member_hold(group, member, &next.assigned, &none);
    }
    broker_group_parts_free(budget, &next.assigned, next.assigned_room);
    broker_group_parts_free(budget, &next.revoking, next.revoking_room);
    return err;
}

bool broker_group_consumer_reconcile_is_waiting(const struct group_consumer *group,
                                                const struct consumer_member *member)
{
    for (size_t i = 0; i < member->target.count; i++) {
        const struct group_part *part = &member->target.items[i];
        const struct consumer_member *owner = broker_group_consumer_member_owner(group, part);
        if (owner && owner != member)
            return true;
    }
    return false;
}

/* Nothing that it waits for has become free, and nothing new is wanted of it. */
static bool unreleased_is_same(const struct group_consumer *group,
                               const struct consumer_member *member)
{
    if (member->epoch != group->assignment_epoch)
        return false;
    for (size_t i = 0; i < member->target.count; i++) {
        const struct group_part *part = &member->target.items[i];
        if (!broker_group_consumer_member_owner(group, part))
            return false;
    }
    return broker_group_consumer_reconcile_is_waiting(group, member);
}

enum err broker_group_consumer_reconcile(struct group_consumer *group,
                                         struct consumer_member *member,
                                         const struct group_parts *owned, bool *out_changed)
{
    *out_changed = false;
    int32_t epoch = member->epoch;
    switch (member->state) {
    case CONSUMER_STABLE:
        if (member->epoch == group->assignment_epoch)
            return ERR_OK;
        break;
    case CONSUMER_UNREVOKED:
        if (!owned || broker_group_parts_meet(owned, &member->revoking))
            return ERR_OK;
        /* It has let go: on to the next epoch, towards the newest target. */
        epoch = member->epoch + 1;
        break;
    case CONSUMER_UNRELEASED:
        if (unreleased_is_same(group, member))
            return ERR_OK;
        break;
    }
    *out_changed = true;
    enum err err = member_move(group, member, epoch, owned);
    if (err)
        return err;
    if (member->state == CONSUMER_UNREVOKED) {
        member->rebalance_deadline_ms = group->env->now_ms + MAX(member->rebalance_timeout_ms, 0);
        broker_group_consumer_due(group, member->rebalance_deadline_ms);
    } else {
        member->rebalance_deadline_ms = CONSUMER_NEVER_MS;
    }
    broker_group_consumer_record_current(group, member);
    return ERR_OK;
}

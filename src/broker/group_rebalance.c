// The rebalance of a classic group: its phases, the vote, and what is due when. KIP-62, KIP-134.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_state.h"

/* Allowed moves, from row to column. */
static const bool group_moves[GROUP_STATE_COUNT][GROUP_STATE_COUNT] = {
    [GROUP_EMPTY] = {[GROUP_PREPARING] = true, [GROUP_DEAD] = true},
    [GROUP_PREPARING] = {[GROUP_COMPLETING] = true, [GROUP_EMPTY] = true, [GROUP_DEAD] = true},
    [GROUP_COMPLETING] = {[GROUP_STABLE] = true, [GROUP_PREPARING] = true, [GROUP_DEAD] = true},
    [GROUP_STABLE] = {[GROUP_PREPARING] = true, [GROUP_DEAD] = true},
    [GROUP_DEAD] = {[GROUP_DEAD] = true},
};

bool broker_group_rebalance_is_allowed(enum group_state from, enum group_state to)
{
    return group_moves[from][to];
}

void broker_group_rebalance_move(struct group *group, enum group_state to)
{
    CHECK(broker_group_rebalance_is_allowed(group->state, to));
    group->previous = group->state;
    group->state = to;
    group->state_since_ms = group->env->wall_ms;
}

void broker_group_rebalance_due(struct group *group, int64_t deadline_ms)
{
    group->deadline_ms = MIN(group->deadline_ms, deadline_ms);
}

static int32_t rebalance_timeout_ms(const struct group *group)
{
    int32_t longest = 0;
    list_for_each (node, &group->order)
        longest = MAX(longest, LIST_ENTRY(node, struct group_member, node)->rebalance_timeout_ms);
    return longest;
}

static void join_deadline_set(struct group *group, int64_t delay_ms)
{
    group->join_deadline_ms = group->env->now_ms + delay_ms;
    broker_group_rebalance_due(group, group->join_deadline_ms);
}

static void sync_expiry_clear(struct group *group)
{
    list_for_each (node, &group->order)
        LIST_ENTRY(node, struct group_member, node)->sync_pending = false;
    group->sync_deadline_ms = GROUP_NEVER_MS;
}

bool broker_group_rebalance_all_joined(const struct group *group)
{
    return group->joining == group->members.count && group->pending.count == 0;
}

/* Those who wait for an assignment that will not come are to join again. */
static void syncs_cancel(struct group *group)
{
    list_for_each (node, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        broker_group_member_disown(group, &member->assignment);
        broker_group_member_disown(group, &member->proposed);
        if (!member->sync)
            continue;
        broker_group_member_sync_done(group, member, ERR_REBALANCE);
        broker_group_member_touch(group, member, member->session_timeout_ms);
    }
}

void broker_group_rebalance_prepare(struct group *group)
{
    if (group->state == GROUP_COMPLETING)
        syncs_cancel(group);
    sync_expiry_clear(group);
    bool initial = group->state == GROUP_EMPTY;
    broker_group_rebalance_move(group, GROUP_PREPARING);
    group->join_initial = initial;
    group->member_added = false;
    if (initial) {
        group->delay_ms = group->env->initial_delay_ms;
        group->remaining_ms = MAX(rebalance_timeout_ms(group) - group->delay_ms, (int64_t)0);
        join_deadline_set(group, group->delay_ms);
        return;
    }
    if (broker_group_rebalance_all_joined(group))
        broker_group_rebalance_complete(group);
    else
        join_deadline_set(group, rebalance_timeout_ms(group));
}

void broker_group_rebalance_demand(struct group *group)
{
    if (broker_group_rebalance_is_allowed(group->state, GROUP_PREPARING))
        broker_group_rebalance_prepare(group);
    else
        broker_group_rebalance_look(group);
}

void broker_group_rebalance_look(struct group *group)
{
    /* The first generation waits for its delay, so that members need not rebalance one by one. */
    if (group->state == GROUP_PREPARING && group->previous != GROUP_EMPTY &&
        broker_group_rebalance_all_joined(group))
        broker_group_rebalance_complete(group);
}

/* The first of its protocols that all have. */
static struct group_vote *member_choose(const struct group *group,
                                        const struct group_member *member)
{
    for (size_t i = 0; i < member->protocol_count; i++) {
        struct group_vote *vote = broker_group_member_vote(group, member->protocols[i].name);
        if (vote->count == group->members.count)
            return vote;
    }
    return NULL;
}

struct slice broker_group_rebalance_vote(struct group *group)
{
    struct group_vote *vote;
    struct group_vote *best = NULL;
    size_t position = 0;
    while ((vote = map_next(&group->votes, &position)) != NULL)
        vote->votes = 0;
    list_for_each (node, &group->order) {
        vote = member_choose(group, LIST_ENTRY(node, struct group_member, node));
        CHECK(vote);
        vote->votes++;
        if (!best || vote->votes > best->votes)
            best = vote;
    }
    return best ? best->name : SLICE_NULL;
}

/* Dynamic members that did not come back are out; static ones keep their place. */
static void absent_remove(struct group *group)
{
    list_for_each_safe (node, following, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        if (!member->join && !member->instance_id.data)
            broker_group_member_remove(group, member);
    }
}

/* The leader is among those who came; false: nobody did. */
static bool leader_elect(struct group *group)
{
    if (!group->leader)
        return false;
    if (group->leader->join)
        return true;
    list_for_each (node, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        if (!member->join)
            continue;
        group->leader = member;
        return true;
    }
    return false;
}

static void generation_empty(struct group *group)
{
    group->generation++;
    broker_group_member_disown(group, &group->protocol_name);
    broker_group_rebalance_move(group, GROUP_EMPTY);
    sync_expiry_clear(group);
    struct group_write write = {.kind = GROUP_WRITE_EMPTY, .generation = group->generation};
    /* When it fails the log keeps the generation before, whose members time out after a restart. */
    enum err err = group->env->write(group->env, group, &write);
    if (err)
        broker_group_classic_written(group, &write, err);
}

void broker_group_rebalance_complete(struct group *group)
{
    CHECK(group->state == GROUP_PREPARING);
    group->join_deadline_ms = GROUP_NEVER_MS;
    group->join_initial = false;
    absent_remove(group);
    if (group->members.count == 0) {
        generation_empty(group);
        return;
    }
    if (!leader_elect(group)) {
        /* Only absent static members are left: until their sessions end, or they come. */
        join_deadline_set(group, rebalance_timeout_ms(group));
        return;
    }
    if (broker_group_member_own(group, &group->protocol_name, broker_group_rebalance_vote(group))) {
        join_deadline_set(group, 1000);
        return;
    }
    group->generation++;
    broker_group_rebalance_move(group, GROUP_COMPLETING);
    group->sync_deadline_ms = group->env->now_ms + rebalance_timeout_ms(group);
    broker_group_rebalance_due(group, group->sync_deadline_ms);
    list_for_each (node, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        broker_group_member_join_done(group, member, ERR_OK);
        broker_group_member_touch(group, member, member->session_timeout_ms);
        member->is_new = false;
        member->sync_pending = true;
    }
}

/* --- what is due --- */

/* More came during the delay: wait again, within the rebalance timeout. */
static void join_deadline_passed(struct group *group)
{
    if (group->join_initial && group->member_added && group->remaining_ms > 0) {
        group->member_added = false;
        int64_t delay_ms = MIN((int64_t)group->env->initial_delay_ms, group->remaining_ms);
        group->remaining_ms = MAX(group->remaining_ms - group->delay_ms, (int64_t)0);
        group->delay_ms = delay_ms;
        join_deadline_set(group, delay_ms);
        return;
    }
    broker_group_rebalance_complete(group);
}

static void sync_deadline_passed(struct group *group)
{
    group->sync_deadline_ms = GROUP_NEVER_MS;
    size_t removed = 0;
    list_for_each_safe (node, following, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        if (!member->sync_pending)
            continue;
        broker_group_member_join_done(group, member, ERR_MEMBER_UNKNOWN);
        broker_group_member_sync_done(group, member, ERR_MEMBER_UNKNOWN);
        broker_group_member_remove(group, member);
        removed++;
    }
    if (removed > 0)
        broker_group_rebalance_prepare(group);
}

/* Who waits for the group is alive; but a new member may have gone without ever knowing its id. */
static bool member_is_excused(const struct group_member *member)
{
    return !member->is_new && (member->join || member->sync);
}

static void member_expire(struct group *group, struct group_member *member)
{
    broker_group_member_join_done(group, member, ERR_MEMBER_UNKNOWN);
    broker_group_member_sync_done(group, member, ERR_MEMBER_UNKNOWN);
    broker_group_member_remove(group, member);
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING)
        broker_group_rebalance_prepare(group);
    else if (group->state == GROUP_PREPARING && broker_group_rebalance_all_joined(group))
        broker_group_rebalance_complete(group);
}

/* Expires members from the front until one expiry took others with it. True: all were seen. */
static bool members_expire(struct group *group)
{
    list_for_each_safe (node, following, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        if (member->deadline_ms > group->env->now_ms || member_is_excused(member))
            continue;
        uint64_t removals = group->removals;
        member_expire(group, member);
        if (group->removals != removals + 1)
            return false;
    }
    return true;
}

static void pending_expire(struct group *group)
{
    bool gone = false;
    list_for_each_safe (node, following, &group->pending_order) {
        struct group_pending *pending = LIST_ENTRY(node, struct group_pending, node);
        if (pending->deadline_ms > group->env->now_ms)
            continue;
        broker_group_member_unpend(group, pending->id);
        gone = true;
    }
    if (gone && group->state == GROUP_PREPARING && broker_group_rebalance_all_joined(group))
        broker_group_rebalance_complete(group);
}

static void deadline_renew(struct group *group)
{
    group->deadline_ms = MIN(group->join_deadline_ms, group->sync_deadline_ms);
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        if (!member_is_excused(member))
            broker_group_rebalance_due(group, member->deadline_ms);
    }
    list_for_each (node, &group->pending_order)
        broker_group_rebalance_due(group,
                                   LIST_ENTRY(node, struct group_pending, node)->deadline_ms);
}

void broker_group_classic_expire(struct group *group)
{
    int64_t now_ms = group->env->now_ms;
    pending_expire(group);
    while (!members_expire(group))
        ;
    if (group->join_deadline_ms <= now_ms)
        join_deadline_passed(group);
    if (group->sync_deadline_ms <= now_ms)
        sync_deadline_passed(group);
    deadline_renew(group);
}

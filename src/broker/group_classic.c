// The classic group protocol: join, sync, heartbeat, leave and who may commit. KIP-134, 345, 394.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/endian.h"
#include "broker/group_state.h"

/* What of a client's or instance's name goes into a member id, in bytes. */
#define MEMBER_ID_PREFIX_MAX 1024
#define MEMBER_ID_SUFFIX     37 /* "-" and a random UUID */

const char *broker_group_state_name(enum group_state state)
{
    static const char *const names[GROUP_STATE_COUNT] = {
        [GROUP_EMPTY] = "Empty",
        [GROUP_PREPARING] = "PreparingRebalance",
        [GROUP_COMPLETING] = "CompletingRebalance",
        [GROUP_STABLE] = "Stable",
        [GROUP_DEAD] = "Dead",
    };
    return names[state];
}

enum err broker_group_classic_init(struct group *group, struct group_env *env, struct slice id)
{
    *group = (struct group){.env = env,
                            .join_deadline_ms = GROUP_NEVER_MS,
                            .sync_deadline_ms = GROUP_NEVER_MS,
                            .deadline_ms = GROUP_NEVER_MS,
                            .state_since_ms = env->wall_ms};
    map_init(&group->members, env->random(env));
    map_init(&group->instances, env->random(env));
    map_init(&group->pending, env->random(env));
    list_init(&group->order);
    list_init(&group->pending_order);
    map_init(&group->votes, env->random(env));
    return broker_group_member_own(group, &group->id, id);
}

void broker_group_classic_unpend(struct group *group)
{
    list_for_each_safe (node, following, &group->pending_order)
        broker_group_member_unpend(group, LIST_ENTRY(node, struct group_pending, node)->id);
}

static void everyone_remove(struct group *group, enum err err)
{
    list_for_each_safe (node, following, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        broker_group_member_join_done(group, member, err);
        broker_group_member_sync_done(group, member, err);
        broker_group_member_remove(group, member);
    }
    broker_group_classic_unpend(group);
}

void broker_group_classic_kill(struct group *group, enum err err)
{
    if (group->state != GROUP_DEAD)
        broker_group_rebalance_move(group, GROUP_DEAD);
    everyone_remove(group, err);
    group->join_deadline_ms = GROUP_NEVER_MS;
    group->sync_deadline_ms = GROUP_NEVER_MS;
    group->deadline_ms = GROUP_NEVER_MS;
}

void broker_group_classic_reset(struct group *group, enum err err)
{
    everyone_remove(group, err);
    broker_group_member_disown(group, &group->protocol_type);
    broker_group_member_disown(group, &group->protocol_name);
    group->state = GROUP_EMPTY;
    group->previous = GROUP_EMPTY;
    group->generation = 0;
    group->leader = NULL;
    group->join_initial = false;
    group->member_added = false;
    group->join_deadline_ms = GROUP_NEVER_MS;
    group->sync_deadline_ms = GROUP_NEVER_MS;
    group->deadline_ms = GROUP_NEVER_MS;
    group->state_since_ms = group->env->wall_ms;
}

void broker_group_classic_deinit(struct group *group)
{
    CHECK(group->members.count == 0 && group->pending.count == 0);
    broker_group_member_disown(group, &group->id);
    broker_group_member_disown(group, &group->protocol_type);
    broker_group_member_disown(group, &group->protocol_name);
    map_deinit(&group->members);
    map_deinit(&group->instances);
    map_deinit(&group->pending);
    map_deinit(&group->votes);
}

/* --- join --- */

static void join_refuse(struct group *group, struct group_join *join, enum err err)
{
    bool keep_id = err != ERR_GROUP_FULL;
    join->member_id_out = keep_id ? join->member_id : slice_text("");
    broker_group_member_answer_join(group, NULL, join, err);
}

/* A result block that holds "<name>-<uuid>"; it goes with the join's answer. */
static struct slice member_id_make(struct group *group, const struct group_join *join)
{
    struct slice name = join->instance_id.data ? join->instance_id : join->client_id;
    size_t size = MIN(name.size, (size_t)MEMBER_ID_PREFIX_MAX);
    while (size < name.size && size > 0 && (name.data[size] & 0xc0) == 0x80)
        size--;
    char *text = broker_group_member_result_new(group->env->budget, size + MEMBER_ID_SUFFIX + 1);
    if (!text)
        return SLICE_NULL;
    if (size > 0)
        memcpy(text, name.data, size);
    uint8_t r[16];
    be64_put(r, group->env->random(group->env));
    be64_put(r + 8, group->env->random(group->env));
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    snprintf(text + size, MEMBER_ID_SUFFIX + 1,
             "-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1],
             r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14],
             r[15]);
    return slice_make(text, size + MEMBER_ID_SUFFIX);
}

/* Room for one more? Those who wait in a rebalance were here first. */
static bool join_is_welcome(const struct group *group, const struct group_member *member)
{
    size_t size_max = (size_t)group->env->size_max;
    switch (group->state) {
    case GROUP_PREPARING:
        return (member && member->join) || group->joining < size_max;
    case GROUP_COMPLETING:
    case GROUP_STABLE:
        return member || group->members.count < size_max;
    default:
        return true;
    }
}

static void member_join_new(struct group *group, struct group_join *join, struct slice id)
{
    struct group_member *member;
    enum err err = broker_group_member_add(group, id, join, &member);
    if (err) {
        join_refuse(group, join, err);
        return;
    }
    member->is_new = true;
    if (group->state == GROUP_PREPARING && group->previous == GROUP_EMPTY)
        group->member_added = true;
    broker_group_member_park_join(group, member, join);
    broker_group_member_touch(group, member, GROUP_NEW_MEMBER_TIMEOUT_MS);
    broker_group_rebalance_demand(group);
}

static void member_join_again(struct group *group, struct group_member *member,
                              struct group_join *join)
{
    enum err err = broker_group_member_update(group, member, join);
    if (err) {
        join_refuse(group, join, err);
        return;
    }
    broker_group_member_park_join(group, member, join);
    broker_group_rebalance_demand(group);
}

/* The vote is as before: the new one goes on with the assignment of the old. */
static void static_write(struct group *group, const struct group_member *member)
{
    struct group_write write = {
        .kind = GROUP_WRITE_REPLACED, .generation = group->generation, .member_id = member->id};
    enum err err = group->env->write(group->env, group, &write);
    if (err)
        broker_group_classic_written(group, &write, err);
}

static void static_replace(struct group *group, struct group_member *member,
                           struct group_join *join, struct slice id)
{
    broker_group_member_join_done(group, member, ERR_FENCED);
    broker_group_member_sync_done(group, member, ERR_FENCED);
    enum err err = broker_group_member_rename(group, &member, id);
    if (!err)
        err = broker_group_member_update(group, member, join);
    if (err) {
        join_refuse(group, join, err);
        return;
    }
    broker_group_member_touch(group, member, member->session_timeout_ms);
    broker_group_member_park_join(group, member, join);
    if (group->state == GROUP_STABLE &&
        slice_equal(broker_group_rebalance_vote(group), group->protocol_name))
        static_write(group, member);
    else
        broker_group_rebalance_demand(group);
}

static void join_without_id(struct group *group, struct group_join *join)
{
    struct slice id = member_id_make(group, join);
    if (!id.data) {
        join_refuse(group, join, ERR_NO_MEMORY);
        return;
    }
    void *block = (void *)(uintptr_t)id.data;
    if (join->instance_id.data || !join->member_id_required) {
        struct group_member *holder =
            join->instance_id.data ? map_get(&group->instances, join->instance_id) : NULL;
        if (holder)
            static_replace(group, holder, join, id);
        else
            member_join_new(group, join, id);
        broker_group_member_result_free(block);
        return;
    }
    enum err err = broker_group_member_pend(group, id, join->session_timeout_ms);
    if (err) {
        broker_group_member_result_free(block);
        join_refuse(group, join, err);
        return;
    }
    join->private = block;
    join->member_id_out = id;
    broker_group_member_answer_join(group, NULL, join, ERR_MEMBER_ID_REQUIRED);
}

static void join_with_id(struct group *group, struct group_join *join)
{
    if (map_get(&group->pending, join->member_id)) {
        if (join->instance_id.data)
            join_refuse(group, join, ERR_MEMBER_UNKNOWN);
        else
            member_join_new(group, join, join->member_id);
        return;
    }
    enum err err = broker_group_member_check(group, join->member_id, join->instance_id);
    if (err) {
        join_refuse(group, join, err);
        return;
    }
    struct group_member *member = broker_group_member_find(group, join->member_id);
    bool same = broker_group_member_matches(member, join);
    bool answered = (group->state == GROUP_COMPLETING && same) ||
                    (group->state == GROUP_STABLE && same && member != group->leader);
    if (answered) /* its answer was lost, or it asks without need: as it is */
        broker_group_member_answer_join(group, member, join, ERR_OK);
    else if (group->state == GROUP_EMPTY)
        join_refuse(group, join, ERR_MEMBER_UNKNOWN);
    else
        member_join_again(group, member, join);
}

void broker_group_classic_join(struct group *group, struct group_join *join)
{
    join->skip_assignment = false;
    join->as_follower = false;
    join->private = NULL;
    join->member_id_out = join->member_id;
    join->leader_id = slice_text("");
    join->protocol_name = SLICE_NULL;
    join->protocol_type_out = SLICE_NULL;
    struct group_member *member = broker_group_member_find(group, join->member_id);
    if (join->session_timeout_ms < group->env->session_ms_min ||
        join->session_timeout_ms > group->env->session_ms_max) {
        join_refuse(group, join, ERR_SESSION_TIMEOUT);
    } else if (group->state == GROUP_DEAD) {
        join_refuse(group, join, ERR_CLOSED);
    } else if (!join_is_welcome(group, member)) {
        if (member) { /* the group has shrunk by a smaller limit */
            broker_group_member_remove(group, member);
            broker_group_rebalance_look(group);
        } else {
            broker_group_member_unpend(group, join->member_id);
        }
        join_refuse(group, join, ERR_GROUP_FULL);
    } else if (!broker_group_member_fits(group, join)) {
        join_refuse(group, join, ERR_PROTOCOL);
    } else if (join->member_id.size == 0) {
        join_without_id(group, join);
    } else {
        join_with_id(group, join);
    }
}

/* --- sync --- */

static enum err sync_check(const struct group *group, const struct group_sync *sync)
{
    if (group->state == GROUP_DEAD)
        return ERR_CLOSED;
    enum err err = broker_group_member_check(group, sync->member_id, sync->instance_id);
    if (err)
        return err;
    if (sync->generation != group->generation)
        return ERR_GENERATION;
    bool other_type = sync->protocol_type.data && group->protocol_type.data &&
                      !slice_equal(sync->protocol_type, group->protocol_type);
    bool other_name = sync->protocol_name.data && group->protocol_name.data &&
                      !slice_equal(sync->protocol_name, group->protocol_name);
    return other_type || other_name ? ERR_PROTOCOL : ERR_OK;
}

/* What the leader decided lies ready beside what holds, until it is written. */
static enum err assignments_propose(struct group *group, const struct group_sync *sync)
{
    enum err err = ERR_OK;
    list_for_each (node, &group->order)
        broker_group_member_disown(group, &LIST_ENTRY(node, struct group_member, node)->proposed);
    for (size_t i = 0; i < sync->assignment_count && !err; i++) {
        struct group_member *member =
            broker_group_member_find(group, sync->assignments[i].member_id);
        if (member)
            err =
                broker_group_member_own(group, &member->proposed, sync->assignments[i].assignment);
    }
    return err;
}

void broker_group_classic_sync(struct group *group, struct group_sync *sync)
{
    sync->private = NULL;
    sync->protocol_type_out = SLICE_NULL;
    sync->protocol_name_out = SLICE_NULL;
    enum err err = sync_check(group, sync);
    if (!err && group->state == GROUP_PREPARING)
        err = ERR_REBALANCE;
    if (!err && group->state == GROUP_EMPTY)
        err = ERR_MEMBER_UNKNOWN;
    if (err) {
        broker_group_member_answer_sync(group, NULL, sync, err);
        return;
    }
    struct group_member *member = broker_group_member_find(group, sync->member_id);
    member->sync_pending = false;
    if (group->state == GROUP_STABLE) {
        broker_group_member_answer_sync(group, member, sync, ERR_OK);
        return;
    }
    if (member == group->leader) {
        err = assignments_propose(group, sync);
        if (err) {
            broker_group_member_answer_sync(group, NULL, sync, err);
            return;
        }
    }
    broker_group_member_sync_done(group, member, ERR_REBALANCE);
    member->sync = sync;
    if (member == group->leader) {
        struct group_write write = {.kind = GROUP_WRITE_ASSIGNMENT,
                                    .generation = group->generation};
        err = group->env->write(group->env, group, &write);
        if (err)
            broker_group_classic_written(group, &write, err);
    }
}

/* --- what was written --- */

static void assignment_written(struct group *group, enum err err)
{
    list_for_each (node, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        broker_group_member_disown(group, &member->assignment);
        if (!err) {
            member->assignment = member->proposed;
            member->proposed = SLICE_NULL;
        }
        if (!member->sync)
            continue;
        broker_group_member_sync_done(group, member, err);
        broker_group_member_touch(group, member, member->session_timeout_ms);
    }
    if (err)
        broker_group_rebalance_prepare(group);
    else
        broker_group_rebalance_move(group, GROUP_STABLE);
}

static void replaced_written(struct group *group, const struct group_write *write, enum err err)
{
    struct group_member *member = broker_group_member_find(group, write->member_id);
    if (!member || !member->join)
        return;
    if (err) {
        /* Its client comes again without an id and is given another. */
        broker_group_member_join_done(group, member, err);
        return;
    }
    struct group_join *join = member->join;
    bool leads = member == group->leader;
    join->skip_assignment = join->skip_assignment_known && leads;
    join->as_follower = leads && !join->skip_assignment_known;
    broker_group_member_join_done(group, member, ERR_OK);
    broker_group_member_touch(group, member, member->session_timeout_ms);
}

void broker_group_classic_written(struct group *group, const struct group_write *write,
                                  enum err err)
{
    if (write->generation != group->generation)
        return;
    if (write->kind == GROUP_WRITE_ASSIGNMENT && group->state == GROUP_COMPLETING)
        assignment_written(group, err);
    else if (write->kind == GROUP_WRITE_REPLACED && group->state == GROUP_STABLE)
        replaced_written(group, write, err);
}

/* --- heartbeat, leave, commit --- */

enum err broker_group_classic_heartbeat(struct group *group,
                                        const struct group_heartbeat *heartbeat)
{
    if (group->state == GROUP_DEAD)
        return ERR_CLOSED;
    enum err err = broker_group_member_check(group, heartbeat->member_id, heartbeat->instance_id);
    if (err)
        return err;
    if (heartbeat->generation != group->generation)
        return ERR_GENERATION;
    struct group_member *member = broker_group_member_find(group, heartbeat->member_id);
    broker_group_member_touch(group, member, member->session_timeout_ms);
    return group->state == GROUP_PREPARING ? ERR_REBALANCE : ERR_OK;
}

static enum err member_leave(struct group *group, const struct group_leaver *leaver)
{
    struct group_member *member;
    if (leaver->member_id.size == 0) {
        member = leaver->instance_id.data ? map_get(&group->instances, leaver->instance_id) : NULL;
        if (!member)
            return ERR_MEMBER_UNKNOWN;
    } else if (map_get(&group->pending, leaver->member_id)) {
        broker_group_member_unpend(group, leaver->member_id);
        return ERR_OK;
    } else {
        enum err err = broker_group_member_check(group, leaver->member_id, leaver->instance_id);
        if (err)
            return err;
        member = broker_group_member_find(group, leaver->member_id);
    }
    broker_group_member_join_done(group, member, ERR_MEMBER_UNKNOWN);
    broker_group_member_sync_done(group, member, ERR_MEMBER_UNKNOWN);
    broker_group_member_remove(group, member);
    return ERR_OK;
}

void broker_group_classic_leave(struct group *group, struct group_leaver *leavers, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        leavers[i].err = group->state == GROUP_DEAD ? ERR_CLOSED : member_leave(group, &leavers[i]);
        left += leavers[i].err == ERR_OK;
    }
    if (left == 0)
        return;
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING)
        broker_group_rebalance_prepare(group);
    else
        broker_group_rebalance_look(group);
}

enum err broker_group_classic_commit_check(struct group *group, const struct group_commit *commit)
{
    if (group->state == GROUP_DEAD)
        return ERR_CLOSED;
    if (commit->generation < 0 && group->state == GROUP_EMPTY)
        return ERR_OK; /* an administrator, or a consumer that assigns partitions to itself */
    if (commit->generation < 0 && commit->member_id.size == 0 && !commit->instance_id.data)
        return ERR_MEMBER_UNKNOWN;
    enum err err = broker_group_member_check(group, commit->member_id, commit->instance_id);
    if (err)
        return err;
    if (commit->generation != group->generation)
        return ERR_GENERATION;
    if (group->state == GROUP_COMPLETING)
        return ERR_REBALANCE;
    struct group_member *member = broker_group_member_find(group, commit->member_id);
    broker_group_member_touch(group, member, member->session_timeout_ms);
    return ERR_OK;
}

bool broker_group_classic_cancel(struct group *group, const struct broker_call *call)
{
    list_for_each (node, &group->order) {
        struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        if (member->join && &member->join->call == call) {
            broker_group_member_join_done(group, member, ERR_CLOSED);
            broker_group_member_touch(group, member, member->session_timeout_ms);
            return true;
        }
        if (member->sync && &member->sync->call == call) {
            broker_group_member_sync_done(group, member, ERR_CLOSED);
            broker_group_member_touch(group, member, member->session_timeout_ms);
            return true;
        }
    }
    return false;
}

/* --- back from the log --- */

enum err broker_group_classic_restore(struct group *group, const struct group_restored *restored)
{
    struct group_protocol protocol = {.name = restored->protocol_name,
                                      .metadata = restored->metadata};
    struct group_join join = {.instance_id = restored->instance_id,
                              .client_id = restored->client_id,
                              .client_host = restored->client_host,
                              .protocol_type = group->protocol_type,
                              .protocols = &protocol,
                              .protocol_count = 1,
                              .session_timeout_ms = restored->session_timeout_ms,
                              .rebalance_timeout_ms = restored->rebalance_timeout_ms};
    if (broker_group_member_find(group, restored->id))
        return ERR_CORRUPT;
    struct group_member *member;
    enum err err = broker_group_member_add(group, restored->id, &join, &member);
    if (err)
        return err;
    if (restored->leader)
        group->leader = member;
    broker_group_member_touch(group, member, member->session_timeout_ms);
    return broker_group_member_own(group, &member->assignment, restored->assignment);
}

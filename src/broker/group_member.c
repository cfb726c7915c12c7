// Members of a classic group: their memory, protocols, sessions and answers.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_state.h"

/* --- memory: everything that clients make us keep is charged --- */

static void *group_take(struct group *group, size_t size)
{
    struct budget *budget = group->env->budget;
    if (budget && !budget_charge(budget, size))
        return NULL;
    void *memory = calloc(1, MAX(size, (size_t)1));
    if (!memory && budget)
        budget_release(budget, size);
    return memory;
}

static void group_give(struct group *group, void *memory, size_t size)
{
    if (memory && group->env->budget)
        budget_release(group->env->budget, size);
    free(memory);
}

static struct slice bytes_put(uint8_t **at, struct slice bytes)
{
    if (!bytes.data)
        return SLICE_NULL;
    if (bytes.size > 0)
        memcpy(*at, bytes.data, bytes.size);
    struct slice copy = slice_make(*at, bytes.size);
    *at += bytes.size;
    return copy;
}

enum err broker_group_member_own(struct group *group, struct slice *owned, struct slice bytes)
{
    uint8_t *copy = NULL;
    if (bytes.data) {
        copy = group_take(group, bytes.size);
        if (!copy)
            return ERR_NO_MEMORY;
        if (bytes.size > 0)
            memcpy(copy, bytes.data, bytes.size);
    }
    broker_group_member_disown(group, owned);
    *owned = slice_make(copy, bytes.size);
    return ERR_OK;
}

void broker_group_member_disown(struct group *group, struct slice *owned)
{
    group_give(group, (void *)(uintptr_t)owned->data, owned->size);
    *owned = SLICE_NULL;
}

struct result_head {
    struct budget *budget;
    size_t size;
};

void *broker_group_member_result_new(struct budget *budget, size_t size)
{
    size_t whole;
    if (__builtin_add_overflow(size, sizeof(struct result_head), &whole))
        return NULL;
    if (budget && !budget_charge(budget, whole))
        return NULL;
    struct result_head *head = malloc(whole);
    if (!head) {
        if (budget)
            budget_release(budget, whole);
        return NULL;
    }
    *head = (struct result_head){.budget = budget, .size = whole};
    return head + 1;
}

void broker_group_member_result_free(void *result)
{
    if (!result)
        return;
    struct result_head *head = (struct result_head *)result - 1;
    if (head->budget)
        budget_release(head->budget, head->size);
    free(head);
}

/* --- protocols --- */

struct group_vote *broker_group_member_vote(const struct group *group, struct slice protocol)
{
    return map_get(&group->votes, protocol);
}

static bool protocol_is_repeated(const struct group_protocol *protocols, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (slice_equal(protocols[i].name, protocols[index].name))
            return true;
    return false;
}

static void votes_drop(struct group *group, const struct group_protocol *protocols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (protocol_is_repeated(protocols, i))
            continue;
        struct group_vote *vote = broker_group_member_vote(group, protocols[i].name);
        CHECK(vote && vote->count > 0);
        if (--vote->count == 0) {
            map_remove(&group->votes, vote->name);
            group_give(group, vote, sizeof(*vote) + vote->name.size);
        }
    }
}

/* NULL: out of memory. */
static struct group_vote *vote_new(struct group *group, struct slice name)
{
    struct group_vote *vote = group_take(group, sizeof(*vote) + name.size);
    if (!vote)
        return NULL;
    uint8_t *at = (uint8_t *)(vote + 1);
    vote->name = bytes_put(&at, slice_make(name.data ? name.data : (const uint8_t *)"", name.size));
    if (map_put(&group->votes, vote->name, vote, NULL))
        return vote;
    group_give(group, vote, sizeof(*vote) + name.size);
    return NULL;
}

static enum err votes_add(struct group *group, const struct group_protocol *protocols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (protocol_is_repeated(protocols, i))
            continue;
        struct group_vote *vote = broker_group_member_vote(group, protocols[i].name);
        if (!vote)
            vote = vote_new(group, protocols[i].name);
        if (!vote) {
            votes_drop(group, protocols, i);
            return ERR_NO_MEMORY;
        }
        vote->count++;
    }
    return ERR_OK;
}

/* All names and bytes in one block behind the array. */
static struct group_protocol *protocols_copy(struct group *group, const struct group_join *join,
                                             size_t *out_size)
{
    size_t size = join->protocol_count * sizeof(struct group_protocol);
    for (size_t i = 0; i < join->protocol_count; i++)
        size += join->protocols[i].name.size + join->protocols[i].metadata.size;
    struct group_protocol *copy = group_take(group, size);
    if (!copy)
        return NULL;
    uint8_t *at = (uint8_t *)(copy + join->protocol_count);
    for (size_t i = 0; i < join->protocol_count; i++) {
        copy[i].name = bytes_put(&at, join->protocols[i].name);
        copy[i].metadata = bytes_put(&at, join->protocols[i].metadata);
    }
    *out_size = size;
    return copy;
}

bool broker_group_member_fits(const struct group *group, const struct group_join *join)
{
    if (join->protocol_count > GROUP_PROTOCOLS_MAX)
        return false;
    if (group->state == GROUP_EMPTY)
        return join->protocol_type.size > 0 && join->protocol_count > 0;
    if (!slice_equal(group->protocol_type, join->protocol_type))
        return false;
    for (size_t i = 0; i < join->protocol_count; i++) {
        const struct group_vote *vote = broker_group_member_vote(group, join->protocols[i].name);
        if ((vote ? vote->count : 0) == group->members.count)
            return true;
    }
    return false;
}

bool broker_group_member_matches(const struct group_member *member, const struct group_join *join)
{
    if (member->protocol_count != join->protocol_count)
        return false;
    for (size_t i = 0; i < join->protocol_count; i++)
        if (!slice_equal(member->protocols[i].name, join->protocols[i].name) ||
            !slice_equal(member->protocols[i].metadata, join->protocols[i].metadata))
            return false;
    return true;
}

struct slice broker_group_member_metadata(const struct group_member *member, struct slice protocol)
{
    for (size_t i = 0; i < member->protocol_count; i++)
        if (slice_equal(member->protocols[i].name, protocol))
            return member->protocols[i].metadata;
    return SLICE_NULL;
}

/* --- members --- */

struct group_member *broker_group_member_find(const struct group *group, struct slice id)
{
    return map_get(&group->members, id);
}

static struct group_member *member_new(struct group *group, struct slice id,
                                       const struct group_member *like)
{
    size_t size = sizeof(struct group_member) + id.size + like->instance_id.size +
                  like->client_id.size + like->client_host.size;
    struct group_member *member = group_take(group, size);
    if (!member)
        return NULL;
    *member = *like;
    uint8_t *at = (uint8_t *)(member + 1);
    member->size = size;
    member->id = bytes_put(&at, id);
    member->instance_id = bytes_put(&at, like->instance_id);
    member->client_id = bytes_put(&at, like->client_id);
    member->client_host = bytes_put(&at, like->client_host);
    list_init(&member->node);
    return member;
}

/* Into the maps and at the end of the order. */
static enum err member_link(struct group *group, struct group_member *member)
{
    if (!map_put(&group->members, member->id, member, NULL))
        return ERR_NO_MEMORY;
    if (member->instance_id.data &&
        !map_put(&group->instances, member->instance_id, member, NULL)) {
        map_remove(&group->members, member->id);
        return ERR_NO_MEMORY;
    }
    list_push_back(&group->order, &member->node);
    return ERR_OK;
}

enum err broker_group_member_add(struct group *group, struct slice id,
                                 const struct group_join *join, struct group_member **out)
{
    struct group_member like = {.instance_id = join->instance_id,
                                .client_id = join->client_id,
                                .client_host = join->client_host,
                                .session_timeout_ms = join->session_timeout_ms,
                                .rebalance_timeout_ms = join->rebalance_timeout_ms};
    if (group->members.count == 0) {
        enum err err = broker_group_member_own(group, &group->protocol_type, join->protocol_type);
        if (err)
            return err;
    }
    struct group_member *member = member_new(group, id, &like);
    if (!member)
        return ERR_NO_MEMORY;
    member->protocols = protocols_copy(group, join, &member->protocols_size);
    member->protocol_count = join->protocol_count;
    if (!member->protocols || votes_add(group, member->protocols, member->protocol_count))
        goto fail;
    if (member_link(group, member)) {
        votes_drop(group, member->protocols, member->protocol_count);
        goto fail;
    }
    if (!group->leader)
        group->leader = member;
    broker_group_member_unpend(group, id);
    *out = member;
    return ERR_OK;
fail:
    group_give(group, member->protocols, member->protocols_size);
    group_give(group, member, member->size);
    return ERR_NO_MEMORY;
}

void broker_group_member_remove(struct group *group, struct group_member *member)
{
    CHECK(!member->join && !member->sync);
    map_remove(&group->members, member->id);
    if (member->instance_id.data)
        map_remove(&group->instances, member->instance_id);
    list_remove(&member->node);
    votes_drop(group, member->protocols, member->protocol_count);
    if (group->leader == member) {
        struct list *first = list_first(&group->order);
        group->leader = first ? LIST_ENTRY(first, struct group_member, node) : NULL;
    }
    broker_group_member_disown(group, &member->assignment);
    broker_group_member_disown(group, &member->proposed);
    broker_group_member_disown(group, &member->former_id);
    group_give(group, member->protocols, member->protocols_size);
    group_give(group, member, member->size);
    group->removals++;
}

enum err broker_group_member_update(struct group *group, struct group_member *member,
                                    const struct group_join *join)
{
    size_t size;
    struct group_protocol *protocols = protocols_copy(group, join, &size);
    if (!protocols)
        return ERR_NO_MEMORY;
    if (votes_add(group, protocols, join->protocol_count)) {
        group_give(group, protocols, size);
        return ERR_NO_MEMORY;
    }
    votes_drop(group, member->protocols, member->protocol_count);
    group_give(group, member->protocols, member->protocols_size);
    member->protocols = protocols;
    member->protocol_count = join->protocol_count;
    member->protocols_size = size;
    member->session_timeout_ms = join->session_timeout_ms;
    member->rebalance_timeout_ms = join->rebalance_timeout_ms;
    return ERR_OK;
}

enum err broker_group_member_rename(struct group *group, struct group_member **member,
                                    struct slice id)
{
    struct group_member *old = *member;
    CHECK(!old->join && !old->sync);
    enum err err = broker_group_member_own(group, &old->former_id, old->id);
    if (err)
        return err;
    struct group_member *renamed = member_new(group, id, old);
    if (!renamed)
        return ERR_NO_MEMORY;
    if (!map_put(&group->members, renamed->id, renamed, NULL)) {
        group_give(group, renamed, renamed->size);
        return ERR_NO_MEMORY;
    }
    map_remove(&group->members, old->id);
    /* Cannot fail: it takes the place of the old one. */
    CHECK(map_put(&group->instances, renamed->instance_id, renamed, NULL));
    list_insert_before(&old->node, &renamed->node);
    list_remove(&old->node);
    if (group->leader == old)
        group->leader = renamed;
    renamed->sync_pending = false;
    group_give(group, old, old->size);
    *member = renamed;
    return ERR_OK;
}

enum err broker_group_member_check(const struct group *group, struct slice id,
                                   struct slice instance_id)
{
    if (instance_id.data) {
        const struct group_member *holder = map_get(&group->instances, instance_id);
        if (!holder)
            return ERR_MEMBER_UNKNOWN;
        if (!slice_equal(holder->id, id))
            return ERR_FENCED;
    }
    return broker_group_member_find(group, id) ? ERR_OK : ERR_MEMBER_UNKNOWN;
}

void broker_group_member_touch(struct group *group, struct group_member *member, int32_t timeout_ms)
{
    member->deadline_ms = group->env->now_ms + timeout_ms;
    broker_group_rebalance_due(group, member->deadline_ms);
}

/* --- pending member ids --- */

enum err broker_group_member_pend(struct group *group, struct slice id, int32_t timeout_ms)
{
    struct group_pending *pending = group_take(group, sizeof(*pending) + id.size);
    if (!pending)
        return ERR_NO_MEMORY;
    uint8_t *at = (uint8_t *)(pending + 1);
    pending->id = bytes_put(&at, id);
    pending->deadline_ms = group->env->now_ms + timeout_ms;
    if (!map_put(&group->pending, pending->id, pending, NULL)) {
        group_give(group, pending, sizeof(*pending) + id.size);
        return ERR_NO_MEMORY;
    }
    list_push_back(&group->pending_order, &pending->node);
    broker_group_rebalance_due(group, pending->deadline_ms);
    return ERR_OK;
}

void broker_group_member_unpend(struct group *group, struct slice id)
{
    struct group_pending *pending = map_remove(&group->pending, id);
    if (!pending)
        return;
    list_remove(&pending->node);
    group_give(group, pending, sizeof(*pending) + pending->id.size);
}

/* --- answers: all bytes are copied, for the group goes on while they travel --- */

static size_t members_size(const struct group *group)
{
    size_t size = group->members.count * sizeof(struct group_member_view);
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        size += member->id.size + member->instance_id.size +
                broker_group_member_metadata(member, group->protocol_name).size;
    }
    return size;
}

static void members_put(const struct group *group, struct group_member_view *views, uint8_t **at)
{
    size_t i = 0;
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        views[i].member_id = bytes_put(at, member->id);
        views[i].instance_id = bytes_put(at, member->instance_id);
        views[i].metadata =
            bytes_put(at, broker_group_member_metadata(member, group->protocol_name));
        i++;
    }
}

static bool join_fill(const struct group *group, const struct group_member *member,
                      struct group_join *join)
{
    bool leader = member == group->leader && !join->as_follower;
    struct slice leader_id = group->leader ? group->leader->id : slice_text("");
    if (join->as_follower && member == group->leader)
        leader_id = member->former_id;
    size_t list_size = leader ? members_size(group) : 0;
    uint8_t *block = broker_group_member_result_new(
        group->env->budget, list_size + group->protocol_type.size + group->protocol_name.size +
                                leader_id.size + member->id.size);
    if (!block)
        return false;
    join->private = block;
    join->member_count = leader ? group->members.count : 0;
    join->members = (struct group_member_view *)block;
    uint8_t *at = block + join->member_count * sizeof(struct group_member_view);
    if (leader)
        members_put(group, (struct group_member_view *)block, &at);
    join->generation = group->generation;
    join->protocol_type_out = bytes_put(&at, group->protocol_type);
    join->protocol_name = bytes_put(&at, group->protocol_name);
    join->leader_id = bytes_put(&at, leader_id);
    join->member_id_out = bytes_put(&at, member->id);
    return true;
}

void broker_group_member_answer_join(struct group *group, const struct group_member *member,
                                     struct group_join *join, enum err err)
{
    join->generation = -1;
    join->members = NULL;
    join->member_count = 0;
    if (!err && !join_fill(group, member, join))
        err = ERR_NO_MEMORY;
    join->call.err = err;
    group->env->answer(group->env, &join->call);
}

void broker_group_member_park_join(struct group *group, struct group_member *member,
                                   struct group_join *join)
{
    /* The client asks again: whoever waits with the older request has given up. */
    if (member->join)
        broker_group_member_join_done(group, member, ERR_REBALANCE);
    member->join = join;
    group->joining++;
}

void broker_group_member_join_done(struct group *group, struct group_member *member, enum err err)
{
    struct group_join *join = member->join;
    if (!join)
        return;
    member->join = NULL;
    group->joining--;
    broker_group_member_answer_join(group, member, join, err);
}

void broker_group_member_answer_sync(struct group *group, const struct group_member *member,
                                     struct group_sync *sync, enum err err)
{
    sync->assignment = SLICE_NULL;
    if (!err) {
        uint8_t *at = broker_group_member_result_new(
            group->env->budget,
            member->assignment.size + group->protocol_type.size + group->protocol_name.size);
        sync->private = at;
        if (at) {
            sync->assignment = bytes_put(&at, member->assignment);
            sync->protocol_type_out = bytes_put(&at, group->protocol_type);
            sync->protocol_name_out = bytes_put(&at, group->protocol_name);
        } else {
            err = ERR_NO_MEMORY;
        }
    }
    sync->call.err = err;
    group->env->answer(group->env, &sync->call);
}

void broker_group_member_sync_done(struct group *group, struct group_member *member, enum err err)
{
    struct group_sync *sync = member->sync;
    if (!sync)
        return;
    member->sync = NULL;
    broker_group_member_answer_sync(group, member, sync, err);
}

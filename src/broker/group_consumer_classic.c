// Members of a group of the newer protocol that still speak the classic one. KIP-848, migration.
// SPDX-License-Identifier: Apache-2.0
//
// Such a member joins, fetches what it holds with a sync, and is told with its heartbeat when to
// join again: the words in which it joins say what it holds.
#include "broker/group_consumer.h"
#include "broker/group_state.h"

#define CONSUMER_TYPE "consumer"

static size_t classic_count(const struct group_consumer *group)
{
    size_t count = 0;
    list_for_each (node, &group->order)
        count += LIST_ENTRY(node, struct consumer_member, node)->is_classic;
    return count;
}

static bool has_protocol(const struct consumer_member *member, struct slice name)
{
    struct slice rest = member->protocols;
    struct group_protocol protocol;
    size_t count = broker_group_subscription_protocol_count(&rest);
    while (count-- > 0 && broker_group_subscription_protocol_next(&rest, &protocol))
        if (slice_equal(protocol.name, name))
            return true;
    return false;
}

static struct group_protocol first_protocol(const struct consumer_member *member)
{
    struct slice rest = member->protocols;
    struct group_protocol protocol = {SLICE_NULL, SLICE_NULL};
    if (broker_group_subscription_protocol_count(&rest) == 0 ||
        !broker_group_subscription_protocol_next(&rest, &protocol))
        return (struct group_protocol){SLICE_NULL, SLICE_NULL};
    return protocol;
}

/* At least one protocol that all classic members have. */
static bool join_fits(const struct group_consumer *group, const struct group_join *join)
{
    if (!slice_equal_text(join->protocol_type, CONSUMER_TYPE) || join->protocol_count == 0 ||
        join->protocol_count > GROUP_PROTOCOLS_MAX)
        return false;
    size_t members = classic_count(group);
    for (size_t i = 0; i < join->protocol_count; i++) {
        size_t having = 0;
        list_for_each (node, &group->order) {
            const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
            having += member->is_classic && has_protocol(member, join->protocols[i].name);
        }
        if (having == members)
            return true;
    }
    return false;
}

/* --- join --- */

/* ERR_MEMBER_UNKNOWN, ERR_FENCED; *out NULL: someone new. */
static enum err join_look_up(const struct group_consumer *group, const struct group_join *join,
                             struct consumer_member **out)
{
    struct consumer_member *member = broker_group_consumer_member_find(group, join->member_id);
    *out = member;
    if (!join->instance_id.data)
        return ERR_OK;
    struct consumer_member *holder = map_get(&group->instances, join->instance_id);
    *out = holder;
    if (join->member_id.size == 0)
        return ERR_OK;
    if (!holder)
        return ERR_MEMBER_UNKNOWN;
    return holder == member ? ERR_OK : ERR_FENCED;
}

static enum err text_put(struct group_consumer *group, struct slice *own, struct slice said)
{
    return broker_group_parts_text(group->env->budget, own, said.data ? said : slice_text(""));
}

static enum err words_take(struct group_consumer *group, struct consumer_member *member,
                           const struct group_join *join, const struct group_subscription *words,
                           bool *out_bump)
{
    struct budget *budget = group->env->budget;
    struct group_names names = {NULL, 0, 0};
    bool is_new = !member->client_id.data;
    group->scratch.size = 0;
    enum err err = broker_group_subscription_protocols_write(join->protocols, join->protocol_count,
                                                             &group->scratch);
    if (!err)
        err = broker_group_parts_text(budget, &member->protocols,
                                      slice_make(group->scratch.data, group->scratch.size));
    if (!err)
        err = text_put(group, &member->client_id, join->client_id);
    if (!err)
        err = text_put(group, &member->client_host, join->client_host);
    if (!err && words->rack.data)
        err = broker_group_parts_text(budget, &member->rack_id, words->rack);
    if (!err)
        err = broker_group_parts_names(budget, &names, words->topics, words->topic_count);
    if (err)
        return err;
    *out_bump = is_new || member->regex.size > 0 ||
                !broker_group_parts_names_equal(&names, &member->topics);
    broker_group_parts_names_free(budget, &member->topics);
    broker_group_parts_text_free(budget, &member->regex);
    broker_group_parts_text_free(budget, &member->assignor);
    member->topics = names;
    member->is_classic = true;
    member->session_timeout_ms = join->session_timeout_ms;
    member->rebalance_timeout_ms = join->rebalance_timeout_ms;
    broker_group_consumer_record_member(group, member);
    return ERR_OK;
}

/* The texts in a block of the answer. */
static enum err join_answer(struct group_consumer *group, const struct consumer_member *member,
                            struct group_join *join)
{
    struct slice name = first_protocol(member).name;
    uint8_t *block =
        broker_group_member_result_new(group->env->budget, member->id.size + name.size + 1);
    if (!block)
        return ERR_NO_MEMORY;
    memcpy(block, member->id.data, member->id.size);
    if (name.size > 0)
        memcpy(block + member->id.size, name.data, name.size);
    join->private = block;
    join->member_id_out = slice_make(block, member->id.size);
    join->protocol_name = slice_make(block + member->id.size, name.size);
    join->protocol_type_out = SLICE_LITERAL(CONSUMER_TYPE);
    join->generation = member->epoch;
    join->leader_id = slice_text("");
    return ERR_OK;
}

static enum err id_make(struct group_consumer *group, struct group_join *join, struct slice *out)
{
    uint8_t random[16];
    char *block = broker_group_member_result_new(group->env->budget, UUID_TEXT_SIZE + 1);
    if (!block)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t bits = group->env->random(group->env);
        memcpy(random + i * sizeof(bits), &bits, sizeof(bits));
    }
    struct uuid uuid = uuid_from_random(random);
    uuid_to_text(&uuid, block);
    join->private = block;
    *out = slice_make(block, UUID_TEXT_SIZE);
    return ERR_OK;
}

static enum err member_join(struct group_consumer *group, struct consumer_member *member,
                            struct group_join *join, const struct group_subscription *words)
{
    bool is_bumped = false;
    enum err err = words_take(group, member, join, words, &is_bumped);
    if (!err)
        err = broker_group_consumer_advance(group, member, is_bumped, &words->owned);
    if (!err)
        err = join_answer(group, member, join);
    if (err) {
        group->is_broken = true;
        return err;
    }
    member->join_deadline_ms = CONSUMER_NEVER_MS;
    member->sync_deadline_ms = group->env->now_ms + MAX(member->rebalance_timeout_ms, 0);
    broker_group_consumer_due(group, member->sync_deadline_ms);
    broker_group_consumer_touch(group, member);
    return ERR_OK;
}

/* Whoever has the instance goes, its partitions stay with it. */
static enum err static_replace(struct group_consumer *group, struct consumer_member *member,
                               struct slice id)
{
    broker_group_consumer_record_gone(group, CONSUMER_FACT_CURRENT, member->id);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_TARGET, member->id);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_MEMBER, member->id);
    enum err err = broker_group_consumer_member_rename(group, member, id);
    if (err)
        return err;
    broker_group_consumer_record_target(group, member);
    broker_group_consumer_record_current(group, member);
    return ERR_OK;
}

static enum err join_go(struct group_consumer *group, struct group_join *join,
                        const struct group_subscription *words)
{
    struct consumer_member *member;
    struct slice id = join->member_id;
    enum err err = join_look_up(group, join, &member);
    bool is_full = !member && group->members.count >= (size_t)group->env->size_max;
    if (!err && is_full)
        err = ERR_GROUP_FULL;
    if (!err && id.size == 0)
        err = id_make(group, join, &id);
    if (err)
        return err;
    void *id_block = join->private;
    if (!member && join->member_id.size == 0 && !join->instance_id.data &&
        join->member_id_required) {
        join->member_id_out = id;
        return ERR_MEMBER_ID_REQUIRED;
    }
    join->private = NULL;
    if (!member)
        member = broker_group_consumer_member_new(group, id, join->instance_id);
    else if (!slice_equal(member->id, id))
        err = static_replace(group, member, id);
    if (!member)
        err = ERR_NO_MEMORY;
    if (!err)
        err = member_join(group, member, join, words);
    broker_group_member_result_free(id_block);
    return err;
}

enum err broker_group_consumer_classic_join(struct group_consumer *group, struct group_join *join)
{
    struct group_subscription words;
    join->private = NULL;
    join->member_id_out = join->member_id;
    join->leader_id = slice_text("");
    if (!join_fits(group, join))
        return ERR_PROTOCOL;
    enum err err = broker_group_subscription_read(group->env, join->protocols[0].metadata, &words);
    if (err)
        return err == ERR_CORRUPT ? ERR_PROTOCOL : err;
    err = join_go(group, join, &words);
    broker_group_subscription_free(group->env, &words);
    return err;
}

/* --- sync, heartbeat, leave --- */

static enum err member_find(const struct group_consumer *group, struct slice id,
                            struct slice instance_id, struct consumer_member **out)
{
    struct consumer_member *member = broker_group_consumer_member_find(group, id);
    if (instance_id.data) {
        struct consumer_member *holder = map_get(&group->instances, instance_id);
        if (holder && holder != member)
            return ERR_FENCED;
        member = holder;
    }
    *out = member;
    return member && member->is_classic ? ERR_OK : ERR_MEMBER_UNKNOWN;
}

static void join_again(struct group_consumer *group, struct consumer_member *member)
{
    if (member->join_deadline_ms != CONSUMER_NEVER_MS)
        return;
    member->join_deadline_ms = group->env->now_ms + MAX(member->rebalance_timeout_ms, 0);
    broker_group_consumer_due(group, member->join_deadline_ms);
}

static enum err sync_check(struct group_consumer *group, const struct group_sync *sync,
                           struct consumer_member **out)
{
    enum err err = member_find(group, sync->member_id, sync->instance_id, out);
    if (err)
        return err;
    struct consumer_member *member = *out;
    if (sync->generation != member->epoch)
        return ERR_GENERATION;
    struct slice name = first_protocol(member).name;
    if ((sync->protocol_type.data && !slice_equal_text(sync->protocol_type, CONSUMER_TYPE)) ||
        (sync->protocol_name.data && !slice_equal(sync->protocol_name, name)))
        return ERR_PROTOCOL;
    if (group->epoch > member->epoch && member->state != CONSUMER_UNREVOKED) {
        join_again(group, member);
        return ERR_REBALANCE;
    }
    return ERR_OK;
}

enum err broker_group_consumer_classic_sync(struct group_consumer *group, struct group_sync *sync)
{
    struct consumer_member *member;
    struct group_subscription words;
    sync->private = NULL;
    enum err err = sync_check(group, sync, &member);
    if (err)
        return err;
    struct group_protocol protocol = first_protocol(member);
    err = broker_group_subscription_read(group->env, protocol.metadata, &words);
    if (err)
        return err;
    int16_t version = words.version;
    broker_group_subscription_free(group->env, &words);
    group->scratch.size = 0;
    err = broker_group_subscription_assignment_write(group->env, version, &member->assigned,
                                                     &group->scratch);
    if (err)
        return err;
    size_t size = group->scratch.size;
    uint8_t *block = broker_group_member_result_new(group->env->budget, size + protocol.name.size);
    if (!block)
        return ERR_NO_MEMORY;
    memcpy(block, group->scratch.data, size);
    if (protocol.name.size > 0)
        memcpy(block + size, protocol.name.data, protocol.name.size);
    sync->private = block;
    sync->assignment = slice_make(block, size);
    sync->protocol_type_out = SLICE_LITERAL(CONSUMER_TYPE);
    sync->protocol_name_out = slice_make(block + size, protocol.name.size);
    member->sync_deadline_ms = CONSUMER_NEVER_MS;
    broker_group_consumer_touch(group, member);
    return ERR_OK;
}

enum err broker_group_consumer_classic_heartbeat(struct group_consumer *group,
                                                 const struct group_heartbeat *heartbeat)
{
    struct consumer_member *member;
    enum err err = member_find(group, heartbeat->member_id, heartbeat->instance_id, &member);
    if (err)
        return err;
    if (heartbeat->generation != member->epoch)
        return ERR_GENERATION;
    broker_group_consumer_touch(group, member);
    bool is_free = member->state == CONSUMER_UNRELEASED &&
                   !broker_group_consumer_reconcile_is_waiting(group, member);
    if (member->epoch >= group->epoch && member->state != CONSUMER_UNREVOKED && !is_free)
        return ERR_OK;
    join_again(group, member);
    return ERR_REBALANCE;
}

static enum err member_leave(struct group_consumer *group, const struct group_leaver *leaver)
{
    struct consumer_member *member;
    if (leaver->member_id.size == 0 && leaver->instance_id.data) {
        member = map_get(&group->instances, leaver->instance_id);
        if (!member || !member->is_classic)
            return ERR_MEMBER_UNKNOWN;
    } else {
        enum err err = member_find(group, leaver->member_id, leaver->instance_id, &member);
        if (err)
            return err;
    }
    broker_group_consumer_drop(group, member);
    return ERR_OK;
}

void broker_group_consumer_classic_leave(struct group_consumer *group, struct group_leaver *leavers,
                                         size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        leavers[i].err = member_leave(group, &leavers[i]);
        left += leavers[i].err == ERR_OK;
    }
    if (left > 0)
        broker_group_consumer_bump(group);
}

// A group in memory: its timer, the expiry of its offsets, and when it may go.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_coordinator.h"

#define NS_PER_MS UINT64_C(1000000)

static void entry_timer(struct core *core, struct core_timer *timer);

struct group_entry *broker_group_entry_find(struct groups *groups, struct slice id)
{
    return map_get(&groups->by_id, id);
}

struct group_entry *broker_group_entry_new(struct group_partition *partition, struct slice id)
{
    struct groups *groups = partition->groups;
    if (!budget_charge(groups->env.budget, sizeof(struct group_entry)))
        return NULL;
    struct group_entry *entry = calloc(1, sizeof(*entry));
    if (!entry) {
        budget_release(groups->env.budget, sizeof(*entry));
        return NULL;
    }
    broker_group_coordinator_now(groups);
    entry->partition = partition;
    entry->timer_ms = GROUP_NEVER_MS;
    entry->check_ms = groups->env.now_ms + GROUP_CHECK_MS;
    entry->kept_offset = -1;
    core_timer_init(&entry->timer, entry_timer);
    list_init(&entry->slots);
    list_init(&entry->node);
    list_init(&entry->fact_list);
    list_init(&entry->leaving);
    map_init(&entry->offsets, core_random(groups->core));
    map_init(&entry->facts, core_random(groups->core));
    broker_group_turn_init(entry);
    enum err err = broker_group_classic_init(&entry->group, &groups->env, id);
    if (err || !map_put(&groups->by_id, entry->group.id, entry, NULL)) {
        broker_group_classic_deinit(&entry->group);
        map_deinit(&entry->offsets);
        map_deinit(&entry->facts);
        free(entry);
        budget_release(groups->env.budget, sizeof(*entry));
        return NULL;
    }
    list_push_back(&partition->entries, &entry->node);
    return entry;
}

void broker_group_entry_free(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    core_timer_cancel(groups->core, &entry->timer);
    broker_group_turn_stop(entry);
    broker_group_entry_consumer_free(entry);
    broker_group_entry_share_free(entry);
    broker_group_classic_kill(&entry->group, ERR_CLOSED);
    broker_group_entry_left(entry, ERR_CLOSED);
    broker_group_fact_free_all(entry);
    list_for_each_safe (node, following, &entry->slots)
        broker_group_slot_free(entry, LIST_ENTRY(node, struct group_slot, node));
    map_remove(&groups->by_id, entry->group.id);
    list_remove(&entry->node);
    broker_group_rewrite_keep(entry, SLICE_NULL, INT64_MAX);
    map_deinit(&entry->offsets);
    map_deinit(&entry->facts);
    broker_group_classic_deinit(&entry->group);
    budget_release(groups->env.budget, sizeof(*entry));
    free(entry);
}

void broker_group_entry_left(struct group_entry *entry, enum err err)
{
    struct list *node;
    while ((node = list_pop_front(&entry->leaving)) != NULL)
        broker_call_finish(entry->partition->groups->core,
                           LIST_ENTRY(node, struct broker_call, node), err);
}

struct group_consumer *broker_group_entry_consumer_new(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    CHECK(!entry->consumer);
    if (!budget_charge(groups->env.budget, sizeof(struct group_consumer)))
        return NULL;
    struct group_consumer *consumer = malloc(sizeof(*consumer));
    if (!consumer) {
        budget_release(groups->env.budget, sizeof(*consumer));
        return NULL;
    }
    broker_group_consumer_init(consumer, &groups->consumer_env, entry->group.id, entry);
    entry->consumer = consumer;
    return consumer;
}

void broker_group_entry_consumer_free(struct group_entry *entry)
{
    if (!entry->consumer)
        return;
    broker_group_consumer_deinit(entry->consumer);
    free(entry->consumer);
    budget_release(entry->partition->groups->env.budget, sizeof(*entry->consumer));
    entry->consumer = NULL;
}

struct group_share *broker_group_entry_share_new(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    CHECK(!entry->share && !entry->consumer);
    if (!budget_charge(groups->env.budget, sizeof(struct group_share)))
        return NULL;
    struct group_share *share = malloc(sizeof(*share));
    if (!share) {
        budget_release(groups->env.budget, sizeof(*share));
        return NULL;
    }
    broker_group_share_init(share, &groups->consumer_env, entry->group.id, entry);
    entry->share = share;
    return share;
}

void broker_group_entry_share_free(struct group_entry *entry)
{
    if (!entry->share)
        return;
    broker_group_share_deinit(entry->share);
    free(entry->share);
    budget_release(entry->partition->groups->env.budget, sizeof(*entry->share));
    entry->share = NULL;
}

bool broker_group_entry_is_blank(const struct group_entry *entry)
{
    return !entry->consumer && !entry->share && !entry->stored && entry->group_writes == 0 &&
           entry->group.members.count == 0 && entry->group.pending.count == 0 &&
           entry->offsets.count == 0;
}

/* --- what its members read --- */

bool broker_group_entry_is_subscribed(const struct group_entry *entry, struct slice topic)
{
    if (entry->consumer)
        return broker_group_consumer_is_subscribed(entry->consumer, topic);
    const struct group *group = &entry->group;
    if (!slice_equal_text(group->protocol_type, "consumer"))
        return false;
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        bool known;
        struct slice metadata = broker_group_member_metadata(member, group->protocol_name);
        /* A subscription that cannot be read might be to anything. */
        if (broker_offsets_subscription_has(metadata, topic, &known) || !known)
            return true;
    }
    return false;
}

bool broker_group_entry_is_subscribed_once(const struct group_entry *entry, struct map *topics,
                                           struct slice topic)
{
    static const bool answers[] = {false, true};
    const bool *known = map_get(topics, topic);
    if (known)
        return *known;
    known = &answers[broker_group_entry_is_subscribed(entry, topic)];
    (void)!map_put(topics, topic, (void *)(uintptr_t)known, NULL); /* else it is asked again */
    return *known;
}

/* --- expiry --- */

static bool slot_is_expired(const struct group_entry *entry, const struct group_slot *slot)
{
    const struct group *group = &entry->group;
    const struct offsets_value *value = &slot->value->value;
    int64_t now_ms = group->env->wall_ms;
    if (value->expire_ms != -1)
        return now_ms >= value->expire_ms;
    int64_t retention_ms =
        (int64_t)broker_settings_now(entry->partition->groups->core)->offsets_retention_minutes *
        60000;
    int64_t since_ms = value->commit_ms;
    if (group->state == GROUP_EMPTY && group->protocol_type.size > 0)
        since_ms = group->state_since_ms;
    return now_ms - since_ms >= retention_ms;
}

/* Offsets go when nobody could want them: the group has been empty for long, or stays away from
 * the topic. A group in between two generations keeps all. */
static bool slot_may_go(const struct group_entry *entry, const struct group_slot *slot,
                        struct map *topics)
{
    const struct group *group = &entry->group;
    if (!slot->value || slot->pending > 0)
        return false;
    if (broker_group_slot_is_void(entry, slot))
        return true;
    if (!slot_is_expired(entry, slot))
        return false;
    if (entry->consumer)
        return !broker_group_entry_is_subscribed_once(entry, topics, broker_group_slot_topic(slot));
    if (group->state == GROUP_EMPTY)
        return true;
    return group->state == GROUP_STABLE && slice_equal_text(group->protocol_type, "consumer") &&
           !broker_group_entry_is_subscribed_once(entry, topics, broker_group_slot_topic(slot));
}

static bool entry_is_idle(const struct group_entry *entry)
{
    bool is_empty = entry->group.state == GROUP_EMPTY && entry->group.pending.count == 0;
    if (entry->consumer)
        is_empty = entry->consumer->members.count == 0;
    else if (entry->share)
        is_empty = entry->share->members.count == 0;
    return is_empty && entry->writes == 0 && broker_group_turn_is_idle(entry);
}

static void entry_check(struct group_entry *entry)
{
    bool idle = entry_is_idle(entry);
    struct group_append *write = broker_group_write_new(entry);
    if (!write)
        return;
    size_t gone = 0;
    enum err err = ERR_OK;
    struct map topics;
    map_init(&topics, core_random(entry->partition->groups->core));
    list_for_each (node, &entry->slots) {
        struct group_slot *slot = LIST_ENTRY(node, struct group_slot, node);
        if (err || !slot_may_go(entry, slot, &topics))
            continue;
        err = broker_group_write_offset(write, broker_group_slot_topic(slot),
                                        broker_group_slot_partition(slot), NULL);
        gone += err == ERR_OK;
    }
    map_deinit(&topics);
    if (!err && idle && entry->stored && gone == entry->offsets.count)
        err = broker_group_write_tombstone(write);
    bool is_over = !err && idle && gone == entry->offsets.count;
    if (err || broker_group_write_is_empty(write))
        broker_group_write_drop(write);
    else
        broker_group_write_send(write, NULL, NULL);
    if (is_over && entry->consumer && broker_group_beat_delete(entry) == ERR_OK)
        broker_group_turn_end(entry);
}

static void entry_timer(struct core *core, struct core_timer *timer)
{
    struct group_entry *entry = CONTAINER_OF(timer, struct group_entry, timer);
    struct groups *groups = entry->partition->groups;
    entry->timer_ms = GROUP_NEVER_MS;
    broker_group_coordinator_now(groups);
    if (entry->group.deadline_ms <= groups->env.now_ms)
        broker_group_classic_expire(&entry->group);
    if (entry->consumer && entry->consumer->deadline_ms <= groups->env.now_ms) {
        broker_group_consumer_expire(entry->consumer);
        broker_group_beat_downgrade(entry);
        broker_group_turn_end(entry);
    }
    if (entry->share && entry->share->deadline_ms <= groups->env.now_ms) {
        broker_group_share_expire(entry->share);
        broker_group_turn_end(entry);
    }
    if (entry->check_ms <= groups->env.now_ms) {
        entry->check_ms = groups->env.now_ms + GROUP_CHECK_MS;
        entry_check(entry);
    }
    broker_group_entry_settle(entry);
}

void broker_group_entry_settle(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    if (entry->partition->load != GROUP_LOADED)
        return;
    if (entry_is_idle(entry) && !entry->stored && entry->offsets.count == 0 &&
        entry->facts.count == 0) {
        broker_group_entry_free(entry);
        return;
    }
    int64_t due_ms = MIN(entry->group.deadline_ms, entry->check_ms);
    if (entry->consumer)
        due_ms = MIN(due_ms, entry->consumer->deadline_ms);
    if (entry->share)
        due_ms = MIN(due_ms, entry->share->deadline_ms);
    if (due_ms >= entry->timer_ms)
        return; /* the timer looks again when it fires */
    entry->timer_ms = due_ms;
    core_timer_set(groups->core, &entry->timer, (uint64_t)due_ms * NS_PER_MS);
}

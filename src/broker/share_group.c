// Members of share groups: heartbeats, who reads what, descriptions. KIP-932.
// SPDX-License-Identifier: Apache-2.0
//
// Every partition of a topic goes to at least one member that wants the topic; when there are more
// members than partitions several share one. A member needs nobody's leave to take a partition:
// what others hold does not matter. Members are memory alone: after a restart they join again.
#include <stdlib.h>

#include "broker/group_coordinator.h"
#include "broker/share_state.h"

#define NS_PER_MS   UINT64_C(1000000)
#define EPOCH_LEAVE (-1)
#define PARTS_MAX   ((size_t)1 << 22)

static void member_free(struct share_group *group, struct share_member *member)
{
    struct budget *budget = group->shares->budget;
    list_remove(&member->node);
    group->member_count--;
    broker_group_parts_text_free(budget, &member->id);
    broker_group_parts_text_free(budget, &member->rack_id);
    broker_group_parts_text_free(budget, &member->client_id);
    broker_group_parts_text_free(budget, &member->client_host);
    broker_group_parts_names_free(budget, &member->topics);
    broker_group_parts_free(budget, &member->assigned, member->assigned.count);
    budget_release(budget, sizeof(*member));
    free(member);
}

void broker_share_group_free(struct share_group *group)
{
    list_for_each_safe (node, following, &group->members)
        member_free(group, LIST_ENTRY(node, struct share_member, node));
}

static struct share_member *member_find(struct share_group *group, struct slice id)
{
    list_for_each (node, &group->members) {
        struct share_member *member = LIST_ENTRY(node, struct share_member, node);
        if (slice_equal(member->id, id))
            return member;
    }
    return NULL;
}

/* --- who reads what --- */

struct assigning {
    struct share_group *group;
    const struct broker_topic *topic;
    size_t readers; /* of the topic */
};

static bool is_reader(const struct share_member *member, const struct broker_topic *topic)
{
    return broker_group_parts_names_have(&member->topics, topic->name);
}

/* The member's share of the topic, as the rank-th of its readers; counts alone when out is NULL. */
static size_t topic_share(const struct assigning *a, size_t rank, struct group_parts *out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < a->topic->partition_count; i++) {
        bool is_its = a->readers <= a->topic->partition_count
                          ? i % a->readers == rank
                          : rank % a->topic->partition_count == i;
        if (!is_its)
            continue;
        if (out)
            out->items[out->count++] =
                (struct group_part){.topic = a->topic->id, .index = (int32_t)i};
        count++;
    }
    return count;
}

static size_t rank_of(struct assigning *a, const struct share_member *of)
{
    size_t rank = 0;
    a->readers = 0;
    list_for_each (node, &a->group->members) {
        const struct share_member *member = LIST_ENTRY(node, struct share_member, node);
        if (member == of)
            rank = a->readers;
        a->readers += is_reader(member, a->topic);
    }
    return rank;
}

static size_t member_share(struct share_group *group, const struct share_member *member,
                           struct group_parts *out)
{
    size_t count = 0;
    for (size_t i = 0; i < member->topics.count; i++) {
        struct assigning a = {.group = group,
                              .topic =
                                  broker_topic_find(group->shares->core, member->topics.items[i])};
        if (!a.topic || a.topic->internal)
            continue;
        size_t rank = rank_of(&a, member);
        count += topic_share(&a, rank, out);
    }
    return count;
}

static enum err member_assign(struct share_group *group, struct share_member *member)
{
    struct budget *budget = group->shares->budget;
    struct group_parts parts;
    size_t room = member_share(group, member, NULL);
    if (room > PARTS_MAX)
        return ERR_LIMIT;
    enum err err = broker_group_parts_room(budget, room, &parts);
    if (err)
        return err;
    member_share(group, member, &parts);
    broker_group_parts_sort(&parts);
    if (!broker_group_parts_equal(&parts, &member->assigned)) {
        err = broker_group_parts_set(budget, &member->assigned, &parts);
        member->is_changed = member->is_changed || !err;
    }
    broker_group_parts_free(budget, &parts, room);
    return err;
}

/* After any change of members, subscriptions or topics. */
static enum err group_assign(struct share_group *group)
{
    enum err err = ERR_OK;
    group->topics_seen = broker_core(group->shares->core)->topics_generation;
    group->epoch++;
    list_for_each (node, &group->members) {
        if (!err)
            err = member_assign(group, LIST_ENTRY(node, struct share_member, node));
    }
    return err;
}

/* --- time --- */

static void group_due(struct share_group *group)
{
    int64_t due_ms = CURSOR_NEVER_MS;
    list_for_each (node, &group->members)
        due_ms = MIN(due_ms, LIST_ENTRY(node, struct share_member, node)->deadline_ms);
    if (due_ms == CURSOR_NEVER_MS)
        core_timer_cancel(group->shares->core, &group->timer);
    else
        core_timer_set(group->shares->core, &group->timer, (uint64_t)due_ms * NS_PER_MS);
}

void broker_share_group_timer(struct core *core, struct core_timer *timer)
{
    struct share_group *group = CONTAINER_OF(timer, struct share_group, timer);
    int64_t now_ms = broker_share_coordinator_now_ms(group->shares);
    bool is_changed = false;
    list_for_each_safe (node, following, &group->members) {
        struct share_member *member = LIST_ENTRY(node, struct share_member, node);
        if (member->deadline_ms > now_ms)
            continue;
        log_info(core_logger(core), "broker", "a member of a share group was silent group=%.*s",
                 (int)MIN(group->id.size, (size_t)200), (const char *)group->id.data);
        member_free(group, member);
        is_changed = true;
    }
    if (is_changed && group_assign(group) != ERR_OK)
        group->topics_seen = 0; /* the next heartbeat tries again */
    group_due(group);
    broker_share_coordinator_tidy(group);
}

/* --- heartbeats --- */

static enum err member_new(struct share_group *group, const struct share_beat *beat,
                           struct share_member **out)
{
    struct shares *shares = group->shares;
    if (group->member_count >= (size_t)broker_settings_now(shares->core)->group_share_max_size)
        return ERR_GROUP_FULL;
    if (!budget_charge(shares->budget, sizeof(**out)))
        return ERR_NO_MEMORY;
    struct share_member *member = calloc(1, sizeof(*member));
    if (!member) {
        budget_release(shares->budget, sizeof(**out));
        return ERR_NO_MEMORY;
    }
    list_push_back(&group->members, &member->node);
    group->member_count++;
    enum err err = broker_group_parts_text(shares->budget, &member->id, beat->member_id);
    if (err)
        member_free(group, member);
    else
        *out = member;
    return err;
}

/* True in *out_changed when it reads other topics than before. */
static enum err member_update(struct share_group *group, struct share_member *member,
                              const struct share_beat *beat, bool *out_changed)
{
    struct budget *budget = group->shares->budget;
    struct group_names before = member->topics;
    enum err err = broker_group_parts_text(budget, &member->client_id, beat->client_id);
    if (!err)
        err = broker_group_parts_text(budget, &member->client_host, beat->client_host);
    if (!err && beat->rack_id.data)
        err = broker_group_parts_text(budget, &member->rack_id, beat->rack_id);
    if (err || !beat->has_topics)
        return err;
    member->topics = (struct group_names){0};
    err = broker_group_parts_names(budget, &member->topics, beat->topics, beat->topic_count);
    if (err) {
        member->topics = before;
        return err;
    }
    *out_changed = !broker_group_parts_names_equal(&before, &member->topics);
    broker_group_parts_names_free(budget, &before);
    return ERR_OK;
}

static enum err beat_answer(struct share_beat *beat, struct share_member *member, bool is_whole)
{
    beat->member_epoch_out = member->epoch;
    if (!member->is_changed && !is_whole)
        return ERR_OK;
    struct group_part *items =
        arena_alloc_array(&beat->arena, member->assigned.count, sizeof(*items));
    if (!items)
        return ERR_NO_MEMORY;
    if (member->assigned.count > 0)
        memcpy(items, member->assigned.items, member->assigned.count * sizeof(*items));
    beat->assignment = (struct group_parts){.items = items, .count = member->assigned.count};
    beat->has_assignment = true;
    member->is_changed = false;
    return ERR_OK;
}

static enum err beat_member(struct share_group *group, struct share_beat *beat,
                            struct share_member **out)
{
    struct share_member *member = member_find(group, beat->member_id);
    *out = member;
    if (!member)
        return beat->member_epoch == 0 ? member_new(group, beat, out) : ERR_MEMBER_UNKNOWN;
    bool is_known = beat->member_epoch == 0 || beat->member_epoch == member->epoch ||
                    beat->member_epoch == member->previous_epoch;
    return is_known ? ERR_OK : ERR_EPOCH_FENCED;
}

static enum err beat_leave(struct share_group *group, struct share_beat *beat)
{
    struct share_member *member = member_find(group, beat->member_id);
    if (!member)
        return ERR_MEMBER_UNKNOWN;
    member_free(group, member);
    beat->member_epoch_out = EPOCH_LEAVE;
    enum err err = group_assign(group);
    group_due(group);
    return err;
}

static enum err beat_go(struct share_group *group, struct share_beat *beat)
{
    struct shares *shares = group->shares;
    const struct broker_settings *settings = broker_settings_now(shares->core);
    struct share_member *member;
    if (beat->member_epoch == EPOCH_LEAVE)
        return beat_leave(group, beat);
    size_t before = group->member_count;
    enum err err = beat_member(group, beat, &member);
    bool is_changed = group->member_count > before;
    bool is_new = is_changed;
    if (!err)
        err = member_update(group, member, beat, &is_changed);
    is_changed =
        is_changed || is_new || group->topics_seen != broker_core(shares->core)->topics_generation;
    if (!err && is_changed)
        err = group_assign(group);
    if (err) {
        if (is_new)
            member_free(group, member);
        return err;
    }
    member->deadline_ms =
        broker_share_coordinator_now_ms(shares) + settings->group_share_session_timeout_ms;
    group_due(group);
    beat->heartbeat_ms = settings->group_share_heartbeat_interval_ms;
    if (member->epoch != group->epoch) {
        member->previous_epoch = member->epoch;
        member->epoch = group->epoch;
    }
    return beat_answer(beat, member, beat->member_epoch == 0 || beat->has_topics);
}

static void beat_serve(struct core *core, struct broker_call *call)
{
    struct share_beat *beat = CONTAINER_OF(call, struct share_beat, call);
    struct group_partition *partition;
    if (!broker_share_coordinator_enter(core, call) ||
        broker_group_coordinator_enter(core, call, beat->group_id, false, &partition) == GROUP_WAIT)
        return;
    struct shares *shares = broker_of(core)->shares;
    struct share_group *group =
        broker_share_coordinator_group(shares, beat->group_id, beat->member_epoch == 0);
    enum err err = ERR_OK;
    if (partition && broker_group_entry_find(partition->groups, beat->group_id))
        err = ERR_PROTOCOL;
    else if (!group)
        err = beat->member_epoch == 0 ? ERR_NO_MEMORY : ERR_MEMBER_UNKNOWN;
    else
        err = beat_go(group, beat);
    if (group)
        broker_share_coordinator_tidy(group);
    broker_call_finish(core, call, err);
}

static const char *beat_fault(const struct share_beat *beat)
{
    const struct slice names[] = {beat->member_id, beat->rack_id, beat->client_id,
                                  beat->client_host};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].size > SHARE_NAME_SIZE_MAX)
            return "a name is too long";
    if (beat->member_id.size == 0)
        return "MemberId can't be empty.";
    if (beat->member_epoch < EPOCH_LEAVE)
        return "MemberEpoch is invalid.";
    if (beat->member_epoch == 0 && (!beat->has_topics || beat->topic_count == 0))
        return "SubscribedTopicNames must be set in first request.";
    return NULL;
}

void broker_share_beat(struct core *core, struct share_beat *beat)
{
    const char *fault = beat_fault(beat);
    if (fault) {
        diag_set(&beat->call.diag, "%s", fault);
        broker_call_fail(core, &beat->call, ERR_INVALID);
    } else if (beat->group_id.size == 0 || beat->group_id.size > SHARE_NAME_SIZE_MAX) {
        broker_call_fail(core, &beat->call, ERR_GROUP_ID);
    } else {
        broker_call_to_owner(core, &beat->call, beat_serve);
    }
}

/* --- describe --- */

static struct slice keep(struct arena *arena, struct slice bytes, enum err *err)
{
    if (!bytes.data)
        return SLICE_NULL;
    struct slice copy = arena_copy(arena, bytes);
    if (!copy.data)
        *err = ERR_NO_MEMORY;
    return copy;
}

static enum err describe_member(struct arena *arena, const struct share_member *member,
                                struct share_member_view *out)
{
    enum err err = ERR_OK;
    out->member_id = keep(arena, member->id, &err);
    out->rack_id = keep(arena, member->rack_id, &err);
    out->client_id = keep(arena, member->client_id, &err);
    out->client_host = keep(arena, member->client_host, &err);
    out->epoch = member->epoch;
    out->topic_count = member->topics.count;
    out->topics = arena_alloc_array(arena, member->topics.count, sizeof(*out->topics));
    out->assignment.count = member->assigned.count;
    out->assignment.items =
        arena_alloc_array(arena, member->assigned.count, sizeof(*out->assignment.items));
    if (!out->topics || !out->assignment.items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < member->topics.count; i++)
        out->topics[i] = keep(arena, member->topics.items[i], &err);
    for (size_t i = 0; i < member->assigned.count; i++)
        out->assignment.items[i] = member->assigned.items[i];
    return err;
}

static void describe_serve(struct core *core, struct broker_call *call)
{
    struct share_describe *out = CONTAINER_OF(call, struct share_describe, call);
    if (!broker_share_coordinator_enter(core, call))
        return;
    struct share_group *group =
        broker_share_coordinator_group(broker_of(core)->shares, out->group_id, false);
    enum err err = group ? ERR_OK : ERR_NOT_FOUND;
    if (group) {
        out->state = group->member_count > 0 ? "Stable" : "Empty";
        out->epoch = group->epoch;
        out->members = arena_alloc_array(&out->arena, group->member_count, sizeof(*out->members));
        err = out->members ? ERR_OK : ERR_NO_MEMORY;
        list_for_each (node, &group->members) {
            if (!err)
                err = describe_member(&out->arena, LIST_ENTRY(node, struct share_member, node),
                                      &out->members[out->member_count++]);
        }
    }
    broker_call_finish(core, call, err);
}

void broker_share_describe(struct core *core, struct share_describe *describe)
{
    describe->member_count = 0;
    broker_call_to_owner(core, &describe->call, describe_serve);
}

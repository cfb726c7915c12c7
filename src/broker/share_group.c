// Members of share groups: heartbeats, descriptions. KIP-932.
// SPDX-License-Identifier: Apache-2.0
//
// A share group lies beside the others in __consumer_offsets: group_share.h is the state machine,
// answers wait for its records as told in group_turn.c.
#include "broker/group_coordinator.h"
#include "broker/share_state.h"

/* As Kafka: an id is a UUID, as text. */
#define MEMBER_ID_SIZE_MAX 36

/* --- heartbeats --- */

static enum err beat_go(struct core *core, struct group_entry *entry, struct share_beat *beat)
{
    if (!broker_group_turn_is_ready(entry))
        return ERR_LOADING;
    bool is_begun = false;
    if (!entry->share && beat->member_epoch == 0 && broker_group_entry_is_blank(entry)) {
        if (!broker_group_entry_share_new(entry))
            return ERR_NO_MEMORY;
        is_begun = true;
    }
    if (!entry->share) {
        broker_share_coordinator_tell(&beat->call, "Group", beat->group_id, "is not a share group");
        return ERR_NOT_FOUND;
    }
    struct broker_group_settings settings;
    broker_group_settings_get(core, beat->group_id, &settings);
    const struct group_share_terms terms = {.session_ms = settings.share_session_timeout_ms,
                                            .heartbeat_ms = settings.share_heartbeat_interval_ms,
                                            .size_max =
                                                broker_settings_now(core)->group_share_max_size};
    enum err err = broker_group_share_beat(entry->share, beat, &terms);
    if (!err && entry->share->is_broken)
        err = ERR_NO_MEMORY;
    if (err && is_begun) /* what was begun for this member alone is not to be */
        broker_group_turn_void(entry, ERR_BUSY);
    return err;
}

static void beat_serve(struct core *core, struct broker_call *call)
{
    struct share_beat *beat = CONTAINER_OF(call, struct share_beat, call);
    struct group_partition *partition;
    bool joins = beat->member_epoch == 0;
    if (broker_group_coordinator_enter(core, call, beat->group_id, joins, &partition) == GROUP_WAIT)
        return;
    if (joins && broker_share_admin_is_erasing(core, beat->group_id)) {
        broker_call_finish(core, call, ERR_LOADING);
        return;
    }
    struct group_entry *entry = broker_share_coordinator_entry(core, beat->group_id);
    if (!entry && !joins) {
        broker_share_coordinator_tell(call, beat->member_epoch > 0 ? "Share group" : "Group",
                                      beat->group_id, "not found");
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    if (!entry)
        entry = broker_group_entry_new(partition, beat->group_id);
    if (!entry) {
        broker_call_finish(core, call, ERR_NO_MEMORY);
        return;
    }
    enum err err = beat_go(core, entry, beat);
    broker_group_turn_answer(entry, call, err);
    broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

static const char *beat_fault(const struct share_beat *beat)
{
    const struct slice names[] = {beat->member_id, beat->rack_id, beat->client_id,
                                  beat->client_host};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].size > SHARE_NAME_SIZE_MAX)
            return "a name is too long";
    if (beat->member_id.size == 0 || beat->member_id.size > MEMBER_ID_SIZE_MAX)
        return "Invalid member id in the request.";
    if (beat->group_id.size == 0)
        return "GroupId can't be empty.";
    if (beat->rack_id.data && beat->rack_id.size == 0)
        return "RackId can't be empty.";
    if (beat->member_epoch < SHARE_EPOCH_LEAVE)
        return "MemberEpoch is invalid.";
    if (beat->member_epoch == 0 && (!beat->has_topics || beat->topic_count == 0))
        return "SubscribedTopicNames must be set in first request.";
    return NULL;
}

void broker_share_beat(struct core *core, struct share_beat *beat)
{
    const char *fault = beat_fault(beat);
    if (!fault) {
        broker_call_to_owner(core, &beat->call, beat_serve);
        return;
    }
    diag_set(&beat->call.diag, "%s", fault);
    broker_call_fail(core, &beat->call, ERR_INVALID);
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

static enum err describe_member(struct arena *arena, const struct group_share_member *member,
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

static enum err describe_fill(struct share_describe *out, const struct group_share *group)
{
    out->state = group->members.count > 0 ? "Stable" : "Empty";
    out->epoch = group->epoch;
    out->assignment_epoch = group->assignment_epoch;
    out->member_count = 0;
    out->members = arena_alloc_array(&out->arena, group->members.count, sizeof(*out->members));
    enum err err = out->members ? ERR_OK : ERR_NO_MEMORY;
    list_for_each (node, &group->order)
        if (!err)
            err = describe_member(&out->arena, LIST_ENTRY(node, struct group_share_member, node),
                                  &out->members[out->member_count++]);
    return err;
}

static void describe_serve(struct core *core, struct broker_call *call)
{
    struct share_describe *out = CONTAINER_OF(call, struct share_describe, call);
    struct group_partition *partition;
    if (out->group_id.size == 0) {
        broker_call_finish(core, call, ERR_GROUP_ID);
        return;
    }
    if (broker_group_coordinator_enter(core, call, out->group_id, false, &partition) == GROUP_WAIT)
        return;
    struct group_entry *entry = broker_share_coordinator_entry(core, out->group_id);
    if (!entry) {
        broker_share_coordinator_tell(call, "Group", out->group_id, "not found");
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    enum err err = broker_group_turn_is_ready(entry) ? ERR_OK : ERR_LOADING;
    if (!err && !entry->share) {
        broker_share_coordinator_tell(call, "Group", out->group_id, "is not a share group");
        err = ERR_NOT_FOUND;
    }
    if (!err)
        err = describe_fill(out, entry->share);
    broker_group_turn_answer(entry, call, err); /* of what is durable only */
}

void broker_share_describe(struct core *core, struct share_describe *describe)
{
    describe->member_count = 0;
    broker_call_to_owner(core, &describe->call, describe_serve);
}

// What administrators ask of groups: describe, list, delete, forget offsets.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_coordinator.h"
#include "broker/share_state.h"

static enum group_way enter(struct core *core, struct broker_call *call, struct slice id,
                            struct group_entry **out_entry)
{
    struct group_partition *partition;
    enum group_way way = broker_group_coordinator_enter(core, call, id, false, &partition);
    *out_entry = NULL;
    if (way == GROUP_WAIT)
        return way;
    if (partition)
        *out_entry = broker_group_entry_find(partition->groups, id);
    if (*out_entry)
        return GROUP_GO;
    broker_call_finish(core, call, ERR_NOT_FOUND);
    return GROUP_WAIT;
}

/* A copy in the arena; null stays null. */
static struct slice keep(struct arena *arena, struct slice bytes, enum err *err)
{
    if (!bytes.data)
        return SLICE_NULL;
    struct slice copy = arena_copy(arena, bytes);
    if (!copy.data)
        *err = ERR_NO_MEMORY;
    return copy;
}

/* --- describe --- */

static enum err describe_members(struct group_describe *out, const struct group *group)
{
    enum err err = ERR_OK;
    out->members = arena_alloc_array(&out->arena, group->members.count, sizeof(*out->members));
    if (!out->members)
        return ERR_NO_MEMORY;
    list_for_each (node, &group->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        struct group_member_description *to = &out->members[out->member_count++];
        to->member_id = keep(&out->arena, member->id, &err);
        to->instance_id = keep(&out->arena, member->instance_id, &err);
        to->client_id = keep(&out->arena, member->client_id, &err);
        to->client_host = keep(&out->arena, member->client_host, &err);
        to->assignment = keep(&out->arena, member->assignment, &err);
        if (group->state == GROUP_STABLE)
            to->metadata =
                keep(&out->arena, broker_group_member_metadata(member, group->protocol_name), &err);
    }
    return err;
}

static void describe_serve(struct core *core, struct broker_call *call)
{
    struct group_describe *out = CONTAINER_OF(call, struct group_describe, call);
    struct group_entry *entry;
    if (enter(core, call, out->group_id, &entry) == GROUP_WAIT)
        return;
    if (entry->consumer || entry->share) {
        diag_set(&call->diag, "Group %.*s is not a classic group.",
                 (int)MIN(out->group_id.size, (size_t)200), (const char *)out->group_id.data);
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    const struct group *group = &entry->group;
    enum err err = ERR_OK;
    out->member_count = 0;
    out->state = broker_group_state_name(group->state);
    out->protocol_type = keep(&out->arena, group->protocol_type, &err);
    out->protocol_name = SLICE_NULL;
    if (group->state == GROUP_STABLE)
        out->protocol_name = keep(&out->arena, group->protocol_name, &err);
    if (!err)
        err = describe_members(out, group);
    broker_call_finish(core, call, err);
}

void broker_group_describe(struct core *core, struct group_describe *describe)
{
    broker_call_to_owner(core, &describe->call, describe_serve);
}

/* --- list --- */

static enum err list_fill(struct group_list *list, const struct groups *groups)
{
    enum err err = ERR_OK;
    list->count = 0;
    list->groups = arena_alloc_array(&list->arena, groups->by_id.count, sizeof(*list->groups));
    if (!list->groups)
        return ERR_NO_MEMORY;
    size_t position = 0;
    const struct group_entry *entry;
    while ((entry = map_next(&groups->by_id, &position)) != NULL && !err) {
        struct group_listed *out = &list->groups[list->count++];
        out->group_id = keep(&list->arena, entry->group.id, &err);
        out->protocol_type = keep(&list->arena, entry->group.protocol_type, &err);
        out->state = broker_group_state_name(entry->group.state);
        if (entry->consumer) {
            out->is_consumer = true;
            out->protocol_type = SLICE_LITERAL("consumer");
            out->state = broker_group_consumer_state(entry->consumer);
        } else if (entry->share) {
            out->is_share = true;
            out->protocol_type = SLICE_LITERAL("share");
            out->state = entry->share->members.count > 0 ? "Stable" : "Empty";
        }
    }
    return err;
}

/* Waits at one partition after the other until all are loaded. */
static void list_serve(struct core *core, struct broker_call *call)
{
    struct group_list *list = CONTAINER_OF(call, struct group_list, call);
    struct groups *groups = broker_group_coordinator(core);
    if (!groups) {
        broker_call_finish(core, call, ERR_NO_MEMORY);
        return;
    }
    struct group_partition *partition;
    if (!groups->topic &&
        broker_group_coordinator_enter(core, call, slice_text(""), false, &partition) == GROUP_WAIT)
        return;
    for (uint32_t i = 0; i < groups->partition_count; i++)
        if (broker_group_coordinator_wait(&groups->partitions[i], call) == GROUP_WAIT)
            return;
    broker_call_finish(core, call, list_fill(list, groups));
}

void broker_group_list(struct core *core, struct group_list *list)
{
    broker_call_to_owner(core, &list->call, list_serve);
}

/* --- delete, forget --- */

static void written(void *arg, enum err err)
{
    struct broker_call *call = arg;
    struct core *core = call->origin;
    broker_call_finish(reactor_core(core_reactor(core), 0), call, err);
}

static enum err delete_offsets(struct group_append *write, const struct group_entry *entry)
{
    enum err err = ERR_OK;
    list_for_each (node, &entry->slots) {
        const struct group_slot *slot = LIST_ENTRY(node, struct group_slot, node);
        if (!err && (slot->value || slot->pending > 0))
            err = broker_group_write_offset(write, broker_group_slot_topic(slot),
                                            broker_group_slot_partition(slot), NULL);
    }
    return err;
}

static enum err delete_write(struct group_append *write, const struct group_entry *entry)
{
    enum err err = delete_offsets(write, entry);
    return err ? err : broker_group_write_tombstone(write);
}

/* Of the newer protocol: all goes in one batch with what runs ahead. */
static void delete_consumer(struct core *core, struct broker_call *call, struct group_entry *entry)
{
    enum err err = entry->consumer->members.count == 0 ? ERR_OK : ERR_NOT_EMPTY;
    struct group_append *write = err ? NULL : broker_group_turn_write(entry);
    if (!err)
        err = write ? delete_offsets(write, entry) : ERR_NO_MEMORY;
    if (!err)
        err = broker_group_beat_delete(entry);
    broker_group_turn_answer(entry, call, err);
    if (err && err != ERR_NOT_EMPTY)
        broker_group_turn_void(entry, err);
    else
        broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

static void delete_serve(struct core *core, struct broker_call *call)
{
    struct group_delete *request = CONTAINER_OF(call, struct group_delete, call);
    struct group_entry *entry;
    if (enter(core, call, request->group_id, &entry) == GROUP_WAIT)
        return;
    if (entry->consumer || entry->share) {
        if (entry->consumer)
            delete_consumer(core, call, entry);
        else
            broker_share_admin_delete(core, request);
        return;
    }
    enum err err = entry->group.state == GROUP_EMPTY ? ERR_OK : ERR_NOT_EMPTY;
    struct group_append *write = err ? NULL : broker_group_write_new(entry);
    if (!err)
        err = write ? delete_write(write, entry) : ERR_NO_MEMORY;
    if (!err) {
        broker_group_classic_unpend(&entry->group);
        broker_group_write_send(write, written, call);
        return;
    }
    if (write)
        broker_group_write_drop(write);
    broker_call_finish(core, call, err);
}

void broker_group_delete(struct core *core, struct group_delete *call)
{
    broker_call_to_owner(core, &call->call, delete_serve);
}

static enum err forget_write(struct group_append *write, struct group_forget *forget,
                             const struct group_entry *entry)
{
    enum err err = ERR_OK;
    struct map topics;
    map_init(&topics, core_random(entry->partition->groups->core));
    for (size_t i = 0; i < forget->offset_count && !err; i++) {
        struct group_offset *offset = &forget->offsets[i];
        const struct group_slot *slot =
            broker_group_slot_find(entry, offset->topic, offset->partition);
        offset->err = ERR_OK;
        if (broker_group_entry_is_subscribed_once(entry, &topics, offset->topic))
            offset->err = ERR_NOT_EMPTY;
        else if (slot)
            err = broker_group_write_offset(write, offset->topic, offset->partition, NULL);
    }
    map_deinit(&topics);
    return err;
}

static void forget_serve(struct core *core, struct broker_call *call)
{
    struct group_forget *forget = CONTAINER_OF(call, struct group_forget, call);
    struct group_entry *entry;
    if (forget->group_id.size == 0) {
        broker_call_finish(core, call, ERR_GROUP_ID);
        return;
    }
    if (enter(core, call, forget->group_id, &entry) == GROUP_WAIT)
        return;
    if (entry->share) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    bool busy = entry->group.state != GROUP_EMPTY &&
                !slice_equal_text(entry->group.protocol_type, "consumer");
    enum err err = busy ? ERR_NOT_EMPTY : ERR_OK;
    struct group_append *write = err ? NULL : broker_group_write_new(entry);
    if (!err)
        err = write ? forget_write(write, forget, entry) : ERR_NO_MEMORY;
    if (!err && !broker_group_write_is_empty(write)) {
        broker_group_write_send(write, written, call);
        return;
    }
    if (write)
        broker_group_write_drop(write);
    broker_call_finish(core, call, err);
}

void broker_group_forget(struct core *core, struct group_forget *call)
{
    broker_call_to_owner(core, &call->call, forget_serve);
}

// Where share groups are: told, set, forgotten; and what goes when a group is deleted.
// SPDX-License-Identifier: Apache-2.0
//
// What is forgotten goes from __share_group_state first, then from the group's own records: a stop
// between leaves partitions that the group knows without a state, which begin anew.
#include <stdlib.h>

#include "broker/group.h"
#include "broker/share_state.h"

/* --- whose turn it is --- */

/* Both states are there. False: the call waits, or is answered. */
static bool enter(struct core *core, struct broker_call *call, struct slice group_id, bool create,
                  struct group_partition **out)
{
    if (group_id.size == 0) {
        broker_call_finish(core, call, ERR_GROUP_ID);
        return false;
    }
    return broker_share_coordinator_enter(core, call) &&
           broker_group_coordinator_enter(core, call, group_id, create, out) == GROUP_GO;
}

/* The share group of that name, without members; *out NULL with ERR_OK: there is none of any kind.
 */
static enum err group_look(struct core *core, struct broker_call *call, struct slice group_id,
                           struct group_entry **out)
{
    struct group_entry *entry = broker_share_coordinator_entry(core, group_id);
    *out = NULL;
    if (!entry || broker_group_entry_is_blank(entry))
        return ERR_OK;
    if (!broker_group_turn_is_ready(entry))
        return ERR_LOADING;
    if (!entry->share) {
        broker_share_coordinator_tell(call, "Group", group_id, "is not a share group");
        return ERR_NOT_FOUND;
    }
    *out = entry;
    return entry->share->members.count > 0 ? ERR_NOT_EMPTY : ERR_OK;
}

/* --- starts: described --- */

static void start_finish(struct share_start_call *call, struct core *core)
{
    if (--call->pending == 0)
        broker_call_finish(core, &call->call, call->failed);
}

static void start_end_found(struct broker_call *find_call)
{
    struct share_start *part = CONTAINER_OF(find_call, struct share_start, find.call);
    struct share_start_call *call = part->call;
    struct core *core = find_call->origin;
    part->err = find_call->err;
    const struct share_group *group =
        broker_share_coordinator_group(broker_of(core)->shares, call->group_id, false);
    const struct share_cursor *cursor =
        group ? broker_share_cursor_find(group, &part->topic_id, part->index) : NULL;
    if (part->err == ERR_OK && cursor && cursor->is_ready) {
        int64_t over = broker_cursor_over(&cursor->cursor);
        part->start = cursor->cursor.start;
        part->lag = MAX(part->find.offset - part->start - over, (int64_t)0);
    }
    start_finish(call, core);
}

static void start_describe(struct core *core, struct share_start_call *call,
                           struct share_start *part)
{
    const struct share_group *group =
        broker_share_coordinator_group(broker_of(core)->shares, call->group_id, false);
    const struct broker_topic *topic = broker_topic_find_id(core, &part->topic_id);
    const struct share_cursor *cursor =
        group ? broker_share_cursor_find(group, &part->topic_id, part->index) : NULL;
    part->call = call;
    part->start = part->lag = -1;
    part->err = ERR_OK;
    if (!topic || !broker_partition_at(topic, part->index) || !cursor || !cursor->is_ready)
        return;
    call->pending++;
    part->start = cursor->cursor.start;
    part->find = (struct broker_offset_find){
        .call.done = start_end_found, .kind = BROKER_OFFSET_LATEST, .epoch = BROKER_EPOCH_ANY};
    broker_offset_find(core, broker_partition_at(topic, part->index), &part->find);
}

static enum err starts_all(struct share_start_call *call, const struct group_entry *entry)
{
    const struct group_parts *parts = &entry->share->parts;
    call->parts = arena_alloc_array(&call->arena, parts->count, sizeof(*call->parts));
    if (!call->parts)
        return ERR_NO_MEMORY;
    call->part_count = parts->count;
    for (size_t i = 0; i < parts->count; i++)
        call->parts[i] =
            (struct share_start){.topic_id = parts->items[i].topic, .index = parts->items[i].index};
    return ERR_OK;
}

static void starts_serve(struct core *core, struct broker_call *broker_call)
{
    struct share_start_call *call = CONTAINER_OF(broker_call, struct share_start_call, call);
    struct group_partition *partition;
    if (!enter(core, broker_call, call->group_id, false, &partition))
        return;
    const struct group_entry *entry = broker_share_coordinator_entry(core, call->group_id);
    call->failed = ERR_OK;
    if (call->is_all)
        call->part_count = 0;
    if (call->is_all && entry && entry->share)
        call->failed = starts_all(call, entry);
    call->pending = 1;
    for (size_t i = 0; i < call->part_count && !call->failed; i++)
        start_describe(core, call, &call->parts[i]);
    start_finish(call, core);
}

void broker_share_starts(struct core *core, struct share_start_call *describe)
{
    broker_call_to_owner(core, &describe->call, starts_serve);
}

/* --- what is changed: first the state of partitions, then the group's records --- */

struct share_change {
    struct list node; /* in shares.erasing, or alone */
    struct core *core;
    struct broker_call *call;
    struct slice group_id; /* of the call */
    struct group_partition *partition;
    void (*then)(struct share_change *change);
    enum err err;
    size_t pending;
    struct share_topics topics; /* forgotten; own block */
    size_t size;                /* charged */
    size_t wait_count;
    struct share_wait waits[];
};

static struct share_change *change_new(struct core *core, struct broker_call *call,
                                       struct slice group_id, size_t parts)
{
    struct budget *budget = broker_of(core)->shares->budget;
    size_t size = sizeof(struct share_change) + parts * sizeof(struct share_wait);
    bool is_charged = budget_charge(budget, size);
    struct share_change *change = is_charged ? calloc(1, size) : NULL;
    if (!change) {
        if (is_charged)
            budget_release(budget, size);
        broker_call_finish(core, call, ERR_NO_MEMORY);
        return NULL;
    }
    list_init(&change->node);
    change->size = size;
    change->core = core;
    change->call = call;
    change->group_id = group_id;
    change->pending = 1;
    return change;
}

static void change_step(struct share_change *change, enum err err)
{
    if (err)
        change->err = err;
    if (--change->pending > 0)
        return;
    list_remove(&change->node);
    if (change->err)
        broker_call_finish(change->core, change->call, change->err);
    else
        change->then(change);
    budget_release(broker_of(change->core)->shares->budget, change->size);
    free(change->topics.ids);
    free(change);
}

bool broker_share_admin_is_erasing(struct core *core, struct slice group_id)
{
    const struct shares *shares = broker_of(core)->shares;
    if (!shares)
        return false;
    list_for_each (node, &shares->erasing)
        if (slice_equal(LIST_ENTRY(node, struct share_change, node)->group_id, group_id))
            return true;
    return false;
}

static void change_written(struct share_wait *wait, enum err err)
{
    change_step(wait->arg, err);
}

/* The cursor begins at start, or (negative) is as if it had never been used. */
static void change_reset(struct share_change *change, struct share_cursor *cursor, int64_t start)
{
    struct share_wait *wait = &change->waits[change->wait_count++];
    *wait = (struct share_wait){.done = change_written, .arg = change};
    change->pending++;
    broker_share_cursor_reset(cursor, start);
    broker_share_cursor_write(cursor, wait);
    broker_share_cursor_wake(cursor);
}

/* The answer leaves when the records of the group are durable. */
static void change_answer(struct share_change *change, struct group_entry *entry, enum err err)
{
    if (!err && entry->share && entry->share->is_broken)
        err = ERR_NO_MEMORY;
    if (err && entry->share)
        entry->share->is_broken = true;
    broker_group_turn_answer(entry, change->call, err);
    broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

/* --- starts: set --- */

/* The share group that is there, or made. */
static enum err group_take(struct share_change *change, struct group_entry **out)
{
    enum err err = group_look(change->core, change->call, change->group_id, out);
    if (err || *out)
        return err == ERR_NOT_EMPTY ? ERR_OK : err; /* they may come while it is set */
    struct group_partition *partition = change->partition;
    struct group_entry *entry = broker_share_coordinator_entry(change->core, change->group_id);
    if (!entry)
        entry = broker_group_entry_new(partition, change->group_id);
    if (!entry || !broker_group_entry_share_new(entry))
        return ERR_NO_MEMORY;
    broker_group_share_record_epoch(entry->share);
    *out = entry;
    return ERR_OK;
}

static void starts_then(struct share_change *change)
{
    const struct share_start_call *call = CONTAINER_OF(change->call, struct share_start_call, call);
    struct group_entry *entry = NULL;
    struct group_part *parts = reallocarray(NULL, call->part_count + 1, sizeof(*parts));
    size_t count = 0;
    enum err err = parts ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; i < call->part_count && !err; i++)
        if (!call->parts[i].err)
            parts[count++] = (struct group_part){.topic = call->parts[i].topic_id,
                                                 .index = call->parts[i].index};
    if (!err && count > 0)
        err = group_take(change, &entry);
    if (!err && entry)
        change_answer(change, entry, broker_group_share_begin(entry->share, parts, count));
    else
        broker_call_finish(change->core, change->call, err);
    free(parts);
}

/* The group's state is made with the first partition that there is. */
static void start_set(struct share_change *change, struct share_start *part)
{
    struct shares *shares = broker_of(change->core)->shares;
    const struct broker_topic *topic = broker_topic_find_id(change->core, &part->topic_id);
    part->err = topic && broker_partition_at(topic, part->index) ? ERR_OK : ERR_NOT_FOUND;
    if (part->err)
        return;
    struct share_group *group = broker_share_coordinator_group(shares, change->group_id, true);
    struct share_cursor *cursor =
        group ? broker_share_cursor_get(group, &part->topic_id, part->index) : NULL;
    if (cursor)
        change_reset(change, cursor, part->start);
    else
        change->err = ERR_NO_MEMORY;
    if (group && !cursor)
        broker_share_coordinator_tidy(group);
}

static void starts_set_serve(struct core *core, struct broker_call *broker_call)
{
    struct share_start_call *call = CONTAINER_OF(broker_call, struct share_start_call, call);
    struct group_partition *partition;
    struct group_entry *entry;
    if (!enter(core, broker_call, call->group_id, true, &partition))
        return;
    enum err err = group_look(core, broker_call, call->group_id, &entry);
    if (err) {
        broker_call_finish(core, broker_call, err);
        return;
    }
    struct share_change *change = change_new(core, broker_call, call->group_id, call->part_count);
    if (!change)
        return;
    change->then = starts_then;
    change->partition = partition;
    for (size_t i = 0; i < call->part_count; i++)
        start_set(change, &call->parts[i]);
    change_step(change, ERR_OK);
}

void broker_share_starts_set(struct core *core, struct share_start_call *alter)
{
    broker_call_to_owner(core, &alter->call, starts_set_serve);
}

/* --- forgotten --- */

static void forget_then(struct share_change *change)
{
    struct group_entry *entry;
    enum err err = group_look(change->core, change->call, change->group_id, &entry);
    if (!err && entry)
        change_answer(change, entry, broker_group_share_forget(entry->share, &change->topics));
    else
        broker_call_finish(change->core, change->call, err);
}

/* The cursors whose state goes: of the change's topics, or all. */
static void erase(struct share_change *change, struct share_group *group)
{
    list_push_back(&broker_of(change->core)->shares->erasing, &change->node);
    if (!group)
        return;
    list_for_each (node, &group->cursors) {
        struct share_cursor *cursor = LIST_ENTRY(node, struct share_cursor, node);
        bool is_begun = cursor->is_ready || cursor->is_starting || cursor->is_writing ||
                        cursor->durable.size > 0;
        bool is_meant = !change->topics.ids ||
                        broker_group_share_topics_have(&change->topics, &cursor->part.topic);
        if (is_begun && is_meant)
            change_reset(change, cursor, -1);
    }
}

static size_t cursor_count(const struct share_group *group)
{
    return group ? group->parts.count : 0;
}

static void forget_serve(struct core *core, struct broker_call *broker_call)
{
    struct share_forget *forget = CONTAINER_OF(broker_call, struct share_forget, call);
    struct group_partition *partition;
    struct group_entry *entry;
    if (!enter(core, broker_call, forget->group_id, false, &partition))
        return;
    enum err err = group_look(core, broker_call, forget->group_id, &entry);
    if (!err && !entry) {
        broker_share_coordinator_tell(broker_call, "Group", forget->group_id, "not found");
        err = ERR_NOT_FOUND;
    }
    if (err) {
        broker_call_finish(core, broker_call, err);
        return;
    }
    struct uuid *ids = reallocarray(NULL, forget->topic_count + 1, sizeof(*ids));
    if (!ids) {
        broker_call_finish(core, broker_call, ERR_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < forget->topic_count; i++) {
        ids[i] = forget->topics[i].id;
        forget->topics[i].was_there = broker_group_share_has_topic(entry->share, &ids[i]);
    }
    struct share_group *group =
        broker_share_coordinator_group(broker_of(core)->shares, forget->group_id, false);
    struct share_change *change =
        change_new(core, broker_call, forget->group_id, cursor_count(group));
    if (!change) {
        free(ids);
        return;
    }
    change->then = forget_then;
    change->topics = (struct share_topics){ids, forget->topic_count};
    broker_group_share_topics_sort(&change->topics);
    erase(change, group);
    change_step(change, ERR_OK);
}

void broker_share_forget(struct core *core, struct share_forget *forget)
{
    broker_call_to_owner(core, &forget->call, forget_serve);
}

/* --- deleted --- */

static void delete_then(struct share_change *change)
{
    struct group_entry *entry;
    enum err err = group_look(change->core, change->call, change->group_id, &entry);
    if (!err && !entry)
        err = ERR_NOT_FOUND;
    if (err) {
        broker_call_finish(change->core, change->call, err);
        return;
    }
    broker_group_share_record_none(entry->share);
    if (!entry->share->is_broken)
        broker_group_entry_share_free(entry);
    change_answer(change, entry, ERR_OK);
}

void broker_share_admin_delete(struct core *core, struct group_delete *call)
{
    struct group_entry *entry;
    if (!broker_share_coordinator_enter(core, &call->call))
        return;
    enum err err = group_look(core, &call->call, call->group_id, &entry);
    if (err) {
        broker_call_finish(core, &call->call, err);
        return;
    }
    struct share_group *group =
        broker_share_coordinator_group(broker_of(core)->shares, call->group_id, false);
    struct share_change *change =
        change_new(core, &call->call, call->group_id, cursor_count(group));
    if (!change)
        return;
    change->then = delete_then;
    erase(change, group);
    change_step(change, ERR_OK);
}

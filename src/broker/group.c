// The face of groups: each call goes to core 0, waits there for its group's state, and is served.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_coordinator.h"
#include "broker/transaction_coordinator.h"

/* A commit of more offsets has a batch of its own. */
#define COMMIT_GATHER_MAX 64

void broker_group_result_release(void *private)
{
    broker_group_member_result_free(private);
}

/* Loaded and the group there? GROUP_GO with *out_entry NULL: there is no such group. */
static enum group_way enter_group(struct core *core, struct broker_call *call, struct slice id,
                                  struct group_entry **out_entry)
{
    struct group_partition *partition;
    *out_entry = NULL;
    enum group_way way = broker_group_coordinator_enter(core, call, id, false, &partition);
    if (way == GROUP_GO && partition)
        *out_entry = broker_group_entry_find(partition->groups, id);
    return way;
}

/* There is no state of the group for the moment; the call is answered. */
static bool refuse_void(struct core *core, struct broker_call *call, struct group_entry *entry)
{
    if (!entry || broker_group_turn_is_ready(entry))
        return false;
    broker_call_finish(core, call, ERR_LOADING);
    return true;
}

static bool refuse_no_id(struct core *core, struct broker_call *call, struct slice id)
{
    if (id.size > 0)
        return false;
    broker_call_finish(core, call, ERR_GROUP_ID);
    return true;
}

/* --- calls that can be called off: the memory is the caller's again when the answer and the
 * message that called it off are both back --- */

static void wait_done(struct group_wait *wait)
{
    if (wait->out)
        wait->held = true;
    else
        wait->done(wait->call);
}

static void join_returned(struct broker_call *call)
{
    wait_done(&CONTAINER_OF(call, struct group_join, call)->wait);
}

static void sync_returned(struct broker_call *call)
{
    wait_done(&CONTAINER_OF(call, struct group_sync, call)->wait);
}

static void wait_begin(struct group_wait *wait, struct broker_call *call, struct slice group_id)
{
    *wait = (struct group_wait){.call = call, .group_id = group_id, .done = call->done};
}

static void cancel_return(struct core *core, struct core_message *message)
{
    struct group_wait *wait = CONTAINER_OF(message, struct group_wait, message);
    wait->out = false;
    if (wait->held)
        wait->done(wait->call);
}

static void cancel_arrive(struct core *core, struct core_message *message)
{
    struct group_wait *wait = CONTAINER_OF(message, struct group_wait, message);
    wait->stop = true;
    struct groups *groups = broker_group_coordinator(core);
    struct group_entry *entry = groups ? broker_group_entry_find(groups, wait->group_id) : NULL;
    if (entry && broker_group_classic_cancel(&entry->group, wait->call))
        broker_group_entry_settle(entry);
    message->run = cancel_return;
    core_send(core, core_id(wait->call->origin), message);
}

static void wait_cancel(struct core *core, struct group_wait *wait)
{
    if (wait->cancelled)
        return;
    wait->cancelled = true;
    wait->out = true;
    wait->message.run = cancel_arrive;
    core_send(core, 0, &wait->message);
}

/* --- join --- */

static void join_fail(struct core *core, struct group_join *join, enum err err)
{
    join->generation = -1;
    join->member_id_out = join->member_id;
    join->leader_id = slice_text("");
    join->members = NULL;
    join->member_count = 0;
    broker_call_finish(core, &join->call, err);
}

static bool join_is_oversized(const struct group_join *join)
{
    return join->member_id.size > OFFSETS_STRING_SIZE_MAX ||
           join->instance_id.size > OFFSETS_STRING_SIZE_MAX ||
           join->client_id.size > OFFSETS_STRING_SIZE_MAX ||
           join->client_host.size > OFFSETS_STRING_SIZE_MAX ||
           join->protocol_type.size > OFFSETS_STRING_SIZE_MAX;
}

static void join_serve(struct core *core, struct broker_call *call)
{
    struct group_join *join = CONTAINER_OF(call, struct group_join, call);
    struct group_partition *partition;
    if (join->group_id.size == 0 || join_is_oversized(join)) {
        join_fail(core, join, join->group_id.size == 0 ? ERR_GROUP_ID : ERR_INVALID);
        return;
    }
    if (broker_group_coordinator_enter(core, call, join->group_id, true, &partition) == GROUP_WAIT)
        return;
    struct group_entry *entry = broker_group_entry_find(partition->groups, join->group_id);
    if (join->wait.stop || (!entry && join->member_id.size > 0)) {
        join_fail(core, join, join->wait.stop ? ERR_CLOSED : ERR_MEMBER_UNKNOWN);
        return;
    }
    if (!entry)
        entry = broker_group_entry_new(partition, join->group_id);
    if (!entry || !broker_group_turn_is_ready(entry)) {
        join_fail(core, join, entry ? ERR_LOADING : ERR_NO_MEMORY);
        return;
    }
    if (entry->share) {
        join_fail(core, join, ERR_PROTOCOL);
        return;
    }
    if (!broker_group_beat_join(entry, join))
        broker_group_classic_join(&entry->group, join);
    broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

void broker_group_join(struct core *core, struct group_join *join)
{
    join->private = NULL;
    join->generation = -1;
    join->member_count = 0;
    join->member_id_out = join->member_id;
    join->leader_id = slice_text("");
    join->protocol_name = SLICE_NULL;
    join->protocol_type_out = SLICE_NULL;
    join->skip_assignment = false;
    wait_begin(&join->wait, &join->call, join->group_id);
    join->call.done = join_returned;
    broker_call_to_owner(core, &join->call, join_serve);
}

void broker_group_join_cancel(struct core *core, struct group_join *join)
{
    wait_cancel(core, &join->wait);
}

/* --- sync --- */

static void sync_serve(struct core *core, struct broker_call *call)
{
    struct group_sync *sync = CONTAINER_OF(call, struct group_sync, call);
    struct group_entry *entry;
    if (refuse_no_id(core, call, sync->group_id) ||
        enter_group(core, call, sync->group_id, &entry) == GROUP_WAIT)
        return;
    if (!entry || sync->wait.stop) {
        broker_call_finish(core, call, entry ? ERR_CLOSED : ERR_MEMBER_UNKNOWN);
        return;
    }
    if (refuse_void(core, call, entry))
        return;
    if (entry->consumer)
        broker_group_turn_answer(entry, call,
                                 broker_group_consumer_classic_sync(entry->consumer, sync));
    else
        broker_group_classic_sync(&entry->group, sync);
    broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

void broker_group_sync(struct core *core, struct group_sync *sync)
{
    sync->private = NULL;
    sync->protocol_type_out = SLICE_NULL;
    sync->protocol_name_out = SLICE_NULL;
    sync->assignment = SLICE_NULL;
    wait_begin(&sync->wait, &sync->call, sync->group_id);
    sync->call.done = sync_returned;
    broker_call_to_owner(core, &sync->call, sync_serve);
}

void broker_group_sync_cancel(struct core *core, struct group_sync *sync)
{
    wait_cancel(core, &sync->wait);
}

/* --- heartbeat, leave --- */

static void heartbeat_serve(struct core *core, struct broker_call *call)
{
    struct group_heartbeat *heartbeat = CONTAINER_OF(call, struct group_heartbeat, call);
    struct group_entry *entry;
    if (refuse_no_id(core, call, heartbeat->group_id) ||
        enter_group(core, call, heartbeat->group_id, &entry) == GROUP_WAIT)
        return;
    if (refuse_void(core, call, entry))
        return;
    enum err err = ERR_MEMBER_UNKNOWN;
    if (entry && entry->consumer)
        err = broker_group_consumer_classic_heartbeat(entry->consumer, heartbeat);
    else if (entry)
        err = broker_group_classic_heartbeat(&entry->group, heartbeat);
    broker_call_finish(core, call, err);
    if (entry)
        broker_group_entry_settle(entry);
}

void broker_group_heartbeat(struct core *core, struct group_heartbeat *heartbeat)
{
    broker_call_to_owner(core, &heartbeat->call, heartbeat_serve);
}

static void leave_serve(struct core *core, struct broker_call *call)
{
    struct group_leave *leave = CONTAINER_OF(call, struct group_leave, call);
    struct group_entry *entry;
    if (refuse_no_id(core, call, leave->group_id) ||
        enter_group(core, call, leave->group_id, &entry) == GROUP_WAIT)
        return;
    if (refuse_void(core, call, entry))
        return;
    for (size_t i = 0; i < leave->leaver_count && !entry; i++)
        leave->leavers[i].err = ERR_MEMBER_UNKNOWN;
    if (!entry) {
        broker_call_finish(core, call, ERR_OK);
        return;
    }
    if (entry->consumer)
        broker_group_consumer_classic_leave(entry->consumer, leave->leavers, leave->leaver_count);
    else
        broker_group_classic_leave(&entry->group, leave->leavers, leave->leaver_count);
    /* who was the last hears so when the log knows: a restart would wait for its session */
    if (!entry->consumer && entry->group.state == GROUP_EMPTY && entry->group_writes > 0)
        list_push_back(&entry->leaving, &call->node);
    else
        broker_group_turn_answer(entry, call, ERR_OK);
    broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

void broker_group_leave(struct core *core, struct group_leave *leave)
{
    broker_call_to_owner(core, &leave->call, leave_serve);
}

/* --- commit --- */

static void commit_done(void *arg, enum err err)
{
    struct group_commit *commit = arg;
    for (size_t i = 0; i < commit->offset_count && err; i++)
        if (!commit->offsets[i].err)
            commit->offsets[i].err = err;
    broker_call_finish(commit->private, &commit->call, ERR_OK);
}

/* Whether the member has had the partition since the older epoch that it named. */
static enum err offset_check(const struct group_commit *commit, const struct group_entry *entry,
                             const struct group_offset *offset)
{
    const struct broker_topic *topic = broker_topic_find(commit->private, offset->topic);
    struct group_part part = {.index = offset->partition};
    if (topic)
        part.topic = topic->id;
    return broker_group_consumer_commit_check_part(entry->consumer, commit->member_id,
                                                   commit->generation, &part);
}

static void offset_write(struct group_append *write, const struct group_commit *commit,
                         struct group_offset *offset)
{
    struct groups *groups = broker_group_coordinator(commit->private);
    const struct broker_settings *settings = broker_settings_now(groups->core);
    int64_t now_ms = groups->env.wall_ms;
    struct offsets_value value = {
        .offset = offset->offset,
        .leader_epoch = offset->leader_epoch,
        .metadata = offset->metadata,
        .commit_ms = offset->commit_ms >= 0 ? offset->commit_ms : now_ms,
        .expire_ms =
            commit->retention_ms >= 0 ? now_ms + MIN(commit->retention_ms, INT64_MAX / 2) : -1,
        .topic_id = offset->topic_id};
    if (offset->metadata.size > (size_t)settings->offset_metadata_max_bytes)
        offset->err = ERR_TOO_LARGE;
    else
        offset->err = broker_group_write_offset(write, offset->topic, offset->partition, &value);
}

static void commit_write(struct core *core, struct group_commit *commit, struct group_entry *entry)
{
    bool is_alone = commit->transactional_id.data || commit->offset_count > COMMIT_GATHER_MAX;
    struct group_append *write =
        is_alone ? broker_group_write_new(entry) : broker_group_write_gather(entry);
    if (!write) {
        broker_call_finish(core, &commit->call, ERR_NO_MEMORY);
        return;
    }
    commit->private = core;
    if (commit->transactional_id.data)
        broker_group_write_transactional(write, commit->producer_id, commit->producer_epoch);
    for (size_t i = 0; i < commit->offset_count; i++) {
        struct group_offset *offset = &commit->offsets[i];
        if (commit->is_older)
            offset->err = offset_check(commit, entry, offset);
        if (!offset->err)
            offset_write(write, commit, offset);
    }
    if (!broker_group_write_is_empty(write)) {
        broker_group_write_send(write, commit_done, commit);
        return;
    }
    broker_group_write_drop(write);
    broker_call_finish(core, &commit->call, ERR_OK);
}

static enum err member_check(struct group_commit *commit, struct group_entry *entry)
{
    const struct group_consumer *consumer = entry->consumer;
    if (!broker_group_turn_is_ready(entry))
        return ERR_LOADING;
    if (!consumer)
        return broker_group_classic_commit_check(&entry->group, commit);
    const struct consumer_member *member =
        broker_group_consumer_member_find(consumer, commit->member_id);
    if (member && !member->is_classic && !commit->knows_epochs && !commit->transactional_id.data)
        return ERR_UNSUPPORTED;
    return broker_group_consumer_commit_check(consumer, commit->member_id, commit->generation,
                                              &commit->is_older);
}

/* Whether it may be written; in a transaction no member need be named, as before KIP-447, and a
 * rebalance under way fences nobody. */
static enum err commit_check(struct core *core, struct group_commit *commit,
                             struct group_entry *entry)
{
    if (entry->share)
        return ERR_NOT_FOUND;
    if (!commit->transactional_id.data)
        return member_check(commit, entry);
    bool is_named =
        commit->generation >= 0 || commit->member_id.size > 0 || commit->instance_id.data;
    enum err err = is_named ? member_check(commit, entry) : ERR_OK;
    if (err == ERR_EPOCH_STALE)
        err = ERR_GENERATION; /* the word that producers know */
    if (err && err != ERR_REBALANCE)
        return err;
    return broker_transaction_check(core, commit, (int32_t)entry->partition->index);
}

static void commit_serve(struct core *core, struct broker_call *call)
{
    struct group_commit *commit = CONTAINER_OF(call, struct group_commit, call);
    struct group_partition *partition;
    if (broker_group_coordinator_enter(core, call, commit->group_id, true, &partition) ==
        GROUP_WAIT)
        return;
    struct group_entry *entry = broker_group_entry_find(partition->groups, commit->group_id);
    enum err err = entry || commit->generation < 0 ? ERR_OK : ERR_NOT_FOUND;
    if (!err && !entry) {
        entry = broker_group_entry_new(partition, commit->group_id);
        err = entry ? ERR_OK : ERR_NO_MEMORY;
    }
    if (!err)
        err = commit_check(core, commit, entry);
    if (err)
        broker_call_finish(core, call, err);
    else
        commit_write(core, commit, entry);
    if (entry)
        broker_group_entry_settle(entry);
}

void broker_group_commit(struct core *core, struct group_commit *commit)
{
    for (size_t i = 0; i < commit->offset_count; i++)
        commit->offsets[i].err = ERR_OK;
    commit->is_older = false;
    broker_call_to_owner(core, &commit->call, commit_serve);
}

/* --- fetch --- */

/* An open transaction has promised another one. */
static void offset_unstable(struct group_offset *out)
{
    out->offset = -1;
    out->leader_epoch = -1;
    out->commit_ms = -1;
    out->metadata = slice_text("");
    out->err = ERR_UNSTABLE;
}

static bool offset_fill(struct group_fetch *fetch, const struct group_entry *entry,
                        const struct group_slot *slot, struct group_offset *out)
{
    out->offset = -1;
    out->leader_epoch = -1;
    out->commit_ms = -1;
    out->err = ERR_OK;
    out->metadata = slice_text("");
    if (slot && fetch->require_stable && !list_empty(&slot->promises))
        offset_unstable(out);
    if (!slot || !slot->value || out->err || broker_group_slot_is_void(entry, slot))
        return true;
    const struct offsets_value *value = &slot->value->value;
    out->offset = value->offset;
    out->leader_epoch = value->leader_epoch;
    out->commit_ms = value->commit_ms;
    out->metadata = arena_copy(&fetch->arena, value->metadata);
    return out->metadata.data != NULL;
}

static enum err fetch_all(struct group_fetch *fetch, const struct group_entry *entry)
{
    size_t count = entry ? entry->offsets.count : 0;
    fetch->offset_count = 0;
    fetch->offsets = arena_alloc_array(&fetch->arena, count, sizeof(*fetch->offsets));
    if (!fetch->offsets)
        return ERR_NO_MEMORY;
    if (count == 0)
        return ERR_OK;
    list_for_each (node, &entry->slots) {
        const struct group_slot *slot = LIST_ENTRY(node, struct group_slot, node);
        bool is_unstable = fetch->require_stable && !list_empty(&slot->promises);
        bool is_there = slot->value && !broker_group_slot_is_void(entry, slot);
        if (!is_there && !is_unstable)
            continue;
        struct group_offset *out = &fetch->offsets[fetch->offset_count++];
        out->topic = arena_copy(&fetch->arena, broker_group_slot_topic(slot));
        out->partition = broker_group_slot_partition(slot);
        if (!out->topic.data || !offset_fill(fetch, entry, slot, out))
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* A member of the newer protocol may say who it is. */
static enum err fetch_check(const struct group_fetch *fetch, const struct group_entry *entry)
{
    if (entry && entry->share && fetch->member_id.data)
        return ERR_NOT_FOUND;
    if (!entry || !entry->consumer || !fetch->member_id.data)
        return ERR_OK;
    const struct consumer_member *member =
        broker_group_consumer_member_find(entry->consumer, fetch->member_id);
    if (!member)
        return ERR_MEMBER_UNKNOWN;
    if (member->epoch == fetch->member_epoch)
        return ERR_OK;
    return member->is_classic ? ERR_GENERATION : ERR_EPOCH_STALE;
}

static void fetch_serve(struct core *core, struct broker_call *call)
{
    struct group_fetch *fetch = CONTAINER_OF(call, struct group_fetch, call);
    struct group_entry *entry;
    if (enter_group(core, call, fetch->group_id, &entry) == GROUP_WAIT)
        return;
    enum err err = fetch_check(fetch, entry);
    if (!err && fetch->all)
        err = fetch_all(fetch, entry);
    for (size_t i = 0; i < fetch->offset_count && !fetch->all && !err; i++) {
        struct group_offset *offset = &fetch->offsets[i];
        const struct group_slot *slot =
            entry ? broker_group_slot_find(entry, offset->topic, offset->partition) : NULL;
        if (!offset_fill(fetch, entry, slot, offset))
            err = ERR_NO_MEMORY;
    }
    broker_call_finish(core, call, err);
}

void broker_group_fetch(struct core *core, struct group_fetch *fetch)
{
    broker_call_to_owner(core, &fetch->call, fetch_serve);
}

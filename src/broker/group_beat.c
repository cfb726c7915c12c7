// Groups of the newer protocol: their heartbeats served, and how they come to be and change kind.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_coordinator.h"
#include "broker/group_settings.h"

/* --- the world of the state machine --- */

static struct groups *groups_of(struct consumer_env *env)
{
    return CONTAINER_OF(env, struct groups, consumer_env);
}

static uint64_t env_random(struct consumer_env *env)
{
    return core_random(groups_of(env)->core);
}

static uint64_t env_generation(struct consumer_env *env)
{
    return broker_core(groups_of(env)->core)->topics_generation + 1;
}

static struct slice env_topic_change(struct consumer_env *env, uint64_t generation)
{
    return broker_topic_changes_at(groups_of(env)->core, generation - 1);
}

static bool topic_tell(const struct broker_topic *topic, struct consumer_topic *out)
{
    if (topic)
        *out = (struct consumer_topic){
            .id = topic->id, .name = topic->name, .partition_count = topic->partition_count};
    return topic != NULL;
}

static bool env_topic_named(struct consumer_env *env, struct slice name, struct consumer_topic *out)
{
    return topic_tell(broker_topic_find(groups_of(env)->core, name), out);
}

static bool env_topic_with_id(struct consumer_env *env, const struct uuid *id,
                              struct consumer_topic *out)
{
    return topic_tell(broker_topic_find_id(groups_of(env)->core, id), out);
}

static bool env_topic_after(struct consumer_env *env, struct slice name, struct consumer_topic *out)
{
    struct core *core = groups_of(env)->core;
    return topic_tell(broker_topic_after(core, name), out);
}

static void env_tune(struct consumer_env *env, struct slice group_id)
{
    struct broker_group_settings settings;
    broker_group_settings_get(groups_of(env)->core, group_id, &settings);
    env->session_ms = settings.consumer_session_timeout_ms;
    env->heartbeat_ms = settings.consumer_heartbeat_interval_ms;
}

void broker_group_beat_init(struct groups *groups)
{
    broker_topic_changes_keep(groups->core);
    const struct broker_settings *settings = broker_settings_now(groups->core);
    const char *policy = settings->group_consumer_migration_policy;
    bool is_both = strcmp(policy, "bidirectional") == 0;
    groups->can_upgrade = is_both || strcmp(policy, "upgrade") == 0;
    groups->can_downgrade = is_both || strcmp(policy, "downgrade") == 0;
    bool is_range = strncmp(settings->group_consumer_assignors, "range", 5) == 0;
    groups->consumer_env = (struct consumer_env){.budget = groups->env.budget,
                                                 .tune = env_tune,
                                                 .size_max = settings->group_consumer_max_size,
                                                 .assignor = is_range ? "range" : "uniform",
                                                 .assignors = settings->group_consumer_assignors,
                                                 .random = env_random,
                                                 .topics_generation = env_generation,
                                                 .topic_change = env_topic_change,
                                                 .topic_named = env_topic_named,
                                                 .topic_with_id = env_topic_with_id,
                                                 .topic_after = env_topic_after,
                                                 .record = broker_group_turn_record};
}

/* --- kinds --- */

enum err broker_group_beat_delete(struct group_entry *entry)
{
    struct group_consumer *consumer = entry->consumer;
    CHECK(consumer->members.count == 0);
    broker_group_consumer_record_none(consumer);
    if (consumer->is_broken) {
        broker_group_turn_void(entry, ERR_NO_MEMORY);
        return ERR_NO_MEMORY;
    }
    broker_group_entry_consumer_free(entry);
    return ERR_OK;
}

static enum err downgrade_write(struct group_entry *entry, struct group_append *write)
{
    broker_group_consumer_record_none(entry->consumer);
    if (entry->consumer->is_broken)
        return ERR_NO_MEMORY;
    enum err err = broker_group_consumer_convert_give(entry->consumer, &entry->group);
    return err ? err : broker_group_write_group(write, false);
}

void broker_group_beat_downgrade(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    struct group_consumer *consumer = entry->consumer;
    if (!consumer || consumer->is_broken || !groups->can_downgrade ||
        !broker_group_consumer_is_all_classic(consumer) ||
        consumer->members.count > (size_t)groups->env.size_max)
        return;
    struct group_append *write = broker_group_turn_write(entry);
    if (!write || broker_group_write_has_group(write))
        return; /* it works as it is, too */
    if (downgrade_write(entry, write)) {
        consumer->is_broken = true;
        return;
    }
    log_info(core_logger(groups->core), "broker", "group becomes classic group=%.*s",
             (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data);
    broker_group_entry_consumer_free(entry);
    broker_group_rebalance_prepare(&entry->group);
}

/* A classic group with members goes on as one of the newer protocol. */
static enum err upgrade(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    struct group *classic = &entry->group;
    if (!broker_group_entry_consumer_new(entry))
        return ERR_NO_MEMORY;
    bool is_empty = classic->members.count == 0;
    if (!is_empty && (!groups->can_upgrade ||
                      !broker_group_consumer_convert_is_possible(entry->consumer, classic))) {
        broker_group_entry_consumer_free(entry);
        return ERR_NOT_FOUND;
    }
    struct group_append *write = broker_group_turn_write(entry);
    enum err err = write ? ERR_OK : ERR_NO_MEMORY;
    if (!err && (entry->stored || entry->group_writes > 0))
        err = broker_group_write_has_group(write) ? ERR_BUSY : broker_group_write_tombstone(write);
    if (!err && !is_empty)
        err = broker_group_consumer_convert_take(entry->consumer, classic);
    if (err) {
        broker_group_turn_void(entry, err);
        return err;
    }
    if (!is_empty)
        log_info(core_logger(groups->core), "broker", "group goes on without a leader group=%.*s",
                 (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data);
    broker_group_classic_reset(classic, ERR_REBALANCE);
    return ERR_OK;
}

bool broker_group_beat_join(struct group_entry *entry, struct group_join *join)
{
    struct groups *groups = entry->partition->groups;
    if (!entry->consumer)
        return false;
    if (entry->consumer->members.count == 0)
        return broker_group_beat_delete(entry) != ERR_OK;
    enum err err = ERR_SESSION_TIMEOUT;
    if (join->session_timeout_ms >= groups->env.session_ms_min &&
        join->session_timeout_ms <= groups->env.session_ms_max)
        err = broker_group_consumer_classic_join(entry->consumer, join);
    if (err && err != ERR_MEMBER_ID_REQUIRED)
        join->generation = -1;
    broker_group_turn_answer(entry, &join->call, err);
    broker_group_beat_downgrade(entry);
    return true;
}

/* --- heartbeat --- */

static void id_make(struct core *core, struct group_beat *beat)
{
    uint8_t random[16];
    for (unsigned i = 0; i < 2; i++) {
        uint64_t bits = core_random(core);
        memcpy(random + i * sizeof(bits), &bits, sizeof(bits));
    }
    struct uuid uuid = uuid_from_random(random);
    uuid_to_text(&uuid, beat->member_id_text);
    beat->member_id = slice_make(beat->member_id_text, UUID_TEXT_SIZE);
}

static enum err beat_go(struct group_entry *entry, struct group_beat *beat)
{
    bool is_begun = false;
    if (!broker_group_turn_is_ready(entry))
        return ERR_LOADING;
    if (!entry->consumer) {
        bool may_begin = beat->member_epoch == 0 && !entry->share;
        enum err err = may_begin ? upgrade(entry) : ERR_NOT_FOUND;
        if (err == ERR_NOT_FOUND)
            diag_set(&beat->call.diag, "Group %.*s is not a consumer group.",
                     (int)MIN(beat->group_id.size, (size_t)200), (const char *)beat->group_id.data);
        if (err)
            return err;
        is_begun = true;
    }
    enum err err = broker_group_consumer_heartbeat(entry->consumer, beat);
    if (!err && entry->consumer->is_broken)
        err = ERR_NO_MEMORY;
    if (err && is_begun) /* what was begun for this member alone is not to be */
        broker_group_turn_void(entry, ERR_BUSY);
    if (!err && beat->member_epoch < 0)
        broker_group_beat_downgrade(entry);
    return err;
}

static void beat_serve(struct core *core, struct broker_call *call)
{
    struct group_beat *beat = CONTAINER_OF(call, struct group_beat, call);
    struct groups *groups = broker_group_coordinator(core);
    struct group_partition *partition;
    enum err err =
        groups ? broker_group_consumer_check(&groups->consumer_env, beat) : ERR_NO_MEMORY;
    if (err) {
        broker_call_finish(core, call, err);
        return;
    }
    if (broker_group_coordinator_enter(core, call, beat->group_id, beat->member_epoch == 0,
                                       &partition) == GROUP_WAIT)
        return;
    struct group_entry *entry = broker_group_entry_find(groups, beat->group_id);
    if (!entry && beat->member_epoch != 0) {
        diag_set(&call->diag, "Group %.*s not found.", (int)MIN(beat->group_id.size, (size_t)200),
                 (const char *)beat->group_id.data);
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    if (beat->member_id.size == 0)
        id_make(core, beat);
    if (!entry)
        entry = broker_group_entry_new(partition, beat->group_id);
    if (!entry) {
        broker_call_finish(core, call, ERR_NO_MEMORY);
        return;
    }
    err = beat_go(entry, beat);
    broker_group_turn_answer(entry, call, err);
    broker_group_turn_end(entry);
    broker_group_entry_settle(entry);
}

static bool is_oversized(const struct group_beat *beat)
{
    const struct slice texts[] = {beat->member_id, beat->instance_id, beat->rack_id,
                                  beat->client_id, beat->client_host, beat->regex};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (texts[i].size > OFFSETS_STRING_SIZE_MAX)
            return true;
    return false;
}

void broker_group_beat(struct core *core, struct group_beat *beat)
{
    beat->private = NULL;
    beat->has_assignment = false;
    beat->assignment_count = 0;
    beat->member_id_out = beat->member_id;
    beat->member_epoch_out = beat->member_epoch;
    beat->heartbeat_ms = 0;
    if (is_oversized(beat)) {
        diag_set(&beat->call.diag, "a name is too long");
        broker_call_fail(core, &beat->call, ERR_INVALID);
        return;
    }
    broker_call_to_owner(core, &beat->call, beat_serve);
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

static const struct group_part *keep_parts(struct arena *arena, const struct group_parts *parts,
                                           enum err *err)
{
    struct group_part *copy = arena_alloc_array(arena, parts->count, sizeof(*copy));
    if (!copy)
        *err = ERR_NO_MEMORY;
    else if (parts->count > 0)
        memcpy(copy, parts->items, parts->count * sizeof(*copy));
    return copy;
}

static enum err describe_member(struct arena *arena, const struct consumer_member *member,
                                struct group_beat_member *out)
{
    enum err err = ERR_OK;
    out->member_id = keep(arena, member->id, &err);
    out->instance_id = keep(arena, member->instance_id, &err);
    out->rack_id = keep(arena, member->rack_id, &err);
    out->client_id = keep(arena, member->client_id, &err);
    out->client_host = keep(arena, member->client_host, &err);
    out->regex = keep(arena, member->regex.data ? member->regex : slice_text(""), &err);
    struct slice *topics = arena_alloc_array(arena, member->topics.count, sizeof(*topics));
    if (!topics)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < member->topics.count; i++)
        topics[i] = keep(arena, member->topics.items[i], &err);
    out->topics = topics;
    out->topic_count = member->topics.count;
    out->epoch = member->epoch;
    out->assignment = keep_parts(arena, &member->assigned, &err);
    out->assignment_count = member->assigned.count;
    out->target = keep_parts(arena, &member->target, &err);
    out->target_count = member->target.count;
    out->is_classic = member->is_classic;
    return err;
}

static enum err describe_fill(struct group_beat_describe *out, const struct group_consumer *group)
{
    out->state = broker_group_consumer_state(group);
    out->assignor = broker_group_consumer_target_assignor(group);
    out->epoch = group->epoch;
    out->assignment_epoch = group->assignment_epoch;
    out->member_count = 0;
    out->members = arena_alloc_array(&out->arena, group->members.count, sizeof(*out->members));
    enum err err = out->members ? ERR_OK : ERR_NO_MEMORY;
    list_for_each (node, &group->order)
        if (!err)
            err = describe_member(&out->arena, LIST_ENTRY(node, struct consumer_member, node),
                                  &out->members[out->member_count++]);
    return err;
}

static void describe_serve(struct core *core, struct broker_call *call)
{
    struct group_beat_describe *out = CONTAINER_OF(call, struct group_beat_describe, call);
    struct group_partition *partition;
    if (out->group_id.size == 0) {
        broker_call_finish(core, call, ERR_GROUP_ID);
        return;
    }
    if (broker_group_coordinator_enter(core, call, out->group_id, false, &partition) == GROUP_WAIT)
        return;
    struct group_entry *entry =
        partition ? broker_group_entry_find(partition->groups, out->group_id) : NULL;
    enum err err = entry ? ERR_OK : ERR_NOT_FOUND;
    if (entry && !broker_group_turn_is_ready(entry))
        err = ERR_LOADING;
    else if (entry && !entry->consumer)
        err = ERR_PROTOCOL;
    if (!err)
        err = describe_fill(out, entry->consumer);
    if (entry)
        broker_group_turn_answer(entry, call, err); /* of what is durable only */
    else
        broker_call_finish(core, call, err);
}

void broker_group_beat_describe(struct core *core, struct group_beat_describe *describe)
{
    broker_call_to_owner(core, &describe->call, describe_serve);
}

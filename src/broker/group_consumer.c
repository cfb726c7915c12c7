// The newer group protocol: members join, tell what they hold, leave, and fall silent. KIP-848.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_consumer.h"

#include "broker/group_state.h"

void broker_group_consumer_init(struct group_consumer *group, struct consumer_env *env,
                                struct slice id, void *owner)
{
    *group = (struct group_consumer){.env = env,
                                     .owner = owner,
                                     .id = id,
                                     .epoch = 1, /* the first member makes it 2, as in Kafka */
                                     .deadline_ms = CONSUMER_NEVER_MS};
    map_init(&group->members, env->random(env));
    map_init(&group->instances, env->random(env));
    map_init(&group->owners, env->random(env));
    list_init(&group->order);
    list_init(&group->regexes);
    codec_output_init(&group->scratch, (size_t)INT32_MAX);
}

void broker_group_consumer_deinit(struct group_consumer *group)
{
    list_for_each_safe (node, following, &group->order)
        broker_group_consumer_member_free(group, LIST_ENTRY(node, struct consumer_member, node));
    broker_group_consumer_target_forget(group);
    CHECK(group->owners.count == 0 || group->is_broken);
    map_deinit(&group->members);
    map_deinit(&group->instances);
    map_deinit(&group->owners);
    codec_output_deinit(&group->scratch);
}

/* --- what does not fit together --- */

static enum err refuse(struct group_beat *beat, const char *words)
{
    diag_set(&beat->call.diag, "%s", words);
    return ERR_INVALID;
}

static enum err check_join(struct group_beat *beat)
{
    if (beat->rebalance_timeout_ms == -1)
        return refuse(beat, "RebalanceTimeoutMs must be provided in first request.");
    if (!beat->has_held || beat->held_count > 0)
        return refuse(beat, "TopicPartitions must be empty when (re-)joining.");
    if (!beat->has_topics && !beat->regex.data)
        return refuse(beat, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null "
                            "when (re-)joining.");
    return ERR_OK;
}

static bool assignor_is_known(const struct consumer_env *env, struct slice name)
{
    const char *at = env->assignors;
    while (*at) {
        size_t size = strcspn(at, ",");
        if (slice_equal(name, slice_make(at, size)))
            return true;
        at += size + (at[size] == ',');
    }
    return false;
}

/* Nothing, or nothing but blanks: what Java trims. */
static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] > ' ')
            return false;
    return true;
}

enum err broker_group_consumer_check(const struct consumer_env *env, struct group_beat *beat)
{
    if (is_blank(beat->member_id) &&
        (beat->member_id.size > 0 || beat->member_id_required || beat->member_epoch != 0))
        return refuse(beat, "MemberId can't be empty.");
    if (is_blank(beat->group_id))
        return refuse(beat, "GroupId can't be empty.");
    if (beat->instance_id.data && is_blank(beat->instance_id))
        return refuse(beat, "InstanceId can't be empty.");
    if (beat->rack_id.data && is_blank(beat->rack_id))
        return refuse(beat, "RackId can't be empty.");
    if (beat->member_epoch < CONSUMER_EPOCH_LEAVE_STATIC)
        return refuse(beat, "MemberEpoch is invalid.");
    if (beat->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC && !beat->instance_id.data)
        return refuse(beat, "InstanceId can't be null.");
    enum err err = beat->member_epoch == 0 ? check_join(beat) : ERR_OK;
    if (!err && beat->assignor.data && !assignor_is_known(env, beat->assignor)) {
        diag_set(&beat->call.diag, "ServerAssignor %.*s is not supported. Supported assignors: %s.",
                 (int)MIN(beat->assignor.size, (size_t)100), (const char *)beat->assignor.data,
                 env->assignors);
        err = ERR_ASSIGNOR;
    }
    return err;
}

/* --- time --- */

void broker_group_consumer_due(struct group_consumer *group, int64_t deadline_ms)
{
    group->deadline_ms = MIN(group->deadline_ms, deadline_ms);
}

void broker_group_consumer_touch(struct group_consumer *group, struct consumer_member *member)
{
    struct consumer_env *env = group->env;
    if (env->tune)
        env->tune(env, group->id);
    int32_t session_ms = member->is_classic ? member->session_timeout_ms : env->session_ms;
    member->session_deadline_ms = env->now_ms + session_ms;
    broker_group_consumer_due(group, member->session_deadline_ms);
}

static int64_t member_deadline(const struct consumer_member *member)
{
    return MIN(MIN(member->session_deadline_ms, member->rebalance_deadline_ms),
               MIN(member->join_deadline_ms, member->sync_deadline_ms));
}

void broker_group_consumer_expire(struct group_consumer *group)
{
    group->deadline_ms = CONSUMER_NEVER_MS;
    bool is_bumped = false;
    list_for_each_safe (node, following, &group->order) {
        struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        if (member_deadline(member) > group->env->now_ms) {
            broker_group_consumer_due(group, member_deadline(member));
            continue;
        }
        broker_group_consumer_drop(group, member);
        is_bumped = true;
    }
    if (is_bumped)
        broker_group_consumer_bump(group);
}

/* --- who is in --- */

void broker_group_consumer_drop(struct group_consumer *group, struct consumer_member *member)
{
    broker_group_consumer_record_gone(group, CONSUMER_FACT_CURRENT, member->id);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_TARGET, member->id);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_MEMBER, member->id);
    broker_group_consumer_member_free(group, member);
}

void broker_group_consumer_bump(struct group_consumer *group)
{
    uint64_t hash;
    broker_group_consumer_target_tidy(group);
    if (broker_group_consumer_target_hash(group, &hash)) {
        group->is_broken = true;
        return;
    }
    group->hash = hash;
    group->epoch++;
    broker_group_consumer_record_epoch(group);
}

void broker_group_consumer_fence(struct group_consumer *group, struct consumer_member *member)
{
    broker_group_consumer_drop(group, member);
    broker_group_consumer_bump(group);
}

static enum err epoch_check(const struct consumer_member *member, int32_t epoch,
                            const struct group_parts *owned)
{
    if (epoch == 0 || epoch == member->epoch)
        return ERR_OK; /* it begins again, or is where it should be */
    /* The answer that told it of a newer epoch may have been lost. */
    bool is_late = epoch < member->epoch && epoch == member->previous_epoch && owned &&
                   broker_group_parts_within(owned, &member->assigned);
    return is_late ? ERR_OK : ERR_EPOCH_FENCED;
}

/* Who speaks; *out NULL: someone new. */
static enum err member_look_up(const struct group_consumer *group, const struct group_beat *beat,
                               const struct group_parts *owned, struct consumer_member **out)
{
    bool joins = beat->member_epoch == 0;
    struct consumer_member *member = broker_group_consumer_member_find(group, beat->member_id);
    if (beat->instance_id.data) {
        struct consumer_member *holder = map_get(&group->instances, beat->instance_id);
        /* The id of another member is not to be had. */
        if (holder && holder != member && (!joins || member))
            return ERR_FENCED;
        if (holder && holder != member && !holder->is_classic &&
            holder->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
            return ERR_INSTANCE_HELD;
        if (!holder && (!joins || member))
            return ERR_MEMBER_UNKNOWN;
        member = holder;
    }
    *out = member;
    if (!member)
        return joins ? ERR_OK : ERR_MEMBER_UNKNOWN;
    return slice_equal(member->id, beat->member_id) ? epoch_check(member, beat->member_epoch, owned)
                                                    : ERR_OK;
}

/* A static member comes back, maybe with another id: what was its predecessor's is its own. */
static enum err member_replace(struct group_consumer *group, struct consumer_member *member,
                               struct slice id)
{
    broker_group_consumer_record_gone(group, CONSUMER_FACT_CURRENT, member->id);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_TARGET, member->id);
    broker_group_consumer_record_gone(group, CONSUMER_FACT_MEMBER, member->id);
    enum err err = broker_group_consumer_member_rename(group, member, id);
    if (err)
        return err;
    broker_group_consumer_record_member(group, member);
    broker_group_consumer_record_target(group, member);
    broker_group_consumer_record_current(group, member);
    return ERR_OK;
}

/* --- what a member says of itself --- */

static enum err text_update(struct group_consumer *group, struct slice *own, struct slice said,
                            bool *changed)
{
    if (!said.data || (own->data && slice_equal(*own, said)))
        return ERR_OK;
    *changed = true;
    return broker_group_parts_text(group->env->budget, own, said);
}

static enum err topics_update(struct group_consumer *group, struct consumer_member *member,
                              const struct group_beat *beat, bool *changed)
{
    struct budget *budget = group->env->budget;
    struct group_names names = {NULL, 0, 0};
    if (!beat->has_topics)
        return ERR_OK;
    enum err err = broker_group_parts_names(budget, &names, beat->topics, beat->topic_count);
    if (err)
        return err;
    if (broker_group_parts_names_equal(&names, &member->topics)) {
        broker_group_parts_names_free(budget, &names);
        return ERR_OK;
    }
    broker_group_parts_names_free(budget, &member->topics);
    member->topics = names;
    *changed = true;
    return ERR_OK;
}

/* *out_bump: what it reads has changed. */
static enum err member_update(struct group_consumer *group, struct consumer_member *member,
                              const struct group_beat *beat, bool *out_bump)
{
    bool is_new = !member->client_id.data;
    bool changed = member->is_classic || is_new;
    bool topics_changed = false;
    bool regex_changed = false;
    enum err err = text_update(group, &member->rack_id, beat->rack_id, &changed);
    if (!err)
        err = text_update(group, &member->client_id, beat->client_id, &changed);
    if (!err)
        err = text_update(group, &member->client_host, beat->client_host, &changed);
    if (!err)
        err = text_update(group, &member->assignor, beat->assignor, &changed);
    if (!err)
        err = topics_update(group, member, beat, &topics_changed);
    bool had_regex = member->regex.size > 0;
    if (!err)
        err = text_update(group, &member->regex, beat->regex, &regex_changed);
    regex_changed = regex_changed && (had_regex || member->regex.size > 0);
    if (err)
        return err;
    if (beat->rebalance_timeout_ms != -1 &&
        beat->rebalance_timeout_ms != member->rebalance_timeout_ms) {
        member->rebalance_timeout_ms = beat->rebalance_timeout_ms;
        changed = true;
    }
    member->is_classic = false;
    member->join_deadline_ms = CONSUMER_NEVER_MS;
    member->sync_deadline_ms = CONSUMER_NEVER_MS;
    broker_group_parts_text_free(group->env->budget, &member->protocols);
    *out_bump = is_new || topics_changed || regex_changed;
    if (changed || *out_bump)
        broker_group_consumer_record_member(group, member);
    return ERR_OK;
}

/* --- on --- */

/* Topics may have come, grown or gone. */
static enum err topics_look(struct group_consumer *group, bool *is_bumped)
{
    struct consumer_env *env = group->env;
    uint64_t generation = env->topics_generation(env);
    if (generation == group->topics_seen && !*is_bumped)
        return ERR_OK;
    bool may_match = env->now_ms >= group->match_ms;
    enum err err = ERR_OK;
    if (may_match && generation != group->topics_seen && !list_empty(&group->regexes)) {
        err = broker_group_consumer_target_match(group);
        group->match_ms = env->now_ms + CONSUMER_MATCH_MS;
    }
    uint64_t hash = group->hash;
    if (!err)
        err = broker_group_consumer_target_hash(group, &hash);
    if (err)
        return err;
    if (may_match || list_empty(&group->regexes))
        group->topics_seen = generation;
    *is_bumped = *is_bumped || hash != group->hash;
    group->hash = hash;
    return ERR_OK;
}

enum err broker_group_consumer_advance(struct group_consumer *group, struct consumer_member *member,
                                       bool is_bumped, const struct group_parts *owned)
{
    bool changed;
    enum err err = topics_look(group, &is_bumped);
    if (!err && is_bumped) {
        broker_group_consumer_target_tidy(group);
        group->epoch++;
        broker_group_consumer_record_epoch(group);
    }
    if (!err && group->epoch > group->assignment_epoch)
        err = broker_group_consumer_target_make(group);
    if (!err)
        err = broker_group_consumer_reconcile(group, member, owned, &changed);
    if (!err && group->is_broken)
        err = ERR_NO_MEMORY;
    if (err)
        group->is_broken = true;
    return err;
}

enum err broker_group_consumer_answer(struct group_consumer *group,
                                      const struct consumer_member *member, struct group_beat *beat)
{
    const struct group_parts *parts = &member->assigned;
    size_t size = parts->count * sizeof(*parts->items);
    uint8_t *block = broker_group_member_result_new(group->env->budget, size + member->id.size);
    if (!block)
        return ERR_NO_MEMORY;
    if (size > 0)
        memcpy(block, parts->items, size);
    memcpy(block + size, member->id.data, member->id.size);
    beat->private = block;
    beat->assignment = (const struct group_part *)(const void *)block;
    beat->assignment_count = parts->count;
    beat->member_id_out = slice_make(block + size, member->id.size);
    beat->member_epoch_out = member->epoch;
    if (group->env->tune)
        group->env->tune(group->env, group->id);
    beat->heartbeat_ms = group->env->heartbeat_ms;
    return ERR_OK;
}

/* In a block of known room. */
static enum err held_take(struct group_consumer *group, const struct group_beat *beat,
                          struct group_parts *out, size_t *out_room)
{
    size_t room = 0;
    for (size_t i = 0; i < beat->held_count; i++)
        room += beat->held[i].partition_count;
    enum err err = broker_group_parts_room(group->env->budget, room, out);
    for (size_t i = 0; i < beat->held_count && !err; i++)
        for (size_t j = 0; j < beat->held[i].partition_count; j++)
            out->items[out->count++] = (struct group_part){.topic = beat->held[i].topic,
                                                           .index = beat->held[i].partitions[j]};
    broker_group_parts_sort(out);
    *out_room = room;
    return err;
}

static enum err leave(struct group_consumer *group, struct group_beat *beat)
{
    struct consumer_member *member = broker_group_consumer_member_find(group, beat->member_id);
    if (beat->instance_id.data) {
        struct consumer_member *holder = map_get(&group->instances, beat->instance_id);
        if (holder && holder != member)
            return ERR_FENCED;
        member = holder;
    }
    if (!member)
        return ERR_MEMBER_UNKNOWN;
    beat->member_id_out = beat->member_id;
    beat->member_epoch_out = beat->member_epoch;
    if (beat->member_epoch == CONSUMER_EPOCH_LEAVE) {
        broker_group_consumer_fence(group, member);
        return ERR_OK;
    }
    const struct group_parts none = {NULL, 0};
    member->epoch = CONSUMER_EPOCH_LEAVE_STATIC;
    member->rebalance_deadline_ms = CONSUMER_NEVER_MS;
    enum err err = broker_group_consumer_member_hold(group, member, NULL, &none);
    if (!err)
        broker_group_consumer_record_current(group, member);
    return err;
}

/* What it is to read by expression is known before anything is changed. */
static enum err regex_check(struct group_consumer *group, const struct consumer_member *member,
                            struct group_beat *beat)
{
    struct slice text = beat->regex;
    if (!text.data && member)
        text = member->regex;
    return text.size > 0 ? broker_group_consumer_target_regex(group, text, &beat->call.diag)
                         : ERR_OK;
}

/* The member is known and may speak. */
static enum err member_serve(struct group_consumer *group, struct consumer_member *member,
                             struct group_beat *beat, const struct group_parts *owned)
{
    struct group_parts before = {NULL, 0};
    bool is_bumped = false;
    bool is_full = beat->member_epoch == 0 || (beat->has_held && beat->rebalance_timeout_ms != -1 &&
                                               (beat->has_topics || beat->regex.data));
    enum err err = broker_group_parts_set(group->env->budget, &before, &member->assigned);
    if (!err)
        err = member_update(group, member, beat, &is_bumped);
    if (!err)
        err = broker_group_consumer_advance(group, member, is_bumped, owned);
    if (!err) {
        broker_group_consumer_touch(group, member);
        err = broker_group_consumer_answer(group, member, beat);
        beat->has_assignment = is_full || !broker_group_parts_equal(&before, &member->assigned);
    }
    broker_group_parts_free(group->env->budget, &before, before.count);
    if (err)
        group->is_broken = true;
    return err;
}

static enum err heartbeat(struct group_consumer *group, struct group_beat *beat,
                          const struct group_parts *owned)
{
    struct consumer_member *member = NULL;
    bool is_full = group->members.count >= (size_t)group->env->size_max &&
                   !broker_group_consumer_member_find(group, beat->member_id);
    enum err err = is_full ? ERR_GROUP_FULL : member_look_up(group, beat, owned, &member);
    if (!err)
        err = regex_check(group, member, beat);
    if (err)
        return err;
    if (!member) {
        member = broker_group_consumer_member_new(group, beat->member_id, beat->instance_id);
        if (!member)
            return ERR_NO_MEMORY;
    } else if (beat->instance_id.data && beat->member_epoch == 0 &&
               (member->epoch == CONSUMER_EPOCH_LEAVE_STATIC ||
                !slice_equal(member->id, beat->member_id))) {
        err = member_replace(group, member, beat->member_id);
        if (err)
            return err;
    }
    return member_serve(group, member, beat, owned);
}

enum err broker_group_consumer_heartbeat(struct group_consumer *group, struct group_beat *beat)
{
    struct group_parts held;
    size_t room;
    if (beat->member_epoch < 0)
        return leave(group, beat);
    enum err err = held_take(group, beat, &held, &room);
    if (err)
        return err;
    err = heartbeat(group, beat, beat->has_held ? &held : NULL);
    broker_group_parts_free(group->env->budget, &held, room);
    return err;
}

/* --- what others ask --- */

enum err broker_group_consumer_commit_check(const struct group_consumer *group,
                                            struct slice member_id, int32_t epoch, bool *out_each)
{
    *out_each = false;
    if (epoch < 0 && group->members.count == 0)
        return ERR_OK; /* an administrator, or a consumer that assigns partitions to itself */
    const struct consumer_member *member = broker_group_consumer_member_find(group, member_id);
    if (!member)
        return ERR_MEMBER_UNKNOWN;
    if (epoch > member->epoch)
        return member->is_classic ? ERR_GENERATION : ERR_EPOCH_STALE;
    *out_each = epoch < member->epoch;
    return ERR_OK;
}

enum err broker_group_consumer_commit_check_part(const struct group_consumer *group,
                                                 struct slice member_id, int32_t epoch,
                                                 const struct group_part *part)
{
    const struct consumer_member *member = broker_group_consumer_member_find(group, member_id);
    if (!member)
        return ERR_MEMBER_UNKNOWN;
    if (broker_group_consumer_member_owner(group, part) == member &&
        epoch >= broker_group_consumer_member_since(group, part))
        return ERR_OK;
    return member->is_classic ? ERR_GENERATION : ERR_EPOCH_STALE;
}

const char *broker_group_consumer_state(const struct group_consumer *group)
{
    if (group->members.count == 0)
        return "Empty";
    if (group->epoch > group->assignment_epoch)
        return "Assigning";
    list_for_each (node, &group->order) {
        const struct consumer_member *member = LIST_ENTRY(node, struct consumer_member, node);
        if (member->state != CONSUMER_STABLE || member->epoch != group->assignment_epoch)
            return "Reconciling";
    }
    return "Stable";
}

bool broker_group_consumer_is_all_classic(const struct group_consumer *group)
{
    list_for_each (node, &group->order)
        if (!LIST_ENTRY(node, struct consumer_member, node)->is_classic)
            return false;
    return group->members.count > 0;
}

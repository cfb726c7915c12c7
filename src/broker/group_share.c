// The members of a share group: they join, say what they read, leave, and fall silent. KIP-932.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_share.h"

#include <stdlib.h>

void broker_group_share_init(struct group_share *group, struct consumer_env *env, struct slice id,
                             void *owner)
{
    *group = (struct group_share){.env = env,
                                  .owner = owner,
                                  .id = id,
                                  .epoch = 1, /* the first member makes it 2, as in Kafka */
                                  .deadline_ms = CONSUMER_NEVER_MS};
    map_init(&group->members, env->random(env));
    list_init(&group->order);
    codec_output_init(&group->scratch, (size_t)INT32_MAX);
}

void broker_group_share_deinit(struct group_share *group)
{
    list_for_each_safe (node, following, &group->order)
        broker_group_share_member_free(group, LIST_ENTRY(node, struct group_share_member, node));
    broker_group_parts_free(group->env->budget, &group->parts, group->parts.count);
    map_deinit(&group->members);
    codec_output_deinit(&group->scratch);
}

/* --- members --- */

struct group_share_member *broker_group_share_member_find(const struct group_share *group,
                                                          struct slice id)
{
    return map_get(&group->members, id);
}

static void member_release(struct group_share *group, struct group_share_member *member)
{
    struct budget *budget = group->env->budget;
    struct slice *const texts[] = {&member->id, &member->rack_id, &member->client_id,
                                   &member->client_host};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        broker_group_parts_text_free(budget, texts[i]);
    broker_group_parts_names_free(budget, &member->topics);
    broker_group_parts_free(budget, &member->assigned, member->assigned.count);
    broker_group_parts_free(budget, &member->target, member->target.count);
    budget_release(budget, sizeof(*member));
    free(member);
}

struct group_share_member *broker_group_share_member_new(struct group_share *group, struct slice id)
{
    struct budget *budget = group->env->budget;
    if (!budget_charge(budget, sizeof(struct group_share_member)))
        return NULL;
    struct group_share_member *member = calloc(1, sizeof(*member));
    if (!member) {
        budget_release(budget, sizeof(*member));
        return NULL;
    }
    member->session_deadline_ms = CONSUMER_NEVER_MS;
    member->previous_epoch = -1;
    enum err err = broker_group_parts_text(budget, &member->id, id);
    if (err || !map_put(&group->members, member->id, member, NULL)) {
        member_release(group, member);
        return NULL;
    }
    list_push_back(&group->order, &member->node);
    return member;
}

void broker_group_share_member_free(struct group_share *group, struct group_share_member *member)
{
    map_remove(&group->members, member->id);
    list_remove(&member->node);
    member_release(group, member);
}

void broker_group_share_touch(struct group_share *group, struct group_share_member *member,
                              int32_t session_ms)
{
    member->session_deadline_ms = group->env->now_ms + session_ms;
    group->deadline_ms = MIN(group->deadline_ms, member->session_deadline_ms);
}

/* --- partitions that it has begun to read --- */

bool broker_group_share_has(const struct group_share *group, const struct uuid *topic_id,
                            int32_t index)
{
    const struct group_part part = {.topic = *topic_id, .index = index};
    return broker_group_parts_has(&group->parts, &part);
}

enum err broker_group_share_begin(struct group_share *group, const struct group_part *parts,
                                  size_t count)
{
    struct group_parts all;
    size_t room = group->parts.count + count;
    enum err err = broker_group_parts_room(group->env->budget, room, &all);
    if (err)
        return err;
    for (size_t i = 0; i < group->parts.count; i++)
        all.items[all.count++] = group->parts.items[i];
    for (size_t i = 0; i < count; i++)
        if (!broker_group_parts_has(&group->parts, &parts[i]))
            all.items[all.count++] = parts[i];
    broker_group_parts_sort(&all);
    if (all.count > group->parts.count) {
        err = broker_group_parts_set(group->env->budget, &group->parts, &all);
        if (!err)
            broker_group_share_record_parts(group);
    }
    broker_group_parts_free(group->env->budget, &all, room);
    return err;
}

/* Keeps the partitions of the topics that stay; is_gone is asked once for each topic. */
static enum err parts_keep(struct group_share *group,
                           bool (*is_gone)(struct group_share *group, const struct uuid *topic_id,
                                           const struct share_topics *topics),
                           const struct share_topics *topics)
{
    struct group_parts left;
    size_t room = group->parts.count;
    enum err err = broker_group_parts_room(group->env->budget, room, &left);
    if (err)
        return err;
    bool goes = false;
    for (size_t i = 0; i < room; i++) {
        const struct group_part *part = &group->parts.items[i];
        if (i == 0 || !uuid_equal(&part->topic, &part[-1].topic))
            goes = is_gone(group, &part->topic, topics);
        if (!goes)
            left.items[left.count++] = *part;
    }
    if (left.count < room) {
        err = broker_group_parts_set(group->env->budget, &group->parts, &left);
        if (!err)
            broker_group_share_record_parts(group);
    }
    broker_group_parts_free(group->env->budget, &left, room);
    return err;
}

static int topic_order(const void *a, const void *b)
{
    return memcmp(((const struct uuid *)a)->bytes, ((const struct uuid *)b)->bytes,
                  sizeof(struct uuid));
}

void broker_group_share_topics_sort(struct share_topics *topics)
{
    if (topics->count > 1)
        qsort(topics->ids, topics->count, sizeof(*topics->ids), topic_order);
}

bool broker_group_share_topics_have(const struct share_topics *topics, const struct uuid *topic_id)
{
    return topics->count > 0 &&
           bsearch(topic_id, topics->ids, topics->count, sizeof(*topics->ids), topic_order);
}

static bool is_named(struct group_share *group, const struct uuid *topic_id,
                     const struct share_topics *topics)
{
    return broker_group_share_topics_have(topics, topic_id);
}

enum err broker_group_share_forget(struct group_share *group, const struct share_topics *topics)
{
    return parts_keep(group, is_named, topics);
}

static bool is_deleted(struct group_share *group, const struct uuid *topic_id,
                       const struct share_topics *topics)
{
    struct consumer_topic topic;
    return !group->env->topic_with_id(group->env, topic_id, &topic);
}

enum err broker_group_share_tidy(struct group_share *group)
{
    return parts_keep(group, is_deleted, NULL);
}

bool broker_group_share_has_topic(const struct group_share *group, const struct uuid *topic_id)
{
    size_t low = 0, high = group->parts.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (topic_order(&group->parts.items[middle].topic, topic_id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < group->parts.count && uuid_equal(&group->parts.items[low].topic, topic_id);
}

/* --- who is in --- */

static void member_drop(struct group_share *group, struct group_share_member *member)
{
    broker_group_share_record_gone(group, SHARE_FACT_CURRENT, member->id);
    broker_group_share_record_gone(group, SHARE_FACT_TARGET, member->id);
    broker_group_share_record_gone(group, SHARE_FACT_MEMBER, member->id);
    broker_group_share_member_free(group, member);
}

static enum err bump(struct group_share *group)
{
    enum err err = broker_group_share_target_hash(group, &group->hash);
    group->epoch++;
    broker_group_share_record_epoch(group);
    return err;
}

void broker_group_share_expire(struct group_share *group)
{
    group->deadline_ms = CONSUMER_NEVER_MS;
    bool is_bumped = false;
    list_for_each_safe (node, following, &group->order) {
        struct group_share_member *member = LIST_ENTRY(node, struct group_share_member, node);
        if (member->session_deadline_ms > group->env->now_ms) {
            group->deadline_ms = MIN(group->deadline_ms, member->session_deadline_ms);
            continue;
        }
        member_drop(group, member);
        is_bumped = true;
    }
    if (is_bumped && bump(group))
        group->is_broken = true;
}

/* --- words for a person, as Kafka's --- */

static enum err member_unknown(const struct group_share *group, struct share_beat *beat)
{
    diag_set(&beat->call.diag, "Member %.*s is not a member of group %.*s.",
             (int)MIN(beat->member_id.size, (size_t)100), (const char *)beat->member_id.data,
             (int)MIN(group->id.size, (size_t)100), (const char *)group->id.data);
    return ERR_MEMBER_UNKNOWN;
}

static enum err member_fenced(const struct group_share_member *member, struct share_beat *beat)
{
    bool is_ahead = beat->member_epoch > member->epoch;
    diag_set(&beat->call.diag,
             "The share group member has a %s member epoch (%d) than the one known by the group "
             "coordinator (%d). The member must abandon all its partitions and rejoin.",
             is_ahead ? "greater" : "smaller", (int)beat->member_epoch, (int)member->epoch);
    return ERR_EPOCH_FENCED;
}

static enum err group_full(const struct group_share_terms *terms, struct share_beat *beat)
{
    diag_set(&beat->call.diag, "The share group has reached its maximum capacity of %d members.",
             (int)terms->size_max);
    return ERR_GROUP_FULL;
}

static enum err leave(struct group_share *group, struct share_beat *beat)
{
    struct group_share_member *member = broker_group_share_member_find(group, beat->member_id);
    if (!member)
        return member_unknown(group, beat);
    beat->member_epoch_out = SHARE_EPOCH_LEAVE;
    member_drop(group, member);
    if (bump(group))
        group->is_broken = true;
    return ERR_OK;
}

/* --- what a member says of itself --- */

static enum err text_update(struct group_share *group, struct slice *own, struct slice said,
                            bool *changed)
{
    if (!said.data || (own->data && slice_equal(*own, said)))
        return ERR_OK;
    *changed = true;
    return broker_group_parts_text(group->env->budget, own, said);
}

static enum err member_update(struct group_share *group, struct group_share_member *member,
                              const struct share_beat *beat, bool *out_bump)
{
    struct budget *budget = group->env->budget;
    struct group_names before = member->topics;
    bool is_new = !member->client_id.data;
    bool changed = is_new;
    enum err err = text_update(group, &member->rack_id, beat->rack_id, &changed);
    if (!err)
        err = text_update(group, &member->client_id, beat->client_id, &changed);
    if (!err)
        err = text_update(group, &member->client_host, beat->client_host, &changed);
    if (!err && beat->has_topics) {
        member->topics = (struct group_names){0};
        err = broker_group_parts_names(budget, &member->topics, beat->topics, beat->topic_count);
        if (err)
            member->topics = before;
        else
            *out_bump = !broker_group_parts_names_equal(&before, &member->topics);
        if (!err)
            broker_group_parts_names_free(budget, &before);
    }
    *out_bump = *out_bump || is_new;
    if (!err && (changed || *out_bump))
        broker_group_share_record_member(group, member);
    return err;
}

/* Topics may have come, grown or gone. */
static enum err topics_look(struct group_share *group, bool *is_bumped)
{
    struct consumer_env *env = group->env;
    uint64_t generation = env->topics_generation(env);
    uint64_t before = group->hash;
    if (generation == group->topics_seen && !*is_bumped)
        return ERR_OK;
    enum err err = broker_group_share_target_hash(group, &group->hash);
    if (!err && group->hash != before)
        *is_bumped = true;
    if (!err)
        err = broker_group_share_tidy(group);
    if (!err)
        group->topics_seen = generation;
    return err;
}

static enum err member_advance(struct group_share *group, struct group_share_member *member)
{
    if (member->epoch == group->assignment_epoch)
        return ERR_OK;
    enum err err = broker_group_parts_set(group->env->budget, &member->assigned, &member->target);
    if (err)
        return err;
    member->previous_epoch = member->epoch;
    member->epoch = group->assignment_epoch;
    broker_group_share_record_current(group, member);
    return ERR_OK;
}

static enum err group_advance(struct group_share *group, bool is_bumped)
{
    enum err err = topics_look(group, &is_bumped);
    if (!err && is_bumped) {
        group->epoch++;
        broker_group_share_record_epoch(group);
    }
    if (err || group->epoch == group->assignment_epoch)
        return err;
    err = broker_group_share_target_begin(group);
    return err ? err : broker_group_share_target_make(group);
}

static enum err answer(const struct group_share_member *member, struct share_beat *beat)
{
    const struct group_parts *parts = &member->assigned;
    struct group_part *items = arena_alloc_array(&beat->arena, parts->count, sizeof(*items));
    if (!items)
        return ERR_NO_MEMORY;
    if (parts->count > 0)
        memcpy(items, parts->items, parts->count * sizeof(*items));
    beat->assignment = (struct group_parts){.items = items, .count = parts->count};
    return ERR_OK;
}

static enum err member_serve(struct group_share *group, struct group_share_member *member,
                             struct share_beat *beat, const struct group_share_terms *terms)
{
    struct group_parts before = {NULL, 0};
    bool is_bumped = false;
    bool is_late = beat->member_epoch != member->epoch; /* the last answer may have been lost */
    enum err err = broker_group_parts_set(group->env->budget, &before, &member->assigned);
    if (!err)
        err = member_update(group, member, beat, &is_bumped);
    if (!err)
        err = group_advance(group, is_bumped);
    if (!err)
        err = member_advance(group, member);
    beat->has_assignment = beat->member_epoch == 0 || is_late || beat->has_topics ||
                           !broker_group_parts_equal(&before, &member->assigned);
    if (!err && beat->has_assignment)
        err = answer(member, beat);
    broker_group_parts_free(group->env->budget, &before, before.count);
    if (err) {
        group->is_broken = true;
        return err;
    }
    broker_group_share_touch(group, member, terms->session_ms);
    beat->member_epoch_out = member->epoch;
    beat->heartbeat_ms = terms->heartbeat_ms;
    return ERR_OK;
}

enum err broker_group_share_beat(struct group_share *group, struct share_beat *beat,
                                 const struct group_share_terms *terms)
{
    if (beat->member_epoch == SHARE_EPOCH_LEAVE)
        return leave(group, beat);
    struct group_share_member *member = broker_group_share_member_find(group, beat->member_id);
    if (!member && group->members.count >= (size_t)terms->size_max)
        return group_full(terms, beat);
    if (!member && beat->member_epoch != 0)
        return member_unknown(group, beat);
    if (member && beat->member_epoch != 0 && beat->member_epoch != member->epoch &&
        beat->member_epoch != member->previous_epoch)
        return member_fenced(member, beat);
    if (!member)
        member = broker_group_share_member_new(group, beat->member_id);
    return member ? member_serve(group, member, beat, terms) : ERR_NO_MEMORY;
}

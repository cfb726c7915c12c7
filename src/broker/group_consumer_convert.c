// Groups change their kind while they are in use: classic to the newer protocol, and back. KIP-848.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_consumer.h"
#include "broker/group_state.h"

bool broker_group_consumer_convert_is_possible(const struct group_consumer *group,
                                               const struct group *classic)
{
    struct consumer_env *env = group->env;
    if (!slice_equal_text(classic->protocol_type, "consumer") ||
        classic->members.count > (size_t)env->size_max)
        return false;
    list_for_each (node, &classic->order) {
        const struct group_member *member = LIST_ENTRY(node, struct group_member, node);
        struct group_subscription words;
        struct group_parts parts;
        size_t room;
        if (member->protocol_count == 0 ||
            broker_group_subscription_read(env, member->protocols[0].metadata, &words))
            return false;
        broker_group_subscription_free(env, &words);
        if (broker_group_subscription_assignment_read(env, member->assignment, &parts, &room))
            return false;
        broker_group_parts_free(env->budget, &parts, room);
    }
    return true;
}

/* --- classic to newer --- */

static enum err words_take(struct group_consumer *group, struct consumer_member *member,
                           const struct group_member *from)
{
    struct budget *budget = group->env->budget;
    struct group_subscription words;
    enum err err = broker_group_subscription_read(group->env, from->protocols[0].metadata, &words);
    if (err)
        return err;
    err = broker_group_parts_names(budget, &member->topics, words.topics, words.topic_count);
    if (!err)
        err = broker_group_parts_text(budget, &member->rack_id, words.rack);
    broker_group_subscription_free(group->env, &words);
    group->scratch.size = 0;
    if (!err)
        err = broker_group_subscription_protocols_write(from->protocols, from->protocol_count,
                                                        &group->scratch);
    if (!err)
        err = broker_group_parts_text(budget, &member->protocols,
                                      slice_make(group->scratch.data, group->scratch.size));
    return err;
}

/* What its leader gave it, without what somebody else has already: a leader may err. */
static enum err parts_take(struct group_consumer *group, struct consumer_member *member,
                           const struct group_member *from)
{
    struct budget *budget = group->env->budget;
    struct group_parts parts;
    size_t room;
    enum err err =
        broker_group_subscription_assignment_read(group->env, from->assignment, &parts, &room);
    if (err)
        return err;
    size_t kept = 0;
    for (size_t i = 0; i < parts.count; i++)
        if (!broker_group_consumer_member_owner(group, &parts.items[i]))
            parts.items[kept++] = parts.items[i];
    parts.count = kept;
    err = broker_group_parts_set(budget, &member->target, &parts);
    if (!err)
        err = broker_group_consumer_member_hold(group, member, &parts, NULL);
    broker_group_parts_free(budget, &parts, room);
    return err;
}

static enum err member_take(struct group_consumer *group, const struct group_member *from)
{
    struct budget *budget = group->env->budget;
    struct consumer_member *member =
        broker_group_consumer_member_new(group, from->id, from->instance_id);
    if (!member)
        return ERR_NO_MEMORY;
    member->is_classic = true;
    member->epoch = group->epoch;
    member->previous_epoch = group->epoch;
    member->session_timeout_ms = from->session_timeout_ms;
    member->rebalance_timeout_ms = from->rebalance_timeout_ms;
    enum err err = broker_group_parts_text(budget, &member->client_id, from->client_id);
    if (!err)
        err = broker_group_parts_text(budget, &member->client_host, from->client_host);
    if (!err)
        err = words_take(group, member, from);
    if (!err)
        err = parts_take(group, member, from);
    if (err)
        return err;
    broker_group_consumer_record_member(group, member);
    broker_group_consumer_record_target(group, member);
    broker_group_consumer_record_current(group, member);
    broker_group_consumer_touch(group, member);
    return ERR_OK;
}

enum err broker_group_consumer_convert_take(struct group_consumer *group,
                                            const struct group *classic)
{
    enum err err = ERR_OK;
    group->epoch = classic->generation;
    group->assignment_epoch = classic->generation;
    list_for_each (node, &classic->order)
        if (!err)
            err = member_take(group, LIST_ENTRY(node, struct group_member, node));
    if (!err)
        err = broker_group_consumer_target_hash(group, &group->hash);
    if (!err) {
        broker_group_consumer_record_epoch(group);
        broker_group_consumer_record_target_epoch(group);
    }
    if (!err && group->is_broken)
        err = ERR_NO_MEMORY;
    if (err)
        group->is_broken = true;
    return err;
}

/* --- back --- */

/* Its list of protocols as an array; *out is freed by the caller. */
static enum err protocols_read(const struct consumer_member *member, struct group_protocol **out,
                               size_t *out_count)
{
    struct slice rest = member->protocols;
    size_t count = broker_group_subscription_protocol_count(&rest);
    *out_count = 0;
    *out = NULL;
    if (count == 0 || count > GROUP_PROTOCOLS_MAX)
        return ERR_CORRUPT;
    *out = calloc(count, sizeof(**out));
    if (!*out)
        return ERR_NO_MEMORY;
    while (*out_count < count &&
           broker_group_subscription_protocol_next(&rest, &(*out)[*out_count]))
        ++*out_count;
    return *out_count == count ? ERR_OK : ERR_CORRUPT;
}

static enum err member_give(const struct consumer_member *from, struct group *classic)
{
    struct group_protocol *protocols;
    size_t count;
    enum err err = protocols_read(from, &protocols, &count);
    struct group_join join = {.instance_id = from->instance_id,
                              .client_id = from->client_id,
                              .client_host = from->client_host,
                              .protocol_type = SLICE_LITERAL("consumer"),
                              .protocols = protocols,
                              .protocol_count = count,
                              .session_timeout_ms = from->session_timeout_ms,
                              .rebalance_timeout_ms = from->rebalance_timeout_ms};
    struct group_member *member;
    if (!err)
        err = broker_group_member_add(classic, from->id, &join, &member);
    free(protocols);
    if (!err)
        broker_group_member_touch(classic, member, member->session_timeout_ms);
    return err;
}

/* What it was to have, in the words of its own version. */
static enum err assignment_give(const struct group_consumer *group,
                                const struct consumer_member *from, struct group *classic)
{
    struct codec_output bytes;
    struct group_subscription words;
    struct group_member *member = broker_group_member_find(classic, from->id);
    struct slice metadata = broker_group_member_metadata(member, classic->protocol_name);
    enum err err = broker_group_subscription_read(group->env, metadata, &words);
    if (err)
        return err;
    int16_t version = words.version;
    broker_group_subscription_free(group->env, &words);
    codec_output_init(&bytes, INT32_MAX);
    err = broker_group_subscription_assignment_write(group->env, version, &from->target, &bytes);
    if (!err)
        err = broker_group_member_own(classic, &member->assignment,
                                      slice_make(bytes.data, bytes.size));
    codec_output_deinit(&bytes);
    return err;
}

enum err broker_group_consumer_convert_give(const struct group_consumer *group,
                                            struct group *classic)
{
    enum err err = ERR_OK;
    list_for_each (node, &group->order)
        if (!err)
            err = member_give(LIST_ENTRY(node, struct consumer_member, node), classic);
    if (err)
        return err;
    classic->generation = group->epoch;
    classic->state = GROUP_STABLE;
    classic->state_since_ms = classic->env->wall_ms;
    struct slice name = broker_group_rebalance_vote(classic);
    err = name.data ? broker_group_member_own(classic, &classic->protocol_name, name) : ERR_CORRUPT;
    list_for_each (node, &group->order)
        if (!err)
            err = assignment_give(group, LIST_ENTRY(node, struct consumer_member, node), classic);
    return err;
}

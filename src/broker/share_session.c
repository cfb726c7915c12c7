// Share sessions: which partitions a member reads through one connection, call after call.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/share_state.h"

#define EPOCH_FINAL (-1)

static struct share_session *session_find(struct share_group *group, struct slice member_id)
{
    list_for_each (node, &group->sessions) {
        struct share_session *session = LIST_ENTRY(node, struct share_session, node);
        if (slice_equal(session->member_id, member_id) && !session->is_gone)
            return session;
    }
    return NULL;
}

static void session_part_free(struct share_group *group, struct share_session *session,
                              struct session_part *part)
{
    map_remove(&session->by_place, slice_make(&part->part, sizeof(part->part)));
    list_remove(&part->node);
    session->part_count--;
    free(part);
    budget_release(group->shares->budget, sizeof(*part));
}

void broker_share_session_free(struct share_group *group, struct share_session *session)
{
    list_remove(&session->node);
    group->shares->session_count--;
    list_for_each_safe (node, following, &session->parts)
        session_part_free(group, session, LIST_ENTRY(node, struct session_part, node));
    map_deinit(&session->by_place);
    budget_release(group->shares->budget, sizeof(*session) + session->member_id.size);
    free(session);
}

void broker_share_session_end(struct share_group *group, struct share_session *session)
{
    uint64_t owner = session->owner;
    session->is_gone = true;
    if (!session->is_busy)
        broker_share_session_free(group, session);
    list_for_each_safe (node, following, &group->cursors) {
        struct share_cursor *cursor = LIST_ENTRY(node, struct share_cursor, node);
        if (!broker_cursor_release(&cursor->cursor, owner))
            continue;
        broker_share_cursor_write(cursor, NULL);
        broker_share_cursor_wake(cursor);
    }
}

static enum err session_new(struct share_group *group, const struct share_call *call,
                            struct share_session **out)
{
    struct shares *shares = group->shares;
    const struct broker_settings *settings = broker_settings_now(shares->core);
    struct share_session *old = session_find(group, call->member_id);
    size_t size = sizeof(*old) + call->member_id.size;
    uint64_t owner = old && !old->is_busy ? old->owner : ++shares->owner_last;
    if (!old && shares->session_count >= (size_t)settings->group_share_max_share_sessions)
        return ERR_LIMIT;
    if (!budget_charge(shares->budget, size))
        return ERR_NO_MEMORY;
    struct share_session *session = calloc(1, size);
    if (!session) {
        budget_release(shares->budget, size);
        return ERR_NO_MEMORY;
    }
    if (old)
        old->is_gone = true;
    if (old && !old->is_busy)
        broker_share_session_free(group, old);
    memcpy(session + 1, call->member_id.data, call->member_id.size);
    session->member_id = slice_make(session + 1, call->member_id.size);
    session->client = call->client;
    session->owner = owner;
    list_init(&session->parts);
    map_init(&session->by_place, core_random(shares->core));
    shares->session_count++;
    list_push_back(&group->sessions, &session->node);
    *out = session;
    return ERR_OK;
}

/* With what is named the session's parts change; those are marked with this call's epoch. */
static enum err session_add(struct share_group *group, struct share_session *session,
                            const struct share_call_part *named)
{
    struct budget *budget = group->shares->budget;
    const struct group_part place = {.topic = named->topic_id, .index = named->index};
    struct session_part *part = map_get(&session->by_place, slice_make(&place, sizeof(place)));
    if (part) {
        part->epoch = session->epoch;
        if (named->forgotten)
            session_part_free(group, session, part);
        return ERR_OK;
    }
    if (named->forgotten)
        return ERR_OK;
    if (!budget_charge(budget, sizeof(*part)))
        return ERR_NO_MEMORY;
    part = malloc(sizeof(*part));
    if (part)
        *part = (struct session_part){.part = place, .epoch = session->epoch};
    if (!part ||
        !map_put(&session->by_place, slice_make(&part->part, sizeof(part->part)), part, NULL)) {
        free(part);
        budget_release(budget, sizeof(*part));
        return ERR_NO_MEMORY;
    }
    list_push_back(&session->parts, &part->node);
    session->part_count++;
    return ERR_OK;
}

/* Those that were named, then the others of the session. */
static enum err parts_fill(struct share_call *call, struct share_session *session)
{
    size_t room = call->named_count + session->part_count;
    call->parts = arena_alloc_array(&call->arena, room, sizeof(struct share_call_part *));
    struct share_call_part *others =
        arena_alloc_array(&call->arena, session->part_count, sizeof(*others));
    if (!call->parts || !others)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < call->named_count; i++)
        call->parts[call->part_count++] = &call->named[i];
    list_for_each (node, &session->parts) {
        const struct session_part *part = LIST_ENTRY(node, struct session_part, node);
        if (part->epoch == session->epoch || !call->is_fetch || call->is_final)
            continue;
        *others = (struct share_call_part){.topic_id = part->part.topic, .index = part->part.index};
        call->parts[call->part_count++] = others++;
    }
    for (size_t i = 0; i < call->part_count; i++) {
        call->parts[i]->call = call;
        list_init(&call->parts[i]->waiting);
    }
    return ERR_OK;
}

enum err broker_share_session_enter(struct share_group *group, struct share_call *call,
                                    struct share_session **out)
{
    struct share_session *session = session_find(group, call->member_id);
    enum err err = ERR_OK;
    call->is_final = call->epoch == EPOCH_FINAL;
    if (call->epoch == 0)
        err = call->is_fetch ? session_new(group, call, &session) : ERR_SEQUENCE;
    else if (!session)
        err = ERR_NOT_FOUND;
    else if (session->is_busy || (!call->is_final && session->epoch != call->epoch))
        err = ERR_SEQUENCE;
    if (err)
        return err;
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    session->client = call->client;
    for (size_t i = 0; i < call->named_count && call->is_fetch && !err; i++)
        err = session_add(group, session, &call->named[i]);
    if (!err)
        err = parts_fill(call, session);
    if (err)
        return err;
    session->is_busy = true;
    *out = session;
    return ERR_OK;
}

// Share sessions: which partitions a member reads through one connection, call after call.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/share_state.h"

#define EPOCH_FINAL (-1)
#define PARTS_MIN   8

static struct share_session *session_find(struct share_group *group, struct slice member_id)
{
    list_for_each (node, &group->sessions) {
        struct share_session *session = LIST_ENTRY(node, struct share_session, node);
        if (slice_equal(session->member_id, member_id) && !session->is_gone)
            return session;
    }
    return NULL;
}

void broker_share_session_free(struct share_group *group, struct share_session *session)
{
    struct budget *budget = group->shares->budget;
    list_remove(&session->node);
    group->shares->session_count--;
    budget_release(budget, session->part_capacity * sizeof(*session->parts) + sizeof(*session) +
                               session->member_id.size);
    free(session->parts);
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
    shares->session_count++;
    list_push_back(&group->sessions, &session->node);
    *out = session;
    return ERR_OK;
}

static size_t session_index(const struct share_session *session, const struct uuid *topic_id,
                            int32_t index)
{
    size_t i = 0;
    while (i < session->part_count &&
           (session->parts[i].index != index || !uuid_equal(&session->parts[i].topic, topic_id)))
        i++;
    return i;
}

static enum err session_add(struct share_group *group, struct share_session *session,
                            const struct share_call_part *part)
{
    size_t index = session_index(session, &part->topic_id, part->index);
    if (part->forgotten) {
        if (index < session->part_count)
            session->parts[index] = session->parts[--session->part_count];
        return ERR_OK;
    }
    if (index < session->part_count)
        return ERR_OK;
    if (session->part_count == session->part_capacity) {
        size_t capacity = MAX(session->part_capacity * 2, (size_t)PARTS_MIN);
        size_t more = (capacity - session->part_capacity) * sizeof(*session->parts);
        if (!budget_charge(group->shares->budget, more))
            return ERR_NO_MEMORY;
        struct group_part *parts = realloc(session->parts, capacity * sizeof(*parts));
        if (!parts) {
            budget_release(group->shares->budget, more);
            return ERR_NO_MEMORY;
        }
        session->parts = parts;
        session->part_capacity = capacity;
    }
    session->parts[session->part_count++] =
        (struct group_part){.topic = part->topic_id, .index = part->index};
    return ERR_OK;
}

static struct share_call_part *named(const struct share_call *call, const struct group_part *part)
{
    for (size_t i = 0; i < call->named_count; i++)
        if (call->named[i].index == part->index &&
            uuid_equal(&call->named[i].topic_id, &part->topic))
            return &call->named[i];
    return NULL;
}

/* Those that were named, then the others of the session. */
static enum err parts_fill(struct share_call *call, const struct share_session *session)
{
    size_t room = call->named_count + session->part_count;
    call->parts = arena_alloc_array(&call->arena, room, sizeof(struct share_call_part *));
    struct share_call_part *others =
        arena_alloc_array(&call->arena, session->part_count, sizeof(*others));
    if (!call->parts || !others)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < call->named_count; i++)
        call->parts[call->part_count++] = &call->named[i];
    for (size_t i = 0; i < session->part_count && call->is_fetch && !call->is_final; i++) {
        const struct group_part *part = &session->parts[i];
        if (named(call, part))
            continue;
        others[i] = (struct share_call_part){.topic_id = part->topic, .index = part->index};
        call->parts[call->part_count++] = &others[i];
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

// Groups of the newer protocol: an answer goes out when what it tells is durable.
// SPDX-License-Identifier: Apache-2.0
//
// The state machine runs ahead of the log. Its records gather in one batch while the batch before
// is on its way; each answer waits for the batch that was the newest when it was made. When a batch
// fails, everything that ran ahead is void: answers get the error, and the group is made anew from
// what is durable.
#include <stdlib.h>

#include "broker/group_coordinator.h"

static void turn_done(void *arg, enum err err);

void broker_group_turn_init(struct group_entry *entry)
{
    struct group_turn *turn = &entry->turn;
    list_init(&turn->answers);
    list_init(&turn->sent);
}

struct group_append *broker_group_turn_write(struct group_entry *entry)
{
    if (!entry->turn.next)
        entry->turn.next = broker_group_write_new(entry);
    return entry->turn.next;
}

static void answers_finish(struct group_entry *entry, struct list *answers, enum err err)
{
    struct core *core = entry->partition->groups->core;
    struct list *node;
    while ((node = list_pop_front(answers)) != NULL) {
        struct broker_call *call = LIST_ENTRY(node, struct broker_call, node);
        broker_call_finish(core, call, err ? err : call->err);
    }
}

void broker_group_turn_answer(struct group_entry *entry, struct broker_call *call, enum err err)
{
    struct group_turn *turn = &entry->turn;
    call->err = err;
    if (turn->next && !broker_group_write_is_empty(turn->next))
        list_push_back(&turn->answers, &call->node);
    else if (turn->is_sent)
        list_push_back(&turn->sent, &call->node);
    else
        broker_call_finish(entry->partition->groups->core, call, err);
}

bool broker_group_turn_is_idle(const struct group_entry *entry)
{
    return !entry->turn.is_sent && !entry->turn.next && !entry->turn.is_void;
}

/* --- back to what is durable --- */

static void turn_restore(struct group_entry *entry)
{
    enum err err = broker_group_load_entry(entry);
    entry->turn.is_void = err != ERR_OK;
    if (err)
        log_error(core_logger(entry->partition->groups->core), "broker",
                  "a group cannot be made anew: %s group=%.*s", err_text(err),
                  (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data);
}

void broker_group_turn_void(struct group_entry *entry, enum err err)
{
    struct group_turn *turn = &entry->turn;
    if (turn->next)
        broker_group_write_drop(turn->next);
    turn->next = NULL;
    turn->is_void = true;
    broker_group_entry_consumer_free(entry);
    broker_group_entry_share_free(entry);
    broker_group_classic_reset(&entry->group, ERR_REBALANCE);
    answers_finish(entry, &turn->answers, err);
    if (!turn->is_sent)
        turn_restore(entry);
}

bool broker_group_turn_is_ready(struct group_entry *entry)
{
    struct group_turn *turn = &entry->turn;
    if (turn->is_void && !turn->is_sent)
        turn_restore(entry);
    return !turn->is_void;
}

/* --- on its way --- */

void broker_group_turn_end(struct group_entry *entry)
{
    struct group_turn *turn = &entry->turn;
    bool is_broken = (entry->consumer && entry->consumer->is_broken) ||
                     (entry->share && entry->share->is_broken);
    if (is_broken) {
        broker_group_turn_void(entry, ERR_NO_MEMORY);
        return;
    }
    if (turn->is_sent || !turn->next)
        return;
    struct group_append *write = turn->next;
    turn->next = NULL;
    if (broker_group_write_is_empty(write)) {
        broker_group_write_drop(write);
        return;
    }
    turn->is_sent = true;
    list_splice_back(&turn->sent, &turn->answers);
    broker_group_write_send(write, turn_done, entry);
}

static void turn_done(void *arg, enum err err)
{
    struct group_entry *entry = arg;
    struct group_turn *turn = &entry->turn;
    turn->is_sent = false;
    answers_finish(entry, &turn->sent, err);
    if (err)
        broker_group_turn_void(entry, err);
    else if (turn->is_void)
        turn_restore(entry);
    else
        broker_group_turn_end(entry);
}

void broker_group_turn_stop(struct group_entry *entry)
{
    answers_finish(entry, &entry->turn.answers, ERR_CLOSED);
    answers_finish(entry, &entry->turn.sent, ERR_CLOSED);
    if (entry->turn.next)
        broker_group_write_drop(entry->turn.next);
    entry->turn.next = NULL;
}

/* consumer_env.record: owner is the entry. */
enum err broker_group_turn_record(struct consumer_env *env, void *owner, enum consumer_fact fact,
                                  struct slice name, struct slice value)
{
    struct group_append *write = broker_group_turn_write(owner);
    return write ? broker_group_write_fact(write, fact, name, value) : ERR_NO_MEMORY;
}

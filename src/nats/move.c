// A connection and its subscriptions go to another core: nothing lost, doubled or out of order.
// SPDX-License-Identifier: Apache-2.0
//
// The steps, which the README of this room tells more about:
// 1. The giver pauses the connection's input and sends the move to the taker.
// 2. The taker adds stand-ins for the subscriptions, and tells every core of them. With that word
//    a core switches: what it sends before is for the giver to deliver, what it sends afterwards
//    for the taker. Both get its word that it has switched, in the order of its messages.
// 3. The giver has everybody's word: it takes its subscriptions back, and when output is empty the
//    connection goes. What the taker parked meanwhile is delivered as the first.
// What is parked counts as on its way to those who sent it: they wait, and stay on their cores.
#include "nats/move.h"

#include <stdlib.h>

#include "nats/view_live.h"

struct nats_parked {
    struct list node;
    uint32_t index;              /* of the stand-in */
    struct nats_parcel *parcel;  /* NULL: sent on this core */
    struct nats_message message; /* holds a reference of its buffer */
};

static void move_prepares(struct core *core, struct core_message *message);
static void word_for_giver(struct core *core, struct core_message *message);
static void word_for_taker(struct core *core, struct core_message *message);
static void has_settled(struct core *core, struct core_message *message);
static void move_ends(struct nats_core *home, struct nats_move *move);

/* --- made and freed --------------------------------------------------------------------------- */

static size_t stand_in_size(const struct nats_sub *sub)
{
    return nats_conn_sub_size(nats_conn_sub_text_size(sub));
}

static struct nats_sub *stand_in_new(struct nats_move *move, const struct nats_sub *of)
{
    size_t size = stand_in_size(of);
    struct nats_sub *sub = malloc(size);
    if (!sub)
        return NULL;
    *sub = (struct nats_sub){
        .conn = &move->shell,
        .delivered = move->sub_count, /* nothing is counted here: its place among the stand-ins */
    };
    memcpy(sub->text, of->text, nats_conn_sub_text_size(of));
    broker_interest_set(&sub->interest,
                        slice_make(sub->text + nats_conn_sid(of).size, of->interest.subject_size),
                        broker_interest_queue_size(&of->interest));
    return sub;
}

static void stand_ins_remove(struct nats_core *home, struct nats_move *move)
{
    for (uint32_t i = 0; i < move->sub_count; i++) {
        struct interest_sub *sub = &move->subs[i]->interest;
        broker_interest_remove(nats_view_interest(home, broker_interest_subject(sub)), sub);
    }
}

static void move_free(struct nats_core *home, struct nats_move *move)
{
    struct budget *budget = reactor_budget(core_reactor(home->core));
    for (uint32_t i = 0; i < move->sub_count; i++) {
        budget_release(budget, stand_in_size(move->subs[i]));
        free(move->subs[i]);
    }
    nats_config_unref(move->shell.config);
    free(move->subs);
    free(move->to_giver);
    free(move->to_taker);
    free(move->switched);
    free(move);
}

static void move_unref(struct nats_core *home, struct nats_move *move)
{
    if (atomic_fetch_sub(&move->refs, 1) == 1)
        move_free(home, move);
}

static bool stand_ins_make(struct nats_move *move, const struct nats_conn *conn)
{
    struct budget *budget = reactor_budget(core_reactor(conn->home->core));
    struct nats_sids_walk at_sub = {0};
    const struct nats_sub *of;
    while ((of = nats_sids_next(&conn->subs, &at_sub)) != NULL) {
        if (!budget_charge(budget, stand_in_size(of)))
            return false;
        struct nats_sub *sub = stand_in_new(move, of);
        if (!sub) {
            budget_release(budget, stand_in_size(of));
            return false;
        }
        move->subs[move->sub_count++] = sub;
    }
    return true;
}

static void try_run(struct core *core, struct core_task *task)
{
    struct nats_move *move = CONTAINER_OF(task, struct nats_move, task);
    if (move->conn && nats_conn_is_open(move->conn))
        conn_go(move->conn->conn);
}

static struct nats_move *move_new(struct nats_conn *conn, unsigned to)
{
    unsigned core_count = conn->home->nats->core_count;
    struct nats_move *move = calloc(1, sizeof(*move));
    if (!move)
        return NULL;
    move->giver = core_id(conn->home->core);
    move->taker = to;
    move->core_count = move->giver_missing = move->taker_missing = core_count;
    move->conn = conn;
    move->shell.config = nats_config_ref(conn->config);
    move->shell.move = move;
    move->subs = calloc(conn->subs.count, sizeof(struct nats_sub *));
    move->to_giver = calloc(core_count, sizeof(*move->to_giver));
    move->to_taker = calloc(core_count, sizeof(*move->to_taker));
    move->switched = calloc(core_count, sizeof(*move->switched));
    move->refs = core_count + 1;
    core_task_init(&move->task, try_run);
    list_init(&move->node);
    list_init(&move->leaving);
    list_init(&move->parked);
    bool is_ready = move->subs && move->to_giver && move->to_taker && move->switched;
    if (is_ready && stand_ins_make(move, conn)) {
        for (unsigned i = 0; i < core_count; i++) {
            move->to_giver[i] = (struct nats_move_word){{.run = word_for_giver}, move, false};
            move->to_taker[i] = (struct nats_move_word){{.run = word_for_taker}, move, false};
            move->switched[i].settled.run = has_settled;
            move->switched[i].move = move;
        }
        return move;
    }
    move_free(conn->home, move);
    return NULL;
}

/* --- the giver -------------------------------------------------------------------------------- */

static bool may_begin(const struct nats_conn *conn)
{
    return nats_conn_is_open(conn) && !conn->move && conn->waits == 0 && !conn->login &&
           !conn->fence && !conn->home->is_lame && conn->subs.count > 0 &&
           conn->subs.count <= NATS_MOVE_SUBS_MAX &&
           conn_output_size(conn->conn) <= NATS_MOVE_OUTPUT_SIZE_MAX;
}

void nats_move_wished(struct conn *conn, unsigned to)
{
    struct nats_conn *state = conn_state(conn);
    if (!state || !may_begin(state))
        return;
    struct nats_move *move = move_new(state, to);
    if (!move)
        return; /* it stays where it is */
    state->move = move;
    list_push_back(&state->home->leavings, &move->leaving);
    conn_bind(conn, to);
    move->message.run = move_prepares;
    core_send(state->home->core, to, &move->message);
}

bool nats_move_is_ready(const struct nats_conn *conn)
{
    const struct nats_move *move = conn->move;
    return move ? move->is_settled && !move->has_ended : conn->subs.count == 0;
}

void nats_move_try(struct nats_conn *conn)
{
    struct nats_move *move = conn->move;
    if (move && move->is_settled && !move->has_ended && nats_conn_is_open(conn))
        core_task_post(conn->home->core, &move->task);
}

void nats_move_leave(struct nats_conn *conn)
{
    struct nats_move *move = conn->move;
    if (!move)
        return;
    core_task_cancel(&move->task);
    metric_add(&conn->home->counters.subscriptions, -(uint64_t)conn->subs.count);
}

static void move_cancelled(struct core *core, struct core_message *message)
{
    struct nats_move *move = CONTAINER_OF(message, struct nats_move, message);
    struct nats_core *home = nats_state_of(core);
    stand_ins_remove(home, move);
    nats_view_live_recheck(home);
    move_ends(home, move);
}

static void move_cancel(struct nats_core *home, struct nats_move *move)
{
    core_task_cancel(&move->task);
    move->message.run = move_cancelled;
    core_send(home->core, move->taker, &move->message);
}

static struct interest *interest_of(const struct nats_core *home, const struct nats_sub *sub)
{
    return nats_view_interest(home, broker_interest_subject(&sub->interest));
}

/* Nothing for the connection is on its way here any more. */
static void giver_settles(struct nats_core *home, struct nats_move *move)
{
    struct nats_conn *conn = move->conn;
    struct nats_sids_walk at_sub = {0};
    struct nats_sub *sub;
    move->is_settled = true;
    list_remove(&move->leaving);
    /* After what was announced with the connection, before what is announced without it. */
    nats_announce_flush(home);
    for (unsigned to = 0; to < move->core_count; to++)
        core_send(home->core, to, &move->switched[to].settled);
    while ((sub = move->ghosts) != NULL) {
        move->ghosts = sub->next_finished;
        broker_interest_remove(interest_of(home, sub), &sub->interest);
        nats_subs_free(sub);
    }
    while (conn && (sub = nats_sids_next(&conn->subs, &at_sub)) != NULL)
        broker_interest_remove(interest_of(home, sub), &sub->interest);
    if (conn)
        nats_move_try(conn);
    else
        move_cancel(home, move);
}

bool nats_move_keep_ghost(struct nats_sub *sub)
{
    struct nats_move *move = sub->conn->move;
    if (!move || move->is_settled || broker_interest_queue_size(&sub->interest) == 0)
        return false;
    move->ghost.home = sub->conn->home;
    sub->conn = &move->ghost;
    sub->next_finished = move->ghosts;
    move->ghosts = sub;
    return true;
}

static void giver_hears(struct nats_core *home, struct nats_move *move, uint32_t from)
{
    move->to_giver[from].has_come = true;
    if (--move->giver_missing == 0)
        giver_settles(home, move);
}

static void word_for_giver(struct core *core, struct core_message *message)
{
    struct nats_move_word *word = CONTAINER_OF(message, struct nats_move_word, message);
    giver_hears(nats_state_of(core), word->move, (uint32_t)(word - word->move->to_giver));
}

static void move_refused(struct core *core, struct core_message *message)
{
    struct nats_move *move = CONTAINER_OF(message, struct nats_move, message);
    struct nats_conn *conn = move->conn;
    list_remove(&move->leaving);
    if (conn) {
        conn->move = NULL;
        conn_unbind(conn->conn);
    }
    move_free(nats_state_of(core), move);
}

/* --- every core ------------------------------------------------------------------------------- */

/* Members of groups count for the taker, as its announcement said, and no longer for the giver. */
static void giver_counts_less(struct nats_core *home, const struct nats_move *move)
{
    for (uint32_t i = 0; i < move->sub_count; i++) {
        struct slice subject = broker_interest_subject(&move->subs[i]->interest);
        struct slice queue = broker_interest_queue(&move->subs[i]->interest);
        if (!queue.data)
            continue;
        struct interest *interest = nats_view_interest(home, subject);
        uint32_t count = broker_interest_remote_get(interest, move->giver, subject, queue);
        enum err err = ERR_OK;
        if (count > 0)
            err = broker_interest_remote_set(interest, move->giver, subject, queue, count - 1);
        CHECK(err == ERR_OK); /* it takes no memory */
    }
}

uint32_t nats_move_count(const struct nats_core *home, uint32_t from, struct slice subject,
                         struct slice queue)
{
    uint32_t count = 0;
    if (!queue.data || list_empty(&home->switched))
        return 0;
    list_for_each (node, &home->switched) {
        const struct nats_move *move = LIST_ENTRY(node, struct nats_move_switched, node)->move;
        for (uint32_t i = 0; move->giver == from && i < move->sub_count; i++)
            count += slice_equal(broker_interest_subject(&move->subs[i]->interest), subject) &&
                     slice_equal(broker_interest_queue(&move->subs[i]->interest), queue);
    }
    return count;
}

static void has_settled(struct core *core, struct core_message *message)
{
    struct nats_move_switched *switched = CONTAINER_OF(message, struct nats_move_switched, settled);
    list_remove(&switched->node);
    move_unref(nats_state_of(core), switched->move);
}

static void taker_hears(struct nats_core *home, struct nats_move *move, uint32_t from);

static void word_for_taker(struct core *core, struct core_message *message)
{
    struct nats_move_word *word = CONTAINER_OF(message, struct nats_move_word, message);
    taker_hears(nats_state_of(core), word->move, (uint32_t)(word - word->move->to_taker));
}

void nats_move_switch(struct nats_core *home, struct nats_move *move)
{
    uint32_t here = core_id(home->core);
    uint32_t giver = move->giver;
    uint32_t taker = move->taker;
    struct core_message *to_giver = &move->to_giver[here].message;
    struct core_message *to_taker = &move->to_taker[here].message;
    if (here != giver)
        giver_counts_less(home, move);
    list_push_back(&home->switched, &move->switched[here].node);
    nats_announce_flush(home);
    nats_parcel_flush(home);
    /* With the last word at the giver the move may end: it is not looked at any more then. */
    if (here == taker)
        taker_hears(home, move, here);
    else
        core_send(home->core, taker, to_taker);
    if (here == giver)
        giver_hears(home, move, here);
    else
        core_send(home->core, giver, to_giver);
}

/* --- the taker -------------------------------------------------------------------------------- */

static bool stand_ins_add(struct nats_core *home, struct nats_move *move)
{
    for (uint32_t i = 0; i < move->sub_count; i++) {
        struct interest_sub *sub = &move->subs[i]->interest;
        if (broker_interest_add(nats_view_interest(home, broker_interest_subject(sub)), sub) !=
            ERR_OK)
            return false;
    }
    return true;
}

static void move_prepares(struct core *core, struct core_message *message)
{
    struct nats_move *move = CONTAINER_OF(message, struct nats_move, message);
    struct nats_core *home = nats_state_of(core);
    move->shell.home = home;
    if (!nats_announce_reserve(home, move) || !stand_ins_add(home, move)) {
        stand_ins_remove(home, move);
        message->run = move_refused;
        core_send(core, move->giver, message);
        return;
    }
    move->is_prepared = true;
    list_push_back(&home->arrivals, &move->node);
    nats_announce_move(home, move);
    nats_move_switch(home, move);
}

static void taker_is_done(struct nats_core *home, struct nats_move *move)
{
    if (move->conn)
        move->conn->move = NULL;
    list_remove(&move->node);
    move_unref(home, move);
}

static void taker_hears(struct nats_core *home, struct nats_move *move, uint32_t from)
{
    move->to_taker[from].has_come = true;
    if (--move->taker_missing == 0 && move->has_ended)
        taker_is_done(home, move);
}

/* --- messages meanwhile ----------------------------------------------------------------------- */

static bool park(struct nats_core *home, struct nats_move *move, uint32_t index,
                 struct nats_message *message)
{
    struct budget *budget = reactor_budget(core_reactor(home->core));
    size_t size_max = move->shell.config->pending_size_max;
    struct nats_parked *parked = NULL;
    size_t size = message->payload.size + NATS_MOVE_PARK_SIZE;
    if (size_max - move->parked_size < size)
        move->is_over = true;
    if (!move->is_over && budget_charge(budget, NATS_MOVE_PARK_SIZE) &&
        !(parked = malloc(sizeof(*parked))))
        budget_release(budget, NATS_MOVE_PARK_SIZE);
    if (!parked) {
        move->is_starved |= !move->is_over;
        move->is_over = true;
        return false;
    }
    *parked = (struct nats_parked){
        .index = index, .message = *message, .parcel = nats_parcel_park(home, message)};
    buf_ref(message->payload.buf);
    list_push_back(&move->parked, &parked->node);
    move->parked_size += size;
    message->met_full |= move->parked_size > size_max / 100 * NATS_FULL_PERCENT;
    if (message->met_full && message->publisher)
        nats_stall_begin(message->publisher, NULL);
    return true;
}

enum nats_move_fate nats_move_meet(struct nats_core *home, const struct nats_sub *sub,
                                   struct nats_message *message, bool is_last)
{
    struct nats_move *move = sub->conn->move;
    uint32_t from = nats_parcel_from(home);
    bool is_giver = core_id(home->core) == move->giver;
    bool is_mine = is_giver != (is_giver ? &move->to_giver[from] : &move->to_taker[from])->has_come;
    if (!is_mine && !is_last)
        return NATS_MOVE_PASS;
    if (sub->conn != &move->shell)
        return NATS_MOVE_DELIVER;
    return park(home, move, (uint32_t)sub->delivered, message) ? NATS_MOVE_PARKED : NATS_MOVE_PASS;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* To who it was parked for; a group's goes to another member otherwise. */
static void unpark(struct nats_core *home, struct nats_move *move, struct nats_parked *parked)
{
    struct nats_sub *stand_in = move->subs[parked->index];
    struct nats_conn *conn = move->conn;
    struct nats_sub *sub = conn ? nats_sids_get(&conn->subs, nats_conn_sid(stand_in)) : NULL;
    struct nats_message *message = &parked->message;
    message->met_full = false;
    bool is_taken = sub && nats_deliver_one(home, message, sub);
    if (!is_taken && broker_interest_queue_size(&stand_in->interest) > 0)
        nats_parcel_regroup(home, message, broker_interest_queue(&stand_in->interest));
    nats_parcel_unpark(home, parked->parcel, message);
    buf_unref(message->payload.buf);
    budget_release(reactor_budget(core_reactor(home->core)), NATS_MOVE_PARK_SIZE);
    free(parked);
}

static void move_ends(struct nats_core *home, struct nats_move *move)
{
    struct list *node;
    while ((node = list_pop_front(&move->parked)) != NULL)
        unpark(home, move, LIST_ENTRY(node, struct nats_parked, node));
    nats_subs_remove_finished(home);
    nats_announce_flush(home);
    nats_parcel_flush(home);
    move->has_ended = true;
    if (move->taker_missing == 0)
        taker_is_done(home, move);
    else if (move->conn)
        move->conn->move = move;
}

void nats_move_land(struct nats_conn *conn)
{
    struct nats_move *move = conn->move;
    struct nats_core *home = conn->home;
    for (uint32_t i = 0; i < move->sub_count; i++) {
        struct nats_sub *stand_in = move->subs[i];
        struct nats_sub *sub = nats_sids_get(&conn->subs, nats_conn_sid(stand_in));
        struct interest *interest =
            nats_view_interest(home, broker_interest_subject(&stand_in->interest));
        if (sub)
            broker_interest_replace(interest, &stand_in->interest, &sub->interest);
        else
            broker_interest_remove(interest, &stand_in->interest);
    }
    conn->is_unsynced = false; /* every core has switched */
    conn->move = NULL;         /* what was parked is let through */
    if (move->is_over)
        nats_conn_cut(conn, move->is_starved ? NATS_REASON_OUT_OF_MEMORY
                                             : NATS_REASON_SLOW_CONSUMER_PENDING);
    metric_add(&home->counters.subscriptions, conn->subs.count);
    move_ends(home, move);
}

void nats_move_forget(struct nats_conn *conn)
{
    struct nats_move *move = conn->move;
    if (!move)
        return;
    conn->move = NULL;
    move->conn = NULL;
    if (move->is_settled && !move->has_ended)
        move_cancel(conn->home, move);
}

void nats_move_close(struct nats_core *home)
{
    list_for_each_safe (node, following, &home->arrivals) {
        struct nats_move *move = LIST_ENTRY(node, struct nats_move, node);
        CHECK(list_empty(&move->parked)); /* the loop has run until nothing was left */
        stand_ins_remove(home, move);
        list_remove(&move->node);
        move_free(home, move);
    }
}

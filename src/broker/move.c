// Hands a partition from one core to another while calls for it wait.
// SPDX-License-Identifier: Apache-2.0
//
// 1. The owner sends a mark to every core. A core that has it parks its calls and sends a token
// back
//    through its ring: behind the token nothing of it comes.
// 2. With all tokens, and nothing left at the store, the owner detaches the log: all of it is
//    committed and checkpointed.
// 3. The new home attaches it, publishes itself and tells every core to release what it parked, in
//    order. The move is over when all cores have said so.
// What was parked is bounded in bytes and in time: beyond that calls fail with ERR_BUSY.
#include <stdlib.h>

#include "broker/state.h"

#define MOVE_PARKED_SIZE_MAX ((size_t)16 << 20) /* of one partition on one core */
#define MOVE_CALL_SIZE       512                /* what a call without a batch counts */
#define MOVE_PARKED_NS_MAX   5000000000ull
#define MOVE_COUNT_MAX       8 /* from one core at a time */

enum move_state {
    MOVE_MARKING,    /* tokens are missing */
    MOVE_QUIESCING,  /* the store still has calls */
    MOVE_DETACHING,  /* the store commits and checkpoints */
    MOVE_TRAVELLING, /* between the cores */
    MOVE_RELEASING,  /* home again: calls are served */
};

struct broker_move {
    struct broker_partition *partition;
    unsigned from;
    unsigned to;
    enum move_state state;
    unsigned left; /* tokens, then acknowledgements of the release */
    struct core_message hand;
    struct core_message over;
    struct move_part parts[]; /* one a core */
};

bool broker_move_is_away(const struct broker_move *move)
{
    return move->state == MOVE_DETACHING || move->state == MOVE_TRAVELLING;
}

static struct core *move_core(const struct broker_move *move, unsigned id)
{
    return reactor_core(move->partition->broker->reactor, id);
}

/* --- parking, on every core ------------------------------------------------------------------- */

struct move_part *broker_move_part(struct core *core, const struct broker_partition *partition)
{
    list_for_each (node, &broker_core(core)->moves) {
        struct move_part *part = LIST_ENTRY(node, struct move_part, node);
        if (part->move->partition == partition)
            return part;
    }
    return NULL;
}

static void move_refuse(struct core *core, struct broker_call *call)
{
    if (broker_watch_is(call))
        broker_watch_unpark(core, call, ERR_BUSY);
    else
        broker_call_finish(core, call, ERR_BUSY);
}

void broker_move_park(struct core *core, struct move_part *part, struct broker_call *call)
{
    size_t size_bytes = MOVE_CALL_SIZE + broker_append_size(call);
    bool is_first = list_empty(&part->calls);
    if (part->overdue || (!is_first && part->size_bytes + size_bytes > MOVE_PARKED_SIZE_MAX)) {
        move_refuse(core, call);
        return;
    }
    part->size_bytes += size_bytes;
    list_push_back(&part->calls, &call->node);
}

static void move_overdue(struct core *core, struct core_timer *timer)
{
    struct move_part *part = CONTAINER_OF(timer, struct move_part, timer);
    struct list *node;
    part->overdue = true;
    while ((node = list_pop_front(&part->calls)))
        move_refuse(core, LIST_ENTRY(node, struct broker_call, node));
}

static void move_token(struct core *core, struct core_message *message);

static void move_mark(struct core *core, struct core_message *message)
{
    struct move_part *part = CONTAINER_OF(message, struct move_part, message);
    list_push_back(&broker_core(core)->moves, &part->node);
    core_timer_set(core, &part->timer, core_now_ns(core) + MOVE_PARKED_NS_MAX);
    part->message.run = move_token;
    core_send(core, part->move->from, &part->message);
}

static void move_released(struct core *core, struct core_message *message);

static void move_release(struct core *core, struct core_message *message)
{
    struct move_part *part = CONTAINER_OF(message, struct move_part, message);
    struct list *node;
    list_remove(&part->node);
    core_timer_cancel(core, &part->timer);
    while ((node = list_pop_front(&part->calls)))
        broker_call_route(core, LIST_ENTRY(node, struct broker_call, node));
    while ((node = list_pop_front(&part->cancels)))
        broker_watch_cancel_route(core, LIST_ENTRY(node, struct broker_watch, cancel_node));
    part->message.run = move_released;
    unsigned home = atomic_load_explicit(&part->move->partition->home, memory_order_relaxed);
    core_send(core, home, &part->message);
}

/* --- the owner -------------------------------------------------------------------------------- */

bool broker_move_start(struct core *core, struct broker_partition *partition, unsigned to)
{
    struct broker *broker = partition->broker;
    struct broker_core *here = broker_core(core);
    if (partition->move || broker_partition_is_gone(partition) || partition->internal ||
        to == core_id(core) || to >= broker->core_count || here->moving >= MOVE_COUNT_MAX ||
        here->draining || store_log_state(partition->log) != ERR_OK)
        return false;
    struct broker_move *move =
        calloc(1, sizeof(*move) + broker->core_count * sizeof(struct move_part));
    if (!move)
        return false;
    move->partition = broker_partition_ref(partition);
    move->from = core_id(core);
    move->to = to;
    move->left = broker->core_count;
    partition->move = move;
    here->moving++;
    for (unsigned i = 0; i < broker->core_count; i++) {
        struct move_part *part = &move->parts[i];
        part->move = move;
        list_init(&part->node);
        list_init(&part->calls);
        list_init(&part->cancels);
        core_timer_init(&part->timer, move_overdue);
        part->message.run = move_mark;
        core_send(core, i, &part->message);
    }
    return true;
}

static void move_detached(void *arg, enum err err);
static void move_go_on(struct core *core, struct broker_move *move);

static void move_detach_if_quiet(struct core *core, struct broker_move *move)
{
    if (move->state != MOVE_QUIESCING || move->partition->pending > 0)
        return;
    if (broker_partition_is_gone(move->partition)) { /* its topic was deleted meanwhile */
        move_go_on(core, move);
        return;
    }
    move->state = MOVE_DETACHING;
    store_log_detach(move->partition->log, move_detached, move);
}

void broker_move_quiet(struct core *core, struct broker_move *move)
{
    move_detach_if_quiet(core, move);
}

static void move_token(struct core *core, struct core_message *message)
{
    struct broker_move *move = CONTAINER_OF(message, struct move_part, message)->move;
    if (--move->left > 0)
        return;
    move->state = MOVE_QUIESCING;
    move_detach_if_quiet(core, move);
}

/* The partition is served again, here; parked calls may come. */
static void move_go_on(struct core *core, struct broker_move *move)
{
    struct broker_partition *partition = move->partition;
    struct broker_core *here = broker_core(core);
    move->state = MOVE_RELEASING;
    move->left = partition->broker->core_count;
    memset(&partition->traffic, 0, sizeof(partition->traffic));
    const struct broker_topic *topic = broker_topic_find_id(core, &partition->topic_id);
    if (topic)
        broker_partition_settings_set(partition, broker_topic_version_of(topic)->settings);
    if (atomic_load_explicit(&partition->closing, memory_order_relaxed))
        broker_partition_close(core, partition);
    if (!broker_partition_is_gone(partition))
        broker_watch_wake(core, partition);
    for (unsigned i = 0; i < here->broker->core_count; i++) {
        move->parts[i].message.run = move_release;
        core_send(core, i, &move->parts[i].message);
    }
}

static void move_arrive(struct core *core, struct core_message *message)
{
    struct broker_move *move = CONTAINER_OF(message, struct broker_move, hand);
    store_log_attach(move->partition->log, core);
    atomic_store_explicit(&move->partition->home, core_id(core), memory_order_relaxed);
    move_go_on(core, move);
}

static void move_detached(void *arg, enum err err)
{
    struct broker_move *move = arg;
    struct broker_partition *partition = move->partition;
    struct core *core = move_core(move, move->from);
    if (err) {
        log_warn(partition->broker->logger, "broker", "partition stays on its core error=%s",
                 err_name(err));
        if (store_log_state(partition->log) != ERR_OK)
            atomic_store_explicit(&partition->offline, true, memory_order_relaxed);
        move_go_on(core, move);
        return;
    }
    move->state = MOVE_TRAVELLING;
    atomic_store_explicit(&partition->home, BROKER_HOME_NONE, memory_order_relaxed);
    move->hand.run = move_arrive;
    core_send(core, move->to, &move->hand);
}

/* Back where it began, for the count; the last step. */
static void move_over(struct core *core, struct core_message *message)
{
    struct broker_move *move = CONTAINER_OF(message, struct broker_move, over);
    broker_core(core)->moving--;
    broker_partition_unref(move->partition);
    free(move);
    broker_drain_look(core);
}

static void move_released(struct core *core, struct core_message *message)
{
    struct broker_move *move = CONTAINER_OF(message, struct move_part, message)->move;
    if (--move->left > 0)
        return;
    move->partition->move = NULL;
    move->over.run = move_over;
    core_send(core, move->from, &move->over);
}

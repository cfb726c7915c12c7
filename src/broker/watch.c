// Watches: who waits for something to become visible.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

/* On the origin core, with no message of it under way. */
static void watch_finish(struct broker_watch *watch)
{
    struct broker_partition *partition = watch->call.partition;
    watch->armed = false;
    watch->cancelling = false;
    watch->call.partition = NULL;
    broker_partition_unref(partition);
    watch->call.done(&watch->call);
}

static void watch_fired(struct core *core, struct core_message *message)
{
    struct broker_call *call = CONTAINER_OF(message, struct broker_call, message);
    struct broker_watch *watch = CONTAINER_OF(call, struct broker_watch, call);
    watch->fired = true;
    if (!watch->cancelling)
        watch_finish(watch);
}

static void watch_fire(struct core *core, struct broker_watch *watch, enum err err)
{
    watch->call.err = err;
    watch->call.message.run = watch_fired;
    core_send(core, core_id(watch->call.origin), &watch->call.message);
}

static void watch_serve(struct core *core, struct broker_call *call)
{
    struct broker_watch *watch = CONTAINER_OF(call, struct broker_watch, call);
    struct broker_partition *partition = call->partition;
    broker_placement_count(core, partition, call->origin);
    if (broker_partition_is_gone(partition) ||
        watch->offset < broker_partition_limit(partition, watch->committed) ||
        store_log_state(partition->log) != ERR_OK)
        watch_fire(core, watch, ERR_OK);
    else
        list_push_back(&partition->waiters, &watch->waiting);
}

void broker_watch_arm(struct core *core, struct broker_partition *partition,
                      struct broker_watch *watch)
{
    CHECK(!watch->armed);
    watch->armed = true;
    watch->cancelling = false;
    watch->fired = false;
    watch->cancelled = false;
    list_init(&watch->waiting);
    list_init(&watch->cancel_node);
    broker_call_to_partition(core, partition, &watch->call, watch_serve);
}

void broker_watch_unpark(struct core *core, struct broker_call *call, enum err err)
{
    watch_fire(core, CONTAINER_OF(call, struct broker_watch, call), err);
}

bool broker_watch_is(const struct broker_call *call)
{
    return call->serve == watch_serve;
}

void broker_watch_wake(struct core *core, struct broker_partition *partition)
{
    if (list_empty(&partition->waiters))
        return;
    int64_t visible = broker_partition_visible(partition);
    int64_t stable = broker_partition_limit(partition, true);
    bool all = store_log_state(partition->log) != ERR_OK;
    list_for_each_safe (node, following, &partition->waiters) {
        struct broker_watch *watch = LIST_ENTRY(node, struct broker_watch, waiting);
        if (!all && watch->offset >= (watch->committed ? stable : visible))
            continue;
        list_remove(node);
        watch_fire(core, watch, ERR_OK);
    }
}

void broker_watch_wake_all(struct core *core, struct broker_partition *partition)
{
    struct list *node;
    while ((node = list_pop_front(&partition->waiters)))
        watch_fire(core, LIST_ENTRY(node, struct broker_watch, waiting), ERR_OK);
}

/* --- disarming -------------------------------------------------------------------------------- */

/* Back on the origin core. When the watch had fired first, its own message may still be coming. */
static void cancel_returned(struct core *core, struct core_message *message)
{
    struct broker_watch *watch = CONTAINER_OF(message, struct broker_watch, cancel);
    watch->cancelling = false;
    if (watch->cancelled)
        watch->call.err = ERR_CANCELLED;
    if (watch->cancelled || watch->fired)
        watch_finish(watch);
}

static void cancel_serve(struct core *core, struct core_message *message)
{
    struct broker_watch *watch = CONTAINER_OF(message, struct broker_watch, cancel);
    watch->cancelled = !list_empty(&watch->waiting);
    list_remove(&watch->waiting);
    watch->cancel.run = cancel_returned;
    core_send(core, core_id(watch->call.origin), &watch->cancel);
}

void broker_watch_cancel_route(struct core *core, struct broker_watch *watch)
{
    struct broker_partition *partition = watch->call.partition;
    struct move_part *part = broker_move_part(core, partition);
    if (part) {
        list_push_back(&part->cancels, &watch->cancel_node);
        return;
    }
    watch->cancel.run = cancel_serve;
    core_send(core, atomic_load_explicit(&partition->home, memory_order_relaxed), &watch->cancel);
}

void broker_watch_forget(struct broker_watch *watch)
{
    if (!watch->armed)
        return;
    list_remove(&watch->waiting);
    broker_partition_unref(watch->call.partition);
    watch->armed = false;
}

void broker_watch_disarm(struct core *core, struct broker_watch *watch)
{
    if (!watch->armed || watch->cancelling)
        return;
    watch->cancelling = true;
    broker_watch_cancel_route(core, watch);
}

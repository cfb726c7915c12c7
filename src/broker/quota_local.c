// Meters of a core, shared with the other cores that meter the same.
// SPDX-License-Identifier: Apache-2.0
//
// The first use on a core makes a meter at once and asks core 0 for the one that all share; what
// was counted until the answer comes is carried over. Nobody waits for it. A meter that was not
// used for longer than the windows reach back knows nothing and goes.
#include <stdlib.h>

#include "broker/quota_state.h"

/* Whom a core meters at the same time. */
#define LOCALS_MAX 65536
#define SECOND_NS  1000000000ull

struct quota_windows broker_quota_local_windows(struct core *core)
{
    const struct broker_settings *settings = broker_settings_now(core);
    return (struct quota_windows){
        .count = (unsigned)settings->quota_window_num,
        .size_ns = (uint64_t)settings->quota_window_size_seconds * SECOND_NS,
    };
}

/* The longest time back that a meter knows of. */
static uint64_t memory_ns(struct core *core)
{
    const struct broker_settings *settings = broker_settings_now(core);
    struct quota_windows windows = broker_quota_local_windows(core);
    uint64_t changes_ns = (uint64_t)settings->controller_quota_window_num *
                          (uint64_t)settings->controller_quota_window_size_seconds * SECOND_NS;
    return MAX(windows.count * windows.size_ns, changes_ns);
}

static void local_free(struct core *core, struct quota_local *local)
{
    list_remove(&local->node);
    map_remove(&broker_quota_core(core)->locals, local->key);
    budget_release(reactor_budget(core_reactor(core)), local->size_bytes);
    broker_quota_meter_unref(local->meter);
    broker_quota_meter_unref(local->answer);
    free(local);
}

/* Core 0's is where the others find theirs. */
static bool local_is_idle(struct core *core, const struct quota_local *local)
{
    bool is_shared =
        core_id(core) == 0 && atomic_load_explicit(&local->meter->refs, memory_order_acquire) > 1;
    /* A bucket that is deep in debt remembers for longer. */
    uint64_t full_ns = atomic_load_explicit(&local->meter->full_ns, memory_order_relaxed);
    return local->users == 0 && !local->joining && !is_shared && full_ns <= core_now_ns(core) &&
           core_now_ns(core) - local->used_ns > 2 * memory_ns(core);
}

static void sweep_run(struct core *core, struct core_timer *timer)
{
    struct quota_core *here = broker_quota_core(core);
    list_for_each_safe (node, following, &here->order) {
        struct quota_local *local = LIST_ENTRY(node, struct quota_local, node);
        if (!local_is_idle(core, local))
            continue;
        broker_quota_meter_clear(local->meter, core_id(core));
        local_free(core, local);
    }
    if (!list_empty(&here->order))
        core_timer_set(core, timer, core_now_ns(core) + memory_ns(core));
}

void broker_quota_local_core_init(struct quota_core *here)
{
    core_timer_init(&here->sweep, sweep_run);
}

void broker_quota_local_free_all(struct core *core)
{
    list_for_each_safe (node, following, &broker_quota_core(core)->order)
        local_free(core, LIST_ENTRY(node, struct quota_local, node));
    core_timer_cancel(core, &broker_quota_core(core)->sweep);
}

/* --- one meter for all cores ------------------------------------------------------------------ */

static void join_answered(struct core *core, struct core_message *message)
{
    struct quota_local *local = CONTAINER_OF(message, struct quota_local, message);
    local->joining = false;
    if (!local->answer) /* core 0 has no memory: this core counts alone for now */
        return;
    broker_quota_meter_carry(local->answer, local->meter,
                             (struct quota_moment){core_id(core), core_now_ns(core)});
    broker_quota_meter_unref(local->meter);
    local->meter = local->answer;
    local->answer = NULL;
}

static void join_serve(struct core *core, struct core_message *message)
{
    struct quota_local *local = CONTAINER_OF(message, struct quota_local, message);
    struct quota_local *own = broker_quota_local_get(core, local->key);
    if (own) {
        own->used_ns = core_now_ns(core);
        local->answer = broker_quota_meter_ref(own->meter);
    }
    local->message.run = join_answered;
    core_send(core, local->core, &local->message);
}

static struct quota_local *local_new(struct core *core, struct slice key)
{
    struct quota_core *here = broker_quota_core(core);
    struct quota_windows windows = broker_quota_local_windows(core);
    unsigned core_count = broker_core(core)->broker->core_count;
    struct budget *budget = reactor_budget(core_reactor(core));
    size_t size =
        sizeof(struct quota_local) + key.size + broker_quota_meter_size(core_count, &windows);
    if (here->locals.count >= LOCALS_MAX || !budget_charge(budget, size))
        return NULL;
    struct quota_local *local = calloc(1, sizeof(*local) + key.size);
    struct quota_meter *meter = broker_quota_meter_new(core_count, &windows);
    if (local && meter) {
        memcpy(local->bytes, key.data, key.size);
        local->key = slice_make(local->bytes, key.size);
    }
    if (!local || !meter || !map_put(&here->locals, local->key, local, NULL)) {
        broker_quota_meter_unref(meter);
        free(local);
        budget_release(budget, size);
        return NULL;
    }
    local->meter = meter;
    local->core = core_id(core);
    local->size_bytes = size;
    list_push_back(&here->order, &local->node);
    return local;
}

struct quota_local *broker_quota_local_get(struct core *core, struct slice key)
{
    struct quota_core *here = broker_quota_core(core);
    struct quota_local *local = map_get(&here->locals, key);
    if (local)
        return local;
    local = local_new(core, key);
    if (!local)
        return NULL;
    local->used_ns = core_now_ns(core);
    if (!core_timer_is_set(&here->sweep))
        core_timer_set(core, &here->sweep, core_now_ns(core) + memory_ns(core));
    if (core_id(core) != 0) {
        local->joining = true;
        local->message.run = join_serve;
        core_send(core, 0, &local->message);
    }
    return local;
}

// A transactional id in memory: its timer, the calls that wait for it, and when it may go.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/transaction_coordinator.h"

#define NS_PER_MS UINT64_C(1000000)

static void entry_timer(struct core *core, struct core_timer *timer);

struct transaction_entry *broker_transaction_entry_find(struct transaction_ids *transactions,
                                                        struct slice id)
{
    return map_get(&transactions->by_id, id);
}

struct transaction_entry *broker_transaction_entry_new(struct transaction_partition *partition,
                                                       struct slice id)
{
    struct transaction_ids *transactions = partition->transactions;
    struct core *core = transactions->core;
    struct budget *budget = reactor_budget(core_reactor(core));
    if (!budget_charge(budget, sizeof(struct transaction_entry)))
        return NULL;
    struct transaction_entry *entry = calloc(1, sizeof(*entry));
    if (!entry) {
        budget_release(budget, sizeof(*entry));
        return NULL;
    }
    entry->partition = partition;
    entry->timer_ms = entry->retry_ms = entry->abort_ms = TRANSACTION_NEVER_MS;
    core_timer_init(&entry->timer, entry_timer);
    core_task_init(&entry->gathered, broker_transaction_write_gathered);
    list_init(&entry->parked);
    list_init(&entry->node);
    enum err err =
        broker_transaction_state_init(&entry->transaction, id, budget, core_random(core));
    if (err || !map_put(&transactions->by_id, entry->transaction.id, entry, NULL)) {
        broker_transaction_state_deinit(&entry->transaction);
        free(entry);
        budget_release(budget, sizeof(*entry));
        return NULL;
    }
    list_push_back(&partition->entries, &entry->node);
    return entry;
}

void broker_transaction_entry_free(struct transaction_entry *entry)
{
    struct transaction_ids *transactions = entry->partition->transactions;
    struct budget *budget = entry->transaction.budget;
    core_timer_cancel(transactions->core, &entry->timer);
    core_task_cancel(&entry->gathered);
    map_remove(&transactions->by_id, entry->transaction.id);
    list_remove(&entry->node);
    broker_transaction_state_deinit(&entry->transaction);
    free(entry);
    budget_release(budget, sizeof(*entry));
}

/* --- waiting --- */

static bool entry_is_busy(const struct transaction_entry *entry)
{
    return entry->is_asking || entry->is_leaving || entry->transaction.is_moving ||
           broker_transaction_state_is_prepared(&entry->transaction);
}

static int64_t entry_now_ms(const struct transaction_entry *entry)
{
    return broker_transaction_coordinator_now_ms(entry->partition->transactions);
}

bool broker_transaction_entry_park(struct transaction_entry *entry, struct transaction_call *call,
                                   bool is_add)
{
    if (!entry_is_busy(entry) || (is_add && entry->gathering))
        return false;
    call->deadline_ms = entry_now_ms(entry) + TRANSACTION_WAIT_MS;
    list_push_back(&entry->parked, &call->call.node);
    return true;
}

void broker_transaction_entry_park_first(struct transaction_entry *entry,
                                         struct transaction_call *call)
{
    call->deadline_ms = entry_now_ms(entry) + TRANSACTION_WAIT_MS;
    list_push_front(&entry->parked, &call->call.node);
}

static struct transaction_call *parked_first(struct transaction_entry *entry)
{
    struct list *node = list_first(&entry->parked);
    return node ? CONTAINER_OF(LIST_ENTRY(node, struct broker_call, node), struct transaction_call,
                               call)
                : NULL;
}

static void parked_serve(struct transaction_entry *entry)
{
    struct transaction_call *call;
    while ((!entry_is_busy(entry) || entry->gathering) && (call = parked_first(entry))) {
        if (entry_is_busy(entry) && !call->is_add)
            return;
        list_remove(&call->call.node);
        call->call.serve(entry->partition->transactions->core, &call->call);
    }
}

static void parked_expire(struct transaction_entry *entry)
{
    struct transaction_call *call;
    while ((call = parked_first(entry)) && call->deadline_ms <= entry_now_ms(entry)) {
        list_remove(&call->call.node);
        broker_call_finish(entry->partition->transactions->core, &call->call, ERR_CONCURRENT);
    }
}

/* --- time --- */

/* Wall clock: how long until nobody may want this id any more. */
static int64_t expiry_left_ms(const struct transaction_entry *entry)
{
    struct core *core = entry->partition->transactions->core;
    int64_t age_ms = core_wall_ms(core) - entry->transaction.now.update_ms;
    return broker_settings_now(core)->transactional_id_expiration_ms - age_ms;
}

static bool may_leave(const struct transaction_entry *entry)
{
    return !entry_is_busy(entry) && entry->writes == 0 && list_empty(&entry->parked) &&
           entry->retry_ms == TRANSACTION_NEVER_MS &&
           broker_transaction_state_is_over(&entry->transaction);
}

static bool may_abort(const struct transaction_entry *entry)
{
    return !entry_is_busy(entry) && entry->retry_ms == TRANSACTION_NEVER_MS &&
           entry->transaction.now.state == TRANSACTION_ONGOING;
}

static void entry_abort(struct transaction_entry *entry)
{
    struct core *core = entry->partition->transactions->core;
    log_info(core_logger(core), "broker",
             "a transaction took longer than its timeout and is aborted id=%.*s timeout_ms=%d",
             (int)MIN(entry->transaction.id.size, (size_t)200),
             (const char *)entry->transaction.id.data, entry->transaction.now.timeout_ms);
    broker_transaction_state_expire(&entry->transaction, core_wall_ms(core));
    broker_transaction_write_move(entry, NULL);
}

void broker_transaction_entry_retry(struct transaction_entry *entry)
{
    unsigned doublings = MIN(entry->failures, 10u);
    int64_t delay_ms =
        MIN((int64_t)TRANSACTION_RETRY_MS << doublings, (int64_t)TRANSACTION_RETRY_MS_MAX);
    if (entry->retry_ms != TRANSACTION_NEVER_MS)
        return;
    entry->failures++;
    entry->retry_ms = entry_now_ms(entry) + delay_ms;
}

void broker_transaction_entry_fail(struct transaction_entry *entry, enum err err)
{
    struct transaction_call *call;
    broker_transaction_entry_retry(entry);
    while ((call = parked_first(entry))) {
        list_remove(&call->call.node);
        broker_call_finish(entry->partition->transactions->core, &call->call, err);
    }
}

static void entry_retry(struct transaction_entry *entry)
{
    entry->retry_ms = TRANSACTION_NEVER_MS;
    if (broker_transaction_state_is_prepared(&entry->transaction))
        broker_transaction_markers_send(entry);
    else if (entry->is_stale && !entry_is_busy(entry))
        broker_transaction_write_again(entry);
}

static void entry_timer(struct core *core, struct core_timer *timer)
{
    struct transaction_entry *entry = CONTAINER_OF(timer, struct transaction_entry, timer);
    int64_t now_ms = entry_now_ms(entry);
    entry->timer_ms = TRANSACTION_NEVER_MS;
    parked_expire(entry);
    if (entry->retry_ms <= now_ms)
        entry_retry(entry);
    if (may_abort(entry) && entry->abort_ms <= now_ms)
        entry_abort(entry);
    else if (may_leave(entry) && expiry_left_ms(entry) <= 0)
        broker_transaction_write_tombstone(entry);
    broker_transaction_entry_settle(entry);
}

static int64_t entry_due_ms(struct transaction_entry *entry)
{
    int64_t due_ms = entry->retry_ms;
    const struct transaction_call *call = parked_first(entry);
    if (call)
        due_ms = MIN(due_ms, call->deadline_ms);
    if (may_abort(entry))
        due_ms = MIN(due_ms, entry->abort_ms);
    if (may_leave(entry)) {
        int64_t left_ms = MAX(MIN(expiry_left_ms(entry), TRANSACTION_CHECK_MS), 0);
        due_ms = MIN(due_ms, entry_now_ms(entry) + left_ms);
    }
    return due_ms;
}

void broker_transaction_entry_settle(struct transaction_entry *entry)
{
    struct transaction_ids *transactions = entry->partition->transactions;
    if (entry->partition->load != TRANSACTION_LOADED || entry->is_settling)
        return;
    entry->is_settling = true;
    if (broker_transaction_state_is_prepared(&entry->transaction) &&
        !entry->transaction.is_moving && entry->retry_ms == TRANSACTION_NEVER_MS &&
        entry->markers == 0)
        broker_transaction_markers_send(entry);
    parked_serve(entry);
    entry->is_settling = false;
    bool is_wanted = entry->transaction.now.epoch != -1 || entry_is_busy(entry) ||
                     entry->writes > 0 || !list_empty(&entry->parked);
    if (!is_wanted) {
        broker_transaction_entry_free(entry);
        return;
    }
    int64_t due_ms = entry_due_ms(entry);
    if (due_ms >= entry->timer_ms)
        return; /* the timer looks again when it fires */
    entry->timer_ms = due_ms;
    core_timer_set(transactions->core, &entry->timer, (uint64_t)due_ms * NS_PER_MS);
}

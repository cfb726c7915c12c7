// The face of transactions: each call goes to core 0, waits there for its turn, and is served.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"
#include "broker/transaction_coordinator.h"

static void call_serve_again(struct broker_call *asked);

/* The entry that the call is about, or NULL: the call waits, or is answered. */
static struct transaction_entry *enter(struct core *core, struct transaction_call *of)
{
    struct transaction_partition *partition;
    if (broker_transaction_coordinator_enter(core, &of->call, of->id, false, &partition) ==
        TRANSACTION_WAIT)
        return NULL;
    struct transaction_entry *entry =
        partition ? broker_transaction_entry_find(partition->transactions, of->id) : NULL;
    if (!entry)
        broker_call_finish(core, &of->call, ERR_PRODUCER_MAPPING);
    return entry;
}

static void step_take(struct transaction_entry *entry, struct transaction_call *of, enum err err,
                      enum transaction_step step)
{
    struct core *core = entry->partition->transactions->core;
    if (err || step == TRANSACTION_STAY) {
        if (!err)
            broker_transaction_state_told(&entry->transaction, of);
        broker_call_finish(core, &of->call, err);
    } else if (step == TRANSACTION_WANT_ID) {
        entry->is_asking = true;
        of->id_asked.call.done = call_serve_again;
        broker_producer_id_get(core, &of->id_asked);
    } else if (step == TRANSACTION_FENCE) {
        broker_transaction_entry_park_first(entry, of);
        broker_transaction_write_move(entry, NULL);
    } else if (of->is_add) {
        broker_transaction_write_gather(entry, of);
    } else {
        broker_transaction_write_move(entry, of);
    }
}

/* Its producer id has come. */
static void call_serve_again(struct broker_call *asked)
{
    struct transaction_call *of = CONTAINER_OF(asked, struct transaction_call, id_asked.call);
    struct core *core = asked->origin;
    struct transaction_entry *entry =
        broker_transaction_entry_find(broker_of(core)->transactions, of->id);
    CHECK(entry && entry->is_asking);
    entry->is_asking = false;
    of->id_new = of->id_asked.producer_id;
    if (!asked->err) {
        of->call.serve(core, &of->call);
        return;
    }
    broker_call_finish(core, &of->call, asked->err);
    broker_transaction_entry_settle(entry);
}

static void call_send(struct core *core, struct transaction_call *of, bool is_add,
                      void (*serve)(struct core *core, struct broker_call *call))
{
    of->is_add = is_add;
    of->id_new = -1;
    broker_call_to_owner(core, &of->call, serve);
}

/* --- claim --- */

static void init_serve(struct core *core, struct broker_call *call)
{
    struct transaction_init *init = CONTAINER_OF(call, struct transaction_init, of.call);
    struct transaction_partition *partition;
    enum transaction_step step;
    if (init->timeout_ms <= 0 ||
        init->timeout_ms > broker_settings_now(core)->transaction_max_timeout_ms) {
        broker_call_finish(core, call, ERR_TXN_TIMEOUT);
        return;
    }
    if (broker_transaction_coordinator_enter(core, call, init->of.id, true, &partition) ==
        TRANSACTION_WAIT)
        return;
    struct transaction_entry *entry =
        broker_transaction_entry_find(partition->transactions, init->of.id);
    if (!entry)
        entry = broker_transaction_entry_new(partition, init->of.id);
    if (!entry) {
        broker_call_finish(core, call, ERR_NO_MEMORY);
        return;
    }
    if (!broker_transaction_entry_park(entry, &init->of, false)) {
        enum err err =
            broker_transaction_state_claim(&entry->transaction, init, core_wall_ms(core), &step);
        step_take(entry, &init->of, err, step);
    }
    broker_transaction_entry_settle(entry);
}

void broker_transaction_init(struct core *core, struct transaction_init *init)
{
    call_send(core, &init->of, false, init_serve);
}

/* --- add --- */

static void add_serve(struct core *core, struct broker_call *call)
{
    struct transaction_add *add = CONTAINER_OF(call, struct transaction_add, of.call);
    enum transaction_step step;
    struct transaction_entry *entry = enter(core, &add->of);
    if (!entry)
        return;
    if (!broker_transaction_entry_park(entry, &add->of, !add->verify_only)) {
        enum err err =
            broker_transaction_state_add(&entry->transaction, add, core_wall_ms(core), &step);
        step_take(entry, &add->of, err, step);
    }
    broker_transaction_entry_settle(entry);
}

void broker_transaction_add(struct core *core, struct transaction_add *add)
{
    for (size_t i = 0; i < add->place_count; i++)
        add->places[i].err = ERR_OK;
    call_send(core, &add->of, !add->verify_only, add_serve);
}

void broker_transaction_place_of_group(struct core *core, struct slice group_id,
                                       struct transaction_place *out)
{
    *out = (struct transaction_place){.topic = SLICE_LITERAL("__consumer_offsets"),
                                      .partition = (int32_t)broker_group_partition(core, group_id)};
}

/* --- end --- */

static void end_serve(struct core *core, struct broker_call *call)
{
    struct transaction_end *end = CONTAINER_OF(call, struct transaction_end, of.call);
    enum transaction_step step;
    struct transaction_entry *entry = enter(core, &end->of);
    if (!entry)
        return;
    if (!broker_transaction_entry_park(entry, &end->of, false)) {
        enum err err =
            broker_transaction_state_end(&entry->transaction, end, core_wall_ms(core), &step);
        step_take(entry, &end->of, err, step);
    }
    broker_transaction_entry_settle(entry);
}

void broker_transaction_end(struct core *core, struct transaction_end *end)
{
    call_send(core, &end->of, false, end_serve);
}

/* --- offsets of groups --- */

enum err broker_transaction_check(struct core *core, const struct group_commit *commit,
                                  int32_t partition)
{
    struct transaction_ids *transactions = broker_of(core)->transactions;
    const struct transaction_entry *entry =
        transactions ? broker_transaction_entry_find(transactions, commit->transactional_id) : NULL;
    const struct transaction *transaction = entry ? &entry->transaction : NULL;
    if (!entry || transaction->now.producer_id != commit->producer_id)
        return ERR_PRODUCER_MAPPING;
    if (transaction->now.epoch != commit->producer_epoch)
        return ERR_FENCED;
    bool is_open = transaction->now.state == TRANSACTION_ONGOING &&
                   (!transaction->is_moving || transaction->next.state == TRANSACTION_ONGOING);
    const struct transaction_part *part =
        broker_transaction_part_find(transaction, SLICE_LITERAL("__consumer_offsets"), partition);
    return is_open && part && !part->is_new ? ERR_OK : ERR_TXN_ABORTABLE;
}

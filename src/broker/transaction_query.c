// What administrators ask of transactions: describe, list.
// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_coordinator.h"

static enum err describe_fill(struct transaction_describe *out,
                              const struct transaction *transaction)
{
    const struct transaction_value *now = &transaction->now;
    out->of.producer_id = now->producer_id;
    out->of.epoch = now->epoch;
    out->state = broker_transaction_state_name(now->state);
    out->timeout_ms = now->timeout_ms;
    out->start_ms = transaction->now.start_ms;
    out->place_count = 0;
    out->places = arena_alloc_array(&out->arena, transaction->by_key.count, sizeof(*out->places));
    if (!out->places)
        return ERR_NO_MEMORY;
    list_for_each (node, &transaction->parts) {
        const struct transaction_part *part = LIST_ENTRY(node, struct transaction_part, node);
        if (part->is_new)
            continue;
        struct transaction_place *place = &out->places[out->place_count++];
        place->topic = arena_copy(&out->arena, broker_transaction_part_topic(part));
        place->partition = broker_transaction_part_partition(part);
        place->err = ERR_OK;
        if (!place->topic.data)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

static void describe_serve(struct core *core, struct broker_call *call)
{
    struct transaction_describe *out = CONTAINER_OF(call, struct transaction_describe, of.call);
    struct transaction_partition *partition;
    if (broker_transaction_coordinator_enter(core, call, out->of.id, false, &partition) ==
        TRANSACTION_WAIT)
        return;
    const struct transaction_entry *entry =
        partition ? broker_transaction_entry_find(partition->transactions, out->of.id) : NULL;
    enum err err = ERR_NOT_FOUND;
    if (entry && entry->transaction.now.epoch != -1)
        err = describe_fill(out, &entry->transaction);
    broker_call_finish(core, call, err);
}

void broker_transaction_describe(struct core *core, struct transaction_describe *describe)
{
    broker_call_to_owner(core, &describe->of.call, describe_serve);
}

static enum err list_fill(struct transaction_list *list, const struct transaction_ids *transactions)
{
    size_t position = 0;
    const struct transaction_entry *entry;
    list->count = 0;
    list->now_ms = core_wall_ms(transactions->core);
    list->transactions =
        arena_alloc_array(&list->arena, transactions->by_id.count, sizeof(*list->transactions));
    if (!list->transactions)
        return ERR_NO_MEMORY;
    while ((entry = map_next(&transactions->by_id, &position)) != NULL) {
        const struct transaction *transaction = &entry->transaction;
        if (transaction->now.epoch == -1)
            continue;
        struct transaction_listed *out = &list->transactions[list->count++];
        out->id = arena_copy(&list->arena, transaction->id);
        out->producer_id = transaction->now.producer_id;
        out->start_ms = transaction->now.start_ms;
        out->state = broker_transaction_state_name(transaction->now.state);
        if (!out->id.data)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

static void list_serve(struct core *core, struct broker_call *call)
{
    struct transaction_list *list = CONTAINER_OF(call, struct transaction_list, call);
    if (broker_transaction_coordinator_enter_all(core, call) == TRANSACTION_GO)
        broker_call_finish(core, call, list_fill(list, broker_of(core)->transactions));
}

void broker_transaction_list(struct core *core, struct transaction_list *list)
{
    broker_call_to_owner(core, &list->call, list_serve);
}

// Offsets that transactions will bring when they commit: kept aside until the marker is durable.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_coordinator.h"

struct group_promise *broker_group_promise_new(struct group_entry *entry, struct group_slot *slot,
                                               struct group_value *take_value, int64_t producer_id)
{
    struct budget *budget = entry->group.env->budget;
    struct group_promise *promise = NULL;
    if (budget_charge(budget, sizeof(*promise))) {
        promise = calloc(1, sizeof(*promise));
        if (!promise)
            budget_release(budget, sizeof(*promise));
    }
    if (!promise) {
        broker_group_slot_value_free(entry, take_value);
        return NULL;
    }
    *promise = (struct group_promise){.entry = entry,
                                      .slot = slot,
                                      .value = take_value,
                                      .producer_id = producer_id,
                                      .log_offset = -1};
    list_init(&promise->node);
    list_push_back(&slot->promises, &promise->slot_node);
    slot->pending++;
    return promise;
}

/* The value may have been taken. */
static void promise_end(struct group_promise *promise)
{
    struct group_entry *entry = promise->entry;
    struct group_slot *slot = promise->slot;
    list_remove(&promise->node);
    list_remove(&promise->slot_node);
    broker_group_slot_value_free(entry, promise->value);
    budget_release(entry->group.env->budget, sizeof(*promise));
    free(promise);
    slot->pending--;
    broker_group_slot_tidy(entry, slot);
}

void broker_group_promise_free(struct group_promise *promise)
{
    promise_end(promise);
}

void broker_group_promise_written(struct group_promise *promise, int64_t log_offset)
{
    promise->log_offset = log_offset;
    list_push_back(&promise->entry->partition->promises, &promise->node);
    list_for_each_safe (node, following, &promise->slot->promises) {
        struct group_promise *other = LIST_ENTRY(node, struct group_promise, slot_node);
        if (other != promise && other->producer_id == promise->producer_id &&
            other->log_offset >= 0)
            promise_end(other);
    }
}

void broker_group_promise_free_all(struct group_partition *partition)
{
    struct list *node;
    while ((node = list_first(&partition->promises)) != NULL)
        promise_end(LIST_ENTRY(node, struct group_promise, node));
}

void broker_group_promise_settle(struct group_partition *partition, int64_t producer_id,
                                 bool commit)
{
    list_for_each_safe (node, following, &partition->promises) {
        struct group_promise *promise = LIST_ENTRY(node, struct group_promise, node);
        struct group_entry *entry = promise->entry;
        if (promise->producer_id != producer_id)
            continue;
        if (commit) {
            struct group_value *value = promise->value;
            promise->value = NULL;
            broker_group_slot_set(entry, promise->slot, value, promise->log_offset);
        }
        promise_end(promise);
        broker_group_entry_settle(entry);
    }
}

enum err broker_group_promise_end(struct core *core, int32_t partition, int64_t producer_id,
                                  bool commit)
{
    struct groups *groups = broker_of(core)->groups;
    if (!groups || partition < 0 || (uint32_t)partition >= groups->partition_count)
        return ERR_OK;
    struct group_partition *at = &groups->partitions[partition];
    if (at->load == GROUP_LOADING)
        return ERR_AGAIN;
    if (at->load == GROUP_LOADED) {
        broker_group_coordinator_now(groups);
        broker_group_promise_settle(at, producer_id, commit);
    }
    return ERR_OK;
}

bool broker_group_promise_is_before(const struct group_partition *partition, int64_t offset)
{
    const struct list *node = partition->promises.next;
    return node != &partition->promises &&
           LIST_ENTRY(node, struct group_promise, node)->log_offset < offset;
}

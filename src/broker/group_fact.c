// What is durable of a group of the newer protocol: the newest value of each of its records.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_coordinator.h"

/* A key is the record's kind (one byte), then its name. */

static uint64_t fact_bytes(const struct group_entry *entry, const struct group_fact *fact)
{
    if (!fact->value.data)
        return 0;
    return GROUP_RECORD_SIZE + entry->group.id.size + fact->key.size + fact->value.size;
}

enum consumer_fact broker_group_fact_kind(const struct group_fact *fact)
{
    return (enum consumer_fact)fact->key.data[0];
}

struct slice broker_group_fact_name(const struct group_fact *fact)
{
    return slice_make(fact->key.data + 1, fact->key.size - 1);
}

struct group_fact *broker_group_fact_get(struct group_entry *entry, enum consumer_fact kind,
                                         struct slice name)
{
    struct budget *budget = entry->partition->groups->env.budget;
    size_t size = sizeof(struct group_fact) + 1 + name.size;
    if (budget && !budget_charge(budget, size))
        return NULL;
    struct group_fact *fact = calloc(1, size);
    if (!fact)
        goto fail;
    uint8_t *key = (uint8_t *)(fact + 1);
    key[0] = (uint8_t)kind;
    if (name.size > 0)
        memcpy(key + 1, name.data, name.size);
    fact->key = slice_make(key, 1 + name.size);
    fact->log_offset = -1;
    fact->size = size;
    struct group_fact *there = map_get(&entry->facts, fact->key);
    if (!there && map_put(&entry->facts, fact->key, fact, NULL)) {
        list_push_back(&entry->fact_list, &fact->node);
        return fact;
    }
    free(fact);
    if (budget)
        budget_release(budget, size);
    return there;
fail:
    if (budget)
        budget_release(budget, size);
    return NULL;
}

void broker_group_fact_set(struct group_entry *entry, struct group_fact *fact,
                           struct slice take_value, int64_t log_offset)
{
    if (log_offset < fact->log_offset) {
        broker_group_member_disown(&entry->group, &take_value);
        return;
    }
    entry->partition->live_bytes -= fact_bytes(entry, fact);
    broker_group_member_disown(&entry->group, &fact->value);
    fact->value = take_value;
    fact->log_offset = log_offset;
    entry->partition->live_bytes += fact_bytes(entry, fact);
}

static void fact_free(struct group_entry *entry, struct group_fact *fact)
{
    struct budget *budget = entry->partition->groups->env.budget;
    entry->partition->live_bytes -= fact_bytes(entry, fact);
    if (entry->fact_cursor == &fact->node)
        entry->fact_cursor = fact->node.next;
    map_remove(&entry->facts, fact->key);
    list_remove(&fact->node);
    broker_group_member_disown(&entry->group, &fact->value);
    if (budget)
        budget_release(budget, fact->size);
    free(fact);
}

void broker_group_fact_tidy(struct group_entry *entry, struct group_fact *fact)
{
    if (fact->pending == 0 && !fact->value.data)
        fact_free(entry, fact);
}

void broker_group_fact_free_all(struct group_entry *entry)
{
    list_for_each_safe (node, following, &entry->fact_list)
        fact_free(entry, LIST_ENTRY(node, struct group_fact, node));
}

const struct group_fact *broker_group_fact_find(const struct group_entry *entry,
                                                enum consumer_fact kind)
{
    uint8_t key = (uint8_t)kind;
    return map_get(&entry->facts, slice_make(&key, 1));
}

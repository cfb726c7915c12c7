// Committed offsets of a group in memory: one place a topic partition.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "broker/group_coordinator.h"

#define KEY_PARTITION_SIZE 4

static void *slot_take(struct group_entry *entry, size_t size)
{
    struct budget *budget = entry->group.env->budget;
    if (!budget_charge(budget, size))
        return NULL;
    void *memory = calloc(1, size);
    if (!memory)
        budget_release(budget, size);
    return memory;
}

static void slot_give(struct group_entry *entry, void *memory, size_t size)
{
    budget_release(entry->group.env->budget, size);
    free(memory);
}

struct group_slot *broker_group_slot_find(const struct group_entry *entry, struct slice topic,
                                          int32_t partition)
{
    uint8_t bytes[KEY_PARTITION_SIZE + OFFSETS_STRING_SIZE_MAX];
    if (topic.size > OFFSETS_STRING_SIZE_MAX)
        return NULL;
    be32_put(bytes, (uint32_t)partition);
    if (topic.size > 0)
        memcpy(bytes + KEY_PARTITION_SIZE, topic.data, topic.size);
    return map_get(&entry->offsets, slice_make(bytes, KEY_PARTITION_SIZE + topic.size));
}

struct group_slot *broker_group_slot_get(struct group_entry *entry, struct slice topic,
                                         int32_t partition)
{
    struct group_slot *slot = broker_group_slot_find(entry, topic, partition);
    if (slot || topic.size > OFFSETS_STRING_SIZE_MAX)
        return slot;
    size_t size = sizeof(*slot) + KEY_PARTITION_SIZE + topic.size;
    slot = slot_take(entry, size);
    if (!slot)
        return NULL;
    uint8_t *key = (uint8_t *)(slot + 1);
    be32_put(key, (uint32_t)partition);
    if (topic.size > 0)
        memcpy(key + KEY_PARTITION_SIZE, topic.data, topic.size);
    slot->key = slice_make(key, KEY_PARTITION_SIZE + topic.size);
    slot->log_offset = -1;
    list_init(&slot->promises);
    slot->size = size;
    if (!map_put(&entry->offsets, slot->key, slot, NULL)) {
        slot_give(entry, slot, size);
        return NULL;
    }
    list_push_back(&entry->slots, &slot->node);
    return slot;
}

int32_t broker_group_slot_partition(const struct group_slot *slot)
{
    return (int32_t)be32_get(slot->key.data);
}

struct slice broker_group_slot_topic(const struct group_slot *slot)
{
    return slice_make(slot->key.data + KEY_PARTITION_SIZE, slot->key.size - KEY_PARTITION_SIZE);
}

struct group_value *broker_group_slot_value_new(struct group_entry *entry,
                                                const struct offsets_value *value)
{
    size_t size = sizeof(struct group_value) + value->metadata.size;
    struct group_value *copy = slot_take(entry, size);
    if (!copy)
        return NULL;
    copy->value = *value;
    copy->size = size;
    copy->value.metadata = slice_make(copy + 1, value->metadata.size);
    if (value->metadata.size > 0)
        memcpy(copy + 1, value->metadata.data, value->metadata.size);
    return copy;
}

void broker_group_slot_value_free(struct group_entry *entry, struct group_value *value)
{
    if (value)
        slot_give(entry, value, value->size);
}

/* About what it takes in the log. */
static uint64_t slot_bytes(const struct group_entry *entry, const struct group_slot *slot)
{
    if (!slot->value)
        return 0;
    return GROUP_RECORD_SIZE + entry->group.id.size + slot->key.size +
           slot->value->value.metadata.size;
}

void broker_group_slot_set(struct group_entry *entry, struct group_slot *slot,
                           struct group_value *take_value, int64_t log_offset)
{
    if (log_offset < slot->log_offset) {
        broker_group_slot_value_free(entry, take_value);
        return;
    }
    entry->partition->live_bytes -= slot_bytes(entry, slot);
    broker_group_slot_value_free(entry, slot->value);
    slot->value = take_value;
    slot->log_offset = log_offset;
    entry->partition->live_bytes += slot_bytes(entry, slot);
}

void broker_group_slot_free(struct group_entry *entry, struct group_slot *slot)
{
    entry->partition->live_bytes -= slot_bytes(entry, slot);
    if (entry->cursor == &slot->node)
        entry->cursor = slot->node.next;
    map_remove(&entry->offsets, slot->key);
    list_remove(&slot->node);
    broker_group_slot_value_free(entry, slot->value);
    slot_give(entry, slot, slot->size);
}

bool broker_group_slot_is_void(const struct group_entry *entry, const struct group_slot *slot)
{
    if (!slot->value || uuid_is_zero(&slot->value->value.topic_id))
        return false;
    const struct broker_topic *topic =
        broker_topic_find(entry->partition->groups->core, broker_group_slot_topic(slot));
    return !topic || !uuid_equal(&topic->id, &slot->value->value.topic_id);
}

void broker_group_slot_tidy(struct group_entry *entry, struct group_slot *slot)
{
    if (!slot->value && slot->pending == 0)
        broker_group_slot_free(entry, slot);
}

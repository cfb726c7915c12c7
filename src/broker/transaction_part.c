// The partitions of a transaction in memory.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "broker/offsets.h"
#include "broker/transaction_state.h"

#define KEY_PARTITION_SIZE 4

struct transaction_part *broker_transaction_part_find(const struct transaction *transaction,
                                                      struct slice topic, int32_t partition)
{
    uint8_t bytes[KEY_PARTITION_SIZE + OFFSETS_STRING_SIZE_MAX];
    if (topic.size > OFFSETS_STRING_SIZE_MAX)
        return NULL;
    be32_put(bytes, (uint32_t)partition);
    if (topic.size > 0)
        memcpy(bytes + KEY_PARTITION_SIZE, topic.data, topic.size);
    return map_get(&transaction->by_key, slice_make(bytes, KEY_PARTITION_SIZE + topic.size));
}

struct transaction_part *broker_transaction_part_get(struct transaction *transaction,
                                                     struct slice topic, int32_t partition)
{
    struct transaction_part *part = broker_transaction_part_find(transaction, topic, partition);
    size_t size = sizeof(*part) + KEY_PARTITION_SIZE + topic.size;
    if (part || topic.size > OFFSETS_STRING_SIZE_MAX)
        return part;
    if (!budget_charge(transaction->budget, size))
        return NULL;
    part = calloc(1, size);
    if (!part) {
        budget_release(transaction->budget, size);
        return NULL;
    }
    uint8_t *key = (uint8_t *)(part + 1);
    be32_put(key, (uint32_t)partition);
    if (topic.size > 0)
        memcpy(key + KEY_PARTITION_SIZE, topic.data, topic.size);
    part->key = slice_make(key, KEY_PARTITION_SIZE + topic.size);
    part->size = size;
    part->is_new = true;
    if (!map_put(&transaction->by_key, part->key, part, NULL)) {
        budget_release(transaction->budget, size);
        free(part);
        return NULL;
    }
    list_push_back(&transaction->parts, &part->node);
    return part;
}

void broker_transaction_part_remove(struct transaction *transaction, struct transaction_part *part)
{
    CHECK(!part->marker);
    map_remove(&transaction->by_key, part->key);
    list_remove(&part->node);
    budget_release(transaction->budget, part->size);
    free(part);
}

void broker_transaction_part_remove_all(struct transaction *transaction)
{
    list_for_each_safe (node, following, &transaction->parts) {
        broker_transaction_part_remove(transaction,
                                       LIST_ENTRY(node, struct transaction_part, node));
    }
}

int32_t broker_transaction_part_partition(const struct transaction_part *part)
{
    return (int32_t)be32_get(part->key.data);
}

struct slice broker_transaction_part_topic(const struct transaction_part *part)
{
    return slice_make(part->key.data + KEY_PARTITION_SIZE, part->key.size - KEY_PARTITION_SIZE);
}

// Fuzz target: a quota rule's fact that decodes is encoded to the same bytes again.
// SPDX-License-Identifier: Apache-2.0
#include "broker/quota_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how many of the others are the key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct broker_quota_entity entity;
    struct broker_quota_rule rule;
    uint8_t key[QUOTA_KEY_SIZE_MAX];
    uint8_t value[FACT_QUOTA_VALUE_SIZE_MAX];
    if (size == 0)
        return 0;
    size_t key_size = MIN(data[0], size - 1);
    struct slice key_in = slice_make(data + 1, key_size);
    struct slice value_in = slice_make(data + 1 + key_size, size - 1 - key_size);
    if (!broker_quota_facts_key_decode(key_in, &entity))
        CHECK(slice_equal(slice_make(key, broker_quota_facts_key(&entity, key)), key_in));
    if (!broker_quota_facts_value_decode(value_in, &rule))
        CHECK(slice_equal(slice_make(value, broker_quota_facts_value(&rule, value)), value_in));
    return 0;
}

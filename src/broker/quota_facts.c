// Quota rules as facts of the catalogue, byte by byte.
// SPDX-License-Identifier: Apache-2.0
//
// Numbers are big-endian.
//   key    "quota/" entity
//   entity for each part that it has, in this order: part u8 ('u' user, 'c' client id, 'a'
//   address),
//          kind u8: 'd' those without a rule of their own, or 'n', then name size u16, name
//   value  version u8 (1), count u8, each: what is limited u8 (enum broker_quota_key, ascending),
//          limit as the bits of a double, finite and above zero
#include <math.h>

#include "base/endian.h"
#include "broker/quota_state.h"

#define QUOTA_FACT_VERSION 1

static const char quota_part_letters[BROKER_QUOTA_PART_COUNT] = {'u', 'c', 'a'};

size_t broker_quota_facts_key(const struct broker_quota_entity *entity,
                              uint8_t out[QUOTA_KEY_SIZE_MAX])
{
    size_t size = 0;
    for (unsigned i = 0; i < BROKER_QUOTA_PART_COUNT; i++) {
        struct slice name = entity->names[i];
        if (!entity->has[i])
            continue;
        CHECK(name.size <= BROKER_QUOTA_NAME_SIZE_MAX);
        out[size++] = (uint8_t)quota_part_letters[i];
        out[size++] = name.data ? 'n' : 'd';
        if (!name.data)
            continue;
        be16_put(out + size, (uint16_t)name.size);
        memcpy(out + size + 2, name.data, name.size);
        size += 2 + name.size;
    }
    return size;
}

enum err broker_quota_facts_key_decode(struct slice key, struct broker_quota_entity *out)
{
    struct broker_quota_entity entity = {0};
    const uint8_t *at = key.data;
    size_t left = key.size;
    for (unsigned i = 0; i < BROKER_QUOTA_PART_COUNT; i++) {
        if (left < 2 || at[0] != quota_part_letters[i])
            continue;
        entity.has[i] = true;
        bool is_named = at[1] == 'n';
        if (!is_named && at[1] != 'd')
            return ERR_CORRUPT;
        at += 2;
        left -= 2;
        if (!is_named)
            continue;
        size_t size = left >= 2 ? be16_get(at) : 0;
        if (left < 2 || size > left - 2 || size > BROKER_QUOTA_NAME_SIZE_MAX)
            return ERR_CORRUPT;
        entity.names[i] = slice_make(at + 2, size);
        at += 2 + size;
        left -= 2 + size;
    }
    if (left > 0 || key.size == 0)
        return ERR_CORRUPT;
    *out = entity;
    return ERR_OK;
}

size_t broker_quota_facts_value(const struct broker_quota_rule *rule,
                                uint8_t out[FACT_QUOTA_VALUE_SIZE_MAX])
{
    size_t size = 2;
    out[0] = QUOTA_FACT_VERSION;
    out[1] = 0;
    for (unsigned i = 0; i < BROKER_QUOTA_COUNT; i++) {
        uint64_t bits;
        if (!(rule->set & 1u << i))
            continue;
        memcpy(&bits, &rule->limits[i], sizeof(bits));
        out[1]++;
        out[size] = (uint8_t)i;
        be64_put(out + size + 1, bits);
        size += 9;
    }
    return size;
}

enum err broker_quota_facts_value_decode(struct slice value, struct broker_quota_rule *out)
{
    int before = -1;
    if (value.size < 2 || value.data[0] != QUOTA_FACT_VERSION || value.data[1] == 0 ||
        value.size != 2 + (size_t)value.data[1] * 9)
        return ERR_CORRUPT;
    out->set = 0;
    for (size_t at = 2; at < value.size; at += 9) {
        uint8_t key = value.data[at];
        uint64_t bits = be64_get(value.data + at + 1);
        double limit;
        memcpy(&limit, &bits, sizeof(limit));
        if (key >= BROKER_QUOTA_COUNT || key <= before || !isfinite(limit) || limit <= 0)
            return ERR_CORRUPT;
        before = key;
        out->set |= 1u << key;
        out->limits[key] = limit;
    }
    return ERR_OK;
}

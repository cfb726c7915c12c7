// The broker's durable facts: what lies in the catalogue, byte by byte.
// SPDX-License-Identifier: Apache-2.0
//
// Numbers are big-endian. Every value begins with a version byte, 1. The catalogue has checksums.
//   key "cluster-id"        id 16 bytes
//   key "producer-ids"      i64: ids below were promised to producers
//   key "settings-cluster"  settings          key "settings-node"  settings
//   key "topic/" id (16)    flags u8 (1: internal), partition count u32, created i64 (ms),
//                           name size u8, name, settings
//   key "quota/" entity     see quota_facts.c
//   key "client-metrics/" name   see telemetry_facts.c
//   key "group/" name   settings
//   settings                count u16, each: name size u8, name, value size u16, value as text
#include "base/endian.h"
#include "base/text.h"
#include "broker/binding.h"
#include "broker/owner.h"

#define FACT_VERSION        1
#define FACT_TOPIC_PREFIX   "topic/"
#define FACT_TOPIC_INTERNAL 1

static void facts_u8(struct text *out, uint8_t value)
{
    text_add(out, slice_make(&value, 1));
}

static void facts_u16(struct text *out, uint16_t value)
{
    uint8_t bytes[2];
    be16_put(bytes, value);
    text_add(out, slice_make(bytes, sizeof(bytes)));
}

static void facts_u32(struct text *out, uint32_t value)
{
    uint8_t bytes[4];
    be32_put(bytes, value);
    text_add(out, slice_make(bytes, sizeof(bytes)));
}

static void facts_i64(struct text *out, int64_t value)
{
    uint8_t bytes[8];
    be64_put(bytes, (uint64_t)value);
    text_add(out, slice_make(bytes, sizeof(bytes)));
}

/* Cuts size bytes off; a null slice when there are not that many. */
static struct slice facts_take(struct slice *rest, size_t size)
{
    struct slice taken = *rest;
    if (rest->size < size) {
        *rest = slice_make(rest->data + rest->size, 0);
        return SLICE_NULL;
    }
    taken.size = size;
    *rest = slice_make(rest->data + size, rest->size - size);
    return taken;
}

static bool facts_version(struct slice *rest)
{
    struct slice version = facts_take(rest, 1);
    return version.data && version.data[0] == FACT_VERSION;
}

/* --- settings --------------------------------------------------------------------------------- */

static void facts_pair_add(struct slice name, struct slice value, struct text *out)
{
    facts_u8(out, (uint8_t)name.size);
    text_add(out, name);
    facts_u16(out, (uint16_t)value.size);
    text_add(out, value);
}

static void facts_pairs_add(struct config_rules rules, config_set set, const void *values,
                            struct text *out)
{
    for (unsigned i = 0; i < rules.count; i++) {
        char buffer[CONFIG_VALUE_SIZE];
        if (!(set & (config_set)1 << i))
            continue;
        facts_pair_add(slice_text(rules.rules[i].name),
                       slice_text(broker_config_text(&rules.rules[i], values, buffer)), out);
    }
}

/* Of a topic, or of a layer. */
static enum err facts_pairs_read(struct slice *rest, struct topic_settings *topic,
                                 struct config_layer *layer, struct diag *diag)
{
    struct slice count_bytes = facts_take(rest, 2);
    unsigned count = count_bytes.data ? be16_get(count_bytes.data) : 0;
    enum err err = count_bytes.data ? ERR_OK : ERR_CORRUPT;
    for (unsigned i = 0; i < count && !err; i++) {
        struct slice size = facts_take(rest, 1);
        struct slice name = size.data ? facts_take(rest, size.data[0]) : SLICE_NULL;
        size = facts_take(rest, 2);
        struct slice value = size.data ? facts_take(rest, be16_get(size.data)) : SLICE_NULL;
        struct broker_setting_change change = {.name = name, .value = value};
        if (!name.data || !value.data)
            return ERR_CORRUPT;
        err = topic ? broker_topic_config_change(topic, &change, diag)
                    : broker_config_change(layer, &change, diag);
    }
    return err ? ERR_CORRUPT : ERR_OK;
}

void broker_facts_settings_encode(struct config_rules rules, config_set set, const void *values,
                                  struct text *out)
{
    facts_u8(out, FACT_VERSION);
    facts_u16(out, (uint16_t)broker_config_set_count(set));
    facts_pairs_add(rules, set, values, out);
}

enum err broker_facts_settings_decode(struct slice value, struct config_layer *layer,
                                      struct diag *diag)
{
    if (!facts_version(&value))
        return ERR_CORRUPT;
    enum err err = facts_pairs_read(&value, NULL, layer, diag);
    return err || value.size > 0 ? ERR_CORRUPT : ERR_OK;
}

/* --- numbers ---------------------------------------------------------------------------------- */

void broker_facts_number_encode(int64_t number, struct text *out)
{
    facts_u8(out, FACT_VERSION);
    facts_i64(out, number);
}

enum err broker_facts_number_decode(struct slice value, int64_t *out)
{
    if (value.size != 1 + sizeof(int64_t) || !facts_version(&value))
        return ERR_CORRUPT;
    *out = (int64_t)be64_get(value.data);
    return ERR_OK;
}

/* --- topics ----------------------------------------------------------------------------------- */

void broker_facts_topic_key(const struct uuid *id, uint8_t out[FACT_TOPIC_KEY_SIZE])
{
    memcpy(out, FACT_TOPIC_PREFIX, sizeof(FACT_TOPIC_PREFIX) - 1);
    memcpy(out + sizeof(FACT_TOPIC_PREFIX) - 1, id->bytes, sizeof(id->bytes));
}

bool broker_facts_is_topic(struct slice key)
{
    return key.size == FACT_TOPIC_KEY_SIZE &&
           memcmp(key.data, FACT_TOPIC_PREFIX, sizeof(FACT_TOPIC_PREFIX) - 1) == 0;
}

bool broker_facts_has_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return key.size >= size && memcmp(key.data, prefix, size) == 0;
}

void broker_facts_topic_encode(const struct fact_topic *topic, struct text *out)
{
    facts_u8(out, FACT_VERSION);
    facts_u8(out, topic->internal ? FACT_TOPIC_INTERNAL : 0);
    facts_u32(out, topic->partition_count);
    facts_i64(out, topic->created_ms);
    facts_u8(out, (uint8_t)topic->name.size);
    text_add(out, topic->name);
    const struct topic_settings *settings = topic->settings;
    const struct broker_binding *binding = settings->binding;
    facts_u16(out, (uint16_t)(broker_config_set_count(settings->set) + (binding != NULL)));
    facts_pairs_add(broker_topic_config_rules(), settings->set, &settings->config, out);
    if (binding)
        facts_pair_add(slice_text(BROKER_BINDING_NAME), slice_text(binding->text), out);
}

enum err broker_facts_topic_decode(struct slice key, struct slice value, struct fact_topic *topic,
                                   struct diag *diag)
{
    struct slice fixed = SLICE_NULL;
    if (!broker_facts_is_topic(key))
        return ERR_CORRUPT;
    memcpy(topic->id.bytes, key.data + sizeof(FACT_TOPIC_PREFIX) - 1, sizeof(topic->id.bytes));
    if (facts_version(&value))
        fixed = facts_take(&value, 1 + 4 + 8 + 1);
    if (!fixed.data || (fixed.data[0] & ~FACT_TOPIC_INTERNAL) != 0)
        return ERR_CORRUPT;
    topic->internal = fixed.data[0] & FACT_TOPIC_INTERNAL;
    topic->partition_count = be32_get(fixed.data + 1);
    topic->created_ms = (int64_t)be64_get(fixed.data + 5);
    topic->name = facts_take(&value, fixed.data[13]);
    if (topic->partition_count == 0 || topic->partition_count > INT32_MAX || !topic->name.data ||
        broker_topic_name_check(topic->name, diag) != ERR_OK)
        return ERR_CORRUPT;
    enum err err = facts_pairs_read(&value, topic->settings, NULL, diag);
    return err || value.size > 0 ? ERR_CORRUPT : ERR_OK;
}

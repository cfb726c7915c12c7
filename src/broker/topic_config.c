// A topic's settings: explicit values over the broker's, and what the log makes of them.
// SPDX-License-Identifier: Apache-2.0
#include "broker/topic_config.h"

#include <stdlib.h>

#include "broker/binding.h"
#include "broker/state.h"

#define LIMITS_BOOL(low, high)   .min = low, .max = high
#define LIMITS_INT(low, high)    .min = low, .max = high
#define LIMITS_LONG(low, high)   .min = low, .max = high
#define LIMITS_DOUBLE(low, high) .min = low, .max = high
#define LIMITS_TEXT(low, high)   .words = low
#define LIMITS_LIST(low, high)   .words = low

static const struct config_rule topic_rules[] = {
#define TOPIC_CONFIG(kind, field_name, text, same, value, low, high, words_for_people)             \
    {.name = text,                                                                                 \
     .type = CONFIG_TYPE_##kind,                                                                   \
     .dynamic = true,                                                                              \
     .offset = offsetof(struct broker_topic_config, field_name),                                   \
     .synonym = offsetof(struct broker_settings, same),                                            \
     LIMITS_##kind(low, high),                                                                     \
     .doc = words_for_people},
#include "broker/topic_config.def"
#undef TOPIC_CONFIG
};
_Static_assert(COUNT_OF(topic_rules) <= CONFIG_RULES_MAX, "config_set has no room for all");

struct topic_fixed {
    const char *name;
    const char *value;
    enum config_type type;
};

static const struct topic_fixed topic_fixed[] = {
#define TOPIC_FIXED(kind, text, only) {.name = text, .value = only, .type = CONFIG_TYPE_##kind},
#include "broker/topic_fixed.def"
#undef TOPIC_FIXED
};

struct config_rules broker_topic_config_rules(void)
{
    return (struct config_rules){topic_rules, COUNT_OF(topic_rules)};
}

struct topic_settings *broker_topic_config_new(const struct settings_version *base)
{
    struct topic_settings *settings = calloc(1, sizeof(*settings));
    if (!settings)
        return NULL;
    atomic_init(&settings->refs, 1);
    broker_topic_config_resolve(settings, base);
    return settings;
}

struct topic_settings *broker_topic_config_copy(const struct topic_settings *settings,
                                                const struct settings_version *base)
{
    struct topic_settings *copy = malloc(sizeof(*copy));
    if (!copy)
        return NULL;
    memcpy(copy, settings, sizeof(*copy));
    (void)broker_binding_ref(copy->binding);
    atomic_init(&copy->refs, 1);
    broker_topic_config_resolve(copy, base);
    return copy;
}

static void topic_config_codec(struct topic_settings *settings)
{
    const struct broker_topic_config *config = &settings->config;
    const char *type = config->compression_type;
    settings->recode = strcmp(type, "producer") != 0;
    settings->level = CODEC_LEVEL_DEFAULT;
    settings->codec = BATCH_CODEC_NONE;
    if (strcmp(type, "gzip") == 0) {
        settings->codec = BATCH_CODEC_GZIP;
        settings->level = config->compression_gzip_level < 0 ? CODEC_LEVEL_DEFAULT
                                                             : config->compression_gzip_level;
    } else if (strcmp(type, "snappy") == 0) {
        settings->codec = BATCH_CODEC_SNAPPY;
    } else if (strcmp(type, "lz4") == 0) {
        settings->codec = BATCH_CODEC_LZ4;
        settings->level = config->compression_lz4_level;
    } else if (strcmp(type, "zstd") == 0) {
        settings->codec = BATCH_CODEC_ZSTD;
        settings->level = config->compression_zstd_level;
    }
}

void broker_topic_config_resolve(struct topic_settings *settings,
                                 const struct settings_version *base)
{
    struct broker_topic_config *config = &settings->config;
    for (unsigned i = 0; i < COUNT_OF(topic_rules); i++) {
        if (!(settings->set & (config_set)1 << i))
            broker_config_copy(&topic_rules[i], config, &base->values, topic_rules[i].synonym);
    }
    settings->generation = base->generation;
    topic_config_codec(settings);
    bool is_compact = strstr(config->cleanup_policy, "compact") != NULL;
    settings->append_time = strcmp(config->message_timestamp_type, "LogAppendTime") == 0;
    settings->log = (struct store_log_config){
        .segment_size_bytes = (uint32_t)config->segment_bytes,
        /* what is in the last segment waits for compaction as well */
        .segment_ms = is_compact ? MIN(config->segment_ms, config->max_compaction_lag_ms)
                                 : config->segment_ms,
        .segment_jitter_ms = config->segment_jitter_ms,
        .retention_ms = config->retention_ms,
        .retention_bytes = config->retention_bytes,
        .index_interval_bytes = (uint32_t)config->index_interval_bytes,
        .async = strcmp(config->durability, "async") == 0,
        .flush_messages = config->flush_messages,
        .flush_ms = config->flush_ms,
        .producer_expiry_ms = base->values.producer_id_expiration_ms,
        .retain = strstr(config->cleanup_policy, "delete") != NULL,
        .compact = is_compact,
        .compact_ratio = config->min_cleanable_dirty_ratio,
        .compact_lag_min_ms = config->min_compaction_lag_ms,
        .compact_lag_max_ms = config->max_compaction_lag_ms,
        .delete_retention_ms = config->delete_retention_ms,
    };
}

static const struct topic_fixed *topic_config_fixed(struct slice name)
{
    for (unsigned i = 0; i < COUNT_OF(topic_fixed); i++) {
        if (slice_equal_text(name, topic_fixed[i].name))
            return &topic_fixed[i];
    }
    return NULL;
}

enum err broker_topic_config_change(struct topic_settings *settings,
                                    const struct broker_setting_change *change, struct diag *diag)
{
    struct config_layer layer = {
        .rules = broker_topic_config_rules(),
        .set = &settings->set,
        .values = &settings->config,
        .effective = &settings->config,
    };
    if (slice_equal_text(change->name, BROKER_BINDING_NAME))
        return broker_binding_change(&settings->binding, change, diag);
    const struct topic_fixed *fixed = topic_config_fixed(change->name);
    if (!fixed)
        return broker_config_change(&layer, change, diag);
    if (change->op == BROKER_SETTING_DELETE || !change->value.data ||
        slice_equal_text(change->value, fixed->value))
        return ERR_OK;
    diag_set(diag, "%s is not implemented: it cannot be anything but '%s'", fixed->name,
             fixed->value);
    return ERR_INVALID;
}

enum err broker_topic_config_check(const struct topic_settings *settings, struct diag *diag)
{
    const struct broker_topic_config *config = &settings->config;
    if (config->min_compaction_lag_ms <= config->max_compaction_lag_ms)
        return ERR_OK;
    diag_set(diag, "min.compaction.lag.ms (%lld) is greater than max.compaction.lag.ms (%lld)",
             (long long)config->min_compaction_lag_ms, (long long)config->max_compaction_lag_ms);
    return ERR_INVALID;
}

struct topic_settings *broker_topic_config_ref(struct topic_settings *settings)
{
    atomic_fetch_add_explicit(&settings->refs, 1, memory_order_relaxed);
    return settings;
}

void broker_topic_config_unref(struct topic_settings *settings)
{
    if (!settings || atomic_fetch_sub_explicit(&settings->refs, 1, memory_order_acq_rel) != 1)
        return;
    broker_binding_unref(settings->binding);
    free(settings);
}

static void topic_config_binding(const struct topic_settings *settings, config_entry_fn fn,
                                 void *arg)
{
    bool is_set = settings->binding != NULL;
    struct config_entry entry = {
        .name = BROKER_BINDING_NAME,
        .value = is_set ? settings->binding->text : "",
        .source = is_set ? CONFIG_SOURCE_TOPIC : CONFIG_SOURCE_DEFAULT,
        .type = CONFIG_TYPE_LIST,
        .doc = "Subjects of NATS that are bound to the topic: what is published to them is "
               "appended, and records that name one are delivered on it.",
        .synonyms = {{BROKER_BINDING_NAME, "", CONFIG_SOURCE_DEFAULT}},
        .synonym_count = 1,
    };
    if (is_set) {
        entry.synonyms[1] = entry.synonyms[0];
        entry.synonyms[0] =
            (struct config_synonym){BROKER_BINDING_NAME, entry.value, CONFIG_SOURCE_TOPIC};
        entry.synonym_count = 2;
    }
    fn(arg, &entry);
}

void broker_topic_config_each(struct core *core, const struct broker_topic *topic,
                              config_entry_fn fn, void *arg)
{
    broker_topic_config_each_of(core, broker_topic_version_of(topic)->settings, fn, arg);
}

void broker_topic_config_each_of(struct core *core, const struct topic_settings *settings,
                                 config_entry_fn fn, void *arg)
{
    for (unsigned i = 0; i < COUNT_OF(topic_rules); i++) {
        struct config_own own = {.rule = &topic_rules[i], .source = CONFIG_SOURCE_TOPIC};
        if (settings->set & (config_set)1 << i)
            own.values = &settings->config;
        broker_settings_synonyms(core, &own, fn, arg);
    }
    topic_config_binding(settings, fn, arg);
    for (unsigned i = 0; i < COUNT_OF(topic_fixed); i++) {
        struct config_entry entry = {
            .name = topic_fixed[i].name,
            .value = topic_fixed[i].value,
            .source = CONFIG_SOURCE_DEFAULT,
            .type = topic_fixed[i].type,
            .doc = "Not implemented: always Kafka's default.",
            .synonyms = {{topic_fixed[i].name, topic_fixed[i].value, CONFIG_SOURCE_DEFAULT}},
            .synonym_count = 1,
        };
        fn(arg, &entry);
    }
}

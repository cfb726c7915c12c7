// Settings of a topic: a table (topic_config.def) makes the struct, its checks and descriptions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/settings.h"

/* Effective values: what the topic sets, else the broker's synonym. Texts are words of the table. A
 * name that Kafka knows and that is not honoured is refused (P9), see topic_fixed.def. */
struct broker_topic_config {
#define TOPIC_CONFIG(kind, field, name, synonym, value, min, max, doc) SETTING_TYPE_##kind field;
#include "broker/topic_config.def" // IWYU pragma: keep
#undef TOPIC_CONFIG
};

/* Where a value comes from; Kafka's numbers. */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_BROKER_DYNAMIC = 2,
    CONFIG_SOURCE_DEFAULT_BROKER_DYNAMIC = 3,
    CONFIG_SOURCE_BROKER_STATIC = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_LOGGER = 6,
    CONFIG_SOURCE_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8,
};

enum config_type {
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_INT,
    CONFIG_TYPE_LONG,
    CONFIG_TYPE_DOUBLE,
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_LIST,
    CONFIG_TYPE_RESET, /* earliest, latest, by_duration:P...; see BROKER_RESET_LATEST */
};

/* Values of a CONFIG_TYPE_RESET, an int64_t; others are milliseconds back from now. */
#define BROKER_RESET_LATEST   INT64_C(-1)
#define BROKER_RESET_EARLIEST INT64_C(-2)

#define CONFIG_SYNONYMS_MAX 5

struct config_synonym {
    const char *name;
    const char *value;
    enum config_source source;
};

/* One setting for a person or DescribeConfigs; valid inside the callback only. */
struct config_entry {
    const char *name;
    const char *value;
    enum config_source source;
    enum config_type type;
    bool read_only;
    bool sensitive;
    const char *doc;
    /* Every place that gives it a value, the one in force first; ends with the default. */
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
    unsigned synonym_count;
};
typedef void (*config_entry_fn)(void *arg, const struct config_entry *entry);

struct core;
struct broker_topic;
struct topic_settings;
/* All settings of the topic (or of this broker), in order of the tables. On any core. */
void broker_topic_config_each(struct core *core, const struct broker_topic *topic,
                              config_entry_fn fn, void *arg);
/* The same of a topic that could be made: broker_topic_create.out_settings. */
void broker_topic_config_each_of(struct core *core, const struct topic_settings *settings,
                                 config_entry_fn fn, void *arg);
/* cluster: only what was set for all brokers by broker_settings_alter, as Kafka describes the
 * resource without a name. */
void broker_settings_each(struct core *core, bool cluster, config_entry_fn fn, void *arg);

// Settings of a topic: one table (topic_config.def) makes the struct, defaults, checks and descriptions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/settings.h"

/* topic_config.def: TOPIC_CONFIG(kind, field, "name", "broker.synonym" or NULL, default, min, max, "documentation")
 * Kinds as in settings.def. A name that Kafka knows and that is not in the table is refused (P9). */
struct broker_topic_config {
#define TOPIC_CONFIG(kind, field, name, synonym, value, min, max, doc) SETTING_TYPE_##kind field;
#include "broker/topic_config.def"
#undef TOPIC_CONFIG
};

/* How DescribeConfigs tells where a value comes from. */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_BROKER_DYNAMIC = 2,
    CONFIG_SOURCE_DEFAULT_BROKER_DYNAMIC = 3,
    CONFIG_SOURCE_BROKER_STATIC = 4,
    CONFIG_SOURCE_DEFAULT = 5,
};

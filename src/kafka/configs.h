// What the requests about settings share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kafka/request.h"

/* Kafka's ConfigResource types that have settings here. */
enum kafka_resource {
    KAFKA_RESOURCE_TOPIC = 2,
    KAFKA_RESOURCE_BROKER = 4,
    KAFKA_RESOURCE_LOGGER = 8,
    KAFKA_RESOURCE_METRICS = 16, /* which metrics clients push */
    KAFKA_RESOURCE_GROUP = 32,
};

/* The name of a broker resource is this node's id. */
bool kafka_configs_is_node(struct core *core, struct slice name);

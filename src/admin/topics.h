// What monitoring asks about topics, partitions and groups: lines of Prometheus' text format.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "broker/broker.h"

enum admin_topics_limit {
    /* With more partitions than this, what would be a line each is left out. */
    ADMIN_TOPICS_PARTITIONS_MAX = 2000,
};

enum admin_topics_names {
    ADMIN_TOPICS_LEAT,  /* leat_partition_..., leat_group_... */
    ADMIN_TOPICS_KAFKA, /* those of kafka_exporter and of Kafka's own beans */
};

/* text belongs to the callee's caller: deinit it. Its failed says whether memory was short. */
typedef void (*admin_topics_fn)(void *arg, struct text *text);

/* On core 0; answers there, later. It goes through the partitions one after another. */
void admin_topics_report(struct core *core, enum admin_topics_names names, admin_topics_fn fn,
                         void *arg);

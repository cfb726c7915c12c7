// The server's log level as Kafka's resource of broker loggers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/topic_config.h"
#include "kafka/request.h"

/* The one logger, "root". */
void kafka_loggers_each(struct core *core, config_entry_fn fn, void *arg);
/* Changes the level until the server stops; 0, or Kafka's error with words. */
int16_t kafka_loggers_alter(struct core *core, const struct broker_settings_alter *alter,
                            struct diag *diag);

// Puts the topics of the configuration in force at a start, before clients are let in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "reactor/reactor.h"
#include "server/settings.h"

/* Memory of the server's. */
struct server_topics {
    struct core_task task;
    struct broker_plan_apply apply;
    const struct server_settings *settings;
    /* On core 0, once. words: why they cannot be as the file says, with file and line; NULL: they
     * are. */
    void (*done)(void *arg, const char *words);
    void *arg;
};

/* Core 0, before the reactor runs; settings, done and arg are set. done comes when it runs. */
void server_topics_start(struct server_topics *topics, struct core *core);

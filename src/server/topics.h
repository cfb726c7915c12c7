// Puts the topics of the configuration in force: at a start, and when it is read again.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "reactor/reactor.h"
#include "server/settings.h"

/* Memory of the server's, zeroed. Core 0's. */
struct server_topics {
    struct core_task task;
    struct broker_plan_apply apply;
    const struct server_settings *settings; /* of the plan that is being put in force */
    struct server_settings *again;          /* the same, of a reload; NULL: it is the start */
    struct server_settings *next;           /* of a later reload, which waits; NULL: none */
    bool is_busy;
    /* Once, for the start. words: why they cannot be as the file says, with file and line; NULL:
     * they are. */
    void (*done)(void *arg, const char *words);
    void *arg;
};

/* Before the reactor runs; settings, done and arg are set. done comes when it runs. */
void server_topics_start(struct server_topics *topics, struct core *core);
/* When the one before is over; of several that wait, the newest counts. What comes of it is
 * logged. take_settings: from malloc. */
void server_topics_reload(struct server_topics *topics, struct core *core,
                          struct server_settings *take_settings);
/* Frees what is left of one that was not over. After the broker. */
void server_topics_close(struct server_topics *topics);

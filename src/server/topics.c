// Has the broker make the topics of the configuration, and says what came of it.
// SPDX-License-Identifier: Apache-2.0
#include "server/topics.h"

#include <stdlib.h>

#include "server/settings_topics.h"

static void topics_begin(struct server_topics *topics, struct core *core);

static void settings_free(struct server_settings *settings)
{
    if (settings)
        server_settings_deinit(settings);
    free(settings);
}

static void topics_are_over(struct server_topics *topics, const char *words)
{
    struct core *core = topics->apply.core;
    topics->is_busy = false;
    if (!topics->again)
        topics->done(topics->arg, words);
    else if (words)
        log_error(core_logger(core), "server",
                  "topics of the configuration are not all as it says: %s", words);
    settings_free(topics->again);
    topics->again = topics->next;
    topics->next = NULL;
    if (topics->again)
        topics_begin(topics, core);
}

static void topics_applied(struct broker_plan_apply *apply)
{
    struct server_topics *topics = CONTAINER_OF(apply, struct server_topics, apply);
    struct logger *logger = core_logger(apply->core);
    if (apply->created_count + apply->changed_count > 0)
        log_info(logger, "server", "topics of the configuration made=%zu changes=%zu",
                 apply->created_count, apply->changed_count);
    if (apply->err) {
        if (!apply->diag.text[0])
            diag_set(&apply->diag, "%s", err_text(apply->err));
        server_settings_topics_complain(topics->settings, &apply->fault, &apply->diag);
    }
    topics_are_over(topics, apply->err ? apply->diag.text : NULL);
}

static void topics_run(struct core *core, struct core_task *task)
{
    struct server_topics *topics = CONTAINER_OF(task, struct server_topics, task);
    topics->apply.plan = &topics->settings->plan;
    topics->apply.done = topics_applied;
    broker_plan_apply(core, &topics->apply);
}

/* In a turn of its own, whoever asks. */
static void topics_begin(struct server_topics *topics, struct core *core)
{
    if (topics->again)
        topics->settings = topics->again;
    topics->is_busy = true;
    core_task_init(&topics->task, topics_run);
    core_task_post(core, &topics->task);
}

void server_topics_start(struct server_topics *topics, struct core *core)
{
    topics_begin(topics, core);
}

void server_topics_reload(struct server_topics *topics, struct core *core,
                          struct server_settings *take_settings)
{
    if (topics->is_busy) {
        settings_free(topics->next);
        topics->next = take_settings;
        return;
    }
    topics->again = take_settings;
    topics_begin(topics, core);
}

void server_topics_close(struct server_topics *topics)
{
    if (topics->is_busy)
        broker_plan_forget(&topics->apply);
    settings_free(topics->again);
    settings_free(topics->next);
}

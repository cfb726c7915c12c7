// Has the broker make the topics of the configuration, and says what came of it.
// SPDX-License-Identifier: Apache-2.0
#include "server/topics.h"

#include "server/settings_topics.h"

static void topics_applied(struct broker_plan_apply *apply)
{
    struct server_topics *topics = CONTAINER_OF(apply, struct server_topics, apply);
    struct logger *logger = core_logger(apply->core);
    if (apply->err) {
        if (!apply->diag.text[0])
            diag_set(&apply->diag, "%s", err_text(apply->err));
        server_settings_topics_complain(topics->settings, &apply->fault, &apply->diag);
        topics->done(topics->arg, apply->diag.text);
        return;
    }
    if (apply->created_count + apply->changed_count > 0)
        log_info(logger, "server", "topics of the configuration made=%zu changes=%zu",
                 apply->created_count, apply->changed_count);
    topics->done(topics->arg, NULL);
}

static void topics_run(struct core *core, struct core_task *task)
{
    struct server_topics *topics = CONTAINER_OF(task, struct server_topics, task);
    topics->apply.plan = &topics->settings->plan;
    topics->apply.done = topics_applied;
    broker_plan_apply(core, &topics->apply);
}

void server_topics_start(struct server_topics *topics, struct core *core)
{
    core_task_init(&topics->task, topics_run);
    core_task_post(core, &topics->task);
}

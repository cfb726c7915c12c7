// Blocking work: helper threads started on first use, or inline when there are none.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "reactor/core_state.h"

static void work_done(struct core *core, struct core_message *message)
{
    struct core_work *work = CONTAINER_OF(message, struct core_work, message);
    work->done(core, work);
}

static void work_run(struct os_work *node)
{
    struct core_work *work = CONTAINER_OF(node, struct core_work, work);
    struct core *core = work->core;
    work->run(work);
    core_send_from_outside(core, &work->message);
}

static void helper_main(void *arg)
{
    struct os_queue *queue = arg;
    struct os_work *work;
    while ((work = os_queue_pop(queue)))
        work->run(work);
}

static void inline_push(struct core *core, struct core_work *work)
{
    struct core_queue *queue = &core->inline_work;
    work->message.next = NULL;
    if (queue->last)
        queue->last->next = &work->message;
    else
        queue->first = &work->message;
    queue->last = &work->message;
}

/* The order of submission; done follows with this turn's messages. */
void core_work_run_inline(struct core *core)
{
    struct core_message *message = core->inline_work.first;
    core->inline_work = (struct core_queue){NULL, NULL};
    while (message) {
        struct core_work *work = CONTAINER_OF(message, struct core_work, message);
        message = message->next;
        work->run(work);
        core_message_send_self(core, &work->message);
    }
}

/* NULL: no thread can be had; the work runs inline. */
static struct os_queue *sync_queue(struct core *core)
{
    if (core->sync_queue || core->sync_failed)
        return core->sync_queue;
    char name[16];
    (void)snprintf(name, sizeof(name), "sync-%u", core->id);
    core->sync_queue = os_queue_new(core->os);
    int error = -1;
    if (core->sync_queue)
        error = core->os->ops->thread_start(core->os, name, helper_main, core->sync_queue,
                                            &core->sync_thread);
    if (error == 0)
        return core->sync_queue;
    log_error(core_logger(core), "reactor", "no helper thread, journal commits block core=%u",
              core->id);
    if (core->sync_queue)
        os_queue_free(core->sync_queue);
    core->sync_queue = NULL;
    core->sync_failed = true;
    return NULL;
}

static bool bulk_start(struct reactor *reactor)
{
    struct os *os = reactor->options.os;
    reactor->bulk_queue = os_queue_new(os);
    reactor->bulk_threads = calloc(reactor->options.helper_count, sizeof(uint64_t));
    if (!reactor->bulk_queue || !reactor->bulk_threads)
        return false;
    for (unsigned i = 0; i < reactor->options.helper_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "bulk-%u", i);
        if (os->ops->thread_start(os, name, helper_main, reactor->bulk_queue,
                                  &reactor->bulk_threads[reactor->bulk_count]) == 0)
            reactor->bulk_count++;
    }
    return reactor->bulk_count > 0;
}

/* NULL: no thread can be had, or another core is starting them just now; runs inline. */
static struct os_queue *bulk_queue(struct core *core)
{
    struct reactor *reactor = core->reactor;
    int state = REACTOR_BULK_NONE;
    if (atomic_compare_exchange_strong(&reactor->bulk_state, &state, REACTOR_BULK_STARTING)) {
        state = bulk_start(reactor) ? REACTOR_BULK_ON : REACTOR_BULK_OFF;
        if (state == REACTOR_BULK_OFF)
            log_error(core_logger(core), "reactor", "no helper threads, cold reads block");
        atomic_store(&reactor->bulk_state, state);
    }
    return state == REACTOR_BULK_ON ? reactor->bulk_queue : NULL;
}

void core_work_submit(struct core *core, enum core_lane lane, struct core_work *work)
{
    struct os_queue *queue = NULL;
    CHECK(lane < CORE_LANE_COUNT);
    work->core = core;
    work->work.run = work_run;
    work->message.run = work_done;
    metric_add(&core->metrics.works, 1);
    if (core->reactor->options.helper_count > 0 && !atomic_load(&core->reactor->over))
        queue = lane == CORE_LANE_SYNC ? sync_queue(core) : bulk_queue(core);
    if (queue)
        os_queue_push(queue, &work->work);
    else
        inline_push(core, work);
}

void core_work_stop(struct reactor *reactor)
{
    struct os *os = reactor->options.os;
    for (unsigned i = 0; i < reactor->options.core_count; i++) {
        struct core *core = reactor->cores[i];
        if (!core || !core->sync_queue)
            continue;
        os_queue_close(core->sync_queue);
        os->ops->thread_join(os, core->sync_thread);
        os_queue_free(core->sync_queue);
        core->sync_queue = NULL;
    }
    if (reactor->bulk_queue) {
        os_queue_close(reactor->bulk_queue);
        for (unsigned i = 0; i < reactor->bulk_count; i++)
            os->ops->thread_join(os, reactor->bulk_threads[i]);
        os_queue_free(reactor->bulk_queue);
        reactor->bulk_queue = NULL;
    }
    free(reactor->bulk_threads);
    reactor->bulk_threads = NULL;
    reactor->bulk_count = 0;
}

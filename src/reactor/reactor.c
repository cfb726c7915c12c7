// All cores: made together, started, stopped and freed together.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/reactor.h"

#include <stdio.h>
#include <stdlib.h>

#include "reactor/core_state.h"

#define REACTOR_SETTLE_ROUNDS_MAX 1000

static struct core *reactor_core_new(void)
{
    struct core *core = NULL;
    if (posix_memalign((void **)&core, 64, sizeof(*core)) != 0)
        return NULL;
    memset(core, 0, sizeof(*core));
    return core;
}

static void reactor_settle(struct reactor *reactor);

enum err reactor_open(const struct reactor_options *options, struct reactor **out)
{
    CHECK(options->core_count > 0);
    enum err err = ERR_NO_MEMORY;
    struct reactor *reactor = calloc(1, sizeof(*reactor));
    if (!reactor)
        return err;
    reactor->options = *options;
    list_init(&reactor->conns.listeners);
    reactor->cores = calloc(options->core_count, sizeof(struct core *));
    if (!reactor->cores)
        goto fail;
    for (unsigned i = 0; i < options->core_count; i++) {
        err = ERR_NO_MEMORY;
        reactor->cores[i] = reactor_core_new();
        if (!reactor->cores[i])
            goto fail;
        err = core_init(reactor->cores[i], reactor, i);
        if (err != ERR_OK)
            goto fail;
    }
    reactor->is_open = true;
    *out = reactor;
    return ERR_OK;
fail:
    reactor_close(reactor);
    return err;
}

/* Callbacks that were promised come, in single file: completions, and what they send. */
static void reactor_settle(struct reactor *reactor)
{
    bool had_some = true;
    atomic_store(&reactor->over, true);
    atomic_store(&reactor->conns.aborting, true); /* also for those between two cores */
    core_work_stop(reactor);
    for (unsigned i = 0; i < reactor->options.core_count; i++)
        conn_abort_all(reactor->cores[i]);
    for (unsigned round = 0; had_some && round < REACTOR_SETTLE_ROUNDS_MAX; round++) {
        had_some = false;
        for (unsigned i = 0; i < reactor->options.core_count; i++)
            had_some = core_settle(reactor->cores[i]) || had_some;
    }
}

void reactor_close(struct reactor *reactor)
{
    if (!reactor)
        return;
    unsigned count = reactor->cores ? reactor->options.core_count : 0;
    if (reactor->is_open)
        reactor_settle(reactor);
    balance_free(reactor->balance);
    listener_free_all(reactor);
    for (unsigned i = 0; i < count; i++) {
        if (reactor->cores[i])
            core_deinit(reactor->cores[i]);
    }
    for (unsigned i = 0; i < count; i++)
        free(reactor->cores[i]);
    free(reactor->cores);
    free(reactor);
}

void reactor_abandon(struct reactor *reactor)
{
    reactor->is_open = false;
    reactor_close(reactor);
}

static void reactor_core_main(void *arg)
{
    core_loop(arg);
}

void reactor_run(struct reactor *reactor)
{
    struct os *os = reactor->options.os;
    for (unsigned i = 1; i < reactor->options.core_count; i++) {
        struct core *core = reactor->cores[i];
        char name[16];
        (void)snprintf(name, sizeof(name), "core-%u", i);
        int error = os->ops->thread_start(os, name, reactor_core_main, core, &core->thread_id);
        core->thread_started = error == 0;
        if (error != 0) {
            log_error(reactor->options.logger, "reactor", "cannot start a thread core=%u", i);
            reactor_stop(reactor);
        }
    }
    core_loop(reactor->cores[0]);
    for (unsigned i = 1; i < reactor->options.core_count; i++) {
        struct core *core = reactor->cores[i];
        if (core->thread_started)
            os->ops->thread_join(os, core->thread_id);
        core->thread_started = false;
    }
    reactor_settle(reactor);
}

void reactor_stop(struct reactor *reactor)
{
    atomic_store(&reactor->stopping, true);
    for (unsigned i = 0; i < reactor->options.core_count; i++)
        core_message_wake(reactor->cores[i]);
}

unsigned reactor_core_count(const struct reactor *reactor)
{
    return reactor->options.core_count;
}

struct core *reactor_core(struct reactor *reactor, unsigned id)
{
    CHECK(id < reactor->options.core_count);
    return reactor->cores[id];
}

struct budget *reactor_budget(struct reactor *reactor)
{
    return reactor->options.budget;
}

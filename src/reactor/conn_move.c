// Connections as a crowd: moved to another core, drained and cut when the server stops.
// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>

#include "reactor/conn_state.h"

static void conn_drain(struct conn *conn)
{
    if (conn->is_drained)
        return;
    conn->is_drained = true;
    if (conn->phase == CONN_OPEN && conn->ops->on_shutdown)
        conn->ops->on_shutdown(conn);
    else
        conn_close_with(conn, CONN_CLOSED_SHUTDOWN);
}

/* Input waits for nothing but to be somewhere else, or not at all. */
static bool conn_input_is_free(const struct conn *conn)
{
    if (conn->bound)
        return conn->paused == 1;
    return conn->paused == 0 && !conn->is_parked && list_empty(&conn->task.node);
}

/* Beginnings of frames go along; output, requests and waiting do not. */
bool conn_can_move(const struct conn *conn)
{
    return conn->phase == CONN_OPEN && !conn->is_drained && conn_input_is_free(conn) &&
           conn->held == 0 && conn->out_size == 0 && !conn->is_starved && !conn->was_full &&
           conn->ops->can_move && conn->ops->can_move((struct conn *)(uintptr_t)conn);
}

void conn_bind(struct conn *conn, unsigned to)
{
    CHECK(!conn->bound);
    conn->bound = to + 1;
    conn->wish = 0;
    conn_pause(conn);
}

void conn_unbind(struct conn *conn)
{
    CHECK(conn->bound);
    conn->bound = 0;
    conn->wish = 0;
    conn_resume(conn);
}

void conn_go(struct conn *conn)
{
    unsigned wish = conn->bound;
    CHECK(wish);
    if (!conn_move(conn, wish - 1))
        conn->wish = wish;
}

static void conn_arrive(struct core *core, struct core_message *message)
{
    struct conn *conn = CONTAINER_OF(message, struct conn, message);
    struct reactor_conns *conns = &core->reactor->conns;
    conn->bound = 0;
    conn->is_parked = false;
    bool attached = conn_attach(conn, core);
    metric_add(&core->metrics.moved_in, 1);
    if (conn->ops->on_move)
        conn->ops->on_move(conn, conn->moved_from);
    if (attached)
        conn_arm_timer(conn);
    if (atomic_load(&conns->aborting))
        conn_abort(conn, CONN_CLOSED_SHUTDOWN);
    else if (atomic_load(&conns->draining))
        conn_drain(conn);
}

bool conn_move(struct conn *conn, unsigned to)
{
    struct core *core = conn->core;
    conn->wish = 0;
    if (to == core->id || !conn_can_move(conn))
        return false;
    if (conn->ops->on_leave)
        conn->ops->on_leave(conn);
    conn_detach(conn);
    metric_add(&core->metrics.moved_out, 1);
    conn->moved_from = core;
    conn->core = NULL;
    conn->message.run = conn_arrive;
    core_send(core, to, &conn->message);
    return true;
}

void conn_follow_wish(struct conn *conn)
{
    unsigned to = conn->wish - 1;
    if (conn_move(conn, to))
        return;
    if (conn->bound)
        conn->wish = conn->bound;
    else if (conn->ops->on_wish && conn->phase == CONN_OPEN && to != conn->core->id)
        conn->ops->on_wish(conn, to);
}

static void shutdown_drain(struct core *core, struct core_message *message)
{
    list_for_each_safe (node, following, &core->conns.all)
        conn_drain(LIST_ENTRY(node, struct conn, node));
}

void conn_abort_all(struct core *core)
{
    list_for_each_safe (node, following, &core->conns.all)
        conn_abort(LIST_ENTRY(node, struct conn, node), CONN_CLOSED_SHUTDOWN);
}

static void shutdown_abort(struct core *core, struct core_message *message)
{
    conn_abort_all(core);
}

static void shutdown_timeout(struct core *core, struct core_timer *timer)
{
    struct reactor *reactor = core->reactor;
    atomic_store(&reactor->conns.aborting, true);
    for (unsigned i = 0; i < reactor->options.core_count; i++) {
        reactor->cores[i]->conns.abort_message.run = shutdown_abort;
        core_send(core, i, &reactor->cores[i]->conns.abort_message);
    }
}

static void shutdown_done(struct core *core, struct core_task *task)
{
    struct reactor_conns *conns = &core->reactor->conns;
    core_timer_cancel(core, &conns->timer);
    if (conns->done)
        conns->done(conns->done_arg);
    conns->done = NULL;
}

void conn_shutdown_all(struct reactor *reactor, unsigned timeout_ms, void (*done)(void *arg),
                       void *arg)
{
    struct core *core = reactor->cores[0];
    struct reactor_conns *conns = &reactor->conns;
    if (atomic_exchange(&conns->draining, true))
        return;
    conns->done = done;
    conns->done_arg = arg;
    core_task_init(&conns->done_task, shutdown_done);
    core_timer_init(&conns->timer, shutdown_timeout);
    if (conns->count == 0) {
        core_task_post(core, &conns->done_task);
        return;
    }
    core_timer_set(core, &conns->timer, core->now_ns + timeout_ms * CONN_NS_PER_MS);
    for (unsigned i = 0; i < reactor->options.core_count; i++) {
        reactor->cores[i]->conns.drain_message.run = shutdown_drain;
        core_send(core, i, &reactor->cores[i]->conns.drain_message);
    }
}

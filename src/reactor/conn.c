// The life of a connection: opened, timed, paused, closed, and what its readiness events do.
// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "reactor/conn_state.h"

static void conn_event_run(struct core *core, struct core_watch *watch, uint32_t events);
static void conn_task_run(struct core *core, struct core_task *task);
static void conn_timer_run(struct core *core, struct core_timer *timer);

void conn_core_init(struct core *core)
{
    list_init(&core->conns.all);
    list_init(&core->conns.flush);
    list_init(&core->conns.flush_later);
    list_init(&core->conns.starved);
    core_task_init(&core->conns.flush_task, conn_output_flush_run);
    core_timer_init(&core->conns.starved_timer, conn_input_starved_run);
}

void conn_core_deinit(struct core *core)
{
    struct conn_chunk *chunk;
    CHECK(list_empty(&core->conns.all));
    buf_unref(core->conns.input.buf);
    buf_unref(core->conns.output.buf);
    while ((chunk = core->conns.chunks_free)) {
        core->conns.chunks_free = chunk->next;
        free(chunk);
        budget_release(core->reactor->options.budget, sizeof(*chunk));
    }
}

void conn_core_turn(struct core *core)
{
    if (list_empty(&core->conns.flush_later))
        return;
    list_splice_back(&core->conns.flush, &core->conns.flush_later);
    core_task_post_end(core, &core->conns.flush_task, 1);
}

bool conn_attach(struct conn *conn, struct core *core)
{
    conn->core = core;
    conn->active_ns = core->now_ns;
    list_push_back(&core->conns.all, &conn->node);
    metric_add(&core->metrics.connections, 1);
    conn->events = EPOLLIN;
    if (core_watch_add(core, &conn->watch, conn->events) == ERR_OK)
        return true;
    conn->events = 0;
    conn_abort(conn, CONN_CLOSED_ERROR);
    return false;
}

void conn_detach(struct conn *conn)
{
    struct core *core = conn->core;
    if (conn->events)
        core_watch_remove(core, &conn->watch);
    conn->events = 0;
    core_timer_cancel(core, &conn->timer);
    core_task_cancel(&conn->task);
    list_remove(&conn->node);
    list_remove(&conn->flush_node);
    list_remove(&conn->starved_node);
    metric_add(&core->metrics.connections, (uint64_t)-1);
}

/* Core 0: the address book and the memory are there. */
static void conn_home(struct conn *conn)
{
    struct reactor *reactor = conn->listener->core->reactor;
    listener_forget(conn->listener, conn->ip);
    free(conn);
    budget_release(reactor->options.budget, sizeof(*conn));
    reactor->conns.count--;
    if (reactor->conns.count == 0 && atomic_load(&reactor->conns.draining))
        core_task_post(reactor->cores[0], &reactor->conns.done_task);
}

static void conn_home_run(struct core *core, struct core_message *message)
{
    conn_home(CONTAINER_OF(message, struct conn, message));
}

static void conn_finish(struct conn *conn)
{
    struct core *core = conn->core;
    conn_detach(conn);
    conn->phase = CONN_GONE;
    if (conn->ops->on_close)
        conn->ops->on_close(conn, conn->reason);
    conn_output_free(conn);
    if (conn->reason == CONN_CLOSED_BY_US)
        conn_input_discard(conn);
    conn_input_free(conn);
    core->os->ops->close(core->os, conn->watch.fd);
    metric_add(&core->metrics.closed[conn->reason], 1);
    conn->message.run = conn_home_run;
    if (core->id == 0)
        conn_home(conn);
    else
        core_send(core, 0, &conn->message);
}

void conn_open(struct listener *listener, int fd, const struct sockaddr_storage *peer,
               struct listener_ip *ip)
{
    struct core *core = listener->core;
    struct os *os = core->os;
    struct conn *conn = NULL;
    int one = 1;
    if (budget_charge(core->reactor->options.budget, sizeof(*conn))) {
        conn = calloc(1, sizeof(*conn));
        if (!conn)
            budget_release(core->reactor->options.budget, sizeof(*conn));
    }
    if (!conn) {
        metric_add(&core->metrics.refused_memory, 1);
        os->ops->close(os, fd);
        listener_forget(listener, ip);
        return;
    }
    conn->watch = (struct core_watch){conn_event_run, fd, 0};
    conn->listener = listener;
    conn->ops = listener->options.ops;
    conn->ip = ip;
    conn->peer = *peer;
    list_init(&conn->node);
    list_init(&conn->flush_node);
    list_init(&conn->starved_node);
    core_task_init(&conn->task, conn_task_run);
    core_timer_init(&conn->timer, conn_timer_run);
    if (os->ops->sockname(os, fd, &conn->local) != 0)
        conn->local = listener->address;
    if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6)
        os->ops->sockopt(os, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    core->reactor->conns.count++;
    metric_add(&core->metrics.accepted, 1);
    bool attached = conn_attach(conn, core);
    conn->ops->on_open(conn, listener->options.arg);
    if (attached)
        conn_arm_timer(conn);
}

void conn_update_events(struct conn *conn)
{
    uint32_t events = conn->is_blocked ? EPOLLOUT : 0;
    if (conn->phase == CONN_OPEN && !conn->is_parked && !conn->is_starved)
        events |= EPOLLIN;
    if (conn->phase >= CONN_CLOSED || conn->events == 0)
        return;
    if (events == 0)
        events = EPOLLERR;
    if (events == conn->events)
        return;
    conn->events = events;
    if (core_watch_set(conn->core, &conn->watch, events) != ERR_OK)
        conn_abort(conn, CONN_CLOSED_ERROR);
}

static void conn_event_run(struct core *core, struct core_watch *watch, uint32_t events)
{
    struct conn *conn = CONTAINER_OF(watch, struct conn, watch);
    if (conn->phase >= CONN_CLOSED)
        return;
    if (events & EPOLLOUT) {
        conn->is_blocked = false;
        conn_output_queue_flush(conn);
    }
    if ((events & (EPOLLERR | EPOLLHUP)) && !(conn->events & EPOLLIN)) {
        /* Nobody is there any more, and reading, which would tell why, is off. */
        conn_abort(conn, events & EPOLLERR ? CONN_CLOSED_ERROR : CONN_CLOSED_BY_PEER);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || conn->phase != CONN_OPEN)
        return;
    if (conn->paused > 0) {
        conn->is_parked = true;
        conn_update_events(conn);
        return;
    }
    conn_input_read(conn);
}

static void conn_task_run(struct core *core, struct core_task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, task);
    if (conn->phase == CONN_CLOSED) {
        conn_finish(conn);
        return;
    }
    if (conn->paused > 0 || conn->phase != CONN_OPEN)
        return;
    conn->is_parked = false;
    conn_input_process(conn);
    conn_update_events(conn);
}

/* --- Deadlines. The timer is set when one may have come nearer, and looks again when it fires, so
 * that traffic moves times, not the heap. --- */

static uint64_t after_ms(uint64_t from_ns, uint64_t ms)
{
    return from_ns + ms * CONN_NS_PER_MS;
}

static uint64_t conn_frame_deadline(const struct conn *conn)
{
    const struct conn_limits *limits = &conn->listener->options.limits;
    if (!limits->frame_timeout_ms || !conn->frame_ns || conn->phase != CONN_OPEN)
        return UINT64_MAX;
    uint64_t extra_ms = 0;
    if (limits->frame_rate_min)
        extra_ms = (uint64_t)(conn->in_end - conn->in_start) * 1000 / limits->frame_rate_min;
    return after_ms(conn->frame_ns, limits->frame_timeout_ms + extra_ms);
}

static uint64_t conn_output_deadline(const struct conn *conn)
{
    const struct conn_limits *limits = &conn->listener->options.limits;
    unsigned timeout_ms = limits->output_timeout_ms;
    if (timeout_ms == 0)
        timeout_ms = limits->idle_timeout_ms;
    if (!timeout_ms || !conn->is_blocked)
        return UINT64_MAX;
    return after_ms(conn->output_ns, timeout_ms);
}

/* A busy connection is looked at again after as long. */
static uint64_t conn_idle_deadline(const struct conn *conn)
{
    const struct conn_limits *limits = &conn->listener->options.limits;
    if (!limits->idle_timeout_ms || conn->phase != CONN_OPEN)
        return UINT64_MAX;
    bool is_busy = conn->held > 0 || conn->paused > 0 || conn->is_starved || conn->out_size > 0;
    uint64_t from_ns = is_busy ? conn->core->now_ns : conn->active_ns;
    return after_ms(from_ns, limits->idle_timeout_ms);
}

static uint64_t conn_deadline(const struct conn *conn, enum conn_close_reason *out_reason)
{
    const struct {
        uint64_t deadline_ns;
        enum conn_close_reason reason;
    } all[] = {
        {conn_frame_deadline(conn), CONN_CLOSED_SLOW},
        {conn_output_deadline(conn), CONN_CLOSED_SLOW},
        {conn_idle_deadline(conn), CONN_CLOSED_IDLE},
        {conn->phase == CONN_CLOSING ? conn->linger_ns : UINT64_MAX, conn->reason},
    };
    unsigned first = 0;
    for (unsigned i = 1; i < COUNT_OF(all); i++)
        first = all[i].deadline_ns < all[first].deadline_ns ? i : first;
    *out_reason = all[first].reason;
    return all[first].deadline_ns;
}

void conn_arm_timer(struct conn *conn)
{
    enum conn_close_reason reason;
    if (conn->phase >= CONN_CLOSED)
        return;
    uint64_t deadline_ns = conn_deadline(conn, &reason);
    if (deadline_ns == UINT64_MAX)
        return;
    if (!core_timer_is_set(&conn->timer) || conn->timer.node.key > deadline_ns)
        core_timer_set(conn->core, &conn->timer, deadline_ns);
}

static void conn_timer_run(struct core *core, struct core_timer *timer)
{
    struct conn *conn = CONTAINER_OF(timer, struct conn, timer);
    enum conn_close_reason reason;
    if (conn->phase >= CONN_CLOSED)
        return;
    if (conn_deadline(conn, &reason) <= core->now_ns)
        conn_abort(conn, reason);
    else
        conn_arm_timer(conn);
}

/* --- What rooms above call. --- */

struct core *conn_core(const struct conn *conn)
{
    return conn->core;
}

void conn_set_state(struct conn *conn, void *state)
{
    conn->state = state;
}

void *conn_state(const struct conn *conn)
{
    return conn->state;
}

const struct sockaddr_storage *conn_local_address(const struct conn *conn)
{
    return &conn->local;
}

const struct sockaddr_storage *conn_peer_address(const struct conn *conn)
{
    return &conn->peer;
}

void conn_pause(struct conn *conn)
{
    conn->paused++;
    conn->frame_ns = 0; /* the waiting is ours */
}

void conn_resume(struct conn *conn)
{
    CHECK(conn->paused > 0);
    if (--conn->paused == 0 && conn->phase == CONN_OPEN)
        core_task_post(conn->core, &conn->task);
}

void conn_hold(struct conn *conn)
{
    conn->held++;
}

void conn_release(struct conn *conn)
{
    CHECK(conn->held > 0);
    if (--conn->held == 0)
        conn->active_ns = conn->core->now_ns;
}

void conn_close_with(struct conn *conn, enum conn_close_reason reason)
{
    if (conn->phase != CONN_OPEN)
        return;
    if (conn->out_size == 0) {
        conn_abort(conn, reason);
        return;
    }
    conn->phase = CONN_CLOSING;
    conn->reason = reason;
    conn->frame_ns = 0;
    conn->linger_ns = after_ms(conn->core->now_ns, CONN_LINGER_MS);
    conn_update_events(conn);
    conn_arm_timer(conn);
}

void conn_close(struct conn *conn)
{
    conn_close_with(conn, CONN_CLOSED_BY_US);
}

void conn_abort(struct conn *conn, enum conn_close_reason reason)
{
    if (conn->phase >= CONN_CLOSED)
        return;
    conn->phase = CONN_CLOSED;
    conn->reason = reason;
    core_task_post(conn->core, &conn->task);
}

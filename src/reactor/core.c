// The event loop of a core: turns, tasks, timers, clocks and the measure of load.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "reactor/core_state.h"

static void core_waker_run(struct core *core, struct core_watch *watch, uint32_t events)
{
    core->os->ops->event_clear(core->os, watch->fd);
}

enum err core_init(struct core *core, struct reactor *reactor, unsigned id)
{
    struct os *os = reactor->options.os;
    unsigned count = reactor->options.core_count;
    core->reactor = reactor;
    core->os = os;
    core->id = id;
    core->poll_fd = -1;
    core->waker = (struct core_watch){core_waker_run, -1, 0};
    core->slot_free = UINT32_MAX;
    core->now_ns = os->ops->mono_ns(os);
    core->wall_ms = os->ops->wall_ms(os);
    os->ops->random(os, core->random, sizeof(core->random));
    core->random[0] |= 1;
    core->load.bucket_end_ns = core->now_ns + CORE_LOAD_BUCKET_NS;
    list_init(&core->tasks);
    list_init(&core->tasks_end[0]);
    list_init(&core->tasks_end[1]);
    heap_init(&core->timers);
    conn_core_init(core);
    core->buffers = buf_pool_new(reactor->options.budget, reactor->options.buffers_keep_bytes);
    core->out = calloc(count, sizeof(*core->out));
    core->in = calloc(count, sizeof(*core->in));
    core->dirty_ids = calloc(count, sizeof(*core->dirty_ids));
    if (!core->buffers || !core->out || !core->in || !core->dirty_ids)
        return ERR_NO_MEMORY;
    core->poll_fd = os->ops->poll_create(os);
    if (core->poll_fd < 0)
        return err_from_errno(-core->poll_fd);
    core->waker.fd = os->ops->event_create(os);
    if (core->waker.fd < 0)
        return err_from_errno(-core->waker.fd);
    return core_watch_add(core, &core->waker, EPOLLIN);
}

void core_deinit(struct core *core)
{
    struct os *os = core->os;
    conn_core_deinit(core);
    if (core->waker.fd >= 0)
        os->ops->close(os, core->waker.fd);
    if (core->poll_fd >= 0)
        os->ops->close(os, core->poll_fd);
    for (unsigned i = 0; core->out && i < core->reactor->options.core_count; i++) {
        if (core->out[i].pipe) {
            ring_deinit(&core->out[i].pipe->ring);
            free(core->out[i].pipe);
        }
    }
    if (core->buffers)
        buf_pool_free(core->buffers);
    free(core->slots);
    free(core->out);
    free(core->in);
    free(core->dirty_ids);
}

/* The oldest bucket makes room when its time is over; a stretch longer than a bucket counts in all
 * the buckets it covers. */
static void core_load_add(struct core *core, uint64_t from_ns, uint64_t to_ns, bool is_busy)
{
    struct core_load *load = &core->load;
    if (is_busy)
        load->busy_ns[load->bucket] += to_ns - from_ns;
    if (to_ns < load->bucket_end_ns)
        return;
    uint64_t passed = (to_ns - load->bucket_end_ns) / CORE_LOAD_BUCKET_NS + 1;
    load->bucket_end_ns += passed * CORE_LOAD_BUCKET_NS;
    for (uint64_t i = MIN(passed, CORE_LOAD_BUCKETS); i > 0; i--) {
        load->bucket = (load->bucket + 1) % CORE_LOAD_BUCKETS;
        load->busy_ns[load->bucket] = is_busy && i > 1 ? CORE_LOAD_BUCKET_NS : 0;
    }
    uint64_t sum_ns = 0;
    for (unsigned i = 0; i < CORE_LOAD_BUCKETS; i++)
        sum_ns += MIN(load->busy_ns[i], CORE_LOAD_BUCKET_NS);
    uint64_t permille = sum_ns * 1000 / CORE_LOAD_WINDOW_NS;
    atomic_store_explicit(&load->permille, (unsigned)MIN(permille, 1000), memory_order_relaxed);
}

unsigned core_busy_permille(const struct core *core)
{
    uint64_t window_ns = CORE_LOAD_WINDOW_NS;
    uint64_t permille = atomic_load_explicit(&core->load.permille, memory_order_relaxed);
    uint64_t since_ns = atomic_load_explicit(&core->load.asleep_since_ns, memory_order_relaxed);
    if (since_ns == 0)
        return (unsigned)permille;
    uint64_t now_ns = core->os->ops->mono_ns(core->os);
    uint64_t slept_ns = now_ns > since_ns ? now_ns - since_ns : 0;
    return slept_ns >= window_ns ? 0 : (unsigned)(permille * (window_ns - slept_ns) / window_ns);
}

static bool core_has_tasks(const struct core *core)
{
    return !list_empty(&core->tasks) || !list_empty(&core->tasks_end[0]) ||
           !list_empty(&core->tasks_end[1]) || !list_empty(&core->conns.flush_later) ||
           core->inline_work.first || core->self.first;
}

static int64_t core_timeout_ns(struct core *core, int64_t timeout_ns, uint64_t now_ns)
{
    if (core_has_tasks(core))
        return 0;
    struct heap_node *first = heap_first(&core->timers);
    if (!first)
        return timeout_ns;
    if (first->key <= now_ns)
        return 0;
    uint64_t left_ns = MIN(first->key - now_ns, (uint64_t)INT64_MAX);
    return timeout_ns < 0 ? (int64_t)left_ns : MIN(timeout_ns, (int64_t)left_ns);
}

/* Waits for events; returns how many were fetched. The flag goes up before the last look at the
 * queues, and senders look at the flag after they have queued, both with read-modify-write: one of
 * the two sees the other. */
static int core_wait(struct core *core, int64_t timeout_ns)
{
    struct os *os = core->os;
    uint64_t from_ns = os->ops->mono_ns(os);
    core_load_add(core, core->now_ns, from_ns, true);
    timeout_ns = core_timeout_ns(core, timeout_ns, from_ns);
    if (timeout_ns != 0) {
        atomic_exchange(&core->sleeping, true);
        if (core_message_pending(core)) {
            atomic_store(&core->sleeping, false);
            timeout_ns = 0;
        }
    }
    bool slept = timeout_ns != 0;
    if (slept)
        atomic_store_explicit(&core->load.asleep_since_ns, from_ns, memory_order_relaxed);
    int count = os->ops->poll_wait(os, core->poll_fd, core->events, CORE_EVENTS_MAX, timeout_ns);
    CHECK(count >= 0 || count == -EINTR);
    if (slept) {
        atomic_store_explicit(&core->sleeping, false, memory_order_relaxed);
        atomic_store_explicit(&core->load.asleep_since_ns, 0, memory_order_relaxed);
        metric_add(&core->metrics.sleeps, 1);
    }
    core->now_ns = os->ops->mono_ns(os);
    core->wall_ms = os->ops->wall_ms(os);
    core_load_add(core, from_ns, core->now_ns, !slept);
    return count < 0 ? 0 : count;
}

static void core_run_timers(struct core *core)
{
    core->timers_running = true;
    struct heap_node *first;
    while ((first = heap_first(&core->timers)) && first->key <= core->now_ns) {
        struct core_timer *timer = CONTAINER_OF(first, struct core_timer, node);
        heap_remove(&core->timers, first);
        timer->run(core, timer);
    }
    core->timers_running = false;
}

/* Only what was posted before: what these post waits for the next turn. */
static void core_run_tasks(struct core *core)
{
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &core->tasks);
    struct list *node;
    while ((node = list_pop_front(&batch))) {
        struct core_task *task = LIST_ENTRY(node, struct core_task, node);
        task->run(core, task);
    }
}

static void core_run_phase(struct core *core, unsigned phase)
{
    struct list *node;
    while ((node = list_pop_front(&core->tasks_end[phase]))) {
        struct core_task *task = LIST_ENTRY(node, struct core_task, node);
        task->run(core, task);
    }
}

static void core_turn(struct core *core, int64_t timeout_ns)
{
    core_message_notify(core);
    int count = core_wait(core, timeout_ns);
    core->turn++;
    metric_add(&core->metrics.turns, 1);
    conn_core_turn(core);
    core_work_run_inline(core);
    core_watch_dispatch(core, count);
    core_run_timers(core);
    core_message_drain(core);
    core_run_tasks(core);
    core_message_notify(core);
    core_run_phase(core, 0);
    core_run_phase(core, 1);
}

void core_run_once(struct core *core, int64_t timeout_ns)
{
    core_turn(core, timeout_ns);
}

void core_loop(struct core *core)
{
    while (!atomic_load_explicit(&core->reactor->stopping, memory_order_acquire))
        core_turn(core, -1);
    core_message_notify(core);
}

bool core_settle(struct core *core)
{
    if (!core_has_tasks(core) && !core_message_waiting(core) && core->over_count == 0)
        return false;
    core->turn++;
    conn_core_turn(core);
    core_work_run_inline(core);
    core_message_drain(core);
    core_run_tasks(core);
    core_run_phase(core, 0);
    core_run_phase(core, 1);
    core_message_notify(core);
    return true;
}

unsigned core_id(const struct core *core)
{
    return core->id;
}

struct reactor *core_reactor(struct core *core)
{
    return core->reactor;
}

struct os *core_os(struct core *core)
{
    return core->os;
}

struct logger *core_logger(struct core *core)
{
    return core->reactor->options.logger;
}

struct buf_pool *core_buffers(struct core *core)
{
    return core->buffers;
}

uint64_t core_now_ns(const struct core *core)
{
    return core->now_ns;
}

int64_t core_wall_ms(const struct core *core)
{
    return core->wall_ms;
}

/* xoroshiro128+ (Blackman and Vigna): enough for jitter and hash seeds, not for secrets. */
uint64_t core_random(struct core *core)
{
    uint64_t a = core->random[0], b = core->random[1];
    uint64_t result = a + b;
    b ^= a;
    core->random[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    core->random[1] = (b << 37) | (b >> 27);
    return result;
}

void core_slot_set(struct core *core, enum core_slot slot, void *state)
{
    CHECK(slot < CORE_SLOT_COUNT);
    core->slot_state[slot] = state;
}

void *core_slot_get(const struct core *core, enum core_slot slot)
{
    CHECK(slot < CORE_SLOT_COUNT);
    return core->slot_state[slot];
}

const struct core_metrics *core_metrics(const struct core *core)
{
    return &core->metrics;
}

void core_task_init(struct core_task *task, void (*run)(struct core *, struct core_task *))
{
    list_init(&task->node);
    task->run = run;
}

void core_task_post(struct core *core, struct core_task *task)
{
    if (list_empty(&task->node))
        list_push_back(&core->tasks, &task->node);
}

void core_task_post_end(struct core *core, struct core_task *task, unsigned phase)
{
    CHECK(phase < COUNT_OF(core->tasks_end));
    if (list_empty(&task->node))
        list_push_back(&core->tasks_end[phase], &task->node);
}

void core_task_cancel(struct core_task *task)
{
    list_remove(&task->node);
}

void core_timer_init(struct core_timer *timer, void (*run)(struct core *, struct core_timer *))
{
    heap_node_init(&timer->node);
    timer->run = run;
}

void core_timer_set(struct core *core, struct core_timer *timer, uint64_t deadline_ns)
{
    heap_remove(&core->timers, &timer->node);
    if (core->timers_running && deadline_ns <= core->now_ns)
        deadline_ns = core->now_ns + 1;
    heap_insert(&core->timers, &timer->node, deadline_ns);
}

void core_timer_cancel(struct core *core, struct core_timer *timer)
{
    heap_remove(&core->timers, &timer->node);
}

bool core_timer_is_set(const struct core_timer *timer)
{
    return timer->node.linked;
}

// Messages between cores: a ring for each ordered pair, an inbox for helper threads, wake-ups.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "reactor/core_state.h"

static void queue_push(struct core_queue *queue, struct core_message *message)
{
    message->next = NULL;
    if (queue->last)
        queue->last->next = message;
    else
        queue->first = message;
    queue->last = message;
}

static struct core_message *queue_pop(struct core_queue *queue)
{
    struct core_message *message = queue->first;
    if (!message)
        return NULL;
    queue->first = message->next;
    if (!queue->first)
        queue->last = NULL;
    message->next = NULL;
    return message;
}

void core_message_send_self(struct core *core, struct core_message *message)
{
    queue_push(&core->self, message);
}

static void mark_dirty(struct core *core, unsigned to)
{
    if (core->out[to].is_dirty)
        return;
    core->out[to].is_dirty = true;
    core->dirty_ids[core->dirty_count++] = to;
}

static bool pipe_open(struct core *from, unsigned to)
{
    struct core_pipe *pipe = NULL;
    if (posix_memalign((void **)&pipe, 64, sizeof(*pipe)) != 0)
        return false;
    if (!ring_init(&pipe->ring, CORE_PIPE_SIZE)) {
        free(pipe);
        return false;
    }
    atomic_init(&pipe->over, false);
    from->out[to].pipe = pipe;
    struct core *receiver = from->reactor->cores[to];
    atomic_store_explicit(&receiver->in[from->id], pipe, memory_order_release);
    return true;
}

void core_send(struct core *from, unsigned to, struct core_message *message)
{
    CHECK(to < from->reactor->options.core_count);
    if (to == from->id) {
        queue_push(&from->self, message);
        return;
    }
    struct core_out *out = &from->out[to];
    if (!out->pipe && !out->by_inbox)
        out->by_inbox = !pipe_open(from, to);
    if (out->by_inbox) {
        core_send_from_outside(from->reactor->cores[to], message);
        return;
    }
    mark_dirty(from, to);
    if (!out->over.first && ring_push(&out->pipe->ring, message))
        return;
    if (!out->over.first)
        from->over_count++;
    queue_push(&out->over, message);
    metric_add(&from->metrics.messages_over, 1);
}

/* A stack with compare-and-swap; the receiver takes all and turns them round. */
void core_send_from_outside(struct core *to, struct core_message *message)
{
    struct core_message *newest = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak(&to->inbox, &newest, message));
    if (!newest)
        core_message_wake(to);
}

void core_message_wake(struct core *core)
{
    if (atomic_exchange(&core->sleeping, false))
        core->os->ops->event_signal(core->os, core->waker.fd);
}

/* True when the receiver's ring took all of them. */
static bool over_push(struct core_out *out)
{
    while (out->over.first) {
        struct core_message *next = out->over.first->next;
        if (!ring_push(&out->pipe->ring, out->over.first))
            return false;
        out->over.first = next;
    }
    out->over.last = NULL;
    return true;
}

/* When the ring is full, the flag asks the receiver for a wake-up; a second try after raising it
 * finds the room that was made before the receiver could see it. */
static void over_flush(struct core *core, struct core_out *out)
{
    if (over_push(out)) {
        core->over_count--;
        return;
    }
    atomic_exchange(&out->pipe->over, true);
    if (over_push(out))
        core->over_count--;
}

void core_message_notify(struct core *core)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < core->dirty_count; i++) {
        unsigned to = core->dirty_ids[i];
        struct core_out *out = &core->out[to];
        struct core *receiver = core->reactor->cores[to];
        if (out->over.first)
            over_flush(core, out);
        out->is_dirty = out->over.first != NULL;
        if (out->is_dirty)
            core->dirty_ids[kept++] = to;
        if (atomic_exchange(&receiver->sleeping, false)) {
            core->os->ops->event_signal(core->os, receiver->waker.fd);
            metric_add(&core->metrics.wakeups, 1);
        }
    }
    core->dirty_count = kept;
}

bool core_message_waiting(const struct core *core)
{
    if (core->self.first || atomic_load(&core->inbox))
        return true;
    for (unsigned i = 0; i < core->reactor->options.core_count; i++) {
        struct core_pipe *pipe = atomic_load_explicit(&core->in[i], memory_order_acquire);
        if (pipe && !ring_empty(&pipe->ring))
            return true;
    }
    return false;
}

bool core_message_pending(const struct core *core)
{
    if (atomic_load(&core->reactor->stopping) || core_message_waiting(core))
        return true;
    for (unsigned i = 0; core->over_count > 0 && i < core->dirty_count; i++) {
        const struct core_out *out = &core->out[core->dirty_ids[i]];
        if (out->over.first && !atomic_load(&out->pipe->over))
            return true; /* the receiver has made room */
    }
    return false;
}

static void pipe_drain(struct core *core, unsigned from, struct core_pipe *pipe)
{
    unsigned count = 0;
    struct core_message *message;
    while (count < CORE_PIPE_BATCH && (message = ring_pop(&pipe->ring))) {
        count++;
        message->run(core, message);
    }
    if (count == 0)
        return;
    metric_add(&core->metrics.messages, count);
    if (atomic_exchange(&pipe->over, false))
        core_message_wake(core->reactor->cores[from]);
}

static void inbox_drain(struct core *core)
{
    if (!atomic_load_explicit(&core->inbox, memory_order_relaxed))
        return;
    struct core_message *newest = atomic_exchange(&core->inbox, NULL);
    struct core_message *oldest = NULL;
    while (newest) {
        struct core_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct core_message *message = oldest;
        oldest = oldest->next;
        message->next = NULL;
        metric_add(&core->metrics.messages, 1);
        message->run(core, message);
    }
}

void core_message_drain(struct core *core)
{
    for (unsigned i = 0; i < core->reactor->options.core_count; i++) {
        struct core_pipe *pipe = atomic_load_explicit(&core->in[i], memory_order_acquire);
        if (pipe)
            pipe_drain(core, i, pipe);
    }
    inbox_drain(core);
    struct core_queue self = core->self;
    core->self = (struct core_queue){NULL, NULL};
    struct core_message *message;
    while ((message = queue_pop(&self))) {
        metric_add(&core->metrics.messages, 1);
        message->run(core, message);
    }
}

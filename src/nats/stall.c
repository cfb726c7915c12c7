// Fast producers wait for slow consumers, for a moment: so memory does not grow in their place.
// SPDX-License-Identifier: Apache-2.0
#include "nats/conn.h"

#define NS_PER_MS 1000000ull

void nats_stall_begin(struct nats_conn *producer, struct nats_conn *consumer)
{
    struct core *core = producer->home->core;
    if ((producer->waits & NATS_WAIT_STALL) || !nats_conn_is_open(producer))
        return;
    metric_add(&producer->home->counters.stalls, 1);
    producer->stalled_by = consumer;
    if (consumer)
        list_push_back(&consumer->stalling, &producer->stalled);
    core_timer_set(core, &producer->stall_timer, core_now_ns(core) + NATS_STALL_MS * NS_PER_MS);
    nats_conn_wait(producer, NATS_WAIT_STALL);
}

void nats_stall_forget(struct nats_conn *conn)
{
    list_remove(&conn->stalled);
    conn->stalled_by = NULL;
}

static void stall_end(struct nats_conn *producer)
{
    core_timer_cancel(producer->home->core, &producer->stall_timer);
    nats_stall_forget(producer);
    nats_conn_go_on(producer, NATS_WAIT_STALL);
}

void nats_stall_run(struct core *core, struct core_timer *timer)
{
    stall_end(CONTAINER_OF(timer, struct nats_conn, stall_timer));
}

void nats_stall_release(struct nats_conn *consumer)
{
    struct list *node;
    while ((node = list_first(&consumer->stalling)) != NULL)
        stall_end(LIST_ENTRY(node, struct nats_conn, stalled));
}

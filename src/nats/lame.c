// The lame duck: clients are told to go elsewhere, then closed one after another.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "nats/conn.h"

#define NS_PER_MS 1000000ull
#define TICK_MS   10u
#define GAP_MS    1000u /* between two connections at most, as in nats-server */

/* Core 0 keeps the time; every tick each core is told how many of its connections to close. */
struct nats_lame {
    struct nats *nats;
    struct core_timer timer;
    uint64_t begun_ns;
    uint64_t ends_ns; /* of the closing, 0: still in the grace period */
    void (*done)(void *arg);
    void *arg;
};

struct order {
    struct core_message message;
    uint64_t count; /* connections to close; 0: only tell them */
};

void nats_lame_catch_up(struct nats_conn *conn)
{
    if (!conn->home->is_lame || conn->knows_lame || !nats_conn_is_open(conn))
        return;
    conn->knows_lame = true;
    if (conn->connect.protocol >= 1 && conn->is_connected)
        nats_info_send(conn, false);
}

static void order_arrives(struct core *core, struct core_message *message)
{
    struct order *order = CONTAINER_OF(message, struct order, message);
    struct nats_core *home = nats_state_of(core);
    uint64_t left = order->count;
    home->is_lame = true;
    list_for_each_safe (node, following, &home->conns) {
        struct nats_conn *conn = LIST_ENTRY(node, struct nats_conn, node);
        if (!nats_conn_is_open(conn))
            continue;
        nats_lame_catch_up(conn);
        if (left > 0) {
            left--;
            nats_conn_end(conn, NATS_REASON_SERVER_SHUTDOWN);
        }
    }
    free(order);
}

static void order_all(struct nats *nats, struct core *core, uint64_t per_core)
{
    for (unsigned i = 0; i < nats->core_count; i++) {
        struct order *order = calloc(1, sizeof(*order));
        if (!order)
            continue; /* the next tick tries again */
        order->message.run = order_arrives;
        order->count = per_core;
        core_send(core, i, &order->message);
    }
}

static uint64_t most_on_a_core(const struct nats *nats, uint64_t *out_all)
{
    uint64_t most = 0;
    *out_all = 0;
    for (unsigned i = 0; i < nats->core_count; i++) {
        uint64_t here = metric_get(&nats->cores[i].counters.here);
        most = MAX(most, here);
        *out_all += here;
    }
    return most;
}

static void lame_tick(struct core *core, struct core_timer *timer)
{
    struct nats_lame *lame = CONTAINER_OF(timer, struct nats_lame, timer);
    const struct nats_config *config = lame->nats->cores[0].config;
    uint64_t now_ns = core_now_ns(core);
    uint64_t all;
    uint64_t most = most_on_a_core(lame->nats, &all);
    if (all == 0) {
        lame->done(lame->arg);
        return;
    }
    if (lame->ends_ns == 0 && now_ns - lame->begun_ns >= config->lame_duck_grace_ms * NS_PER_MS)
        lame->ends_ns = now_ns + MIN((uint64_t)config->lame_duck_ms, all * GAP_MS) * NS_PER_MS;
    if (lame->ends_ns != 0) {
        uint64_t left_ms = lame->ends_ns > now_ns ? (lame->ends_ns - now_ns) / NS_PER_MS : 0;
        uint64_t ticks = left_ms / TICK_MS + 1;
        /* Few connections are closed at even distances, not one a tick. */
        if (most >= ticks || core_random(core) % ticks < most)
            order_all(lame->nats, core, (most + ticks - 1) / ticks);
    }
    core_timer_set(core, timer, now_ns + TICK_MS * NS_PER_MS);
}

void nats_lame_duck(struct nats *nats, void (*done)(void *arg), void *arg)
{
    struct core *core = nats->cores[0].core;
    if (nats->lame)
        return;
    struct nats_lame *lame = calloc(1, sizeof(*lame));
    if (!lame) {
        done(arg);
        return;
    }
    *lame =
        (struct nats_lame){.nats = nats, .begun_ns = core_now_ns(core), .done = done, .arg = arg};
    nats->lame = lame;
    core_timer_init(&lame->timer, lame_tick);
    order_all(nats, core, 0);
    core_timer_set(core, &lame->timer, core_now_ns(core) + TICK_MS * NS_PER_MS);
}

void nats_lame_free(struct nats *nats)
{
    free(nats->lame);
}

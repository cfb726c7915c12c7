// Placement: a tick on core 0 compares the loads and tells busy cores whom to hand connections to.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/balance.h"

#include <stdlib.h>

#include "reactor/conn_state.h"

#define BALANCE_TICK_NS       100000000ull
#define BALANCE_TICK_IDLE_NS  1000000000ull
#define BALANCE_IDLE_PERMILLE 100

struct balance_order {
    struct core_message message;
    struct balance *balance;
    unsigned to;
    bool all;          /* taking back: everything goes; else half of the traffic */
    bool is_traveling; /* the message belongs to the core until it says so */
    uint64_t since_ns; /* when the wish came up; 0: there is none */
    struct core_message reply;
    unsigned moved;
};

struct balance {
    struct reactor *reactor;
    struct balance_options options;
    struct core_timer timer;
    balance_moved_fn moved;
    void *moved_arg;
    unsigned *busy;
    unsigned *out;
    struct balance_order *orders; /* by core */
};

/* The core with the least index that bears half of core i's load and stays under the mark: so cores
 * fill one after another. None: the least busy one, when it gains. */
static unsigned decide_busy(const unsigned *busy, unsigned count,
                            const struct balance_options *options, unsigned i)
{
    unsigned best = i;
    for (unsigned j = 0; j < count; j++) {
        if (j == i)
            continue;
        if (busy[j] + busy[i] / 2 <= options->busy_permille)
            return j;
        if (busy[j] < busy[best])
            best = j;
    }
    return best != i && busy[best] + busy[i] / 2 < busy[i] ? best : i;
}

static unsigned decide_calm(const unsigned *busy, const struct balance_options *options, unsigned i)
{
    for (unsigned j = 0; j < i; j++) {
        if (busy[j] + busy[i] < options->calm_permille)
            return j;
    }
    return i;
}

/* A core that gives does not take in the same round, and takes from one only. */
void balance_decide(const unsigned *busy_permille, unsigned count,
                    const struct balance_options *options, unsigned *out_to)
{
    for (unsigned i = 0; i < count; i++)
        out_to[i] = i;
    for (unsigned i = 0; i < count; i++) {
        unsigned to = busy_permille[i] > options->busy_permille
                          ? decide_busy(busy_permille, count, options, i)
                          : decide_calm(busy_permille, options, i);
        bool is_free = to != i && out_to[to] == to;
        for (unsigned k = 0; k < i && is_free; k++)
            is_free = out_to[k] == k || (out_to[k] != to && out_to[k] != i);
        if (is_free)
            out_to[i] = to;
    }
}

static uint64_t traffic_total(struct core *core)
{
    uint64_t total = 0;
    list_for_each (node, &core->conns.all)
        total += LIST_ENTRY(node, struct conn, node)->traffic;
    return total;
}

static void traffic_forget(struct core *core)
{
    list_for_each (node, &core->conns.all) {
        LIST_ENTRY(node, struct conn, node)->traffic = 0;
    }
}

/* Those that cannot go at once, go after their next flush. Traffic is what happened since the wish
 * came up, so that half of the work goes, not half of the connections. */
unsigned balance_hand_over(struct core *core, unsigned to, bool all)
{
    uint64_t total = traffic_total(core);
    uint64_t goal = all ? UINT64_MAX : total / 2;
    uint64_t given = 0;
    unsigned moved = 0;
    list_for_each_safe (node, following, &core->conns.all) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        uint64_t traffic = conn->traffic;
        conn->traffic = 0;
        if (conn->bound)
            continue;
        conn->wish = 0;
        if (!conn->ops->can_move || (!all && traffic == 0))
            continue;
        if (given + traffic > goal)
            continue;
        given += traffic;
        if (conn_move(conn, to)) {
            moved++;
            continue;
        }
        conn->wish = to + 1;
        if (conn->ops->on_wish && conn->phase == CONN_OPEN)
            conn->ops->on_wish(conn, to);
    }
    return moved;
}

static void order_reply_run(struct core *core, struct core_message *message)
{
    struct balance_order *order = CONTAINER_OF(message, struct balance_order, reply);
    order->is_traveling = false;
}

static void order_run(struct core *core, struct core_message *message)
{
    struct balance_order *order = CONTAINER_OF(message, struct balance_order, message);
    struct balance *balance = order->balance;
    if (order->to == core->id) { /* the wish is young: count from now on */
        traffic_forget(core);
        core_send(core, 0, &order->reply);
        return;
    }
    order->moved = balance_hand_over(core, order->to, order->all);
    log_debug(core_logger(core), "reactor", "connections handed over from=%u to=%u count=%u",
              core->id, order->to, order->moved);
    if (balance->moved)
        balance->moved(balance->moved_arg, core, order->to);
    core_send(core, 0, &order->reply);
}

static void order_send(struct core *core, struct balance_order *order, unsigned giver, unsigned to)
{
    order->to = to;
    order->is_traveling = true;
    core_send(core, giver, &order->message);
}

static void order_look(struct balance *balance, struct core *core, unsigned i)
{
    struct balance_order *order = &balance->orders[i];
    unsigned to = balance->out[i];
    bool is_busy = balance->busy[i] > balance->options.busy_permille;
    uint64_t needed_ms = is_busy ? balance->options.busy_ms : balance->options.calm_ms;
    struct core *giver = balance->reactor->cores[i];
    bool has_some = metric_get(&giver->metrics.connections) > 0;
    if (order->is_traveling)
        return;
    if (to == i || !has_some) {
        order->since_ns = 0;
        return;
    }
    if (order->since_ns == 0 || order->all == is_busy) {
        order->since_ns = core->now_ns;
        order->all = !is_busy;
        order_send(core, order, i, i);
        return;
    }
    if (core->now_ns - order->since_ns < needed_ms * CONN_NS_PER_MS)
        return;
    order->since_ns = 0;
    order_send(core, order, i, to);
}

static void balance_tick(struct core *core, struct core_timer *timer)
{
    struct balance *balance = CONTAINER_OF(timer, struct balance, timer);
    unsigned count = balance->reactor->options.core_count;
    unsigned most = 0;
    for (unsigned i = 0; i < count; i++) {
        balance->busy[i] = core_busy_permille(balance->reactor->cores[i]);
        most = MAX(most, balance->busy[i]);
    }
    balance_decide(balance->busy, count, &balance->options, balance->out);
    for (unsigned i = 0; i < count; i++)
        order_look(balance, core, i);
    core_timer_set(core, timer,
                   core->now_ns +
                       (most < BALANCE_IDLE_PERMILLE ? BALANCE_TICK_IDLE_NS : BALANCE_TICK_NS));
}

void balance_start(struct reactor *reactor, const struct balance_options *options)
{
    static const struct balance_options defaults = {700, 350, 500, 5000};
    unsigned count = reactor->options.core_count;
    if (count < 2 || reactor->balance)
        return;
    struct balance *balance = calloc(1, sizeof(*balance));
    if (!balance)
        goto fail;
    reactor->balance = balance;
    balance->reactor = reactor;
    balance->options = options ? *options : defaults;
    balance->busy = calloc(count, sizeof(*balance->busy));
    balance->out = calloc(count, sizeof(*balance->out));
    balance->orders = calloc(count, sizeof(*balance->orders));
    if (!balance->busy || !balance->out || !balance->orders)
        goto fail;
    for (unsigned i = 0; i < count; i++) {
        balance->orders[i].balance = balance;
        balance->orders[i].message.run = order_run;
        balance->orders[i].reply.run = order_reply_run;
    }
    core_timer_init(&balance->timer, balance_tick);
    core_timer_set(reactor->cores[0], &balance->timer, reactor->cores[0]->now_ns + BALANCE_TICK_NS);
    return;
fail:
    log_error(reactor->options.logger, "reactor", "no memory: all connections stay on core 0");
    balance_free(balance);
    reactor->balance = NULL;
}

void balance_on_moved(struct reactor *reactor, balance_moved_fn fn, void *arg)
{
    if (!reactor->balance)
        return;
    reactor->balance->moved = fn;
    reactor->balance->moved_arg = arg;
}

void balance_free(struct balance *balance)
{
    if (!balance)
        return;
    free(balance->busy);
    free(balance->out);
    free(balance->orders);
    free(balance);
}

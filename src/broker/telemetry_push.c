// What clients pushed last, kept on core 0 for the page of metrics.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/telemetry_state.h"

#define MS_NS 1000000ull

struct telemetry_pusher {
    struct list node;
    struct uuid id;
    uint64_t pushed_ns;
    uint64_t interval_ns;
    bool terminated;
    size_t size;
    uint8_t *lines;
};

static struct slice key_of(const struct telemetry_pusher *pusher)
{
    return slice_make(pusher->id.bytes, sizeof(pusher->id.bytes));
}

static void pusher_free(struct broker *broker, struct telemetry_pusher *pusher)
{
    list_remove(&pusher->node);
    map_remove(&broker->telemetry->clients, key_of(pusher));
    budget_release(reactor_budget(broker->reactor), sizeof(*pusher) + pusher->size);
    free(pusher->lines);
    free(pusher);
}

static enum err telemetry_open(struct core *core)
{
    struct broker *broker = broker_of(core);
    if (broker->telemetry)
        return ERR_OK;
    broker->telemetry = calloc(1, sizeof(*broker->telemetry));
    if (!broker->telemetry)
        return ERR_NO_MEMORY;
    map_init(&broker->telemetry->clients, core_random(core));
    list_init(&broker->telemetry->order);
    return ERR_OK;
}

void broker_telemetry_push_close(struct broker *broker)
{
    if (!broker->telemetry)
        return;
    list_for_each_safe (node, following, &broker->telemetry->order)
        pusher_free(broker, LIST_ENTRY(node, struct telemetry_pusher, node));
    map_deinit(&broker->telemetry->clients);
    free(broker->telemetry);
    broker->telemetry = NULL;
}

/* Those that have been silent for three intervals are no news. */
static bool is_stale(const struct telemetry_pusher *pusher, uint64_t now_ns)
{
    return now_ns - pusher->pushed_ns > 3 * pusher->interval_ns;
}

static struct telemetry_pusher *pusher_new(struct core *core, const struct uuid *id)
{
    struct broker *broker = broker_of(core);
    struct telemetry *telemetry = broker->telemetry;
    struct budget *budget = reactor_budget(broker->reactor);
    if (telemetry->clients.count >= BROKER_TELEMETRY_CLIENTS_MAX)
        pusher_free(broker,
                    LIST_ENTRY(list_first(&telemetry->order), struct telemetry_pusher, node));
    if (!budget_charge(budget, sizeof(struct telemetry_pusher)))
        return NULL;
    struct telemetry_pusher *pusher = calloc(1, sizeof(*pusher));
    if (pusher) {
        pusher->id = *id;
        list_init(&pusher->node);
    }
    if (pusher && map_put(&telemetry->clients, key_of(pusher), pusher, NULL))
        return pusher;
    free(pusher);
    budget_release(budget, sizeof(*pusher));
    return NULL;
}

static enum err lines_put(struct broker *broker, struct telemetry_pusher *pusher,
                          struct slice lines)
{
    struct budget *budget = reactor_budget(broker->reactor);
    if (!budget_charge(budget, lines.size))
        return ERR_NO_MEMORY;
    uint8_t *copy = malloc(lines.size + 1);
    if (!copy) {
        budget_release(budget, lines.size);
        return ERR_NO_MEMORY;
    }
    if (lines.size > 0)
        memcpy(copy, lines.data, lines.size);
    budget_release(budget, pusher->size);
    free(pusher->lines);
    pusher->lines = copy;
    pusher->size = lines.size;
    return ERR_OK;
}

static enum err push_take(struct core *core, const struct broker_telemetry_push *push)
{
    struct broker *broker = broker_of(core);
    uint64_t now_ns = core_now_ns(core);
    enum err err = telemetry_open(core);
    if (err)
        return err;
    struct slice key = slice_make(push->client.bytes, sizeof(push->client.bytes));
    struct telemetry_pusher *pusher = map_get(&broker->telemetry->clients, key);
    if (pusher && pusher->terminated)
        return ERR_INVALID;
    /* Clients vary their interval, and what they are told may just have changed. */
    if (pusher && !push->terminating && now_ns - pusher->pushed_ns < pusher->interval_ns / 2)
        return ERR_BUSY;
    if (!pusher)
        pusher = pusher_new(core, &push->client);
    if (!pusher)
        return ERR_NO_MEMORY;
    list_remove(&pusher->node);
    list_push_back(&broker->telemetry->order, &pusher->node);
    pusher->pushed_ns = now_ns;
    pusher->interval_ns = (uint64_t)push->interval_ms * MS_NS;
    pusher->terminated = push->terminating;
    return lines_put(broker, pusher, push->lines);
}

static void push_serve(struct core *core, struct broker_call *call)
{
    broker_call_finish(core, call,
                       push_take(core, CONTAINER_OF(call, struct broker_telemetry_push, call)));
}

void broker_telemetry_push(struct core *core, struct broker_telemetry_push *push)
{
    CHECK(push->lines.size <= BROKER_TELEMETRY_LINES_SIZE_MAX);
    broker_call_to_owner(core, &push->call, push_serve);
}

void broker_telemetry_report(struct broker *broker, struct text *out)
{
    uint64_t now_ns = core_now_ns(reactor_core(broker->reactor, 0));
    if (!broker->telemetry)
        return;
    list_for_each_safe (node, following, &broker->telemetry->order) {
        struct telemetry_pusher *pusher = LIST_ENTRY(node, struct telemetry_pusher, node);
        if (is_stale(pusher, now_ns))
            pusher_free(broker, pusher);
        else
            text_add(out, slice_make(pusher->lines, pusher->size));
    }
}

// Remembers closed connections, bounded in number and bytes.
// SPDX-License-Identifier: Apache-2.0
#include "nats/closed.h"

#include <stdlib.h>

#define CLOSED_SIZE_MAX     ((size_t)8 << 20)
#define CLOSED_BUDGET_SHARE 32 /* of the budget at most */

void nats_closed_facts(const struct nats_conn *conn, struct nats_conn_facts *out)
{
    struct core *core = conn->home->core;
    const struct sockaddr_storage *peer = conn_peer_address(conn->conn);
    *out = (struct nats_conn_facts){
        .id = conn->id,
        .port = ntohs(peer->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)peer)->sin6_port
                                                  : ((const struct sockaddr_in *)peer)->sin_port),
        .now_ms = core_wall_ms(core),
        .opened_ms = conn->opened_ms,
        .idle_ns = core_now_ns(core) - MIN(conn->input_ns, core_now_ns(core)),
        .rtt_ns = conn->rtt_ns,
        .in_messages = conn->in_messages,
        .in_bytes = conn->in_bytes,
        .out_messages = conn->out_messages,
        .out_bytes = conn->out_bytes,
        .pending_bytes = conn_output_size(conn->conn),
        .subscription_count = conn->subs.count,
        .name = conn->connect.name,
        .lang = conn->connect.lang,
        .version = conn->connect.version,
        .user = conn->user ? conn->user->name : conn->connect.user,
    };
    nats_info_client_ip(conn, out->ip);
}

/* --- core 0 ----------------------------------------------------------------------------------- */

static void closed_free(struct nats *nats, struct nats_closed *closed)
{
    budget_release(reactor_budget(nats->options.reactor), closed->size_bytes);
    free(closed);
}

static void forget_oldest(struct nats *nats)
{
    struct nats_closed_ring *ring = &nats->closed;
    struct nats_closed *oldest =
        LIST_ENTRY(list_pop_front(&ring->entries), struct nats_closed, node);
    ring->count--;
    ring->size_bytes -= oldest->size_bytes;
    closed_free(nats, oldest);
}

static void closed_arrive(struct core *core, struct core_message *message)
{
    struct nats_closed *closed = CONTAINER_OF(message, struct nats_closed, message);
    struct nats_core *home = nats_state_of(core);
    struct nats_closed_ring *ring = &home->nats->closed;
    size_t share = reactor_budget(home->nats->options.reactor)->size_max / CLOSED_BUDGET_SHARE;
    list_push_back(&ring->entries, &closed->node);
    ring->count++;
    ring->size_bytes += closed->size_bytes;
    while (ring->count > home->config->closed_clients_max ||
           ring->size_bytes > MIN(CLOSED_SIZE_MAX, share))
        forget_oldest(home->nats);
}

void nats_closed_deinit(struct nats *nats)
{
    while (nats->closed.count > 0)
        forget_oldest(nats);
}

/* --- the connection's core -------------------------------------------------------------------- */

void nats_closed_add(const struct nats_conn *conn, enum nats_reason reason)
{
    struct nats *nats = conn->home->nats;
    struct nats_conn_facts facts;
    nats_closed_facts(conn, &facts);
    facts.reason = reason;
    struct slice *const texts[] = {&facts.name, &facts.lang, &facts.version, &facts.user};
    size_t size = sizeof(struct nats_closed);
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        size += texts[i]->size;
    struct budget *budget = reactor_budget(nats->options.reactor);
    if (!budget_charge(budget, size))
        return;
    struct nats_closed *closed = malloc(size);
    if (!closed) {
        budget_release(budget, size);
        return;
    }
    uint8_t *at = closed->text;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (texts[i]->size > 0)
            memcpy(at, texts[i]->data, texts[i]->size);
        *texts[i] = slice_make(at, texts[i]->size);
        at += texts[i]->size;
    }
    closed->facts = facts;
    closed->size_bytes = size;
    closed->message.run = closed_arrive;
    list_init(&closed->node);
    core_send(conn->home->core, 0, &closed->message);
}

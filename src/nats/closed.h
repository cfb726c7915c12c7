// What monitoring tells of a connection, and the connections that were closed last.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nats/conn.h"

/* Of a connection at one moment; texts point into the connection or into what remembers it. */
struct nats_conn_facts {
    uint64_t id;
    char ip[INET6_ADDRSTRLEN];
    uint16_t port;
    int64_t now_ms; /* the moment */
    int64_t opened_ms;
    uint64_t idle_ns;
    uint64_t rtt_ns; /* 0: not measured */
    uint64_t in_messages;
    uint64_t in_bytes;
    uint64_t out_messages;
    uint64_t out_bytes;
    size_t pending_bytes;
    size_t subscription_count;
    enum nats_reason reason; /* NONE: it was open */
    struct slice name;
    struct slice lang;
    struct slice version;
    struct slice user;
};

/* A connection that was closed; its memory is charged to the budget. */
struct nats_closed {
    struct core_message message; /* on its way to core 0 */
    struct list node;
    struct nats_conn_facts facts;
    size_t size_bytes;
    uint8_t text[];
};

/* On the connection's core. */
void nats_closed_facts(const struct nats_conn *conn, struct nats_conn_facts *out);
/* The connection is being closed, and still has its subscriptions: core 0 will remember it, as long
 * as max_closed_clients others and the memory for them allow. */
void nats_closed_add(const struct nats_conn *conn, enum nats_reason reason);
void nats_closed_deinit(struct nats *nats);

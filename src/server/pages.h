// The monitoring pages: those of a nats-server, /metrics and /metrics/kafka.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/admin.h"
#include "broker/broker.h"
#include "kafka/kafka.h"
#include "nats/nats.h"
#include "server/usage.h"

#define SERVER_PAGES_COUNT 12

/* What the pages tell about. */
struct server_pages_options {
    struct reactor *reactor;
    struct store *store;
    struct broker *broker;
    struct kafka *kafka;
    struct nats *nats;
    const bool *draining; /* clients are being sent away; core 0's */
    const bool *starting; /* clients are not let in yet; core 0's */
    uint16_t http_port;
    uint64_t started_ns; /* when the process began */
};

struct server_pages {
    struct admin_page pages[SERVER_PAGES_COUNT];
    struct server_pages_options options;
    struct server_usage usage;
};

void server_pages_init(struct server_pages *pages, const struct server_pages_options *options);

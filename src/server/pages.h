// The monitoring pages: /varz, /connz, /subsz, /healthz, /metrics.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "admin/admin.h"
#include "broker/broker.h"
#include "nats/nats.h"

#define SERVER_PAGES_COUNT 7

struct server_pages {
    struct admin_page pages[SERVER_PAGES_COUNT];
    struct nats *nats;
    struct reactor *reactor;
    struct broker *broker;
    uint16_t http_port;
};

void server_pages_init(struct server_pages *pages, struct reactor *reactor, struct broker *broker,
                       struct nats *nats, uint16_t http_port);

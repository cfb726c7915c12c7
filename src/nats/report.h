// What monitoring asks the NATS room: the fields of nats-server's /varz, /connz and /subsz.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "nats/nats.h"

/* What rows come first by; all but the first two, the greatest first. */
enum nats_report_sort {
    NATS_REPORT_BY_ID,
    NATS_REPORT_BY_START,
    NATS_REPORT_BY_SUBSCRIPTIONS,
    NATS_REPORT_BY_PENDING,
    NATS_REPORT_BY_MESSAGES_TO,
    NATS_REPORT_BY_MESSAGES_FROM,
    NATS_REPORT_BY_BYTES_TO,
    NATS_REPORT_BY_BYTES_FROM,
    NATS_REPORT_BY_LAST,
    NATS_REPORT_BY_IDLE,
    NATS_REPORT_BY_UPTIME,
    NATS_REPORT_BY_RTT,
    NATS_REPORT_BY_STOP,   /* closed ones only */
    NATS_REPORT_BY_REASON, /* closed ones only, in the order of the words */
};

enum nats_report_state {
    NATS_REPORT_OPEN,
    NATS_REPORT_CLOSED,
    NATS_REPORT_ANY,
};

struct nats_report_options {
    uint64_t offset;
    uint64_t limit;
    uint64_t id;        /* only the connection of this number; 0: all */
    bool subscriptions; /* list them */
    bool detail;        /* with all that is known of each */
    bool auth;          /* name the user */
    bool none;          /* no connection is in the account that was asked for */
    enum nats_report_sort sort;
    enum nats_report_state state;
    struct slice user; /* only connections of this user; null: all */
    struct slice test; /* only subscriptions that match this literal subject; null: all */
};

/* The reports answer on core 0, perhaps later, with JSON; body.data NULL: out of memory. */
typedef void (*nats_report_fn)(void *arg, struct slice body);

/* What the process has and takes of the machine. */
struct nats_report_process {
    uint16_t http_port;
    uint64_t memory_bytes;
    double cpu_percent; /* of one core */
};

/* All on core 0. */
void nats_report_varz(struct nats *nats, const struct nats_report_process *process,
                      nats_report_fn fn, void *arg);
void nats_report_connz(struct nats *nats, const struct nats_report_options *options,
                       nats_report_fn fn, void *arg);
void nats_report_subsz(struct nats *nats, const struct nats_report_options *options,
                       nats_report_fn fn, void *arg);
/* What a nats-server has and this one never: pages about them say that there are none. */
enum nats_report_absent {
    NATS_REPORT_ROUTES,
    NATS_REPORT_GATEWAYS,
    NATS_REPORT_LEAFS,
    NATS_REPORT_JETSTREAM,
};
void nats_report_absence(struct nats *nats, enum nats_report_absent absent, nats_report_fn fn,
                         void *arg);
/* Lines of Prometheus' text format. */
void nats_report_metrics(const struct nats *nats, struct text *out);

// Which metrics clients shall push (KIP-714), and the last that each of them pushed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "broker/broker.h"

#define BROKER_TELEMETRY_RULES_MAX      1000
#define BROKER_TELEMETRY_NAME_SIZE_MAX  249
#define BROKER_TELEMETRY_CLIENTS_MAX    256
#define BROKER_TELEMETRY_LINES_SIZE_MAX ((size_t)32 << 10) /* of one client */
#define BROKER_TELEMETRY_INTERVAL_MS    300000             /* where nothing is set */
/* What matching one client with all rules may take, of a nanosecond or so each. */
#define BROKER_TELEMETRY_STEPS_MAX UINT64_C(5000000)

/* A subscription. Texts are what was set, or empty. */
struct broker_telemetry_rule {
    struct slice name;
    int32_t interval_ms;
    struct slice metrics; /* prefixes with commas between; "*": all */
    struct slice match;   /* key=pattern with commas between; all of them must fit; empty: any */
    unsigned set;         /* bit of each of the three, in this order */
};

/* The subscriptions on this core; start with 0. Valid for this turn. */
const struct broker_telemetry_rule *broker_telemetry_next(struct core *core, size_t *position);
/* NULL: there is no such one. */
const struct broker_telemetry_rule *broker_telemetry_find(struct core *core, struct slice name);
/* Describes one; of a name that is not there, the defaults. */
void broker_telemetry_each(struct core *core, struct slice name, config_entry_fn fn, void *arg);
/* Changes the subscription of alter->name; one that sets nothing is gone. Done when it is durable
 * and every core has it. ERR_INVALID with words. */
void broker_telemetry_alter(struct core *core, struct broker_settings_alter *alter);

/* What a client is selected by, in Kafka's order: client_instance_id, client_id,
 * client_software_name, client_software_version, client_source_address, client_source_port. */
enum { BROKER_TELEMETRY_KEY_COUNT = 6 };
struct broker_telemetry_client {
    struct slice keys[BROKER_TELEMETRY_KEY_COUNT];
    uint64_t steps; /* that matching may still take; 0: nothing fits any more */
};
bool broker_telemetry_matches(const struct broker_telemetry_rule *rule,
                              struct broker_telemetry_client *client);

/* A push: lines are in Prometheus' text format and replace those before. ERR_BUSY: too soon after
 * the one before. ERR_INVALID: it said before that it ends. */
struct broker_telemetry_push {
    struct broker_call call;
    struct uuid client;
    int32_t interval_ms;
    bool terminating;
    struct slice lines; /* at most BROKER_TELEMETRY_LINES_SIZE_MAX bytes */
};
void broker_telemetry_push(struct core *core, struct broker_telemetry_push *push);
/* Adds the last lines of every client. On core 0. */
void broker_telemetry_report(struct broker *broker, struct text *out);

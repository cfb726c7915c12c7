// Tables of subscriptions and the clients that push; for the files about telemetry.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/state.h"
#include "broker/telemetry.h"

#define FACT_TELEMETRY_PREFIX "client-metrics/"

enum telemetry_setting { TELEMETRY_INTERVAL, TELEMETRY_METRICS, TELEMETRY_MATCH, TELEMETRY_COUNT };

/* The subscriptions at one time: shared by all cores, never changed. */
struct telemetry_table {
    _Atomic uint32_t refs;
    size_t count;
    struct broker_telemetry_rule rules[]; /* their texts follow */
};

/* On core 0: what clients pushed. */
struct telemetry {
    struct map clients;
    struct list order; /* the one that pushed last comes last */
};

/* --- telemetry.c --- */
/* NULL: none. */
struct telemetry_table *broker_telemetry_table_ref(struct telemetry_table *table);
void broker_telemetry_table_unref(struct telemetry_table *table);
/* old with rule in place of the one of its name, or without when it sets nothing. */
NODISCARD enum err broker_telemetry_table_put(const struct telemetry_table *old,
                                              const struct broker_telemetry_rule *rule,
                                              struct telemetry_table **out);
NODISCARD enum err broker_telemetry_load(struct broker *broker, struct slice key,
                                         struct slice value);
/* All facts have come. */
void broker_telemetry_loaded(struct broker *broker);
void broker_telemetry_close(struct broker *broker);

/* --- telemetry_push.c --- */
void broker_telemetry_push_close(struct broker *broker);

/* --- telemetry_match.c --- */
/* Patterns: characters, '.', \x, [a-z], each with '*', '+' or '?' behind, and '|' between whole
 * patterns. ERR_INVALID with words, also for what regular expressions have beyond that. */
NODISCARD enum err broker_telemetry_match_check(struct slice match, struct diag *diag);

/* --- telemetry_facts.c --- */
void broker_telemetry_facts_encode(const struct broker_telemetry_rule *rule, struct text *out);
/* Texts point into value; the name is the caller's. */
NODISCARD enum err broker_telemetry_facts_decode(struct slice value,
                                                 struct broker_telemetry_rule *out);

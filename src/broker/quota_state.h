// Tables of quota rules and the meters of each core; for the files about quotas and the opening.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/quota.h"
#include "broker/quota_meter.h"
#include "broker/state.h"

/* An entity as bytes, see quota_facts.c. */
#define QUOTA_KEY_SIZE_MAX (3 * (2 + 2 + BROKER_QUOTA_NAME_SIZE_MAX))

struct quota_rule {
    struct broker_quota_rule face; /* names point into key */
    _Atomic uint32_t refs;
    struct budget *budget;
    struct slice key;
    uint8_t bytes[];
};

/* The rules at one time: shared by all cores, never changed. */
struct quota_table {
    _Atomic uint32_t refs;
    uint64_t generation;
    unsigned set; /* of all rules */
    struct map rules;
};

struct quota_core {
    const struct quota_table *table; /* NULL: no rules */
    struct map locals;               /* of struct quota_local, by entity and key */
    struct list order;
    struct core_timer sweep;
};

/* --- quota_table.c --- */
/* The rules after the changes; NULL in *out when none is left. ERR_LIMIT, ERR_NO_MEMORY. */
NODISCARD enum err broker_quota_table_change(struct core *core, const struct quota_table *old,
                                             const struct broker_quota_change *changes,
                                             size_t count, struct quota_table **out);
/* One rule more, while the server starts. */
NODISCARD enum err broker_quota_table_load(struct core *core, const struct broker_quota_rule *rule);
const struct quota_table *broker_quota_table_ref(const struct quota_table *table);
void broker_quota_table_unref(const struct quota_table *table);
/* NULL: no such rule. */
const struct quota_rule *broker_quota_table_find(const struct quota_table *table,
                                                 const struct broker_quota_entity *entity);

/* --- quota_facts.c --- */
#define FACT_QUOTA_PREFIX         "quota/"
#define FACT_QUOTA_VALUE_SIZE_MAX (2 + BROKER_QUOTA_COUNT * 9)
/* Bytes written. Names are no longer than BROKER_QUOTA_NAME_SIZE_MAX. */
size_t broker_quota_facts_key(const struct broker_quota_entity *entity,
                              uint8_t out[QUOTA_KEY_SIZE_MAX]);
/* Names point into key. */
NODISCARD enum err broker_quota_facts_key_decode(struct slice key, struct broker_quota_entity *out);
size_t broker_quota_facts_value(const struct broker_quota_rule *rule,
                                uint8_t out[FACT_QUOTA_VALUE_SIZE_MAX]);
NODISCARD enum err broker_quota_facts_value_decode(struct slice value,
                                                   struct broker_quota_rule *out);

/* --- quota_local.c --- */
/* What one core keeps about a limit that somebody shares. */
struct quota_local {
    struct core_message message; /* to core 0 and back */
    struct list node;
    struct quota_meter *meter;
    struct quota_meter *answer; /* core 0's */
    uint64_t used_ns;
    unsigned users; /* connections that know it */
    unsigned core;
    size_t size_bytes; /* charged */
    bool joining;
    struct slice key;
    uint8_t bytes[];
};
struct quota_windows broker_quota_local_windows(struct core *core);
/* NULL: no memory. */
struct quota_local *broker_quota_local_get(struct core *core, struct slice key);
void broker_quota_local_core_init(struct quota_core *here);
/* When the reactor has stopped. */
void broker_quota_local_free_all(struct core *core);

/* --- quota.c --- */
struct quota_core *broker_quota_core(const struct core *core);
NODISCARD enum err broker_quota_open(struct broker *broker);
/* A fact of the catalogue, before the loops run. */
NODISCARD enum err broker_quota_load(struct broker *broker, struct slice key, struct slice value);
/* All have come. */
void broker_quota_loaded(struct broker *broker);
void broker_quota_close(struct broker *broker);

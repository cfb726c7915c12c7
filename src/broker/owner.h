// Changes of topics and settings: all are made on core 0, one at a time for each topic.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/state.h"

struct spread;

/* What core 0 knows beyond its view. */
struct owner {
    struct map locks;           /* by topic name: what is being changed */
    struct map collisions;      /* by name with '.' as '_': topics that have one of them */
    struct list bindings;       /* binding.c: claims of topics on subjects */
    size_t change_count;        /* calls that are not answered */
    size_t partition_count;     /* with topics that are being made */
    struct broker_call refresh; /* topics follow the broker's settings */
    bool refresh_running;
    bool refresh_again;
    struct slice refresh_name; /* the topic reached, NULL: none */
    char refresh_bytes[256];
    struct list refresh_waiting; /* calls that this pass serves */
    struct list refresh_next;    /* and those that came later */
    int64_t producer_next;
    int64_t producer_end; /* ids below are durable as given out */
    bool producer_busy;
    struct list producer_waiting;
};

static inline struct owner *broker_owner_of(const struct core *core)
{
    return broker_core(core)->broker->owner;
}

/* A call that changes something: counted until it is answered. True: it may go on; false: refused,
 * the answer is on its way. */
bool broker_owner_begin(struct core *core, struct broker_call *call);
void broker_owner_end(struct core *core, struct broker_call *call, enum err err);

/* The name is the call's until unlocked. ERR_AGAIN: somebody has it; call->serve is called again
 * when it is free. */
NODISCARD enum err broker_owner_lock(struct core *core, struct slice name,
                                     struct broker_call *call);
void broker_owner_unlock(struct core *core, struct slice name);

/* What all cores shall see: a topic put, a topic removed, settings of the broker, or what apply
 * does. */
struct spread_part {
    struct core_message message;
    struct spread *spread;
    struct view_entry *entry;
};
typedef void (*spread_done_fn)(struct core *core, void *arg);
struct spread {
    const struct broker_topic *topic; /* a reference */
    struct settings_version *settings;
    void (*apply)(struct core *core, void *arg); /* NULL: none */
    bool remove;
    bool is_new; /* every part has an entry */
    unsigned left;
    spread_done_fn done; /* every core has it; the spread is freed afterwards */
    void *arg;
    struct spread_part parts[];
};
/* NULL: out of memory. topic_name: makes an entry for every core; null: none. */
struct spread *broker_owner_spread_new(struct core *core, struct slice topic_name);
void broker_owner_spread_free(struct spread *spread, unsigned core_count);
void broker_owner_spread(struct core *core, struct spread *take_spread);

/* --- settings_alter.c --- */
void broker_settings_refresh(struct core *core);
NODISCARD enum err broker_settings_pairs_apply(struct topic_settings *settings,
                                               const struct broker_setting_pair *pairs,
                                               size_t count, struct diag *diag);

/* --- topic_create.c, topic_change.c; the topic's name is locked --- */

/* ERR_LIMIT when count partitions instead of before are too many. */
NODISCARD enum err broker_topic_count_check(struct core *core, int32_t count, int32_t before,
                                            struct diag *diag);
struct partitions_new {
    struct uuid id;
    struct topic_settings *settings;
    uint32_t first;
    uint32_t count;
};
/* Partitions that live on this core; all or none. */
NODISCARD enum err broker_topic_partitions_new(struct core *core,
                                               const struct partitions_new *options,
                                               struct broker_partition **out);
void broker_topic_partitions_drop(struct broker_partition **partitions, uint32_t count);

typedef void (*topic_change_done_fn)(struct core *core, struct broker_call *call, enum err err);
/* A new version of a topic. */
struct topic_put {
    const struct broker_topic *old;
    struct topic_settings *settings;
    uint32_t partition_count;
    struct broker_partition **partitions;
    struct broker_call *call;
    topic_change_done_fn done; /* the name is unlocked again */
    bool is_known;             /* the catalogue has it: nothing durable changes */
};
/* ERR_OK: done comes later. Otherwise nothing has happened and the name is still locked. */
NODISCARD enum err broker_topic_put(struct core *core, const struct topic_put *put);
/* Finds the topic and locks its name; ERR_NOT_FOUND, ERR_AGAIN (see broker_owner_lock). */
NODISCARD enum err broker_topic_lock(struct core *core, const struct uuid *id,
                                     struct broker_call *call, const struct broker_topic **out);

/* --- topic_name.c --- */
/* Kafka's rules; ERR_INVALID with words. */
NODISCARD enum err broker_topic_name_check(struct slice name, struct diag *diag);
/* Internal topics are made by the server only. */
bool broker_topic_name_is_internal(struct slice name);
/* Notes the name; ERR_INVALID: another differs only in '.' and '_'. */
NODISCARD enum err broker_topic_name_claim(struct owner *owner, struct slice name,
                                           struct diag *diag);
void broker_topic_name_release(struct owner *owner, struct slice name);
void broker_topic_name_free_all(struct owner *owner);

/* --- facts.c --- */
struct text;
struct fact_topic {
    struct uuid id;
    struct slice name;
    bool internal;
    uint32_t partition_count;
    int64_t created_ms;
    struct topic_settings *settings;
};
#define FACT_TOPIC_KEY_SIZE (6 + 16)
void broker_facts_topic_key(const struct uuid *id, uint8_t out[FACT_TOPIC_KEY_SIZE]);
/* Out of memory shows in out->failed. */
void broker_facts_topic_encode(const struct fact_topic *topic, struct text *out);
/* name points into value; settings get their explicit values, unresolved. */
NODISCARD enum err broker_facts_topic_decode(struct slice key, struct slice value,
                                             struct fact_topic *topic, struct diag *diag);
bool broker_facts_is_topic(struct slice key);
bool broker_facts_has_prefix(struct slice key, const char *prefix);
void broker_facts_settings_encode(struct config_rules rules, config_set set, const void *values,
                                  struct text *out);
NODISCARD enum err broker_facts_settings_decode(struct slice value, struct config_layer *layer,
                                                struct diag *diag);
void broker_facts_number_encode(int64_t number, struct text *out);
NODISCARD enum err broker_facts_number_decode(struct slice value, int64_t *out);
#define FACT_CLUSTER_KEY          "cluster-id"
#define FACT_PRODUCER_KEY         "producer-ids"
#define FACT_SETTINGS_CLUSTER_KEY "settings-cluster"
#define FACT_SETTINGS_NODE_KEY    "settings-node"

// The table of groups with settings of their own; for the files about it and the opening.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/group_settings.h"
#include "broker/state.h"

#define FACT_GROUP_PREFIX "group/"

/* What one group sets; never changed. */
struct group_rule {
    _Atomic uint32_t refs;
    struct budget *budget;
    struct slice name; /* its bytes follow */
    config_set set;
    struct broker_group_settings values; /* where set has the bit */
    uint8_t bytes[];
};

/* All of them at one time: shared by all cores, never changed. */
struct group_table {
    _Atomic uint32_t refs;
    struct map rules;
};

/* --- group_settings.c --- */
struct config_rules broker_group_settings_rules(void);
/* NULL: the group sets nothing. */
const struct group_rule *broker_group_settings_find(struct core *core, struct slice name);
/* Broker's values, and the defaults of what the broker has not. */
void broker_group_settings_base(const struct broker_settings *settings,
                                struct broker_group_settings *out);
/* ERR_INVALID with words: beyond the broker's limits, or they do not go together. */
NODISCARD enum err broker_group_settings_judge(const struct broker_settings *settings,
                                               const struct group_rule *rule, struct diag *diag);

/* --- group_settings_table.c --- */
/* One reference; set and values are to be filled. NULL: out of memory. */
struct group_rule *broker_group_settings_rule_new(struct core *core, struct slice name);
void broker_group_settings_rule_unref(struct group_rule *rule);
/* ERR_LIMIT: with the rule there would be too many. */
NODISCARD enum err broker_group_settings_table_check(const struct group_table *old,
                                                     const struct group_rule *rule);
/* old with the rule in place of the one of its name, or without when it sets nothing; NULL in *out
 * when none is left. Copies them all. ERR_NO_MEMORY. */
NODISCARD enum err broker_group_settings_table_put(struct core *core, const struct group_table *old,
                                                   struct group_rule *rule,
                                                   struct group_table **out);
struct group_table *broker_group_settings_table_ref(struct group_table *table);
void broker_group_settings_table_unref(struct group_table *table);
/* A fact of the catalogue, before the loops run. */
NODISCARD enum err broker_group_settings_load(struct broker *broker, struct slice key,
                                              struct slice value, struct diag *diag);
/* All have come. */
void broker_group_settings_loaded(struct broker *broker);
void broker_group_settings_close(struct broker *broker);

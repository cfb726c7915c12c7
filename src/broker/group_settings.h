// What is set for single groups, over what the broker has for all: ConfigResource GROUP of Kafka.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"

/* Groups with settings of their own, whether there are such groups or not. */
#define BROKER_GROUP_SETTINGS_MAX           10000
#define BROKER_GROUP_SETTINGS_NAME_SIZE_MAX 32767

/* In force for one group: what it sets, within the limits of the broker, else what the broker says
 * for all. */
struct broker_group_settings {
#define GROUP_LIMITED(field, name, same, least, most, min, doc) int32_t field;
#define GROUP_OWN(kind, field, name, value, min, max, doc)      SETTING_TYPE_##kind field;
#include "broker/group_settings.def" // IWYU pragma: keep
#undef GROUP_LIMITED
#undef GROUP_OWN
};

/* On any core; a change is there at the next call after its answer. */
void broker_group_settings_get(struct core *core, struct slice group_id,
                               struct broker_group_settings *out);
/* Whether readers of the share group see records of committed transactions only. */
bool broker_group_settings_is_committed(const struct broker_group_settings *settings);
/* Describes the settings of a group; of one that sets nothing, those of all. */
void broker_group_settings_each(struct core *core, struct slice group_id, config_entry_fn fn,
                                void *arg);
/* Names of groups that set something, on this core and valid for this turn; start with 0. Null: no
 * more. */
struct slice broker_group_settings_next(struct core *core, size_t *position);
size_t broker_group_settings_count(struct core *core);
/* Changes the settings of the group alter->name; one that sets nothing is gone. Done when it is
 * durable and every core has it. ERR_INVALID with words, ERR_LIMIT. */
void broker_group_settings_alter(struct core *core, struct broker_settings_alter *alter);
/* Do the broker's own values lie within its limits? ERR_INVALID with words. */
NODISCARD enum err broker_group_settings_check(const struct broker_settings *settings,
                                               struct diag *diag);

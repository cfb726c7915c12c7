// The topics of the kafka block: what is to be there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/settings.h"

/* Adds the topics of a map to settings.plan. ERR_INVALID with file, line and words in diag:
 * something that is no topic, an unknown setting, a value of another kind; ERR_NO_MEMORY. */
NODISCARD enum err server_settings_topics_apply(struct server_settings *settings,
                                                const struct server_conf_value *map,
                                                struct diag *diag);
/* The whole plan, when all settings are known: ERR_INVALID with file, line and words. */
NODISCARD enum err server_settings_topics_check(const struct server_settings *settings,
                                                struct diag *diag);
/* Puts file, line and topic of a fault before the words. */
void server_settings_topics_complain(const struct server_settings *settings,
                                     const struct broker_plan_fault *fault, struct diag *diag);

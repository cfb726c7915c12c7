// The kafka block of the configuration: Kafka's own names for the broker's settings.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/settings.h"

/* Applies a map to settings. An unknown name, a name that Kafka knows and Leat does not honour, and
 * a value outside its limits are ERR_INVALID with file, line and words in diag. */
NODISCARD enum err server_settings_kafka_apply(struct server_settings *settings,
                                               const struct server_conf_value *map,
                                               struct diag *diag);
/* A number as number, or as text with the unit that suits the setting's name. ERR_INVALID. */
NODISCARD enum err server_settings_kafka_number(const struct server_conf_value *value,
                                                const char *name, int64_t *out);
/* Says that value is no such number, and how one looks. ERR_INVALID. */
enum err server_settings_kafka_complain(const struct server_conf_value *value, const char *name,
                                        struct diag *diag);
/* Replaces the listeners by those in text, separated by commas. */
NODISCARD enum err server_settings_kafka_listen(struct server_settings *settings, struct slice text,
                                                struct diag *diag);
/* Adds the listeners in text, separated by commas. */
NODISCARD enum err server_settings_kafka_listen_more(struct server_settings *settings,
                                                     struct slice text, struct diag *diag);

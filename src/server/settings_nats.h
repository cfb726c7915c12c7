// NATS settings: the top-level keys of nats-server.conf that Leat honours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/settings.h"

/* Defaults: 127.0.0.1:4222, all else as nats-server. */
NODISCARD enum err server_settings_nats_init(struct server_settings *settings, struct diag *diag);
/* "address:port", or "none" to serve no NATS clients. */
NODISCARD enum err server_settings_nats_listen(struct server_settings *settings, struct slice text,
                                               struct diag *diag);
/* One pair of the file's top level. ERR_NOT_FOUND: none of the keys known here. ERR_INVALID with
 * file, line and words in diag. */
NODISCARD enum err server_settings_nats_apply(struct server_settings *settings,
                                              const struct server_conf_pair *pair,
                                              struct diag *diag);
/* A key of the file's top level with a value from the command line. */
NODISCARD enum err server_settings_nats_set(struct server_settings *settings, const char *key,
                                            struct slice text, struct diag *diag);
/* Users and tokens of the file give way to this one. */
NODISCARD enum err server_settings_nats_login(struct server_settings *settings, struct slice user,
                                              struct slice password, struct slice token,
                                              struct diag *diag);
/* After file and command line: what can only be said of all settings together. */
NODISCARD enum err server_settings_nats_finish(struct server_settings *settings, struct diag *diag);

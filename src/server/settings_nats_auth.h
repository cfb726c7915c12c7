// The authorization block of nats-server.conf: who may come in, and what they may do.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nats/config.h"
#include "server/conf.h"

/* Everything is copied into config's arena. ERR_INVALID with file, line and words in diag. */
NODISCARD enum err server_settings_nats_auth(struct nats_config *config,
                                             const struct server_conf_value *value,
                                             struct diag *diag);

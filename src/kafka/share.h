// What connections know of share sessions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/share.h"
#include "kafka/conn.h"

/* Ends the sessions of a client; the memory is freed. */
void kafka_share_gone(struct core *core, struct share_gone *take_gone);

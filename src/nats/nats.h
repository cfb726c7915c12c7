// The face of the NATS room: opens it on every core, listens, reloads, goes lame.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nats/config.h"
#include "reactor/conn.h"

struct nats;

/* What clients are told in INFO. They choose by it what to try: see the README of this room. */
#define NATS_VERSION "2.10.0"

struct nats_options {
    struct reactor *reactor;
    struct logger *logger;
    struct nats_config *config; /* a reference is added */
    const char *software;       /* name and version of this program; outlives the room */
};

/* Before the reactor runs. */
NODISCARD enum err nats_open(const struct nats_options *options, struct nats **out);
/* After the reactor has stopped and its connections are closed. */
void nats_close(struct nats *nats);
/* Core 0. The first address is the one that INFO tells. */
NODISCARD enum err nats_listen(struct nats *nats, const struct sockaddr_storage *address,
                               socklen_t address_size, struct listener **out, struct diag *diag);
/* Core 0: connections go on under the new configuration; those that may not are closed. A reference
 * is added. What listeners were opened with (write deadline, where producers wait) stays.
 * ERR_NO_MEMORY: nothing changed. */
NODISCARD enum err nats_reload(struct nats *nats, struct nats_config *config);
/* Core 0, listeners closed: tells clients to go elsewhere, and closes them little by little after
 * the grace period. done is called on core 0 when none is left. */
void nats_lame_duck(struct nats *nats, void (*done)(void *arg), void *arg);
const char *nats_id(const struct nats *nats);

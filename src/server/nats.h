// What programs that start nats-server look for: its log lines, pid file and ports file.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "reactor/conn.h"
#include "server/server.h"

/* "[INF] Listening for client connections on ..." and "[INF] Server is ready"; http may be NULL. */
void server_nats_say(const struct server_options *options, const struct listener *listener,
                     const struct listener *http);
/* "[FTL] words", for a start that fails. */
void server_nats_say_fatal(const struct server_options *options, const char *words);
/* The files that the settings ask for; both listeners may be NULL. Words about a failure go to
 * diag. */
NODISCARD enum err server_nats_write_files(const struct server_options *options,
                                           const struct listener *listener,
                                           const struct listener *http, struct diag *diag);
void server_nats_remove_files(const struct server_options *options);

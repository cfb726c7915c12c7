// What nats-server's option --signal does: sends a signal to a server that runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/os.h"

/* command: "ldm", "quit", "reload", "reopen", "stop" or "term", then perhaps "=" and the number of
 * a process or the path of a file that holds it. A number that ends in "*" stands for all servers
 * whose numbers begin so. Without a number it goes to the only nats-server there is, own_pid not
 * counted. The words of what is wrong are nats-server's. */
NODISCARD enum err server_signal_send(struct os *os, struct slice command, unsigned own_pid,
                                      struct diag *diag);

// A data folder that lives as long as the process: for a server that keeps nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "os/os.h"

/* Makes a new folder for this user alone below parent, and removes those of servers that were
 * killed. ERR_ACCESS and what else the system says; ERR_LIMIT: the path does not fit into size
 * bytes. */
NODISCARD enum err server_private_folder_make(struct os *os, const char *parent, char *out,
                                              size_t size);
/* A server has opened its store there, which holds a lock: without that it may be removed from now
 * on. */
void server_private_folder_mark(struct os *os, const char *path);
/* With all that is in it; what cannot be removed stays. */
void server_private_folder_remove(struct os *os, const char *path);

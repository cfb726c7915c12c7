// A data folder that lives as long as the process: for a server that keeps nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "os/os.h"

/* Makes a new folder for this user alone below parent. ERR_ACCESS and what else the system says;
 * ERR_LIMIT: the path does not fit into size bytes. */
NODISCARD enum err server_private_folder_make(const char *parent, char *out, size_t size);
/* With all that is in it; what cannot be removed stays. */
void server_private_folder_remove(struct os *os, const char *path);

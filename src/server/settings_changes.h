// Which settings of a file that is read again are in force only after a restart.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "server/settings.h"

/* Adds the names of what differs and is not reloaded, ", " between them. */
void server_settings_changes(const struct server_settings *now, const struct server_settings *read,
                             struct text *out);

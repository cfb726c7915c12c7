// Connections of a core.
// SPDX-License-Identifier: Apache-2.0
#include "reactor/core_state.h"

void conn_core_init(struct core *core)
{
    list_init(&core->conns.all);
    list_init(&core->conns.flush);
    list_init(&core->conns.flush_later);
    list_init(&core->conns.starved);
}

void conn_core_deinit(struct core *core)
{
}

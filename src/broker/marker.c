// Transaction markers: the control batches that end a transaction in a partition (KIP-98).
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

void broker_marker_write(struct core *core, const struct broker_topic *topic, int32_t partition,
                         struct broker_marker *marker)
{
    marker->offset = -1;
    broker_call_fail(core, &marker->call, ERR_UNSUPPORTED);
}

// Deletes single records.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

static void punch_done(void *arg, enum err err)
{
    struct broker_punch *punch = arg;
    struct broker_partition *partition = punch->call.partition;
    struct core *core = broker_partition_core(partition);
    broker_call_finish(core, &punch->call, err);
    broker_partition_pending_done(core, partition);
}

static void punch_serve(struct core *core, struct broker_call *call)
{
    struct broker_punch *punch = CONTAINER_OF(call, struct broker_punch, call);
    struct broker_partition *partition = call->partition;
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    int64_t visible = broker_partition_visible(partition);
    for (size_t i = 0; i < punch->count; i++) {
        if (punch->offsets[i] < 0 || punch->offsets[i] >= visible) {
            broker_call_finish(core, call, ERR_OUT_OF_RANGE);
            return;
        }
    }
    partition->pending++;
    store_log_punch(partition->log, punch->offsets, punch->count, punch_done, punch);
}

void broker_punch(struct core *core, struct broker_partition *partition, struct broker_punch *call)
{
    broker_call_to_partition(core, partition, &call->call, punch_serve);
}

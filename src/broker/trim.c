// Moves the start of a log.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

static void trim_done(void *arg, enum err err)
{
    struct broker_trim *trim = arg;
    struct broker_partition *partition = trim->call.partition;
    struct core *core = broker_partition_core(partition);
    trim->log_start = store_log_start(partition->log);
    broker_call_finish(core, &trim->call, err);
    broker_partition_pending_done(core, partition);
}

static void trim_serve(struct core *core, struct broker_call *call)
{
    struct broker_trim *trim = CONTAINER_OF(call, struct broker_trim, call);
    struct broker_partition *partition = call->partition;
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    int64_t visible = broker_partition_visible(partition);
    int64_t offset = trim->offset == -1 ? visible : trim->offset;
    trim->log_start = store_log_start(partition->log);
    if (offset < 0 || offset > visible) {
        broker_call_finish(core, call, ERR_OUT_OF_RANGE);
        return;
    }
    if (offset <= trim->log_start) {
        broker_call_finish(core, call, ERR_OK);
        return;
    }
    partition->pending++;
    store_log_start_set(partition->log, offset, trim_done, trim);
}

void broker_trim(struct core *core, struct broker_partition *partition, struct broker_trim *call)
{
    call->log_start = -1;
    broker_call_to_partition(core, partition, &call->call, trim_serve);
}

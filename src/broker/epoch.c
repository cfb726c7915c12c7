// Where an epoch of a leader ended (KIP-101).
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

static void epoch_serve(struct core *core, struct broker_call *call)
{
    struct broker_epoch_end *ask = CONTAINER_OF(call, struct broker_epoch_end, call);
    const struct broker_partition *partition = call->partition;
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    enum err err = broker_partition_epoch_check(partition, ask->current_epoch);
    int64_t visible = broker_partition_visible(partition);
    if (!err && ask->epoch == broker_partition_epoch(partition)) {
        ask->out_epoch = ask->epoch;
        ask->out_end = visible;
    } else if (!err &&
               store_log_epoch_end(partition->log, ask->epoch, &ask->out_epoch, &ask->out_end)) {
        ask->out_end = MIN(ask->out_end, visible);
    }
    broker_call_finish(core, call, err);
}

void broker_epoch_end(struct core *core, struct broker_partition *partition,
                      struct broker_epoch_end *call)
{
    call->out_epoch = -1;
    call->out_end = -1;
    broker_call_to_partition(core, partition, &call->call, epoch_serve);
}

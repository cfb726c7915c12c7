// Finds offsets by time, and the ends of a log and of its epochs.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

static void offset_done(struct store_lookup *store)
{
    struct broker_offset_find *find = CONTAINER_OF(store, struct broker_offset_find, store);
    struct broker_partition *partition = find->call.partition;
    struct core *core = broker_partition_core(partition);
    /* Kafka asks the whole log and leaves out what the reader may not have yet */
    bool is_beyond = find->committed && store->result == ERR_OK && partition->log &&
                     store->offset >= broker_partition_limit(partition, true);
    if (store->result == ERR_OK && !is_beyond) {
        find->offset = store->offset;
        find->found_timestamp_ms = store->offset < 0 ? -1 : store->found_timestamp_ms;
        find->leader_epoch = store->offset < 0 ? -1 : store->leader_epoch;
    }
    broker_call_finish(core, &find->call, store->result);
    broker_partition_pending_done(core, partition);
}

static void offset_look_up(struct broker_partition *partition, struct broker_offset_find *find)
{
    find->store.timestamp_ms = find->timestamp_ms;
    find->store.done = offset_done;
    partition->pending++;
    if (find->kind == BROKER_OFFSET_TIMESTAMP)
        store_log_find_time(partition->log, &find->store);
    else
        store_log_find_max_time(partition->log, &find->store);
}

static void offset_serve(struct core *core, struct broker_call *call)
{
    struct broker_offset_find *find = CONTAINER_OF(call, struct broker_offset_find, call);
    struct broker_partition *partition = call->partition;
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, call, ERR_NOT_FOUND);
        return;
    }
    enum err err = broker_partition_epoch_check(partition, find->epoch);
    if (err) {
        broker_call_finish(core, call, err);
        return;
    }
    if (find->kind == BROKER_OFFSET_TIMESTAMP || find->kind == BROKER_OFFSET_MAX_TIMESTAMP) {
        offset_look_up(partition, find);
        return;
    }
    find->leader_epoch = broker_partition_epoch(partition);
    if (find->kind == BROKER_OFFSET_LATEST) {
        find->offset = broker_partition_limit(partition, find->committed);
    } else {
        find->offset = store_log_start(partition->log);
        if (find->offset < store_log_end(partition->log)) /* else the leader's own, as Kafka says */
            find->leader_epoch = store_log_epoch_at(partition->log, find->offset);
    }
    broker_call_finish(core, call, ERR_OK);
}

void broker_offset_find(struct core *core, struct broker_partition *partition,
                        struct broker_offset_find *find)
{
    memset(&find->store, 0, sizeof(find->store));
    list_init(&find->store.node);
    find->offset = -1;
    find->found_timestamp_ms = -1;
    find->leader_epoch = -1;
    broker_call_to_partition(core, partition, &find->call, offset_serve);
}

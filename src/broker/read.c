// Reads of what is visible.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

static void read_finish(struct core *core, struct broker_read *read, enum err err)
{
    broker_call_finish(core, &read->call, err);
}

static void read_done(struct store_read *store)
{
    struct broker_read *read = CONTAINER_OF(store, struct broker_read, store);
    struct broker_partition *partition = read->call.partition;
    struct core *core = broker_partition_core(partition);
    read_finish(core, read, store->result);
    broker_partition_pending_done(core, partition);
}

/* The places of the log at this moment; nothing read lies beyond. */
static enum err read_look(const struct broker_partition *partition, struct broker_read *read)
{
    read->log_start = store_log_start(partition->log);
    read->high_watermark = broker_partition_visible(partition);
    read->last_stable = broker_partition_limit(partition, true);
    enum err err = broker_partition_epoch_check(partition, read->epoch);
    if (err)
        return err;
    if (read->offset < read->log_start || read->offset > store_log_end(partition->log))
        return ERR_OUT_OF_RANGE;
    return ERR_OK;
}

static void read_serve(struct core *core, struct broker_call *call)
{
    struct broker_read *read = CONTAINER_OF(call, struct broker_read, call);
    struct broker_partition *partition = call->partition;
    broker_placement_count(core, partition, call->origin);
    if (broker_partition_is_gone(partition)) {
        read_finish(core, read, ERR_NOT_FOUND);
        return;
    }
    enum err err = read_look(partition, read);
    int64_t limit = read->committed ? read->last_stable : read->high_watermark;
    if (err || read->offset >= limit) {
        read_finish(core, read, err);
        return;
    }
    read->store.offset = read->offset;
    read->store.offset_limit = limit;
    read->store.size_max = read->size_max;
    read->store.want_one = read->want_one;
    read->store.want_memory = read->want_memory;
    read->store.want_aborted = read->committed;
    read->store.done = read_done;
    partition->pending++;
    err = store_log_read(partition->log, &read->store);
    if (err == ERR_AGAIN)
        return;
    read_finish(core, read, err);
    broker_partition_pending_done(core, partition);
}

void broker_read(struct core *core, struct broker_partition *partition, struct broker_read *read)
{
    memset(&read->store, 0, sizeof(read->store));
    list_init(&read->store.node);
    read->store.offset_next = read->offset;
    read->log_start = -1;
    read->high_watermark = -1;
    read->last_stable = -1;
    broker_call_to_partition(core, partition, &read->call, read_serve);
}

void broker_read_release(struct broker_read *read)
{
    store_read_release(&read->store);
}

bool broker_read_is_aborted(const struct broker_read *read, const struct batch_header *header)
{
    if (!(header->attributes & BATCH_TRANSACTIONAL))
        return false;
    for (uint32_t i = 0; i < read->store.aborted_count; i++) {
        const struct store_aborted *aborted = &read->store.aborted[i];
        if (aborted->first_offset > header->base_offset)
            break;
        if (aborted->producer_id == header->producer_id &&
            aborted->last_offset >= header->base_offset)
            return true;
    }
    return false;
}

// The producers that a partition knows.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/state.h"

static void producer_count(void *arg, const struct store_producer *producer)
{
    (*(size_t *)arg)++;
}

static void producer_add(void *arg, const struct store_producer *producer)
{
    struct broker_producers *call = arg;
    call->producers[call->count++] = *producer;
}

static void producers_serve(struct core *core, struct broker_call *base)
{
    struct broker_producers *call = CONTAINER_OF(base, struct broker_producers, call);
    const struct broker_partition *partition = base->partition;
    if (broker_partition_is_gone(partition)) {
        broker_call_finish(core, base, ERR_NOT_FOUND);
        return;
    }
    size_t count = 0;
    store_log_producer_each(partition->log, producer_count, &count);
    if (count > 0)
        call->producers = calloc(count, sizeof(*call->producers));
    if (call->producers)
        store_log_producer_each(partition->log, producer_add, call);
    broker_call_finish(core, base, call->count == count ? ERR_OK : ERR_NO_MEMORY);
}

void broker_producers_describe(struct core *core, struct broker_partition *partition,
                               struct broker_producers *call)
{
    call->producers = NULL;
    call->count = 0;
    broker_call_to_partition(core, partition, &call->call, producers_serve);
}

void broker_producers_release(struct broker_producers *call)
{
    free(call->producers);
    call->producers = NULL;
    call->count = 0;
}

// Producer ids: a block of them is durable before the first is given out.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/owner.h"

#define PRODUCER_BLOCK_SIZE 1000

struct producer_block {
    struct core *core;
    int64_t end;
    struct text fact;
};

static void producer_give(struct core *core, struct broker_call *call, enum err err)
{
    struct broker_producer_id *ask = CONTAINER_OF(call, struct broker_producer_id, call);
    struct owner *owner = broker_owner_of(core);
    ask->epoch = 0;
    ask->producer_id = err ? -1 : owner->producer_next++;
    broker_owner_end(core, call, err);
}

/* As far as the ids go; with err all. */
static void producer_give_all(struct core *core, enum err err)
{
    struct owner *owner = broker_owner_of(core);
    struct list *node;
    while ((err || owner->producer_next < owner->producer_end) &&
           (node = list_pop_front(&owner->producer_waiting)))
        producer_give(core, LIST_ENTRY(node, struct broker_call, node), err);
}

static void producer_refill(struct core *core);

static void producer_stored(void *arg, enum err err)
{
    struct producer_block *block = arg;
    struct core *core = block->core;
    struct owner *owner = broker_owner_of(core);
    owner->producer_busy = false;
    if (!err)
        owner->producer_end = block->end;
    text_deinit(&block->fact);
    free(block);
    producer_give_all(core, err);
    if (!list_empty(&owner->producer_waiting))
        producer_refill(core);
}

static void producer_refill(struct core *core)
{
    struct owner *owner = broker_owner_of(core);
    if (owner->producer_busy)
        return;
    struct producer_block *block = malloc(sizeof(*block));
    if (!block) {
        producer_give_all(core, ERR_NO_MEMORY);
        return;
    }
    owner->producer_busy = true;
    *block = (struct producer_block){.core = core, .end = owner->producer_end};
    text_init(&block->fact);
    if (__builtin_add_overflow(block->end, PRODUCER_BLOCK_SIZE, &block->end)) {
        producer_stored(block, ERR_LIMIT);
        return;
    }
    broker_facts_number_encode(block->end, &block->fact);
    if (block->fact.failed) {
        producer_stored(block, ERR_NO_MEMORY);
        return;
    }
    store_fact_put(broker_core(core)->broker->store, slice_text(FACT_PRODUCER_KEY),
                   text_slice(&block->fact), producer_stored, block);
}

static void producer_serve(struct core *core, struct broker_call *call)
{
    struct owner *owner = broker_owner_of(core);
    if (!broker_owner_begin(core, call))
        return;
    if (owner->producer_next < owner->producer_end) {
        producer_give(core, call, ERR_OK);
        return;
    }
    list_push_back(&owner->producer_waiting, &call->node);
    producer_refill(core);
}

void broker_producer_id_get(struct core *core, struct broker_producer_id *call)
{
    call->producer_id = -1;
    call->epoch = -1;
    call->call.diag.text[0] = 0;
    broker_call_to_owner(core, &call->call, producer_serve);
}

// The way of a call to the core that serves it, and back.
// SPDX-License-Identifier: Apache-2.0
#include "broker/state.h"

static void call_arrive(struct core *core, struct core_message *message)
{
    struct broker_call *call = CONTAINER_OF(message, struct broker_call, message);
    call->serve(core, call);
}

static void call_return(struct core *core, struct core_message *message)
{
    struct broker_call *call = CONTAINER_OF(message, struct broker_call, message);
    if (call->over)
        call->over(core, call);
    broker_partition_unref(call->partition);
    call->partition = NULL;
    call->done(call);
}

void broker_call_finish(struct core *core, struct broker_call *call, enum err err)
{
    call->err = err;
    call->message.run = call_return;
    core_send(core, core_id(call->origin), &call->message);
}

void broker_call_fail(struct core *core, struct broker_call *call, enum err err)
{
    call->origin = core;
    call->partition = NULL;
    call->over = NULL;
    broker_call_finish(core, call, err);
}

void broker_call_route(struct core *core, struct broker_call *call)
{
    struct broker_partition *partition = call->partition;
    struct move_part *part = broker_move_part(core, partition);
    if (part) {
        broker_move_park(core, part, call);
        return;
    }
    unsigned home = atomic_load_explicit(&partition->home, memory_order_relaxed);
    if (home == core_id(core)) {
        call->serve(core, call);
        return;
    }
    call->message.run = call_arrive;
    core_send(core, home, &call->message);
}

void broker_call_to_partition(struct core *core, struct broker_partition *partition,
                              struct broker_call *call, broker_serve_fn serve)
{
    call->origin = core;
    call->err = ERR_OK;
    call->serve = serve;
    call->over = NULL;
    call->partition = broker_partition_ref(partition);
    list_init(&call->node);
    broker_call_route(core, call);
}

void broker_call_to_owner(struct core *core, struct broker_call *call, broker_serve_fn serve)
{
    call->origin = core;
    call->err = ERR_OK;
    call->serve = serve;
    call->partition = NULL;
    call->over = NULL;
    list_init(&call->node);
    if (core_id(core) == 0) {
        serve(core, call);
        return;
    }
    call->message.run = call_arrive;
    core_send(core, 0, &call->message);
}

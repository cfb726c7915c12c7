// JoinGroup, SyncGroup, Heartbeat and LeaveGroup: the life of a member of a classic group.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_heartbeat.h"
#include "wire/kafka_join_group.h"
#include "wire/kafka_leave_group.h"
#include "wire/kafka_sync_group.h"

/* --- JoinGroup --- */

struct join_state {
    struct group_join join;
    struct kafka_request *request;
};

static bool join_members(struct kafka_request *request, const struct group_join *join,
                         struct kafka_join_group_response *response)
{
    if (join->member_count == 0)
        return true;
    response->members =
        kafka_request_alloc(request, join->member_count, sizeof(*response->members));
    if (!response->members)
        return false;
    response->members_count = join->member_count;
    for (size_t i = 0; i < join->member_count; i++) {
        response->members[i].member_id = kafka_group_text(join->members[i].member_id);
        response->members[i].group_instance_id = join->members[i].instance_id;
        response->members[i].metadata = kafka_group_text(join->members[i].metadata);
    }
    return true;
}

static void join_done(struct broker_call *call)
{
    struct join_state *state = CONTAINER_OF(call, struct join_state, join.call);
    struct kafka_request *request = state->request;
    const struct group_join *join = &state->join;
    void *result = join->private;
    request->cancel = NULL;
    struct kafka_join_group_response response;
    kafka_join_group_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    response.generation_id = call->err ? -1 : join->generation;
    response.leader = kafka_group_text(join->leader_id);
    response.member_id = kafka_group_text(join->member_id_out);
    response.protocol_type = join->protocol_type_out;
    response.protocol_name = join->protocol_name;
    if (request->version < 7)
        response.protocol_name = kafka_group_text(join->protocol_name);
    response.skip_assignment = join->skip_assignment;
    if (call->err || join_members(request, join, &response))
        kafka_request_answer(request, join_group, &response);
    broker_group_result_release(result);
}

static void join_cancel(struct kafka_request *request)
{
    struct join_state *state = request->state;
    broker_group_join_cancel(request->core, &state->join);
}

static struct group_protocol *join_protocols(struct kafka_request *request,
                                             const struct kafka_join_group_request *asked)
{
    struct group_protocol *protocols =
        kafka_request_alloc(request, asked->protocols_count, sizeof(*protocols));
    for (size_t i = 0; protocols && i < asked->protocols_count; i++) {
        protocols[i].name = asked->protocols[i].name;
        protocols[i].metadata = kafka_group_text(asked->protocols[i].metadata);
    }
    return protocols;
}

void kafka_group_join_handle(struct kafka_request *request)
{
    struct kafka_join_group_request asked;
    struct join_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, join_group, &asked))
        return;
    struct group_protocol *protocols = join_protocols(request, &asked);
    if (!protocols)
        return;
    state->request = request;
    state->join = (struct group_join){
        .call.done = join_done,
        .group_id = asked.group_id,
        .member_id = asked.member_id,
        .instance_id = asked.group_instance_id,
        .client_id = kafka_group_text(request->frame.header.client_id),
        .client_host = kafka_group_client_host(request),
        .protocol_type = asked.protocol_type,
        .protocols = protocols,
        .protocol_count = asked.protocols_count,
        .session_timeout_ms = asked.session_timeout_ms,
        .rebalance_timeout_ms =
            request->version >= 1 ? asked.rebalance_timeout_ms : asked.session_timeout_ms,
        .member_id_required = request->version >= 4,
        .skip_assignment_known = request->version >= 9};
    request->state = state;
    request->cancel = join_cancel;
    broker_group_join(request->core, &state->join);
}

/* --- SyncGroup --- */

struct sync_state {
    struct group_sync sync;
    struct kafka_request *request;
};

static void sync_answer(struct kafka_request *request, const struct group_sync *sync, int16_t code)
{
    struct kafka_sync_group_response response;
    kafka_sync_group_response_init(&response);
    response.error_code = code;
    response.protocol_type = sync->protocol_type_out;
    response.protocol_name = sync->protocol_name_out;
    response.assignment = kafka_group_text(sync->assignment);
    kafka_request_answer(request, sync_group, &response);
}

static void sync_done(struct broker_call *call)
{
    struct sync_state *state = CONTAINER_OF(call, struct sync_state, sync.call);
    void *result = state->sync.private;
    state->request->cancel = NULL;
    sync_answer(state->request, &state->sync, kafka_group_error(call->err));
    broker_group_result_release(result);
}

static void sync_cancel(struct kafka_request *request)
{
    struct sync_state *state = request->state;
    broker_group_sync_cancel(request->core, &state->sync);
}

void kafka_group_sync_handle(struct kafka_request *request)
{
    struct kafka_sync_group_request asked;
    struct sync_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, sync_group, &asked))
        return;
    struct group_assignment *assignments =
        kafka_request_alloc(request, asked.assignments_count, sizeof(*assignments));
    if (!assignments)
        return;
    for (size_t i = 0; i < asked.assignments_count; i++) {
        assignments[i].member_id = asked.assignments[i].member_id;
        assignments[i].assignment = kafka_group_text(asked.assignments[i].assignment);
    }
    state->request = request;
    state->sync = (struct group_sync){.call.done = sync_done,
                                      .group_id = asked.group_id,
                                      .member_id = asked.member_id,
                                      .instance_id = asked.group_instance_id,
                                      .protocol_type = asked.protocol_type,
                                      .protocol_name = asked.protocol_name,
                                      .generation = asked.generation_id,
                                      .assignments = assignments,
                                      .assignment_count = asked.assignments_count};
    /* From version 5 on the protocol must be said (KIP-559). */
    if (request->version >= 5 && (!asked.protocol_type.data || !asked.protocol_name.data)) {
        sync_answer(request, &state->sync, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    request->state = state;
    request->cancel = sync_cancel;
    broker_group_sync(request->core, &state->sync);
}

/* --- Heartbeat --- */

struct heartbeat_state {
    struct group_heartbeat heartbeat;
    struct kafka_request *request;
};

static void heartbeat_done(struct broker_call *call)
{
    struct heartbeat_state *state = CONTAINER_OF(call, struct heartbeat_state, heartbeat.call);
    struct kafka_heartbeat_response response;
    kafka_heartbeat_response_init(&response);
    /* While a group is being read back its members need not worry. */
    response.error_code = call->err == ERR_LOADING ? KAFKA_NONE : kafka_group_error(call->err);
    kafka_request_answer(state->request, heartbeat, &response);
}

void kafka_group_heartbeat_handle(struct kafka_request *request)
{
    struct kafka_heartbeat_request asked;
    struct heartbeat_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, heartbeat, &asked))
        return;
    state->request = request;
    state->heartbeat = (struct group_heartbeat){.call.done = heartbeat_done,
                                                .group_id = asked.group_id,
                                                .member_id = asked.member_id,
                                                .instance_id = asked.group_instance_id,
                                                .generation = asked.generation_id};
    broker_group_heartbeat(request->core, &state->heartbeat);
}

/* --- LeaveGroup --- */

struct leave_state {
    struct group_leave leave;
    struct kafka_request *request;
};

static void leave_done(struct broker_call *call)
{
    struct leave_state *state = CONTAINER_OF(call, struct leave_state, leave.call);
    struct kafka_request *request = state->request;
    struct kafka_leave_group_response response;
    kafka_leave_group_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    size_t count = call->err ? 0 : state->leave.leaver_count;
    if (request->version < 3 && count == 1)
        response.error_code = kafka_group_error(state->leave.leavers[0].err);
    if (request->version >= 3) {
        response.members = kafka_request_alloc(request, count, sizeof(*response.members));
        if (!response.members)
            return;
        response.members_count = count;
    }
    for (size_t i = 0; i < response.members_count; i++) {
        const struct group_leaver *leaver = &state->leave.leavers[i];
        response.members[i].member_id = leaver->member_id;
        response.members[i].group_instance_id = leaver->instance_id;
        response.members[i].error_code = kafka_group_error(leaver->err);
    }
    kafka_request_answer(request, leave_group, &response);
}

void kafka_group_leave_handle(struct kafka_request *request)
{
    struct kafka_leave_group_request asked;
    struct leave_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, leave_group, &asked))
        return;
    size_t count = request->version >= 3 ? asked.members_count : 1;
    struct group_leaver *leavers = kafka_request_alloc(request, count, sizeof(*leavers));
    if (!leavers)
        return;
    if (request->version < 3)
        leavers[0].member_id = asked.member_id;
    for (size_t i = 0; i < count && request->version >= 3; i++) {
        leavers[i].member_id = asked.members[i].member_id;
        leavers[i].instance_id = asked.members[i].group_instance_id;
    }
    state->request = request;
    state->leave = (struct group_leave){.call.done = leave_done,
                                        .group_id = asked.group_id,
                                        .leavers = leavers,
                                        .leaver_count = count};
    broker_group_leave(request->core, &state->leave);
}

// DescribeGroups, ListGroups and DeleteGroups.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group.h"
#include "kafka/error.h"
#include "kafka/group.h"
#include "kafka/handlers.h"
#include "wire/kafka_delete_groups.h"
#include "wire/kafka_describe_groups.h"
#include "wire/kafka_list_groups.h"

/* What one answer about groups may take of memory. */
#define ADMIN_ARENA_SIZE_MAX ((size_t)256 << 20)
/* Names of states and of types, twice as many as there are. */
#define FILTER_KNOWN_MAX 32

/* --- DescribeGroups --- */

struct describe_part {
    struct group_describe describe;
    struct kafka_request *request;
    struct kafka_describe_groups_response_group *out;
};

struct describe_state {
    struct kafka_describe_groups_request asked;
    struct kafka_describe_groups_response response;
    struct describe_part *parts;
    size_t part_count;
    size_t next; /* to be asked for */
    size_t pending;
};

static void describe_release(struct kafka_request *request)
{
    struct describe_state *state = request->state;
    for (size_t i = 0; i < state->part_count; i++)
        arena_deinit(&state->parts[i].describe.arena);
}

static enum err describe_members(struct describe_part *part)
{
    struct group_describe *from = &part->describe;
    struct kafka_describe_groups_response_group *out = part->out;
    out->members = arena_alloc_array(&from->arena, from->member_count, sizeof(*out->members));
    if (!out->members)
        return ERR_NO_MEMORY;
    out->members_count = from->member_count;
    for (size_t i = 0; i < from->member_count; i++) {
        const struct group_member_description *member = &from->members[i];
        out->members[i] = (struct kafka_describe_groups_response_member){
            .member_id = kafka_group_text(member->member_id),
            .group_instance_id = member->instance_id,
            .client_id = kafka_group_text(member->client_id),
            .client_host = kafka_group_text(member->client_host),
            .member_metadata = kafka_group_text(member->metadata),
            .member_assignment = kafka_group_text(member->assignment)};
    }
    return ERR_OK;
}

/* A group that is not there is dead, and from version 6 on an error (KIP-1043). */
static void describe_unknown(struct describe_part *part)
{
    part->out->group_state = slice_text("Dead");
    if (part->request->version < 6)
        return;
    part->out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    const struct diag *diag = &part->describe.call.diag;
    part->out->error_message =
        diag->text[0] ? slice_text(diag->text) : SLICE_LITERAL("there is no such group");
}

/* Nobody knows before how much there is to tell: it is charged when it is there, and the answer
 * that it is encoded to with it. */
static enum err describe_charge(struct describe_part *part)
{
    if (kafka_request_charge(part->request, 2 * part->describe.arena.size_total))
        return ERR_OK;
    arena_deinit(&part->describe.arena);
    part->out->members_count = 0;
    return ERR_NO_MEMORY;
}

static void describe_next(struct kafka_request *request)
{
    struct describe_state *state = request->state;
    if (state->next < state->part_count)
        broker_group_describe(request->core, &state->parts[state->next++].describe);
}

static void describe_done(struct broker_call *call)
{
    struct describe_part *part = CONTAINER_OF(call, struct describe_part, describe.call);
    struct describe_state *state = part->request->state;
    struct kafka_describe_groups_response_group *out = part->out;
    enum err err = call->err;
    if (!err)
        err = describe_members(part);
    if (!err)
        err = describe_charge(part);
    if (!err) {
        out->group_state = slice_text(part->describe.state);
        out->protocol_type = kafka_group_text(part->describe.protocol_type);
        out->protocol_data = kafka_group_text(part->describe.protocol_name);
    }
    if (err == ERR_NOT_FOUND)
        describe_unknown(part);
    else
        out->error_code = kafka_group_error(err);
    if (!out->error_code && state->asked.include_authorized_operations)
        out->authorized_operations = KAFKA_OPERATIONS_GROUP;
    describe_next(part->request);
    if (--state->pending == 0)
        kafka_request_answer(part->request, describe_groups, &state->response);
}

void kafka_group_describe_handle(struct kafka_request *request)
{
    struct describe_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, describe_groups, &state->asked))
        return;
    struct kafka_describe_groups_response *response = &state->response;
    kafka_describe_groups_response_init(response);
    size_t count = state->asked.groups_count;
    state->parts = kafka_request_alloc(request, count, sizeof(*state->parts));
    if (!state->parts)
        return;
    response->groups = kafka_request_alloc(request, count, sizeof(*response->groups));
    if (!response->groups)
        return;
    response->groups_count = state->part_count = state->pending = count;
    request->state = state;
    request->release = describe_release;
    for (size_t i = 0; i < count; i++) {
        struct describe_part *part = &state->parts[i];
        part->request = request;
        part->out = &response->groups[i];
        kafka_describe_groups_response_group_init(part->out);
        part->out->group_id = state->asked.groups[i];
        part->out->group_state = slice_text("");
        part->out->protocol_type = slice_text("");
        part->out->protocol_data = slice_text("");
        part->describe.call.done = describe_done;
        part->describe.group_id = state->asked.groups[i];
        arena_init(&part->describe.arena, ADMIN_ARENA_SIZE_MAX);
    }
    if (count == 0) {
        kafka_request_answer(request, describe_groups, response);
        return;
    }
    for (size_t i = 0; i < KAFKA_DESCRIBE_AT_ONCE; i++)
        describe_next(request);
}

/* --- ListGroups --- */

struct list_state {
    struct group_list list;
    struct kafka_request *request;
    struct kafka_list_groups_request asked;
};

static void list_release(struct kafka_request *request)
{
    struct list_state *state = request->state;
    arena_deinit(&state->list.arena);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool equal_any_case(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

/* No filter lets all pass. */
static bool filter_passes(const struct slice *filter, size_t count, struct slice word)
{
    for (size_t i = 0; i < count; i++)
        if (equal_any_case(filter[i], word))
            return true;
    return count == 0;
}

/* A filter with its findings: there may be a great many words in it, and there are few to find. */
struct filter {
    const struct slice *words;
    size_t word_count;
    const char *known[FILTER_KNOWN_MAX]; /* texts that never change */
    bool passes[FILTER_KNOWN_MAX];
    size_t known_count;
};

static bool filter_asks(struct filter *filter, const char *word)
{
    for (size_t i = 0; i < filter->known_count; i++)
        if (filter->known[i] == word)
            return filter->passes[i];
    bool passes = filter_passes(filter->words, filter->word_count, slice_text(word));
    if (filter->known_count < FILTER_KNOWN_MAX) {
        filter->known[filter->known_count] = word;
        filter->passes[filter->known_count++] = passes;
    }
    return passes;
}

static void list_done(struct broker_call *call)
{
    struct list_state *state = CONTAINER_OF(call, struct list_state, list.call);
    const struct kafka_list_groups_request *asked = &state->asked;
    struct filter states = {.words = asked->states_filter,
                            .word_count = asked->states_filter_count};
    struct filter types = {.words = asked->types_filter, .word_count = asked->types_filter_count};
    struct kafka_list_groups_response response;
    kafka_list_groups_response_init(&response);
    response.error_code = kafka_group_error(call->err);
    size_t count = call->err ? 0 : state->list.count;
    response.groups = arena_alloc_array(&state->list.arena, count, sizeof(*response.groups));
    if (!response.groups ||
        !kafka_request_charge(state->request, 2 * state->list.arena.size_total)) {
        kafka_request_reject(state->request, ERR_NO_MEMORY, "too many groups to list");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct group_listed *group = &state->list.groups[i];
        const char *type = group->is_share ? "share" : group->is_consumer ? "consumer" : "classic";
        if (!filter_asks(&states, group->state) || !filter_asks(&types, type))
            continue;
        response.groups[response.groups_count++] = (struct kafka_list_groups_response_group){
            .group_id = group->group_id,
            .protocol_type = kafka_group_text(group->protocol_type),
            .group_state = slice_text(group->state),
            .group_type = slice_text(type)};
    }
    kafka_request_answer(state->request, list_groups, &response);
}

void kafka_group_list_handle(struct kafka_request *request)
{
    struct list_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, list_groups, &state->asked))
        return;
    state->request = request;
    state->list.call.done = list_done;
    arena_init(&state->list.arena, ADMIN_ARENA_SIZE_MAX);
    request->state = state;
    request->release = list_release;
    broker_group_list(request->core, &state->list);
}

/* --- DeleteGroups --- */

struct delete_part {
    struct group_delete call;
    struct kafka_request *request;
    struct kafka_delete_groups_response_result *out;
};

struct delete_state {
    struct kafka_delete_groups_response response;
    size_t pending;
};

static void delete_done(struct broker_call *call)
{
    struct delete_part *part = CONTAINER_OF(call, struct delete_part, call.call);
    struct delete_state *state = part->request->state;
    part->out->error_code = kafka_group_error(call->err);
    if (--state->pending == 0)
        kafka_request_answer(part->request, delete_groups, &state->response);
}

void kafka_group_delete_handle(struct kafka_request *request)
{
    struct kafka_delete_groups_request asked;
    struct delete_state *state = kafka_request_alloc(request, 1, sizeof(*state));
    if (!state || !kafka_request_decode(request, delete_groups, &asked))
        return;
    struct kafka_delete_groups_response *response = &state->response;
    kafka_delete_groups_response_init(response);
    size_t count = asked.groups_names_count;
    struct delete_part *parts = kafka_request_alloc(request, count, sizeof(*parts));
    if (!parts)
        return;
    response->results = kafka_request_alloc(request, count, sizeof(*response->results));
    if (!response->results)
        return;
    response->results_count = state->pending = count;
    request->state = state;
    if (count == 0)
        kafka_request_answer(request, delete_groups, response);
    for (size_t i = 0; i < count; i++) {
        parts[i].request = request;
        parts[i].out = &response->results[i];
        parts[i].out->group_id = asked.groups_names[i];
        parts[i].call.call.done = delete_done;
        parts[i].call.group_id = asked.groups_names[i];
    }
    for (size_t i = 0; i < count; i++)
        broker_group_delete(request->core, &parts[i].call);
}

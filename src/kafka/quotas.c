// DescribeClientQuotas and AlterClientQuotas. KIP-546.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_alter_client_quotas.h"
#include "wire/kafka_describe_client_quotas.h"

#include "broker/quota.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

/* --- DescribeClientQuotas --------------------------------------------------------------------- */

enum quotas_match { QUOTAS_MATCH_EXACT, QUOTAS_MATCH_DEFAULT, QUOTAS_MATCH_ANY };

struct quotas_filter {
    bool is_there[BROKER_QUOTA_PART_COUNT];
    enum quotas_match match[BROKER_QUOTA_PART_COUNT];
    struct slice names[BROKER_QUOTA_PART_COUNT];
    bool strict;
};

static void describe_refuse(struct kafka_request *request, int16_t code, const char *words)
{
    struct kafka_describe_client_quotas_response response;
    kafka_describe_client_quotas_response_init(&response);
    response.error_code = code;
    response.error_message = slice_text(words);
    kafka_request_answer(request, describe_client_quotas, &response);
}

static int16_t component_read(const struct kafka_describe_client_quotas_request_component *asked,
                              struct quotas_filter *filter, const char **words)
{
    enum broker_quota_part part;
    if (!broker_quota_part_find(asked->entity_type, &part)) {
        *words =
            asked->entity_type.size ? "Unsupported entity type." : "Invalid empty entity type.";
        return asked->entity_type.size ? KAFKA_UNSUPPORTED_VERSION : KAFKA_INVALID_REQUEST;
    }
    if (filter->is_there[part])
        *words = "An entity type cannot appear more than once in the filter.";
    else if (asked->match_type < QUOTAS_MATCH_EXACT || asked->match_type > QUOTAS_MATCH_ANY)
        *words = "Unknown match type";
    else if (asked->match_type == QUOTAS_MATCH_EXACT && !asked->match.data)
        *words = "Request specified MATCH_TYPE_EXACT, but set match string to null.";
    else if (asked->match_type != QUOTAS_MATCH_EXACT && asked->match.data)
        *words = "Request specified a match string with a match type that has none.";
    if (*words)
        return KAFKA_INVALID_REQUEST;
    filter->is_there[part] = true;
    filter->match[part] = (enum quotas_match)asked->match_type;
    filter->names[part] = asked->match;
    return KAFKA_NONE;
}

static bool filter_takes(const struct quotas_filter *filter, const struct broker_quota_rule *rule)
{
    for (unsigned i = 0; i < BROKER_QUOTA_PART_COUNT; i++) {
        bool has = rule->entity.has[i];
        struct slice name = rule->entity.names[i];
        if (!filter->is_there[i]) {
            if (has && filter->strict)
                return false;
            continue;
        }
        if (!has || (filter->match[i] == QUOTAS_MATCH_DEFAULT && name.data) ||
            (filter->match[i] == QUOTAS_MATCH_EXACT &&
             (!name.data || !slice_equal(name, filter->names[i]))))
            return false;
    }
    return true;
}

/* False: out of memory. */
static bool rule_describe(struct kafka_request *request, const struct broker_quota_rule *rule,
                          struct kafka_describe_client_quotas_response_entry *out)
{
    struct arena *arena = &request->arena;
    out->entity = arena_alloc_array(arena, BROKER_QUOTA_PART_COUNT, sizeof(*out->entity));
    out->values = arena_alloc_array(arena, BROKER_QUOTA_COUNT, sizeof(*out->values));
    if (!out->entity || !out->values)
        return false;
    for (unsigned i = 0; i < BROKER_QUOTA_PART_COUNT; i++)
        if (rule->entity.has[i])
            out->entity[out->entity_count++] =
                (struct kafka_describe_client_quotas_response_entity){
                    .entity_type = slice_text(broker_quota_part_name((enum broker_quota_part)i)),
                    .entity_name = rule->entity.names[i], /* encoded in this turn */
                };
    for (unsigned i = 0; i < BROKER_QUOTA_COUNT; i++)
        if (rule->set & 1u << i)
            out->values[out->values_count++] = (struct kafka_describe_client_quotas_response_value){
                .key = slice_text(broker_quota_name((enum broker_quota_key)i)),
                .value = rule->limits[i],
            };
    return true;
}

static void describe_answer(struct kafka_request *request, const struct quotas_filter *filter)
{
    struct kafka_describe_client_quotas_response response;
    const struct broker_quota_rule *rule;
    size_t position = 0, count = 0;
    while ((rule = broker_quota_next(request->core, &position)))
        count += filter_takes(filter, rule);
    kafka_describe_client_quotas_response_init(&response);
    response.entries = kafka_request_alloc(request, count, sizeof(*response.entries));
    if (!response.entries)
        return;
    position = 0;
    while ((rule = broker_quota_next(request->core, &position))) {
        if (!filter_takes(filter, rule))
            continue;
        if (!rule_describe(request, rule, &response.entries[response.entries_count++])) {
            kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
            return;
        }
    }
    kafka_request_answer(request, describe_client_quotas, &response);
}

void kafka_quotas_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_client_quotas_request asked;
    if (!kafka_request_decode(request, describe_client_quotas, &asked))
        return;
    struct quotas_filter filter = {.strict = asked.strict};
    const char *words = NULL;
    int16_t code = KAFKA_NONE;
    for (size_t i = 0; i < asked.components_count && !code; i++)
        code = component_read(&asked.components[i], &filter, &words);
    if (!code && filter.is_there[BROKER_QUOTA_ADDRESS] &&
        (filter.is_there[BROKER_QUOTA_USER] || filter.is_there[BROKER_QUOTA_CLIENT])) {
        code = KAFKA_INVALID_REQUEST;
        words = "Invalid entity filter component combination, IP filter component should not be "
                "used with user or clientId filter component.";
    }
    if (code)
        describe_refuse(request, code, words);
    else
        describe_answer(request, &filter);
}

/* --- AlterClientQuotas ------------------------------------------------------------------------ */

struct quotas {
    struct kafka_alter_client_quotas_request asked;
    struct kafka_alter_client_quotas_response response;
    struct broker_quota_alter alter;
    struct broker_quota_change *changes; /* of the entries that are taken */
    struct kafka_request *request;
};

static enum err entity_read(const struct kafka_alter_client_quotas_request_entry *asked,
                            struct broker_quota_entity *out, struct diag *diag)
{
    for (size_t i = 0; i < asked->entity_count; i++) {
        struct slice type = asked->entity[i].entity_type;
        enum broker_quota_part part;
        if (!broker_quota_part_find(type, &part)) {
            diag_set(diag, "Unhandled client quota entity type: %.*s",
                     (int)MIN(type.size, (size_t)64), (const char *)type.data);
            return ERR_INVALID;
        }
        if (out->has[part]) {
            diag_set(diag, "Invalid client quota entity, duplicate entity type");
            return ERR_INVALID;
        }
        out->has[part] = true;
        out->names[part] = asked->entity[i].entity_name;
    }
    return ERR_OK;
}

static enum err ops_read(const struct kafka_alter_client_quotas_request_entry *asked,
                         struct broker_quota_op *out, struct diag *diag)
{
    unsigned seen = 0;
    for (size_t i = 0; i < asked->ops_count; i++) {
        struct slice key = asked->ops[i].key;
        if (!broker_quota_find(key, &out[i].key)) {
            diag_set(diag, "Invalid configuration key %.*s", (int)MIN(key.size, (size_t)64),
                     (const char *)key.data);
            return ERR_INVALID;
        }
        if (seen & 1u << out[i].key) {
            diag_set(diag, "A key is named more than once");
            return ERR_INVALID;
        }
        seen |= 1u << out[i].key;
        out[i].remove = asked->ops[i].remove;
        out[i].limit = asked->ops[i].value;
    }
    return ERR_OK;
}

/* False: the request has been rejected. */
static bool entry_start(struct kafka_request *request, size_t index)
{
    struct quotas *state = request->state;
    const struct kafka_alter_client_quotas_request_entry *asked = &state->asked.entries[index];
    struct kafka_alter_client_quotas_response_entry *out = &state->response.entries[index];
    struct broker_quota_change change = {.op_count = asked->ops_count};
    struct diag diag = {""};
    struct broker_quota_op *ops = kafka_request_alloc(request, asked->ops_count, sizeof(*ops));
    if (!ops)
        return false;
    out->entity = kafka_request_alloc(request, asked->entity_count, sizeof(*out->entity));
    if (!out->entity)
        return false;
    out->entity_count = asked->entity_count;
    for (size_t i = 0; i < asked->entity_count; i++)
        out->entity[i] = (struct kafka_alter_client_quotas_response_entity){
            asked->entity[i].entity_type, asked->entity[i].entity_name};
    change.ops = ops;
    enum err err = entity_read(asked, &change.entity, &diag);
    if (!err)
        err = ops_read(asked, ops, &diag);
    if (!err)
        err = broker_quota_check(&change, &diag);
    if (!err)
        state->changes[state->alter.change_count++] = change;
    out->error_code = err ? KAFKA_INVALID_REQUEST : KAFKA_NONE;
    out->error_message = kafka_topic_words(request, &diag);
    return true;
}

static void quotas_altered(struct broker_call *call)
{
    struct quotas *state = CONTAINER_OF(call, struct quotas, alter.call);
    for (size_t i = 0; call->err && i < state->response.entries_count; i++) {
        struct kafka_alter_client_quotas_response_entry *out = &state->response.entries[i];
        if (out->error_code)
            continue;
        out->error_code = kafka_error_of_change(call->err);
        out->error_message = slice_text(err_text(call->err));
    }
    kafka_request_answer(state->request, alter_client_quotas, &state->response);
}

void kafka_quotas_alter_handle(struct kafka_request *request)
{
    struct quotas *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, alter_client_quotas, &state->asked))
        return;
    size_t count = state->asked.entries_count;
    state->request = request;
    kafka_alter_client_quotas_response_init(&state->response);
    state->response.entries = kafka_request_alloc(request, count, sizeof(*state->response.entries));
    if (!state->response.entries)
        return;
    state->response.entries_count = count;
    state->changes = kafka_request_alloc(request, count, sizeof(*state->changes));
    if (!state->changes)
        return;
    for (size_t i = 0; i < count; i++)
        if (!entry_start(request, i))
            return;
    state->alter.changes = state->changes;
    state->alter.call.done = quotas_altered;
    if (state->alter.change_count == 0 || state->asked.validate_only)
        kafka_request_answer(request, alter_client_quotas, &state->response);
    else
        broker_quota_alter(request->core, &state->alter);
}

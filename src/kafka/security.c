// Access control lists, SCRAM users and delegation tokens: what a server without them answers.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_alter_user_scram_credentials.h"
#include "wire/kafka_create_acls.h"
#include "wire/kafka_create_delegation_token.h"
#include "wire/kafka_delete_acls.h"
#include "wire/kafka_describe_acls.h"
#include "wire/kafka_describe_delegation_token.h"
#include "wire/kafka_describe_user_scram_credentials.h"
#include "wire/kafka_expire_delegation_token.h"
#include "wire/kafka_renew_delegation_token.h"

#include "base/map.h"
#include "kafka/error.h"
#include "kafka/handlers.h"

/* --- access control lists: as Kafka without an authorizer ------------------------------------- */

#define NO_AUTHORIZER SLICE_LITERAL("No Authorizer is configured.")

void kafka_security_acls_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_acls_request asked;
    struct kafka_describe_acls_response response;
    if (!kafka_request_decode(request, describe_acls, &asked))
        return;
    kafka_describe_acls_response_init(&response);
    response.error_code = KAFKA_SECURITY_DISABLED;
    response.error_message = NO_AUTHORIZER;
    kafka_request_answer(request, describe_acls, &response);
}

void kafka_security_acls_create_handle(struct kafka_request *request)
{
    struct kafka_create_acls_request asked;
    struct kafka_create_acls_response response;
    if (!kafka_request_decode(request, create_acls, &asked))
        return;
    kafka_create_acls_response_init(&response);
    response.results =
        kafka_request_alloc(request, asked.creations_count, sizeof(*response.results));
    if (!response.results)
        return;
    response.results_count = asked.creations_count;
    for (size_t i = 0; i < response.results_count; i++)
        response.results[i] = (struct kafka_create_acls_response_result){
            .error_code = KAFKA_SECURITY_DISABLED, .error_message = NO_AUTHORIZER};
    kafka_request_answer(request, create_acls, &response);
}

void kafka_security_acls_delete_handle(struct kafka_request *request)
{
    struct kafka_delete_acls_request asked;
    struct kafka_delete_acls_response response;
    if (!kafka_request_decode(request, delete_acls, &asked))
        return;
    kafka_delete_acls_response_init(&response);
    response.filter_results =
        kafka_request_alloc(request, asked.filters_count, sizeof(*response.filter_results));
    if (!response.filter_results)
        return;
    response.filter_results_count = asked.filters_count;
    for (size_t i = 0; i < response.filter_results_count; i++)
        response.filter_results[i] = (struct kafka_delete_acls_response_filter_result){
            .error_code = KAFKA_SECURITY_DISABLED, .error_message = NO_AUTHORIZER};
    kafka_request_answer(request, delete_acls, &response);
}

/* --- SCRAM: there are no users ---------------------------------------------------------------- */

void kafka_security_scram_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_user_scram_credentials_request asked;
    struct kafka_describe_user_scram_credentials_response response;
    if (!kafka_request_decode(request, describe_user_scram_credentials, &asked))
        return;
    kafka_describe_user_scram_credentials_response_init(&response);
    response.results = kafka_request_alloc(request, asked.users_count, sizeof(*response.results));
    if (!response.results)
        return;
    struct map users;
    map_init(&users, core_random(request->core));
    for (size_t i = 0; i < asked.users_count; i++) {
        struct kafka_describe_user_scram_credentials_response_result *out =
            &response.results[response.results_count];
        void *before = map_get(&users, asked.users[i].name);
        if (before) { /* its one answer */
            out = before;
            out->error_code = KAFKA_DUPLICATE_RESOURCE;
            out->error_message = SLICE_LITERAL(
                "Cannot describe SCRAM credentials for the same user twice in a single request");
            continue;
        }
        out->user = asked.users[i].name;
        out->error_code = KAFKA_RESOURCE_NOT_FOUND;
        out->error_message =
            SLICE_LITERAL("Attempt to describe a user credential that does not exist");
        if (!map_put(&users, out->user, out, NULL)) {
            map_deinit(&users);
            kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
            return;
        }
        response.results_count++;
    }
    map_deinit(&users);
    kafka_request_answer(request, describe_user_scram_credentials, &response);
}

/* What is known of them, although none is there: SCRAM-SHA-256 and -512. */
enum { SCRAM_SHA_256 = 1, SCRAM_SHA_512 = 2 };
#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 16384

/* What is wrong with the words; KAFKA_NONE: nothing. */
static int16_t scram_judge(struct slice name, int8_t mechanism, int32_t iterations,
                           const char **out_words)
{
    bool is_known = mechanism == SCRAM_SHA_256 || mechanism == SCRAM_SHA_512;
    if (name.size == 0)
        *out_words = "Username must not be empty";
    else if (!is_known)
        *out_words = "Unknown SCRAM mechanism";
    else if (iterations < SCRAM_ITERATIONS_MIN)
        *out_words = "Too few iterations";
    else if (iterations > SCRAM_ITERATIONS_MAX)
        *out_words = "Too many iterations";
    else
        return KAFKA_NONE;
    return name.size > 0 && !is_known ? KAFKA_UNSUPPORTED_SASL_MECHANISM
                                      : KAFKA_UNACCEPTABLE_CREDENTIAL;
}

static void scram_refuse(struct kafka_alter_user_scram_credentials_response *response,
                         struct slice user, int16_t code, const char *words)
{
    response->results[response->results_count++] =
        (struct kafka_alter_user_scram_credentials_response_result){
            .user = user, .error_code = code, .error_message = slice_text(words)};
}

void kafka_security_scram_alter_handle(struct kafka_request *request)
{
    struct kafka_alter_user_scram_credentials_request asked;
    struct kafka_alter_user_scram_credentials_response response;
    if (!kafka_request_decode(request, alter_user_scram_credentials, &asked))
        return;
    kafka_alter_user_scram_credentials_response_init(&response);
    response.results = kafka_request_alloc(request, asked.deletions_count + asked.upsertions_count,
                                           sizeof(*response.results));
    if (!response.results)
        return;
    /* A user is answered once, whatever is to happen to it. */
    struct map users;
    map_init(&users, core_random(request->core));
    for (size_t i = 0; i < asked.deletions_count; i++) {
        struct slice user = asked.deletions[i].name;
        void *before = NULL;
        if (!map_put(&users, user, request, &before) || before)
            continue;
        const char *words = "Attempt to delete a user credential that does not exist";
        int16_t code =
            scram_judge(user, asked.deletions[i].mechanism, SCRAM_ITERATIONS_MIN, &words);
        scram_refuse(&response, user, code ? code : KAFKA_RESOURCE_NOT_FOUND, words);
    }
    for (size_t i = 0; i < asked.upsertions_count; i++) {
        struct slice user = asked.upsertions[i].name;
        void *before = NULL;
        if (!map_put(&users, user, request, &before) || before)
            continue;
        const char *words = "No SCRAM mechanism is available on this server";
        int16_t code = scram_judge(user, asked.upsertions[i].mechanism,
                                   asked.upsertions[i].iterations, &words);
        scram_refuse(&response, user, code ? code : KAFKA_UNSUPPORTED_SASL_MECHANISM, words);
    }
    map_deinit(&users);
    kafka_request_answer(request, alter_user_scram_credentials, &response);
}

/* --- delegation tokens: as Kafka on a listener that does not authenticate --------------------- */

void kafka_security_token_create_handle(struct kafka_request *request)
{
    struct kafka_create_delegation_token_request asked;
    struct kafka_create_delegation_token_response response;
    if (!kafka_request_decode(request, create_delegation_token, &asked))
        return;
    kafka_create_delegation_token_response_init(&response);
    response.error_code = KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
    response.principal_type = response.token_requester_principal_type = SLICE_LITERAL("User");
    response.principal_name = response.token_requester_principal_name = SLICE_LITERAL("ANONYMOUS");
    response.token_id = SLICE_LITERAL("");
    response.hmac = SLICE_LITERAL("");
    response.issue_timestamp_ms = response.expiry_timestamp_ms = response.max_timestamp_ms = -1;
    kafka_request_answer(request, create_delegation_token, &response);
}

void kafka_security_token_renew_handle(struct kafka_request *request)
{
    struct kafka_renew_delegation_token_request asked;
    struct kafka_renew_delegation_token_response response;
    if (!kafka_request_decode(request, renew_delegation_token, &asked))
        return;
    kafka_renew_delegation_token_response_init(&response);
    response.error_code = KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
    response.expiry_timestamp_ms = -1;
    kafka_request_answer(request, renew_delegation_token, &response);
}

void kafka_security_token_expire_handle(struct kafka_request *request)
{
    struct kafka_expire_delegation_token_request asked;
    struct kafka_expire_delegation_token_response response;
    if (!kafka_request_decode(request, expire_delegation_token, &asked))
        return;
    kafka_expire_delegation_token_response_init(&response);
    response.error_code = KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
    response.expiry_timestamp_ms = -1;
    kafka_request_answer(request, expire_delegation_token, &response);
}

void kafka_security_token_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_delegation_token_request asked;
    struct kafka_describe_delegation_token_response response;
    if (!kafka_request_decode(request, describe_delegation_token, &asked))
        return;
    kafka_describe_delegation_token_response_init(&response);
    response.error_code = KAFKA_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED;
    kafka_request_answer(request, describe_delegation_token, &response);
}

// Tests of the error table: clients match on these words, and know which of them close.
// SPDX-License-Identifier: Apache-2.0
#include "nats/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static void words_are_those_that_clients_know(void **state)
{
    static const struct {
        enum nats_error error;
        const char *text;
        bool closes;
    } known[] = {
        {NATS_ERROR_UNKNOWN_OPERATION, "Unknown Protocol Operation", true},
        {NATS_ERROR_CONTROL_LINE, "maximum control line exceeded", true},
        {NATS_ERROR_MAX_PAYLOAD, "Maximum Payload Violation", true},
        {NATS_ERROR_AUTHORIZATION, "Authorization Violation", true},
        {NATS_ERROR_AUTHENTICATION_TIMEOUT, "Authentication Timeout", true},
        {NATS_ERROR_CLIENT_PROTOCOL, "invalid client protocol", true},
        {NATS_ERROR_NO_RESPONDERS_HEADERS, "no responders requires headers support", true},
        {NATS_ERROR_MAX_CONNECTIONS, "maximum connections exceeded", true},
        {NATS_ERROR_STALE, "Stale Connection", true},
        {NATS_ERROR_INVALID_SUBJECT, "Invalid Subject", false},
        {NATS_ERROR_INVALID_PUBLISH_SUBJECT, "Invalid Publish Subject", false},
        {NATS_ERROR_MAX_SUBSCRIPTIONS, "maximum subscriptions exceeded", false},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_string_equal(nats_error_text(known[i].error), known[i].text);
        assert_int_equal(nats_error_reason(known[i].error) != NATS_REASON_NONE, known[i].closes);
    }
    assert_null(nats_error_text(NATS_ERROR_PARSE)); /* closed without a word */
    assert_int_equal(nats_error_reason(NATS_ERROR_PARSE), NATS_REASON_PROTOCOL_VIOLATION);
    assert_int_equal(COUNT_OF(known) + 1, NATS_ERROR_COUNT);
}

static void every_reason_has_words(void **state)
{
    for (unsigned i = NATS_REASON_NONE + 1; i < NATS_REASON_COUNT; i++)
        assert_true(nats_error_reason_text((enum nats_reason)i)[0] != 0);
    assert_string_equal(nats_error_reason_text(NATS_REASON_SLOW_CONSUMER_PENDING),
                        "Slow Consumer (Pending Bytes)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_that_clients_know),
        cmocka_unit_test(every_reason_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

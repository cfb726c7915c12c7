// Tests of subscriptions to client metrics: patterns, their faults, the bytes of facts.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "broker/telemetry_state.h"

/* Whether a client of that id fits client_id=pattern. */
static bool fits(const char *pattern, const char *id)
{
    struct broker_telemetry_rule rule = {.name = SLICE_LITERAL("r")};
    struct broker_telemetry_client client = {.keys = {SLICE_NULL, slice_text(id)},
                                             .steps = BROKER_TELEMETRY_STEPS_MAX};
    struct text match;
    struct diag diag = {""};
    text_init(&match);
    text_add_format(&match, "client_id=%s", pattern);
    rule.match = text_slice(&match);
    assert_int_equal(broker_telemetry_match_check(rule.match, &diag), ERR_OK);
    bool is_fit = broker_telemetry_matches(&rule, &client);
    text_deinit(&match);
    return is_fit;
}

static void patterns_fit_whole_texts(void **state)
{
    assert_true(fits("abc", "abc"));
    assert_false(fits("abc", "abcd"));
    assert_false(fits("abc", "xabc"));
    assert_true(fits(".*", ""));
    assert_true(fits("a.*c", "abbbc"));
    assert_false(fits("a.*c", "abbb"));
    assert_true(fits("ab?c", "ac"));
    assert_true(fits("ab?c", "abc"));
    assert_false(fits("ab?c", "abbc"));
    assert_false(fits("a+", ""));
    assert_true(fits("a+a", "aaaa"));
    assert_true(fits("x|yy|z", "yy"));
    assert_false(fits("x|yy|z", "xyy"));
    assert_true(fits("[a-cx]+", "abcx"));
    assert_false(fits("[a-cx]+", "abd"));
    assert_true(fits("[^0-9]*", "app"));
    assert_false(fits("[^0-9]*", "app1"));
    assert_true(fits("[]]", "]"));
    assert_true(fits("a\\.b", "a.b"));
    assert_false(fits("a\\.b", "axb"));
}

static void time_is_bounded_whatever_the_pattern(void **state)
{
    char text[4001];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(fits("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
    assert_true(fits("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*", text));
}

static void many_patterns_come_to_an_end(void **state)
{
    static char id[32001], patterns[24001];
    struct broker_telemetry_rule rule = {.match = slice_text(patterns)};
    struct broker_telemetry_rule plain = {.match = SLICE_LITERAL("client_id=x.*")};
    struct broker_telemetry_client client = {.keys = {SLICE_NULL, slice_text(id)},
                                             .steps = BROKER_TELEMETRY_STEPS_MAX};
    memset(id, 'x', sizeof(id) - 1);
    client.keys[1] = slice_text(id);
    memcpy(patterns, "client_id=", 10);
    for (size_t at = 10; at + 6 < sizeof(patterns); at += 6)
        memcpy(patterns + at, ".*a.*|", 6);
    rule.match = slice_text(patterns);
    assert_true(broker_telemetry_matches(&plain, &client));
    unsigned rounds = 0;
    for (; rounds < 1000 && client.steps > 0; rounds++)
        assert_false(broker_telemetry_matches(&rule, &client));
    assert_int_equal(rounds, 1); /* of 1,000 rules, each of them as long as all steps together */
    assert_false(broker_telemetry_matches(&plain, &client));

    for (size_t at = 10; at + 2 < sizeof(patterns); at += 2)
        memcpy(patterns + at, "a|", 2);
    client.steps = BROKER_TELEMETRY_STEPS_MAX;
    for (rounds = 0; rounds < 1000 && client.steps > 0; rounds++)
        assert_false(broker_telemetry_matches(&rule, &client));
    assert_in_range(rounds, 20, 100); /* reading them counts, too */
}

static void faults_are_found_when_they_are_set(void **state)
{
    static const char *const wrong[] = {
        "client_id",
        "client_id=",
        "=x",
        "host=x",
        "client_id=(a)",
        "client_id=a{2}",
        "client_id=^a",
        "client_id=a$",
        "client_id=*",
        "client_id=a**",
        "client_id=[ab",
        "client_id=[",
        "client_id=\\d",
        "client_id=a\\",
        "client_id=[\\d]",
        "client_id=a,who=b",
        "client_id=a|(b)",
    };
    char longer[200] = "client_id=";
    struct diag diag;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        diag.text[0] = '\0';
        assert_int_equal(broker_telemetry_match_check(slice_text(wrong[i]), &diag), ERR_INVALID);
        assert_true(diag.text[0] != '\0');
    }
    memset(longer + 10, 'x', 63);
    assert_int_equal(broker_telemetry_match_check(slice_text(longer), &diag), ERR_OK);
    longer[73] = 'x';
    assert_int_equal(broker_telemetry_match_check(slice_text(longer), &diag), ERR_INVALID);
}

static void facts_are_these_bytes(void **state)
{
    static const uint8_t bytes[] = {1, 3, 0, 0, 3, 0xe8, 0, 2, 'a', '.', 0, 0};
    struct broker_telemetry_rule rule = {
        .interval_ms = 1000, .metrics = SLICE_LITERAL("a."), .match = SLICE_LITERAL(""), .set = 3};
    struct text fact;
    text_init(&fact);
    broker_telemetry_facts_encode(&rule, &fact);
    assert_int_equal(fact.size, sizeof(bytes));
    assert_memory_equal(fact.data, bytes, sizeof(bytes));
    text_deinit(&fact);
    assert_int_equal(broker_telemetry_facts_decode(slice_make(bytes, sizeof(bytes)), &rule),
                     ERR_OK);
    assert_int_equal(rule.interval_ms, 1000);
    for (size_t size = 0; size < sizeof(bytes); size++)
        assert_int_equal(broker_telemetry_facts_decode(slice_make(bytes, size), &rule),
                         ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_fit_whole_texts),
        cmocka_unit_test(time_is_bounded_whatever_the_pattern),
        cmocka_unit_test(many_patterns_come_to_an_end),
        cmocka_unit_test(faults_are_found_when_they_are_set),
        cmocka_unit_test(facts_are_these_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

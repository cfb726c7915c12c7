// Tests of NATS subjects.
// SPDX-License-Identifier: Apache-2.0
#include "base/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_validity(void **state)
{
    static const struct {
        const char *subject;
        bool valid, filter, literal, wildcard;
        size_t tokens;
    } CASES[] = {
        {"foo", true, true, true, false, 1},     {"foo.bar", true, true, true, false, 2},
        {"foo.*", true, true, false, true, 2},   {">", true, true, false, true, 1},
        {"foo.>", true, true, false, true, 2},   {"foo.>.bar", false, false, false, true, 3},
        {"foo*", true, true, true, false, 1},    {"foo.**", true, true, true, false, 2},
        {"f>o.b*r", true, true, true, false, 2}, {"", false, false, false, false, 0},
        {".", false, false, false, false, 2},    {"a..b", false, false, false, false, 3},
        {".a", false, false, false, false, 2},   {"a.", false, false, false, false, 2},
        {"a b", false, true, true, false, 1},    {"a\tb", false, true, true, false, 1},
        {"a.\f", false, true, true, false, 2},   {"*.*", true, true, false, true, 2},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct slice subject = slice_text(CASES[i].subject);
        assert_int_equal(subject_is_valid(subject), CASES[i].valid);
        assert_int_equal(subject_is_filter(subject), CASES[i].filter);
        assert_int_equal(subject_is_literal(subject), CASES[i].literal);
        assert_int_equal(subject_has_wildcard(subject), CASES[i].wildcard);
        assert_int_equal(subject_token_count(subject), CASES[i].tokens);
    }
}

static bool matches(const char *subject, const char *filter)
{
    return subject_matches(slice_text(subject), slice_text(filter));
}

static void test_matches(void **state)
{
    assert_true(matches("a.b", "a.b") && matches("a.b", "a.*") && matches("a.b", "*.*"));
    assert_true(matches("a.b", ">") && matches("a.b.c", "a.>") && matches("a.*", "a.*"));
    assert_false(matches("a", "a.>") || matches("a.b", "a") || matches("a", "a.b"));
    assert_false(matches("a.b.c", "a.*") || matches("a.*", "a.b") || matches("a..b", ">"));
    assert_false(matches("", ">") || matches("ab", "a"));
}

static bool subset(const char *inner, const char *outer)
{
    return subject_is_subset(slice_text(inner), slice_text(outer));
}

static bool collide(const char *a, const char *b)
{
    bool result = subject_collide(slice_text(a), slice_text(b));
    assert_int_equal(subject_collide(slice_text(b), slice_text(a)), result);
    return result;
}

static void test_relations(void **state)
{
    assert_true(subset("a.b", "a.*") && subset("a.*", "a.*") && subset("a.*", ">"));
    assert_true(subset("a.>", "a.>") && subset("a.*.c", "a.>") && subset("a.>", ">"));
    assert_false(subset("a.*", "a.b") || subset("a.>", "a.*") || subset(">", "*"));
    assert_false(subset("a", "a.>") || subset("a.b", "a") || subset("a", "a.b"));
    assert_true(collide("a.*", "*.b") && collide("a.>", "*.b.c") && collide("a", "a"));
    assert_true(collide(">", "x") && collide("a.*.c", "a.b.>"));
    assert_false(collide("a", "b") || collide("a.*", "a") || collide("a.>", "a"));
    assert_false(collide("a.*.c", "a.b.d"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_relations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

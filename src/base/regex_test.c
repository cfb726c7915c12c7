// Tests of regular expressions: what matches, what is refused, and that none takes for ever.
// SPDX-License-Identifier: Apache-2.0
#include "base/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct example {
    const char *expression;
    const char *yes; /* texts that match, with spaces between; "-" is the empty one */
    const char *no;
};

static bool matches(struct regex *regex, const char *text, size_t size)
{
    bool is_empty = size == 1 && text[0] == '-';
    return regex_matches(regex, slice_make(text, is_empty ? 0 : size));
}

static void each_is(struct regex *regex, const struct example *example, bool yes)
{
    const char *at = yes ? example->yes : example->no;
    while (*at) {
        size_t size = strcspn(at, " ");
        if (matches(regex, at, size) != yes)
            fail_msg("%s %s %.*s", example->expression, yes ? "misses" : "takes", (int)size, at);
        at += size + (at[size] == ' ');
    }
}

static void texts_match(void **state)
{
    static const struct example examples[] = {
        {"orders", "orders", "order orders2 xorders Orders -"},
        {"", "-", "a"},
        {"a*", "- a aaaa", "b ab"},
        {"a+b?", "a ab aab", "b - abb"},
        {"a|bc|", "a bc -", "abc b"},
        {"topic-.*", "topic- topic-1 topic-a.b", "topic xtopic-1"},
        {"t[0-9]{2,3}", "t12 t123", "t1 t1234 t"},
        {"t[0-9]{2}", "t12", "t1 t123"},
        {"t[0-9]{2,}", "t12 t12345", "t1"},
        {"a{,3}", "a{,3}", "a aaa"},
        {"a{x", "a{x", "a"},
        {"[^a-c]x", "dx zx", "ax bx x"},
        {"[]a]+", "] a] a", "b"},
        {"[a-]+", "a- -a", "b"},
        {"(?i)OrDers", "orders ORDERS oRdErS", "order"},
        {"(?i:a)b", "ab Ab", "aB AB"},
        {"a(?i)b|c", "ab aB C", "Ab AB"},
        {"(a(?i)b)c", "abc aBc", "aBC"},
        {"(?-i)a", "a", "A"},
        {"^a$", "a", "aa"},
        {"\\Aa\\z", "a", "aa"},
        {"a^b", "", "ab"},
        {"\\d+\\.\\w\\S", "1.ab 22._-", "1ab a.ab"},
        {"\\D", "a _", "1"},
        {"[[:alpha:]][[:^digit:]]", "ab a.", "1b a1"},
        {"[\\d.]+", "1.2", "a"},
        {"[\\D]", "a", "1"},
        {"\\pL\\p{Lu}\\PN\\p{^Nd}", "aBcd", "abcd aB1d"},
        {"\\p{Latin}+", "ab", "1"},
        {"\\x41\\x{42}\\103", "ABC", "abc"},
        {"\\Qa.b*\\Ec", "a.b*c", "axbbc"},
        {"(?P<name>a)(?<other>b)(?:c)", "abc", "ab"},
        {"a\\b.\\bb", "a.b", "axb"},
        {"a\\Bb", "ab", "a b"},
        {"(a|b)*c|(a|ab)*c", "c abac abc", "ab"},
        {"a*?b+?c??", "b ab bc", "ac"},
        {"(?s).", "a", "aa"},
        {"((a{2}){2}){2}", "aaaaaaaa", "aaaaaaa aaaaaaaaa"},
        {"(){1000}a", "a", "-"},
    };
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct regex *regex;
        struct diag diag = {{0}};
        if (regex_new(slice_text(examples[i].expression), &regex, &diag))
            fail_msg("%s: %s", examples[i].expression, diag.text);
        each_is(regex, &examples[i], true);
        each_is(regex, &examples[i], false);
        regex_delete(regex);
    }
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const wrong[] = {
        "(",           ")",
        "a)",          "(a",
        "[",           "[a",
        "[b-a]",       "*",
        "+a",          "a|*",
        "a**",         "a+*",
        "a{2}{3}",     "a{1001}",
        "a{3,2}",      "\\",
        "\\1",         "(a)\\1",
        "\\8",         "\\Z",
        "\\y",         "(?=a)",
        "(?!a)",       "(?<=a)",
        "(?<!a)",      "(?P<>a)",
        "(?P<n",       "(?z)",
        "(?",          "(?i",
        "\\p{Foo}",    "\\p{L",
        "[[:foo:]]",   "\\x1",
        "\\x{110000}", "\\x{41",
        "[\\d-a",      "((a{1000}){1000})",
        "\\Ga",        "\\C",
        "[a\\",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct regex *regex;
        struct diag diag = {{0}};
        if (regex_new(slice_text(wrong[i]), &regex, &diag) != ERR_INVALID)
            fail_msg("%s is taken", wrong[i]);
        assert_true(diag.text[0] != 0);
    }
}

static void limits_hold(void **state)
{
    struct regex *regex;
    char *text = malloc(REGEX_SIZE_MAX + 2);
    assert_non_null(text);
    memset(text, 'a', REGEX_SIZE_MAX + 1);
    assert_int_equal(regex_new(slice_make(text, REGEX_SIZE_MAX + 1), &regex, NULL), ERR_INVALID);
    assert_int_equal(regex_new(slice_make(text, REGEX_SIZE_MAX), &regex, NULL), ERR_OK);
    assert_true(regex_matches(regex, slice_make(text, REGEX_SIZE_MAX)));
    regex_delete(regex);
    memset(text, '(', REGEX_DEPTH_MAX + 1);
    memset(text + REGEX_DEPTH_MAX + 1, ')', REGEX_DEPTH_MAX + 1);
    assert_int_equal(regex_new(slice_make(text, (size_t)2 * (REGEX_DEPTH_MAX + 1)), &regex, NULL),
                     ERR_INVALID);
    assert_int_equal(regex_new(slice_make(text + 1, (size_t)2 * REGEX_DEPTH_MAX), &regex, NULL),
                     ERR_OK);
    regex_delete(regex);
    free(text);
}

/* A machine that goes back would be at it for longer than the world is old. */
static void nothing_takes_for_ever(void **state)
{
    struct regex *regex;
    char text[250];
    memset(text, 'a', sizeof(text));
    assert_int_equal(regex_new(SLICE_LITERAL("(a|aa|a*a*)*(a*)*b"), &regex, NULL), ERR_OK);
    assert_false(regex_matches(regex, slice_make(text, sizeof(text))));
    regex_delete(regex);
    assert_int_equal(regex_new(SLICE_LITERAL("((((){1000}){1000}){1000}){1000}"), &regex, NULL),
                     ERR_OK);
    regex_delete(regex);
}

static void work_has_a_limit(void **state)
{
    struct regex *regex;
    struct slice text =
        SLICE_LITERAL("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(regex_new(SLICE_LITERAL("(?:(?:a?){1000}){5}"), &regex, NULL), ERR_OK);
    assert_true(regex_matches(regex, text));
    assert_false(regex_is_spent(regex));
    regex_allow(regex, 10000000);
    assert_true(regex_matches(regex, text));
    assert_false(regex_is_spent(regex));
    for (unsigned i = 0; i < 1000 && regex_matches(regex, text);)
        i++;
    assert_true(regex_is_spent(regex));
    assert_false(regex_matches(regex, text));
    regex_allow(regex, 10000000);
    assert_true(regex_matches(regex, text));
    regex_delete(regex);
    /* Few steps, but a long way through what is empty, again and again. */
    static char empties[REGEX_SIZE_MAX];
    memset(empties, '(', sizeof(empties));
    for (size_t i = 1; i < sizeof(empties); i += 2)
        empties[i] = ')';
    memcpy(empties, "(?:(?:aa", 8);
    memcpy(empties + sizeof(empties) - 14, "){1000}){9}   ", 14);
    assert_int_equal(regex_new(slice_make(empties, sizeof(empties)), &regex, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_match),      cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(limits_hold),      cmocka_unit_test(nothing_takes_for_ever),
        cmocka_unit_test(work_has_a_limit),
    };
    return cmocka_run_group_tests_name("base/regex", tests, NULL, NULL);
}

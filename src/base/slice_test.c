// Tests of borrowed ranges.
// SPDX-License-Identifier: Apache-2.0
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_equal(void **state)
{
    assert_true(slice_equal(SLICE_NULL, SLICE_LITERAL("")));
    assert_true(slice_equal_text(SLICE_LITERAL("abc"), "abc"));
    assert_false(slice_equal_text(SLICE_LITERAL("abc"), "abd"));
    assert_false(slice_equal_text(SLICE_LITERAL("abc"), "ab"));
    assert_null(slice_text(NULL).data);
    assert_non_null(SLICE_LITERAL("").data);
}

static void test_compare(void **state)
{
    assert_int_equal(slice_compare(SLICE_NULL, SLICE_LITERAL("")), 0);
    assert_true(slice_compare(SLICE_NULL, SLICE_LITERAL("a")) < 0);
    assert_true(slice_compare(SLICE_LITERAL("ab"), SLICE_LITERAL("a")) > 0);
    assert_true(slice_compare(SLICE_LITERAL("ab"), SLICE_LITERAL("b")) < 0);
    assert_true(slice_compare(SLICE_LITERAL("\xff"), SLICE_LITERAL("a")) > 0);
    assert_int_equal(slice_compare(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

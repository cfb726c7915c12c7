// Tests of borrowed ranges.
// SPDX-License-Identifier: Apache-2.0
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

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

/* In memory that ends where the bytes do: reading further is an error under AddressSanitizer. */
static void test_equal_short(void **state)
{
    assert_true(slice_equal_short(SLICE_NULL, SLICE_LITERAL("")));
    assert_false(slice_equal_short(SLICE_LITERAL("abc"), SLICE_LITERAL("abcd")));
    for (size_t size = 1; size <= 40; size++) {
        uint8_t *a = malloc(size);
        uint8_t *b = malloc(size);
        assert_true(a && b);
        memset(a, 'x', size);
        memset(b, 'x', size);
        assert_true(slice_equal_short(slice_make(a, size), slice_make(b, size)));
        for (size_t at = 0; at < size; at++) {
            b[at] ^= 0x80;
            assert_false(slice_equal_short(slice_make(a, size), slice_make(b, size)));
            b[at] ^= 0x80;
        }
        free(a);
        free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_equal_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The nearest word: distances, and which of many candidates wins.
// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t distance(const char *a, const char *b)
{
    return nearest_distance(slice_text(a), slice_text(b));
}

static void test_nearest(void **state)
{
    (void)state;
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("list", "list"), 0);
    assert_int_equal(distance("lsit", "list"), 1);
    assert_int_equal(distance("LIST", "list"), 0);
    assert_int_equal(distance("kitten", "sitting"), 3);
    struct nearest nearest;
    nearest_init(&nearest, SLICE_LITERAL("ordres"));
    nearest_offer(&nearest, SLICE_LITERAL("payments"));
    assert_null(nearest.best.data);
    nearest_offer(&nearest, SLICE_LITERAL("orders"));
    nearest_offer(&nearest, SLICE_LITERAL("borders"));
    assert_true(slice_equal_text(nearest.best, "orders"));
    nearest_init(&nearest, SLICE_LITERAL("desc"));
    nearest_offer(&nearest, SLICE_LITERAL("describe"));
    assert_true(slice_equal_text(nearest.best, "describe"));
    char long_word[300];
    memset(long_word, 'a', sizeof(long_word));
    (void)nearest_distance(slice_make(long_word, 300), slice_make(long_word, 299));
    nearest_init(&nearest, slice_make(long_word, 300));
    nearest_offer(&nearest, SLICE_LITERAL("orders"));
    assert_null(nearest.best.data);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of finding partitions: what was put, nothing else, and many of them without a walk.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/lookup.h"

static void what_was_put_is_found(void **state)
{
    struct cli_lookup lookup;
    size_t index = 7;
    cli_lookup_init(&lookup, 1);
    assert_false(cli_lookup_find(&lookup, slice_text("a"), 0, &index));
    cli_lookup_put(&lookup, slice_text("a"), 0, 0);
    cli_lookup_put(&lookup, slice_text("b"), -1, 1);
    assert_true(cli_lookup_find(&lookup, slice_text("a"), 0, &index));
    assert_int_equal(index, 0);
    assert_true(cli_lookup_find(&lookup, slice_text("b"), -1, &index));
    assert_int_equal(index, 1);
    assert_false(cli_lookup_find(&lookup, slice_text("a"), -1, &index));
    assert_false(cli_lookup_find(&lookup, slice_text("b"), 0, &index));
    assert_int_equal(index, 1);
    assert_int_equal(lookup.topic_count, 2);
    assert_int_equal(cli_lookup_topic(&lookup, slice_text("b")), 1);
    assert_int_equal(cli_lookup_topic(&lookup, slice_text("c")), 2);
    cli_lookup_deinit(&lookup);
}

/* Walks would take minutes. */
static void many_are_found(void **state)
{
    enum { TOPICS = 300, PARTITIONS = 1000 };
    static char names[TOPICS][16];
    struct cli_lookup lookup;
    cli_lookup_init(&lookup, 1);
    for (int t = 0; t < TOPICS; t++) {
        (void)snprintf(names[t], sizeof(names[t]), "t%d", t);
        for (int p = 0; p < PARTITIONS; p++)
            cli_lookup_put(&lookup, slice_text(names[t]), p, (size_t)t * PARTITIONS + (size_t)p);
    }
    for (int p = PARTITIONS - 1; p >= 0; p--) {
        for (int t = 0; t < TOPICS; t++) {
            size_t index = 0;
            assert_true(cli_lookup_find(&lookup, slice_text(names[t]), p, &index));
            assert_int_equal(index, (size_t)t * PARTITIONS + (size_t)p);
        }
    }
    cli_lookup_deinit(&lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(many_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

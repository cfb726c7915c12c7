// Tests of the deleted offsets of a log against a plain table.
// SPDX-License-Identifier: Apache-2.0
#include "store/holes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"

/* Offsets around the border of two ranges. */
#define BORDER (INT64_C(1) << 31)
#define FIRST  (BORDER - 50)
#define COUNT  100

static void assert_same(const struct holes *holes, const bool *model)
{
    for (int first = 0; first < COUNT; first += 7) {
        uint64_t expected = 0;
        for (int i = first; i < COUNT; i++) {
            assert_int_equal(holes_has(holes, FIRST + i), model[i]);
            assert_int_equal(holes_count(holes, FIRST + first, FIRST + i), expected);
            assert_int_equal(holes_any(holes, FIRST + first, FIRST + i), expected > 0);
            expected += model[i];
        }
    }
}

static void test_against_model(void **state)
{
    struct holes holes, again;
    bool model[COUNT] = {false};
    struct text text;
    holes_init(&holes);
    holes_init(&again);
    text_init(&text);
    for (int i = 0; i < COUNT; i += 1 + i % 5) {
        model[i] = true;
        assert_int_equal(holes_add(&holes, FIRST + i), ERR_OK);
    }
    assert_int_equal(holes_add(&holes, -1), ERR_INVALID);
    assert_same(&holes, model);
    assert_int_equal(holes_encode(&holes, &text), ERR_OK);
    assert_int_equal(holes_decode(&again, text_slice(&text)), ERR_OK);
    assert_same(&again, model);
    holes_truncate_start(&again, FIRST + 60);
    memset(model, 0, 60 * sizeof(model[0]));
    assert_same(&again, model);
    holes_truncate_end(&again, FIRST + 80);
    memset(model + 80, 0, 20 * sizeof(model[0]));
    assert_same(&again, model);
    holes_truncate_end(&again, 0);
    assert_int_equal(again.count, 0);
    for (size_t cut = 1; cut < 12; cut++) {
        assert_int_equal(holes_decode(&again, slice_make(text.data, cut)), ERR_CORRUPT);
        holes_deinit(&again);
    }
    text_deinit(&text);
    holes_deinit(&again);
    holes_deinit(&holes);
}

/* Those that have become physical leave, within their range, and others do not. */
static void test_removing(void **state)
{
    struct holes holes, gone;
    int64_t edge = INT64_C(1) << 31;
    holes_init(&holes);
    holes_init(&gone);
    for (int64_t offset = edge - 20; offset < edge + 20; offset++)
        assert_int_equal(holes_add(&holes, offset), ERR_OK);
    assert_int_equal(holes_copy(&holes, &gone), ERR_OK);
    assert_int_equal(holes_add(&holes, edge + 30), ERR_OK);
    assert_int_equal(holes_add(&holes, 5), ERR_OK);
    assert_int_equal(holes_remove(&holes, &gone, edge - 10, edge + 10), ERR_OK);
    for (int64_t offset = edge - 25; offset < edge + 25; offset++)
        assert_int_equal(holes_has(&holes, offset),
                         offset >= edge - 20 && offset < edge + 20 &&
                             (offset < edge - 10 || offset >= edge + 10));
    assert_int_equal(holes_remove(&holes, &gone, 0, INT64_MAX), ERR_OK);
    assert_int_equal(holes_count(&holes, 0, INT64_MAX), 2);
    assert_true(holes_has(&holes, 5) && holes_has(&holes, edge + 30));
    assert_int_equal(holes_count(&gone, 0, INT64_MAX), 40);
    holes_deinit(&gone);
    holes_deinit(&holes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model),
                                       cmocka_unit_test(test_removing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

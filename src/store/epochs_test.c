// Tests of the leader epoch table of a log.
// SPDX-License-Identifier: Apache-2.0
#include "store/epochs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"

static struct epochs epochs_sample(void)
{
    struct epochs epochs;
    epochs_init(&epochs);
    assert_int_equal(epochs_add(&epochs, 0, 0), ERR_OK);
    assert_int_equal(epochs_add(&epochs, 2, 100), ERR_OK);
    assert_int_equal(epochs_add(&epochs, 5, 250), ERR_OK);
    return epochs;
}

static void test_end(void **state)
{
    struct epochs epochs = epochs_sample();
    int32_t epoch;
    int64_t end;
    assert_true(epochs_end(&epochs, 1, 300, &epoch, &end));
    assert_int_equal(epoch, 0);
    assert_int_equal(end, 100);
    assert_true(epochs_end(&epochs, 9, 300, &epoch, &end));
    assert_int_equal(epoch, 5);
    assert_int_equal(end, 300);
    assert_false(epochs_end(&epochs, -1, 300, &epoch, &end));
    assert_int_equal(epochs_at(&epochs, 99), 0);
    assert_int_equal(epochs_at(&epochs, 100), 2);
    assert_int_equal(epochs_at(&epochs, 1000), 5);
    epochs_deinit(&epochs);
}

static void test_older_epoch_is_ignored(void **state)
{
    struct epochs epochs = epochs_sample();
    assert_int_equal(epochs_add(&epochs, 5, 260), ERR_OK);
    assert_int_equal(epochs_add(&epochs, 3, 270), ERR_OK);
    assert_int_equal(epochs.count, 3);
    epochs_deinit(&epochs);
}

static void test_truncate(void **state)
{
    struct epochs epochs = epochs_sample();
    epochs_truncate_end(&epochs, 250);
    assert_int_equal(epochs_last(&epochs), 2);
    epochs_truncate_start(&epochs, 120);
    assert_int_equal(epochs.count, 1);
    assert_int_equal(epochs.entries[0].start_offset, 120);
    assert_int_equal(epochs_at(&epochs, 119), -1);
    epochs_deinit(&epochs);
}

static void test_round_trip(void **state)
{
    struct epochs epochs = epochs_sample(), again;
    struct text text;
    text_init(&text);
    epochs_init(&again);
    assert_int_equal(epochs_encode(&epochs, &text), ERR_OK);
    assert_int_equal(epochs_decode(&again, text_slice(&text)), ERR_OK);
    assert_int_equal(again.count, 3);
    assert_int_equal(epochs_at(&again, 249), 2);
    assert_int_equal(epochs_decode(&again, slice_make(text.data, text.size - 1)), ERR_CORRUPT);
    text.data[0] = 7; /* epochs must rise */
    assert_int_equal(epochs_decode(&again, text_slice(&text)), ERR_CORRUPT);
    text_deinit(&text);
    epochs_deinit(&epochs);
    epochs_deinit(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_older_epoch_is_ignored),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

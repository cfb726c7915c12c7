// Tests of a segment's sparse index.
// SPDX-License-Identifier: Apache-2.0
#include "store/index.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"

#define BASE       INT64_C(5000000000)
#define BATCH_SIZE 100

/* 100 batches of ten offsets and 100 bytes; timestamps rise by 7 with a dip at every tenth. */
static struct index index_sample(void)
{
    struct index index;
    index_init(&index);
    for (int i = 0; i < 100; i++) {
        struct batch_header header = {.base_offset = BASE + i * 10,
                                      .last_offset_delta = 9,
                                      .size = BATCH_SIZE,
                                      .max_timestamp_ms = i % 10 == 9 ? 0 : i * 7};
        uint32_t position = (uint32_t)i * BATCH_SIZE;
        assert_int_equal(index_add(&index, BASE, position, &header, 250), ERR_OK);
    }
    return index;
}

static void test_positions_never_pass_the_offset(void **state)
{
    struct index index = index_sample();
    assert_true(index.count > 20);
    for (int64_t offset = 0; offset < 1000; offset++) {
        uint32_t position = index_position(&index, BASE, BASE + offset);
        assert_true(position / BATCH_SIZE * 10 <= offset);
        assert_true(offset - position / BATCH_SIZE * 10 < 10 * 6); /* and are near */
    }
    assert_int_equal(index_position(&index, BASE, BASE - 1), 0);
    index_deinit(&index);
}

static void test_time_positions(void **state)
{
    struct index index = index_sample();
    for (int64_t time = 0; time < 700; time++) {
        uint32_t position = index_time_position(&index, time);
        int64_t greatest_before = -1;
        for (int i = 0; i < (int)(position / BATCH_SIZE); i++)
            greatest_before = MAX(greatest_before, i % 10 == 9 ? 0 : i * 7);
        assert_true(greatest_before < time || position == 0);
    }
    assert_int_equal(index.timestamp_max_ms, 98 * 7);
    assert_int_equal(index.timestamp_max_offset, BASE + 989);
    index_deinit(&index);
}

static void test_round_trip_and_damage(void **state)
{
    struct index index = index_sample(), again;
    struct text offsets, times;
    text_init(&offsets);
    text_init(&times);
    assert_int_equal(index_encode(&index, 0, &offsets, &times), ERR_OK);
    assert_int_equal(offsets.size, index.count * 8);
    index_init(&again);
    assert_int_equal(index_decode(&again, 10000, text_slice(&offsets), text_slice(&times)), ERR_OK);
    assert_int_equal(again.count, index.count);
    for (uint32_t i = 0; i < index.count; i++)
        assert_memory_equal(&again.entries[i], &index.entries[i], sizeof(index.entries[i]));
    index_deinit(&again);
    struct slice cut = slice_make(offsets.data, offsets.size - 3);
    assert_int_equal(index_decode(&again, 10000, cut, text_slice(&times)), ERR_CORRUPT);
    index_deinit(&again);
    /* what lies behind is left out */
    assert_int_equal(index_decode(&again, 5000, text_slice(&offsets), text_slice(&times)), ERR_OK);
    assert_int_equal(again.saved, index.count);
    assert_true(again.entries[again.count - 1].position < 5000);
    assert_true(index.entries[again.count].position >= 5000);
    index_deinit(&again);
    /* a part of it, as a file grows */
    struct text more_offsets, more_times;
    text_init(&more_offsets);
    text_init(&more_times);
    assert_int_equal(index_encode(&index, 9, &more_offsets, &more_times), ERR_OK);
    assert_int_equal(more_offsets.size, (index.count - 9) * 8);
    assert_memory_equal(more_times.data, times.data + times.size - more_times.size,
                        more_times.size);
    /* an entry of a time without one of an offset */
    struct slice fewer = slice_make(offsets.data + 8, offsets.size - 8);
    assert_int_equal(index_decode(&again, 10000, fewer, text_slice(&times)), ERR_CORRUPT);
    text_deinit(&more_offsets);
    text_deinit(&more_times);
    index_deinit(&again);
    memset(offsets.data + 16, 0, 8);
    assert_int_equal(index_decode(&again, 10000, text_slice(&offsets), text_slice(&times)),
                     ERR_CORRUPT);
    index_deinit(&again);
    text_deinit(&offsets);
    text_deinit(&times);
    index_deinit(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions_never_pass_the_offset),
        cmocka_unit_test(test_time_positions),
        cmocka_unit_test(test_round_trip_and_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

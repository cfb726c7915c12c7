// Records of share groups' state: known bytes, there and back, damage.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/share_state.h"

static const struct cursor_limits limits = {.window_max = 2000, .count_max = 5};

static void cursor_make(struct share_cursor *cursor, struct budget *budget)
{
    *cursor = (struct share_cursor){.state_epoch = 2, .snapshot_epoch = 7};
    broker_cursor_init(&cursor->cursor, budget, 0, &limits);
}

static void test_key(void **state)
{
    static const uint8_t bytes[] = {0, 0,  0,  1,  'g', 1,  2,  3,  4, 5, 6, 7, 8,
                                    9, 10, 11, 12, 13,  14, 15, 16, 0, 0, 0, 9};
    struct share_record_key key = {.group_id = SLICE_LITERAL("g"), .index = 9}, back;
    struct codec_output out;
    codec_output_init(&out, 100);
    for (uint8_t i = 0; i < 16; i++)
        key.topic_id.bytes[i] = (uint8_t)(i + 1);
    assert_int_equal(broker_share_record_key(&out, &key), ERR_OK);
    assert_int_equal(out.size, sizeof(bytes));
    assert_memory_equal(out.data, bytes, sizeof(bytes));
    assert_int_equal(broker_share_record_read_key(slice_make(bytes, sizeof(bytes)), &back), ERR_OK);
    assert_true(slice_equal(back.group_id, key.group_id));
    assert_true(uuid_equal(&back.topic_id, &key.topic_id));
    assert_int_equal(back.index, 9);
    for (size_t size = 0; size < sizeof(bytes); size++)
        assert_int_equal(broker_share_record_read_key(slice_make(bytes, size), &back),
                         ERR_TRUNCATED);
    codec_output_deinit(&out);
}

static void test_value(void **state)
{
    struct budget budget;
    struct share_cursor cursor, back;
    struct codec_output out;
    const struct cursor_run done = {.first = 12, .next = 20, .state = CURSOR_DONE};
    const struct cursor_run again = {.first = 20, .next = 23, .state = CURSOR_FREE, .count = 4};
    budget_init(&budget, (size_t)1 << 20);
    cursor_make(&cursor, &budget);
    cursor.cursor.start = cursor.cursor.end = 10;
    assert_int_equal(broker_cursor_restore(&cursor.cursor, &done), ERR_OK);
    assert_int_equal(broker_cursor_restore(&cursor.cursor, &again), ERR_OK);
    codec_output_init(&out, 4096);
    assert_int_equal(broker_share_record_value(&out, &cursor, 1234), ERR_OK);
    cursor_make(&back, &budget);
    assert_int_equal(broker_share_record_read_value(slice_make(out.data, out.size), &back), ERR_OK);
    assert_int_equal(back.state_epoch, 2);
    assert_int_equal(back.snapshot_epoch, 7);
    assert_int_equal(back.cursor.start, 10);
    assert_int_equal(back.cursor.end, 23);
    assert_int_equal(back.cursor.run_count, 3);
    assert_int_equal(back.cursor.runs[2].count, 4);
    broker_cursor_deinit(&back.cursor);
    for (size_t size = 0; size < out.size; size++) {
        cursor_make(&back, &budget);
        assert_int_not_equal(broker_share_record_read_value(slice_make(out.data, size), &back),
                             ERR_OK);
        broker_cursor_deinit(&back.cursor);
    }
    codec_output_deinit(&out);
    broker_cursor_deinit(&cursor.cursor);
    assert_int_equal(budget_used(&budget), 0);
}

/* As a Kafka 4.3 wrote it: after kafka-share-groups --reset-offsets to 3, in its fourth epoch. */
static void test_bytes_of_kafka(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x04,
                                    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                    0x00, 0x03, 0x00, 0x00, 0x01, 0xa2, 0x05, 0x8c, 0x1c, 0x9d,
                                    0x00, 0x00, 0x01, 0xa2, 0x05, 0x8c, 0x1c, 0x9d, 0x01, 0x01,
                                    0x00, 0x04, 0x00, 0x00, 0x00, 0x00};
    struct budget budget;
    struct share_cursor cursor;
    struct codec_output out;
    budget_init(&budget, (size_t)1 << 20);
    cursor_make(&cursor, &budget);
    codec_output_init(&out, 4096);
    assert_int_equal(broker_share_record_read_value(slice_make(bytes, sizeof(bytes)), &cursor),
                     ERR_OK);
    assert_int_equal(cursor.snapshot_epoch, 1);
    assert_int_equal(cursor.state_epoch, 4);
    assert_int_equal(cursor.cursor.start, 3);
    assert_int_equal(broker_share_record_value(&out, &cursor, INT64_C(0x1a2058c1c9d)), ERR_OK);
    assert_int_equal(out.size, sizeof(bytes));
    assert_memory_equal(out.data, bytes, sizeof(bytes));
    codec_output_deinit(&out);
    broker_cursor_deinit(&cursor.cursor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_bytes_of_kafka),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the writer: known bytes, limits, growth, gaps.
// SPDX-License-Identifier: Apache-2.0
#include "wire/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_output(w, ...)                                                                      \
    do {                                                                                           \
        const uint8_t expected[] = {__VA_ARGS__};                                                  \
        assert_int_equal((w)->error, ERR_OK);                                                      \
        assert_int_equal((w)->size, sizeof(expected));                                             \
        assert_memory_equal((w)->data, expected, sizeof(expected));                                \
    } while (0)

static void test_integers(void **state)
{
    uint8_t data[64];
    struct wire_writer w;
    wire_writer_init_fixed(&w, data, sizeof(data));
    wire_writer_int8(&w, -2);
    wire_writer_bool(&w, true);
    wire_writer_int16(&w, 0x0102);
    wire_writer_int32(&w, -1);
    wire_writer_int64(&w, 0x0102030405060708);
    wire_writer_float64(&w, 1.0);
    assert_output(&w, 0xfe, 1, 1, 2, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0x3f, 0xf0, 0,
                  0, 0, 0, 0, 0);
}

static void test_uvarint(void **state)
{
    uint8_t data[64];
    struct wire_writer w;
    wire_writer_init_fixed(&w, data, sizeof(data));
    wire_writer_uvarint(&w, 0);
    wire_writer_uvarint(&w, 127);
    wire_writer_uvarint(&w, 128);
    wire_writer_uvarint(&w, UINT32_MAX);
    assert_output(&w, 0, 0x7f, 0x80, 1, 0xff, 0xff, 0xff, 0xff, 0x0f);
}

static void test_strings_and_bytes(void **state)
{
    uint8_t data[64];
    struct wire_writer w;
    wire_writer_init_fixed(&w, data, sizeof(data));
    wire_writer_string(&w, SLICE_LITERAL("ab"));
    wire_writer_string(&w, SLICE_NULL);
    wire_writer_string_nullable(&w, SLICE_NULL, true);
    wire_writer_bytes(&w, SLICE_LITERAL("c"));
    wire_writer_bytes(&w, SLICE_NULL);
    wire_writer_bytes_nullable(&w, SLICE_NULL, true);
    assert_output(&w, 0, 2, 'a', 'b', 0, 0, 0xff, 0xff, 0, 0, 0, 1, 'c', 0, 0, 0, 0, 0xff, 0xff,
                  0xff, 0xff);
}

static void test_compact(void **state)
{
    uint8_t data[64];
    struct wire_writer w;
    wire_writer_init_fixed(&w, data, sizeof(data));
    w.flexible = true;
    wire_writer_string(&w, SLICE_LITERAL("ab"));
    wire_writer_string(&w, SLICE_NULL);
    wire_writer_string_nullable(&w, SLICE_NULL, true);
    wire_writer_bytes_nullable(&w, SLICE_NULL, true);
    wire_writer_count(&w, 2, false);
    wire_writer_count(&w, 0, true);
    wire_writer_string_plain(&w, SLICE_LITERAL("x"));
    wire_writer_tag_count(&w, 1);
    wire_writer_tag(&w, 300, 0);
    assert_output(&w, 3, 'a', 'b', 1, 0, 0, 3, 0, 0, 1, 'x', 1, 0xac, 2, 0);
}

static void test_too_large(void **state)
{
    struct wire_writer w;
    wire_writer_init_counting(&w);
    wire_writer_string(&w, slice_make("", INT16_MAX + 1));
    assert_int_equal(w.error, ERR_TOO_LARGE);
    wire_writer_init_counting(&w);
    wire_writer_count(&w, (size_t)INT32_MAX + 1, false);
    assert_int_equal(w.error, ERR_TOO_LARGE);
    wire_writer_init_counting(&w);
    w.flexible = true;
    wire_writer_count(&w, INT32_MAX, false);
    assert_int_equal(w.error, ERR_TOO_LARGE);
    uint8_t data[3] = {7, 7, 7};
    wire_writer_init_fixed(&w, data, 2);
    wire_writer_int8(&w, 1);
    wire_writer_int16(&w, 2);
    wire_writer_int8(&w, 3);
    assert_int_equal(w.error, ERR_TOO_LARGE);
    assert_int_equal(w.size, 1);
    assert_int_equal(data[1], 7);
}

static void test_growing(void **state)
{
    struct wire_writer w;
    wire_writer_init_growing(&w);
    for (int32_t i = 0; i < 1000; i++)
        wire_writer_int32(&w, i);
    assert_int_equal(w.error, ERR_OK);
    assert_int_equal(w.size, 4000);
    assert_int_equal(be32_get(w.data + 3996), 999);
    wire_writer_deinit(&w);
}

static void test_gaps(void **state)
{
    uint8_t data[16];
    int file = 0;
    struct wire_records there = {.size = (size_t)INT32_MAX - 1, .gap = &file};
    struct wire_records here = {.size = 1, .bytes = SLICE_LITERAL("z")};
    struct wire_records none = {.size = 0};
    struct wire_writer w;
    wire_writer_init_fixed(&w, data, sizeof(data));
    wire_writer_records(&w, &there);
    assert_int_equal(w.error, ERR_INVALID);
    struct wire_gap gaps[1];
    wire_writer_init_fixed(&w, data, sizeof(data));
    wire_writer_set_gaps(&w, gaps, 1);
    wire_writer_records(&w, &here);
    wire_writer_records(&w, &there);
    wire_writer_records(&w, &none);
    assert_output(&w, 0, 0, 0, 1, 'z', 0x7f, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff);
    assert_int_equal(w.gap_count, 1);
    assert_int_equal(w.gap_size, there.size);
    assert_int_equal(gaps[0].position, 9);
    assert_int_equal(gaps[0].size, there.size);
    assert_ptr_equal(gaps[0].gap, &file);
    wire_writer_records(&w, &there);
    assert_int_equal(w.error, ERR_TOO_LARGE);
    there.size = (size_t)INT32_MAX + 1;
    wire_writer_init_counting(&w);
    wire_writer_records(&w, &there);
    assert_int_equal(w.error, ERR_TOO_LARGE);
}

static void hear(void *arg, int16_t code)
{
    int *sum = arg;
    *sum = *sum * 100 + code;
}

static void test_error_codes_are_heard(void **state)
{
    struct wire_writer w;
    int sum = 0;
    wire_writer_init_counting(&w);
    wire_writer_error_code(&w, 5); /* nobody listens */
    w.on_error_code = hear;
    w.on_error_code_arg = &sum;
    wire_writer_error_code(&w, 7);
    wire_writer_error_code(&w, 0);
    wire_writer_int16(&w, 8);
    wire_writer_error_code(&w, 9);
    assert_int_equal(sum, 709);
    assert_int_equal(w.size, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_uvarint),
        cmocka_unit_test(test_strings_and_bytes),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_error_codes_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the reader: bounds, nulls, lying counts, tagged fields.
// SPDX-License-Identifier: Apache-2.0
#include "wire/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define READER(name, memory, ...)                                                                  \
    static const uint8_t name##_input[] = {__VA_ARGS__};                                           \
    struct wire_reader name;                                                                       \
    wire_reader_init(&name, slice_make(name##_input, sizeof(name##_input)), memory)

static void test_integers(void **state)
{
    READER(r, NULL, 0xfe, 1, 2, 0xff, 0xff, 0xff, 0xfd, 2);
    assert_int_equal(wire_reader_int8(&r), -2);
    assert_int_equal(wire_reader_int16(&r), 0x0102);
    assert_int_equal(wire_reader_int32(&r), -3);
    assert_true(wire_reader_bool(&r));
    assert_int_equal(r.error, ERR_OK);
    assert_int_equal(wire_reader_int8(&r), 0);
    assert_int_equal(r.error, ERR_TRUNCATED);
}

static void test_error_sticks(void **state)
{
    READER(r, NULL, 1, 2, 3, 4, 5);
    assert_int_equal(wire_reader_int64(&r), 0);
    assert_int_equal(r.error, ERR_TRUNCATED);
    assert_int_equal(wire_reader_int8(&r), 0);
    assert_int_equal(wire_reader_left(&r), 0);
    wire_reader_fail(&r, ERR_INVALID);
    assert_int_equal(r.error, ERR_TRUNCATED);
}

static void test_uvarint(void **state)
{
    READER(r, NULL, 0x7f, 0x80, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x1f);
    assert_int_equal(wire_reader_uvarint(&r), 127);
    assert_int_equal(wire_reader_uvarint(&r), 128);
    assert_int_equal(wire_reader_uvarint(&r), UINT32_MAX);
    assert_int_equal(wire_reader_uvarint(&r), 0);
    assert_int_equal(r.error, ERR_INVALID);
}

static void test_null_and_empty(void **state)
{
    READER(r, NULL, 0xff, 0xff, 0, 0, 0xff, 0xff);
    assert_null(wire_reader_string_nullable(&r, true).data);
    struct slice empty = wire_reader_string(&r);
    assert_non_null(empty.data);
    assert_int_equal(empty.size, 0);
    assert_null(wire_reader_string(&r).data);
    assert_int_equal(r.error, ERR_INVALID);
    READER(minus_two, NULL, 0xff, 0xfe);
    assert_null(wire_reader_string_nullable(&minus_two, true).data);
    assert_int_equal(minus_two.error, ERR_INVALID);
    READER(compact, NULL, 0, 1, 2, 'a');
    compact.flexible = true;
    assert_null(wire_reader_bytes_nullable(&compact, true).data);
    assert_non_null(wire_reader_bytes(&compact).data);
    assert_true(slice_equal_text(wire_reader_bytes(&compact), "a"));
    assert_int_equal(compact.error, ERR_OK);
}

static void test_count_is_not_believed(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    size_t count = 7;
    READER(r, &arena, 0, 0, 0, 3, 1, 2, 3, 4, 5);
    assert_null(wire_reader_array(&r, &count, 100, 2, false));
    assert_int_equal(r.error, ERR_TRUNCATED);
    assert_int_equal(count, 0);
    assert_int_equal(arena.size_total, 0);
    READER(fits, &arena, 0, 0, 0, 2, 1, 2, 3, 4, 5);
    assert_non_null(wire_reader_array(&fits, &count, 100, 2, false));
    assert_int_equal(count, 2);
    READER(nothing, &arena, 0, 0, 0, 0);
    assert_non_null(wire_reader_array(&nothing, &count, 100, 2, true));
    assert_int_equal(count, 0);
    READER(null, &arena, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    assert_null(wire_reader_array(&null, &count, 100, 2, true));
    assert_int_equal(null.error, ERR_OK);
    assert_null(wire_reader_array(&null, &count, 100, 2, false));
    assert_int_equal(null.error, ERR_INVALID);
    arena_deinit(&arena);
}

static void test_arena_limit(void **state)
{
    struct arena arena;
    arena_init(&arena, 64);
    size_t count;
    READER(r, &arena, 0, 0, 0, 2, 1, 2, 3, 4, 5);
    assert_null(wire_reader_array(&r, &count, 100000, 2, false));
    assert_int_equal(r.error, ERR_NO_MEMORY);
    arena_deinit(&arena);
}

static void test_tags(void **state)
{
    READER(r, NULL, 2, 0, 2, 9, 8, 5, 1, 7, 42);
    r.flexible = true;
    assert_int_equal(wire_reader_tag_count(&r), 2);
    uint32_t tag;
    struct wire_reader field = wire_reader_tag(&r, &tag);
    assert_int_equal(tag, 0);
    assert_int_equal(wire_reader_int16(&field), 0x0908);
    wire_reader_tag_end(&r, &field);
    field = wire_reader_tag(&r, &tag);
    assert_int_equal(tag, 5);
    assert_int_equal(wire_reader_left(&field), 1);
    assert_int_equal(wire_reader_int8(&r), 42);
    assert_int_equal(r.error, ERR_OK);
    wire_reader_tag_end(&r, &field);
    assert_int_equal(r.error, ERR_INVALID);
}

static void test_tags_out_of_bounds(void **state)
{
    READER(r, NULL, 1, 0, 4, 1, 2, 3);
    r.flexible = true;
    wire_reader_tags_skip(&r);
    assert_int_equal(r.error, ERR_TRUNCATED);
    READER(many, NULL, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0);
    many.flexible = true;
    wire_reader_tags_skip(&many);
    assert_int_equal(many.error, ERR_TRUNCATED);
    READER(inner, NULL, 1, 0, 1, 1, 2, 3);
    inner.flexible = true;
    (void)wire_reader_tag_count(&inner);
    uint32_t tag;
    struct wire_reader field = wire_reader_tag(&inner, &tag);
    assert_int_equal(wire_reader_int16(&field), 0);
    wire_reader_tag_end(&inner, &field);
    assert_int_equal(inner.error, ERR_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_error_sticks),
        cmocka_unit_test(test_uvarint),
        cmocka_unit_test(test_null_and_empty),
        cmocka_unit_test(test_count_is_not_believed),
        cmocka_unit_test(test_arena_limit),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_tags_out_of_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

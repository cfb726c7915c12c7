// Tests of variable-length integers.
// SPDX-License-Identifier: Apache-2.0
#include "base/varint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check_u64(uint64_t value)
{
    uint8_t data[VARINT_U64_SIZE_MAX];
    uint64_t back = ~value;
    size_t size = varint_u64_put(data, value);
    assert_int_equal(size, varint_u64_size(value));
    assert_int_equal(varint_u64_get(data, sizeof(data), &back), size);
    assert_true(back == value);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(varint_u64_get(data, cut, &back), 0);
    int64_t as_signed = (int64_t)value;
    int64_t signed_back = ~as_signed;
    size = varint_i64_put(data, as_signed);
    assert_int_equal(size, varint_i64_size(as_signed));
    assert_int_equal(varint_i64_get(data, size, &signed_back), size);
    assert_true(signed_back == as_signed);
}

static void check_u32(uint32_t value)
{
    uint8_t data[VARINT_U32_SIZE_MAX];
    uint32_t back = ~value;
    size_t size = varint_u32_put(data, value);
    assert_int_equal(size, varint_u32_size(value));
    assert_int_equal(varint_u32_get(data, size, &back), size);
    assert_int_equal(back, value);
    int32_t as_signed = (int32_t)value;
    int32_t signed_back = ~as_signed;
    size = varint_i32_put(data, as_signed);
    assert_int_equal(size, varint_i32_size(as_signed));
    assert_int_equal(varint_i32_get(data, size, &signed_back), size);
    assert_int_equal(signed_back, as_signed);
}

static void test_round_trip(void **state)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t around = 0; around < 5; around++) {
            uint64_t value = ((uint64_t)1 << bit) + around - 2;
            check_u64(value);
            check_u64(~value);
            check_u32((uint32_t)value);
            check_u32((uint32_t)~value);
        }
    }
}

static void test_known_bytes(void **state)
{
    static const struct {
        int64_t value;
        size_t size;
        uint8_t bytes[3];
    } cases[] = {
        {0, 1, {0}},
        {-1, 1, {1}},
        {1, 1, {2}},
        {63, 1, {0x7e}},
        {-64, 1, {0x7f}},
        {64, 2, {0x80, 0x01}},
        {-65, 2, {0x81, 0x01}},
        {300, 2, {0xd8, 0x04}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t data[VARINT_U64_SIZE_MAX];
        assert_int_equal(varint_i64_put(data, cases[i].value), cases[i].size);
        assert_memory_equal(data, cases[i].bytes, cases[i].size);
        assert_int_equal(varint_i32_put(data, (int32_t)cases[i].value), cases[i].size);
        assert_memory_equal(data, cases[i].bytes, cases[i].size);
    }
}

static void test_too_large(void **state)
{
    uint8_t data[12];
    uint32_t narrow = 5;
    uint64_t wide = 5;
    memset(data, 0xff, sizeof(data));
    assert_int_equal(varint_u64_get(data, sizeof(data), &wide), 0);
    data[9] = 0x01;
    assert_int_equal(varint_u64_get(data, sizeof(data), &wide), 10);
    assert_true(wide == UINT64_MAX);
    wide = 5;
    data[9] = 0x02;
    assert_int_equal(varint_u64_get(data, sizeof(data), &wide), 0);
    data[9] = 0x81;
    assert_int_equal(varint_u64_get(data, sizeof(data), &wide), 0);
    data[4] = 0x10;
    assert_int_equal(varint_u32_get(data, sizeof(data), &narrow), 0);
    assert_int_equal(narrow, 5);
    assert_int_equal(wide, 5);
    data[4] = 0x0f;
    assert_int_equal(varint_u32_get(data, sizeof(data), &narrow), 5);
    assert_int_equal(narrow, UINT32_MAX);
    assert_int_equal(varint_u32_get((const uint8_t *)"\x80\x80\x80\x80\x80\x00", 6, &narrow), 0);
    static const uint8_t padded[] = {[0 ... 9] = 0x80, [10] = 0};
    assert_int_equal(varint_u64_get(padded, sizeof(padded), &wide), 0);
    /* longer than needed is accepted, as Kafka does */
    assert_int_equal(varint_u32_get((const uint8_t *)"\x80\x00", 2, &narrow), 2);
    assert_int_equal(narrow, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

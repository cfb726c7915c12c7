// Tests of CRC-32C against published vectors and against a bitwise reference.
// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

#define DATA_SIZE 20000

/* One bit after the other, straight from the definition; not inverted. */
static uint32_t reference_step(uint32_t state, uint8_t byte)
{
    state ^= byte;
    for (int bit = 0; bit < 8; bit++)
        state = (state >> 1) ^ (state & 1 ? 0x82f63b78u : 0);
    return state;
}

static void fill(uint8_t *data, size_t size)
{
    uint32_t random = 12345;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525u + 1013904223u;
        data[i] = (uint8_t)(random >> 24);
    }
}

static void check_both(const void *data, size_t size, uint32_t expected)
{
    assert_int_equal(crc32c(0, data, size), expected);
    assert_int_equal(crc32c_by_table(0, data, size), expected);
}

/* RFC 3720 appendix B.4, which prints the CRCs in the byte order of the wire. */
static void test_rfc3720_vectors(void **state)
{
    uint8_t data[32];
    memset(data, 0, sizeof(data));
    check_both(data, sizeof(data), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    check_both(data, sizeof(data), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        data[i] = i;
    check_both(data, sizeof(data), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        data[i] = (uint8_t)(31 - i);
    check_both(data, sizeof(data), 0x113fdb5c);
    static const uint8_t read_command[48] = {
        0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02,
    };
    check_both(read_command, sizeof(read_command), 0xd9963a56);
    check_both("123456789", 9, 0xe3069283);
    check_both("", 0, 0);
}

static void test_every_length(void **state)
{
    static uint8_t data[DATA_SIZE];
    fill(data, sizeof(data));
    for (size_t start = 0; start < 9; start++) {
        uint32_t reference = 0xffffffff;
        for (size_t size = 0; size <= 4096; size++) {
            check_both(data + start, size, ~reference);
            reference = reference_step(reference, data[start + size]);
        }
    }
}

static void test_long_input(void **state)
{
    static uint8_t data[DATA_SIZE];
    fill(data, sizeof(data));
    uint32_t reference = 0xffffffff;
    for (size_t size = 0; size < DATA_SIZE; size++) {
        if (size > 4096 && size % 61 == 0)
            check_both(data, size, ~reference);
        reference = reference_step(reference, data[size]);
    }
    check_both(data, DATA_SIZE, ~reference);
}

static void test_pieces(void **state)
{
    static uint8_t data[DATA_SIZE];
    fill(data, sizeof(data));
    uint32_t whole = crc32c(0, data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut += 97) {
        uint32_t crc = crc32c(0, data, cut);
        assert_int_equal(crc32c(crc, data + cut, sizeof(data) - cut), whole);
        assert_int_equal(crc32c_by_table(crc, data + cut, sizeof(data) - cut), whole);
    }
}

static void test_join(void **state)
{
    static uint8_t data[DATA_SIZE];
    fill(data, sizeof(data));
    for (size_t size = 0; size <= sizeof(data); size += size < 5000 ? 1 : 997) {
        for (size_t cut = 0; cut <= size; cut += 1 + size / 3) {
            uint32_t front = crc32c(0, data, cut), behind = crc32c(0, data + cut, size - cut);
            assert_int_equal(crc32c_join(front, behind, size - cut), crc32c(0, data, size));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc3720_vectors),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_long_input),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of finding a word's end: like one byte at a time, for every length, place and byte.
// SPDX-License-Identifier: Apache-2.0
#include "base/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIZE_MAX_TRIED 40

static size_t scan_slowly(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && bytes[at] > ' ')
        at++;
    return at;
}

/* In memory that ends where the text does: reading further is an error under AddressSanitizer. */
static void assert_found(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    for (size_t i = 0; i < size; i++)
        copy[i] = bytes[i];
    assert_int_equal(scan_word(copy, copy + size) - copy, scan_slowly(bytes, size));
    free(copy);
}

static void test_every_length_and_byte(void **state)
{
    uint8_t bytes[SIZE_MAX_TRIED];
    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        memset(bytes, '!', sizeof(bytes));
        assert_found(bytes, size);
        for (size_t at = 0; at < size; at++) {
            for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
                bytes[at] = (uint8_t)byte;
                assert_found(bytes, size);
            }
            bytes[at] = '!';
        }
    }
}

/* Bytes beside the border, in any order: what one says must not come from its neighbour. */
static void test_bytes_beside_the_border(void **state)
{
    static const uint8_t border[] = {0x00, 0x1f, 0x20, 0x21, 0x22, 0x7f, 0x80, 0xa0, 0xa1, 0xff};
    uint64_t random = 88172645463325252;
    uint8_t bytes[24];
    for (unsigned turn = 0; turn < 20000; turn++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            /* words longer than eight bytes, too */
            size_t pick = random % 3 == 0 ? 0 : 3;
            bytes[i] = border[pick + (random >> 32) % (sizeof(border) - pick)];
        }
        assert_found(bytes, turn % sizeof(bytes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length_and_byte),
        cmocka_unit_test(test_bytes_beside_the_border),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of unaligned integers.
// SPDX-License-Identifier: Apache-2.0
#include "base/endian.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_bytes(void **state)
{
    uint8_t data[9] = {0};
    be16_put(data + 1, 0x0102);
    assert_memory_equal(data + 1, "\x01\x02", 2);
    assert_int_equal(be16_get(data + 1), 0x0102);
    assert_int_equal(le16_get(data + 1), 0x0201);
    le32_put(data + 1, 0x01020304);
    assert_memory_equal(data + 1, "\x04\x03\x02\x01", 4);
    assert_int_equal(be32_get(data + 1), 0x04030201);
    be64_put(data + 1, 0x0102030405060708);
    assert_memory_equal(data + 1, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_int_equal(le64_get(data + 1), 0x0807060504030201);
    assert_int_equal(be64_get(data + 1), 0x0102030405060708);
    assert_int_equal(data[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

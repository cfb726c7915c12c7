// Tests of the hashes against published vectors.
// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int32_t murmur2(const char *text)
{
    return (int32_t)hash_murmur2(slice_text(text));
}

/* The vectors of Kafka's own tests. */
static void test_murmur2(void **state)
{
    assert_int_equal(murmur2("21"), -973932308);
    assert_int_equal(murmur2("foobar"), -790332482);
    assert_int_equal(murmur2("a-little-bit-long-string"), -985981536);
    assert_int_equal(murmur2("a-little-bit-longer-string"), -1486304829);
    assert_int_equal(murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
    assert_int_equal(murmur2("abc"), 479470107);
    assert_int_equal(hash_murmur2(SLICE_NULL), hash_murmur2(SLICE_LITERAL("")));
}

static int32_t java(const char *text)
{
    return hash_java_string(slice_text(text));
}

static void test_java_string(void **state)
{
    assert_int_equal(java(""), 0);
    assert_int_equal(java("a"), 97);
    assert_int_equal(java("hello"), 99162322);
    assert_int_equal(java("polygenelubricants"), INT32_MIN);
    assert_int_equal(java("\xc3\xa9"), 0xe9);
    assert_int_equal(java("\xe2\x82\xac"), 0x20ac);
    /* U+1F600 is the units D83D DE00 */
    assert_int_equal(java("\xf0\x9f\x98\x80"), 0xd83d * 31 + 0xde00);
    assert_int_equal(java("\xff"), 0xfffd);
    assert_int_equal(java("\xe2\x82"), 0xfffd);
    assert_int_equal(hash_java_magnitude(SLICE_LITERAL("hello")), 99162322);
    assert_int_equal(hash_java_magnitude(SLICE_LITERAL("og80985-5")), 53985202);
    assert_int_equal(hash_java_magnitude(SLICE_LITERAL("polygenelubricants")), 0);
}

/* From the authors' reference: key 00..0f, input 00, 01, 02 ... */
static void test_siphash(void **state)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } cases[] = {
        {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
        {3, 0x85676696d7fb7e2d},  {4, 0xcf2794e0277187b7},  {5, 0x18765564cd99a68d},
        {6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},
        {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572},
    };
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t data[64];
    for (uint8_t i = 0; i < sizeof(data); i++)
        data[i] = i;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t hash = hash_siphash(key, slice_make(data, cases[i].size));
        assert_true(hash == cases[i].hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_murmur2),
        cmocka_unit_test(test_java_string),
        cmocka_unit_test(test_siphash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

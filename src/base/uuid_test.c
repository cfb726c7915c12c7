// Tests of identifiers and their text.
// SPDX-License-Identifier: Apache-2.0
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_text(void **state)
{
    struct uuid uuid = {{0}};
    char text[UUID_TEXT_SIZE + 1];
    assert_true(uuid_is_zero(&uuid));
    uuid_to_text(&uuid, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
    memset(uuid.bytes, 0xff, sizeof(uuid.bytes));
    uuid_to_text(&uuid, text);
    assert_string_equal(text, "_____________________w");
    for (uint8_t i = 0; i < 16; i++)
        uuid.bytes[i] = (uint8_t)(i * 17);
    uuid_to_text(&uuid, text);
    assert_string_equal(text, "ABEiM0RVZneImaq7zN3u_w");
    struct uuid back;
    assert_true(uuid_from_text(slice_text(text), &back));
    assert_true(uuid_equal(&uuid, &back));
}

static void test_bad_text(void **state)
{
    struct uuid uuid = {{1}};
    static const char *const bad[] = {
        "",
        "ABEiM0RVZneImaq7zN3u_",
        "ABEiM0RVZneImaq7zN3u_wA",
        "ABEiM0RVZneImaq7zN3u/w",
        "ABEiM0RVZneImaq7zN3u+w",
        "ABEiM0RVZneImaq7zN3u w",
        "ABEiM0RVZneImaq7zN3u_x",
        "ABEiM0RVZneImaq7zN3u\377w",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(uuid_from_text(slice_text(bad[i]), &uuid));
    assert_false(uuid_from_text(SLICE_NULL, &uuid));
    assert_int_equal(uuid.bytes[0], 1);
}

static void test_random(void **state)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t random[16];
        memset(random, (int)i, sizeof(random));
        struct uuid uuid = uuid_from_random(random);
        char text[UUID_TEXT_SIZE + 1];
        uuid_to_text(&uuid, text);
        assert_int_not_equal(text[0], '-');
        assert_int_equal(uuid.bytes[6] >> 4, 4);
        assert_int_equal(uuid.bytes[8] >> 6, 2);
        assert_int_equal(uuid.bytes[15], i);
        struct uuid back;
        assert_true(uuid_from_text(slice_text(text), &back));
        assert_true(uuid_equal(&uuid, &back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of growing text, JSON strings, UTF-8 and the parsing of numbers.
// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_growing(void **state)
{
    struct text text;
    text_init(&text);
    assert_int_equal(text_slice(&text).size, 0);
    assert_non_null(text_slice(&text).data);
    text_add_format(&text, "%s", "");
    assert_string_equal(text.data, "");
    for (int i = 0; i < 1000; i++) {
        text_add_text(&text, "ab");
        text_add(&text, SLICE_LITERAL("c"));
        text_add_format(&text, "%03d", i);
        assert_int_equal(text.size, (size_t)(i + 1) * 6);
        assert_int_equal(text.data[text.size], 0);
    }
    assert_memory_equal(text.data + 5994, "abc999", 7);
    assert_false(text.failed);
    text_clear(&text);
    assert_string_equal(text.data, "");
    text_add_format(&text, "%10000d", 7);
    assert_int_equal(text.size, 10000);
    text_deinit(&text);
    text_clear(&text);
    text_deinit(&text);
}

static void test_failure_sticks_until_cleared(void **state)
{
    struct text text;
    text_init(&text);
    text_add_text(&text, "abc");
    text_add(&text, slice_make("x", SIZE_MAX - 1));
    assert_true(text.failed);
    text_add_text(&text, "d");
    text_add_format(&text, "%d", 1);
    text_add_json(&text, SLICE_LITERAL("e"));
    assert_true(slice_equal_text(text_slice(&text), "abc"));
    assert_string_equal(text.data, "abc");
    text_clear(&text);
    text_add_text(&text, "d");
    assert_false(text.failed);
    assert_string_equal(text.data, "d");
    text_deinit(&text);
}

static void check_json(struct slice in, const char *out)
{
    struct text text;
    text_init(&text);
    text_add_json(&text, in);
    assert_false(text.failed);
    assert_string_equal(text.data, out);
    text_deinit(&text);
}

static void test_json(void **state)
{
    check_json(SLICE_NULL, "\"\"");
    check_json(SLICE_LITERAL("plain"), "\"plain\"");
    check_json(SLICE_LITERAL("\"\\/"), "\"\\\"\\\\/\"");
    check_json(SLICE_LITERAL("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    check_json(SLICE_LITERAL("a\0\x1fz"), "\"a\\u0000\\u001fz\"");
    check_json(SLICE_LITERAL("\xe2\x82\xac\x7f"), "\"\xe2\x82\xac\x7f\"");
    check_json(SLICE_LITERAL("a\xff\xe2\x82q"), "\"a\xef\xbf\xbd\xef\xbf\xbdq\"");
}

static void check_i64(const char *text, bool valid, int64_t expected)
{
    int64_t value = 77;
    assert_int_equal(text_parse_i64(slice_text(text), &value), valid);
    assert_true(value == (valid ? expected : 77));
}

static void check_u64(const char *text, bool valid, uint64_t expected)
{
    uint64_t value = 77;
    assert_int_equal(text_parse_u64(slice_text(text), &value), valid);
    assert_true(value == (valid ? expected : 77));
}

static void test_integers(void **state)
{
    check_i64("0", true, 0);
    check_i64("-0", true, 0);
    check_i64("007", true, 7);
    check_i64("-12", true, -12);
    check_i64("9223372036854775807", true, INT64_MAX);
    check_i64("-9223372036854775808", true, INT64_MIN);
    check_u64("18446744073709551615", true, UINT64_MAX);
    static const char *const bad_i64[] = {
        "",
        "-",
        "--1",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "0x1",
        "1a",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
    };
    for (size_t i = 0; i < COUNT_OF(bad_i64); i++)
        check_i64(bad_i64[i], false, 0);
    static const char *const bad_u64[] = {"", "-1", "-0", "18446744073709551616", "1/", "1:"};
    for (size_t i = 0; i < COUNT_OF(bad_u64); i++)
        check_u64(bad_u64[i], false, 0);
    int64_t value;
    assert_false(text_parse_i64(SLICE_LITERAL("1\0"), &value));
    assert_false(text_parse_i64(SLICE_NULL, &value));
}

static void test_doubles(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0}, {"-1.5", -1.5}, {"1e3", 1000}, {"2.5E-1", 0.25}, {"1e+2", 100}, {"1e-400", 0},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        double value = 77;
        assert_true(text_parse_double(slice_text(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {
        "", "-", ".5", "5.", "1e", "1e+", "nan", "inf", "0x1p3", " 1", "1 ", "+1", "1,5", "1e999",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        double value = 77;
        assert_false(text_parse_double(slice_text(bad[i]), &value));
        assert_true(value == 77);
    }
    char digits[TEXT_DOUBLE_SIZE_MAX + 1];
    memset(digits, '0', sizeof(digits));
    double value;
    assert_true(text_parse_double(slice_make(digits, TEXT_DOUBLE_SIZE_MAX), &value));
    assert_false(text_parse_double(slice_make(digits, sizeof(digits)), &value));
}

static void test_bool(void **state)
{
    bool value = false;
    assert_true(text_parse_bool(SLICE_LITERAL("True"), &value) && value);
    assert_true(text_parse_bool(SLICE_LITERAL("false"), &value) && !value);
    value = true;
    assert_false(text_parse_bool(SLICE_LITERAL("yes"), &value));
    assert_false(text_parse_bool(SLICE_LITERAL("truer"), &value));
    assert_false(text_parse_bool(SLICE_LITERAL("tru"), &value));
    assert_false(text_parse_bool(SLICE_NULL, &value));
    assert_true(value);
}

/* Every code point is read back; every sequence one bit off the rules is refused. */
static void test_utf8_of_every_code_point(void **state)
{
    for (int32_t point = 0; point <= 0x10ffff; point++) {
        uint8_t data[4];
        size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = size; i-- > 1;)
            data[i] = (uint8_t)(0x80 | ((point >> (6 * (size - 1 - i))) & 0x3f));
        data[0] = (uint8_t)(lead[size] | (point >> (6 * (size - 1))));
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        size_t position = 0;
        int32_t found = text_utf8_next(slice_make(data, size), &position);
        if (found != (surrogate ? -1 : point) || position != (surrogate ? 1 : size))
            fail_msg("U+%04X", (unsigned)point);
        if (size > 1 && text_is_utf8(slice_make(data, size - 1)))
            fail_msg("cut U+%04X", (unsigned)point);
    }
}

static void test_utf8_refused(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xed\xa0\x80",
        "a\xc3",
        "\xc3(",
        "\xe2\x82(",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(text_is_utf8(slice_text(bad[i])));
    assert_true(text_is_utf8(SLICE_NULL));
    assert_true(text_is_utf8(SLICE_LITERAL("a\0\xc3\xa9")));
    /* a broken sequence is skipped up to the byte that broke it */
    size_t position = 0;
    struct slice text = SLICE_LITERAL("\xe2\x82z");
    assert_int_equal(text_utf8_next(text, &position), -1);
    assert_int_equal(position, 2);
    assert_int_equal(text_utf8_next(text, &position), 'z');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_failure_sticks_until_cleared),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_utf8_of_every_code_point),
        cmocka_unit_test(test_utf8_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

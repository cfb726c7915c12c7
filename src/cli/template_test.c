// Formats: records written by them, and read back.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/template.h"

static const struct cli_record_header sample_headers[] = {
    {{(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}},
    {{(const uint8_t *)"b", 1}, {NULL, 0}},
};

static const struct cli_record sample = {.topic = {(const uint8_t *)"orders", 6},
                                         .key = {(const uint8_t *)"k1", 2},
                                         .value = {(const uint8_t *)"hi\xff", 3},
                                         .partition = 2,
                                         .offset = 258,
                                         .timestamp_ms = INT64_C(1795334400123),
                                         .headers = sample_headers,
                                         .header_count = 2,
                                         .counter = 9,
                                         .log_start = 5,
                                         .log_end = 300};

static void check_render(struct arena *arena, const char *format, bool kcat, struct slice expected)
{
    struct cli_template made;
    struct diag diag = {""};
    struct text out;
    text_init(&out);
    if (cli_template_parse(slice_text(format), kcat, arena, &made, &diag))
        fail_msg("%s: %s", format, diag.text);
    cli_template_render(&made, &sample, &out);
    if (!slice_equal(text_slice(&out), expected))
        fail_msg("%s gives '%s'", format, out.data);
    text_deinit(&out);
}

static void test_letters(void **state)
{
    static const struct {
        const char *format;
        const char *expected;
    } cases[] = {{"%t/%p@%o", "orders/2@258"},
                 {"%k=%s", "k1=hi\xff"},
                 {"%T %K %V %S %H", "6 2 3 3 2"},
                 {"%v{hex} %k{base64} %k{base64raw}", "6869ff azE= azE"},
                 {"%d %d{iso}", "1795334400123 2026-11-22T08:00:00.123Z"},
                 {"%d{strftime[%F %T.%f %j %%]}", "2026-11-22 08:00:00.123 326 %"},
                 {"%h|%h{%k:%v;}", "a=1,b=NULL|a:1;b:;"},
                 {"%i [%[-%]]", "9 [5-300]"},
                 {"%% %{x%} \\x41\\t\\\\", "% {x} A\t\\"},
                 {"%o{hex} %o{hex16}", "102 0102"},
                 {"%k{json}", "\"k1\""}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_render(*state, cases[i].format, false, slice_text(cases[i].expected));
    check_render(*state, "%o{big32}%o{little16}", false, SLICE_LITERAL("\0\0\1\2\2\1"));
    check_render(*state, "%T %S %R", true, SLICE_LITERAL("1795334400123 3 \0\0\0\3"));
    check_render(*state, "json", false,
                 SLICE_LITERAL("{\"topic\":\"orders\",\"key\":\"k1\",\"value_base64\":\"aGn/\","
                               "\"headers\":[{\"key\":\"a\",\"value\":\"1\"},"
                               "{\"key\":\"b\",\"value\":null}],\"timestamp\":1795334400123,"
                               "\"partition\":2,\"offset\":258}\n"));
}

static void test_wrong_formats(void **state)
{
    static const char *const wrong[] = {
        "%",  "%q",         "%v{",    "%v{rot13}",        "\\q",        "\\x4",
        "%e", "%h{%h{%k}}", "%h{%t}", "%d{strftime[%Q]}", "%p{base64}", "%v{hex64}"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct cli_template made;
        struct diag diag = {""};
        if (!cli_template_parse(slice_text(wrong[i]), false, *state, &made, &diag))
            fail_msg("'%s' is accepted", wrong[i]);
    }
}

/* Reads all of input by format; the records as "key=value@partition,". */
static enum err read_all(struct arena *arena, const char *format, struct slice input,
                         struct text *out)
{
    struct cli_template made;
    struct cli_template_input in;
    struct diag diag = {""};
    assert_int_equal(cli_template_parse(slice_text(format), false, arena, &made, &diag), ERR_OK);
    if (!made.json)
        assert_int_equal(cli_template_check_read(&made, &diag), ERR_OK);
    FILE *file = fmemopen((void *)input.data, MAX(input.size, (size_t)1), "rb");
    assert_non_null(file);
    cli_template_input_init(&in, file);
    enum err err = ERR_OK;
    while (!err) {
        struct cli_record record = {.partition = -1, .timestamp_ms = -1};
        err = cli_template_read(&made, &in, arena, &record, &diag);
        if (err)
            break;
        text_add(out, record.key.data ? record.key : SLICE_LITERAL("null"));
        text_add_text(out, "=");
        text_add(out, record.value.data ? record.value : SLICE_LITERAL("null"));
        text_add_format(out, "@%d,", record.partition);
    }
    cli_template_input_deinit(&in);
    fclose(file);
    return err;
}

static void check_read(struct arena *arena, const char *format, struct slice input,
                       const char *expected)
{
    struct text out;
    text_init(&out);
    enum err err = read_all(arena, format, input, &out);
    if (err != ERR_NOT_FOUND)
        fail_msg("%s: %s", format, err_name(err));
    if (!slice_equal_text(text_slice(&out), expected))
        fail_msg("%s gives '%s'", format, out.data);
    text_deinit(&out);
}

static void test_reading(void **state)
{
    struct arena *arena = *state;
    check_read(arena, "%v\\n", SLICE_LITERAL("a\n\nb"), "null=a@-1,null=@-1,null=b@-1,");
    check_read(arena, "%k\\t%v\\n", SLICE_LITERAL("x\t1\ny\t2\n"), "x=1@-1,y=2@-1,");
    check_read(arena, "%p %k:%v;", SLICE_LITERAL("3 x:1;0 y:2;"), "x=1@3,y=2@0,");
    check_read(arena, "%v", SLICE_LITERAL("the\nwhole"), "null=the\nwhole@-1,");
    check_read(arena, "%K{byte}%k%V{big16}%v", SLICE_LITERAL("\2ab\0\3xyz\1c\0\1q"),
               "ab=xyz@-1,c=q@-1,");
    check_read(arena, "%K,%k%V,%v\\n", SLICE_LITERAL("2,ab3,x\nz\n"), "ab=x\nz@-1,");
    check_read(arena, "%k{hex} %v{base64}\\n", SLICE_LITERAL("6869 azE=\n"), "hi=k1@-1,");
    check_read(arena, "json",
               SLICE_LITERAL("{\"key\":null,\"value\":\"a\\u00e9\",\"partition\":1}\n"
                             "{\"value_base64\":\"aGn/\",\"offset\":3,\"headers\":[]}"),
               "null=a\xc3\xa9@1,null=hi\xff@-1,");
}

/* Sizes of several bytes count in their order. */
static void test_long_sizes(void **state)
{
    static const char *const formats[] = {"%V{big16}%v", "%V{little32}%v"};
    static const uint8_t heads[2][4] = {{1, 2}, {2, 1, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        uint8_t input[4 + 258];
        size_t head_size = i == 0 ? 2 : 4;
        struct text out;
        memset(input, 'x', sizeof(input));
        memcpy(input, heads[i], head_size);
        text_init(&out);
        assert_int_equal(read_all(*state, formats[i], slice_make(input, head_size + 258), &out),
                         ERR_NOT_FOUND);
        assert_int_equal(out.size, strlen("null=") + 258 + strlen("@-1,"));
        text_deinit(&out);
    }
}

static void test_wrong_input(void **state)
{
    static const struct {
        const char *format;
        const char *input;
        enum err expected;
    } cases[] = {{"%k\\t%v\\n", "no tab\n", ERR_TRUNCATED},
                 {"%v{hex}\\n", "abc\n", ERR_INVALID},
                 {"%V{big32}%v", "\xff\xff\xff\xff", ERR_TOO_LARGE},
                 {"%V{byte}%v", "\x05hi", ERR_TRUNCATED},
                 {"%p %v\\n", "x 1\n", ERR_INVALID},
                 {"json", "{\"vlaue\":\"a\"}\n", ERR_INVALID},
                 {"json", "[1]\n", ERR_INVALID},
                 {"json", "{\"value\":\"a\"} x\n", ERR_INVALID}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text out;
        text_init(&out);
        enum err err = read_all(*state, cases[i].format, slice_text(cases[i].input), &out);
        text_deinit(&out);
        if (err != cases[i].expected)
            fail_msg("%s: %s", cases[i].format, err_name(err));
    }
}

static void test_unreadable_formats(void **state)
{
    static const char *const wrong[] = {"%k%v", "%o\\n", "%h\\n", "", "%K%k"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct cli_template made;
        struct diag diag = {""};
        assert_int_equal(cli_template_parse(slice_text(wrong[i]), false, *state, &made, &diag),
                         ERR_OK);
        if (!cli_template_check_read(&made, &diag))
            fail_msg("'%s' is accepted", wrong[i]);
    }
}

/* What consume writes as JSON, produce reads as the same record. */
static void test_json_there_and_back(void **state)
{
    struct text line;
    text_init(&line);
    cli_template_render_json(&sample, &line);
    struct cli_record back = {.partition = -1, .timestamp_ms = -1};
    struct slice bytes = slice_make(line.data, line.size - 1);
    assert_int_equal(cli_template_read_json(bytes, *state, &back), ERR_OK);
    assert_true(slice_equal(back.key, sample.key));
    assert_true(slice_equal(back.value, sample.value));
    assert_int_equal(back.timestamp_ms, sample.timestamp_ms);
    assert_int_equal(back.partition, 2);
    assert_int_equal(back.header_count, 2);
    assert_true(slice_equal_text(back.headers[0].value, "1"));
    assert_null(back.headers[1].value.data);
    text_deinit(&line);
}

static int set_up(void **state)
{
    struct arena *arena = test_calloc(1, sizeof(*arena));
    arena_init(arena, 0);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_deinit(*state);
    test_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_wrong_formats),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_long_sizes),
        cmocka_unit_test(test_wrong_input),
        cmocka_unit_test(test_unreadable_formats),
        cmocka_unit_test(test_json_there_and_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

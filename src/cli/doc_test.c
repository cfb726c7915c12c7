// Documents in every format, times, sizes, and text that a terminal may be given.
// SPDX-License-Identifier: Apache-2.0
#include "cli/doc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/escape.h"
#include "cli/stamp.h"

static struct cli_doc *sample(struct cli *cli)
{
    struct cli_doc *list = cli_doc_list(cli);
    static const char *const names[] = {"orders", "a,\"b\""};
    for (int i = 0; i < 2; i++) {
        struct cli_doc *row = cli_doc_row(cli, list);
        cli_doc_add_text(cli, row, "topic", slice_text(names[i]));
        cli_doc_add(cli, row, "size_bytes", CLI_DOC_BYTES, i ? 1536 : 9);
        cli_doc_add(cli, row, "lag", i ? CLI_DOC_NULL : CLI_DOC_NUMBER, 12345);
        cli_doc_add(cli, row, "internal", CLI_DOC_BOOL, i)->wide = true;
        struct cli_doc *replicas = cli_doc_add_list(cli, row, "replicas");
        cli_doc_push_number(cli, replicas, 1);
        cli_doc_push_number(cli, replicas, 2);
    }
    return list;
}

typedef void (*render_fn)(const struct cli_doc *doc, struct text *out);

static void as_json(const struct cli_doc *doc, struct text *out)
{
    cli_doc_json(doc, false, out);
}

static void as_pretty(const struct cli_doc *doc, struct text *out)
{
    cli_doc_json(doc, true, out);
}

static void as_text(const struct cli_doc *doc, struct text *out)
{
    cli_doc_text(doc, &(struct cli_doc_style){.escape = true}, out);
}

static void as_wide(const struct cli_doc *doc, struct text *out)
{
    cli_doc_text(doc, &(struct cli_doc_style){.wide = true}, out);
}

static void check(const struct cli_doc *doc, render_fn render, const char *expected)
{
    struct text out;
    text_init(&out);
    render(doc, &out);
    assert_false(out.failed);
    assert_string_equal(out.data ? out.data : "", expected);
    text_deinit(&out);
}

static void test_formats(void **state)
{
    struct cli_doc *doc = sample(*state);
    check(doc, as_text,
          "TOPIC      SIZE    LAG  REPLICAS\n"
          "orders      9 B  12345  1,2\n"
          "a,\"b\"   1.5 KiB      -  1,2\n");
    check(doc, as_wide,
          "TOPIC      SIZE    LAG  INTERNAL  REPLICAS\n"
          "orders      9 B  12345  no        1,2\n"
          "a,\"b\"   1.5 KiB      -  yes       1,2\n");
    check(doc, as_json,
          "[{\"topic\":\"orders\",\"size_bytes\":9,\"lag\":12345,\"internal\":false,"
          "\"replicas\":[1,2]},{\"topic\":\"a,\\\"b\\\"\",\"size_bytes\":1536,\"lag\":null,"
          "\"internal\":true,\"replicas\":[1,2]}]\n");
    check(doc, cli_doc_csv,
          "topic,size_bytes,lag,internal,replicas\n"
          "orders,9,12345,false,\"[1,2]\"\n"
          "\"a,\"\"b\"\"\",1536,,true,\"[1,2]\"\n");
    check(doc, cli_doc_yaml,
          "- topic: \"orders\"\n"
          "  size_bytes: 9\n"
          "  lag: 12345\n"
          "  internal: false\n"
          "  replicas:\n"
          "    - 1\n"
          "    - 2\n"
          "- topic: \"a,\\\"b\\\"\"\n"
          "  size_bytes: 1536\n"
          "  lag: null\n"
          "  internal: true\n"
          "  replicas:\n"
          "    - 1\n"
          "    - 2\n");
}

static void test_records(void **state)
{
    struct cli *cli = *state;
    struct cli_doc *record = cli_doc_record(cli);
    cli_doc_add_text(cli, record, "group", SLICE_LITERAL("g\n"));
    cli_doc_add(cli, record, "last_time_ms", CLI_DOC_TIME, 0);
    struct cli_doc *members = cli_doc_add_list(cli, record, "members");
    members->no_rows = "No member is there.";
    check(record, as_text,
          "group      g\\n\n"
          "last time  1970-01-01T00:00:00.000Z\n"
          "\n"
          "No member is there.\n");
    cli_doc_add(cli, cli_doc_row(cli, members), "partition", CLI_DOC_NUMBER, 7);
    check(record, as_pretty,
          "{\n"
          "  \"group\": \"g\\n\",\n"
          "  \"last_time_ms\": 0,\n"
          "  \"members\": [\n"
          "    {\n"
          "      \"partition\": 7\n"
          "    }\n"
          "  ]\n"
          "}\n");
    check(record, cli_doc_yaml,
          "group: \"g\\n\"\n"
          "last_time_ms: 0\n"
          "members:\n"
          "  - partition: 7\n");
    check(cli_doc_list(cli), cli_doc_yaml, "[]\n");
}

static void check_escape(const char *text, enum cli_escape how, const char *expected)
{
    struct text out;
    text_init(&out);
    cli_escape_add(&out, slice_text(text), how);
    assert_string_equal(out.data ? out.data : "", expected);
    text_deinit(&out);
}

static void test_terminals_are_not_steered(void **state)
{
    (void)state;
    check_escape("\033[31mred\a", CLI_ESCAPE_WORD, "\\x1b[31mred\\x07");
    check_escape("a\nb\tc\r", CLI_ESCAPE_LINES, "a\nb\tc\\r");
    check_escape("a\nb\t", CLI_ESCAPE_WORD, "a\\nb\\t");
    check_escape("h\xc3\xa9\xff", CLI_ESCAPE_WORD, "h\xc3\xa9\\xff");
    check_escape("\xc2\x9b"
                 "31m",
                 CLI_ESCAPE_WORD, "\\u{009b}31m"); /* CSI of C1 */
    check_escape("a\xe2\x80\xae"
                 "b",
                 CLI_ESCAPE_WORD, "a\\u{202e}b"); /* right to left */
    assert_int_equal(cli_escape_width(SLICE_LITERAL("h\xc3\xa9")), 2);
    assert_int_equal(cli_escape_width(SLICE_LITERAL("\xe6\x97\xa5")), 2);
    assert_int_equal(cli_escape_width(SLICE_LITERAL("e\xcc\x81")), 1);
}

typedef void (*stamp_fn)(struct text *out, int64_t number);

static void check_stamp(stamp_fn add, int64_t number, const char *expected)
{
    struct text out;
    text_init(&out);
    add(&out, number);
    assert_string_equal(out.data, expected);
    text_deinit(&out);
}

static void test_stamps(void **state)
{
    (void)state;
    check_stamp(cli_stamp_add_time, INT64_C(951782400000), "2000-02-29T00:00:00.000Z");
    check_stamp(cli_stamp_add_time, INT64_C(4107542399999), "2100-02-28T23:59:59.999Z");
    check_stamp(cli_stamp_add_time, -1, "-");
    check_stamp(cli_stamp_add_duration, 999, "999 ms");
    check_stamp(cli_stamp_add_duration, 1500, "1.5 s");
    check_stamp(cli_stamp_add_duration, 200000, "3 min 20 s");
    check_stamp(cli_stamp_add_duration, 7500000, "2 h 5 min");
    check_stamp(cli_stamp_add_duration, 90000000, "1 d 1 h");
    check_stamp(cli_stamp_add_size, 1023, "1023 B");
    check_stamp(cli_stamp_add_size, 1024, "1.0 KiB");
    check_stamp(cli_stamp_add_size, INT64_MAX, "8.0 EiB");
    int64_t ms;
    assert_true(cli_stamp_parse_duration(SLICE_LITERAL("1h30m"), &ms));
    assert_int_equal(ms, 5400000);
    assert_true(cli_stamp_parse_duration(SLICE_LITERAL("5"), &ms));
    assert_int_equal(ms, 5000);
    assert_false(cli_stamp_parse_duration(SLICE_LITERAL("1h30"), &ms));
    assert_false(cli_stamp_parse_duration(SLICE_LITERAL("99999999999999999w"), &ms));
    assert_false(cli_stamp_parse_time(SLICE_LITERAL("2025-02-29"), 0, &ms));
    assert_true(cli_stamp_parse_time(SLICE_LITERAL("2024-02-29"), 0, &ms));
}

static int set_up(void **state)
{
    struct cli *cli = test_calloc(1, sizeof(*cli));
    arena_init(&cli->arena, 0);
    *state = cli;
    return 0;
}

static int tear_down(void **state)
{
    struct cli *cli = *state;
    arena_deinit(&cli->arena);
    test_free(cli);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_terminals_are_not_steered),
        cmocka_unit_test(test_stamps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

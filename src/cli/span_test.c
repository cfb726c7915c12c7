// The language of offsets.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cli/span.h"

#define NOW_MS INT64_C(1795334400000) /* 2026-11-22T08:00:00Z */

static void check(const char *text, struct cli_span_point from, struct cli_span_point to)
{
    struct cli_span span = {{CLI_SPAN_NONE, -1}, {CLI_SPAN_NONE, -1}};
    if (cli_span_parse(slice_text(text), NOW_MS, &span))
        fail_msg("'%s' is refused", text);
    if (span.from.kind != from.kind || span.from.number != from.number || span.to.kind != to.kind ||
        span.to.number != to.number)
        fail_msg("'%s' is %d %ld to %d %ld", text, span.from.kind, (long)span.from.number,
                 span.to.kind, (long)span.to.number);
}

static struct cli_span_point at(enum cli_span_kind kind, int64_t number)
{
    return (struct cli_span_point){kind, number};
}

static void test_points(void **state)
{
    (void)state;
    struct cli_span_point open = at(CLI_SPAN_NONE, 0);
    check("start", at(CLI_SPAN_START, 0), open);
    check("beginning", at(CLI_SPAN_START, 0), open);
    check("end", at(CLI_SPAN_END, 0), open);
    check("42", at(CLI_SPAN_OFFSET, 42), open);
    check("+7", at(CLI_SPAN_START, 7), open);
    check("-7", at(CLI_SPAN_END, 7), open);
    check("9223372036854775807", at(CLI_SPAN_OFFSET, INT64_MAX), open);
    check("@2026-11-22", at(CLI_SPAN_TIME, NOW_MS - 8 * 3600000), open);
    check("@2026-11-22T08:00:00Z", at(CLI_SPAN_TIME, NOW_MS), open);
    check("@2026-11-22T09:30+01:30", at(CLI_SPAN_TIME, NOW_MS), open);
    check("@1795334400", at(CLI_SPAN_TIME, NOW_MS), open);
    check("@1795334400123", at(CLI_SPAN_TIME, NOW_MS + 123), open);
    check("@-1h30m", at(CLI_SPAN_TIME, NOW_MS - 5400000), open);
    check("@now", at(CLI_SPAN_TIME, NOW_MS), open);
}

static void test_ranges(void **state)
{
    (void)state;
    check("10:20", at(CLI_SPAN_OFFSET, 10), at(CLI_SPAN_OFFSET, 20));
    check(":end", at(CLI_SPAN_START, 0), at(CLI_SPAN_END, 0));
    check("10:", at(CLI_SPAN_OFFSET, 10), at(CLI_SPAN_NONE, 0));
    check(":", at(CLI_SPAN_START, 0), at(CLI_SPAN_NONE, 0));
    check("-5:end", at(CLI_SPAN_END, 5), at(CLI_SPAN_END, 0));
    check("start:+3", at(CLI_SPAN_START, 0), at(CLI_SPAN_START, 3));
    check("@-2h:-1h", at(CLI_SPAN_TIME, NOW_MS - 7200000), at(CLI_SPAN_TIME, NOW_MS - 3600000));
    check("@-2h:@-1h", at(CLI_SPAN_TIME, NOW_MS - 7200000), at(CLI_SPAN_TIME, NOW_MS - 3600000));
    check("@-1h:end", at(CLI_SPAN_TIME, NOW_MS - 3600000), at(CLI_SPAN_END, 0));
    check("@2026-11-22T07:00:00Z:2026-11-22T08:00:00Z", at(CLI_SPAN_TIME, NOW_MS - 3600000),
          at(CLI_SPAN_TIME, NOW_MS));
}

static void test_wrong_ones(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "ende",
                                        "1.5",
                                        "--1",
                                        "@",
                                        "@2026-02-30",
                                        "@2026-13-01",
                                        "@-5x",
                                        "1:2:3",
                                        "@2026-11-22T25:00",
                                        "+",
                                        "-",
                                        "9223372036854775808",
                                        "@1969-12-31",
                                        "1 2"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct cli_span span;
        if (!cli_span_parse(slice_text(wrong[i]), NOW_MS, &span))
            fail_msg("'%s' is accepted", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_wrong_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

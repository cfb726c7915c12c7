// Tests of log lines.
// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

struct capture {
    struct logger logger;
    int64_t now_ms;
    int count;
    size_t size;
    char line[5000];
};

static void capture_write(struct logger *logger, struct slice line)
{
    struct capture *capture = CONTAINER_OF(logger, struct capture, logger);
    assert_true(line.size < sizeof(capture->line));
    memcpy(capture->line, line.data, line.size);
    capture->line[line.size] = 0;
    capture->size = line.size;
    capture->count++;
}

static int64_t capture_now_ms(struct logger *logger)
{
    return CONTAINER_OF(logger, struct capture, logger)->now_ms;
}

static struct capture capture_make(void)
{
    return (struct capture){
        .logger = {.level = LOG_INFO, .write = capture_write, .now_ms = capture_now_ms},
        .now_ms = 1767323045678};
}

static void test_line(void **state)
{
    struct capture capture = capture_make();
    log_info(&capture.logger, "store", "checkpoint done partitions=%d ms=%d", 12, 3);
    assert_string_equal(
        capture.line, "2026-01-02T03:04:05.678Z INFO store: checkpoint done partitions=12 ms=3\n");
    assert_int_equal(capture.count, 1);
    capture.now_ms = -1;
    log_error(&capture.logger, "os", "odd clock");
    assert_string_equal(capture.line, "1969-12-31T23:59:59.999Z ERROR os: odd clock\n");
}

/* Every 13 days and some, from the year 1600 to 2900, and both ends of the clock. */
static void test_dates_are_those_of_the_library(void **state)
{
    struct capture capture = capture_make();
    const int64_t start_s = -11676096000;
    for (int64_t s = start_s; s < 29348006400; s += 13 * 86400 + 3607) {
        struct tm tm;
        char expected[64];
        gmtime_r(&s, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.007Z INFO a: b\n", &tm);
        capture.now_ms = s * 1000 + 7;
        log_info(&capture.logger, "a", "b");
        assert_string_equal(capture.line, expected);
    }
    capture.now_ms = INT64_MIN;
    log_info(&capture.logger, "a", "b");
    capture.now_ms = INT64_MAX;
    log_info(&capture.logger, "a", "b");
    assert_string_equal(capture.line, "292278994-08-17T07:12:55.807Z INFO a: b\n");
}

static void test_levels(void **state)
{
    struct capture capture = capture_make();
    log_debug(&capture.logger, "a", "dropped");
    log_line(&capture.logger, LOG_TRACE, "a", "dropped");
    log_line(NULL, LOG_ERROR, "a", "dropped");
    log_error((struct logger *)NULL, "a", "dropped");
    assert_int_equal(capture.count, 0);
    log_warn(&capture.logger, "a", "kept");
    assert_non_null(strstr(capture.line, " WARN a: kept\n"));
}

static void test_escapes(void **state)
{
    struct capture capture = capture_make();
    log_info(&capture.logger, "a", "%s", "x\n\r\t\x1b[1m\x7f\xc2\x9b\xff\xc3\xa9");
    assert_non_null(strstr(capture.line, ": x\\n\\r\\t\\x1b[1m\\x7f\\xc2\\x9b\\xff\xc3\xa9\n"));
}

/* The head is "2026-...Z INFO a: ", so 4096 - 33 + 1 characters of words are one too many. */
static void test_cut(void **state)
{
    struct capture capture = capture_make();
    log_info(&capture.logger, "a", "%s", "");
    size_t room = 4096 - capture.size;
    for (size_t size = room - 10; size < room + 5000; size += size < room + 10 ? 1 : 777) {
        log_info(&capture.logger, "a", "%*d", (int)size, 7);
        bool fits = size <= room;
        assert_int_equal(capture.size, fits ? 4096 - room + size : 4096);
        assert_string_equal(capture.line + capture.size - 4, fits ? "  7\n" : "...\n");
        assert_null(memchr(capture.line, '\n', capture.size - 1));
    }
    assert_int_equal(capture.line[4091], ' ');
}

static void test_cut_keeps_escapes_whole(void **state)
{
    struct capture capture = capture_make();
    for (int pad = 1; pad < 20; pad++) {
        char words[3000];
        memset(words, 1, sizeof(words));
        words[sizeof(words) - 1] = 0;
        log_info(&capture.logger, "a", "%*d%s", pad, 7, words);
        assert_true(capture.size <= 4096 && capture.size > 4085);
        assert_string_equal(capture.line + capture.size - 8, "\\x01...\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),   cmocka_unit_test(test_dates_are_those_of_the_library),
        cmocka_unit_test(test_levels), cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_cut_keeps_escapes_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Parses offsets, times and ranges of them.
// SPDX-License-Identifier: Apache-2.0
#include "cli/span.h"

#include "base/text.h"
#include "cli/stamp.h"

static bool is_word(struct slice text, const char *one, const char *other, const char *third)
{
    return slice_equal_text(text, one) || slice_equal_text(text, other) ||
           slice_equal_text(text, third);
}

static struct slice behind(struct slice text, size_t count)
{
    return slice_make(text.data + count, text.size - count);
}

enum err cli_span_parse_point(struct slice text, int64_t now_ms, struct cli_span_point *out)
{
    struct cli_span_point point = {CLI_SPAN_OFFSET, 0};
    uint64_t number = 0;
    if (text.size == 0)
        return ERR_INVALID;
    uint8_t sign = text.data[0];
    if (is_word(text, "start", "beginning", "earliest")) {
        point.kind = CLI_SPAN_START;
    } else if (is_word(text, "end", "latest", "newest")) {
        point.kind = CLI_SPAN_END;
    } else if (sign == '@') {
        point.kind = CLI_SPAN_TIME;
        if (!cli_stamp_parse_time(behind(text, 1), now_ms, &point.number) || point.number < 0)
            return ERR_INVALID;
    } else {
        bool is_signed = sign == '+' || sign == '-';
        if (is_signed)
            point.kind = sign == '+' ? CLI_SPAN_START : CLI_SPAN_END;
        if (!text_parse_u64(behind(text, is_signed ? 1 : 0), &number) || number > INT64_MAX)
            return ERR_INVALID;
        point.number = (int64_t)number;
    }
    *out = point;
    return ERR_OK;
}

static enum err parse_end(struct slice text, bool is_time, int64_t now_ms,
                          struct cli_span_point *out)
{
    int64_t time_ms;
    if (text.size == 0) {
        *out = (struct cli_span_point){CLI_SPAN_NONE, 0};
        return ERR_OK;
    }
    if (is_time && text.data[0] != '@' && !slice_equal_text(text, "end")) {
        if (!cli_stamp_parse_time(text, now_ms, &time_ms) || time_ms < 0)
            return ERR_INVALID;
        *out = (struct cli_span_point){CLI_SPAN_TIME, time_ms};
        return ERR_OK;
    }
    return cli_span_parse_point(text, now_ms, out);
}

enum err cli_span_parse(struct slice text, int64_t now_ms, struct cli_span *out)
{
    struct cli_span span = {{CLI_SPAN_START, 0}, {CLI_SPAN_NONE, 0}};
    /* A time has colons itself, so the whole is tried before its parts. */
    enum err err = cli_span_parse_point(text, now_ms, &span.from);
    for (size_t i = 0; err && i < text.size; i++) {
        if (text.data[i] != ':')
            continue;
        struct slice left = slice_make(text.data, i);
        bool is_time = i > 0 && text.data[0] == '@';
        span.from = (struct cli_span_point){CLI_SPAN_START, 0};
        err = i > 0 ? cli_span_parse_point(left, now_ms, &span.from) : ERR_OK;
        if (!err)
            err = parse_end(behind(text, i + 1), is_time, now_ms, &span.to);
    }
    if (!err)
        *out = span;
    return err;
}

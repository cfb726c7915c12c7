// The language of offsets: where in a log to begin and where to end.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum cli_span_kind {
    CLI_SPAN_NONE,   /* an end that is not given: go on for ever */
    CLI_SPAN_START,  /* number records behind the log's start */
    CLI_SPAN_END,    /* number records before the log's end */
    CLI_SPAN_OFFSET, /* the offset number */
    CLI_SPAN_TIME,   /* the first record of that time (ms since 1970) or later */
};

struct cli_span_point {
    enum cli_span_kind kind;
    int64_t number; /* not negative */
};

/* Half open: to is not read any more. */
struct cli_span {
    struct cli_span_point from;
    struct cli_span_point to;
};

/* One point: start, end (also beginning, earliest, latest, now at @), N, +N, -N, @TIME with a time
 * as cli_stamp_parse_time reads it. ERR_INVALID. */
NODISCARD enum err cli_span_parse_point(struct slice text, int64_t now_ms,
                                        struct cli_span_point *out);
/* FROM, FROM:TO, :TO (from the start), FROM: (without end); in @TIME:TIME the second @ may be left
 * out. */
NODISCARD enum err cli_span_parse(struct slice text, int64_t now_ms, struct cli_span *out);

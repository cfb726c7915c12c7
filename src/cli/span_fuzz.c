// Any text as a place in a log, a time, a duration.
// SPDX-License-Identifier: Apache-2.0
#include "cli/span.h"
#include "cli/stamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cli_span span;
    int64_t ms;
    struct slice text = slice_make(data, size);
    if (!cli_span_parse(text, INT64_C(1795334400000), &span)) {
        CHECK(span.from.kind != CLI_SPAN_NONE);
        CHECK(span.from.number >= 0 && span.to.number >= 0);
    }
    if (cli_stamp_parse_duration(text, &ms))
        CHECK(ms >= 0);
    if (cli_stamp_parse_time(text, 0, &ms)) {
        struct text out;
        text_init(&out);
        cli_stamp_add_time(&out, ms);
        (void)cli_stamp_add_strftime(&out, text, ms);
        text_deinit(&out);
    }
    return 0;
}

// Escapes control characters and counts columns.
// SPDX-License-Identifier: Apache-2.0
#include "cli/escape.h"

static bool is_harmful(int32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c || code == 0xfeff ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x2069) || (code >= 0xe0000 && code <= 0xe0fff);
}

static void add_bytes(struct text *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        text_add_format(out, "\\x%02x", bytes.data[i]);
}

void cli_escape_add(struct text *out, struct slice bytes, enum cli_escape how)
{
    size_t position = 0;
    while (position < bytes.size) {
        size_t start = position;
        int32_t code = text_utf8_next(bytes, &position);
        struct slice piece = slice_make(bytes.data + start, position - start);
        bool passes =
            !is_harmful(code) || (how == CLI_ESCAPE_LINES && (code == '\n' || code == '\t'));
        if (code >= 0 && passes)
            text_add(out, piece);
        else if (code == '\n' || code == '\t' || code == '\r')
            text_add_text(out, code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r");
        else if (code < 0x80)
            add_bytes(out, piece);
        else
            text_add_format(out, "\\u{%04x}", (unsigned)code);
    }
}

static size_t width_of(int32_t code)
{
    if ((code >= 0x0300 && code <= 0x036f) || (code >= 0x200b && code <= 0x200f) ||
        (code >= 0x20d0 && code <= 0x20ff) || (code >= 0xfe00 && code <= 0xfe0f))
        return 0;
    bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                (code >= 0x1f300 && code <= 0x1f64f) || (code >= 0x1f900 && code <= 0x1f9ff) ||
                (code >= 0x20000 && code <= 0x3fffd);
    return wide ? 2 : 1;
}

size_t cli_escape_width(struct slice text)
{
    size_t width = 0;
    size_t position = 0;
    while (position < text.size) {
        int32_t code = text_utf8_next(text, &position);
        width += code < 0 ? 1 : width_of(code);
    }
    return width;
}

// Text from outside made harmless for a terminal.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"

enum cli_escape {
    CLI_ESCAPE_WORD,  /* line ends and tabs, too: for cells of a table */
    CLI_ESCAPE_LINES, /* leaves line ends and tabs */
};

/* Adds bytes to *out; control characters, invalid UTF-8 and characters that turn the direction of
 * text become \xNN or \u{NNNN}. */
void cli_escape_add(struct text *out, struct slice bytes, enum cli_escape how);
/* Columns that UTF-8 text takes in a terminal: one a code point, two for wide East Asian ones and
 * emoji, none for combining marks. */
size_t cli_escape_width(struct slice text);

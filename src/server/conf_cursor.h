// A place in configuration text that moves forwards, and the strings found there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "server/conf.h"

struct server_conf_cursor {
    struct server_conf_cursor *outer; /* of the file that includes this one */
    const char *file;
    struct slice bytes;
    size_t at;
    size_t line_at; /* where the current line begins */
    uint32_t line;
};

void server_conf_cursor_init(struct server_conf_cursor *cursor, const char *file,
                             struct slice bytes, struct server_conf_cursor *outer);
/* The byte here, or -1 at the end. */
int server_conf_cursor_peek(const struct server_conf_cursor *cursor);
/* Moves by count bytes, of which all must be there. */
void server_conf_cursor_advance(struct server_conf_cursor *cursor, size_t count);
/* Whether text stands here. */
bool server_conf_cursor_sees(const struct server_conf_cursor *cursor, const char *text);
struct server_conf_place server_conf_cursor_place(const struct server_conf_cursor *cursor);
/* Spaces, tabs and carriage returns. */
void server_conf_cursor_skip_spaces(struct server_conf_cursor *cursor);
/* Also newlines. */
void server_conf_cursor_skip_lines(struct server_conf_cursor *cursor);
/* Also comments. */
void server_conf_cursor_skip_blank(struct server_conf_cursor *cursor);

/* The string here: quoted either way, or bare up to white space or one of ends. The result lies in
 * arena and ends with a NUL byte. ERR_INVALID with words in diag, or ERR_NO_MEMORY. */
NODISCARD enum err server_conf_cursor_string(struct server_conf_cursor *cursor, const char *ends,
                                             struct arena *arena, struct slice *out,
                                             struct diag *diag);
/* The raw text between '(' here and the next line that is ')' alone. Errors as above. */
NODISCARD enum err server_conf_cursor_block(struct server_conf_cursor *cursor, struct arena *arena,
                                            struct slice *out, struct diag *diag);

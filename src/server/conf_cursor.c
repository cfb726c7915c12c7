// Moves through configuration text and cuts strings out of it.
// SPDX-License-Identifier: Apache-2.0
#include "server/conf_cursor.h"

#include <ctype.h>

void server_conf_cursor_init(struct server_conf_cursor *cursor, const char *file,
                             struct slice bytes, struct server_conf_cursor *outer)
{
    *cursor = (struct server_conf_cursor){
        .outer = outer,
        .file = file,
        .bytes = bytes,
        .line = 1,
    };
}

int server_conf_cursor_peek(const struct server_conf_cursor *cursor)
{
    return cursor->at < cursor->bytes.size ? cursor->bytes.data[cursor->at] : -1;
}

void server_conf_cursor_advance(struct server_conf_cursor *cursor, size_t count)
{
    CHECK(count <= cursor->bytes.size - cursor->at);
    for (size_t i = 0; i < count; i++) {
        if (cursor->bytes.data[cursor->at++] != '\n')
            continue;
        cursor->line++;
        cursor->line_at = cursor->at;
    }
}

bool server_conf_cursor_sees(const struct server_conf_cursor *cursor, const char *text)
{
    size_t size = strlen(text);
    return cursor->bytes.size - cursor->at >= size &&
           memcmp(cursor->bytes.data + cursor->at, text, size) == 0;
}

struct server_conf_place server_conf_cursor_place(const struct server_conf_cursor *cursor)
{
    return (struct server_conf_place){
        .file = cursor->file,
        .line = cursor->line,
        .column = (uint32_t)(cursor->at - cursor->line_at + 1),
    };
}

static bool is_space(int byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

void server_conf_cursor_skip_spaces(struct server_conf_cursor *cursor)
{
    while (is_space(server_conf_cursor_peek(cursor)))
        server_conf_cursor_advance(cursor, 1);
}

void server_conf_cursor_skip_lines(struct server_conf_cursor *cursor)
{
    int byte = server_conf_cursor_peek(cursor);
    while (is_space(byte) || byte == '\n') {
        server_conf_cursor_advance(cursor, 1);
        byte = server_conf_cursor_peek(cursor);
    }
}

void server_conf_cursor_skip_blank(struct server_conf_cursor *cursor)
{
    server_conf_cursor_skip_lines(cursor);
    while (server_conf_cursor_sees(cursor, "#") || server_conf_cursor_sees(cursor, "//")) {
        int byte = server_conf_cursor_peek(cursor);
        while (byte != '\n' && byte != -1) {
            server_conf_cursor_advance(cursor, 1);
            byte = server_conf_cursor_peek(cursor);
        }
        server_conf_cursor_skip_lines(cursor);
    }
}

static int hex_value(uint8_t digit)
{
    if (isdigit(digit))
        return digit - '0';
    return isxdigit(digit) ? tolower(digit) - 'a' + 10 : -1;
}

/* The byte that the escape after a backslash means, or -1; *out_size is how long the escape is. */
static int unescape(struct slice escape, size_t *out_size)
{
    *out_size = 1;
    switch (escape.size > 0 ? escape.data[0] : 0) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case '"':
        return '"';
    case '\\':
        return '\\';
    case 'x':
        break;
    default:
        return -1;
    }
    if (escape.size < 3)
        return -1;
    int high = hex_value(escape.data[1]);
    int low = hex_value(escape.data[2]);
    *out_size = 3;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Copies size raw bytes from here into arena, escapes resolved, and moves past them. */
static enum err copy_escaped(struct server_conf_cursor *cursor, size_t size, struct arena *arena,
                             struct slice *out, struct diag *diag)
{
    uint8_t *bytes = arena_alloc(arena, size + 1);
    if (!bytes)
        return ERR_NO_MEMORY;
    size_t written = 0;
    size_t end = cursor->at + size;
    while (cursor->at < end) {
        const uint8_t *here = cursor->bytes.data + cursor->at;
        if (*here != '\\') {
            bytes[written++] = *here;
            server_conf_cursor_advance(cursor, 1);
            continue;
        }
        size_t escape_size;
        int byte = unescape(slice_make(here + 1, end - cursor->at - 1), &escape_size);
        struct server_conf_place place = server_conf_cursor_place(cursor);
        if (byte < 0)
            return server_conf_complain(
                diag, &place,
                "unknown escape; \\t \\n \\r \\\" \\\\ and \\x with two hexadecimal "
                "digits are known");
        bytes[written++] = (uint8_t)byte;
        server_conf_cursor_advance(cursor, 1 + escape_size);
    }
    bytes[written] = 0;
    *out = slice_make(bytes, written);
    return ERR_OK;
}

static enum err quoted_string(struct server_conf_cursor *cursor, struct arena *arena,
                              struct slice *out, struct diag *diag)
{
    uint8_t quote = cursor->bytes.data[cursor->at];
    struct server_conf_place place = server_conf_cursor_place(cursor);
    size_t end = cursor->at + 1;
    while (end < cursor->bytes.size && cursor->bytes.data[end] != quote)
        end += quote == '"' && cursor->bytes.data[end] == '\\' ? 2 : 1;
    if (end >= cursor->bytes.size)
        return server_conf_complain(diag, &place, "this string has no closing %c", quote);
    server_conf_cursor_advance(cursor, 1);
    size_t size = end - cursor->at;
    enum err err = ERR_OK;
    if (quote == '"') {
        err = copy_escaped(cursor, size, arena, out, diag);
    } else {
        *out = arena_copy(arena, slice_make(cursor->bytes.data + cursor->at, size));
        err = out->data ? ERR_OK : ERR_NO_MEMORY;
        server_conf_cursor_advance(cursor, size);
    }
    if (err == ERR_OK)
        server_conf_cursor_advance(cursor, 1);
    return err;
}

enum err server_conf_cursor_string(struct server_conf_cursor *cursor, const char *ends,
                                   struct arena *arena, struct slice *out, struct diag *diag)
{
    int first = server_conf_cursor_peek(cursor);
    if (first == '"' || first == '\'')
        return quoted_string(cursor, arena, out, diag);
    size_t end = cursor->at;
    while (end < cursor->bytes.size) {
        uint8_t byte = cursor->bytes.data[end];
        if (is_space(byte) || byte == '\n' || (byte != 0 && strchr(ends, byte)))
            break;
        bool is_escape = byte == '\\' && end + 1 < cursor->bytes.size;
        end += is_escape && strchr("\"\\", cursor->bytes.data[end + 1]) ? 2 : 1;
    }
    return copy_escaped(cursor, MIN(end, cursor->bytes.size) - cursor->at, arena, out, diag);
}

/* Whether the ')' at this index stands alone on its line. */
static bool is_block_end(struct slice bytes, size_t at)
{
    if (bytes.data[at] != ')' || bytes.data[at - 1] != '\n')
        return false;
    size_t next = at + 1;
    while (next < bytes.size && is_space(bytes.data[next]))
        next++;
    return next == bytes.size || bytes.data[next] == '\n';
}

enum err server_conf_cursor_block(struct server_conf_cursor *cursor, struct arena *arena,
                                  struct slice *out, struct diag *diag)
{
    struct server_conf_place place = server_conf_cursor_place(cursor);
    size_t start = cursor->at + 1;
    size_t end = start;
    while (end < cursor->bytes.size && !is_block_end(cursor->bytes, end))
        end++;
    if (end == cursor->bytes.size)
        return server_conf_complain(diag, &place, "this block has no closing ) on its own line");
    *out = arena_copy(arena, slice_make(cursor->bytes.data + start, end - start));
    server_conf_cursor_advance(cursor, end + 1 - cursor->at);
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

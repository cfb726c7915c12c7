// Parses formats and writes records by them.
// SPDX-License-Identifier: Apache-2.0
#include "cli/template.h"

#include <inttypes.h>

#include "base/endian.h"
#include "cli/base64.h"
#include "cli/stamp.h"

struct parsing {
    struct slice text;
    size_t at;
    bool kcat;
    bool inner; /* of headers: %k and %v alone */
    struct arena *arena;
    struct diag *diag;
    struct cli_template *out;
    uint8_t *literal; /* being collected */
    size_t literal_size;
};

static enum err parse_all(struct parsing *p);

static bool is_number(enum cli_template_kind kind)
{
    return kind == CLI_TEMPLATE_PARTITION || kind == CLI_TEMPLATE_OFFSET ||
           kind == CLI_TEMPLATE_TIME || kind >= CLI_TEMPLATE_TOPIC_SIZE;
}

static enum err end_literal(struct parsing *p)
{
    if (p->literal_size == 0)
        return ERR_OK;
    struct slice copy = arena_copy(p->arena, slice_make(p->literal, p->literal_size));
    if (!copy.data)
        return ERR_NO_MEMORY;
    p->out->pieces[p->out->count++] = (struct cli_template_piece){.text = copy};
    p->literal_size = 0;
    return ERR_OK;
}

static int hex_digit(struct parsing *p)
{
    if (p->at >= p->text.size)
        return -1;
    uint8_t c = p->text.data[p->at++];
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum err parse_escape(struct parsing *p)
{
    static const char from[] = "ntr0e\\%{}";
    static const char to[] = "\n\t\r\0\033\\%{}";
    uint8_t c = p->at < p->text.size ? p->text.data[p->at++] : 0;
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        p->literal[p->literal_size++] = (uint8_t)to[found - from];
        return ERR_OK;
    }
    if (c == 'x') {
        int high = hex_digit(p), low = hex_digit(p);
        if (high >= 0 && low >= 0) {
            p->literal[p->literal_size++] = (uint8_t)(high << 4 | low);
            return ERR_OK;
        }
    }
    diag_set(p->diag, "\\%c is no escape; there are \\n \\t \\r \\0 \\e \\\\ \\xNN", c ? c : ' ');
    return ERR_INVALID;
}

/* What stands in the braces behind a letter, which may hold others; null: no braces. */
static enum err take_braces(struct parsing *p, struct slice *out)
{
    *out = SLICE_NULL;
    if (p->at >= p->text.size || p->text.data[p->at] != '{')
        return ERR_OK;
    size_t start = ++p->at, depth = 1;
    for (; p->at < p->text.size; p->at++) {
        uint8_t c = p->text.data[p->at];
        if ((c == '\\' || c == '%') && p->at + 1 < p->text.size && p->text.data[p->at + 1] != '{')
            p->at++;
        else if (c == '{')
            depth++;
        else if (c == '}' && --depth == 0) {
            *out = slice_make(p->text.data + start, p->at++ - start);
            return ERR_OK;
        }
    }
    diag_set(p->diag, "a { is not closed");
    return ERR_INVALID;
}

static enum err parse_headers(struct parsing *p, struct slice inside,
                              struct cli_template_piece *piece)
{
    if (!inside.data || p->inner)
        return p->inner ? ERR_INVALID : ERR_OK;
    piece->headers = arena_alloc_array(p->arena, 1, sizeof(*piece->headers));
    struct parsing inner = {
        .text = inside, .inner = true, .arena = p->arena, .diag = p->diag, .out = piece->headers};
    return piece->headers ? parse_all(&inner) : ERR_NO_MEMORY;
}

static bool parse_time_as(struct slice inside, struct cli_template_piece *piece)
{
    struct slice start = SLICE_LITERAL("strftime[");
    if (slice_equal_text(inside, "iso")) {
        piece->as = CLI_TEMPLATE_ISO;
        return true;
    }
    if (inside.size <= start.size || memcmp(inside.data, start.data, start.size) != 0 ||
        inside.data[inside.size - 1] != ']')
        return false;
    piece->as = CLI_TEMPLATE_STRFTIME;
    piece->text = slice_make(inside.data + start.size, inside.size - start.size - 1);
    struct text tried;
    text_init(&tried);
    bool known = cli_stamp_add_strftime(&tried, piece->text, 0);
    text_deinit(&tried);
    return known;
}

static bool parse_as(struct slice inside, struct cli_template_piece *piece)
{
    static const struct {
        const char *name;
        bool number;
        enum cli_template_as as;
        unsigned width;
    } known[] = {{"hex", false, CLI_TEMPLATE_HEX, 0},
                 {"base64", false, CLI_TEMPLATE_BASE64, 0},
                 {"base64raw", false, CLI_TEMPLATE_BASE64_RAW, 0},
                 {"json", false, CLI_TEMPLATE_JSON, 0},
                 {"ascii", true, CLI_TEMPLATE_PLAIN, 0},
                 {"hex", true, CLI_TEMPLATE_HEX, 1},
                 {"hex64", true, CLI_TEMPLATE_HEX, 16},
                 {"hex32", true, CLI_TEMPLATE_HEX, 8},
                 {"hex16", true, CLI_TEMPLATE_HEX, 4},
                 {"hex8", true, CLI_TEMPLATE_HEX, 2},
                 {"big64", true, CLI_TEMPLATE_BIG, 8},
                 {"big32", true, CLI_TEMPLATE_BIG, 4},
                 {"big16", true, CLI_TEMPLATE_BIG, 2},
                 {"big8", true, CLI_TEMPLATE_BIG, 1},
                 {"byte", true, CLI_TEMPLATE_BIG, 1},
                 {"little64", true, CLI_TEMPLATE_LITTLE, 8},
                 {"little32", true, CLI_TEMPLATE_LITTLE, 4},
                 {"little16", true, CLI_TEMPLATE_LITTLE, 2},
                 {"little8", true, CLI_TEMPLATE_LITTLE, 1}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (known[i].number == is_number(piece->kind) && slice_equal_text(inside, known[i].name)) {
            piece->as = known[i].as;
            piece->width = known[i].width;
            return true;
        }
    }
    return piece->kind == CLI_TEMPLATE_TIME && parse_time_as(inside, piece);
}

static const struct {
    char letter;
    enum cli_template_kind kind;
} native_letters[] = {{'t', CLI_TEMPLATE_TOPIC},        {'k', CLI_TEMPLATE_KEY},
                      {'v', CLI_TEMPLATE_VALUE},        {'s', CLI_TEMPLATE_VALUE},
                      {'p', CLI_TEMPLATE_PARTITION},    {'o', CLI_TEMPLATE_OFFSET},
                      {'d', CLI_TEMPLATE_TIME},         {'h', CLI_TEMPLATE_HEADERS},
                      {'T', CLI_TEMPLATE_TOPIC_SIZE},   {'K', CLI_TEMPLATE_KEY_SIZE},
                      {'V', CLI_TEMPLATE_VALUE_SIZE},   {'S', CLI_TEMPLATE_VALUE_SIZE},
                      {'H', CLI_TEMPLATE_HEADER_COUNT}, {'i', CLI_TEMPLATE_COUNTER},
                      {'[', CLI_TEMPLATE_LOG_START},    {']', CLI_TEMPLATE_LOG_END}};

static bool find_letter(const struct parsing *p, char letter, struct cli_template_piece *piece)
{
    if (p->kcat && letter == 'R') {
        *piece = (struct cli_template_piece){
            .kind = CLI_TEMPLATE_VALUE_SIZE, .as = CLI_TEMPLATE_BIG, .width = 4};
        return true;
    }
    if (p->kcat && letter == 'T') {
        piece->kind = CLI_TEMPLATE_TIME;
        return true;
    }
    if (p->inner && letter != 'k' && letter != 'v' && letter != 'K' && letter != 'V')
        return false;
    for (size_t i = 0; i < COUNT_OF(native_letters); i++) {
        if (native_letters[i].letter == letter) {
            piece->kind = native_letters[i].kind;
            return true;
        }
    }
    return false;
}

static enum err parse_letter(struct parsing *p)
{
    char letter = p->at < p->text.size ? (char)p->text.data[p->at++] : '\0';
    if (letter == '%' || letter == '{' || letter == '}') {
        p->literal[p->literal_size++] = (uint8_t)letter;
        return ERR_OK;
    }
    struct cli_template_piece piece = {.kind = CLI_TEMPLATE_LITERAL};
    if (!find_letter(p, letter, &piece)) {
        bool untold = letter && strchr("eaxy|", letter);
        diag_set(p->diag, untold ? "%%%c is not told by the client library" : "%%%c means nothing",
                 letter ? letter : ' ');
        return ERR_INVALID;
    }
    enum err err = end_literal(p);
    struct slice inside = SLICE_NULL;
    if (!err && !p->kcat)
        err = take_braces(p, &inside);
    if (!err && piece.kind == CLI_TEMPLATE_HEADERS)
        err = parse_headers(p, inside, &piece);
    else if (!err && inside.data && !parse_as(inside, &piece)) {
        diag_set(p->diag, "%%%c{%.*s} means nothing", letter, (int)MIN(inside.size, (size_t)100),
                 (const char *)inside.data);
        err = ERR_INVALID;
    }
    if (!err)
        p->out->pieces[p->out->count++] = piece;
    return err;
}

static enum err parse_all(struct parsing *p)
{
    /* A letter ends the literal before it: never more pieces than bytes and one. */
    p->out->pieces = arena_alloc_array(p->arena, p->text.size + 1, sizeof(*p->out->pieces));
    p->literal = arena_alloc(p->arena, p->text.size + 1);
    if (!p->out->pieces || !p->literal)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    while (!err && p->at < p->text.size) {
        uint8_t c = p->text.data[p->at++];
        if (c == '%')
            err = parse_letter(p);
        else if (c == '\\')
            err = parse_escape(p);
        else
            p->literal[p->literal_size++] = c;
    }
    return err ? err : end_literal(p);
}

enum err cli_template_parse(struct slice text, bool kcat, struct arena *arena,
                            struct cli_template *out, struct diag *diag)
{
    *out = (struct cli_template){.json = slice_equal_text(text, "json")};
    if (out->json)
        return ERR_OK;
    if (text.size > CLI_TEMPLATE_SIZE_MAX) {
        diag_set(diag, "the format is too long");
        return ERR_INVALID;
    }
    struct parsing p = {.text = text, .kcat = kcat, .arena = arena, .diag = diag, .out = out};
    return parse_all(&p);
}

/* --- writing --- */

static void render_number(const struct cli_template_piece *piece, int64_t number, struct text *out)
{
    uint8_t bytes[8];
    if (piece->as == CLI_TEMPLATE_HEX) {
        text_add_format(out, "%0*" PRIx64, (int)piece->width, (uint64_t)number);
    } else if (piece->as == CLI_TEMPLATE_BIG) {
        be64_put(bytes, (uint64_t)number);
        text_add(out, slice_make(bytes + 8 - piece->width, piece->width));
    } else if (piece->as == CLI_TEMPLATE_LITTLE) {
        le64_put(bytes, (uint64_t)number);
        text_add(out, slice_make(bytes, piece->width));
    } else if (piece->as == CLI_TEMPLATE_STRFTIME) {
        out->failed |= !cli_stamp_add_strftime(out, piece->text, number);
    } else if (piece->as == CLI_TEMPLATE_ISO) {
        cli_stamp_add_time(out, number);
    } else {
        text_add_format(out, "%" PRId64, number);
    }
}

static void render_bytes(const struct cli_template_piece *piece, struct slice bytes,
                         struct text *out)
{
    if (piece->as == CLI_TEMPLATE_HEX)
        cli_base64_add_hex(out, bytes);
    else if (piece->as == CLI_TEMPLATE_BASE64 || piece->as == CLI_TEMPLATE_BASE64_RAW)
        cli_base64_add(out, bytes, piece->as == CLI_TEMPLATE_BASE64);
    else if (piece->as == CLI_TEMPLATE_JSON && !bytes.data)
        text_add_text(out, "null");
    else if (piece->as == CLI_TEMPLATE_JSON)
        text_add_json(out, bytes);
    else if (bytes.size > 0)
        text_add(out, bytes);
}

static void render_headers(const struct cli_template_piece *piece, const struct cli_record *record,
                           struct text *out)
{
    for (size_t i = 0; i < record->header_count; i++) {
        const struct cli_record_header *header = &record->headers[i];
        if (piece->headers) {
            struct cli_record one = {.key = header->name, .value = header->value};
            cli_template_render(piece->headers, &one, out);
            continue;
        }
        text_add_text(out, i ? "," : "");
        text_add(out, header->name);
        text_add_text(out, "=");
        if (header->value.data)
            text_add(out, header->value);
        else
            text_add_text(out, "NULL");
    }
}

static int64_t number_of(enum cli_template_kind kind, const struct cli_record *record)
{
    switch (kind) {
    case CLI_TEMPLATE_PARTITION:
        return record->partition;
    case CLI_TEMPLATE_OFFSET:
        return record->offset;
    case CLI_TEMPLATE_TIME:
        return record->timestamp_ms;
    case CLI_TEMPLATE_TOPIC_SIZE:
        return (int64_t)record->topic.size;
    case CLI_TEMPLATE_KEY_SIZE:
        return (int64_t)record->key.size;
    case CLI_TEMPLATE_VALUE_SIZE:
        return (int64_t)record->value.size;
    case CLI_TEMPLATE_HEADER_COUNT:
        return (int64_t)record->header_count;
    case CLI_TEMPLATE_COUNTER:
        return record->counter;
    case CLI_TEMPLATE_LOG_START:
        return record->log_start;
    default:
        return record->log_end;
    }
}

void cli_template_render(const struct cli_template *format, const struct cli_record *record,
                         struct text *out)
{
    if (format->json) {
        cli_template_render_json(record, out);
        return;
    }
    for (size_t i = 0; i < format->count; i++) {
        const struct cli_template_piece *piece = &format->pieces[i];
        if (piece->kind == CLI_TEMPLATE_LITERAL)
            text_add(out, piece->text);
        else if (piece->kind == CLI_TEMPLATE_TOPIC)
            render_bytes(piece, record->topic, out);
        else if (piece->kind == CLI_TEMPLATE_KEY)
            render_bytes(piece, record->key, out);
        else if (piece->kind == CLI_TEMPLATE_VALUE)
            render_bytes(piece, record->value, out);
        else if (piece->kind == CLI_TEMPLATE_HEADERS)
            render_headers(piece, record, out);
        else
            render_number(piece, number_of(piece->kind, record), out);
    }
}

static void render_json_bytes(struct text *out, const char *name, struct slice bytes)
{
    bool text = !bytes.data || text_is_utf8(bytes);
    text_add_format(out, "\"%s%s\":", name, text ? "" : "_base64");
    if (!bytes.data) {
        text_add_text(out, "null");
    } else if (text) {
        text_add_json(out, bytes);
    } else {
        text_add_text(out, "\"");
        cli_base64_add(out, bytes, true);
        text_add_text(out, "\"");
    }
}

void cli_template_render_json(const struct cli_record *record, struct text *out)
{
    text_add_text(out, "{");
    render_json_bytes(out, "topic", record->topic);
    text_add_text(out, ",");
    render_json_bytes(out, "key", record->key);
    text_add_text(out, ",");
    render_json_bytes(out, "value", record->value);
    text_add_text(out, ",\"headers\":[");
    for (size_t i = 0; i < record->header_count; i++) {
        text_add_text(out, i ? ",{" : "{");
        render_json_bytes(out, "key", record->headers[i].name);
        text_add_text(out, ",");
        render_json_bytes(out, "value", record->headers[i].value);
        text_add_text(out, "}");
    }
    text_add_format(out, "],\"timestamp\":%" PRId64 ",\"partition\":%d,\"offset\":%" PRId64 "}\n",
                    record->timestamp_ms, record->partition, record->offset);
}

// Reads records by a format: fields between literal texts, or of a size that was read before.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "cli/base64.h"
#include "cli/template.h"
#include "wire/nats_json.h"

#define READ_SIZE ((size_t)64 << 10)

/* --- the input --- */

void cli_template_input_init(struct cli_template_input *input, FILE *file)
{
    *input = (struct cli_template_input){.file = file};
}

void cli_template_input_deinit(struct cli_template_input *input)
{
    free(input->data);
}

static enum err make_room(struct cli_template_input *input)
{
    size_t held = input->end - input->start;
    if (input->start > 0 && held > 0)
        memmove(input->data, input->data + input->start, held);
    input->start = 0;
    input->end = held;
    if (input->capacity - held >= READ_SIZE)
        return ERR_OK;
    if (held > CLI_TEMPLATE_RECORD_SIZE_MAX)
        return ERR_TOO_LARGE;
    size_t capacity = MAX(input->capacity * 2, READ_SIZE * 2);
    uint8_t *data = realloc(input->data, capacity);
    if (!data)
        return ERR_NO_MEMORY;
    input->data = data;
    input->capacity = capacity;
    return ERR_OK;
}

/* Reads a line or a full buffer more, so that what is typed is taken line by line. */
static enum err read_more(struct cli_template_input *input)
{
    enum err err = make_room(input);
    if (err)
        return err;
    uint8_t *at = input->data + input->end;
    size_t room = input->capacity - input->end, got = 0;
    int c = 0;
    while (got < room && c != '\n' && (c = getc_unlocked(input->file)) != EOF)
        at[got++] = (uint8_t)c;
    if (c == EOF) {
        if (ferror(input->file))
            return ERR_IO;
        input->is_over = true;
    }
    input->end += got;
    return ERR_OK;
}

static struct slice held(const struct cli_template_input *input, size_t used)
{
    const uint8_t *at = input->data ? input->data + input->start + used : NULL;
    return slice_make(at, input->end - input->start - used);
}

/* The bytes from used on up to end_mark, or up to the end of the input if may_end. */
static enum err find_mark(struct cli_template_input *input, size_t used, struct slice end_mark,
                          bool may_end, size_t *out_size)
{
    size_t looked = 0;
    for (;;) {
        struct slice bytes = held(input, used);
        size_t from = looked > end_mark.size ? looked - end_mark.size : 0;
        const uint8_t *mark = bytes.size > from ? memmem(bytes.data + from, bytes.size - from,
                                                         end_mark.data, end_mark.size)
                                                : NULL;
        if (mark) {
            *out_size = (size_t)(mark - bytes.data);
            return ERR_OK;
        }
        if (input->is_over) {
            *out_size = bytes.size;
            return may_end ? ERR_OK : ERR_TRUNCATED;
        }
        looked = bytes.size;
        enum err err = read_more(input);
        if (err)
            return err;
    }
}

static enum err need(struct cli_template_input *input, size_t used, size_t size)
{
    if (size > CLI_TEMPLATE_RECORD_SIZE_MAX)
        return ERR_TOO_LARGE;
    while (held(input, used).size < size) {
        if (input->is_over)
            return ERR_TRUNCATED;
        enum err err = read_more(input);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* --- reading by a format --- */

struct reading {
    const struct cli_template *format;
    struct cli_template_input *input;
    struct arena *arena;
    struct cli_record *record;
    size_t used;   /* bytes of the input that belong to the record so far */
    int64_t key;   /* size of the key; -1: not told */
    int64_t value; /* of the value */
    int64_t topic;
};

static bool is_field(enum cli_template_kind kind)
{
    return kind == CLI_TEMPLATE_KEY || kind == CLI_TEMPLATE_VALUE || kind == CLI_TEMPLATE_TOPIC ||
           kind == CLI_TEMPLATE_PARTITION || kind == CLI_TEMPLATE_TIME;
}

static enum cli_template_kind size_kind(enum cli_template_kind kind)
{
    return kind == CLI_TEMPLATE_KEY     ? CLI_TEMPLATE_KEY_SIZE
           : kind == CLI_TEMPLATE_VALUE ? CLI_TEMPLATE_VALUE_SIZE
                                        : CLI_TEMPLATE_TOPIC_SIZE;
}

static bool is_size(enum cli_template_kind kind)
{
    return kind == CLI_TEMPLATE_KEY_SIZE || kind == CLI_TEMPLATE_VALUE_SIZE ||
           kind == CLI_TEMPLATE_TOPIC_SIZE;
}

static bool is_binary(const struct cli_template_piece *piece)
{
    return piece->as == CLI_TEMPLATE_BIG || piece->as == CLI_TEMPLATE_LITTLE;
}

static bool is_delimited(const struct cli_template *format, size_t at)
{
    return at + 1 < format->count && format->pieces[at + 1].kind == CLI_TEMPLATE_LITERAL;
}

enum err cli_template_check_read(const struct cli_template *format, struct diag *diag)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct cli_template_piece *piece = &format->pieces[i];
        if (piece->kind == CLI_TEMPLATE_LITERAL || (is_size(piece->kind) && is_binary(piece)))
            continue;
        bool sized = false;
        for (size_t k = 0; k < i; k++)
            sized |= !is_size(piece->kind) && format->pieces[k].kind == size_kind(piece->kind);
        bool readable = (is_field(piece->kind) || is_size(piece->kind)) &&
                        piece->as != CLI_TEMPLATE_JSON && piece->as != CLI_TEMPLATE_STRFTIME &&
                        piece->as != CLI_TEMPLATE_ISO;
        if (!readable) {
            diag_set(diag, "records can be read as %%k %%v %%t %%p %%d, as {hex} or {base64}, "
                           "with sizes %%K %%V before them, or as json");
            return ERR_INVALID;
        }
        if (!sized && !is_delimited(format, i) && i + 1 < format->count) {
            diag_set(diag, "nothing says where a field ends: put a text behind it, or its size "
                           "before it");
            return ERR_INVALID;
        }
    }
    if (!format->json && format->count == 0) {
        diag_set(diag, "the format is empty");
        return ERR_INVALID;
    }
    return ERR_OK;
}

static int64_t *size_of(struct reading *r, enum cli_template_kind kind)
{
    return kind == CLI_TEMPLATE_KEY_SIZE     ? &r->key
           : kind == CLI_TEMPLATE_VALUE_SIZE ? &r->value
                                             : &r->topic;
}

/* The raw bytes of a field; they move when more is read. */
static enum err take_bytes(struct reading *r, size_t at, struct slice *out)
{
    const struct cli_template_piece *piece = &r->format->pieces[at];
    size_t size = 0;
    bool sized = false;
    enum err err = ERR_OK;
    if (is_size(piece->kind) && is_binary(piece)) {
        size = piece->width;
        sized = true;
    } else if (piece->kind == CLI_TEMPLATE_KEY || piece->kind == CLI_TEMPLATE_VALUE ||
               piece->kind == CLI_TEMPLATE_TOPIC) {
        int64_t told = *size_of(r, size_kind(piece->kind));
        sized = told >= 0;
        size = sized ? (size_t)told : 0;
    }
    if (sized) {
        err = need(r->input, r->used, size);
    } else if (is_delimited(r->format, at)) {
        bool last = at + 2 == r->format->count;
        err = find_mark(r->input, r->used, r->format->pieces[at + 1].text, last, &size);
    } else {
        /* The last piece: everything that is left. */
        while (!err && !r->input->is_over)
            err = read_more(r->input);
        size = held(r->input, r->used).size;
    }
    *out = slice_make(held(r->input, r->used).data, size);
    r->used += size;
    return err;
}

static enum err put_number(struct reading *r, const struct cli_template_piece *piece,
                           struct slice bytes)
{
    int64_t number = 0;
    if (is_binary(piece)) {
        uint64_t sum = 0;
        for (size_t i = 0; i < bytes.size; i++)
            sum = sum << 8 | bytes.data[piece->as == CLI_TEMPLATE_BIG ? i : bytes.size - 1 - i];
        number = sum > CLI_TEMPLATE_RECORD_SIZE_MAX ? -1 : (int64_t)sum;
    } else if (!text_parse_i64(bytes, &number)) {
        return ERR_INVALID;
    }
    if (number < 0 || (is_size(piece->kind) && (size_t)number > CLI_TEMPLATE_RECORD_SIZE_MAX))
        return is_size(piece->kind) ? ERR_TOO_LARGE : ERR_INVALID;
    if (is_size(piece->kind))
        *size_of(r, piece->kind) = number;
    else if (piece->kind == CLI_TEMPLATE_TIME)
        r->record->timestamp_ms = number;
    else if (number <= INT32_MAX)
        r->record->partition = (int32_t)number;
    else
        return ERR_INVALID;
    return ERR_OK;
}

static enum err put_field(struct reading *r, const struct cli_template_piece *piece,
                          struct slice bytes)
{
    bool is_bytes = piece->kind == CLI_TEMPLATE_KEY || piece->kind == CLI_TEMPLATE_VALUE ||
                    piece->kind == CLI_TEMPLATE_TOPIC;
    if (!is_bytes)
        return put_number(r, piece, bytes);
    struct slice copy = SLICE_NULL;
    bool good = true;
    if (piece->as == CLI_TEMPLATE_HEX)
        good = cli_base64_decode_hex(bytes, r->arena, &copy);
    else if (piece->as == CLI_TEMPLATE_PLAIN)
        copy = arena_copy(r->arena,
                          slice_make(bytes.data ? bytes.data : (const uint8_t *)"", bytes.size));
    else
        good = cli_base64_decode(bytes, r->arena, &copy);
    if (!good)
        return ERR_INVALID;
    if (!copy.data)
        return ERR_NO_MEMORY;
    *(piece->kind == CLI_TEMPLATE_KEY     ? &r->record->key
      : piece->kind == CLI_TEMPLATE_VALUE ? &r->record->value
                                          : &r->record->topic) = copy;
    return ERR_OK;
}

static enum err take_literal(struct reading *r, size_t at)
{
    struct slice text = r->format->pieces[at].text;
    bool last = at + 1 == r->format->count;
    enum err err = need(r->input, r->used, text.size);
    struct slice bytes = held(r->input, r->used);
    /* The end of the input stands for what ends the last record. */
    if (err == ERR_TRUNCATED && last && bytes.size == 0)
        return ERR_OK;
    if (err)
        return err;
    r->used += text.size;
    return memcmp(bytes.data, text.data, text.size) == 0 ? ERR_OK : ERR_INVALID;
}

static enum err read_pieces(struct reading *r)
{
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < r->format->count; i++) {
        const struct cli_template_piece *piece = &r->format->pieces[i];
        struct slice bytes;
        if (piece->kind == CLI_TEMPLATE_LITERAL) {
            err = take_literal(r, i);
            continue;
        }
        err = take_bytes(r, i, &bytes);
        if (!err)
            err = put_field(r, piece, bytes);
    }
    return err;
}

static enum err read_json(struct reading *r)
{
    size_t size;
    enum err err = find_mark(r->input, 0, SLICE_LITERAL("\n"), true, &size);
    if (err)
        return err;
    struct slice line = arena_copy(r->arena, slice_make(held(r->input, 0).data, size));
    r->used = MIN(size + 1, held(r->input, 0).size);
    return line.data ? cli_template_read_json(line, r->arena, r->record) : ERR_NO_MEMORY;
}

enum err cli_template_read(const struct cli_template *format, struct cli_template_input *input,
                           struct arena *arena, struct cli_record *record, struct diag *diag)
{
    enum err err = need(input, 0, 1);
    if (err == ERR_TRUNCATED)
        return ERR_NOT_FOUND;
    struct reading r = {format, input, arena, record, 0, -1, -1, -1};
    if (!err)
        err = format->json ? read_json(&r) : read_pieces(&r);
    input->start += r.used;
    if (err == ERR_TRUNCATED)
        diag_set(diag, "the input ends in the middle of a record");
    else if (err == ERR_INVALID)
        diag_set(diag, "a record is not as the format says");
    else if (err == ERR_TOO_LARGE)
        diag_set(diag, "a record is too long");
    else if (err)
        diag_set(diag, "%s", err_text(err));
    return err;
}

/* --- JSON --- */

static enum err json_text(struct wire_nats_json *json, struct arena *arena, bool base64,
                          struct slice *out)
{
    struct wire_nats_json_token token;
    enum err err = wire_nats_json_next(json, &token);
    if (err)
        return err;
    if (token.kind == WIRE_NATS_JSON_NULL) {
        *out = SLICE_NULL;
        return ERR_OK;
    }
    if (token.kind != WIRE_NATS_JSON_STRING)
        return ERR_INVALID;
    struct slice text;
    err = wire_nats_json_unescape(&token, arena, &text);
    if (err)
        return err;
    if (!text.data)
        text = slice_text("");
    if (base64)
        return cli_base64_decode(text, arena, out) ? ERR_OK : ERR_INVALID;
    *out = text;
    return ERR_OK;
}

static enum err json_number(struct wire_nats_json *json, int64_t *out)
{
    struct wire_nats_json_token token;
    enum err err = wire_nats_json_next(json, &token);
    if (err || token.kind != WIRE_NATS_JSON_NUMBER || !text_parse_i64(token.raw, out))
        return err ? err : ERR_INVALID;
    return ERR_OK;
}

static enum err json_header(struct wire_nats_json *json, struct arena *arena,
                            struct cli_record_header *out)
{
    struct wire_nats_json_token token;
    *out = (struct cli_record_header){slice_text(""), SLICE_NULL};
    for (;;) {
        enum err err = wire_nats_json_next(json, &token);
        if (err || token.kind == WIRE_NATS_JSON_END)
            return err;
        if (slice_equal_text(token.raw, "key"))
            err = json_text(json, arena, false, &out->name);
        else if (slice_equal_text(token.raw, "value"))
            err = json_text(json, arena, false, &out->value);
        else if (slice_equal_text(token.raw, "value_base64"))
            err = json_text(json, arena, true, &out->value);
        else
            err = ERR_INVALID;
        if (err)
            return err;
    }
}

static enum err json_headers(struct wire_nats_json *json, struct arena *arena,
                             struct cli_record *record)
{
    struct wire_nats_json_token token;
    enum err err = wire_nats_json_next(json, &token);
    if (err || token.kind != WIRE_NATS_JSON_ARRAY)
        return err ? err : token.kind == WIRE_NATS_JSON_NULL ? ERR_OK : ERR_INVALID;
    struct cli_record_header *headers =
        arena_alloc_array(arena, CLI_TEMPLATE_HEADER_MAX, sizeof(*headers));
    size_t count = 0;
    if (!headers)
        return ERR_NO_MEMORY;
    for (;;) {
        err = wire_nats_json_next(json, &token);
        if (err || token.kind == WIRE_NATS_JSON_END)
            break;
        if (token.kind != WIRE_NATS_JSON_OBJECT)
            return ERR_INVALID;
        if (count == CLI_TEMPLATE_HEADER_MAX)
            return ERR_TOO_LARGE;
        err = json_header(json, arena, &headers[count++]);
        if (err)
            return err;
    }
    record->headers = headers;
    record->header_count = count;
    return err;
}

static enum err json_member(struct wire_nats_json *json, struct arena *arena, struct slice name,
                            struct cli_record *record)
{
    int64_t number = -1;
    enum err err;
    if (slice_equal_text(name, "key"))
        return json_text(json, arena, false, &record->key);
    if (slice_equal_text(name, "key_base64"))
        return json_text(json, arena, true, &record->key);
    if (slice_equal_text(name, "value"))
        return json_text(json, arena, false, &record->value);
    if (slice_equal_text(name, "value_base64"))
        return json_text(json, arena, true, &record->value);
    if (slice_equal_text(name, "headers"))
        return json_headers(json, arena, record);
    if (slice_equal_text(name, "topic")) {
        struct slice ignored;
        return json_text(json, arena, false, &ignored);
    }
    if (!slice_equal_text(name, "timestamp") && !slice_equal_text(name, "partition") &&
        !slice_equal_text(name, "offset"))
        return ERR_INVALID;
    err = json_number(json, &number);
    if (!err && slice_equal_text(name, "timestamp"))
        record->timestamp_ms = number;
    if (!err && slice_equal_text(name, "partition")) {
        if (number < -1 || number > INT32_MAX)
            return ERR_INVALID;
        record->partition = (int32_t)number;
    }
    return err;
}

enum err cli_template_read_json(struct slice line, struct arena *arena, struct cli_record *record)
{
    struct wire_nats_json json;
    struct wire_nats_json_token token;
    wire_nats_json_init(&json, line);
    enum err err = wire_nats_json_next(&json, &token);
    if (err || token.kind != WIRE_NATS_JSON_OBJECT)
        return err ? err : ERR_INVALID;
    while (!err) {
        err = wire_nats_json_next(&json, &token);
        if (err || token.kind == WIRE_NATS_JSON_END)
            break;
        err = json_member(&json, arena, token.raw, record);
    }
    if (!err)
        err = wire_nats_json_next(&json, &token);
    return err || token.kind == WIRE_NATS_JSON_DONE ? err : ERR_INVALID;
}

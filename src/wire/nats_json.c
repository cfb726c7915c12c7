// The JSON of NATS: a bounded pull reader.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_json.h"

enum state {
    STATE_VALUE,        /* a value must come */
    STATE_FIRST,        /* after '[' or '{': a value, a key, or the end */
    STATE_COLON,        /* after a key */
    STATE_COMMA_OR_END, /* after a value inside something */
    STATE_OVER,         /* after the outermost value */
    STATE_FAILED,
};

static enum err read_value(struct wire_nats_json *json, struct wire_nats_json_token *out);
static enum err read_string(struct wire_nats_json *json, struct wire_nats_json_token *out);

void wire_nats_json_init(struct wire_nats_json *json, struct slice input)
{
    *json = (struct wire_nats_json){.input = input, .state = STATE_VALUE};
}

static int peek(struct wire_nats_json *json)
{
    while (json->position < json->input.size) {
        uint8_t byte = json->input.data[json->position];
        if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n')
            return byte;
        json->position++;
    }
    return -1;
}

static bool in_object(const struct wire_nats_json *json)
{
    return json->depth > 0 && (json->objects >> (json->depth - 1) & 1);
}

static void after_value(struct wire_nats_json *json)
{
    json->state = json->depth == 0 ? STATE_OVER : STATE_COMMA_OR_END;
}

static enum err open_container(struct wire_nats_json *json, bool is_object,
                               struct wire_nats_json_token *out)
{
    if (json->depth == WIRE_NATS_JSON_DEPTH_MAX)
        return ERR_INVALID;
    uint64_t bit = (uint64_t)1 << json->depth;
    json->objects = is_object ? json->objects | bit : json->objects & ~bit;
    json->depth++;
    json->position++;
    json->state = STATE_FIRST;
    out->kind = is_object ? WIRE_NATS_JSON_OBJECT : WIRE_NATS_JSON_ARRAY;
    return ERR_OK;
}

static enum err read_end(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    json->position++;
    json->depth--;
    out->depth = json->depth;
    out->kind = WIRE_NATS_JSON_END;
    after_value(json);
    return ERR_OK;
}

static enum err read_key(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    if (peek(json) != '"' || read_string(json, out))
        return ERR_INVALID;
    out->is_key = true;
    json->state = STATE_COLON;
    return ERR_OK;
}

static enum err read_next(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    int byte = peek(json);
    int end = in_object(json) ? '}' : ']';
    switch (json->state) {
    case STATE_OVER:
        out->kind = WIRE_NATS_JSON_DONE;
        return byte < 0 ? ERR_OK : ERR_INVALID;
    case STATE_FIRST:
        if (byte == end)
            return read_end(json, out);
        return in_object(json) ? read_key(json, out) : read_value(json, out);
    case STATE_COMMA_OR_END:
        if (byte == end)
            return read_end(json, out);
        if (byte != ',')
            return ERR_INVALID;
        json->position++;
        return in_object(json) ? read_key(json, out) : read_value(json, out);
    case STATE_COLON:
        if (byte != ':')
            return ERR_INVALID;
        json->position++;
        return read_value(json, out);
    case STATE_VALUE:
        return read_value(json, out);
    default:
        return ERR_INVALID;
    }
}

enum err wire_nats_json_next(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    struct wire_nats_json_token token = {.depth = json->depth};
    enum err err = read_next(json, &token);
    if (err)
        json->state = STATE_FAILED;
    else
        *out = token;
    return err;
}

enum err wire_nats_json_skip(struct wire_nats_json *json, const struct wire_nats_json_token *first)
{
    if (first->kind != WIRE_NATS_JSON_OBJECT && first->kind != WIRE_NATS_JSON_ARRAY)
        return ERR_OK;
    struct wire_nats_json_token token;
    do {
        if (wire_nats_json_next(json, &token))
            return ERR_INVALID;
    } while (token.kind != WIRE_NATS_JSON_END || token.depth != first->depth);
    return ERR_OK;
}

bool wire_nats_json_is_object(struct slice input)
{
    struct wire_nats_json json;
    struct wire_nats_json_token token;
    wire_nats_json_init(&json, input);
    if (wire_nats_json_next(&json, &token) ||
        (token.kind != WIRE_NATS_JSON_OBJECT && token.kind != WIRE_NATS_JSON_NULL))
        return false;
    if (wire_nats_json_skip(&json, &token))
        return false;
    return wire_nats_json_next(&json, &token) == ERR_OK;
}

static bool is_digit(struct slice text, size_t at)
{
    return at < text.size && text.data[at] >= '0' && text.data[at] <= '9';
}

static size_t skip_digits(struct slice text, size_t at)
{
    while (is_digit(text, at))
        at++;
    return at;
}

/* -?(0|[1-9]d*)(.d+)?([eE][+-]?d+)? */
static enum err read_number(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    struct slice text = json->input;
    size_t start = json->position;
    size_t at = start + (text.data[start] == '-');
    if (!is_digit(text, at))
        return ERR_INVALID;
    at = text.data[at] == '0' ? at + 1 : skip_digits(text, at);
    if (at < text.size && text.data[at] == '.') {
        if (!is_digit(text, at + 1))
            return ERR_INVALID;
        at = skip_digits(text, at + 1);
    }
    if (at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        at += at < text.size && (text.data[at] == '+' || text.data[at] == '-');
        if (!is_digit(text, at))
            return ERR_INVALID;
        at = skip_digits(text, at);
    }
    out->kind = WIRE_NATS_JSON_NUMBER;
    out->raw = slice_make(text.data + start, at - start);
    json->position = at;
    after_value(json);
    return ERR_OK;
}

static enum err read_word(struct wire_nats_json *json, const char *word,
                          enum wire_nats_json_kind kind, struct wire_nats_json_token *out)
{
    struct slice wanted = slice_text(word);
    struct slice left =
        slice_make(json->input.data + json->position, json->input.size - json->position);
    left.size = MIN(left.size, wanted.size);
    if (!slice_equal(left, wanted))
        return ERR_INVALID;
    out->kind = kind;
    out->raw = left;
    json->position += wanted.size;
    after_value(json);
    return ERR_OK;
}

static enum err read_value(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    int byte = peek(json);
    switch (byte) {
    case '{':
        return open_container(json, true, out);
    case '[':
        return open_container(json, false, out);
    case '"':
        if (read_string(json, out))
            return ERR_INVALID;
        after_value(json);
        return ERR_OK;
    case 't':
        return read_word(json, "true", WIRE_NATS_JSON_TRUE, out);
    case 'f':
        return read_word(json, "false", WIRE_NATS_JSON_FALSE, out);
    case 'n':
        return read_word(json, "null", WIRE_NATS_JSON_NULL, out);
    default:
        return byte == '-' || (byte >= '0' && byte <= '9') ? read_number(json, out) : ERR_INVALID;
    }
}

/* The value of a hexadecimal digit, or -1. */
static int hex(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The four digits behind "\u" at `at`, or -1. */
static int32_t read_hex4(struct slice text, size_t at)
{
    int32_t value = 0;
    if (text.size < 4 || at > text.size - 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex(text.data[at + i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static bool is_escape(struct slice text, size_t at)
{
    if (at >= text.size)
        return false;
    if (text.data[at] == 'u')
        return read_hex4(text, at + 1) >= 0;
    return text.data[at] && strchr("\"\\/bfnrt", text.data[at]);
}

static enum err read_string(struct wire_nats_json *json, struct wire_nats_json_token *out)
{
    struct slice text = json->input;
    size_t start = json->position + 1;
    bool plain = true;
    size_t at = start;
    for (; at < text.size && text.data[at] != '"'; at++) {
        if (text.data[at] < 0x20)
            return ERR_INVALID;
        if (text.data[at] >= 0x80)
            plain = false;
        if (text.data[at] != '\\')
            continue;
        plain = false;
        at++;
        if (!is_escape(text, at))
            return ERR_INVALID;
    }
    if (at >= text.size)
        return ERR_INVALID;
    out->kind = WIRE_NATS_JSON_STRING;
    out->raw = slice_make(text.data + start, at - start);
    out->escaped =
        !plain && (memchr(out->raw.data, '\\', out->raw.size) || !text_is_utf8(out->raw));
    json->position = at + 1;
    return ERR_OK;
}

static size_t put_utf8(uint8_t *out, int32_t point)
{
    if (point < 0 || (point >= 0xd800 && point <= 0xdfff))
        point = 0xfffd;
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

/* The code point of the checked escape behind the '\\' at *at - 1; *at moves behind it. */
static int32_t take_escape(struct slice raw, size_t *at)
{
    static const char NAMES[] = "bfnrt";
    static const char BYTES[] = "\b\f\n\r\t";
    uint8_t name = raw.data[(*at)++];
    if (name != 'u') {
        const char *found = strchr(NAMES, name);
        return found ? BYTES[found - NAMES] : name;
    }
    int32_t high = read_hex4(raw, *at);
    *at += 4;
    if (high < 0xd800 || high > 0xdbff || raw.size - *at < 6 || raw.data[*at] != '\\' ||
        raw.data[*at + 1] != 'u')
        return high;
    int32_t low = read_hex4(raw, *at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return high;
    *at += 6;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

enum err wire_nats_json_unescape(const struct wire_nats_json_token *token, struct arena *arena,
                                 struct slice *out)
{
    struct slice raw = token->raw;
    if (!token->escaped) {
        *out = raw;
        return ERR_OK;
    }
    /* A wrong byte grows to the three of U+FFFD, an escape never grows. */
    size_t size_max = 0;
    if (__builtin_mul_overflow(raw.size, 3, &size_max))
        return ERR_TOO_LARGE;
    uint8_t *bytes = arena_alloc(arena, size_max);
    if (!bytes)
        return ERR_NO_MEMORY;
    size_t size = 0;
    size_t at = 0;
    while (at < raw.size) {
        int32_t point;
        if (raw.data[at] == '\\') {
            at++;
            point = take_escape(raw, &at);
        } else {
            point = text_utf8_next(raw, &at);
        }
        size += put_utf8(bytes + size, point);
    }
    *out = slice_make(bytes, size);
    return ERR_OK;
}

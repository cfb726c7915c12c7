// Growing text, JSON strings, UTF-8 and strict numbers.
// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TEXT_CAPACITY_MIN 64

/* Room for more bytes and a NUL; sets failed when there is none. */
static bool reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    size_t needed;
    if (__builtin_add_overflow(text->size, more, &needed) || needed > SIZE_MAX / 2 - 1) {
        text->failed = true;
        return false;
    }
    needed++;
    if (needed <= text->capacity)
        return true;
    size_t capacity = MAX(MAX(text->capacity * 2, needed), TEXT_CAPACITY_MIN);
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_init(struct text *text)
{
    *text = (struct text){0};
}

void text_deinit(struct text *text)
{
    free(text->data);
    text_init(text);
}

void text_clear(struct text *text)
{
    text->size = 0;
    text->failed = false;
    if (text->data)
        text->data[0] = 0;
}

void text_add(struct text *text, struct slice bytes)
{
    if (!reserve(text, bytes.size))
        return;
    if (bytes.size > 0)
        memcpy(text->data + text->size, bytes.data, bytes.size);
    text->size += bytes.size;
    text->data[text->size] = 0;
}

void text_add_text(struct text *text, const char *more)
{
    text_add(text, slice_text(more));
}

void text_add_format(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    char *at = text->data ? text->data + text->size : NULL;
    size_t room = text->capacity - text->size;
    int size = text->failed ? -1 : vsnprintf(at, room, format, args);
    va_end(args);
    if (size >= 0 && (size_t)size >= room && reserve(text, (size_t)size))
        size = vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
    va_end(again);
    if (size < 0)
        text->failed = true;
    if (!text->failed)
        text->size += (size_t)size;
    else if (text->data)
        text->data[text->size] = 0; /* the first attempt may have written behind the end */
}

static void add_json_escape(struct text *text, uint8_t c)
{
    static const char shorts[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = memchr(shorts, c, sizeof(shorts) - 1);
    if (found)
        text_add(text, slice_make((char[]){'\\', letters[found - shorts]}, 2));
    else
        text_add_format(text, "\\u%04x", c);
}

void text_add_json(struct text *text, struct slice bytes)
{
    /* all or nothing, as every addition */
    size_t size_before = text->size;
    text_add_text(text, "\"");
    size_t plain = 0;
    for (size_t position = 0; position < bytes.size;) {
        size_t start = position;
        int32_t point = text_utf8_next(bytes, &position);
        if (point >= 0x20 && point != '"' && point != '\\')
            continue;
        text_add(text, slice_make(bytes.data + plain, start - plain));
        plain = position;
        if (point < 0)
            text_add_text(text, "\xef\xbf\xbd");
        else
            add_json_escape(text, (uint8_t)point);
    }
    if (bytes.size > plain)
        text_add(text, slice_make(bytes.data + plain, bytes.size - plain));
    text_add_text(text, "\"");
    if (text->failed && text->data) {
        text->size = size_before;
        text->data[size_before] = 0;
    }
}

struct slice text_slice(const struct text *text)
{
    return slice_make(text->data ? text->data : "", text->size);
}

static bool parse_digits(struct slice text, uint64_t *out)
{
    if (text.size == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool text_parse_u64(struct slice text, uint64_t *out)
{
    return parse_digits(text, out);
}

bool text_parse_i64(struct slice text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    if (negative)
        text = slice_make(text.data + 1, text.size - 1);
    uint64_t value;
    if (!parse_digits(text, &value) || value > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)-value : (int64_t)value;
    return true;
}

static size_t skip_digits(struct slice text, size_t position)
{
    while (position < text.size && text.data[position] >= '0' && text.data[position] <= '9')
        position++;
    return position;
}

/* -?digits[.digits][(e|E)[+|-]digits] */
static bool is_decimal(struct slice text)
{
    size_t i = text.size > 0 && text.data[0] == '-';
    size_t end = skip_digits(text, i);
    if (end == i)
        return false;
    if (end < text.size && text.data[end] == '.') {
        i = end + 1;
        end = skip_digits(text, i);
        if (end == i)
            return false;
    }
    if (end < text.size && (text.data[end] | 0x20) == 'e') {
        i = end + 1;
        if (i < text.size && (text.data[i] == '+' || text.data[i] == '-'))
            i++;
        end = skip_digits(text, i);
        if (end == i)
            return false;
    }
    return end == text.size;
}

bool text_parse_double(struct slice text, double *out)
{
    char copy[TEXT_DOUBLE_SIZE_MAX + 1];
    if (text.size > TEXT_DOUBLE_SIZE_MAX || !is_decimal(text))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    double value = strtod(copy, NULL);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

bool text_parse_bool(struct slice text, bool *out)
{
    bool is_true = text.size == 4 && strncasecmp((const char *)text.data, "true", 4) == 0;
    bool is_false = text.size == 5 && strncasecmp((const char *)text.data, "false", 5) == 0;
    if (is_true || is_false)
        *out = is_true;
    return is_true || is_false;
}

/* What may follow the first byte of a UTF-8 sequence; count 0: it is no first byte. The second
 * byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF. */
struct utf8_lead {
    unsigned count;
    uint8_t second_min;
    uint8_t second_max;
};

static struct utf8_lead utf8_lead(uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xdf)
        return (struct utf8_lead){1, 0x80, 0xbf};
    if (byte >= 0xe0 && byte <= 0xef)
        return (struct utf8_lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    if (byte >= 0xf0 && byte <= 0xf4)
        return (struct utf8_lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    return (struct utf8_lead){0};
}

int32_t text_utf8_next(struct slice text, size_t *position)
{
    CHECK(*position < text.size);
    uint8_t first = text.data[(*position)++];
    if (first < 0x80)
        return first;
    struct utf8_lead lead = utf8_lead(first);
    if (lead.count == 0)
        return -1;
    int32_t point = first & (0x3f >> lead.count);
    for (unsigned i = 0; i < lead.count; i++) {
        uint8_t min = i == 0 ? lead.second_min : 0x80;
        uint8_t max = i == 0 ? lead.second_max : 0xbf;
        if (*position == text.size || text.data[*position] < min || text.data[*position] > max)
            return -1;
        point = (point << 6) | (text.data[(*position)++] & 0x3f);
    }
    return point;
}

bool text_is_utf8(struct slice text)
{
    for (size_t position = 0; position < text.size;) {
        if (text_utf8_next(text, &position) < 0)
            return false;
    }
    return true;
}

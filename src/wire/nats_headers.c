// The header block of a NATS message.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_headers.h"

#define VERSION      "NATS/1.0"
#define VERSION_SIZE 8

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = slice_make(text.data + 1, text.size - 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* Cuts a line off *rest, without its CRLF; false when there is no CRLF. */
static bool next_line(struct slice *rest, struct slice *out)
{
    const uint8_t *at = rest->data;
    size_t left = rest->size;
    while (left >= 2) {
        const uint8_t *found = memchr(at, '\r', left - 1);
        if (!found)
            return false;
        left -= (size_t)(found - at);
        at = found;
        if (found[1] == '\n') {
            *out = slice_make(rest->data, (size_t)(found - rest->data));
            *rest = slice_make(found + 2, left - 2);
            return true;
        }
        at++;
        left--;
    }
    return false;
}

/* " 503", " 503 No Responders"; empty: no status. */
static bool read_status(struct slice text, struct wire_nats_headers *out)
{
    text = trim(text);
    if (text.size == 0)
        return true;
    int status = 0;
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
        if (digits == 3)
            return false;
        status = status * 10 + (text.data[digits++] - '0');
    }
    if (digits != 3 || status == 0 || (text.size > 3 && !is_blank(text.data[3])))
        return false;
    out->status = status;
    struct slice description = trim(slice_make(text.data + 3, text.size - 3));
    if (description.size > 0)
        out->description = description;
    return true;
}

enum err wire_nats_headers_start(struct slice block, struct wire_nats_headers *out)
{
    struct wire_nats_headers headers = {.block = block, .rest = block};
    struct slice line;
    if (block.size < VERSION_SIZE || memcmp(block.data, VERSION, VERSION_SIZE) != 0)
        return ERR_INVALID;
    if (!next_line(&headers.rest, &line))
        return ERR_INVALID;
    struct slice status = slice_make(line.data + VERSION_SIZE, line.size - VERSION_SIZE);
    if ((status.size > 0 && !is_blank(status.data[0])) || !read_status(status, &headers))
        return ERR_INVALID;
    *out = headers;
    return ERR_OK;
}

bool wire_nats_headers_next(struct wire_nats_headers *headers, struct wire_nats_header *out)
{
    struct slice rest = headers->rest;
    struct slice line;
    if (!next_line(&rest, &line) || line.size == 0)
        return false;
    const uint8_t *colon = memchr(line.data, ':', line.size);
    if (!colon || colon == line.data)
        return false;
    size_t size = (size_t)(colon - line.data);
    out->name = slice_make(line.data, size);
    out->value = trim(slice_make(colon + 1, line.size - size - 1));
    out->line = slice_make(line.data, line.size + 2);
    headers->rest = rest;
    return true;
}

/* RFC 7230's token characters besides letters and digits. */
static bool is_name_byte(uint8_t byte)
{
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
        (byte >= 'a' && byte <= 'z'))
        return true;
    return byte != 0 && byte < 0x80 && strchr("!#$%&'*+-.^_`|~", byte);
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!is_name_byte(name.data[i]))
            return false;
    return name.size > 0;
}

static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.size; i++)
        if ((value.data[i] < 0x20 && value.data[i] != '\t') || value.data[i] == 0x7f)
            return false;
    return true;
}

enum err wire_nats_headers_check(struct slice block)
{
    struct wire_nats_headers headers;
    struct wire_nats_header header;
    if (wire_nats_headers_start(block, &headers) || !is_value(headers.description))
        return ERR_INVALID;
    while (wire_nats_headers_next(&headers, &header))
        if (!is_name(header.name) || !is_value(header.value))
            return ERR_INVALID;
    return slice_equal(headers.rest, SLICE_LITERAL("\r\n")) ? ERR_OK : ERR_INVALID;
}

bool wire_nats_headers_find(struct slice block, const char *name, struct slice *out_value)
{
    struct wire_nats_headers headers;
    struct wire_nats_header header;
    if (wire_nats_headers_start(block, &headers))
        return false;
    while (wire_nats_headers_next(&headers, &header)) {
        if (!slice_equal_text(header.name, name))
            continue;
        *out_value = header.value;
        return true;
    }
    return false;
}

static bool is_named(struct slice name, struct slice wanted, bool is_prefix)
{
    if (is_prefix && name.size > wanted.size)
        name.size = wanted.size;
    return slice_equal(name, wanted);
}

size_t wire_nats_headers_strip(struct slice block, struct slice name, bool is_prefix, uint8_t *out)
{
    struct wire_nats_headers headers;
    struct wire_nats_header header;
    if (wire_nats_headers_start(block, &headers)) {
        memmove(out, block.data, block.size);
        return block.size;
    }
    size_t size = block.size - headers.rest.size;
    size_t kept = 0;
    memmove(out, block.data, size);
    while (wire_nats_headers_next(&headers, &header)) {
        if (is_named(header.name, name, is_prefix))
            continue;
        memmove(out + size, header.line.data, header.line.size);
        size += header.line.size;
        kept++;
    }
    /* What stopped the walk is the end, or lines that are no fields: they stay as they are. */
    bool only_end = headers.rest.size <= 2;
    if (kept == 0 && headers.status == 0 && only_end)
        return 0;
    memmove(out + size, headers.rest.data, headers.rest.size);
    return size + headers.rest.size;
}

void wire_nats_headers_begin(struct wire_writer *writer, int status, struct slice description)
{
    wire_writer_append(writer, SLICE_LITERAL(VERSION));
    if (status < 0 || status > 999 || !is_value(description)) {
        wire_writer_fail(writer, ERR_INVALID);
        return;
    }
    if (status > 0) {
        char digits[4] = {' ', (char)('0' + status / 100), (char)('0' + status / 10 % 10),
                          (char)('0' + status % 10)};
        wire_writer_append(writer, slice_make(digits, sizeof(digits)));
        if (description.size > 0) {
            wire_writer_append(writer, SLICE_LITERAL(" "));
            wire_writer_append(writer, description);
        }
    }
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

void wire_nats_headers_add(struct wire_writer *writer, struct slice name, struct slice value)
{
    if (!is_name(name) || !is_value(value)) {
        wire_writer_fail(writer, ERR_INVALID);
        return;
    }
    wire_writer_append(writer, name);
    wire_writer_append(writer, SLICE_LITERAL(": "));
    wire_writer_append(writer, value);
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

void wire_nats_headers_end(struct wire_writer *writer)
{
    wire_writer_append(writer, SLICE_LITERAL("\r\n"));
}

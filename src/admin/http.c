// Parses requests, writes heads of answers.
// SPDX-License-Identifier: Apache-2.0
#include "admin/http.h"

/* Cuts up to the separator off *rest; the separator goes too. False: it is not there. */
static bool cut(struct slice *rest, const char *separator, struct slice *out)
{
    size_t size = strlen(separator);
    const uint8_t *found = rest->size ? memmem(rest->data, rest->size, separator, size) : NULL;
    if (!found)
        return false;
    *out = slice_make(rest->data, (size_t)(found - rest->data));
    *rest = slice_make(found + size, rest->size - out->size - size);
    return true;
}

static bool equal_nocase(struct slice a, const char *b)
{
    size_t size = strlen(b);
    if (a.size != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a.data[i];
        if (byte >= 'A' && byte <= 'Z')
            byte |= 0x20;
        if (byte != (uint8_t)b[i])
            return false;
    }
    return true;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_make(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static enum err parse_field(struct slice line, struct admin_http_request *out)
{
    struct slice name;
    if (!cut(&line, ":", &name) || name.size == 0 || trim(name).size != name.size)
        return ERR_INVALID;
    struct slice value = trim(line);
    if (equal_nocase(name, "connection") && equal_nocase(value, "close"))
        out->keep_alive = false;
    if (equal_nocase(name, "connection") && equal_nocase(value, "keep-alive"))
        out->keep_alive = true;
    if (equal_nocase(name, "transfer-encoding"))
        return ERR_INVALID;
    if (equal_nocase(name, "content-length") && !slice_equal_text(value, "0"))
        return ERR_INVALID;
    return ERR_OK;
}

static enum err parse_line(struct slice line, struct admin_http_request *out)
{
    struct slice target;
    if (!cut(&line, " ", &out->method) || !cut(&line, " ", &target))
        return ERR_INVALID;
    if (out->method.size == 0 || target.size == 0 || target.data[0] != '/')
        return ERR_INVALID;
    if (slice_equal_text(line, "HTTP/1.1"))
        out->keep_alive = true;
    else if (!slice_equal_text(line, "HTTP/1.0"))
        return ERR_INVALID;
    out->query = SLICE_NULL;
    out->path = target;
    const uint8_t *mark = memchr(target.data, '?', target.size);
    if (mark) {
        out->path.size = (size_t)(mark - target.data);
        out->query = slice_make(mark + 1, target.size - out->path.size - 1);
    }
    return ERR_OK;
}

enum err admin_http_parse(struct slice input, struct admin_http_request *out)
{
    struct slice rest = slice_make(input.data, MIN(input.size, (size_t)ADMIN_HTTP_HEAD_SIZE_MAX));
    struct slice head;
    struct slice line;
    if (!cut(&rest, "\r\n\r\n", &head))
        return input.size >= ADMIN_HTTP_HEAD_SIZE_MAX ? ERR_TOO_LARGE : ERR_AGAIN;
    *out = (struct admin_http_request){.consumed = head.size + 4};
    head.size += 2; /* every line has its end */
    if (!cut(&head, "\r\n", &line))
        return ERR_INVALID;
    enum err err = parse_line(line, out);
    while (!err && head.size > 0 && cut(&head, "\r\n", &line))
        err = parse_field(line, out);
    return err;
}

bool admin_http_query(struct slice query, const char *name, struct slice *out)
{
    size_t size = strlen(name);
    while (query.size > 0) {
        struct slice part = query;
        if (!cut(&query, "&", &part))
            query = SLICE_NULL;
        if (part.size > size && memcmp(part.data, name, size) == 0 && part.data[size] == '=') {
            *out = slice_make(part.data + size + 1, part.size - size - 1);
            return true;
        }
    }
    return false;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool admin_http_decode(struct slice text, uint8_t *out, struct slice *out_text)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%') {
            if (text.size - i < 3)
                return false;
            int high = hex_digit(text.data[i + 1]);
            int low = hex_digit(text.data[i + 2]);
            if (high < 0 || low < 0)
                return false;
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        out[size++] = byte;
    }
    *out_text = slice_make(out, size);
    return true;
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void admin_http_add_head(struct text *out, int status, const char *content_type, size_t size,
                         bool keep_alive)
{
    text_add_format(out,
                    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                    "Connection: %s\r\nCache-Control: no-store\r\n\r\n",
                    status, status_text(status), content_type, size,
                    keep_alive ? "keep-alive" : "close");
}

// The head of an HTTP/1.1 request, and of an answer.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/text.h"

#define ADMIN_HTTP_HEAD_SIZE_MAX 8192

struct admin_http_request {
    struct slice method;
    struct slice path;  /* without the query */
    struct slice query; /* without '?'; null: none */
    bool keep_alive;
    size_t consumed; /* bytes of the whole request */
};

/* Parses the request at the start of input; slices point into it. ERR_AGAIN: it has not ended yet.
 * ERR_TOO_LARGE: its head exceeds the limit. ERR_INVALID: no request, or one with a body. */
NODISCARD enum err admin_http_parse(struct slice input, struct admin_http_request *out);
/* The value of name in a query, as written; false: it is not there. */
bool admin_http_query(struct slice query, const char *name, struct slice *out);
/* What a value of a query means: %XX is a byte, '+' a blank. out has room for text.size bytes;
 * false:
 * '%' without two digits. */
NODISCARD bool admin_http_decode(struct slice text, uint8_t *out, struct slice *out_text);
/* Adds status line and headers for a body of that size. */
void admin_http_add_head(struct text *out, int status, const char *content_type, size_t size,
                         bool keep_alive);

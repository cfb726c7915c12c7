// Growing text, UTF-8, and strict parsing of numbers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

/* Always NUL-terminated once something was added. After a failed allocation it stays as it was and
 * failed is set, so that a chain of additions needs one check. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
    bool failed;
};

void text_init(struct text *text);
void text_deinit(struct text *text);
void text_clear(struct text *text);
void text_add(struct text *text, struct slice bytes);
void text_add_text(struct text *text, const char *more);
void text_add_format(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
/* Adds "..." with quotes and JSON escapes. Invalid UTF-8 becomes U+FFFD. */
void text_add_json(struct text *text, struct slice bytes);
struct slice text_slice(const struct text *text);

/* Whole input, decimal, optional '-'; false on anything else or overflow. */
NODISCARD bool text_parse_i64(struct slice text, int64_t *out);
NODISCARD bool text_parse_u64(struct slice text, uint64_t *out);
/* [-]digits[.digits][e[+-]digits], at most TEXT_DOUBLE_SIZE_MAX bytes; the result is finite. */
#define TEXT_DOUBLE_SIZE_MAX 400
NODISCARD bool text_parse_double(struct slice text, double *out);
/* true/false, any case. */
NODISCARD bool text_parse_bool(struct slice text, bool *out);
/* The code point at *position (< text.size), which moves behind it; -1 for an invalid sequence, of
 * which the longest valid start is skipped (as Unicode's U+FFFD practice and Java do). */
int32_t text_utf8_next(struct slice text, size_t *position);
/* Valid UTF-8 (no surrogates, no overlong forms). */
bool text_is_utf8(struct slice text);

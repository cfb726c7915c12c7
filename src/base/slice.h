// A borrowed range of bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>
#include <string.h>

#include "base/check.h"

/* Does not own its bytes. data == NULL means null, which differs from empty where a protocol says
 * so. */
struct slice {
    const uint8_t *data;
    size_t size;
};

#define SLICE_NULL          ((struct slice){NULL, 0})
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){data, size};
}

static inline struct slice slice_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_text(text));
}

/* Bytewise order, the shorter first on a tie: < 0, 0, > 0. */
int slice_compare(struct slice a, struct slice b);

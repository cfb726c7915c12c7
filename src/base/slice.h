// A borrowed range of bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "base/endian.h"

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

/* The same without a call, for short ones: by words, the last of which may overlap the one before
 * it. */
static inline bool slice_equal_short(struct slice a, struct slice b)
{
    size_t at = 0;
    if (a.size != b.size)
        return false;
    if (a.size >= 8) {
        for (; a.size - at > 8; at += 8)
            if (le64_get(a.data + at) != le64_get(b.data + at))
                return false;
        at = a.size - 8;
        return le64_get(a.data + at) == le64_get(b.data + at);
    }
    if (a.size >= 4) {
        at = a.size - 4;
        return le32_get(a.data) == le32_get(b.data) &&
               le32_get(a.data + at) == le32_get(b.data + at);
    }
    while (at < a.size && a.data[at] == b.data[at])
        at++;
    return at == a.size;
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_text(text));
}

/* Bytewise order, the shorter first on a tie: < 0, 0, > 0. */
int slice_compare(struct slice a, struct slice b);

// Finds the end of a word in text, eight bytes a step.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

#include "base/endian.h"

/* Marks, by their top bits, bytes that are not above ' '. Only the lowest mark is to be trusted: a
 * borrow may mark bytes above it. */
static inline uint64_t scan_marks(uint64_t bytes)
{
    return (bytes - UINT64_C(0x2121212121212121)) & ~bytes & UINT64_C(0x8080808080808080);
}

/* The first byte from at on that ends a word: a blank, a line's end or another byte not above ' ';
 * end when there is none. Nothing from end on is read. */
static inline const uint8_t *scan_word(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t marks = scan_marks(le64_get(at));
        if (marks != 0)
            return at + __builtin_ctzll(marks) / 8;
    }
    while (at != end && *at > ' ')
        at++;
    return at;
}

// RFC 4648, the standard alphabet.
// SPDX-License-Identifier: Apache-2.0
#include "cli/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void cli_base64_add(struct text *out, struct slice bytes, bool padded)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = MIN(bytes.size - i, (size_t)3);
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        char four[4] = {letters[group >> 18], letters[group >> 12 & 63],
                        left > 1 ? letters[group >> 6 & 63] : '=',
                        left > 2 ? letters[group & 63] : '='};
        text_add(out, slice_make(four, padded ? 4 : left + 1));
    }
}

void cli_base64_add_hex(struct text *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        text_add_format(out, "%02x", bytes.data[i]);
}

bool cli_base64_decode(struct slice text, struct arena *arena, struct slice *out)
{
    while (text.size > 0 && text.data[text.size - 1] == '=')
        text.size--;
    if (text.size % 4 == 1)
        return false;
    uint8_t *bytes = arena_alloc(arena, text.size / 4 * 3 + 3);
    size_t size = 0;
    uint32_t group = 0;
    if (!bytes)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const char *letter = text.data[i] ? strchr(letters, text.data[i]) : NULL;
        if (!letter)
            return false;
        group = group << 6 | (uint32_t)(letter - letters);
        if (i % 4 == 0)
            continue;
        unsigned shift = (unsigned)(6 - i % 4 * 2);
        bytes[size++] = (uint8_t)(group >> shift);
    }
    *out = slice_make(bytes, size);
    return true;
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool cli_base64_decode_hex(struct slice text, struct arena *arena, struct slice *out)
{
    uint8_t *bytes = arena_alloc(arena, text.size / 2 + 1);
    if (!bytes || text.size % 2 != 0)
        return false;
    for (size_t i = 0; i < text.size; i += 2) {
        int high = digit_of(text.data[i]), low = digit_of(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out = slice_make(bytes, text.size / 2);
    return true;
}

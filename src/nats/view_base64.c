// Writes and reads base64.
// SPDX-License-Identifier: Apache-2.0
#include "nats/view_base64.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t nats_view_base64_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

void nats_view_base64_write(struct slice bytes, uint8_t *out)
{
    for (size_t i = 0; i < bytes.size; i += 3, out += 4) {
        size_t left = bytes.size - i;
        uint32_t bits = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            bits |= bytes.data[i + 2];
        out[0] = (uint8_t)ALPHABET[bits >> 18];
        out[1] = (uint8_t)ALPHABET[bits >> 12 & 63];
        out[2] = (uint8_t)(left > 1 ? ALPHABET[bits >> 6 & 63] : '=');
        out[3] = (uint8_t)(left > 2 ? ALPHABET[bits & 63] : '=');
    }
}

static int digit(uint8_t byte)
{
    const char *at = byte ? strchr(ALPHABET, byte) : NULL;
    return at ? (int)(at - ALPHABET) : -1;
}

bool nats_view_base64_read(struct slice text, uint8_t *out, size_t *out_size)
{
    size_t size = 0;
    if (text.size % 4 != 0)
        return false;
    for (size_t i = 0; i < text.size; i += 4) {
        uint32_t bits = 0;
        unsigned count = 4;
        while (i + 4 == text.size && count > 2 && text.data[i + count - 1] == '=')
            count--;
        for (unsigned j = 0; j < 4; j++) {
            int value = j < count ? digit(text.data[i + j]) : 0;
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        if ((count == 2 && (bits & 0xffff)) || (count == 3 && (bits & 0xff)))
            return false;
        for (unsigned j = 0; j + 1 < count; j++)
            out[size++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    *out_size = size;
    return true;
}

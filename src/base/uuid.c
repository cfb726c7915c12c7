// 128-bit identifiers: making, printing and reading them.
// SPDX-License-Identifier: Apache-2.0
#include "base/uuid.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

struct uuid uuid_from_random(const uint8_t random[16])
{
    struct uuid uuid;
    memcpy(uuid.bytes, random, sizeof(uuid.bytes));
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    /* a leading '-' would look like an option on a command line */
    if (digits[uuid.bytes[0] >> 2] == '-')
        uuid.bytes[0] &= 0x7f;
    return uuid;
}

void uuid_to_text(const struct uuid *uuid, char out[UUID_TEXT_SIZE + 1])
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t size = 0;
    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        bits = (bits << 8) | uuid->bytes[i];
        count += 8;
        while (count >= 6) {
            count -= 6;
            out[size++] = digits[(bits >> count) & 63];
        }
    }
    out[size++] = digits[(bits << (6 - count)) & 63];
    out[size] = 0;
}

bool uuid_from_text(struct slice text, struct uuid *out)
{
    if (text.size != UUID_TEXT_SIZE)
        return false;
    struct uuid uuid;
    uint32_t bits = 0;
    unsigned count = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = digit_value(text.data[i]);
        if (value < 0)
            return false;
        bits = (bits << 6) | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            uuid.bytes[size++] = (uint8_t)(bits >> count);
        }
    }
    if ((bits & ((1u << count) - 1)) != 0)
        return false;
    *out = uuid;
    return true;
}

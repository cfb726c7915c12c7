// 128-bit identifiers and their base64url text form, as Kafka prints topic ids.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

struct uuid {
    uint8_t bytes[16];
};

#define UUID_TEXT_SIZE 22

static inline bool uuid_is_zero(const struct uuid *uuid)
{
    static const uint8_t zero[16];
    return memcmp(uuid->bytes, zero, sizeof(zero)) == 0;
}

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Version 4 from 16 random bytes; its text never starts with '-'. */
struct uuid uuid_from_random(const uint8_t random[16]);
/* Writes UUID_TEXT_SIZE characters and a NUL. */
void uuid_to_text(const struct uuid *uuid, char out[UUID_TEXT_SIZE + 1]);
NODISCARD bool uuid_from_text(struct slice text, struct uuid *out);

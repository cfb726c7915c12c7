// Unaligned big-endian and little-endian integers in byte buffers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define ENDIAN_PAIR(order, bits)                                                                   \
    static inline uint##bits##_t order##bits##_get(const void *from)                               \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        memcpy(&value, from, sizeof(value));                                                       \
        return order##bits##toh(value);                                                            \
    }                                                                                              \
    static inline void order##bits##_put(void *to, uint##bits##_t value)                           \
    {                                                                                              \
        value = hto##order##bits(value);                                                           \
        memcpy(to, &value, sizeof(value));                                                         \
    }

/* be16_get, be16_put, be32_get ... le64_put */
ENDIAN_PAIR(be, 16)
ENDIAN_PAIR(be, 32)
ENDIAN_PAIR(be, 64)
ENDIAN_PAIR(le, 16)
ENDIAN_PAIR(le, 32)
ENDIAN_PAIR(le, 64)
#undef ENDIAN_PAIR

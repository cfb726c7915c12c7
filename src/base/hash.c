// murmur2, Java's string hash and SipHash-2-4.
// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include "base/endian.h"
#include "base/text.h"

#define MURMUR2_SEED       0x9747b28cu
#define MURMUR2_MULTIPLIER 0x5bd1e995u

uint32_t hash_murmur2(struct slice bytes)
{
    uint32_t hash = MURMUR2_SEED ^ (uint32_t)bytes.size;
    const uint8_t *data = bytes.data;
    size_t left = bytes.size;
    for (; left >= 4; left -= 4, data += 4) {
        uint32_t word = le32_get(data) * MURMUR2_MULTIPLIER;
        word = (word ^ (word >> 24)) * MURMUR2_MULTIPLIER;
        hash = hash * MURMUR2_MULTIPLIER ^ word;
    }
    if (left > 0) {
        for (size_t i = 0; i < left; i++)
            hash ^= (uint32_t)data[i] << (8 * i);
        hash *= MURMUR2_MULTIPLIER;
    }
    hash = (hash ^ (hash >> 13)) * MURMUR2_MULTIPLIER;
    return hash ^ (hash >> 15);
}

int32_t hash_java_string(struct slice text)
{
    uint32_t hash = 0;
    for (size_t position = 0; position < text.size;) {
        int32_t decoded = text_utf8_next(text, &position);
        uint32_t point = decoded < 0 ? 0xfffd : (uint32_t)decoded;
        if (point > 0xffff) {
            hash = hash * 31 + (0xd800 + ((point - 0x10000) >> 10));
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + point;
    }
    return (int32_t)hash;
}

uint32_t hash_java_magnitude(struct slice text)
{
    int32_t hash = hash_java_string(text);
    if (hash == INT32_MIN)
        return 0;
    return (uint32_t)(hash < 0 ? -hash : hash);
}

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t value, unsigned count)
{
    return (value << count) | (value >> (64 - count));
}

static inline void sip_round(struct sip *v)
{
    v->a += v->b;
    v->c += v->d;
    v->b = rotate(v->b, 13) ^ v->a;
    v->d = rotate(v->d, 16) ^ v->c;
    v->a = rotate(v->a, 32);
    v->c += v->b;
    v->a += v->d;
    v->b = rotate(v->b, 17) ^ v->c;
    v->d = rotate(v->d, 21) ^ v->a;
    v->c = rotate(v->c, 32);
}

static inline void sip_word(struct sip *v, uint64_t word)
{
    v->d ^= word;
    sip_round(v);
    sip_round(v);
    v->a ^= word;
}

uint64_t hash_siphash(const uint64_t key[2], struct slice bytes)
{
    struct sip v = {
        key[0] ^ 0x736f6d6570736575u,
        key[1] ^ 0x646f72616e646f6du,
        key[0] ^ 0x6c7967656e657261u,
        key[1] ^ 0x7465646279746573u,
    };
    const uint8_t *data = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; left -= 8, data += 8)
        sip_word(&v, le64_get(data));
    uint64_t last = (uint64_t)bytes.size << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)data[i] << (8 * i);
    sip_word(&v, last);
    v.c ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

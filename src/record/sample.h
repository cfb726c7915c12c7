// Batches written by another implementation (kafka-python 2.0.2), and what tests do with them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include "base/slice.h"

/* The same four records plain, and as a transactional gzip batch of producer 4242, epoch 7, first
 * sequence 99. */
#define SAMPLE_PLAIN                                                                               \
    "00000000000000000000018300000000026d11b0b20000000000030000018bcfe568000000018bcf"             \
    "e56cd2ffffffffffffffffffffffffffff000000043e0000000a6b65792d311276616c7565206f6e"             \
    "650604683102610468320100000e00cf0f020100002000e807040001020a74726163650400ffae04"             \
    "00a413068c016b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b"             \
    "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b90037676"             \
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676"             \
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676"             \
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676"             \
    "76767676767676767676767676767676767676767676767676767676767676767676767676767676"             \
    "767676767676767676767676767676767676767676767676767676767676767676767676767600"
#define SAMPLE_GZIP                                                                                \
    "00000000000000000000008e0000000002621c686e0011000000030000018bcfe568000000018bcf"             \
    "e56cd20000000000001092000700000063000000041f8b08000f10036b02ffb3636060e0ca4eadd4"             \
    "35142a4bcc294d55c8cf4b6563c930644a64c930626460e06338cfcf04a415185eb0b33030327195"             \
    "142526a7b230fc5fc7c2b04498ad87319b2a600273d930010c00c0edbcd852010000"

#define SAMPLE_SIZE_MAX 1024

struct sample {
    uint8_t bytes[SAMPLE_SIZE_MAX];
    size_t size;
};

static inline uint8_t sample_digit(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static inline struct sample sample_from_hex(const char *hex)
{
    struct sample sample = {.size = strlen(hex) / 2};
    CHECK(sample.size <= SAMPLE_SIZE_MAX);
    for (size_t i = 0; i < sample.size; i++)
        sample.bytes[i] = (uint8_t)(sample_digit(hex[2 * i]) << 4 | sample_digit(hex[2 * i + 1]));
    return sample;
}

static inline struct slice sample_slice(const struct sample *sample)
{
    return slice_make(sample->bytes, sample->size);
}

/* An exact copy on the heap, so that the address sanitizer sees a read beyond its end. */
static inline uint8_t *sample_copy(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.size + (bytes.size == 0));
    CHECK(copy);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

/* Repeatable numbers (splitmix64). */
static inline uint64_t sample_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

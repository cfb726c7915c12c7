// Deterministic pseudo-random numbers for the fake (SplitMix64).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include "base/check.h"

struct os_fake_random {
    uint64_t state;
};

static inline uint64_t os_fake_random_next(struct os_fake_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* 0 <= result < limit; limit > 0. */
static inline uint64_t os_fake_random_below(struct os_fake_random *random, uint64_t limit)
{
    CHECK(limit > 0);
    return os_fake_random_next(random) % limit;
}

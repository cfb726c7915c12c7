// What the tests of the interest share: random numbers, subscriptions by literals, short questions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/interest.h"

static inline uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A subscription by two literals; "" is no queue. */
#define SUB(subject_name, queue_name)                                                              \
    {                                                                                              \
        .text = (const uint8_t *)subject_name queue_name,                                          \
        .subject_size = sizeof(subject_name) - 1, .queue_size_low = sizeof(queue_name) - 1         \
    }

static inline struct interest *new_interest(void)
{
    struct interest_options options = {.seed = {1, 2}};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    return interest;
}

static inline const struct interest_match *match_of(struct interest *interest, const char *subject)
{
    const struct interest_match *match = NULL;
    assert_int_equal(broker_interest_match(interest, slice_text(subject), &match), ERR_OK);
    return match;
}

static inline uint64_t nodes_of(const struct interest *interest)
{
    struct interest_stats stats;
    broker_interest_stats(interest, &stats);
    return stats.nodes;
}

// Bounded ring between one producer thread and one consumer thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

/* Holds pointers. Producer and consumer indices lie on cache lines of their own. */
struct ring {
    void **slots;
    size_t mask;
    _Alignas(64) _Atomic size_t head; /* consumer */
    size_t tail_seen;
    _Alignas(64) _Atomic size_t tail; /* producer */
    size_t head_seen;
};

/* capacity is rounded up to a power of two. False: out of memory. */
NODISCARD bool ring_init(struct ring *ring, size_t capacity);
void ring_deinit(struct ring *ring);
/* Producer only; false when full. */
NODISCARD bool ring_push(struct ring *ring, void *item);
/* Consumer only; NULL when empty. */
void *ring_pop(struct ring *ring);
/* Either side; a hint. */
bool ring_empty(const struct ring *ring);

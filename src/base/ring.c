// The single-producer, single-consumer ring.
// SPDX-License-Identifier: Apache-2.0
#include "base/ring.h"

#include <stdlib.h>

#define RING_CAPACITY_MAX ((size_t)1 << 30)

bool ring_init(struct ring *ring, size_t capacity)
{
    CHECK(capacity <= RING_CAPACITY_MAX);
    size_t rounded = 1;
    while (rounded < capacity)
        rounded *= 2;
    void **slots = calloc(rounded, sizeof(*slots));
    if (!slots)
        return false;
    ring->slots = slots;
    ring->mask = rounded - 1;
    ring->tail_seen = 0;
    ring->head_seen = 0;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    return true;
}

void ring_deinit(struct ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

bool ring_push(struct ring *ring, void *item)
{
    CHECK(item != NULL);
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask)
            return false;
    }
    ring->slots[tail & ring->mask] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

void *ring_pop(struct ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen)
            return NULL;
    }
    void *item = ring->slots[head & ring->mask];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

bool ring_empty(const struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_acquire) ==
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}

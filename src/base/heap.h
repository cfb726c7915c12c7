// Intrusive min-heap (pairing heap) keyed by a 64-bit number; timers live in it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>

#include "base/check.h"

struct heap_node {
    struct heap_node *child;
    struct heap_node *next;
    struct heap_node *prev; /* parent for a first child */
    uint64_t key;
    bool linked;
};

struct heap {
    struct heap_node *root;
    size_t count;
};

void heap_init(struct heap *heap);
void heap_node_init(struct heap_node *node);
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);
/* Harmless on a node that is not in the heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* Smallest key, or NULL. */
struct heap_node *heap_first(const struct heap *heap);

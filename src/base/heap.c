// The pairing heap.
// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

/* Both are roots without siblings, or NULL; returns the one root. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->key < a->key) {
        struct heap_node *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

static struct heap_node *detach(struct heap_node *node)
{
    node->next = NULL;
    node->prev = NULL;
    return node;
}

/* Melds siblings in pairs from the left, then the pairs from the right. */
static struct heap_node *meld_siblings(struct heap_node *first)
{
    struct heap_node *pairs = NULL;
    while (first) {
        struct heap_node *a = first;
        struct heap_node *b = a->next;
        first = b ? b->next : NULL;
        detach(a);
        struct heap_node *pair = b ? meld(a, detach(b)) : a;
        pair->next = pairs;
        pairs = pair;
    }
    struct heap_node *root = NULL;
    while (pairs) {
        struct heap_node *pair = pairs;
        pairs = pair->next;
        root = meld(root, detach(pair));
    }
    return root;
}

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_node_init(struct heap_node *node)
{
    *node = (struct heap_node){0};
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    CHECK(!node->linked);
    *node = (struct heap_node){.key = key, .linked = true};
    heap->root = meld(heap->root, node);
    heap->count++;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!node->linked)
        return;
    struct heap_node *below = meld_siblings(node->child);
    if (heap->root == node) {
        heap->root = below;
    } else {
        if (node->prev->child == node)
            node->prev->child = node->next;
        else
            node->prev->next = node->next;
        if (node->next)
            node->next->prev = node->prev;
        heap->root = meld(heap->root, below);
    }
    heap->count--;
    heap_node_init(node);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->root;
}

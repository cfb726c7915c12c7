// Intrusive balanced tree (AVL) ordered by a caller's comparison.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>

#include "base/check.h"

struct tree_node {
    struct tree_node *left;
    struct tree_node *right;
    struct tree_node *parent;
    int balance;
};

typedef int (*tree_compare_fn)(const struct tree_node *a, const struct tree_node *b);

struct tree {
    struct tree_node *root;
    tree_compare_fn compare;
    size_t count;
};

void tree_init(struct tree *tree, tree_compare_fn compare);
/* The node already there with an equal key, or NULL after inserting. */
struct tree_node *tree_insert(struct tree *tree, struct tree_node *node);
void tree_remove(struct tree *tree, struct tree_node *node);
/* Equal to key / smallest that is >= key / greatest that is <= key; NULL when there is none. */
struct tree_node *tree_find(const struct tree *tree, const struct tree_node *key);
struct tree_node *tree_at_least(const struct tree *tree, const struct tree_node *key);
struct tree_node *tree_at_most(const struct tree *tree, const struct tree_node *key);
struct tree_node *tree_first(const struct tree *tree);
struct tree_node *tree_last(const struct tree *tree);
struct tree_node *tree_next(const struct tree_node *node);
struct tree_node *tree_prev(const struct tree_node *node);

// The AVL tree: balance is the height on the right minus the height on the left.
// SPDX-License-Identifier: Apache-2.0
#include "base/tree.h"

static void replace_child(struct tree *tree, struct tree_node *parent, struct tree_node *old,
                          struct tree_node *node)
{
    if (!parent)
        tree->root = node;
    else if (parent->left == old)
        parent->left = node;
    else
        parent->right = node;
    if (node)
        node->parent = parent;
}

/* The right child comes up. Balances follow from the heights, whatever they were. */
static struct tree_node *rotate_left(struct tree *tree, struct tree_node *node)
{
    struct tree_node *up = node->right;
    replace_child(tree, node->parent, node, up);
    node->right = up->left;
    if (up->left)
        up->left->parent = node;
    up->left = node;
    node->parent = up;
    node->balance = node->balance - 1 - MAX(up->balance, 0);
    up->balance = up->balance - 1 + MIN(node->balance, 0);
    return up;
}

static struct tree_node *rotate_right(struct tree *tree, struct tree_node *node)
{
    struct tree_node *up = node->left;
    replace_child(tree, node->parent, node, up);
    node->left = up->right;
    if (up->right)
        up->right->parent = node;
    up->right = node;
    node->parent = up;
    node->balance = node->balance + 1 - MIN(up->balance, 0);
    up->balance = up->balance + 1 + MAX(node->balance, 0);
    return up;
}

/* A balance of 2 or -2 becomes one of -1, 0 or 1; returns the new top. */
static struct tree_node *restore(struct tree *tree, struct tree_node *node)
{
    if (node->balance == 2) {
        if (node->right->balance < 0)
            rotate_right(tree, node->right);
        return rotate_left(tree, node);
    }
    if (node->balance == -2) {
        if (node->left->balance > 0)
            rotate_left(tree, node->left);
        return rotate_right(tree, node);
    }
    return node;
}

/* node is new; its parent's side grew. */
static void grew(struct tree *tree, struct tree_node *node)
{
    for (struct tree_node *parent = node->parent; parent; parent = node->parent) {
        parent->balance += parent->right == node ? 1 : -1;
        node = restore(tree, parent);
        if (node->balance == 0)
            return;
    }
}

/* parent's right (or left) side lost one in height. */
static void shrank(struct tree *tree, struct tree_node *parent, bool right)
{
    while (parent) {
        parent->balance += right ? -1 : 1;
        struct tree_node *top = restore(tree, parent);
        if (top->balance != 0)
            return;
        parent = top->parent;
        right = parent && parent->right == top;
    }
}

void tree_init(struct tree *tree, tree_compare_fn compare)
{
    *tree = (struct tree){.compare = compare};
}

struct tree_node *tree_insert(struct tree *tree, struct tree_node *node)
{
    struct tree_node *parent = NULL;
    int order = 0;
    for (struct tree_node *at = tree->root; at;) {
        order = tree->compare(node, at);
        if (order == 0)
            return at;
        parent = at;
        at = order < 0 ? at->left : at->right;
    }
    *node = (struct tree_node){.parent = parent};
    if (!parent)
        tree->root = node;
    else if (order < 0)
        parent->left = node;
    else
        parent->right = node;
    tree->count++;
    grew(tree, node);
    return NULL;
}

/* With two children: the next node in order takes the place of the one removed. */
static void remove_inner(struct tree *tree, struct tree_node *node)
{
    struct tree_node *heir = node->right;
    while (heir->left)
        heir = heir->left;
    struct tree_node *start = heir->parent;
    bool right = false;
    if (start == node) {
        start = heir;
        right = true;
    } else {
        replace_child(tree, start, heir, heir->right);
        heir->right = node->right;
        heir->right->parent = heir;
    }
    heir->left = node->left;
    heir->left->parent = heir;
    heir->balance = node->balance;
    replace_child(tree, node->parent, node, heir);
    shrank(tree, start, right);
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    if (node->left && node->right) {
        remove_inner(tree, node);
    } else {
        struct tree_node *parent = node->parent;
        bool right = parent && parent->right == node;
        replace_child(tree, parent, node, node->left ? node->left : node->right);
        shrank(tree, parent, right);
    }
    tree->count--;
    *node = (struct tree_node){0};
}

struct tree_node *tree_find(const struct tree *tree, const struct tree_node *key)
{
    struct tree_node *at = tree->root;
    while (at) {
        int order = tree->compare(key, at);
        if (order == 0)
            break;
        at = order < 0 ? at->left : at->right;
    }
    return at;
}

struct tree_node *tree_at_least(const struct tree *tree, const struct tree_node *key)
{
    struct tree_node *found = NULL;
    for (struct tree_node *at = tree->root; at;) {
        if (tree->compare(at, key) >= 0) {
            found = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return found;
}

struct tree_node *tree_at_most(const struct tree *tree, const struct tree_node *key)
{
    struct tree_node *found = NULL;
    for (struct tree_node *at = tree->root; at;) {
        if (tree->compare(at, key) <= 0) {
            found = at;
            at = at->right;
        } else {
            at = at->left;
        }
    }
    return found;
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *node = tree->root;
    while (node && node->left)
        node = node->left;
    return node;
}

struct tree_node *tree_last(const struct tree *tree)
{
    struct tree_node *node = tree->root;
    while (node && node->right)
        node = node->right;
    return node;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    if (node->right) {
        struct tree_node *next = node->right;
        while (next->left)
            next = next->left;
        return next;
    }
    while (node->parent && node->parent->right == node)
        node = node->parent;
    return node->parent;
}

struct tree_node *tree_prev(const struct tree_node *node)
{
    if (node->left) {
        struct tree_node *prev = node->left;
        while (prev->right)
            prev = prev->right;
        return prev;
    }
    while (node->parent && node->parent->left == node)
        node = node->parent;
    return node->parent;
}

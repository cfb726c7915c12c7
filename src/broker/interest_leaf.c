// Leaves of the trie: filters that share no way with others; how they split, and come back.
// SPDX-License-Identifier: Apache-2.0
#include "base/subject.h"
#include "broker/interest_state.h"

/* Of a far leaf without its label, which begins in what sizeof rounds up. */
#define FAR_SIZE offsetof(struct interest_far, label)

static struct interest_sub *sub_of(struct interest_link *leaf)
{
    return CONTAINER_OF(leaf, struct interest_sub, leaf);
}

bool broker_interest_leaf_fits(const struct interest_spot *spot, struct slice filter)
{
    return spot->rest.data && !spot->leaf && filter.size <= INTEREST_LEAF_SIZE_MAX;
}

void broker_interest_leaf_put(struct interest *interest, struct interest_sub *sub,
                              struct interest_node *parent, uint32_t size, uint32_t hash)
{
    struct slice rest = slice_make(sub->text + sub->subject_size - size, size);
    struct slice token;
    (void)subject_token_next(&rest, &token);
    sub->place = INTEREST_LEAF;
    sub->leaf = (struct interest_link){
        .parent = parent,
        .hash = hash,
        .kind = (uint8_t)broker_interest_trie_kind(token),
        .form = INTEREST_OWN,
        .mark = (uint16_t)(sub->subject_size - size),
    };
    broker_interest_trie_link(interest, &sub->leaf);
}

/* Not linked yet. The label may be in two pieces, between which a dot belongs. */
static struct interest_link *far_new(struct interest *interest, uint32_t core, struct slice label,
                                     struct slice more)
{
    size_t size = label.size + (more.data ? 1 + more.size : 0);
    struct interest_far *far = broker_interest_trie_alloc(interest, FAR_SIZE + size);
    if (!far)
        return NULL;
    far->link.form = INTEREST_FAR;
    far->link.mark = (uint16_t)core;
    far->size = (uint32_t)size;
    memcpy(far->label, label.data, label.size);
    if (more.data) {
        far->label[label.size] = '.';
        memcpy(far->label + label.size + 1, more.data, more.size);
    }
    return &far->link;
}

static void far_put(struct interest *interest, struct interest_link *leaf,
                    struct interest_node *parent, uint32_t hash)
{
    struct slice rest = broker_interest_leaf_label(leaf);
    struct slice token;
    (void)subject_token_next(&rest, &token);
    leaf->parent = parent;
    leaf->hash = hash;
    leaf->kind = (uint8_t)broker_interest_trie_kind(token);
    broker_interest_trie_link(interest, leaf);
}

enum err broker_interest_leaf_put_far(struct interest *interest, const struct interest_spot *spot,
                                      uint32_t core)
{
    struct interest_link *leaf = far_new(interest, core, spot->rest, SLICE_NULL);
    if (!leaf)
        return ERR_NO_MEMORY;
    far_put(interest, leaf, spot->node, spot->hash);
    return ERR_OK;
}

void broker_interest_leaf_free_far(struct interest *interest, struct interest_link *leaf)
{
    struct interest_far *far = CONTAINER_OF(leaf, struct interest_far, link);
    broker_interest_trie_release(interest, far, FAR_SIZE + far->size);
}

static void split_own(struct interest *interest, struct interest_link *leaf,
                      struct interest_node *node, struct slice rest)
{
    struct interest_sub *sub = sub_of(leaf);
    broker_interest_trie_unlink(interest, leaf);
    broker_interest_trie_link(interest, &node->link);
    if (!rest.data)
        broker_interest_trie_list(node, sub);
    else
        broker_interest_leaf_put(interest, sub, node, (uint32_t)rest.size,
                                 broker_interest_trie_hash_below(interest, node, rest));
}

static bool split_far(struct interest *interest, struct interest_link *leaf,
                      struct interest_node *node, struct slice rest)
{
    struct interest_link *below = NULL;
    if (!rest.data && broker_interest_trie_add_other(interest, node, leaf->mark, 1) != ERR_OK)
        return false;
    if (rest.data && !(below = far_new(interest, leaf->mark, rest, SLICE_NULL)))
        return false;
    broker_interest_trie_unlink(interest, leaf);
    broker_interest_leaf_free_far(interest, leaf);
    broker_interest_trie_link(interest, &node->link);
    if (below)
        far_put(interest, below, node,
                broker_interest_trie_hash_below(interest, node, broker_interest_leaf_label(below)));
    return true;
}

struct interest_node *broker_interest_leaf_split(struct interest *interest,
                                                 struct interest_link *leaf)
{
    struct slice rest = broker_interest_leaf_label(leaf);
    struct slice token;
    (void)subject_token_next(&rest, &token);
    struct interest_node *node =
        broker_interest_trie_new(interest, leaf->parent, token, leaf->hash);
    if (!node)
        return NULL;
    if (leaf->form == INTEREST_OWN) {
        split_own(interest, leaf, node, rest);
    } else if (!split_far(interest, leaf, node, rest)) {
        broker_interest_trie_free(interest, node);
        return NULL;
    }
    return node;
}

/* The node, on and below which nothing is left, goes. */
static void node_drop(struct interest *interest, struct interest_node *node)
{
    broker_interest_trie_unlink(interest, &node->link);
    broker_interest_trie_free(interest, node);
}

static bool merge_sub(struct interest *interest, struct interest_node *node)
{
    struct interest_sub *sub = node->subs;
    struct interest_node *parent = node->link.parent;
    uint32_t hash = node->link.hash;
    uint32_t size = node->token_size;
    if (sub->next || sub->subject_size > INTEREST_LEAF_SIZE_MAX)
        return false;
    node_drop(interest, node);
    broker_interest_leaf_put(interest, sub, parent, size, hash);
    return true;
}

/* Of the filter that ends at the node. */
static size_t filter_size(const struct interest *interest, const struct interest_node *node)
{
    size_t size = node->token_size;
    for (node = node->link.parent; node != interest->root; node = node->link.parent)
        size += node->token_size + 1;
    return size;
}

static bool merge_other(struct interest *interest, struct interest_node *node)
{
    struct interest_other *other = node->others;
    struct interest_node *parent = node->link.parent;
    uint32_t hash = node->link.hash;
    if (other->next || other->core == INTEREST_CORE_NONE || other->count != 1 ||
        filter_size(interest, node) > INTEREST_LEAF_SIZE_MAX)
        return false;
    struct slice token = slice_make(node->token, node->token_size);
    struct interest_link *leaf = far_new(interest, other->core, token, SLICE_NULL);
    if (!leaf)
        return false;
    broker_interest_trie_remove_other(interest, other);
    node_drop(interest, node);
    far_put(interest, leaf, parent, hash);
    return true;
}

static bool merge_child(struct interest *interest, struct interest_node *node)
{
    struct interest_link *child = (struct interest_link *)node->only;
    struct interest_node *parent = node->link.parent;
    uint32_t hash = node->link.hash;
    if (child->form == INTEREST_NODE)
        return false;
    struct slice label = broker_interest_leaf_label(child);
    size_t size = node->token_size + 1 + label.size;
    struct interest_link *leaf = child;
    DCHECK(size <= INTEREST_LEAF_SIZE_MAX);
    if (child->form == INTEREST_FAR) {
        leaf = far_new(interest, child->mark, slice_make(node->token, node->token_size), label);
        if (!leaf)
            return false;
    }
    broker_interest_trie_unlink(interest, child);
    node_drop(interest, node);
    if (leaf == child) {
        broker_interest_leaf_put(interest, sub_of(child), parent, (uint32_t)size, hash);
        return true;
    }
    broker_interest_leaf_free_far(interest, child);
    far_put(interest, leaf, parent, hash);
    return true;
}

bool broker_interest_leaf_merge(struct interest *interest, struct interest_node *node)
{
    uint32_t children = node->literals + node->has_star + node->has_tail;
    if (node->link.kind == INTEREST_QUEUE)
        return false;
    if (node->subs)
        return !node->others && children == 0 && merge_sub(interest, node);
    if (node->others)
        return children == 0 && merge_other(interest, node);
    return children == 1 && merge_child(interest, node);
}

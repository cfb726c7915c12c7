// The trie of filters: nodes and leaves found by hash of parent and token.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/hash.h"
#include "base/subject.h"
#include "broker/interest_state.h"

/* What the heap adds to an allocation. */
#define HEAP_OVERHEAD 8

/* Of a node without its token, which begins in what sizeof rounds up. */
#define NODE_SIZE offsetof(struct interest_node, token)

void *broker_interest_trie_alloc(struct interest *interest, size_t size)
{
    struct budget *budget = interest->options.budget;
    if (budget && !budget_charge(budget, size + HEAP_OVERHEAD))
        return NULL;
    void *memory = calloc(1, size);
    if (memory)
        interest->stats.size_bytes += size + HEAP_OVERHEAD;
    else if (budget)
        budget_release(budget, size + HEAP_OVERHEAD);
    return memory;
}

void broker_interest_trie_release(struct interest *interest, void *memory, size_t size)
{
    if (interest->options.budget)
        budget_release(interest->options.budget, size + HEAP_OVERHEAD);
    interest->stats.size_bytes -= size + HEAP_OVERHEAD;
    free(memory);
}

uint64_t broker_interest_trie_hash(const struct interest *interest, struct slice token)
{
    return hash_siphash(interest->options.seed, token);
}

/* The hash of a child; token_hash is ignored but for literals and queues. */
static uint32_t combine(const struct interest_node *parent, uint64_t token_hash,
                        enum interest_kind kind)
{
    if (kind == INTEREST_STAR || kind == INTEREST_TAIL)
        token_hash = kind;
    uint64_t mixed =
        (token_hash ^ (uint64_t)parent->link.hash << 17 ^ kind) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mixed >> 32);
}

/* Linear hashing: buckets below the split have one bit more. */
static size_t bucket_of(const struct interest *interest, uint32_t hash)
{
    size_t half = (size_t)1 << (63 - __builtin_clzll(interest->bucket_count));
    size_t bucket = hash & (2 * half - 1);
    return bucket < interest->bucket_count ? bucket : bucket - half;
}

enum err broker_interest_trie_init(struct interest *interest)
{
    interest->bucket_count = INTEREST_BUCKETS_MIN;
    interest->bucket_capacity = INTEREST_BUCKETS_MIN;
    interest->buckets = calloc(interest->bucket_capacity, sizeof(*interest->buckets));
    interest->root = broker_interest_trie_alloc(interest, NODE_SIZE);
    if (!interest->buckets || !interest->root)
        return ERR_NO_MEMORY;
    interest->root->link.hash = (uint32_t)interest->options.seed[0];
    return ERR_OK;
}

static void free_queue(struct interest *interest, struct interest_queue *queue)
{
    struct interest_name *name = queue->name;
    if (--name->refs == 0) {
        map_remove(&interest->names, slice_make(name->bytes, name->size));
        broker_interest_trie_release(interest, name, sizeof(*name) + name->size);
    }
    broker_interest_trie_release(interest, queue, sizeof(*queue) + queue->node.token_size);
}

void broker_interest_trie_free(struct interest *interest, struct interest_node *node)
{
    if (node->link.kind == INTEREST_QUEUE)
        free_queue(interest, broker_interest_trie_queue(node));
    else
        broker_interest_trie_release(interest, node, NODE_SIZE + node->token_size);
}

static void free_others(struct interest *interest, struct interest_link *link)
{
    if (link->form != INTEREST_NODE)
        return;
    struct interest_node *node = broker_interest_trie_node(link);
    while (node->others && node->others->core != INTEREST_CORE_NONE) {
        struct interest_other *other = node->others;
        node->others = other->next;
        broker_interest_trie_release(interest, other, sizeof(*other));
    }
}

static void free_link(struct interest *interest, struct interest_link *link)
{
    CHECK(link->form != INTEREST_OWN); /* no subscription is left */
    if (link->form == INTEREST_NODE)
        broker_interest_trie_free(interest, broker_interest_trie_node(link));
    else
        broker_interest_leaf_free_far(interest, link);
}

/* Announcements first: behind them a node's list goes on in queue groups, which are nodes too. */
void broker_interest_trie_deinit(struct interest *interest)
{
    size_t count = interest->buckets ? interest->bucket_count : 0;
    for (size_t i = 0; i < count; i++)
        for (struct interest_link *link = interest->buckets[i]; link; link = link->chain)
            free_others(interest, link);
    for (size_t i = 0; i < count; i++) {
        struct interest_link *link = interest->buckets[i];
        while (link) {
            struct interest_link *next = link->chain;
            free_link(interest, link);
            link = next;
        }
    }
    if (interest->root)
        broker_interest_trie_free(interest, interest->root);
    free(interest->buckets);
}

/* The first token below the parent is this one. */
static bool is_named(const struct interest_link *link, struct slice token)
{
    if (link->form == INTEREST_NODE) {
        const struct interest_node *node = broker_interest_trie_node(link);
        return slice_equal(slice_make(node->token, node->token_size), token);
    }
    struct slice label = broker_interest_leaf_label(link);
    return label.size >= token.size && memcmp(label.data, token.data, token.size) == 0 &&
           (label.size == token.size || label.data[token.size] == '.');
}

static struct interest_link *find_child(const struct interest *interest,
                                        const struct interest_node *parent, uint32_t hash,
                                        enum interest_kind kind, struct slice token)
{
    struct interest_link *link = interest->buckets[bucket_of(interest, hash)];
    while (link && !(link->hash == hash && link->parent == parent && link->kind == kind &&
                     is_named(link, token)))
        link = link->chain;
    return link;
}

struct interest_link *broker_interest_trie_child(const struct interest *interest,
                                                 const struct interest_node *parent,
                                                 enum interest_kind kind, struct slice token,
                                                 uint64_t token_hash)
{
    return find_child(interest, parent, combine(parent, token_hash, kind), kind, token);
}

/* One bucket more, into which part of another moves. Without memory the chains get longer. */
static void grow(struct interest *interest)
{
    if (interest->bucket_count == interest->bucket_capacity) {
        size_t capacity = interest->bucket_capacity * 2;
        void *grown = realloc(interest->buckets, capacity * sizeof(*interest->buckets));
        if (!grown)
            return;
        interest->buckets = grown;
        interest->bucket_capacity = capacity;
    }
    size_t half = (size_t)1 << (63 - __builtin_clzll(interest->bucket_count));
    size_t made = interest->bucket_count++;
    interest->buckets[made] = NULL;
    struct interest_link *link = interest->buckets[made - half];
    interest->buckets[made - half] = NULL;
    while (link) {
        struct interest_link *next = link->chain;
        size_t bucket = bucket_of(interest, link->hash);
        link->chain = interest->buckets[bucket];
        interest->buckets[bucket] = link;
        link = next;
    }
}

void broker_interest_trie_link(struct interest *interest, struct interest_link *link)
{
    if (interest->link_count >= interest->bucket_count)
        grow(interest);
    interest->link_count++;
    size_t bucket = bucket_of(interest, link->hash);
    link->chain = interest->buckets[bucket];
    interest->buckets[bucket] = link;
    struct interest_node *parent = link->parent;
    if (link->kind != INTEREST_QUEUE)
        parent->only ^= (uintptr_t)link;
    parent->has_star |= link->kind == INTEREST_STAR;
    parent->has_tail |= link->kind == INTEREST_TAIL;
    parent->literals += link->kind == INTEREST_LITERAL;
}

void broker_interest_trie_unlink(struct interest *interest, struct interest_link *link)
{
    struct interest_link **at = &interest->buckets[bucket_of(interest, link->hash)];
    while (*at != link) {
        CHECK(*at);
        at = &(*at)->chain;
    }
    *at = link->chain;
    interest->link_count--;
    struct interest_node *parent = link->parent;
    if (link->kind != INTEREST_QUEUE)
        parent->only ^= (uintptr_t)link;
    if (link->kind == INTEREST_STAR)
        parent->has_star = false;
    else if (link->kind == INTEREST_TAIL)
        parent->has_tail = false;
    else if (link->kind == INTEREST_LITERAL)
        parent->literals--;
}

enum interest_kind broker_interest_trie_kind(struct slice token)
{
    if (token.size != 1)
        return INTEREST_LITERAL;
    if (token.data[0] == '*')
        return INTEREST_STAR;
    return token.data[0] == '>' ? INTEREST_TAIL : INTEREST_LITERAL;
}

static void set_node(struct interest_node *node, struct interest_node *parent,
                     enum interest_kind kind, struct slice token)
{
    node->link.parent = parent;
    node->link.kind = (uint8_t)kind;
    node->link.form = INTEREST_NODE;
    node->token_size = (uint32_t)token.size;
    memcpy(node->token, token.data, token.size);
}

struct interest_node *broker_interest_trie_new(struct interest *interest,
                                               struct interest_node *parent, struct slice token,
                                               uint32_t hash)
{
    struct interest_node *node = broker_interest_trie_alloc(interest, NODE_SIZE + token.size);
    if (!node)
        return NULL;
    set_node(node, parent, broker_interest_trie_kind(token), token);
    node->link.hash = hash;
    return node;
}

uint32_t broker_interest_trie_hash_below(const struct interest *interest,
                                         const struct interest_node *node, struct slice label)
{
    struct slice token;
    (void)subject_token_next(&label, &token);
    return combine(node, broker_interest_trie_hash(interest, token),
                   broker_interest_trie_kind(token));
}

/* What the first token of rest leads to below the node. */
static void look(const struct interest *interest, struct interest_spot *spot)
{
    struct slice rest = spot->rest;
    struct slice token;
    spot->leaf = NULL;
    if (!subject_token_next(&rest, &token))
        return;
    enum interest_kind kind = broker_interest_trie_kind(token);
    spot->hash = combine(spot->node, broker_interest_trie_hash(interest, token), kind);
    spot->leaf = find_child(interest, spot->node, spot->hash, kind, token);
}

void broker_interest_trie_descend(const struct interest *interest, struct slice filter,
                                  struct interest_spot *out)
{
    struct interest_spot at = {.node = interest->root, .rest = filter};
    struct slice token;
    look(interest, &at);
    while (at.leaf && at.leaf->form == INTEREST_NODE) {
        at.node = broker_interest_trie_node(at.leaf);
        (void)subject_token_next(&at.rest, &token);
        look(interest, &at);
    }
    *out = at;
}

bool broker_interest_trie_part(struct interest *interest, struct interest_spot *spot)
{
    struct slice token;
    while (spot->leaf && !slice_equal(broker_interest_leaf_label(spot->leaf), spot->rest)) {
        struct interest_node *node = broker_interest_leaf_split(interest, spot->leaf);
        if (!node) {
            broker_interest_trie_prune(interest, spot->node);
            return false;
        }
        spot->node = node;
        (void)subject_token_next(&spot->rest, &token);
        look(interest, spot);
    }
    return true;
}

struct interest_node *broker_interest_trie_reach(struct interest *interest,
                                                 const struct interest_spot *spot)
{
    struct interest_spot at = *spot;
    struct slice token;
    while (at.rest.data) {
        struct interest_node *above = at.node;
        (void)subject_token_next(&at.rest, &token);
        at.node = at.leaf ? broker_interest_leaf_split(interest, at.leaf)
                          : broker_interest_trie_new(interest, above, token, at.hash);
        if (!at.node) {
            broker_interest_trie_prune(interest, above);
            return NULL;
        }
        if (!at.leaf)
            broker_interest_trie_link(interest, &at.node->link);
        look(interest, &at);
    }
    return at.node;
}

static struct interest_name *reach_name(struct interest *interest, struct slice queue)
{
    struct interest_name *name = map_get(&interest->names, queue);
    if (name)
        return name;
    name = broker_interest_trie_alloc(interest, sizeof(*name) + queue.size);
    if (!name)
        return NULL;
    name->size = queue.size;
    memcpy(name->bytes, queue.data, queue.size);
    if (!map_put(&interest->names, slice_make(name->bytes, name->size), name, NULL)) {
        broker_interest_trie_release(interest, name, sizeof(*name) + name->size);
        return NULL;
    }
    return name;
}

static void link_queue(struct interest_node *node, struct interest_queue *queue)
{
    struct interest_other **at = &node->others;
    while (*at && (*at)->core != INTEREST_CORE_NONE)
        at = &(*at)->next;
    queue->other.core = INTEREST_CORE_NONE;
    queue->other.next = *at;
    queue->other.back = at;
    if (*at)
        (*at)->back = &queue->other.next;
    *at = &queue->other;
}

struct interest_node *broker_interest_trie_reach_queue(struct interest *interest,
                                                       struct interest_node *node,
                                                       struct slice text)
{
    struct interest_node *found = broker_interest_trie_find_queue(interest, node, text);
    if (found)
        return found;
    struct interest_name *name = reach_name(interest, text);
    if (!name)
        return NULL;
    struct slice token = slice_make(&name, sizeof(name));
    struct interest_queue *queue =
        broker_interest_trie_alloc(interest, sizeof(*queue) + token.size);
    if (!queue) {
        if (name->refs == 0) {
            map_remove(&interest->names, text);
            broker_interest_trie_release(interest, name, sizeof(*name) + name->size);
        }
        return NULL;
    }
    name->refs++;
    queue->name = name;
    set_node(&queue->node, node, INTEREST_QUEUE, token);
    queue->node.link.hash =
        combine(node, broker_interest_trie_hash(interest, token), INTEREST_QUEUE);
    broker_interest_trie_link(interest, &queue->node.link);
    link_queue(node, queue);
    return &queue->node;
}

struct interest_node *broker_interest_trie_find_queue(const struct interest *interest,
                                                      const struct interest_node *node,
                                                      struct slice text)
{
    struct interest_name *name = map_get(&interest->names, text);
    if (!name)
        return NULL;
    struct slice token = slice_make(&name, sizeof(name));
    struct interest_link *link = broker_interest_trie_child(
        interest, node, INTEREST_QUEUE, token, broker_interest_trie_hash(interest, token));
    return link ? broker_interest_trie_node(link) : NULL;
}

static bool free_empty(struct interest *interest, struct interest_node *node)
{
    if (node->subs || node->others || node->literals > 0 || node->has_star || node->has_tail)
        return false;
    broker_interest_trie_unlink(interest, &node->link);
    if (node->link.kind == INTEREST_QUEUE) {
        struct interest_other *other = &broker_interest_trie_queue(node)->other;
        *other->back = other->next;
        if (other->next)
            other->next->back = other->back;
    }
    broker_interest_trie_free(interest, node);
    return true;
}

void broker_interest_trie_prune(struct interest *interest, struct interest_node *node)
{
    while (node != interest->root) {
        struct interest_node *parent = node->link.parent;
        if (!free_empty(interest, node) && !broker_interest_leaf_merge(interest, node))
            return;
        node = parent;
    }
}

void broker_interest_trie_list(struct interest_node *node, struct interest_sub *sub)
{
    sub->place = INTEREST_LISTED;
    sub->node = node;
    sub->next = node->subs;
    sub->back = &node->subs;
    if (node->subs)
        node->subs->back = &sub->next;
    node->subs = sub;
}

enum err broker_interest_trie_add_other(struct interest *interest, struct interest_node *node,
                                        uint32_t core, uint32_t count)
{
    struct interest_other *other = broker_interest_trie_alloc(interest, sizeof(*other));
    if (!other)
        return ERR_NO_MEMORY;
    *other = (struct interest_other){
        .next = node->others, .back = &node->others, .core = core, .count = count};
    if (node->others)
        node->others->back = &other->next;
    node->others = other;
    return ERR_OK;
}

void broker_interest_trie_remove_other(struct interest *interest, struct interest_other *other)
{
    *other->back = other->next;
    if (other->next)
        other->next->back = other->back;
    broker_interest_trie_release(interest, other, sizeof(*other));
}

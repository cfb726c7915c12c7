// The trie of filters: nodes found by hash of parent and token.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/hash.h"
#include "base/subject.h"
#include "broker/interest_state.h"

/* What the heap adds to an allocation. */
#define HEAP_OVERHEAD 8

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

static uint32_t combine(const struct interest_node *parent, uint64_t token_hash,
                        enum interest_kind kind)
{
    if (kind == INTEREST_STAR || kind == INTEREST_TAIL)
        token_hash = kind;
    uint64_t mixed =
        (token_hash ^ (uint64_t)parent->hash << 17 ^ kind) * UINT64_C(0x9e3779b97f4a7c15);
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
    interest->root = broker_interest_trie_alloc(interest, sizeof(*interest->root));
    if (!interest->buckets || !interest->root)
        return ERR_NO_MEMORY;
    interest->root->hash = (uint32_t)interest->options.seed[0];
    return ERR_OK;
}

static size_t node_size(const struct interest_node *node)
{
    return sizeof(*node) + node->token_size;
}

static void free_node(struct interest *interest, struct interest_node *node)
{
    if (node->kind == INTEREST_QUEUE) {
        struct interest_queue *queue = broker_interest_trie_queue(node);
        struct interest_name *name = queue->name;
        if (--name->refs == 0) {
            map_remove(&interest->names, slice_make(name->bytes, name->size));
            broker_interest_trie_release(interest, name, sizeof(*name) + name->size);
        }
        broker_interest_trie_release(interest, queue, sizeof(*queue) + node->token_size);
    } else {
        broker_interest_trie_release(interest, node, node_size(node));
    }
}

static void free_others(struct interest *interest, struct interest_node *node)
{
    while (node->others && node->others->core != INTEREST_CORE_NONE) {
        struct interest_other *other = node->others;
        node->others = other->next;
        broker_interest_trie_release(interest, other, sizeof(*other));
    }
}

/* Announcements first: behind them a node's list goes on in queue groups, which are nodes too. */
void broker_interest_trie_deinit(struct interest *interest)
{
    size_t count = interest->buckets ? interest->bucket_count : 0;
    for (size_t i = 0; i < count; i++)
        for (struct interest_node *node = interest->buckets[i]; node; node = node->chain)
            free_others(interest, node);
    for (size_t i = 0; i < count; i++) {
        struct interest_node *node = interest->buckets[i];
        while (node) {
            struct interest_node *next = node->chain;
            free_node(interest, node);
            node = next;
        }
    }
    if (interest->root)
        broker_interest_trie_release(interest, interest->root, node_size(interest->root));
    free(interest->buckets);
}

struct interest_node *broker_interest_trie_child(const struct interest *interest,
                                                 const struct interest_node *parent,
                                                 enum interest_kind kind, struct slice token,
                                                 uint64_t token_hash)
{
    uint32_t hash = combine(parent, token_hash, kind);
    struct interest_node *node = interest->buckets[bucket_of(interest, hash)];
    for (; node; node = node->chain)
        if (node->hash == hash && node->parent == parent && node->kind == kind &&
            slice_equal(slice_make(node->token, node->token_size), token))
            return node;
    return NULL;
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
    struct interest_node *node = interest->buckets[made - half];
    interest->buckets[made - half] = NULL;
    while (node) {
        struct interest_node *next = node->chain;
        size_t bucket = bucket_of(interest, node->hash);
        node->chain = interest->buckets[bucket];
        interest->buckets[bucket] = node;
        node = next;
    }
}

static void link_node(struct interest *interest, struct interest_node *node)
{
    if (interest->node_count >= interest->bucket_count)
        grow(interest);
    interest->node_count++;
    size_t bucket = bucket_of(interest, node->hash);
    node->chain = interest->buckets[bucket];
    interest->buckets[bucket] = node;
    struct interest_node *parent = node->parent;
    parent->has_star |= node->kind == INTEREST_STAR;
    parent->has_tail |= node->kind == INTEREST_TAIL;
    parent->literals += node->kind == INTEREST_LITERAL;
}

static void unlink_node(struct interest *interest, struct interest_node *node)
{
    struct interest_node **at = &interest->buckets[bucket_of(interest, node->hash)];
    while (*at != node) {
        CHECK(*at);
        at = &(*at)->chain;
    }
    *at = node->chain;
    interest->node_count--;
    struct interest_node *parent = node->parent;
    if (node->kind == INTEREST_STAR)
        parent->has_star = false;
    else if (node->kind == INTEREST_TAIL)
        parent->has_tail = false;
    else if (node->kind == INTEREST_LITERAL)
        parent->literals--;
}

static enum interest_kind kind_of(struct slice token)
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
    node->parent = parent;
    node->kind = (uint8_t)kind;
    node->token_size = (uint32_t)token.size;
    memcpy(node->token, token.data, token.size);
}

struct interest_node *broker_interest_trie_reach(struct interest *interest, struct slice filter)
{
    struct interest_node *node = interest->root;
    struct slice token;
    if (filter.size > UINT32_MAX)
        return NULL;
    while (subject_token_next(&filter, &token)) {
        enum interest_kind kind = kind_of(token);
        uint64_t hash = broker_interest_trie_hash(interest, token);
        struct interest_node *child = broker_interest_trie_child(interest, node, kind, token, hash);
        if (!child) {
            child = broker_interest_trie_alloc(interest, sizeof(*child) + token.size);
            if (!child) {
                broker_interest_trie_prune(interest, node);
                return NULL;
            }
            set_node(child, node, kind, token);
            child->hash = combine(node, hash, kind);
            link_node(interest, child);
        }
        node = child;
    }
    return node;
}

struct interest_node *broker_interest_trie_find(const struct interest *interest,
                                                struct slice filter)
{
    struct interest_node *node = interest->root;
    struct slice token;
    while (node && subject_token_next(&filter, &token))
        node = broker_interest_trie_child(interest, node, kind_of(token), token,
                                          broker_interest_trie_hash(interest, token));
    return node;
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
    queue->node.hash = combine(node, broker_interest_trie_hash(interest, token), INTEREST_QUEUE);
    link_node(interest, &queue->node);
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
    return broker_interest_trie_child(interest, node, INTEREST_QUEUE, token,
                                      broker_interest_trie_hash(interest, token));
}

void broker_interest_trie_prune(struct interest *interest, struct interest_node *node)
{
    while (node != interest->root && !node->subs && !node->others && node->literals == 0 &&
           !node->has_star && !node->has_tail) {
        struct interest_node *parent = node->parent;
        unlink_node(interest, node);
        if (node->kind == INTEREST_QUEUE) {
            struct interest_other *other = &broker_interest_trie_queue(node)->other;
            *other->back = other->next;
            if (other->next)
                other->next->back = other->back;
        }
        free_node(interest, node);
        node = parent;
    }
}

// The insides of the interest: nodes and leaves of the trie in one hash table, and the cache.
// SPDX-License-Identifier: Apache-2.0
//
// A filter that shares its first tokens with no other one is a leaf: it hangs below the last node
// that it has in common with others, and all its tokens from there on are its label. What else the
// leaf is depends on who wants the filter: the subscription itself when it is the only one here,
// or a note of the one core that announced it. So most subscriptions cost no memory but their own
// and a bucket. Where a second filter goes the same way, or somebody else wants the same one, nodes
// of one token each take the leaf's place (split); when all that goes, the leaf is back (prune).
// The shape follows from what is there, whatever came and went before; only memory that a far leaf
// cannot get leaves nodes behind.
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "broker/interest.h"

/* Defaults and fixed sizes; powers of two where used as masks. */
#define INTEREST_CACHE_ENTRIES    16384
#define INTEREST_CACHE_SIZE_BYTES ((size_t)8 << 20)
#define INTEREST_CACHE_WAYS       4
#define INTEREST_DOOR_COUNT       8192
#define INTEREST_FIRST_COUNT      1024
#define INTEREST_SECOND_COUNT     4096
#define INTEREST_BUCKETS_MIN      64

enum interest_kind {
    INTEREST_LITERAL,
    INTEREST_STAR,  /* "*" */
    INTEREST_TAIL,  /* ">" */
    INTEREST_QUEUE, /* a queue group of its parent; the token is the address of its name */
};

/* The name of a queue group, shared by its nodes; slot and serial are the match's that saw it. */
struct interest_name {
    uint32_t refs;
    uint32_t slot;
    uint64_t serial;
    size_t size;
    uint8_t bytes[];
};

#define INTEREST_CORE_NONE UINT32_MAX

/* What hangs on a node besides its local subscriptions: first what other cores announced, then
 * queue groups (core is INTEREST_CORE_NONE, count its local members). */
struct interest_other {
    struct interest_other *next;
    struct interest_other **back;
    uint32_t core;
    uint32_t count;
};

enum interest_form {
    INTEREST_NODE,
    INTEREST_OWN, /* a leaf: the link in a subscription */
    INTEREST_FAR, /* a leaf: struct interest_far */
};

/* Where a subscription is. */
enum interest_place {
    INTEREST_NOWHERE,
    INTEREST_LEAF,
    INTEREST_LISTED, /* in its node's subs */
};

/* Longer filters are no leaves: mark says where labels begin, and a far label is copied for each
 * token that it gains or loses. */
#define INTEREST_LEAF_SIZE_MAX 1024

/* One token below its parent. Children are found by hash. It lives while anything hangs on it. */
struct interest_node {
    struct interest_link link;
    struct interest_sub *subs; /* local: plain ones, or a group's members */
    struct interest_other *others;
    uintptr_t only;    /* its children (groups are none) XORed: the address of a single one */
    uint32_t literals; /* children whose first token is literal */
    uint32_t token_size;
    bool has_star;
    bool has_tail;
    uint8_t token[];
};

/* One plain subscription that another core announced. */
struct interest_far {
    struct interest_link link;
    uint32_t size;
    uint8_t label[];
};

struct interest_queue {
    struct interest_other other;
    struct interest_name *name;
    struct interest_node node; /* last: its token follows */
};

/* A match and its memory. */
struct interest_box {
    struct interest_match match; /* first */
    struct list held;            /* on interest.held while holds > 0 */
    uint32_t holds;
    bool orphan; /* nobody but its holders knows it */
    size_t capacity;
    _Alignas(16) uint8_t memory[];
};

struct interest_slot {
    uint64_t hash; /* 0: empty */
    uint64_t generation;
    uint32_t first;
    uint32_t second;
    uint32_t subject_size;
    uint32_t subject_capacity;
    uint8_t *subject;
    struct interest_box *box;
    bool referenced;
};

/* Recent matches by subject, in sets of INTEREST_CACHE_WAYS. A subject enters at its second miss in
 * a while (the door remembers the first), so that a stream of ever new subjects costs no memory.
 * A literal filter that comes or goes drops exactly its own entry; one with a wildcard counts a
 * generation: of everything, of a first token or of a first pair of tokens, wherever its first
 * wildcard allows. An entry is good while the sum of its three generations is what it was. */
struct interest_cache {
    struct interest_slot *slots;
    struct interest_slot *last; /* what was asked for last: often it is asked for again */
    uint32_t *door;
    uint64_t *firsts;
    uint64_t *seconds;
    uint64_t all;
    uint32_t set_mask;
    uint32_t hand;
    uint32_t entries;
    size_t size;
    size_t size_max;
};

struct interest_vector {
    uint8_t *data;
    size_t count;
    size_t capacity; /* items */
};

struct interest_step {
    struct interest_node *node;
    uint32_t level;
};

struct interest_token {
    struct slice text;
    uint64_t hash;
};

struct interest {
    struct interest_options options;
    struct interest_node *root;
    struct interest_link **buckets; /* linear hashing: grows by one bucket a link, never stalls */
    size_t bucket_count;
    size_t bucket_capacity;
    size_t link_count;
    struct map names;
    struct interest_cache cache;
    struct interest_box *scratch; /* the last match that was not cached */
    struct list held;
    uint64_t serial;
    uint64_t core_serials[INTEREST_CORES_MAX];
    struct interest_vector tokens; /* of struct interest_token, and so on */
    struct interest_vector steps;
    struct interest_vector plain;
    struct interest_vector queues;
    struct interest_vector groups;
    struct interest_vector cores;
    struct interest_stats stats;
};

static inline struct interest_node *broker_interest_trie_node(const struct interest_link *link)
{
    return CONTAINER_OF(link, struct interest_node, link);
}

static inline struct interest_queue *broker_interest_trie_queue(struct interest_node *node)
{
    return CONTAINER_OF(node, struct interest_queue, node);
}

/* The tokens of a leaf below its parent. */
static inline struct slice broker_interest_leaf_label(const struct interest_link *leaf)
{
    if (leaf->form == INTEREST_FAR) {
        const struct interest_far *far = CONTAINER_OF(leaf, struct interest_far, link);
        return slice_make(far->label, far->size);
    }
    const struct interest_sub *sub = CONTAINER_OF(leaf, struct interest_sub, leaf);
    return slice_make(sub->text + leaf->mark, sub->subject_size - leaf->mark);
}

/* Where the way of a filter through the nodes ends. */
struct interest_spot {
    struct interest_node *node;
    struct interest_link *leaf; /* in the way; NULL: none */
    struct slice rest;          /* of the filter, below the node; null: the node is the filter's */
    uint32_t hash;              /* of what would hang there, unless rest is null */
};

/* interest_trie.c */
void *broker_interest_trie_alloc(struct interest *interest, size_t size);
void broker_interest_trie_release(struct interest *interest, void *memory, size_t size);
uint64_t broker_interest_trie_hash(const struct interest *interest, struct slice token);
NODISCARD enum err broker_interest_trie_init(struct interest *interest);
/* Frees every node and announcement. */
void broker_interest_trie_deinit(struct interest *interest);
/* What a filter's token is. */
enum interest_kind broker_interest_trie_kind(struct slice token);
/* The child whose first token this is; NULL: none. */
struct interest_link *broker_interest_trie_child(const struct interest *interest,
                                                 const struct interest_node *parent,
                                                 enum interest_kind kind, struct slice token,
                                                 uint64_t token_hash);
/* The hash of what hangs there under the first token of the label. */
uint32_t broker_interest_trie_hash_below(const struct interest *interest,
                                         const struct interest_node *node, struct slice label);
/* Puts what has all its fields but chain below its parent. */
void broker_interest_trie_link(struct interest *interest, struct interest_link *link);
void broker_interest_trie_unlink(struct interest *interest, struct interest_link *link);
/* Below parent, not linked yet; NULL: out of memory. */
struct interest_node *broker_interest_trie_new(struct interest *interest,
                                               struct interest_node *parent, struct slice token,
                                               uint32_t hash);
/* It is not linked, nothing hangs on it. */
void broker_interest_trie_free(struct interest *interest, struct interest_node *node);
/* As far as there are nodes for the filter. */
void broker_interest_trie_descend(const struct interest *interest, struct slice filter,
                                  struct interest_spot *out);
/* Where a leaf of another filter is in the way it splits, so that each has a way of its own from
 * the new spot on. False: out of memory, nothing changed but that a far leaf may stay split. */
NODISCARD bool broker_interest_trie_part(struct interest *interest, struct interest_spot *spot);
/* Goes on from there, making nodes where there are none; NULL: out of memory, and so on as above.
 */
struct interest_node *broker_interest_trie_reach(struct interest *interest,
                                                 const struct interest_spot *spot);
/* The queue group below a filter's node, made when missing. */
struct interest_node *broker_interest_trie_reach_queue(struct interest *interest,
                                                       struct interest_node *node,
                                                       struct slice queue);
struct interest_node *broker_interest_trie_find_queue(const struct interest *interest,
                                                      const struct interest_node *node,
                                                      struct slice queue);
/* Something left the node: it and its parents are freed as far as nothing hangs on them, or become
 * a leaf again. */
void broker_interest_trie_prune(struct interest *interest, struct interest_node *node);
/* Puts it into the node's list. */
void broker_interest_trie_list(struct interest_node *node, struct interest_sub *sub);
NODISCARD enum err broker_interest_trie_add_other(struct interest *interest,
                                                  struct interest_node *node, uint32_t core,
                                                  uint32_t count);
void broker_interest_trie_remove_other(struct interest *interest, struct interest_other *other);

/* interest_leaf.c */
/* Nothing goes the filter's way from the spot on, and it is not too long: it can be a leaf. */
bool broker_interest_leaf_fits(const struct interest_spot *spot, struct slice filter);
/* The subscription becomes a leaf below parent, under the last size bytes of its subject. */
void broker_interest_leaf_put(struct interest *interest, struct interest_sub *sub,
                              struct interest_node *parent, uint32_t size, uint32_t hash);
/* So does that core's announcement, at the spot. */
NODISCARD enum err broker_interest_leaf_put_far(struct interest *interest,
                                                const struct interest_spot *spot, uint32_t core);
/* Of one that is not linked. */
void broker_interest_leaf_free_far(struct interest *interest, struct interest_link *leaf);
/* A node for its first token in the leaf's place, with what the leaf was on it or below it; NULL:
 * out of memory, nothing changed. */
struct interest_node *broker_interest_leaf_split(struct interest *interest,
                                                 struct interest_link *leaf);
/* Instead of the node, a leaf for the one thing on it or below it. False: it is more than one, or
 * memory is short. */
bool broker_interest_leaf_merge(struct interest *interest, struct interest_node *node);

/* interest_cache.c */
NODISCARD enum err broker_interest_cache_init(struct interest *interest);
void broker_interest_cache_deinit(struct interest *interest);
uint64_t broker_interest_cache_hash(const struct interest *interest, struct slice subject);
/* The good entry of the subject, or NULL. */
struct interest_box *broker_interest_cache_get(struct interest *interest, uint64_t hash,
                                               struct slice subject);
/* Which state of the interest an entry belongs to. All three only ever grow, so the sum is
 * unchanged only if each is. */
static inline uint64_t broker_interest_cache_generation(const struct interest_cache *cache,
                                                        const struct interest_slot *slot)
{
    return cache->all + cache->firsts[slot->first] + cache->seconds[slot->second];
}

/* The same as _get, where the subject is the one that it found last. */
static inline struct interest_box *broker_interest_cache_again(const struct interest *interest,
                                                               struct slice subject)
{
    const struct interest_slot *slot = interest->cache.last;
    bool is_it = slot->hash != 0 &&
                 slice_equal_short(slice_make(slot->subject, slot->subject_size), subject) &&
                 slot->generation == broker_interest_cache_generation(&interest->cache, slot);
    return is_it ? slot->box : NULL;
}

/* Where to put a match of size bytes: a slot whose box has the room, or NULL when it shall not be
 * cached (or memory is short). The slot is good only after _fill. */
struct interest_slot *broker_interest_cache_admit(struct interest *interest, uint64_t hash,
                                                  struct slice subject, size_t size);
/* The slot's box now holds the match of this subject. */
void broker_interest_cache_fill(struct interest *interest, struct interest_slot *slot,
                                uint64_t hash, struct slice subject);
/* The interest in this filter changed. */
void broker_interest_cache_change(struct interest *interest, struct slice filter);
/* A box with room for size bytes; box is reused when it fits and nobody holds it, else dropped. */
struct interest_box *broker_interest_cache_box(struct interest_box *box, size_t size);
void broker_interest_cache_drop_box(struct interest_box *box);

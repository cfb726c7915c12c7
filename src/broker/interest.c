// Who wants which subject now: subscriptions of this core and announcements of the others.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/subject.h"
#include "broker/interest_state.h"

struct interest *broker_interest_new(const struct interest_options *options)
{
    struct interest *interest = calloc(1, sizeof(*interest));
    if (!interest)
        return NULL;
    interest->options = *options;
    list_init(&interest->held);
    map_init(&interest->names, options->seed[0] ^ options->seed[1]);
    enum err err = broker_interest_trie_init(interest);
    if (!err)
        err = broker_interest_cache_init(interest);
    if (!err)
        return interest;
    broker_interest_free(interest);
    return NULL;
}

void broker_interest_free(struct interest *interest)
{
    if (!interest)
        return;
    CHECK(interest->stats.subs == 0 && list_empty(&interest->held));
    broker_interest_cache_deinit(interest);
    broker_interest_cache_drop_box(interest->scratch);
    broker_interest_trie_deinit(interest);
    map_deinit(&interest->names);
    free(interest->tokens.data);
    free(interest->steps.data);
    free(interest->plain.data);
    free(interest->queues.data);
    free(interest->groups.data);
    free(interest->cores.data);
    free(interest);
}

/* The node whose subscriptions or announcements are meant; NULL: out of memory. */
static struct interest_node *reach(struct interest *interest, const struct interest_spot *spot,
                                   struct slice queue)
{
    struct interest_node *node = broker_interest_trie_reach(interest, spot);
    if (!node || !queue.data)
        return node;
    struct interest_node *group = broker_interest_trie_reach_queue(interest, node, queue);
    if (!group)
        broker_interest_trie_prune(interest, node);
    return group;
}

static void announce(struct interest *interest, struct interest_sub *sub, uint32_t count)
{
    const struct interest_options *options = &interest->options;
    if (options->announce)
        options->announce(options->arg, broker_interest_subject(sub), broker_interest_queue(sub),
                          count);
}

/* The subscription is in the trie; returns how many are alike now, as other cores are told, or 0
 * where they know. */
static uint32_t place(struct interest *interest, struct interest_sub *sub,
                      const struct interest_spot *spot, struct interest_node *node)
{
    if (!node) {
        broker_interest_leaf_put(interest, sub, spot->node, (uint32_t)spot->rest.size, spot->hash);
        return 1;
    }
    bool is_first = !node->subs;
    broker_interest_trie_list(node, sub);
    if (node->link.kind == INTEREST_QUEUE)
        return ++broker_interest_trie_queue(node)->other.count;
    return is_first;
}

enum err broker_interest_add(struct interest *interest, struct interest_sub *sub)
{
    struct slice subject = broker_interest_subject(sub);
    struct slice queue = broker_interest_queue(sub);
    struct interest_node *node = NULL;
    struct interest_spot spot;
    if (!subject_is_filter(subject))
        return ERR_INVALID;
    broker_interest_trie_descend(interest, subject, &spot);
    if (!queue.data && !broker_interest_trie_part(interest, &spot))
        return ERR_NO_MEMORY;
    bool is_leaf = !queue.data && broker_interest_leaf_fits(&spot, subject);
    if (!is_leaf && !(node = reach(interest, &spot, queue)))
        return ERR_NO_MEMORY;
    uint32_t count = place(interest, sub, &spot, node);
    interest->stats.subs++;
    interest->stats.inserts++;
    broker_interest_cache_change(interest, subject);
    if (count > 0)
        announce(interest, sub, count);
    return ERR_OK;
}

static void match_change(struct interest_match *match, const struct interest_sub *sub,
                         struct interest_sub *instead)
{
    for (uint32_t i = 0; i < match->plain_count; i++)
        if (match->plain[i] == sub)
            match->plain[i] = instead;
    for (uint32_t g = 0; g < match->group_count; g++)
        for (uint32_t i = 0; i < match->groups[g].member_count; i++)
            if (match->groups[g].members[i] == sub)
                match->groups[g].members[i] = instead;
}

static void held_change(struct interest *interest, const struct interest_sub *sub,
                        struct interest_sub *instead)
{
    list_for_each (link, &interest->held)
        match_change(&LIST_ENTRY(link, struct interest_box, held)->match, sub, instead);
}

/* Takes it off its node; returns whether other cores are to be told, and how many are left. */
static bool unlist(struct interest_sub *sub, uint32_t *out_count)
{
    struct interest_node *node = sub->node;
    *sub->back = sub->next;
    if (sub->next)
        sub->next->back = sub->back;
    *out_count = 0;
    if (node->link.kind != INTEREST_QUEUE)
        return !node->subs;
    *out_count = --broker_interest_trie_queue(node)->other.count;
    return true;
}

void broker_interest_remove(struct interest *interest, struct interest_sub *sub)
{
    bool is_leaf = sub->place == INTEREST_LEAF;
    bool is_told = true;
    uint32_t count = 0;
    if (!broker_interest_is_added(sub))
        return;
    struct interest_node *node = is_leaf ? sub->leaf.parent : sub->node;
    if (is_leaf)
        broker_interest_trie_unlink(interest, &sub->leaf);
    else
        is_told = unlist(sub, &count);
    sub->place = INTEREST_NOWHERE;
    interest->stats.subs--;
    interest->stats.removes++;
    held_change(interest, sub, NULL);
    broker_interest_cache_change(interest, broker_interest_subject(sub));
    if (is_told)
        announce(interest, sub, count);
    broker_interest_trie_prune(interest, node);
}

void broker_interest_replace(struct interest *interest, struct interest_sub *old,
                             struct interest_sub *sub)
{
    struct slice subject = broker_interest_subject(sub);
    CHECK(broker_interest_is_added(old) && !broker_interest_is_added(sub) &&
          slice_equal(broker_interest_subject(old), subject) &&
          slice_equal(broker_interest_queue(old), broker_interest_queue(sub)));
    if (old->place == INTEREST_LEAF) {
        const struct interest_link leaf = old->leaf;
        broker_interest_trie_unlink(interest, &old->leaf);
        broker_interest_leaf_put(interest, sub, leaf.parent, sub->subject_size - leaf.mark,
                                 leaf.hash);
    } else {
        sub->place = INTEREST_LISTED;
        sub->node = old->node;
        sub->next = old->next;
        sub->back = old->back;
        *sub->back = sub;
        if (sub->next)
            sub->next->back = &sub->next;
    }
    old->place = INTEREST_NOWHERE;
    held_change(interest, old, sub);
    broker_interest_cache_change(interest, subject);
}

static struct interest_other *find_remote(const struct interest_node *node, uint32_t core)
{
    struct interest_other *other = node->others;
    while (other && other->core != core && other->core != INTEREST_CORE_NONE)
        other = other->next;
    return other && other->core == core ? other : NULL;
}

/* Something that another core announced. */
struct announced {
    uint32_t core;
    uint32_t count;
    struct slice subject;
    struct slice queue;
};

/* The leaf that this announcement is; NULL: it is none. */
static struct interest_link *leaf_of(const struct interest_spot *spot, const struct announced *it)
{
    struct interest_link *leaf = spot->leaf;
    bool is_it = leaf && leaf->form == INTEREST_FAR && leaf->mark == it->core && !it->queue.data &&
                 slice_equal(broker_interest_leaf_label(leaf), spot->rest);
    return is_it ? leaf : NULL;
}

static enum err announced_node(struct interest *interest, const struct interest_spot *spot,
                               const struct announced *it)
{
    struct interest_node *node = reach(interest, spot, it->queue);
    if (!node)
        return ERR_NO_MEMORY;
    struct interest_other *other = find_remote(node, it->core);
    if (other) {
        other->count = it->count;
        broker_interest_trie_prune(interest, node); /* one alone may be a leaf */
        return ERR_OK;
    }
    enum err err = broker_interest_trie_add_other(interest, node, it->core, it->count);
    if (err)
        broker_interest_trie_prune(interest, node);
    else
        interest->stats.remotes++;
    return err;
}

static enum err announced_set(struct interest *interest, struct interest_spot *spot,
                              const struct announced *it)
{
    bool is_one = !it->queue.data && it->count == 1;
    if (is_one && leaf_of(spot, it))
        return ERR_OK;
    if (is_one && !broker_interest_trie_part(interest, spot))
        return ERR_NO_MEMORY;
    if (!is_one || !broker_interest_leaf_fits(spot, it->subject))
        return announced_node(interest, spot, it);
    enum err err = broker_interest_leaf_put_far(interest, spot, it->core);
    if (err)
        broker_interest_trie_prune(interest, spot->node);
    else
        interest->stats.remotes++;
    return err;
}

static void announced_drop(struct interest *interest, const struct interest_spot *spot,
                           const struct announced *it)
{
    struct interest_link *leaf = leaf_of(spot, it);
    struct interest_node *node = spot->rest.data ? NULL : spot->node;
    if (node && it->queue.data)
        node = broker_interest_trie_find_queue(interest, node, it->queue);
    struct interest_other *other = node ? find_remote(node, it->core) : NULL;
    if (!leaf && !other)
        return;
    interest->stats.remotes--;
    if (other) {
        broker_interest_trie_remove_other(interest, other);
        broker_interest_trie_prune(interest, node);
    } else {
        broker_interest_trie_unlink(interest, leaf);
        broker_interest_leaf_free_far(interest, leaf);
        broker_interest_trie_prune(interest, spot->node);
    }
}

static bool is_acceptable(struct slice subject, struct slice queue)
{
    return subject_is_filter(subject) && (!queue.data || queue.size > 0);
}

enum err broker_interest_remote_set(struct interest *interest, uint32_t core, struct slice subject,
                                    struct slice queue, uint32_t count)
{
    const struct announced it = {core, count, subject, queue};
    struct interest_spot spot;
    enum err err = ERR_OK;
    if (core >= INTEREST_CORES_MAX || !is_acceptable(subject, queue))
        return ERR_INVALID;
    broker_interest_trie_descend(interest, subject, &spot);
    if (count > 0)
        err = announced_set(interest, &spot, &it);
    else
        announced_drop(interest, &spot, &it);
    broker_interest_cache_change(interest, subject);
    return err;
}

uint32_t broker_interest_remote_get(const struct interest *interest, uint32_t core,
                                    struct slice subject, struct slice queue)
{
    const struct announced it = {core, 0, subject, queue};
    struct interest_spot spot;
    if (!is_acceptable(subject, queue))
        return 0;
    broker_interest_trie_descend(interest, subject, &spot);
    if (spot.rest.data)
        return leaf_of(&spot, &it) != NULL;
    const struct interest_node *node =
        queue.data ? broker_interest_trie_find_queue(interest, spot.node, queue) : spot.node;
    const struct interest_other *other = node ? find_remote(node, core) : NULL;
    return other ? other->count : 0;
}

static bool wants_below(const struct interest *interest, const struct interest_node *node,
                        struct slice filter);

/* filter begins with the token that led to the link; NULL: nothing. */
static bool wants_at(const struct interest *interest, const struct interest_link *link,
                     struct slice filter)
{
    struct slice token;
    if (!link)
        return false;
    if (link->form != INTEREST_NODE)
        return subject_collide(broker_interest_leaf_label(link), filter);
    (void)subject_token_next(&filter, &token);
    return wants_below(interest, broker_interest_trie_node(link), filter);
}

/* Nodes live only while something hangs on them, so to have children is to be wanted. */
static bool wants_below(const struct interest *interest, const struct interest_node *node,
                        struct slice filter)
{
    struct slice rest = filter;
    struct slice token;
    if (!subject_token_next(&rest, &token))
        return node->subs || node->others;
    bool is_star = token.size == 1 && token.data[0] == '*';
    bool is_tail = token.size == 1 && token.data[0] == '>';
    if (node->has_tail || ((is_star || is_tail) && node->literals > 0) ||
        (is_tail && node->has_star))
        return true;
    if (node->has_star &&
        wants_at(interest,
                 broker_interest_trie_child(interest, node, INTEREST_STAR, SLICE_LITERAL("*"), 0),
                 filter))
        return true;
    return node->literals > 0 &&
           wants_at(interest,
                    broker_interest_trie_child(interest, node, INTEREST_LITERAL, token,
                                               broker_interest_trie_hash(interest, token)),
                    filter);
}

bool broker_interest_wants(const struct interest *interest, struct slice filter)
{
    return wants_below(interest, interest->root, filter);
}

void broker_interest_stats(const struct interest *interest, struct interest_stats *out)
{
    *out = interest->stats;
    out->nodes = interest->link_count;
    out->cache_entries = interest->cache.entries;
    out->size_bytes +=
        interest->bucket_capacity * sizeof(*interest->buckets) + interest->cache.size +
        ((size_t)interest->cache.set_mask + 1) * INTEREST_CACHE_WAYS * sizeof(struct interest_slot);
}

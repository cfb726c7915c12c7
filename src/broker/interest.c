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

static bool is_acceptable(struct slice subject, struct slice queue)
{
    return subject_is_filter(subject) && (!queue.data || queue.size > 0);
}

/* The node whose subscriptions or announcements are meant; NULL: out of memory. */
static struct interest_node *reach(struct interest *interest, struct slice subject,
                                   struct slice queue)
{
    struct interest_node *node = broker_interest_trie_reach(interest, subject);
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
        options->announce(options->arg, sub->subject, sub->queue, count);
}

enum err broker_interest_add(struct interest *interest, struct interest_sub *sub)
{
    if (!is_acceptable(sub->subject, sub->queue))
        return ERR_INVALID;
    struct interest_node *node = reach(interest, sub->subject, sub->queue);
    if (!node)
        return ERR_NO_MEMORY;
    bool is_first = !node->subs;
    sub->node = node;
    sub->next = node->subs;
    sub->back = &node->subs;
    if (node->subs)
        node->subs->back = &sub->next;
    node->subs = sub;
    interest->stats.subs++;
    interest->stats.inserts++;
    broker_interest_cache_change(interest, sub->subject);
    if (node->kind == INTEREST_QUEUE)
        announce(interest, sub, ++broker_interest_trie_queue(node)->other.count);
    else if (is_first)
        announce(interest, sub, 1);
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

void broker_interest_remove(struct interest *interest, struct interest_sub *sub)
{
    struct interest_node *node = sub->node;
    if (!node)
        return;
    *sub->back = sub->next;
    if (sub->next)
        sub->next->back = sub->back;
    sub->node = NULL;
    interest->stats.subs--;
    interest->stats.removes++;
    held_change(interest, sub, NULL);
    broker_interest_cache_change(interest, sub->subject);
    if (node->kind == INTEREST_QUEUE)
        announce(interest, sub, --broker_interest_trie_queue(node)->other.count);
    else if (!node->subs)
        announce(interest, sub, 0);
    broker_interest_trie_prune(interest, node);
}

void broker_interest_replace(struct interest *interest, struct interest_sub *old,
                             struct interest_sub *sub)
{
    CHECK(old->node && !sub->node && slice_equal(old->subject, sub->subject) &&
          slice_equal(old->queue, sub->queue));
    sub->node = old->node;
    sub->next = old->next;
    sub->back = old->back;
    *sub->back = sub;
    if (sub->next)
        sub->next->back = &sub->next;
    old->node = NULL;
    held_change(interest, old, sub);
    broker_interest_cache_change(interest, sub->subject);
}

static struct interest_other *find_remote(const struct interest_node *node, uint32_t core)
{
    struct interest_other *other = node->others;
    while (other && other->core != core && other->core != INTEREST_CORE_NONE)
        other = other->next;
    return other && other->core == core ? other : NULL;
}

static enum err add_remote(struct interest *interest, struct interest_node *node, uint32_t core,
                           uint32_t count)
{
    struct interest_other *other = broker_interest_trie_alloc(interest, sizeof(*other));
    if (!other)
        return ERR_NO_MEMORY;
    *other = (struct interest_other){
        .next = node->others, .back = &node->others, .core = core, .count = count};
    if (node->others)
        node->others->back = &other->next;
    node->others = other;
    interest->stats.remotes++;
    return ERR_OK;
}

static void remove_remote(struct interest *interest, struct interest_other *other)
{
    *other->back = other->next;
    if (other->next)
        other->next->back = other->back;
    broker_interest_trie_release(interest, other, sizeof(*other));
    interest->stats.remotes--;
}

static struct interest_node *find(const struct interest *interest, struct slice subject,
                                  struct slice queue)
{
    struct interest_node *node = broker_interest_trie_find(interest, subject);
    return node && queue.data ? broker_interest_trie_find_queue(interest, node, queue) : node;
}

enum err broker_interest_remote_set(struct interest *interest, uint32_t core, struct slice subject,
                                    struct slice queue, uint32_t count)
{
    if (core >= INTEREST_CORES_MAX || !is_acceptable(subject, queue))
        return ERR_INVALID;
    struct interest_node *node =
        count > 0 ? reach(interest, subject, queue) : find(interest, subject, queue);
    if (!node)
        return count > 0 ? ERR_NO_MEMORY : ERR_OK;
    struct interest_other *other = find_remote(node, core);
    enum err err = ERR_OK;
    if (other && count > 0)
        other->count = count;
    else if (other)
        remove_remote(interest, other);
    else if (count > 0)
        err = add_remote(interest, node, core, count);
    broker_interest_cache_change(interest, subject);
    broker_interest_trie_prune(interest, node);
    return err;
}

uint32_t broker_interest_remote_get(const struct interest *interest, uint32_t core,
                                    struct slice subject, struct slice queue)
{
    const struct interest_node *node =
        is_acceptable(subject, queue) ? find(interest, subject, queue) : NULL;
    const struct interest_other *other = node ? find_remote(node, core) : NULL;
    return other ? other->count : 0;
}

/* Nodes live only while something hangs on them, so to have children is to be wanted. */
static bool wants_below(const struct interest *interest, const struct interest_node *node,
                        struct slice rest)
{
    struct slice token;
    if (!subject_token_next(&rest, &token))
        return node->subs || node->others;
    bool is_star = token.size == 1 && token.data[0] == '*';
    bool is_tail = token.size == 1 && token.data[0] == '>';
    if (node->has_tail || ((is_star || is_tail) && node->literals > 0) ||
        (is_tail && node->has_star))
        return true;
    const struct interest_node *child = NULL;
    if (node->has_star)
        child = broker_interest_trie_child(interest, node, INTEREST_STAR, SLICE_LITERAL("*"), 0);
    if (child && wants_below(interest, child, rest))
        return true;
    if (node->literals == 0)
        return false;
    child = broker_interest_trie_child(interest, node, INTEREST_LITERAL, token,
                                       broker_interest_trie_hash(interest, token));
    return child && wants_below(interest, child, rest);
}

bool broker_interest_wants(const struct interest *interest, struct slice filter)
{
    return wants_below(interest, interest->root, filter);
}

void broker_interest_stats(const struct interest *interest, struct interest_stats *out)
{
    *out = interest->stats;
    out->nodes = interest->node_count;
    out->cache_entries = interest->cache.entries;
    out->size_bytes +=
        interest->bucket_capacity * sizeof(*interest->buckets) + interest->cache.size +
        ((size_t)interest->cache.set_mask + 1) * INTEREST_CACHE_WAYS * sizeof(struct interest_slot);
}

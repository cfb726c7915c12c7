// Matching a subject: the walk through the trie, and the result laid out in one piece.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/subject.h"
#include "broker/interest_state.h"

static const struct interest_match EMPTY = {0};

/* What is known of a group before its members are laid out. */
struct pending {
    struct interest_name *name;
    uint64_t members;
    uint64_t remotes;
};

struct sizes {
    uint64_t members;
    uint64_t remotes;
    size_t names;
    size_t total;
};

static enum err split(struct interest *interest, struct slice subject, bool *out_is_valid);
static enum err walk(struct interest *interest);
static enum err collect(struct interest *interest, struct interest_node *node);
static enum err collect_sub(struct interest *interest, struct interest_sub *sub);
static enum err collect_core(struct interest *interest, uint32_t core);
static void measure(const struct interest *interest, struct sizes *out);
static void lay_out(struct interest *interest, const struct sizes *sizes, struct interest_box *box);

/* A new item behind the others; NULL: out of memory. */
static inline void *push(struct interest_vector *vector, size_t item_size)
{
    if (vector->count == vector->capacity) {
        size_t capacity = vector->capacity ? vector->capacity * 2 : 32;
        void *grown = realloc(vector->data, capacity * item_size);
        if (!grown)
            return NULL;
        vector->data = grown;
        vector->capacity = capacity;
    }
    return vector->data + item_size * vector->count++;
}

/* Finds the match of another subject than the last, or makes it. */
static NOINLINE enum err match_anew(struct interest *interest, struct slice subject,
                                    const struct interest_match **out)
{
    *out = &EMPTY;
    uint64_t hash = broker_interest_cache_hash(interest, subject);
    struct interest_box *box = broker_interest_cache_get(interest, hash, subject);
    if (box) {
        interest->stats.cache_hits++;
        *out = &box->match;
        return ERR_OK;
    }
    bool is_valid = false;
    enum err err = split(interest, subject, &is_valid);
    if (err || !is_valid)
        return err;
    err = walk(interest);
    if (err)
        return err;
    struct sizes sizes;
    measure(interest, &sizes);
    struct interest_slot *slot = broker_interest_cache_admit(interest, hash, subject, sizes.total);
    if (!slot)
        interest->scratch = broker_interest_cache_box(interest->scratch, sizes.total);
    box = slot ? slot->box : interest->scratch;
    if (!box)
        return ERR_NO_MEMORY;
    lay_out(interest, &sizes, box);
    box->match.tap =
        interest->options.tap ? interest->options.tap(interest->options.arg, subject) : NULL;
    if (slot)
        broker_interest_cache_fill(interest, slot, hash, subject);
    *out = &box->match;
    return ERR_OK;
}

enum err broker_interest_match(struct interest *interest, struct slice subject,
                               const struct interest_match **out)
{
    interest->stats.matches++;
    const struct interest_box *box = broker_interest_cache_again(interest, subject);
    if (!box)
        return match_anew(interest, subject, out);
    interest->stats.cache_hits++;
    *out = &box->match;
    return ERR_OK;
}

static enum err split(struct interest *interest, struct slice subject, bool *out_is_valid)
{
    struct slice text;
    interest->tokens.count = 0;
    *out_is_valid = false;
    if (subject.size == 0)
        return ERR_OK;
    while (subject_token_next(&subject, &text)) {
        if (text.size == 0)
            return ERR_OK;
        struct interest_token *token = push(&interest->tokens, sizeof(*token));
        if (!token)
            return ERR_NO_MEMORY;
        token->text = text;
    }
    *out_is_valid = true;
    return ERR_OK;
}

static enum err push_step(struct interest *interest, struct interest_node *node, uint32_t level)
{
    struct interest_step *step = push(&interest->steps, sizeof(*step));
    if (!step)
        return ERR_NO_MEMORY;
    *step = (struct interest_step){node, level};
    return ERR_OK;
}

/* What leads on from a step: a node is walked later, a leaf is taken when its label matches what is
 * left of the subject. link may be NULL. */
static enum err enter(struct interest *interest, struct interest_link *link, uint32_t level)
{
    if (!link)
        return ERR_OK;
    if (link->form == INTEREST_NODE)
        return push_step(interest, broker_interest_trie_node(link), level + 1);
    const struct interest_token *tokens =
        (const struct interest_token *)(const void *)interest->tokens.data;
    const struct slice *last = &tokens[interest->tokens.count - 1].text;
    const uint8_t *start = tokens[level].text.data;
    struct slice rest = slice_make(start, (size_t)(last->data + last->size - start));
    struct slice label = broker_interest_leaf_label(link);
    if (!slice_equal(label, rest) && !subject_matches(rest, label))
        return ERR_OK;
    if (link->form == INTEREST_FAR)
        return collect_core(interest, link->mark);
    return collect_sub(interest, CONTAINER_OF(link, struct interest_sub, leaf));
}

static enum err enter_tail(struct interest *interest, const struct interest_node *node)
{
    struct interest_link *link =
        broker_interest_trie_child(interest, node, INTEREST_TAIL, SLICE_LITERAL(">"), 0);
    if (link->form == INTEREST_NODE)
        return collect(interest, broker_interest_trie_node(link));
    if (link->form == INTEREST_FAR)
        return collect_core(interest, link->mark);
    return collect_sub(interest, CONTAINER_OF(link, struct interest_sub, leaf));
}

/* Depth first with a stack of its own, at most one entry a level more than tokens: each node is
 * seen at most once. Tokens are hashed when a node first asks for them. */
static enum err walk(struct interest *interest)
{
    struct interest_token *tokens = (struct interest_token *)(void *)interest->tokens.data;
    size_t count = interest->tokens.count;
    size_t hashed = 0;
    interest->serial++;
    interest->plain.count = interest->queues.count = 0;
    interest->groups.count = interest->cores.count = interest->steps.count = 0;
    enum err err = push_step(interest, interest->root, 0);
    while (!err && interest->steps.count > 0) {
        struct interest_step *steps = (struct interest_step *)(void *)interest->steps.data;
        struct interest_step step = steps[--interest->steps.count];
        struct interest_node *node = step.node;
        if (step.level == count) {
            err = collect(interest, node);
            continue;
        }
        if (node->has_tail)
            err = enter_tail(interest, node);
        if (!err && node->has_star)
            err = enter(
                interest,
                broker_interest_trie_child(interest, node, INTEREST_STAR, SLICE_LITERAL("*"), 0),
                step.level);
        if (err || node->literals == 0)
            continue;
        struct interest_token *token = &tokens[step.level];
        for (; hashed <= step.level; hashed++)
            tokens[hashed].hash = broker_interest_trie_hash(interest, tokens[hashed].text);
        err = enter(
            interest,
            broker_interest_trie_child(interest, node, INTEREST_LITERAL, token->text, token->hash),
            step.level);
    }
    return err;
}

static struct pending *pending_of(struct interest *interest, struct interest_name *name)
{
    if (name->serial == interest->serial)
        return (struct pending *)(void *)interest->groups.data + name->slot;
    struct pending *pending = push(&interest->groups, sizeof(*pending));
    if (!pending)
        return NULL;
    *pending = (struct pending){.name = name};
    name->serial = interest->serial;
    name->slot = (uint32_t)(interest->groups.count - 1);
    return pending;
}

static enum err collect_queue(struct interest *interest, struct interest_queue *queue)
{
    struct pending *pending = pending_of(interest, queue->name);
    struct interest_queue **item = pending ? push(&interest->queues, sizeof(*item)) : NULL;
    if (!item)
        return ERR_NO_MEMORY;
    *item = queue;
    pending->members += queue->other.count;
    for (struct interest_other *other = queue->node.others; other; other = other->next)
        pending->remotes++;
    return ERR_OK;
}

static enum err collect_sub(struct interest *interest, struct interest_sub *sub)
{
    struct interest_sub **item = push(&interest->plain, sizeof(struct interest_sub *));
    if (!item)
        return ERR_NO_MEMORY;
    *item = sub;
    return ERR_OK;
}

static enum err collect_core(struct interest *interest, uint32_t core)
{
    if (interest->core_serials[core] == interest->serial)
        return ERR_OK;
    uint32_t *item = push(&interest->cores, sizeof(*item));
    if (!item)
        return ERR_NO_MEMORY;
    *item = core;
    interest->core_serials[core] = interest->serial;
    return ERR_OK;
}

static enum err collect(struct interest *interest, struct interest_node *node)
{
    enum err err = ERR_OK;
    for (struct interest_sub *sub = node->subs; sub && !err; sub = sub->next)
        err = collect_sub(interest, sub);
    for (struct interest_other *other = node->others; other && !err; other = other->next)
        err = other->core == INTEREST_CORE_NONE
                  ? collect_queue(interest, CONTAINER_OF(other, struct interest_queue, other))
                  : collect_core(interest, other->core);
    return err;
}

static void measure(const struct interest *interest, struct sizes *out)
{
    const struct pending *groups = (const struct pending *)(const void *)interest->groups.data;
    *out = (struct sizes){0};
    for (size_t i = 0; i < interest->groups.count; i++) {
        out->members += groups[i].members;
        out->remotes += groups[i].remotes;
        out->names += groups[i].name->size;
    }
    out->total = (interest->plain.count + out->members) * sizeof(struct interest_sub *) +
                 interest->groups.count * sizeof(struct interest_group) +
                 out->remotes * sizeof(struct interest_weight) +
                 interest->cores.count * sizeof(uint32_t) + out->names;
}

static void add_queue(struct interest_group *group, const struct interest_queue *queue)
{
    for (struct interest_sub *sub = queue->node.subs; sub; sub = sub->next)
        group->members[group->member_count++] = sub;
    for (struct interest_other *other = queue->node.others; other; other = other->next) {
        struct interest_weight *weight = group->remotes;
        struct interest_weight *end = weight + group->remote_count;
        while (weight < end && weight->core != other->core)
            weight++;
        if (weight == end) {
            *weight = (struct interest_weight){.core = other->core};
            group->remote_count++;
        }
        weight->count += other->count;
        group->remote_members += other->count;
    }
}

static void *cut(uint8_t **at, size_t size)
{
    void *start = *at;
    *at += size;
    return start;
}

static void copy(void *to, const struct interest_vector *from, size_t item_size)
{
    if (from->count > 0)
        memcpy(to, from->data, from->count * item_size);
}

static void lay_out(struct interest *interest, const struct sizes *sizes, struct interest_box *box)
{
    struct interest_match *match = &box->match;
    const struct pending *pending = (const struct pending *)(const void *)interest->groups.data;
    struct interest_queue **queues = (struct interest_queue **)(void *)interest->queues.data;
    uint8_t *at = box->memory;
    match->plain_count = (uint32_t)interest->plain.count;
    match->group_count = (uint32_t)interest->groups.count;
    match->core_count = (uint32_t)interest->cores.count;
    match->plain = cut(&at, interest->plain.count * sizeof(struct interest_sub *));
    struct interest_sub **members = cut(&at, sizes->members * sizeof(struct interest_sub *));
    match->groups = cut(&at, match->group_count * sizeof(struct interest_group));
    struct interest_weight *weights = cut(&at, sizes->remotes * sizeof(struct interest_weight));
    match->cores = cut(&at, match->core_count * sizeof(uint32_t));
    copy(match->plain, &interest->plain, sizeof(struct interest_sub *));
    copy(match->cores, &interest->cores, sizeof(uint32_t));
    for (uint32_t i = 0; i < match->group_count; i++) {
        const struct interest_name *name = pending[i].name;
        void *text = cut(&at, name->size);
        memcpy(text, name->bytes, name->size);
        match->groups[i] = (struct interest_group){
            .name = slice_make(text, name->size), .members = members, .remotes = weights};
        members += pending[i].members;
        weights += pending[i].remotes;
    }
    for (size_t i = 0; i < interest->queues.count; i++)
        add_queue(&match->groups[queues[i]->name->slot], queues[i]);
    CHECK(at <= box->memory + box->capacity);
}

static struct interest_box *box_of(const struct interest_match *match)
{
    return (struct interest_box *)(uintptr_t)match;
}

void broker_interest_hold(struct interest *interest, const struct interest_match *match)
{
    if (match == &EMPTY)
        return;
    struct interest_box *box = box_of(match);
    if (box->holds++ == 0)
        list_push_back(&interest->held, &box->held);
}

void broker_interest_release(struct interest *interest, const struct interest_match *match)
{
    if (match == &EMPTY)
        return;
    struct interest_box *box = box_of(match);
    CHECK(box->holds > 0);
    if (--box->holds > 0)
        return;
    list_remove(&box->held);
    if (box->orphan)
        free(box);
}

static uint64_t below(uint64_t random, uint64_t count)
{
    return (uint64_t)((__uint128_t)random * count >> 64);
}

struct interest_choice broker_interest_pick(const struct interest_group *group, uint64_t random)
{
    uint64_t index = below(random, group->member_count + group->remote_members);
    if (index < group->member_count || group->remote_members == 0)
        return (struct interest_choice){.is_local = true, .index = (uint32_t)index};
    index -= group->member_count;
    const struct interest_weight *weight = group->remotes;
    while (index >= weight->count) {
        index -= weight->count;
        weight++;
    }
    return (struct interest_choice){.core = weight->core};
}

uint32_t broker_interest_pick_local(const struct interest_group *group, uint64_t random)
{
    return (uint32_t)below(random, group->member_count);
}

const struct interest_group *broker_interest_group(const struct interest_match *match,
                                                   struct slice name)
{
    for (uint32_t i = 0; i < match->group_count; i++)
        if (slice_equal(match->groups[i].name, name))
            return &match->groups[i];
    return NULL;
}

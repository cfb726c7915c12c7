// Who wants which subject now: the subscriptions of one core and what the other cores announced.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/err.h"
#include "base/slice.h"

/* Core numbers are below this. */
#define INTEREST_CORES_MAX 1024

/* One a core, and only that core calls it. A publish is matched once, on the publisher's core: the
 * result names the local subscriptions and the cores that announced interest; each of those gets
 * one message and matches again for its own subscriptions. */
struct interest;
struct interest_node;

/* What the trie finds by hash: a node of its own, or a leaf. Nobody else looks into it. */
struct interest_link {
    struct interest_node *parent;
    struct interest_link *chain; /* next of its bucket */
    uint32_t hash;
    uint8_t kind;  /* enum interest_kind */
    uint8_t form;  /* enum interest_form */
    uint16_t mark; /* own leaf: where its label begins in the subject; far leaf: the core */
};

/* The longest name of a queue group; what reads subscriptions allows less. */
#define INTEREST_QUEUE_SIZE_MAX (((uint32_t)1 << 24) - 1)

/* A subscription: embed it, and _set it before _add. A million of them are kept, so it is small:
 * one that nobody shares its filter with hangs in the trie itself, without a node. */
struct interest_sub {
    const uint8_t *text; /* the subject, and the queue behind it */
    uint32_t subject_size;
    uint16_t queue_size_low; /* 0, and 0: none */
    uint8_t queue_size_high;
    uint8_t place; /* enum interest_place; what stands before it does not change when it does */
    union {
        struct interest_link leaf;
        struct {
            struct interest_node *node;
            struct interest_sub *next;
            struct interest_sub **back;
        };
    };
};

_Static_assert(sizeof(struct interest_sub) == 40, "five words: there may be a million");

/* Not added yet: the subject, with queue_size (0: none) bytes of a queue's name right behind it.
 * They stay as they are until _remove. */
static inline void broker_interest_set(struct interest_sub *sub, struct slice subject,
                                       size_t queue_size)
{
    CHECK(subject.size <= UINT32_MAX && queue_size <= INTEREST_QUEUE_SIZE_MAX);
    *sub = (struct interest_sub){
        .text = subject.data,
        .subject_size = (uint32_t)subject.size,
        .queue_size_low = (uint16_t)queue_size,
        .queue_size_high = (uint8_t)(queue_size >> 16),
    };
}

static inline struct slice broker_interest_subject(const struct interest_sub *sub)
{
    return slice_make(sub->text, sub->subject_size);
}

static inline size_t broker_interest_queue_size(const struct interest_sub *sub)
{
    return (size_t)sub->queue_size_high << 16 | sub->queue_size_low;
}

/* Null: none. */
static inline struct slice broker_interest_queue(const struct interest_sub *sub)
{
    size_t size = broker_interest_queue_size(sub);
    return size > 0 ? slice_make(sub->text + sub->subject_size, size) : SLICE_NULL;
}

static inline bool broker_interest_is_added(const struct interest_sub *sub)
{
    return sub->place != 0;
}

/* So many members of a queue group are on that core. */
struct interest_weight {
    uint32_t core;
    uint32_t count;
};

/* One queue group of a match, its members under all matching filters together. Exactly one member
 * on one core gets the message: see broker_interest_pick. */
struct interest_group {
    struct slice name;
    struct interest_sub **members; /* on this core; NULL: removed while the match was held */
    uint32_t member_count;
    uint32_t remote_count;           /* entries of remotes */
    struct interest_weight *remotes; /* other cores */
    uint64_t remote_members;         /* sum of their counts */
};

/* Belongs to the interest; valid until the next call into it, or until _release when held. */
struct interest_match {
    struct interest_sub **plain; /* on this core; NULL: removed while the match was held */
    struct interest_group *groups;
    uint32_t *cores; /* other cores with at least one plain subscription */
    void *tap;       /* what options.tap said of the subject; NULL: nothing */
    uint32_t plain_count;
    uint32_t group_count;
    uint32_t core_count;
};

struct interest_stats {
    uint64_t subs;    /* local subscriptions now */
    uint64_t remotes; /* announcements of other cores now */
    uint64_t nodes;   /* of the trie, leaves included */
    uint64_t inserts;
    uint64_t removes;
    uint64_t matches;
    uint64_t cache_hits;
    uint64_t cache_entries;
    uint64_t size_bytes; /* memory of the trie and the cache, subscriptions not included */
};

struct interest_options {
    uint64_t seed[2];        /* random: outside data must not choose hash collisions */
    struct budget *budget;   /* charged for nodes; NULL: none */
    uint32_t cache_entries;  /* most cached matches; 0: the default */
    size_t cache_size_bytes; /* most memory of cached matches; 0: the default */
    /* This core's interest changed, to be told to every other core: broker_interest_remote_set
     * there with this count. Plain subscriptions are told as 0 or 1, groups with their members.
     * Called inside _add and _remove, must not call back. NULL: nobody listens. */
    void (*announce)(void *arg, struct slice subject, struct slice queue, uint32_t count);
    /* What else takes messages on a subject; asked when a match is made, and remembered with it
     * until broker_interest_tap_changed. Must not call back. NULL: nothing does. */
    void *(*tap)(void *arg, struct slice subject);
    void *arg;
};

/* NULL: out of memory. */
struct interest *broker_interest_new(const struct interest_options *options);
/* No subscription may be left; announcements of others are dropped. NULL is allowed. */
void broker_interest_free(struct interest *interest);

/* ERR_INVALID: subject_is_filter says no. ERR_NO_MEMORY: nothing changed. */
NODISCARD enum err broker_interest_add(struct interest *interest, struct interest_sub *sub);
/* Harmless on a subscription that is not added. Never fails. */
void broker_interest_remove(struct interest *interest, struct interest_sub *sub);

/* sub, not added yet and alike in subject and queue, takes the place of old, which is not added
 * any more. Nobody is told of anything. */
void broker_interest_replace(struct interest *interest, struct interest_sub *old,
                             struct interest_sub *sub);

/* Who takes a message on this subject; never NULL, empty also for a subject with an empty token.
 * Out of memory is reported as ERR_NO_MEMORY with an empty match. */
NODISCARD enum err broker_interest_match(struct interest *interest, struct slice subject,
                                         const struct interest_match **out);
/* What options.tap says has changed. */
void broker_interest_tap_changed(struct interest *interest);
/* Whether somebody, on whichever core, may get messages on subjects that match the filter. True may
 * be wrong where a "*" of the filter stands for any of several tokens. */
bool broker_interest_wants(const struct interest *interest, struct slice filter);
/* Keeps a match usable over _add, _remove and other matches: a subscription removed meanwhile
 * becomes NULL in it. As many releases as holds. */
void broker_interest_hold(struct interest *interest, const struct interest_match *match);
void broker_interest_release(struct interest *interest, const struct interest_match *match);

/* Where a group's message goes. */
struct interest_choice {
    bool is_local;
    uint32_t core;  /* !is_local */
    uint32_t index; /* is_local: where in members to begin; when that one cannot take it, the next
                       ones, around the end */
};
/* Any member of any core alike, by one random number. A group has at least one member, unless the
 * local ones were removed while held. */
struct interest_choice broker_interest_pick(const struct interest_group *group, uint64_t random);
/* Where in members to begin on a core that was told to serve the group; member_count is not 0. */
uint32_t broker_interest_pick_local(const struct interest_group *group, uint64_t random);
/* The group of that name; NULL: none. For a core that was told to serve it. */
const struct interest_group *broker_interest_group(const struct interest_match *match,
                                                   struct slice name);

/* Core `core` now has count subscriptions (0: none) under exactly this filter and queue (null:
 * plain). Absolute, so that a repeated announcement does no harm. ERR_INVALID as in _add, or the
 * queue is empty. What lowers a count takes no memory. */
NODISCARD enum err broker_interest_remote_set(struct interest *interest, uint32_t core,
                                              struct slice subject, struct slice queue,
                                              uint32_t count);
/* What that core announced; 0: nothing. */
uint32_t broker_interest_remote_get(const struct interest *interest, uint32_t core,
                                    struct slice subject, struct slice queue);

void broker_interest_stats(const struct interest *interest, struct interest_stats *out);

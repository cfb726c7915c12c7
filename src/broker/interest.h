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

/* A subscription: embed it. The owner fills subject and queue (null: none) before _add; their bytes
 * stay as they are until _remove. The rest belongs to the trie. */
struct interest_sub {
    struct slice subject;
    struct slice queue;
    struct interest_sub *next;
    struct interest_sub **back;
    struct interest_node *node; /* NULL: not added */
};

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
    uint64_t nodes;
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

/* ERR_INVALID: subject_is_filter says no, or the queue is empty. ERR_NO_MEMORY: nothing changed. */
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
 * plain). Absolute, so that a repeated announcement does no harm. ERR_INVALID as in _add. */
NODISCARD enum err broker_interest_remote_set(struct interest *interest, uint32_t core,
                                              struct slice subject, struct slice queue,
                                              uint32_t count);
/* What that core announced; 0: nothing. */
uint32_t broker_interest_remote_get(const struct interest *interest, uint32_t core,
                                    struct slice subject, struct slice queue);

void broker_interest_stats(const struct interest *interest, struct interest_stats *out);

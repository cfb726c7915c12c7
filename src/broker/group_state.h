// A classic group as a pure state machine: time and randomness handed in, effects through a table.
// SPDX-License-Identifier: Apache-2.0
//
// Empty -> PreparingRebalance -> CompletingRebalance -> Stable -> PreparingRebalance ...; Dead ends
// it. Deadlines move without touching a timer: the group knows the earliest moment at which
// something may be due, and looks again then.
#pragma once

#include "base/budget.h"
#include "base/map.h"
#include "broker/group.h"

#define GROUP_NEVER_MS INT64_MAX
/* A new member whose join is parked is given up after this: its client has long retried. */
#define GROUP_NEW_MEMBER_TIMEOUT_MS 300000
/* Protocols that one member may offer. */
#define GROUP_PROTOCOLS_MAX 256

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING,
    GROUP_COMPLETING,
    GROUP_STABLE,
    GROUP_DEAD,
    GROUP_STATE_COUNT
};

struct group;

/* What is to be made durable. */
enum group_write_kind {
    GROUP_WRITE_EMPTY,      /* a generation without members; nobody waits for it */
    GROUP_WRITE_ASSIGNMENT, /* the leader's assignment (proposed), before anybody hears of it */
    GROUP_WRITE_REPLACED    /* a static member has a new id */
};

/* Handed back with the result of a write. */
struct group_write {
    enum group_write_kind kind;
    int32_t generation;
    struct slice member_id; /* REPLACED: valid until the write is done */
};

/* The world of a group; one for all groups of a core. */
struct group_env {
    int64_t now_ms;        /* monotonic; set before every call */
    int64_t wall_ms;       /* set before every call */
    struct budget *budget; /* may be NULL */
    int32_t initial_delay_ms;
    int32_t size_max;
    int32_t session_ms_min;
    int32_t session_ms_max;
    uint64_t (*random)(struct group_env *env);
    /* A parked or direct answer is ready: err is set. Never calls back into the group. */
    void (*answer)(struct group_env *env, struct broker_call *call);
    /* Makes the group as it is now durable, then broker_group_classic_written, not inside. An
     * error: it will not, and nothing is called. */
    enum err (*write)(struct group_env *env, struct group *group, const struct group_write *write);
};

struct group_member {
    struct list node; /* in order of arrival */
    struct slice id;
    struct slice instance_id; /* null: dynamic */
    struct slice client_id;
    struct slice client_host;
    struct group_protocol *protocols; /* with their bytes, one block */
    size_t protocol_count;
    size_t protocols_size;
    struct slice assignment; /* own block */
    struct slice proposed;   /* own block: to become the assignment once written */
    struct slice former_id;  /* own block: of the static member that this one replaced */
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    int64_t deadline_ms;
    bool is_new;       /* has not been told its member id yet */
    bool sync_pending; /* has joined this generation and not synced yet */
    struct group_join *join;
    struct group_sync *sync;
    size_t size; /* of this block */
};

/* A member id that was given out and has not come back. */
struct group_pending {
    struct list node;
    struct slice id; /* its bytes follow */
    int64_t deadline_ms;
};

/* How many members offer a protocol. */
struct group_vote {
    struct slice name; /* its bytes follow */
    size_t count;
    size_t votes;
};

struct group {
    struct group_env *env;
    struct slice id; /* its bytes follow the structure's owner; set at init, own block */
    enum group_state state;
    enum group_state previous;
    int32_t generation;
    struct slice protocol_type; /* null: never had a member; own block */
    struct slice protocol_name; /* null: none chosen; own block */
    struct group_member *leader;
    struct map members;
    struct map instances;
    struct list order;
    size_t joining; /* members whose join is parked */
    struct map pending;
    struct list pending_order;
    struct map votes;  /* by protocol: members may name very many */
    bool member_added; /* during the initial delay */
    bool join_initial;
    int64_t delay_ms;
    int64_t remaining_ms;
    int64_t join_deadline_ms;
    int64_t sync_deadline_ms;
    int64_t deadline_ms;    /* nothing is due before */
    int64_t state_since_ms; /* wall clock */
    uint64_t removals;
};

/* --- group_classic.c --- */
/* ERR_NO_MEMORY. id is copied. */
NODISCARD enum err broker_group_classic_init(struct group *group, struct group_env *env,
                                             struct slice id);
/* All parked calls are answered before (broker_group_classic_kill). */
void broker_group_classic_deinit(struct group *group);
/* Each is answered through env->answer, at once or later. */
void broker_group_classic_join(struct group *group, struct group_join *join);
void broker_group_classic_sync(struct group *group, struct group_sync *sync);
NODISCARD enum err broker_group_classic_heartbeat(struct group *group,
                                                  const struct group_heartbeat *heartbeat);
void broker_group_classic_leave(struct group *group, struct group_leaver *leavers, size_t count);
/* May this member commit offsets? A member's session goes on. */
NODISCARD enum err broker_group_classic_commit_check(struct group *group,
                                                     const struct group_commit *commit);
/* The result of env->write. */
void broker_group_classic_written(struct group *group, const struct group_write *write,
                                  enum err err);
/* At or after deadline_ms. */
void broker_group_classic_expire(struct group *group);
/* Answers everything parked with err; the group is dead. */
void broker_group_classic_kill(struct group *group, enum err err);
/* Ids that were given to members that have not joined yet are nobody's again. */
void broker_group_classic_unpend(struct group *group);
/* Answers everything parked with err; the group is as if it were new. */
void broker_group_classic_reset(struct group *group, enum err err);
/* Answers this parked call, if it is, with ERR_CLOSED; false: it is not parked here. */
bool broker_group_classic_cancel(struct group *group, const struct broker_call *call);
/* A member read back from the log, with one protocol; before anything else happens. */
struct group_restored {
    struct slice id;
    struct slice instance_id;
    struct slice client_id;
    struct slice client_host;
    struct slice protocol_name;
    struct slice metadata;
    struct slice assignment;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    bool leader;
};
NODISCARD enum err broker_group_classic_restore(struct group *group,
                                                const struct group_restored *restored);

const char *broker_group_state_name(enum group_state state);

/* --- group_rebalance.c --- */
void broker_group_rebalance_move(struct group *group, enum group_state to);
bool broker_group_rebalance_is_allowed(enum group_state from, enum group_state to);
void broker_group_rebalance_prepare(struct group *group);
/* Prepares where the state allows it, else completes if everybody is here. */
void broker_group_rebalance_demand(struct group *group);
/* Someone has gone: the rebalance under way may be complete. */
void broker_group_rebalance_look(struct group *group);
bool broker_group_rebalance_all_joined(const struct group *group);
void broker_group_rebalance_complete(struct group *group);
/* The name that most members prefer among those that all have; null: out of memory. */
struct slice broker_group_rebalance_vote(struct group *group);
/* Something is due at deadline_ms at the earliest. */
void broker_group_rebalance_due(struct group *group, int64_t deadline_ms);

/* --- group_member.c --- */
struct group_member *broker_group_member_find(const struct group *group, struct slice id);
/* ERR_NO_MEMORY; *out is in the group. id names it, the rest comes from join. */
NODISCARD enum err broker_group_member_add(struct group *group, struct slice id,
                                           const struct group_join *join,
                                           struct group_member **out);
/* Takes it out and frees it; parked calls have been answered. */
void broker_group_member_remove(struct group *group, struct group_member *member);
/* New protocols and timeouts. */
NODISCARD enum err broker_group_member_update(struct group *group, struct group_member *member,
                                              const struct group_join *join);
/* Another id for a static member. */
NODISCARD enum err broker_group_member_rename(struct group *group, struct group_member **member,
                                              struct slice id);
bool broker_group_member_matches(const struct group_member *member, const struct group_join *join);
struct slice broker_group_member_metadata(const struct group_member *member, struct slice protocol);
/* NULL: no member offers it. */
struct group_vote *broker_group_member_vote(const struct group *group, struct slice protocol);
/* The group's protocol type and at least one protocol that all members have. */
bool broker_group_member_fits(const struct group *group, const struct group_join *join);
/* MEMBER_UNKNOWN or FENCED. */
enum err broker_group_member_check(const struct group *group, struct slice id,
                                   struct slice instance_id);
/* Alive for timeout_ms from now. */
void broker_group_member_touch(struct group *group, struct group_member *member,
                               int32_t timeout_ms);
void broker_group_member_park_join(struct group *group, struct group_member *member,
                                   struct group_join *join);
/* Answers the parked join, if any. */
void broker_group_member_join_done(struct group *group, struct group_member *member, enum err err);
void broker_group_member_sync_done(struct group *group, struct group_member *member, enum err err);
/* Answers a join with the group as it is; member may be NULL with an error. */
void broker_group_member_answer_join(struct group *group, const struct group_member *member,
                                     struct group_join *join, enum err err);
void broker_group_member_answer_sync(struct group *group, const struct group_member *member,
                                     struct group_sync *sync, enum err err);
NODISCARD enum err broker_group_member_pend(struct group *group, struct slice id,
                                            int32_t timeout_ms);
void broker_group_member_unpend(struct group *group, struct slice id);
/* Replaces an own block by a copy; null for a null slice. ERR_NO_MEMORY leaves it. */
NODISCARD enum err broker_group_member_own(struct group *group, struct slice *owned,
                                           struct slice bytes);
void broker_group_member_disown(struct group *group, struct slice *owned);
/* Memory of an answer, given back once its done has returned; NULL: none. */
void *broker_group_member_result_new(struct budget *budget, size_t size);
void broker_group_member_result_free(void *result);

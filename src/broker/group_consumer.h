// A group whose assignment the server makes, as a pure state machine. KIP-848.
// SPDX-License-Identifier: Apache-2.0
//
// Time, topics and records are handed in.
//
// The group epoch grows with every change of members, subscriptions or topics. The target
// assignment is made for an epoch; each member goes towards it by itself: what it must give up it
// gives up first (UNREVOKED), then it takes the new epoch and all that is free; what others still
// hold it waits for (UNRELEASED). A partition is held by one member at most: assigned to it, or
// not yet given up by it (owners).
//
// Every change goes out as records (env->record) in the same call; whoever drives the machine lets
// no answer out before they are durable, and makes the group anew from what is durable when they
// cannot be written (is_broken says that the state is half changed and must not be used).
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "broker/group.h"
#include "broker/group_parts.h"
#include "record/codec.h"

#define CONSUMER_NEVER_MS INT64_MAX
/* A static member that left and will come back. */
#define CONSUMER_EPOCH_LEAVE        (-1)
#define CONSUMER_EPOCH_LEAVE_STATIC (-2)
/* With expressions, topics that come and go are looked at so often at most. */
#define CONSUMER_MATCH_MS 1000
/* Regular expressions that a group may have at a time. */
#define CONSUMER_REGEXES_MAX 1000
/* With more changes of topics than that since they were matched last, expressions are matched with
 * all topics again. */
#define CONSUMER_CHANGES_MAX 128
/* Steps that an expression may take to be matched with all topics: some, and more for each byte of
 * their names. */
#define CONSUMER_REGEX_STEPS_MAX      10000000
#define CONSUMER_REGEX_BYTE_STEPS_MAX 32

/* Kinds of records, as in their keys. */
enum consumer_fact {
    CONSUMER_FACT_EPOCH = 3,
    CONSUMER_FACT_PARTITIONS = 4, /* of older versions of Kafka; passed over */
    CONSUMER_FACT_MEMBER = 5,
    CONSUMER_FACT_TARGET_EPOCH = 6,
    CONSUMER_FACT_TARGET = 7,
    CONSUMER_FACT_CURRENT = 8,
    /* of share groups: group_share.h */
    SHARE_FACT_MEMBER = 10,
    SHARE_FACT_EPOCH = 11,
    SHARE_FACT_TARGET_EPOCH = 12,
    SHARE_FACT_TARGET = 13,
    SHARE_FACT_CURRENT = 14,
    SHARE_FACT_PARTITIONS = 15,
    CONSUMER_FACT_REGEX = 16,
};

enum consumer_state { CONSUMER_STABLE, CONSUMER_UNREVOKED, CONSUMER_UNRELEASED };

struct consumer_topic {
    struct uuid id;
    struct slice name; /* valid for this call */
    uint32_t partition_count;
};

struct consumer_env {
    int64_t now_ms;  /* monotonic; set before every call */
    int64_t wall_ms; /* set before every call */
    struct budget *budget;
    int32_t session_ms;   /* of members that do not say; tune makes it the group's */
    int32_t heartbeat_ms; /* the same */
    int32_t size_max;
    const char *assignor;  /* the default: "uniform" or "range" */
    const char *assignors; /* those allowed, with commas between */
    /* What the group sets: puts session_ms and heartbeat_ms. NULL: the same for all. */
    void (*tune)(struct consumer_env *env, struct slice group_id);
    uint64_t (*random)(struct consumer_env *env);
    /* Changes whenever a topic appears, grows or goes. */
    uint64_t (*topics_generation)(struct consumer_env *env);
    /* The topic whose change made that generation, valid for this call; null: not known any more.
     */
    struct slice (*topic_change)(struct consumer_env *env, uint64_t generation);
    bool (*topic_named)(struct consumer_env *env, struct slice name, struct consumer_topic *out);
    bool (*topic_with_id)(struct consumer_env *env, const struct uuid *id,
                          struct consumer_topic *out);
    /* In order of name; null: the first. */
    bool (*topic_after)(struct consumer_env *env, struct slice name, struct consumer_topic *out);
    /* A change to be made durable with all others of this call; value null: a tombstone. The bytes
     * are copied. */
    enum err (*record)(struct consumer_env *env, void *owner, enum consumer_fact fact,
                       struct slice name, struct slice value);
};

struct consumer_member {
    struct list node; /* in order of arrival */
    /* each a block of its own; null where not said */
    struct slice id;
    struct slice instance_id;
    struct slice rack_id;
    struct slice client_id;
    struct slice client_host;
    struct slice regex; /* null or empty: none */
    struct slice assignor;
    struct slice protocols; /* of a classic member, as in its record: array of name, metadata */
    struct group_names topics;
    int32_t rebalance_timeout_ms;
    bool is_classic;
    int32_t session_timeout_ms; /* of a classic member */
    int32_t epoch;
    int32_t previous_epoch;
    enum consumer_state state;
    struct group_parts assigned;
    struct group_parts revoking;
    struct group_parts target;
    int64_t session_deadline_ms;
    int64_t rebalance_deadline_ms; /* for what it must give up */
    int64_t join_deadline_ms;      /* classic: told to come again */
    int64_t sync_deadline_ms;      /* classic: told to fetch its assignment */
};

struct consumer_regex {
    struct list node;
    struct slice text; /* own block */
    struct group_names topics;
    uint64_t generation; /* of the topics that it was matched against */
    bool is_matched;
    bool is_refused; /* too costly for so many topics; its topics are those of before */
};

struct group_consumer {
    struct consumer_env *env;
    void *owner;     /* for env->record */
    struct slice id; /* borrowed */
    int32_t epoch;
    int32_t assignment_epoch;
    uint64_t hash;        /* of the topics that its members read */
    uint64_t topics_seen; /* their generation when that was computed; 0: never */
    int64_t match_ms;     /* expressions are not matched again before */
    struct map members;
    struct map instances;
    struct list order;
    struct list regexes;
    struct map owners;   /* part -> struct consumer_owner */
    int64_t deadline_ms; /* nothing is due before */
    bool is_broken;
    struct codec_output scratch;
};

/* --- group_consumer.c: what clients say --- */
void broker_group_consumer_init(struct group_consumer *group, struct consumer_env *env,
                                struct slice id, void *owner);
void broker_group_consumer_deinit(struct group_consumer *group);
/* Whether the fields fit together; ERR_INVALID or ERR_ASSIGNOR with words. */
NODISCARD enum err broker_group_consumer_check(const struct consumer_env *env,
                                               struct group_beat *beat);
/* MEMBER_UNKNOWN, EPOCH_FENCED, FENCED (instance), INSTANCE_HELD, GROUP_FULL, REGEX, NO_MEMORY. */
NODISCARD enum err broker_group_consumer_heartbeat(struct group_consumer *group,
                                                   struct group_beat *beat);
/* At or after deadline_ms. */
void broker_group_consumer_expire(struct group_consumer *group);
/* May this member commit offsets? MEMBER_UNKNOWN, EPOCH_STALE, GENERATION (classic). With an epoch
 * older than its newest it may for some partitions: *out_each, then ask for each (KIP-1251). */
NODISCARD enum err broker_group_consumer_commit_check(const struct group_consumer *group,
                                                      struct slice member_id, int32_t epoch,
                                                      bool *out_each);
/* The partition is its, and was when it had that epoch. */
NODISCARD enum err broker_group_consumer_commit_check_part(const struct group_consumer *group,
                                                           struct slice member_id, int32_t epoch,
                                                           const struct group_part *part);
bool broker_group_consumer_is_subscribed(const struct group_consumer *group, struct slice topic);
/* Kafka's name of the state. */
const char *broker_group_consumer_state(const struct group_consumer *group);
/* Where no member is left that speaks the newer protocol, but others are. */
bool broker_group_consumer_is_all_classic(const struct group_consumer *group);
/* Takes the member out, with its records; the group epoch grows. */
void broker_group_consumer_fence(struct group_consumer *group, struct consumer_member *member);
/* Without a new epoch; for several at a time. */
void broker_group_consumer_drop(struct group_consumer *group, struct consumer_member *member);
void broker_group_consumer_bump(struct group_consumer *group);
/* After the member or its subscription changed (is_bumped), or topics did: epoch, target, and what
 * the member now has. owned NULL: not said. */
NODISCARD enum err broker_group_consumer_advance(struct group_consumer *group,
                                                 struct consumer_member *member, bool is_bumped,
                                                 const struct group_parts *owned);
/* Its session goes on from now. */
void broker_group_consumer_touch(struct group_consumer *group, struct consumer_member *member);
void broker_group_consumer_due(struct group_consumer *group, int64_t deadline_ms);
/* What is to be told: the parts in a block that broker_group_result_release frees. */
NODISCARD enum err broker_group_consumer_answer(struct group_consumer *group,
                                                const struct consumer_member *member,
                                                struct group_beat *beat);

/* --- group_consumer_member.c: memory of members, owners --- */
struct consumer_member *broker_group_consumer_member_find(const struct group_consumer *group,
                                                          struct slice id);
/* In the group, with epoch 0 and nothing. NULL: no memory. */
struct consumer_member *broker_group_consumer_member_new(struct group_consumer *group,
                                                         struct slice id, struct slice instance_id);
/* No records. */
void broker_group_consumer_member_free(struct group_consumer *group,
                                       struct consumer_member *member);
/* Another id; epoch 0. */
NODISCARD enum err broker_group_consumer_member_rename(struct group_consumer *group,
                                                       struct consumer_member *member,
                                                       struct slice id);
/* What it holds from now on. NULL: as it is. CHECKs that nobody else holds it. */
NODISCARD enum err broker_group_consumer_member_hold(struct group_consumer *group,
                                                     struct consumer_member *member,
                                                     const struct group_parts *assigned,
                                                     const struct group_parts *revoking);
/* Who holds it, or NULL. */
struct consumer_member *broker_group_consumer_member_owner(const struct group_consumer *group,
                                                           const struct group_part *part);
/* The epoch that its holder had when it got the part; 0: nobody holds it. */
int32_t broker_group_consumer_member_since(const struct group_consumer *group,
                                           const struct group_part *part);
void broker_group_consumer_member_since_set(struct group_consumer *group,
                                            const struct group_part *part, int32_t epoch);

/* --- group_consumer_target.c: what is to be --- */
/* Matches every expression of the group again; writes what changed. */
NODISCARD enum err broker_group_consumer_target_match(struct group_consumer *group);
/* The expression is good, and matched; ERR_REGEX with words. */
NODISCARD enum err broker_group_consumer_target_regex(struct group_consumer *group,
                                                      struct slice text, struct diag *diag);
/* An expression without topics, in the group; the one that is there, if it is. NULL: no memory. */
struct consumer_regex *broker_group_consumer_target_regex_new(struct group_consumer *group,
                                                              struct slice text);
/* Frees all expressions; no records. */
void broker_group_consumer_target_forget(struct group_consumer *group);
/* The name of the assignor that would be used now. */
const char *broker_group_consumer_target_assignor(const struct group_consumer *group);
/* Forgets expressions that no member has. */
void broker_group_consumer_target_tidy(struct group_consumer *group);
/* Of what the members read now. */
NODISCARD enum err broker_group_consumer_target_hash(struct group_consumer *group, uint64_t *out);
/* Makes the target of the group's epoch. */
NODISCARD enum err broker_group_consumer_target_make(struct group_consumer *group);

/* --- group_consumer_reconcile.c: one member goes towards the target --- */
/* True in *out_changed when what it holds, its epoch or state changed. */
NODISCARD enum err broker_group_consumer_reconcile(struct group_consumer *group,
                                                   struct consumer_member *member,
                                                   const struct group_parts *owned,
                                                   bool *out_changed);
/* Some of what it waits for is still held by others. */
bool broker_group_consumer_reconcile_is_waiting(const struct group_consumer *group,
                                                const struct consumer_member *member);

/* --- group_consumer_record.c: records in Kafka's format --- */
/* Each writes through env->record; an error breaks the group. */
void broker_group_consumer_record_epoch(struct group_consumer *group);
void broker_group_consumer_record_target_epoch(struct group_consumer *group);
void broker_group_consumer_record_member(struct group_consumer *group,
                                         const struct consumer_member *member);
void broker_group_consumer_record_target(struct group_consumer *group,
                                         const struct consumer_member *member);
void broker_group_consumer_record_current(struct group_consumer *group,
                                          const struct consumer_member *member);
void broker_group_consumer_record_regex(struct group_consumer *group,
                                        const struct consumer_regex *regex);
void broker_group_consumer_record_gone(struct group_consumer *group, enum consumer_fact fact,
                                       struct slice name);
/* Tombstones of all there is. */
void broker_group_consumer_record_none(struct group_consumer *group);
/* Puts back what a record says; in any order, then _restored. ERR_CORRUPT, ERR_TRUNCATED,
 * ERR_NO_MEMORY. */
NODISCARD enum err broker_group_consumer_record_restore(struct group_consumer *group,
                                                        enum consumer_fact fact, struct slice name,
                                                        struct slice value);
/* Members whose record is missing go; sessions begin anew. */
void broker_group_consumer_record_restored(struct group_consumer *group);
/* The key; ERR_UNSUPPORTED: of another kind. name: member or expression, else empty. */
NODISCARD enum err broker_group_consumer_record_key(struct codec_output *out,
                                                    enum consumer_fact fact, struct slice group_id,
                                                    struct slice name);
NODISCARD enum err broker_group_consumer_record_key_read(struct slice bytes,
                                                         enum consumer_fact *out_fact,
                                                         struct slice *out_group,
                                                         struct slice *out_name);

/* --- group_consumer_classic.c: members that speak the classic protocol, and changes of kind --- */
/* As broker_group_classic_*, with the same results; call->err is not set. */
NODISCARD enum err broker_group_consumer_classic_join(struct group_consumer *group,
                                                      struct group_join *join);
NODISCARD enum err broker_group_consumer_classic_sync(struct group_consumer *group,
                                                      struct group_sync *sync);
NODISCARD enum err broker_group_consumer_classic_heartbeat(struct group_consumer *group,
                                                           const struct group_heartbeat *heartbeat);
void broker_group_consumer_classic_leave(struct group_consumer *group, struct group_leaver *leavers,
                                         size_t count);

/* --- group_consumer_convert.c --- */
struct group;
/* Whether a classic group can become one of the newer protocol: its members are consumers whose
 * words can be read. */
bool broker_group_consumer_convert_is_possible(const struct group_consumer *group,
                                               const struct group *classic);
/* The empty group takes the members over; the classic group is left as it is. Writes all records.
 */
NODISCARD enum err broker_group_consumer_convert_take(struct group_consumer *group,
                                                      const struct group *classic);
/* The empty classic group takes all members over, which are classic; the group is left as it is.
 * ERR_CORRUPT, ERR_NO_MEMORY. */
NODISCARD enum err broker_group_consumer_convert_give(const struct group_consumer *group,
                                                      struct group *classic);

/* --- group_subscription.c: the words of classic consumers --- */
struct group_subscription {
    int16_t version;
    struct slice *topics; /* freed with _free; they point into what was read */
    size_t topic_count;
    struct group_parts owned; /* of topics that exist; charged, room parts */
    size_t owned_room;
    struct slice rack; /* null: none */
};
/* ERR_CORRUPT, ERR_NO_MEMORY. */
NODISCARD enum err broker_group_subscription_read(struct consumer_env *env, struct slice bytes,
                                                  struct group_subscription *out);
void broker_group_subscription_free(struct consumer_env *env, struct group_subscription *words);
/* What a leader assigned: the parts of topics that exist, charged. */
NODISCARD enum err broker_group_subscription_assignment_read(struct consumer_env *env,
                                                             struct slice bytes,
                                                             struct group_parts *out,
                                                             size_t *out_room);
/* Appends an assignment in the given version. */
NODISCARD enum err broker_group_subscription_assignment_write(struct consumer_env *env,
                                                              int16_t version,
                                                              const struct group_parts *parts,
                                                              struct codec_output *out);
/* A list of protocols as in a record, to and fro. */
NODISCARD enum err broker_group_subscription_protocols_write(const struct group_protocol *protocols,
                                                             size_t count,
                                                             struct codec_output *out);
/* The next one of *rest, which begins behind the count; false: no more. */
bool broker_group_subscription_protocol_next(struct slice *rest, struct group_protocol *out);
/* Steps over the count. */
size_t broker_group_subscription_protocol_count(struct slice *rest);

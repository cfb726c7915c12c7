// The members of a share group, as a pure state machine. KIP-932.
// SPDX-License-Identifier: Apache-2.0
//
// Every partition of a topic goes to at least one member that wants the topic; when there are more
// members than partitions several share one. A member needs nobody's leave to take a partition:
// what others hold does not matter, so that each has its target with its next heartbeat.
//
// The group epoch grows with every change of members, subscriptions or topics, the target is made
// for an epoch at the next heartbeat. Partitions that the group has begun to read are known for
// good, until somebody forgets them or their topic goes.
//
// Time, topics and records go through consumer_env, as for group_consumer.h: no answer leaves
// before the records of its call are durable, and is_broken says that the state is half changed.
#pragma once

#include "broker/group_consumer.h"
#include "broker/share.h"

#define SHARE_EPOCH_LEAVE (-1)

/* What is in force for the group, for one call. */
struct group_share_terms {
    int32_t session_ms;
    int32_t heartbeat_ms;
    int32_t size_max;
};

/* Sorted. */
struct share_topics {
    struct uuid *ids;
    size_t count;
};

struct group_share_member {
    struct list node; /* in order of arrival */
    /* each a block of its own; null where not said */
    struct slice id;
    struct slice rack_id;
    struct slice client_id;
    struct slice client_host;
    struct group_names topics;
    int32_t epoch;
    int32_t previous_epoch;
    struct group_parts assigned;
    struct group_parts target;
    int64_t session_deadline_ms;
    struct group_parts making; /* while a target is made */
};

struct group_share {
    struct consumer_env *env;
    void *owner;     /* for env->record */
    struct slice id; /* borrowed */
    int32_t epoch;
    int32_t assignment_epoch;
    uint64_t hash;        /* of the topics that its members read */
    uint64_t topics_seen; /* their generation when that was computed; 0: never */
    struct map members;
    struct list order;
    struct group_parts parts; /* that it has begun to read */
    int64_t deadline_ms;      /* nothing is due before */
    bool is_broken;
    struct codec_output scratch;
};

/* --- group_share.c --- */
void broker_group_share_init(struct group_share *group, struct consumer_env *env, struct slice id,
                             void *owner);
void broker_group_share_deinit(struct group_share *group);
/* MEMBER_UNKNOWN, EPOCH_FENCED, GROUP_FULL, LIMIT, NO_MEMORY. */
NODISCARD enum err broker_group_share_beat(struct group_share *group, struct share_beat *beat,
                                           const struct group_share_terms *terms);
/* At or after deadline_ms. */
void broker_group_share_expire(struct group_share *group);
struct group_share_member *broker_group_share_member_find(const struct group_share *group,
                                                          struct slice id);
/* In the group, with epoch 0 and nothing. NULL: no memory. No records. */
struct group_share_member *broker_group_share_member_new(struct group_share *group,
                                                         struct slice id);
void broker_group_share_member_free(struct group_share *group, struct group_share_member *member);
/* Its session goes on from now. */
void broker_group_share_touch(struct group_share *group, struct group_share_member *member,
                              int32_t session_ms);
bool broker_group_share_has(const struct group_share *group, const struct uuid *topic_id,
                            int32_t index);
/* More partitions that it begins to read. */
NODISCARD enum err broker_group_share_begin(struct group_share *group,
                                            const struct group_part *parts, size_t count);
/* Any of the topic. */
bool broker_group_share_has_topic(const struct group_share *group, const struct uuid *topic_id);
/* Forgets those of the topics. */
NODISCARD enum err broker_group_share_forget(struct group_share *group,
                                             const struct share_topics *topics);
/* Forgets those of topics that are no more. */
NODISCARD enum err broker_group_share_tidy(struct group_share *group);
void broker_group_share_topics_sort(struct share_topics *topics);
bool broker_group_share_topics_have(const struct share_topics *topics, const struct uuid *topic_id);

/* --- group_share_target.c --- */
/* Of the topics that members read and that are there. */
NODISCARD enum err broker_group_share_target_hash(struct group_share *group, uint64_t *out);
/* Makes the target of the group's epoch. */
NODISCARD enum err broker_group_share_target_make(struct group_share *group);
/* All partitions that members read are begun. */
NODISCARD enum err broker_group_share_target_begin(struct group_share *group);

/* --- group_share_record.c: records in Kafka's format --- */
/* Each writes through env->record; an error breaks the group. */
void broker_group_share_record_member(struct group_share *group,
                                      const struct group_share_member *member);
void broker_group_share_record_epoch(struct group_share *group);
void broker_group_share_record_target_epoch(struct group_share *group);
void broker_group_share_record_target(struct group_share *group,
                                      const struct group_share_member *member);
void broker_group_share_record_current(struct group_share *group,
                                       const struct group_share_member *member);
void broker_group_share_record_parts(struct group_share *group);
void broker_group_share_record_gone(struct group_share *group, enum consumer_fact fact,
                                    struct slice name);
/* Tombstones of all there is. */
void broker_group_share_record_none(struct group_share *group);
/* Puts back what a record says; in any order, then _restored. ERR_CORRUPT, ERR_TRUNCATED,
 * ERR_UNSUPPORTED, ERR_NO_MEMORY. */
NODISCARD enum err broker_group_share_record_restore(struct group_share *group,
                                                     enum consumer_fact fact, struct slice name,
                                                     struct slice value);
/* Members whose record is missing go; sessions begin anew. */
void broker_group_share_record_restored(struct group_share *group, int32_t session_ms);

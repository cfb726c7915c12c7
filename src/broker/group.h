// Classic consumer groups and committed offsets. KIP-62, 134, 345, 394.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"
#include "broker/group_parts.h"

/* Calls go to the group's home core; join and sync are answered when the group says so. Slices must
 * stay valid until done. Results of join and sync (members, assignment) stay valid until
 * broker_group_result_release of their private, which the caller owes for each answer; the others
 * lie in the call's arena. While a group's state is being read back calls wait, and get
 * ERR_LOADING if that takes long. Errors of every call, beyond those named: LOADING, NO_MEMORY,
 * BUSY, CLOSED and what an append can give. Group ids of more than GROUP_ID_SIZE_MAX bytes are
 * GROUP_ID everywhere. */
#define GROUP_ID_SIZE_MAX 32767

void broker_group_result_release(void *private);

struct group_protocol {
    struct slice name;
    struct slice metadata;
};

struct group_member_view {
    struct slice member_id;
    struct slice instance_id; /* null: dynamic */
    struct slice metadata;
};

/* A call that may wait for long and can be called off; the broker's. */
struct group_wait {
    struct core_message message;
    struct broker_call *call;
    struct slice group_id;
    void (*done)(struct broker_call *call); /* the caller's */
    bool cancelled;                         /* on the origin core */
    bool out;                               /* the message is on its way */
    bool held;                              /* done waits for the message to come back */
    bool stop;                              /* on core 0: do not park it */
};

struct group_join {
    struct broker_call
        call; /* err: MEMBER_ID_REQUIRED (member_id filled), MEMBER_UNKNOWN, PROTOCOL,
                 SESSION_TIMEOUT, GROUP_ID, GROUP_FULL, FENCED (instance), LOADING */
    struct slice group_id;
    struct slice member_id; /* empty: new */
    struct slice instance_id;
    struct slice client_id;
    struct slice client_host;
    struct slice protocol_type;
    const struct group_protocol *protocols;
    size_t protocol_count;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    bool member_id_required;    /* version 4 and later */
    bool skip_assignment_known; /* version 9: static leader may be told to skip */
    /* out */
    int32_t generation;
    struct slice protocol_type_out;
    struct slice protocol_name;
    struct slice leader_id;
    struct slice member_id_out;
    bool skip_assignment;
    const struct group_member_view *members; /* only for the leader */
    size_t member_count;
    void *private;
    bool as_follower; /* the broker's: a leader that is not to assign anew */
    struct group_wait wait;
};
void broker_group_join(struct core *core, struct group_join *join);
/* Its client will not wait any longer: a parked join is answered with ERR_CLOSED. On the core that
 * made it, before done, any number of times; the member itself stays until its session ends. */
void broker_group_join_cancel(struct core *core, struct group_join *join);

struct group_assignment {
    struct slice member_id;
    struct slice assignment;
};
struct group_sync {
    struct broker_call
        call; /* err: MEMBER_UNKNOWN, GENERATION, REBALANCE, PROTOCOL, FENCED, LOADING */
    struct slice group_id;
    struct slice member_id;
    struct slice instance_id;
    struct slice protocol_type; /* null: not said */
    struct slice protocol_name;
    int32_t generation;
    const struct group_assignment *assignments;
    size_t assignment_count;
    struct slice protocol_type_out;
    struct slice protocol_name_out;
    struct slice assignment; /* out */
    void *private;
    struct group_wait wait;
};
void broker_group_sync(struct core *core, struct group_sync *sync);
void broker_group_sync_cancel(struct core *core, struct group_sync *sync);

struct group_heartbeat {
    struct broker_call call;
    struct slice group_id;
    struct slice member_id;
    struct slice instance_id;
    int32_t generation;
};
void broker_group_heartbeat(struct core *core, struct group_heartbeat *heartbeat);

struct group_leaver {
    struct slice member_id; /* empty with an instance_id: whoever has it */
    struct slice instance_id;
    enum err err; /* out */
};
struct group_leave {
    struct broker_call call;
    struct slice group_id;
    struct group_leaver *leavers;
    size_t leaver_count;
};
void broker_group_leave(struct core *core, struct group_leave *leave);

struct group_offset {
    struct slice topic;
    struct uuid topic_id;
    int32_t partition;
    int64_t offset;       /* -1: none */
    int32_t leader_epoch; /* -1: none */
    struct slice metadata;
    int64_t commit_ms; /* -1: now */
    enum err err;      /* out */
};
/* Done when the commit is durable in __consumer_offsets. */
struct group_commit {
    struct broker_call
        call; /* err: NOT_FOUND (no such group, and a generation was given), GENERATION,
                 MEMBER_UNKNOWN, FENCED, REBALANCE; offsets: TOO_LARGE (metadata) */
    struct slice group_id;
    struct slice member_id;
    struct slice instance_id;
    int32_t generation;   /* -1 with empty member: only while the group is empty */
    bool knows_epochs;    /* generation may be the epoch of a member of the newer protocol */
    bool is_older;        /* the broker's: it is an older epoch, which holds for some partitions */
    int64_t retention_ms; /* -1: the default */
    struct group_offset *offsets;
    size_t offset_count;
    /* In a transaction (the id not null): they count when it commits. The partition that takes them
     * has been added to it. err: also those of broker_transaction_add. */
    struct slice transactional_id;
    int64_t producer_id;
    int16_t producer_epoch;
    void *private;
};
void broker_group_commit(struct core *core, struct group_commit *commit);

/* Fills the given offsets, or (all) makes a list that stays valid until done returns. */
struct group_fetch {
    struct broker_call call;
    struct slice group_id;
    struct slice member_id; /* null: not checked */
    int32_t member_epoch;
    bool require_stable; /* UNSTABLE where a transaction may change the offset */
    bool all;
    struct group_offset *offsets;
    size_t offset_count;
    struct arena arena;
};
void broker_group_fetch(struct core *core, struct group_fetch *fetch);

/* --- The newer protocol: the server assigns, members tell what they hold. KIP-848. --- */
struct group_held {
    struct uuid topic;
    const int32_t *partitions;
    size_t partition_count;
};
struct group_beat {
    struct broker_call call; /* err: INVALID and ASSIGNOR (diag), NOT_FOUND, MEMBER_UNKNOWN,
                                EPOCH_FENCED, FENCED (instance), INSTANCE_HELD, GROUP_FULL, REGEX
                                (diag), PROTOCOL (the group is another kind), GROUP_ID */
    struct slice group_id;
    struct slice member_id;
    struct slice instance_id; /* this and the following: null: not said */
    struct slice rack_id;
    struct slice regex;
    struct slice assignor;
    struct slice client_id;
    struct slice client_host;
    int32_t member_epoch; /* 0: joins; -1: leaves; -2: a static member that will come back */
    int32_t rebalance_timeout_ms; /* -1: not said */
    bool member_id_required;
    bool has_topics;
    const struct slice *topics;
    size_t topic_count;
    bool has_held;
    const struct group_held *held;
    size_t held_count;
    /* out */
    struct slice member_id_out;
    int32_t member_epoch_out;
    int32_t heartbeat_ms;
    bool has_assignment;
    const struct group_part *assignment; /* sorted by topic and index */
    size_t assignment_count;
    void *private; /* broker_group_result_release */
    char member_id_text[UUID_TEXT_SIZE + 1];
};
void broker_group_beat(struct core *core, struct group_beat *beat);

struct group_beat_member {
    struct slice member_id;
    struct slice instance_id;
    struct slice rack_id;
    struct slice client_id;
    struct slice client_host;
    struct slice regex;
    const struct slice *topics;
    size_t topic_count;
    int32_t epoch;
    const struct group_part *assignment;
    size_t assignment_count;
    const struct group_part *target;
    size_t target_count;
    bool is_classic;
};
/* The results lie in arena, which the caller inits before and deinits after. */
struct group_beat_describe {
    struct broker_call call; /* err: NOT_FOUND, PROTOCOL (a classic group), GROUP_ID */
    struct slice group_id;
    struct arena arena;
    const char *state;
    const char *assignor;
    int32_t epoch;
    int32_t assignment_epoch;
    struct group_beat_member *members;
    size_t member_count;
};
void broker_group_beat_describe(struct core *core, struct group_beat_describe *describe);

/* --- For administrators --- */
struct group_member_description {
    struct slice member_id;
    struct slice instance_id; /* null: dynamic */
    struct slice client_id;
    struct slice client_host;
    struct slice metadata;   /* empty unless the group is stable */
    struct slice assignment; /* the same */
};
/* The results lie in arena, which the caller inits before and deinits after. */
struct group_describe {
    struct broker_call call; /* err: NOT_FOUND, GROUP_ID */
    struct slice group_id;
    struct arena arena;
    const char *state; /* out: Kafka's name */
    struct slice protocol_type;
    struct slice protocol_name; /* empty unless the group is stable */
    struct group_member_description *members;
    size_t member_count;
};
void broker_group_describe(struct core *core, struct group_describe *describe);

struct group_listed {
    struct slice group_id;
    struct slice protocol_type;
    const char *state;
    bool is_consumer; /* of the newer protocol */
    bool is_share;
};
struct group_list {
    struct broker_call call;
    struct arena arena;
    struct group_listed *groups; /* out */
    size_t count;
};
void broker_group_list(struct core *core, struct group_list *list);

/* An empty group with its offsets. Done when durable. */
struct group_delete {
    struct broker_call call; /* err: NOT_FOUND, NOT_EMPTY, GROUP_ID */
    struct slice group_id;
};
void broker_group_delete(struct core *core, struct group_delete *call);

/* Offsets of topics that the group does not read now; those that it reads get NOT_EMPTY in
 * offsets[].err. Done when durable. */
struct group_forget {
    struct broker_call
        call; /* err: NOT_FOUND, NOT_EMPTY (members that are no consumers), GROUP_ID */
    struct slice group_id;
    struct group_offset *offsets; /* topic and partition count */
    size_t offset_count;
};
void broker_group_forget(struct core *core, struct group_forget *call);

/* Which partition of __consumer_offsets has the group; for tools. Creates nothing. */
uint32_t broker_group_partition(struct core *core, struct slice group_id);

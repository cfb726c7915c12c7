// Share groups as core 0 keeps them; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/replay.h"
#include "broker/share.h"
#include "broker/state.h"

#define SHARE_TOPIC "__share_group_state"
/* The largest record of state. */
#define SHARE_BATCH_SIZE_MAX 8388608
#define SHARE_SEGMENT_SIZE   1048576
/* Calls that wait until the state has been read back. */
#define SHARE_LOAD_CALLS_MAX 65536
#define SHARE_NAME_SIZE_MAX  32767

/* What one group has become of one partition's records. */
struct share_cursor {
    struct list node; /* in group.cursors */
    struct share_group *group;
    struct uuid topic_id;
    int32_t index;
    const struct broker_topic *topic; /* a reference; NULL: not used yet */
    struct cursor cursor;
    bool is_ready;    /* its start is known and durable */
    bool is_starting; /* the first offset is being found */
    struct broker_offset_find find;
    int32_t state_epoch;
    int32_t snapshot_epoch;
    /* writing: what is in force goes out, one record at a time */
    bool is_dirty;
    bool is_writing;
    struct broker_append append;
    struct list answers;         /* of share_wait.node: for the next record */
    struct list sent;            /* for the one under way */
    struct codec_output durable; /* value of the newest durable record; empty: none */
    struct codec_output writing;
    /* reading */
    struct share_call_part *reader; /* whose read is under way */
    struct list waiters;            /* of share_call_part.waiting */
    struct broker_watch watch;
    int64_t limit;           /* nothing was beyond, at the last read */
    struct core_timer timer; /* locks */
    int64_t timer_ms;
};

/* An answer that waits for a cursor's state to be durable. */
struct share_wait {
    struct list node;
    struct share_call *call;
    struct share_call_part *part;
};

struct share_session {
    struct list node; /* in group.sessions */
    struct slice member_id;
    uint64_t client;
    uint64_t owner; /* of locks */
    int32_t epoch;
    struct group_part *parts; /* own block */
    size_t part_count;
    size_t part_capacity;
    size_t first; /* where the next fetch begins */
    bool is_busy;
    bool is_gone;
};

struct share_member {
    struct list node;
    struct slice id;
    struct slice rack_id;
    struct slice client_id;
    struct slice client_host;
    struct group_names topics;
    struct group_parts assigned;
    int32_t epoch;
    int32_t previous_epoch;
    bool is_changed;
    int64_t deadline_ms;
};

struct share_group {
    struct list node;
    struct shares *shares;
    struct slice id; /* bytes follow */
    struct list cursors;
    struct list sessions;
    struct list members; /* in order of arrival */
    size_t member_count;
    int32_t epoch;
    uint64_t topics_seen;
    struct core_timer timer;
};

struct shares {
    struct broker *broker;
    struct core *core;
    struct budget *budget;
    struct map by_id;
    struct list groups;
    uint64_t owner_last;
    size_t session_count;
    const struct broker_topic *topic; /* a reference */
    bool is_creating;
    bool is_loading;
    bool is_loaded;
    uint32_t loading; /* partition */
    struct broker_topic_create create;
    struct replay replay;
    struct list parked; /* of broker_call.node */
    size_t parked_count;
    struct list calls; /* of share_call.node: those that wait for records */
};

/* --- share_coordinator.c --- */
/* On core 0; NULL: out of memory. */
struct shares *broker_share_coordinator(struct core *core);
/* False: the call is parked and served again, or answered. */
bool broker_share_coordinator_enter(struct core *core, struct broker_call *call);
struct share_group *broker_share_coordinator_group(struct shares *shares, struct slice id,
                                                   bool create);
/* When nothing is left of it. */
void broker_share_coordinator_tidy(struct share_group *group);
int64_t broker_share_coordinator_now_ms(const struct shares *shares);

/* --- share_cursor.c --- */
struct share_cursor *broker_share_cursor_get(struct share_group *group, const struct uuid *topic_id,
                                             int32_t index, bool create);
void broker_share_cursor_free(struct share_cursor *cursor);
/* As the record says. */
NODISCARD enum err broker_share_cursor_restore(struct share_cursor *cursor, struct slice value);
/* Finds where it begins. */
void broker_share_cursor_start(struct share_cursor *cursor);
/* Its state has changed; wait (may be NULL) hears when that is durable. */
void broker_share_cursor_write(struct share_cursor *cursor, struct share_wait *wait);
/* Something may be had: all that wait look again. */
void broker_share_cursor_wake(struct share_cursor *cursor);
/* After locks were taken or given back. */
void broker_share_cursor_settle(struct share_cursor *cursor);
/* Waits for records at its end, while somebody waits for it. */
void broker_share_cursor_watch(struct share_cursor *cursor);

/* --- share_fetch.c --- */
/* What the part waited for may have come. */
void broker_share_fetch_look(struct share_call *call);
/* One of the states that the call waits for is durable, or is not. */
void broker_share_fetch_written(struct share_wait *wait, enum err err);

/* --- share_session.c --- */
NODISCARD enum err broker_share_session_enter(struct share_group *group, struct share_call *call,
                                              struct share_session **out);
void broker_share_session_end(struct share_group *group, struct share_session *session);
void broker_share_session_free(struct share_group *group, struct share_session *session);

/* --- share_group.c --- */
void broker_share_group_timer(struct core *core, struct core_timer *timer);
void broker_share_group_free(struct share_group *group);

/* --- share_record.c: Kafka's records of state --- */
struct share_record_key {
    struct slice group_id;
    struct uuid topic_id;
    int32_t index;
};
NODISCARD enum err broker_share_record_key(struct codec_output *out,
                                           const struct share_record_key *key);
NODISCARD enum err broker_share_record_value(struct codec_output *out,
                                             const struct share_cursor *cursor, int64_t wall_ms);
/* ERR_UNSUPPORTED: of another kind. */
NODISCARD enum err broker_share_record_read_key(struct slice bytes, struct share_record_key *out);
/* Into a cursor whose state is empty. */
NODISCARD enum err broker_share_record_read_value(struct slice bytes, struct share_cursor *out);

// Share groups as core 0 keeps them; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/group_coordinator.h"
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
    struct group_part part;           /* key in group.parts */
    const struct broker_topic *topic; /* a reference; NULL: not used yet */
    struct cursor cursor;
    bool is_ready;     /* its start is known and durable */
    bool is_starting;  /* the first offset is being found */
    bool is_overtaken; /* while is_starting: what is found does not count any more */
    bool is_erased;    /* what is in force is that there is nothing */
    bool is_committed; /* records of open and aborted transactions are not for its group */
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

/* Hears when a cursor's state is durable, or that it could not be written. */
struct share_wait {
    struct list node;
    void (*done)(struct share_wait *wait, enum err err);
    void *arg;
};

/* A partition that a session reads. */
struct session_part {
    struct list node;
    struct group_part part;
    int32_t epoch; /* of the call that named it last */
};

struct share_session {
    struct list node; /* in group.sessions */
    struct slice member_id;
    uint64_t client;
    uint64_t owner; /* of locks */
    int32_t epoch;
    struct list parts; /* of session_part.node */
    struct map by_place;
    size_t part_count;
    size_t first; /* where the next fetch begins */
    bool is_busy;
    bool is_gone;
};

struct share_group {
    struct list node;
    struct shares *shares;
    struct slice id;  /* bytes follow */
    struct map parts; /* topic id and index -> struct share_cursor */
    struct list cursors;
    struct list sessions;
    bool has_erased;         /* perhaps: cursors that may be freed */
    struct list untidy_node; /* in shares.untidy */
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
    struct core_timer sweep; /* topics have gone */
    struct list untidy;      /* of share_group.untidy_node: for tidying */
    struct core_task tidying;
    struct list parked; /* of broker_call.node */
    size_t parked_count;
    struct list calls;   /* of share_call.node: those that wait for records */
    struct list erasing; /* of changes that make a group forget: nobody joins it meanwhile */
};

/* --- share_admin.c --- */
/* What the group knows is being forgotten, which is begun only while it has no members. */
bool broker_share_admin_is_erasing(struct core *core, struct slice group_id);

/* --- share_coordinator.c --- */
/* On core 0; NULL: out of memory. */
struct shares *broker_share_coordinator(struct core *core);
/* False: the call is parked and served again, or answered. */
bool broker_share_coordinator_enter(struct core *core, struct broker_call *call);
struct share_group *broker_share_coordinator_group(struct shares *shares, struct slice id,
                                                   bool create);
/* Later in this turn or in the next: frees what is left of nothing. Never inside the call. */
void broker_share_coordinator_tidy(struct share_group *group);
int64_t broker_share_coordinator_now_ms(const struct shares *shares);
/* Words for an error: "<kind> <id> <what>." */
void broker_share_coordinator_tell(struct broker_call *call, const char *kind,
                                   struct slice group_id, const char *what);
/* The group as members know it, or NULL: there is none, or it has not been read back. */
struct group_entry *broker_share_coordinator_entry(struct core *core, struct slice group_id);

/* --- share_cursor.c --- */
/* What is durable is in force again, if there was no memory for that when a write failed.
 * ERR_NO_MEMORY: still none. */
enum err broker_share_cursor_revive(struct share_cursor *cursor);
/* The one that is there, or NULL. */
struct share_cursor *broker_share_cursor_find(const struct share_group *group,
                                              const struct uuid *topic_id, int32_t index);
/* Made if need be; NULL: no memory. */
struct share_cursor *broker_share_cursor_get(struct share_group *group, const struct uuid *topic_id,
                                             int32_t index);
void broker_share_cursor_free(struct share_cursor *cursor);
/* It begins at start (negative: as if it had never been used), whatever was before; to be
 * written. */
void broker_share_cursor_reset(struct share_cursor *cursor, int64_t start);
/* Nothing is known of it and nobody uses it, as long as no session is busy. */
bool broker_share_cursor_is_idle(const struct share_cursor *cursor);
/* As the record says. */
NODISCARD enum err broker_share_cursor_restore(struct share_cursor *cursor, struct slice value);
/* Finds where it begins. */
void broker_share_cursor_start(struct share_cursor *cursor,
                               const struct broker_group_settings *settings);
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

/* --- share_session.c --- */
NODISCARD enum err broker_share_session_enter(struct share_group *group, struct share_call *call,
                                              struct share_session **out);
void broker_share_session_end(struct share_group *group, struct share_session *session);
void broker_share_session_free(struct share_group *group, struct share_session *session);

/* --- share_admin.c --- */
struct group_delete;
/* A share group that is there: its state goes, then the group. The call is answered. */
void broker_share_admin_delete(struct core *core, struct group_delete *call);

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

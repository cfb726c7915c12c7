// Share groups: many readers take records of a partition one by one and acknowledge them. KIP-932.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"
#include "broker/cursor.h"
#include "broker/group_parts.h"
#include "broker/group_settings.h"

/* All calls are served on core 0. Slices stay valid until done. */

/* Offsets first to before next with what is to become of them: one word for all, or one each. */
struct share_ack {
    int64_t first;
    int64_t next;
    const int8_t *verbs; /* enum cursor_verb */
    size_t verb_count;
};

struct share_lock {
    int64_t first;
    int64_t next;
    int16_t count; /* deliveries, this one included */
};

struct share_cursor;
struct share_call;

/* One partition of a call: those that the caller names, and those of the session. */
struct share_call_part {
    struct uuid topic_id;
    int32_t index;
    const struct share_ack *acks;
    size_t ack_count;
    bool forgotten; /* leaves the session */
    /* out */
    enum err err;     /* NOT_FOUND: no such partition; INVALID: the group has not begun to read it;
                         those of broker_read */
    enum err ack_err; /* ACCESS: not locked by this member; INVALID; and those of an append */
    struct broker_read read; /* while lock_count > 0: broker_share_release */
    struct share_lock *locks;
    size_t lock_count;
    /* the broker's */
    struct share_call *call;
    struct share_cursor *cursor;
    struct list waiting;
    size_t lock_capacity;
    int64_t batch_first; /* of the batch that is being taken */
    bool is_read;
};

struct share_call {
    struct broker_call call; /* err: NOT_FOUND (no session), SEQUENCE (its epoch), INVALID,
                                PROTOCOL (a group of another kind), GROUP_ID, LIMIT, LOADING */
    struct slice group_id;
    struct slice member_id;
    uint64_t client; /* whose end ends the session: broker_share_gone */
    int32_t epoch;   /* of the session; 0: a new one, -1: the last */
    bool is_fetch;
    bool is_exact; /* no more than record_max, else whole batches */
    int32_t split; /* unless is_exact: a lock begins anew at the batch that finds so many in it */
    bool is_renewing;
    int32_t wait_ms;
    int64_t size_min; /* waits for so many bytes */
    int64_t size_max;
    int64_t record_max;
    struct share_call_part *named;
    size_t named_count;
    struct arena arena; /* of the results; the caller's */
    /* out */
    struct share_call_part **parts; /* those named first, then others of the session */
    size_t part_count;
    int32_t lock_ms;
    /* the broker's */
    struct broker_group_settings settings;
    int64_t probed; /* bytes that could be read; while it waits for size_min */
    bool has_probed;
    struct list node;
    struct core_timer timer;
    struct share_session *session;
    size_t pending; /* cursors whose state is to be durable */
    size_t next;
    int64_t size;
    int64_t records;
    bool is_reading;
    bool is_waiting;
    bool is_over;
    bool is_final;
};
/* Acknowledges what is named; with is_fetch then takes records, waiting for some. */
void broker_share_call(struct core *core, struct share_call *call);
/* Gives back what was read. */
void broker_share_release(struct share_call *call);

/* A client has gone: its sessions end, what it holds is free, its calls do not wait any more. */
struct share_gone {
    struct broker_call call;
    uint64_t client;
};
void broker_share_gone(struct core *core, struct share_gone *gone);

struct share_beat {
    struct broker_call
        call; /* err: INVALID (diag), NOT_FOUND (diag: no such group, or another
                 kind), MEMBER_UNKNOWN, EPOCH_FENCED, GROUP_FULL, GROUP_ID, LOADING */
    struct slice group_id;
    struct slice member_id;
    struct slice rack_id; /* null: not said */
    struct slice client_id;
    struct slice client_host;
    int32_t member_epoch; /* 0: joins; -1: leaves */
    bool has_topics;
    const struct slice *topics;
    size_t topic_count;
    struct arena arena; /* of the result; the caller's */
    /* out */
    int32_t member_epoch_out;
    int32_t heartbeat_ms;
    bool has_assignment;
    struct group_parts assignment;
};
void broker_share_beat(struct core *core, struct share_beat *beat);

struct share_member_view {
    struct slice member_id;
    struct slice rack_id;
    struct slice client_id;
    struct slice client_host;
    struct slice *topics;
    size_t topic_count;
    int32_t epoch;
    struct group_parts assignment;
};
/* The results lie in arena, which the caller inits before and deinits after. */
struct share_describe {
    struct broker_call call; /* err: NOT_FOUND (diag), GROUP_ID, LOADING */
    struct slice group_id;
    struct arena arena;
    const char *state;
    int32_t epoch;
    int32_t assignment_epoch;
    struct share_member_view *members;
    size_t member_count;
};
void broker_share_describe(struct core *core, struct share_describe *describe);

/* --- For administrators: where groups are --- */

struct share_start_call;
struct share_start {
    struct uuid topic_id;
    int32_t index;
    int64_t start; /* -1: not known */
    int64_t lag;   /* out; -1: not known */
    enum err err;  /* out: NOT_FOUND, and those of broker_offset_find */
    /* the broker's */
    struct share_start_call *call;
    struct broker_offset_find find;
};

/* Describes (start and lag are out), or sets start of the parts; a negative one forgets it. Groups
 * that are not there have no starts; by being set they come to be. */
struct share_start_call {
    struct broker_call call; /* err: NOT_FOUND (diag), NOT_EMPTY, GROUP_ID, LOADING */
    struct slice group_id;
    bool is_all; /* describe: all that the group has begun to read; parts is out, in arena */
    struct arena arena;
    struct share_start *parts;
    size_t part_count;
    /* the broker's */
    enum err failed;
    size_t pending;
};
void broker_share_starts(struct core *core, struct share_start_call *describe);
void broker_share_starts_set(struct core *core, struct share_start_call *alter);

/* Forgets where the group is in topics. */
struct share_forget_topic {
    struct uuid id;
    bool was_there; /* out */
};
struct share_forget {
    struct broker_call call; /* err: NOT_FOUND (diag), NOT_EMPTY, GROUP_ID, LOADING */
    struct slice group_id;
    struct share_forget_topic *topics;
    size_t topic_count;
};
void broker_share_forget(struct core *core, struct share_forget *forget);

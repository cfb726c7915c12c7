// Records that leave the log for subscribers: who wants which partition, and its reader.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/uuid.h"
#include "nats/view.h"

/* Which readers there are; core 0's. */
struct nats_live;

NODISCARD enum err nats_view_live_open(struct nats *nats);
void nats_view_live_close(struct nats *nats);

/* Topics, partitions or readers looked at in one turn, where somebody wants many. */
#define NATS_LIVE_STEPS_MAX 1000

/* conn has subscribed to a filter that records may match: its input waits until all that are
 * appended from now on will reach it. */
void nats_view_live_subscribe(struct nats_conn *conn, struct slice filter);
/* Some such subscription is gone from this core. */
void nats_view_live_recheck(struct nats_core *home);
void nats_view_live_recheck_run(struct core *core, struct core_task *task);
/* Core 0: other subjects are bound to the topic. */
void nats_view_live_rebound(struct nats *nats, const struct broker_topic *topic);

/* A partition that somebody watches: it belongs to one core at a time, and travels by message to
 * where its partition lives. Made and freed on core 0. */
struct nats_reader {
    struct core_message message; /* it travels by this */
    struct core_message started; /* to core 0, once: all that is appended from now on is sent */
    struct list node;            /* of its core's readers */
    struct nats_core *home;      /* NULL: it travels */
    const struct broker_topic *topic; /* a reference */
    int32_t partition;
    int64_t offset; /* of the next record to send; -1: what is appended from now on */
    bool has_started;
    bool is_ending; /* nobody wants it, or its partition is gone */
    bool is_gone;   /* the partition is */
    bool is_watching;
    bool is_waiting; /* until its core knows the interest of the others */
    struct core_timer timer;
    struct broker_partition_state state;
    struct broker_watch watch;
    struct broker_read read;
    struct nats_source source;
    /* core 0's */
    struct list all;
    struct list starting; /* until it has started, in order of seq */
    uint64_t seq;
    bool is_started;
    bool is_back; /* it has come to its end before word came that it started */
    uint8_t key[20];
    size_t subject_size;
    uint8_t subject[BROKER_SUBJECT_VIEW_SIZE_MAX]; /* below the prefix; empty: the view is off */
};

/* view_reader.c */
/* Sends it to where its partition lives. */
void nats_view_reader_send(struct nats_core *home, struct nats_reader *reader);
/* Somebody on some core wants its records, as far as this core knows. */
bool nats_view_reader_is_wanted(struct nats_core *home, const struct nats_reader *reader);
/* Those of this core that nobody wants come to their end, some in this turn, some in later ones. */
void nats_view_reader_recheck(struct nats_core *home);
void nats_view_reader_recheck_run(struct core *core, struct core_task *task);
/* This core has heard of the others' interest. */
void nats_view_reader_listening(struct nats_core *home);
/* view_live.c, core 0: messages of readers. */
void nats_view_live_started(struct core *core, struct core_message *message);
void nats_view_live_returns(struct core *core, struct core_message *message);

enum nats_live_result {
    NATS_LIVE_MORE,   /* there may be more to read */
    NATS_LIVE_END,    /* nothing there */
    NATS_LIVE_PAUSE,  /* takers are slow, or memory is short */
    NATS_LIVE_NOBODY, /* wants it */
};

/* view_send.c: sends what reader->read holds and moves reader->offset. */
enum nats_live_result nats_view_send_batches(struct nats_core *home, struct nats_reader *reader);

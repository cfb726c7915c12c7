// The live view of partitions: what is appended reaches those who subscribed to the partition.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nats/view.h"

/* Readers of partitions; core 0's. */
struct nats_live;

NODISCARD enum err nats_view_live_open(struct nats *nats);
void nats_view_live_close(struct nats *nats);
/* conn has subscribed to a filter below the prefix: its input waits until all records appended from
 * now on will reach it. */
void nats_view_live_subscribe(struct nats_conn *conn, struct slice filter);
/* Some subscription below the prefix is gone from this core. */
void nats_view_live_recheck(struct nats_core *home);
void nats_view_live_recheck_run(struct core *core, struct core_task *task);

/* A partition that somebody watches; core 0's. */
struct nats_reader {
    struct list node;     /* of all */
    struct list starting; /* while its position is not known, in order of seq */
    uint64_t seq;
    const struct broker_topic *topic; /* a reference */
    int32_t partition;
    int64_t offset; /* of the next record to send */
    bool is_wanted;
    bool is_watching;
    bool must_start; /* wanted again after it was not: from what is appended now */
    struct core_timer timer;
    struct broker_partition_state state;
    struct broker_watch watch;
    struct broker_read read;
    size_t subject_size;
    uint8_t subject[BROKER_SUBJECT_VIEW_SIZE_MAX];
};

enum nats_live_result {
    NATS_LIVE_MORE,   /* there may be more to read */
    NATS_LIVE_END,    /* nothing there */
    NATS_LIVE_PAUSE,  /* takers are slow, or memory is short */
    NATS_LIVE_NOBODY, /* wants it */
};

/* view_send.c: sends what reader->read holds and moves reader->offset. */
enum nats_live_result nats_view_send_batches(struct nats_core *home, struct nats_reader *reader);

// A batch of records of groups, and the memory for many of them; for the files about groups.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/group_coordinator.h"
#include "record/build.h"

/* Where a batch is put together: needed until it is sent, then the next one's. */
struct group_room {
    struct list node; /* in groups.rooms */
    struct build build;
    struct codec_output key;
    struct codec_output value;
};

/* Of one partition; what it is made of may come from several groups. */
struct group_batch {
    struct broker_append append;
    struct list node; /* in groups.batches_kept, or in groups.gathered */
    struct group_partition *partition;
    struct list writes;      /* of group_append.node: complete, in the order of their records */
    unsigned open;           /* writes that are being filled */
    struct group_room *room; /* NULL: it has been sent */
};

/* Empty; NULL: out of memory. */
struct group_batch *broker_group_batch_new(struct group_partition *partition);
/* It has been sent and is done, or is not to be sent. */
void broker_group_batch_free(struct group_batch *take_batch);
/* done gets the call of batch->append, not inside. */
void broker_group_batch_send(struct group_batch *batch, void (*done)(struct broker_call *call));
/* Frees what was kept to be used again. */
void broker_group_batch_deinit(struct groups *groups);

// Reads a partition of internal state from its beginning, record by record.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker.h"
#include "record/codec.h"

/* The caller's memory until done; all on one core. */
struct replay {
    struct core *core;
    const struct broker_topic *topic; /* the caller's reference */
    int32_t partition;
    size_t batch_size_max; /* of records, decompressed */
    /* Of every record, those of open and aborted transactions and of control batches too.
     * ERR_NO_MEMORY ends it; after another error the record is passed over, which is logged. */
    enum err (*record)(struct replay *replay, const struct batch_header *header,
                       const struct record *record);
    void (*done)(struct replay *replay, enum err err); /* not inside replay_start */
    uint64_t log_bytes;                                /* out: of the batches read */
    struct broker_read read; /* read.offset out: the next one after all that was read */
};

void broker_replay_start(struct replay *replay);
/* Where the record lies. */
static inline int64_t broker_replay_offset(const struct batch_header *header,
                                           const struct record *record)
{
    return header->base_offset + record->offset_delta;
}

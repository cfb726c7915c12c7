// Sparse offset and time index of a segment, in memory and in Kafka's .index and .timeindex
// formats. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

struct index_entry {
    int32_t offset_delta; /* to the segment's base offset: last offset of the batch before
                             position... */
    uint32_t position;    /* byte position where a batch starts */
    int64_t
        timestamp_ms; /* greatest timestamp of all batches before and with the one at position */
};

/* Grows by one entry about every interval bytes. */
struct index {
    struct index_entry *entries;
    uint32_t count;
    uint32_t capacity;
    uint32_t bytes_since; /* since the last entry */
    int64_t timestamp_max_ms;
    int64_t timestamp_max_offset;
};

void index_init(struct index *index);
void index_deinit(struct index *index);
/* A batch of size bytes was added at position. Adds an entry when interval_bytes have passed. */
NODISCARD enum err index_add(struct index *index, int64_t segment_base, uint32_t position,
                             const struct batch_header *header, uint32_t interval_bytes);
/* Greatest known position whose batch has base_offset <= offset (0 when none). */
uint32_t index_position(const struct index *index, int64_t segment_base, int64_t offset);
/* Position from which to search for the first record with timestamp >= timestamp_ms. */
uint32_t index_time_position(const struct index *index, int64_t timestamp_ms);
/* Bytes of both files as Kafka writes them (8 and 12 byte entries). Caller frees out[i].data. */
NODISCARD enum err index_encode(const struct index *index, int64_t segment_base,
                                struct slice out_offsets[1], struct slice out_times[1]);
/* Checks order and that positions lie below segment_size; ERR_CORRUPT means: rebuild. */
NODISCARD enum err index_decode(struct index *index, int64_t segment_base, uint32_t segment_size,
                                struct slice offsets, struct slice times);

// Sparse offset and time index of a segment, in memory and in Kafka's two file formats.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

struct index_entry {
    int32_t offset_delta; /* last offset of the batch at position, relative to the segment's base */
    uint32_t position;    /* byte position where a batch starts */
    int64_t timestamp_ms; /* greatest timestamp of all batches up to and with the one at position */
};

/* Grows by one entry about every interval bytes. */
struct index {
    struct index_entry *entries;
    uint32_t count;
    uint32_t capacity;
    uint32_t bytes_since; /* since the last entry */
    uint32_t saved;       /* entries that are in the files, index_file.h */
    int64_t timestamp_max_ms;
    int64_t timestamp_max_offset;
};

void index_init(struct index *index);
void index_deinit(struct index *index);
/* A batch of size bytes was added at position. Adds an entry when interval_bytes have passed. */
NODISCARD enum err index_add(struct index *index, int64_t segment_base, uint32_t position,
                             const struct batch_header *header, uint32_t interval_bytes);
/* Position from which a walk over the batches meets the one that holds offset (0 when not known).
 */
uint32_t index_position(const struct index *index, int64_t segment_base, int64_t offset);
/* Position from which to search for the first record with timestamp >= timestamp_ms. */
uint32_t index_time_position(const struct index *index, int64_t timestamp_ms);
#define INDEX_OFFSET_ENTRY_SIZE 8u
#define INDEX_TIME_ENTRY_SIZE   12u
/* Both files as Kafka writes them: 8-byte (offset, position) and 12-byte (timestamp, offset)
 * entries, from the entry with that number on, appended to growing texts. */
struct text;
NODISCARD enum err index_encode(const struct index *index, uint32_t from, struct text *out_offsets,
                                struct text *out_times);
/* Checks order and leaves out what lies at segment_size or behind it; ERR_CORRUPT means: rebuild.
 * The index must be empty before; saved counts all entries; bytes_since and the greatest timestamp
 * are only known up to the last entry. */
NODISCARD enum err index_decode(struct index *index, uint32_t segment_size, struct slice offsets,
                                struct slice times);

// Builds record batches, and rebuilds one without some of its records.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "record/codec.h"

struct build_record {
    int64_t timestamp_ms;
    struct slice key;
    struct slice value;
    const struct record_header *headers;
    size_t header_count;
};

/* Collects records, then writes one batch. */
struct build {
    struct codec_output records;
    struct batch_header header; /* caller sets attributes, producer fields before build_finish */
    int level;
};

void build_init(struct build *build, size_t size_max);
void build_deinit(struct build *build);
void build_reset(struct build *build);
/* ERR_TOO_LARGE when size_max would be exceeded; the record is then not added. */
NODISCARD enum err build_add(struct build *build, const struct build_record *record);
/* Writes the whole batch (base offset 0) to out; ERR_INVALID without records. */
NODISCARD enum err build_finish(struct build *build, struct codec_output *out);

/* Tells whether the record at offset is deleted. */
typedef bool (*build_deleted_fn)(void *arg, int64_t offset);

/* A copy of batch without the deleted records: same base offset, last offset delta, sequences,
 * producer fields, codec and timestamps type; the deleted bytes are not in it; valid CRC. When all
 * are deleted an empty batch (record_count 0) is written. ERR_CORRUPT, ERR_TOO_LARGE,
 * ERR_NO_MEMORY. */
NODISCARD enum err build_without(struct slice batch, build_deleted_fn deleted, void *arg,
                                 struct codec_output *out);
/* Same records under another codec (topic's compression.type). */
NODISCARD enum err build_recompressed(struct slice batch, enum batch_codec codec, int level,
                                      struct codec_output *out);

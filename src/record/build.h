// Builds record batches, and rebuilds one without some of its records.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "record/codec.h"

/* Borrowed until build_add returns. */
struct build_record {
    int64_t timestamp_ms; /* -1: none */
    struct slice key;     /* may be null */
    struct slice value;   /* may be null */
    const struct record_header *headers;
    size_t header_count;
};

/* Collects records, then writes one batch. */
struct build {
    struct codec_output records;
    /* The caller may set attributes, leader epoch and the producer fields before build_finish. */
    struct batch_header header;
    int level; /* of the codec in attributes; CODEC_LEVEL_DEFAULT at first */
};

/* size_max: of the whole batch before compression, in bytes. */
void build_init(struct build *build, size_t size_max);
void build_deinit(struct build *build);
/* As after build_init, but keeps its memory. */
void build_reset(struct build *build);
/* ERR_TOO_LARGE when size_max (or what a batch can hold at all) would be exceeded; ERR_INVALID: a
 * header without key, or timestamps further apart than 64 bits; ERR_NO_MEMORY. The record is then
 * not added. */
NODISCARD enum err build_add(struct build *build, const struct build_record *record);
/* Appends the whole batch (base offset 0) to out. ERR_INVALID without records or with a level the
 * codec does not have; ERR_UNSUPPORTED: unknown codec; ERR_TOO_LARGE, ERR_NO_MEMORY. After an error
 * out has the size it had. The records stay until build_reset. */
NODISCARD enum err build_finish(struct build *build, struct codec_output *out);

/* Tells whether the record at offset is deleted. */
typedef bool (*build_deleted_fn)(void *arg, int64_t offset);

/* Appends a copy of batch without the deleted records: same base offset, last offset delta,
 * sequences, producer fields, timestamps and codec; the deleted bytes are not in it; valid CRC.
 * When all are deleted an empty batch is written: record_count 0, no records and no codec.
 * out->size_max bounds the decompressed records as well as the result. ERR_TRUNCATED, ERR_CORRUPT
 * (the CRC is checked first, so that damage is never made to look right), ERR_UNSUPPORTED,
 * ERR_TOO_LARGE, ERR_NO_MEMORY; out then has the size it had. */
NODISCARD enum err build_without(struct slice batch, build_deleted_fn deleted, void *arg,
                                 struct codec_output *out);
/* What compaction leaves of a batch: at least one record. */
struct build_kept {
    const uint8_t *bits;       /* bit i % 8 of byte i / 8: record i stays */
    int64_t delete_horizon_ms; /* -1: none is set; else the batch has none yet (KIP-534) */
};
/* Appends the batch with the records that stay: offsets, sequences, producer fields, epoch and
 * codec as they were; the greatest timestamp is that of what stays, unless the log gave it. header
 * and records (plain, all of them) are of a batch whose CRC and records were checked. A delete
 * horizon takes the place of the base timestamp, and the deltas follow. Errors as build_without;
 * ERR_INVALID: no record stays, or timestamps are too far apart. */
NODISCARD enum err build_compacted(const struct batch_header *header, struct slice records,
                                   const struct build_kept *kept, struct codec_output *out);
/* Appends a batch without records, producer and timestamps that stands for the offsets from
 * header->base_offset to the last; epoch and offsets are the header's. */
NODISCARD enum err build_empty(const struct batch_header *header, struct codec_output *out);
/* Appends the same records under another codec (topic's compression.type). Bounds and errors as
 * build_without; ERR_INVALID: level. */
NODISCARD enum err build_recompressed(struct slice batch, enum batch_codec codec, int level,
                                      struct codec_output *out);

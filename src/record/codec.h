// The compression codecs of record batches: gzip, snappy (raw and xerial framing), lz4 frame, zstd.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "record/batch.h"

/* Grows as needed up to size_max: output of a decompressor or builder. Caller frees data. */
struct codec_output {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max;
};

void codec_output_init(struct codec_output *output, size_t size_max);
void codec_output_deinit(struct codec_output *output);

/* Streams, so that a bomb stops at size_max: ERR_TOO_LARGE. ERR_CORRUPT, ERR_NO_MEMORY. Appends. */
NODISCARD enum err codec_decompress(enum batch_codec codec, struct slice in,
                                    struct codec_output *out);
/* level: the codec's own; -1 for its default. Appends. */
NODISCARD enum err codec_compress(enum batch_codec codec, int level, struct slice in,
                                  struct codec_output *out);
/* Records of a whole batch, decompressed into scratch when compressed, else pointing into the
 * batch. */
NODISCARD enum err codec_batch_records(struct slice batch, struct codec_output *scratch,
                                       struct slice *out_records);

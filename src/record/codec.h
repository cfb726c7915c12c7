// The compression codecs of record batches: gzip, snappy (raw and xerial framing), lz4 frame, zstd.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits.h>

#include "record/batch.h"

/* The codec's own choice of level. Gzip and lz4 take -1 for it too; -1 is a real level of zstd. */
#define CODEC_LEVEL_DEFAULT  INT_MIN
#define CODEC_GZIP_LEVEL_MIN 1
#define CODEC_GZIP_LEVEL_MAX 9
#define CODEC_LZ4_LEVEL_MIN  1
#define CODEC_LZ4_LEVEL_MAX  17
#define CODEC_ZSTD_LEVEL_MIN (-131072)
#define CODEC_ZSTD_LEVEL_MAX 22

/* Grows as needed; size never exceeds size_max. Output of a decompressor or builder. Caller frees
 * it with codec_output_deinit, or frees data. */
struct codec_output {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max;
};

void codec_output_init(struct codec_output *output, size_t size_max);
void codec_output_deinit(struct codec_output *output);
/* Capacity for size more bytes, be it beyond size_max. ERR_NO_MEMORY. */
NODISCARD enum err codec_output_reserve(struct codec_output *output, size_t size);
/* Appends a copy. ERR_TOO_LARGE when size_max would be exceeded, ERR_NO_MEMORY; then unchanged. */
NODISCARD enum err codec_output_add(struct codec_output *output, struct slice bytes);

/* Appends. A bomb stops at size_max with ERR_TOO_LARGE, and memory stays within size_max and a
 * block (at most 4 MiB, lz4). Trailing bytes after the last frame or member, and input without any,
 * are ERR_CORRUPT. ERR_UNSUPPORTED: unknown codec. ERR_NO_MEMORY. After an error out has the size
 * it had. */
NODISCARD enum err codec_decompress(enum batch_codec codec, struct slice in,
                                    struct codec_output *out);
/* Appends. ERR_INVALID: level out of the codec's range (see codec_level_check). ERR_TOO_LARGE,
 * ERR_UNSUPPORTED, ERR_NO_MEMORY. After an error out has the size it had. */
NODISCARD enum err codec_compress(enum batch_codec codec, int level, struct slice in,
                                  struct codec_output *out);
/* ERR_INVALID when the codec has no such level; none and snappy have no levels and take any. */
NODISCARD enum err codec_level_check(enum batch_codec codec, int level);
/* Records of a whole batch, decompressed into scratch (whose content is replaced) when compressed,
 * else pointing into the batch. ERR_TRUNCATED when the batch is not whole; the errors of
 * batch_header_read and codec_decompress. The CRC is not looked at. */
NODISCARD enum err codec_batch_records(struct slice batch, struct codec_output *scratch,
                                       struct slice *out_records);

// The compression codecs of record batches, with bounded output.
// SPDX-License-Identifier: Apache-2.0
#include "record/codec.h"

#include <limits.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/endian.h"

/* windowBits of zlib that mean: 32 KiB window, gzip wrapper. */
#define GZIP_WINDOW_BITS 31
#define GZIP_MEM_LEVEL   8

/* snappy-java's framing: magic, version, oldest reader that understands it; then blocks, each with
 * its compressed size before it. */
static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
#define XERIAL_HEADER_SIZE     16
#define XERIAL_VERSION         1
#define XERIAL_BLOCK_SIZE      (32 * 1024)
#define XERIAL_BLOCK_HEAD_SIZE 4
/* A three-byte copy makes at most 64 bytes: no snappy block grows more than this. */
#define SNAPPY_RATIO_MAX 22

/* The first guess at what compressed bytes unpack to. */
#define RATIO_GUESS 4
/* A zstd frame that announces its size is believed up to this ratio; the room grows when that was
 * too small. */
#define ZSTD_RATIO_BELIEVED  32
#define ZSTD_OUTPUT_SIZE_MIN (64 * 1024)

#define OUTPUT_CAPACITY_MIN 256

void codec_output_init(struct codec_output *output, size_t size_max)
{
    *output = (struct codec_output){.size_max = size_max};
}

void codec_output_deinit(struct codec_output *output)
{
    free(output->data);
    *output = (struct codec_output){.size_max = output->size_max};
}

enum err codec_output_reserve(struct codec_output *output, size_t size)
{
    size_t needed;
    if (__builtin_add_overflow(output->size, size, &needed))
        return ERR_TOO_LARGE;
    if (needed <= output->capacity && output->data)
        return ERR_OK;
    size_t doubled = output->capacity > SIZE_MAX / 2 ? SIZE_MAX : output->capacity * 2;
    size_t capacity = MAX(needed, MIN(doubled, output->size_max));
    capacity = MAX(capacity, OUTPUT_CAPACITY_MIN);
    uint8_t *data = realloc(output->data, capacity);
    if (!data)
        return ERR_NO_MEMORY;
    output->data = data;
    output->capacity = capacity;
    return ERR_OK;
}

enum err codec_output_add(struct codec_output *output, struct slice bytes)
{
    if (bytes.size > output->size_max - MIN(output->size, output->size_max))
        return ERR_TOO_LARGE;
    if (bytes.size == 0)
        return ERR_OK;
    enum err err = codec_output_reserve(output, bytes.size);
    if (err != ERR_OK)
        return err;
    memcpy(output->data + output->size, bytes.data, bytes.size);
    output->size += bytes.size;
    return ERR_OK;
}

static size_t output_left(const struct codec_output *output)
{
    return output->size < output->size_max ? output->size_max - output->size : 0;
}

/* Where a streaming codec writes next: the free end of the output or, once that is full, one byte
 * aside that tells a stream that is just ending from one that is too large. */
struct room {
    uint8_t *data;
    size_t size;
    uint8_t probe;
};

static enum err room_open(struct room *room, struct codec_output *out)
{
    size_t left = output_left(out);
    if (left == 0) {
        room->data = &room->probe;
        room->size = 1;
        return ERR_OK;
    }
    enum err err = codec_output_reserve(out, 1);
    if (err != ERR_OK)
        return err;
    room->data = out->data + out->size;
    room->size = MIN(out->capacity - out->size, left);
    return ERR_OK;
}

static enum err room_close(const struct room *room, struct codec_output *out, size_t written)
{
    if (room->data != &room->probe) {
        out->size += written;
        return ERR_OK;
    }
    return written > 0 ? ERR_TOO_LARGE : ERR_OK;
}

static void skip(struct slice *in, size_t size)
{
    in->data += size;
    in->size -= size;
}

/* Capacity for what size bytes of input usually make, so that the output seldom grows. */
static enum err room_guess(struct codec_output *out, size_t size)
{
    size_t guess = size > SIZE_MAX / RATIO_GUESS ? SIZE_MAX : size * RATIO_GUESS;
    return codec_output_reserve(out, MIN(guess, output_left(out)));
}

/* Hands zlib more input when it has used what it had. */
static void gzip_feed(z_stream *stream, struct slice *in)
{
    if (stream->avail_in > 0 || in->size == 0)
        return;
    stream->next_in = (Bytef *)(uintptr_t)in->data;
    stream->avail_in = (uInt)MIN(in->size, UINT_MAX);
    skip(in, stream->avail_in);
}

/* One step of inflate or deflate into out. */
static enum err gzip_step(z_stream *stream, int (*step)(z_stream *, int), int flush,
                          struct codec_output *out)
{
    struct room room;
    enum err err = room_open(&room, out);
    if (err != ERR_OK)
        return err;
    uInt size = (uInt)MIN(room.size, UINT_MAX);
    stream->next_out = room.data;
    stream->avail_out = size;
    int result = step(stream, flush);
    err = room_close(&room, out, size - stream->avail_out);
    if (err != ERR_OK)
        return err;
    if (result == Z_STREAM_END)
        return ERR_NOT_FOUND;
    if (result == Z_MEM_ERROR)
        return ERR_NO_MEMORY;
    return result == Z_OK ? ERR_OK : ERR_CORRUPT;
}

static enum err gzip_decompress(struct slice in, struct codec_output *out)
{
    z_stream stream = {0};
    if (inflateInit2(&stream, GZIP_WINDOW_BITS) != Z_OK)
        return ERR_NO_MEMORY;
    enum err err = room_guess(out, in.size);
    while (err == ERR_OK) {
        gzip_feed(&stream, &in);
        err = gzip_step(&stream, inflate, Z_NO_FLUSH, out);
        if (err == ERR_NOT_FOUND && (stream.avail_in > 0 || in.size > 0))
            err = inflateReset(&stream) == Z_OK ? ERR_OK : ERR_CORRUPT;
    }
    inflateEnd(&stream);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err gzip_compress(int level, struct slice in, struct codec_output *out)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return ERR_NO_MEMORY;
    enum err err;
    do {
        gzip_feed(&stream, &in);
        err = gzip_step(&stream, deflate, in.size > 0 ? Z_NO_FLUSH : Z_FINISH, out);
    } while (err == ERR_OK);
    deflateEnd(&stream);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err snappy_block_decompress(struct slice in, struct codec_output *out)
{
    const char *from = (const char *)in.data;
    size_t size;
    if (snappy_uncompressed_length(from, in.size, &size) != SNAPPY_OK)
        return ERR_CORRUPT;
    if (size / SNAPPY_RATIO_MAX > in.size)
        return ERR_CORRUPT;
    if (size > output_left(out))
        return ERR_TOO_LARGE;
    enum err err = codec_output_reserve(out, size);
    if (err != ERR_OK)
        return err;
    if (snappy_uncompress(from, in.size, (char *)out->data + out->size, &size) != SNAPPY_OK)
        return ERR_CORRUPT;
    out->size += size;
    return ERR_OK;
}

static bool xerial_is(struct slice in)
{
    return in.size >= XERIAL_HEADER_SIZE &&
           memcmp(in.data, xerial_magic, sizeof(xerial_magic)) == 0;
}

/* A block, or the header of a further stream that was appended to the first. */
static enum err xerial_next(struct slice *in, struct codec_output *out)
{
    if (xerial_is(*in)) {
        uint32_t version = be32_get(in->data + sizeof(xerial_magic));
        uint32_t version_oldest = be32_get(in->data + sizeof(xerial_magic) + 4);
        if (version < XERIAL_VERSION || version_oldest > XERIAL_VERSION)
            return ERR_CORRUPT;
        skip(in, XERIAL_HEADER_SIZE);
        return ERR_OK;
    }
    if (in->size < XERIAL_BLOCK_HEAD_SIZE)
        return ERR_CORRUPT;
    uint32_t size = be32_get(in->data);
    skip(in, XERIAL_BLOCK_HEAD_SIZE);
    if (size > in->size)
        return ERR_CORRUPT;
    enum err err = snappy_block_decompress(slice_make(in->data, size), out);
    skip(in, size);
    return err;
}

static enum err snappy_decompress(struct slice in, struct codec_output *out)
{
    if (!xerial_is(in))
        return snappy_block_decompress(in, out);
    enum err err = ERR_OK;
    while (err == ERR_OK && in.size > 0)
        err = xerial_next(&in, out);
    return err;
}

static enum err xerial_block_write(struct slice block, struct codec_output *out)
{
    size_t size = snappy_max_compressed_length(block.size);
    enum err err = codec_output_reserve(out, XERIAL_BLOCK_HEAD_SIZE + size);
    if (err != ERR_OK)
        return err;
    uint8_t *at = out->data + out->size;
    snappy_status status = snappy_compress((const char *)block.data, block.size,
                                           (char *)at + XERIAL_BLOCK_HEAD_SIZE, &size);
    CHECK(status == SNAPPY_OK);
    be32_put(at, (uint32_t)size);
    if (XERIAL_BLOCK_HEAD_SIZE + size > output_left(out))
        return ERR_TOO_LARGE;
    out->size += XERIAL_BLOCK_HEAD_SIZE + size;
    return ERR_OK;
}

static enum err xerial_compress(struct slice in, struct codec_output *out)
{
    uint8_t header[XERIAL_HEADER_SIZE];
    memcpy(header, xerial_magic, sizeof(xerial_magic));
    be32_put(header + sizeof(xerial_magic), XERIAL_VERSION);
    be32_put(header + sizeof(xerial_magic) + 4, XERIAL_VERSION);
    enum err err = codec_output_add(out, slice_make(header, sizeof(header)));
    while (err == ERR_OK && in.size > 0) {
        struct slice block = slice_make(in.data, MIN(in.size, XERIAL_BLOCK_SIZE));
        err = xerial_block_write(block, out);
        skip(&in, block.size);
    }
    return err;
}

static enum err lz4_error(size_t code)
{
    bool memory = strcmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") == 0;
    return memory ? ERR_NO_MEMORY : ERR_CORRUPT;
}

static enum err lz4_frames_decompress(LZ4F_dctx *context, struct slice in, struct codec_output *out)
{
    for (;;) {
        struct room room;
        enum err err = room_open(&room, out);
        if (err != ERR_OK)
            return err;
        size_t written = room.size;
        size_t used = in.size;
        size_t wanted = LZ4F_decompress(context, room.data, &written, in.data, &used, NULL);
        if (LZ4F_isError(wanted))
            return lz4_error(wanted);
        err = room_close(&room, out, written);
        if (err != ERR_OK)
            return err;
        skip(&in, used);
        if (wanted == 0 && in.size == 0)
            return ERR_OK;
        if (written == 0 && used == 0)
            return ERR_CORRUPT;
    }
}

static enum err lz4_decompress(struct slice in, struct codec_output *out)
{
    LZ4F_dctx *context;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return ERR_NO_MEMORY;
    enum err err = room_guess(out, in.size);
    if (err == ERR_OK)
        err = lz4_frames_decompress(context, in, out);
    LZ4F_freeDecompressionContext(context);
    return err;
}

/* Independent blocks of 64 KiB: Kafka's Java client reads no others. */
static enum err lz4_compress(int level, struct slice in, struct codec_output *out)
{
    LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level,
    };
    size_t size_max = LZ4F_compressFrameBound(in.size, &preferences);
    enum err err = codec_output_reserve(out, size_max);
    if (err != ERR_OK)
        return err;
    size_t size =
        LZ4F_compressFrame(out->data + out->size, size_max, in.data, in.size, &preferences);
    if (LZ4F_isError(size))
        return ERR_NO_MEMORY;
    if (size > output_left(out))
        return ERR_TOO_LARGE;
    out->size += size;
    return ERR_OK;
}

static size_t ratio_bound(size_t size, size_t ratio)
{
    size_t bound;
    if (__builtin_mul_overflow(size, ratio, &bound))
        return SIZE_MAX;
    return MAX(bound, ZSTD_OUTPUT_SIZE_MIN);
}

/* One frame straight into the output, which so is the window too: no frame can ask for the memory
 * of a window of its own. When the room was too small it is tried again with four times as much. */
static enum err zstd_frame_decompress(ZSTD_DCtx *context, struct slice frame,
                                      struct codec_output *out)
{
    unsigned long long content_size = ZSTD_getFrameContentSize(frame.data, frame.size);
    if (content_size == ZSTD_CONTENTSIZE_ERROR)
        return ERR_CORRUPT;
    size_t room = ratio_bound(frame.size, RATIO_GUESS);
    if (content_size != ZSTD_CONTENTSIZE_UNKNOWN) {
        if (content_size > output_left(out))
            return ERR_TOO_LARGE;
        room = MIN((size_t)content_size, ratio_bound(frame.size, ZSTD_RATIO_BELIEVED));
    }
    for (;;) {
        room = MIN(room, output_left(out));
        enum err err = codec_output_reserve(out, room);
        if (err != ERR_OK)
            return err;
        size_t size =
            ZSTD_decompressDCtx(context, out->data + out->size, room, frame.data, frame.size);
        if (!ZSTD_isError(size)) {
            out->size += size;
            return ERR_OK;
        }
        ZSTD_ErrorCode code = ZSTD_getErrorCode(size);
        if (code == ZSTD_error_memory_allocation)
            return ERR_NO_MEMORY;
        if (code != ZSTD_error_dstSize_tooSmall)
            return ERR_CORRUPT;
        if (room == output_left(out))
            return ERR_TOO_LARGE;
        if (content_size == room)
            return ERR_CORRUPT;
        room = ratio_bound(room, 4);
    }
}

static enum err zstd_decompress(struct slice in, struct codec_output *out)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context)
        return ERR_NO_MEMORY;
    enum err err = in.size > 0 ? ERR_OK : ERR_CORRUPT;
    while (err == ERR_OK && in.size > 0) {
        size_t size = ZSTD_findFrameCompressedSize(in.data, in.size);
        err = ZSTD_isError(size) ? ERR_CORRUPT
                                 : zstd_frame_decompress(context, slice_make(in.data, size), out);
        if (err == ERR_OK)
            skip(&in, size);
    }
    ZSTD_freeDCtx(context);
    return err;
}

static enum err zstd_compress(int level, struct slice in, struct codec_output *out)
{
    size_t size_max = ZSTD_compressBound(in.size);
    if (ZSTD_isError(size_max))
        return ERR_TOO_LARGE;
    enum err err = codec_output_reserve(out, size_max);
    if (err != ERR_OK)
        return err;
    size_t size = ZSTD_compress(out->data + out->size, size_max, in.data, in.size, level);
    if (ZSTD_isError(size))
        return ERR_NO_MEMORY;
    if (size > output_left(out))
        return ERR_TOO_LARGE;
    out->size += size;
    return ERR_OK;
}

enum err codec_decompress(enum batch_codec codec, struct slice in, struct codec_output *out)
{
    size_t size_before = out->size;
    enum err err = ERR_UNSUPPORTED;
    switch (codec) {
    case BATCH_CODEC_NONE:
        err = codec_output_add(out, in);
        break;
    case BATCH_CODEC_GZIP:
        err = in.size > 0 ? gzip_decompress(in, out) : ERR_CORRUPT;
        break;
    case BATCH_CODEC_SNAPPY:
        err = in.size > 0 ? snappy_decompress(in, out) : ERR_CORRUPT;
        break;
    case BATCH_CODEC_LZ4:
        err = in.size > 0 ? lz4_decompress(in, out) : ERR_CORRUPT;
        break;
    case BATCH_CODEC_ZSTD:
        err = zstd_decompress(in, out);
        break;
    }
    if (err != ERR_OK)
        out->size = size_before;
    return err;
}

enum err codec_level_check(enum batch_codec codec, int level)
{
    static const struct {
        int level_min;
        int level_max;
    } ranges[] = {
        [BATCH_CODEC_GZIP] = {CODEC_GZIP_LEVEL_MIN, CODEC_GZIP_LEVEL_MAX},
        [BATCH_CODEC_LZ4] = {CODEC_LZ4_LEVEL_MIN, CODEC_LZ4_LEVEL_MAX},
        [BATCH_CODEC_ZSTD] = {CODEC_ZSTD_LEVEL_MIN, CODEC_ZSTD_LEVEL_MAX},
    };
    if (level == CODEC_LEVEL_DEFAULT)
        return ERR_OK;
    if (codec == BATCH_CODEC_NONE || codec == BATCH_CODEC_SNAPPY)
        return ERR_OK;
    if (codec > BATCH_CODEC_ZSTD)
        return ERR_UNSUPPORTED;
    if (level == -1 && codec != BATCH_CODEC_ZSTD)
        return ERR_OK;
    bool in_range = level >= ranges[codec].level_min && level <= ranges[codec].level_max;
    return in_range ? ERR_OK : ERR_INVALID;
}

enum err codec_compress(enum batch_codec codec, int level, struct slice in,
                        struct codec_output *out)
{
    enum err err = codec_level_check(codec, level);
    if (err != ERR_OK)
        return err;
    size_t size_before = out->size;
    bool is_default = level == CODEC_LEVEL_DEFAULT;
    switch (codec) {
    case BATCH_CODEC_NONE:
        err = codec_output_add(out, in);
        break;
    case BATCH_CODEC_GZIP:
        err = gzip_compress(is_default ? Z_DEFAULT_COMPRESSION : level, in, out);
        break;
    case BATCH_CODEC_SNAPPY:
        err = xerial_compress(in, out);
        break;
    case BATCH_CODEC_LZ4:
        err = lz4_compress(is_default || level < 0 ? 0 : level, in, out);
        break;
    case BATCH_CODEC_ZSTD:
        err = zstd_compress(is_default ? ZSTD_CLEVEL_DEFAULT : level, in, out);
        break;
    }
    if (err != ERR_OK)
        out->size = size_before;
    return err;
}

enum err codec_batch_records(struct slice batch, struct codec_output *scratch,
                             struct slice *out_records)
{
    struct batch_header header;
    enum err err = batch_header_read(batch, &header);
    if (err != ERR_OK)
        return err;
    if (header.size > batch.size)
        return ERR_TRUNCATED;
    struct slice stored =
        slice_make(batch.data + BATCH_HEADER_SIZE, header.size - BATCH_HEADER_SIZE);
    bool empty = stored.size == 0 && header.record_count == 0;
    if (empty || batch_codec(&header) == BATCH_CODEC_NONE) {
        *out_records = stored;
        return ERR_OK;
    }
    scratch->size = 0;
    err = codec_decompress(batch_codec(&header), stored, scratch);
    if (err == ERR_OK)
        *out_records = slice_make(scratch->data, scratch->size);
    return err;
}

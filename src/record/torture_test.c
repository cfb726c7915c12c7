// Fails the n-th allocation, for every n: an error comes out, nothing leaks, nothing is half done.
// SPDX-License-Identifier: Apache-2.0
//
// The linker's --wrap sends the room's own calls here; the compression libraries' allocations are
// stood for by the calls that make their contexts.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "record/build.h"
#include "record/sample.h"

#define SIZE_MAX_OUT ((size_t)1024 * 1024)

/* Allocations that still succeed; below zero: all. The wrappers have no other way to know. */
static long allocations_left = -1;

static bool allocation_fails(void)
{
    if (allocations_left > 0)
        allocations_left--;
    else if (allocations_left == 0)
        return true;
    return false;
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(old, size);
}

int __real_inflateInit2_(z_streamp stream, int bits, const char *version, int size);
int __wrap_inflateInit2_(z_streamp stream, int bits, const char *version, int size);
int __wrap_inflateInit2_(z_streamp stream, int bits, const char *version, int size)
{
    return allocation_fails() ? Z_MEM_ERROR : __real_inflateInit2_(stream, bits, version, size);
}

/* What zlib itself asks for comes from here. */
static voidpf stream_alloc(voidpf arg, uInt count, uInt size)
{
    return allocation_fails() ? NULL : calloc(count, size);
}

static void stream_free(voidpf arg, voidpf memory)
{
    free(memory);
}

/* deflateInit2_ has more parameters than the style allows; the library's face is not ours. */
int __real_deflateInit2_(z_streamp stream, int level, int method, int bits, int memory,
                         int strategy, const char *version, int size);
int __wrap_deflateInit2_(z_streamp stream, int level, int method, int bits, int memory,
                         int strategy, const char *version, int size);
int __wrap_deflateInit2_(z_streamp stream, int level, int method, int bits, int memory,
                         int strategy, const char *version, int size)
{
    stream->zalloc = stream_alloc;
    stream->zfree = stream_free;
    return __real_deflateInit2_(stream, level, method, bits, memory, strategy, version, size);
}

LZ4F_errorCode_t __real_LZ4F_createDecompressionContext(LZ4F_dctx **context, unsigned version);
LZ4F_errorCode_t __wrap_LZ4F_createDecompressionContext(LZ4F_dctx **context, unsigned version);
LZ4F_errorCode_t __wrap_LZ4F_createDecompressionContext(LZ4F_dctx **context, unsigned version)
{
    return allocation_fails() ? (LZ4F_errorCode_t)-1
                              : __real_LZ4F_createDecompressionContext(context, version);
}

ZSTD_DCtx *__real_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
    return allocation_fails() ? NULL : __real_ZSTD_createDCtx();
}

static void make_batch(enum batch_codec codec, struct codec_output *out)
{
    struct build build;
    struct build_record record = {.timestamp_ms = 1, .value = SLICE_LITERAL("some value")};
    build_init(&build, SIZE_MAX_OUT);
    for (int i = 0; i < 300; i++)
        assert_int_equal(build_add(&build, &record), ERR_OK);
    build.header.attributes = (uint16_t)codec;
    assert_int_equal(build_finish(&build, out), ERR_OK);
    build_deinit(&build);
}

static bool odd(void *arg, int64_t offset)
{
    return offset & 1;
}

static void a_rebuild_survives_want_of_memory(void **state)
{
    for (int codec = BATCH_CODEC_NONE; codec <= BATCH_CODEC_ZSTD; codec++) {
        struct codec_output batch;
        codec_output_init(&batch, SIZE_MAX_OUT);
        make_batch((enum batch_codec)codec, &batch);
        enum err err = ERR_NO_MEMORY;
        long count = 0;
        for (; err != ERR_OK; count++) {
            struct codec_output out;
            codec_output_init(&out, SIZE_MAX_OUT);
            assert_int_equal(codec_output_add(&out, SLICE_LITERAL("before")), ERR_OK);
            allocations_left = count;
            err = build_without(slice_make(batch.data, batch.size), odd, NULL, &out);
            allocations_left = -1;
            assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
            assert_true(err == ERR_OK || out.size == strlen("before"));
            assert_memory_equal(out.data, "before", strlen("before"));
            codec_output_deinit(&out);
        }
        assert_true(count > 2);
        codec_output_deinit(&batch);
    }
}

static void a_build_survives_want_of_memory(void **state)
{
    struct build build;
    struct build_record record = {.timestamp_ms = 1, .value = SLICE_LITERAL("some value")};
    build_init(&build, SIZE_MAX_OUT);
    int32_t refused = 0;
    while (build.header.record_count < 1000) {
        int32_t before = build.header.record_count;
        allocations_left = 0;
        enum err err = build_add(&build, &record);
        allocations_left = -1;
        assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
        assert_int_equal(build.header.record_count, before + (err == ERR_OK));
        if (err == ERR_OK)
            continue;
        refused++;
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    assert_true(refused > 3);
    struct slice records = slice_make(build.records.data, build.records.size);
    assert_int_equal(batch_check_records(&build.header, records), ERR_OK);
    build_deinit(&build);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rebuild_survives_want_of_memory),
        cmocka_unit_test(a_build_survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the compression codecs: round trips, other tools' bytes, bombs, cuts.
// SPDX-License-Identifier: Apache-2.0
#include "record/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <snappy-c.h>
#include <zstd.h>

#include "base/endian.h"
#include "record/sample.h"

#define TEXT "the same words, the same words, the same words"
/* TEXT as gzip 1.12, lz4 1.9.4 and zstd 1.5.4 write it, and as a raw snappy block of one literal
 * and one copy. */
#define TEXT_GZIP "1f8b08000000000000032bc94855284ecc4d5528cf2f4a29d65128c1cb07002b5361cc2e000000"
#define TEXT_LZ4                                                                                   \
    "04224d186440a71b000000ff017468652073616d6520776f7264732c2010000650776f7264730000000064d83f25"
#define TEXT_ZSTD   "28b52ffd242eb50000807468652073616d6520776f7264732c200100469c4b0128fd9b"
#define TEXT_SNAPPY "2e3c7468652073616d6520776f7264732c20761000"
/* The example of snappy-java's stream format. */
#define XERIAL_FOOBAR "82534e41505059000000000100000001000000090718666f6f6261720a"

#define MIB ((size_t)1024 * 1024)

static const enum batch_codec codecs[] = {BATCH_CODEC_NONE, BATCH_CODEC_GZIP, BATCH_CODEC_SNAPPY,
                                          BATCH_CODEC_LZ4, BATCH_CODEC_ZSTD};

enum fill { FILL_ZERO, FILL_WORDS, FILL_RANDOM, FILL_COUNT };

static uint8_t *filled(enum fill fill, size_t size)
{
    static const char words[] = "offset partition leader epoch record ";
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    uint64_t random = size;
    for (size_t i = 0; i < size; i++) {
        uint8_t word = (uint8_t)words[(i + i / 977) % (sizeof(words) - 1)];
        bytes[i] = fill == FILL_ZERO    ? 0
                   : fill == FILL_WORDS ? word
                                        : (uint8_t)sample_random(&random);
    }
    return bytes;
}

static void assert_round_trip(enum batch_codec codec, int level, struct slice in)
{
    struct codec_output packed;
    struct codec_output plain;
    codec_output_init(&packed, in.size * 2 + 1000);
    codec_output_init(&plain, in.size);
    assert_int_equal(codec_compress(codec, level, in, &packed), ERR_OK);
    uint8_t *copy = sample_copy(slice_make(packed.data, packed.size));
    assert_int_equal(codec_decompress(codec, slice_make(copy, packed.size), &plain), ERR_OK);
    assert_true(slice_equal(slice_make(plain.data, plain.size), in));
    free(copy);
    codec_output_deinit(&packed);
    codec_output_deinit(&plain);
}

static void every_codec_round_trips(void **state)
{
    static const size_t sizes[] = {0,     1,     2,     61,     255,    4096,
                                   32767, 32768, 32769, 100000, 262145, 1048577};
    for (size_t c = 0; c < COUNT_OF(codecs); c++) {
        for (size_t i = 0; i < COUNT_OF(sizes) * FILL_COUNT; i++) {
            size_t size = sizes[i / FILL_COUNT];
            uint8_t *bytes = filled((enum fill)(i % FILL_COUNT), size);
            assert_round_trip(codecs[c], CODEC_LEVEL_DEFAULT, slice_make(bytes, size));
            free(bytes);
        }
    }
}

static size_t packed_size(enum batch_codec codec, int level, struct slice in)
{
    struct codec_output packed;
    codec_output_init(&packed, 2 * in.size);
    assert_int_equal(codec_compress(codec, level, in, &packed), ERR_OK);
    size_t size = packed.size;
    codec_output_deinit(&packed);
    return size;
}

static void levels_are_honoured(void **state)
{
    struct slice words = slice_make(filled(FILL_WORDS, 200000), 200000);
    static const int zstd_levels[] = {CODEC_ZSTD_LEVEL_MIN, -1, 0, 1, 3, 19, 22};
    for (int level = 1; level <= CODEC_LZ4_LEVEL_MAX; level++)
        assert_round_trip(BATCH_CODEC_LZ4, level, words);
    for (int level = 1; level <= CODEC_GZIP_LEVEL_MAX; level++)
        assert_round_trip(BATCH_CODEC_GZIP, level, words);
    for (size_t i = 0; i < COUNT_OF(zstd_levels); i++)
        assert_round_trip(BATCH_CODEC_ZSTD, zstd_levels[i], words);
    assert_round_trip(BATCH_CODEC_GZIP, -1, words);
    assert_round_trip(BATCH_CODEC_LZ4, -1, words);
    assert_true(packed_size(BATCH_CODEC_GZIP, 9, words) < packed_size(BATCH_CODEC_GZIP, 1, words));
    assert_true(packed_size(BATCH_CODEC_LZ4, 12, words) < packed_size(BATCH_CODEC_LZ4, 1, words));
    assert_true(packed_size(BATCH_CODEC_ZSTD, 19, words) <
                packed_size(BATCH_CODEC_ZSTD, -1000, words));
    free((void *)(uintptr_t)words.data);
}

static void levels_out_of_range_are_refused(void **state)
{
    static const struct {
        enum batch_codec codec;
        int level;
    } bad[] = {{BATCH_CODEC_GZIP, 0},  {BATCH_CODEC_GZIP, 10},      {BATCH_CODEC_GZIP, -2},
               {BATCH_CODEC_LZ4, 0},   {BATCH_CODEC_LZ4, 18},       {BATCH_CODEC_LZ4, -2},
               {BATCH_CODEC_ZSTD, 23}, {BATCH_CODEC_ZSTD, -131073}, {BATCH_CODEC_ZSTD, INT_MAX}};
    struct codec_output out;
    codec_output_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(codec_compress(bad[i].codec, bad[i].level, SLICE_LITERAL(TEXT), &out),
                         ERR_INVALID);
    assert_int_equal(out.size, 0);
    for (int codec = 5; codec <= BATCH_CODEC_MASK; codec++) {
        struct slice text = SLICE_LITERAL(TEXT);
        assert_int_equal(codec_compress((enum batch_codec)codec, 1, text, &out), ERR_UNSUPPORTED);
        assert_int_equal(codec_decompress((enum batch_codec)codec, text, &out), ERR_UNSUPPORTED);
    }
    assert_int_equal(codec_level_check(BATCH_CODEC_SNAPPY, 99), ERR_OK);
    codec_output_deinit(&out);
}

static const struct {
    enum batch_codec codec;
    const char *hex;
    const char *text;
} vectors[] = {
    {BATCH_CODEC_GZIP, TEXT_GZIP, TEXT},
    {BATCH_CODEC_LZ4, TEXT_LZ4, TEXT},
    {BATCH_CODEC_ZSTD, TEXT_ZSTD, TEXT},
    {BATCH_CODEC_SNAPPY, TEXT_SNAPPY, TEXT},
    {BATCH_CODEC_SNAPPY, XERIAL_FOOBAR, "foobar\n"},
    {BATCH_CODEC_SNAPPY, "00", ""},
    /* One after the other, as streams are appended. */
    {BATCH_CODEC_GZIP, TEXT_GZIP TEXT_GZIP, TEXT TEXT},
    {BATCH_CODEC_LZ4, TEXT_LZ4 TEXT_LZ4, TEXT TEXT},
    {BATCH_CODEC_ZSTD, TEXT_ZSTD TEXT_ZSTD, TEXT TEXT},
    {BATCH_CODEC_SNAPPY, XERIAL_FOOBAR XERIAL_FOOBAR, "foobar\nfoobar\n"},
};

static void reads_what_other_tools_write(void **state)
{
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct sample sample = sample_from_hex(vectors[i].hex);
        struct codec_output out;
        codec_output_init(&out, strlen(vectors[i].text));
        assert_int_equal(codec_decompress(vectors[i].codec, sample_slice(&sample), &out), ERR_OK);
        assert_true(slice_equal_text(slice_make(out.data, out.size), vectors[i].text));
        codec_output_deinit(&out);
    }
}

static void writes_xerial_framing(void **state)
{
    struct sample expected = sample_from_hex(XERIAL_FOOBAR);
    struct codec_output out;
    codec_output_init(&out, MIB);
    assert_int_equal(codec_compress(BATCH_CODEC_SNAPPY, -1, SLICE_LITERAL("foobar\n"), &out),
                     ERR_OK);
    assert_true(slice_equal(slice_make(out.data, out.size), sample_slice(&expected)));
    out.size = 0;
    uint8_t *bytes = filled(FILL_RANDOM, 70000);
    assert_int_equal(codec_compress(BATCH_CODEC_SNAPPY, -1, slice_make(bytes, 70000), &out),
                     ERR_OK);
    size_t at = 16;
    size_t sizes[3];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t size = be32_get(out.data + at);
        assert_int_equal(snappy_uncompressed_length((char *)out.data + at + 4, size, &sizes[i]),
                         SNAPPY_OK);
        at += 4 + size;
    }
    assert_int_equal(at, out.size);
    assert_int_equal(sizes[0], 32768);
    assert_int_equal(sizes[1], 32768);
    assert_int_equal(sizes[2], 70000 - 65536);
    free(bytes);
    codec_output_deinit(&out);
}

/* Kafka's Java client reads only independent blocks: bit 5 of the frame's flags. */
static void writes_independent_lz4_blocks(void **state)
{
    uint8_t *bytes = filled(FILL_WORDS, 300000);
    struct codec_output out;
    codec_output_init(&out, MIB);
    assert_int_equal(codec_compress(BATCH_CODEC_LZ4, 9, slice_make(bytes, 300000), &out), ERR_OK);
    assert_int_equal(le32_get(out.data), 0x184d2204);
    assert_int_equal(out.data[4], 0x60);
    assert_int_equal(out.data[5], 0x40);
    free(bytes);
    codec_output_deinit(&out);
}

static void no_prefix_passes_for_the_whole(void **state)
{
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct sample sample = sample_from_hex(vectors[i].hex);
        for (size_t size = 0; size < sample.size; size++) {
            uint8_t *copy = sample_copy(slice_make(sample.bytes, size));
            struct codec_output out;
            codec_output_init(&out, MIB);
            enum err err = codec_decompress(vectors[i].codec, slice_make(copy, size), &out);
            assert_true(err == ERR_CORRUPT ||
                        (err == ERR_OK && out.size < strlen(vectors[i].text)));
            if (err != ERR_OK)
                assert_int_equal(out.size, 0);
            codec_output_deinit(&out);
            free(copy);
        }
    }
}

static void rubbish_after_the_end_is_corrupt(void **state)
{
    static const struct {
        enum batch_codec codec;
        const char *hex;
    } bad[] = {{BATCH_CODEC_GZIP, TEXT_GZIP "00"},
               {BATCH_CODEC_LZ4, TEXT_LZ4 "00"},
               {BATCH_CODEC_ZSTD, TEXT_ZSTD "00"},
               {BATCH_CODEC_SNAPPY, TEXT_SNAPPY "00"},
               {BATCH_CODEC_SNAPPY, XERIAL_FOOBAR "00"},
               {BATCH_CODEC_SNAPPY, XERIAL_FOOBAR "ffffffff"},
               {BATCH_CODEC_SNAPPY, "82534e41505059000000000000000001"}, /* version 0 */
               {BATCH_CODEC_SNAPPY, "82534e41505059000000000200000002"}, /* too new */
               {BATCH_CODEC_SNAPPY, "ffffffff0f00"}, /* 4 GiB out of six bytes */
               /* A frame that announces 1 MiB and holds one byte. */
               {BATCH_CODEC_ZSTD, "28b52ffde0000010000000000009000041"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct sample sample = sample_from_hex(bad[i].hex);
        struct codec_output out;
        codec_output_init(&out, 8 * MIB);
        assert_int_equal(codec_decompress(bad[i].codec, sample_slice(&sample), &out), ERR_CORRUPT);
        assert_int_equal(out.size, 0);
        assert_true(out.capacity < MIB);
        codec_output_deinit(&out);
    }
}

static void bombs_stop_at_the_limit(void **state)
{
    const size_t size = 64 * MIB;
    const size_t size_max = 3 * MIB;
    uint8_t *zeros = calloc(1, size);
    assert_non_null(zeros);
    for (size_t c = 0; c < COUNT_OF(codecs); c++) {
        struct codec_output packed;
        struct codec_output out;
        codec_output_init(&packed, 2 * size);
        codec_output_init(&out, size_max);
        assert_int_equal(codec_compress(codecs[c], 1, slice_make(zeros, size), &packed), ERR_OK);
        assert_int_equal(codec_output_add(&out, SLICE_LITERAL("before")), ERR_OK);
        struct slice bomb = slice_make(packed.data, packed.size);
        assert_int_equal(codec_decompress(codecs[c], bomb, &out), ERR_TOO_LARGE);
        assert_true(slice_equal_text(slice_make(out.data, out.size), "before"));
        assert_true(out.capacity <= size_max);
        codec_output_deinit(&out);
        codec_output_deinit(&packed);
    }
    free(zeros);
}

static void the_limit_is_exact(void **state)
{
    const size_t size = 100000;
    for (size_t i = 0; i < COUNT_OF(codecs) * FILL_COUNT; i++) {
        enum batch_codec codec = codecs[i / FILL_COUNT];
        uint8_t *bytes = filled((enum fill)(i % FILL_COUNT), size);
        struct slice in = slice_make(bytes, size);
        struct codec_output packed;
        struct codec_output out;
        codec_output_init(&packed, 2 * size);
        assert_int_equal(codec_compress(codec, 1, in, &packed), ERR_OK);
        struct slice whole = slice_make(packed.data, packed.size);
        codec_output_init(&out, size - 1);
        assert_int_equal(codec_decompress(codec, whole, &out), ERR_TOO_LARGE);
        codec_output_deinit(&out);
        codec_output_init(&out, packed.size);
        assert_int_equal(codec_compress(codec, 1, in, &out), ERR_OK);
        codec_output_deinit(&out);
        codec_output_init(&out, packed.size - 1);
        assert_int_equal(codec_compress(codec, 1, in, &out), ERR_TOO_LARGE);
        assert_int_equal(out.size, 0);
        codec_output_deinit(&out);
        codec_output_deinit(&packed);
        free(bytes);
    }
}

/* As a streaming writer at level 22 does: window of 128 MiB, size unknown. */
static void large_zstd_windows_need_no_memory(void **state)
{
    uint8_t *bytes = filled(FILL_WORDS, 100000);
    uint8_t *packed = malloc(MIB);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    assert_non_null(packed);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
    ZSTD_inBuffer in = {bytes, 100000, 0};
    ZSTD_outBuffer to = {packed, MIB, 0};
    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &to, &in, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(context, &to, &in, ZSTD_e_end), 0);
    assert_int_equal(ZSTD_getFrameContentSize(packed, to.pos), ZSTD_CONTENTSIZE_UNKNOWN);
    struct codec_output out;
    codec_output_init(&out, 100000);
    assert_int_equal(codec_decompress(BATCH_CODEC_ZSTD, slice_make(packed, to.pos), &out), ERR_OK);
    assert_int_equal(out.size, 100000);
    assert_memory_equal(out.data, bytes, 100000);
    assert_true(out.capacity <= 100000);
    out.size_max = 99999;
    out.size = 0;
    assert_int_equal(codec_decompress(BATCH_CODEC_ZSTD, slice_make(packed, to.pos), &out),
                     ERR_TOO_LARGE);
    codec_output_deinit(&out);
    ZSTD_freeCCtx(context);
    free(packed);
    free(bytes);
}

static void unpacks_the_records_of_a_batch(void **state)
{
    struct sample plain = sample_from_hex(SAMPLE_PLAIN);
    struct sample gzip = sample_from_hex(SAMPLE_GZIP);
    struct codec_output scratch;
    codec_output_init(&scratch, 10000);
    struct slice records;
    struct slice unpacked;
    assert_int_equal(codec_batch_records(sample_slice(&plain), &scratch, &records), ERR_OK);
    assert_ptr_equal(records.data, plain.bytes + BATCH_HEADER_SIZE);
    assert_null(scratch.data);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(codec_batch_records(sample_slice(&gzip), &scratch, &unpacked), ERR_OK);
        assert_ptr_equal(unpacked.data, scratch.data);
        assert_true(slice_equal(records, unpacked));
    }
    for (size_t size = 0; size < gzip.size; size++)
        assert_int_equal(codec_batch_records(slice_make(gzip.bytes, size), &scratch, &unpacked),
                         ERR_TRUNCATED);
    gzip.bytes[22] = 5;
    assert_int_equal(codec_batch_records(sample_slice(&gzip), &scratch, &unpacked),
                     ERR_UNSUPPORTED);
    codec_output_deinit(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec_round_trips),
        cmocka_unit_test(levels_are_honoured),
        cmocka_unit_test(levels_out_of_range_are_refused),
        cmocka_unit_test(reads_what_other_tools_write),
        cmocka_unit_test(writes_xerial_framing),
        cmocka_unit_test(writes_independent_lz4_blocks),
        cmocka_unit_test(no_prefix_passes_for_the_whole),
        cmocka_unit_test(rubbish_after_the_end_is_corrupt),
        cmocka_unit_test(bombs_stop_at_the_limit),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(large_zstd_windows_need_no_memory),
        cmocka_unit_test(unpacks_the_records_of_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of building batches and of rebuilding them without some of their records.
// SPDX-License-Identifier: Apache-2.0
#include "record/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/endian.h"
#include "record/sample.h"

#define MIB              ((size_t)1024 * 1024)
#define HEADER_COUNT_MAX 4

/* A record made from the seed and its index; its bytes lie in the caller's space. */
struct made {
    struct build_record record;
    struct record_header headers[HEADER_COUNT_MAX];
    uint8_t space[1024];
    size_t used;
};

/* Null, empty or up to 120 bytes. */
static struct slice made_bytes(struct made *made, uint64_t *random)
{
    uint64_t kind = sample_random(random) % 8;
    if (kind == 0)
        return SLICE_NULL;
    size_t size = kind == 1 ? 0 : sample_random(random) % 120;
    uint8_t *at = made->space + made->used;
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(kind < 5 ? 'a' + kind : sample_random(random));
    made->used += size;
    return slice_make(at, size);
}

static void make(struct made *made, uint64_t seed, int64_t index)
{
    uint64_t random = seed * 1000003 + (uint64_t)index;
    made->used = 0;
    made->record = (struct build_record){
        .timestamp_ms = 1700000000000 + (int64_t)(sample_random(&random) % 20001) - 10000,
        .key = made_bytes(made, &random),
        .value = made_bytes(made, &random),
        .headers = made->headers,
        .header_count = sample_random(&random) % 3 ? 0 : sample_random(&random) % HEADER_COUNT_MAX,
    };
    for (size_t i = 0; i < made->record.header_count; i++) {
        struct slice key = made_bytes(made, &random);
        made->headers[i].key = key.data ? key : SLICE_LITERAL("");
        made->headers[i].value = made_bytes(made, &random);
    }
}

static void assert_slice_same(struct slice a, struct slice b)
{
    assert_true((a.data == NULL) == (b.data == NULL));
    assert_true(slice_equal(a, b));
}

static void assert_record_is(const struct batch_header *header, struct record *record,
                             const struct build_record *expected)
{
    assert_int_equal(header->base_timestamp_ms + record->timestamp_delta_ms,
                     expected->timestamp_ms);
    assert_slice_same(record->key, expected->key);
    assert_slice_same(record->value, expected->value);
    assert_int_equal(record->header_count, expected->header_count);
    struct record_header found;
    for (size_t i = 0; i < expected->header_count; i++) {
        assert_int_equal(record_headers_next(&record->headers, &found), ERR_OK);
        assert_slice_same(found.key, expected->headers[i].key);
        assert_slice_same(found.value, expected->headers[i].value);
    }
    assert_int_equal(record_headers_next(&record->headers, &found), ERR_NOT_FOUND);
}

static void build_made(struct build *build, uint64_t seed, int64_t count)
{
    struct made made;
    for (int64_t i = 0; i < count; i++) {
        make(&made, seed, i);
        assert_int_equal(build_add(build, &made.record), ERR_OK);
    }
}

static bool nothing(void *arg, int64_t offset)
{
    return false;
}

static bool everything(void *arg, int64_t offset)
{
    return true;
}

/* Deletes about half, chosen by the seed at arg. */
static bool half(void *arg, int64_t offset)
{
    uint64_t random = *(const uint64_t *)arg ^ (uint64_t)offset;
    return sample_random(&random) & 1;
}

/* The batch holds the made records that are not deleted, and no others. */
static void assert_batch_holds(struct slice batch, uint64_t seed, build_deleted_fn deleted)
{
    struct batch_header header;
    struct codec_output scratch;
    struct slice records;
    codec_output_init(&scratch, 64 * MIB);
    assert_int_equal(batch_check(batch, &header), ERR_OK);
    assert_int_equal(header.size, batch.size);
    assert_int_equal(codec_batch_records(batch, &scratch, &records), ERR_OK);
    assert_int_equal(batch_check_records(&header, records), ERR_OK);
    int32_t kept = 0;
    for (int64_t i = 0; i <= header.last_offset_delta; i++) {
        if (deleted(&seed, header.base_offset + i))
            continue;
        struct record record;
        struct made made;
        make(&made, seed, i);
        assert_int_equal(record_next(&records, &record), ERR_OK);
        assert_int_equal(record.offset_delta, i);
        assert_record_is(&header, &record, &made.record);
        kept++;
    }
    assert_int_equal(records.size, 0);
    assert_int_equal(header.record_count, kept);
    codec_output_deinit(&scratch);
}

static struct slice output_slice(const struct codec_output *output)
{
    return slice_make(output->data, output->size);
}

static void assert_same_but(const struct batch_header *before, const struct batch_header *after)
{
    assert_int_equal(after->base_offset, before->base_offset);
    assert_int_equal(after->leader_epoch, before->leader_epoch);
    assert_int_equal(after->last_offset_delta, before->last_offset_delta);
    assert_int_equal(after->base_timestamp_ms, before->base_timestamp_ms);
    assert_int_equal(after->max_timestamp_ms, before->max_timestamp_ms);
    assert_int_equal(after->producer_id, before->producer_id);
    assert_int_equal(after->producer_epoch, before->producer_epoch);
    assert_int_equal(after->base_sequence, before->base_sequence);
    assert_int_equal(after->attributes & ~BATCH_CODEC_MASK, before->attributes & ~BATCH_CODEC_MASK);
}

/* A whole life: built, stamped, thinned out, recompressed. */
static void live(uint64_t seed, int64_t count, enum batch_codec codec)
{
    struct build build;
    struct codec_output batch;
    struct codec_output next;
    build_init(&build, 16 * MIB);
    codec_output_init(&batch, 16 * MIB);
    codec_output_init(&next, 16 * MIB);
    build_made(&build, seed, count);
    build.header.attributes = (uint16_t)(BATCH_TRANSACTIONAL | codec);
    build.header.producer_id = 1234567890123;
    build.header.producer_epoch = 12;
    build.header.base_sequence = INT32_MAX;
    assert_int_equal(build_finish(&build, &batch), ERR_OK);
    struct batch_header before;
    struct batch_header after;
    assert_int_equal(batch_check(output_slice(&batch), &before), ERR_OK);
    assert_int_equal(batch_check_produced(&before, NULL), ERR_OK);
    batch_stamp(batch.data, INT64_MAX - 5000, 3);
    assert_int_equal(batch_check(output_slice(&batch), &before), ERR_OK);
    assert_batch_holds(output_slice(&batch), seed, nothing);

    build_deleted_fn filters[] = {nothing, half, everything};
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        next.size = 0;
        assert_int_equal(build_without(output_slice(&batch), filters[i], &seed, &next), ERR_OK);
        assert_batch_holds(output_slice(&next), seed, filters[i]);
        assert_int_equal(batch_check(output_slice(&next), &after), ERR_OK);
        assert_same_but(&before, &after);
        assert_int_equal(batch_codec(&after), after.record_count ? codec : BATCH_CODEC_NONE);
    }
    next.size = 0;
    enum batch_codec other = (codec + 1) % (BATCH_CODEC_ZSTD + 1);
    assert_int_equal(build_recompressed(output_slice(&batch), other, CODEC_LEVEL_DEFAULT, &next),
                     ERR_OK);
    assert_batch_holds(output_slice(&next), seed, nothing);
    assert_int_equal(batch_check(output_slice(&next), &after), ERR_OK);
    assert_same_but(&before, &after);
    assert_int_equal(batch_codec(&after), other);
    build_deinit(&build);
    codec_output_deinit(&batch);
    codec_output_deinit(&next);
}

static void what_is_built_is_read_back(void **state)
{
    static const int64_t counts[] = {1, 2, 3, 64, 65, 500, 2000};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        for (int codec = BATCH_CODEC_NONE; codec <= BATCH_CODEC_ZSTD; codec++)
            live(i * 10 + (uint64_t)codec, counts[i], (enum batch_codec)codec);
    }
    for (uint64_t seed = 100; seed < 300; seed++)
        live(seed, 1 + (int64_t)(seed % 17), (enum batch_codec)(seed % 5));
}

static void add_samples(struct build *build)
{
    uint8_t key[70];
    uint8_t value[200];
    memset(key, 'k', sizeof(key));
    memset(value, 'v', sizeof(value));
    struct record_header first[] = {{SLICE_LITERAL("h1"), SLICE_LITERAL("a")},
                                    {SLICE_LITERAL("h2"), SLICE_NULL},
                                    {SLICE_LITERAL(""), SLICE_LITERAL("")}};
    struct record_header third[] = {{SLICE_LITERAL("trace"), SLICE_LITERAL("\0\xff")}};
    struct build_record records[] = {
        {1700000000000, SLICE_LITERAL("key-1"), SLICE_LITERAL("value one"), first, 3},
        {1699999999000, SLICE_NULL, SLICE_LITERAL(""), NULL, 0},
        {1700000000500, SLICE_LITERAL(""), SLICE_NULL, third, 1},
        {1700000001234, slice_make(key, sizeof(key)), slice_make(value, sizeof(value)), NULL, 0},
    };
    for (size_t i = 0; i < COUNT_OF(records); i++)
        assert_int_equal(build_add(build, &records[i]), ERR_OK);
}

static void writes_the_bytes_another_implementation_writes(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    struct build build;
    struct codec_output out;
    build_init(&build, sample.size);
    codec_output_init(&out, sample.size);
    for (int round = 0; round < 2; round++) {
        add_samples(&build);
        build.header.leader_epoch = 0; /* that one writes 0 where others write -1 */
        assert_int_equal(build_finish(&build, &out), ERR_OK);
        assert_true(slice_equal(output_slice(&out), sample_slice(&sample)));
        build_reset(&build);
        assert_int_equal(build_finish(&build, &out), ERR_INVALID);
        assert_int_equal(out.size, sample.size);
        out.size = 0;
    }
    build_deinit(&build);
    codec_output_deinit(&out);
}

static void recompresses_anothers_batch(void **state)
{
    struct sample plain = sample_from_hex(SAMPLE_PLAIN);
    struct sample gzip = sample_from_hex(SAMPLE_GZIP);
    struct codec_output out;
    codec_output_init(&out, 1000);
    assert_int_equal(build_recompressed(sample_slice(&gzip), BATCH_CODEC_NONE, -1, &out), ERR_OK);
    assert_int_equal(out.size, plain.size);
    assert_memory_equal(out.data + BATCH_HEADER_SIZE, plain.bytes + BATCH_HEADER_SIZE,
                        plain.size - BATCH_HEADER_SIZE);
    assert_int_equal(build_recompressed(sample_slice(&gzip), BATCH_CODEC_LZ4, 99, &out),
                     ERR_INVALID);
    assert_int_equal(build_recompressed(sample_slice(&gzip), 6, -1, &out), ERR_UNSUPPORTED);
    codec_output_deinit(&out);
}

static void a_full_build_refuses_more(void **state)
{
    struct build build;
    struct codec_output out;
    struct build_record record = {.timestamp_ms = 1, .value = SLICE_LITERAL("0123456789")};
    size_t record_size = RECORD_SIZE_MIN + 10;
    build_init(&build, BATCH_HEADER_SIZE + 3 * record_size);
    codec_output_init(&out, 3 * record_size + BATCH_HEADER_SIZE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(build_add(&build, &record), ERR_OK);
    struct build_record large = {.timestamp_ms = 99, .key = SLICE_NULL, .value = SLICE_NULL};
    assert_int_equal(build_add(&build, &large), ERR_TOO_LARGE);
    assert_int_equal(build.header.record_count, 3);
    assert_int_equal(build.header.max_timestamp_ms, 1);
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    assert_int_equal(out.size, BATCH_HEADER_SIZE + 3 * record_size);
    assert_int_equal(build_finish(&build, &out), ERR_TOO_LARGE);
    assert_int_equal(out.size, BATCH_HEADER_SIZE + 3 * record_size);
    build_deinit(&build);
    codec_output_deinit(&out);
}

static void impossible_records_are_refused(void **state)
{
    struct build build;
    uint8_t byte = 0;
    build_init(&build, SIZE_MAX);
    struct build_record first = {.timestamp_ms = INT64_MIN};
    struct build_record far = {.timestamp_ms = 1};
    struct record_header keyless = {SLICE_NULL, SLICE_LITERAL("x")};
    struct build_record headed = {.headers = &keyless, .header_count = 1};
    /* Only the sizes are looked at: nothing of that size can be added. */
    struct build_record large_key = {.key = slice_make(&byte, (size_t)INT32_MAX + 1)};
    struct build_record large_both = {.key = slice_make(&byte, INT32_MAX / 2),
                                      .value = slice_make(&byte, INT32_MAX / 2 + 1)};
    struct build_record largest = {.key = slice_make(&byte, SIZE_MAX)};
    struct build_record headers = {.headers = &keyless, .header_count = (size_t)INT32_MAX + 1};
    assert_int_equal(build_add(&build, &headed), ERR_INVALID);
    assert_int_equal(build_add(&build, &large_key), ERR_TOO_LARGE);
    assert_int_equal(build_add(&build, &large_both), ERR_TOO_LARGE);
    assert_int_equal(build_add(&build, &largest), ERR_TOO_LARGE);
    assert_int_equal(build_add(&build, &headers), ERR_TOO_LARGE);
    assert_int_equal(build.header.record_count, 0);
    assert_int_equal(build_add(&build, &first), ERR_OK);
    assert_int_equal(build_add(&build, &far), ERR_INVALID);
    assert_int_equal(build.header.record_count, 1);
    build_deinit(&build);
}

static bool second(void *arg, int64_t offset)
{
    return offset == *(const int64_t *)arg;
}

static bool contains(struct slice in, struct slice what)
{
    return memmem(in.data, in.size, what.data, what.size) != NULL;
}

static void deleted_bytes_are_gone(void **state)
{
    static const char secret[] = "4f1c the secret that must go 77";
    int64_t offset = 1001;
    for (int codec = BATCH_CODEC_NONE; codec <= BATCH_CODEC_ZSTD; codec++) {
        struct build build;
        struct codec_output batch;
        struct codec_output out;
        struct codec_output scratch;
        struct slice records;
        struct record_header header = {SLICE_LITERAL(secret), SLICE_LITERAL(secret)};
        struct build_record open = {.timestamp_ms = 5, .value = SLICE_LITERAL("stays")};
        struct build_record hidden = {5, SLICE_LITERAL(secret), SLICE_LITERAL(secret), &header, 1};
        build_init(&build, MIB);
        codec_output_init(&batch, MIB);
        codec_output_init(&out, MIB);
        codec_output_init(&scratch, MIB);
        assert_int_equal(build_add(&build, &open), ERR_OK);
        assert_int_equal(build_add(&build, &hidden), ERR_OK);
        assert_int_equal(build_add(&build, &open), ERR_OK);
        build.header.attributes = (uint16_t)codec;
        assert_int_equal(build_finish(&build, &batch), ERR_OK);
        batch_stamp(batch.data, 1000, 0);
        assert_int_equal(build_without(output_slice(&batch), second, &offset, &out), ERR_OK);
        assert_int_equal(codec_batch_records(output_slice(&out), &scratch, &records), ERR_OK);
        assert_false(contains(output_slice(&out), SLICE_LITERAL(secret)));
        assert_false(contains(output_slice(&out), SLICE_LITERAL("secret")));
        assert_false(contains(records, SLICE_LITERAL("secret")));
        assert_true(contains(records, SLICE_LITERAL("stays")));
        build_deinit(&build);
        codec_output_deinit(&batch);
        codec_output_deinit(&out);
        codec_output_deinit(&scratch);
    }
}

/* Damage must not come out with a valid CRC. */
static void damage_is_not_made_to_look_right(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_GZIP);
    struct codec_output out;
    codec_output_init(&out, MIB);
    for (size_t at = 17; at < sample.size; at++) {
        sample.bytes[at] ^= 0x10;
        assert_int_equal(build_without(sample_slice(&sample), nothing, NULL, &out), ERR_CORRUPT);
        assert_int_equal(build_recompressed(sample_slice(&sample), BATCH_CODEC_NONE, -1, &out),
                         ERR_CORRUPT);
        sample.bytes[at] ^= 0x10;
    }
    for (size_t size = 0; size < sample.size; size++)
        assert_int_equal(build_without(slice_make(sample.bytes, size), nothing, NULL, &out),
                         ERR_TRUNCATED);
    assert_int_equal(out.size, 0);
    codec_output_deinit(&out);
}

static void limits_bound_a_rebuild(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_GZIP);
    struct codec_output out;
    codec_output_init(&out, 300); /* the plain records are larger */
    assert_int_equal(build_without(sample_slice(&sample), nothing, NULL, &out), ERR_TOO_LARGE);
    assert_int_equal(out.size, 0);
    codec_output_deinit(&out);
    struct sample plain = sample_from_hex(SAMPLE_PLAIN);
    codec_output_init(&out, plain.size - 1);
    assert_int_equal(build_without(sample_slice(&plain), nothing, NULL, &out), ERR_TOO_LARGE);
    assert_int_equal(build_without(sample_slice(&plain), everything, NULL, &out), ERR_OK);
    assert_int_equal(out.size, BATCH_HEADER_SIZE);
    codec_output_deinit(&out);
}

/* A header that lies about its records, under a valid CRC. */
static void records_that_break_the_header_are_corrupt(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    struct codec_output out;
    struct batch_header header;
    codec_output_init(&out, MIB);
    assert_int_equal(batch_check(sample_slice(&sample), &header), ERR_OK);
    header.record_count = 5;
    batch_header_write(sample.bytes, &header);
    assert_int_equal(build_without(sample_slice(&sample), nothing, NULL, &out), ERR_CORRUPT);
    header.record_count = 4;
    header.last_offset_delta = 2;
    batch_header_write(sample.bytes, &header);
    assert_int_equal(build_without(sample_slice(&sample), nothing, NULL, &out), ERR_CORRUPT);
    header.last_offset_delta = 3;
    header.attributes = BATCH_CODEC_LZ4;
    batch_header_write(sample.bytes, &header);
    assert_int_equal(build_without(sample_slice(&sample), nothing, NULL, &out), ERR_CORRUPT);
    header.attributes = 5;
    batch_header_write(sample.bytes, &header);
    assert_int_equal(build_without(sample_slice(&sample), nothing, NULL, &out), ERR_UNSUPPORTED);
    assert_int_equal(out.size, 0);
    codec_output_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_is_read_back),
        cmocka_unit_test(writes_the_bytes_another_implementation_writes),
        cmocka_unit_test(recompresses_anothers_batch),
        cmocka_unit_test(a_full_build_refuses_more),
        cmocka_unit_test(impossible_records_are_refused),
        cmocka_unit_test(deleted_bytes_are_gone),
        cmocka_unit_test(damage_is_not_made_to_look_right),
        cmocka_unit_test(limits_bound_a_rebuild),
        cmocka_unit_test(records_that_break_the_header_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

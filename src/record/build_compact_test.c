// Tests of what compaction makes of a batch: fewer records, a delete horizon, nothing but offsets.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "record/build.h"

#define FIRST_MS   1700000000000
#define HORIZON_MS 1790000000000
#define COUNT      9

static struct slice made(enum batch_codec codec, uint16_t attributes, struct codec_output *out)
{
    struct build build;
    build_init(&build, 1 << 20);
    codec_output_init(out, 1 << 20);
    for (unsigned i = 0; i < COUNT; i++) {
        struct record_header header = {SLICE_LITERAL("h"), SLICE_LITERAL("x")};
        struct build_record record = {.timestamp_ms = FIRST_MS + (int64_t)(i % 2 ? i : 40 - i),
                                      .key = slice_make(&i, sizeof(i)),
                                      .value = i % 3 ? slice_make(&i, sizeof(i)) : SLICE_NULL,
                                      .headers = &header,
                                      .header_count = i % 4 == 0};
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    build.header.attributes = (uint16_t)(codec | attributes);
    build.header.base_offset = 700;
    build.header.leader_epoch = 3;
    build.header.producer_id = 55;
    build.header.producer_epoch = 2;
    build.header.base_sequence = 10;
    assert_int_equal(build_finish(&build, out), ERR_OK);
    build_deinit(&build);
    return slice_make(out->data, out->size);
}

/* The batch without the records that mask does not have. */
static void check(enum batch_codec codec, uint16_t attributes, unsigned mask, int64_t horizon_ms)
{
    struct codec_output batch, out, plain, scratch;
    struct batch_header header, after;
    struct slice records, left;
    codec_output_init(&out, 1 << 20);
    codec_output_init(&plain, 1 << 20);
    codec_output_init(&scratch, 1 << 20);
    struct slice bytes = made(codec, attributes, &batch);
    assert_int_equal(batch_check(bytes, &header), ERR_OK);
    assert_int_equal(codec_batch_records(bytes, &plain, &records), ERR_OK);
    uint8_t bits[2] = {(uint8_t)mask, (uint8_t)(mask >> 8)};
    struct build_kept kept = {bits, horizon_ms};
    assert_int_equal(build_compacted(&header, records, &kept, &out), ERR_OK);
    struct slice result = slice_make(out.data, out.size);
    assert_int_equal(batch_check(result, &after), ERR_OK);
    assert_int_equal(codec_batch_records(result, &scratch, &left), ERR_OK);
    assert_int_equal(batch_check_records(&after, left), ERR_OK);
    assert_int_equal(after.base_offset, 700);
    assert_int_equal(after.last_offset_delta, COUNT - 1);
    assert_int_equal(after.leader_epoch, 3);
    assert_int_equal(after.producer_id, 55);
    assert_int_equal(after.base_sequence, 10);
    assert_int_equal(batch_codec(&after), codec);
    assert_int_equal(after.attributes & BATCH_DELETE_HORIZON ? after.base_timestamp_ms : -1,
                     horizon_ms);
    int64_t max_ms = -1;
    struct record before, now;
    for (unsigned i = 0; record_next(&records, &before) == ERR_OK; i++) {
        if (!(mask >> i & 1))
            continue;
        assert_int_equal(record_next(&left, &now), ERR_OK);
        assert_int_equal(now.offset_delta, i);
        int64_t ms = header.base_timestamp_ms + before.timestamp_delta_ms;
        assert_int_equal(after.base_timestamp_ms + now.timestamp_delta_ms, ms);
        assert_true(slice_equal(now.key, before.key));
        assert_true((now.value.data == NULL) == (before.value.data == NULL));
        assert_true(slice_equal(now.value, before.value));
        assert_true(slice_equal(now.headers, before.headers));
        max_ms = MAX(max_ms, ms);
    }
    assert_int_equal(record_next(&left, &now), ERR_NOT_FOUND);
    assert_int_equal(after.max_timestamp_ms,
                     attributes & BATCH_LOG_APPEND_TIME ? header.max_timestamp_ms : max_ms);
    codec_output_deinit(&batch);
    codec_output_deinit(&out);
    codec_output_deinit(&plain);
    codec_output_deinit(&scratch);
}

static void what_stays_is_as_it_was(void **state)
{
    static const unsigned masks[] = {1, 0x1ff, 0x100, 0x0aa, 0x1fe, 0x0ff, 0x010};
    for (unsigned i = 0; i < COUNT_OF(masks); i++) {
        for (int codec = BATCH_CODEC_NONE; codec <= BATCH_CODEC_ZSTD; codec++) {
            check((enum batch_codec)codec, 0, masks[i], -1);
            check((enum batch_codec)codec, BATCH_TRANSACTIONAL, masks[i], HORIZON_MS);
            check((enum batch_codec)codec, BATCH_LOG_APPEND_TIME, masks[i], HORIZON_MS);
        }
    }
}

static void nothing_left_is_no_batch(void **state)
{
    struct codec_output batch, out;
    struct batch_header header, empty;
    struct slice bytes = made(BATCH_CODEC_NONE, 0, &batch);
    uint8_t bits[2] = {0};
    struct build_kept kept = {bits, -1};
    codec_output_init(&out, 1 << 20);
    assert_int_equal(batch_check(bytes, &header), ERR_OK);
    struct slice records =
        slice_make(bytes.data + BATCH_HEADER_SIZE, bytes.size - BATCH_HEADER_SIZE);
    assert_int_equal(build_compacted(&header, records, &kept, &out), ERR_INVALID);
    assert_int_equal(out.size, 0);
    assert_int_equal(build_empty(&header, &out), ERR_OK);
    assert_int_equal(batch_check(slice_make(out.data, out.size), &empty), ERR_OK);
    assert_int_equal(empty.size, BATCH_HEADER_SIZE);
    assert_int_equal(empty.base_offset, 700);
    assert_int_equal(batch_last_offset(&empty), 700 + COUNT - 1);
    assert_int_equal(empty.record_count, 0);
    assert_int_equal(empty.producer_id, -1);
    assert_int_equal(empty.max_timestamp_ms, -1);
    assert_int_equal(empty.leader_epoch, 3);
    codec_output_deinit(&batch);
    codec_output_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_is_as_it_was),
        cmocka_unit_test(nothing_left_is_no_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

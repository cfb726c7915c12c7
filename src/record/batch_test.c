// Tests of the record batch: header, check, stamp, iterate.
// SPDX-License-Identifier: Apache-2.0
#include "record/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/endian.h"
#include "record/sample.h"

static void assert_text(struct slice bytes, const char *text)
{
    assert_non_null(bytes.data);
    assert_true(slice_equal_text(bytes, text));
}

static void reads_header_of_another_implementation(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_GZIP);
    struct batch_header header;
    assert_int_equal(batch_check(sample_slice(&sample), &header), ERR_OK);
    assert_int_equal(header.base_offset, 0);
    assert_int_equal(header.size, sample.size);
    assert_int_equal(header.leader_epoch, 0);
    assert_int_equal(header.crc, 0x621c686e);
    assert_int_equal(header.attributes, BATCH_TRANSACTIONAL | BATCH_CODEC_GZIP);
    assert_int_equal(batch_codec(&header), BATCH_CODEC_GZIP);
    assert_int_equal(header.last_offset_delta, 3);
    assert_int_equal(header.base_timestamp_ms, 1700000000000);
    assert_int_equal(header.max_timestamp_ms, 1700000001234);
    assert_int_equal(header.producer_id, 4242);
    assert_int_equal(header.producer_epoch, 7);
    assert_int_equal(header.base_sequence, 99);
    assert_int_equal(header.record_count, 4);
    assert_int_equal(batch_check_produced(&header, NULL), ERR_OK);
}

static void walks_records_of_another_implementation(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    struct slice records =
        slice_make(sample.bytes + BATCH_HEADER_SIZE, sample.size - BATCH_HEADER_SIZE);
    struct slice cursor = records;
    struct record record;
    struct record_header header;
    assert_int_equal(record_next(&cursor, &record), ERR_OK);
    assert_int_equal(record.offset_delta, 0);
    assert_int_equal(record.timestamp_delta_ms, 0);
    assert_text(record.key, "key-1");
    assert_text(record.value, "value one");
    assert_int_equal(record.header_count, 3);
    assert_ptr_equal(record.whole.data, records.data);
    assert_int_equal(record_headers_next(&record.headers, &header), ERR_OK);
    assert_text(header.key, "h1");
    assert_text(header.value, "a");
    assert_int_equal(record_headers_next(&record.headers, &header), ERR_OK);
    assert_text(header.key, "h2");
    assert_null(header.value.data);
    assert_int_equal(record_headers_next(&record.headers, &header), ERR_OK);
    assert_text(header.key, "");
    assert_text(header.value, "");
    assert_int_equal(record_headers_next(&record.headers, &header), ERR_NOT_FOUND);

    assert_int_equal(record_next(&cursor, &record), ERR_OK);
    assert_int_equal(record.timestamp_delta_ms, -1000);
    assert_null(record.key.data);
    assert_text(record.value, "");
    assert_int_equal(record_next(&cursor, &record), ERR_OK);
    assert_int_equal(record.offset_delta, 2);
    assert_text(record.key, "");
    assert_null(record.value.data);
    assert_int_equal(record_next(&cursor, &record), ERR_OK);
    assert_int_equal(record.key.size, 70);
    assert_int_equal(record.value.size, 200);
    assert_ptr_equal(record.whole.data + record.whole.size, records.data + records.size);
    assert_int_equal(record_next(&cursor, &record), ERR_NOT_FOUND);
}

static void every_truncation_is_seen(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    for (size_t size = 0; size < sample.size; size++) {
        uint8_t *copy = sample_copy(slice_make(sample.bytes, size));
        struct batch_header header;
        assert_int_equal(batch_check(slice_make(copy, size), &header), ERR_TRUNCATED);
        free(copy);
    }
}

static void every_flipped_bit_is_seen(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    struct batch_header header;
    for (size_t bit = 0; bit < sample.size * 8; bit++) {
        size_t at = bit / 8;
        sample.bytes[at] ^= (uint8_t)(1u << bit % 8);
        enum err err = batch_check(sample_slice(&sample), &header);
        bool stamped = at < 8 || (at >= 12 && at < 16);
        if (at >= 8 && at < BATCH_PREFIX_SIZE)
            assert_int_not_equal(err, ERR_OK);
        else
            assert_int_equal(err, stamped ? ERR_OK : ERR_CORRUPT);
        sample.bytes[at] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(batch_check(sample_slice(&sample), &header), ERR_OK);
}

static void stamp_keeps_the_crc(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    struct batch_header before;
    struct batch_header after;
    assert_int_equal(batch_check(sample_slice(&sample), &before), ERR_OK);
    batch_stamp(sample.bytes, INT64_MAX - 3, 77);
    assert_int_equal(batch_check(sample_slice(&sample), &after), ERR_OK);
    assert_int_equal(after.base_offset, INT64_MAX - 3);
    assert_int_equal(batch_last_offset(&after), INT64_MAX);
    assert_int_equal(after.leader_epoch, 77);
    assert_int_equal(after.crc, before.crc);
    batch_stamp(sample.bytes, INT64_MAX - 2, 77);
    assert_int_equal(batch_check(sample_slice(&sample), &after), ERR_CORRUPT);
}

static void append_time_makes_the_crc_right_again(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_GZIP);
    struct batch_header header;
    batch_stamp_append_time(sample.bytes, sample.size, 1800000000001);
    assert_int_equal(batch_check(sample_slice(&sample), &header), ERR_OK);
    assert_int_equal(header.max_timestamp_ms, 1800000000001);
    assert_int_equal(header.base_timestamp_ms, 1700000000000);
    assert_int_equal(header.attributes,
                     BATCH_TRANSACTIONAL | BATCH_CODEC_GZIP | BATCH_LOG_APPEND_TIME);
}

static void header_write_is_read_back(void **state)
{
    struct batch_header written = {
        .base_offset = 0x0102030405060708,
        .size = BATCH_HEADER_SIZE + 3,
        .leader_epoch = -1,
        .attributes = 0xff07,
        .last_offset_delta = INT32_MAX,
        .base_timestamp_ms = INT64_MIN,
        .max_timestamp_ms = -2,
        .producer_id = INT64_MAX,
        .producer_epoch = INT16_MIN,
        .base_sequence = INT32_MIN,
        .record_count = INT32_MAX,
    };
    uint8_t batch[BATCH_HEADER_SIZE + 3] = {[BATCH_HEADER_SIZE] = 1, 2, 3};
    struct batch_header read;
    batch_header_write(batch, &written);
    assert_int_equal(batch_check(slice_make(batch, sizeof(batch)), &read), ERR_OK);
    written.crc = read.crc;
    assert_int_equal(read.base_offset, written.base_offset);
    assert_int_equal(read.attributes, written.attributes);
    assert_int_equal(read.producer_epoch, written.producer_epoch);
    assert_int_equal(read.base_sequence, written.base_sequence);
    assert_int_equal(read.base_timestamp_ms, written.base_timestamp_ms);
    assert_int_equal(read.max_timestamp_ms, written.max_timestamp_ms);
    uint8_t again[sizeof(batch)] = {[BATCH_HEADER_SIZE] = 1, 2, 3};
    batch_header_write(again, &read);
    assert_memory_equal(again, batch, sizeof(batch));
}

static void header_read_refuses_impossible_numbers(void **state)
{
    struct sample good = sample_from_hex(SAMPLE_PLAIN);
    struct batch_header header;
    static const struct {
        size_t at;
        uint32_t value;
    } faults[] = {{8, 48},          {8, 0},           {8, UINT32_MAX},
                  {8, 0x80000000u}, {57, UINT32_MAX}, {23, UINT32_MAX}};
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct sample bad = good;
        be32_put(bad.bytes + faults[i].at, faults[i].value);
        assert_int_equal(batch_header_read(sample_slice(&bad), &header), ERR_CORRUPT);
    }
    for (int magic = 0; magic < 256; magic++) {
        good.bytes[16] = (uint8_t)magic;
        assert_int_equal(batch_header_read(sample_slice(&good), &header),
                         magic == 2 ? ERR_OK : ERR_CORRUPT);
    }
}

static void produced_rules(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_GZIP);
    struct batch_header good;
    assert_int_equal(batch_check(sample_slice(&sample), &good), ERR_OK);
    struct batch_header bad[] = {good, good, good, good, good, good, good, good,
                                 good, good, good, good, good, good, good};
    bad[0].last_offset_delta = 2;
    bad[1].record_count = 0;
    bad[2].attributes = 5;
    bad[3].attributes = 7;
    bad[4].attributes |= BATCH_CONTROL;
    bad[5].attributes |= BATCH_LOG_APPEND_TIME;
    bad[6].attributes |= BATCH_DELETE_HORIZON;
    bad[7].base_timestamp_ms = -2;
    bad[8].max_timestamp_ms = -2;
    bad[9].producer_id = -2;
    bad[10].producer_id = -1; /* yet transactional */
    bad[11].producer_epoch = -1;
    bad[12].base_sequence = -1;
    bad[13].attributes = BATCH_CODEC_NONE;
    bad[13].size = BATCH_HEADER_SIZE + 4 * RECORD_SIZE_MIN - 1;
    bad[14].attributes |= BATCH_DELIVERED;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct diag diag = {.text = ""};
        assert_int_equal(batch_check_produced(&bad[i], &diag), ERR_INVALID);
        assert_true(strlen(diag.text) > 0);
    }
    good.producer_id = good.base_sequence = -1;
    good.producer_epoch = -1;
    good.attributes = BATCH_CODEC_ZSTD;
    good.base_timestamp_ms = good.max_timestamp_ms = -1;
    assert_int_equal(batch_check_produced(&good, NULL), ERR_OK);
}

/* Hex of one record and the error it gives. */
static void malformed_records_are_corrupt(void **state)
{
    static const char *const faults[] = {
        "0e",                         /* length without bytes */
        "01",                         /* length -1 */
        "00",                         /* length 0: no attributes */
        "ffffffff0f",                 /* length INT32_MIN */
        "feffffff0f00",               /* length INT32_MAX */
        "ffffffffff01",               /* length does not fit */
        "80",                         /* varint ends too early */
        "0a0000000101",               /* no header count */
        "0c000000030100",             /* key size -2 */
        "0c000000010300",             /* value size -2 */
        "0c000000080100",             /* key beyond the record */
        "0c000000010800",             /* value beyond the record */
        "0c000000010101",             /* header count -1 */
        "0c000000010102",             /* a header that is not there */
        "0e00000001010000",           /* a byte too many */
        "10000000010102010100",       /* header key null, and a byte too many */
        "1000000001010201",           /* header cut */
        "1000000001010201ff",         /* header key null, value cut */
        "100000000101020002",         /* header value beyond the record */
        "180000000101feffffff0f0001", /* header count INT32_MAX */
    };
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct sample sample = sample_from_hex(faults[i]);
        uint8_t *copy = sample_copy(sample_slice(&sample));
        struct slice cursor = slice_make(copy, sample.size);
        struct record record;
        assert_int_equal(record_next(&cursor, &record), ERR_CORRUPT);
        assert_ptr_equal(cursor.data, copy);
        assert_int_equal(cursor.size, sample.size);
        free(copy);
    }
    struct sample least = sample_from_hex("0c000000010100");
    struct slice cursor = sample_slice(&least);
    struct record record;
    assert_int_equal(record_next(&cursor, &record), ERR_OK);
    assert_int_equal(record.whole.size, RECORD_SIZE_MIN);
}

static void null_header_key_is_corrupt(void **state)
{
    struct sample sample = sample_from_hex("10000000010102"
                                           "0101");
    struct slice cursor = sample_slice(&sample);
    struct record record;
    assert_int_equal(record_next(&cursor, &record), ERR_CORRUPT);
    sample.bytes[7] = 0; /* empty instead of null */
    assert_int_equal(record_next(&cursor, &record), ERR_OK);
    sample.bytes[7] = 1;
    struct record_header header;
    assert_int_equal(record_headers_next(&record.headers, &header), ERR_CORRUPT);
}

static void cut_records_never_read_beyond(void **state)
{
    struct sample sample = sample_from_hex(SAMPLE_PLAIN);
    struct slice records =
        slice_make(sample.bytes + BATCH_HEADER_SIZE, sample.size - BATCH_HEADER_SIZE);
    struct batch_header header;
    assert_int_equal(batch_check(sample_slice(&sample), &header), ERR_OK);
    assert_int_equal(batch_check_records(&header, records), ERR_OK);
    for (size_t size = 0; size < records.size; size++) {
        uint8_t *copy = sample_copy(slice_make(records.data, size));
        assert_int_equal(batch_check_records(&header, slice_make(copy, size)), ERR_CORRUPT);
        free(copy);
    }
}

static void records_must_agree_with_the_header(void **state)
{
    struct sample sample = sample_from_hex("0c000000010100"
                                           "0c000004010100");
    struct slice records = sample_slice(&sample);
    struct batch_header header = {.record_count = 2, .last_offset_delta = 2};
    assert_int_equal(batch_check_records(&header, records), ERR_OK);
    header.record_count = 3;
    assert_int_equal(batch_check_records(&header, records), ERR_CORRUPT);
    header.record_count = 1;
    assert_int_equal(batch_check_records(&header, records), ERR_CORRUPT);
    header = (struct batch_header){.record_count = 2, .last_offset_delta = 1};
    assert_int_equal(batch_check_records(&header, records), ERR_CORRUPT);
    header.last_offset_delta = 2;
    sample.bytes[10] = 0; /* the same offset twice */
    assert_int_equal(batch_check_records(&header, records), ERR_CORRUPT);
    sample.bytes[10] = 4;
    sample.bytes[3] = 1; /* offset delta -1 */
    assert_int_equal(batch_check_records(&header, records), ERR_CORRUPT);
    header = (struct batch_header){.last_offset_delta = 5};
    assert_int_equal(batch_check_records(&header, SLICE_NULL), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_header_of_another_implementation),
        cmocka_unit_test(walks_records_of_another_implementation),
        cmocka_unit_test(every_truncation_is_seen),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(stamp_keeps_the_crc),
        cmocka_unit_test(append_time_makes_the_crc_right_again),
        cmocka_unit_test(header_write_is_read_back),
        cmocka_unit_test(header_read_refuses_impossible_numbers),
        cmocka_unit_test(produced_rules),
        cmocka_unit_test(malformed_records_are_corrupt),
        cmocka_unit_test(null_header_key_is_corrupt),
        cmocka_unit_test(cut_records_never_read_beyond),
        cmocka_unit_test(records_must_agree_with_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

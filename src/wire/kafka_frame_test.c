// Tests of request and response frames, and of a Fetch answer with gaps, against known bytes.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/kafka_api_versions.h"
#include "wire/kafka_fetch.h"

static struct wire_kafka_frame parse(const uint8_t *data, size_t size)
{
    struct wire_kafka_frame frame;
    assert_int_equal(wire_kafka_frame_parse(slice_make(data, size), &frame), ERR_OK);
    return frame;
}

static void test_header_versions(void **state)
{
    static const uint8_t plain[] = {0, 18, 0, 0, 0, 0, 0, 7, 0, 2, 'm', 'e', 9};
    struct wire_kafka_frame frame = parse(plain, sizeof(plain));
    assert_int_equal(frame.header.correlation_id, 7);
    assert_true(slice_equal_text(frame.header.client_id, "me"));
    assert_int_equal(frame.body.size, 1);
    assert_true(wire_kafka_frame_is_supported(&frame));
    static const uint8_t flexible[] = {0, 18, 0, 3, 0, 0, 0, 8, 0xff, 0xff, 1, 3, 1, 0xee, 9, 9};
    frame = parse(flexible, sizeof(flexible));
    assert_null(frame.header.client_id.data);
    assert_int_equal(frame.body.size, 2);
}

static void test_version_too_high(void **state)
{
    static const uint8_t bytes[] = {0, 18, 0, 99, 0, 0, 0, 8, 0, 1, 'c', 0, 9};
    struct wire_kafka_frame frame = parse(bytes, sizeof(bytes));
    assert_string_equal(frame.api->name, "ApiVersions");
    assert_false(wire_kafka_frame_is_supported(&frame));
    assert_int_equal(frame.header.correlation_id, 8);
    assert_int_equal(frame.body.size, 1);
}

static void test_unknown_key(void **state)
{
    static const uint8_t bytes[] = {0x7f, 1, 0, 0, 0, 0, 0, 8};
    struct wire_kafka_frame frame = parse(bytes, sizeof(bytes));
    assert_null(frame.api);
    assert_int_equal(frame.header.correlation_id, 8);
    assert_false(wire_kafka_frame_is_supported(&frame));
}

static void test_truncated(void **state)
{
    static const uint8_t bytes[] = {0, 3, 0, 9, 0, 0, 0, 8, 0, 2, 'm', 'e', 0};
    struct wire_kafka_frame frame;
    for (size_t size = 0; size < sizeof(bytes); size++)
        assert_int_equal(wire_kafka_frame_parse(slice_make(bytes, size), &frame), ERR_TRUNCATED);
    assert_int_equal(wire_kafka_frame_parse(slice_make(bytes, sizeof(bytes)), &frame), ERR_OK);
    assert_non_null(frame.body.data);
    assert_int_equal(frame.body.size, 0);
}

static void test_table(void **state)
{
    for (size_t i = 0; i < kafka_apis_count; i++) {
        const struct kafka_api *api = &kafka_apis[i];
        assert_ptr_equal(kafka_api_find(api->key), api);
        assert_true(i == 0 || api->key > kafka_apis[i - 1].key);
        assert_true(api->version_min <= api->version_max);
    }
    assert_null(kafka_api_find(-1));
    assert_null(kafka_api_find(4));
    const struct kafka_api *produce = kafka_api_find(KAFKA_API_PRODUCE);
    assert_int_equal(produce->advertise_min, 0);
    assert_int_equal(produce->version_min, 3);
    assert_int_equal(kafka_api_request_header_version(produce, 8), 1);
    assert_int_equal(kafka_api_request_header_version(produce, 9), 2);
    assert_int_equal(kafka_api_response_header_version(produce, 9), 1);
    assert_int_equal(kafka_api_response_header_version(kafka_api_find(18), 4), 0);
    assert_int_equal(kafka_api_request_header_version(kafka_api_find(47), 99), 1);
}

/* The answer to ApiVersions 3 has a header without tags in front of a flexible body. */
static void test_api_versions_answer(void **state)
{
    static const uint8_t asked[] = {0, 18, 0, 3, 0, 0, 0, 8, 0xff, 0xff, 0, 1, 1, 0};
    static const uint8_t expected[] = {0, 0, 0, 32, 0, 0, 0, 8, 0, 0, 2, 0, 18, 0, 0, 0, 4, 0,
                                       0, 0, 0, 0,  2, 1, 8, 0, 0, 0, 0, 0, 0,  0, 5, 3, 1, 1};
    struct wire_kafka_frame frame = parse(asked, sizeof(asked));
    struct kafka_api_versions_response_api_version range = {.api_key = 18, .max_version = 4};
    struct kafka_api_versions_response response;
    kafka_api_versions_response_init(&response);
    assert_int_equal(response.finalized_features_epoch, -1);
    response.api_keys = &range;
    response.api_keys_count = 1;
    response.finalized_features_epoch = 5;
    response.zk_migration_ready = true;
    uint8_t out[64];
    struct wire_writer w;
    wire_writer_init_fixed(&w, out, sizeof(out));
    wire_kafka_frame_response_start(&w, &frame, 3, kafka_api_versions_response_size(&response, 3));
    kafka_api_versions_response_encode(&response, 3, &w);
    assert_int_equal(w.error, ERR_OK);
    assert_int_equal(w.size, sizeof(expected));
    assert_memory_equal(out, expected, sizeof(expected));
}

static void test_body_too_large(void **state)
{
    static const uint8_t asked[] = {0, 1, 0, 12, 0, 0, 0, 8, 0xff, 0xff, 0};
    struct wire_kafka_frame frame = parse(asked, sizeof(asked));
    uint8_t out[64];
    struct wire_writer w;
    wire_writer_init_fixed(&w, out, sizeof(out));
    wire_kafka_frame_response_start(&w, &frame, 12, INT32_MAX);
    assert_int_equal(w.error, ERR_TOO_LARGE);
}

/* Two partitions whose records stay outside: what a client gets after the gaps are filled must
 * decode to them. */
static void test_fetch_gaps(void **state)
{
    struct slice parts[2] = {SLICE_LITERAL("first batch"), SLICE_LITERAL("2nd")};
    struct kafka_fetch_response_partition partitions[2];
    for (int i = 0; i < 2; i++) {
        kafka_fetch_response_partition_init(&partitions[i]);
        partitions[i].partition_index = i;
        partitions[i].records = (struct wire_records){.size = parts[i].size, .gap = &parts[i]};
    }
    struct kafka_fetch_response_topic topic = {.partitions = partitions, .partitions_count = 2};
    struct kafka_fetch_response response;
    kafka_fetch_response_init(&response);
    response.responses = &topic;
    response.responses_count = 1;
    for (int16_t version = KAFKA_FETCH_VERSION_MIN; version <= KAFKA_FETCH_VERSION_MAX; version++) {
        struct wire_gap gaps[2];
        struct wire_writer w;
        wire_writer_init_growing(&w);
        wire_writer_set_gaps(&w, gaps, 2);
        kafka_fetch_response_encode(&response, version, &w);
        assert_int_equal(w.gap_count, 2);
        assert_int_equal(w.size + w.gap_size, kafka_fetch_response_size(&response, version));
        struct wire_writer whole;
        wire_writer_init_growing(&whole);
        size_t done = 0;
        for (size_t i = 0; i < 2; i++) {
            wire_writer_append(&whole, slice_make(w.data + done, gaps[i].position - done));
            wire_writer_append(&whole, *(struct slice *)gaps[i].gap);
            done = gaps[i].position;
        }
        wire_writer_append(&whole, slice_make(w.data + done, w.size - done));
        struct arena arena;
        arena_init(&arena, 0);
        struct kafka_fetch_response got;
        assert_int_equal(
            kafka_fetch_response_decode(wire_writer_output(&whole), version, &arena, &got), ERR_OK);
        for (size_t i = 0; i < 2; i++)
            assert_true(slice_equal(got.responses[0].partitions[i].records.bytes, parts[i]));
        arena_deinit(&arena);
        wire_writer_deinit(&whole);
        wire_writer_deinit(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_versions), cmocka_unit_test(test_version_too_high),
        cmocka_unit_test(test_unknown_key),     cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_table),           cmocka_unit_test(test_api_versions_answer),
        cmocka_unit_test(test_body_too_large),  cmocka_unit_test(test_fetch_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

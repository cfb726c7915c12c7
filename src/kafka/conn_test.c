// Tests of connections: frames, versions, order of answers, limits, bad peers.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka_fixture.h"

#include "broker/state.h"
#include "wire/kafka_api_versions.h"
#include "wire/kafka_metadata.h"

static void api_versions_lists_what_is_answered(void **state)
{
    struct peer *p = peer_new();
    struct kafka_api_versions_request request = {.client_software_name = SLICE_LITERAL("test"),
                                                 .client_software_version = SLICE_LITERAL("1.0")};
    for (int16_t version = 0; version <= 4; version++) {
        struct kafka_api_versions_response response;
        PEER_ASK(p, API_VERSIONS, api_versions, version, &request, &response);
        assert_int_equal(response.error_code, KAFKA_NONE);
        assert_true(response.api_keys_count >= 10);
        for (size_t i = 0; i < response.api_keys_count; i++)
            if (response.api_keys[i].api_key == KAFKA_API_PRODUCE) {
                assert_int_equal(response.api_keys[i].min_version, 0);
                assert_int_equal(response.api_keys[i].max_version, 13);
            }
    }
    peer_free(p);
}

static void a_version_from_the_future_gets_the_oldest_body(void **state)
{
    struct peer *p = peer_new();
    static const uint8_t frame[] = {0, 0, 0, 15, 0, 18, 0, 9, 0, 0, 0, 77, 0, 1, 'x', 0, 1, 2, 3};
    struct kafka_api_versions_response response;
    peer_send_bytes(p, slice_make(frame, sizeof(frame)));
    PEER_RECV(p, API_VERSIONS, api_versions, 0, 77, &response);
    assert_int_equal(response.error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(response.api_keys_count, 1);
    assert_int_equal(response.api_keys[0].api_key, KAFKA_API_API_VERSIONS);
    p->correlation_id = 0; /* and the connection lives on */
    struct kafka_api_versions_request request = {0};
    PEER_ASK(p, API_VERSIONS, api_versions, 0, &request, &response);
    assert_int_equal(response.error_code, KAFKA_NONE);
    peer_free(p);
}

static void a_strange_software_name_is_refused(void **state)
{
    struct peer *p = peer_new();
    struct kafka_api_versions_request request = {.client_software_name = SLICE_LITERAL("-a-"),
                                                 .client_software_version = SLICE_LITERAL("1")};
    struct kafka_api_versions_response response;
    PEER_ASK(p, API_VERSIONS, api_versions, 3, &request, &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_REQUEST);
    peer_free(p);
}

static void frames_may_come_byte_by_byte(void **state)
{
    struct peer *p = peer_new();
    static const uint8_t frame[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 5, 0xff, 0xff};
    struct kafka_api_versions_response response;
    for (size_t i = 0; i < sizeof(frame); i++)
        peer_send_bytes(p, slice_make(frame + i, 1));
    PEER_RECV(p, API_VERSIONS, api_versions, 0, 5, &response);
    peer_free(p);
}

struct bad_frame {
    const char *what;
    uint8_t bytes[24];
    size_t size;
};

static void bad_frames_close_their_connection_only(void **state)
{
    static const struct bad_frame frames[] = {
        {"negative length", {0xff, 0xff, 0xff, 0xff}, 4},
        {"too long", {0x7f, 0xff, 0xff, 0xff}, 4},
        {"too short", {0, 0, 0, 2, 0, 1}, 6},
        {"unknown API", {0, 0, 0, 10, 0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"unknown version", {0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"client id too long", {0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0x10, 0}, 14},
        {"cut off", {0, 0, 0, 13, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 9}, 17},
        {"too many topics",
         {0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff},
         18},
        {"produce of version 2", {0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff}, 14},
    };
    struct peer *p = peer_new();
    int good = p->fd;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        uint64_t rejected = peer_rejected(p);
        peer_connect(p);
        peer_send_bytes(p, slice_make(frames[i].bytes, frames[i].size));
        assert_true(peer_is_closed(p));
        assert_int_equal(peer_rejected(p), rejected + 1);
        close(p->fd);
    }
    struct kafka_api_versions_request request = {0};
    struct kafka_api_versions_response response;
    p->fd = good;
    PEER_ASK(p, API_VERSIONS, api_versions, 0, &request, &response);
    peer_free(p);
}

static void answers_before_a_bad_frame_still_come(void **state)
{
    struct peer *p = peer_new();
    static const uint8_t frames[] = {0, 0,    0,    10, 0, 18, 0, 0, 0,    0,    0,
                                     5, 0xff, 0xff, 0,  0, 0,  4, 0, 0xff, 0xff, 0};
    struct kafka_api_versions_response response;
    peer_send_bytes(p, slice_make(frames, sizeof(frames)));
    PEER_RECV(p, API_VERSIONS, api_versions, 0, 5, &response);
    assert_true(peer_is_closed(p));
    peer_free(p);
}

static void produce_requests_overlap_and_keep_their_order(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    int32_t first = p->correlation_id + 1;
    atomic_store(&p->store.is_held, true);
    for (unsigned i = 0; i < 20; i++)
        PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "t", -1, peer_batch(p, 10)));
    struct kafka_metadata_request all = {0};
    PEER_SEND(p, METADATA, metadata, 9, &all);
    assert_true(peer_is_silent(p)); /* nothing is on the disk yet */
    assert_int_equal(budget_permille(&p->budget) < 1000, true);
    atomic_store(&p->store.is_held, false);
    for (int32_t i = 0; i < 20; i++) {
        struct kafka_produce_response response;
        PEER_RECV(p, PRODUCE, produce, 9, first + i, &response);
        assert_int_equal(response.responses[0].partition_responses[0].error_code, KAFKA_NONE);
        assert_int_equal(response.responses[0].partition_responses[0].base_offset, i);
    }
    struct kafka_metadata_response metadata;
    PEER_RECV(p, METADATA, metadata, 9, first + 20, &metadata);
    assert_int_equal(metadata.topics_count, 1);
    peer_free(p);
}

/* How many records partition 0 of t has, durable or not. */
static int64_t end_of(struct peer *p)
{
    const struct broker_topic *topic = broker_topic_find(p->core, SLICE_LITERAL("t"));
    return topic->partitions[0]->log->end;
}

static void more_requests_than_the_limit_wait(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    int32_t first = p->correlation_id + 1;
    unsigned count = KAFKA_CONN_REQUESTS_MAX + 50;
    struct slice batch = peer_batch(p, 1);
    atomic_store(&p->store.is_held, true);
    for (unsigned i = 0; i < count; i++)
        PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "t", -1, batch));
    for (unsigned i = 0; i < PEER_TURNS_MAX && end_of(p) < KAFKA_CONN_REQUESTS_MAX; i++)
        peer_turn(p);
    assert_true(peer_is_silent(p));
    assert_int_equal(end_of(p), KAFKA_CONN_REQUESTS_MAX);
    /* and they share their buffers */
    assert_true(budget_used(&p->budget) < (1 << 20));
    atomic_store(&p->store.is_held, false);
    for (unsigned i = 0; i < count; i++) {
        struct kafka_produce_response response;
        PEER_RECV(p, PRODUCE, produce, 9, first + (int32_t)i, &response);
        assert_int_equal(response.responses[0].partition_responses[0].base_offset, i);
    }
    peer_free(p);
}

static void without_acks_there_is_no_answer_but_for_an_error(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "t", 0, peer_batch(p, 10)));
    assert_true(peer_is_silent(p));
    struct kafka_produce_response response;
    PEER_ASK(p, PRODUCE, produce, 9, peer_produce(p, "t", 1, peer_batch(p, 10)), &response);
    assert_int_equal(response.responses[0].partition_responses[0].base_offset, 1);
    PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "unknown", 0, peer_batch(p, 10)));
    assert_true(peer_is_closed(p));
    peer_free(p);
}

static void a_peer_may_leave_while_its_request_waits(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    atomic_store(&p->store.is_held, true);
    for (unsigned i = 0; i < 3; i++)
        PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "t", -1, peer_batch(p, 10)));
    close(p->fd);
    for (unsigned i = 0; i < 20; i++)
        peer_turn(p);
    atomic_store(&p->store.is_held, false);
    peer_connect(p);
    struct kafka_produce_response response;
    PEER_ASK(p, PRODUCE, produce, 9, peer_produce(p, "t", -1, peer_batch(p, 10)), &response);
    assert_int_equal(response.responses[0].partition_responses[0].base_offset, 3);
    peer_free(p);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void draining_answers_what_is_in_flight(void **state)
{
    struct peer *p = peer_new();
    bool drained = false;
    peer_create(p, "t", 1);
    atomic_store(&p->store.is_held, true);
    PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "t", -1, peer_batch(p, 10)));
    int32_t number = p->correlation_id;
    conn_shutdown_all(p->reactor, 5000, set_flag, &drained);
    assert_true(peer_is_silent(p));
    assert_false(drained);
    PEER_SEND(p, PRODUCE, produce, 9, peer_produce(p, "t", -1, peer_batch(p, 10))); /* too late */
    assert_true(peer_is_silent(p));
    assert_int_equal(end_of(p), 1);
    atomic_store(&p->store.is_held, false);
    struct kafka_produce_response response;
    PEER_RECV(p, PRODUCE, produce, 9, number, &response);
    assert_int_equal(response.responses[0].partition_responses[0].error_code, KAFKA_NONE);
    assert_true(peer_is_closed(p));
    for (unsigned i = 0; i < 1000 && !drained; i++)
        peer_turn(p);
    assert_true(drained);
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(api_versions_lists_what_is_answered),
        cmocka_unit_test(a_version_from_the_future_gets_the_oldest_body),
        cmocka_unit_test(a_strange_software_name_is_refused),
        cmocka_unit_test(frames_may_come_byte_by_byte),
        cmocka_unit_test(bad_frames_close_their_connection_only),
        cmocka_unit_test(answers_before_a_bad_frame_still_come),
        cmocka_unit_test(produce_requests_overlap_and_keep_their_order),
        cmocka_unit_test(more_requests_than_the_limit_wait),
        cmocka_unit_test(without_acks_there_is_no_answer_but_for_an_error),
        cmocka_unit_test(a_peer_may_leave_while_its_request_waits),
        cmocka_unit_test(draining_answers_what_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

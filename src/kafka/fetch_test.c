// Tests of producing and fetching through a connection: limits, long polls, sessions, look-ups.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka_fixture.h"

#include "wire/kafka_delete_topics.h"
#include "wire/kafka_fetch.h"
#include "wire/kafka_list_offsets.h"
#include "wire/kafka_metadata.h"

#define PARTS_MAX 8

/* A fetch of partitions 0.. of one topic, changed by the test before it is sent. */
struct ask {
    struct kafka_fetch_request request;
    struct kafka_fetch_request_topic topic;
    struct kafka_fetch_request_partition parts[PARTS_MAX];
};

static void ask_make(struct ask *ask, const char *topic, size_t count)
{
    *ask = (struct ask){0};
    kafka_fetch_request_init(&ask->request);
    ask->request.replica_id = -1;
    ask->request.min_bytes = 1;
    ask->request.topics = &ask->topic;
    ask->request.topics_count = 1;
    ask->topic.topic = slice_text(topic);
    ask->topic.partitions = ask->parts;
    ask->topic.partitions_count = count;
    for (size_t i = 0; i < count; i++) {
        kafka_fetch_request_partition_init(&ask->parts[i]);
        ask->parts[i].partition = (int32_t)i;
        ask->parts[i].partition_max_bytes = 1 << 20;
    }
}

static struct kafka_fetch_response_partition *
fetch_one(struct peer *p, struct ask *ask, int16_t version, struct kafka_fetch_response *response)
{
    PEER_ASK(p, FETCH, fetch, version, &ask->request, response);
    assert_int_equal(response->responses_count, 1);
    return &response->responses[0].partitions[0];
}

static int16_t produce_code(struct peer *p, int16_t version, struct kafka_produce_request *request)
{
    struct kafka_produce_response response;
    PEER_ASK(p, PRODUCE, produce, version, request, &response);
    return response.responses[0].partition_responses[0].error_code;
}

static void produce(struct peer *p, const char *topic, int32_t partition, size_t size)
{
    struct kafka_produce_request *request = peer_produce(p, topic, -1, peer_batch(p, size));
    request->topic_data[0].partition_data[0].index = partition;
    assert_int_equal(produce_code(p, 9, request), KAFKA_NONE);
}

static void what_was_produced_is_fetched(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    struct slice batch = peer_batch(p, 100);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", -1, batch)), KAFKA_NONE);
    for (int16_t version = 4; version <= 12; version++) {
        struct ask ask;
        struct kafka_fetch_response response;
        ask_make(&ask, "t", 1);
        struct kafka_fetch_response_partition *part = fetch_one(p, &ask, version, &response);
        assert_int_equal(part->error_code, KAFKA_NONE);
        assert_int_equal(part->high_watermark, 1);
        assert_int_equal(part->last_stable_offset, 1);
        assert_int_equal(part->records.bytes.size, batch.size);
        /* all but base offset and leader epoch, which the server writes */
        assert_memory_equal(part->records.bytes.data + 16, batch.data + 16, batch.size - 16);
    }
    peer_free(p);
}

static void ids_name_topics_from_version_13_on(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 1);
    produce(p, "t", 0, 10);
    ask_make(&ask, "t", 1);
    ask.topic.topic_id = broker_topic_find(p->core, SLICE_LITERAL("t"))->id;
    assert_int_equal(fetch_one(p, &ask, 18, &response)->error_code, KAFKA_NONE);
    assert_true(response.responses[0].partitions[0].records.bytes.size > 0);
    struct kafka_produce_request *request = peer_produce(p, "", -1, peer_batch(p, 10));
    request->topic_data[0].topic_id = ask.topic.topic_id;
    assert_int_equal(produce_code(p, 13, request), KAFKA_NONE);
    ask.topic.topic_id.bytes[3] ^= 1;
    request->topic_data[0].topic_id = ask.topic.topic_id;
    assert_int_equal(fetch_one(p, &ask, 18, &response)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(produce_code(p, 13, request), KAFKA_UNKNOWN_TOPIC_ID);
    peer_free(p);
}

static void bad_batches_get_their_codes(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    struct slice good = peer_batch(p, 50);
    uint8_t *bad = arena_alloc(&p->arena, 2 * good.size);
    memcpy(bad, good.data, good.size);
    memcpy(bad + good.size, good.data, good.size);
    struct slice one = slice_make(bad, good.size);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", -1, slice_make(bad, 2 * good.size))),
                     KAFKA_INVALID_RECORD);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", -1, SLICE_LITERAL(""))),
                     KAFKA_INVALID_RECORD);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", -1, slice_make(bad, 70))),
                     KAFKA_INVALID_RECORD);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", 2, one)), KAFKA_INVALID_REQUIRED_ACKS);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "u", 1, one)),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    bad[16] = 1; /* magic */
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", 1, one)), KAFKA_INVALID_RECORD);
    bad[16] = 2;
    bad[7] = 1; /* base offset */
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", 1, one)), KAFKA_INVALID_RECORD);
    bad[7] = 0;
    bad[good.size - 1] ^= 1;
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", 1, one)), KAFKA_CORRUPT_MESSAGE);
    bad[22] |= BATCH_TRANSACTIONAL;
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", 1, one)),
                     KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    bad[22] = BATCH_CODEC_ZSTD;
    assert_int_equal(produce_code(p, 6, peer_produce(p, "t", 1, one)),
                     KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    assert_int_equal(produce_code(p, 9, peer_produce(p, "t", 1, peer_batch(p, 2 << 20))),
                     KAFKA_MESSAGE_TOO_LARGE);
    struct kafka_produce_request *request = peer_produce(p, "t", -1, good);
    request->transactional_id = SLICE_LITERAL("tx");
    assert_int_equal(produce_code(p, 9, request), KAFKA_NONE); /* its batch is of no transaction */
    assert_int_equal(produce_code(p, 3, peer_produce(p, "t", -1, good)), KAFKA_NONE);
    peer_free(p);
}

static void a_fetch_waits_for_records(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 3);
    ask_make(&ask, "t", 3);
    ask.request.max_wait_ms = 60000;
    PEER_SEND(p, FETCH, fetch, 11, &ask.request);
    int32_t number = p->correlation_id;
    int waiting = p->fd;
    assert_true(peer_is_silent(p));
    peer_connect(p);
    produce(p, "t", 2, 100);
    close(p->fd);
    p->fd = waiting;
    PEER_RECV(p, FETCH, fetch, 11, number, &response);
    assert_int_equal(response.responses[0].partitions_count, 3);
    assert_int_equal(response.responses[0].partitions[0].records.bytes.size, 0);
    assert_true(response.responses[0].partitions[2].records.bytes.size > 100);
    peer_free(p);
}

static void a_fetch_waits_for_enough_bytes(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 2);
    ask_make(&ask, "t", 2);
    ask.request.max_wait_ms = 60000;
    ask.request.min_bytes = 1000;
    PEER_SEND(p, FETCH, fetch, 11, &ask.request);
    int32_t number = p->correlation_id;
    int waiting = p->fd;
    peer_connect(p);
    int other = p->fd;
    produce(p, "t", 0, 600);
    p->fd = waiting;
    assert_true(peer_is_silent(p));
    p->fd = other;
    produce(p, "t", 1, 600);
    close(p->fd);
    p->fd = waiting;
    PEER_RECV(p, FETCH, fetch, 11, number, &response);
    assert_true(response.responses[0].partitions[0].records.bytes.size > 600);
    assert_true(response.responses[0].partitions[1].records.bytes.size > 600);
    peer_free(p);
}

static void a_fetch_ends_when_its_time_is_over(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 1);
    ask_make(&ask, "t", 1);
    ask.request.max_wait_ms = 20;
    uint64_t before = core_now_ns(p->core);
    struct kafka_fetch_response_partition *part = fetch_one(p, &ask, 11, &response);
    assert_true(core_now_ns(p->core) - before >= 20000000);
    assert_int_equal(part->error_code, KAFKA_NONE);
    assert_int_equal(part->records.bytes.size, 0);
    peer_free(p);
}

static void waiting_peers_may_leave(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    int fds[40];
    peer_create(p, "t", 2);
    close(p->fd);
    ask_make(&ask, "t", 2);
    ask.request.max_wait_ms = 600000;
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        ask.request.session_epoch = i == 0 ? 0 : -1;
        peer_connect(p);
        fds[i] = p->fd;
        PEER_SEND(p, FETCH, fetch, 11, &ask.request);
        assert_true(peer_is_silent(p));
    }
    for (size_t i = 1; i < COUNT_OF(fds); i++)
        close(fds[i]);
    p->fd = fds[0];
    peer_free(p); /* finds nothing left behind */
}

static void errors_are_told_at_once(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 1);
    ask_make(&ask, "t", 2);
    ask.request.max_wait_ms = 600000;
    ask.parts[0].fetch_offset = 5;
    struct kafka_fetch_response_partition *part = fetch_one(p, &ask, 11, &response);
    assert_int_equal(part[0].error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(part[0].high_watermark, -1);
    assert_int_equal(part[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ask_make(&ask, "t", 1);
    ask.parts[0].current_leader_epoch = 7;
    assert_int_equal(fetch_one(p, &ask, 11, &response)->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
    ask_make(&ask, "nowhere", 1);
    assert_int_equal(fetch_one(p, &ask, 11, &response)->error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ask_make(&ask, "t", 1);
    ask.request.replica_id = 2;
    assert_int_equal(fetch_one(p, &ask, 11, &response)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    peer_free(p);
}

static void limits_are_soft_by_one_batch(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 3);
    for (int32_t i = 1; i < 3; i++)
        produce(p, "t", i, 5000);
    ask_make(&ask, "t", 3);
    for (size_t i = 0; i < 3; i++)
        ask.parts[i].partition_max_bytes = 10;
    struct kafka_fetch_response_partition *part = fetch_one(p, &ask, 11, &response);
    assert_true(part[1].records.bytes.size > 5000); /* the first that has something */
    assert_int_equal(part[2].records.bytes.size, 0);
    assert_int_equal(part[2].high_watermark, 1);
    for (size_t i = 0; i < 3; i++)
        ask.parts[i].partition_max_bytes = 1 << 20;
    ask.request.max_bytes = 6000;
    part = fetch_one(p, &ask, 11, &response);
    assert_true(part[1].records.bytes.size > 5000);
    assert_int_equal(part[2].records.bytes.size, 0);
    ask.request.max_bytes = 20000;
    part = fetch_one(p, &ask, 11, &response);
    assert_true(part[2].records.bytes.size > 5000);
    peer_free(p);
}

static void a_session_tells_only_what_is_new(void **state)
{
    struct peer *p = peer_new();
    struct ask ask;
    struct kafka_fetch_response response;
    peer_create(p, "t", 3);
    ask_make(&ask, "t", 3);
    ask.request.session_epoch = 0;
    ask.request.min_bytes = 0;
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    int32_t id = response.session_id;
    assert_true(id > 0);
    assert_int_equal(response.responses[0].partitions_count, 3);
    ask.request.session_id = id;
    ask.request.session_epoch = 1;
    ask.request.topics_count = 0;
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    assert_int_equal(response.session_id, id);
    assert_int_equal(response.responses_count, 0);
    produce(p, "t", 1, 10);
    ask.request.session_epoch = 2;
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    assert_int_equal(response.responses_count, 1);
    assert_int_equal(response.responses[0].partitions_count, 1);
    assert_int_equal(response.responses[0].partitions[0].partition_index, 1);
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    ask.request.session_id = id + 1;
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    ask.request.session_id = id;
    ask.request.session_epoch = 3;
    PEER_ASK(p, FETCH, fetch, 13, &ask.request, &response);
    assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    ask.request.session_epoch = -1; /* ends it */
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    assert_int_equal(response.session_id, 0);
    ask.request.session_epoch = 3;
    PEER_ASK(p, FETCH, fetch, 11, &ask.request, &response);
    assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    peer_free(p);
}

static void offsets_have_special_names(void **state)
{
    static const int64_t times[] = {-1, -2, -3, -4, -5, -6, 0, INT64_MAX, -7};
    static const int64_t offsets[] = {2, 0, 0, 0, -1, -1, 0, -1, -1};
    struct peer *p = peer_new();
    peer_create(p, "t", 1);
    produce(p, "t", 0, 10);
    produce(p, "t", 0, 10);
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        struct kafka_list_offsets_request_partition part = {.current_leader_epoch = -1,
                                                            .timestamp = times[i]};
        struct kafka_list_offsets_request_topic topic = {
            .name = SLICE_LITERAL("t"), .partitions = &part, .partitions_count = 1};
        struct kafka_list_offsets_request request = {
            .replica_id = -1, .topics = &topic, .topics_count = 1};
        struct kafka_list_offsets_response response;
        PEER_ASK(p, LIST_OFFSETS, list_offsets, 11, &request, &response);
        struct kafka_list_offsets_response_partition *out = &response.topics[0].partitions[0];
        assert_int_equal(out->error_code, times[i] == -7 ? KAFKA_UNSUPPORTED_VERSION : KAFKA_NONE);
        assert_int_equal(out->offset, offsets[i]);
        PEER_ASK(p, LIST_OFFSETS, list_offsets, 2, &request, &response);
        out = &response.topics[0].partitions[0];
        assert_int_equal(out->error_code, times[i] < -2 ? KAFKA_UNSUPPORTED_VERSION : KAFKA_NONE);
    }
    peer_free(p);
}

static void metadata_makes_topics_when_allowed(void **state)
{
    struct peer *p = peer_new();
    struct kafka_metadata_request_topic topics[] = {
        {.name = SLICE_LITERAL("new")},
        {.name = SLICE_LITERAL("new")},
        {.name = SLICE_LITERAL("not legal")},
        {.name = SLICE_LITERAL("__consumer_offsets")},
    };
    struct kafka_metadata_request request = {.topics = topics, .topics_count = COUNT_OF(topics)};
    struct kafka_metadata_response response;
    PEER_ASK(p, METADATA, metadata, 12, &request, &response);
    assert_int_equal(response.topics_count, 3);
    assert_int_equal(response.topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    request.allow_auto_topic_creation = true;
    PEER_ASK(p, METADATA, metadata, 12, &request, &response);
    assert_int_equal(response.topics[0].error_code, KAFKA_NONE);
    assert_int_equal(response.topics[0].partitions_count, 1);
    assert_int_equal(response.topics[1].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(response.topics[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_true(slice_equal_text(response.brokers[0].host, "127.0.0.1"));
    struct uuid id = response.topics[0].topic_id;
    struct kafka_metadata_request_topic by_id[] = {{.topic_id = id}, {.topic_id = {{9}}}};
    request = (struct kafka_metadata_request){.topics = by_id, .topics_count = 2};
    PEER_ASK(p, METADATA, metadata, 12, &request, &response);
    assert_true(slice_equal_text(response.topics[0].name, "new"));
    assert_int_equal(response.topics[1].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    request = (struct kafka_metadata_request){0};
    for (int16_t version = 0; version <= 13; version++) {
        PEER_ASK(p, METADATA, metadata, version, &request, &response);
        assert_int_equal(response.topics_count, 1);
    }
    peer_free(p);
}

static void topics_are_deleted_by_name_or_id(void **state)
{
    struct peer *p = peer_new();
    peer_create(p, "a", 1);
    peer_create(p, "b", 2);
    struct kafka_delete_topics_request_topic topics[] = {
        {.name = SLICE_LITERAL("a")},
        {.topic_id = broker_topic_find(p->core, SLICE_LITERAL("b"))->id},
        {.name = SLICE_LITERAL("c")},
        {.name = SLICE_NULL},
        {.name = SLICE_LITERAL("a")},
    };
    struct kafka_delete_topics_request request = {.topics = topics,
                                                  .topics_count = COUNT_OF(topics)};
    struct kafka_delete_topics_response response;
    PEER_ASK(p, DELETE_TOPICS, delete_topics, 6, &request, &response);
    assert_int_equal(response.responses[0].error_code, KAFKA_NONE);
    assert_int_equal(response.responses[1].error_code, KAFKA_NONE);
    assert_true(slice_equal_text(response.responses[1].name, "b"));
    assert_int_equal(response.responses[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(response.responses[3].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(response.responses[4].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(broker_topic_count(p->core), 0);
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_produced_is_fetched),
        cmocka_unit_test(ids_name_topics_from_version_13_on),
        cmocka_unit_test(bad_batches_get_their_codes),
        cmocka_unit_test(a_fetch_waits_for_records),
        cmocka_unit_test(a_fetch_waits_for_enough_bytes),
        cmocka_unit_test(a_fetch_ends_when_its_time_is_over),
        cmocka_unit_test(waiting_peers_may_leave),
        cmocka_unit_test(errors_are_told_at_once),
        cmocka_unit_test(limits_are_soft_by_one_batch),
        cmocka_unit_test(a_session_tells_only_what_is_new),
        cmocka_unit_test(offsets_have_special_names),
        cmocka_unit_test(metadata_makes_topics_when_allowed),
        cmocka_unit_test(topics_are_deleted_by_name_or_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

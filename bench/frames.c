// Prebuilt Kafka requests, and what the load generator must know of their answers.
// SPDX-License-Identifier: Apache-2.0
#include "bench/frames.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/stats.h"
#include "record/build.h"
#include "wire/kafka_api_versions.h"
#include "wire/kafka_apis.h"
#include "wire/kafka_create_topics.h"
#include "wire/kafka_fetch.h"
#include "wire/kafka_metadata.h"
#include "wire/kafka_produce.h"
#include "wire/kafka_request_header.h"

#define LENGTH_SIZE          4
#define CORRELATION_AT       8 /* in a request with its length */
#define CREATE_VERSION       4
#define METADATA_VERSION     2
#define BATCH_RECORDS_MAX    10000000u
#define PRODUCE_TIMEOUT_MS   30000
#define FETCH_TAIL_OF_OFFSET 26 /* offset, log start, size, no forgotten topics, no rack */
#define PARTITION_HEAD_SIZE  8  /* number, size of the records */
#define ERROR_TOPIC_EXISTS   36
#define ERROR_UNKNOWN_TOPIC  3
#define CORRELATION_OF_SETUP 0x5e70

static void check_err(enum err err, const char *what)
{
    if (err != ERR_OK)
        stats_die_of("%s: %s", what, err_text(err));
}

static uint8_t *pages_new(size_t size)
{
    uint8_t *pages =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED)
        stats_die("mmap");
    return pages;
}

// --- requests ------------------------------------------------------------------------------------

void frames_start(struct wire_writer *w, int16_t key, int16_t version)
{
    wire_writer_init_growing(w);
    wire_writer_int32(w, 0);
    struct kafka_request_header header;
    kafka_request_header_init(&header);
    header.request_api_key = key;
    header.request_api_version = version;
    header.correlation_id = CORRELATION_OF_SETUP;
    header.client_id = SLICE_LITERAL("kafkagen");
    kafka_request_header_encode(&header,
                                kafka_api_request_header_version(kafka_api_find(key), version), w);
}

struct frames_bytes frames_end(struct wire_writer *w)
{
    check_err(w->error, "encoding a request");
    be32_put(w->data, (uint32_t)(w->size - LENGTH_SIZE));
    return (struct frames_bytes){w->data, w->size};
}

static int64_t wall_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        stats_die("clock");
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t batch_build(const struct frames_shape *shape, struct codec_output *out)
{
    size_t size_max = shape->batch_records ? (size_t)INT32_MAX : shape->batch_bytes;
    uint32_t count_max = shape->batch_records ? shape->batch_records : BATCH_RECORDS_MAX;
    uint8_t *value = malloc(shape->record_bytes + 1);
    if (!value)
        stats_die("malloc");
    for (uint32_t i = 0; i < shape->record_bytes; i++)
        value[i] = (uint8_t)('a' + i % 26);
    struct build build;
    build_init(&build, size_max);
    struct build_record record = {.timestamp_ms = wall_ms()};
    record.value = slice_make(value, shape->record_bytes);
    uint32_t count = 0;
    enum err err = ERR_OK;
    while (count < count_max && err == ERR_OK) {
        err = build_add(&build, &record);
        count += err == ERR_OK;
    }
    if (count == 0 || err != ERR_TOO_LARGE)
        check_err(err, "building a batch");
    check_err(build_finish(&build, out), "building a batch");
    build_deinit(&build);
    free(value);
    return count;
}

struct frames_produce frames_produce_new(const struct frames_shape *shape, uint32_t copies)
{
    struct codec_output batch;
    codec_output_init(&batch, INT32_MAX);
    struct frames_produce produce = {.spread = shape->spread};
    produce.batch_records = batch_build(shape, &batch);
    produce.batch_size = batch.size;
    produce.index_stride = PARTITION_HEAD_SIZE + batch.size;

    struct kafka_produce_request_partition *partitions = calloc(shape->spread, sizeof(*partitions));
    if (!partitions)
        stats_die("calloc");
    for (uint32_t i = 0; i < shape->spread; i++) {
        kafka_produce_request_partition_init(&partitions[i]);
        partitions[i].index = (int32_t)i;
        partitions[i].records = slice_make(batch.data, batch.size);
    }
    struct kafka_produce_request_topic topic;
    kafka_produce_request_topic_init(&topic);
    topic.name = slice_text(shape->topic);
    topic.partition_data = partitions;
    topic.partition_data_count = shape->spread;
    struct kafka_produce_request request;
    kafka_produce_request_init(&request);
    if (shape->transactional_id)
        request.transactional_id = slice_text(shape->transactional_id);
    request.acks = shape->acks;
    request.timeout_ms = PRODUCE_TIMEOUT_MS;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_PRODUCE, FRAMES_PRODUCE_VERSION);
    kafka_produce_request_encode(&request, FRAMES_PRODUCE_VERSION, &w);
    struct frames_bytes frame = frames_end(&w);

    produce.size = frame.size;
    produce.index_at = frame.size - shape->spread * produce.index_stride;
    produce.bytes = pages_new(frame.size * copies);
    for (uint32_t i = 0; i < copies; i++)
        memcpy(produce.bytes + i * frame.size, frame.bytes, frame.size);
    uint32_t last = be32_get(frame.bytes + frame.size - produce.index_stride);
    CHECK(last == shape->spread - 1);
    wire_writer_deinit(&w);
    codec_output_deinit(&batch);
    free(partitions);
    return produce;
}

void frames_produce_patch(const struct frames_produce *produce, uint8_t *frame, uint32_t id,
                          uint32_t first)
{
    be32_put(frame + CORRELATION_AT, id);
    uint8_t *at = frame + produce->index_at;
    if (be32_get(at) == first)
        return;
    for (uint32_t i = 0; i < produce->spread; i++)
        be32_put(at + i * produce->index_stride, first + i);
}

struct frames_fetch frames_fetch_new(const char *topic_name, int32_t wait_ms, int32_t size_max)
{
    int64_t mark = 0x0123456789abcdef;
    struct kafka_fetch_request_partition partition;
    kafka_fetch_request_partition_init(&partition);
    partition.fetch_offset = mark;
    partition.partition_max_bytes = size_max;
    struct kafka_fetch_request_topic topic;
    kafka_fetch_request_topic_init(&topic);
    topic.topic = slice_text(topic_name);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    struct kafka_fetch_request request;
    kafka_fetch_request_init(&request);
    request.max_wait_ms = wait_ms;
    request.min_bytes = 1;
    request.max_bytes = size_max;
    request.topics = &topic;
    request.topics_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_FETCH, FRAMES_FETCH_VERSION);
    kafka_fetch_request_encode(&request, FRAMES_FETCH_VERSION, &w);
    struct frames_bytes frame = frames_end(&w);
    struct frames_fetch fetch = {frame.bytes, frame.size, frame.size - FETCH_TAIL_OF_OFFSET};
    CHECK(be64_get(frame.bytes + fetch.offset_at) == (uint64_t)mark);
    return fetch;
}

void frames_fetch_patch(const struct frames_fetch *fetch, uint32_t id, int64_t offset)
{
    be32_put(fetch->bytes + CORRELATION_AT, id);
    be64_put(fetch->bytes + fetch->offset_at, (uint64_t)offset);
}

struct frames_bytes frames_create_new(const char *name, int32_t partitions, const char *config)
{
    struct kafka_create_topics_request_config setting;
    kafka_create_topics_request_config_init(&setting);
    struct kafka_create_topics_request_topic topic;
    kafka_create_topics_request_topic_init(&topic);
    topic.name = slice_text(name);
    topic.num_partitions = partitions;
    topic.replication_factor = 1;
    if (config) {
        const char *equals = strchr(config, '=');
        if (!equals)
            stats_die_of("'%s' is no name=value", config);
        setting.name = slice_make(config, (size_t)(equals - config));
        setting.value = slice_text(equals + 1);
        topic.configs = &setting;
        topic.configs_count = 1;
    }
    struct kafka_create_topics_request request;
    kafka_create_topics_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_CREATE_TOPICS, CREATE_VERSION);
    kafka_create_topics_request_encode(&request, CREATE_VERSION, &w);
    return frames_end(&w);
}

struct frames_bytes frames_metadata_new(const char *name)
{
    struct kafka_metadata_request_topic topic;
    kafka_metadata_request_topic_init(&topic);
    topic.name = slice_text(name);
    struct kafka_metadata_request request;
    kafka_metadata_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    struct wire_writer w;
    frames_start(&w, KAFKA_API_METADATA, METADATA_VERSION);
    kafka_metadata_request_encode(&request, METADATA_VERSION, &w);
    return frames_end(&w);
}

struct frames_bytes frames_api_versions_new(void)
{
    struct kafka_api_versions_request request;
    kafka_api_versions_request_init(&request);
    struct wire_writer w;
    frames_start(&w, KAFKA_API_API_VERSIONS, 0);
    kafka_api_versions_request_encode(&request, 0, &w);
    return frames_end(&w);
}

// --- answers -------------------------------------------------------------------------------------

int frames_create_check(struct slice body, struct arena *arena)
{
    struct kafka_create_topics_response response;
    if (kafka_create_topics_response_decode(body, CREATE_VERSION, arena, &response) != ERR_OK ||
        response.topics_count != 1)
        return FRAMES_MALFORMED;
    int code = response.topics[0].error_code;
    return code == ERROR_TOPIC_EXISTS ? 0 : code;
}

int frames_metadata_check(struct slice body, int32_t partitions, struct arena *arena)
{
    struct kafka_metadata_response response;
    if (kafka_metadata_response_decode(body, METADATA_VERSION, arena, &response) != ERR_OK ||
        response.topics_count != 1)
        return FRAMES_MALFORMED;
    const struct kafka_metadata_response_topic *topic = &response.topics[0];
    if (topic->error_code)
        return topic->error_code;
    for (size_t i = 0; i < topic->partitions_count; i++) {
        if (topic->partitions[i].error_code)
            return topic->partitions[i].error_code;
    }
    return topic->partitions_count >= (size_t)partitions ? 0 : ERROR_UNKNOWN_TOPIC;
}

int frames_produce_check(struct slice body, uint32_t spread, struct arena *arena,
                         int64_t *out_offset)
{
    struct kafka_produce_response response;
    if (kafka_produce_response_decode(body, FRAMES_PRODUCE_VERSION, arena, &response) != ERR_OK)
        return FRAMES_MALFORMED;
    if (response.responses_count != 1 || response.responses[0].partition_responses_count != spread)
        return FRAMES_MALFORMED;
    const struct kafka_produce_response_partition *partitions =
        response.responses[0].partition_responses;
    for (uint32_t i = 0; i < spread; i++) {
        if (partitions[i].error_code)
            return partitions[i].error_code;
    }
    if (out_offset)
        *out_offset = partitions[0].base_offset;
    return 0;
}

struct frames_fetched frames_fetch_read(struct slice start)
{
    struct frames_fetched out = {.error = FRAMES_MALFORMED};
    struct wire_reader r;
    wire_reader_init(&r, start, NULL);
    wire_reader_int32(&r); /* throttle time */
    int16_t error = wire_reader_int16(&r);
    wire_reader_int32(&r); /* session */
    int32_t topics = wire_reader_int32(&r);
    if (r.error == ERR_OK && error) {
        out.error = error;
        return out;
    }
    wire_reader_string(&r);
    int32_t partitions = wire_reader_int32(&r);
    wire_reader_int32(&r); /* number */
    error = wire_reader_int16(&r);
    out.visible_end = wire_reader_int64(&r);
    wire_reader_int64(&r); /* last stable offset */
    wire_reader_int64(&r); /* log start */
    int32_t aborted = wire_reader_int32(&r);
    wire_reader_int32(&r); /* preferred replica */
    int32_t size = wire_reader_int32(&r);
    if (r.error != ERR_OK || topics != 1 || partitions != 1 || aborted > 0)
        return out;
    out.error = error;
    out.records_at = start.size - wire_reader_left(&r);
    out.records_size = size > 0 ? (size_t)size : 0;
    return out;
}

int64_t frames_fetch_check(struct slice records, int64_t offset)
{
    while (records.size > 0) {
        struct batch_header header;
        enum err err = batch_check(records, &header);
        if (err == ERR_TRUNCATED)
            break; /* a beginning of the next batch may follow */
        if (err != ERR_OK || header.base_offset != offset)
            return FRAMES_MALFORMED;
        offset = batch_last_offset(&header) + 1;
        records.data += header.size;
        records.size -= header.size;
    }
    return offset;
}

const char *frames_error_name(int code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {
        {FRAMES_MALFORMED, "an answer that is malformed"},
        {-1, "UNKNOWN_SERVER_ERROR"},
        {1, "OFFSET_OUT_OF_RANGE"},
        {2, "CORRUPT_MESSAGE"},
        {ERROR_UNKNOWN_TOPIC, "UNKNOWN_TOPIC_OR_PARTITION"},
        {5, "LEADER_NOT_AVAILABLE"},
        {6, "NOT_LEADER_OR_FOLLOWER"},
        {7, "REQUEST_TIMED_OUT"},
        {10, "MESSAGE_TOO_LARGE"},
        {18, "RECORD_LIST_TOO_LARGE"},
        {35, "UNSUPPORTED_VERSION"},
        {37, "INVALID_PARTITIONS"},
        {40, "INVALID_CONFIG"},
        {42, "INVALID_REQUEST"},
        {56, "KAFKA_STORAGE_ERROR"},
        {87, "INVALID_RECORD"},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (names[i].code == code)
            return names[i].name;
    }
    return "an error";
}

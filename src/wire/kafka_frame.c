// Frames of Kafka requests and responses.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_frame.h"

#include "wire/kafka_response_header.h"

#define LENGTH_SIZE         4
#define CORRELATION_ID_SIZE 4

enum err wire_kafka_frame_parse(struct slice frame, struct wire_kafka_frame *out)
{
    struct wire_reader r;
    wire_reader_init(&r, frame, NULL);
    struct wire_kafka_frame found = {.body = SLICE_NULL};
    found.header.request_api_key = wire_reader_int16(&r);
    found.header.request_api_version = wire_reader_int16(&r);
    found.header.correlation_id = wire_reader_int32(&r);
    if (r.error != ERR_OK)
        return r.error;
    found.api = kafka_api_find(found.header.request_api_key);
    if (found.api) {
        wire_reader_init(&r, frame, NULL);
        int16_t version = found.header.request_api_version;
        int16_t header_version = kafka_api_request_header_version(found.api, version);
        kafka_request_header_read(&r, header_version, &found.header);
        if (r.error != ERR_OK)
            return r.error;
        found.body = slice_make(r.at, wire_reader_left(&r));
    }
    *out = found;
    return ERR_OK;
}

bool wire_kafka_frame_is_supported(const struct wire_kafka_frame *frame)
{
    int16_t version = frame->header.request_api_version;
    return frame->api && version >= frame->api->version_min && version <= frame->api->version_max;
}

size_t wire_kafka_frame_response_start_size(const struct kafka_api *api, int16_t version)
{
    size_t tags_size = kafka_api_response_header_version(api, version) >= 1 ? 1 : 0;
    return LENGTH_SIZE + CORRELATION_ID_SIZE + tags_size;
}

void wire_kafka_frame_response_start(struct wire_writer *w, const struct wire_kafka_frame *request,
                                     int16_t version, size_t body_size)
{
    size_t start_size = wire_kafka_frame_response_start_size(request->api, version);
    size_t length = start_size - LENGTH_SIZE + body_size;
    if (body_size > INT32_MAX || length > INT32_MAX) {
        wire_writer_fail(w, ERR_TOO_LARGE);
        return;
    }
    wire_writer_int32(w, (int32_t)length);
    struct kafka_response_header header = {.correlation_id = request->header.correlation_id};
    kafka_response_header_encode(&header, kafka_api_response_header_version(request->api, version),
                                 w);
}

// The frame of a Kafka request: which API, which version, where the body begins.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "wire/kafka_apis.h"
#include "wire/kafka_request_header.h"

struct wire_kafka_frame {
    const struct kafka_api *api; /* NULL: no codec for this key */
    struct kafka_request_header header;
    struct slice body;
};

/* Reads the header of a request without its 4-byte length. The version is not judged: header and
 * body are found for versions above the supported ones, too. For a key without an API the header
 * ends with the correlation id and the body is null. ERR_TRUNCATED, ERR_INVALID. */
NODISCARD enum err wire_kafka_frame_parse(struct slice frame, struct wire_kafka_frame *out);
/* True when requests of this version are to be decoded and answered. */
bool wire_kafka_frame_is_supported(const struct wire_kafka_frame *frame);

/* Bytes of a response in front of its body: the 4-byte length and the header. */
size_t wire_kafka_frame_response_start_size(const struct kafka_api *api, int16_t version);
/* Writes them, for a body of body_size bytes as the message's _size gives it (gaps included).
 * ERR_TOO_LARGE sticks in the writer when the length does not fit in 31 bits. */
void wire_kafka_frame_response_start(struct wire_writer *w, const struct wire_kafka_frame *request,
                                     int16_t version, size_t body_size);

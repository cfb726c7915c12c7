// Fuzzes every Kafka decoder: API key, request (0) or response (1), version, then the body.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_codecs.h"

#define ARENA_SIZE_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const struct kafka_codec *codec, int16_t version, const void *message)
{
    struct wire_writer counting;
    wire_writer_init_counting(&counting);
    codec->encode(message, version, &counting);
    CHECK(counting.error == ERR_OK);
    return counting.size;
}

/* What was decoded must encode to what decodes to the same again. */
static void encode_and_decode(const struct kafka_codec *codec, int16_t version, const void *message)
{
    struct wire_writer once;
    wire_writer_init_growing(&once);
    codec->encode(message, version, &once);
    CHECK(once.error == ERR_OK);
    CHECK(once.size == count(codec, version, message));

    struct arena arena;
    arena_init(&arena, 0);
    void *again = arena_alloc(&arena, codec->size);
    CHECK(again);
    struct wire_reader r;
    wire_reader_init(&r, wire_writer_output(&once), &arena);
    codec->read(&r, version, again);
    CHECK(r.error == ERR_OK);
    CHECK(wire_reader_left(&r) == 0);

    struct wire_writer twice;
    wire_writer_init_growing(&twice);
    codec->encode(again, version, &twice);
    CHECK(slice_equal(wire_writer_output(&once), wire_writer_output(&twice)));
    wire_writer_deinit(&twice);
    wire_writer_deinit(&once);
    arena_deinit(&arena);
}

/* Key 255 stands for the headers. */
static const struct kafka_codec *find(int8_t key, bool is_response)
{
    for (size_t i = 0; i < kafka_codecs_count; i++) {
        if (kafka_codecs[i].key == key && kafka_codecs[i].is_response == is_response)
            return &kafka_codecs[i];
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const struct kafka_codec *codec = find((int8_t)data[0], data[1] & 1);
    int16_t version = data[2];
    if (!codec || version < codec->version_min || version > codec->version_max)
        return 0;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    void *message = arena_alloc(&arena, codec->size);
    CHECK(message);
    struct wire_reader r;
    wire_reader_init(&r, slice_make(data + 3, size - 3), &arena);
    codec->read(&r, version, message);
    if (r.error == ERR_OK)
        encode_and_decode(codec, version, message);
    arena_deinit(&arena);
    return 0;
}

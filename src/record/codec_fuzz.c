// Fuzzes the decompressors (first byte: codec), and packs again what they accept.
// SPDX-License-Identifier: Apache-2.0
#include "record/codec.h"

#define SIZE_MAX_OUT ((size_t)256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(enum batch_codec codec, struct slice plain)
{
    struct codec_output packed;
    struct codec_output again;
    codec_output_init(&packed, 2 * SIZE_MAX_OUT);
    codec_output_init(&again, plain.size);
    CHECK(codec_compress(codec, CODEC_LEVEL_DEFAULT, plain, &packed) == ERR_OK);
    CHECK(codec_decompress(codec, slice_make(packed.data, packed.size), &again) == ERR_OK);
    CHECK(slice_equal(plain, slice_make(again.data, again.size)));
    codec_output_deinit(&packed);
    codec_output_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum batch_codec codec = (enum batch_codec)(data[0] & BATCH_CODEC_MASK);
    struct codec_output out;
    codec_output_init(&out, SIZE_MAX_OUT);
    enum err err = codec_decompress(codec, slice_make(data + 1, size - 1), &out);
    CHECK(out.capacity <= SIZE_MAX_OUT && out.size <= out.capacity);
    if (err == ERR_OK)
        round_trip(codec, slice_make(out.data, out.size));
    else
        CHECK(out.size == 0 && err != ERR_NO_MEMORY);
    codec_output_deinit(&out);
    return 0;
}

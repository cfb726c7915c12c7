// Fuzzes rebuilding: any batch, made valid-looking, loses records and changes its codec.
// SPDX-License-Identifier: Apache-2.0
//
// Input: byte 0 chooses which records go and, with bit 7, that the records come plain and are
// compressed here; then the batch. Its length and CRC are made right, so that it gets through.
#include "record/build.h"

#define SIZE_MAX_OUT ((size_t)256 * 1024)
#define PACK         0x80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool chosen(void *arg, int64_t offset)
{
    return *(const uint8_t *)arg >> ((uint64_t)offset % 7) & 1;
}

static struct slice output_slice(const struct codec_output *output)
{
    return slice_make(output->data, output->size);
}

/* A batch with this input's header fields and records; false when it has no header. */
static bool assemble(struct slice in, bool pack, struct codec_output *batch)
{
    struct batch_header header;
    if (batch_header_read(in, &header) != ERR_OK)
        return false;
    struct slice records = slice_make(in.data + BATCH_HEADER_SIZE, in.size - BATCH_HEADER_SIZE);
    enum batch_codec codec = pack ? batch_codec(&header) : BATCH_CODEC_NONE;
    if (codec_output_add(batch, slice_make(in.data, BATCH_HEADER_SIZE)) != ERR_OK)
        return false;
    if (codec_compress(codec, CODEC_LEVEL_DEFAULT, records, batch) != ERR_OK)
        return false;
    header.size = (uint32_t)batch->size;
    batch_header_write(batch->data, &header);
    return true;
}

/* What is left agrees with its header and holds no record that was to go. */
static void check_rebuilt(struct slice batch, const struct batch_header *before, uint8_t *gone)
{
    struct batch_header header;
    struct codec_output scratch;
    struct slice records;
    struct record record;
    codec_output_init(&scratch, SIZE_MAX_OUT);
    CHECK(batch_check(batch, &header) == ERR_OK);
    CHECK(header.size == batch.size);
    CHECK(header.base_offset == before->base_offset);
    CHECK(header.last_offset_delta == before->last_offset_delta);
    CHECK(header.record_count <= before->record_count);
    CHECK(codec_batch_records(batch, &scratch, &records) == ERR_OK);
    CHECK(batch_check_records(&header, records) == ERR_OK);
    while (gone && record_next(&records, &record) == ERR_OK)
        CHECK(!chosen(gone, header.base_offset + record.offset_delta));
    codec_output_deinit(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t gone = data[0] & (uint8_t)~PACK;
    struct codec_output batch;
    struct codec_output out;
    struct batch_header before;
    codec_output_init(&batch, SIZE_MAX_OUT);
    codec_output_init(&out, SIZE_MAX_OUT);
    if (assemble(slice_make(data + 1, size - 1), data[0] & PACK, &batch)) {
        CHECK(batch_check(output_slice(&batch), &before) == ERR_OK);
        if (build_without(output_slice(&batch), chosen, &gone, &out) == ERR_OK)
            check_rebuilt(output_slice(&out), &before, &gone);
        out.size = 0;
        enum batch_codec codec = (enum batch_codec)(gone % (BATCH_CODEC_ZSTD + 1));
        if (build_recompressed(output_slice(&batch), codec, CODEC_LEVEL_DEFAULT, &out) == ERR_OK)
            check_rebuilt(output_slice(&out), &before, NULL);
    }
    codec_output_deinit(&batch);
    codec_output_deinit(&out);
    return 0;
}

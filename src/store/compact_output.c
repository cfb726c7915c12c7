// Writes the segment that takes the place of others: every offset stays in exactly one batch.
// SPDX-License-Identifier: Apache-2.0
//
// Readers tell damage by offsets that do not follow each other (read_file.c). So where batches are
// gone, one empty batch of 61 bytes stands for all the offsets between their neighbours.
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "record/build.h"
#include "store/compact.h"
#include "store/tail_write.h"

#define OUTPUT_BUFFER_SIZE (1u << 20)
/* A sync of much at once holds up the journal's: it is asked for piece by piece. */
#define OUTPUT_SYNC_SIZE (8u << 20)

void compact_output_init(struct compact_output *output, struct os *os, const char *dir)
{
    *output = (struct compact_output){.os = os, .dir = dir, .size_max = LOG_SEGMENT_SIZE_MAX};
    codec_output_init(&output->buffer, SIZE_MAX);
    index_init(&output->index);
}

void compact_output_deinit(struct compact_output *output)
{
    codec_output_deinit(&output->buffer);
    index_deinit(&output->index);
    segment_file_unref(output->file);
    output->file = NULL;
}

static void path_of(const struct compact_output *output, char out[LOG_PATH_SIZE])
{
    (void)snprintf(out, LOG_PATH_SIZE, "%s/%020lld.cleaned", output->dir, (long long)output->base);
}

enum err compact_output_open(struct compact_output *output, int64_t base)
{
    char path[LOG_PATH_SIZE];
    CHECK(!output->file);
    output->base = base;
    output->written = output->synced = 0;
    output->buffer.size = 0;
    output->has_gap = output->is_changed = false;
    index_deinit(&output->index);
    path_of(output, path);
    int fd = output->os->ops->open(
        output->os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE);
    if (fd < 0)
        return err_from_errno(-fd);
    output->file = segment_file_new(output->os, fd);
    if (output->file)
        return ERR_OK;
    output->os->ops->close(output->os, fd);
    return ERR_NO_MEMORY;
}

uint64_t compact_output_size(const struct compact_output *output)
{
    return output->written + output->buffer.size + (output->has_gap ? BATCH_HEADER_SIZE : 0);
}

static enum err buffer_flush(struct compact_output *output)
{
    struct iovec part = {output->buffer.data, output->buffer.size};
    enum err err = tail_write_all(output->os, output->file->file.fd, &part, 1, output->written);
    output->written += output->buffer.size;
    output->buffer.size = 0;
    return err;
}

static enum err file_sync(struct compact_output *output)
{
    output->synced = output->written;
    int error = output->os->ops->fdatasync(output->os, output->file->file.fd);
    return error < 0 ? err_from_errno(-error) : ERR_OK;
}

/* The bytes at the end of the buffer are this batch. */
static enum err batch_added(struct compact_output *output, const struct batch_header *header)
{
    uint64_t end = output->written + output->buffer.size;
    if (end > output->size_max)
        return ERR_TOO_LARGE;
    enum err err = index_add(&output->index, output->base, (uint32_t)end - header->size, header,
                             output->index_interval);
    if (err == ERR_OK && output->buffer.size >= OUTPUT_BUFFER_SIZE)
        err = buffer_flush(output);
    if (err == ERR_OK && output->written - output->synced >= OUTPUT_SYNC_SIZE)
        err = file_sync(output);
    return err;
}

static enum err gap_end(struct compact_output *output)
{
    if (!output->has_gap)
        return ERR_OK;
    output->has_gap = false;
    size_t before = output->buffer.size;
    struct batch_header header;
    enum err err = build_empty(&output->gap, &output->buffer);
    if (err != ERR_OK)
        return err;
    err = batch_header_read(slice_make(output->buffer.data + before, output->buffer.size - before),
                            &header);
    return err == ERR_OK ? batch_added(output, &header) : err;
}

enum err compact_output_add(struct compact_output *output, const struct batch_header *header,
                            struct slice batch)
{
    enum err err = gap_end(output);
    if (err == ERR_OK)
        err = codec_output_add(&output->buffer, batch);
    return err == ERR_OK ? batch_added(output, header) : err;
}

enum err compact_output_drop(struct compact_output *output, const struct batch_header *header)
{
    struct batch_header *gap = &output->gap;
    /* an empty batch alone is what the input has already */
    output->is_changed = output->is_changed || output->has_gap || header->record_count > 0;
    if (output->has_gap && batch_last_offset(header) - gap->base_offset <= INT32_MAX) {
        gap->last_offset_delta = (int32_t)(batch_last_offset(header) - gap->base_offset);
        return ERR_OK;
    }
    enum err err = gap_end(output);
    *gap = *header;
    output->has_gap = true;
    return err;
}

enum err compact_output_finish(struct compact_output *output)
{
    enum err err = gap_end(output);
    if (err == ERR_OK)
        err = buffer_flush(output);
    return err == ERR_OK ? file_sync(output) : err;
}

void compact_output_discard(struct compact_output *output)
{
    char path[LOG_PATH_SIZE];
    if (!output->file)
        return;
    path_of(output, path);
    segment_file_unref(output->file);
    output->file = NULL;
    (void)output->os->ops->unlink(output->os, path); /* else the next opening of the log does */
}

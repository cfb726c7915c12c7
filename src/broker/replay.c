// Reads a partition of internal state from its beginning, record by record.
// SPDX-License-Identifier: Apache-2.0
#include "broker/replay.h"

#include <stdlib.h>

/* Bytes read at once. */
#define REPLAY_READ_BYTES ((size_t)1 << 20)

static void replay_read(struct replay *replay);

static enum err replay_record(struct replay *replay, const struct batch_header *header,
                              const struct record *record)
{
    enum err err = replay->record(replay, header, record);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err)
        log_warn(
            core_logger(replay->core), "broker",
            "a record of internal state is passed over: %s topic=%.*s partition=%d offset=%lld",
            err_text(err), (int)replay->topic->name.size, (const char *)replay->topic->name.data,
            replay->partition, (long long)broker_replay_offset(header, record));
    return ERR_OK;
}

static enum err replay_batch(struct replay *replay, struct slice batch,
                             struct codec_output *scratch)
{
    struct batch_header header;
    enum err err = batch_check(batch, &header);
    struct slice records;
    if (!err)
        err = codec_batch_records(batch, scratch, &records);
    struct record record;
    while (!err && (err = record_next(&records, &record)) == ERR_OK)
        err = replay_record(replay, &header, &record);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err replay_bytes(struct replay *replay, struct slice bytes)
{
    struct codec_output scratch;
    codec_output_init(&scratch, replay->batch_size_max);
    enum err err = ERR_OK;
    struct batch_header header;
    while (err != ERR_NO_MEMORY && bytes.size >= BATCH_HEADER_SIZE &&
           batch_header_read(bytes, &header) == ERR_OK && header.size <= bytes.size) {
        err = replay_batch(replay, slice_make(bytes.data, header.size), &scratch);
        replay->log_bytes += header.size;
        if (err && err != ERR_NO_MEMORY)
            log_error(
                core_logger(replay->core), "broker",
                "a batch of internal state is passed over: %s topic=%.*s partition=%d offset=%lld",
                err_text(err), (int)replay->topic->name.size,
                (const char *)replay->topic->name.data, replay->partition,
                (long long)header.base_offset);
        bytes = slice_make(bytes.data + header.size, bytes.size - header.size);
    }
    codec_output_deinit(&scratch);
    return err == ERR_NO_MEMORY ? err : ERR_OK;
}

/* The pieces in one row: a batch may lie across two of them. */
static enum err replay_chunks(struct replay *replay, const struct store_read *read)
{
    struct slice whole;
    uint8_t *copy = NULL;
    if (read->chunk_count == 1) {
        whole = buf_range_slice(read->chunks[0].bytes);
    } else {
        copy = malloc(read->size);
        if (!copy)
            return ERR_NO_MEMORY;
        size_t at = 0;
        for (unsigned i = 0; i < read->chunk_count; i++) {
            struct slice piece = buf_range_slice(read->chunks[i].bytes);
            CHECK(piece.data && piece.size <= read->size - at);
            memcpy(copy + at, piece.data, piece.size);
            at += piece.size;
        }
        whole = slice_make(copy, at);
    }
    enum err err = replay_bytes(replay, whole);
    free(copy);
    return err;
}

/* ERR_OK: read on from read->offset. ERR_NOT_FOUND: that was all. */
static enum err replay_take(struct replay *replay)
{
    struct broker_read *read = &replay->read;
    enum err err = read->call.err;
    if (err == ERR_OUT_OF_RANGE && read->offset < read->log_start) {
        read->offset = read->log_start;
        return ERR_OK;
    }
    if (err == ERR_CORRUPT && read->store.offset_next > read->offset) {
        log_error(core_logger(replay->core), "broker",
                  "damaged internal state is passed over: topic=%.*s partition=%d first=%lld "
                  "next=%lld",
                  (int)replay->topic->name.size, (const char *)replay->topic->name.data,
                  replay->partition, (long long)read->offset, (long long)read->store.offset_next);
        read->offset = read->store.offset_next;
        return ERR_OK;
    }
    if (err)
        return err;
    if (read->store.size == 0 && read->store.offset_next <= read->offset)
        return ERR_NOT_FOUND;
    if (read->store.size == 0) {
        read->offset = read->store.offset_next;
        return ERR_OK;
    }
    err = replay_chunks(replay, &read->store);
    read->offset = read->store.offset_next;
    broker_read_release(read);
    return err;
}

static void replay_done(struct broker_call *call)
{
    struct replay *replay = CONTAINER_OF(call, struct replay, read.call);
    enum err err = replay_take(replay);
    if (err == ERR_OK)
        replay_read(replay);
    else
        replay->done(replay, err == ERR_NOT_FOUND ? ERR_OK : err);
}

static void replay_read(struct replay *replay)
{
    int64_t offset = replay->read.offset;
    replay->read = (struct broker_read){.call.done = replay_done,
                                        .offset = offset,
                                        .epoch = BROKER_EPOCH_ANY,
                                        .size_max = REPLAY_READ_BYTES,
                                        .want_one = true,
                                        .want_memory = true};
    broker_read(replay->core, broker_partition_at(replay->topic, replay->partition), &replay->read);
}

void broker_replay_start(struct replay *replay)
{
    replay->read.offset = 0;
    replay->log_bytes = 0;
    replay_read(replay);
}

// Sends the records of batches to those who watch their partition.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "nats/view_live.h"
#include "nats/view_message.h"

enum {
    SEND_DECODED_MAX = 64 << 20, /* a batch that gets larger than this is left out, and logged */
    SEND_ROUND_SIZE = 1 << 20,   /* sent before others get their turn */
    SEND_FULL_SIZE = 64 << 10,   /* the same when some taker is slow */
};

/* One round of sending. */
struct sending {
    struct nats_core *home;
    struct nats_reader *reader;
    struct codec_output scratch; /* a decompressed batch */
    struct buf *buf;             /* several small messages lie in one */
    uint32_t used;
    size_t size;
    bool met_full;
};

static bool is_wanted(struct nats_core *home, const struct nats_reader *reader)
{
    const struct interest_match *match;
    struct slice subject = slice_make(reader->subject, reader->subject_size);
    return broker_interest_match(home->view_interest, subject, &match) != ERR_OK ||
           match->plain_count + match->group_count + match->core_count > 0;
}

static uint8_t *room(struct sending *sending, size_t size)
{
    if (!sending->buf || sending->buf->capacity - sending->used < size) {
        buf_unref(sending->buf);
        sending->used = 0;
        sending->buf =
            buf_pool_get(core_buffers(sending->home->core), MAX(size, (size_t)NATS_FILL_SIZE));
    }
    return sending->buf ? sending->buf->data + sending->used : NULL;
}

/* False: out of memory. */
static bool send_record(struct sending *sending, const struct batch_header *header,
                        const struct record *record)
{
    const struct nats_reader *reader = sending->reader;
    bool is_append_time = header->attributes & BATCH_LOG_APPEND_TIME;
    struct nats_view_record view = {
        .offset = header->base_offset + record->offset_delta,
        .timestamp_ms = is_append_time ? header->max_timestamp_ms
                                       : header->base_timestamp_ms + record->timestamp_delta_ms,
        .record = record,
        .size_max = sending->home->config->payload_size_max,
    };
    struct nats_view_message text;
    char sizes[2][24];
    nats_view_message_measure(&view, &text);
    size_t head = (size_t)snprintf(sizes[0], sizeof(sizes[0]), "%zu", text.header_size);
    size_t whole = (size_t)snprintf(sizes[1], sizeof(sizes[1]), "%zu", text.size);
    size_t before = reader->subject_size + head + whole;
    uint8_t *at = room(sending, before + text.size + 2);
    if (!at)
        return false;
    memcpy(at, reader->subject, reader->subject_size);
    memcpy(at + reader->subject_size, sizes[0], head);
    memcpy(at + reader->subject_size + head, sizes[1], whole);
    nats_view_message_write(&view, &text, at + before);
    struct nats_message message = {
        .subject = slice_make(at, reader->subject_size),
        .header_text = slice_make(at + reader->subject_size, head),
        .size_text = slice_make(at + reader->subject_size + head, whole),
        .header_size = (uint32_t)text.header_size,
        .payload = {sending->buf, (uint32_t)(sending->used + before), (uint32_t)text.size},
    };
    sending->used += (uint32_t)(before + text.size + 2);
    sending->size += text.size;
    (void)nats_publish_spread(sending->home, &message);
    sending->met_full |= message.met_full;
    return true;
}

static bool must_pause(const struct sending *sending)
{
    bool is_slow = sending->met_full || sending->home->view_met_full ||
                   sending->home->view_parcels_out > NATS_PARCELS_OUT_MAX;
    return sending->size >= (size_t)(is_slow ? SEND_FULL_SIZE : SEND_ROUND_SIZE);
}

/* NATS_LIVE_MORE: all of the batch was sent. */
static enum nats_live_result send_batch(struct sending *sending, struct slice batch,
                                        const struct batch_header *header)
{
    struct nats_reader *reader = sending->reader;
    struct slice records;
    struct record record;
    if (header->attributes & BATCH_CONTROL || batch_last_offset(header) < reader->offset ||
        broker_read_is_aborted(&reader->read, header))
        return NATS_LIVE_MORE;
    enum err err = codec_batch_records(batch, &sending->scratch, &records);
    if (err == ERR_NO_MEMORY)
        return NATS_LIVE_PAUSE;
    if (!err)
        err = batch_check_records(header, records);
    if (err) {
        log_error(sending->home->nats->options.logger, "nats",
                  "records of %.*s from offset %lld are not sent: %s", (int)reader->subject_size,
                  (const char *)reader->subject, (long long)header->base_offset, err_text(err));
        return NATS_LIVE_MORE;
    }
    while (record_next(&records, &record) == ERR_OK) {
        int64_t offset = header->base_offset + record.offset_delta;
        if (offset < reader->offset)
            continue;
        if (must_pause(sending) || !send_record(sending, header, &record))
            return NATS_LIVE_PAUSE;
        reader->offset = offset + 1;
    }
    return NATS_LIVE_MORE;
}

static enum nats_live_result send_chunk(struct sending *sending, struct slice bytes)
{
    struct batch_header header;
    while (bytes.size > 0) {
        if (batch_header_read(bytes, &header) || header.size > bytes.size)
            return NATS_LIVE_MORE; /* the store checked them */
        enum nats_live_result result =
            send_batch(sending, slice_make(bytes.data, header.size), &header);
        if (result != NATS_LIVE_MORE)
            return result;
        sending->reader->offset = MAX(sending->reader->offset, batch_last_offset(&header) + 1);
        bytes = slice_make(bytes.data + header.size, bytes.size - header.size);
    }
    return NATS_LIVE_MORE;
}

enum nats_live_result nats_view_send_batches(struct nats_core *home, struct nats_reader *reader)
{
    const struct broker_read *read = &reader->read;
    struct sending sending = {.home = home, .reader = reader};
    enum nats_live_result result = NATS_LIVE_MORE;
    if (!is_wanted(home, reader))
        return NATS_LIVE_NOBODY;
    if (read->store.size == 0) {
        reader->offset = MAX(reader->offset, read->last_stable);
        return NATS_LIVE_END;
    }
    home->view_met_full = false;
    codec_output_init(&sending.scratch, SEND_DECODED_MAX);
    for (unsigned i = 0; result == NATS_LIVE_MORE && i < read->store.chunk_count; i++)
        result = send_chunk(&sending, buf_range_slice(read->store.chunks[i].bytes));
    codec_output_deinit(&sending.scratch);
    buf_unref(sending.buf);
    if (home->parcels_open > 0) {
        nats_announce_flush(home);
        nats_parcel_flush(home);
    }
    if (result == NATS_LIVE_MORE)
        reader->offset = MAX(reader->offset, read->store.offset_next);
    bool is_slow =
        sending.met_full || home->view_met_full || home->view_parcels_out > NATS_PARCELS_OUT_MAX;
    return result == NATS_LIVE_PAUSE && !is_slow && sending.size > 0 ? NATS_LIVE_MORE
           : is_slow                                                 ? NATS_LIVE_PAUSE
                                                                     : result;
}

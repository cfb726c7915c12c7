// Sends the records of batches to those who watch their partition or the subjects bound to it.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "nats/bound.h"
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
    struct broker_subject_place place;
    struct codec_output scratch; /* a decompressed batch */
    struct buf *buf;             /* several small messages lie in one */
    uint32_t used;
    size_t size;
    bool view_is_wanted;
    bool bound_is_wanted;
};

/* A record under one of its subjects. */
struct sent {
    struct slice subject;
    struct slice also;
    struct nats_view_record view;
};

static bool is_matched(struct interest *interest, struct slice subject)
{
    const struct interest_match *match;
    return broker_interest_match(interest, subject, &match) != ERR_OK ||
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

/* Returns what lies behind it. */
static uint8_t *put(uint8_t *at, struct slice bytes)
{
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

/* False: out of memory. */
static bool send_as(struct sending *sending, const struct sent *sent)
{
    struct nats_view_message text;
    char sizes[2][24];
    nats_view_message_measure(&sent->view, &text);
    size_t head = (size_t)snprintf(sizes[0], sizeof(sizes[0]), "%zu", text.header_size);
    size_t whole = (size_t)snprintf(sizes[1], sizeof(sizes[1]), "%zu", text.size);
    size_t before = sent->subject.size + sent->also.size + head + whole;
    uint8_t *start = room(sending, before + text.size + 2);
    if (!start)
        return false;
    uint8_t *at = put(put(start, sent->subject), sent->also);
    struct nats_message message = {
        .source = &sending->reader->source,
        .subject = slice_make(start, sent->subject.size),
        .header_text = slice_make(at, head),
        .size_text = slice_make(at + head, whole),
        .header_size = (uint32_t)text.header_size,
        .also_size = (uint32_t)sent->also.size,
        .payload = {sending->buf, (uint32_t)(sending->used + before), (uint32_t)text.size},
    };
    memcpy(at, sizes[0], head);
    memcpy(at + head, sizes[1], whole);
    nats_view_message_write(&sent->view, &text, start + before);
    sending->used += (uint32_t)(before + text.size + 2);
    sending->size += text.size;
    (void)nats_publish_spread(sending->home, &message);
    sending->reader->source.met_full |= message.met_full;
    return true;
}

/* Under its partition's subject, and under the bound one unless those who publish there have
 * brought it to its subscribers themselves. Out of memory, both are tried again. */
static bool send_record(struct sending *sending, const struct batch_header *header,
                        const struct record *record)
{
    const struct nats_reader *reader = sending->reader;
    bool is_append_time = header->attributes & BATCH_LOG_APPEND_TIME;
    struct sent sent = {
        .view =
            {
                .offset = header->base_offset + record->offset_delta,
                .timestamp_ms = is_append_time
                                    ? header->max_timestamp_ms
                                    : header->base_timestamp_ms + record->timestamp_delta_ms,
                .record = record,
                .size_max = sending->home->config->payload_size_max,
            },
    };
    struct slice bound = broker_subject_bound(&sending->place, record);
    bool is_due = bound.data && sending->bound_is_wanted &&
                  !(header->attributes & BATCH_DELIVERED) &&
                  is_matched(sending->home->interest, bound);
    if (is_due) {
        sent.subject = bound;
        sent.view.subject = bound;
        if (!send_as(sending, &sent))
            return false;
    }
    if (!sending->view_is_wanted)
        return true;
    sent.subject = slice_make(reader->subject, reader->subject_size);
    sent.also = bound;
    sent.view.subject = SLICE_NULL;
    return send_as(sending, &sent);
}

static bool is_slow(const struct sending *sending)
{
    const struct nats_source *source = &sending->reader->source;
    return source->met_full || source->parcels_out > NATS_PARCELS_OUT_MAX;
}

static bool must_pause(const struct sending *sending)
{
    return sending->size >= (size_t)(is_slow(sending) ? SEND_FULL_SIZE : SEND_ROUND_SIZE);
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
                  "records of topic %.*s partition %d from offset %lld are not sent: %s",
                  (int)reader->topic->name.size, (const char *)reader->topic->name.data,
                  reader->partition, (long long)header->base_offset, err_text(err));
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

static void sending_end(struct sending *sending)
{
    struct nats_core *home = sending->home;
    codec_output_deinit(&sending->scratch);
    buf_unref(sending->buf);
    if (home->parcels_open > 0) {
        nats_announce_flush(home);
        nats_parcel_flush(home);
    }
}

enum nats_live_result nats_view_send_batches(struct nats_core *home, struct nats_reader *reader)
{
    const struct broker_read *read = &reader->read;
    const struct broker_topic *topic = reader->topic;
    struct slice subject = slice_make(reader->subject, reader->subject_size);
    struct sending sending = {
        .home = home,
        .reader = reader,
        .place = {.prefix = home->nats->view_prefix, .topic = topic->name},
        .view_is_wanted = subject.size > 0 && is_matched(home->view_interest, subject),
        .bound_is_wanted = nats_bound_is_wanted(home, topic),
    };
    if (topic->binding) {
        sending.place.bound = topic->binding->filters;
        sending.place.bound_count = topic->binding->count;
    }
    if (!sending.view_is_wanted && !sending.bound_is_wanted)
        return NATS_LIVE_NOBODY;
    if (read->store.size == 0) {
        reader->offset = MAX(reader->offset, read->last_stable);
        return NATS_LIVE_END;
    }
    enum nats_live_result result = NATS_LIVE_MORE;
    reader->source.met_full = false;
    codec_output_init(&sending.scratch, SEND_DECODED_MAX);
    for (unsigned i = 0; result == NATS_LIVE_MORE && i < read->store.chunk_count; i++)
        result = send_chunk(&sending, buf_range_slice(read->store.chunks[i].bytes));
    sending_end(&sending);
    if (result == NATS_LIVE_MORE)
        reader->offset = MAX(reader->offset, read->store.offset_next);
    if (is_slow(&sending))
        return NATS_LIVE_PAUSE;
    return result == NATS_LIVE_PAUSE && sending.size > 0 ? NATS_LIVE_MORE : result;
}

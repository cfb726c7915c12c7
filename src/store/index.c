// Sparse index of a segment: sorted arrays searched by bisection, Kafka's file formats.
// SPDX-License-Identifier: Apache-2.0
#include "store/index.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"

/* Big-endian. .index: offset delta i32, position i32. .timeindex: timestamp i64, offset delta i32,
 * an entry only where the timestamp has grown. */
#define INDEX_NO_TIMESTAMP INT64_MIN

void index_init(struct index *index)
{
    *index = (struct index){.timestamp_max_ms = INDEX_NO_TIMESTAMP, .timestamp_max_offset = -1};
}

void index_deinit(struct index *index)
{
    free(index->entries);
    index_init(index);
}

static enum err index_push(struct index *index, const struct index_entry *entry)
{
    if (index->count == index->capacity) {
        uint32_t capacity = index->capacity ? index->capacity * 2 : 16;
        struct index_entry *grown =
            realloc(index->entries, (size_t)capacity * sizeof(*index->entries));
        if (!grown)
            return ERR_NO_MEMORY;
        index->entries = grown;
        index->capacity = capacity;
    }
    index->entries[index->count++] = *entry;
    return ERR_OK;
}

enum err index_add(struct index *index, int64_t segment_base, uint32_t position,
                   const struct batch_header *header, uint32_t interval_bytes)
{
    if (header->max_timestamp_ms > index->timestamp_max_ms) {
        index->timestamp_max_ms = header->max_timestamp_ms;
        index->timestamp_max_offset = batch_last_offset(header);
    }
    if (index->bytes_since > interval_bytes && position > 0) {
        struct index_entry entry = {
            .offset_delta = (int32_t)(batch_last_offset(header) - segment_base),
            .position = position,
            .timestamp_ms = index->timestamp_max_ms,
        };
        enum err err = index_push(index, &entry);
        if (err)
            return err;
        index->bytes_since = 0;
    }
    index->bytes_since =
        (uint32_t)MIN((uint64_t)UINT32_MAX, (uint64_t)index->bytes_since + header->size);
    return ERR_OK;
}

uint32_t index_position(const struct index *index, int64_t segment_base, int64_t offset)
{
    uint32_t low = 0, high = index->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment_base + index->entries[middle].offset_delta <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? index->entries[low - 1].position : 0;
}

uint32_t index_time_position(const struct index *index, int64_t timestamp_ms)
{
    uint32_t low = 0, high = index->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->entries[middle].timestamp_ms < timestamp_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? index->entries[low - 1].position : 0;
}

enum err index_encode(const struct index *index, uint32_t from, struct text *out_offsets,
                      struct text *out_times)
{
    int64_t timestamp = from > 0 ? index->entries[from - 1].timestamp_ms : INDEX_NO_TIMESTAMP;
    for (uint32_t i = from; i < index->count; i++) {
        const struct index_entry *entry = &index->entries[i];
        uint8_t bytes[INDEX_TIME_ENTRY_SIZE];
        be32_put(bytes, (uint32_t)entry->offset_delta);
        be32_put(bytes + 4, entry->position);
        text_add(out_offsets, slice_make(bytes, INDEX_OFFSET_ENTRY_SIZE));
        if (entry->timestamp_ms <= timestamp)
            continue;
        timestamp = entry->timestamp_ms;
        be64_put(bytes, (uint64_t)timestamp);
        be32_put(bytes + 8, (uint32_t)entry->offset_delta);
        text_add(out_times, slice_make(bytes, INDEX_TIME_ENTRY_SIZE));
    }
    return out_offsets->failed || out_times->failed ? ERR_NO_MEMORY : ERR_OK;
}

/* Reads the time entry at *at; timestamps must rise, offsets too. */
static bool index_time_next(struct slice times, size_t *at, int64_t *timestamp, int32_t *delta)
{
    if (*at >= times.size)
        return false;
    *timestamp = (int64_t)be64_get(times.data + *at);
    *delta = (int32_t)be32_get(times.data + *at + 8);
    *at += INDEX_TIME_ENTRY_SIZE;
    return true;
}

enum err index_decode(struct index *index, uint32_t segment_size, struct slice offsets,
                      struct slice times)
{
    if (offsets.size % INDEX_OFFSET_ENTRY_SIZE || times.size % INDEX_TIME_ENTRY_SIZE)
        return ERR_CORRUPT;
    int64_t timestamp = INDEX_NO_TIMESTAMP, time_next = 0;
    int32_t time_delta = 0;
    size_t time_at = 0;
    bool has_time = index_time_next(times, &time_at, &time_next, &time_delta);
    struct index_entry last = {.offset_delta = -1};
    for (size_t at = 0; at < offsets.size; at += INDEX_OFFSET_ENTRY_SIZE) {
        struct index_entry entry = {.offset_delta = (int32_t)be32_get(offsets.data + at),
                                    .position = be32_get(offsets.data + at + 4)};
        if (entry.position >= segment_size)
            break;
        if (has_time && time_delta < entry.offset_delta)
            return ERR_CORRUPT; /* a time entry without its offset entry */
        if (has_time && time_delta == entry.offset_delta) {
            if (time_next <= timestamp)
                return ERR_CORRUPT;
            timestamp = time_next;
            has_time = index_time_next(times, &time_at, &time_next, &time_delta);
        }
        entry.timestamp_ms = timestamp;
        if (entry.offset_delta <= last.offset_delta || entry.position <= last.position ||
            timestamp == INDEX_NO_TIMESTAMP)
            return ERR_CORRUPT;
        enum err err = index_push(index, &entry);
        if (err)
            return err;
        last = entry;
    }
    index->saved = (uint32_t)(offsets.size / INDEX_OFFSET_ENTRY_SIZE);
    if (index->count) {
        index->timestamp_max_ms = timestamp;
        index->timestamp_max_offset = -1;
    }
    return ERR_OK;
}

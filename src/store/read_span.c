// Spans of segments whose checksums were right: read again without a look at their bytes.
// SPDX-License-Identifier: Apache-2.0
#include "store/read_span.h"

#include <stdlib.h>

#define SPAN_COUNT      8192u /* a power of two */
#define SPAN_PROBE_STEP (128u << 10)

struct spans_slot {
    struct store_log_key key;
    struct read_span span; /* size 0: none */
};

struct read_spans {
    struct spans_slot slots[SPAN_COUNT];
};

void read_span_free(struct read_spans *spans)
{
    free(spans);
}

static struct spans_slot *slot_of(struct read_spans *spans, const struct store_log_key *key,
                                  int64_t offset)
{
    uint64_t mixed = ((uint64_t)offset + key->partition) * 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < sizeof(key->topic.bytes); i += sizeof(mixed)) {
        uint64_t word;
        memcpy(&word, key->topic.bytes + i, sizeof(word));
        mixed = (mixed ^ word) * 0x9e3779b97f4a7c15ull;
    }
    return &spans->slots[(mixed >> 32) & (SPAN_COUNT - 1)];
}

void read_span_keep(struct store_log *log, const struct read_span *span)
{
    struct log_core *home = log->home;
    if (!home->spans)
        home->spans = calloc(1, sizeof(*home->spans));
    if (home->spans)
        *slot_of(home->spans, &log->key, span->offset) = (struct spans_slot){log->key, *span};
}

bool read_span_is_cached(struct os *os, int fd, uint32_t position, uint32_t size)
{
    uint8_t byte;
    uint64_t last = (uint64_t)position + size - 1;
    for (uint64_t at = position; at < last; at += SPAN_PROBE_STEP) {
        if (os->ops->pread_cached(os, fd, &byte, 1, at) != 1)
            return false;
    }
    return os->ops->pread_cached(os, fd, &byte, 1, last) == 1;
}

const struct read_span *read_span_find(struct store_log *log, const struct segment *segment,
                                       const struct store_read *read)
{
    if (!log->home->spans)
        return NULL;
    const struct spans_slot *slot = slot_of(log->home->spans, &log->key, read->offset);
    const struct read_span *span = &slot->span;
    if (span->size == 0 || span->layout != log->layout || span->offset != read->offset ||
        span->segment_base != segment->base || slot->key.partition != log->key.partition ||
        memcmp(slot->key.topic.bytes, log->key.topic.bytes, sizeof(log->key.topic.bytes)) != 0)
        return NULL;
    /* asked for less or more, another batch may be the last one */
    if (read->size_max < span->size || read->size_max > span->size_max ||
        read->offset_limit < span->offset_next)
        return NULL;
    bool is_cached =
        read_span_is_cached(log->store->os, segment->file->file.fd, span->position, span->size);
    return is_cached ? span : NULL;
}

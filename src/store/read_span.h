// Spans of segments whose checksums were right: read again without a look at their bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/log.h"

/* A fixed number of them a core; a newer one takes the place of an older one. What is committed
 * never changes, so that a span stays true while its segment is there, and is not rewritten: then
 * the log has another layout. */
struct read_spans;

/* What a read found: whole batches, no more because size_max was reached. */
struct read_span {
    uint32_t layout; /* of the log */
    int64_t segment_base;
    int64_t offset; /* asked for */
    int64_t offset_next;
    uint32_t position;
    uint32_t size;
    uint32_t size_max; /* asked for */
};

void read_span_free(struct read_spans *spans);
/* Forgets it when there is no memory. */
void read_span_keep(struct store_log *log, const struct read_span *span);
/* The span that a look into the file would come to now, when its bytes are in the page cache; NULL:
 * look into the file. The segment is open. */
const struct read_span *read_span_find(struct store_log *log, const struct segment *segment,
                                       const struct store_read *read);
/* sendfile would wait for what is not in the page cache. Pages come and go in larger pieces: not
 * each is looked at. size is at least 1. */
bool read_span_is_cached(struct os *os, int fd, uint32_t position, uint32_t size);

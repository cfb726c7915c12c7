// What jobs that read segments share on the core.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/read_file.h"

/* What may be read of a segment now. False: out of memory. */
NODISCARD bool read_scope_fill(struct store_log *log, const struct segment *segment,
                               struct read_scope *out);
/* The older part of a segment's index, [0, to), goes in front of what was added since. */
void read_index_install(struct segment *segment, struct index *older, uint32_t to);
/* On a helper: a file for the path, with one reference. */
NODISCARD enum err read_segment_open(struct os *os, const char *path, struct segment_file **out);
/* --- read_ahead.c --- */
/* A reader that has come to the position of the segment will want so many bytes more soon: a helper
 * asks the disk for them, while the reader's answer is on its way. */
void read_ahead(struct log_core *home, struct segment_file *file, uint32_t position, uint32_t size);
/* --- read_tail.c --- */
/* One more piece of what was read; its reference becomes the read's. False: out of memory. */
NODISCARD bool read_chunk_add(struct store_read *read, const struct store_chunk *take_chunk);
/* What of the read's offsets the tail holds. ERR_BUSY: no memory, nothing is read. */
NODISCARD enum err read_from_tail(struct store_log *log, struct store_read *read);

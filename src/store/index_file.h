// The index files of a segment: hints, checked when they are read and never synced.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "store/log.h"

/* So that a reader of an old segment need not walk it. They grow with each checkpoint of the log
 * while the segment does, are written once more when it is rewritten, and made anew from what is in
 * memory when they were missing, or wrong. All functions are for helpers; path is that of the
 * segment, with its .log. */
#define INDEX_FILE_SIZE_MAX (64u << 20)

struct index_file_entries {
    struct text offsets; /* index_encode */
    struct text times;
};

/* In place of what was there. False: now there are no files. */
bool index_file_replace(struct os *os, const char *path, const struct index_file_entries *entries);
/* Behind what is there of the segment's first below bytes; where there is nothing to follow,
 * nothing is written. False: now there are no files. entries: at least one. */
bool index_file_append(struct os *os, const char *path, const struct index_file_entries *entries,
                       uint32_t below);
/* What is there of the segment's first size bytes; out is empty before. ERR_CORRUPT: nothing that
 * could be believed. */
NODISCARD enum err index_file_load(struct os *os, const char *path, uint32_t size,
                                   struct index *out);

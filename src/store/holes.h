// Deleted offsets of a log, as compressed bitmaps in ranges of 2^31 offsets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

/* CRoaring inside. Pure state; belongs to its log. */
struct holes {
    struct holes_range *ranges;
    uint32_t count;
    uint32_t capacity;
};

struct text;
void holes_init(struct holes *holes);
void holes_deinit(struct holes *holes);
NODISCARD enum err holes_add(struct holes *holes, int64_t offset);
bool holes_has(const struct holes *holes, int64_t offset);
/* Any hole in [first, next)? */
bool holes_any(const struct holes *holes, int64_t first, int64_t next);
uint64_t holes_count(const struct holes *holes, int64_t first, int64_t next);
void holes_truncate_start(struct holes *holes, int64_t offset);
void holes_truncate_end(struct holes *holes, int64_t offset);
/* Adds all of from. */
NODISCARD enum err holes_copy(const struct holes *from, struct holes *to);
/* Those of gone in [first, next) are no holes any more. ERR_NO_MEMORY: some stay. */
NODISCARD enum err holes_remove(struct holes *holes, const struct holes *gone, int64_t first,
                                int64_t next);
NODISCARD enum err holes_encode(const struct holes *holes, struct text *out);
NODISCARD enum err holes_decode(struct holes *holes, struct slice bytes);

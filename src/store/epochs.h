// Leader epoch -> start offset of a log. KIP-101, KIP-279, KIP-320.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

struct epochs_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    struct epochs_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

struct text;
void epochs_init(struct epochs *epochs);
void epochs_deinit(struct epochs *epochs);
/* No-op unless epoch is newer than the last. */
NODISCARD enum err epochs_add(struct epochs *epochs, int32_t epoch, int64_t start_offset);
/* See store_log_epoch_end; log_end closes the last epoch. */
bool epochs_end(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *out_epoch,
                int64_t *out_end);
int32_t epochs_at(const struct epochs *epochs, int64_t offset);
int32_t epochs_last(const struct epochs *epochs);
void epochs_truncate_end(struct epochs *epochs, int64_t offset);
/* The log now starts at offset: drops what lies wholly before it. */
void epochs_truncate_start(struct epochs *epochs, int64_t offset);
NODISCARD enum err epochs_encode(const struct epochs *epochs, struct text *out);
NODISCARD enum err epochs_decode(struct epochs *epochs, struct slice bytes);

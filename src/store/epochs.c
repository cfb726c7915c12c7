// Leader epochs of a log: a sorted array that grows at its end and is cut at both.
// SPDX-License-Identifier: Apache-2.0
#include "store/epochs.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"

/* epoch i32, start offset i64, little-endian, back to back. */
#define EPOCHS_ENTRY_SIZE 12

void epochs_init(struct epochs *epochs)
{
    *epochs = (struct epochs){0};
}

void epochs_deinit(struct epochs *epochs)
{
    free(epochs->entries);
    epochs_init(epochs);
}

static enum err epochs_push(struct epochs *epochs, int32_t epoch, int64_t start_offset)
{
    if (epochs->count == epochs->capacity) {
        uint32_t capacity = epochs->capacity ? epochs->capacity * 2 : 4;
        struct epochs_entry *grown =
            realloc(epochs->entries, (size_t)capacity * sizeof(*epochs->entries));
        if (!grown)
            return ERR_NO_MEMORY;
        epochs->entries = grown;
        epochs->capacity = capacity;
    }
    epochs->entries[epochs->count++] =
        (struct epochs_entry){.epoch = epoch, .start_offset = start_offset};
    return ERR_OK;
}

enum err epochs_add(struct epochs *epochs, int32_t epoch, int64_t start_offset)
{
    if (epoch < 0 || epoch <= epochs_last(epochs))
        return ERR_OK;
    return epochs_push(epochs, epoch, start_offset);
}

bool epochs_end(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *out_epoch,
                int64_t *out_end)
{
    for (uint32_t i = epochs->count; i > 0; i--) {
        if (epochs->entries[i - 1].epoch > epoch)
            continue;
        *out_epoch = epochs->entries[i - 1].epoch;
        *out_end = i == epochs->count ? log_end : epochs->entries[i].start_offset;
        return true;
    }
    return false;
}

int32_t epochs_at(const struct epochs *epochs, int64_t offset)
{
    for (uint32_t i = epochs->count; i > 0; i--)
        if (epochs->entries[i - 1].start_offset <= offset)
            return epochs->entries[i - 1].epoch;
    return -1;
}

int32_t epochs_last(const struct epochs *epochs)
{
    return epochs->count ? epochs->entries[epochs->count - 1].epoch : -1;
}

void epochs_truncate_end(struct epochs *epochs, int64_t offset)
{
    while (epochs->count && epochs->entries[epochs->count - 1].start_offset >= offset)
        epochs->count--;
}

void epochs_truncate_start(struct epochs *epochs, int64_t offset)
{
    uint32_t drop = 0;
    while (drop + 1 < epochs->count && epochs->entries[drop + 1].start_offset <= offset)
        drop++;
    memmove(epochs->entries, epochs->entries + drop,
            (size_t)(epochs->count - drop) * sizeof(*epochs->entries));
    epochs->count -= drop;
    if (epochs->count && epochs->entries[0].start_offset < offset)
        epochs->entries[0].start_offset = offset;
}

enum err epochs_encode(const struct epochs *epochs, struct text *out)
{
    for (uint32_t i = 0; i < epochs->count; i++) {
        uint8_t bytes[EPOCHS_ENTRY_SIZE];
        le32_put(bytes, (uint32_t)epochs->entries[i].epoch);
        le64_put(bytes + 4, (uint64_t)epochs->entries[i].start_offset);
        text_add(out, slice_make(bytes, sizeof(bytes)));
    }
    return out->failed ? ERR_NO_MEMORY : ERR_OK;
}

enum err epochs_decode(struct epochs *epochs, struct slice bytes)
{
    if (bytes.size % EPOCHS_ENTRY_SIZE != 0)
        return ERR_CORRUPT;
    epochs->count = 0;
    for (size_t at = 0; at < bytes.size; at += EPOCHS_ENTRY_SIZE) {
        int32_t epoch = (int32_t)le32_get(bytes.data + at);
        int64_t start = (int64_t)le64_get(bytes.data + at + 4);
        if (epoch <= epochs_last(epochs) || start < 0 ||
            (epochs->count && start < epochs->entries[epochs->count - 1].start_offset))
            return ERR_CORRUPT;
        enum err err = epochs_push(epochs, epoch, start);
        if (err)
            return err;
    }
    return ERR_OK;
}

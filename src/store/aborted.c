// Aborted transactions of a log: a sorted list, and its bytes.
// SPDX-License-Identifier: Apache-2.0
//
// Bytes: a varint with the count, then each entry as four varints: last_offset less the one before
// (the first: less 0), last_offset - first_offset, last_offset + 1 - stable, and the producer id
// less the one before, zigzag. A transaction is short and its neighbours are near, so that most
// entries take about ten bytes.
#include "store/aborted.h"

#include <stdlib.h>

#include "base/text.h"
#include "base/varint.h"

#define ABORTED_ENTRY_SIZE_MIN 4u

void aborted_init(struct aborted *aborted)
{
    *aborted = (struct aborted){0};
}

void aborted_deinit(struct aborted *aborted)
{
    free(aborted->entries);
    aborted_init(aborted);
}

enum err aborted_reserve(struct aborted *aborted, uint32_t count)
{
    uint64_t wanted = (uint64_t)aborted->count + count;
    if (wanted <= aborted->capacity)
        return ERR_OK;
    if (wanted > UINT32_MAX / 2)
        return ERR_LIMIT;
    uint32_t capacity = MAX(4u, aborted->capacity);
    while (capacity < wanted)
        capacity *= 2;
    struct aborted_entry *grown = realloc(aborted->entries, capacity * sizeof(*grown));
    if (!grown)
        return ERR_NO_MEMORY;
    aborted->entries = grown;
    aborted->capacity = capacity;
    return ERR_OK;
}

void aborted_add(struct aborted *aborted, const struct aborted_entry *entry)
{
    CHECK(aborted->count < aborted->capacity);
    CHECK(aborted->count == 0 ||
          entry->last_offset > aborted->entries[aborted->count - 1].last_offset);
    aborted->entries[aborted->count++] = *entry;
}

uint32_t aborted_find(const struct aborted *aborted, int64_t offset)
{
    uint32_t low = 0, high = aborted->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (aborted->entries[middle].last_offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool aborted_touches(const struct aborted_entry *entry, int64_t to, bool *out_is_last)
{
    *out_is_last = entry->stable >= to;
    return entry->first_offset < to;
}

void aborted_drop(struct aborted *aborted, uint32_t count)
{
    if (count == 0)
        return;
    aborted->count -= count;
    memmove(aborted->entries, aborted->entries + count, aborted->count * sizeof(*aborted->entries));
}

enum err aborted_encode(const struct aborted *aborted, uint32_t from, uint32_t to, struct text *out)
{
    uint8_t bytes[4 * VARINT_U64_SIZE_MAX];
    int64_t last = 0, producer_id = 0;
    text_add(out, slice_make(bytes, varint_u32_put(bytes, to - from)));
    for (uint32_t i = from; i < to; i++) {
        const struct aborted_entry *entry = &aborted->entries[i];
        size_t size = varint_u64_put(bytes, (uint64_t)(entry->last_offset - last));
        size += varint_u64_put(bytes + size, (uint64_t)(entry->last_offset - entry->first_offset));
        size += varint_u64_put(bytes + size, (uint64_t)(entry->last_offset + 1 - entry->stable));
        size += varint_i64_put(bytes + size, entry->producer_id - producer_id);
        text_add(out, slice_make(bytes, size));
        last = entry->last_offset;
        producer_id = entry->producer_id;
    }
    return out->failed ? ERR_NO_MEMORY : ERR_OK;
}

static bool number_get(struct slice *bytes, uint64_t max, int64_t *out)
{
    uint64_t value;
    size_t used = varint_u64_get(bytes->data, bytes->size, &value);
    if (used == 0 || value > max)
        return false;
    *bytes = slice_make(bytes->data + used, bytes->size - used);
    *out = (int64_t)value;
    return true;
}

static bool entry_get(struct slice *bytes, const struct aborted_entry *before,
                      struct aborted_entry *out)
{
    int64_t more, length, behind, producer_id;
    int64_t last = before ? before->last_offset : 0;
    if (!number_get(bytes, (uint64_t)(INT64_MAX - 1 - last), &more) || (before && more == 0) ||
        !number_get(bytes, (uint64_t)(last + more), &length) ||
        !number_get(bytes, (uint64_t)(last + more + 1), &behind))
        return false;
    size_t used = varint_i64_get(bytes->data, bytes->size, &producer_id);
    if (used == 0 ||
        __builtin_add_overflow(producer_id, before ? before->producer_id : 0, &producer_id) ||
        producer_id < 0)
        return false;
    *bytes = slice_make(bytes->data + used, bytes->size - used);
    *out = (struct aborted_entry){.producer_id = producer_id,
                                  .first_offset = last + more - length,
                                  .last_offset = last + more,
                                  .stable = last + more + 1 - behind};
    return !before || out->stable >= before->stable;
}

enum err aborted_decode(struct aborted *aborted, struct slice bytes)
{
    uint32_t count;
    size_t used = varint_u32_get(bytes.data, bytes.size, &count);
    if (used == 0 || count > (bytes.size - used) / ABORTED_ENTRY_SIZE_MIN)
        return ERR_CORRUPT;
    bytes = slice_make(bytes.data + used, bytes.size - used);
    enum err err = aborted_reserve(aborted, count);
    const struct aborted_entry *before = NULL;
    for (uint32_t i = 0; i < count && err == ERR_OK; i++) {
        struct aborted_entry entry;
        int64_t above = aborted->count ? aborted->entries[aborted->count - 1].last_offset : -1;
        if (!entry_get(&bytes, before, &entry) || entry.last_offset <= above)
            return ERR_CORRUPT;
        aborted_add(aborted, &entry);
        before = &aborted->entries[aborted->count - 1];
    }
    if (err == ERR_OK && bytes.size > 0)
        return ERR_CORRUPT;
    return err;
}

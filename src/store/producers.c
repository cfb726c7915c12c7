// Idempotent producers of a log: sequence rules, duplicates among the last five batches, snapshots.
// SPDX-License-Identifier: Apache-2.0
#include "store/producers.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"
#include "store/transactions.h"

/* Snapshot, little-endian: entry = producer_id i64, last_use_ms i64, epoch i16, batch_count u8,
 * with PRODUCERS_HAS_COORDINATOR in batch_count its epoch i32, then batches = base_offset i64,
 * last_offset i64, timestamp_ms i64, first i32, last i32; oldest use first. */
#define PRODUCERS_HAS_COORDINATOR  0x80u
#define PRODUCERS_COORDINATOR_SIZE 4
#define PRODUCERS_ENTRY_SIZE       19
#define PRODUCERS_BATCH_SIZE       32

/* What is charged: with its place in the map. */
#define PRODUCERS_COST (sizeof(struct producers_entry) + 64)

void producers_init(struct producers *producers, uint64_t seed)
{
    *producers = (struct producers){.seed = seed};
}

static void producers_forget(struct producers *producers, struct producers_entry *entry)
{
    map_remove_u64(&producers->known->by_id, (uint64_t)entry->producer_id);
    list_remove(&entry->node);
    free(entry);
    if (producers->budget)
        budget_release(producers->budget, PRODUCERS_COST);
}

/* Nobody is left: nor is what they were found by. */
static void producers_trim(struct producers *producers)
{
    if (!producers->known || producers->known->by_id.count > 0)
        return;
    map_deinit(&producers->known->by_id);
    free(producers->known);
    producers->known = NULL;
}

void producers_deinit(struct producers *producers)
{
    if (!producers->known)
        return;
    list_for_each_safe (node, following, &producers->known->by_use)
        producers_forget(producers, LIST_ENTRY(node, struct producers_entry, node));
    producers_trim(producers);
}

static struct producers_entry *producers_find(const struct producers *producers, int64_t id)
{
    return producers->known ? map_get_u64(&producers->known->by_id, (uint64_t)id) : NULL;
}

/* Sequences run from 0 to INT32_MAX and start again at 0. */
static int32_t producers_sequence_plus(int32_t sequence, int32_t count)
{
    return (int32_t)(((int64_t)sequence + count) & INT32_MAX);
}

/* Markers have none, and the offsets that the server writes in a producer's name. */
static bool producers_has_sequence(const struct batch_header *header)
{
    return !(header->attributes & BATCH_CONTROL) && header->base_sequence >= 0;
}

enum err producers_check(const struct producers *producers, const struct batch_header *header,
                         struct producers_batch *out_batch)
{
    if (header->producer_id < 0)
        return ERR_OK;
    const struct producers_entry *entry = producers_find(producers, header->producer_id);
    if (!entry)
        return ERR_OK;
    if (header->producer_epoch < entry->epoch)
        return ERR_FENCED;
    if (!producers_has_sequence(header))
        return ERR_OK;
    if (header->producer_epoch > entry->epoch)
        return header->base_sequence == 0 ? ERR_OK : ERR_SEQUENCE;
    if (entry->batch_count == 0)
        return header->base_sequence == 0 ? ERR_OK : ERR_SEQUENCE;
    int32_t last = producers_sequence_plus(header->base_sequence, header->last_offset_delta);
    for (unsigned i = 0; i < entry->batch_count; i++) {
        const struct producers_batch *batch = &entry->batches[i];
        if (batch->sequence_first == header->base_sequence && batch->sequence_last == last) {
            *out_batch = *batch;
            return ERR_DUPLICATE;
        }
    }
    int32_t newest = entry->batches[entry->batch_count - 1].sequence_last;
    return header->base_sequence == producers_sequence_plus(newest, 1) ? ERR_OK : ERR_SEQUENCE;
}

static bool producers_make(struct producers *producers)
{
    if (producers->known)
        return true;
    producers->known = malloc(sizeof(*producers->known));
    if (!producers->known)
        return false;
    map_init(&producers->known->by_id, producers->seed);
    list_init(&producers->known->by_use);
    return true;
}

static struct producers_entry *producers_new(struct producers *producers, int64_t producer_id)
{
    struct producers_entry *entry = producers_make(producers) ? calloc(1, sizeof(*entry)) : NULL;
    if (!entry)
        return NULL;
    entry->producer_id = producer_id;
    entry->marker_offset = entry->epoch_offset = -1;
    entry->coordinator_epoch = -1;
    list_init(&entry->node);
    if (!map_put_u64(&producers->known->by_id, (uint64_t)producer_id, entry, NULL)) {
        free(entry);
        return NULL;
    }
    if (producers->budget) /* what was accepted must be known, in replay too */
        budget_charge_always(producers->budget, PRODUCERS_COST);
    return entry;
}

enum err producers_check_room(const struct producers *producers, int64_t producer_id)
{
    if (!producers->budget || producer_id < 0 || producers_find(producers, producer_id))
        return ERR_OK;
    return budget_permille(producers->budget) >= 1000 ? ERR_BUSY : ERR_OK;
}

/* The newest batch before those that are to come. */
static void producers_leave(struct producers_entry *entry, const struct producers_batch *batch)
{
    entry->has_left = batch != NULL;
    entry->left_epoch = entry->epoch;
    if (batch)
        entry->left = *batch;
}

/* The entry of the batch's producer, as of its epoch; NULL: out of memory. */
static struct producers_entry *producers_use(struct producers *producers,
                                             const struct batch_header *header, int64_t now_ms)
{
    struct producers_entry *entry = producers_find(producers, header->producer_id);
    if (!entry) {
        entry = producers_new(producers, header->producer_id);
        if (!entry)
            return NULL;
        entry->epoch = header->producer_epoch;
        entry->epoch_offset = header->base_offset;
    }
    list_remove(&entry->node);
    list_push_back(&producers->known->by_use, &entry->node);
    entry->last_use_ms = now_ms;
    if (entry->epoch != header->producer_epoch) {
        producers_leave(entry, entry->batch_count ? &entry->batches[entry->batch_count - 1] : NULL);
        entry->epoch = header->producer_epoch;
        entry->epoch_offset = header->base_offset;
        entry->batch_count = 0;
    }
    return entry;
}

int64_t producers_marker_offset(const struct producers *producers, int64_t producer_id)
{
    const struct producers_entry *entry = producers_find(producers, producer_id);
    return entry ? entry->marker_offset : -1;
}

enum err producers_check_marker(const struct producers *producers,
                                const struct batch_header *header, int32_t coordinator_epoch)
{
    const struct producers_entry *entry = producers_find(producers, header->producer_id);
    if (!entry)
        return ERR_OK;
    if (header->producer_epoch < entry->epoch)
        return ERR_FENCED;
    return coordinator_epoch < entry->coordinator_epoch ? ERR_COORDINATOR_FENCED : ERR_OK;
}

enum err producers_add_marker(struct producers *producers, const struct batch_header *header,
                              int32_t coordinator_epoch, int64_t now_ms)
{
    struct producers_entry *entry = producers_use(producers, header, now_ms);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->marker_offset = header->base_offset;
    entry->coordinator_epoch = coordinator_epoch;
    return ERR_OK;
}

enum err producers_add(struct producers *producers, const struct batch_header *header,
                       int64_t now_ms)
{
    if (header->producer_id < 0)
        return ERR_OK;
    struct producers_entry *entry = producers_use(producers, header, now_ms);
    if (!entry)
        return ERR_NO_MEMORY;
    if (!producers_has_sequence(header))
        return ERR_OK;
    if (entry->batch_count == PRODUCERS_BATCH_COUNT) {
        producers_leave(entry, &entry->batches[0]);
        memmove(entry->batches, entry->batches + 1,
                sizeof(entry->batches) - sizeof(*entry->batches));
        entry->batch_count--;
    }
    entry->batches[entry->batch_count++] = (struct producers_batch){
        .base_offset = header->base_offset,
        .last_offset = batch_last_offset(header),
        .timestamp_ms = header->max_timestamp_ms,
        .sequence_first = header->base_sequence,
        .sequence_last = producers_sequence_plus(header->base_sequence, header->last_offset_delta),
    };
    return ERR_OK;
}

void producers_expire(struct producers *producers, const struct transactions *transactions,
                      int64_t before_ms)
{
    if (!producers->known)
        return;
    list_for_each_safe (node, following, &producers->known->by_use) {
        struct producers_entry *entry = LIST_ENTRY(node, struct producers_entry, node);
        if (entry->last_use_ms >= before_ms)
            break;
        if (!transactions_find(transactions, entry->producer_id))
            producers_forget(producers, entry);
    }
    producers_trim(producers);
}

/* As it was before offset; false: that is not known. */
static bool producers_go_back(struct producers_entry *entry, int64_t offset)
{
    bool had_batches = entry->batch_count > 0;
    if (entry->marker_offset >= offset)
        entry->marker_offset = -1;
    while (entry->batch_count && entry->batches[entry->batch_count - 1].last_offset >= offset)
        entry->batch_count--;
    bool has_epoch = entry->epoch_offset < offset;
    bool is_left_its = entry->has_left && entry->left_epoch == entry->epoch;
    if (entry->batch_count > 0 || (has_epoch && !is_left_its))
        return true;
    if (!entry->has_left || entry->left.last_offset >= offset || has_epoch != is_left_its)
        return !had_batches;
    entry->epoch_offset = has_epoch ? entry->epoch_offset : -1;
    entry->epoch = entry->left_epoch;
    entry->batches[0] = entry->left;
    entry->batch_count = 1;
    entry->has_left = false;
    return true;
}

void producers_truncate(struct producers *producers, int64_t offset)
{
    if (!producers->known)
        return;
    list_for_each_safe (node, following, &producers->known->by_use) {
        struct producers_entry *entry = LIST_ENTRY(node, struct producers_entry, node);
        if (!producers_go_back(entry, offset))
            producers_forget(producers, entry);
    }
    producers_trim(producers);
}

static void producers_batch_encode(const struct producers_batch *batch, struct text *out)
{
    uint8_t bytes[PRODUCERS_BATCH_SIZE];
    le64_put(bytes, (uint64_t)batch->base_offset);
    le64_put(bytes + 8, (uint64_t)batch->last_offset);
    le64_put(bytes + 16, (uint64_t)batch->timestamp_ms);
    le32_put(bytes + 24, (uint32_t)batch->sequence_first);
    le32_put(bytes + 28, (uint32_t)batch->sequence_last);
    text_add(out, slice_make(bytes, sizeof(bytes)));
}

enum err producers_encode(const struct producers *producers, int64_t offset_limit, struct text *out)
{
    if (!producers->known)
        return ERR_OK;
    list_for_each (node, &producers->known->by_use) {
        struct producers_entry entry = *LIST_ENTRY(node, struct producers_entry, node);
        if (!producers_go_back(&entry, offset_limit))
            continue; /* nothing of it is durable yet */
        uint8_t bytes[PRODUCERS_ENTRY_SIZE];
        le64_put(bytes, (uint64_t)entry.producer_id);
        le64_put(bytes + 8, (uint64_t)entry.last_use_ms);
        le16_put(bytes + 16, (uint16_t)entry.epoch);
        bool has_coordinator = entry.coordinator_epoch >= 0;
        bytes[18] =
            (uint8_t)(entry.batch_count | (has_coordinator ? PRODUCERS_HAS_COORDINATOR : 0));
        text_add(out, slice_make(bytes, sizeof(bytes)));
        le32_put(bytes, (uint32_t)entry.coordinator_epoch);
        if (has_coordinator)
            text_add(out, slice_make(bytes, PRODUCERS_COORDINATOR_SIZE));
        for (unsigned i = 0; i < entry.batch_count; i++)
            producers_batch_encode(&entry.batches[i], out);
    }
    return out->failed ? ERR_NO_MEMORY : ERR_OK;
}

static void producers_batch_decode(const uint8_t *bytes, struct producers_batch *out)
{
    out->base_offset = (int64_t)le64_get(bytes);
    out->last_offset = (int64_t)le64_get(bytes + 8);
    out->timestamp_ms = (int64_t)le64_get(bytes + 16);
    out->sequence_first = (int32_t)le32_get(bytes + 24);
    out->sequence_last = (int32_t)le32_get(bytes + 28);
}

enum err producers_decode(struct producers *producers, struct slice bytes, int64_t now_ms)
{
    while (bytes.size) {
        if (bytes.size < PRODUCERS_ENTRY_SIZE)
            return ERR_CORRUPT;
        int64_t producer_id = (int64_t)le64_get(bytes.data);
        unsigned count = bytes.data[18] & ~PRODUCERS_HAS_COORDINATOR;
        size_t head = PRODUCERS_ENTRY_SIZE;
        if (bytes.data[18] & PRODUCERS_HAS_COORDINATOR)
            head += PRODUCERS_COORDINATOR_SIZE;
        size_t size = head + (size_t)count * PRODUCERS_BATCH_SIZE;
        if (producer_id < 0 || count > PRODUCERS_BATCH_COUNT || bytes.size < size ||
            producers_find(producers, producer_id))
            return ERR_CORRUPT;
        struct producers_entry *entry = producers_new(producers, producer_id);
        if (!entry)
            return ERR_NO_MEMORY;
        list_push_back(&producers->known->by_use, &entry->node);
        /* A clock that went back must not keep it for ever. */
        entry->last_use_ms = MIN((int64_t)le64_get(bytes.data + 8), now_ms);
        entry->epoch = (int16_t)le16_get(bytes.data + 16);
        entry->batch_count = (uint8_t)count;
        for (unsigned i = 0; i < count; i++)
            producers_batch_decode(bytes.data + head + i * PRODUCERS_BATCH_SIZE,
                                   &entry->batches[i]);
        if (head > PRODUCERS_ENTRY_SIZE)
            entry->coordinator_epoch = (int32_t)le32_get(bytes.data + PRODUCERS_ENTRY_SIZE);
        bytes = slice_make(bytes.data + size, bytes.size - size);
    }
    return ERR_OK;
}

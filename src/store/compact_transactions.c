// What compaction knows of transactions: whose records were aborted, and which markers are in use.
// SPDX-License-Identifier: Apache-2.0
//
// Records of an aborted transaction go. Its marker, or that of a committed one, stays as long as a
// batch of the transaction is met in front of it, as it does where a segment was passed over; then
// it gets a delete horizon like a tombstone, and goes when that is over. An aborted transaction
// without batches is forgotten by the log first, durably: a reader that is told of it and meets no
// marker would leave out the producer's later records as well.
#include <stdlib.h>

#include "store/compact.h"

static int entry_compare(const void *a, const void *b)
{
    const struct aborted_entry *x = a, *y = b;
    if (x->producer_id != y->producer_id)
        return x->producer_id < y->producer_id ? -1 : 1;
    return x->last_offset < y->last_offset ? -1 : x->last_offset > y->last_offset;
}

void compact_transactions_init(struct compact_transactions *self)
{
    *self = (struct compact_transactions){0};
    map_init(&self->seen, 0);
}

void compact_transactions_deinit(struct compact_transactions *self)
{
    map_deinit(&self->seen);
    free(self->aborted);
    free(self->over);
}

enum err compact_transactions_take(struct compact_transactions *self,
                                   const struct transactions *transactions, uint64_t seed)
{
    map_deinit(&self->seen);
    map_init(&self->seen, seed);
    uint32_t count = transactions ? transactions->aborted.count : 0;
    if (count == 0)
        return ERR_OK;
    self->aborted = malloc(count * sizeof(*self->aborted));
    if (!self->aborted)
        return ERR_NO_MEMORY;
    memcpy(self->aborted, transactions->aborted.entries, count * sizeof(*self->aborted));
    qsort(self->aborted, count, sizeof(*self->aborted), entry_compare);
    self->aborted_count = count;
    return ERR_OK;
}

/* The producer's aborted transaction that ends at or behind offset first. */
static const struct aborted_entry *aborted_at(const struct compact_transactions *self,
                                              int64_t producer_id, int64_t offset)
{
    struct aborted_entry wanted = {.producer_id = producer_id, .last_offset = offset};
    uint32_t low = 0, high = self->aborted_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_compare(&self->aborted[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_its = low < self->aborted_count && self->aborted[low].producer_id == producer_id;
    return is_its ? &self->aborted[low] : NULL;
}

bool compact_transactions_is_aborted(const struct compact_transactions *self,
                                     const struct batch_header *header)
{
    if ((header->attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL)) != BATCH_TRANSACTIONAL)
        return false;
    const struct aborted_entry *entry = aborted_at(self, header->producer_id, header->base_offset);
    return entry && entry->first_offset <= header->base_offset;
}

enum err compact_transactions_batch(struct compact_transactions *self,
                                    const struct batch_header *header)
{
    if (!(header->attributes & BATCH_TRANSACTIONAL))
        return ERR_OK;
    return map_put_u64(&self->seen, (uint64_t)header->producer_id, self, NULL) ? ERR_OK
                                                                               : ERR_NO_MEMORY;
}

enum err compact_transactions_marker(struct compact_transactions *self,
                                     const struct batch_header *header, bool *out_in_use)
{
    bool was_seen = map_remove_u64(&self->seen, (uint64_t)header->producer_id) != NULL;
    const struct aborted_entry *entry = aborted_at(self, header->producer_id, header->base_offset);
    bool is_known = entry && entry->last_offset == header->base_offset;
    *out_in_use = was_seen || is_known || self->is_blind;
    if (was_seen || !is_known || self->is_blind)
        return ERR_OK;
    if ((self->over_count & (self->over_count - 1)) == 0) {
        size_t capacity = self->over_count ? self->over_count * 2 : 1;
        int64_t *grown = realloc(self->over, capacity * sizeof(*grown));
        if (!grown)
            return ERR_NO_MEMORY;
        self->over = grown;
    }
    self->over[self->over_count++] = header->base_offset;
    return ERR_OK;
}

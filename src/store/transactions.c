// Transactions of a log: a list of the open ones by first offset, and what became of the others.
// SPDX-License-Identifier: Apache-2.0
//
// A transaction stays on the list `open` until its marker is committed, so that going back to what
// is committed only has to take the marker from it again. The last stable offset is the first
// offset of the oldest whose marker readers cannot know of yet.
//
// Aborted transactions are kept in memory and, at about ten bytes each, in the log's checkpoint,
// not in a file a segment as Kafka's .txnindex: they are rare, a start then finds them where it
// finds everything else of a log, compaction can drop single ones, and a log without transactions
// pays nothing. What they take is charged to the budget and bounded (TRANSACTIONS_COUNT_MAX): where
// it is used up no transaction begins, while those that are open can always end.
#include "store/transactions.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"

/* Snapshot, little-endian: open_count u32, then producer_id i64, first_offset i64, start_ms i64,
 * epoch i16 for each, by first_offset; then the aborted ones (aborted.c). */
#define TRANSACTIONS_OPEN_SIZE 26

/* What is charged: allocations are somewhat larger than what is in them, arrays and maps up to
 * twice as large. */
#define OPEN_COST    (sizeof(struct transactions_open) + 2 * sizeof(struct aborted_entry) + 64)
#define ABORTED_COST (2 * sizeof(struct aborted_entry))

/* Key of a control record: version i16, type i16; value: version i16, coordinator epoch i32. */
#define MARKER_KEY_SIZE   4
#define MARKER_VALUE_SIZE 6
enum marker_type { MARKER_ABORT, MARKER_COMMIT };

struct transactions *transactions_new(uint64_t seed, struct budget *budget)
{
    struct transactions *transactions = calloc(1, sizeof(*transactions));
    if (!transactions)
        return NULL;
    map_init(&transactions->by_id, seed);
    transactions->budget = budget;
    list_init(&transactions->open);
    list_init(&transactions->ended);
    aborted_init(&transactions->aborted);
    return transactions;
}

/* Charges what there is now. */
static void account(struct transactions *transactions)
{
    size_t cost = transactions->open_count * OPEN_COST + transactions->aborted.count * ABORTED_COST;
    if (!transactions->budget || cost == transactions->charged)
        return;
    if (cost > transactions->charged)
        budget_charge_always(transactions->budget, cost - transactions->charged);
    else
        budget_release(transactions->budget, transactions->charged - cost);
    transactions->charged = cost;
}

static void open_forget(struct transactions *transactions, struct transactions_open *open)
{
    list_remove(&open->node);
    list_remove(&open->ended);
    transactions->open_count--;
    free(open);
}

void transactions_free(struct transactions *transactions)
{
    if (!transactions)
        return;
    list_for_each_safe (node, following, &transactions->open)
        open_forget(transactions, LIST_ENTRY(node, struct transactions_open, node));
    map_deinit(&transactions->by_id);
    aborted_deinit(&transactions->aborted);
    account(transactions);
    free(transactions);
}

void transactions_forget(struct transactions *transactions, const int64_t *markers, size_t count)
{
    struct aborted *aborted = &transactions->aborted;
    uint32_t kept = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < aborted->count; i++) {
        while (at < count && markers[at] < aborted->entries[i].last_offset)
            at++;
        if (at == count || markers[at] != aborted->entries[i].last_offset)
            aborted->entries[kept++] = aborted->entries[i];
    }
    aborted->count = kept;
    account(transactions);
}

/* --- rules --- */

enum err transactions_marker_read(struct slice batch, const struct batch_header *header,
                                  struct transactions_marker *out)
{
    struct record record;
    if (header->size > batch.size)
        return ERR_CORRUPT;
    if (header->record_count == 0) /* emptied: its transaction is over and gone */
        return ERR_NOT_FOUND;
    struct slice records =
        slice_make(batch.data + BATCH_HEADER_SIZE, header->size - BATCH_HEADER_SIZE);
    if (batch_codec(header) != BATCH_CODEC_NONE || record_next(&records, &record) != ERR_OK ||
        record.key.size < MARKER_KEY_SIZE)
        return ERR_CORRUPT;
    uint16_t type = be16_get(record.key.data + 2);
    if (header->producer_id < 0 || (type != MARKER_ABORT && type != MARKER_COMMIT))
        return ERR_NOT_FOUND;
    if (record.value.size < MARKER_VALUE_SIZE)
        return ERR_CORRUPT;
    out->commit = type == MARKER_COMMIT;
    out->coordinator_epoch = (int32_t)be32_get(record.value.data + 2);
    return ERR_OK;
}

const struct transactions_open *transactions_find(const struct transactions *transactions,
                                                  int64_t producer_id)
{
    return transactions ? map_get_u64(&transactions->by_id, (uint64_t)producer_id) : NULL;
}

enum err transactions_check(const struct transactions *transactions,
                            const struct batch_header *header)
{
    const struct transactions_open *open = transactions_find(transactions, header->producer_id);
    if (!(header->attributes & BATCH_TRANSACTIONAL))
        return open ? ERR_TXN_STATE : ERR_OK;
    return open && open->epoch == header->producer_epoch ? ERR_OK : ERR_UNVERIFIED;
}

enum err transactions_check_marker(const struct transactions *transactions,
                                   const struct batch_header *header, bool strict)
{
    const struct transactions_open *open = transactions_find(transactions, header->producer_id);
    if (!open)
        return ERR_OK;
    if (header->producer_epoch < open->epoch)
        return ERR_FENCED;
    return strict && header->producer_epoch == open->epoch ? ERR_FENCED : ERR_OK;
}

enum err transactions_check_room(const struct transactions *transactions)
{
    if (!transactions)
        return ERR_OK;
    if (transactions->open_count + transactions->aborted.count >= TRANSACTIONS_COUNT_MAX)
        return ERR_LIMIT;
    return transactions->budget && budget_permille(transactions->budget) >= 1000 ? ERR_BUSY
                                                                                 : ERR_OK;
}

/* --- the course of things --- */

static struct transactions_open *open_add(struct transactions *transactions, int64_t producer_id)
{
    if (aborted_reserve(&transactions->aborted, transactions->open_count + 1) != ERR_OK)
        return NULL;
    struct transactions_open *open = calloc(1, sizeof(*open));
    if (!open)
        return NULL;
    open->producer_id = producer_id;
    open->marker_offset = -1;
    list_init(&open->ended);
    list_init(&open->node);
    if (!map_put_u64(&transactions->by_id, (uint64_t)producer_id, open, NULL)) {
        free(open);
        return NULL;
    }
    list_push_back(&transactions->open, &open->node);
    transactions->open_count++;
    account(transactions);
    return open;
}

enum err transactions_add(struct transactions *transactions, const struct batch_header *header,
                          int64_t now_ms)
{
    struct transactions_open *open =
        map_get_u64(&transactions->by_id, (uint64_t)header->producer_id);
    if (!open) {
        open = open_add(transactions, header->producer_id);
        if (!open)
            return ERR_NO_MEMORY;
        open->first_offset = header->base_offset;
        open->start_ms = now_ms;
    }
    open->epoch = header->producer_epoch;
    return ERR_OK;
}

void transactions_end(struct transactions *transactions, const struct batch_header *header,
                      const struct transactions_marker *marker)
{
    struct transactions_open *open =
        map_get_u64(&transactions->by_id, (uint64_t)header->producer_id);
    if (!open)
        return;
    open->is_aborted = !marker->commit;
    open->marker_offset = header->base_offset;
    list_push_back(&transactions->ended, &open->ended);
    map_remove_u64(&transactions->by_id, (uint64_t)header->producer_id);
}

/* The oldest at the time of the marker, but for the one that it ends. */
static int64_t stable_after(const struct transactions *transactions,
                            const struct transactions_open *self)
{
    list_for_each (node, &transactions->open) {
        const struct transactions_open *open = LIST_ENTRY(node, struct transactions_open, node);
        if (open->first_offset > self->marker_offset)
            break;
        if (open != self)
            return open->first_offset;
    }
    return self->marker_offset + 1;
}

void transactions_commit(struct transactions *transactions, int64_t offset)
{
    list_for_each_safe (node, following, &transactions->ended) {
        struct transactions_open *open = LIST_ENTRY(node, struct transactions_open, ended);
        if (open->marker_offset >= offset)
            break;
        struct aborted_entry entry = {.producer_id = open->producer_id,
                                      .first_offset = open->first_offset,
                                      .last_offset = open->marker_offset,
                                      .stable = stable_after(transactions, open)};
        if (open->is_aborted)
            aborted_add(&transactions->aborted, &entry);
        open_forget(transactions, open);
    }
    account(transactions);
}

enum err transactions_rollback(struct transactions *transactions, int64_t offset)
{
    transactions_commit(transactions, offset);
    while (!list_empty(&transactions->open)) {
        struct transactions_open *last =
            LIST_ENTRY(transactions->open.prev, struct transactions_open, node);
        if (last->first_offset < offset)
            break;
        if (last->marker_offset < 0)
            map_remove_u64(&transactions->by_id, (uint64_t)last->producer_id);
        open_forget(transactions, last);
    }
    account(transactions);
    struct list *node;
    while ((node = list_pop_front(&transactions->ended))) {
        struct transactions_open *open = LIST_ENTRY(node, struct transactions_open, ended);
        open->marker_offset = -1;
        open->is_aborted = false;
        if (!map_put_u64(&transactions->by_id, (uint64_t)open->producer_id, open, NULL))
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void transactions_truncate_start(struct transactions *transactions, int64_t offset)
{
    struct aborted *aborted = &transactions->aborted;
    aborted_drop(aborted, aborted_find(aborted, offset));
    if (aborted->count == 0 && transactions->open_count == 0)
        aborted_deinit(aborted);
    account(transactions);
}

/* --- what readers need --- */

int64_t transactions_stable(const struct transactions *transactions, int64_t durable)
{
    if (!transactions)
        return durable;
    list_for_each (node, &transactions->open) {
        const struct transactions_open *open = LIST_ENTRY(node, struct transactions_open, node);
        if (open->marker_offset < 0 || open->marker_offset >= durable)
            return MIN(open->first_offset, durable);
    }
    return durable;
}

static int by_first_offset(const void *a, const void *b)
{
    int64_t left = ((const struct store_aborted *)a)->first_offset;
    int64_t right = ((const struct store_aborted *)b)->first_offset;
    return left < right ? -1 : left > right;
}

/* Those on the list `ended` are known when their markers are readable: with relaxed durability. */
static bool ended_touches(const struct transactions_open *open,
                          const struct transactions_span *span)
{
    return open->is_aborted && open->marker_offset < span->durable &&
           open->marker_offset >= span->from && open->first_offset < span->to;
}

static uint32_t aborted_collect(const struct transactions *transactions,
                                const struct transactions_span *span, struct store_aborted *out)
{
    const struct aborted *aborted = &transactions->aborted;
    uint32_t count = 0;
    bool is_last = false;
    for (uint32_t i = aborted_find(aborted, span->from); i < aborted->count && !is_last; i++) {
        const struct aborted_entry *entry = &aborted->entries[i];
        if (!aborted_touches(entry, span->to, &is_last))
            continue;
        if (out)
            out[count] =
                (struct store_aborted){entry->producer_id, entry->first_offset, entry->last_offset};
        count++;
    }
    list_for_each (node, &transactions->ended) {
        const struct transactions_open *open = LIST_ENTRY(node, struct transactions_open, ended);
        if (!ended_touches(open, span))
            continue;
        if (out)
            out[count] =
                (struct store_aborted){open->producer_id, open->first_offset, open->marker_offset};
        count++;
    }
    return count;
}

enum err transactions_aborted(const struct transactions *transactions,
                              const struct transactions_span *span, struct store_aborted **out,
                              uint32_t *out_count)
{
    uint32_t count = transactions ? aborted_collect(transactions, span, NULL) : 0;
    struct store_aborted *entries = NULL;
    if (count > 0) {
        size_t size = count * sizeof(*entries);
        if (transactions->budget && !budget_charge(transactions->budget, size))
            return ERR_BUSY;
        entries = malloc(size);
        if (!entries) {
            if (transactions->budget)
                budget_release(transactions->budget, size);
            return ERR_NO_MEMORY;
        }
        (void)aborted_collect(transactions, span, entries);
        qsort(entries, count, sizeof(*entries), by_first_offset);
    }
    *out = entries;
    *out_count = count;
    return ERR_OK;
}

/* --- snapshots --- */

static uint32_t open_count_below(const struct transactions *transactions, int64_t limit)
{
    uint32_t count = 0;
    list_for_each (node, &transactions->open) {
        if (LIST_ENTRY(node, struct transactions_open, node)->first_offset >= limit)
            break;
        count++;
    }
    return count;
}

/* The markers of those on the list are not committed: they go on. */
enum err transactions_encode(const struct transactions *transactions, int64_t offset_limit,
                             struct text *out)
{
    uint8_t bytes[TRANSACTIONS_OPEN_SIZE];
    uint32_t count = transactions ? open_count_below(transactions, offset_limit) : 0;
    if (count == 0 && (!transactions || transactions->aborted.count == 0))
        return ERR_OK;
    le32_put(bytes, count);
    text_add(out, slice_make(bytes, 4));
    list_for_each (node, &transactions->open) {
        const struct transactions_open *open = LIST_ENTRY(node, struct transactions_open, node);
        if (count-- == 0)
            break;
        le64_put(bytes, (uint64_t)open->producer_id);
        le64_put(bytes + 8, (uint64_t)open->first_offset);
        le64_put(bytes + 16, (uint64_t)open->start_ms);
        le16_put(bytes + 24, (uint16_t)open->epoch);
        text_add(out, slice_make(bytes, sizeof(bytes)));
    }
    return aborted_encode(&transactions->aborted, 0, transactions->aborted.count, out);
}

enum err transactions_decode(struct transactions *transactions, struct slice bytes)
{
    if (bytes.size < 4)
        return ERR_CORRUPT;
    uint32_t count = le32_get(bytes.data);
    bytes = slice_make(bytes.data + 4, bytes.size - 4);
    if (count > bytes.size / TRANSACTIONS_OPEN_SIZE)
        return ERR_CORRUPT;
    int64_t last = -1;
    for (uint32_t i = 0; i < count; i++) {
        int64_t producer_id = (int64_t)le64_get(bytes.data);
        int64_t first_offset = (int64_t)le64_get(bytes.data + 8);
        if (producer_id < 0 || first_offset <= last || transactions_find(transactions, producer_id))
            return ERR_CORRUPT;
        struct transactions_open *open = open_add(transactions, producer_id);
        if (!open)
            return ERR_NO_MEMORY;
        open->first_offset = last = first_offset;
        open->start_ms = (int64_t)le64_get(bytes.data + 16);
        open->epoch = (int16_t)le16_get(bytes.data + 24);
        bytes =
            slice_make(bytes.data + TRANSACTIONS_OPEN_SIZE, bytes.size - TRANSACTIONS_OPEN_SIZE);
    }
    enum err err = aborted_decode(&transactions->aborted, bytes);
    if (err == ERR_OK)
        err = aborted_reserve(&transactions->aborted, transactions->open_count);
    account(transactions);
    return err;
}

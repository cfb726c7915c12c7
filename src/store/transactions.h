// What a log knows of transactions: those that are open, and those that were aborted (KIP-98).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/map.h"
#include "record/batch.h"
#include "store/aborted.h"
#include "store/store.h"

/* Open and aborted ones of a log together; then none begins before retention or compaction has let
 * some go. */
#define TRANSACTIONS_COUNT_MAX (1u << 20)

/* What a control batch says that ends a transaction. */
struct transactions_marker {
    bool commit;
    int32_t coordinator_epoch;
};

/* From the first record to the durable marker. */
struct transactions_open {
    struct list node;  /* by first_offset */
    struct list ended; /* by marker_offset, once there is one */
    int64_t producer_id;
    int64_t first_offset;
    int64_t start_ms;      /* wall clock */
    int64_t marker_offset; /* -1: goes on */
    int16_t epoch;
    bool is_aborted;
};

/* Pure state; belongs to its log, which has none (NULL) before its first transaction. Everything
 * that takes a const pointer takes NULL as well. */
struct transactions {
    struct map by_id;       /* transactions_open that go on, by producer */
    struct list open;       /* transactions_open */
    struct list ended;      /* whose marker is not committed */
    uint32_t open_count;    /* on list open */
    struct aborted aborted; /* committed ones; there is room for all that are open */
    struct budget *budget;  /* what they take is charged; NULL: nobody counts */
    size_t charged;
};

/* budget may be NULL. NULL: out of memory. */
struct transactions *transactions_new(uint64_t seed, struct budget *budget);
void transactions_free(struct transactions *transactions);

/* Reads the marker of a whole control batch. ERR_NOT_FOUND: control of another kind; ERR_CORRUPT.
 */
NODISCARD enum err transactions_marker_read(struct slice batch, const struct batch_header *header,
                                            struct transactions_marker *out);
/* May a batch with a producer id that is no marker be appended? ERR_UNVERIFIED: it would begin a
 * transaction; ERR_TXN_STATE: it is not transactional, and a transaction goes on. */
NODISCARD enum err transactions_check(const struct transactions *transactions,
                                      const struct batch_header *header);
/* May a marker? strict: its epoch must be above that of the transaction it ends (KIP-890), so that
 * a late one does not end the next transaction: ERR_FENCED. */
NODISCARD enum err transactions_check_marker(const struct transactions *transactions,
                                             const struct batch_header *header, bool strict);
/* May one more begin? ERR_LIMIT; ERR_BUSY: the budget is used up. */
NODISCARD enum err transactions_check_room(const struct transactions *transactions);
/* The transactional batch was appended; also in replay. ERR_NO_MEMORY: nothing has changed. */
NODISCARD enum err transactions_add(struct transactions *transactions,
                                    const struct batch_header *header, int64_t now_ms);
/* The marker was. */
void transactions_end(struct transactions *transactions, const struct batch_header *header,
                      const struct transactions_marker *marker);
/* All below offset is committed: those that ended below it are over. */
void transactions_commit(struct transactions *transactions, int64_t offset);
/* What was appended at and after offset is not there; all below is committed. ERR_NO_MEMORY. */
NODISCARD enum err transactions_rollback(struct transactions *transactions, int64_t offset);
/* Aborted ones that end below offset are forgotten. */
void transactions_truncate_start(struct transactions *transactions, int64_t offset);

/* Aborted ones with these markers (offsets, rising) have no records any more: they are forgotten.
 */
void transactions_forget(struct transactions *transactions, const int64_t *markers, size_t count);

/* The open transaction of a producer or NULL. */
const struct transactions_open *transactions_find(const struct transactions *transactions,
                                                  int64_t producer_id);
/* First offset of the oldest transaction that is open as far as [0, durable) tells; durable when
 * none is. */
int64_t transactions_stable(const struct transactions *transactions, int64_t durable);
/* Offsets [from, to) that are read, to <= stable; all below durable is known. */
struct transactions_span {
    int64_t from;
    int64_t to;
    int64_t durable;
};
/* Aborted transactions with records in the span, by first offset: an array of the caller (NULL when
 * none), whose bytes are charged to the budget and released by the caller. ERR_NO_MEMORY; ERR_BUSY:
 * the budget is used up. */
NODISCARD enum err transactions_aborted(const struct transactions *transactions,
                                        const struct transactions_span *span,
                                        struct store_aborted **out, uint32_t *out_count);

/* Snapshot of what is below offset_limit, all of which is committed; nothing is written when there
 * is nothing to say. And back. */
struct text;
NODISCARD enum err transactions_encode(const struct transactions *transactions,
                                       int64_t offset_limit, struct text *out);
NODISCARD enum err transactions_decode(struct transactions *transactions, struct slice bytes);

// Fuzz target of transactions: snapshots that are read and written again, markers, questions.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "store/transactions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct transactions *decoded(struct slice bytes)
{
    struct transactions *transactions = transactions_new(1, NULL);
    CHECK(transactions);
    if (transactions_decode(transactions, bytes) == ERR_OK)
        return transactions;
    transactions_free(transactions);
    return NULL;
}

static void ask(const struct transactions *transactions, int64_t from, int64_t to)
{
    struct transactions_span span = {from, to, INT64_MAX};
    struct store_aborted *list;
    uint32_t count;
    CHECK(transactions_aborted(transactions, &span, &list, &count) == ERR_OK);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(list[i].first_offset < to && list[i].last_offset >= from);
        CHECK(i == 0 || list[i - 1].first_offset <= list[i].first_offset);
    }
    free(list);
    CHECK(transactions_stable(transactions, to) <= to);
}

static void check_snapshot(struct slice bytes)
{
    struct transactions *first = decoded(bytes);
    struct text once, twice;
    if (!first)
        return;
    text_init(&once);
    text_init(&twice);
    CHECK(transactions_encode(first, INT64_MAX, &once) == ERR_OK);
    struct transactions *second = once.size > 0 ? decoded(text_slice(&once)) : NULL;
    CHECK(second || once.size == 0);
    CHECK(transactions_encode(second, INT64_MAX, &twice) == ERR_OK);
    CHECK(slice_equal(text_slice(&once), text_slice(&twice)));
    for (size_t i = 0; i + 1 < bytes.size && i < 64; i++)
        ask(first, bytes.data[i], bytes.data[i] + 1 + bytes.data[i + 1]);
    transactions_truncate_start(first, 100);
    CHECK(transactions_rollback(first, 50) == ERR_OK);
    transactions_free(first);
    transactions_free(second);
    text_deinit(&once);
    text_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_header header;
    struct transactions_marker marker;
    struct slice bytes = slice_make(data, size);
    if (batch_header_read(bytes, &header) == ERR_OK) {
        enum err err = transactions_marker_read(bytes, &header, &marker);
        CHECK(err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_CORRUPT);
    }
    check_snapshot(bytes);
    return 0;
}

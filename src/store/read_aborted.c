// What readers of committed records must leave out of what they read.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"

enum err read_aborted_add(struct store_log *log, struct store_read *read)
{
    if (!read->want_aborted || !log->transactions || read->size == 0)
        return ERR_OK;
    struct transactions_span span = {read->offset, read->offset_next, log_durable(log)};
    enum err err =
        transactions_aborted(log->transactions, &span, &read->aborted, &read->aborted_count);
    read->aborted_budget = log->transactions->budget;
    if (err == ERR_OK)
        return ERR_OK;
    store_read_release(read);
    return ERR_BUSY;
}

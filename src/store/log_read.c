// Reading a log: what the caller may have, and whether the log must wake first.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"

enum err store_log_read(struct store_log *log, struct store_read *read)
{
    read->chunks = NULL;
    read->chunk_count = 0;
    read->size = 0;
    read->aborted = NULL;
    read->aborted_budget = NULL;
    read->aborted_count = 0;
    read->offset_next = read->offset;
    read->private = NULL;
    list_init(&read->node);
    log_decode(log);
    log->is_used = true;
    if (read->offset < log->start || read->offset > log->end)
        return ERR_OUT_OF_RANGE;
    if (read->offset >= MIN(read->offset_limit, log->end))
        return ERR_OK;
    const struct tail *tail = &log->tail;
    bool in_tail =
        tail->next > tail->first && tail_at(tail, tail->first)->base_offset <= read->offset;
    if (!in_tail && read != &log->home->scrub.read)
        log->behind_until_s = log_now_s(log) + LOG_BEHIND_S;
    if ((log->state == LOG_OPEN && !log->is_swapping) || in_tail) {
        enum err err = read_open(log, read);
        return err == ERR_OK ? read_aborted_add(log, read) : err;
    }
    if (log->err != ERR_OK)
        return ERR_OFFLINE;
    list_push_back(&log->reads, &read->node);
    log_wake(log);
    return ERR_AGAIN;
}

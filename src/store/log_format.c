// The bytes of a log outside its segments: bodies of journal entries, and its checkpoint.
// SPDX-License-Identifier: Apache-2.0
//
// Every body of a journal entry starts with 64 bytes, integers little-endian:
//    0 base_offset i64    of its first batch; control entries: the log's end
//    8 next_offset i64    the log's end behind it
//   16 segment_base i64   where the batches lie; control entries: the place they go on; -1: nowhere
//   24 first_ms i64       timestamp of that segment's first batch
//   32 start i64          LOG_START: the new first offset; else 0
//   40 position u32       of the first batch in the segment; control entries: the segment's size
//   44 carry_size u32     APPEND: bytes of the partial block in front of position, for rule 1 (in
//                         front of position 0: at the end of the segment before);
//                         EXTENT: bytes from position to the next block
//   48 trail_size u32     EXTENT: bytes of the partial block at the end
//   52 batch_count u32    0 for control entries
//   56 size u32           of the batches in the segment
//   60 zero u32
// APPEND goes on with the carried bytes and one batch; EXTENT with a header of 61 bytes a batch,
// the bytes up to the first whole block and those behind the last; HOLES with deleted offsets, i64
// each. A position of 0 tells that a segment begins, so SEGMENT_ADD and SEGMENT_DROP are not
// written: what lies wholly below the log's start is dropped.
//
// A checkpoint is the value of the key 'c', topic (16 bytes), partition u32 in the catalogue:
//    0 version u32 = 1     24 end i64              48 oldest_ms i64      68 epochs_size u32
//    4 place size u32      32 segment_base i64     56 sealed_bytes u64   72 producers_size u32
//    8 lsn u64             40 first_ms i64         64 transactions_size u32
//   16 start i64           76 holes_size u32      80 epochs, producers, holes, transactions
// and behind those, of a log that was ever compacted: clean_end i64, clean_bytes u64,
// clean_horizon_ms i64, dirty_ms i64.
#include <stdlib.h>

#include "base/endian.h"
#include "base/text.h"
#include "store/log.h"

#define CHECKPOINT_VERSION   1u
#define CHECKPOINT_HEAD_SIZE 80u
#define CLEAN_SIZE           32u

void log_head_put(uint8_t out[LOG_HEAD_SIZE], const struct log_head *head)
{
    le64_put(out, (uint64_t)head->base_offset);
    le64_put(out + 8, (uint64_t)head->next_offset);
    le64_put(out + 16, (uint64_t)head->segment_base);
    le64_put(out + 24, (uint64_t)head->first_ms);
    le64_put(out + 32, (uint64_t)head->start);
    le32_put(out + 40, head->position);
    le32_put(out + 44, head->carry_size);
    le32_put(out + 48, head->trail_size);
    le32_put(out + 52, head->batch_count);
    le32_put(out + 56, head->size);
    le32_put(out + 60, 0);
}

bool log_head_get(struct slice body, struct log_head *out)
{
    if (body.size < LOG_HEAD_SIZE)
        return false;
    const uint8_t *in = body.data;
    out->base_offset = (int64_t)le64_get(in);
    out->next_offset = (int64_t)le64_get(in + 8);
    out->segment_base = (int64_t)le64_get(in + 16);
    out->first_ms = (int64_t)le64_get(in + 24);
    out->start = (int64_t)le64_get(in + 32);
    out->position = le32_get(in + 40);
    out->carry_size = le32_get(in + 44);
    out->trail_size = le32_get(in + 48);
    out->batch_count = le32_get(in + 52);
    out->size = le32_get(in + 56);
    return out->base_offset >= 0 && out->next_offset >= out->base_offset &&
           out->segment_base >= -1 && out->carry_size < LOG_BLOCK_SIZE &&
           out->trail_size < LOG_BLOCK_SIZE && out->position <= LOG_SEGMENT_SIZE_MAX &&
           out->size <= LOG_SEGMENT_SIZE_MAX - out->position;
}

/* Epochs that start below the limit. */
static enum err epochs_encode_below(const struct epochs *epochs, int64_t limit, struct text *out)
{
    struct epochs copy;
    epochs_init(&copy);
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < epochs->count && err == ERR_OK; i++) {
        if (epochs->entries[i].start_offset < limit)
            err = epochs_add(&copy, epochs->entries[i].epoch, epochs->entries[i].start_offset);
    }
    if (err == ERR_OK)
        err = epochs_encode(&copy, out);
    epochs_deinit(&copy);
    return err;
}

static void clean_encode(struct store_log *log, struct text *out)
{
    uint8_t bytes[CLEAN_SIZE];
    compact_plan_note(log);
    if (log->clean_end == 0 && log->dirty_ms < 0)
        return;
    le64_put(bytes, (uint64_t)log->clean_end);
    le64_put(bytes + 8, log->clean_bytes);
    le64_put(bytes + 16, (uint64_t)log->clean_horizon_ms);
    le64_put(bytes + 24, (uint64_t)log->dirty_ms);
    text_add(out, slice_make(bytes, sizeof(bytes)));
}

enum err log_checkpoint_encode(struct store_log *log, struct text *out)
{
    uint8_t head[CHECKPOINT_HEAD_SIZE] = {0};
    le32_put(head, CHECKPOINT_VERSION);
    le32_put(head + 4, log->place.size);
    le64_put(head + 8, log->lsn_committed);
    le64_put(head + 16, (uint64_t)log->start);
    le64_put(head + 24, (uint64_t)log->committed);
    le64_put(head + 32, (uint64_t)log->place.segment_base);
    le64_put(head + 40, (uint64_t)log->place.first_ms);
    le64_put(head + 48, (uint64_t)log_retain_oldest_ms(log));
    le64_put(head + 56, log->sealed_bytes);
    size_t at = out->size;
    text_add(out, slice_make(head, sizeof(head)));
    size_t mark = out->size;
    enum err err = epochs_encode_below(&log->epochs, log->committed, out);
    size_t epochs_size = out->size - mark;
    mark = out->size;
    if (err == ERR_OK)
        err = producers_encode(&log->producers, log->committed, out);
    size_t producers_size = out->size - mark;
    mark = out->size;
    if (err == ERR_OK)
        err = holes_encode(&log->holes, out);
    size_t holes_size = out->size - mark;
    mark = out->size;
    if (err == ERR_OK)
        err = transactions_encode(log->transactions, log->committed, out);
    size_t transactions_size = out->size - mark;
    clean_encode(log, out);
    if (err != ERR_OK || out->failed)
        return err != ERR_OK ? err : ERR_NO_MEMORY;
    if (epochs_size > UINT32_MAX || producers_size > UINT32_MAX || holes_size > UINT32_MAX ||
        transactions_size > UINT32_MAX)
        return ERR_TOO_LARGE;
    uint8_t *put = (uint8_t *)out->data + at;
    le32_put(put + 64, (uint32_t)transactions_size);
    le32_put(put + 68, (uint32_t)epochs_size);
    le32_put(put + 72, (uint32_t)producers_size);
    le32_put(put + 76, (uint32_t)holes_size);
    return ERR_OK;
}

enum err log_checkpoint_read(struct store_log *log, struct slice value)
{
    if (value.size < CHECKPOINT_HEAD_SIZE || le32_get(value.data) != CHECKPOINT_VERSION)
        return ERR_CORRUPT;
    const uint8_t *in = value.data;
    log->place.size = le32_get(in + 4);
    log->lsn_checkpoint = le64_get(in + 8);
    log->start = (int64_t)le64_get(in + 16);
    log->committed = (int64_t)le64_get(in + 24);
    log->place.segment_base = (int64_t)le64_get(in + 32);
    log->place.first_ms = (int64_t)le64_get(in + 40);
    log->oldest_ms = (int64_t)le64_get(in + 48);
    log->sealed_bytes = le64_get(in + 56);
    uint64_t size =
        (uint64_t)le32_get(in + 64) + le32_get(in + 68) + le32_get(in + 72) + le32_get(in + 76);
    uint64_t rest = value.size - CHECKPOINT_HEAD_SIZE;
    if ((size != rest && size + CLEAN_SIZE != rest) || log->start < 0 ||
        log->start > log->committed || log->place.segment_base > log->committed ||
        log->place.size > LOG_SEGMENT_SIZE_MAX)
        return ERR_CORRUPT;
    log->checkpoint_tail = slice_make(in + 64, value.size - 64);
    if (size != rest) {
        in += value.size - CLEAN_SIZE;
        log->clean_end = (int64_t)le64_get(in);
        log->clean_bytes = le64_get(in + 8);
        log->clean_horizon_ms = (int64_t)le64_get(in + 16);
        log->dirty_ms = (int64_t)le64_get(in + 24);
    }
    return ERR_OK;
}

enum err log_checkpoint_decode_tail(struct store_log *log, struct slice tail, int64_t now_ms)
{
    uint32_t transactions_size = le32_get(tail.data);
    uint32_t epochs_size = le32_get(tail.data + 4);
    uint32_t producers_size = le32_get(tail.data + 8);
    uint32_t holes_size = le32_get(tail.data + 12);
    const uint8_t *at = tail.data + 16;
    enum err err = epochs_decode(&log->epochs, slice_make(at, epochs_size));
    at += epochs_size;
    if (err == ERR_OK)
        err = producers_decode(&log->producers, slice_make(at, producers_size), now_ms);
    at += producers_size;
    if (err == ERR_OK)
        err = holes_decode(&log->holes, slice_make(at, holes_size));
    at += holes_size;
    if (err != ERR_OK || transactions_size == 0)
        return err;
    log->transactions = log_transactions_new(log);
    if (!log->transactions)
        return ERR_NO_MEMORY;
    return transactions_decode(log->transactions, slice_make(at, transactions_size));
}

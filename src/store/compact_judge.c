// What of a batch stays when a log is compacted.
// SPDX-License-Identifier: Apache-2.0
//
// A record goes when it was deleted by itself, or when a later one below judge->end has its key, or
// when it has no key. A tombstone (null value) that is its key's last record stays until the delete
// horizon of its batch is over: the time of the cleaning that saw it first, and
// delete.retention.ms; the batch keeps it as Kafka does (KIP-534). What was aborted goes, and
// markers of transactions when nothing needs them (compact_transactions.c).
#include <stdlib.h>

#include "record/build.h"
#include "store/compact.h"

/* Plain records of one batch; what has more stays as it is. */
#define JUDGE_PLAIN_SIZE_MAX ((size_t)64 << 20)

void compact_judge_init(struct compact_judge *judge)
{
    *judge = (struct compact_judge){.horizon_min_ms = -1};
    codec_output_init(&judge->plain, JUDGE_PLAIN_SIZE_MAX);
    codec_output_init(&judge->rebuilt, INT32_MAX);
    holes_init(&judge->holes);
    compact_transactions_init(&judge->transactions);
}

void compact_judge_deinit(struct compact_judge *judge)
{
    codec_output_deinit(&judge->plain);
    codec_output_deinit(&judge->rebuilt);
    holes_deinit(&judge->holes);
    compact_transactions_deinit(&judge->transactions);
    free(judge->bits);
    judge->bits = NULL;
}

/* ERR_NOT_FOUND: they cannot be had. */
static enum err records_get(struct compact_judge *judge, const struct batch_header *header,
                            struct slice batch, struct slice *out)
{
    enum err err = codec_batch_records(batch, &judge->plain, out);
    if (err == ERR_OK)
        err = batch_check_records(header, *out);
    return err == ERR_OK || err == ERR_NO_MEMORY ? err : ERR_NOT_FOUND;
}

struct judged {
    int32_t kept;
    int32_t count;
    bool has_tombstone; /* that stays, below end */
};

static bool stays(struct compact_judge *judge, const struct batch_header *header,
                  const struct record *record, struct judged *judged)
{
    int64_t offset = header->base_offset + record->offset_delta;
    if (holes_has(&judge->holes, offset))
        return false;
    if (!judge->is_compact || offset >= judge->end)
        return true;
    if (!record->key.data || (judge->keys && compact_keys_get(judge->keys, record->key) > offset))
        return false;
    if (record->value.data)
        return true;
    bool is_over =
        header->attributes & BATCH_DELETE_HORIZON && header->base_timestamp_ms <= judge->now_ms;
    judged->has_tombstone = judged->has_tombstone || !is_over;
    return !is_over || judge->is_left;
}

static enum err bits_clear(struct compact_judge *judge, int32_t count)
{
    size_t size = (size_t)count / 8 + 1;
    if (size > judge->bits_size) {
        uint8_t *grown = realloc(judge->bits, size);
        if (!grown)
            return ERR_NO_MEMORY;
        judge->bits = grown;
        judge->bits_size = size;
    }
    memset(judge->bits, 0, size);
    return ERR_OK;
}

static enum err judge_records(struct compact_judge *judge, const struct batch_header *header,
                              struct slice records, struct judged *judged)
{
    struct record record;
    enum err err = bits_clear(judge, header->record_count);
    while (err == ERR_OK && record_next(&records, &record) == ERR_OK) {
        int32_t at = judged->count++;
        if (!stays(judge, header, &record, judged))
            continue;
        judge->bits[at / 8] |= (uint8_t)(1u << at % 8);
        judged->kept++;
    }
    return err;
}

static void horizon_note(struct compact_judge *judge, int64_t horizon_ms)
{
    if (judge->horizon_min_ms < 0 || horizon_ms < judge->horizon_min_ms)
        judge->horizon_min_ms = horizon_ms;
}

static enum err rebuild(struct compact_judge *judge, const struct batch_header *header,
                        struct slice records, const struct judged *judged,
                        enum compact_verdict *out)
{
    bool has_horizon = header->attributes & BATCH_DELETE_HORIZON;
    struct build_kept kept = {.bits = judge->bits, .delete_horizon_ms = -1};
    if (judged->has_tombstone) {
        if (!has_horizon)
            kept.delete_horizon_ms = judge->horizon_ms;
        horizon_note(judge, has_horizon ? header->base_timestamp_ms : judge->horizon_ms);
    }
    if (judged->kept == judged->count && kept.delete_horizon_ms < 0) {
        *out = COMPACT_AS_IS;
        return ERR_OK;
    }
    judge->rebuilt.size = 0;
    *out = COMPACT_REBUILT;
    return build_compacted(header, records, &kept, &judge->rebuilt);
}

/* A marker that nothing needs any more is treated like a tombstone. */
static enum err judge_control(struct compact_judge *judge, const struct batch_header *header,
                              struct slice batch, enum compact_verdict *out)
{
    struct judged judged = {.has_tombstone = true};
    struct slice records;
    bool is_in_use;
    enum err err = compact_transactions_marker(&judge->transactions, header, &is_in_use);
    if (err != ERR_OK || is_in_use || header->base_offset >= judge->end)
        return err;
    if (header->attributes & BATCH_DELETE_HORIZON && header->base_timestamp_ms <= judge->now_ms) {
        *out = COMPACT_GONE;
        return ERR_OK;
    }
    err = records_get(judge, header, batch, &records);
    if (err == ERR_OK)
        err = bits_clear(judge, header->record_count);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    memset(judge->bits, 0xff, judge->bits_size);
    judged.kept = judged.count = header->record_count;
    return rebuild(judge, header, records, &judged, out);
}

static enum err judge_data(struct compact_judge *judge, const struct batch_header *header,
                           struct slice batch, enum compact_verdict *out)
{
    struct slice records;
    struct judged judged = {0};
    bool is_holed = holes_any(&judge->holes, header->base_offset, batch_last_offset(header) + 1);
    if (!judge->is_compact && !is_holed)
        return ERR_OK;
    enum err err = records_get(judge, header, batch, &records);
    if (err == ERR_NOT_FOUND) {
        judge->is_hole_left = judge->is_hole_left || is_holed;
        judge->is_left = true;
        return ERR_OK;
    }
    if (err == ERR_OK)
        err = judge_records(judge, header, records, &judged);
    if (err != ERR_OK)
        return err;
    *out = COMPACT_GONE;
    int64_t horizon_min_ms = judge->horizon_min_ms;
    if (judged.kept > 0)
        err = rebuild(judge, header, records, &judged, out);
    if (err != ERR_INVALID && err != ERR_TOO_LARGE)
        return err;
    /* times too far apart for a delta, or bytes that do not compress as well: it keeps what it has
     */
    *out = COMPACT_AS_IS;
    judge->horizon_min_ms = horizon_min_ms; /* no cleaning would get further */
    judge->is_hole_left = judge->is_hole_left || is_holed;
    judge->is_left = true;
    return ERR_OK;
}

enum err compact_judge_batch(struct compact_judge *judge, const struct batch_header *header,
                             struct slice batch, enum compact_verdict *out)
{
    *out = COMPACT_AS_IS;
    if (header->record_count == 0) {
        *out = COMPACT_GONE;
        return ERR_OK;
    }
    if (header->attributes & BATCH_CONTROL)
        return judge->is_compact ? judge_control(judge, header, batch, out) : ERR_OK;
    if (!judge->is_compact)
        return judge_data(judge, header, batch, out);
    enum err err = compact_transactions_batch(&judge->transactions, header);
    if (err != ERR_OK)
        return err;
    if (batch_last_offset(header) < judge->end &&
        compact_transactions_is_aborted(&judge->transactions, header)) {
        *out = COMPACT_GONE;
        return ERR_OK;
    }
    return judge_data(judge, header, batch, out);
}

enum err compact_judge_keys(struct compact_judge *judge, struct compact_keys *keys,
                            struct slice batch, int64_t *out_end)
{
    struct batch_header header;
    struct slice records;
    struct record record;
    enum err err = batch_header_read(batch, &header);
    if (err != ERR_OK || header.attributes & BATCH_CONTROL ||
        compact_transactions_is_aborted(&judge->transactions, &header))
        return err;
    err = records_get(judge, &header, batch, &records);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    while (record_next(&records, &record) == ERR_OK) {
        int64_t offset = header.base_offset + record.offset_delta;
        if (!record.key.data || holes_has(&judge->holes, offset))
            continue;
        if (compact_keys_put(keys, record.key, offset))
            continue;
        *out_end = offset;
        return ERR_OK;
    }
    return ERR_OK;
}

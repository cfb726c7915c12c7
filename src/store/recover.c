// Recovery: what the journals hold beyond the checkpoints becomes the state of the logs again.
// SPDX-License-Identifier: Apache-2.0
//
// Nothing but the catalogue and the journals is read. Entries follow each log's LSN; one that is
// missing is damage: its offsets are reported and those behind it are kept. Of a damaged group all
// that is good by itself counts, and a batch that is not costs itself. Bytes stay in the
// journal's pieces until the log wakes (log_wake.c).
#include <stdlib.h>

#include "base/endian.h"
#include "store/log.h"

static enum err log_of(struct store *store, const struct store_log_key *key, struct store_log **out)
{
    struct slice name = slice_make(key, sizeof(*key));
    struct store_log *log = map_get(&store->found, name);
    if (!log) {
        log = log_make(store, *key);
        if (!log)
            return ERR_NO_MEMORY;
        if (!map_put(&store->found, slice_make(&log->key, sizeof(log->key)), log, NULL)) {
            log_destroy(log);
            return ERR_NO_MEMORY;
        }
    }
    *out = log;
    return ERR_OK;
}

static enum err restore_add(struct store_log *log, const struct log_restore *restore)
{
    if (restore->size == 0)
        return ERR_OK;
    if (log->restore_count == log->restore_capacity) {
        uint32_t capacity = log->restore_capacity ? log->restore_capacity * 2 : 1;
        struct log_restore *grown = realloc(log->restores, capacity * sizeof(*grown));
        if (!grown)
            return ERR_NO_MEMORY;
        log->restores = grown;
        log->restore_capacity = capacity;
    }
    log->restores[log->restore_count++] = *restore;
    return ERR_OK;
}

/* batch: all of it, or its header alone: an extent has no markers, which are small. */
static enum err batch_known(struct store_log *log, const struct batch_header *header,
                            struct slice batch)
{
    struct transactions_marker marker;
    enum err err = ERR_NOT_FOUND;
    if (header->attributes & BATCH_CONTROL)
        err = transactions_marker_read(batch, header, &marker);
    if (err == ERR_CORRUPT)
        return err;
    bool is_marker = err == ERR_OK;
    err = epochs_add(&log->epochs, header->leader_epoch, header->base_offset);
    if (err == ERR_OK)
        err = log_batch_known(log, header, is_marker ? &marker : NULL, header->max_timestamp_ms);
    return err;
}

static enum err place_set(struct store_log *log, const struct log_head *head, uint32_t size)
{
    if (head->segment_base < 0)
        return ERR_OK;
    struct segment *segment = segment_find(log, head->segment_base);
    if (!segment) {
        segment = segment_add(log, head->segment_base);
        if (!segment)
            return ERR_NO_MEMORY;
    }
    segment->size = segment->index_from = size;
    segment->first_ms = head->first_ms;
    log->place = (struct log_place){head->segment_base, size, head->first_ms};
    return ERR_OK;
}

/* The partial block in front of a batch: of the segment before when the batch begins one. It says
 * nothing new of a place that the log has left otherwise (a new start), or that is not known. */
static enum err take_carry(struct store_log *log, const struct log_head *head,
                           struct log_restore restore)
{
    const struct log_place *place = &log->place;
    restore.size = head->carry_size;
    if (head->position > 0) {
        restore.position = head->position - head->carry_size;
        return restore_add(log, &restore);
    }
    if (place->segment_base < 0 || (place->size & (LOG_BLOCK_SIZE - 1)) != head->carry_size)
        return ERR_OK;
    restore.segment_base = place->segment_base;
    restore.position = place->size - head->carry_size;
    return restore_add(log, &restore);
}

static enum err take_append(struct store_log *log, const struct journal_found *found,
                            const struct log_head *head)
{
    size_t before = LOG_HEAD_SIZE + (size_t)head->carry_size;
    struct batch_header header;
    if (found->body.size - LOG_HEAD_SIZE != (size_t)head->carry_size + head->size ||
        (head->position > 0 && head->carry_size > head->position))
        return ERR_CORRUPT;
    struct slice batch = slice_make(found->body.data + before, head->size);
    if (batch_header_read(batch, &header) != ERR_OK || header.size != head->size ||
        header.base_offset != head->base_offset ||
        batch_last_offset(&header) + 1 != head->next_offset)
        return ERR_CORRUPT;
    struct log_restore restore = {.segment_base = head->segment_base,
                                  .piece = found->piece,
                                  .piece_offset = found->body_offset + LOG_HEAD_SIZE};
    enum err err = take_carry(log, head, restore);
    restore.position = head->position;
    restore.size = head->size;
    restore.piece_offset += head->carry_size;
    if (err == ERR_OK)
        err = restore_add(log, &restore);
    return err == ERR_OK ? batch_known(log, &header, batch) : err;
}

static enum err take_extent(struct store_log *log, const struct journal_found *found,
                            const struct log_head *head)
{
    uint64_t headers = (uint64_t)head->batch_count * BATCH_HEADER_SIZE;
    if (found->body.size - LOG_HEAD_SIZE != headers + head->carry_size + head->trail_size ||
        (uint64_t)head->carry_size + head->trail_size > head->size)
        return ERR_CORRUPT;
    const uint8_t *at = found->body.data + LOG_HEAD_SIZE;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < head->batch_count && err == ERR_OK; i++, at += BATCH_HEADER_SIZE) {
        struct batch_header header;
        if (batch_header_read(slice_make(at, BATCH_HEADER_SIZE), &header) != ERR_OK)
            return ERR_CORRUPT;
        err = batch_known(log, &header, slice_make(at, BATCH_HEADER_SIZE));
    }
    uint64_t offset = found->body_offset + LOG_HEAD_SIZE + headers;
    struct log_restore restore = {.segment_base = head->segment_base,
                                  .position = head->position,
                                  .size = head->carry_size,
                                  .piece = found->piece,
                                  .piece_offset = offset};
    if (err == ERR_OK)
        err = restore_add(log, &restore);
    restore.position = head->position + head->size - head->trail_size;
    restore.size = head->trail_size;
    restore.piece_offset = offset + head->carry_size;
    return err == ERR_OK ? restore_add(log, &restore) : err;
}

static enum err take_holes(struct store_log *log, struct slice body)
{
    if ((body.size - LOG_HEAD_SIZE) % sizeof(int64_t) != 0)
        return ERR_CORRUPT;
    enum err err = ERR_OK;
    for (size_t at = LOG_HEAD_SIZE; at < body.size && err == ERR_OK; at += sizeof(int64_t))
        err = holes_add(&log->holes, (int64_t)le64_get(body.data + at));
    return err;
}

static enum err take(struct store_log *log, const struct journal_found *found,
                     const struct log_head *head)
{
    enum err err = ERR_CORRUPT;
    uint32_t size = head->position;
    bool is_data = found->type == JOURNAL_APPEND || found->type == JOURNAL_EXTENT;
    if (is_data && (head->batch_count == 0 || head->segment_base < 0))
        return ERR_CORRUPT;
    if (found->type == JOURNAL_APPEND)
        err = take_append(log, found, head);
    else if (found->type == JOURNAL_EXTENT)
        err = take_extent(log, found, head);
    else if (found->type == JOURNAL_HOLES)
        err = take_holes(log, found->body);
    else if (found->type == JOURNAL_LOG_START)
        err = head->start >= 0 && head->start <= head->next_offset ? ERR_OK : ERR_CORRUPT;
    if (err == ERR_OK)
        err = place_set(log, head, is_data ? size + head->size : size);
    if (err != ERR_OK)
        return err;
    if (is_data) {
        log->carry = false;
        log->committed = head->next_offset;
    }
    if (log->transactions)
        transactions_commit(log->transactions, log->committed);
    if (found->type == JOURNAL_LOG_START) {
        log->start = MAX(log->start, head->start);
        epochs_truncate_start(&log->epochs, log->start);
        if (log->transactions)
            transactions_truncate_start(log->transactions, log->start);
    }
    return ERR_OK;
}

/* A damaged entry that says of itself what only the next batch of this log would say. */
static bool is_expected(const struct store_log *log, const struct journal_found *found,
                        const struct log_head *head, const struct batch_header *header)
{
    const struct log_place *place = &log->place;
    bool goes_on = head->segment_base == place->segment_base && head->position == place->size &&
                   head->first_ms == place->first_ms;
    bool begins = head->segment_base == head->base_offset && head->position == 0 &&
                  head->first_ms == header->max_timestamp_ms;
    return found->type == JOURNAL_APPEND && head->batch_count == 1 && (goes_on || begins) &&
           head->base_offset == log->committed && header->base_offset == head->base_offset &&
           header->size == head->size && batch_last_offset(header) + 1 == head->next_offset;
}

/* All of a batch of a damaged entry is as it was. Its own checksum does not cover the leader epoch:
 * one that is not the log's would be taken for the truth, and all behind it for damage. */
static bool is_good(const struct store_log *log, struct slice batch, struct batch_header *header)
{
    int32_t last = epochs_last(&log->epochs);
    bool is_known = header->leader_epoch == last || (last < 0 && header->leader_epoch == 0);
    return is_known && batch_check(batch, header) == ERR_OK;
}

/* The group is damaged, and so is this entry, somewhere. A batch keeps its place, so that those
 * behind it keep theirs; when it is good by itself, all of it is. The block in front of it is not
 * believed, and is carried again. */
static enum err found_damaged(struct store *store, const struct journal_found *found)
{
    struct store_log *log = map_get(&store->found, slice_make(&found->key, sizeof(found->key)));
    struct log_head head;
    struct batch_header header;
    if (!log || found->lsn != log->lsn_committed + 1 || !log_head_get(found->body, &head) ||
        found->body.size - LOG_HEAD_SIZE != (size_t)head.carry_size + head.size)
        return ERR_OK;
    size_t before = LOG_HEAD_SIZE + (size_t)head.carry_size;
    struct slice batch = slice_make(found->body.data + before, head.size);
    if (batch_header_read(batch, &header) != ERR_OK || !is_expected(log, found, &head, &header))
        return ERR_OK;
    struct log_restore restore = {.segment_base = head.segment_base,
                                  .position = head.position,
                                  .size = head.size,
                                  .piece = found->piece,
                                  .piece_offset = found->body_offset + before};
    log_decode(log);
    enum err err = segment_place(log);
    if (err == ERR_OK)
        err = restore_add(log, &restore);
    if (err == ERR_OK && is_good(log, batch, &header))
        err = batch_known(log, &header, batch);
    else if (err == ERR_OK)
        store_damage_add(store, NULL, &log->key, head.base_offset, head.next_offset);
    if (err == ERR_OK)
        err = place_set(log, &head, head.position + head.size);
    if (err == ERR_OK)
        err = log_piece_add(log, found->piece, found->lsn);
    log->committed = head.next_offset;
    log->lsn_committed = found->lsn;
    if (err == ERR_OK && log->transactions)
        transactions_commit(log->transactions, log->committed);
    return err;
}

static enum err found_entry(void *arg, const struct journal_found *found)
{
    struct store *store = arg;
    if (found->is_damaged)
        return found_damaged(store, found);
    struct store_log *log;
    enum err err = log_of(store, &found->key, &log);
    if (err != ERR_OK)
        return err;
    if (found->lsn <= log->lsn_committed)
        return ERR_OK;
    log_decode(log);
    err = segment_place(log);
    if (err != ERR_OK)
        return err;
    struct log_head head;
    bool is_gap = found->lsn != log->lsn_committed + 1;
    if (!log_head_get(found->body, &head) || head.base_offset < log->committed)
        err = ERR_CORRUPT;
    if (err == ERR_OK && is_gap && head.base_offset > log->committed)
        store_damage_add(store, NULL, &log->key, log->committed, head.base_offset);
    else if (err == ERR_OK && is_gap)
        log_error(store->logger, "store", "journal entries are missing log=%s lsn=%llu..%llu",
                  log_name(&log->key).text, (unsigned long long)log->lsn_committed + 1,
                  (unsigned long long)found->lsn);
    if (err == ERR_OK)
        err = take(log, found, &head);
    if (err == ERR_CORRUPT) {
        /* what passed the journal's checksum and makes no sense is left out, like what is lost */
        log_error(store->logger, "store", "journal entry makes no sense log=%s lsn=%llu",
                  log_name(&log->key).text, (unsigned long long)found->lsn);
        return ERR_OK;
    }
    if (err == ERR_OK)
        err = log_piece_add(log, found->piece, found->lsn);
    log->lsn_committed = found->lsn;
    return err;
}

/* The replay is over: what is committed is the end. */
static void settle(struct store_log *log)
{
    log->end = log->committed;
    log->next = log->place;
    log->lsn_next = log->lsn_committed + 1;
    log->start_wanted = log->start;
    log->durable_told = log->committed;
}

enum err recover_replay(struct store *store, struct journal_replay_result *out)
{
    size_t size = strlen(store->dir) + sizeof("/journal");
    char *dir = malloc(size);
    if (!dir)
        return ERR_NO_MEMORY;
    memcpy(dir, store->dir, strlen(store->dir));
    memcpy(dir + strlen(store->dir), "/journal", sizeof("/journal"));
    enum err err = journal_replay(&(struct journal_folder){store->os, store->logger, dir},
                                  found_entry, store, out);
    free(dir);
    size_t position = 0;
    struct store_log *log;
    while (err == ERR_OK && (log = map_next(&store->found, &position)))
        settle(log);
    return err;
}

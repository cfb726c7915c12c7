// Reads a partition of __consumer_offsets back into memory, on first use after a start.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_coordinator.h"

static void load_read(struct group_partition *partition);

static struct group_entry *load_entry(struct group_partition *partition, struct slice id)
{
    struct group_entry *entry = broker_group_entry_find(partition->groups, id);
    return entry ? entry : broker_group_entry_new(partition, id);
}

static enum err load_offset(struct group_partition *partition, const struct offsets_key *key,
                            struct slice bytes, int64_t log_offset)
{
    struct offsets_value value;
    enum err err = bytes.data ? broker_offsets_value_read(bytes, &value) : ERR_OK;
    if (err)
        return err;
    struct group_entry *entry = load_entry(partition, key->group);
    struct group_slot *slot =
        entry ? broker_group_slot_get(entry, key->topic, key->partition) : NULL;
    struct group_value *copy =
        slot && bytes.data ? broker_group_slot_value_new(entry, &value) : NULL;
    if (!slot || (bytes.data && !copy))
        return ERR_NO_MEMORY;
    broker_group_slot_set(entry, slot, copy, log_offset);
    broker_group_slot_tidy(entry, slot);
    return ERR_OK;
}

/* The newest metadata is kept as it is; members are made of it at the end. */
static enum err load_group(struct group_partition *partition, struct slice id, struct slice bytes,
                           int64_t log_offset)
{
    struct group_entry *entry = load_entry(partition, id);
    if (!entry)
        return ERR_NO_MEMORY;
    struct slice copy = SLICE_NULL;
    enum err err = broker_group_member_own(&entry->group, &copy, bytes);
    if (!err)
        broker_group_rewrite_keep(entry, copy, log_offset);
    return err;
}

static enum err load_record(struct group_partition *partition, const struct record *record,
                            int64_t log_offset)
{
    struct offsets_key key;
    enum err err = broker_offsets_key_read(record->key, &key);
    if (!err)
        err = key.is_group ? load_group(partition, key.group, record->value, log_offset)
                           : load_offset(partition, &key, record->value, log_offset);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err)
        log_warn(core_logger(partition->groups->core), "broker",
                 "a record of group state is passed over: %s partition=%u offset=%lld",
                 err_text(err), partition->index, (long long)log_offset);
    return ERR_OK;
}

static enum err load_batch(struct group_partition *partition, struct slice batch,
                           struct codec_output *scratch)
{
    struct batch_header header;
    enum err err = batch_check(batch, &header);
    struct slice records;
    if (!err)
        err = codec_batch_records(batch, scratch, &records);
    struct record record;
    while (!err && (err = record_next(&records, &record)) == ERR_OK)
        err = load_record(partition, &record, header.base_offset + record.offset_delta);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err load_bytes(struct group_partition *partition, struct slice bytes)
{
    struct codec_output scratch;
    codec_output_init(&scratch, GROUP_BATCH_SIZE_MAX);
    enum err err = ERR_OK;
    struct batch_header header;
    while (err != ERR_NO_MEMORY && bytes.size >= BATCH_HEADER_SIZE &&
           batch_header_read(bytes, &header) == ERR_OK && header.size <= bytes.size) {
        err = load_batch(partition, slice_make(bytes.data, header.size), &scratch);
        partition->log_bytes += header.size;
        if (err && err != ERR_NO_MEMORY)
            log_error(core_logger(partition->groups->core), "broker",
                      "a batch of group state is passed over: %s partition=%u offset=%lld",
                      err_text(err), partition->index, (long long)header.base_offset);
        bytes = slice_make(bytes.data + header.size, bytes.size - header.size);
    }
    codec_output_deinit(&scratch);
    return err == ERR_NO_MEMORY ? err : ERR_OK;
}

/* The pieces in one row: a batch may lie across two of them. */
static enum err load_chunks(struct group_partition *partition, const struct store_read *read)
{
    struct slice whole = SLICE_NULL;
    uint8_t *copy = NULL;
    if (read->chunk_count == 1) {
        whole = buf_range_slice(read->chunks[0].bytes);
    } else {
        copy = malloc(read->size);
        if (!copy)
            return ERR_NO_MEMORY;
        size_t at = 0;
        for (unsigned i = 0; i < read->chunk_count; i++) {
            struct slice piece = buf_range_slice(read->chunks[i].bytes);
            CHECK(piece.data && piece.size <= read->size - at);
            memcpy(copy + at, piece.data, piece.size);
            at += piece.size;
        }
        whole = slice_make(copy, at);
    }
    enum err err = load_bytes(partition, whole);
    free(copy);
    return err;
}

static enum err entry_restore(struct group_entry *entry)
{
    struct offsets_group stored;
    enum err err = broker_offsets_group_read(entry->kept, &stored);
    if (err)
        return err;
    struct group *group = &entry->group;
    group->generation = stored.generation;
    if (stored.protocol_type.size > 0)
        err = broker_group_member_own(group, &group->protocol_type, stored.protocol_type);
    if (!err)
        err = broker_group_member_own(group, &group->protocol_name, stored.protocol);
    for (int32_t i = 0; i < stored.member_count && !err; i++) {
        struct group_restored member;
        err = broker_offsets_member_read(&stored, &member);
        if (!err)
            err = broker_group_classic_restore(group, &member);
    }
    group->state = group->members.count > 0 ? GROUP_STABLE : GROUP_EMPTY;
    group->state_since_ms =
        stored.state_since_ms >= 0 ? stored.state_since_ms : group->env->wall_ms;
    return err;
}

/* Sessions run anew from now on: members go on with the generation they know. */
static void load_end(struct group_partition *partition)
{
    broker_group_coordinator_now(partition->groups);
    partition->load = GROUP_LOADED;
    list_for_each_safe (node, following, &partition->entries) {
        struct group_entry *entry = LIST_ENTRY(node, struct group_entry, node);
        enum err err = entry->kept.data ? entry_restore(entry) : ERR_OK;
        if (err)
            log_error(core_logger(partition->groups->core), "broker",
                      "a group's members cannot be read back: %s group=%.*s", err_text(err),
                      (int)MIN(entry->group.id.size, (size_t)200),
                      (const char *)entry->group.id.data);
        broker_group_entry_settle(entry);
    }
    partition->offset_next = partition->read.offset;
    broker_group_coordinator_unpark(partition, ERR_OK);
    broker_group_rewrite_consider(partition);
}

static void load_fail(struct group_partition *partition, enum err err)
{
    log_error(core_logger(partition->groups->core), "broker",
              "group state cannot be read: %s partition=%u", err_text(err), partition->index);
    list_for_each_safe (node, following, &partition->entries)
        broker_group_entry_free(LIST_ENTRY(node, struct group_entry, node));
    partition->log_bytes = 0;
    partition->load = GROUP_UNLOADED; /* the next call tries again */
    broker_group_coordinator_unpark(partition, ERR_LOADING);
}

/* ERR_OK: read on from read->offset. ERR_NOT_FOUND: that was all. */
static enum err load_take(struct group_partition *partition)
{
    struct broker_read *read = &partition->read;
    enum err err = read->call.err;
    if (err == ERR_OUT_OF_RANGE && read->offset < read->log_start) {
        read->offset = read->log_start;
        return ERR_OK;
    }
    if (err == ERR_CORRUPT && read->store.offset_next > read->offset) {
        log_error(core_logger(partition->groups->core), "broker",
                  "damaged group state is passed over: partition=%u first=%lld next=%lld",
                  partition->index, (long long)read->offset, (long long)read->store.offset_next);
        read->offset = read->store.offset_next;
        return ERR_OK;
    }
    if (err)
        return err;
    if (read->store.size == 0 && read->store.offset_next <= read->offset)
        return ERR_NOT_FOUND;
    if (read->store.size == 0) {
        read->offset = read->store.offset_next;
        return ERR_OK;
    }
    err = load_chunks(partition, &read->store);
    read->offset = read->store.offset_next;
    broker_read_release(read);
    return err;
}

static void load_done(struct broker_call *call)
{
    struct group_partition *partition = CONTAINER_OF(call, struct group_partition, read.call);
    enum err err = load_take(partition);
    if (err == ERR_OK)
        load_read(partition);
    else if (err == ERR_NOT_FOUND)
        load_end(partition);
    else
        load_fail(partition, err);
}

static void load_read(struct group_partition *partition)
{
    int64_t offset = partition->read.offset;
    partition->read = (struct broker_read){.call.done = load_done,
                                           .offset = offset,
                                           .epoch = BROKER_EPOCH_ANY,
                                           .size_max = GROUP_LOAD_READ_BYTES,
                                           .want_one = true,
                                           .want_memory = true};
    const struct broker_topic *topic = partition->groups->topic;
    broker_read(partition->groups->core, broker_partition_at(topic, (int32_t)partition->index),
                &partition->read);
}

void broker_group_load_start(struct group_partition *partition)
{
    CHECK(partition->load == GROUP_UNLOADED);
    partition->load = GROUP_LOADING;
    partition->read.offset = 0;
    load_read(partition);
}

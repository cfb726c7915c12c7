// Reads a partition of __consumer_offsets back into memory, on first use after a start.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/endian.h"
#include "broker/group_coordinator.h"
#include "broker/share_state.h"

/* Where a record comes from. */
struct load_place {
    int64_t log_offset;
    int64_t producer_id; /* -1: no transaction */
};

static struct group_entry *load_entry(struct group_partition *partition, struct slice id)
{
    struct group_entry *entry = broker_group_entry_find(partition->groups, id);
    return entry ? entry : broker_group_entry_new(partition, id);
}

/* Of a transaction: it counts when the marker is found, if at all. */
static enum err load_promise(struct group_entry *entry, struct group_slot *slot,
                             struct group_value *take_value, const struct load_place *place)
{
    struct group_promise *promise =
        broker_group_promise_new(entry, slot, take_value, place->producer_id);
    if (!promise)
        return ERR_NO_MEMORY;
    broker_group_promise_written(promise, place->log_offset);
    return ERR_OK;
}

static enum err load_offset(struct group_partition *partition, const struct offsets_key *key,
                            struct slice bytes, const struct load_place *place)
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
    if (place->producer_id != -1)
        return load_promise(entry, slot, copy, place);
    broker_group_slot_set(entry, slot, copy, place->log_offset);
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

/* Of the newer protocol: kept as it is, too. */
static enum err load_fact(struct group_partition *partition, const struct record *record,
                          int64_t log_offset)
{
    enum consumer_fact kind;
    struct slice id;
    struct slice name;
    enum err err = broker_group_consumer_record_key_read(record->key, &kind, &id, &name);
    if (err || kind == CONSUMER_FACT_PARTITIONS)
        return err;
    struct group_entry *entry = load_entry(partition, id);
    struct group_fact *fact = entry ? broker_group_fact_get(entry, kind, name) : NULL;
    struct slice copy = SLICE_NULL;
    err = fact ? broker_group_member_own(&entry->group, &copy, record->value) : ERR_NO_MEMORY;
    if (err)
        return err;
    broker_group_fact_set(entry, fact, copy, log_offset);
    broker_group_fact_tidy(entry, fact);
    return ERR_OK;
}

/* The end of a transaction: version i16 and kind i16 (0 abort, 1 commit) are the key. */
static enum err load_marker(struct group_partition *partition, const struct batch_header *header,
                            const struct record *record)
{
    if (record->key.size < 4)
        return ERR_CORRUPT;
    uint16_t kind = be16_get(record->key.data + 2);
    if (kind <= 1)
        broker_group_promise_settle(partition, header->producer_id, kind == 1);
    return ERR_OK;
}

static enum err load_record(struct replay *replay, const struct batch_header *header,
                            const struct record *record)
{
    struct group_partition *partition = CONTAINER_OF(replay, struct group_partition, replay);
    bool is_transactional = header->attributes & BATCH_TRANSACTIONAL;
    struct load_place place = {.log_offset = broker_replay_offset(header, record),
                               .producer_id = is_transactional ? header->producer_id : -1};
    if (header->attributes & BATCH_CONTROL)
        return load_marker(partition, header, record);
    struct offsets_key key;
    enum err err = broker_offsets_key_read(record->key, &key);
    if (err == ERR_UNSUPPORTED)
        return load_fact(partition, record, place.log_offset);
    if (err)
        return err;
    return key.is_group ? load_group(partition, key.group, record->value, place.log_offset)
                        : load_offset(partition, &key, record->value, &place);
}

static enum err classic_restore(struct group_entry *entry)
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

static void fact_tell(const struct group_entry *entry, const struct group_fact *fact, enum err err)
{
    log_error(core_logger(entry->partition->groups->core), "broker",
              "a record of a group cannot be read: %s group=%.*s kind=%d", err_text(err),
              (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data,
              (int)broker_group_fact_kind(fact));
}

/* A record that cannot be read costs its member, which has to join again. */
static enum err fact_restore(struct group_entry *entry, const struct group_fact *fact)
{
    if (!fact->value.data)
        return ERR_OK;
    struct slice name = broker_group_fact_name(fact);
    enum err err = broker_group_consumer_record_restore(
        entry->consumer, broker_group_fact_kind(fact), name, fact->value);
    if (!err || err == ERR_NO_MEMORY)
        return err;
    fact_tell(entry, fact, err);
    struct consumer_member *member = broker_group_consumer_member_find(entry->consumer, name);
    if (member)
        broker_group_consumer_member_free(entry->consumer, member);
    return ERR_OK;
}

static enum err consumer_restore(struct group_entry *entry)
{
    enum err err = broker_group_entry_consumer_new(entry) ? ERR_OK : ERR_NO_MEMORY;
    list_for_each (node, &entry->fact_list)
        if (!err)
            err = fact_restore(entry, LIST_ENTRY(node, struct group_fact, node));
    if (!err)
        broker_group_consumer_record_restored(entry->consumer);
    else
        broker_group_entry_consumer_free(entry);
    return err;
}

static enum err share_fact_restore(struct group_entry *entry, const struct group_fact *fact)
{
    if (!fact->value.data)
        return ERR_OK;
    struct slice name = broker_group_fact_name(fact);
    enum err err = broker_group_share_record_restore(entry->share, broker_group_fact_kind(fact),
                                                     name, fact->value);
    if (!err || err == ERR_NO_MEMORY)
        return err;
    fact_tell(entry, fact, err);
    struct group_share_member *member = broker_group_share_member_find(entry->share, name);
    if (member)
        broker_group_share_member_free(entry->share, member);
    return ERR_OK;
}

static enum err share_restore(struct group_entry *entry)
{
    struct broker_group_settings settings;
    enum err err = broker_group_entry_share_new(entry) ? ERR_OK : ERR_NO_MEMORY;
    list_for_each (node, &entry->fact_list)
        if (!err)
            err = share_fact_restore(entry, LIST_ENTRY(node, struct group_fact, node));
    broker_group_settings_get(entry->partition->groups->core, entry->group.id, &settings);
    if (!err)
        broker_group_share_record_restored(entry->share, settings.share_session_timeout_ms);
    else
        broker_group_entry_share_free(entry);
    return err;
}

/* Which of the kinds it is: the one whose record is the newest. */
static int64_t fact_offset(const struct group_entry *entry, enum consumer_fact kind)
{
    const struct group_fact *fact = broker_group_fact_find(entry, kind);
    return fact && fact->value.data ? fact->log_offset : -1;
}

enum err broker_group_load_entry(struct group_entry *entry)
{
    int64_t consumer = fact_offset(entry, CONSUMER_FACT_EPOCH);
    int64_t share = fact_offset(entry, SHARE_FACT_EPOCH);
    broker_group_coordinator_now(entry->partition->groups);
    if (consumer > MAX(entry->kept_offset, share))
        return consumer_restore(entry);
    if (share > entry->kept_offset)
        return share_restore(entry);
    if (!entry->kept.data)
        return ERR_OK;
    enum err err = classic_restore(entry);
    if (!err)
        return ERR_OK;
    log_error(core_logger(entry->partition->groups->core), "broker",
              "a group's members cannot be read back: %s group=%.*s", err_text(err),
              (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data);
    if (err == ERR_NO_MEMORY)
        broker_group_classic_reset(&entry->group, ERR_CLOSED);
    return err == ERR_NO_MEMORY ? err : ERR_OK;
}

/* Sessions run anew from now on: members go on with the generation they know. */
static void load_end(struct group_partition *partition)
{
    broker_group_coordinator_now(partition->groups);
    partition->load = GROUP_LOADED;
    list_for_each_safe (node, following, &partition->entries) {
        struct group_entry *entry = LIST_ENTRY(node, struct group_entry, node);
        if (broker_group_load_entry(entry))
            broker_group_turn_void(entry, ERR_NO_MEMORY);
        broker_group_entry_settle(entry);
    }
    partition->offset_next = partition->replay.read.offset;
    partition->log_bytes = partition->replay.log_bytes;
    broker_group_coordinator_unpark(partition, ERR_OK);
    broker_group_rewrite_consider(partition);
}

static void load_fail(struct group_partition *partition, enum err err)
{
    log_error(core_logger(partition->groups->core), "broker",
              "group state cannot be read: %s partition=%u", err_text(err), partition->index);
    broker_group_promise_free_all(partition);
    list_for_each_safe (node, following, &partition->entries)
        broker_group_entry_free(LIST_ENTRY(node, struct group_entry, node));
    partition->load = GROUP_UNLOADED; /* the next call tries again */
    broker_group_coordinator_unpark(partition, ERR_LOADING);
}

static void load_done(struct replay *replay, enum err err)
{
    struct group_partition *partition = CONTAINER_OF(replay, struct group_partition, replay);
    if (err)
        load_fail(partition, err);
    else
        load_end(partition);
}

void broker_group_load_start(struct group_partition *partition)
{
    CHECK(partition->load == GROUP_UNLOADED);
    partition->load = GROUP_LOADING;
    partition->replay = (struct replay){.core = partition->groups->core,
                                        .topic = partition->groups->topic,
                                        .partition = (int32_t)partition->index,
                                        .batch_size_max = GROUP_BATCH_SIZE_MAX,
                                        .record = load_record,
                                        .done = load_done};
    broker_replay_start(&partition->replay);
}

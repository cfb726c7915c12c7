// Batches of __consumer_offsets on their way to the log; what they say holds once they are durable.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_batch.h"

/* What is kept to be used again. */
#define WRITES_KEEP        256
#define WRITE_OFFSETS_KEEP 16u
/* What is gathered goes on its way at this size, or when the log takes it. */
#define GATHER_SIZE_MAX ((size_t)64 << 10)

struct append_offset {
    struct group_slot *slot;
    struct group_value *value;     /* NULL: tombstone */
    struct group_promise *promise; /* of a transaction: it has the value, and the slot */
    int64_t delta;                 /* of its record in the batch */
};

struct append_fact {
    struct group_fact *fact;
    struct slice value; /* own block; null: tombstone */
    int64_t delta;      /* of its record in the batch */
};

enum append_group {
    APPEND_GROUP_NONE,
    APPEND_GROUP_STORED,
    APPEND_GROUP_TOMBSTONE,
    APPEND_GROUP_AGAIN /* what is durable already */
};

struct group_append {
    struct list node; /* in groups.writes, or in batch.writes */
    struct group_entry *entry;
    struct group_batch *batch; /* NULL: it has arrived */
    int32_t first;             /* records of others before it in the batch */
    bool is_gathered;
    struct append_offset *offsets;
    size_t offset_count;
    size_t offset_capacity;
    struct append_fact *facts;
    size_t fact_count;
    size_t fact_capacity;
    int64_t group_delta; /* of the record of the classic group */
    enum append_group group;
    struct slice kept;          /* own block: STORED, the metadata written */
    unsigned round;             /* of the partition when it began */
    struct group_write machine; /* kind and generation of a write of the state machine */
    bool is_machine;
    void (*done)(void *arg, enum err err);
    void *arg;
};

/* --- memory: what was used last is used next --- */

static struct group_append *write_get(struct groups *groups)
{
    struct list *node = list_pop_front(&groups->writes);
    struct group_append *write =
        node ? LIST_ENTRY(node, struct group_append, node) : malloc(sizeof(*write));
    struct append_offset *offsets = NULL;
    size_t offset_capacity = 0;
    if (!write)
        return NULL;
    if (node) {
        groups->write_count--;
        offsets = write->offsets;
        offset_capacity = write->offset_capacity;
    }
    *write = (struct group_append){.offsets = offsets, .offset_capacity = offset_capacity};
    return write;
}

static void write_put(struct groups *groups, struct group_append *take_write)
{
    free(take_write->facts);
    if (groups->write_count >= WRITES_KEEP || take_write->offset_capacity > WRITE_OFFSETS_KEEP) {
        free(take_write->offsets);
        free(take_write);
        return;
    }
    list_push_front(&groups->writes, &take_write->node);
    groups->write_count++;
}

void broker_group_write_deinit(struct groups *groups)
{
    struct list *node;
    while ((node = list_pop_front(&groups->writes)) != NULL) {
        struct group_append *write = LIST_ENTRY(node, struct group_append, node);
        free(write->offsets);
        free(write);
    }
    groups->write_count = 0;
    broker_group_batch_deinit(groups);
}

/* --- a write --- */

/* As a part of batch. */
static struct group_append *write_begin(struct group_entry *entry, struct group_batch *batch)
{
    struct group_append *write = write_get(entry->partition->groups);
    if (!write)
        return NULL;
    write->entry = entry;
    write->batch = batch;
    write->first = batch->room->build.header.record_count;
    batch->open++;
    entry->writes++;
    entry->partition->writes++;
    write->round = entry->partition->round;
    return write;
}

struct group_append *broker_group_write_new(struct group_entry *entry)
{
    struct group_batch *batch = broker_group_batch_new(entry->partition);
    struct group_append *write = batch ? write_begin(entry, batch) : NULL;
    if (batch && !write)
        broker_group_batch_free(batch);
    return write;
}

static bool is_at_home(const struct group_partition *partition)
{
    const struct groups *groups = partition->groups;
    struct broker_partition *log = broker_partition_at(groups->topic, (int32_t)partition->index);
    return atomic_load_explicit(&log->home, memory_order_relaxed) == core_id(groups->core);
}

struct group_append *broker_group_write_gather(struct group_entry *entry)
{
    struct group_partition *partition = entry->partition;
    struct group_batch *batch = partition->gather;
    if (!is_at_home(partition))
        return broker_group_write_new(entry); /* another core's log takes it at its own times */
    if (!batch)
        batch = broker_group_batch_new(partition);
    struct group_append *write = batch ? write_begin(entry, batch) : NULL;
    if (write) {
        write->is_gathered = true;
        partition->gather = batch;
    } else if (batch && !partition->gather) {
        broker_group_batch_free(batch);
    }
    return write;
}

static void write_free(struct group_append *write)
{
    struct group_entry *entry = write->entry;
    entry->writes--;
    entry->partition->writes--;
    if (write->group != APPEND_GROUP_NONE)
        entry->group_writes--;
    if (write->round != entry->partition->round)
        entry->partition->rewrite.writes_old--;
    broker_group_member_disown(&entry->group, &write->kept);
    free((void *)(uintptr_t)write->machine.member_id.data);
    write_put(entry->partition->groups, write);
}

static enum err record_add(struct group_append *write, bool tombstone)
{
    struct build_record record = {
        .timestamp_ms = write->entry->group.env->wall_ms,
        .key = slice_make(write->batch->room->key.data, write->batch->room->key.size),
        .value = tombstone
                     ? SLICE_NULL
                     : slice_make(write->batch->room->value.data, write->batch->room->value.size)};
    return build_add(&write->batch->room->build, &record);
}

static enum err offset_room(struct group_append *write)
{
    if (write->offset_count < write->offset_capacity)
        return ERR_OK;
    size_t capacity = MAX(write->offset_capacity * 2, (size_t)8);
    struct append_offset *offsets = reallocarray(write->offsets, capacity, sizeof(*write->offsets));
    if (!offsets)
        return ERR_NO_MEMORY;
    write->offsets = offsets;
    write->offset_capacity = capacity;
    return ERR_OK;
}

void broker_group_write_transactional(struct group_append *write, int64_t producer_id,
                                      int16_t epoch)
{
    struct group_batch *batch = write->batch;
    CHECK(!write->is_gathered);
    batch->room->build.header.attributes |= BATCH_TRANSACTIONAL;
    batch->room->build.header.producer_id = producer_id;
    batch->room->build.header.producer_epoch = epoch;
    batch->append.is_verified = true; /* the coordinator said so in this very turn */
    batch->append.verify_end = INT64_MAX;
}

/* In a transaction the value waits for its end. */
static enum err offset_promise(struct group_append *write, struct append_offset *offset)
{
    struct group_value *value = offset->value;
    int64_t producer_id = write->batch->room->build.header.producer_id;
    if (producer_id == -1)
        return ERR_OK;
    offset->value = NULL;
    offset->promise = broker_group_promise_new(write->entry, offset->slot, value, producer_id);
    return offset->promise ? ERR_OK : ERR_NO_MEMORY;
}

static void offset_drop(struct group_append *write, struct append_offset *offset)
{
    if (offset->promise) {
        broker_group_promise_free(offset->promise);
        return;
    }
    broker_group_slot_value_free(write->entry, offset->value);
    if (offset->slot)
        broker_group_slot_tidy(write->entry, offset->slot);
}

enum err broker_group_write_offset(struct group_append *write, struct slice topic,
                                   int32_t partition, const struct offsets_value *value)
{
    struct group_entry *entry = write->entry;
    struct offsets_key key = {.group = entry->group.id, .topic = topic, .partition = partition};
    write->batch->room->key.size = 0;
    write->batch->room->value.size = 0;
    enum err err = broker_offsets_key_write(&write->batch->room->key, &key);
    if (!err && value)
        err = broker_offsets_value_write(&write->batch->room->value, value);
    if (!err)
        err = offset_room(write);
    if (err)
        return err;
    struct append_offset offset = {.delta = write->batch->room->build.header.record_count,
                                   .slot = broker_group_slot_get(entry, topic, partition),
                                   .value =
                                       value ? broker_group_slot_value_new(entry, value) : NULL};
    err = !offset.slot || (value && !offset.value) ? ERR_NO_MEMORY : ERR_OK;
    if (!err)
        err = offset_promise(write, &offset);
    if (!err)
        err = record_add(write, !value);
    if (err) {
        offset_drop(write, &offset);
        return err;
    }
    offset.slot->pending++;
    write->offsets[write->offset_count++] = offset;
    return ERR_OK;
}

static enum err fact_room(struct group_append *write)
{
    if (write->fact_count < write->fact_capacity)
        return ERR_OK;
    size_t capacity = MAX(write->fact_capacity * 2, (size_t)8);
    struct append_fact *facts = reallocarray(write->facts, capacity, sizeof(*write->facts));
    if (!facts)
        return ERR_NO_MEMORY;
    write->facts = facts;
    write->fact_capacity = capacity;
    return ERR_OK;
}

enum err broker_group_write_fact(struct group_append *write, enum consumer_fact kind,
                                 struct slice name, struct slice value)
{
    struct group_entry *entry = write->entry;
    struct append_fact fact = {.delta = write->batch->room->build.header.record_count};
    write->batch->room->key.size = 0;
    write->batch->room->value.size = 0;
    enum err err =
        broker_group_consumer_record_key(&write->batch->room->key, kind, entry->group.id, name);
    if (!err)
        err = codec_output_add(&write->batch->room->value, value);
    if (!err)
        err = fact_room(write);
    if (!err)
        err = broker_group_member_own(&entry->group, &fact.value, value);
    if (err)
        return err;
    fact.fact = broker_group_fact_get(entry, kind, name);
    err = fact.fact ? record_add(write, !value.data) : ERR_NO_MEMORY;
    if (err) {
        broker_group_member_disown(&entry->group, &fact.value);
        if (fact.fact)
            broker_group_fact_tidy(entry, fact.fact);
        return err;
    }
    fact.fact->pending++;
    write->facts[write->fact_count++] = fact;
    return ERR_OK;
}

bool broker_group_write_has_group(const struct group_append *write)
{
    return write->group != APPEND_GROUP_NONE;
}

/* The value has been made. */
static enum err group_record(struct group_append *write, enum append_group kind)
{
    struct offsets_key key = {.is_group = true, .group = write->entry->group.id};
    CHECK(write->group == APPEND_GROUP_NONE);
    write->group = kind;
    write->group_delta = write->batch->room->build.header.record_count;
    write->entry->group_writes++;
    write->batch->room->key.size = 0;
    enum err err = broker_offsets_key_write(&write->batch->room->key, &key);
    return err ? err : record_add(write, kind == APPEND_GROUP_TOMBSTONE);
}

enum err broker_group_write_group(struct group_append *write, bool proposed)
{
    struct group *group = &write->entry->group;
    write->batch->room->value.size = 0;
    enum err err = broker_offsets_group_write(&write->batch->room->value, group, proposed);
    if (!err)
        err = broker_group_member_own(
            group, &write->kept,
            slice_make(write->batch->room->value.data, write->batch->room->value.size));
    return err ? err : group_record(write, APPEND_GROUP_STORED);
}

enum err broker_group_write_tombstone(struct group_append *write)
{
    return group_record(write, APPEND_GROUP_TOMBSTONE);
}

enum err broker_group_write_kept(struct group_append *write)
{
    struct slice kept = write->entry->kept;
    write->batch->room->value.size = 0;
    enum err err = codec_output_add(&write->batch->room->value, kept);
    return err ? err : group_record(write, APPEND_GROUP_AGAIN);
}

size_t broker_group_write_size(const struct group_append *write)
{
    return write->batch->room->build.records.size;
}

bool broker_group_write_is_empty(const struct group_append *write)
{
    return write->batch->room->build.header.record_count == write->first;
}

static void facts_apply(struct group_append *write, enum err err, int64_t base_offset)
{
    struct group_entry *entry = write->entry;
    for (size_t i = 0; i < write->fact_count; i++) {
        struct append_fact *fact = &write->facts[i];
        if (err)
            broker_group_member_disown(&entry->group, &fact->value);
        else
            broker_group_fact_set(entry, fact->fact, fact->value, base_offset + fact->delta);
    }
    for (size_t i = 0; i < write->fact_count; i++) {
        write->facts[i].fact->pending--;
        broker_group_fact_tidy(entry, write->facts[i].fact);
    }
    write->fact_count = 0;
}

/* What was written holds; what was not is forgotten. */
static void write_apply(struct group_append *write, enum err err, int64_t base_offset)
{
    struct group_entry *entry = write->entry;
    for (size_t i = 0; i < write->offset_count; i++) {
        struct append_offset *offset = &write->offsets[i];
        if (offset->promise && err)
            broker_group_promise_free(offset->promise);
        else if (offset->promise)
            broker_group_promise_written(offset->promise, base_offset + offset->delta);
        else if (err)
            broker_group_slot_value_free(entry, offset->value);
        else
            broker_group_slot_set(entry, offset->slot, offset->value, base_offset + offset->delta);
    }
    /* One place may be named twice: it goes with its last mention. */
    for (size_t i = 0; i < write->offset_count; i++) {
        write->offsets[i].slot->pending--;
        broker_group_slot_tidy(entry, write->offsets[i].slot);
    }
    facts_apply(write, err, base_offset);
    if (err)
        return;
    if (write->group == APPEND_GROUP_AGAIN) {
        entry->kept_offset = MAX(entry->kept_offset, base_offset + write->group_delta);
    } else if (write->group != APPEND_GROUP_NONE) {
        broker_group_rewrite_keep(entry, write->kept, base_offset + write->group_delta);
        write->kept = SLICE_NULL;
    }
}

static void write_finish(struct group_append *write, enum err err, int64_t base_offset)
{
    struct group_entry *entry = write->entry;
    void (*done)(void *arg, enum err err) = write->done;
    void *arg = write->arg;
    write_apply(write, err, base_offset);
    if (err && err != ERR_CLOSED) /* the server stops: who asked is told */
        log_warn(core_logger(entry->partition->groups->core), "broker",
                 "a write of group state failed: %s group=%.*s", err_text(err),
                 (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data);
    if (write->is_machine)
        broker_group_classic_written(&entry->group, &write->machine, err);
    write_free(write);
    if (entry->group_writes == 0)
        broker_group_entry_left(entry, err);
    if (done)
        done(arg, err);
    broker_group_entry_settle(entry);
}

void broker_group_write_drop(struct group_append *take_write)
{
    struct group_batch *batch = take_write->batch;
    struct group_partition *partition = batch->partition;
    bool is_alone = --batch->open == 0 && list_empty(&batch->writes);
    CHECK(!take_write->is_gathered || broker_group_write_is_empty(take_write));
    write_apply(take_write, ERR_CANCELLED, 0);
    write_free(take_write);
    if (!is_alone)
        return;
    if (partition->gather == batch)
        partition->gather = NULL;
    broker_group_batch_free(batch);
}

/* --- a batch --- */

static void batch_done(struct broker_call *call)
{
    struct group_batch *batch = CONTAINER_OF(call, struct group_batch, append.call);
    struct group_partition *partition = batch->partition;
    struct list *node;
    buf_unref(batch->append.batch.buf);
    broker_group_coordinator_now(partition->groups);
    if (!call->err) {
        const struct batch_header *header = &batch->append.store.header;
        int64_t last = batch->append.base_offset + header->last_offset_delta;
        partition->offset_next = MAX(partition->offset_next, last + 1);
        partition->log_bytes += header->size;
    }
    while ((node = list_pop_front(&batch->writes)) != NULL)
        write_finish(LIST_ENTRY(node, struct group_append, node), call->err,
                     batch->append.base_offset);
    broker_group_batch_free(batch);
    broker_group_rewrite_consider(partition);
}

/* What was gathered goes before what follows. */
static void gather_send(struct group_partition *partition)
{
    struct group_batch *batch = partition->gather;
    if (!batch)
        return;
    CHECK(batch->open == 0);
    struct core *core = partition->groups->core;
    partition->gather = NULL;
    list_remove(&batch->node);
    broker_group_batch_send(batch, batch_done);
    broker_core(core)->appends--;
    broker_drain_look(core);
}

void broker_group_write_gathered(struct store_gather *gather)
{
    struct groups *groups = CONTAINER_OF(gather, struct groups, gather);
    while (!list_empty(&groups->gathered))
        gather_send(LIST_ENTRY(list_first(&groups->gathered), struct group_batch, node)->partition);
}

void broker_group_write_stop(struct groups *groups)
{
    struct list *node, *part;
    list_remove(&groups->gather.node);
    while ((node = list_pop_front(&groups->gathered)) != NULL) {
        struct group_batch *batch = LIST_ENTRY(node, struct group_batch, node);
        batch->partition->gather = NULL;
        broker_core(groups->core)->appends--;
        while ((part = list_pop_front(&batch->writes)) != NULL) {
            struct group_append *write = LIST_ENTRY(part, struct group_append, node);
            write_apply(write, ERR_CLOSED, 0);
            write_free(write);
        }
        broker_group_batch_free(batch);
    }
}

/* It counts as an append from now on: a drain waits for it. */
static void gather_wait(struct group_batch *batch)
{
    struct groups *groups = batch->partition->groups;
    if (list_empty(&groups->gather.node))
        store_gather(groups->broker->store, groups->core, &groups->gather);
    list_push_back(&groups->gathered, &batch->node);
    broker_core(groups->core)->appends++;
}

void broker_group_write_send(struct group_append *take_write, void (*done)(void *arg, enum err err),
                             void *arg)
{
    struct group_batch *batch = take_write->batch;
    take_write->done = done;
    take_write->arg = arg;
    batch->open--;
    list_push_back(&batch->writes, &take_write->node);
    if (!take_write->is_gathered) {
        gather_send(batch->partition);
        broker_group_batch_send(batch, batch_done);
        return;
    }
    if (list_empty(&batch->node))
        gather_wait(batch);
    if (batch->room->build.records.size >= GATHER_SIZE_MAX)
        gather_send(batch->partition);
}

/* --- the state machine's writes --- */

static struct group_append *machine_write(struct group *group, const struct group_write *write)
{
    struct group_entry *entry = CONTAINER_OF(group, struct group_entry, group);
    struct group_append *append = broker_group_write_new(entry);
    if (!append)
        return NULL;
    append->is_machine = true;
    append->machine = *write;
    append->machine.member_id = SLICE_NULL;
    if (write->member_id.size == 0)
        return append;
    uint8_t *id = malloc(write->member_id.size);
    if (!id) {
        broker_group_write_drop(append);
        return NULL;
    }
    memcpy(id, write->member_id.data, write->member_id.size);
    append->machine.member_id = slice_make(id, write->member_id.size);
    return append;
}

enum err broker_group_write_machine(struct group_env *env, struct group *group,
                                    const struct group_write *write)
{
    struct group_append *append = machine_write(group, write);
    if (!append)
        return ERR_NO_MEMORY;
    enum err err = broker_group_write_group(append, write->kind == GROUP_WRITE_ASSIGNMENT);
    if (err)
        broker_group_write_drop(append);
    else
        broker_group_write_send(append, NULL, NULL);
    return err;
}

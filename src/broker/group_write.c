// Batches of __consumer_offsets on their way to the log; what they say holds once they are durable.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/poison.h"
#include "broker/group_coordinator.h"
#include "record/build.h"

/* What is kept to be used again. */
#define WRITES_KEEP        256
#define WRITE_OFFSETS_KEEP 16u
#define ROOMS_KEEP         4
#define ROOM_KEEP_SIZE     ((size_t)64 << 10)
/* A buffer for small batches; larger ones get one of their own. */
#define BATCHES_SIZE (16u << 10)
#define CACHE_LINE   64u

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

/* Where a batch is put together: needed until it is sent, then the next one's. */
struct append_room {
    struct list node; /* in groups.rooms */
    struct build build;
    struct codec_output key;
    struct codec_output value;
};

struct group_append {
    struct broker_append append;
    struct list node; /* in groups.writes */
    struct group_entry *entry;
    struct append_room *room; /* NULL: it has been sent */
    struct append_offset *offsets;
    size_t offset_count;
    size_t offset_capacity;
    struct append_fact *facts;
    size_t fact_count;
    size_t fact_capacity;
    int64_t group_delta; /* of the record of the classic group */
    enum append_group group;
    int64_t producer_id; /* -1: no transaction */
    int16_t epoch;
    struct slice kept;          /* own block: STORED, the metadata written */
    unsigned round;             /* of the partition when it began */
    struct group_write machine; /* kind and generation of a write of the state machine */
    bool is_machine;
    void (*done)(void *arg, enum err err);
    void *arg;
};

/* --- memory: what was used last is used next --- */

static struct append_room *room_get(struct groups *groups)
{
    struct list *node = list_pop_front(&groups->rooms);
    struct append_room *room =
        node ? LIST_ENTRY(node, struct append_room, node) : malloc(sizeof(*room));
    if (!room)
        return NULL;
    if (node) {
        groups->room_count--;
        build_reset(&room->build);
        return room;
    }
    list_init(&room->node);
    build_init(&room->build, GROUP_BATCH_SIZE_MAX);
    codec_output_init(&room->key, GROUP_BATCH_SIZE_MAX);
    codec_output_init(&room->value, GROUP_BATCH_SIZE_MAX);
    return room;
}

static void room_free(struct append_room *room)
{
    build_deinit(&room->build);
    codec_output_deinit(&room->key);
    codec_output_deinit(&room->value);
    free(room);
}

static void room_put(struct groups *groups, struct append_room *take_room)
{
    if (groups->room_count >= ROOMS_KEEP || take_room->key.capacity > ROOM_KEEP_SIZE ||
        take_room->value.capacity > ROOM_KEEP_SIZE ||
        take_room->build.records.capacity > ROOM_KEEP_SIZE) {
        room_free(take_room);
        return;
    }
    list_push_front(&groups->rooms, &take_room->node);
    groups->room_count++;
}

/* All but the words for a person, which are half of it and not written yet. */
static void write_clear(struct group_append *write)
{
    struct diag *words = &write->append.call.diag;
    uint8_t *behind = (uint8_t *)(words + 1);
    memset(write, 0, (size_t)((uint8_t *)words - (uint8_t *)write));
    memset(behind, 0, (size_t)((uint8_t *)(write + 1) - behind));
    words->text[0] = 0;
    write->producer_id = -1;
}

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
        UNPOISON(&write->append, sizeof(write->append));
        groups->write_count--;
        offsets = write->offsets;
        offset_capacity = write->offset_capacity;
    }
    write_clear(write);
    write->offsets = offsets;
    write->offset_capacity = offset_capacity;
    return write;
}

static void write_put(struct groups *groups, struct group_append *take_write)
{
    if (take_write->room)
        room_put(groups, take_write->room);
    free(take_write->facts);
    if (groups->write_count >= WRITES_KEEP || take_write->offset_capacity > WRITE_OFFSETS_KEEP) {
        free(take_write->offsets);
        free(take_write);
        return;
    }
    list_push_front(&groups->writes, &take_write->node);
    groups->write_count++;
    POISON(&take_write->append, sizeof(take_write->append));
}

void broker_group_write_deinit(struct groups *groups)
{
    struct list *node;
    while ((node = list_pop_front(&groups->writes)) != NULL) {
        struct group_append *write = LIST_ENTRY(node, struct group_append, node);
        UNPOISON(&write->append, sizeof(write->append));
        free(write->offsets);
        free(write);
    }
    while ((node = list_pop_front(&groups->rooms)) != NULL)
        room_free(LIST_ENTRY(node, struct append_room, node));
    groups->write_count = groups->room_count = 0;
    buf_unref(groups->batches);
    groups->batches = NULL;
}

/* A place for a batch. Small ones lie in one buffer, one behind the other, each on cache lines of
 * its own: the log writes into their heads, on the partition's core. */
static bool place_get(struct groups *groups, size_t size, struct buf_range *out)
{
    struct buf_pool *pool = core_buffers(groups->core);
    if (size > BATCHES_SIZE / 4) {
        *out = (struct buf_range){.buf = buf_pool_get(pool, size), .size = (uint32_t)size};
        return out->buf != NULL;
    }
    if (groups->batches && buf_is_exclusive(groups->batches))
        groups->batches_used = 0;
    if (!groups->batches || groups->batches->capacity - groups->batches_used < size) {
        struct buf *fresh = buf_pool_get(pool, BATCHES_SIZE);
        if (!fresh)
            return false;
        buf_unref(groups->batches);
        groups->batches = fresh;
        groups->batches_used = 0;
    }
    *out = (struct buf_range){buf_ref(groups->batches), groups->batches_used, (uint32_t)size};
    uint32_t end = groups->batches_used + (uint32_t)size;
    groups->batches_used = MIN((end + CACHE_LINE - 1) & ~(CACHE_LINE - 1), BATCHES_SIZE);
    return true;
}

/* --- a write --- */

struct group_append *broker_group_write_new(struct group_entry *entry)
{
    struct groups *groups = entry->partition->groups;
    struct append_room *room = room_get(groups);
    struct group_append *write = room ? write_get(groups) : NULL;
    if (!write) {
        if (room)
            room_put(groups, room);
        return NULL;
    }
    write->entry = entry;
    write->room = room;
    entry->writes++;
    entry->partition->writes++;
    write->round = entry->partition->round;
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
        .key = slice_make(write->room->key.data, write->room->key.size),
        .value =
            tombstone ? SLICE_NULL : slice_make(write->room->value.data, write->room->value.size)};
    return build_add(&write->room->build, &record);
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
    write->producer_id = producer_id;
    write->epoch = epoch;
}

/* In a transaction the value waits for its end. */
static enum err offset_promise(struct group_append *write, struct append_offset *offset)
{
    struct group_value *value = offset->value;
    if (write->producer_id == -1)
        return ERR_OK;
    offset->value = NULL;
    offset->promise =
        broker_group_promise_new(write->entry, offset->slot, value, write->producer_id);
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
    write->room->key.size = 0;
    write->room->value.size = 0;
    enum err err = broker_offsets_key_write(&write->room->key, &key);
    if (!err && value)
        err = broker_offsets_value_write(&write->room->value, value);
    if (!err)
        err = offset_room(write);
    if (err)
        return err;
    struct append_offset offset = {.delta = write->room->build.header.record_count,
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
    struct append_fact fact = {.delta = write->room->build.header.record_count};
    write->room->key.size = 0;
    write->room->value.size = 0;
    enum err err = broker_group_consumer_record_key(&write->room->key, kind, entry->group.id, name);
    if (!err)
        err = codec_output_add(&write->room->value, value);
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
    write->group_delta = write->room->build.header.record_count;
    write->entry->group_writes++;
    write->room->key.size = 0;
    enum err err = broker_offsets_key_write(&write->room->key, &key);
    return err ? err : record_add(write, kind == APPEND_GROUP_TOMBSTONE);
}

enum err broker_group_write_group(struct group_append *write, bool proposed)
{
    struct group *group = &write->entry->group;
    write->room->value.size = 0;
    enum err err = broker_offsets_group_write(&write->room->value, group, proposed);
    if (!err)
        err = broker_group_member_own(group, &write->kept,
                                      slice_make(write->room->value.data, write->room->value.size));
    return err ? err : group_record(write, APPEND_GROUP_STORED);
}

enum err broker_group_write_tombstone(struct group_append *write)
{
    return group_record(write, APPEND_GROUP_TOMBSTONE);
}

enum err broker_group_write_kept(struct group_append *write)
{
    struct slice kept = write->entry->kept;
    write->room->value.size = 0;
    enum err err = codec_output_add(&write->room->value, kept);
    return err ? err : group_record(write, APPEND_GROUP_AGAIN);
}

size_t broker_group_write_size(const struct group_append *write)
{
    return write->room->build.records.size;
}

bool broker_group_write_is_empty(const struct group_append *write)
{
    return write->room->build.header.record_count == 0;
}

static void facts_apply(struct group_append *write, enum err err)
{
    struct group_entry *entry = write->entry;
    for (size_t i = 0; i < write->fact_count; i++) {
        struct append_fact *fact = &write->facts[i];
        if (err)
            broker_group_member_disown(&entry->group, &fact->value);
        else
            broker_group_fact_set(entry, fact->fact, fact->value,
                                  write->append.base_offset + fact->delta);
    }
    for (size_t i = 0; i < write->fact_count; i++) {
        write->facts[i].fact->pending--;
        broker_group_fact_tidy(entry, write->facts[i].fact);
    }
    write->fact_count = 0;
}

/* What was written holds; what was not is forgotten. */
static void write_apply(struct group_append *write, enum err err)
{
    struct group_entry *entry = write->entry;
    for (size_t i = 0; i < write->offset_count; i++) {
        struct append_offset *offset = &write->offsets[i];
        if (offset->promise && err)
            broker_group_promise_free(offset->promise);
        else if (offset->promise)
            broker_group_promise_written(offset->promise,
                                         write->append.base_offset + offset->delta);
        else if (err)
            broker_group_slot_value_free(entry, offset->value);
        else
            broker_group_slot_set(entry, offset->slot, offset->value,
                                  write->append.base_offset + offset->delta);
    }
    /* One place may be named twice: it goes with its last mention. */
    for (size_t i = 0; i < write->offset_count; i++) {
        write->offsets[i].slot->pending--;
        broker_group_slot_tidy(entry, write->offsets[i].slot);
    }
    facts_apply(write, err);
    if (err)
        return;
    struct group_partition *partition = entry->partition;
    int64_t last = write->append.base_offset + write->append.store.header.last_offset_delta;
    partition->offset_next = MAX(partition->offset_next, last + 1);
    partition->log_bytes += write->append.store.header.size;
    if (write->group == APPEND_GROUP_AGAIN) {
        entry->kept_offset =
            MAX(entry->kept_offset, write->append.base_offset + write->group_delta);
    } else if (write->group != APPEND_GROUP_NONE) {
        broker_group_rewrite_keep(entry, write->kept,
                                  write->append.base_offset + write->group_delta);
        write->kept = SLICE_NULL;
    }
}

static void write_finish(struct group_append *write, enum err err)
{
    struct group_entry *entry = write->entry;
    struct group_partition *partition = entry->partition;
    void (*done)(void *arg, enum err err) = write->done;
    void *arg = write->arg;
    broker_group_coordinator_now(partition->groups);
    write_apply(write, err);
    if (err)
        log_warn(core_logger(entry->partition->groups->core), "broker",
                 "a write of group state failed: %s group=%.*s", err_text(err),
                 (int)MIN(entry->group.id.size, (size_t)200), (const char *)entry->group.id.data);
    if (write->is_machine)
        broker_group_classic_written(&entry->group, &write->machine, err);
    write_free(write);
    if (done)
        done(arg, err);
    broker_group_entry_settle(entry);
    broker_group_rewrite_consider(partition);
}

void broker_group_write_drop(struct group_append *take_write)
{
    write_apply(take_write, ERR_CANCELLED);
    write_free(take_write);
}

static void append_done(struct broker_call *call)
{
    struct group_append *write = CONTAINER_OF(call, struct group_append, append.call);
    buf_unref(write->append.batch.buf);
    write_finish(write, call->err);
}

/* The batch in a buffer that the log may keep. */
static enum err batch_make(struct group_append *write)
{
    struct codec_output *out = &write->room->value;
    out->size = 0;
    if (write->producer_id != -1) {
        write->room->build.header.attributes |= BATCH_TRANSACTIONAL;
        write->room->build.header.producer_id = write->producer_id;
        write->room->build.header.producer_epoch = write->epoch;
        write->append.is_verified = true; /* the coordinator said so in this very turn */
        write->append.verify_end = INT64_MAX;
    }
    enum err err = build_finish(&write->room->build, out);
    if (err)
        return err;
    if (!place_get(write->entry->partition->groups, out->size, &write->append.batch))
        return ERR_NO_MEMORY;
    memcpy(write->append.batch.buf->data + write->append.batch.offset, out->data, out->size);
    write->append.internal = true;
    return ERR_OK;
}

void broker_group_write_send(struct group_append *take_write, void (*done)(void *arg, enum err err),
                             void *arg)
{
    struct group_partition *partition = take_write->entry->partition;
    struct core *core = partition->groups->core;
    take_write->done = done;
    take_write->arg = arg;
    take_write->append.call.done = append_done;
    enum err err = batch_make(take_write);
    room_put(partition->groups, take_write->room);
    take_write->room = NULL;
    if (err) {
        broker_call_fail(core, &take_write->append.call, err);
        return;
    }
    broker_append(core, partition->groups->topic, (int32_t)partition->index, &take_write->append);
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

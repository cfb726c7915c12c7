// The coordinator of all groups, on core 0; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/offsets.h"
#include "broker/state.h"

#define GROUP_TOPIC "__consumer_offsets"
/* Calls wait so long for their partition to be read back, and so many. */
#define GROUP_LOAD_WAIT_MS   1000
#define GROUP_LOAD_CALLS_MAX 65536
/* How often a group looks for offsets that have expired, and whether it still has a reason to be.
 */
#define GROUP_CHECK_MS 600000
/* Bytes read at once while loading. */
#define GROUP_LOAD_READ_BYTES ((size_t)1 << 20)
/* The largest batch of __consumer_offsets: a group's metadata is one record. */
#define GROUP_BATCH_SIZE_MAX 104857600

enum group_load { GROUP_UNLOADED, GROUP_LOADING, GROUP_LOADED };

/* A partition of __consumer_offsets. */
struct group_partition {
    struct groups *groups;
    uint32_t index;
    enum group_load load;
    struct list entries; /* of group_entry.node */
    struct list parked;  /* of broker_call.node */
    size_t parked_count;
    struct core_timer timer; /* while calls are parked */
    struct broker_read read;
};

/* A value of a committed offset, its metadata behind it. */
struct group_value {
    struct offsets_value value;
    size_t size;
};

/* A place for the offset of one topic partition; value NULL: none (a write is under way). */
struct group_slot {
    struct list node; /* in entry.slots */
    struct slice key; /* partition (4 bytes), then the topic's name; bytes follow */
    struct group_value *value;
    int64_t log_offset; /* of the record that value comes from */
    unsigned pending;   /* writes under way */
    size_t size;
};

struct group_entry {
    struct group group;
    struct group_partition *partition;
    struct list node;
    struct core_timer timer;
    int64_t timer_ms; /* GROUP_NEVER_MS: not set */
    int64_t check_ms;
    struct map offsets; /* key -> struct group_slot */
    struct list slots;
    unsigned writes;     /* under way */
    bool stored;         /* its metadata is in the log */
    struct slice loaded; /* while loading: the newest metadata seen; own block */
    size_t size;
};

struct groups {
    struct group_env env;
    struct broker *broker;
    struct core *core;
    struct map by_id;
    const struct broker_topic *topic; /* a reference; NULL: not there yet */
    struct group_partition *partitions;
    uint32_t partition_count;
    bool creating;
    struct broker_topic_create create;
    struct list parked; /* for the topic */
};

/* --- group_coordinator.c --- */
/* On core 0; NULL: out of memory. */
struct groups *broker_group_coordinator(struct core *core);
enum group_way { GROUP_GO, GROUP_WAIT };
/* Whether the state that the call needs is there. GROUP_WAIT: it is parked and served again, or
 * answered. GROUP_GO: *out_partition is loaded; NULL: there is no topic yet, so no group. */
enum group_way broker_group_coordinator_enter(struct core *core, struct broker_call *call,
                                              struct slice group_id, bool create,
                                              struct group_partition **out_partition);
/* The same for one partition. */
enum group_way broker_group_coordinator_wait(struct group_partition *partition,
                                             struct broker_call *call);
void broker_group_coordinator_now(struct groups *groups);
/* Serves what was parked (err OK) or fails it. */
void broker_group_coordinator_unpark(struct group_partition *partition, enum err err);

/* --- group_entry.c --- */
struct group_entry *broker_group_entry_find(struct groups *groups, struct slice id);
/* NULL: out of memory or budget. */
struct group_entry *broker_group_entry_new(struct group_partition *partition, struct slice id);
/* After everything done to an entry: sets its timer, or frees it when it has no reason to be. */
void broker_group_entry_settle(struct group_entry *entry);
void broker_group_entry_free(struct group_entry *entry);
/* Whether a member reads the topic, as far as subscriptions can be read. */
bool broker_group_entry_is_subscribed(const struct group_entry *entry, struct slice topic);

/* --- group_slot.c --- */
struct group_slot *broker_group_slot_find(const struct group_entry *entry, struct slice topic,
                                          int32_t partition);
struct group_slot *broker_group_slot_get(struct group_entry *entry, struct slice topic,
                                         int32_t partition);
int32_t broker_group_slot_partition(const struct group_slot *slot);
struct slice broker_group_slot_topic(const struct group_slot *slot);
struct group_value *broker_group_slot_value_new(struct group_entry *entry,
                                                const struct offsets_value *value);
void broker_group_slot_value_free(struct group_entry *entry, struct group_value *value);
/* Takes the value (NULL: a tombstone); older than what is there: dropped. */
void broker_group_slot_set(struct group_entry *entry, struct group_slot *slot,
                           struct group_value *take_value, int64_t log_offset);
/* Frees a place without value that nobody writes to. */
void broker_group_slot_tidy(struct group_entry *entry, struct group_slot *slot);
void broker_group_slot_free(struct group_entry *entry, struct group_slot *slot);

/* --- group_write.c: batches on their way to the log --- */
struct group_append;
/* NULL: out of memory. The entry stays until it is done. */
struct group_append *broker_group_write_new(struct group_entry *entry);
/* An offset, or (value NULL) its tombstone. */
NODISCARD enum err broker_group_write_offset(struct group_append *write, struct slice topic,
                                             int32_t partition, const struct offsets_value *value);
NODISCARD enum err broker_group_write_group(struct group_append *write, bool proposed);
NODISCARD enum err broker_group_write_tombstone(struct group_append *write);
/* done (may be NULL) is called once, not inside, after the offsets are in place. Frees write. */
void broker_group_write_send(struct group_append *take_write, void (*done)(void *arg, enum err err),
                             void *arg);
void broker_group_write_drop(struct group_append *take_write);
bool broker_group_write_is_empty(const struct group_append *write);
/* group_env.write */
NODISCARD enum err broker_group_write_machine(struct group_env *env, struct group *group,
                                              const struct group_write *write);

/* --- group_load.c --- */
void broker_group_load_start(struct group_partition *partition);

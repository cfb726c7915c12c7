// The coordinator of all groups, on core 0; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/group_consumer.h"
#include "broker/group_share.h"
#include "broker/offsets.h"
#include "broker/replay.h"
#include "broker/state.h"

#define GROUP_TOPIC "__consumer_offsets"
/* Calls wait so long for their partition to be read back, and so many. */
#define GROUP_LOAD_WAIT_MS   1000
#define GROUP_LOAD_CALLS_MAX 65536
/* How often a group looks for offsets that have expired, and whether it still has a reason to be.
 */
#define GROUP_CHECK_MS 600000
/* The largest batch of __consumer_offsets: a group's metadata is one record. Also the size of its
 * segments: what has been rewritten leaves the disk by segments. */
#define GROUP_BATCH_SIZE_MAX 8388608
/* A partition is rewritten when its log has more bytes than this, and so many times the bytes of
 * what still counts. */
#define GROUP_REWRITE_SIZE_MIN (4 << 20)
#define GROUP_REWRITE_FACTOR   4
/* Offsets and groups looked at in one turn, batches under way, and the size at which one is full.
 */
#define GROUP_REWRITE_VISITS     256
#define GROUP_REWRITE_WINDOW     32
#define GROUP_REWRITE_BATCH_SIZE ((size_t)32 << 10)
/* Until what was busy is looked at again, and until a rewrite that failed is tried again. */
#define GROUP_REWRITE_AGAIN_MS 100
#define GROUP_REWRITE_RETRY_MS 10000
/* What a committed offset takes in the log beyond its names and its metadata, about. */
#define GROUP_RECORD_SIZE 64

struct group_batch;

enum group_load { GROUP_UNLOADED, GROUP_LOADING, GROUP_LOADED };

/* A rewrite of a partition (group_rewrite.c). */
struct group_rewrite {
    bool is_active;
    bool is_again;       /* something was busy: another pass */
    int64_t offset;      /* it began there: what counts must lie at or beyond it */
    uint64_t bytes;      /* of the log when it began */
    unsigned writes_old; /* begun before it, still under way */
    unsigned under_way;  /* of its own */
    enum err err;
    struct list todo; /* of group_entry.node */
    struct core_task task;
    struct core_timer timer; /* the next pass, or after an error the next try */
    struct broker_trim trim;
};

/* A partition of __consumer_offsets. */
struct group_partition {
    struct groups *groups;
    uint32_t index;
    enum group_load load;
    struct list entries; /* of group_entry.node */
    struct list parked;  /* of broker_call.node */
    size_t parked_count;
    struct core_timer timer; /* while calls are parked */
    struct replay replay;
    int64_t offset_next;        /* beyond all that is known to be durable */
    uint64_t log_bytes;         /* of batches in the log */
    uint64_t live_bytes;        /* about what all that counts would take */
    unsigned writes;            /* under way */
    struct group_batch *gather; /* commits of this turn, or NULL */
    struct list promises;       /* of group_promise.node: durable, in the order of the log */
    unsigned round;             /* rewrites begun */
    struct group_rewrite rewrite;
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
    int64_t log_offset;   /* of the record that value comes from */
    unsigned pending;     /* writes under way, and promises */
    struct list promises; /* of group_promise.slot_node, those under way too */
    size_t size;
};

/* An offset that a transaction will bring, if it commits. */
struct group_promise {
    struct list node; /* in partition.promises, or alone */
    struct list slot_node;
    struct group_entry *entry;
    struct group_slot *slot;
    struct group_value *value;
    int64_t producer_id;
    int64_t log_offset; /* of its record; -1: not written yet */
};

/* A place for a record of the newer protocol (group_fact.c). */
struct group_fact {
    struct list node;   /* in entry.fact_list */
    struct slice key;   /* its bytes follow */
    struct slice value; /* durable; own block; null: none (a write is under way) */
    int64_t log_offset;
    unsigned pending; /* writes under way */
    size_t size;
};

/* What runs ahead of the log (group_turn.c). */
struct group_turn {
    struct group_append *next; /* being filled, or NULL */
    struct list answers;       /* of broker_call.node: wait for it */
    struct list sent;          /* wait for the one under way */
    bool is_sent;              /* one is under way */
    bool is_void;              /* there is no state in memory until it can be made anew */
};

struct group_entry {
    struct group group;              /* empty while there is a consumer */
    struct group_consumer *consumer; /* of the newer protocol, or NULL */
    struct group_share *share;       /* of a share group, or NULL */
    struct map facts;                /* key -> struct group_fact */
    struct list fact_list;
    struct list *fact_cursor; /* of the rewrite; NULL: at its beginning */
    struct group_turn turn;
    struct group_partition *partition;
    struct list node;
    struct core_timer timer;
    int64_t timer_ms; /* GROUP_NEVER_MS: not set */
    int64_t check_ms;
    struct map offsets; /* key -> struct group_slot */
    struct list slots;
    unsigned writes;       /* under way */
    unsigned group_writes; /* of them with its metadata */
    struct list leaving;   /* of broker_call.node: wait until none of those is under way */
    bool stored;           /* its metadata is in the log */
    struct slice kept;     /* the newest durable metadata, as in the log; own block */
    int64_t kept_offset;   /* of the record that says so, or that it is gone */
    struct list *cursor;   /* of the rewrite, in slots; NULL: at their beginning */
    size_t size;
};

struct groups {
    struct group_env env;
    struct consumer_env consumer_env;
    bool can_upgrade; /* group.consumer.migration.policy */
    bool can_downgrade;
    struct broker *broker;
    struct core *core;
    struct map by_id;
    const struct broker_topic *topic; /* a reference; NULL: not there yet */
    struct group_partition *partitions;
    uint32_t partition_count;
    bool creating;
    uint64_t rewrite_size_min; /* GROUP_REWRITE_SIZE_MIN */
    unsigned rewrite_again_ms; /* GROUP_REWRITE_AGAIN_MS */
    unsigned long rewrites;    /* done */
    struct broker_topic_create create;
    struct list parked;   /* for the topic */
    struct list gathered; /* of group_batch.node: they go when the log takes them */
    struct store_gather gather;
    /* Of group_write.c and group_batch.c, to be used again. */
    struct list writes;
    size_t write_count;
    struct list batches_kept;
    size_t batch_count;
    struct list rooms;
    size_t room_count;
    struct buf *places; /* where small batches are put; may be NULL */
    uint32_t places_used;
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
/* Answers those who wait for what is written of the classic group. */
void broker_group_entry_left(struct group_entry *entry, enum err err);
void broker_group_entry_free(struct group_entry *entry);
/* Whether a member reads the topic, as far as subscriptions can be read. */
bool broker_group_entry_is_subscribed(const struct group_entry *entry, struct slice topic);
/* The same, from topics where it was asked for before: of a map that begins empty, whose keys are
 * the topics of the calls. */
bool broker_group_entry_is_subscribed_once(const struct group_entry *entry, struct map *topics,
                                           struct slice topic);
/* A group of the newer protocol, empty. NULL: out of memory. */
struct group_consumer *broker_group_entry_consumer_new(struct group_entry *entry);
void broker_group_entry_consumer_free(struct group_entry *entry);
/* A share group, empty. NULL: out of memory. */
struct group_share *broker_group_entry_share_new(struct group_entry *entry);
void broker_group_entry_share_free(struct group_entry *entry);
/* Nothing is known of it that would make it a classic group. */
bool broker_group_entry_is_blank(const struct group_entry *entry);

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
/* Its value is of a topic that is gone, or that was made anew since. */
bool broker_group_slot_is_void(const struct group_entry *entry, const struct group_slot *slot);
/* Frees a place without value that nobody writes to. */
void broker_group_slot_tidy(struct group_entry *entry, struct group_slot *slot);
void broker_group_slot_free(struct group_entry *entry, struct group_slot *slot);

/* --- group_write.c: batches on their way to the log --- */
struct group_append;
/* NULL: out of memory. The entry stays until it is done. */
struct group_append *broker_group_write_new(struct group_entry *entry);
/* Of offsets only, together with others of the partition until the log takes them. To be sent, or
 * dropped while it is empty, before anything else is written; not for a transaction. */
struct group_append *broker_group_write_gather(struct group_entry *entry);
/* groups.gather.run: sends all that was gathered. */
void broker_group_write_gathered(struct store_gather *gather);
/* What was gathered and not sent is dropped; nobody is told. */
void broker_group_write_stop(struct groups *groups);
/* All that follows is of this producer's transaction. */
void broker_group_write_transactional(struct group_append *write, int64_t producer_id,
                                      int16_t epoch);
/* An offset, or (value NULL) its tombstone. */
NODISCARD enum err broker_group_write_offset(struct group_append *write, struct slice topic,
                                             int32_t partition, const struct offsets_value *value);
NODISCARD enum err broker_group_write_group(struct group_append *write, bool proposed);
NODISCARD enum err broker_group_write_tombstone(struct group_append *write);
/* Whether it says something of the classic group already: it can once. */
bool broker_group_write_has_group(const struct group_append *write);
/* A record of the newer protocol; value null: a tombstone. */
NODISCARD enum err broker_group_write_fact(struct group_append *write, enum consumer_fact kind,
                                           struct slice name, struct slice value);
/* The durable metadata once more. */
NODISCARD enum err broker_group_write_kept(struct group_append *write);
size_t broker_group_write_size(const struct group_append *write);
/* done (may be NULL) is called once, not inside, after the offsets are in place. Frees write. */
void broker_group_write_send(struct group_append *take_write, void (*done)(void *arg, enum err err),
                             void *arg);
void broker_group_write_drop(struct group_append *take_write);
bool broker_group_write_is_empty(const struct group_append *write);
/* Frees what was kept to be used again. */
void broker_group_write_deinit(struct groups *groups);
/* group_env.write */
NODISCARD enum err broker_group_write_machine(struct group_env *env, struct group *group,
                                              const struct group_write *write);

/* --- group_promise.c --- */
/* Takes the value; NULL: out of memory or budget, the value is freed. The slot stays. */
struct group_promise *broker_group_promise_new(struct group_entry *entry, struct group_slot *slot,
                                               struct group_value *take_value, int64_t producer_id);
/* Its record is durable; an older one of the same producer for the same place goes. */
void broker_group_promise_written(struct group_promise *promise, int64_t log_offset);
/* Forgets it; its slot may go. */
void broker_group_promise_free(struct group_promise *promise);
void broker_group_promise_free_all(struct group_partition *partition);
/* The producer's transaction has ended in this partition of GROUP_TOPIC, its marker is durable.
 * ERR_AGAIN: the partition is being read back. On core 0. */
NODISCARD enum err broker_group_promise_end(struct core *core, int32_t partition,
                                            int64_t producer_id, bool commit);
/* The same while reading back. */
void broker_group_promise_settle(struct group_partition *partition, int64_t producer_id,
                                 bool commit);
/* Whether one lies before offset in the log. */
bool broker_group_promise_is_before(const struct group_partition *partition, int64_t offset);

/* --- group_load.c --- */
void broker_group_load_start(struct group_partition *partition);
/* The group as its durable records say; there is none in memory. */
NODISCARD enum err broker_group_load_entry(struct group_entry *entry);

/* --- group_fact.c --- */
/* The one that is there, or a new place. NULL: out of memory. */
struct group_fact *broker_group_fact_get(struct group_entry *entry, enum consumer_fact kind,
                                         struct slice name);
/* One without a name, or NULL. */
const struct group_fact *broker_group_fact_find(const struct group_entry *entry,
                                                enum consumer_fact kind);
/* Takes the value (null: a tombstone); older than what is there: dropped. */
void broker_group_fact_set(struct group_entry *entry, struct group_fact *fact,
                           struct slice take_value, int64_t log_offset);
void broker_group_fact_tidy(struct group_entry *entry, struct group_fact *fact);
void broker_group_fact_free_all(struct group_entry *entry);
enum consumer_fact broker_group_fact_kind(const struct group_fact *fact);
struct slice broker_group_fact_name(const struct group_fact *fact);

/* --- group_turn.c --- */
void broker_group_turn_init(struct group_entry *entry);
/* The batch that is being filled; NULL: out of memory. */
struct group_append *broker_group_turn_write(struct group_entry *entry);
/* The call ends with err when all that has been written so far is durable. */
void broker_group_turn_answer(struct group_entry *entry, struct broker_call *call, enum err err);
/* After everything done to the group: sends what there is. */
void broker_group_turn_end(struct group_entry *entry);
/* All that is not durable is void; calls that wait end with err. */
void broker_group_turn_void(struct group_entry *entry, enum err err);
/* False: there is no state now, calls come again. */
bool broker_group_turn_is_ready(struct group_entry *entry);
bool broker_group_turn_is_idle(const struct group_entry *entry);
void broker_group_turn_stop(struct group_entry *entry);
/* consumer_env.record */
NODISCARD enum err broker_group_turn_record(struct consumer_env *env, void *owner,
                                            enum consumer_fact fact, struct slice name,
                                            struct slice value);

/* --- group_beat.c --- */
/* What coordinator and entry have in common for groups of the newer protocol. */
void broker_group_beat_init(struct groups *groups);
/* Where its last member of the newer protocol has gone, the group becomes classic if it may. */
void broker_group_beat_downgrade(struct group_entry *entry);
/* A join of the classic protocol where the group is of the newer one; true: it is served. */
bool broker_group_beat_join(struct group_entry *entry, struct group_join *join);
/* Its records, and the group, go. */
NODISCARD enum err broker_group_beat_delete(struct group_entry *entry);

/* --- group_rewrite.c --- */
void broker_group_rewrite_init(struct group_partition *partition);
void broker_group_rewrite_stop(struct group_partition *partition);
/* Begins when there is much more in the log than counts. */
void broker_group_rewrite_consider(struct group_partition *partition);
/* Newer metadata is durable: take_kept (own block; null: it is gone). Older: dropped. */
void broker_group_rewrite_keep(struct group_entry *entry, struct slice take_kept,
                               int64_t log_offset);

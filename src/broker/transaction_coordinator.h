// The coordinator of all transactions, on core 0; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/replay.h"
#include "broker/state.h"
#include "broker/transaction_state.h"

#define TRANSACTION_TOPIC "__transaction_state"
/* Calls wait so long for their partition to be read back, and so many. */
#define TRANSACTION_LOAD_WAIT_MS   1000
#define TRANSACTION_LOAD_CALLS_MAX 65536
/* The largest record. */
#define TRANSACTION_BATCH_SIZE_MAX 8388608
/* Small, so that compaction comes early: the log is read back at every start. */
#define TRANSACTION_SEGMENT_SIZE 1048576
/* Until what failed is tried again: at first, and at most after it has doubled again and again. */
#define TRANSACTION_RETRY_MS     200
#define TRANSACTION_RETRY_MS_MAX 10000
/* Markers of one transaction under way at the same time. */
#define TRANSACTION_MARKERS_MAX 256
/* How often an idle transactional id looks whether it has expired, at least. */
#define TRANSACTION_CHECK_MS 3600000
#define TRANSACTION_NEVER_MS INT64_MAX

enum transaction_load { TRANSACTION_UNLOADED, TRANSACTION_LOADING, TRANSACTION_LOADED };

/* A partition of __transaction_state. */
struct transaction_partition {
    struct transaction_ids *transactions;
    uint32_t index;
    enum transaction_load load;
    struct list entries; /* of transaction_entry.node */
    struct list parked;  /* of broker_call.node */
    size_t parked_count;
    struct core_timer timer; /* while calls are parked */
    struct replay replay;
};

/* A transactional id. */
struct transaction_entry {
    struct transaction transaction;
    struct transaction_partition *partition;
    struct list node;
    struct core_timer timer;
    int64_t timer_ms;  /* TRANSACTION_NEVER_MS: not set */
    int64_t abort_ms;  /* monotonic: when what is ongoing has taken too long */
    int64_t retry_ms;  /* TRANSACTION_NEVER_MS: nothing has failed */
    unsigned failures; /* since something last went well */
    struct list parked;
    struct transaction_write *gathering; /* of adds; sent later in this turn */
    struct core_task gathered;
    bool is_asking;   /* for a producer id */
    bool is_leaving;  /* its tombstone is under way */
    bool is_stale;    /* what is durable is older than what is in force */
    bool is_settling; /* broker_transaction_entry_settle is at work */
    unsigned markers; /* under way */
    unsigned writes;  /* under way */
};

struct transaction_ids {
    struct broker *broker;
    struct core *core;
    struct map by_id;
    const struct broker_topic *topic; /* a reference; NULL: not there yet */
    struct transaction_partition *partitions;
    uint32_t partition_count;
    bool is_creating;
    struct broker_topic_create create;
    struct list parked; /* for the topic */
    /* At the start all is read back, one partition after the other: what was decided is finished.
     */
    bool is_starting;
    struct core_task start;
    struct core_timer start_again; /* after an error */
};

/* --- transaction_coordinator.c --- */
/* On core 0; NULL: out of memory. */
struct transaction_ids *broker_transaction_coordinator(struct core *core);
enum transaction_way { TRANSACTION_GO, TRANSACTION_WAIT };
/* Whether the state that the call needs is there. TRANSACTION_WAIT: it is parked and served again,
 * or answered. TRANSACTION_GO: *out_partition is loaded; NULL: there is no topic yet. */
enum transaction_way
broker_transaction_coordinator_enter(struct core *core, struct broker_call *call, struct slice id,
                                     bool create, struct transaction_partition **out_partition);
/* The same for all partitions. */
enum transaction_way broker_transaction_coordinator_enter_all(struct core *core,
                                                              struct broker_call *call);
/* Serves what was parked (err OK) or fails it. */
void broker_transaction_coordinator_unpark(struct transaction_partition *partition, enum err err);
/* A partition has been read back, or not (err). */
void broker_transaction_coordinator_loaded(struct transaction_ids *transactions, enum err err);
int64_t broker_transaction_coordinator_now_ms(const struct transaction_ids *transactions);

/* --- transaction.c --- */
/* Whether the open transaction has this partition of the groups' topic: what is appended in this
 * turn comes before its marker. ERR_TXN_ABORTABLE: it has not; and the errors of an add. */
struct group_commit;
NODISCARD enum err broker_transaction_check(struct core *core, const struct group_commit *commit,
                                            int32_t partition);

/* --- transaction_load.c --- */
void broker_transaction_load_start(struct transaction_partition *partition);

/* --- transaction_entry.c --- */
struct transaction_entry *broker_transaction_entry_find(struct transaction_ids *transactions,
                                                        struct slice id);
/* NULL: out of memory or budget. */
struct transaction_entry *broker_transaction_entry_new(struct transaction_partition *partition,
                                                       struct slice id);
void broker_transaction_entry_free(struct transaction_entry *entry);
/* A call that cannot be served now waits; adds go along with adds that are not sent yet. */
bool broker_transaction_entry_park(struct transaction_entry *entry, struct transaction_call *call,
                                   bool is_add);
/* In front of all others. */
void broker_transaction_entry_park_first(struct transaction_entry *entry,
                                         struct transaction_call *call);
/* Something failed that is tried again after a while. */
void broker_transaction_entry_retry(struct transaction_entry *entry);
/* The same of a move that no call asked for; calls that wait for it get the error. */
void broker_transaction_entry_fail(struct transaction_entry *entry, enum err err);
/* After everything done to an entry: writes markers, serves what waits, sets its timer, or frees it
 * when it has no reason to be. */
void broker_transaction_entry_settle(struct transaction_entry *entry);

/* --- transaction_write.c --- */
/* Writes next, then applies it and answers call (may be NULL). */
void broker_transaction_write_move(struct transaction_entry *entry, struct transaction_call *call);
/* The same later in this turn, one write for all. */
void broker_transaction_write_gather(struct transaction_entry *entry,
                                     struct transaction_call *call);
/* What is in force once more. */
void broker_transaction_write_again(struct transaction_entry *entry);
void broker_transaction_write_tombstone(struct transaction_entry *entry);
void broker_transaction_write_gathered(struct core *core, struct core_task *task);

/* --- transaction_markers.c --- */
/* Begins with those that are not under way. */
void broker_transaction_markers_send(struct transaction_entry *entry);

// The waist: topics and partitions in words free of any protocol.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "base/uuid.h"
#include "broker/topic_config.h"
#include "store/store.h"

/* Every call is asynchronous and may be made on any core; its done runs on the core that made it.
 */
struct broker;
/* One a partition, the same pointer on every core; lives while a topic version or a call uses it.
 */
struct broker_partition;

struct broker_options {
    struct reactor *reactor;
    struct store *store;
    struct os *os;
    struct logger *logger;
    struct slice view_prefix;               /* no binding leads below it; copied; null: any may */
    const char *data_dir;                   /* for broker_space; copied; NULL: unknown */
    const struct broker_settings *settings; /* of the file and command line; copied */
};

/* Reads facts, makes topics and logs; after store_open and before reactor_run, on core 0's thread.
 * Makes the cluster id. ERR_CORRUPT: a fact cannot be read, diag says which. */
NODISCARD enum err broker_open(const struct broker_options *options, struct broker **out,
                               struct diag *diag);
/* Refuses new appends and changes (ERR_CLOSED), finishes what is in flight, then done on core 0.
 * Call it on core 0. */
void broker_drain(struct broker *broker, void (*done)(void *arg), void *arg);
/* After the reactor has stopped, before store_close and reactor_close. */
void broker_close(struct broker *broker);

struct broker *broker_of(struct core *core);
/* 22 characters of base64url. */
const char *broker_cluster_id(const struct broker *broker);
int32_t broker_node_id(const struct broker *broker);
/* Settings in force on this core: file plus dynamic changes. Valid for this turn. */
const struct broker_settings *broker_settings_now(struct core *core);

/* --- Topics: every core has its own view, changed by messages; pointers are valid for this turn or
 * while a reference is held. --- */
struct broker_topic {
    _Atomic uint32_t refs;
    struct uuid id;
    struct slice name;
    bool internal;
    uint32_t partition_count;
    struct broker_partition **partitions;
    const struct broker_topic_config *config; /* broker/topic_config.h: effective values */
    const struct broker_binding *binding;     /* broker/binding.h: nats.subjects; NULL: none */
    int64_t created_ms;
};

const struct broker_topic *broker_topic_find(struct core *core, struct slice name);
const struct broker_topic *broker_topic_find_id(struct core *core, const struct uuid *id);
const struct broker_topic *broker_topic_ref(const struct broker_topic *topic);
void broker_topic_unref(const struct broker_topic *topic);
/* All topics of this core's view in order of name; start with NULL. Stable against changes between
 * turns because it goes on from a name. */
const struct broker_topic *broker_topic_after(struct core *core, struct slice name);
size_t broker_topic_count(struct core *core);
size_t broker_partition_count_total(struct core *core);

/* Called when this core's view has a new topic (first is 0), or partitions from first on are new in
 * one; before anybody hears that they are there. One listener a core; NULL: none. */
void broker_topic_listen(struct core *core,
                         void (*grown)(void *arg, const struct broker_topic *topic, uint32_t first),
                         void *arg);

/* What every call begins with. Its memory is the caller's until done. */
struct broker_call {
    void (*done)(
        struct broker_call *call); /* on the core that made the call, never inside it, once */
    enum err err;                  /* out */
    struct diag diag;              /* out: words for a person where err says invalid */
    /* the broker's */
    struct core_message message;
    struct core *origin;
    struct broker_partition *partition;
    void (*serve)(struct core *core, struct broker_call *call);
    void (*over)(struct core *core, struct broker_call *call); /* before done */
    struct list node;
};

struct broker_setting_pair {
    struct slice name;
    struct slice value; /* null: back to the default */
};

struct topic_settings;
/* Which part of a topic's description was wrong. */
enum broker_topic_fault {
    BROKER_TOPIC_FAULT_NONE,
    BROKER_TOPIC_FAULT_NAME,
    BROKER_TOPIC_FAULT_PARTITIONS,
    BROKER_TOPIC_FAULT_REPLICAS,
    BROKER_TOPIC_FAULT_SETTINGS,
};

/* Done once the topic is durable and every core sees it. ERR_EXISTS, ERR_INVALID (name, counts,
 * settings: diag and out_fault say which), ERR_LIMIT. All that is pointed to stays valid until
 * done. */
struct broker_topic_create {
    struct broker_call call;
    struct slice name;
    int32_t partition_count;    /* -1: the default */
    int32_t replication_factor; /* -1: the default; more than the nodes there are: ERR_LIMIT */
    const struct broker_setting_pair *settings;
    size_t setting_count;
    bool validate_only;
    bool internal;
    struct uuid out_id;
    int32_t out_partition_count;
    enum broker_topic_fault out_fault;
    struct topic_settings *out_settings; /* it would have, with validate_only and ERR_OK */
};
void broker_topic_create(struct core *core, struct broker_topic_create *create);
/* Gives out_settings back; whoever asked with validate_only does. */
void broker_topic_create_release(struct broker_topic_create *create);

/* ERR_NOT_FOUND, ERR_UNSUPPORTED (delete.topic.enable is false), ERR_ACCESS (internal). */
struct broker_topic_delete {
    struct broker_call call;
    struct uuid id;
};
void broker_topic_delete(struct core *core, struct broker_topic_delete *call);

/* ERR_NOT_FOUND, ERR_INVALID (not more than there are), ERR_LIMIT, ERR_ACCESS (internal). */
struct broker_topic_grow {
    struct broker_call call;
    struct uuid id;
    int32_t partition_count; /* new total */
    bool validate_only;
};
void broker_topic_grow(struct core *core, struct broker_topic_grow *call);

enum broker_setting_op {
    BROKER_SETTING_SET,
    BROKER_SETTING_DELETE,
    BROKER_SETTING_APPEND, /* lists only */
    BROKER_SETTING_SUBTRACT,
};
struct broker_setting_change {
    struct slice name;
    struct slice value;
    enum broker_setting_op op;
};
/* Of a topic, or of the broker; replace_all: settings not named go back to default. ERR_INVALID
 * with words, ERR_NOT_FOUND. */
struct broker_settings_alter {
    struct broker_call call;
    struct uuid topic_id; /* unless for_broker */
    bool for_broker;
    bool cluster; /* with for_broker: the default of all brokers, which this broker's own beats */
    struct slice name; /* for broker_telemetry_alter: of the subscription;
                          for broker_group_settings_alter: of the group */
    bool replace_all;
    bool validate_only;
    bool is_misasked; /* out: with ERR_INVALID: what was asked for, not the value, is wrong */
    const struct broker_setting_change *changes;
    size_t change_count;
};
void broker_settings_alter(struct core *core, struct broker_settings_alter *call);

/* --- Partitions --- */
/* NULL when the topic has no such partition. */
struct broker_partition *broker_partition_at(const struct broker_topic *topic, int32_t index);

/* Append of one batch. The batch is checked here, on the caller's core: structure, CRC, the topic's
 * rules; then appended on the partition's core; done when durable (or accepted, for async topics).
 */
struct broker_append {
    struct broker_call
        call; /* err: CORRUPT, TOO_LARGE, RECORD_INVALID, INVALID, TIMESTAMP, SEQUENCE,
                 FENCED, DISK_FULL, OFFLINE, BUSY, NOT_FOUND (partition is gone), UNVERIFIED,
                 TXN_STATE (a plain batch while the producer's transaction is open here) */
    struct buf_range batch; /* a reference is taken for the time of the call */
    bool internal;       /* from the server itself: control batches and internal topics allowed */
    bool is_delivered;   /* subscribers have its records already: BATCH_DELIVERED may be set */
    bool is_verified;    /* a transactional batch whose producer's transaction is known to have this
                            partition; without it the first batch of a transaction here is refused
                            with ERR_UNVERIFIED: ask the coordinator, then make the call again */
    int64_t verify_end;  /* kept between ERR_UNVERIFIED and the call with is_verified: a marker of
                            the producer since then makes it ERR_UNVERIFIED again (KIP-890) */
    int64_t base_offset; /* out */
    int64_t append_time_ms; /* out: -1 unless the topic uses LogAppendTime, or the batch was there:
                               then its time */
    int64_t log_start;      /* out */
    int32_t error_record;   /* out: index in the batch of the record that broke a rule, or -1 */
    /* the broker's */
    struct store_append store;
    const struct broker_topic *topic;
    struct broker_recode *recode; /* while it is compressed anew */
    uint64_t deadline_ns;         /* while it waits for the store */
};
void broker_append(struct core *core, const struct broker_topic *topic, int32_t partition,
                   struct broker_append *append);

/* Ends a producer's transaction in one partition: appends a control batch (KIP-98). Done when it is
 * durable, or err: FENCED (epoch older than the producer's; with transaction_version 2 also not
 * newer than that of the open transaction), COORDINATOR_FENCED, NOT_FOUND, DISK_FULL, OFFLINE,
 * BUSY. Where nothing is open the marker is written all the same; once more does no harm. */
struct broker_marker {
    struct broker_call call;
    int64_t producer_id;
    int16_t epoch;
    bool commit; /* else abort */
    int32_t coordinator_epoch;
    int8_t transaction_version; /* 2: epoch is the one after the transaction's (KIP-890) */
    int64_t offset;             /* out: of the marker */
    /* the broker's */
    struct broker_append append;
};
/* Internal topics too. */
void broker_marker_write(struct core *core, const struct broker_topic *topic, int32_t partition,
                         struct broker_marker *marker);

/* The producers that a partition knows: an array of the call (broker_producers_release). */
struct broker_producers {
    struct broker_call call; /* err: NOT_FOUND, NO_MEMORY */
    struct store_producer *producers;
    size_t count;
};
void broker_producers_describe(struct core *core, struct broker_partition *partition,
                               struct broker_producers *call);
void broker_producers_release(struct broker_producers *call);

#define BROKER_EPOCH_ANY (-1)

/* Read of what is visible. */
struct broker_read {
    struct broker_call
        call; /* err: OUT_OF_RANGE, FENCED (epoch old), EPOCH_UNKNOWN, NOT_FOUND, CORRUPT */
    int64_t offset;
    int32_t epoch; /* caller's idea of the leader epoch, or BROKER_EPOCH_ANY */
    size_t size_max;
    bool want_one; /* at least one whole batch, however large */
    bool want_memory;
    bool committed; /* below the last stable offset; store.aborted then tells which transactions
                       with records in what was read do not count, by first offset */
    /* out */
    int64_t high_watermark;
    int64_t last_stable;
    int64_t log_start;
    struct store_read store; /* chunks: broker_read_release */
};
void broker_read(struct core *core, struct broker_partition *partition, struct broker_read *read);
void broker_read_release(struct broker_read *read);
/* Whether a batch of a committed read belongs to an aborted transaction. */
bool broker_read_is_aborted(const struct broker_read *read, const struct batch_header *header);

/* Tells once when there is something visible at or beyond offset (or the partition is gone or
 * offline). Arm again after it fired. Stays registered nowhere when not armed. */
struct broker_watch {
    struct broker_call call; /* done: it fired, or it was disarmed and err is ERR_CANCELLED */
    int64_t offset;
    bool committed;
    bool armed; /* on the origin core: done is still to come */
    /* the broker's */
    bool cancelling; /* on the origin core: the cancel message is under way */
    bool fired;      /* on the origin core: done waits for the cancel message */
    bool cancelled;  /* in the cancel message on its way back */
    struct core_message cancel;
    struct list cancel_node; /* while the partition moves */
    struct list waiting;     /* on the partition's core */
};
void broker_watch_arm(struct core *core, struct broker_partition *partition,
                      struct broker_watch *watch);
/* On the core that armed it. done follows in any case, with OK or ERR_CANCELLED; nothing happens
 * when it is not armed. */
void broker_watch_disarm(struct core *core, struct broker_watch *watch);

enum broker_offset_kind {
    BROKER_OFFSET_TIMESTAMP,
    BROKER_OFFSET_EARLIEST,
    BROKER_OFFSET_LATEST, /* high watermark, or last stable with committed */
    BROKER_OFFSET_MAX_TIMESTAMP,
};
struct broker_offset_find {
    struct broker_call call;
    enum broker_offset_kind kind;
    int64_t timestamp_ms;
    int32_t epoch;
    bool committed;
    int64_t offset;             /* out; -1: none */
    int64_t found_timestamp_ms; /* out; -1 */
    int32_t leader_epoch;       /* out; -1 */
    struct store_lookup store;
};
void broker_offset_find(struct core *core, struct broker_partition *partition,
                        struct broker_offset_find *find);

struct broker_epoch_end {
    struct broker_call call;
    int32_t current_epoch; /* of the caller, or BROKER_EPOCH_ANY */
    int32_t epoch;
    int32_t out_epoch; /* -1: none that old */
    int64_t out_end;   /* -1 */
};
void broker_epoch_end(struct core *core, struct broker_partition *partition,
                      struct broker_epoch_end *call);

struct broker_trim {
    struct broker_call call;
    int64_t offset;    /* new log start; -1: the high watermark */
    int64_t log_start; /* out */
};
void broker_trim(struct core *core, struct broker_partition *partition, struct broker_trim *call);

/* Deletes single records (holes). */
struct broker_punch {
    struct broker_call call;
    const int64_t *offsets;
    size_t count;
};
void broker_punch(struct core *core, struct broker_partition *partition, struct broker_punch *call);

struct broker_partition_state {
    struct broker_call call;
    int64_t log_start;
    int64_t high_watermark;
    int64_t end;
    int32_t leader_epoch;
    uint64_t size_bytes;
    bool offline;
};
void broker_partition_state(struct core *core, struct broker_partition *partition,
                            struct broker_partition_state *call);
/* Cheap, from any core, for metadata: the epoch of the leader and whether it is offline. */
int32_t broker_partition_epoch(const struct broker_partition *partition);
bool broker_partition_is_offline(const struct broker_partition *partition);
/* The core that it lives on now; any number of no core while it is between two. */
unsigned broker_partition_home(const struct broker_partition *partition);

/* --- Producer ids: durable before they are given out, in blocks. --- */
struct broker_producer_id {
    struct broker_call call;
    int64_t producer_id; /* out */
    int16_t epoch;       /* out */
};
void broker_producer_id_get(struct core *core, struct broker_producer_id *call);

/* Disk space of the data folder as last measured; asking measures anew in the background when that
 * was more than a second ago. 0 when data_dir is not known. */
void broker_space(struct core *core, uint64_t *out_total_bytes, uint64_t *out_free_bytes);

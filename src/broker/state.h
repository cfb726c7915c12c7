// What the broker keeps on each core and about each partition; for the files of this room only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/map.h"
#include "base/tree.h"
#include "broker/broker.h"
#include "broker/config.h"
#include "record/build.h"

/* --- settings.c, topic_config.c --- */

/* Settings of the broker at one time: shared by all cores, never changed. */
struct settings_version {
    _Atomic uint32_t refs;
    uint64_t generation;
    struct broker_settings values; /* in force */
    struct broker_settings file;
    struct broker_settings cluster; /* where cluster_set has the bit */
    struct broker_settings node;
    config_set cluster_set;
    config_set node_set;
};

/* Settings of a topic at one time: shared by its versions and partitions, never changed. */
struct topic_settings {
    _Atomic uint32_t refs;
    struct broker_binding *binding;    /* NULL: none */
    struct broker_topic_config config; /* in force */
    config_set set;                    /* those that the topic itself gives */
    uint64_t generation;               /* of the broker's settings below it; core 0 only */
    struct store_log_config log;
    bool append_time;
    bool recode; /* codec below is demanded */
    enum batch_codec codec;
    int level;
};

struct config_rules broker_settings_rules(void);
struct config_rules broker_topic_config_rules(void);
/* Copies the file's values; ERR_INVALID: a text that is no word of its table. */
NODISCARD enum err broker_settings_version_new(const struct broker_settings *file,
                                               struct settings_version **out);
struct settings_version *broker_settings_version_copy(const struct settings_version *version);
/* Fills values from the layers. */
void broker_settings_version_resolve(struct settings_version *version);
struct settings_version *broker_settings_version_ref(struct settings_version *version);
void broker_settings_version_unref(struct settings_version *version);

/* A setting that something gives itself, over the broker's. */
struct config_own {
    const struct config_rule *rule;
    const void *values; /* NULL: it does not */
    enum config_source source;
    const void *defaults; /* of a rule without a synonym */
};
/* Describes it with its synonyms among the broker's. */
void broker_settings_synonyms(struct core *core, const struct config_own *own, config_entry_fn fn,
                              void *arg);

/* A topic that sets nothing; NULL: out of memory. */
struct topic_settings *broker_topic_config_new(const struct settings_version *base);
/* The same explicit values over base. */
struct topic_settings *broker_topic_config_copy(const struct topic_settings *settings,
                                                const struct settings_version *base);
/* Makes what follows from the explicit values; after the last change. */
void broker_topic_config_resolve(struct topic_settings *settings,
                                 const struct settings_version *base);
/* Do the values in force go together? ERR_INVALID with words. */
NODISCARD enum err broker_topic_config_check(const struct topic_settings *settings,
                                             struct diag *diag);
/* One change of a topic's explicit values; ERR_INVALID with words. */
NODISCARD enum err broker_topic_config_change(struct topic_settings *settings,
                                              const struct broker_setting_change *change,
                                              struct diag *diag);
struct topic_settings *broker_topic_config_ref(struct topic_settings *settings);
void broker_topic_config_unref(struct topic_settings *settings);

/* --- partition.c --- */

struct broker_core;
struct broker_move;
struct quota_core;
struct telemetry;
struct telemetry_table;
struct topic_changes;
struct group_table;

/* Between two cores: all calls are parked, nobody may touch it. */
#define BROKER_HOME_NONE UINT32_MAX

/* Who calls a partition, in windows; home core only. */
struct partition_traffic {
    uint64_t window_ns; /* when it began */
    uint32_t count;     /* calls in it */
    uint32_t candidate_count;
    uint32_t votes; /* Boyer-Moore: who might be the candidate of the next window */
    uint16_t voted;
    uint16_t candidate;
    uint16_t streak; /* windows that the candidate has won */
};

struct broker_partition {
    _Atomic uint32_t refs;
    _Atomic uint32_t home;
    _Atomic bool offline;
    _Atomic bool closing; /* its topic is deleted */
    _Atomic int32_t epoch;
    uint32_t index;
    struct uuid topic_id;
    bool internal;
    struct broker *broker;
    /* touched by the home core alone */
    struct store_log *log; /* NULL: gone */
    struct topic_settings *settings;
    struct list waiters; /* of broker_watch.waiting */
    struct list queue;   /* appends that the store could not take yet, of broker_call.node */
    size_t queue_size_bytes;
    struct list blocked; /* in broker_core.blocked while queue has some */
    struct list dying;   /* in broker_core.dying while the log cannot go yet */
    unsigned pending;    /* calls that the store has */
    struct broker_move *move;
    struct partition_traffic traffic;
};

NODISCARD enum err broker_partition_new(struct broker *broker, struct core *core,
                                        const struct store_log_key *key,
                                        struct topic_settings *settings,
                                        struct broker_partition **out);
struct broker_partition *broker_partition_ref(struct broker_partition *partition);
void broker_partition_unref(struct broker_partition *partition);
/* Home core: no call any more, the log is deleted as soon as it is quiet. */
void broker_partition_close(struct core *core, struct broker_partition *partition);
/* A partition that no core knows: frees its log without deleting anything. */
void broker_partition_drop(struct broker_partition *partition);
void broker_partition_settings_set(struct broker_partition *partition,
                                   struct topic_settings *settings);
/* Home core: one call less at the store. */
void broker_partition_pending_done(struct core *core, struct broker_partition *partition);
/* True when this is its home and it is not between two cores. */
bool broker_partition_is_here(const struct core *core, const struct broker_partition *partition);
/* No log any more, or not for long. */
bool broker_partition_is_gone(const struct broker_partition *partition);
int64_t broker_partition_visible(const struct broker_partition *partition);
/* Where readers stop: what is visible, or the last stable offset. */
int64_t broker_partition_limit(const struct broker_partition *partition, bool committed);
/* ERR_OK, ERR_FENCED or ERR_EPOCH_UNKNOWN. */
enum err broker_partition_epoch_check(const struct broker_partition *partition, int32_t epoch);
struct core *broker_partition_core(const struct broker_partition *partition);

/* --- call.c: the way of a call to the core that serves it, and back --- */

typedef void (*broker_serve_fn)(struct core *core, struct broker_call *call);
/* To the partition's home; serve ends with broker_call_finish, at once or later. */
void broker_call_to_partition(struct core *core, struct broker_partition *partition,
                              struct broker_call *call, broker_serve_fn serve);
/* To core 0. */
void broker_call_to_owner(struct core *core, struct broker_call *call, broker_serve_fn serve);
/* On the core that served it: err goes back, done is called there and never inside this call. */
void broker_call_finish(struct core *core, struct broker_call *call, enum err err);
/* On the core that made the call, which never left. */
void broker_call_fail(struct core *core, struct broker_call *call, enum err err);
/* Again, after the partition has moved. */
void broker_call_route(struct core *core, struct broker_call *call);

/* --- append.c --- */

/* The store may have room again: those that wait on this core are tried later in this turn. */
void broker_append_retry(struct core *core);
void broker_append_core_init(struct broker_core *here);
/* Ends all that waits for the store with err; they count as pending no more. */
void broker_append_abandon(struct core *core, struct broker_partition *partition, enum err err);
/* Bytes of the batch when the call is an append, else 0. */
size_t broker_append_size(const struct broker_call *call);
/* Ready to go to the partition's home. */
void broker_append_route(struct core *core, struct broker_append *append);

/* --- recode.c --- */

#define BROKER_KEY_MISSING_TEXT "a compacted topic takes no record without a key"
/* Plain records of a batch: has each a key? Else *out_index is the first that has none. */
bool broker_recode_keys_are_there(struct slice records, int32_t *out_index);
/* Takes an append whose batch must be compressed anew or unpacked to look for its keys, or that
 * follows such a one. False: neither;
 * the caller routes it. */
bool broker_recode_take(struct core *core, struct broker_append *append);

/* --- watch.c --- */
void broker_watch_wake(struct core *core, struct broker_partition *partition);
/* Ends all with OK: they look and find what happened. */
void broker_watch_wake_all(struct core *core, struct broker_partition *partition);
/* A parked arm that will not be served: done comes with err. */
void broker_watch_unpark(struct core *core, struct broker_call *call, enum err err);
bool broker_watch_is(const struct broker_call *call);
/* The loops have stopped and done will not come: the watch may go. */
void broker_watch_forget(struct broker_watch *watch);
void broker_watch_cancel_route(struct core *core, struct broker_watch *watch);

/* --- move.c --- */

/* One core's view of a partition on its way. */
struct move_part {
    struct core_message message;
    struct broker_move *move;
    struct list node;    /* in broker_core.moves */
    struct list calls;   /* parked */
    struct list cancels; /* parked watches to disarm */
    size_t size_bytes;
    struct core_timer timer;
    bool overdue; /* calls fail instead of waiting */
};

/* Starts a move; home core. False: not now. */
bool broker_move_start(struct core *core, struct broker_partition *partition, unsigned to);
/* The partition's part on this core, or NULL: calls go straight. */
struct move_part *broker_move_part(struct core *core, const struct broker_partition *partition);
/* Parks a call, or fails it with ERR_BUSY. */
void broker_move_park(struct core *core, struct move_part *part, struct broker_call *call);
/* pending became 0. */
void broker_move_quiet(struct core *core, struct broker_move *move);
/* The log is not here: it has been handed over or is being detached. */
bool broker_move_is_away(const struct broker_move *move);

/* --- placement.c --- */
/* Home core: a call from origin came. */
void broker_placement_count(struct core *core, struct broker_partition *partition,
                            const struct core *origin);

/* --- topic.c: versions and each core's view --- */

struct topic_version {
    struct broker_topic topic;
    struct topic_settings *settings;
    struct broker *broker;
};

/* A topic in the view of one core. */
struct view_entry {
    struct tree_node node;
    const struct broker_topic *topic;
    struct uuid id;
    struct slice name; /* its bytes follow */
};

struct topic_version *broker_topic_version_of(const struct broker_topic *topic);

struct topic_version_options {
    struct broker *broker;
    struct uuid id;
    struct slice name;
    bool internal;
    int64_t created_ms;
    uint32_t partition_count;
    struct topic_settings *settings;      /* a reference is taken */
    struct broker_partition **partitions; /* references are taken */
};
/* One reference; NULL: out of memory or budget. */
struct topic_version *broker_topic_version_new(const struct topic_version_options *options);
struct view_entry *broker_topic_entry_new(struct slice name);
int broker_topic_compare(const struct tree_node *a, const struct tree_node *b);
/* Puts or replaces; takes the reference and the entry (NULL when it replaces). */
void broker_topic_view_put(struct core *core, struct view_entry *take_entry,
                           const struct broker_topic *take_topic);
/* Deletes the logs that have their home here. */
void broker_topic_view_remove(struct core *core, const struct broker_topic *topic);

/* --- topic_changes.c: the last changes of this core's view --- */

/* From now on they can be asked for. */
void broker_topic_changes_keep(struct core *core);
void broker_topic_changes_free(struct broker_core *here);
/* The topic came, grew or went: another generation. */
void broker_topic_changes_note(struct broker_core *here, struct slice name);
/* Whose change made the generation; null: forgotten. Valid for this turn. */
struct slice broker_topic_changes_at(struct core *core, uint64_t generation);

/* --- owner.c: changes, on core 0 --- */

struct owner;
void broker_owner_close(struct broker *broker);
/* Nothing is being changed. */
bool broker_owner_is_idle(const struct broker *broker);

/* --- broker.c --- */

struct broker_core {
    struct broker *broker;
    struct core *core;
    struct map by_name;
    struct map by_id;
    bool map_incomplete; /* an entry did not get into a map: the tree knows it */
    struct tree names;
    uint64_t topics_generation;          /* grows when a topic comes, grows or goes in this view */
    struct topic_changes *topic_changes; /* topic_changes.c; NULL: nobody asks */
    size_t partition_count;
    struct settings_version *settings;
    struct quota_core *quota;
    struct telemetry_table *telemetry; /* NULL: no subscriptions */
    struct group_table *group_table;   /* NULL: no group has settings of its own */
    struct list moves;                 /* of move_part.node: partitions on their way */
    struct list blocked;               /* partitions with a queue */
    struct core_timer blocked_timer;
    struct core_task blocked_task;
    struct list dying;
    struct list recodes;   /* appends in order while some are compressed anew */
    unsigned recode_count; /* at work */
    unsigned moving;       /* moves that began here and are not over */
    size_t appends;        /* of this core, not done */
    bool draining;
    bool drained;
    struct core_message drain_message;
    void (*topic_grown)(void *arg, const struct broker_topic *topic, uint32_t first);
    void *topic_grown_arg;
    void (*topic_rebound)(void *arg, const struct broker_topic *before,
                          const struct broker_topic *after);
    void *topic_rebound_arg;
};

struct broker {
    struct reactor *reactor;
    struct store *store;
    struct os *os;
    struct logger *logger;
    unsigned core_count;
    struct broker_core *cores;
    struct owner *owner;
    char cluster_id[UUID_TEXT_SIZE + 1];
    int32_t node_id;
    struct slice view_prefix; /* its bytes are the broker's */
    /* drain: core 0 */
    unsigned drain_left;
    void (*drain_done)(void *arg);
    void *drain_arg;
    struct groups *groups; /* core 0: group_coordinator.c; NULL until the first call */
    struct transaction_ids *transactions; /* the same: transaction_coordinator.c */
    struct shares *shares;                /* the same: share_coordinator.c */
    struct telemetry *telemetry;          /* core 0: telemetry_push.c; NULL until the first push */
    /* space */
    char *data_dir;
    struct core_work space_work;
    _Atomic bool space_busy;
    _Atomic uint64_t space_ns;
    _Atomic uint64_t space_total_bytes;
    _Atomic uint64_t space_free_bytes;
};

/* Frees the view alone. */
void broker_topic_view_free(struct broker_core *here);
static inline struct broker_core *broker_core(const struct core *core)
{
    return core_slot_get(core, CORE_SLOT_BROKER);
}
/* Frees all groups when the reactor has stopped. */
void broker_group_coordinator_close(struct broker *broker);
/* Before the reactor runs: what was under way before the last stop will be finished. */
void broker_transaction_coordinator_open(struct broker *broker);
/* Frees all transactions when the reactor has stopped. */
void broker_transaction_coordinator_close(struct broker *broker);
/* A topic is no more; on core 0. */
void broker_share_coordinator_topic_gone(struct core *core);
/* Frees all share groups when the reactor has stopped. */
void broker_share_coordinator_close(struct broker *broker);
/* An append of this core is over, or a change: does the drain go on? */
void broker_drain_look(struct core *core);
void broker_space_measure(struct broker *broker);

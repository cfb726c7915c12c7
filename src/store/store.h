// The face of the store: logs on disk that append, commit, read, recover, retain.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/uuid.h"
#include "reactor/conn.h"
#include "record/batch.h"

struct store;     /* all of it: data folder, catalogue, journals */
struct store_log; /* one partition's log; used only on its home core */

struct store_options {
    struct reactor *reactor;
    struct os *os;
    struct logger *logger;
    const char *data_dir;          /* absolute */
    size_t journal_size_max_bytes; /* live journal a core; default 128 MiB */
    size_t journal_piece_bytes;    /* pre-written piece; default 8 MiB */
    size_t direct_size_min_bytes; /* bytes of one log in one commit that bypass the journal; default
                                     1 MiB */
    size_t cache_size_max_bytes;  /* tail cache of all cores */
    uint64_t free_space_min_bytes;   /* appends stop below it (P7) and what is yet to be written */
    unsigned open_files_max;         /* LRU of segment descriptors */
    uint64_t scrub_bytes_per_second; /* old data looked at, a core; 0: none */
    unsigned sync_together_min;      /* checkpoints at a time that share one sync; 0: 64 */
    unsigned index_save_min;         /* entries for which a checkpoint adds to index files; 0: 64 */
    int64_t compact_backoff_ms;      /* between two looks for a log to compact; 0: never */
    size_t compact_keys_bytes_max;   /* memory for keys, of all cores */
    double compact_bytes_per_s;      /* read and written by compaction, of all cores; 0: no limit */
};

/* Locks the data folder, reads catalogue and journals; serves logs at once, whatever their size.
 * Before reactor_run, on core 0's thread. ERR_BUSY: another process has the folder. */
NODISCARD enum err store_open(const struct store_options *options, struct store **out,
                              struct diag *diag);
/* Commits everything and makes checkpoints, for some seconds at most: the journal keeps the rest.
 * Then calls done on core 0. No appends any more. */
void store_drain(struct store *store, void (*done)(void *arg), void *arg);
/* After the reactor has stopped. Without a drain it is a crash that recovery handles. */
void store_close(struct store *store);

/* --- Catalogue: small durable facts of the broker, by key. On core 0. --- */
typedef void (*store_done_fn)(void *arg, enum err err);
/* Durable when done is called (core 0). value null deletes. Order of calls is kept; but where there
 * is no memory for the fact, done has been called with ERR_NO_MEMORY before this returns. */
void store_fact_put(struct store *store, struct slice key, struct slice value, store_done_fn done,
                    void *arg);
/* All facts present, in no order; between store_open and the first put. */
typedef void (*store_fact_fn)(void *arg, struct slice key, struct slice value);
void store_fact_each(struct store *store, store_fact_fn fn, void *arg);

/* --- Logs --- */
struct store_log_key {
    struct uuid topic;
    uint32_t partition;
};

/* A topic's settings as the log needs them; shared, immutable, counted by the caller. */
struct store_log_config {
    uint32_t segment_size_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: any size */
    uint32_t index_interval_bytes;
    bool async;             /* leat.durability=async: acknowledged before the sync */
    int64_t flush_messages; /* async only: sync at the latest after so many, */
    int64_t flush_ms;       /* or so long; INT64_MAX: when convenient */
    int64_t producer_expiry_ms;
    bool retain;                 /* cleanup.policy contains delete */
    bool compact;                /* and compact: the rest is asked then only */
    double compact_ratio;        /* part of a log that must be dirty */
    int64_t compact_lag_min_ms;  /* younger segments wait */
    int64_t compact_lag_max_ms;  /* older ones do not, whatever the ratio */
    int64_t delete_retention_ms; /* how long a tombstone stays that is its key's last record */
};

struct store_log_events {
    /* durable has grown, or the log went offline. At most once a commit. */
    void (*on_durable)(void *arg, struct store_log *log);
};

/* A log known from the catalogue and journals, or a fresh one: touches no file. core: its home. */
NODISCARD enum err store_log_new(struct store *store, struct core *core, struct store_log_key key,
                                 const struct store_log_config *config, struct store_log **out);
void store_log_events_set(struct store_log *log, const struct store_log_events *events, void *arg);
/* config must stay valid until replaced or the log is gone. Turning async on or off checkpoints. */
void store_log_config_set(struct store_log *log, const struct store_log_config *config);
/* Frees memory only; nothing of the log may be on its way: it is drained or detached, or no core
 * has run since it was made. What the journal has of it is there at the next start. */
void store_log_free(struct store_log *log);
/* Deletes its files in the background; the catalogue entry first. Frees the log. done on its core.
 */
void store_log_delete(struct store_log *take_log, store_done_fn done, void *arg);
/* After all store_log_new at start: forgets journals and removes folders of logs nobody claimed. */
void store_logs_claimed(struct store *store);

/* Quiesces for a move: commits, checkpoints, then done(OK). Appends meanwhile get ERR_MOVED. */
void store_log_detach(struct store_log *log, store_done_fn done, void *arg);
/* On the new home core, after detach. */
void store_log_attach(struct store_log *log, struct core *core);

/* Offsets. start: first that may be read; end: next to be assigned; durable <= end: all below are
 * on disk (or, for async logs, accepted). */
int64_t store_log_start(const struct store_log *log);
int64_t store_log_end(const struct store_log *log);
int64_t store_log_durable(const struct store_log *log);
/* Below it all transactions have ended as far as is durable (last stable offset, KIP-98). */
int64_t store_log_stable(const struct store_log *log);
/* Bytes in segments, for DescribeLogDirs and retention. */
uint64_t store_log_size(const struct store_log *log);
enum err store_log_state(const struct store_log *log); /* OK, ERR_OFFLINE */

/* One batch. The caller has done batch_check and the topic's rules. */
struct store_append {
    struct buf_range batch;     /* the store takes its own reference; base offset, epoch (and, with
                                   append_time,     timestamps and CRC) are stamped in place */
    struct batch_header header; /* of the batch; updated as stamped */
    int32_t leader_epoch;
    bool append_time;
    bool control;        /* must go on when the disk is full: up to 64 KiB may use the reserve */
    bool is_verified;    /* the first batch of a transaction may be appended, unless a marker of the
                            producer was since verify_end */
    bool marker_strict;  /* a marker's epoch must be above that of the transaction it ends */
    int64_t verify_end;  /* out, with ERR_UNVERIFIED: the log's end then */
    int64_t base_offset; /* out: also for a duplicate (then the original's, as header's times) */
    enum err result;     /* out: OK or ERR_DUPLICATE (durable as well), or why it failed */
    void (*done)(struct store_append *append); /* on the log's core, when durable or failed */
    /* the store's */
    struct list node;
    int64_t end_offset;
};
/* OK: done will be called once (never inside this call). Anything else: done is not called, nothing
 * was appended: ERR_SEQUENCE, ERR_FENCED, ERR_DISK_FULL, ERR_BUSY (memory: try again), ERR_OFFLINE,
 * ERR_MOVED, ERR_TOO_LARGE; of transactions: ERR_UNVERIFIED (it would begin one), ERR_TXN_STATE
 * (not transactional, and one is open), ERR_COORDINATOR_FENCED (marker). base_offset is known on
 * return; end grows at once. Duplicates of one of the producer's last five batches return OK and
 * finish with ERR_DUPLICATE when the original is durable. */
NODISCARD enum err store_log_append(struct store_log *log, struct store_append *append);

/* For those who would rather make one large append than many small ones: run is called once, on
 * core, when its journal takes what comes next. That is at the end of this turn, or, while a commit
 * is under way there, when that has ended. Nothing is later on disk for having waited so long. */
struct store_gather {
    struct list node; /* list_init at first; list_remove: it is not called */
    void (*run)(struct store_gather *gather);
};
void store_gather(struct store *store, struct core *core, struct store_gather *gather);

/* A piece of what was read: memory or file. */
struct store_chunk {
    struct buf_range bytes; /* one reference, when bytes.buf */
    struct conn_file *file; /* one reference, when not NULL */
    uint64_t file_offset;
    size_t size;
};

/* An aborted transaction: transactional records of the producer between these offsets do not count.
 */
struct store_aborted {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* of its marker */
};

struct store_read {
    int64_t offset;       /* first wanted; the answer starts with the batch that holds it */
    int64_t offset_limit; /* exclusive; no batch at or beyond it */
    size_t size_max;      /* soft: the first batch comes whole even if larger, when want_one */
    bool want_one;
    bool want_memory;  /* no files: for those who look into the records */
    bool want_aborted; /* offset_limit is not beyond store_log_stable */
    /* out; the caller owns chunks (store_read_release) */
    struct store_chunk *chunks;
    unsigned chunk_count;
    size_t size;                   /* sum; whole batches only */
    int64_t offset_next;           /* first offset after the last batch returned */
    struct store_aborted *aborted; /* those with records in what was read, by first offset */
    uint32_t aborted_count;
    enum err result;
    void (*done)(struct store_read *read);
    /* the store's */
    struct list node;
    void *private;
    struct budget *aborted_budget; /* what the list takes is charged to it */
};
/* ERR_OK: filled. ERR_AGAIN: from disk or to be verified, done comes later. ERR_OUT_OF_RANGE. An
 * empty answer (size 0) is OK. ERR_CORRUPT with offset_next = first good offset behind the damage.
 */
NODISCARD enum err store_log_read(struct store_log *log, struct store_read *read);
void store_read_release(struct store_read *read);
/* Before done: done is called with ERR_CANCELLED. */
void store_read_cancel(struct store_log *log, struct store_read *read);

/* Look-ups that may read files; done on the log's core, possibly before the call returns. */
struct store_lookup {
    int64_t timestamp_ms;       /* in */
    int64_t offset;             /* out; -1: none */
    int64_t found_timestamp_ms; /* out */
    int32_t leader_epoch;       /* out: of the batch */
    enum err result;
    void (*done)(struct store_lookup *lookup);
    struct list node;
    void *private;
};
/* First record with a timestamp >= timestamp_ms below the durable end. */
void store_log_find_time(struct store_log *log, struct store_lookup *lookup);
/* The record with the greatest timestamp. */
void store_log_find_max_time(struct store_log *log, struct store_lookup *lookup);

/* Largest epoch <= epoch and its end offset (KIP-101); false when there is none. */
bool store_log_epoch_end(const struct store_log *log, int32_t epoch, int32_t *out_epoch,
                         int64_t *out_end);
int32_t store_log_epoch_last(const struct store_log *log);
/* Leader epoch of the batch that holds offset; -1 unknown. */
int32_t store_log_epoch_at(const struct store_log *log, int64_t offset);

/* Moves the log start (DeleteRecords); -1: to the durable end. Durable when done. ERR_OUT_OF_RANGE.
 */
void store_log_start_set(struct store_log *log, int64_t offset, store_done_fn done, void *arg);
/* Deletes single records: they are never served again. Offsets below the durable end. */
void store_log_punch(struct store_log *log, const int64_t *offsets, size_t count,
                     store_done_fn done, void *arg);
/* Removes everything at and after offset (replication); rolls to a new file. */
void store_log_truncate(struct store_log *log, int64_t offset, store_done_fn done, void *arg);

/* Producers known to the log, for DescribeProducers. */
struct store_producer {
    int64_t producer_id;
    int16_t epoch;
    int32_t last_sequence;     /* -1: none in this epoch */
    int64_t last_timestamp_ms; /* of its last batch or marker */
    int32_t coordinator_epoch; /* of its last marker; -1: none */
    int64_t transaction_first; /* first offset of its open transaction; -1: none */
};
typedef void (*store_producer_fn)(void *arg, const struct store_producer *producer);
void store_log_producer_each(const struct store_log *log, store_producer_fn fn, void *arg);

/* Damage found so far, by offset range; also logged. */
typedef void (*store_damage_fn)(void *arg, struct store_log_key key, int64_t first, int64_t next);
void store_damage_each(struct store *store, store_damage_fn fn, void *arg);

/* Adds how long journal groups took until they were durable, in ns, on all cores. Any core. */
void store_commit_times(const struct store *store, struct histogram *into);
/* The disk is full: for appends, or for a journal that cannot grow. Any core. */
bool store_lacks_space(const struct store *store);
/* True while appends are refused for lack of space. Any core. */
bool store_is_full(const struct store *store);

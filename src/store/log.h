// What a log is made of; for the files of the log only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/catalogue.h"
#include "store/epochs.h"
#include "store/holes.h"
#include "store/index.h"
#include "store/journal.h"
#include "store/producers.h"
#include "store/scrub.h"
#include "store/store.h"
#include "store/transactions.h"
#include "store/uncached.h"

#define CHECKPOINT_KEY_SIZE     21
#define LOG_BLOCK_SIZE          4096u
#define LOG_WRITE_SIZE_CALM     (1u << 20)   /* the same while little waits in all logs */
#define LOG_CALM_SHARE          4            /* of what may wait in all logs */
#define LOG_CALM_LOGS           16           /* at least so many have room for that */
#define LOG_WRITE_SIZE_MIN      (256u << 10) /* waiting bytes that start write-behind */
#define LOG_WAITING_SHARE       3            /* what may wait for it, in sizes of the cache */
#define LOG_WRITE_SIZE_PRESSED  (16u << 10)  /* the same when much waits in all logs */
#define LOG_COPY_SIZE_MAX       4096u        /* smaller batches are copied to an arena */
#define LOG_KEEP_SHARE          8 /* and those that are less of their buffer than one in so many */
#define LOG_ARENA_SIZE          (64u << 10)
#define LOG_QUEUE_BYTES_MAX     (64u << 20) /* of all logs of a core, not yet in the journal */
#define LOG_CONTROL_SIZE_MAX    (64u << 10) /* larger batches never use the reserve */
#define LOG_HOLES_PER_ENTRY     8192u
#define LOG_CHECKPOINT_PARALLEL 512u
#define LOG_CHECKPOINT_CALM     128u /* when nothing waits for them: clients come first */
#define LOG_GROUP_COUNT_MIN     64u
#define LOG_GROUP_COUNT_MAX     256u
#define LOG_BEHIND_S            60 /* a reader of files counts for so long */
#define LOG_SECOND_NS           1000000000ull
#define LOG_DRAIN_NS            5000000000ull
#define LOG_IDLE_CHECKPOINT_NS  60000000000ull
#define LOG_RETRY_NS            20000000ull
#define LOG_SPACE_CHECK_NS      1000000000ull
#define LOG_DIRECT_BATCH_MIN    (16u << 10)
#define LOG_EXTENT_BATCH_MAX    64u   /* batches of one extent */
#define LOG_ENTRY_KEEP_MAX      4096u /* free entries that a core keeps */
#define LOG_PATH_SIZE           4096u
#define LOG_PRODUCER_SILENT_MS  300000
#define LOG_SEGMENT_SIZE_MAX    0x7fffffffu
#define LOG_RESERVE_SIZE_MIN    (256u << 10) /* smaller segments reserve nothing */
#define LOG_RESERVE_SIZE_MAX    (16u << 20)  /* ahead of what is written */

/* A place in the log's files. */
struct log_place {
    int64_t segment_base; /* -1: no segment yet */
    uint32_t size;        /* bytes of it */
    int64_t first_ms;     /* timestamp of its first batch */
};

/* An open segment, counted by segment, jobs and readers. */
struct segment_file {
    struct conn_file file;
    struct os *os;
    int uncached_fd; /* for the log's core; UNCACHED_FD_... when negative */
};

struct segment {
    int64_t base;
    uint32_t size;     /* committed bytes */
    uint32_t reserved; /* up to here the disk has been asked for space */
    int64_t first_ms;
    int64_t modified_ms;       /* of a file without batches' timestamps */
    struct index index;        /* complete from index_from on */
    uint32_t index_from;       /* 0: complete */
    struct segment_file *file; /* NULL: not open */
    struct list open_node;     /* in the core's LRU while open */
    bool is_named;             /* its name is durable */
    bool is_dirty;             /* written since the last sync */
    bool is_sealed;
    bool is_cut; /* sealed: the file was cut at size, index files written */
};

/* One batch of the tail: in memory. */
struct tail_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t max_timestamp_ms;
    int64_t segment_base;
    uint32_t position;
    bool is_written;
    bool is_uncached;       /* past the page cache: what is there has been read from the disk */
    struct buf_range bytes; /* one reference */
};

/* A ring; batches have running numbers: [first, written) are also in the segments, [written,
 * committed) are durable in the journal, [committed, next) are on their way. */
struct tail {
    struct tail_batch *batches;
    uint32_t capacity;
    uint32_t stuck_blocks; /* of buffers: in the segments, behind a batch that is not */
    uint64_t first;
    uint64_t written;
    uint64_t committed;
    uint64_t next;
    uint64_t unwritten_bytes; /* committed, not written */
    uint64_t cached_bytes;    /* of buffers, for the written ones */
};

enum log_entry_kind { LOG_ENTRY_DATA, LOG_ENTRY_START, LOG_ENTRY_HOLES };

#define LOG_HEAD_SIZE 64

/* What an entry needs whose batches go straight to a segment. */
struct log_extent {
    struct journal_direct direct;
    struct segment_file *file; /* one reference */
    struct list joined;        /* log_entry: the batches behind the first */
    uint32_t size;             /* of the first batch alone, as the next two */
    struct log_place place;
    int64_t next_offset;
    struct slice parts[]; /* one a batch, and behind them the bytes of the entry's body */
};

/* One journal entry: queued in its log, then in flight. */
struct log_entry {
    struct journal_entry journal;
    struct list node;
    struct store_log *log;
    enum log_entry_kind kind;
    enum err err;
    uint64_t number; /* DATA: first batch in the tail */
    uint32_t batch_count;
    uint32_t size;          /* of the batches */
    struct list appends;    /* store_append */
    struct log_place place; /* after it */
    int64_t next_offset;    /* end after it */
    uint8_t head[LOG_HEAD_SIZE];
    struct log_extent *extent; /* owned; NULL: the batch goes into the journal */
    int64_t start;             /* START */
    int64_t *offsets;          /* HOLES; owned */
    size_t offset_count;
    uint8_t *extra; /* HOLES; owned */
    store_done_fn done;
    void *arg;
};

/* The log has live entries up to lsn_last in this piece, and a reference to it. In the last piece
 * of the log they go on to lsn_committed. */
struct log_piece {
    struct journal_piece *piece;
    uint64_t lsn_last;
};

/* Bytes of a recovered log that its segment must get back from the journal. */
struct log_restore {
    int64_t segment_base;
    uint32_t position;
    uint32_t size;
    struct journal_piece *piece;
    uint64_t piece_offset;
};

enum log_state { LOG_CLOSED, LOG_WAKING, LOG_OPEN };
/* QUEUED: waits for its turn; CUT: at the next flush with nothing in flight. */
enum log_checkpoint_state { LOG_CP_NONE, LOG_CP_QUEUED, LOG_CP_CUT, LOG_CP_WRITE, LOG_CP_PUBLISH };

struct log_core;
struct compact_run;
struct read_spans;
struct log_write;
struct log_publish;

/* What each append and commit looks at comes first: with many logs it is memory, not work, that
 * takes the time. */
struct store_log {
    struct store *store;
    struct log_core *home;
    const struct store_log_config *config;
    enum log_state state;
    enum err err; /* ERR_OFFLINE */
    enum log_checkpoint_state checkpoint_state;
    unsigned inflight_count;
    bool is_decoded;
    bool is_moving;
    bool is_failing;  /* entries failed: waits for the others in flight, then goes back */
    bool is_dirty;    /* on home->dirty */
    bool is_finished; /* on home->finished */
    bool is_deleted;
    bool is_removing;
    bool is_sealed_now; /* a segment was, since the last look at retention */
    bool carry;         /* the next data entry must carry the block */
    bool is_claimed;
    bool is_visited; /* woken for a checkpoint or retention alone: closes when that is done */
    bool is_used;    /* written or read since its last turn */
    bool is_retaining;
    bool is_retain_due;    /* retention woke it */
    bool is_new;           /* made by this process: it has no folder */
    bool is_direct_wanted; /* the next segment is to be opened and named */
    bool is_listed;
    bool checkpoint_again;
    enum err fail_err;
    int64_t start; /* durable */
    int64_t end;
    int64_t committed;    /* all below is in the journal or deeper */
    int64_t durable_told; /* to on_durable */
    uint64_t lsn_next;
    uint64_t lsn_committed;
    struct log_place next;  /* where the next batch goes */
    struct log_place place; /* as of committed */
    struct tail tail;
    uint64_t queue_bytes;
    struct list queue;    /* log_entry, not in the journal yet */
    struct list inflight; /* log_entry */
    struct list done_entries;
    struct list done_appends;
    struct list duplicates; /* store_append that wait for an original */
    struct list dirty_node;
    struct list finished_node;
    struct segment **segments; /* by base; sealed ones, the last is active */
    uint32_t segment_count;
    uint32_t segment_capacity;
    struct journal_piece *piece_last;  /* of pieces */
    struct transactions *transactions; /* NULL: none so far */
    struct epochs epochs;
    const struct store_log_events *events;
    void *events_arg;
    store_done_fn quiet_done; /* detach, delete */
    struct log_write *write;  /* write-behind or wake on a helper */

    struct store_log_key key;
    uint32_t piece_count;
    uint32_t piece_capacity;
    struct log_piece *pieces;
    struct producers producers;
    struct holes holes;
    int64_t start_wanted;
    uint64_t lsn_checkpoint;
    uint8_t *block;               /* the last partial block of the segment, as of block_number */
    uint64_t block_number;        /* batches of the tail below it are in the block */
    uint64_t carry_lsn;           /* the entry that carried the block */
    struct slice checkpoint_tail; /* epochs, producers ..., to be decoded; the catalogue's */
    int64_t oldest_ms;            /* greatest timestamp of the oldest segment, for retention */
    uint64_t sealed_bytes;
    struct log_restore *restores;
    uint32_t restore_count;
    uint32_t restore_capacity;
    struct list reads;   /* store_read that wait for the log to wake */
    struct list lookups; /* find_job, likewise */
    struct list jobs;    /* read_job */
    /* compaction */
    struct compact_run *compact; /* under way */
    int64_t clean_end;           /* all below has been compacted once */
    uint64_t clean_bytes;        /* in segments wholly below it */
    int64_t clean_horizon_ms;    /* when something below it may go at the earliest; -1: nothing */
    int64_t dirty_ms;            /* timestamp of the first segment behind it; -1: not known */
    int64_t checkpoint_base;     /* segments below are covered by the published checkpoint */
    uint32_t layout;             /* grows when segments take each other's place */
    bool is_swap_wanted;         /* they are about to: no write-behind begins */
    bool is_swapping;            /* reads of segments wait as well */
    bool is_checkpoint_forced;   /* although nothing came through the journal */

    struct list live_node;
    struct list cache_node;
    struct list checkpoint_node;
    struct list all_node;
    struct list turn_node;
    unsigned unlink_count;
    uint32_t behind_until_s; /* until then somebody may read what has left the memory */
    struct log_publish *publish;
    void *quiet_arg;
};

/* Checkpoints that wait for one sync of the whole file system. */
struct log_group {
    struct core_work work;
    struct list waiting; /* log_write: all is written */
    struct list syncing;
    unsigned waiting_count;
    unsigned writing_count; /* on their way to waiting */
    bool in_flight;
    int dir_fd; /* opened before any write: the sync tells of errors since then */
    enum err err;
};

/* The logs of one core. */
struct log_core {
    struct store *store;
    struct core *core;
    struct journal *journal;
    struct list all;
    struct list dirty;    /* something is queued */
    struct list finished; /* something is done */
    struct list gathers;  /* called before the journal takes what is queued */
    struct list live;     /* with pieces, longest first */
    struct list cache;    /* with cached batches, least recently used first */
    struct list open_lru; /* segments with descriptors */
    struct list turns;    /* all, the next one's turn first */
    unsigned turn_count;
    uint64_t turn_at_ns;  /* of the last ones */
    uint64_t turn_due_ns; /* of the next ones */
    struct core_timer turn_timer;
    struct list checkpoints; /* logs that wait for theirs */
    unsigned checkpoint_count;
    struct log_group group;
    struct scrub scrub;
    unsigned open_count;
    struct core_task flush_task;
    struct core_task finish_task;
    struct core_timer retry;
    struct core_timer idle;
    struct read_spans *spans; /* NULL: none yet */
    struct buf *arena;
    uint32_t arena_used;
    struct list entries_free; /* log_entry */
    unsigned entries_free_count;
    uint64_t queue_bytes;
    uint64_t cached_bytes;
    uint64_t cached_bytes_max;
    _Atomic uint64_t unwritten_bytes; /* in the journal, to be in segments: core 0 looks too */
    uint64_t unwritten_bytes_max;     /* from here on logs are written sooner */
    struct core_timer compact_timer;  /* looks for a log to compact */
    struct compact_run *compact;      /* one at a time */
    unsigned job_count;
    unsigned open_max;
    struct core_message drain_message;
    uint64_t drain_until_ns;
    bool is_draining;
    bool is_drained;
    bool is_short;   /* of memory: its pressure is being met */
    bool is_pressed; /* the journal waits for checkpoints */
    bool is_offline; /* its journal is, and all logs know */
};

struct store_damage {
    struct core_message message;
    struct store *store;
    struct list node;
    struct store_log_key key;
    int64_t first;
    int64_t next;
};

struct store {
    struct store_options options;
    struct os *os;
    struct logger *logger;
    char *dir;
    int lock_fd;
    struct catalogue *catalogue;
    uint64_t seed;      /* of maps */
    struct map found;   /* recovered logs nobody has claimed yet */
    struct map claimed; /* the others, until store_logs_claimed */
    struct log_core *cores;
    unsigned core_count;
    struct list damages; /* guarded by living on core 0 */
    struct core_timer space_timer;
    struct space_work *space;
    _Atomic bool is_full;
    bool is_claimed;
    _Atomic bool is_draining;
    bool is_closing;
    unsigned drain_pending;
    void (*drain_done)(void *arg);
    void *drain_arg;
};

/* --- log.c --- */
struct store_log *log_make(struct store *store, struct store_log_key key);
/* Memory only: what the journal has of it is there at the next start. */
void log_destroy(struct store_log *log);
/* Epochs, producers and holes of the checkpoint are in memory from now on. */
void log_decode(struct store_log *log);
void log_mark_dirty(struct store_log *log);
void log_mark_finished(struct store_log *log);
bool log_is_quiet(const struct store_log *log);
/* Something came to rest: goes on with what waited for it. */
void log_settle_check(struct store_log *log);
void log_offline(struct store_log *log, const char *why);
struct log_core *log_core_of(struct store *store, struct core *core);
/* Greatest size of a path is LOG_PATH_SIZE. */
/* What its memory is charged to. */
struct budget *log_budget(const struct store_log *log);
void log_dir_path(const struct store_log *log, char *out);
/* Text "<topic>-<partition>" for log lines. */
struct log_name {
    char text[UUID_TEXT_SIZE + 16];
};
struct log_name log_name(const struct store_log_key *key);
NODISCARD enum err log_piece_add(struct store_log *log, struct journal_piece *piece, uint64_t lsn);
void log_pieces_release(struct store_log *log, uint64_t lsn);
static inline uint32_t log_now_s(const struct store_log *log)
{
    return (uint32_t)(core_now_ns(log->home->core) / LOG_SECOND_NS);
}
/* Nobody reads the log's files: what is written there need not be in the page cache. */
bool log_is_read_from_memory(const struct store_log *log);

/* --- log_format.c --- */
struct log_head {
    int64_t base_offset;
    int64_t next_offset;
    int64_t segment_base;
    int64_t first_ms;
    int64_t start;
    uint32_t position;
    uint32_t carry_size; /* EXTENT: lead */
    uint32_t trail_size;
    uint32_t batch_count;
    uint32_t size; /* of the batches */
};
void log_head_put(uint8_t out[LOG_HEAD_SIZE], const struct log_head *head);
NODISCARD bool log_head_get(struct slice body, struct log_head *out);
NODISCARD enum err log_checkpoint_encode(struct store_log *log, struct text *out);
/* The numbers; the rest is kept as checkpoint_tail. ERR_CORRUPT. */
NODISCARD enum err log_checkpoint_read(struct store_log *log, struct slice value);
NODISCARD enum err log_checkpoint_decode_tail(struct store_log *log, struct slice tail,
                                              int64_t now_ms);

/* --- log_append.c, log_commit.c --- */
/* May it use the reserve of a full disk? */
bool log_append_is_control(const struct store_append *append);
void log_flush_task(struct core *core, struct core_task *task);
void log_finish_task(struct core *core, struct core_task *task);
/* What producers and transactions know from now on: the batch was appended; marker NULL: it is
 * none. Also in replay. ERR_NO_MEMORY. */
NODISCARD enum err log_batch_known(struct store_log *log, const struct batch_header *header,
                                   const struct transactions_marker *marker, int64_t now_ms);
/* NULL: out of memory. */
struct transactions *log_transactions_new(struct store_log *log);
struct log_entry *log_entry_new(struct store_log *log, enum log_entry_kind kind);
/* On its log's core; its extent is gone. */
void log_entry_free(struct log_entry *entry);
/* Those that the core keeps; all entries are charged to the budget. */
void log_entries_free(struct log_core *home);
/* Gives up the extent: the batches that joined go back to the front of queue. */
void log_extent_free(struct log_entry *entry, struct list *queue);
void log_entry_queue(struct store_log *log, struct log_entry *entry);
/* Goes back to what is committed; nothing is in flight. */
void log_rollback(struct store_log *log);
int64_t log_durable(const struct store_log *log);

/* --- tail.c --- */
void tail_init(struct tail *tail);
void tail_deinit(struct store_log *log);
NODISCARD enum err tail_push(struct store_log *log, const struct tail_batch *batch);
struct tail_batch *tail_at(const struct tail *tail, uint64_t number);
/* Number of the batch that holds offset or is the first behind it; next when there is none. */
uint64_t tail_find(const struct tail *tail, int64_t offset);
void tail_commit(struct tail *tail, uint32_t count);
/* Batches below number are in the segments. */
void tail_written(struct tail *tail, uint64_t number);
void tail_pop_back(struct tail *tail, uint64_t number_next);
/* Drops the oldest written batch; false: there is none, or no memory for what is needed of it. */
bool tail_drop_front(struct store_log *log);
/* The last partial block is in log->block, up to what is committed. ERR_NO_MEMORY. */
NODISCARD enum err tail_block_sync(struct store_log *log);
/* The home's cache shrinks to its limit. */
void tail_cache_trim(struct log_core *home);
/* A buf_pressure_fn of the home's buffers: batches that are in the segments leave the cache. */
void tail_cache_pressure(void *arg, size_t size);
void tail_cache_account(struct store_log *log, uint64_t before);
/* Of the budget; when there is none left the caches shrink. */
bool tail_memory_charge(struct store_log *log, size_t size);
/* unwritten_bytes was before. */
void tail_unwritten_account(struct store_log *log, uint64_t before);

/* --- segment.c --- */
struct segment *segment_find(const struct store_log *log, int64_t base);
/* The one that may hold offset: greatest base <= offset, or the first. */
struct segment *segment_at(const struct store_log *log, int64_t offset);
struct segment *segment_add(struct store_log *log, int64_t base);
/* The segment of log->place is there; a closed log has none. ERR_NO_MEMORY. */
NODISCARD enum err segment_place(struct store_log *log);
void segment_remove(struct store_log *log, struct segment *segment);
void segment_path(const struct store_log *log, int64_t base, const char *suffix, char *out);
struct segment_file *segment_file_new(struct os *os, int fd);
void segment_file_unref(struct segment_file *file);
/* Takes the reference; the first file of a segment stays. */
void segment_file_set(struct store_log *log, struct segment *segment,
                      struct segment_file *take_file);
void segment_touch(struct store_log *log, struct segment *segment);
/* The open segment's descriptor for uncached writes, or that there is none; the first stays. */
void segment_uncached_set(struct store_log *log, struct segment *segment, int take_fd);
void segment_close_all(struct store_log *log);
/* Space to be reserved before a write from position to end; size 0: none. It is taken as reserved:
 * a reservation that fails leaves it to the write to find out. */
struct segment_space {
    uint32_t offset;
    uint32_t size;
};
struct segment_space segment_reserve(const struct store_log *log, struct segment *segment,
                                     uint32_t position, uint32_t end);
/* The file that the segment had is closed when its readers are done. Takes the reference. */
void segment_file_replace(struct store_log *log, struct segment *segment,
                          struct segment_file *take_file);
/* On a helper: opens, creating folders and file. Negative errno. */
int segment_open_path(struct os *os, const char *dir, const char *path, bool create);

/* --- tail_write.c, log_wake.c --- */
/* Starts write-behind of all that is committed; sync: for a checkpoint. */
void tail_write_start(struct store_log *log, bool sync);
/* All is written and, for a checkpoint, synced. Frees the job. */
void tail_write_finish(struct log_write *write);
void log_wake(struct store_log *log);
/* A log that only a checkpoint or retention wanted is as after a start: no files, no block. */
void log_wake_undo(struct store_log *log);
/* So is one that was used, as soon as all of it is in its segments for good. */
void log_wake_end(struct store_log *log);

/* --- log_move.c --- */
void log_move_check(struct store_log *log);
/* Removes a folder under logs/ in the background. */
void log_move_unclaimed(struct store *store, const char *name);

/* --- checkpoint.c --- */
struct slice checkpoint_key(const struct store_log_key *key, uint8_t out[CHECKPOINT_KEY_SIZE]);
void checkpoint_queue(struct store_log *log);
/* From the flush, with nothing of the log in flight. */
void checkpoint_cut(struct store_log *log);
void checkpoint_written(struct store_log *log, enum err err);
void checkpoint_pump(struct log_core *home);
/* Is a drain to begin no more of them? */
bool checkpoint_is_late(const struct log_core *home);
/* Shall the log's checkpoint share a sync? Then its write begins now. */
bool checkpoint_group_join(struct log_core *home);
/* The write is done: waits for the sync, or not when it failed. */
void checkpoint_group_add(struct log_write *write);

/* --- store.c --- */
/* After everything that may have ended something: is the drain or the close complete? */
void store_rest_check(struct log_core *home);

/* --- recover.c --- */
NODISCARD enum err recover_replay(struct store *store, struct journal_replay_result *out);
/* core: the caller's, NULL before the reactor runs. */
void store_damage_add(struct store *store, struct core *core, const struct store_log_key *key,
                      int64_t first, int64_t next);

/* --- read.c --- */
/* The log is open, or memory has it. As store_log_read. */
NODISCARD enum err read_open(struct store_log *log, struct store_read *read);
void read_wake(struct store_log *log);
void read_fail_all(struct store_log *log, enum err err);

/* --- read_aborted.c --- */
/* What was aborted in what was read, where that is wanted. ERR_BUSY: no memory, nothing is read. */
NODISCARD enum err read_aborted_add(struct store_log *log, struct store_read *read);

/* --- compact.c --- */
/* Looks for work from now on. */
void compact_start(struct log_core *home);
/* The log has woken: goes on with what woke it. */
void compact_log_opened(struct store_log *log);
/* Ends the log's cleaning as soon as possible; log_is_quiet tells when. */
void compact_cancel(struct store_log *log);
/* Frees it: nothing of it is on a helper. */
void compact_drop(struct store_log *log);
/* Something that a swap may wait for came to rest. */
void compact_swap_check(struct store_log *log);
/* --- compact_plan.c --- */
/* The open log's numbers that its checkpoint keeps for when it is closed. */
void compact_plan_note(struct store_log *log);

/* --- log_turn.c --- */
void log_turn_init(struct log_core *home);
/* Its home is set. */
void log_turn_add(struct store_log *log);
/* Harmless for one that has none. Its home is still set. */
void log_turn_remove(struct store_log *log);

/* --- log_find.c --- */
void log_find_wake(struct store_log *log);

/* --- log_retain.c --- */
/* The log's turn: what time alone lets go, also of a log that is closed. */
void log_retain_turn(struct store_log *log);
/* Drops by time and size what the topic's settings let go. */
void log_retain_check(struct store_log *log);
int64_t log_retain_oldest_ms(const struct store_log *log);
void log_retain_unlink(struct store_log *log);

// The per-core journal: group commit into pre-written pieces, replay, recycling.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

struct journal;
struct journal_piece; /* one file of it, counted by what refers to it */

#define JOURNAL_BLOCK_SIZE        4096
#define JOURNAL_UNCACHED_SIZE_MIN (128u << 10) /* groups from here on go past the page cache */
#define JOURNAL_ENTRY_HEAD_SIZE   40

enum journal_type {
    JOURNAL_APPEND = 1, /* batch bytes */
    JOURNAL_EXTENT,     /* bytes that were written and synced in a segment */
    JOURNAL_TRUNCATE,
    JOURNAL_LOG_START,
    JOURNAL_SEGMENT_ADD,
    JOURNAL_SEGMENT_DROP,
    JOURNAL_HOLES,
    JOURNAL_TYPE_COUNT
};

/* Bytes to be in a segment file, written and synced before the group that carries the entry. */
struct journal_direct {
    int fd;
    int uncached_fd; /* of the same file; negative: none */
    int dir_fd;      /* -1, or a folder whose entry is new and must be synced too */
    uint64_t offset;
    uint64_t reserve_offset;   /* space to reserve before */
    uint64_t reserve_size;     /* 0: none */
    const struct slice *parts; /* of the caller, as the entry */
    unsigned part_count;
};

/* One entry; memory of the caller, with everything it points to, until done. */
struct journal_entry {
    struct list node;
    enum journal_type type;
    struct store_log_key key;
    uint64_t lsn;          /* per log, increasing by one each entry */
    struct slice parts[3]; /* body: concatenated */
    uint32_t known_size; /* the CRC-32C of so many bytes at the end of parts[2] is known; 0: not */
    uint32_t known_crc;
    struct journal_direct *direct;                           /* or NULL */
    void (*done)(struct journal_entry *entry, enum err err); /* on the core, in order of adding */
    /* out, valid in done when err is OK: where the body lies; take a reference to keep it */
    struct journal_piece *piece;
    uint64_t body_offset;
    /* the journal's */
    enum err result;
    bool is_control;
    uint8_t head[JOURNAL_ENTRY_HEAD_SIZE];
};

struct journal_options {
    struct core *core;
    const char *dir;    /* <data>/journal, exists */
    size_t piece_bytes; /* rounded up to whole blocks */
    size_t size_max_bytes;
    uint64_t free_space_min_bytes;
    uint64_t piece_first; /* piece_next of the replay, the same for every core: the journal of core
                             c numbers its pieces piece_first + c + k * core_count */
    /* Live pieces have reached half of size_max: checkpoint what the oldest piece holds. */
    void (*on_pressure)(void *arg, struct journal_piece *oldest);
    void *arg;
};

NODISCARD enum err journal_open(const struct journal_options *options, struct journal **out);
/* No entry in flight. */
void journal_close(struct journal *journal);
/* Queues it for the next group, which is written at the end of the turn (or when the one in flight
 * is done: group commit). Control entries (small) may use the reserve when the disk is full.
 * ERR_DISK_FULL, ERR_BUSY (size_max reached: checkpoint is behind), ERR_OFFLINE (a sync failed).
 * When an entry fails in done (ERR_DISK_FULL and the like), all entries of the same log that were
 * added behind it fail too, control or not: what is on disk has no gap in the log's LSNs. */
NODISCARD enum err journal_add(struct journal *journal, struct journal_entry *entry, bool control);
bool journal_is_offline(const struct journal *journal);
/* It has no room on the disk. Any core. */
bool journal_is_full(const struct journal *journal);
/* How long groups took until they were durable, in ns. Any core. */
const struct histogram *journal_commit_times(const struct journal *journal);
/* Bytes of the group in flight, or else of the last one: what one commit brings. */
uint64_t journal_group_bytes(const struct journal *journal);
/* Entries queued or in flight. */
size_t journal_pending(const struct journal *journal);

/* Pieces in order of writing; the last is being written. NULL before the first group. */
struct journal_piece *journal_oldest(struct journal *journal);
struct journal_piece *journal_current(struct journal *journal);
uint64_t journal_piece_number(const struct journal_piece *piece);
/* Borrowed; who keeps it longer than a piece's reference adds one to its refs. */
struct conn_file *journal_piece_file(struct journal_piece *piece);
/* The journal itself holds no entry's piece: a log that has live entries in a piece holds a
 * reference to it. The oldest piece is recycled (or deleted) when it is unreferenced and not the
 * current one, then the next: one that is referenced keeps those behind it. Any core. */
void journal_piece_ref(struct journal_piece *piece);
void journal_piece_unref(struct journal_piece *piece);
/* As _unref when what it holds is needed at the next start: its file stays. */
void journal_piece_keep(struct journal_piece *piece);

/* --- Replay, before any journal is open --- */
struct journal_found {
    enum journal_type type;
    struct store_log_key key;
    uint64_t lsn;
    bool is_damaged;             /* key, LSN and body may be wrong; see below */
    struct slice body;           /* valid during the callback */
    struct journal_piece *piece; /* of the old run; reference to keep */
    uint64_t body_offset;
};
typedef enum err (*journal_found_fn)(void *arg, const struct journal_found *found);
struct journal_folder {
    struct os *os;
    struct logger *logger;
    const char *path;
};
struct journal_replay_result {
    uint64_t piece_next; /* for piece_first, of every core's journal */
    uint64_t entry_count;
    uint64_t damage_count; /* groups that were damaged, reported through the logger; their good
                              entries count and are found all the same */
};
/* Reads every piece in the folder in order of number, through one reused buffer; calls fn for every
 * entry of every valid group, and of one that is damaged for each that is good by itself. One that
 * is not is found with is_damaged when its head leads to a good one: it may be used only where all
 * of it is as expected. Old pieces are deleted when their last reference goes, in order of number
 * for each core's run. An error of fn ends the replay, is returned, and nothing is deleted.
 */
NODISCARD enum err journal_replay(const struct journal_folder *folder, journal_found_fn fn,
                                  void *arg, struct journal_replay_result *out);

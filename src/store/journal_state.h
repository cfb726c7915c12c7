// What a journal is made of; for the files of the journal only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/journal.h"
#include "store/journal_group.h"

#define JOURNAL_GROUP_BODY_MAX   (4u << 20) /* bytes; one entry may be larger */
#define JOURNAL_GROUP_ENTRY_MAX  8192
#define JOURNAL_GROUP_DIRECT_MAX 256           /* entries with direct data */
#define JOURNAL_GROUP_BYTES_MAX  (64ull << 20) /* with direct data */
#define JOURNAL_SPARE_COUNT      2             /* one for the next turn of the wheel, one reserve */
#define JOURNAL_DEAD_COUNT_MIN   2u            /* kept to be recycled, on a full disk too */
#define JOURNAL_PIECE_BLOCKS_MIN 4
#define JOURNAL_RETRY_NS         1000000000ull

/* Body of a group: entries, each a head and its body without padding. Little-endian:
 *    0 body_size u32   4 type u8   5 zero u8 x 3   8 lsn u64   16 topic 16 bytes
 *   32 partition u32  36 crc u32 (CRC-32C of the body, bytes 0 to 36 and the number, run and
 * sequence of the group, u64 each; 0: none) */
enum {
    JOURNAL_ENTRY_AT_SIZE = 0,
    JOURNAL_ENTRY_AT_TYPE = 4,
    JOURNAL_ENTRY_AT_LSN = 8,
    JOURNAL_ENTRY_AT_TOPIC = 16,
    JOURNAL_ENTRY_AT_PARTITION = 32,
    JOURNAL_ENTRY_AT_CRC = 36,
};
_Static_assert(JOURNAL_ENTRY_AT_CRC + sizeof(uint32_t) == JOURNAL_ENTRY_HEAD_SIZE, "entry head");
_Static_assert(sizeof(struct store_log_key) == 20, "a key is bytes without gaps");

/* refs counts those outside; file.refs its life: the journal's one and those of readers. */
struct journal_piece {
    struct list node;
    struct conn_file file;
    struct os *os;
    int uncached_fd; /* opened by the first group; UNCACHED_FD_... when negative */
    uint64_t number;
    uint64_t written; /* bytes that were there before the first group; 0: none */
    uint64_t used;    /* bytes with the head; 0: nothing yet */
    _Atomic uint32_t refs;
    bool is_old;                  /* of a run before: deleted with its last reference */
    _Atomic bool is_orphan;       /* its journal is closed: freed with its last reference */
    _Atomic bool is_kept;         /* old: not deleted all the same, the next run needs it */
    struct journal_piece *behind; /* old: keeps a reference to the run's next piece */
    char *path;
};

struct journal_commit {
    struct core_work work;
    struct list entries;
    struct journal_piece *piece;
    const char *dir;
    int dir_fd;
    struct journal_head head;
    uint64_t number_before; /* for the piece's head */
    uint64_t body_size;
    size_t entry_count; /* all, failed ones too */
    enum err err;
    bool has_direct;
    struct buf *buffer; /* the journal's, for uncached writes; NULL: no memory for it */
    struct journal_writer writer;
    int fds[JOURNAL_GROUP_DIRECT_MAX];
};

enum journal_job_kind {
    JOURNAL_JOB_NONE,
    JOURNAL_JOB_CREATE,  /* a new piece */
    JOURNAL_JOB_ZERO,    /* fills a part of it */
    JOURNAL_JOB_SEAL,    /* syncs it and its name */
    JOURNAL_JOB_RECYCLE, /* gives a dead piece a new number */
    JOURNAL_JOB_DELETE,
    JOURNAL_JOB_CHECK, /* is there space again? */
};

struct journal_job {
    struct core_work work;
    enum journal_job_kind kind;
    struct journal_piece *piece;
    const char *dir;
    int dir_fd;
    char *path_new;
    uint64_t piece_bytes;
    uint64_t free_min_bytes;
    bool is_low; /* out: less free space than free_min_bytes */
    bool is_sync_failed;
    enum err err;
};

struct journal {
    struct journal_options options;
    struct os *os;
    char *dir;
    int dir_fd;
    uint64_t run;
    uint64_t number_next;
    uint64_t number_before; /* of the piece being written */
    uint64_t sequence_next;
    struct list pieces; /* in order of writing */
    struct list spares; /* ready to be written, in order of number */
    struct list dead;   /* nobody needs them */
    unsigned spare_count;
    unsigned dead_count;
    uint64_t live_bytes; /* used of pieces */
    struct list queue;
    size_t queue_count;
    uint64_t pending_bytes; /* queued or in flight */
    struct journal_commit commit;
    uint64_t submitted_ns;      /* the group in flight */
    struct histogram commit_ns; /* from there until it was durable */
    bool in_flight;
    struct core_task commit_task;
    struct core_task pressure_task;
    uint64_t pressure_bytes; /* live bytes when it was called last */
    struct core_timer retry;
    struct journal_job job;
    bool is_offline;
    bool is_full;
    _Atomic bool full_told; /* the same for other cores */
    bool is_closed;
};

/* journal_commit.c: all on a helper. */
void journal_commit_run(struct core_work *work);

/* journal_entry.c: any thread.
 * Bytes of an entry in a group. */
uint64_t journal_entry_size(const struct journal_entry *entry);
/* Fills its head for that group; crc: of the group's body in front of it; returns it with the
 * entry. */
uint32_t journal_entry_seal(struct journal_entry *entry, const struct journal_head *group,
                            uint32_t crc);
/* The entry at the front of a good group's body, which is advanced. Sets type, key, lsn and body.
 * False: it makes no sense. */
bool journal_entry_read(struct slice *body, struct journal_found *out);
/* As _read in a damaged group: the next entry that is good by itself, or one that is_damaged with
 * a good one or the end behind it. False: there is none. */
bool journal_entry_salvage(const struct journal_head *group, struct slice *body,
                           struct journal_found *out);

/* journal_piece.c: on the core. */
struct journal_piece *journal_piece_new(struct os *os, const char *dir, uint64_t number);
/* Drops the journal's hold: closed and freed when no reader is left. */
void journal_piece_drop(struct journal_piece *piece);
/* The piece for a group of this size; NULL: out of memory. */
struct journal_piece *journal_piece_take(struct journal *journal, uint64_t size, bool may_use_last);
/* Takes out what nobody refers to any more, oldest first. */
void journal_piece_reap(struct journal *journal);
/* Starts the next piece of background work when there is some. */
void journal_piece_tend(struct journal *journal);
/* No space: appends are refused until there is some. */
void journal_piece_full(struct journal *journal);
void journal_piece_timer(struct core *core, struct core_timer *timer);

/* journal.c */
void journal_fail(struct journal *journal);
void journal_free(struct journal *journal);

// Write-behind and waking of a log: one job on a helper thread at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/index_file.h"

struct write_segment {
    int64_t base;
    uint32_t size;             /* what is to be in the file in the end; sealed: it is cut there */
    struct segment_file *file; /* one reference, NULL: open it */
    int uncached_fd;           /* the file's, or opened by the job */
    bool is_uncached_opened;
    bool is_cut; /* cut at size */
    bool want_sync;
    bool want_name;
    bool is_written;
    struct segment_space space;        /* to be reserved before */
    struct index_file_entries entries; /* new ones for the index files */
    uint32_t entry_count;
    uint32_t index_from;  /* of the segment, when they were taken */
    uint32_t index_below; /* older entries lie below that position; 0: there shall be none */
    enum { INDEX_AS_BEFORE, INDEX_SAVED, INDEX_LOST } index_outcome;
};

struct write_item {
    uint32_t segment; /* index */
    uint32_t position;
    struct buf_range bytes; /* one reference */
};

struct wake_found {
    int64_t base;
    uint64_t size;
    int64_t modified_ms;
};

struct log_write {
    struct core_work work;
    struct store_log *log;
    struct os *os;
    struct list node; /* in a group of checkpoints */
    bool sync;
    bool is_grouped; /* the group syncs */
    bool want_name;
    enum err err;
    bool is_sync_failed;
    uint64_t number; /* batches below will be written */
    struct write_segment *segments;
    uint32_t segment_count;
    struct write_item *items;
    uint32_t item_count;
    bool is_uncached;   /* past the page cache, if the file system can */
    struct buf *buffer; /* for that; one reference */
    char *dir;
    char *dir_parent;
    /* wake */
    const struct log_restore *restores; /* the log's, which rest meanwhile */
    uint32_t restore_count;
    struct log_place place;
    uint8_t *block;
    struct wake_found *found;
    uint32_t found_count;
    uint32_t found_capacity;
    bool is_unfinished; /* names that a rewrite left behind are there */
    int64_t start;
};

struct log_write *tail_write_new(struct store_log *log);
void tail_write_free(struct log_write *write);
/* On a helper. */
NODISCARD enum err tail_write_file(struct log_write *write, struct write_segment *segment);
NODISCARD enum err tail_write_sync_dir(struct log_write *write, const char *path);
/* The segment's place in the job, added when it is not there yet; NULL: out of memory. */
struct write_segment *tail_write_segment(struct log_write *write, struct segment *segment);
/* Files that the job opened belong to the segments now. */
void tail_write_files(struct log_write *write);
NODISCARD enum err tail_write_all(struct os *os, int fd, struct iovec *parts, int count,
                                  uint64_t offset);

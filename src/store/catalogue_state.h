// What the catalogue is made of; for its own files only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/map.h"
#include "base/text.h"
#include "store/catalogue.h"
#include "store/journal_group.h"

#define CATALOGUE_GROUP_BODY_MAX    (4u << 20)
#define CATALOGUE_GROUP_COUNT_MAX   4096
#define CATALOGUE_CHANGES_BYTES_MIN (1u << 20) /* below that no snapshot is made */
#define CATALOGUE_CHANGES_COUNT_MAX 8          /* files: one a start */
#define CATALOGUE_RESERVE_BYTES     (1u << 20) /* ahead of the last change */
#define CATALOGUE_SLICE_BYTES       (256u << 10)
#define CATALOGUE_RETRY_NS          10000000000ull
#define CATALOGUE_BYTES_MAX         (1u << 30) /* key and value of one change */

/* Body of a group: entries {key_size u32, value_size u32, key, value}, little-endian. */
#define CATALOGUE_ENTRY_HEAD_SIZE 8
#define CATALOGUE_VALUE_DELETED   UINT32_MAX

/* Never changed once made: replaced by another. bytes is an entry as it lies in a group. */
struct catalogue_item {
    struct list node; /* in the order of coming */
    uint64_t
        generation; /* number of the changes file that has it; never less than the one before */
    uint32_t key_size;
    uint32_t value_size;
    uint8_t bytes[];
};

/* A file of changes. */
struct catalogue_file {
    int fd; /* -1: none */
    uint64_t number;
    uint64_t used;
    uint64_t reserved;
};

struct catalogue_commit {
    struct core_work work;
    struct list changes;
    size_t count;
    uint64_t body_size;
    struct journal_head head;
    struct catalogue_file file; /* in and out */
    bool is_new_wanted;         /* a new file of this number, if it can be had */
    uint64_t number_new;
    struct journal_writer writer;
    enum err err;
};

enum catalogue_snap_state {
    CATALOGUE_SNAP_NONE,
    CATALOGUE_SNAP_WANTED, /* with the next group changes go to a new file */
    CATALOGUE_SNAP_WRITING,
};

/* A snapshot in the making. On the helper between submit and done. */
struct catalogue_snap {
    struct core_work work;
    enum catalogue_snap_state state;
    bool in_flight;
    struct list *cursor;     /* next item to be written */
    uint64_t number;         /* holds all with a smaller generation */
    uint64_t sequence_first; /* of the changes file with this number */
    uint64_t number_before;  /* the snapshot before: what is older than that goes */
    uint64_t changes_bytes;  /* covered by it */
    unsigned changes_count;
    struct journal_head head; /* of the next group */
    struct text body;
    uint64_t entry_count; /* so far */
    bool is_last;
    int fd;
    uint64_t offset;
    struct journal_writer writer;
    bool is_sync_failed;
    enum err err;
};

struct catalogue {
    struct core *core;
    struct os *os;
    char *dir;
    int dir_fd;
    uint64_t run;
    struct map map;
    struct list items;
    struct list queue;
    struct catalogue_commit commit;
    struct catalogue_file file;
    uint64_t number_next;
    uint64_t sequence_next;
    uint64_t snapshot_number; /* 0: none */
    uint64_t snapshot_bytes;
    uint64_t changes_bytes; /* since the snapshot */
    unsigned changes_count;
    struct core_task task;
    struct core_timer retry; /* set: no snapshot before */
    struct catalogue_snap snap;
    bool in_flight;
    bool is_offline;
    bool is_closed;
};

static inline struct slice catalogue_item_key(const struct catalogue_item *item)
{
    return slice_make(item->bytes + CATALOGUE_ENTRY_HEAD_SIZE, item->key_size);
}

static inline size_t catalogue_item_size(const struct catalogue_item *item)
{
    size_t value_size = item->value_size == CATALOGUE_VALUE_DELETED ? 0 : item->value_size;
    return CATALOGUE_ENTRY_HEAD_SIZE + (size_t)item->key_size + value_size;
}

/* catalogue.c */
/* NULL: out of memory. */
struct catalogue_item *catalogue_item_new(struct slice key, struct slice value);
/* Takes the item in, the one of the same key out. ERR_NO_MEMORY. */
NODISCARD enum err catalogue_apply(struct catalogue *catalogue, struct catalogue_item *take_item);
void catalogue_clear(struct catalogue *catalogue);
void catalogue_fail(struct catalogue *catalogue);
void catalogue_free(struct catalogue *catalogue);
/* Path of a file of the catalogue; the caller frees it. kind is "snapshot" or "changes". */
char *catalogue_path(const char *dir, const char *kind, uint64_t number);
/* The number in such a name; 0 for another name. */
uint64_t catalogue_number(const char *name, const char *kind);

/* catalogue_load.c */
NODISCARD enum err catalogue_load(struct catalogue *catalogue, struct diag *diag);

/* catalogue_snapshot.c: on the core. */
/* A group is durable; is_new: in a new file. */
void catalogue_snap_tend(struct catalogue *catalogue, bool is_new);
void catalogue_snap_timer(struct core *core, struct core_timer *timer);

// Files, directories and their names on the fake disk, as the process sees them and durable.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/fake_pages.h"

struct os_fake_node;

/* Where a node hangs in a view: there are no hard links. parent == NULL: nowhere. */
struct os_fake_place {
    struct os_fake_node *parent;
    char *name;
};

struct os_fake_children {
    struct os_fake_node **items;
    size_t count;
    size_t capacity;
};

struct os_fake_bad_range {
    uint64_t offset;
    uint64_t size;
    int error;
};

/* refs: one a place, a descriptor, a pending change. */
struct os_fake_node {
    size_t index; /* in the disk's nodes */
    uint64_t id;  /* never used again on this disk; copies keep it */
    unsigned refs;
    unsigned fd_count;
    int lock_fd; /* -1: not locked */
    bool is_directory;
    int64_t modified_ms;
    struct os_fake_pages pages;
    struct os_fake_place places[OS_FAKE_VIEW_COUNT];
    struct os_fake_children children[OS_FAKE_VIEW_COUNT];
    struct os_fake_bad_range *bad_ranges;
    size_t bad_range_count;
};

/* A change of names that no sync made durable: from.parent == NULL creates, to.parent == NULL
 * removes, both move. */
struct os_fake_change {
    struct os_fake_node *node;
    struct os_fake_place from;
    struct os_fake_place to;
};

struct os_fake_disk {
    struct os_fake_node **nodes;
    size_t node_count;
    size_t node_capacity;
    uint64_t id_next;
    struct os_fake_node *root;
    struct os_fake_change *changes; /* oldest first */
    size_t change_count;
    size_t change_capacity;
};

/* A path without its last part, and that part. */
struct os_fake_target {
    struct os_fake_node *parent;
    struct os_fake_node *node; /* NULL: nothing has this name */
    char name[256];
};

void os_fake_names_init(struct os_fake_disk *disk);
/* No descriptors are open. */
void os_fake_names_deinit(struct os_fake_disk *disk);
/* to is not initialised before; nodes that only descriptors hold are left out. */
void os_fake_names_copy(struct os_fake_disk *to, const struct os_fake_disk *from);

/* 0, or -ENOENT, -ENOTDIR, -EINVAL, -ENAMETOOLONG; the root has no parent. */
int os_fake_names_find(struct os_fake_disk *disk, enum os_fake_view view, const char *path,
                       struct os_fake_target *out);
/* The cached path of a node, "" when it has none; cut at the size. */
void os_fake_names_path(const struct os_fake_node *node, char *out, size_t size);
bool os_fake_names_is_inside(const struct os_fake_node *node, const struct os_fake_node *directory);

/* A new node with this name; the caller has checked that the name is free. */
struct os_fake_node *os_fake_names_create(struct os_fake_disk *disk,
                                          const struct os_fake_target *target, bool is_directory);
void os_fake_names_remove(struct os_fake_disk *disk, struct os_fake_node *node);
/* Replaces what target names. */
void os_fake_names_move(struct os_fake_disk *disk, struct os_fake_node *node,
                        const struct os_fake_target *target);
void os_fake_names_unref(struct os_fake_disk *disk, struct os_fake_node *node);

/* Makes the names in a directory durable, and those of directories bound to it by moves. */
void os_fake_names_sync(struct os_fake_disk *disk, struct os_fake_node *directory);
void os_fake_names_sync_all(struct os_fake_disk *disk);
/* Decides which changes survive; nodes without a durable path vanish. */
void os_fake_names_crash(struct os_fake_disk *disk, struct os_fake_random *random,
                         struct os_fake_crash_policy policy);

// The fake os inside: its clocks, faults and descriptors, shared by the files of the fake.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/fake_names.h"

enum { OS_FAKE_FAULTS_MAX = 32 };

enum os_fake_fd_kind {
    OS_FAKE_FD_NONE,
    OS_FAKE_FD_FILE, /* or directory */
    OS_FAKE_FD_POLL,
    OS_FAKE_FD_EVENT,
    OS_FAKE_FD_SIGNAL,
};

struct os_fake_watch {
    int fd;
    uint32_t events;
    uint64_t tag;
};

struct os_fake_fd {
    enum os_fake_fd_kind kind;
    unsigned flags;              /* FILE: os_open_flags */
    struct os_fake_node *node;   /* FILE */
    struct os_fake_watch *watch; /* POLL */
    size_t watch_count;
    uint64_t count;   /* EVENT: the counter; SIGNAL: pending numbers as bits */
    uint64_t watched; /* SIGNAL: numbers as bits */
};

struct os_fake_armed {
    struct os_fake_fault fault;
    uint64_t seen; /* matching operations so far */
};

struct os_fake {
    struct os os;
    struct os_fake_random random;
    uint64_t mono_ns;
    int64_t wall_ns;
    struct os_fake_disk disk;
    uint64_t capacity_count; /* pages; UINT64_MAX: no limit */
    struct os_fake_armed faults[OS_FAKE_FAULTS_MAX];
    size_t fault_count;
    uint64_t operation_count;
    uint64_t cut_at;
    bool cut_is_after;
    bool power_is_off;
    struct os_fake_fd *fds;
    size_t fd_count;
};

static inline struct os_fake *os_fake_of(struct os *os)
{
    return CONTAINER_OF(os, struct os_fake, os);
}

/* Descriptors (fake_fd.c). The lowest free number, as the kernel gives. */
int os_fake_fd_new(struct os_fake *fake, enum os_fake_fd_kind kind);
/* NULL when it is not open or of another kind. */
struct os_fake_fd *os_fake_fd_get(struct os_fake *fake, int fd, enum os_fake_fd_kind kind);
int os_fake_fd_close(struct os *os, int fd);
void os_fake_fd_close_all(struct os_fake *fake);
int os_fake_fd_poll_create(struct os *os);
int os_fake_fd_poll_set(struct os *os, int poll_fd, int fd, uint32_t events, uint64_t tag,
                        bool is_new);
int os_fake_fd_poll_wait(struct os *os, int poll_fd, struct os_event *out, int count,
                         int64_t timeout_ns);
int os_fake_fd_event_create(struct os *os);
int os_fake_fd_event_signal(struct os *os, int fd);
int os_fake_fd_event_clear(struct os *os, int fd);
int os_fake_fd_signal_create(struct os *os, const int *signals, int count);
int os_fake_fd_signal_read(struct os *os, int fd);

/* The entries of the table that concern files (fake_file.c) and names (fake_path.c). */
ssize_t os_fake_file_pread(struct os *os, int fd, void *data, size_t size, uint64_t offset);
ssize_t os_fake_file_pread_cached(struct os *os, int fd, void *data, size_t size, uint64_t offset);
void os_fake_file_prefetch(struct os *os, int fd, uint64_t offset, uint64_t size);
ssize_t os_fake_file_pwritev(struct os *os, int fd, const struct iovec *parts, int count,
                             uint64_t offset);
int os_fake_file_fdatasync(struct os *os, int fd);
int os_fake_file_fsync(struct os *os, int fd);
int os_fake_file_syncfs(struct os *os, int fd);
int os_fake_file_truncate(struct os *os, int fd, uint64_t size);
int os_fake_file_reserve(struct os *os, int fd, uint64_t offset, uint64_t size);
int os_fake_file_fstat(struct os *os, int fd, struct os_stat *out);
int os_fake_file_lock(struct os *os, int fd);
/* Pages that no file uses. */
uint64_t os_fake_file_free_count(const struct os_fake *fake);
int os_fake_path_open(struct os *os, const char *path, unsigned flags);
int os_fake_path_stat(struct os *os, const char *path, struct os_stat *out);
int os_fake_path_unlink(struct os *os, const char *path);
int os_fake_path_rmdir(struct os *os, const char *path);
int os_fake_path_rename(struct os *os, const char *from, const char *to);
int os_fake_path_mkdir(struct os *os, const char *path);
int os_fake_path_list(struct os *os, const char *path, os_list_fn fn, void *arg);
int os_fake_path_space(struct os *os, const char *path, struct os_space *out);

/* What stands before every disk operation (fake_gate.c). */
struct os_fake_gate {
    enum os_fake_kind kind;
    const char *path; /* NULL: the node's */
    const struct os_fake_node *node;
};
/* 0, or the negative errno of a fault or of a lost power; *out_fault (may be NULL) gets the fault
 * that struck, also one that only shortens a write. */
int os_fake_gate_enter(struct os_fake *fake, struct os_fake_gate gate,
                       const struct os_fake_fault **out_fault);
/* Counts an operation that is about to change the disk; -EIO when the power goes before. */
int os_fake_gate_change(struct os_fake *fake);
/* After it took effect; result, or -EIO when the power goes now. */
ssize_t os_fake_gate_leave(struct os_fake *fake, ssize_t result);

// The only door to the kernel: one table of functions that a test replaces.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/slice.h"

struct os;

enum os_open_flags {
    OS_OPEN_READ = 1,
    OS_OPEN_WRITE = 2,
    OS_OPEN_CREATE = 4,
    OS_OPEN_EXCLUSIVE = 8, /* with CREATE: ERR_EXISTS when it is there */
    OS_OPEN_TRUNCATE = 16,
    OS_OPEN_DIRECTORY = 32, /* for os_fsync on a directory */
    OS_OPEN_UNCACHED = 64,  /* past the page cache: offsets, sizes and memory in whole blocks of
                               OS_UNCACHED_BLOCK_SIZE; -EINVAL where the file system cannot */
};

#define OS_UNCACHED_BLOCK_SIZE 4096u

struct os_stat {
    uint64_t size_bytes;
    int64_t modified_ms; /* wall clock */
    bool is_directory;
    bool is_private; /* this user's, and nobody else may do anything with it */
};

struct os_space {
    uint64_t free_bytes; /* for an unprivileged writer */
    uint64_t total_bytes;
};

struct os_event {
    uint64_t tag;
    uint32_t events; /* EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP */
};

typedef void (*os_list_fn)(void *arg, const char *name, bool is_directory);
typedef void (*os_thread_fn)(void *arg);

/* File descriptors are small non-negative numbers; functions that return ssize_t or int give a
 * negative errno on failure (never -1 with errno). Files: any thread. Relative paths are not used.
 */
struct os_ops {
    uint64_t (*mono_ns)(struct os *os);
    int64_t (*wall_ms)(struct os *os);
    void (*random)(struct os *os, void *out, size_t size);

    int (*open)(struct os *os, const char *path, unsigned flags);
    int (*close)(struct os *os, int fd);
    /* 0 at the end of the file; may read less than asked. */
    ssize_t (*pread)(struct os *os, int fd, void *data, size_t size, uint64_t offset);
    /* Reads only what is in memory; -EAGAIN when nothing is, -EOPNOTSUPP when it cannot tell. */
    ssize_t (*pread_cached)(struct os *os, int fd, void *data, size_t size, uint64_t offset);
    /* Asks that a stretch be brought into memory soon; what comes of it only pread_cached tells. */
    void (*prefetch)(struct os *os, int fd, uint64_t offset, uint64_t size);
    /* May write less than asked. */
    ssize_t (*pwritev)(struct os *os, int fd, const struct iovec *parts, int count,
                       uint64_t offset);
    /* The three syncs: after a failure the data may be lost although a later sync succeeds. */
    int (*fdatasync)(struct os *os, int fd);
    int (*fsync)(struct os *os, int fd);
    int (*syncfs)(struct os *os, int fd);
    int (*truncate)(struct os *os, int fd, uint64_t size);
    /* Reserves blocks without changing the size; -EOPNOTSUPP where the file system cannot. */
    int (*reserve)(struct os *os, int fd, uint64_t offset, uint64_t size);
    int (*stat)(struct os *os, const char *path, struct os_stat *out);
    int (*fstat)(struct os *os, int fd, struct os_stat *out);
    int (*unlink)(struct os *os, const char *path);
    int (*rmdir)(struct os *os, const char *path);
    int (*rename)(struct os *os, const char *from, const char *to);
    int (*mkdir)(struct os *os, const char *path); /* 0 also when it is there already */
    /* Calls fn for every entry but . and .., in no order; fn must not change the directory. */
    int (*list)(struct os *os, const char *path, os_list_fn fn, void *arg);
    int (*space)(struct os *os, const char *path, struct os_space *out);
    /* Exclusive advisory lock held until close; -EWOULDBLOCK when somebody else has it. */
    int (*lock)(struct os *os, int fd);

    int (*socket)(struct os *os, int domain, int type); /* non-blocking */
    /* Sets SO_REUSEADDR first (not for AF_UNIX). */
    int (*bind_listen)(struct os *os, int fd, const struct sockaddr *addr, socklen_t size,
                       int backlog);
    int (*accept)(struct os *os, int fd, struct sockaddr_storage *out_peer); /* non-blocking fd */
    /* -EINPROGRESS: EPOLLOUT tells when, SO_ERROR how it ended. */
    int (*connect)(struct os *os, int fd, const struct sockaddr *addr, socklen_t size);
    int (*sockname)(struct os *os, int fd, struct sockaddr_storage *out);
    int (*sockopt)(struct os *os, int fd, int level, int name, const void *value, socklen_t size);
    int (*sockopt_get)(struct os *os, int fd, int level, int name, void *out, socklen_t *size);
    ssize_t (*recv)(struct os *os, int fd, void *data, size_t size);
    /* May send less than asked; more: hold back a partial packet. */
    ssize_t (*sendv)(struct os *os, int fd, const struct iovec *parts, int count, bool more);
    /* Raises SIGPIPE on a closed peer: the thread has it blocked (signal_create, thread_start). */
    ssize_t (*sendfile)(struct os *os, int socket_fd, int file_fd, uint64_t offset, size_t size);
    int (*shutdown)(struct os *os, int fd); /* both directions */

    int (*poll_create)(struct os *os);
    /* Level-triggered epoll words; events 0 removes. tag comes back from poll_wait. */
    int (*poll_set)(struct os *os, int poll_fd, int fd, uint32_t events, uint64_t tag, bool is_new);
    /* timeout_ns: -1 waits for ever. Fills at most count; returns how many: 0 when the time is
     * over, never too early, or when a signal came. */
    int (*poll_wait)(struct os *os, int poll_fd, struct os_event *out, int count,
                     int64_t timeout_ns);
    int (*event_create)(struct os *os); /* an eventfd */
    int (*event_signal)(struct os *os, int fd);
    int (*event_clear)(struct os *os, int fd);
    /* Signals as a descriptor: blocks them, and SIGPIPE, in the calling thread; call it before
     * other threads start. signal_read gives the number or -EAGAIN. */
    int (*signal_create)(struct os *os, const int *signals, int count);
    int (*signal_read)(struct os *os, int fd);

    /* name: at most 15 characters. The thread has all signals blocked and a stack of 512 KiB. */
    int (*thread_start)(struct os *os, const char *name, os_thread_fn fn, void *arg,
                        uint64_t *out_id);
    void (*thread_join)(struct os *os, uint64_t id);
    uint64_t (*thread_cpu_ns)(struct os *os); /* CPU time of the calling thread */
    /* What goes to stderr is appended to that file from now on, which is made when missing. */
    int (*stderr_to)(struct os *os, const char *path);
    /* Sends a signal to the process pid > 0; number 0 only asks whether that could be done. */
    int (*process_signal)(struct os *os, int64_t pid, int number);
};

struct os {
    const struct os_ops *ops;
};

/* The real kernel. Any number of callers; never freed. */
struct os *os_posix(void);

/* Helper threads wait here for work: the only mutex and condition of the server (os/queue.c). */
struct os_queue;
struct os_work {
    struct os_work *next;
    void (*run)(struct os_work *work); /* on a helper thread, may block */
};
/* NULL when out of memory. */
struct os_queue *os_queue_new(struct os *os);
/* The queue is empty and nobody is inside any more. */
void os_queue_free(struct os_queue *queue);
/* The work belongs to the queue until popped. Any thread, but not after close. */
void os_queue_push(struct os_queue *queue, struct os_work *work);
/* Blocks until there is work; NULL once the queue was closed and is empty. First in, first out. */
struct os_work *os_queue_pop(struct os_queue *queue);
void os_queue_close(struct os_queue *queue);

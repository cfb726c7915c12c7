// The real kernel behind the table of os.h: thin wrappers that return negative errno values.
// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL
#define FILE_MODE 0640
#define DIR_MODE  0750

enum {
    POLL_EVENTS_MAX = 256, /* a turn takes at most so many; the rest comes with the next */
    IO_PARTS_MAX = IOV_MAX,
    SENDFILE_SIZE_MAX = 0x7ffff000, /* what the kernel moves in one call */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE (8U << 20)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_SIZE (8U << 20)
#endif
#endif
#ifndef STACK_SIZE
#define STACK_SIZE (512U << 10)
#endif

/* The value of a call that follows the convention -1 and errno, as value or negative errno. */
#define RESULT(call)                                                                               \
    ({                                                                                             \
        __typeof__(call) result_ = (call);                                                         \
        result_ < 0 ? -errno : result_;                                                            \
    })
/* The same for calls that a signal may interrupt before they did anything. */
#define RESULT_RETRIED(call)                                                                       \
    ({                                                                                             \
        __typeof__(call) result_;                                                                  \
        do {                                                                                       \
            result_ = (call);                                                                      \
        } while (result_ < 0 && errno == EINTR);                                                   \
        result_ < 0 ? -errno : result_;                                                            \
    })

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t posix_mono_ns(struct os *os)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t posix_wall_ms(struct os *os)
{
    return (int64_t)(clock_ns(CLOCK_REALTIME) / NS_PER_MS);
}

static void posix_random(struct os *os, void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = RESULT_RETRIED(getrandom(at, size, 0));
        CHECK(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

static int posix_open(struct os *os, const char *path, unsigned flags)
{
    int mode = O_RDONLY;
    if (flags & OS_OPEN_WRITE)
        mode = flags & OS_OPEN_READ ? O_RDWR : O_WRONLY;
    if (flags & OS_OPEN_CREATE)
        mode |= O_CREAT;
    if (flags & OS_OPEN_EXCLUSIVE)
        mode |= O_EXCL;
    if (flags & OS_OPEN_TRUNCATE)
        mode |= O_TRUNC;
    if (flags & OS_OPEN_DIRECTORY)
        mode |= O_DIRECTORY;
    if (flags & OS_OPEN_UNCACHED)
        mode |= O_DIRECT;
    return RESULT_RETRIED(open(path, mode | O_CLOEXEC, FILE_MODE));
}

/* Linux frees the descriptor even when it reports EINTR. */
static int posix_close(struct os *os, int fd)
{
    int result = RESULT(close(fd));
    return result == -EINTR ? 0 : result;
}

static ssize_t posix_pread(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    return RESULT_RETRIED(pread(fd, data, size, (off_t)offset));
}

static ssize_t posix_pread_cached(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    struct iovec part = {data, size};
    ssize_t got = RESULT_RETRIED(preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT));
    return got == -ENOSYS ? -EOPNOTSUPP : got;
}

static void posix_prefetch(struct os *os, int fd, uint64_t offset, uint64_t size)
{
    posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
}

static ssize_t posix_pwritev(struct os *os, int fd, const struct iovec *parts, int count,
                             uint64_t offset)
{
    return RESULT_RETRIED(pwritev(fd, parts, MIN(count, IO_PARTS_MAX), (off_t)offset));
}

/* Syncs are never repeated: after a failure the kernel may have forgotten what was dirty. */
static int posix_fdatasync(struct os *os, int fd)
{
    return RESULT(fdatasync(fd));
}

static int posix_fsync(struct os *os, int fd)
{
    return RESULT(fsync(fd));
}

static int posix_syncfs(struct os *os, int fd)
{
    return RESULT(syncfs(fd));
}

static int posix_truncate(struct os *os, int fd, uint64_t size)
{
    return RESULT_RETRIED(ftruncate(fd, (off_t)size));
}

static int posix_reserve(struct os *os, int fd, uint64_t offset, uint64_t size)
{
    return RESULT_RETRIED(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size));
}

static void stat_fill(const struct stat *from, struct os_stat *out)
{
    out->size_bytes = (uint64_t)from->st_size;
    out->modified_ms =
        (int64_t)from->st_mtim.tv_sec * 1000 + from->st_mtim.tv_nsec / (int64_t)NS_PER_MS;
    out->is_directory = S_ISDIR(from->st_mode);
    out->is_private = from->st_uid == geteuid() && (from->st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static int posix_stat(struct os *os, const char *path, struct os_stat *out)
{
    struct stat found;
    int result = RESULT(stat(path, &found));
    if (result == 0)
        stat_fill(&found, out);
    return result;
}

static int posix_fstat(struct os *os, int fd, struct os_stat *out)
{
    struct stat found;
    int result = RESULT(fstat(fd, &found));
    if (result == 0)
        stat_fill(&found, out);
    return result;
}

static int posix_unlink(struct os *os, const char *path)
{
    return RESULT(unlink(path));
}

static int posix_rmdir(struct os *os, const char *path)
{
    return RESULT(rmdir(path));
}

static int posix_rename(struct os *os, const char *from, const char *to)
{
    return RESULT(rename(from, to));
}

static int posix_mkdir(struct os *os, const char *path)
{
    int result = RESULT(mkdir(path, DIR_MODE));
    if (result != -EEXIST)
        return result;
    struct stat found;
    if (stat(path, &found) < 0)
        return -errno;
    return S_ISDIR(found.st_mode) ? 0 : -ENOTDIR;
}

static bool entry_is_directory(DIR *directory, const struct dirent *entry)
{
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    struct stat found;
    return fstatat(dirfd(directory), entry->d_name, &found, 0) == 0 && S_ISDIR(found.st_mode);
}

static int posix_list(struct os *os, const char *path, os_list_fn fn, void *arg)
{
    DIR *directory = opendir(path);
    if (!directory)
        return -errno;
    int result = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(arg, entry->d_name, entry_is_directory(directory, entry));
    }
    closedir(directory);
    return result;
}

static int posix_space(struct os *os, const char *path, struct os_space *out)
{
    struct statvfs found;
    int result = RESULT_RETRIED(statvfs(path, &found));
    if (result < 0)
        return result;
    out->free_bytes = (uint64_t)found.f_bavail * found.f_frsize;
    out->total_bytes = (uint64_t)found.f_blocks * found.f_frsize;
    return 0;
}

static int posix_lock(struct os *os, int fd)
{
    return RESULT_RETRIED(flock(fd, LOCK_EX | LOCK_NB));
}

static int posix_socket(struct os *os, int domain, int type)
{
    return RESULT(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int posix_bind_listen(struct os *os, int fd, const struct sockaddr *addr, socklen_t size,
                             int backlog)
{
    int one = 1; /* else a restart waits for the connections in TIME_WAIT */
    if (addr->sa_family != AF_UNIX &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        return -errno;
    if (bind(fd, addr, size) < 0)
        return -errno;
    return RESULT(listen(fd, backlog));
}

static int posix_accept(struct os *os, int fd, struct sockaddr_storage *out_peer)
{
    int result;
    do {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        memset(&peer, 0, sizeof(peer));
        result = RESULT(accept4(fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (result >= 0)
            *out_peer = peer;
    } while (result == -EINTR || result == -ECONNABORTED);
    return result;
}

/* An interrupted connect goes on in the background. */
static int posix_connect(struct os *os, int fd, const struct sockaddr *addr, socklen_t size)
{
    int result = RESULT(connect(fd, addr, size));
    return result == -EINTR ? -EINPROGRESS : result;
}

static int posix_sockname(struct os *os, int fd, struct sockaddr_storage *out)
{
    socklen_t size = sizeof(*out);
    memset(out, 0, sizeof(*out));
    return RESULT(getsockname(fd, (struct sockaddr *)out, &size));
}

static int posix_sockopt(struct os *os, int fd, int level, int name, const void *value,
                         socklen_t size)
{
    return RESULT(setsockopt(fd, level, name, value, size));
}

static int posix_sockopt_get(struct os *os, int fd, int level, int name, void *out, socklen_t *size)
{
    return RESULT(getsockopt(fd, level, name, out, size));
}

static ssize_t posix_recv(struct os *os, int fd, void *data, size_t size)
{
    return RESULT_RETRIED(recv(fd, data, size, 0));
}

static ssize_t posix_sendv(struct os *os, int fd, const struct iovec *parts, int count, bool more)
{
    bool is_cut = count > IO_PARTS_MAX;
    int flags = MSG_NOSIGNAL | (more || is_cut ? MSG_MORE : 0);
    if (count == 1) /* the cheaper call */
        return RESULT_RETRIED(send(fd, parts->iov_base, parts->iov_len, flags));
    struct msghdr message = {
        .msg_iov = (struct iovec *)(uintptr_t)parts,
        .msg_iovlen = (size_t)MIN(count, IO_PARTS_MAX),
    };
    return RESULT_RETRIED(sendmsg(fd, &message, flags));
}

static ssize_t posix_sendfile(struct os *os, int socket_fd, int file_fd, uint64_t offset,
                              size_t size)
{
    off_t at = (off_t)offset;
    return RESULT_RETRIED(sendfile(socket_fd, file_fd, &at, MIN(size, (size_t)SENDFILE_SIZE_MAX)));
}

static int posix_shutdown(struct os *os, int fd)
{
    return RESULT(shutdown(fd, SHUT_RDWR));
}

static int posix_poll_create(struct os *os)
{
    return RESULT(epoll_create1(EPOLL_CLOEXEC));
}

static int posix_poll_set(struct os *os, int poll_fd, int fd, uint32_t events, uint64_t tag,
                          bool is_new)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};
    int verb = is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (events == 0)
        verb = EPOLL_CTL_DEL;
    return RESULT(epoll_ctl(poll_fd, verb, fd, &event));
}

/* For kernels and container policies without epoll_pwait2: whole milliseconds, never too early. */
static int poll_coarse(int poll_fd, struct epoll_event *events, int count, int64_t timeout_ns)
{
    int64_t timeout_ms = -1;
    if (timeout_ns >= 0)
        timeout_ms = timeout_ns / (int64_t)NS_PER_MS + (timeout_ns % (int64_t)NS_PER_MS != 0);
    return RESULT(epoll_wait(poll_fd, events, count, (int)MIN(timeout_ms, INT_MAX)));
}

static int poll_fine(int poll_fd, struct epoll_event *events, int count, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = timeout_ns / (int64_t)NS_PER_S,
                               .tv_nsec = timeout_ns % (int64_t)NS_PER_S};
    return RESULT(epoll_pwait2(poll_fd, events, count, &timeout, NULL));
}

static int posix_poll_wait(struct os *os, int poll_fd, struct os_event *out, int count,
                           int64_t timeout_ns)
{
    struct epoll_event events[POLL_EVENTS_MAX];
    count = MIN(count, POLL_EVENTS_MAX);
    int got = timeout_ns > 0 ? poll_fine(poll_fd, events, count, timeout_ns) : -ENOSYS;
    if (got == -ENOSYS || got == -EPERM)
        got = poll_coarse(poll_fd, events, count, timeout_ns);
    if (got == -EINTR)
        return 0;
    for (int i = 0; i < got; i++)
        out[i] = (struct os_event){.tag = events[i].data.u64, .events = events[i].events};
    return got;
}

static int posix_event_create(struct os *os)
{
    return RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/* EAGAIN means the counter is full, and so signalled. */
static int posix_event_signal(struct os *os, int fd)
{
    uint64_t one = 1;
    ssize_t result = RESULT_RETRIED(write(fd, &one, sizeof(one)));
    return result < 0 && result != -EAGAIN ? (int)result : 0;
}

static int posix_event_clear(struct os *os, int fd)
{
    uint64_t count;
    ssize_t result = RESULT_RETRIED(read(fd, &count, sizeof(count)));
    return result < 0 && result != -EAGAIN ? (int)result : 0;
}

static int posix_signal_create(struct os *os, const int *signals, int count)
{
    sigset_t mask;
    sigemptyset(&mask);
    for (int i = 0; i < count; i++)
        sigaddset(&mask, signals[i]);
    int fd = RESULT(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    sigaddset(&mask, SIGPIPE); /* sendfile has no MSG_NOSIGNAL */
    if (fd >= 0)
        CHECK(pthread_sigmask(SIG_BLOCK, &mask, NULL) == 0);
    return fd;
}

static int posix_signal_read(struct os *os, int fd)
{
    struct signalfd_siginfo info;
    ssize_t result = RESULT_RETRIED(read(fd, &info, sizeof(info)));
    if (result < 0)
        return (int)result;
    CHECK(result == (ssize_t)sizeof(info));
    return (int)info.ssi_signo;
}

struct thread_start {
    os_thread_fn fn;
    void *arg;
    char name[16];
};

static void *thread_main(void *take_start)
{
    struct thread_start start = *(struct thread_start *)take_start;
    free(take_start);
    (void)pthread_setname_np(pthread_self(), start.name); /* only for a person's eyes */
    start.fn(start.arg);
    return NULL;
}

/* Signals go to the thread that reads them; those of a program error stay where they arise. */
static void mask_for_threads(sigset_t *mask)
{
    static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigfillset(mask);
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        sigdelset(mask, kept[i]);
}

static int posix_thread_start(struct os *os, const char *name, os_thread_fn fn, void *arg,
                              uint64_t *out_id)
{
    CHECK(strlen(name) < sizeof(((struct thread_start *)NULL)->name));
    struct thread_start *start = calloc(1, sizeof(*start));
    if (!start)
        return -ENOMEM;
    start->fn = fn;
    start->arg = arg;
    memcpy(start->name, name, strlen(name));
    pthread_attr_t attr;
    sigset_t mask, mask_before;
    pthread_t thread;
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, STACK_SIZE) == 0);
    mask_for_threads(&mask);
    CHECK(pthread_sigmask(SIG_BLOCK, &mask, &mask_before) == 0);
    int error = pthread_create(&thread, &attr, thread_main, start);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask_before, NULL) == 0);
    CHECK(pthread_attr_destroy(&attr) == 0);
    if (error) {
        free(start);
        return -error;
    }
    *out_id = (uint64_t)thread;
    return 0;
}

static void posix_thread_join(struct os *os, uint64_t id)
{
    CHECK(pthread_join((pthread_t)id, NULL) == 0);
}

static uint64_t posix_thread_cpu_ns(struct os *os)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int posix_stderr_to(struct os *os, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    int result = dup2(fd, STDERR_FILENO) < 0 ? -errno : 0;
    close(fd);
    return result;
}

static int posix_process_signal(struct os *os, int64_t pid, int number)
{
    if (pid <= 0 || pid > INT32_MAX)
        return -ESRCH;
    return kill((pid_t)pid, number) != 0 ? -errno : 0;
}

static const struct os_ops posix_ops = {
    .mono_ns = posix_mono_ns,
    .wall_ms = posix_wall_ms,
    .random = posix_random,
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pread_cached = posix_pread_cached,
    .prefetch = posix_prefetch,
    .pwritev = posix_pwritev,
    .fdatasync = posix_fdatasync,
    .fsync = posix_fsync,
    .syncfs = posix_syncfs,
    .truncate = posix_truncate,
    .reserve = posix_reserve,
    .stat = posix_stat,
    .fstat = posix_fstat,
    .unlink = posix_unlink,
    .rmdir = posix_rmdir,
    .rename = posix_rename,
    .mkdir = posix_mkdir,
    .list = posix_list,
    .space = posix_space,
    .lock = posix_lock,
    .socket = posix_socket,
    .bind_listen = posix_bind_listen,
    .accept = posix_accept,
    .connect = posix_connect,
    .sockname = posix_sockname,
    .sockopt = posix_sockopt,
    .sockopt_get = posix_sockopt_get,
    .recv = posix_recv,
    .sendv = posix_sendv,
    .sendfile = posix_sendfile,
    .shutdown = posix_shutdown,
    .poll_create = posix_poll_create,
    .poll_set = posix_poll_set,
    .poll_wait = posix_poll_wait,
    .event_create = posix_event_create,
    .event_signal = posix_event_signal,
    .event_clear = posix_event_clear,
    .signal_create = posix_signal_create,
    .signal_read = posix_signal_read,
    .thread_start = posix_thread_start,
    .thread_join = posix_thread_join,
    .thread_cpu_ns = posix_thread_cpu_ns,
    .stderr_to = posix_stderr_to,
    .process_signal = posix_process_signal,
};

static const struct os posix = {&posix_ops};

/* Shared and without state: nobody writes through the pointer. */
struct os *os_posix(void)
{
    return (struct os *)(uintptr_t)&posix;
}

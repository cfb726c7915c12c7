// The face of the fake os: clocks, randomness, its table, and what a test does to the disk.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "os/fake_state.h"

#define MONO_START_NS 1000000000ULL
#define WALL_START_MS 1700000000000LL
#define NS_PER_MS     1000000LL

static uint64_t fake_mono_ns(struct os *os)
{
    return os_fake_of(os)->mono_ns;
}

static int64_t fake_wall_ms(struct os *os)
{
    return os_fake_of(os)->wall_ns / NS_PER_MS;
}

static void fake_random(struct os *os, void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        uint64_t drawn = os_fake_random_next(&os_fake_of(os)->random);
        size_t now = MIN(size, sizeof(drawn));
        memcpy(at, &drawn, now);
        at += now;
        size -= now;
    }
}

/* A simulated network would take the place of these. */
static int no_socket(struct os *os, int domain, int type)
{
    return -ENOTSUP;
}

static int no_bind_listen(struct os *os, int fd, const struct sockaddr *addr, socklen_t size,
                          int backlog)
{
    return -ENOTSUP;
}

static int no_accept(struct os *os, int fd, struct sockaddr_storage *out_peer)
{
    return -ENOTSUP;
}

static int no_connect(struct os *os, int fd, const struct sockaddr *addr, socklen_t size)
{
    return -ENOTSUP;
}

static int no_sockname(struct os *os, int fd, struct sockaddr_storage *out)
{
    return -ENOTSUP;
}

static int no_sockopt(struct os *os, int fd, int level, int name, const void *value, socklen_t size)
{
    return -ENOTSUP;
}

static int no_sockopt_get(struct os *os, int fd, int level, int name, void *out, socklen_t *size)
{
    return -ENOTSUP;
}

static ssize_t no_recv(struct os *os, int fd, void *data, size_t size)
{
    return -ENOTSUP;
}

static ssize_t no_sendv(struct os *os, int fd, const struct iovec *parts, int count, bool more)
{
    return -ENOTSUP;
}

static ssize_t no_sendfile(struct os *os, int socket_fd, int file_fd, uint64_t offset, size_t size)
{
    return -ENOTSUP;
}

static int no_shutdown(struct os *os, int fd)
{
    return -ENOTSUP;
}

static int no_thread_start(struct os *os, const char *name, os_thread_fn fn, void *arg,
                           uint64_t *out_id)
{
    return -ENOTSUP;
}

static void no_thread_join(struct os *os, uint64_t id)
{
    CHECK(!"no thread was started");
}

static int fake_stderr_to(struct os *os, const char *path)
{
    return -ENOSYS;
}

static int fake_process_signal(struct os *os, int64_t pid, int number)
{
    return -ESRCH;
}

static const struct os_ops fake_ops = {
    .mono_ns = fake_mono_ns,
    .wall_ms = fake_wall_ms,
    .random = fake_random,
    .open = os_fake_path_open,
    .close = os_fake_fd_close,
    .pread = os_fake_file_pread,
    .pread_cached = os_fake_file_pread_cached,
    .prefetch = os_fake_file_prefetch,
    .pwritev = os_fake_file_pwritev,
    .fdatasync = os_fake_file_fdatasync,
    .fsync = os_fake_file_fsync,
    .syncfs = os_fake_file_syncfs,
    .truncate = os_fake_file_truncate,
    .reserve = os_fake_file_reserve,
    .stat = os_fake_path_stat,
    .fstat = os_fake_file_fstat,
    .unlink = os_fake_path_unlink,
    .rmdir = os_fake_path_rmdir,
    .rename = os_fake_path_rename,
    .mkdir = os_fake_path_mkdir,
    .list = os_fake_path_list,
    .space = os_fake_path_space,
    .lock = os_fake_file_lock,
    .socket = no_socket,
    .bind_listen = no_bind_listen,
    .accept = no_accept,
    .connect = no_connect,
    .sockname = no_sockname,
    .sockopt = no_sockopt,
    .sockopt_get = no_sockopt_get,
    .recv = no_recv,
    .sendv = no_sendv,
    .sendfile = no_sendfile,
    .shutdown = no_shutdown,
    .poll_create = os_fake_fd_poll_create,
    .poll_set = os_fake_fd_poll_set,
    .poll_wait = os_fake_fd_poll_wait,
    .event_create = os_fake_fd_event_create,
    .event_signal = os_fake_fd_event_signal,
    .event_clear = os_fake_fd_event_clear,
    .signal_create = os_fake_fd_signal_create,
    .signal_read = os_fake_fd_signal_read,
    .thread_start = no_thread_start,
    .thread_join = no_thread_join,
    .thread_cpu_ns = fake_mono_ns,
    .stderr_to = fake_stderr_to,
    .process_signal = fake_process_signal,
};

struct os_fake *os_fake_new(uint64_t seed)
{
    struct os_fake *fake = calloc(1, sizeof(*fake));
    CHECK(fake);
    fake->os.ops = &fake_ops;
    fake->random.state = seed;
    fake->mono_ns = MONO_START_NS;
    fake->wall_ns = WALL_START_MS * NS_PER_MS;
    fake->capacity_count = UINT64_MAX;
    os_fake_names_init(&fake->disk);
    return fake;
}

void os_fake_free(struct os_fake *fake)
{
    if (!fake)
        return;
    os_fake_fd_close_all(fake);
    os_fake_names_deinit(&fake->disk);
    free(fake->fds);
    free(fake);
}

struct os *os_fake_os(struct os_fake *fake)
{
    return &fake->os;
}

void os_fake_advance(struct os_fake *fake, uint64_t ns)
{
    fake->mono_ns += ns;
    fake->wall_ns += (int64_t)ns;
}

void os_fake_wall_set(struct os_fake *fake, int64_t wall_ms)
{
    fake->wall_ns = wall_ms * NS_PER_MS;
}

void os_fake_signal(struct os_fake *fake, int signal)
{
    for (size_t i = 0; i < fake->fd_count; i++) {
        struct os_fake_fd *fd = &fake->fds[i];
        if (fd->kind == OS_FAKE_FD_SIGNAL)
            fd->count |= fd->watched & 1ULL << signal;
    }
}

void os_fake_capacity_set(struct os_fake *fake, uint64_t bytes)
{
    fake->capacity_count = bytes / OS_FAKE_BLOCK_SIZE;
}

void os_fake_fault_add(struct os_fake *fake, const struct os_fake_fault *fault)
{
    CHECK(fake->fault_count < OS_FAKE_FAULTS_MAX);
    CHECK(fault->error >= 0 && (fault->error > 0 || fault->kind == OS_FAKE_WRITE));
    fake->faults[fake->fault_count++] = (struct os_fake_armed){.fault = *fault};
}

void os_fake_fault_clear(struct os_fake *fake)
{
    fake->fault_count = 0;
}

uint64_t os_fake_operation_count(const struct os_fake *fake)
{
    return fake->operation_count;
}

void os_fake_cut_power(struct os_fake *fake, uint64_t at, bool is_after)
{
    fake->cut_at = at;
    fake->cut_is_after = is_after;
}

bool os_fake_power_is_off(const struct os_fake *fake)
{
    return fake->power_is_off;
}

void os_fake_crash(struct os_fake *fake, uint64_t seed, struct os_fake_crash_policy policy)
{
    CHECK(policy.keep > 0 || policy.lose > 0 || policy.garble > 0);
    struct os_fake_random random = {seed};
    os_fake_fd_close_all(fake);
    os_fake_names_crash(&fake->disk, &random, policy);
    uint64_t base = os_fake_random_next(&random);
    for (size_t i = 0; i < fake->disk.node_count; i++) {
        struct os_fake_node *node = fake->disk.nodes[i];
        random.state = base ^ (node->id + 1) * 0xd6e8feb86659fd93ULL; /* whatever their order */
        os_fake_pages_crash(&node->pages, &random, policy);
    }
    fake->cut_at = 0;
    fake->power_is_off = false;
}

void os_fake_writeback(struct os_fake *fake, unsigned percent)
{
    for (size_t i = 0; i < fake->disk.node_count; i++)
        os_fake_pages_writeback(&fake->disk.nodes[i]->pages, &fake->random, percent);
}

void os_fake_kill(struct os_fake *fake)
{
    os_fake_fd_close_all(fake);
}

struct os_fake_snapshot {
    struct os_fake_disk disk;
};

struct os_fake_snapshot *os_fake_snapshot_new(struct os_fake *fake)
{
    struct os_fake_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    CHECK(snapshot);
    os_fake_names_copy(&snapshot->disk, &fake->disk);
    return snapshot;
}

void os_fake_snapshot_free(struct os_fake_snapshot *snapshot)
{
    if (!snapshot)
        return;
    os_fake_names_deinit(&snapshot->disk);
    free(snapshot);
}

void os_fake_snapshot_restore(struct os_fake *fake, const struct os_fake_snapshot *snapshot)
{
    os_fake_fd_close_all(fake);
    os_fake_names_deinit(&fake->disk);
    os_fake_names_copy(&fake->disk, &snapshot->disk);
}

/* NULL: *out_error says why. */
static struct os_fake_node *file_find(struct os_fake *fake, const char *path,
                                      enum os_fake_view view, int *out_error)
{
    struct os_fake_target target;
    int result = os_fake_names_find(&fake->disk, view, path, &target);
    if (result == 0 && !target.node)
        result = -ENOENT;
    if (result == 0 && target.node->is_directory)
        result = -EISDIR;
    *out_error = result;
    return result == 0 ? target.node : NULL;
}

int os_fake_flip(struct os_fake *fake, const char *path, uint64_t offset, unsigned bit)
{
    int error;
    struct os_fake_node *node = file_find(fake, path, OS_FAKE_CACHED, &error);
    if (!node)
        return error;
    if (offset >= node->pages.size || bit > 7)
        return -EINVAL;
    os_fake_pages_flip(&node->pages, offset, bit);
    return 0;
}

int os_fake_read_error(struct os_fake *fake, const char *path, uint64_t offset, uint64_t size,
                       int errno_value)
{
    int error;
    struct os_fake_node *node = file_find(fake, path, OS_FAKE_CACHED, &error);
    if (!node)
        return error;
    if (errno_value == 0) {
        node->bad_range_count = 0;
        return 0;
    }
    if (errno_value < 0 || size > OS_FAKE_FILE_SIZE_MAX || offset > OS_FAKE_FILE_SIZE_MAX)
        return -EINVAL;
    size_t count = node->bad_range_count + 1;
    node->bad_ranges = realloc(node->bad_ranges, count * sizeof(*node->bad_ranges));
    CHECK(node->bad_ranges);
    node->bad_ranges[count - 1] = (struct os_fake_bad_range){offset, size, errno_value};
    node->bad_range_count = count;
    return 0;
}

int os_fake_drop_cache(struct os_fake *fake, const char *path)
{
    int error;
    struct os_fake_node *node = file_find(fake, path, OS_FAKE_CACHED, &error);
    if (node)
        os_fake_pages_drop_cache(&node->pages);
    return error;
}

ssize_t os_fake_peek(struct os_fake *fake, const char *path, bool is_durable, uint64_t offset,
                     struct iovec out)
{
    enum os_fake_view view = is_durable ? OS_FAKE_DURABLE : OS_FAKE_CACHED;
    int error;
    const struct os_fake_node *node = file_find(fake, path, view, &error);
    if (!node)
        return error;
    uint64_t size = is_durable ? node->pages.size_durable : node->pages.size;
    if (offset >= size)
        return 0;
    out.iov_len = MIN(out.iov_len, size - offset);
    os_fake_pages_read(&node->pages, view, offset, out);
    return (ssize_t)out.iov_len;
}

int64_t os_fake_size(struct os_fake *fake, const char *path, bool is_durable)
{
    int error;
    const struct os_fake_node *node =
        file_find(fake, path, is_durable ? OS_FAKE_DURABLE : OS_FAKE_CACHED, &error);
    if (!node)
        return -1;
    return (int64_t)(is_durable ? node->pages.size_durable : node->pages.size);
}

// Tests the real kernel's table: files in a temporary folder, sockets on loopback, threads.
// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/os.h"

#define NS_PER_MS 1000000LL

struct place {
    struct os *os;
    char root[64];
    char path[128]; /* root/f */
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    place->os = os_posix();
    const char *base = getenv("TMPDIR");
    if (!base || strlen(base) > 40)
        base = "/tmp";
    memcpy(place->root, base, strlen(base));
    memcpy(place->root + strlen(base), "/leat-os-XXXXXX", sizeof("/leat-os-XXXXXX"));
    CHECK(mkdtemp(place->root));
    memcpy(place->path, place->root, strlen(place->root));
    memcpy(place->path + strlen(place->root), "/f", sizeof("/f"));
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    (void)unlink(place->path);
    int result = rmdir(place->root); /* tests leave nothing else */
    free(place);
    return result;
}

static void path_in(const struct place *place, const char *name, char out[128])
{
    size_t size = strlen(place->root);
    memcpy(out, place->root, size);
    out[size] = '/';
    memcpy(out + size + 1, name, strlen(name) + 1);
}

static int open_new(const struct place *place)
{
    int fd = place->os->ops->open(
        place->os, place->path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return fd;
}

static void files(void **state)
{
    struct place *place = *state;
    struct os *os = place->os;
    int fd = open_new(place);
    struct iovec parts[2] = {{"hello ", 6}, {"world", 5}};
    assert_int_equal(os->ops->pwritev(os, fd, parts, 2, 10), 11);
    char data[32] = {0};
    assert_int_equal(os->ops->pread(os, fd, data, sizeof(data), 10), 11);
    assert_memory_equal(data, "hello world", 11);
    assert_int_equal(os->ops->pread(os, fd, data, sizeof(data), 21), 0);
    assert_int_equal(os->ops->pread(os, fd, data, sizeof(data), UINT64_MAX), -EINVAL);
    ssize_t cached = os->ops->pread_cached(os, fd, data, 5, 16);
    assert_true(cached == 5 || cached == -EOPNOTSUPP || cached == -EAGAIN);
    if (cached == 5)
        assert_memory_equal(data, "world", 5);
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    assert_int_equal(os->ops->fsync(os, fd), 0);
    int reserved = os->ops->reserve(os, fd, 0, 1 << 20);
    assert_true(reserved == 0 || reserved == -EOPNOTSUPP);
    struct os_stat found;
    assert_int_equal(os->ops->fstat(os, fd, &found), 0);
    assert_true(found.size_bytes == 21 && !found.is_directory);
    int64_t age_ms = os->ops->wall_ms(os) - found.modified_ms;
    assert_true(age_ms > -60000 && age_ms < 60000);
    assert_int_equal(os->ops->truncate(os, fd, 5), 0);
    assert_int_equal(os->ops->stat(os, place->path, &found), 0);
    assert_int_equal(found.size_bytes, 5);
    assert_int_equal(os->ops->close(os, fd), 0);
    assert_int_equal(os->ops->close(os, fd), -EBADF);
    fd = os->ops->open(os, place->path, OS_OPEN_WRITE | OS_OPEN_TRUNCATE);
    assert_int_equal(os->ops->fstat(os, fd, &found), 0);
    assert_int_equal(found.size_bytes, 0);
    assert_int_equal(os->ops->pread(os, fd, data, 1, 0), -EBADF);
    assert_int_equal(os->ops->syncfs(os, fd), 0);
    assert_int_equal(os->ops->close(os, fd), 0);
}

/* More parts than the kernel takes in one call are a short write, not an error. */
static void many_parts(void **state)
{
    struct place *place = *state;
    struct os *os = place->os;
    int fd = open_new(place);
    enum { COUNT = 3000 };
    static struct iovec parts[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        parts[i] = (struct iovec){"ab", 2};
    ssize_t wrote = os->ops->pwritev(os, fd, parts, COUNT, 0);
    assert_true(wrote > 0 && wrote <= 2 * COUNT && wrote % 2 == 0);
    assert_int_equal(os->ops->close(os, fd), 0);
}

static void count_names(void *arg, const char *name, bool is_directory)
{
    unsigned *seen = arg;
    seen[is_directory]++;
    assert_string_equal(name, is_directory ? "d" : "f");
}

static void names(void **state)
{
    struct place *place = *state;
    struct os *os = place->os;
    char directory[128], moved[128];
    path_in(place, "d", directory);
    path_in(place, "d/g", moved);
    int fd = open_new(place);
    assert_int_equal(os->ops->open(os, place->path, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE), -EEXIST);
    assert_int_equal(os->ops->open(os, place->path, OS_OPEN_DIRECTORY), -ENOTDIR);
    assert_int_equal(os->ops->mkdir(os, directory), 0);
    assert_int_equal(os->ops->mkdir(os, directory), 0);
    assert_int_equal(os->ops->mkdir(os, place->path), -ENOTDIR);
    unsigned seen[2] = {0};
    assert_int_equal(os->ops->list(os, place->root, count_names, seen), 0);
    assert_true(seen[0] == 1 && seen[1] == 1);
    assert_int_equal(os->ops->list(os, moved, count_names, seen), -ENOENT);
    assert_int_equal(os->ops->rename(os, place->path, moved), 0);
    assert_int_equal(os->ops->rename(os, place->path, moved), -ENOENT);
    assert_int_equal(os->ops->rmdir(os, directory), -ENOTEMPTY);
    int root = os->ops->open(os, place->root, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    assert_true(root >= 0);
    assert_int_equal(os->ops->fsync(os, root), 0);
    assert_int_equal(os->ops->close(os, root), 0);
    assert_int_equal(os->ops->unlink(os, moved), 0);
    assert_int_equal(os->ops->unlink(os, moved), -ENOENT);
    struct os_stat found;
    assert_int_equal(os->ops->stat(os, directory, &found), 0);
    assert_true(found.is_directory);
    assert_int_equal(os->ops->rmdir(os, directory), 0);
    assert_int_equal(os->ops->stat(os, directory, &found), -ENOENT);
    struct os_space space;
    assert_int_equal(os->ops->space(os, place->root, &space), 0);
    assert_true(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
    assert_int_equal(os->ops->close(os, fd), 0);
}

static void lock_excludes_others(void **state)
{
    struct place *place = *state;
    struct os *os = place->os;
    int first = open_new(place);
    int second = os->ops->open(os, place->path, OS_OPEN_READ);
    assert_int_equal(os->ops->lock(os, first), 0);
    assert_int_equal(os->ops->lock(os, second), -EWOULDBLOCK);
    assert_int_equal(os->ops->close(os, first), 0);
    assert_int_equal(os->ops->lock(os, second), 0);
    assert_int_equal(os->ops->close(os, second), 0);
}

static void clocks_and_randomness(void **state)
{
    struct os *os = os_posix();
    uint64_t start = os->ops->mono_ns(os);
    assert_true(start > 0 && os->ops->mono_ns(os) >= start);
    assert_true(os->ops->wall_ms(os) > 1700000000000LL);
    uint8_t a[1000] = {0}, b[1000] = {0};
    os->ops->random(os, a, sizeof(a));
    os->ops->random(os, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static int wait_for(struct os *os, int fd, uint32_t events)
{
    int poll = os->ops->poll_create(os);
    assert_true(poll >= 0);
    assert_int_equal(os->ops->poll_set(os, poll, fd, events, 77, true), 0);
    struct os_event got;
    int count = os->ops->poll_wait(os, poll, &got, 1, 5000 * NS_PER_MS);
    assert_int_equal(os->ops->close(os, poll), 0);
    return count == 1 && got.tag == 77 ? (int)got.events : -1;
}

/* A connected pair over loopback. */
static void tcp_pair(struct os *os, int out[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = os->ops->socket(os, AF_INET, SOCK_STREAM);
    assert_true(listener >= 0);
    assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
    assert_int_equal(
        os->ops->bind_listen(os, listener, (struct sockaddr *)&address, sizeof(address), 8), 0);
    struct sockaddr_storage bound, peer;
    assert_int_equal(os->ops->accept(os, listener, &peer), -EAGAIN);
    assert_int_equal(os->ops->sockname(os, listener, &bound), 0);
    assert_int_equal(bound.ss_family, AF_INET);
    out[0] = os->ops->socket(os, AF_INET, SOCK_STREAM);
    int result = os->ops->connect(os, out[0], (struct sockaddr *)&bound, sizeof(address));
    assert_true(result == 0 || result == -EINPROGRESS);
    assert_true(wait_for(os, listener, EPOLLIN) & EPOLLIN);
    out[1] = os->ops->accept(os, listener, &peer);
    assert_true(out[1] >= 0);
    assert_int_equal(peer.ss_family, AF_INET);
    assert_int_equal(fcntl(out[1], F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    assert_true(wait_for(os, out[0], EPOLLOUT) & EPOLLOUT);
    int error = -1;
    socklen_t size = sizeof(error);
    assert_int_equal(os->ops->sockopt_get(os, out[0], SOL_SOCKET, SO_ERROR, &error, &size), 0);
    assert_int_equal(error, 0);
    assert_int_equal(os->ops->close(os, listener), 0);
}

static void sockets(void **state)
{
    struct place *place = *state;
    struct os *os = place->os;
    int pair[2];
    tcp_pair(os, pair);
    char data[32];
    assert_int_equal(os->ops->recv(os, pair[1], data, sizeof(data)), -EAGAIN);
    int on = 1;
    assert_int_equal(os->ops->sockopt(os, pair[0], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
    struct iovec parts[2] = {{"ab", 2}, {"cd", 2}};
    assert_int_equal(os->ops->sendv(os, pair[0], parts, 2, false), 4);
    assert_true(wait_for(os, pair[1], EPOLLIN) & EPOLLIN);
    assert_int_equal(os->ops->recv(os, pair[1], data, sizeof(data)), 4);
    assert_memory_equal(data, "abcd", 4);
    int fd = open_new(place);
    struct iovec part = {"0123456789", 10};
    assert_int_equal(os->ops->pwritev(os, fd, &part, 1, 0), 10);
    assert_int_equal(os->ops->sendfile(os, pair[0], fd, 3, 100), 7);
    assert_true(wait_for(os, pair[1], EPOLLIN) & EPOLLIN);
    assert_int_equal(os->ops->recv(os, pair[1], data, sizeof(data)), 7);
    assert_memory_equal(data, "3456789", 7);
    assert_int_equal(os->ops->shutdown(os, pair[1]), 0);
    assert_true(wait_for(os, pair[0], EPOLLIN) & EPOLLIN);
    assert_int_equal(os->ops->recv(os, pair[0], data, sizeof(data)), 0);
    assert_int_equal(os->ops->shutdown(os, pair[0]), 0);
    assert_int_equal(os->ops->sendv(os, pair[0], parts, 2, false), -EPIPE); /* and no signal */
    assert_int_equal(os->ops->close(os, pair[0]), 0);
    assert_int_equal(os->ops->close(os, pair[1]), 0);
    assert_int_equal(os->ops->close(os, fd), 0);
}

static void unix_sockets(void **state)
{
    struct place *place = *state;
    struct os *os = place->os;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place->path, strlen(place->path) + 1);
    int listener = os->ops->socket(os, AF_UNIX, SOCK_STREAM);
    assert_int_equal(
        os->ops->bind_listen(os, listener, (struct sockaddr *)&address, sizeof(address), 1), 0);
    int second = os->ops->socket(os, AF_UNIX, SOCK_STREAM);
    assert_int_equal(
        os->ops->bind_listen(os, second, (struct sockaddr *)&address, sizeof(address), 1),
        -EADDRINUSE);
    assert_int_equal(os->ops->connect(os, second, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(os->ops->close(os, second), 0);
    assert_int_equal(os->ops->close(os, listener), 0);
}

static void polling(void **state)
{
    struct os *os = os_posix();
    int poll = os->ops->poll_create(os);
    int event = os->ops->event_create(os);
    assert_int_equal(fcntl(poll, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(event, F_GETFD), FD_CLOEXEC);
    struct os_event got[4];
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLIN, 1ULL << 63, true), 0);
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLIN, 1ULL << 63, true), -EEXIST);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 0), 0);
    uint64_t start = os->ops->mono_ns(os);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 1500 * 1000), 0);
    assert_true(os->ops->mono_ns(os) - start >= 1500 * 1000); /* never early */
    assert_int_equal(os->ops->event_clear(os, event), 0);
    assert_int_equal(os->ops->event_signal(os, event), 0);
    assert_int_equal(os->ops->event_signal(os, event), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, -1), 1);
    assert_true(got[0].tag == 1ULL << 63 && got[0].events == EPOLLIN);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, -1), 1); /* level-triggered */
    assert_int_equal(os->ops->event_clear(os, event), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 0), 0);
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLOUT, 5, false), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, -1), 1);
    assert_int_equal(got[0].tag, 5);
    assert_int_equal(os->ops->poll_set(os, poll, event, 0, 0, false), 0);
    assert_int_equal(os->ops->poll_set(os, poll, event, 0, 0, false), -ENOENT);
    assert_int_equal(os->ops->close(os, event), 0);
    assert_int_equal(os->ops->close(os, poll), 0);
}

static void signals_are_read(void **state)
{
    struct os *os = os_posix();
    sigset_t before, now;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    int fd = os->ops->signal_create(os, (const int[]){SIGUSR1}, 1);
    assert_true(fd >= 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    assert_true(sigismember(&now, SIGUSR1) && sigismember(&now, SIGPIPE));
    assert_int_equal(os->ops->signal_read(os, fd), -EAGAIN);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_true(wait_for(os, fd, EPOLLIN) & EPOLLIN);
    assert_int_equal(os->ops->signal_read(os, fd), SIGUSR1);
    assert_int_equal(os->ops->signal_read(os, fd), -EAGAIN);
    assert_int_equal(os->ops->close(os, fd), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

struct seen_in_thread {
    char name[16];
    bool is_masked;
    bool keeps_faults;
    size_t stack_size;
    uint64_t cpu_ns;
};

static void look_around(void *arg)
{
    struct seen_in_thread *seen = arg;
    struct os *os = os_posix();
    sigset_t mask;
    pthread_attr_t attr;
    (void)pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen->is_masked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGPIPE);
    seen->keeps_faults = !sigismember(&mask, SIGSEGV);
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstacksize(&attr, &seen->stack_size);
        (void)pthread_attr_destroy(&attr);
    }
    seen->cpu_ns = os->ops->thread_cpu_ns(os);
}

static void threads(void **state)
{
    struct os *os = os_posix();
    sigset_t before, after;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    struct seen_in_thread seen = {0};
    uint64_t id;
    assert_int_equal(os->ops->thread_start(os, "fifteen-letters", look_around, &seen, &id), 0);
    os->ops->thread_join(os, id);
    assert_string_equal(seen.name, "fifteen-letters");
    assert_true(seen.is_masked && seen.keeps_faults);
    assert_true(seen.stack_size >= 512 << 10 && seen.stack_size < 16 << 20);
    assert_true(seen.cpu_ns > 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void other_processes(void **state)
{
    struct os *os = os_posix();
    assert_int_equal(os->ops->process_signal(os, getpid(), 0), 0);
    assert_int_equal(os->ops->process_signal(os, INT32_MAX, 0), -ESRCH);
    assert_int_equal(os->ops->process_signal(os, 0, 0), -ESRCH); /* not a group */
    assert_int_equal(os->ops->process_signal(os, -1, 0), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files, setup, teardown),
        cmocka_unit_test_setup_teardown(many_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(names, setup, teardown),
        cmocka_unit_test_setup_teardown(lock_excludes_others, setup, teardown),
        cmocka_unit_test_setup_teardown(sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(unix_sockets, setup, teardown),
        cmocka_unit_test(clocks_and_randomness),
        cmocka_unit_test(polling),
        cmocka_unit_test(signals_are_read),
        cmocka_unit_test(threads),
        cmocka_unit_test(other_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

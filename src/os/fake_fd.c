// Descriptors of the fake os, and what one thread's event loop waits on: poll, events, signals.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "os/fake_state.h"

enum { FD_FIRST = 3, SIGNALS_MAX = 64 };

int os_fake_fd_new(struct os_fake *fake, enum os_fake_fd_kind kind)
{
    size_t at = FD_FIRST;
    while (at < fake->fd_count && fake->fds[at].kind != OS_FAKE_FD_NONE)
        at++;
    if (at >= fake->fd_count) {
        size_t count = MAX(16, fake->fd_count * 2);
        fake->fds = realloc(fake->fds, count * sizeof(*fake->fds));
        CHECK(fake->fds);
        memset(fake->fds + fake->fd_count, 0, (count - fake->fd_count) * sizeof(*fake->fds));
        fake->fd_count = count;
    }
    fake->fds[at] = (struct os_fake_fd){.kind = kind};
    return (int)at;
}

struct os_fake_fd *os_fake_fd_get(struct os_fake *fake, int fd, enum os_fake_fd_kind kind)
{
    if (fd < 0 || (size_t)fd >= fake->fd_count || fake->fds[fd].kind != kind)
        return NULL;
    return &fake->fds[fd];
}

static bool fd_is_open(const struct os_fake *fake, int fd)
{
    return fd >= 0 && (size_t)fd < fake->fd_count && fake->fds[fd].kind != OS_FAKE_FD_NONE;
}

static size_t watch_find(const struct os_fake_fd *poll, int fd)
{
    size_t at = 0;
    while (at < poll->watch_count && poll->watch[at].fd != fd)
        at++;
    return at;
}

static void watch_remove(struct os_fake_fd *poll, size_t at)
{
    poll->watch_count--;
    memmove(&poll->watch[at], &poll->watch[at + 1],
            (poll->watch_count - at) * sizeof(*poll->watch));
}

int os_fake_fd_close(struct os *os, int fd)
{
    struct os_fake *fake = os_fake_of(os);
    if (!fd_is_open(fake, fd))
        return -EBADF;
    struct os_fake_fd closed = fake->fds[fd];
    fake->fds[fd] = (struct os_fake_fd){0};
    if (closed.kind == OS_FAKE_FD_FILE) {
        if (closed.node->lock_fd == fd)
            closed.node->lock_fd = -1;
        closed.node->fd_count--;
        os_fake_names_unref(&fake->disk, closed.node);
    }
    free(closed.watch);
    for (size_t i = 0; i < fake->fd_count; i++) { /* a closed descriptor leaves every poll */
        struct os_fake_fd *poll = &fake->fds[i];
        size_t at = watch_find(poll, fd);
        if (at < poll->watch_count)
            watch_remove(poll, at);
    }
    return 0;
}

void os_fake_fd_close_all(struct os_fake *fake)
{
    for (size_t i = 0; i < fake->fd_count; i++) {
        if (fake->fds[i].kind != OS_FAKE_FD_NONE)
            CHECK(os_fake_fd_close(&fake->os, (int)i) == 0);
    }
}

int os_fake_fd_poll_create(struct os *os)
{
    return os_fake_fd_new(os_fake_of(os), OS_FAKE_FD_POLL);
}

int os_fake_fd_poll_set(struct os *os, int poll_fd, int fd, uint32_t events, uint64_t tag,
                        bool is_new)
{
    struct os_fake *fake = os_fake_of(os);
    struct os_fake_fd *poll = os_fake_fd_get(fake, poll_fd, OS_FAKE_FD_POLL);
    if (!poll || !fd_is_open(fake, fd))
        return -EBADF;
    if (fake->fds[fd].kind == OS_FAKE_FD_FILE)
        return -EPERM;
    if (fake->fds[fd].kind == OS_FAKE_FD_POLL)
        return -EINVAL;
    size_t at = watch_find(poll, fd);
    bool is_there = at < poll->watch_count;
    if (events != 0 && is_new) {
        if (is_there)
            return -EEXIST;
        poll->watch = realloc(poll->watch, (at + 1) * sizeof(*poll->watch));
        CHECK(poll->watch);
        poll->watch_count++;
    } else if (!is_there) {
        return -ENOENT;
    }
    if (events == 0)
        watch_remove(poll, at);
    else
        poll->watch[at] = (struct os_fake_watch){fd, events, tag};
    return 0;
}

/* What a descriptor is ready for, in epoll's words. */
static uint32_t fd_readiness(const struct os_fake_fd *fd)
{
    if (fd->kind == OS_FAKE_FD_EVENT)
        return EPOLLOUT | (fd->count > 0 ? EPOLLIN : 0U);
    return fd->kind == OS_FAKE_FD_SIGNAL && fd->count != 0 ? EPOLLIN : 0U;
}

int os_fake_fd_poll_wait(struct os *os, int poll_fd, struct os_event *out, int count,
                         int64_t timeout_ns)
{
    struct os_fake *fake = os_fake_of(os);
    const struct os_fake_fd *poll = os_fake_fd_get(fake, poll_fd, OS_FAKE_FD_POLL);
    if (!poll)
        return -EBADF;
    if (count <= 0)
        return -EINVAL;
    int found = 0;
    for (size_t i = 0; i < poll->watch_count && found < count; i++) {
        const struct os_fake_watch *watch = &poll->watch[i];
        uint32_t ready = fd_readiness(&fake->fds[watch->fd]);
        ready &= watch->events | EPOLLERR | EPOLLHUP;
        if (ready)
            out[found++] = (struct os_event){.tag = watch->tag, .events = ready};
    }
    if (found == 0 && timeout_ns < 0)
        return -EDEADLK;
    if (found == 0)
        os_fake_advance(fake, (uint64_t)timeout_ns);
    return found;
}

int os_fake_fd_event_create(struct os *os)
{
    return os_fake_fd_new(os_fake_of(os), OS_FAKE_FD_EVENT);
}

int os_fake_fd_event_signal(struct os *os, int fd)
{
    struct os_fake_fd *event = os_fake_fd_get(os_fake_of(os), fd, OS_FAKE_FD_EVENT);
    if (!event)
        return -EBADF;
    event->count++;
    return 0;
}

int os_fake_fd_event_clear(struct os *os, int fd)
{
    struct os_fake_fd *event = os_fake_fd_get(os_fake_of(os), fd, OS_FAKE_FD_EVENT);
    if (!event)
        return -EBADF;
    event->count = 0;
    return 0;
}

int os_fake_fd_signal_create(struct os *os, const int *signals, int count)
{
    uint64_t watched = 0;
    for (int i = 0; i < count; i++) {
        if (signals[i] < 1 || signals[i] >= SIGNALS_MAX)
            return -EINVAL;
        watched |= 1ULL << signals[i];
    }
    int fd = os_fake_fd_new(os_fake_of(os), OS_FAKE_FD_SIGNAL);
    os_fake_of(os)->fds[fd].watched = watched;
    return fd;
}

int os_fake_fd_signal_read(struct os *os, int fd)
{
    struct os_fake_fd *signals = os_fake_fd_get(os_fake_of(os), fd, OS_FAKE_FD_SIGNAL);
    if (!signals)
        return -EBADF;
    if (signals->count == 0)
        return -EAGAIN;
    int number = __builtin_ctzll(signals->count);
    signals->count &= signals->count - 1;
    return number;
}

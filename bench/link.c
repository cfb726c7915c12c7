// A connection of the load generator, and whole frames over it.
// SPDX-License-Identifier: Apache-2.0
#include "bench/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/endian.h"
#include "bench/stats.h"

#define LENGTH_SIZE     4
#define FRAME_MAX       (1u << 30)
#define ANSWER_WAIT_S   60
#define CORRELATION_AT  8 /* in a request */
#define CORRELATION_END 4 /* in an answer without its length */
#define CONGESTION      "cubic"

static uint8_t *pages_new(size_t size)
{
    uint8_t *pages =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED)
        stats_die("mmap");
    return pages;
}

bool link_open(struct link *link, uint16_t port, bool blocking)
{
    *link = (struct link){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (link->fd < 0)
        stats_die("socket");
    int one = 1;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* Refused to some users; the route may say it all the same. */
    setsockopt(link->fd, IPPROTO_TCP, TCP_CONGESTION, CONGESTION, strlen(CONGESTION));
    struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
    setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(link->fd, (struct sockaddr *)&address, sizeof(address))) {
        close(link->fd);
        return false;
    }
    if (!blocking && fcntl(link->fd, F_SETFL, O_NONBLOCK))
        stats_die("fcntl");
    link->in_capacity = LINK_READ_SIZE;
    link->in = pages_new(link->in_capacity);
    return true;
}

void link_close(struct link *link)
{
    close(link->fd);
    munmap(link->in, link->in_capacity);
    *link = (struct link){.fd = -1};
}

bool link_send(struct link *link, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t n = send(link->fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd poller = {link->fd, POLLOUT, 0};
            poll(&poller, 1, -1);
            continue;
        }
        if (n < 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

size_t link_send_some(struct link *link, const void *bytes, size_t size)
{
    ssize_t n = send(link->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
        stats_die("send");
    return n < 0 ? 0 : (size_t)n;
}

static size_t frame_size(const struct link *link)
{
    if (link->in_end - link->in_start < LENGTH_SIZE)
        return 0;
    size_t size = LENGTH_SIZE + (size_t)be32_get(link->in + link->in_start);
    if (size < LENGTH_SIZE + CORRELATION_END || size > FRAME_MAX)
        stats_die_of("an answer of %zu bytes", size);
    return size;
}

static void room_for(struct link *link, size_t wanted)
{
    size_t left = link->in_end - link->in_start;
    if (left == 0)
        link->in_start = link->in_end = 0;
    if (link->in_capacity - link->in_start >= wanted && link->in_capacity > link->in_end)
        return;
    uint8_t *in = link->in;
    size_t capacity = link->in_capacity;
    while (link->in_capacity < wanted)
        link->in_capacity *= 2;
    if (link->in_capacity != capacity)
        in = pages_new(link->in_capacity);
    memmove(in, link->in + link->in_start, left);
    if (in != link->in)
        munmap(link->in, capacity);
    link->in = in;
    link->in_start = 0;
    link->in_end = left;
}

int link_read(struct link *link, size_t size_max)
{
    size_t wanted = frame_size(link);
    size_t left = link->in_end - link->in_start;
    room_for(link, MIN(MAX(wanted, LENGTH_SIZE), left + size_max));
    size_t room = MIN(link->in_capacity - link->in_end, size_max);
    ssize_t n = recv(link->fd, link->in + link->in_end, room, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -1;
    link->in_end += (size_t)n;
    return 1;
}

struct slice link_frame(struct link *link, size_t kept_max, size_t *out_size)
{
    size_t size = frame_size(link), left = link->in_end - link->in_start;
    size_t kept = kept_max ? MIN(size, LENGTH_SIZE + kept_max) : size;
    if (size == 0 || left < kept)
        return SLICE_NULL;
    if (out_size)
        *out_size = size - LENGTH_SIZE;
    return slice_make(link->in + link->in_start + LENGTH_SIZE, MIN(left, size) - LENGTH_SIZE);
}

void link_take(struct link *link)
{
    size_t size = frame_size(link), left = link->in_end - link->in_start;
    link->in_start += MIN(size, left);
    link->skip_left = size - MIN(size, left);
}

bool link_skip(struct link *link)
{
    while (link->skip_left) {
        ssize_t n = recv(link->fd, NULL, link->skip_left, MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            stats_die_of("the server closed the connection within an answer");
        link->skip_left -= (size_t)n;
    }
    return true;
}

struct slice link_call(struct link *link, const void *request, size_t size)
{
    if (!link_send(link, request, size))
        return SLICE_NULL;
    struct slice frame = link_frame(link, 0, NULL);
    while (!frame.data) {
        if (link_read(link, LINK_READ_SIZE) <= 0)
            return SLICE_NULL;
        frame = link_frame(link, 0, NULL);
    }
    uint32_t asked = be32_get((const uint8_t *)request + CORRELATION_AT);
    if (be32_get(frame.data) != asked)
        stats_die_of("an answer with correlation id %u, not %u", be32_get(frame.data), asked);
    link_take(link);
    return slice_make(frame.data + CORRELATION_END, frame.size - CORRELATION_END);
}

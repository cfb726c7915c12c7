// The floor of NATS: what any server must do to pass messages on, and nothing else.
// SPDX-License-Identifier: Apache-2.0
//
// It receives up to 64 KiB, finds each operation, writes "MSG" lines and payloads behind each other
// for whoever subscribed, and sends each connection its part once a turn. Subjects are compared one
// by one (exact, or a prefix before '*'), queue groups take turns; nothing is checked or counted.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "bench/stats.h"

#define READ_SIZE   65536
#define EVENTS_MAX  64
#define SUBS_MAX    64
#define SUBJECT_MAX 64
#define WORDS_MAX   4
#define INFO        "INFO {\"server_id\":\"floor\",\"proto\":1,\"max_payload\":1048576}\r\n"

struct peer {
    int fd;
    uint8_t *in;
    size_t in_size;
    size_t in_capacity;
    uint8_t *out;
    size_t out_size;
    size_t out_capacity;
    bool is_queued;
    bool is_blocked;
};

struct sub {
    struct peer *peer;
    char subject[SUBJECT_MAX];
    char sid[SUBJECT_MAX];
    size_t prefix_size; /* before '*', or all */
    bool is_prefix;
    bool is_queue;
};

struct floor {
    int poll;
    struct sub subs[SUBS_MAX];
    unsigned sub_count;
    unsigned turn;
    struct peer *queued[SUBS_MAX * 2];
    unsigned queued_count;
};

struct word {
    const uint8_t *data;
    size_t size;
};

static uint8_t *room(struct peer *peer, size_t size)
{
    if (peer->out_capacity - peer->out_size < size) {
        peer->out_capacity = MAX(peer->out_capacity * 2, peer->out_size + size + READ_SIZE);
        peer->out = realloc(peer->out, peer->out_capacity);
        if (!peer->out)
            stats_die("memory");
    }
    return peer->out + peer->out_size;
}

static void peer_send(struct floor *floor, struct peer *peer)
{
    ssize_t n = send(peer->fd, peer->out, peer->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
    size_t sent = n > 0 ? (size_t)n : 0;
    memmove(peer->out, peer->out + sent, peer->out_size - sent);
    peer->out_size -= sent;
    bool is_blocked = peer->out_size > 0;
    if (is_blocked == peer->is_blocked)
        return;
    struct epoll_event event = {.events = is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = peer};
    peer->is_blocked = is_blocked;
    if (epoll_ctl(floor->poll, EPOLL_CTL_MOD, peer->fd, &event))
        stats_die("epoll_ctl");
}

static void queue(struct floor *floor, struct peer *peer)
{
    if (peer->is_queued)
        return;
    if (floor->queued_count == COUNT_OF(floor->queued)) {
        peer_send(floor, peer);
        return;
    }
    peer->is_queued = true;
    floor->queued[floor->queued_count++] = peer;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static void deliver(struct floor *floor, const struct sub *sub, const struct word *words,
                    unsigned count, const struct word *body)
{
    struct peer *peer = sub->peer;
    size_t sid_size = strlen(sub->sid);
    uint8_t *start = room(peer, body->size + 4 * SUBJECT_MAX), *at = put(start, "MSG ", 4);
    at = put(at, words[1].data, words[1].size);
    *at++ = ' ';
    at = put(at, sub->sid, sid_size);
    *at++ = ' ';
    for (unsigned i = 2; i < count; i++) {
        at = put(at, words[i].data, words[i].size);
        *at++ = i + 1 < count ? ' ' : '\r';
    }
    *at++ = '\n';
    at = put(at, body->data, body->size);
    peer->out_size += (size_t)(at - start);
    queue(floor, peer);
}

static bool matches(const struct sub *sub, const struct word *subject)
{
    return subject->size >= sub->prefix_size &&
           (sub->is_prefix || subject->size == sub->prefix_size) &&
           !memcmp(sub->subject, subject->data, sub->prefix_size);
}

static void publish(struct floor *floor, const struct word *words, unsigned count,
                    const struct word *body)
{
    bool is_taken = false;
    floor->turn++;
    for (unsigned i = 0; i < floor->sub_count; i++) {
        const struct sub *sub = &floor->subs[(floor->turn + i) % floor->sub_count];
        if (!matches(sub, &words[1]) || (sub->is_queue && is_taken))
            continue;
        is_taken |= sub->is_queue;
        deliver(floor, sub, words, count, body);
    }
}

static void subscribe(struct floor *floor, struct peer *peer, const struct word *words,
                      unsigned count)
{
    if (floor->sub_count == SUBS_MAX) /* those that never get a message */
        return;
    struct sub *sub = &floor->subs[floor->sub_count++];
    sub->peer = peer;
    snprintf(sub->subject, SUBJECT_MAX, "%.*s", (int)words[1].size, (const char *)words[1].data);
    snprintf(sub->sid, SUBJECT_MAX, "%.*s", (int)words[count - 1].size,
             (const char *)words[count - 1].data);
    const char *star = strchr(sub->subject, '*');
    sub->is_prefix = star != NULL;
    sub->prefix_size = star ? (size_t)(star - sub->subject) : strlen(sub->subject);
    sub->is_queue = count == 4;
}

static unsigned split(const uint8_t *at, const uint8_t *end, struct word words[WORDS_MAX])
{
    unsigned count = 0;
    while (at < end && count < WORDS_MAX) {
        const uint8_t *blank = memchr(at, ' ', (size_t)(end - at));
        const uint8_t *stop = blank ? blank : end;
        words[count++] = (struct word){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    return count;
}

/* One operation at the start of what is there: its size, or 0. */
static size_t operate(struct floor *floor, struct peer *peer, const uint8_t *at, size_t left)
{
    const uint8_t *end = left > 0 ? memchr(at, '\n', left) : NULL;
    if (!end)
        return 0;
    size_t line = (size_t)(end - at) + 1;
    if (at[0] == 'P' && at[1] == 'I') {
        memcpy(room(peer, 6), "PONG\r\n", 6);
        peer->out_size += 6;
        queue(floor, peer);
    }
    if ((at[0] != 'P' || at[1] != 'U') && at[0] != 'S')
        return line;
    struct word words[WORDS_MAX];
    unsigned count = split(at, end - 1, words);
    if (at[0] == 'S') {
        subscribe(floor, peer, words, count);
        return line;
    }
    size_t size = 2;
    size_t number = 0;
    for (size_t i = 0; i < words[count - 1].size; i++)
        number = number * 10 + (size_t)(words[count - 1].data[i] - '0');
    size += number;
    if (left - line < size)
        return 0;
    publish(floor, words, count, &(struct word){end + 1, size});
    return line + size;
}

static void peer_close(struct floor *floor, struct peer *peer)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < floor->sub_count; i++)
        if (floor->subs[i].peer != peer)
            floor->subs[kept++] = floor->subs[i];
    floor->sub_count = kept;
    kept = 0;
    for (unsigned i = 0; i < floor->queued_count; i++)
        if (floor->queued[i] != peer)
            floor->queued[kept++] = floor->queued[i];
    floor->queued_count = kept;
    close(peer->fd);
    free(peer->in);
    free(peer->out);
    free(peer);
}

/* False: it is closed. */
static bool peer_read(struct floor *floor, struct peer *peer)
{
    if (peer->in_capacity - peer->in_size < READ_SIZE) {
        peer->in_capacity = peer->in_size * 2 + READ_SIZE;
        peer->in = realloc(peer->in, peer->in_capacity);
        if (!peer->in)
            stats_die("memory");
    }
    ssize_t n = recv(peer->fd, peer->in + peer->in_size, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0) {
        peer_close(floor, peer);
        return false;
    }
    peer->in_size += (size_t)n;
    size_t at = 0, size;
    while ((size = operate(floor, peer, peer->in + at, peer->in_size - at)) > 0)
        at += size;
    memmove(peer->in, peer->in + at, peer->in_size - at);
    peer->in_size -= at;
    return true;
}

static void peer_accept(struct floor *floor, int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct peer *peer = calloc(1, sizeof(*peer));
    if (fd < 0 || !peer)
        stats_die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    peer->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(floor->poll, EPOLL_CTL_ADD, fd, &event) ||
        send(fd, INFO, strlen(INFO), MSG_NOSIGNAL) < 0)
        stats_die("accept");
}

static int listen_at(struct floor *floor, uint16_t port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    struct epoll_event event = {.events = EPOLLIN};
    floor->poll = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1024) ||
        epoll_ctl(floor->poll, EPOLL_CTL_ADD, fd, &event))
        stats_die("listen");
    puts("floor ready");
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static struct floor floor;
    if (argc != 3 || strcmp(argv[1], "--port") != 0)
        stats_die_of("usage: natsfloor --port PORT");
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int listener = listen_at(&floor, (uint16_t)strtoul(argv[2], NULL, 10));
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(floor.poll, events, EVENTS_MAX, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            if (!peer)
                peer_accept(&floor, listener);
            else if ((!(events[i].events & EPOLLIN) || peer_read(&floor, peer)) &&
                     events[i].events & EPOLLOUT)
                peer_send(&floor, peer);
        }
        for (unsigned i = 0; i < floor.queued_count; i++) {
            floor.queued[i]->is_queued = false;
            peer_send(&floor, floor.queued[i]);
        }
        floor.queued_count = 0;
    }
}

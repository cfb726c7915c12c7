// The floor: receives framed requests, checks, writes and syncs them in groups, answers; no more.
// SPDX-License-Identifier: Apache-2.0
//
// What leatd is compared with: the same bytes over loopback, CRC-32C, one grouped write and one
// fdatasync on a helper thread that is woken for it. It keeps no log and understands no request.
// Options stand above main().
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/list.h"

#define BLOCK_SIZE       4096
#define BUFFER_SIZE      (256 * 1024)
#define BUFFER_SIZE_FEW  BLOCK_SIZE /* of thousands of connections that say little */
#define FRAME_HEAD_SIZE  12         /* length, key, version, correlation id */
#define FRAME_SIZE_MAX   (64u << 20)
#define FRAME_SIZE_LARGE (BUFFER_SIZE / 2) /* from here on a frame gets its own buffer */
#define CONNS_MAX        4096
#define GROUP_PARTS_MAX  1000 /* less than IOV_MAX, one of them for padding */
#define GROUP_SIZE_MAX   (64u << 20)
#define ANSWER_SIZE      64
#define RESERVE_SIZE     (64u << 20)
#define EVENTS_MAX       64

enum floor_mode { FLOOR_RING, FLOOR_APPEND, FLOOR_EACH, FLOOR_FETCH, FLOOR_ANSWER };

/* Page-aligned, touched once, recycled for ever. */
struct buffer {
    struct list node;
    unsigned refs;
    size_t capacity;
    size_t filled;
    uint8_t *data;
};

struct answer {
    int conn;
    uint32_t serial; /* of the peer: descriptors come again */
    uint32_t correlation;
    struct buffer *buffer;
};

struct group {
    struct iovec parts[GROUP_PARTS_MAX + 1];
    struct answer answers[GROUP_PARTS_MAX];
    int count;
    size_t size;
};

struct peer {
    uint32_t serial;
    uint32_t events;       /* what epoll watches */
    struct buffer *buffer; /* of which this holds one reference */
    size_t start;          /* first byte not taken */
    size_t large;          /* size of the frame before, when it was large */
    bool stalled;          /* has a frame that must wait: for a group, or for the answer before */
    uint8_t *out;
    size_t out_size;
    size_t out_capacity;
    size_t file_left; /* of the answer being sent */
    uint64_t file_at;
};

struct floor {
    enum floor_mode mode;
    unsigned each_count;
    int file;
    int poll;
    int wake;
    uint64_t position;
    uint64_t reserved;
    uint64_t ring_size;
    uint64_t file_size;
    size_t fetch_size;
    size_t buffer_size;
    struct list free_buffers;
    uint32_t serial_last;
    int stalled_count;
    struct peer *peers[CONNS_MAX];
    struct group groups[2];
    struct group *open;   /* collects */
    struct group *synced; /* in flight, or NULL */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct group *task;
    struct group *done;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static _Noreturn void die_of_usage(const char *what, const char *text)
{
    fprintf(stderr, "floor: no %s '%s'; they stand at the end of bench/floor.c\n", what, text);
    exit(2);
}

// --- buffers -------------------------------------------------------------------------------------

static struct buffer *buffer_get(struct floor *f, size_t size)
{
    list_for_each (node, &f->free_buffers) {
        struct buffer *buffer = LIST_ENTRY(node, struct buffer, node);
        if (buffer->capacity >= size) {
            list_remove(node);
            buffer->refs = 1;
            buffer->filled = 0;
            return buffer;
        }
    }
    struct buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        die("calloc");
    size_t capacity = (MAX(size, f->buffer_size) + BLOCK_SIZE - 1) & ~(size_t)(BLOCK_SIZE - 1);
    buffer->data = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (buffer->data == MAP_FAILED)
        die("mmap");
    buffer->capacity = capacity;
    buffer->refs = 1;
    return buffer;
}

static void buffer_unref(struct floor *f, struct buffer *buffer)
{
    if (--buffer->refs == 0)
        list_push_front(&f->free_buffers, &buffer->node);
}

// --- the helper thread: writes and syncs ---------------------------------------------------------

static void write_all(int fd, struct iovec *parts, int count, uint64_t at)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, parts, count, (off_t)at);
        if (n < 0)
            die("pwritev");
        at += (uint64_t)n;
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
}

static void sync_now(const struct floor *f)
{
    if (fdatasync(f->file))
        die("fdatasync");
}

static size_t block_pad(size_t size)
{
    return (BLOCK_SIZE - size % BLOCK_SIZE) % BLOCK_SIZE;
}

/* One write, padded to a block, in a file written beforehand. */
static void ring_write(struct floor *f, struct iovec *parts, int count, size_t size)
{
    static uint8_t zeros[BLOCK_SIZE];
    size_t pad = block_pad(size);
    if (f->position + size + pad > f->ring_size)
        f->position = 0;
    parts[count] = (struct iovec){zeros, pad};
    write_all(f->file, parts, count + 1, f->position);
    f->position += size + pad;
}

static void append_write(struct floor *f, struct iovec *parts, int count, size_t size)
{
    if (f->position + size > f->reserved) {
        off_t more = RESERVE_SIZE + (off_t)size;
        if (fallocate(f->file, FALLOC_FL_KEEP_SIZE, (off_t)f->reserved, more))
            die("fallocate");
        f->reserved += (uint64_t)more;
    }
    write_all(f->file, parts, count, f->position);
    f->position += size;
}

/* Every request in each_count pieces, as if for as many partitions, with a sync for each. */
static void each_write(struct floor *f, const struct iovec *request)
{
    size_t share = request->iov_len / f->each_count;
    for (unsigned i = 0; i < f->each_count; i++) {
        size_t size = i + 1 < f->each_count ? share : request->iov_len - i * share;
        struct iovec parts[2] = {{(uint8_t *)request->iov_base + i * share, size}};
        ring_write(f, parts, 1, size);
        sync_now(f);
    }
}

static void group_write(struct floor *f, struct group *group)
{
    if (f->mode == FLOOR_EACH) {
        for (int i = 0; i < group->count; i++)
            each_write(f, &group->parts[i]);
        return;
    }
    if (f->mode == FLOOR_APPEND)
        append_write(f, group->parts, group->count, group->size);
    else
        ring_write(f, group->parts, group->count, group->size);
    sync_now(f);
}

static void *helper(void *arg)
{
    struct floor *f = arg;
    for (;;) {
        pthread_mutex_lock(&f->mutex);
        while (!f->task)
            pthread_cond_wait(&f->cond, &f->mutex);
        struct group *group = f->task;
        f->task = NULL;
        pthread_mutex_unlock(&f->mutex);
        group_write(f, group);
        pthread_mutex_lock(&f->mutex);
        f->done = group;
        pthread_mutex_unlock(&f->mutex);
        uint64_t one = 1;
        if (write(f->wake, &one, sizeof(one)) < 0)
            die("eventfd");
    }
    return NULL;
}

// --- answers -------------------------------------------------------------------------------------

static void peer_stall(struct floor *f, struct peer *peer, bool stalled)
{
    f->stalled_count += (int)stalled - (int)peer->stalled;
    peer->stalled = stalled;
}

static void peer_close(struct floor *f, int fd)
{
    struct peer *peer = f->peers[fd];
    peer_stall(f, peer, false);
    f->peers[fd] = NULL;
    close(fd);
    buffer_unref(f, peer->buffer);
    free(peer->out);
    free(peer);
}

static void peer_watch(struct floor *f, int fd)
{
    struct peer *peer = f->peers[fd];
    uint32_t events = peer->stalled ? 0 : EPOLLIN;
    if (peer->out_size || peer->file_left)
        events |= EPOLLOUT;
    if (events == peer->events)
        return;
    peer->events = events;
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(f->poll, EPOLL_CTL_MOD, fd, &event))
        die("epoll_ctl");
}

static void peer_answer(struct peer *peer, uint32_t correlation, size_t more)
{
    if (peer->out_size + ANSWER_SIZE > peer->out_capacity) {
        peer->out_capacity = peer->out_capacity ? peer->out_capacity * 2 : 4096;
        peer->out = realloc(peer->out, peer->out_capacity);
        if (!peer->out)
            die("realloc");
    }
    uint8_t *at = peer->out + peer->out_size;
    memset(at, 0, ANSWER_SIZE);
    be32_put(at, (uint32_t)(ANSWER_SIZE - 4 + more));
    be32_put(at + 4, correlation);
    peer->out_size += ANSWER_SIZE;
}

/* Sends what there is; false when the peer is gone. */
static bool peer_flush(struct floor *f, int fd)
{
    struct peer *peer = f->peers[fd];
    ssize_t n = 1;
    if (peer->out_size) {
        n = send(fd, peer->out, peer->out_size, MSG_NOSIGNAL | (peer->file_left ? MSG_MORE : 0));
        if (n > 0) {
            memmove(peer->out, peer->out + n, peer->out_size - (size_t)n);
            peer->out_size -= (size_t)n;
        }
    }
    while (n > 0 && peer->out_size == 0 && peer->file_left) {
        off_t at = (off_t)peer->file_at;
        n = sendfile(fd, f->file, &at, peer->file_left);
        if (n == 0)
            die("the file to be fetched became shorter");
        if (n > 0) {
            peer->file_at += (uint64_t)n;
            peer->file_left -= (size_t)n;
        }
    }
    if (n < 0 && errno != EAGAIN) {
        peer_close(f, fd);
        return false;
    }
    peer_watch(f, fd);
    return true;
}

// --- requests ------------------------------------------------------------------------------------

/* False when the frame must wait. */
static bool frame_take(struct floor *f, int fd, uint8_t *frame, size_t size)
{
    struct peer *peer = f->peers[fd];
    uint32_t correlation = be32_get(frame + 8);
    if (f->mode == FLOOR_ANSWER) {
        peer_answer(peer, correlation, 0);
        return true;
    }
    if (f->mode == FLOOR_FETCH) {
        if (peer->file_left)
            return false;
        if (peer->file_at + f->fetch_size > f->file_size)
            peer->file_at = 0;
        peer_answer(peer, correlation, f->fetch_size);
        peer->file_left = f->fetch_size;
        return true;
    }
    struct group *group = f->open;
    bool is_full = group->count == GROUP_PARTS_MAX || group->size + size > GROUP_SIZE_MAX;
    if (is_full && group->count > 0)
        return false;
    volatile uint32_t crc = crc32c(0, frame + 4, size - 4);
    (void)crc;
    group->parts[group->count] = (struct iovec){frame, size};
    group->answers[group->count] = (struct answer){fd, peer->serial, correlation, peer->buffer};
    group->count++;
    group->size += size;
    peer->buffer->refs++;
    return true;
}

/* Bytes of the frame at start; 0: not known yet. */
static size_t peer_frame_size(const struct peer *peer)
{
    size_t left = peer->buffer->filled - peer->start;
    return left < FRAME_HEAD_SIZE ? 0 : 4 + (size_t)be32_get(peer->buffer->data + peer->start);
}

/* Takes all whole frames; false when the peer is gone. */
static bool peer_take(struct floor *f, int fd)
{
    struct peer *peer = f->peers[fd];
    peer_stall(f, peer, false);
    for (;;) {
        size_t size = peer_frame_size(peer);
        if (size && (size < FRAME_HEAD_SIZE || size > FRAME_SIZE_MAX)) {
            peer_close(f, fd);
            return false;
        }
        if (!size || peer->buffer->filled - peer->start < size)
            break;
        if (!frame_take(f, fd, peer->buffer->data + peer->start, size)) {
            peer_stall(f, peer, true);
            break;
        }
        peer->start += size;
        peer->large = size >= FRAME_SIZE_LARGE ? size : 0;
    }
    if (peer->out_size || peer->file_left)
        return peer_flush(f, fd);
    peer_watch(f, fd);
    return true;
}

/* Makes room for the next read and says how many bytes to read: a large frame to its end exactly,
 * so that the next one starts a buffer. After a large frame another of its size is expected. */
static size_t peer_room(struct floor *f, struct peer *peer)
{
    struct buffer *old = peer->buffer;
    size_t left = old->filled - peer->start;
    size_t wanted = peer_frame_size(peer);
    if (!wanted)
        wanted = peer->large ? peer->large : FRAME_HEAD_SIZE;
    bool is_large = wanted >= FRAME_SIZE_LARGE;
    if (left == 0 && old->refs == 1) {
        old->filled = 0;
        peer->start = 0;
    }
    bool is_short = !is_large && old->capacity - old->filled < BLOCK_SIZE;
    if (old->capacity - peer->start < wanted || is_short) {
        peer->buffer = buffer_get(f, MAX(wanted, f->buffer_size));
        memcpy(peer->buffer->data, old->data + peer->start, left);
        peer->buffer->filled = left;
        peer->start = 0;
        buffer_unref(f, old);
    }
    return is_large ? wanted - left : peer->buffer->capacity - peer->buffer->filled;
}

static void peer_read(struct floor *f, int fd)
{
    struct peer *peer = f->peers[fd];
    if (peer->stalled)
        return;
    size_t room = peer_room(f, peer);
    ssize_t n = recv(fd, peer->buffer->data + peer->buffer->filled, room, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        peer_close(f, fd);
        return;
    }
    peer->buffer->filled += (size_t)n;
    peer_take(f, fd);
}

static void peer_new(struct floor *f, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || fd >= CONNS_MAX)
        die("accept");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        die("calloc");
    peer->serial = ++f->serial_last;
    peer->buffer = buffer_get(f, f->buffer_size);
    peer->events = EPOLLIN;
    f->peers[fd] = peer;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(f->poll, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

// --- groups and the loop -------------------------------------------------------------------------

static void group_start(struct floor *f)
{
    if (f->synced || f->open->count == 0)
        return;
    f->synced = f->open;
    f->open = f->synced == &f->groups[0] ? &f->groups[1] : &f->groups[0];
    f->open->count = 0;
    f->open->size = 0;
    pthread_mutex_lock(&f->mutex);
    f->task = f->synced;
    pthread_mutex_unlock(&f->mutex);
    pthread_cond_signal(&f->cond);
    for (int fd = 0; f->stalled_count && fd < CONNS_MAX; fd++) {
        if (f->peers[fd] && f->peers[fd]->stalled)
            peer_take(f, fd);
    }
}

static struct peer *answer_peer(const struct floor *f, const struct answer *answer)
{
    struct peer *peer = f->peers[answer->conn];
    return peer && peer->serial == answer->serial ? peer : NULL;
}

static void group_done(struct floor *f)
{
    uint64_t count;
    if (read(f->wake, &count, sizeof(count)) < 0)
        die("eventfd");
    pthread_mutex_lock(&f->mutex);
    struct group *group = f->done;
    f->done = NULL;
    pthread_mutex_unlock(&f->mutex);
    f->synced = NULL;
    for (int i = 0; i < group->count; i++) {
        struct peer *peer = answer_peer(f, &group->answers[i]);
        if (peer)
            peer_answer(peer, group->answers[i].correlation, 0);
        buffer_unref(f, group->answers[i].buffer);
    }
    for (int i = 0; i < group->count; i++) {
        struct peer *peer = answer_peer(f, &group->answers[i]);
        if (peer && peer->out_size)
            peer_flush(f, group->answers[i].conn);
    }
}

static void peer_event(struct floor *f, int fd, uint32_t events)
{
    if ((events & EPOLLOUT) && !peer_flush(f, fd))
        return;
    if (f->peers[fd]->stalled && f->mode == FLOOR_FETCH && !peer_take(f, fd))
        return;
    if (events & (EPOLLERR | EPOLLHUP))
        peer_close(f, fd);
    else if (events & EPOLLIN)
        peer_read(f, fd);
}

static void serve(struct floor *f, int listener)
{
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(f->poll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                peer_new(f, listener);
            else if (fd == f->wake)
                group_done(f);
            else if (f->peers[fd])
                peer_event(f, fd, events[i].events);
        }
        group_start(f);
    }
}

// --- start ---------------------------------------------------------------------------------------

static void file_open(struct floor *f, const char *path)
{
    f->file = open(path, O_RDWR | O_CREAT, 0600);
    if (f->file < 0)
        die(path);
    f->file_size = (uint64_t)lseek(f->file, 0, SEEK_END);
    if (f->mode == FLOOR_FETCH && f->file_size < f->fetch_size) {
        fprintf(stderr, "floor: %s is shorter than an answer\n", path);
        exit(1);
    }
    if (f->mode != FLOOR_RING && f->mode != FLOOR_EACH)
        return;
    static uint8_t zeros[1 << 20];
    f->ring_size = MAX(f->ring_size, 2 * (uint64_t)GROUP_SIZE_MAX) & ~(sizeof(zeros) - 1);
    for (uint64_t at = 0; at < f->ring_size; at += sizeof(zeros)) {
        struct iovec part = {zeros, sizeof(zeros)};
        write_all(f->file, &part, 1, at);
    }
    if (fsync(f->file))
        die("fsync");
}

static int listener_open(struct floor *f, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1024))
        die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(f->poll, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
    return fd;
}

static enum floor_mode mode_of(const char *text)
{
    static const char *const names[] = {"ring", "append", "each", "fetch", "answer"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!strcmp(text, names[i]))
            return (enum floor_mode)i;
    }
    die_of_usage("mode", text);
}

/*   --port P --file F
 *   --mode ring     writes go round in a file written beforehand, as in a recycled journal
 *          append   to the end of a file with reserved space, as in a segment
 *          each     like ring, but every request in --each N pieces with one fdatasync each
 *          fetch    every request is answered with --bytes N from F by sendfile, going round
 *          answer   every request is answered at once: receive and send, nothing else
 *   --ring-bytes N  size of that file, 128 MiB or more */
int main(int argc, char **argv)
{
    static struct floor f = {.ring_size = 128 << 20, .fetch_size = 1 << 20, .each_count = 1};
    const char *path = "floor.data";
    uint16_t port = 0;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--port"))
            port = (uint16_t)strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--file"))
            path = value;
        else if (!strcmp(argv[i], "--mode"))
            f.mode = mode_of(value);
        else if (!strcmp(argv[i], "--bytes"))
            f.fetch_size = strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--ring-bytes"))
            f.ring_size = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--each"))
            f.each_count = (unsigned)MAX(strtoul(value, NULL, 10), 1ul);
        else
            die_of_usage("option", argv[i]);
    }
    f.buffer_size = f.mode == FLOOR_ANSWER ? BUFFER_SIZE_FEW : BUFFER_SIZE;
    list_init(&f.free_buffers);
    f.open = &f.groups[0];
    f.poll = epoll_create1(0);
    f.wake = eventfd(0, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = f.wake};
    if (f.poll < 0 || f.wake < 0 || epoll_ctl(f.poll, EPOLL_CTL_ADD, f.wake, &event))
        die("epoll");
    file_open(&f, path);
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.cond, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, helper, &f))
        die("pthread_create");
    int listener = listener_open(&f, port);
    printf("floor ready\n");
    fflush(stdout);
    serve(&f, listener);
}

// Loads a NATS server, or the floor, over raw sockets from one thread, and measures it.
// SPDX-License-Identifier: Apache-2.0
//
// Messages lie behind each other in one buffer and go out 64 KiB at a time; what subscribers get
// is counted and dropped in the kernel. A measurement ends when every publisher has its PONG and
// every message is where it belongs.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/link.h"
#include "bench/stats.h"

#define BLOCK_SIZE    (64 * 1024)
#define AHEAD_MAX     (4u << 20) /* bytes that are sent and not received yet */
#define WAIT_MS       30000      /* then the server has stalled */
#define SERVER_PINGS  12         /* bytes of PING that a connection may get in one run */
#define CONNECT_LINE  "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":0}\r\n"
#define ANSWER_SIZE   64
#define IN_FLIGHT_MAX 1024

#define OPTIONS(NUMBER, TEXT)                                                                      \
    TEXT(mode, "flow", "flow, request or idle")                                                    \
    NUMBER(port, 4222, "of the server on 127.0.0.1")                                               \
    NUMBER(pid, 0, "of the server, whose CPU time and memory are taken; 0: none")                  \
    NUMBER(size, 128, "bytes of a payload")                                                        \
    NUMBER(publishers, 1, "flow: connections that send")                                           \
    NUMBER(subscribers, 0, "flow: connections that receive; 0: nobody does")                       \
    NUMBER(subjects, 1, "flow: publishers and subscribers take turns in using them")               \
    NUMBER(queue, 0, "1: the subscribers are one queue group")                                     \
    NUMBER(single, 0, "1: every message is a write of its own")                                    \
    NUMBER(in_flight, 1, "request: requests that wait for their answers")                          \
    NUMBER(connections, 1000, "idle: how many are opened")                                         \
    NUMBER(seconds, 3, "to go on for")                                                             \
    NUMBER(json, 0, "1: print JSON")

struct options {
#define NUMBER(name, value, text) uint64_t name;
#define TEXT(name, value, text)   const char *name;
    OPTIONS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
};

struct peer {
    int fd;
    struct link link;
    const uint8_t *block; /* whole messages */
    size_t block_size;
    size_t block_at;
    uint64_t block_count; /* messages in it */
    uint64_t sent;
    uint64_t got_bytes;
    size_t message_size; /* of what a subscriber gets */
    unsigned subject;
    bool is_asked; /* PING is sent */
    bool is_done;
};

struct gen {
    struct options options;
    struct peer *publishers;
    struct peer *subscribers;
    uint64_t sent_bytes; /* as subscribers will get them, once */
    struct stats_run run;
};

// --- options -------------------------------------------------------------------------------------

static void option_set(struct options *options, const char *name, const char *value)
{
#define NUMBER(member, normal, text)                                                               \
    if (!strcmp(name, #member)) {                                                                  \
        options->member = strtoull(value, NULL, 10);                                               \
        return;                                                                                    \
    }
#define TEXT(member, normal, text)                                                                 \
    if (!strcmp(name, #member)) {                                                                  \
        options->member = value;                                                                   \
        return;                                                                                    \
    }
    OPTIONS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
    stats_die_of("--%s: no such option; see --help", name);
}

static _Noreturn void help(void)
{
#define NUMBER(member, normal, text) printf("  --%-14s %s (%d)\n", #member, text, normal);
#define TEXT(member, normal, text)   printf("  --%-14s %s (%s)\n", #member, text, normal);
    OPTIONS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
    exit(0);
}

static struct options options_of(int argc, char **argv)
{
#define NUMBER(member, normal, text) .member = normal,
#define TEXT(member, normal, text)   .member = normal,
    struct options options = {OPTIONS(NUMBER, TEXT)};
#undef NUMBER
#undef TEXT
    for (int at = 1; at < argc; at += 2) {
        if (!strcmp(argv[at], "--help"))
            help();
        if (strncmp(argv[at], "--", 2) != 0 || at + 1 == argc)
            stats_die_of("'%s': no option, or no value; see --help", argv[at]);
        char *name = strdup(argv[at] + 2);
        for (char *c = name; c && *c; c++)
            *c = *c == '-' ? '_' : *c;
        option_set(&options, name ? name : "", argv[at + 1]);
        free(name);
    }
    return options;
}

// --- connections ---------------------------------------------------------------------------------

static void send_all(struct peer *peer, const void *bytes, size_t size)
{
    if (!link_send(&peer->link, bytes, size))
        stats_die("send");
}

/* Reads lines, dropping them, until PONG. */
static void await_pong(struct peer *peer)
{
    char seen[8] = "";
    while (strcmp(seen, "\nPONG\r\n") != 0) {
        char byte;
        ssize_t n = recv(peer->fd, &byte, 1, 0);
        if (n <= 0)
            stats_die("no PONG");
        memmove(seen, seen + 1, 6);
        seen[6] = byte;
    }
}

/* Connected, with what setup says done; the server knows it. */
static void peer_open(struct gen *gen, struct peer *peer, const char *setup)
{
    if (!link_open(&peer->link, (uint16_t)gen->options.port, true))
        stats_die("connect");
    peer->fd = peer->link.fd;
    send_all(peer, CONNECT_LINE, strlen(CONNECT_LINE));
    send_all(peer, setup, strlen(setup));
    send_all(peer, "PING\r\n", 6);
    await_pong(peer);
}

static struct peer *peers_new(uint64_t count)
{
    struct peer *peers = calloc(MAX(count, 1), sizeof(*peers));
    if (!peers)
        stats_die("memory");
    return peers;
}

/* A message behind the other, as many as go out in one write. */
static void block_make(struct peer *peer, const char *head, const struct options *options)
{
    size_t size = strlen(head) + options->size + 2;
    uint64_t count = options->single ? 1 : MAX((uint64_t)BLOCK_SIZE / size, 1);
    uint8_t *block = aligned_alloc(4096, (count * size + 4095) / 4096 * 4096);
    if (!block)
        stats_die("memory");
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *at = block + i * size;
        memcpy(at, head, strlen(head));
        memset(at + strlen(head), 'x', options->size);
        memcpy(at + size - 2, "\r\n", 2);
    }
    peer->block = block;
    peer->block_size = count * size;
    peer->block_count = count;
}

static size_t text_size(const char *format, uint64_t a, uint64_t b)
{
    char text[ANSWER_SIZE];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return (size_t)snprintf(text, sizeof(text), format, a, b);
#pragma GCC diagnostic pop
}

static void flow_open(struct gen *gen)
{
    const struct options *options = &gen->options;
    char line[ANSWER_SIZE];
    gen->publishers = peers_new(options->publishers);
    gen->subscribers = peers_new(options->subscribers);
    for (uint64_t i = 0; i < options->subscribers; i++) {
        struct peer *peer = &gen->subscribers[i];
        peer->subject = (unsigned)(i % options->subjects);
        snprintf(line, sizeof(line), "SUB bench.%u%s 1\r\n", peer->subject,
                 options->queue ? " group" : "");
        peer_open(gen, peer, line);
        peer->message_size =
            text_size("MSG bench.%lu 1 %lu\r\n", peer->subject, options->size) + options->size + 2;
    }
    for (uint64_t i = 0; i < options->publishers; i++) {
        struct peer *peer = &gen->publishers[i];
        peer->subject = (unsigned)(i % options->subjects);
        peer_open(gen, peer, "");
        snprintf(line, sizeof(line), "PUB bench.%u %llu\r\n", peer->subject,
                 (unsigned long long)options->size);
        block_make(peer, line, options);
    }
}

// --- flow ----------------------------------------------------------------------------------------

/* Drops what is there; false: nothing is. */
static bool peer_drop(struct peer *peer)
{
    ssize_t n = recv(peer->fd, NULL, 16u << 20, MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        stats_die_of("the server closed a connection");
    peer->got_bytes += (uint64_t)n;
    return true;
}

static uint64_t sent_to(const struct gen *gen, unsigned subject)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < gen->options.publishers; i++)
        if (gen->publishers[i].subject == subject)
            count += gen->publishers[i].sent;
    return count;
}

static uint64_t got_count(const struct gen *gen)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < gen->options.subscribers; i++)
        count += gen->subscribers[i].got_bytes / gen->subscribers[i].message_size;
    return count;
}

static uint64_t wanted_count(const struct gen *gen)
{
    uint64_t count = 0;
    if (gen->options.queue)
        return sent_to(gen, 0);
    for (uint64_t i = 0; i < gen->options.subscribers; i++)
        count += sent_to(gen, gen->subscribers[i].subject);
    return count;
}

/* Subscribers are too far behind for more to be sent. */
static bool is_ahead(const struct gen *gen)
{
    uint64_t count = gen->options.subscribers;
    if (count == 0)
        return false;
    uint64_t behind = wanted_count(gen) - MIN(got_count(gen), wanted_count(gen));
    return behind * gen->subscribers[0].message_size > AHEAD_MAX * count;
}

/* Sends what goes; a message begun is ended. False: nothing went. */
static bool peer_publish(struct peer *peer, bool is_over)
{
    size_t message = peer->block_size / peer->block_count;
    size_t left = peer->block_size - peer->block_at;
    if (is_over)
        left = (message - peer->block_at % message) % message;
    if (left == 0)
        return false;
    size_t n = link_send_some(&peer->link, peer->block + peer->block_at, left);
    peer->sent += (peer->block_at + n) / message - peer->block_at / message;
    peer->block_at = (peer->block_at + n) % peer->block_size;
    return n > 0;
}

static bool publisher_turn(struct peer *peer, bool is_over)
{
    if (peer_publish(peer, is_over))
        return true;
    size_t message = peer->block_size / peer->block_count;
    if (!is_over || peer->is_done || peer->block_at % message != 0)
        return false;
    if (!peer->is_asked) {
        send_all(peer, "PING\r\n", 6);
        peer->is_asked = true;
        return true;
    }
    char seen[16];
    ssize_t n = recv(peer->fd, seen, sizeof(seen), MSG_DONTWAIT);
    peer->is_done = n > 0 && memmem(seen, (size_t)n, "PONG\r\n", 6) != NULL;
    if (n == 0 || (n < 0 && errno != EAGAIN) || (n > 0 && seen[0] == '-'))
        stats_die_of("the server closed a publisher's connection");
    return peer->is_done;
}

/* Waits until somebody can go on. */
static void flow_wait(const struct gen *gen, bool is_sending)
{
    uint64_t subscribers = gen->options.subscribers, publishers = gen->options.publishers;
    struct pollfd *fds = calloc(subscribers + publishers, sizeof(*fds));
    if (!fds)
        stats_die("memory");
    for (uint64_t i = 0; i < subscribers; i++)
        fds[i] = (struct pollfd){gen->subscribers[i].fd, POLLIN, 0};
    for (uint64_t i = 0; i < publishers; i++) {
        const struct peer *peer = &gen->publishers[i];
        size_t message = peer->block_size / peer->block_count;
        bool has_more = is_sending || peer->block_at % message != 0;
        short events = has_more && !is_ahead(gen) ? POLLOUT : POLLIN;
        fds[subscribers + i] = (struct pollfd){peer->is_done ? -1 : peer->fd, events, 0};
    }
    if (poll(fds, subscribers + publishers, WAIT_MS) == 0)
        stats_die_of("nothing for %d ms: %llu of %llu messages are there", WAIT_MS,
                     (unsigned long long)got_count(gen), (unsigned long long)wanted_count(gen));
    free(fds);
}

static bool flow_is_done(const struct gen *gen)
{
    for (uint64_t i = 0; i < gen->options.publishers; i++)
        if (!gen->publishers[i].is_done)
            return false;
    return got_count(gen) >= wanted_count(gen);
}

static void flow_check(const struct gen *gen)
{
    uint64_t got = 0;
    for (uint64_t i = 0; i < gen->options.subscribers; i++)
        got += gen->subscribers[i].got_bytes;
    uint64_t subscribers = gen->options.subscribers;
    uint64_t wanted = subscribers ? wanted_count(gen) * gen->subscribers[0].message_size : 0;
    if (got < wanted || got > wanted + SERVER_PINGS * subscribers)
        stats_die_of("%llu bytes arrived, not %llu", (unsigned long long)got,
                     (unsigned long long)wanted);
}

static void run_flow(struct gen *gen)
{
    const struct options *options = &gen->options;
    flow_open(gen);
    stats_run_start(&gen->run, (int)options->pid);
    uint64_t end_ns = gen->run.started_ns + options->seconds * 1000000000u;
    bool is_over = false;
    while (!is_over || !flow_is_done(gen)) {
        bool is_moving = false;
        is_over = is_over || stats_now_ns() >= end_ns;
        bool may_send = is_over || !is_ahead(gen);
        for (uint64_t i = 0; i < options->publishers && may_send; i++)
            is_moving |= publisher_turn(&gen->publishers[i], is_over);
        for (uint64_t i = 0; i < options->subscribers; i++)
            is_moving |= peer_drop(&gen->subscribers[i]);
        if (!is_moving && (!is_over || !flow_is_done(gen)))
            flow_wait(gen, !is_over);
    }
    stats_run_end(&gen->run);
    flow_check(gen);
    for (uint64_t i = 0; i < options->publishers; i++)
        gen->run.requests += gen->publishers[i].sent;
    gen->run.records = options->subscribers ? wanted_count(gen) : gen->run.requests;
    gen->run.bytes = gen->run.records * options->size;
    stats_run_print(&gen->run, options->json);
}

// --- request and reply ---------------------------------------------------------------------------

struct requests {
    struct peer asker;
    struct peer responder;
    uint64_t sent_ns[IN_FLIGHT_MAX];
    uint64_t waiting;
    uint8_t in[BLOCK_SIZE];
    size_t in_size;
    uint8_t out[BLOCK_SIZE * 2];
    size_t out_size;
};

static void put_publish(struct requests *requests, const char *subject, const char *reply,
                        size_t size)
{
    if (sizeof(requests->out) - requests->out_size < size + 2 * ANSWER_SIZE)
        stats_die_of("more requests than were asked");
    char *at = (char *)requests->out + requests->out_size;
    int head = snprintf(at, sizeof(requests->out) - requests->out_size, "PUB %s %s%s%zu\r\n",
                        subject, reply, *reply ? " " : "", size);
    memset(at + head, 'x', size);
    memcpy(at + head + size, "\r\n", 2);
    requests->out_size += (size_t)head + size + 2;
}

static void flush(struct requests *requests, struct peer *peer)
{
    if (requests->out_size > 0)
        send_all(peer, requests->out, requests->out_size);
    requests->out_size = 0;
}

static void ask(struct gen *gen, struct requests *requests, uint64_t slot)
{
    char reply[ANSWER_SIZE];
    snprintf(reply, sizeof(reply), "_INBOX.bench.%03llu", (unsigned long long)slot);
    put_publish(requests, "service", reply, gen->options.size);
    requests->sent_ns[slot] = stats_now_ns();
    requests->waiting++;
}

/* One whole message of peer's input, its words in words; the size it takes, 0: not there yet. */
static size_t take_message(uint8_t *at, size_t left, char *words[5])
{
    uint8_t *end = left > 0 ? memchr(at, '\n', left) : NULL;
    if (!end)
        return 0;
    size_t line = (size_t)(end - at) + 1;
    if (memcmp(at, "MSG ", 4) != 0)
        return line;
    uint8_t *size_at = end - 1;
    while (size_at[-1] != ' ')
        size_at--;
    size_t whole = line + strtoull((char *)size_at, NULL, 10) + 2;
    if (whole > left)
        return 0;
    char *save = NULL;
    end[-1] = '\0';
    char *word = strtok_r((char *)at, " ", &save);
    for (int i = 0; i < 5; i++, word = word ? strtok_r(NULL, " ", &save) : NULL)
        words[i] = word;
    return whole;
}

static void answer(struct gen *gen, struct requests *requests, char *words[5], bool may_ask)
{
    if (words[4]) { /* MSG service 1 reply size: a request */
        put_publish(requests, words[3], "", gen->options.size);
        return;
    }
    if (!words[3] || strncmp(words[1], "_INBOX.bench.", 13) != 0)
        stats_die_of("an answer to nobody");
    uint64_t slot = strtoull(words[1] + 13, NULL, 10);
    if (slot >= gen->options.in_flight)
        stats_die_of("an answer to request %llu", (unsigned long long)slot);
    stats_times_add(&gen->run.times, stats_now_ns() - requests->sent_ns[slot]);
    gen->run.requests++;
    requests->waiting--;
    if (may_ask)
        ask(gen, requests, slot);
}

static void request_turn(struct gen *gen, struct requests *requests, struct peer *peer,
                         bool may_ask)
{
    ssize_t n = recv(peer->fd, requests->in, sizeof(requests->in), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        stats_die_of("the server closed a connection");
    size_t at = 0;
    while (at < (size_t)n) {
        char *words[5] = {NULL};
        size_t size = take_message(requests->in + at, (size_t)n - at, words);
        if (size == 0) { /* the rest is on its way */
            memmove(requests->in, requests->in + at, (size_t)n - at);
            n -= (ssize_t)at;
            at = 0;
            ssize_t more = recv(peer->fd, requests->in + n, sizeof(requests->in) - (size_t)n, 0);
            if (more <= 0)
                stats_die_of("the server closed a connection");
            n += more;
            continue;
        }
        if (words[0])
            answer(gen, requests, words, may_ask);
        at += size;
    }
    flush(requests, peer);
}

static void run_request(struct gen *gen)
{
    static struct requests requests;
    const struct options *options = &gen->options;
    if (options->in_flight > MIN(IN_FLIGHT_MAX, BLOCK_SIZE / (options->size + ANSWER_SIZE)))
        stats_die_of("--in-flight is too large");
    peer_open(gen, &requests.responder, "SUB service 1\r\n");
    peer_open(gen, &requests.asker, "SUB _INBOX.bench.* 1\r\n");
    stats_run_start(&gen->run, (int)options->pid);
    uint64_t end_ns = gen->run.started_ns + options->seconds * 1000000000u;
    for (uint64_t slot = 0; slot < options->in_flight; slot++)
        ask(gen, &requests, slot);
    flush(&requests, &requests.asker);
    while (requests.waiting > 0) {
        struct pollfd fds[] = {{requests.asker.fd, POLLIN, 0}, {requests.responder.fd, POLLIN, 0}};
        if (poll(fds, 2, WAIT_MS) == 0)
            stats_die_of("no answer for %d ms", WAIT_MS);
        bool may_ask = stats_now_ns() < end_ns;
        if (fds[1].revents)
            request_turn(gen, &requests, &requests.responder, may_ask);
        if (fds[0].revents)
            request_turn(gen, &requests, &requests.asker, may_ask);
    }
    stats_run_end(&gen->run);
    gen->run.records = gen->run.requests;
    stats_run_print(&gen->run, options->json);
}

// --- memory --------------------------------------------------------------------------------------

static double rss_kb(uint64_t pid)
{
    char path[64], line[256];
    unsigned long kb = 0;
    snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, "VmRSS:", 6))
            kb = strtoul(line + 6, NULL, 10);
    if (!file || kb == 0)
        stats_die(path);
    fclose(file);
    return (double)kb;
}

static void run_idle(struct gen *gen)
{
    uint64_t count = gen->options.connections;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct peer first = {0};
    peer_open(gen, &first, "");
    double before_kb = rss_kb(gen->options.pid);
    struct peer *peers = peers_new(count);
    for (uint64_t i = 0; i < count; i++) {
        char line[ANSWER_SIZE];
        snprintf(line, sizeof(line), "SUB idle.%llu 1\r\n", (unsigned long long)i);
        peer_open(gen, &peers[i], line);
    }
    double after_kb = rss_kb(gen->options.pid);
    printf("{\"kb_connection\": %.3f, \"rss_mb\": %.2f}\n",
           (after_kb - before_kb) * 1.024 / (double)count, after_kb * 1.024 / 1000);
}

int main(int argc, char **argv)
{
    static struct gen gen;
    gen.options = options_of(argc, argv);
    const struct options *options = &gen.options;
    if (!options->port || !options->publishers || !options->subjects || !options->in_flight)
        stats_die_of("port, publishers, subjects and in-flight begin with 1");
    if (options->size > (1u << 20) || options->subjects > 10 || options->connections > 100000)
        stats_die_of("size goes to 1 MiB, subjects to 10, connections to 100000");
    if (!strcmp(options->mode, "flow"))
        run_flow(&gen);
    else if (!strcmp(options->mode, "request"))
        run_request(&gen);
    else if (!strcmp(options->mode, "idle"))
        run_idle(&gen);
    else
        stats_die_of("--mode: flow, request or idle, not '%s'", options->mode);
    return 0;
}

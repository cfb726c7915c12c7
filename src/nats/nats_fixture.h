// This room over a broker with logs in memory, and raw clients on the loopback, in one thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "broker/broker.h"
#include "broker/store_fixture.h"
#include "nats/conn.h"

#define PEER_TURNS_MAX 20000
#define PEER_LINE_SIZE 4096

struct peer {
    struct budget budget;
    struct reactor *reactor;
    struct core *core;   /* the first one */
    unsigned core_count; /* by configure; 0: one */
    struct logger logger;
    struct text logged;
    struct store store;
    struct broker_settings settings;
    struct broker *broker;
    struct nats_config *config;
    struct nats *nats;
    struct listener *listener;
    int fd;       /* the client that tests begin with */
    int other_fd; /* another one, or -1 */
    char line[PEER_LINE_SIZE];
};

static inline void peer_log(struct logger *logger, struct slice line)
{
    text_add(&CONTAINER_OF(logger, struct peer, logger)->logged, line);
}

static inline void peer_turn(struct peer *p)
{
    core_run_once(p->core, 1000000);
    for (unsigned i = 1; i < p->core_count; i++)
        core_run_once(reactor_core(p->reactor, i), 0);
}

#define PEER_UNTIL(p, condition)                                                                   \
    do {                                                                                           \
        unsigned peer_turns = 0;                                                                   \
        while (!(condition)) {                                                                     \
            assert_true(peer_turns++ < PEER_TURNS_MAX);                                            \
            peer_turn(p);                                                                          \
        }                                                                                          \
    } while (0)

static inline int64_t peer_log_now(struct logger *logger)
{
    return 0;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static inline void peer_send_to(struct peer *p, int fd, const char *text)
{
    struct slice bytes = slice_text(text);
    for (unsigned turns = 0; bytes.size > 0; turns++) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(sent > 0 || errno == EAGAIN);
        assert_true(turns < PEER_TURNS_MAX);
        if (sent > 0)
            bytes = slice_make(bytes.data + sent, bytes.size - (size_t)sent);
        peer_turn(p);
    }
}

/* False: the server has closed the connection. */
static inline bool peer_read(struct peer *p, int fd, char *out, size_t size)
{
    size_t got = 0;
    for (unsigned turns = 0; got < size; turns++) {
        ssize_t part = recv(fd, out + got, size - got, MSG_DONTWAIT);
        if (part == 0 || (part < 0 && errno == ECONNRESET))
            return false;
        got += part > 0 ? (size_t)part : 0;
        assert_true(turns < PEER_TURNS_MAX);
        if (part < 0)
            peer_turn(p);
    }
    return true;
}

/* The next line without its end, valid until the next one; NULL: the connection is closed. */
static inline const char *peer_line_of(struct peer *p, int fd)
{
    size_t size = 0;
    while (size < 2 || p->line[size - 2] != '\r' || p->line[size - 1] != '\n') {
        assert_true(size < PEER_LINE_SIZE);
        if (!peer_read(p, fd, &p->line[size], 1))
            return NULL;
        size++;
    }
    p->line[size - 2] = 0;
    return p->line;
}

static inline void peer_expect_of(struct peer *p, int fd, const char *expected)
{
    const char *line = peer_line_of(p, fd);
    if (!line || strcmp(line, expected) != 0)
        fail_msg("'%s', not '%s'", line ? line : "(closed)", expected);
}

static inline void peer_send(struct peer *p, const char *text)
{
    peer_send_to(p, p->fd, text);
}

static inline void peer_expect(struct peer *p, const char *expected)
{
    peer_expect_of(p, p->fd, expected);
}

static inline bool peer_is_closed(struct peer *p)
{
    return !peer_line_of(p, p->fd);
}

/* --- coming and going ------------------------------------------------------------------------- */

/* A connection of which INFO has been read. */
static inline int peer_dial(struct peer *p)
{
    struct sockaddr_storage address;
    int one = 1;
    listener_address(p->listener, &address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
    const char *info = peer_line_of(p, fd);
    assert_true(info && strncmp(info, "INFO {", 6) == 0);
    return fd;
}

static inline void peer_redial(struct peer *p)
{
    close(p->fd);
    p->fd = peer_dial(p);
}

static inline void peer_listen(struct peer *p)
{
    struct diag diag;
    struct nats_options options = {
        .reactor = p->reactor, .logger = &p->logger, .config = p->config, .software = "test"};
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(nats_open(&options, &p->nats), ERR_OK);
    assert_int_equal(nats_listen(p->nats, &address, sizeof(*v4), &p->listener, &diag), ERR_OK);
}

/* configure (NULL: nothing) changes the configuration before anybody sees it. */
static inline struct peer *peer_new(void (*configure)(struct peer *p))
{
    struct diag diag = {""};
    struct peer *p = calloc(1, sizeof(*p));
    signal(SIGPIPE, SIG_IGN);
    p->logger = (struct logger){LOG_INFO, peer_log, peer_log_now};
    text_init(&p->logged);
    budget_init(&p->budget, 256 << 20);
    broker_settings_init(&p->settings);
    fixture_store_init(&p->store);
    p->config = nats_config_new();
    if (configure)
        configure(p);
    p->core_count = MAX(p->core_count, 1);
    struct reactor_options reactor = {.os = os_posix(),
                                      .logger = &p->logger,
                                      .budget = &p->budget,
                                      .core_count = p->core_count,
                                      .buffers_keep_bytes = 4 << 20};
    assert_int_equal(reactor_open(&reactor, &p->reactor), ERR_OK);
    p->core = reactor_core(p->reactor, 0);
    p->store.reactor = p->reactor;
    struct broker_options broker = {.reactor = p->reactor,
                                    .store = &p->store,
                                    .os = os_posix(),
                                    .logger = &p->logger,
                                    .view_prefix = p->config->view_prefix,
                                    .settings = &p->settings};
    if (broker_open(&broker, &p->broker, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
    peer_listen(p);
    p->fd = peer_dial(p);
    p->other_fd = -1;
    return p;
}

static inline bool peer_has_conns(const struct peer *p)
{
    bool has = false;
    for (unsigned i = 0; i < p->core_count; i++)
        has |= !list_empty(&p->nats->cores[i].conns);
    return has;
}

/* Everything has been given back. */
static inline void peer_free(struct peer *p)
{
    close(p->fd);
    if (p->other_fd >= 0)
        close(p->other_fd);
    PEER_UNTIL(p, !peer_has_conns(p));
    PEER_UNTIL(p, list_empty(&p->nats->cores[0].readers));
    for (unsigned i = 0; i < 20; i++)
        peer_turn(p);
    listener_close(p->listener);
    nats_close(p->nats);
    nats_config_unref(p->config);
    broker_close(p->broker);
    reactor_close(p->reactor);
    fixture_store_deinit(&p->store);
    text_deinit(&p->logged);
    assert_int_equal(budget_used(&p->budget), 0);
    free(p);
}

/* --- topics ----------------------------------------------------------------------------------- */

static inline void peer_done(struct broker_call *call)
{
    call->done = NULL;
}

static inline void peer_create(struct peer *p, const char *name, int32_t partition_count,
                               const char *subjects)
{
    struct broker_setting_pair pair = {SLICE_LITERAL("nats.subjects"), SLICE_NULL};
    if (subjects)
        pair.value = slice_text(subjects);
    struct broker_topic_create create = {.call.done = peer_done,
                                         .name = slice_text(name),
                                         .partition_count = partition_count,
                                         .replication_factor = -1,
                                         .settings = &pair,
                                         .setting_count = 1};
    broker_topic_create(p->core, &create);
    PEER_UNTIL(p, !create.call.done);
    assert_int_equal(create.call.err, ERR_OK);
}

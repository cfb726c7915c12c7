// What the tests of connections share: a server of length-prefixed frames, and a loopback client.
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
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/endian.h"
#include "reactor/conn_state.h"

#define PUMP_TURNS_MAX 20000
#define PUMP_WAIT_NS   5000000

enum app_mode {
    APP_ECHO_COPY, /* frames come back as they were */
    APP_ECHO_RANGE,
    APP_KEEP,  /* frames stay referenced */
    APP_PAUSE, /* after each frame */
    APP_CUSTOM,
};

struct app {
    struct os os;
    struct os_ops ops;
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    struct listener *listener;
    struct conn_ops conn_ops;
    enum app_mode mode;
    void (*custom)(struct app *app, struct conn *conn, struct buf_range frame);
    struct conn *conn; /* the newest */
    unsigned opened;
    unsigned closed;
    unsigned frames;
    unsigned calls; /* of on_input */
    unsigned drains;
    unsigned marked;
    size_t charged;
    enum conn_close_reason reason;
    struct buf_range kept[4096];
    uint64_t kept_hash[4096];
    unsigned kept_count;
    unsigned accept_failures; /* accept fails so often */
    _Atomic size_t asked;     /* what the first recv asks for that finds 0 here; of any core */
};

static inline uint64_t app_hash(struct slice bytes)
{
    uint64_t hash = 1469598103934665603ull;
    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 1099511628211ull;
    return hash;
}

static inline void app_on_open(struct conn *conn, void *arg)
{
    struct app *app = arg;
    conn_set_state(conn, app);
    app->conn = conn;
    app->opened++;
}

static inline void app_on_close(struct conn *conn, enum conn_close_reason reason)
{
    struct app *app = conn_state(conn);
    app->closed++;
    app->reason = reason;
    if (app->conn == conn)
        app->conn = NULL;
}

static inline void app_on_drain(struct conn *conn)
{
    ((struct app *)conn_state(conn))->drains++;
}

static inline bool app_can_move(struct conn *conn)
{
    return true;
}

static inline void app_frame(struct app *app, struct conn *conn, struct buf_range frame)
{
    app->frames++;
    if (app->mode == APP_ECHO_COPY)
        (void)conn_write(conn, buf_range_slice(frame));
    if (app->mode == APP_ECHO_RANGE) {
        buf_ref(frame.buf);
        (void)conn_write_buf(conn, frame);
    }
    if (app->mode == APP_KEEP) {
        buf_ref(frame.buf);
        app->kept_hash[app->kept_count] = app_hash(buf_range_slice(frame));
        app->kept[app->kept_count++] = frame;
    }
    if (app->mode == APP_PAUSE)
        conn_pause(conn);
    if (app->mode == APP_CUSTOM)
        app->custom(app, conn, frame);
}

/* One frame a call: u32 big-endian size, then so many bytes. */
static inline struct conn_taken app_on_input(struct conn *conn, struct buf_range range)
{
    struct app *app = conn_state(conn);
    app->calls++;
    if (range.size < 4)
        return (struct conn_taken){0, 4};
    size_t size = 4 + (size_t)be32_get(range.buf->data + range.offset);
    if (range.size < size)
        return (struct conn_taken){0, size};
    range.size = (uint32_t)size;
    app_frame(app, conn, range);
    return (struct conn_taken){size, 0};
}

static inline int app_accept(struct os *os, int fd, struct sockaddr_storage *out_peer)
{
    struct app *app = CONTAINER_OF(os, struct app, os);
    if (app->accept_failures > 0) {
        app->accept_failures--;
        return -EMFILE;
    }
    return os_posix()->ops->accept(os, fd, out_peer);
}

static inline ssize_t app_recv(struct os *os, int fd, void *data, size_t size)
{
    struct app *app = CONTAINER_OF(os, struct app, os);
    size_t none = 0;
    atomic_compare_exchange_strong(&app->asked, &none, size);
    return os_posix()->ops->recv(os, fd, data, size);
}

static inline void app_listen(struct app *app, const struct conn_limits *limits)
{
    struct listener_options options = {
        .address_size = sizeof(struct sockaddr_in), .ops = &app->conn_ops, .arg = app};
    struct sockaddr_in *address = (struct sockaddr_in *)&options.address;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (limits)
        options.limits = *limits;
    struct diag diag;
    assert_int_equal(listener_open(app->core, &options, &app->listener, &diag), ERR_OK);
}

static inline struct app *app_new(const struct conn_limits *limits, unsigned core_count)
{
    struct app *app = calloc(1, sizeof(*app));
    signal(SIGPIPE, SIG_IGN);
    app->ops = *os_posix()->ops;
    app->ops.accept = app_accept;
    app->ops.recv = app_recv;
    app->os.ops = &app->ops;
    app->conn_ops = (struct conn_ops){.on_open = app_on_open,
                                      .on_input = app_on_input,
                                      .on_drain = app_on_drain,
                                      .on_close = app_on_close,
                                      .can_move = app_can_move};
    budget_init(&app->budget, 256 << 20);
    struct reactor_options options = {.os = &app->os,
                                      .budget = &app->budget,
                                      .core_count = core_count,
                                      .buffers_keep_bytes = 4 << 20};
    assert_int_equal(reactor_open(&options, &app->reactor), ERR_OK);
    app->core = reactor_core(app->reactor, 0);
    app_listen(app, limits);
    return app;
}

static inline void app_free(struct app *app)
{
    for (unsigned i = 0; i < app->kept_count; i++)
        buf_unref(app->kept[i].buf);
    reactor_close(app->reactor);
    assert_int_equal(app->opened, app->closed);
    assert_int_equal(budget_used(&app->budget), 0);
    free(app);
}

static inline void pump(struct app *app)
{
    core_run_once(app->core, PUMP_WAIT_NS);
}

#define PUMP_UNTIL(app, condition)                                                                 \
    do {                                                                                           \
        unsigned pumped = 0;                                                                       \
        while (!(condition)) {                                                                     \
            assert_true(pumped++ < PUMP_TURNS_MAX);                                                \
            pump(app);                                                                             \
        }                                                                                          \
    } while (0)

/* from: last byte of the address 127.0.0.x. */
static inline int client_connect_from(struct app *app, unsigned from)
{
    struct sockaddr_storage address;
    struct sockaddr_in own = {.sin_family = AF_INET};
    own.sin_addr.s_addr = htonl(0x7f000000u | from);
    listener_address(app->listener, &address);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
    return fd;
}

static inline int client_connect(struct app *app)
{
    unsigned opened = app->opened;
    int fd = client_connect_from(app, 1);
    PUMP_UNTIL(app, app->opened == opened + 1);
    return fd;
}

static inline void client_send(struct app *app, int fd, struct slice bytes)
{
    unsigned turns = 0;
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(sent > 0 || errno == EAGAIN);
        if (sent > 0)
            bytes = slice_make(bytes.data + sent, bytes.size - (size_t)sent);
        assert_true(turns++ < PUMP_TURNS_MAX);
        core_run_once(app->core, 0);
    }
}

/* Up to size bytes while the server runs; less only at the end of the stream. */
static inline size_t client_recv(struct app *app, int fd, void *out, size_t size)
{
    size_t got = 0;
    for (unsigned turns = 0; got < size; turns++) {
        ssize_t part = recv(fd, (uint8_t *)out + got, size - got, MSG_DONTWAIT);
        if (part == 0 || (part < 0 && errno == ECONNRESET))
            break;
        if (part > 0)
            got += (size_t)part;
        else
            core_run_once(app->core, 1000000);
        assert_true(turns < PUMP_TURNS_MAX);
    }
    return got;
}

/* A frame with contents that depend on seed; the caller frees it. */
static inline uint8_t *frame_new(uint32_t payload_size, uint32_t seed)
{
    uint8_t *frame = malloc(4 + (size_t)payload_size);
    be32_put(frame, payload_size);
    for (uint32_t i = 0; i < payload_size; i++) {
        seed = seed * 1664525u + 1013904223u;
        frame[4 + i] = (uint8_t)(seed >> 24);
    }
    return frame;
}

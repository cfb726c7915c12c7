// Stream connections and listeners of a core: buffered input, gathered output, back-pressure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "reactor/reactor.h"

struct conn;
struct listener;

enum conn_close_reason {
    CONN_CLOSED_BY_PEER,
    CONN_CLOSED_BY_US,    /* conn_close */
    CONN_CLOSED_ERROR,    /* the kernel's error */
    CONN_CLOSED_IDLE,     /* idle_timeout */
    CONN_CLOSED_SLOW,     /* a frame or the output took too long */
    CONN_CLOSED_MEMORY,   /* over the budget for too long */
    CONN_CLOSED_SHUTDOWN, /* server stops */
};

/* An open file that output may refer to. The last unref calls close. Counted across cores. */
struct conn_file {
    _Atomic uint32_t refs;
    int fd;
    void (*close)(struct conn_file *file);
};

/* What on_input did. consumed <= size. wanted: how many contiguous bytes from the first unconsumed
 * one must be there before on_input is called again (0: any more); the handler has bounded it. */
struct conn_taken {
    size_t consumed;
    size_t wanted;
};

/* All on the connection's core. A protocol room fills one static table. */
struct conn_ops {
    /* A new connection; conn_set_state here. */
    void (*on_open)(struct conn *conn, void *listener_arg);
    /* Bytes [range] have arrived. The handler may keep parts without copying: buf_ref(range.buf).
     * Called again until it consumes nothing, input is paused, or nothing is left. */
    struct conn_taken (*on_input)(struct conn *conn, struct buf_range range);
    /* Output fell below the low mark after conn_output_full was true. May be NULL. */
    void (*on_drain)(struct conn *conn);
    /* Once, after which the conn is gone. */
    void (*on_close)(struct conn *conn, enum conn_close_reason reason);
    /* May it move to another core now (no request outstanding)? NULL: never. */
    bool (*can_move)(struct conn *conn);
    /* Placement wants it on core `to`, and it could not go just now: the room may make it ready
     * (conn_bind) and send it off (conn_go). May be NULL. */
    void (*on_wish)(struct conn *conn, unsigned to);
    /* It is about to move: called on the core that it leaves, after can_move said yes; timers that
     * the room set for it there are cancelled here. May be NULL. */
    void (*on_leave)(struct conn *conn);
    /* It has arrived on another core (conn_core says which); called before any input there. */
    void (*on_move)(struct conn *conn, struct core *from);
    /* The server drains: finish what is in flight, then conn_close. NULL: closed at once. */
    void (*on_shutdown)(struct conn *conn);
};

struct conn_limits {
    unsigned idle_timeout_ms;  /* no byte in either direction and nothing outstanding; 0: none */
    unsigned frame_timeout_ms; /* from the first byte of an incomplete frame to its last, extended
                                  by progress of at least frame_rate_min bytes a second; 0: none */
    unsigned frame_rate_min;
    unsigned output_timeout_ms; /* the peer took no byte of queued output; 0: idle_timeout_ms */
    size_t output_size_max;     /* bytes queued: above it conn_output_full is true */
    unsigned connections_max;   /* of this listener; 0: none */
    unsigned connections_per_ip_max; /* 0: none */
};

struct listener_options {
    struct sockaddr_storage address;
    socklen_t address_size;
    const struct conn_ops *ops;
    void *arg;
    struct conn_limits limits;
};

/* On core 0, before or while the reactor runs. Port 0 picks one: listener_address tells. */
NODISCARD enum err listener_open(struct core *core, const struct listener_options *options,
                                 struct listener **out, struct diag *diag);
void listener_address(const struct listener *listener, struct sockaddr_storage *out);
/* Clients wait in its backlog until it is released. On core 0, before it has accepted any; what the
 * kernel said. */
NODISCARD enum err listener_hold(struct listener *listener);
NODISCARD enum err listener_release(struct listener *listener);
/* Accepts no more; its connections live on. On core 0. reactor_close closes those left open. */
void listener_close(struct listener *listener);

struct core *conn_core(const struct conn *conn);
void conn_set_state(struct conn *conn, void *state);
void *conn_state(const struct conn *conn);
/* Address this side was dialled at, and the peer's. */
const struct sockaddr_storage *conn_local_address(const struct conn *conn);
const struct sockaddr_storage *conn_peer_address(const struct conn *conn);

/* Output is queued in order and sent at the end of the turn, gathered. Bytes are copied into the
 * connection's own buffer. False: out of memory; the connection is closing. */
bool conn_write(struct conn *conn, struct slice bytes);
/* Takes one reference of take_range.buf; nothing is copied. */
bool conn_write_buf(struct conn *conn, struct buf_range take_range);
/* For what several connections get alike: adds a reference of its own, copies small ranges only
 * when the peer does not read or output lies in many pieces, and a range that continues the one
 * before it is joined to that.
 */
bool conn_write_shared(struct conn *conn, struct buf_range range);
/* Takes one reference of take_file; sent with sendfile. */
bool conn_write_file(struct conn *conn, struct conn_file *take_file, uint64_t offset, size_t size);
/* Bytes queued and not yet accepted by the kernel. */
size_t conn_output_size(const struct conn *conn);
bool conn_output_full(const struct conn *conn);

/* Input is neither read nor handed on while paused; counted: as many resumes as pauses. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
/* Outstanding requests: idle_timeout does not run and the connection does not move meanwhile. */
void conn_hold(struct conn *conn);
void conn_release(struct conn *conn);

/* It gets ready to go to core `to`: placement leaves it alone and its input is paused, until it has
 * arrived there, where on_move or what follows resumes it, or until conn_unbind. */
void conn_bind(struct conn *conn, unsigned to);
/* It stays after all; its input goes on. */
void conn_unbind(struct conn *conn);
/* A bound connection leaves: now, or after the flush that empties its output, when can_move says
 * yes; else this is to be called again. */
void conn_go(struct conn *conn);

/* After queued output is sent (at most 5 s); on_close follows later, never inside this call. */
void conn_close(struct conn *conn);
/* At once, dropping output. */
void conn_abort(struct conn *conn, enum conn_close_reason reason);

/* Starts to drain every connection (on_shutdown), calls done on core 0 when all are closed or the
 * time is over. On core 0; listeners stay open and refuse. */
void conn_shutdown_all(struct reactor *reactor, unsigned timeout_ms, void (*done)(void *arg),
                       void *arg);

// Input of a connection: one shared buffer a core, and buffers of their own for partial frames.
// SPDX-License-Identifier: Apache-2.0
//
// A connection that has nothing buffered reads into its core's shared buffer, behind what was
// handed out before; when the handler takes all, the buffer goes back, and an idle connection holds
// none. Left-over bytes make the buffer the connection's own; few of them are put aside into a
// small buffer. Bytes that somebody references are never written again.
#include <errno.h>

#include "reactor/conn_state.h"

static uint32_t conn_input_size(const struct conn *conn)
{
    return conn->in_end - conn->in_start;
}

void conn_input_free(struct conn *conn)
{
    buf_unref(conn->in);
    conn->in = NULL;
    conn->in_start = conn->in_end = 0;
    conn->wanted = 0;
}

/* The shared buffer, or a fresh one; the caller's from now on. */
static struct core_fill input_take_shared(struct core *core)
{
    struct core_fill fill = core->conns.input;
    core->conns.input = (struct core_fill){NULL, 0};
    if (fill.buf && buf_is_exclusive(fill.buf))
        fill.used = 0;
    if (fill.buf && fill.buf->capacity - fill.used >= CONN_BUFFER_REST_MIN)
        return fill;
    buf_unref(fill.buf);
    fill = (struct core_fill){buf_pool_get(core->buffers, CONN_BUFFER_SIZE), 0};
    if (!fill.buf)
        fill.buf = buf_pool_get(core->buffers, CONN_STASH_BUFFER_SIZE);
    return fill;
}

static bool input_borrow(struct conn *conn)
{
    struct core_fill fill = input_take_shared(conn->core);
    conn->in = fill.buf;
    conn->in_start = conn->in_end = fill.used;
    return fill.buf != NULL;
}

/* A place for the next frame: for one that is large, as the last was, a buffer that holds it whole.
 */
static bool input_begin(struct conn *conn)
{
    if (conn->ahead == 0)
        return input_borrow(conn);
    conn->in_start = conn->in_end = 0;
    conn->in = buf_pool_get(conn->core->buffers, conn->ahead);
    if (conn->in)
        return true;
    conn->ahead = 0;
    return input_borrow(conn);
}

/* The next frame is taken to be as large as the one that was just taken alone. */
static void input_expect(struct conn *conn, size_t taken)
{
    if (conn->wanted > CONN_BUFFER_SIZE && conn->wanted <= CONN_AHEAD_MAX)
        conn->ahead = conn->wanted;
    else if (taken != conn->ahead)
        conn->ahead = 0;
}

/* Everything was taken: the buffer goes back, with what was handed out before it. */
static void input_give_back(struct conn *conn)
{
    struct core_fill *shared = &conn->core->conns.input;
    if (!shared->buf && conn->in->capacity == CONN_BUFFER_SIZE) {
        shared->buf = conn->in;
        shared->used = conn->in_end;
        conn->in = NULL;
    }
    uint32_t wanted = conn->wanted;
    conn_input_free(conn);
    conn->wanted = wanted;
}

/* Copies the unconsumed bytes to where a read behind them starts on a cache line. */
static void input_move_to(struct conn *conn, struct buf *buf, uint32_t at)
{
    uint32_t size = conn_input_size(conn);
    uint32_t start = at;
    if (buf->capacity - at > CONN_BUFFER_REST_MIN)
        start += (0u - (at + size)) % 64;
    memcpy(buf->data + start, conn->in->data + conn->in_start, size);
    buf_unref(conn->in);
    conn->in = buf;
    conn->in_start = start;
    conn->in_end = start + size;
}

/* A put-aside beginning goes into the shared buffer again, where there is more room. */
static bool input_unstash(struct conn *conn, uint32_t need)
{
    struct core_fill fill = input_take_shared(conn->core);
    if (!fill.buf)
        return false;
    uint32_t room = fill.buf->capacity - fill.used;
    if (room < need + 64 || room < conn_input_size(conn) + CONN_STASH_SIZE) {
        buf_unref(fill.buf);
        return false;
    }
    input_move_to(conn, fill.buf, fill.used);
    return true;
}

/* How many contiguous bytes to have room for. A size that a peer merely claims is believed up to a
 * bound; beyond it memory grows with what has arrived. */
static uint32_t input_need(const struct conn *conn)
{
    uint32_t size = conn_input_size(conn);
    if (conn->wanted <= CONN_AHEAD_MAX)
        return MAX(conn->wanted, size + 1);
    if (conn->in && conn->in->capacity >= CONN_AHEAD_MAX && conn->in_end < conn->in->capacity)
        return size + 1;
    return (uint32_t)MIN(conn->wanted, MAX(CONN_AHEAD_MAX, (uint64_t)size * 4));
}

/* A place for at least one byte, and for the whole frame when it is known and not huge. */
static bool input_make_room(struct conn *conn)
{
    if (!conn->in && conn->wanted <= CONN_BUFFER_SIZE && !input_begin(conn))
        return false;
    uint32_t size = conn_input_size(conn);
    uint32_t need = input_need(conn);
    if (conn->in && conn->in->capacity < CONN_BUFFER_SIZE && need <= CONN_BUFFER_SIZE - 64 &&
        input_unstash(conn, need))
        return true;
    bool fits = conn->in && conn->in_start + need <= conn->in->capacity;
    if (fits && (conn->in->capacity - conn->in_end >= CONN_STASH_SIZE || conn->wanted > size))
        return true;
    if (conn->in && size + CONN_STASH_SIZE <= conn->in_start && need <= conn->in->capacity &&
        buf_is_exclusive(conn->in)) {
        memmove(conn->in->data, conn->in->data + conn->in_start, size);
        conn->in_start = 0;
        conn->in_end = size;
        return true;
    }
    uint32_t room = need + 64; /* for the alignment */
    struct buf *buf = buf_pool_get(conn->core->buffers, MAX(room, CONN_BUFFER_SIZE));
    if (!buf)
        return fits;
    if (conn->in)
        input_move_to(conn, buf, 0);
    else
        conn->in = buf;
    return true;
}

/* A big frame is read to its end exactly, so that the next one starts in a buffer of its own. */
static size_t input_ask(const struct conn *conn)
{
    size_t room = conn->in->capacity - conn->in_end;
    if (conn->wanted > CONN_BUFFER_SIZE)
        return MIN(room, conn->wanted - conn_input_size(conn));
    if (conn->ahead > 0 && conn_input_size(conn) == 0)
        return MIN(room, conn->ahead);
    return MIN(room, CONN_BUFFER_SIZE);
}

static void input_starve(struct conn *conn)
{
    struct core *core = conn->core;
    conn->is_starved = true;
    conn->frame_ns = 0; /* the waiting is ours */
    if (conn->starved_ns == 0)
        conn->starved_ns = core->now_ns;
    if (conn->in && core->now_ns - conn->starved_ns > CONN_STARVED_MAX_NS) {
        conn_abort(conn, CONN_CLOSED_MEMORY);
        return;
    }
    metric_add(&core->metrics.starved, 1);
    list_push_back(&core->conns.starved, &conn->starved_node);
    if (!core_timer_is_set(&core->conns.starved_timer))
        core_timer_set(core, &core->conns.starved_timer, core->now_ns + CONN_STARVED_RETRY_NS);
    conn_update_events(conn);
}

void conn_input_starved_run(struct core *core, struct core_timer *timer)
{
    struct list *node;
    for (unsigned i = 0; i < CONN_STARVED_BATCH; i++) {
        node = list_pop_front(&core->conns.starved);
        if (!node)
            return;
        struct conn *conn = LIST_ENTRY(node, struct conn, starved_node);
        conn->is_starved = false;
        conn_update_events(conn);
    }
    if (!list_empty(&core->conns.starved))
        core_timer_set(core, timer, core->now_ns + CONN_STARVED_RETRY_NS);
}

void conn_input_process(struct conn *conn)
{
    uint32_t size;
    while ((size = conn_input_size(conn)) > 0 && size >= conn->wanted && !conn->paused &&
           conn->phase == CONN_OPEN) {
        struct buf_range range = {conn->in, conn->in_start, size};
        struct conn_taken taken = conn->ops->on_input(conn, range);
        CHECK(taken.consumed <= size && taken.wanted <= CONN_WANTED_MAX);
        conn->in_start += (uint32_t)taken.consumed;
        if (taken.consumed > 0)
            input_expect(conn, taken.consumed);
        conn->wanted = (uint32_t)taken.wanted;
        if (taken.consumed > 0)
            conn->frame_ns = 0;
        else
            break;
    }
    if (!conn->in || conn->phase >= CONN_CLOSED)
        return;
    if (conn_input_size(conn) == 0) {
        input_give_back(conn);
    } else if (conn->frame_ns == 0 && !conn->paused && conn->phase == CONN_OPEN) {
        conn->frame_ns = conn->core->now_ns;
        conn_arm_timer(conn);
    }
}

/* Nothing more to read now: a short beginning does not keep a big buffer. */
static void input_stash(struct conn *conn)
{
    uint32_t size = conn_input_size(conn);
    if (!conn->in || size > CONN_STASH_SIZE || conn->in->capacity <= CONN_STASH_BUFFER_SIZE ||
        conn->phase != CONN_OPEN)
        return;
    struct buf *buf = buf_pool_get(conn->core->buffers, CONN_STASH_BUFFER_SIZE);
    if (!buf)
        return;
    memcpy(buf->data, conn->in->data + conn->in_start, size);
    input_give_back(conn);
    conn->in = buf;
    conn->in_start = 0;
    conn->in_end = size;
}

static void input_failed(struct conn *conn, ssize_t result)
{
    if (result == 0 || result == -ECONNRESET || result == -EPIPE)
        conn_close_with(conn, CONN_CLOSED_BY_PEER);
    else if (result != -EAGAIN && result != -EINTR)
        conn_abort(conn, CONN_CLOSED_ERROR);
}

static size_t input_budget(struct core *core)
{
    if (core->conns.input_turn != core->turn) {
        core->conns.input_turn = core->turn;
        core->conns.input_in_turn = 0;
    }
    return core->conns.input_in_turn < CONN_INPUT_CORE_MAX ? CONN_INPUT_TURN_MAX : 1;
}

void conn_input_read(struct conn *conn)
{
    struct core *core = conn->core;
    size_t budget = input_budget(core);
    size_t total = 0, asked = 0;
    ssize_t got = 0;
    conn->traffic++;
    do {
        if (!input_make_room(conn)) {
            input_starve(conn);
            break;
        }
        conn->starved_ns = 0;
        asked = input_ask(conn);
        got = core->os->ops->recv(core->os, conn->watch.fd, conn->in->data + conn->in_end, asked);
        if (got <= 0)
            break;
        conn->in_end += (uint32_t)got;
        conn->active_ns = core->now_ns;
        total += (size_t)got;
        conn_input_process(conn);
    } while ((size_t)got == asked && total < budget && conn->phase == CONN_OPEN && !conn->paused);
    core->conns.input_in_turn += total;
    metric_add(&core->metrics.bytes_in, total);
    if (conn->in && conn_input_size(conn) == 0)
        input_give_back(conn);
    if (got <= 0 && !conn->is_starved)
        input_failed(conn, got);
    if (got < (ssize_t)asked && !conn->is_starved)
        input_stash(conn);
}

/* Closing with unread input makes the kernel send a reset, which can overtake the last output. */
void conn_input_discard(struct conn *conn)
{
    struct core *core = conn->core;
    conn_input_free(conn);
    for (unsigned i = 0; i < CONN_DISCARD_MAX && input_borrow(conn); i++) {
        ssize_t got = core->os->ops->recv(core->os, conn->watch.fd, conn->in->data + conn->in_end,
                                          conn->in->capacity - conn->in_end);
        input_give_back(conn);
        if (got <= 0)
            break;
    }
}

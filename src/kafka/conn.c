// Frames become requests, requests start in order, answers leave in order.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/conn.h"

#include <stdlib.h>

#include "base/endian.h"
#include "kafka/endpoint.h"
#include "kafka/handlers.h"
#include "kafka/quota.h"
#include "kafka/share.h"
#include "kafka/state.h"

#define KAFKA_LENGTH_SIZE 4
/* key, version, correlation id: less cannot be a request */
#define KAFKA_FRAME_SIZE_MIN 8
/* Bytes of requests outstanding on one connection, unless it is a single one. */
#define KAFKA_CONN_BYTES_MAX ((size_t)32 << 20)

struct kafka_conn {
    struct conn *conn;
    struct kafka *kafka;
    struct list requests; /* struct kafka_request, oldest first */
    uint64_t id;
    size_t request_count;
    size_t request_bytes;
    bool blocked; /* input is paused until a request is answered or output has drained */
    bool closing;
    bool leaving; /* the server stops: no more requests */
    bool muted;   /* input is paused until the timer fires: a quota was exceeded */
    bool refused; /* and then it is closed: one connection too many */
    uint64_t muted_until_ns;
    struct core_timer timer;
    uint64_t began_ns; /* the handler at work */
    struct broker_quota_client quota;
    struct kafka_software software;
    struct share_gone *share; /* NULL: no share session was ever begun */
};

struct kafka *kafka_conn_kafka(const struct kafka_conn *conn)
{
    return conn->kafka;
}

struct conn *kafka_conn_conn(const struct kafka_conn *conn)
{
    return conn->conn;
}

uint64_t kafka_conn_id(const struct kafka_conn *conn)
{
    return conn->id;
}

struct broker_quota_client *kafka_conn_quota(struct kafka_conn *conn)
{
    return &conn->quota;
}

struct kafka_software *kafka_conn_software(struct kafka_conn *conn)
{
    return &conn->software;
}

struct share_gone *kafka_conn_share(struct kafka_conn *conn)
{
    if (!conn->share && (conn->share = calloc(1, sizeof(*conn->share))) != NULL)
        conn->share->client = core_random(conn_core(conn->conn));
    return conn->share;
}

uint64_t kafka_conn_began_ns(const struct kafka_conn *conn)
{
    return conn->began_ns;
}

static void kafka_conn_close(struct kafka_conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn_close(conn->conn);
}

/* --- muting (KIP-219): the answer has left, then nothing is read for a while ------------------ */

static void kafka_conn_unmute(struct core *core, struct core_timer *timer)
{
    struct kafka_conn *conn = CONTAINER_OF(timer, struct kafka_conn, timer);
    conn->muted = false;
    if (conn->refused || core_now_ns(core) < conn->muted_until_ns)
        kafka_conn_close(conn);
    if (!conn->closing)
        conn_resume(conn->conn);
}

/* Whoever has to wait for longer than a silent connection stays open comes again on another one:
 * nobody notices meanwhile whether the peer is still there. */
static void kafka_conn_mute(struct kafka_conn *conn, uint64_t delay_ms)
{
    struct core *core = conn_core(conn->conn);
    int64_t idle_ms = broker_settings_now(core)->connections_max_idle_ms;
    uint64_t open_ms = idle_ms < 0 ? delay_ms : MIN(delay_ms, (uint64_t)idle_ms);
    uint64_t until_ns = core_now_ns(core) + delay_ms * 1000000;
    if (conn->closing || until_ns <= conn->muted_until_ns)
        return;
    conn->muted_until_ns = until_ns;
    if (!conn->muted)
        conn_pause(conn->conn);
    conn->muted = true;
    core_timer_set(core, &conn->timer, core_now_ns(core) + open_ms * 1000000);
}

static void kafka_conn_open(struct conn *conn, void *arg)
{
    struct kafka_conn *state = calloc(1, sizeof(*state));
    if (!state) {
        conn_abort(conn, CONN_CLOSED_MEMORY);
        return;
    }
    state->conn = conn;
    state->kafka = arg;
    state->id = ++kafka_core(conn_core(conn))->conn_id_last;
    list_init(&state->requests);
    core_timer_init(&state->timer, kafka_conn_unmute);
    conn_set_state(conn, state);
    uint64_t delay_ms = kafka_quota_connect(conn);
    if (delay_ms > 0) {
        state->refused = true;
        kafka_conn_mute(state, delay_ms);
    }
}

static void kafka_conn_unblock(struct kafka_conn *conn)
{
    if (!conn->blocked || conn->closing || conn->leaving)
        return;
    conn->blocked = false;
    conn_resume(conn->conn);
}

void kafka_conn_advance(struct kafka_conn *conn)
{
    struct list *node;
    while ((node = list_first(&conn->requests)) != NULL) {
        struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
        if (!request->answered)
            break;
        list_remove(node);
        conn->request_count--;
        conn->request_bytes -= request->input.size;
        bool close = request->close;
        if (!request->silent && !conn->closing)
            close |= !kafka_request_write(request, conn->conn);
        if (request->throttle_ms > 0)
            kafka_conn_mute(conn, request->throttle_ms);
        conn_release(conn->conn);
        kafka_request_free(request);
        if (close)
            kafka_conn_close(conn);
    }
    if (conn->leaving && list_empty(&conn->requests))
        kafka_conn_close(conn);
    kafka_conn_unblock(conn);
}

/* Kafka starts a request when the one before it is answered. Those that may overlap start earlier,
 * but never one of another kind in between. */
static bool kafka_conn_may_start(const struct kafka_conn *conn, const struct kafka_handler *handler,
                                 size_t size)
{
    if (conn_output_full(conn->conn))
        return false;
    if (list_empty(&conn->requests))
        return true;
    if (conn->request_count >= KAFKA_CONN_REQUESTS_MAX || !handler || !handler->overlap ||
        conn->request_bytes + size > KAFKA_CONN_BYTES_MAX)
        return false;
    const struct kafka_request *last = LIST_ENTRY(conn->requests.prev, struct kafka_request, node);
    const struct kafka_handler *before = kafka_handlers_find(last->frame.api->key);
    return before && before->overlap;
}

static void request_start(struct kafka_request *request, const struct kafka_handler *handler)
{
    request->version = request->frame.header.request_api_version;
    if (request->frame.api && request->frame.api->key == KAFKA_API_API_VERSIONS) {
        handler->handle(request); /* answers versions that are too new as well */
        return;
    }
    if (!handler || !wire_kafka_frame_is_supported(&request->frame)) {
        kafka_request_reject(request, ERR_UNSUPPORTED, "API or version is not supported");
        return;
    }
    handler->handle(request);
}

/* As request_start, but measured when somebody has a quota of time. */
static void request_run(struct kafka_conn *conn, struct kafka_request *request,
                        const struct kafka_handler *handler)
{
    struct core *core = request->core;
    struct os *os = core_os(core);
    if (!broker_quota_is_set(core, BROKER_QUOTA_REQUEST)) {
        request_start(request, handler);
        return;
    }
    conn->began_ns = os->ops->mono_ns(os);
    request_start(request, handler);
    /* If it was not answered meanwhile it is still the newest. */
    if (conn->requests.prev == &request->node)
        request->handler_ns = os->ops->mono_ns(os) - conn->began_ns;
    conn->began_ns = 0;
}

static struct slice moved(struct slice part, const uint8_t *from, const uint8_t *to)
{
    return part.data ? slice_make(to + (part.data - from), part.size) : part;
}

enum kafka_taken { KAFKA_TAKEN, KAFKA_BLOCKED, KAFKA_BROKEN };

static enum kafka_taken kafka_conn_take(struct kafka_conn *conn, struct buf_range range)
{
    struct wire_kafka_frame frame;
    enum err err = wire_kafka_frame_parse(buf_range_slice(range), &frame);
    if (err) {
        char peer[KAFKA_ENDPOINT_PEER_SIZE];
        kafka_endpoint_of_peer(conn->conn, peer);
        log_info(core_logger(conn_core(conn->conn)), "kafka",
                 "connection closed: malformed request header: %s peer=%s", err_text(err), peer);
        metric_add(&kafka_core(conn_core(conn->conn))->rejected, 1);
        return KAFKA_BROKEN;
    }
    const struct kafka_handler *handler = frame.api ? kafka_handlers_find(frame.api->key) : NULL;
    if (!kafka_conn_may_start(conn, handler, range.size))
        return KAFKA_BLOCKED;
    struct kafka_request *request = kafka_request_new(conn, range, handler && handler->overlap);
    if (!request)
        return KAFKA_BROKEN;
    list_push_back(&conn->requests, &request->node);
    conn->request_count++;
    conn->request_bytes += range.size;
    conn_hold(conn->conn);
    const uint8_t *parsed = buf_range_slice(range).data;
    request->frame = frame;
    request->frame.body = moved(frame.body, parsed, request->bytes.data);
    request->frame.header.client_id = moved(frame.header.client_id, parsed, request->bytes.data);
    request_run(conn, request, handler);
    return KAFKA_TAKEN;
}

static struct conn_taken kafka_conn_input(struct conn *conn, struct buf_range range)
{
    struct kafka_conn *state = conn_state(conn);
    int32_t size_max = broker_settings_now(conn_core(conn))->socket_request_max_bytes;
    size_t at = 0;
    while (!state->closing && !state->blocked && !state->muted &&
           range.size - at >= KAFKA_LENGTH_SIZE) {
        const uint8_t *bytes = range.buf->data + range.offset + at;
        int32_t size = (int32_t)be32_get(bytes);
        if (size < KAFKA_FRAME_SIZE_MIN || size > size_max) {
            char peer[KAFKA_ENDPOINT_PEER_SIZE];
            kafka_endpoint_of_peer(conn, peer);
            log_info(core_logger(conn_core(conn)), "kafka",
                     "connection closed: request of %d bytes is outside 8..%d "
                     "(socket.request.max.bytes) peer=%s",
                     size, size_max, peer);
            metric_add(&kafka_core(conn_core(conn))->rejected, 1);
            kafka_conn_close(state);
            break;
        }
        size_t whole = KAFKA_LENGTH_SIZE + (size_t)size;
        if (range.size - at < whole)
            return (struct conn_taken){.consumed = at, .wanted = whole};
        struct buf_range frame = {.buf = range.buf,
                                  .offset = range.offset + (uint32_t)at + KAFKA_LENGTH_SIZE,
                                  .size = (uint32_t)size};
        enum kafka_taken taken = kafka_conn_take(state, frame);
        if (taken == KAFKA_BROKEN)
            kafka_conn_close(state);
        if (taken == KAFKA_BLOCKED) {
            state->blocked = true;
            conn_pause(conn);
        }
        if (taken != KAFKA_TAKEN)
            break;
        at += whole;
    }
    if (state->closing)
        return (struct conn_taken){.consumed = range.size};
    return (struct conn_taken){
        .consumed = at, .wanted = range.size - at < KAFKA_LENGTH_SIZE ? KAFKA_LENGTH_SIZE : 0};
}

static void kafka_conn_closed(struct conn *conn, enum conn_close_reason reason)
{
    struct kafka_conn *state = conn_state(conn);
    if (!state)
        return;
    core_timer_cancel(conn_core(conn), &state->timer);
    broker_quota_client_deinit(conn_core(conn), &state->quota);
    if (state->share)
        kafka_share_gone(conn_core(conn), state->share);
    struct list orphans;
    list_init(&orphans);
    list_splice_back(&orphans, &state->requests);
    list_for_each (node, &orphans)
        LIST_ENTRY(node, struct kafka_request, node)->conn = NULL;
    struct list *node;
    while ((node = list_pop_front(&orphans)) != NULL) {
        struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
        if (request->answered)
            kafka_request_free(request);
        else if (request->cancel && !request->cancelled) {
            request->cancelled = true;
            request->cancel(request);
        }
    }
    free(state);
}

static bool kafka_conn_can_move(struct conn *conn)
{
    const struct kafka_conn *state = conn_state(conn);
    return state && list_empty(&state->requests) && !state->closing;
}

/* Nothing is muted: a paused connection does not move. */
static void kafka_conn_leave(struct conn *conn)
{
    struct kafka_conn *state = conn_state(conn);
    broker_quota_client_deinit(conn_core(conn), &state->quota);
}

static void kafka_conn_moved(struct conn *conn, struct core *from)
{
    struct kafka_conn *state = conn_state(conn);
    state->id = ++kafka_core(conn_core(conn))->conn_id_last;
}

/* Cancels those that wait; one at a time, because an answer may let others go. */
static void kafka_conn_cancel(struct kafka_conn *conn)
{
    bool found;
    do {
        found = false;
        list_for_each (node, &conn->requests) {
            struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
            if (request->answered || request->cancelled || !request->cancel)
                continue;
            request->cancelled = true;
            request->cancel(request);
            found = true;
            break;
        }
    } while (found);
}

/* Nothing outstanding: close now; else when the last answer is out. */
static void kafka_conn_shutdown(struct conn *conn)
{
    struct kafka_conn *state = conn_state(conn);
    state->leaving = true;
    if (!state->blocked) {
        state->blocked = true;
        conn_pause(conn);
    }
    kafka_conn_cancel(state);
    if (list_empty(&state->requests))
        kafka_conn_close(state);
}

static void kafka_conn_drained(struct conn *conn)
{
    kafka_conn_unblock(conn_state(conn));
}

const struct conn_ops kafka_conn_ops = {
    .on_open = kafka_conn_open,
    .on_input = kafka_conn_input,
    .on_drain = kafka_conn_drained,
    .on_close = kafka_conn_closed,
    .can_move = kafka_conn_can_move,
    .on_leave = kafka_conn_leave,
    .on_move = kafka_conn_moved,
    .on_shutdown = kafka_conn_shutdown,
};

// The life of a NATS connection: opened, its operations in order, errors, closed.
// SPDX-License-Identifier: Apache-2.0
#include "nats/conn.h"

#include <stdlib.h>

#include "base/subject.h"
#include "nats/closed.h"
#include "nats/move.h"
#include "nats/view.h"

/* --- closing ---------------------------------------------------------------------------------- */

bool nats_conn_is_open(const struct nats_conn *conn)
{
    return conn->conn && conn->reason == NATS_REASON_NONE;
}

void nats_conn_end(struct nats_conn *conn, enum nats_reason reason)
{
    if (!nats_conn_is_open(conn))
        return;
    conn->reason = reason;
    conn_close(conn->conn);
}

void nats_conn_cut(struct nats_conn *conn, enum nats_reason reason)
{
    if (!nats_conn_is_open(conn))
        return;
    conn->reason = reason;
    conn_abort(conn->conn, CONN_CLOSED_SLOW);
}

void nats_conn_unref(struct nats_conn *conn)
{
    if (conn->conn || conn->parcels_out > 0 || conn->appends_out > 0)
        return;
    free(conn);
}

void nats_conn_send(struct nats_conn *conn, const char *text)
{
    (void)conn_write(conn->conn, slice_text(text));
}

void nats_conn_fail(struct nats_conn *conn, enum nats_error error)
{
    const char *text = nats_error_text(error);
    enum nats_reason reason = nats_error_reason(error);
    if (!nats_conn_is_open(conn))
        return;
    if (text) {
        nats_conn_send(conn, "-ERR '");
        nats_conn_send(conn, text);
        nats_conn_send(conn, "'\r\n");
    }
    if (reason == NATS_REASON_NONE)
        return;
    log_debug(conn->home->nats->options.logger, "nats", "connection closed: %s cid=%llu",
              nats_error_reason_text(reason), (unsigned long long)conn->id);
    nats_conn_end(conn, reason);
}

/* As Go's %q writes it, bytes that are no printable ASCII as \x... */
static void add_quoted(struct text *text, struct slice bytes)
{
    text_add_text(text, "\"");
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        if (byte == '"' || byte == '\\')
            text_add_format(text, "\\%c", byte);
        else if (byte >= ' ' && byte != 0x7f)
            text_add(text, slice_make(&bytes.data[i], 1));
        else
            text_add_format(text, "\\x%02x", byte);
    }
    text_add_text(text, "\"");
}

static void add_named(struct text *text, const char *words, struct slice subject,
                      struct slice queue)
{
    text_add_format(text, "-ERR '%s ", words);
    add_quoted(text, subject);
    if (queue.data) {
        text_add_text(text, " using queue ");
        add_quoted(text, queue);
    }
}

static void send_and_free(struct nats_conn *conn, struct text *text)
{
    if (!text->failed)
        (void)conn_write(conn->conn, text_slice(text));
    text_deinit(text);
}

void nats_conn_fail_subject(struct nats_conn *conn, const char *words, struct slice subject,
                            struct slice queue, const char *more)
{
    struct text text;
    text_init(&text);
    add_named(&text, words, subject, queue);
    text_add_format(&text, "%s'\r\n", more);
    send_and_free(conn, &text);
}

void nats_conn_fail_removed(struct nats_conn *conn, const struct nats_sub *sub)
{
    struct text text;
    text_init(&text);
    add_named(&text, "Permissions Violation for Subscription to",
              broker_interest_subject(&sub->interest), broker_interest_queue(&sub->interest));
    text_add_text(&text, " (sid ");
    add_quoted(&text, nats_conn_sid(sub));
    text_add_text(&text, ")'\r\n");
    send_and_free(conn, &text);
}

/* --- waiting ---------------------------------------------------------------------------------- */

void nats_conn_wait(struct nats_conn *conn, enum nats_wait wait)
{
    if (conn->waits == 0)
        conn_pause(conn->conn);
    conn->waits |= wait;
}

void nats_conn_go_on(struct nats_conn *conn, enum nats_wait wait)
{
    if (!(conn->waits & wait))
        return;
    conn->waits &= ~(unsigned)wait;
    if (conn->waits == 0 && conn->conn) {
        conn_resume(conn->conn);
        nats_move_try(conn);
    }
}

/* --- operations ------------------------------------------------------------------------------- */

void nats_conn_pong(struct nats_conn *conn)
{
    bool is_first = conn->is_connected && !conn->pong_sent;
    nats_conn_send(conn, "PONG\r\n");
    if (!is_first)
        return;
    conn->pong_sent = true;
    if (conn->connect.protocol >= 1)
        nats_info_send(conn, true);
}

static void act(struct nats_conn *conn, const struct wire_nats_request *request, struct buf *buf)
{
    switch (request->op) {
    case WIRE_NATS_PUB:
    case WIRE_NATS_HPUB:
        nats_publish_handle(conn, request, buf);
        break;
    case WIRE_NATS_SUB:
        nats_subs_add(conn, request);
        break;
    case WIRE_NATS_UNSUB:
        nats_subs_unsub(conn, request);
        break;
    case WIRE_NATS_PING:
        if (!nats_announce_fence(conn))
            nats_conn_pong(conn);
        break;
    case WIRE_NATS_PONG:
        nats_ping_pong(conn);
        break;
    case WIRE_NATS_CONNECT:
        nats_connect_handle(conn, request->args);
        break;
    case WIRE_NATS_INFO:
        if (!wire_nats_json_is_object(request->args))
            nats_conn_fail(conn, NATS_ERROR_PARSE);
        break;
    case WIRE_NATS_ERR:
        nats_conn_fail(conn, NATS_ERROR_PARSE);
        break;
    default: /* +OK */
        break;
    }
}

static void refuse(struct nats_conn *conn, enum wire_nats_status status,
                   const struct wire_nats_request *request)
{
    static const enum nats_error errors[] = {
        [WIRE_NATS_UNKNOWN] = NATS_ERROR_UNKNOWN_OPERATION,
        [WIRE_NATS_CLOSE] = NATS_ERROR_PARSE,
        [WIRE_NATS_LINE_TOO_LONG] = NATS_ERROR_CONTROL_LINE,
        [WIRE_NATS_PAYLOAD_MAX] = NATS_ERROR_MAX_PAYLOAD,
        [WIRE_NATS_AUTH] = NATS_ERROR_AUTHORIZATION,
    };
    if (status == WIRE_NATS_AUTH && nats_connect_without(conn))
        return; /* the same bytes once more */
    /* a message without its end, after a line that was wrong as well */
    if (status == WIRE_NATS_UNKNOWN && conn->connect.pedantic && request->subject.data &&
        !subject_is_literal(request->subject))
        nats_conn_fail(conn, NATS_ERROR_INVALID_PUBLISH_SUBJECT);
    nats_conn_fail(conn, errors[status]);
}

static void input_ends(struct nats_conn *conn)
{
    struct nats_core *home = conn->home;
    nats_view_publish_flush(conn);
    if (home->parcels_open > 0) {
        nats_announce_flush(home);
        nats_parcel_flush(home);
    }
    if (conn->parcels_out >= NATS_PARCELS_OUT_MAX && nats_conn_is_open(conn))
        nats_conn_wait(conn, NATS_WAIT_PARCELS);
}

static struct conn_taken nats_conn_input(struct conn *conn, struct buf_range range)
{
    struct nats_conn *state = conn_state(conn);
    struct conn_taken taken = {0, 0};
    const uint8_t *bytes = range.buf->data + range.offset;
    struct wire_nats_request request;
    state->input_ns = core_now_ns(conn_core(conn));
    uint64_t messages = state->in_messages;
    uint64_t size_bytes = state->in_bytes;
    while (taken.consumed < range.size && state->waits == 0 && nats_conn_is_open(state)) {
        struct slice rest = slice_make(bytes + taken.consumed, range.size - taken.consumed);
        enum wire_nats_status status = wire_nats_parser_next(rest, &state->limits, &request);
        if (status == WIRE_NATS_COMPLETE) {
            taken.consumed += request.consumed;
            act(state, &request, range.buf);
        } else if (status == WIRE_NATS_INCOMPLETE) {
            taken.wanted = request.wanted;
            break;
        } else {
            refuse(state, status, &request);
        }
    }
    metric_add(&state->home->counters.in_messages, state->in_messages - messages);
    metric_add(&state->home->counters.in_bytes, state->in_bytes - size_bytes);
    input_ends(state);
    if (!nats_conn_is_open(state))
        return (struct conn_taken){.consumed = range.size};
    return taken;
}

/* --- coming and going ------------------------------------------------------------------------- */

uint64_t nats_conn_count(const struct nats *nats)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < nats->core_count; i++)
        count += metric_get(&nats->cores[i].counters.here);
    return count;
}

void nats_conn_set_limits(struct nats_conn *conn)
{
    const struct nats_config *config = conn->config;
    conn->headers = conn->connect.headers && !config->no_headers;
    conn->limits = (struct wire_nats_limits){
        .control_line_max = (uint32_t)config->control_line_size_max,
        .payload_max = (uint32_t)config->payload_size_max,
        .headers = conn->headers,
        .connect_first = !conn->is_connected && nats_config_needs_login(config),
    };
}

static void nats_conn_opened(struct conn *conn, void *arg)
{
    struct nats *nats = arg;
    struct nats_core *home = nats_state_of(conn_core(conn));
    struct nats_conn *state = calloc(1, sizeof(*state));
    if (!state) {
        conn_abort(conn, CONN_CLOSED_MEMORY);
        return;
    }
    unsigned count_max = home->config->connections_max;
    bool is_full = count_max > 0 && nats_conn_count(nats) >= count_max;
    state->conn = conn;
    state->home = home;
    state->config = nats_config_ref(home->config);
    state->config_serial = home->config_serial;
    state->knows_lame = home->is_lame;
    state->id = ++nats->conn_id_last;
    state->opened_ms = core_wall_ms(home->core);
    state->input_ns = core_now_ns(home->core);
    nats_sids_init(&state->subs, core_random(home->core));
    list_init(&state->stalled);
    list_init(&state->stalling);
    core_timer_init(&state->timer, nats_ping_run);
    core_timer_init(&state->stall_timer, nats_stall_run);
    wire_nats_json_connect_init(&state->connect);
    nats_conn_set_limits(state);
    list_push_back(&home->conns, &state->node);
    metric_add(&home->counters.opened, 1);
    metric_add(&home->counters.here, 1);
    conn_set_state(conn, state);
    nats_info_send(state, false); /* without it clients take no error for one */
    if (is_full)
        nats_conn_fail(state, NATS_ERROR_MAX_CONNECTIONS);
    else
        nats_ping_start(state);
}

static enum nats_reason reason_of(enum conn_close_reason reason)
{
    switch (reason) {
    case CONN_CLOSED_SLOW:
        return NATS_REASON_SLOW_CONSUMER_DEADLINE;
    case CONN_CLOSED_ERROR:
        return NATS_REASON_READ_ERROR;
    case CONN_CLOSED_MEMORY:
        return NATS_REASON_OUT_OF_MEMORY;
    case CONN_CLOSED_SHUTDOWN:
        return NATS_REASON_SERVER_SHUTDOWN;
    default:
        return NATS_REASON_CLIENT_CLOSED;
    }
}

static void conn_detach_all(struct nats_conn *conn)
{
    struct nats_core *home = conn->home;
    nats_connect_forget(conn);
    nats_announce_forget(conn);
    nats_stall_forget(conn);
    nats_stall_release(conn);
    nats_subs_remove_all(conn);
    nats_move_forget(conn); /* members of groups still count as its own until it settles */
    nats_replies_free(conn);
    core_timer_cancel(home->core, &conn->timer);
    core_timer_cancel(home->core, &conn->stall_timer);
    list_remove(&conn->node);
}

static void nats_conn_closed(struct conn *conn, enum conn_close_reason reason)
{
    struct nats_conn *state = conn_state(conn);
    if (!state)
        return;
    struct nats_core *home = state->home;
    enum nats_reason why = state->reason != NATS_REASON_NONE ? state->reason : reason_of(reason);
    state->reason = why;
    nats_closed_add(state, why);
    conn_detach_all(state);
    if (why == NATS_REASON_SLOW_CONSUMER_PENDING || why == NATS_REASON_SLOW_CONSUMER_DEADLINE)
        log_info(home->nats->options.logger, "nats", "slow consumer closed: %s cid=%llu",
                 nats_error_reason_text(why), (unsigned long long)state->id);
    metric_add(&home->counters.closed[why], 1);
    metric_add(&home->counters.here, (uint64_t)-1);
    free(state->text);
    nats_config_unref(state->config);
    state->config = NULL;
    state->conn = NULL;
    nats_conn_unref(state);
}

static void nats_conn_drained(struct conn *conn)
{
    nats_stall_release(conn_state(conn));
}

/* Subscriptions must have been prepared for it. */
static bool nats_conn_can_move(struct conn *conn)
{
    const struct nats_conn *state = conn_state(conn);
    return state && nats_conn_is_open(state) && nats_move_is_ready(state) && state->waits == 0 &&
           state->parcels_out == 0 && state->appends_out == 0 &&
           (state->move || !state->is_unsynced);
}

static void nats_conn_leaves(struct conn *conn)
{
    struct nats_conn *state = conn_state(conn);
    struct nats_core *home = state->home;
    nats_move_leave(state);
    nats_stall_release(state);
    core_timer_cancel(home->core, &state->timer);
    core_timer_cancel(home->core, &state->stall_timer);
    list_remove(&state->node);
    metric_add(&home->counters.here, (uint64_t)-1);
}

static void nats_conn_arrives(struct conn *conn, struct core *from)
{
    struct nats_conn *state = conn_state(conn);
    struct nats_core *home = nats_state_of(conn_core(conn));
    state->home = home;
    list_push_back(&home->conns, &state->node);
    metric_add(&home->counters.here, 1);
    nats_ping_start(state);
    nats_announce_listen(home, state);
    if (state->move) {
        nats_move_land(state);
        conn_resume(conn);
    }
    nats_reload_catch_up(state);
    nats_lame_catch_up(state);
}

static void nats_conn_shutdown(struct conn *conn)
{
    struct nats_conn *state = conn_state(conn);
    if (state)
        nats_conn_end(state, NATS_REASON_SERVER_SHUTDOWN);
}

const struct conn_ops nats_conn_ops = {
    .on_open = nats_conn_opened,
    .on_input = nats_conn_input,
    .on_drain = nats_conn_drained,
    .on_close = nats_conn_closed,
    .can_move = nats_conn_can_move,
    .on_wish = nats_move_wished,
    .on_leave = nats_conn_leaves,
    .on_move = nats_conn_arrives,
    .on_shutdown = nats_conn_shutdown,
};

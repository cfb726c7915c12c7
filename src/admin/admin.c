// Connections of the monitoring: one request at a time, answered by the page of its path.
// SPDX-License-Identifier: Apache-2.0
#include "admin/admin.h"

#include <stdlib.h>

#define ADMIN_IDLE_MS         60000
#define ADMIN_FRAME_MS        10000
#define ADMIN_OUTPUT_SIZE_MAX ((size_t)16 << 20)
#define ADMIN_CONNECTIONS_MAX 256

struct admin {
    struct admin_options options;
};

struct admin_conn {
    struct conn *conn;
    struct admin *admin;
    struct admin_call *call; /* waits for its answer, or NULL */
    bool is_leaving;
};

struct admin_call {
    struct admin_conn *conn; /* NULL: it is gone */
    const struct admin_page *page;
    bool keep_alive;
    bool head_only;
    uint8_t query_bytes[];
};

static void respond(struct admin_conn *conn, int status, const char *type, struct slice body)
{
    struct text head;
    struct admin_call *call = conn->call;
    bool keep_alive = call && call->keep_alive && !conn->is_leaving;
    text_init(&head);
    admin_http_add_head(&head, status, type, body.size, keep_alive);
    if (head.failed)
        conn_abort(conn->conn, CONN_CLOSED_MEMORY);
    else if (conn_write(conn->conn, text_slice(&head)) && !(call && call->head_only))
        (void)conn_write(conn->conn, body);
    text_deinit(&head);
    if (!keep_alive)
        conn_close(conn->conn);
}

void admin_answer(struct admin_call *call, int status, struct slice body)
{
    struct admin_conn *conn = call->conn;
    if (conn) {
        respond(conn, status, status == 200 ? call->page->content_type : "text/plain", body);
        conn->call = NULL;
        conn_release(conn->conn);
        conn_resume(conn->conn);
    }
    free(call);
}

static const struct admin_page *find_page(const struct admin *admin, struct slice path)
{
    for (size_t i = 0; i < admin->options.page_count; i++)
        if (slice_equal_text(path, admin->options.pages[i].path))
            return &admin->options.pages[i];
    return NULL;
}

/* Without a page there is no call: the connection is closed after these words. */
static void refuse(struct admin_conn *conn, int status, struct slice words)
{
    respond(conn, status, "text/plain", words);
}

static void start(struct admin_conn *conn, const struct admin_http_request *request)
{
    bool is_head = slice_equal_text(request->method, "HEAD");
    const struct admin_page *page = find_page(conn->admin, request->path);
    if (!is_head && !slice_equal_text(request->method, "GET")) {
        refuse(conn, 405, SLICE_LITERAL("only GET and HEAD are served\n"));
        return;
    }
    if (!page) {
        refuse(conn, 404, SLICE_LITERAL("404 page not found\n"));
        return;
    }
    struct admin_call *call = malloc(sizeof(*call) + request->query.size);
    if (!call) {
        conn_abort(conn->conn, CONN_CLOSED_MEMORY);
        return;
    }
    *call = (struct admin_call){
        .conn = conn, .page = page, .keep_alive = request->keep_alive, .head_only = is_head};
    struct slice query = SLICE_NULL;
    if (request->query.size > 0) {
        memcpy(call->query_bytes, request->query.data, request->query.size);
        query = slice_make(call->query_bytes, request->query.size);
    }
    conn->call = call;
    conn_hold(conn->conn);
    conn_pause(conn->conn);
    page->fn(page->arg, query, call);
}

static struct conn_taken admin_conn_input(struct conn *conn, struct buf_range range)
{
    struct admin_conn *state = conn_state(conn);
    struct admin_http_request request;
    enum err err = admin_http_parse(buf_range_slice(range), &request);
    if (err == ERR_AGAIN)
        return (struct conn_taken){0, 0};
    if (!err) {
        start(state, &request);
        return (struct conn_taken){.consumed = request.consumed};
    }
    if (err == ERR_TOO_LARGE)
        refuse(state, 431, SLICE_LITERAL("the request's head is too large\n"));
    else
        refuse(state, 400, SLICE_LITERAL("this is no request\n"));
    return (struct conn_taken){.consumed = range.size};
}

static void admin_conn_opened(struct conn *conn, void *arg)
{
    struct admin_conn *state = calloc(1, sizeof(*state));
    if (!state) {
        conn_abort(conn, CONN_CLOSED_MEMORY);
        return;
    }
    state->conn = conn;
    state->admin = arg;
    conn_set_state(conn, state);
}

static void admin_conn_closed(struct conn *conn, enum conn_close_reason reason)
{
    struct admin_conn *state = conn_state(conn);
    if (state && state->call)
        state->call->conn = NULL;
    free(state);
}

static void admin_conn_shutdown(struct conn *conn)
{
    struct admin_conn *state = conn_state(conn);
    if (!state || !state->call)
        conn_close(conn);
    else
        state->is_leaving = true;
}

static const struct conn_ops ops = {
    .on_open = admin_conn_opened,
    .on_input = admin_conn_input,
    .on_close = admin_conn_closed,
    .on_shutdown = admin_conn_shutdown,
};

enum err admin_open(const struct admin_options *options, struct admin **out)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return ERR_NO_MEMORY;
    admin->options = *options;
    *out = admin;
    return ERR_OK;
}

void admin_close(struct admin *admin)
{
    free(admin);
}

enum err admin_listen(struct admin *admin, const struct sockaddr_storage *address,
                      socklen_t address_size, struct listener **out, struct diag *diag)
{
    struct listener_options options = {
        .address = *address,
        .address_size = address_size,
        .ops = &ops,
        .arg = admin,
        .limits =
            {
                .idle_timeout_ms = ADMIN_IDLE_MS,
                .frame_timeout_ms = ADMIN_FRAME_MS,
                .output_size_max = ADMIN_OUTPUT_SIZE_MAX,
                .connections_max = ADMIN_CONNECTIONS_MAX,
            },
    };
    return listener_open(reactor_core(admin->options.reactor, 0), &options, out, diag);
}

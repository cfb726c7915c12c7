// Frames become requests, requests start in order, answers leave in order.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/conn.h"

#include <stdlib.h>

#include "base/endian.h"
#include "kafka/handlers.h"
#include "kafka/state.h"

#define KAFKA_LENGTH_SIZE 4
/* key, version, correlation id: less cannot be a request */
#define KAFKA_FRAME_SIZE_MIN 8
/* Arrays decoded from a request: a multiple of its size, see the wire room's invariant 2. */
#define KAFKA_ARENA_SIZE_MAX ((size_t)512 << 20)

struct kafka_conn {
    struct conn *conn;
    struct kafka *kafka;
    struct list requests; /* struct kafka_request, oldest first */
    uint64_t id;
    size_t request_count;
    bool blocked; /* input is paused until a request is answered */
    bool closing;
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
    conn_set_state(conn, state);
}

static void request_free(struct kafka_request *request)
{
    if (request->release)
        request->release(request);
    buf_unref(request->input.buf);
    struct kafka_core *core = kafka_core(request->core);
    arena_reset(&request->arena);
    if (core->free_count < KAFKA_FREE_REQUESTS_MAX) {
        list_push_back(&core->free_requests, &request->node);
        core->free_count++;
        return;
    }
    arena_deinit(&request->arena);
    free(request);
}

static struct kafka_request *request_new(struct kafka_conn *conn, struct buf_range input)
{
    struct core *core = conn_core(conn->conn);
    struct kafka_core *state = kafka_core(core);
    struct list *node = list_pop_front(&state->free_requests);
    struct kafka_request *request;
    struct arena arena;
    if (node) {
        state->free_count--;
        request = LIST_ENTRY(node, struct kafka_request, node);
        arena = request->arena;
    } else {
        request = malloc(sizeof(*request));
        if (!request)
            return NULL;
        arena_init(&arena, KAFKA_ARENA_SIZE_MAX);
    }
    *request = (struct kafka_request){
        .conn = conn, .core = core, .arena = arena, .arrived_ns = core_now_ns(core)};
    request->input = input;
    buf_ref(input.buf);
    list_push_back(&conn->requests, &request->node);
    conn->request_count++;
    conn_hold(conn->conn);
    return request;
}

/* Queues the chunks of a gap; each takes a reference of its own. */
static bool chunks_write(struct conn *conn, const struct kafka_chunks *chunks)
{
    for (unsigned i = 0; i < chunks->count; i++) {
        const struct store_chunk *chunk = &chunks->chunks[i];
        bool ok;
        if (chunk->file) {
            atomic_fetch_add_explicit(&chunk->file->refs, 1, memory_order_relaxed);
            ok = conn_write_file(conn, chunk->file, chunk->file_offset, chunk->size);
        } else {
            buf_ref(chunk->bytes.buf);
            ok = conn_write_buf(conn, chunk->bytes);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool request_write(struct conn *conn, const struct kafka_request *request)
{
    size_t at = 0;
    for (size_t i = 0; i < request->gap_count; i++) {
        const struct wire_gap *gap = &request->gaps[i];
        struct slice before = slice_make(request->output.data + at, gap->position - at);
        if (before.size && !conn_write(conn, before))
            return false;
        at = gap->position;
        if (!chunks_write(conn, gap->gap))
            return false;
    }
    struct slice rest = slice_make(request->output.data + at, request->output.size - at);
    return rest.size == 0 || conn_write(conn, rest);
}

static void kafka_conn_close(struct kafka_conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn_close(conn->conn);
}

/* Sends what is answered at the head of the line, then lets input go on. */
static void kafka_conn_advance(struct kafka_conn *conn)
{
    struct list *node;
    while ((node = list_first(&conn->requests)) != NULL) {
        struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
        if (!request->answered)
            break;
        list_remove(node);
        conn->request_count--;
        bool close = request->close;
        if (!request->silent && !conn->closing)
            close |= !request_write(conn->conn, request);
        conn_release(conn->conn);
        request_free(request);
        if (close)
            kafka_conn_close(conn);
    }
    if (conn->blocked && !conn->closing) {
        conn->blocked = false;
        conn_resume(conn->conn);
    }
}

static void request_finish(struct kafka_request *request)
{
    CHECK(!request->answered);
    request->answered = true;
    if (request->conn)
        kafka_conn_advance(request->conn);
    else
        request_free(request);
}

void kafka_request_answer_version(struct kafka_request *request, kafka_encode_fn encode,
                                  const void *response, int16_t version)
{
    struct wire_writer w;
    wire_writer_init_counting(&w);
    encode(response, version, &w);
    size_t body_size = w.size + w.gap_size;
    size_t size = wire_kafka_frame_response_start_size(request->frame.api, version) + w.size;
    size_t gap_count = w.gap_count;
    uint8_t *bytes = arena_alloc(&request->arena, size);
    struct wire_gap *gaps = arena_alloc_array(&request->arena, gap_count, sizeof(*gaps));
    if (w.error || !bytes || !gaps) {
        kafka_request_reject(request, w.error ? w.error : ERR_NO_MEMORY,
                             "cannot encode the answer");
        return;
    }
    wire_writer_init_fixed(&w, bytes, size);
    wire_writer_set_gaps(&w, gaps, gap_count);
    wire_kafka_frame_response_start(&w, &request->frame, version, body_size);
    encode(response, version, &w);
    if (w.error) {
        kafka_request_reject(request, w.error, "cannot encode the answer");
        return;
    }
    CHECK(w.size == size);
    request->output = slice_make(bytes, size);
    request->gaps = gaps;
    request->gap_count = gap_count;
    request_finish(request);
}

void kafka_request_answer_with(struct kafka_request *request, kafka_encode_fn encode,
                               const void *response)
{
    kafka_request_answer_version(request, encode, response, request->version);
}

void kafka_request_answer_none(struct kafka_request *request)
{
    request->silent = true;
    request_finish(request);
}

void kafka_request_reject(struct kafka_request *request, enum err err, const char *why)
{
    log_info(core_logger(request->core), "kafka",
             "connection closed: %s: %s api=%s version=%d client=%.*s", why, err_text(err),
             request->frame.api ? request->frame.api->name : "unknown",
             request->frame.header.request_api_version,
             (int)MIN(request->frame.header.client_id.size, (size_t)64),
             request->frame.header.client_id.data
                 ? (const char *)request->frame.header.client_id.data
                 : "");
    metric_add(&kafka_core(request->core)->rejected, 1);
    request->silent = true;
    request->close = true;
    request_finish(request);
}

void *kafka_request_alloc(struct kafka_request *request, size_t count, size_t size)
{
    void *memory = arena_alloc_array(&request->arena, count, size);
    if (!memory)
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
    return memory;
}

static bool kafka_conn_may_start(const struct kafka_conn *conn, const struct kafka_handler *handler)
{
    if (list_empty(&conn->requests))
        return true;
    if (conn->request_count >= KAFKA_CONN_REQUESTS_MAX || !handler || !handler->overlap)
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

enum kafka_taken { KAFKA_TAKEN, KAFKA_BLOCKED, KAFKA_BROKEN };

static enum kafka_taken kafka_conn_take(struct kafka_conn *conn, struct buf_range range)
{
    struct wire_kafka_frame frame;
    enum err err = wire_kafka_frame_parse(buf_range_slice(range), &frame);
    if (err) {
        log_info(core_logger(conn_core(conn->conn)), "kafka",
                 "connection closed: malformed request header: %s", err_text(err));
        return KAFKA_BROKEN;
    }
    const struct kafka_handler *handler = frame.api ? kafka_handlers_find(frame.api->key) : NULL;
    if (!kafka_conn_may_start(conn, handler))
        return KAFKA_BLOCKED;
    struct kafka_request *request = request_new(conn, range);
    if (!request)
        return KAFKA_BROKEN;
    request->frame = frame;
    request_start(request, handler);
    return KAFKA_TAKEN;
}

static struct conn_taken kafka_conn_input(struct conn *conn, struct buf_range range)
{
    struct kafka_conn *state = conn_state(conn);
    int32_t size_max = broker_settings_now(conn_core(conn))->socket_request_max_bytes;
    size_t at = 0;
    while (!state->closing && !state->blocked && range.size - at >= KAFKA_LENGTH_SIZE) {
        const uint8_t *bytes = range.buf->data + range.offset + at;
        int32_t size = (int32_t)be32_get(bytes);
        if (size < KAFKA_FRAME_SIZE_MIN || size > size_max) {
            log_info(core_logger(conn_core(conn)), "kafka",
                     "connection closed: request of %d bytes is outside 8..%d "
                     "(socket.request.max.bytes)",
                     size, size_max);
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
    struct list orphans;
    list_init(&orphans);
    list_splice_back(&orphans, &state->requests);
    list_for_each (node, &orphans)
        LIST_ENTRY(node, struct kafka_request, node)->conn = NULL;
    struct list *node;
    while ((node = list_pop_front(&orphans)) != NULL) {
        struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
        if (request->answered)
            request_free(request);
        else if (request->cancel)
            request->cancel(request);
    }
    free(state);
}

static bool kafka_conn_can_move(struct conn *conn)
{
    const struct kafka_conn *state = conn_state(conn);
    return state && list_empty(&state->requests) && !state->closing;
}

static void kafka_conn_moved(struct conn *conn, struct core *from)
{
    struct kafka_conn *state = conn_state(conn);
    state->id = ++kafka_core(conn_core(conn))->conn_id_last;
}

/* Nothing outstanding: close now; else when the last answer is out. */
static void kafka_conn_shutdown(struct conn *conn)
{
    struct kafka_conn *state = conn_state(conn);
    if (list_empty(&state->requests)) {
        kafka_conn_close(state);
        return;
    }
    struct kafka_request *last = LIST_ENTRY(state->requests.prev, struct kafka_request, node);
    last->close = true;
    list_for_each_safe (node, following, &state->requests) {
        struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
        if (!request->answered && request->cancel)
            request->cancel(request);
    }
}

const struct conn_ops kafka_conn_ops = {
    .on_open = kafka_conn_open,
    .on_input = kafka_conn_input,
    .on_close = kafka_conn_closed,
    .can_move = kafka_conn_can_move,
    .on_move = kafka_conn_moved,
    .on_shutdown = kafka_conn_shutdown,
};

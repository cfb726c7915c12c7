// Output of a connection: a queue of ranges and file stretches, sent gathered at the turn's end.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "reactor/conn_state.h"

static void segment_free(struct conn_segment *segment)
{
    buf_unref(segment->buf);
    if (segment->file && atomic_fetch_sub(&segment->file->refs, 1) == 1)
        segment->file->close(segment->file);
    *segment = (struct conn_segment){NULL, NULL, 0, 0};
}

static struct conn_chunk *chunk_new(struct core *core)
{
    struct conn_chunk *chunk = core->conns.chunks_free;
    if (chunk) {
        core->conns.chunks_free = chunk->next;
        core->conns.chunks_free_count--;
    } else {
        if (!budget_charge(core->reactor->options.budget, sizeof(*chunk)))
            return NULL;
        chunk = malloc(sizeof(*chunk));
        budget_release(core->reactor->options.budget, chunk ? 0 : sizeof(*chunk));
    }
    if (chunk) {
        chunk->next = NULL;
        chunk->first = chunk->end = 0;
    }
    return chunk;
}

static void chunk_free(struct core *core, struct conn_chunk *chunk)
{
    if (core->conns.chunks_free_count < CONN_CHUNKS_KEEP) {
        chunk->next = core->conns.chunks_free;
        core->conns.chunks_free = chunk;
        core->conns.chunks_free_count++;
        return;
    }
    free(chunk);
    budget_release(core->reactor->options.budget, sizeof(*chunk));
}

static struct conn_segment *output_tail(struct conn *conn)
{
    struct conn_chunk *chunk = conn->out_last;
    return chunk && chunk->end > chunk->first ? &chunk->segments[chunk->end - 1] : NULL;
}

/* The segment's references are the queue's, or dropped. */
static bool output_push(struct conn *conn, struct conn_segment segment)
{
    struct conn_chunk *last = conn->out_last;
    if (!last || last->end == CONN_CHUNK_SEGMENTS) {
        struct conn_chunk *chunk = chunk_new(conn->core);
        if (!chunk) {
            segment_free(&segment);
            conn_abort(conn, CONN_CLOSED_MEMORY);
            return false;
        }
        if (last)
            last->next = chunk;
        else
            conn->out_first = chunk;
        conn->out_last = last = chunk;
    }
    last->segments[last->end++] = segment;
    conn->out_size += segment.size;
    conn_output_queue_flush(conn);
    return true;
}

void conn_output_queue_flush(struct conn *conn)
{
    struct core *core = conn->core;
    if (conn->phase >= CONN_CLOSED)
        return;
    const struct conn_limits *limits = &conn->listener->options.limits;
    if (limits->output_size_max && conn->out_size > limits->output_size_max)
        conn->was_full = true;
    if (conn->is_blocked || !list_empty(&conn->flush_node))
        return;
    list_push_back(&core->conns.flush, &conn->flush_node);
    core_task_post_end(core, &core->conns.flush_task, 1);
}

/* Room behind what was filled, in a fresh buffer when there is none. */
static bool fill_make_room(struct core *core, struct core_fill *fill, size_t size)
{
    if (fill->buf && fill->used > 0 && buf_is_exclusive(fill->buf))
        fill->used = 0;
    if (fill->buf && fill->used < fill->buf->capacity)
        return true;
    buf_unref(fill->buf);
    *fill = (struct core_fill){buf_pool_get(core->buffers, size), 0};
    return fill->buf != NULL;
}

static bool output_is_scattered(const struct conn *conn)
{
    const struct conn_chunk *last = conn->out_last;
    return conn->out_own.buf || (last && last->end - last->first >= CONN_SCATTERED_MIN);
}

/* Where copied output goes: all connections share a buffer, until one that others take turns with
 * would have its output scattered over it in many small pieces. */
static struct core_fill *output_fill(struct conn *conn, size_t *out_size)
{
    bool is_own = conn->is_blocked || output_is_scattered(conn);
    *out_size = is_own ? CONN_BLOCKED_BUFFER : CONN_BUFFER_SIZE;
    return is_own ? &conn->out_own : &conn->core->conns.output;
}

bool conn_write(struct conn *conn, struct slice bytes)
{
    struct core *core = conn->core;
    if (conn->phase != CONN_OPEN)
        return false;
    size_t buffer_size;
    struct core_fill *fill = output_fill(conn, &buffer_size);
    while (bytes.size > 0) {
        if (!fill_make_room(core, fill, buffer_size)) {
            conn_abort(conn, CONN_CLOSED_MEMORY);
            return false;
        }
        size_t size = MIN(bytes.size, fill->buf->capacity - fill->used);
        memcpy(fill->buf->data + fill->used, bytes.data, size);
        struct conn_segment *tail = output_tail(conn);
        if (tail && tail->buf == fill->buf && tail->offset + tail->size == fill->used) {
            tail->size += size;
            conn->out_size += size;
            conn_output_queue_flush(conn);
        } else if (!output_push(
                       conn, (struct conn_segment){buf_ref(fill->buf), NULL, fill->used, size})) {
            return false;
        }
        fill->used += (uint32_t)size;
        bytes = slice_make(bytes.data + size, bytes.size - size);
    }
    return true;
}

bool conn_write_buf(struct conn *conn, struct buf_range take_range)
{
    size_t copy_max = conn->is_blocked ? CONN_COPY_BLOCKED_MAX : CONN_COPY_MAX;
    if (conn->phase == CONN_OPEN && take_range.size > copy_max)
        return output_push(
            conn, (struct conn_segment){take_range.buf, NULL, take_range.offset, take_range.size});
    bool is_written = conn_write(conn, buf_range_slice(take_range));
    buf_unref(take_range.buf);
    return is_written;
}

bool conn_write_shared(struct conn *conn, struct buf_range range)
{
    if (conn->phase != CONN_OPEN)
        return false;
    if (conn->is_blocked && range.size <= CONN_COPY_BLOCKED_MAX)
        return conn_write(conn, buf_range_slice(range));
    struct conn_segment *tail = output_tail(conn);
    bool is_joined = tail && tail->buf == range.buf && tail->offset + tail->size == range.offset;
    if (!is_joined && range.size <= CONN_COPY_MAX && output_is_scattered(conn))
        return conn_write(conn, buf_range_slice(range));
    if (!is_joined)
        return output_push(
            conn, (struct conn_segment){buf_ref(range.buf), NULL, range.offset, range.size});
    tail->size += range.size;
    conn->out_size += range.size;
    conn_output_queue_flush(conn);
    return true;
}

bool conn_write_file(struct conn *conn, struct conn_file *take_file, uint64_t offset, size_t size)
{
    struct conn_segment segment = {NULL, take_file, offset, size};
    bool is_open = conn->phase == CONN_OPEN;
    if (is_open && size > 0)
        return output_push(conn, segment);
    segment_free(&segment);
    return is_open;
}

size_t conn_output_size(const struct conn *conn)
{
    return conn->out_size;
}

bool conn_output_full(const struct conn *conn)
{
    size_t size_max = conn->listener->options.limits.output_size_max;
    return size_max > 0 && conn->out_size > size_max;
}

static void output_consume(struct conn *conn, size_t size)
{
    conn->out_size -= size;
    while (size > 0) {
        struct conn_chunk *chunk = conn->out_first;
        struct conn_segment *segment = &chunk->segments[chunk->first];
        size_t part = MIN(size, segment->size);
        segment->offset += part;
        segment->size -= part;
        size -= part;
        if (segment->size > 0)
            return;
        segment_free(segment);
        if (++chunk->first < chunk->end)
            continue;
        conn->out_first = chunk->next;
        if (!conn->out_first)
            conn->out_last = NULL;
        chunk_free(conn->core, chunk);
    }
}

/* Ranges up to the next file stretch, budget_bytes at most. */
static int output_gather(const struct conn *conn, struct iovec *parts, size_t budget_bytes,
                         size_t *out_size, bool *out_more)
{
    int count = 0;
    *out_size = 0;
    *out_more = false;
    for (const struct conn_chunk *chunk = conn->out_first; chunk; chunk = chunk->next) {
        for (unsigned i = chunk->first; i < chunk->end; i++) {
            const struct conn_segment *segment = &chunk->segments[i];
            *out_more = segment->file != NULL;
            if (segment->file || count == CONN_PARTS_MAX || *out_size == budget_bytes)
                return count;
            size_t size = MIN(segment->size, budget_bytes - *out_size);
            parts[count++] = (struct iovec){segment->buf->data + segment->offset, size};
            *out_size += size;
        }
    }
    return count;
}

/* Bytes that the kernel took, or a negative errno. */
static ssize_t output_send(struct conn *conn, size_t budget_bytes, size_t *out_asked)
{
    struct os *os = conn->core->os;
    const struct conn_segment *head = &conn->out_first->segments[conn->out_first->first];
    if (head->file) {
        *out_asked = 1; /* sendfile stops where it likes; only EAGAIN means blocked */
        ssize_t sent = os->ops->sendfile(os, conn->watch.fd, head->file->fd, head->offset,
                                         MIN(head->size, budget_bytes));
        return sent == 0 ? -EIO : sent; /* the file is shorter than it was said to be */
    }
    struct iovec parts[CONN_PARTS_MAX];
    bool more;
    int count = output_gather(conn, parts, budget_bytes, out_asked, &more);
    return os->ops->sendv(os, conn->watch.fd, parts, count, more);
}

static void output_failed(struct conn *conn, int error)
{
    bool is_gone = error == EPIPE || error == ECONNRESET;
    conn_abort(conn, is_gone ? CONN_CLOSED_BY_PEER : CONN_CLOSED_ERROR);
}

static void conn_flush(struct conn *conn)
{
    struct core *core = conn->core;
    if (conn->sent_turn != core->turn) {
        conn->sent_turn = core->turn;
        conn->sent_in_turn = 0;
    }
    while (conn->out_size > 0 && !conn->is_blocked) {
        if (conn->sent_in_turn >= CONN_OUTPUT_TURN_MAX) {
            list_push_back(&core->conns.flush_later, &conn->flush_node);
            return;
        }
        size_t asked;
        ssize_t sent = output_send(conn, CONN_OUTPUT_TURN_MAX - conn->sent_in_turn, &asked);
        if (sent < 0 && sent != -EAGAIN) {
            output_failed(conn, (int)-sent);
            return;
        }
        conn->is_blocked = sent < (ssize_t)asked;
        conn->output_ns = core->now_ns;
        if (sent <= 0)
            return;
        conn->active_ns = core->now_ns;
        conn->sent_in_turn += (size_t)sent;
        metric_add(&core->metrics.bytes_out, (uint64_t)sent);
        output_consume(conn, (size_t)sent);
    }
}

static void conn_flushed(struct conn *conn)
{
    size_t size_max = conn->listener->options.limits.output_size_max;
    if (conn->out_size == 0) {
        conn->is_blocked = false;
        buf_unref(conn->out_own.buf);
        conn->out_own = (struct core_fill){NULL, 0};
        if (conn->phase == CONN_CLOSING)
            conn_abort(conn, conn->reason);
    }
    conn_update_events(conn);
    if (conn->is_blocked)
        conn_arm_timer(conn);
    if (conn->was_full && conn->out_size <= size_max / 2 && conn->phase == CONN_OPEN) {
        conn->was_full = false;
        if (conn->ops->on_drain)
            conn->ops->on_drain(conn);
    }
    if (conn->wish && conn->out_size == 0 && conn->phase == CONN_OPEN)
        conn_follow_wish(conn);
}

void conn_output_flush_run(struct core *core, struct core_task *task)
{
    struct list *node;
    while ((node = list_pop_front(&core->conns.flush))) {
        struct conn *conn = LIST_ENTRY(node, struct conn, flush_node);
        if (conn->phase >= CONN_CLOSED)
            continue;
        conn_flush(conn);
        if (conn->phase < CONN_CLOSED)
            conn_flushed(conn);
    }
}

void conn_output_free(struct conn *conn)
{
    struct conn_chunk *chunk;
    while ((chunk = conn->out_first)) {
        conn->out_first = chunk->next;
        for (unsigned i = chunk->first; i < chunk->end; i++)
            segment_free(&chunk->segments[i]);
        chunk_free(conn->core, chunk);
    }
    conn->out_last = NULL;
    conn->out_size = 0;
    buf_unref(conn->out_own.buf);
    conn->out_own = (struct core_fill){NULL, 0};
}

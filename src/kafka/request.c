// Requests of a connection: made, decoded, answered, written out with what their gaps stand for.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/request.h"

#include <stdlib.h>

#include "kafka/conn.h"
#include "kafka/endpoint.h"
#include "kafka/quota.h"
#include "kafka/state.h"

/* Arrays decoded from a request: a multiple of its size, see the wire room's invariant 2. */
#define KAFKA_ARENA_SIZE_MAX ((size_t)512 << 20)
/* Frames up to this size are copied. */
#define KAFKA_COPY_SIZE_MAX 4096
/* Memory that every request may have, whatever the budget says. */
#define KAFKA_ARENA_FREE_SIZE ((size_t)64 << 10)

/* From the pool of the core, or new. */
static struct kafka_request *request_get(struct kafka_core *state, struct arena *out_arena)
{
    struct list *node = list_pop_front(&state->free_requests);
    if (node) {
        struct kafka_request *request = LIST_ENTRY(node, struct kafka_request, node);
        state->free_count--;
        *out_arena = request->arena;
        return request;
    }
    arena_init(out_arena, KAFKA_ARENA_SIZE_MAX);
    return malloc(sizeof(struct kafka_request));
}

/* A small frame is copied into the arena: it may wait for long and its buffer is much larger. */
static bool input_copy(struct kafka_request *request, struct buf_range input)
{
    uint8_t *copy = NULL;
    if (input.size <= KAFKA_COPY_SIZE_MAX)
        copy = arena_alloc(&request->arena, input.size);
    if (!copy)
        return false;
    memcpy(copy, input.buf->data + input.offset, input.size);
    request->bytes = slice_make(copy, input.size);
    return true;
}

struct kafka_request *kafka_request_new(struct kafka_conn *conn, struct buf_range input,
                                        bool needs_buf)
{
    struct core *core = conn_core(kafka_conn_conn(conn));
    struct arena arena;
    struct kafka_request *request = request_get(kafka_core(core), &arena);
    if (!request)
        return NULL;
    *request = (struct kafka_request){.conn = conn,
                                      .core = core,
                                      .arena = arena,
                                      .input.size = input.size,
                                      .arrived_ns = core_now_ns(core)};
    list_init(&request->node);
    if (needs_buf || !input_copy(request, input)) {
        request->input = input;
        request->bytes = buf_range_slice(input);
        buf_ref(input.buf);
    }
    return request;
}

void kafka_request_free(struct kafka_request *request)
{
    if (request->release)
        request->release(request);
    buf_unref(request->input.buf);
    if (request->charged)
        budget_release(reactor_budget(core_reactor(request->core)), request->charged);
    struct kafka_core *core = kafka_core(request->core);
    arena_reset(&request->arena);
    if (core->free_count < KAFKA_FREE_REQUESTS_MAX) {
        /* the one used last is the next: it is in the processor's cache */
        list_push_front(&core->free_requests, &request->node);
        core->free_count++;
        return;
    }
    arena_deinit(&request->arena);
    free(request);
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

bool kafka_request_write(const struct kafka_request *request, struct conn *conn)
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

static void request_count(const struct kafka_request *request)
{
    const struct kafka_api *api = request->frame.api;
    if (!api || api->key < 0 || api->key >= KAFKA_API_KEYS_MAX)
        return;
    struct kafka_api_counters *counters = &kafka_core(request->core)->apis[api->key];
    size_t size = request->output.size;
    for (size_t i = 0; i < request->gap_count; i++)
        size += request->gaps[i].size;
    metric_add(&counters->requests, 1);
    metric_add(&counters->bytes_in, request->bytes.size);
    metric_add(&counters->bytes_out, request->silent ? 0 : size);
    metric_add(&counters->time_ns, core_now_ns(request->core) - request->arrived_ns);
}

static void request_finish(struct kafka_request *request)
{
    CHECK(!request->answered);
    request_count(request);
    request->answered = true;
    if (request->conn)
        kafka_conn_advance(request->conn);
    else
        kafka_request_free(request);
}

/* Arrays that are decoded, and those made for them, are a multiple of what the peer sent: they ask
 * the budget. Between these two the arena takes no more than is left of it. */
static void arena_bound(struct kafka_request *request)
{
    const struct budget *budget = reactor_budget(core_reactor(request->core));
    size_t used = budget_used(budget);
    size_t left = used < budget->size_max ? budget->size_max - used : 0;
    size_t size_max = KAFKA_ARENA_FREE_SIZE + request->arena_charged + left;
    request->arena.size_max = MAX(MIN(size_max, KAFKA_ARENA_SIZE_MAX), request->arena.size_total);
}

/* What the arena has taken beyond what is charged. */
static size_t arena_due(const struct kafka_request *request)
{
    size_t charged = KAFKA_ARENA_FREE_SIZE + request->arena_charged;
    return request->arena.size_total > charged ? request->arena.size_total - charged : 0;
}

static bool arena_charge(struct kafka_request *request)
{
    size_t size = arena_due(request);
    request->arena.size_max = KAFKA_ARENA_SIZE_MAX;
    if (size > 0 && !kafka_request_charge(request, size))
        return false;
    request->arena_charged += size;
    return true;
}

/* An answer to what has been done must go out; the structs that it is made of were charged. */
static void arena_note(struct kafka_request *request)
{
    size_t size = arena_due(request);
    if (size > 0)
        budget_charge_always(reactor_budget(core_reactor(request->core)), size);
    request->arena_charged += size;
    request->charged += size;
}

bool kafka_request_charge(struct kafka_request *request, size_t size)
{
    if (!budget_charge(reactor_budget(core_reactor(request->core)), size))
        return false;
    request->charged += size;
    return true;
}

static void count_error(void *arg, int16_t code)
{
    const struct kafka_request *request = arg;
    struct kafka_api_counters *counters = &kafka_core(request->core)->apis[request->frame.api->key];
    if (code >= KAFKA_ERROR_CODE_MIN && code <= KAFKA_ERROR_CODE_MAX)
        metric_add(&counters->errors[code - KAFKA_ERROR_CODE_MIN], 1);
}

void kafka_request_answer_version(struct kafka_request *request, kafka_encode_fn encode,
                                  const void *response, int16_t version)
{
    struct wire_writer w;
    wire_writer_init_counting(&w);
    w.on_error_code = count_error;
    w.on_error_code_arg = request;
    encode(response, version, &w);
    size_t body_size = w.size + w.gap_size;
    size_t size = wire_kafka_frame_response_start_size(request->frame.api, version) + w.size;
    size_t gap_count = w.gap_count;
    uint8_t *bytes = arena_alloc(&request->arena, size);
    struct wire_gap *gaps = arena_alloc_array(&request->arena, gap_count, sizeof(*gaps));
    arena_note(request);
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
                               void *response)
{
    if (broker_quota_any(request->core))
        kafka_quota_answer(request, response);
    kafka_request_answer_version(request, encode, response, request->version);
}

void kafka_request_answer_none(struct kafka_request *request)
{
    if (broker_quota_any(request->core))
        kafka_quota_answer(request, NULL);
    request->silent = true;
    request_finish(request);
}

void kafka_request_reject(struct kafka_request *request, enum err err, const char *why)
{
    char peer[KAFKA_ENDPOINT_PEER_SIZE] = "gone";
    if (request->conn)
        kafka_endpoint_of_peer(kafka_conn_conn(request->conn), peer);
    log_info(core_logger(request->core), "kafka",
             "connection closed: %s: %s api=%s key=%d version=%d peer=%s client=%.*s", why,
             err_text(err), request->frame.api ? request->frame.api->name : "unknown",
             request->frame.header.request_api_key, request->frame.header.request_api_version, peer,
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
    arena_bound(request);
    void *memory = arena_alloc_array(&request->arena, count, size);
    if (!arena_charge(request))
        memory = NULL;
    if (!memory)
        kafka_request_reject(request, ERR_NO_MEMORY, "request needs too much memory");
    return memory;
}

bool kafka_request_decode_with(struct kafka_request *request, kafka_decode_fn decode, void *out)
{
    arena_bound(request);
    enum err err = decode(request->frame.body, request->version, &request->arena, out);
    if (!arena_charge(request) && !err)
        err = ERR_NO_MEMORY;
    if (err)
        kafka_request_reject(request, err, "malformed request");
    return err == ERR_OK;
}

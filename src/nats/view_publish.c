// Appends what is published to a topic, and answers when it is durable.
// SPDX-License-Identifier: Apache-2.0
//
// The messages of one input for one partition become one record batch. Appends of a connection to a
// partition go out in order; while too much of them is not durable yet its input waits.
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "broker/binding.h"
#include "nats/move.h"
#include "nats/view.h"
#include "nats/view_message.h"

#define READ_ARENA_SIZE_MAX ((size_t)256 << 20) /* a payload's headers, decoded and as an array */
#define ACK_BUFFER_SIZE     4096
#define VIOLATION           "Permissions Violation for Publish to"

/* nats-server's codes of errors. */
enum pub_error {
    BAD_REQUEST = 10003,
    NOT_FOUND = 10059,
    NO_RESOURCES = 10023,
    MESSAGE_TOO_LARGE = 10054,
    STORE_FAILED = 10077
};

/* What is being gathered, then appended. */
struct nats_view_append {
    struct broker_append append;
    struct nats_conn *conn;
    const struct broker_topic *topic;
    int32_t partition;
    uint32_t count;
    uint32_t quiet_count; /* messages without a reply */
    uint32_t size;
    bool is_bound; /* subscribers have the messages already */
    struct build build;
    struct text replies; /* struct reply, subject */
};

struct reply {
    uint32_t index; /* of the message in the batch */
    uint32_t size;
};

/* --- answers ---------------------------------------------------------------------------------- */

/* Messages from the server to reply subjects, several in one buffer. */
struct answers {
    struct nats_core *home;
    struct buf *buf;
    uint32_t used;
};

static void answer(struct answers *answers, struct slice reply, const struct text *json)
{
    char digits[24];
    int digit_count = snprintf(digits, sizeof(digits), "%zu", json->size);
    size_t size = reply.size + (size_t)digit_count + json->size + 2;
    if (!answers->buf || answers->buf->capacity - answers->used < size) {
        buf_unref(answers->buf);
        answers->used = 0;
        answers->buf =
            buf_pool_get(core_buffers(answers->home->core), MAX(size, (size_t)ACK_BUFFER_SIZE));
    }
    if (!answers->buf || json->failed) {
        metric_add(&answers->home->counters.dropped, 1);
        return;
    }
    uint8_t *at = answers->buf->data + answers->used;
    memcpy(at, reply.data, reply.size);
    memcpy(at + reply.size, digits, (size_t)digit_count);
    memcpy(at + reply.size + digit_count, json->data, json->size);
    memcpy(at + size - 2, "\r\n", 2);
    struct nats_message message = {
        .subject = slice_make(at, reply.size),
        .size_text = slice_make(at + reply.size, (size_t)digit_count),
        .payload = {answers->buf, (uint32_t)(answers->used + reply.size + (size_t)digit_count),
                    (uint32_t)json->size},
    };
    answers->used += (uint32_t)size;
    (void)nats_publish_spread(answers->home, &message);
}

static void answers_end(struct answers *answers)
{
    buf_unref(answers->buf);
    if (answers->home->parcels_open > 0) {
        nats_announce_flush(answers->home);
        nats_parcel_flush(answers->home);
    }
}

static void say_error(struct text *json, enum pub_error error, struct slice stream,
                      const char *words)
{
    bool is_wrong = error == BAD_REQUEST || error == MESSAGE_TOO_LARGE;
    int code = is_wrong ? 400 : error == NOT_FOUND ? 404 : 503;
    text_clear(json);
    text_add_format(json, "{\"error\":{\"code\":%d,\"err_code\":%d,\"description\":", code,
                    (int)error);
    text_add_json(json, slice_text(words));
    text_add_text(json, "},\"stream\":");
    text_add_json(json, stream);
    text_add_text(json, ",\"seq\":0}");
}

static void say_stored(struct text *json, const struct nats_view_append *append, uint32_t index)
{
    long long offset = (long long)append->append.base_offset + index;
    text_clear(json);
    text_add_text(json, "{\"stream\":");
    text_add_json(json, append->topic->name);
    text_add_format(json, ",\"seq\":%lld,\"partition\":%d,\"offset\":%lld}", offset + 1,
                    append->partition, offset);
}

/* -ERR for who did not ask to be answered, in the only words that no client closes for. */
static void complain(struct nats_conn *conn, struct slice subject, const char *words)
{
    char more[600];
    (void)snprintf(more, sizeof(more), ": %s", words);
    for (char *at = more; *at; at++)
        if (*at == '\'' || *at == '\r' || *at == '\n')
            *at = ' ';
    if (nats_conn_is_open(conn))
        nats_conn_fail_subject(conn, VIOLATION, subject, SLICE_NULL, more);
}

/* The stream of an answer: the topic where it is known, else what the subject names. */
static void refuse_of(struct nats_conn *conn, const struct wire_nats_request *request,
                      const struct broker_topic *topic, enum pub_error error, const char *words)
{
    struct answers answers = {.home = conn->home};
    struct text json;
    nats_view_publish_flush(conn); /* answers stay in order */
    if (!request->reply.data) {
        complain(conn, request->subject, words);
        return;
    }
    uint8_t name[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice stream = topic ? topic->name : SLICE_LITERAL("");
    int32_t partition;
    if (!topic && broker_subject_parse(conn->home->nats->view_prefix, request->subject, name,
                                       &stream, &partition) == BROKER_SUBJECT_NOTHING)
        stream = SLICE_LITERAL("");
    text_init(&json);
    say_error(&json, error, stream, words);
    answer(&answers, request->reply, &json);
    text_deinit(&json);
    answers_end(&answers);
}

static void refuse(struct nats_conn *conn, const struct wire_nats_request *request,
                   enum pub_error error, const char *words)
{
    refuse_of(conn, request, NULL, error, words);
}

/* --- appends ---------------------------------------------------------------------------------- */

static void append_free(struct nats_view_append *append)
{
    build_deinit(&append->build);
    text_deinit(&append->replies);
    broker_topic_unref(append->topic);
    free(append);
}

static void conn_hold_for(struct nats_conn *conn)
{
    conn->appends_out++;
    if (conn->conn)
        conn_hold(conn->conn);
}

static void conn_release_for(struct nats_conn *conn)
{
    conn->appends_out--;
    if (!conn->conn) {
        nats_conn_unref(conn);
        return;
    }
    conn_release(conn->conn);
    nats_move_try(conn);
}

/* What will be refused again is no matter of trying again. */
static enum pub_error pub_error_of(enum err err, enum pub_error other)
{
    switch (err) {
    case ERR_TOO_LARGE:
        return MESSAGE_TOO_LARGE;
    case ERR_TIMESTAMP:
    case ERR_RECORD_INVALID:
        return BAD_REQUEST;
    case ERR_NOT_FOUND:
        return NOT_FOUND;
    case ERR_NO_MEMORY:
        return NO_RESOURCES;
    default:
        return other;
    }
}

static void append_answer(struct nats_view_append *append, enum err err, const char *words)
{
    struct answers answers = {.home = append->conn->home};
    const uint8_t *at = (const uint8_t *)append->replies.data;
    const uint8_t *end = at + append->replies.size;
    struct text json;
    text_init(&json);
    while (at < end) {
        struct reply reply;
        memcpy(&reply, at, sizeof(reply));
        at += sizeof(reply);
        if (err)
            say_error(&json, pub_error_of(err, STORE_FAILED), append->topic->name, words);
        else
            say_stored(&json, append, reply.index);
        answer(&answers, slice_make(at, reply.size), &json);
        at += reply.size;
    }
    text_deinit(&json);
    answers_end(&answers);
}

static void append_end(struct nats_view_append *append, enum err err, const char *words)
{
    struct nats_conn *conn = append->conn;
    if (err && !words[0])
        words = err_text(err);
    append_answer(append, err, words);
    if (err && append->quiet_count > 0) {
        struct slice prefix = conn->home->nats->view_prefix;
        uint8_t name[BROKER_SUBJECT_VIEW_SIZE_MAX];
        complain(conn,
                 append->is_bound ? append->topic->name
                                  : broker_subject_view(prefix, append->topic->name, -1, name),
                 words);
        metric_add(&conn->home->counters.dropped, append->quiet_count);
    }
    conn->append_size_out -= append->size;
    append_free(append);
    if (conn->append_size_out <= NATS_VIEW_OUT_SIZE_MAX / 2 &&
        conn->appends_out <= NATS_VIEW_OUT_MAX / 2)
        nats_conn_go_on(conn, NATS_WAIT_LOG);
    conn_release_for(conn);
}

static void append_done(struct broker_call *call)
{
    struct nats_view_append *append = CONTAINER_OF(call, struct nats_view_append, append.call);
    append_end(append, call->err, call->diag.text);
}

static enum err append_make_batch(struct nats_view_append *append)
{
    struct codec_output batch;
    struct core *core = append->conn->home->core;
    codec_output_init(&batch, UINT32_MAX / 2);
    enum err err = build_finish(&append->build, &batch);
    struct buf *buf = err ? NULL : buf_pool_get(core_buffers(core), batch.size);
    if (!err && !buf)
        err = ERR_NO_MEMORY;
    if (!err) {
        memcpy(buf->data, batch.data, batch.size);
        append->append.batch = (struct buf_range){buf, 0, (uint32_t)batch.size};
        append->size = (uint32_t)batch.size;
    }
    codec_output_deinit(&batch);
    return err;
}

void nats_view_publish_flush(struct nats_conn *conn)
{
    struct nats_view_append *append = conn->append;
    if (!append)
        return;
    conn->append = NULL;
    conn_hold_for(conn);
    enum err err = append_make_batch(append);
    if (err) {
        append_end(append, err, "");
        return;
    }
    build_deinit(&append->build);
    build_init(&append->build, 0);
    conn->append_size_out += append->size;
    append->append.call.done = append_done;
    append->append.error_record = -1;
    append->append.is_delivered = append->is_bound;
    broker_append(conn->home->core, append->topic, append->partition, &append->append);
    buf_unref(append->append.batch.buf);
    if ((conn->append_size_out > NATS_VIEW_OUT_SIZE_MAX || conn->appends_out > NATS_VIEW_OUT_MAX) &&
        nats_conn_is_open(conn) && !(conn->waits & NATS_WAIT_LOG))
        nats_conn_wait(conn, NATS_WAIT_LOG);
}

/* --- gathering -------------------------------------------------------------------------------- */

static int32_t choose_partition(const struct nats_conn *conn, const struct broker_topic *topic,
                                struct slice key)
{
    if (key.data)
        return (int32_t)((hash_murmur2(key) & INT32_MAX) % topic->partition_count);
    return (int32_t)(conn->id * 0x9e3779b97f4a7c15u >> 33) % (int32_t)topic->partition_count;
}

/* Where a record goes. */
struct target {
    const struct broker_topic *topic;
    int32_t partition;
    bool is_bound; /* it came on a subject that is bound to the topic */
};

static struct nats_view_append *append_open(struct nats_conn *conn, const struct target *target)
{
    struct nats_view_append *append = conn->append;
    if (append && append->topic == target->topic && append->partition == target->partition &&
        append->is_bound == target->is_bound)
        return append;
    nats_view_publish_flush(conn);
    append = calloc(1, sizeof(*append));
    if (!append)
        return NULL;
    append->conn = conn;
    append->topic = broker_topic_ref(target->topic);
    append->partition = target->partition;
    append->is_bound = target->is_bound;
    build_init(&append->build, (size_t)target->topic->config->max_message_bytes);
    append->build.header.attributes |= target->is_bound ? BATCH_DELIVERED : 0;
    text_init(&append->replies);
    conn->append = append;
    return append;
}

static enum err append_add(struct nats_view_append *append, const struct build_record *record,
                           struct slice reply_subject)
{
    struct reply reply = {append->count, (uint32_t)reply_subject.size};
    size_t size = append->replies.size;
    if (reply_subject.data) {
        text_add(&append->replies, slice_make(&reply, sizeof(reply)));
        text_add(&append->replies, reply_subject);
    }
    enum err err = append->replies.failed ? ERR_NO_MEMORY : build_add(&append->build, record);
    if (err) {
        append->replies.size = size;
        return err;
    }
    append->count++;
    append->quiet_count += !reply_subject.data;
    return ERR_OK;
}

/* A message with a time of its own is a batch alone, so that no other fails with it. */
static enum err gather(struct nats_conn *conn, const struct target *target,
                       const struct build_record *record, struct slice reply)
{
    bool is_alone = record->timestamp_ms != core_wall_ms(conn->home->core);
    if (is_alone)
        nats_view_publish_flush(conn);
    struct nats_view_append *append = append_open(conn, target);
    enum err err = append ? append_add(append, record, reply) : ERR_NO_MEMORY;
    if (err && append && append->count > 0) {
        nats_view_publish_flush(conn);
        append = append_open(conn, target);
        err = append ? append_add(append, record, reply) : ERR_NO_MEMORY;
    }
    if (err && append) {
        conn->append = NULL;
        append_free(append);
    } else if (!err && (is_alone || append->build.records.size > NATS_VIEW_BATCH_SIZE)) {
        nats_view_publish_flush(conn);
    }
    return err;
}

/* The record's subject (docs/two-views.md), which its publisher may use like any other. */
static bool is_allowed(struct nats_conn *conn, const struct target *target,
                       const struct build_record *record)
{
    const struct broker_binding *binding = target->topic->binding;
    struct broker_subject_place place = {
        .prefix = conn->home->nats->view_prefix,
        .bound = binding ? binding->filters : NULL,
        .bound_count = binding ? binding->count : 0,
    };
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    if (!conn->user || !conn->user->permissions || target->is_bound)
        return true;
    for (size_t i = 0; i < record->header_count; i++) {
        if (!slice_equal_text(record->headers[i].key, BROKER_SUBJECT_HEADER))
            continue;
        if (broker_subject_is_bound(&place, record->headers[i].value))
            return nats_publish_is_allowed(conn, record->headers[i].value);
        break;
    }
    if (broker_subject_is_bound(&place, record->key))
        return nats_publish_is_allowed(conn, record->key);
    return nats_publish_is_allowed(
        conn, broker_subject_view(place.prefix, target->topic->name, target->partition, memory));
}

static enum err append_record(struct nats_conn *conn, const struct wire_nats_request *request,
                              struct target *target, struct diag *diag)
{
    struct nats_view_published published = {
        .block = slice_make(request->payload.data, request->header_size),
        .payload = slice_make(request->payload.data + request->header_size,
                              request->payload.size - request->header_size),
        .subject = target->is_bound ? request->subject : SLICE_NULL,
        .time_ms = core_wall_ms(conn->home->core),
    };
    struct build_record record;
    struct arena arena;
    arena_init(&arena, READ_ARENA_SIZE_MAX);
    enum err err = nats_view_read_message(&published, &arena, &record, diag);
    if (!err) {
        target->partition = choose_partition(conn, target->topic, record.key);
        err = is_allowed(conn, target, &record) ? ERR_OK : ERR_ACCESS;
    }
    if (err == ERR_ACCESS)
        diag_set(diag, "the record's subject may not be published to");
    if (!err)
        err = gather(conn, target, &record, request->reply);
    arena_deinit(&arena);
    return err;
}

static void append_message(struct nats_conn *conn, const struct wire_nats_request *request,
                           const struct broker_topic *topic, bool is_bound)
{
    struct target target = {.topic = topic, .is_bound = is_bound};
    struct diag diag = {{0}};
    if (topic->internal) {
        refuse(conn, request, BAD_REQUEST, "the topic is internal");
        return;
    }
    enum err err = append_record(conn, request, &target, &diag);
    if (err)
        refuse_of(conn, request, topic, pub_error_of(err, BAD_REQUEST),
                  diag.text[0] ? diag.text : err_text(err));
}

void nats_view_publish_bound(struct nats_conn *conn, const struct wire_nats_request *request,
                             const struct broker_topic *topic)
{
    append_message(conn, request, topic, true);
}

/* --- topics that are not there yet ------------------------------------------------------------ */

/* A message that waits for its topic. */
struct creation {
    struct broker_topic_create create;
    struct nats_conn *conn;
    struct wire_nats_request request; /* in buf */
    struct buf *buf;
    uint8_t name[BROKER_SUBJECT_VIEW_SIZE_MAX];
};

static void created(struct broker_call *call)
{
    struct creation *creation = CONTAINER_OF(call, struct creation, create.call);
    struct nats_conn *conn = creation->conn;
    enum err err = call->err;
    const struct broker_topic *topic = broker_topic_find(conn->home->core, creation->create.name);
    if (topic) {
        append_message(conn, &creation->request, topic, false);
        nats_view_publish_flush(conn);
    } else {
        bool is_name = err == ERR_INVALID || err == ERR_LIMIT;
        refuse(conn, &creation->request, is_name ? BAD_REQUEST : STORE_FAILED,
               call->diag.text[0] ? call->diag.text : err_text(err));
    }
    buf_unref(creation->buf);
    free(creation);
    nats_conn_go_on(conn, NATS_WAIT_TOPIC);
    conn_release_for(conn);
}

static void create_topic(struct nats_conn *conn, const struct wire_nats_request *request,
                         struct slice name, struct buf *buf)
{
    struct creation *creation = calloc(1, sizeof(*creation));
    if (!creation) {
        refuse(conn, request, NO_RESOURCES, err_text(ERR_NO_MEMORY));
        return;
    }
    nats_view_publish_flush(conn);
    creation->conn = conn;
    creation->request = *request;
    creation->buf = buf_ref(buf);
    memcpy(creation->name, name.data, name.size);
    creation->create = (struct broker_topic_create){
        .call.done = created,
        .name = slice_make(creation->name, name.size),
        .partition_count = -1,
        .replication_factor = -1,
    };
    conn_hold_for(conn);
    nats_conn_wait(conn, NATS_WAIT_TOPIC);
    broker_topic_create(conn->home->core, &creation->create);
}

void nats_view_publish_handle(struct nats_conn *conn, const struct wire_nats_request *request,
                              struct buf *buf)
{
    struct core *core = conn->home->core;
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice name;
    int32_t partition;
    enum broker_subject_kind kind = broker_subject_parse(
        conn->home->nats->view_prefix, request->subject, memory, &name, &partition);
    if (kind != BROKER_SUBJECT_TOPIC) {
        refuse(conn, request, BAD_REQUEST, "records are published to the subject of their topic");
        return;
    }
    const struct broker_topic *topic = broker_topic_find(core, name);
    if (topic)
        append_message(conn, request, topic, false);
    else if (name.size > 1 && memcmp(name.data, "__", 2) == 0)
        refuse(conn, request, BAD_REQUEST, "names of internal topics are reserved");
    else if (!broker_settings_now(core)->auto_create_topics_enable)
        refuse(conn, request, NOT_FOUND, "unknown topic");
    else
        create_topic(conn, request, name, buf);
}

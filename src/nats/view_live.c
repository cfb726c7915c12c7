// Reads partitions that somebody watches, and knows who does.
// SPDX-License-Identifier: Apache-2.0
//
// All readers live on core 0, which knows every core's subscriptions: so a queue group gets a
// record once. A reader starts at the high watermark, or at the start of a partition that is made
// while somebody waits for it, and ends with the last subscription that matches.
#include "nats/view_live.h"

#include <stdlib.h>

#include "base/subject.h"

#define READ_SIZE ((size_t)256 << 10)
#define PAUSE_NS  (NATS_STALL_MS * UINT64_C(1000000))

struct nats_live {
    struct nats_core *home;
    struct map readers; /* by subject */
    struct list all;
    struct list starting; /* readers */
    struct list wants;    /* that wait for readers to start */
    uint64_t seq_last;
};

/* A connection that waits for its subscription to work. */
struct want {
    struct core_message message;
    struct list node;
    struct nats_conn *conn;
    uint32_t from;
    uint64_t seq; /* readers up to this one must have started */
    size_t size;
    uint8_t filter[];
};

static void reader_watch(struct nats_live *live, struct nats_reader *reader);
static void reader_read(struct nats_live *live, struct nats_reader *reader);
static void reader_locate(struct nats_live *live, struct nats_reader *reader);

static struct nats_live *live_of(struct core *core)
{
    return nats_state_of(core)->nats->live;
}

/* --- those who wait --------------------------------------------------------------------------- */

static void want_returns(struct core *core, struct core_message *message)
{
    struct want *want = CONTAINER_OF(message, struct want, message);
    struct nats_conn *conn = want->conn;
    free(want);
    nats_conn_go_on(conn, NATS_WAIT_VIEW);
    conn->appends_out--;
    if (conn->conn)
        conn_release(conn->conn);
    else
        nats_conn_unref(conn);
}

static void wants_look(struct nats_live *live)
{
    while (!list_empty(&live->wants)) {
        struct want *want = LIST_ENTRY(live->wants.next, struct want, node);
        if (!list_empty(&live->starting) &&
            LIST_ENTRY(live->starting.next, struct nats_reader, starting)->seq <= want->seq)
            return;
        list_remove(&want->node);
        want->message.run = want_returns;
        core_send(live->home->core, want->from, &want->message);
    }
}

/* --- one reader ------------------------------------------------------------------------------- */

static void reader_free(struct nats_live *live, struct nats_reader *reader)
{
    struct budget *budget = reactor_budget(core_reactor(live->home->core));
    (void)map_remove(&live->readers, slice_make(reader->subject, reader->subject_size));
    core_timer_cancel(live->home->core, &reader->timer);
    list_remove(&reader->node);
    list_remove(&reader->starting);
    broker_topic_unref(reader->topic);
    budget_release(budget, sizeof(*reader));
    free(reader);
    wants_look(live);
}

/* Nothing of the reader is under way: true when it does not simply go on. */
static bool reader_turns(struct nats_live *live, struct nats_reader *reader)
{
    if (reader->is_wanted && !reader->must_start)
        return false;
    if (reader->is_wanted)
        reader_locate(live, reader);
    else
        reader_free(live, reader);
    return true;
}

static void reader_started(struct nats_live *live, struct nats_reader *reader)
{
    list_remove(&reader->starting);
    wants_look(live);
    reader_watch(live, reader);
}

static void reader_located(struct broker_call *call)
{
    struct nats_reader *reader = CONTAINER_OF(call, struct nats_reader, state.call);
    struct nats_live *live = live_of(call->origin);
    if (call->err) {
        reader_free(live, reader);
        return;
    }
    if (reader_turns(live, reader))
        return;
    reader->offset = reader->state.high_watermark;
    reader_started(live, reader);
}

static void reader_locate(struct nats_live *live, struct nats_reader *reader)
{
    reader->must_start = false;
    reader->state = (struct broker_partition_state){.call.done = reader_located};
    broker_partition_state(live->home->core, broker_partition_at(reader->topic, reader->partition),
                           &reader->state);
}

static void reader_watched(struct broker_call *call)
{
    struct nats_reader *reader = CONTAINER_OF(call, struct nats_reader, watch.call);
    struct nats_live *live = live_of(call->origin);
    reader->is_watching = false;
    if (reader_turns(live, reader))
        return;
    if (call->err && call->err != ERR_CANCELLED)
        core_timer_set(live->home->core, &reader->timer, core_now_ns(live->home->core) + PAUSE_NS);
    else
        reader_read(live, reader);
}

static void reader_watch(struct nats_live *live, struct nats_reader *reader)
{
    reader->is_watching = true;
    reader->watch = (struct broker_watch){
        .call.done = reader_watched, .offset = reader->offset, .committed = true};
    broker_watch_arm(live->home->core, broker_partition_at(reader->topic, reader->partition),
                     &reader->watch);
}

static void reader_pause(struct nats_live *live, struct nats_reader *reader)
{
    core_timer_set(live->home->core, &reader->timer, core_now_ns(live->home->core) + PAUSE_NS);
}

static void reader_resumes(struct core *core, struct core_timer *timer)
{
    struct nats_reader *reader = CONTAINER_OF(timer, struct nats_reader, timer);
    struct nats_live *live = live_of(core);
    if (!reader_turns(live, reader))
        reader_read(live, reader);
}

static void reader_failed(struct nats_live *live, struct nats_reader *reader, enum err err)
{
    int64_t next =
        err == ERR_OUT_OF_RANGE ? reader->read.log_start : reader->read.store.offset_next;
    if (err == ERR_NOT_FOUND) {
        reader_free(live, reader);
        return;
    }
    if ((err == ERR_OUT_OF_RANGE || err == ERR_CORRUPT) && next > reader->offset) {
        log_warn(live->home->nats->options.logger, "nats",
                 "%.*s goes on at offset %lld, not %lld: %s", (int)reader->subject_size,
                 (const char *)reader->subject, (long long)next, (long long)reader->offset,
                 err_text(err));
        reader->offset = next;
    }
    reader_pause(live, reader);
}

static void reader_got(struct broker_call *call)
{
    struct nats_reader *reader = CONTAINER_OF(call, struct nats_reader, read.call);
    struct nats_live *live = live_of(call->origin);
    enum err err = call->err;
    bool goes_on = reader->is_wanted && !reader->must_start;
    enum nats_live_result result = NATS_LIVE_END;
    if (!err && goes_on)
        result = nats_view_send_batches(live->home, reader);
    if (!err)
        broker_read_release(&reader->read);
    if (result == NATS_LIVE_NOBODY)
        reader->is_wanted = false;
    if (reader_turns(live, reader))
        return;
    if (err)
        reader_failed(live, reader, err);
    else if (result == NATS_LIVE_MORE)
        reader_read(live, reader);
    else if (result == NATS_LIVE_PAUSE)
        reader_pause(live, reader);
    else
        reader_watch(live, reader);
}

static void reader_read(struct nats_live *live, struct nats_reader *reader)
{
    reader->read = (struct broker_read){
        .call.done = reader_got,
        .offset = reader->offset,
        .epoch = BROKER_EPOCH_ANY,
        .size_max = READ_SIZE,
        .want_one = true,
        .want_memory = true,
        .committed = true,
    };
    broker_read(live->home->core, broker_partition_at(reader->topic, reader->partition),
                &reader->read);
}

/* --- who is wanted ---------------------------------------------------------------------------- */

static struct nats_reader *reader_new(struct nats_live *live, const struct broker_topic *topic,
                                      int32_t partition, struct slice subject)
{
    struct budget *budget = reactor_budget(core_reactor(live->home->core));
    struct nats_reader *reader = NULL;
    if (budget_charge(budget, sizeof(*reader)) && !(reader = calloc(1, sizeof(*reader))))
        budget_release(budget, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->topic = broker_topic_ref(topic);
    reader->partition = partition;
    reader->is_wanted = true;
    memcpy(reader->subject, subject.data, subject.size);
    reader->subject_size = subject.size;
    core_timer_init(&reader->timer, reader_resumes);
    list_init(&reader->starting);
    list_push_back(&live->all, &reader->node);
    if (map_put(&live->readers, slice_make(reader->subject, subject.size), reader, NULL))
        return reader;
    reader_free(live, reader);
    return NULL;
}

static void reader_begin(struct nats_live *live, struct nats_reader *reader)
{
    reader->seq = ++live->seq_last;
    list_remove(&reader->starting);
    list_push_back(&live->starting, &reader->starting);
}

/* offset < 0: what is appended from now on. */
static void want_partition(struct nats_live *live, const struct broker_topic *topic,
                           int32_t partition, int64_t offset)
{
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice subject =
        broker_subject_view(live->home->nats->view_prefix, topic->name, partition, memory);
    struct nats_reader *reader = map_get(&live->readers, subject);
    if (reader && !uuid_equal(&reader->topic->id, &topic->id)) {
        /* Of a topic that was deleted: it ends by itself, under this name no more. */
        (void)map_remove(&live->readers, subject);
        reader->is_wanted = false;
        reader->subject_size = 0;
        if (reader->is_watching)
            broker_watch_disarm(live->home->core, &reader->watch);
        reader = NULL;
    }
    if (reader && !reader->is_wanted) {
        reader->is_wanted = true;
        reader->must_start = true;
        reader_begin(live, reader);
    }
    if (reader)
        return;
    reader = reader_new(live, topic, partition, subject);
    if (!reader) {
        log_error(live->home->nats->options.logger, "nats", "%.*s cannot be watched: %s",
                  (int)subject.size, (const char *)subject.data, err_text(ERR_NO_MEMORY));
        return;
    }
    reader_begin(live, reader);
    if (offset < 0) {
        reader_locate(live, reader);
        return;
    }
    reader->offset = offset;
    reader_started(live, reader);
}

static void want_topic(struct nats_live *live, const struct broker_topic *topic,
                       struct slice filter)
{
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice prefix = live->home->nats->view_prefix;
    for (uint32_t i = 0; i < topic->partition_count; i++)
        if (subject_matches(broker_subject_view(prefix, topic->name, (int32_t)i, memory), filter))
            want_partition(live, topic, (int32_t)i, -1);
}

static void want_filter(struct nats_live *live, struct slice filter)
{
    struct core *core = live->home->core;
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice name;
    int32_t partition;
    enum broker_subject_kind kind =
        broker_subject_parse(live->home->nats->view_prefix, filter, memory, &name, &partition);
    if (kind == BROKER_SUBJECT_PARTITION) {
        const struct broker_topic *topic = broker_topic_find(core, name);
        if (topic && (uint32_t)partition < topic->partition_count && !topic->internal)
            want_partition(live, topic, partition, -1);
        return;
    }
    const struct broker_topic *topic = broker_topic_after(core, SLICE_NULL);
    for (; topic; topic = broker_topic_after(core, topic->name))
        if (!topic->internal)
            want_topic(live, topic, filter);
}

static void want_arrives(struct core *core, struct core_message *message)
{
    struct want *want = CONTAINER_OF(message, struct want, message);
    struct nats_live *live = live_of(core);
    want_filter(live, slice_make(want->filter, want->size));
    want->seq = live->seq_last;
    list_push_back(&live->wants, &want->node);
    wants_look(live);
}

void nats_view_live_subscribe(struct nats_conn *conn, struct slice filter)
{
    struct nats_core *home = conn->home;
    struct want *want = malloc(sizeof(*want) + filter.size);
    if (!want) {
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
        return;
    }
    want->message.run = want_arrives;
    want->conn = conn;
    want->from = core_id(home->core);
    want->size = filter.size;
    memcpy(want->filter, filter.data, filter.size);
    conn->appends_out++;
    conn_hold(conn->conn);
    nats_conn_wait(conn, NATS_WAIT_VIEW);
    nats_announce_flush(home);
    core_send(home->core, 0, &want->message);
}

/* --- what changes ----------------------------------------------------------------------------- */

/* Partitions from first on are new. */
static void topic_has_grown(void *arg, const struct broker_topic *topic, uint32_t first)
{
    struct nats_live *live = arg;
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    const struct interest_match *match;
    for (uint32_t i = first; !topic->internal && i < topic->partition_count; i++) {
        struct slice subject =
            broker_subject_view(live->home->nats->view_prefix, topic->name, (int32_t)i, memory);
        if (broker_interest_match(live->home->view_interest, subject, &match) == ERR_OK &&
            match->plain_count + match->group_count + match->core_count > 0)
            want_partition(live, topic, (int32_t)i, 0);
    }
}

static void live_recheck(struct nats_live *live)
{
    list_for_each (node, &live->all) {
        struct nats_reader *reader = LIST_ENTRY(node, struct nats_reader, node);
        const struct interest_match *match;
        struct slice subject = slice_make(reader->subject, reader->subject_size);
        if (!reader->is_wanted ||
            broker_interest_match(live->home->view_interest, subject, &match) != ERR_OK ||
            match->plain_count + match->group_count + match->core_count > 0)
            continue;
        reader->is_wanted = false;
        if (reader->is_watching)
            broker_watch_disarm(live->home->core, &reader->watch);
    }
}

static void recheck_arrives(struct core *core, struct core_message *message)
{
    free(message);
    live_recheck(live_of(core));
}

void nats_view_live_recheck_run(struct core *core, struct core_task *task)
{
    struct nats_core *home = nats_state_of(core);
    /* Without memory the readers find out when the next record comes. */
    struct core_message *message = malloc(sizeof(*message));
    if (!message)
        return;
    message->run = recheck_arrives;
    nats_announce_flush(home);
    core_send(core, 0, message);
}

void nats_view_live_recheck(struct nats_core *home)
{
    core_task_post(home->core, &home->view_task);
}

/* --- the whole -------------------------------------------------------------------------------- */

enum err nats_view_live_open(struct nats *nats)
{
    struct nats_core *home = &nats->cores[0];
    struct nats_live *live = calloc(1, sizeof(*live));
    if (!live)
        return ERR_NO_MEMORY;
    live->home = home;
    map_init(&live->readers, core_random(home->core));
    list_init(&live->all);
    list_init(&live->starting);
    list_init(&live->wants);
    nats->live = live;
    if (nats->view_prefix.data)
        broker_topic_listen(home->core, topic_has_grown, live);
    return ERR_OK;
}

void nats_view_live_close(struct nats *nats)
{
    struct nats_live *live = nats->live;
    if (!live)
        return;
    broker_topic_listen(live->home->core, NULL, NULL);
    list_for_each_safe (node, following, &live->wants)
        free(LIST_ENTRY(node, struct want, node));
    list_init(&live->wants);
    list_for_each_safe (node, following, &live->all)
        reader_free(live, LIST_ENTRY(node, struct nats_reader, node));
    map_deinit(&live->readers);
    free(live);
}

// Knows which partitions somebody watches, and sees to it that each has one reader.
// SPDX-License-Identifier: Apache-2.0
//
// Wishes come to core 0, which knows every core's subscriptions: so a partition has one reader, and
// a queue group gets a record once. A reader starts at the high watermark, or at the start of a
// partition that is made while somebody waits for it. When nobody wants it any more it comes back
// here, and goes out again, where it stopped, if somebody has come meanwhile.
#include "nats/view_live.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/subject.h"
#include "nats/bound.h"

/* After a partition that is new, or newly bound, could not be watched. */
#define RETRY_NS UINT64_C(1000000000)

struct nats_live {
    struct nats_core *home;
    struct list walks; /* wants whose partitions are being found, one after another */
    struct core_task walk_task;
    struct core_timer retry_timer;
    struct map readers; /* by topic id and partition */
    struct list all;
    struct list starting; /* readers */
    struct list wants;    /* that wait for readers to start */
    uint64_t seq_last;
    size_t refused; /* partitions that could not be watched, since that was told last */
};

/* A connection that waits for its subscription to work, or partitions that subscribers wait for. */
struct want {
    struct core_message message;
    struct list node;
    struct nats_conn *conn; /* NULL: none; no filter either, then */
    uint32_t from;
    uint64_t seq;       /* readers up to this one must have started */
    bool is_refused;    /* memory did not suffice for its readers */
    bool is_one;        /* only that topic */
    bool is_over;       /* nothing is left of it */
    bool is_bound;      /* that topic has subjects that are wanted */
    uint32_t partition; /* of that topic: the next to look at; 0: the topic after it */
    size_t topic_size;  /* 0: none yet */
    uint8_t topic[BROKER_SUBJECT_VIEW_SIZE_MAX];
    size_t size;
    uint8_t filter[];
};

static struct nats_live *live_of(struct core *core)
{
    return nats_state_of(core)->nats->live;
}

/* --- those who wait --------------------------------------------------------------------------- */

static void want_returns(struct core *core, struct core_message *message)
{
    struct want *want = CONTAINER_OF(message, struct want, message);
    struct nats_conn *conn = want->conn;
    if (want->is_refused && nats_conn_is_open(conn)) {
        nats_conn_fail_subject(conn, "Insufficient Memory for Subscription to",
                               slice_make(want->filter, want->size), SLICE_NULL, "");
        nats_conn_end(conn, NATS_REASON_OUT_OF_MEMORY);
    }
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

/* --- readers that come and go ----------------------------------------------------------------- */

static void reader_free(struct nats_live *live, struct nats_reader *reader)
{
    struct budget *budget = reactor_budget(core_reactor(live->home->core));
    struct slice key = slice_make(reader->key, sizeof(reader->key));
    if (map_get(&live->readers, key) == reader)
        (void)map_remove(&live->readers, key);
    list_remove(&reader->all);
    list_remove(&reader->starting);
    broker_topic_unref(reader->topic);
    budget_release(budget, sizeof(*reader));
    free(reader);
    wants_look(live);
}

void nats_view_live_started(struct core *core, struct core_message *message)
{
    struct nats_reader *reader = CONTAINER_OF(message, struct nats_reader, started);
    struct nats_live *live = live_of(core);
    reader->is_started = true;
    list_remove(&reader->starting);
    if (reader->is_back)
        reader_free(live, reader);
    else
        wants_look(live);
}

void nats_view_live_returns(struct core *core, struct core_message *message)
{
    struct nats_reader *reader = CONTAINER_OF(message, struct nats_reader, message);
    struct nats_live *live = live_of(core);
    reader->is_ending = reader->is_gone || !nats_view_reader_is_wanted(live->home, reader);
    if (!reader->is_ending)
        nats_view_reader_send(live->home, reader);
    else if (reader->has_started && !reader->is_started)
        reader->is_back = true;
    else
        reader_free(live, reader);
}

static struct nats_reader *reader_new(struct nats_live *live, const struct broker_topic *topic,
                                      int32_t partition, const uint8_t key[20])
{
    struct budget *budget = reactor_budget(core_reactor(live->home->core));
    struct slice prefix = live->home->nats->view_prefix;
    struct nats_reader *reader = NULL;
    if (budget_charge(budget, sizeof(*reader)) && !(reader = calloc(1, sizeof(*reader))))
        budget_release(budget, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->topic = broker_topic_ref(topic);
    reader->partition = partition;
    reader->offset = -1;
    reader->seq = ++live->seq_last;
    memcpy(reader->key, key, sizeof(reader->key));
    if (prefix.data)
        reader->subject_size =
            broker_subject_view(prefix, topic->name, partition, reader->subject).size;
    list_push_back(&live->all, &reader->all);
    list_push_back(&live->starting, &reader->starting);
    if (map_put(&live->readers, slice_make(reader->key, sizeof(reader->key)), reader, NULL))
        return reader;
    reader_free(live, reader);
    return NULL;
}

/* offset: of a new reader's first record; -1: what is appended from now on. False: out of memory.
 */
static bool want_partition(struct nats_live *live, const struct broker_topic *topic,
                           int32_t partition, int64_t offset)
{
    uint8_t key[20];
    memcpy(key, topic->id.bytes, 16);
    be32_put(key + 16, (uint32_t)partition);
    struct nats_reader *reader = map_get(&live->readers, slice_make(key, sizeof(key)));
    if (reader && !reader->is_back)
        return true;
    if (reader)
        (void)map_remove(&live->readers, slice_make(key, sizeof(key)));
    reader = reader_new(live, topic, partition, key);
    if (!reader) {
        live->refused++;
        return false;
    }
    reader->offset = offset;
    nats_view_reader_send(live->home, reader);
    return true;
}

/* One line, however many there are. */
static void refused_tell(struct nats_live *live)
{
    if (live->refused > 0)
        log_error(live->home->nats->options.logger, "nats",
                  "%zu partitions cannot be watched for subscribers: %s", live->refused,
                  err_text(ERR_NO_MEMORY));
    live->refused = 0;
}

/* Later all that is wanted is looked for again; readers begin at what is appended then. */
static void refused_retry(struct nats_live *live)
{
    struct core *core = live->home->core;
    if (live->refused > 0)
        core_timer_set(core, &live->retry_timer, core_now_ns(core) + RETRY_NS);
    refused_tell(live);
}

/* --- finding them: many partitions in slices, so that others get their turn ------------------- */

static bool is_wanted_now(struct nats_live *live, struct slice subject)
{
    const struct interest_match *match;
    return subject.data &&
           broker_interest_match(live->home->view_interest, subject, &match) == ERR_OK &&
           match->plain_count + match->group_count + match->core_count > 0;
}

/* The walk wants that partition. Without a filter: somebody does. */
static bool walk_wants(struct nats_live *live, const struct want *want,
                       const struct broker_topic *topic, int32_t partition)
{
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice filter = slice_make(want->filter, want->size);
    struct slice prefix = live->home->nats->view_prefix;
    struct slice subject = SLICE_NULL;
    if (want->is_bound)
        return true;
    if (prefix.data)
        subject = broker_subject_view(prefix, topic->name, partition, memory);
    if (filter.size > 0)
        return nats_view_has(live->home, filter) && subject_matches(subject, filter);
    return is_wanted_now(live, subject);
}

/* The same for all partitions of a topic that has just been come to. */
static bool walk_wants_all(struct nats_live *live, const struct want *want,
                           const struct broker_topic *topic)
{
    struct slice filter = slice_make(want->filter, want->size);
    if (filter.size == 0)
        return nats_bound_is_wanted(live->home, topic);
    return !nats_view_has(live->home, filter) && nats_bound_topic_meets(topic, filter);
}

static const struct broker_topic *walk_topic(struct core *core, struct want *want)
{
    struct slice name = slice_make(want->topic, want->topic_size);
    bool is_there = want->partition > 0 || want->is_one;
    const struct broker_topic *topic = is_there ? broker_topic_find(core, name) : NULL;
    if (topic && want->partition < topic->partition_count && !want->is_over)
        return topic;
    if (want->is_one)
        return NULL;
    topic = broker_topic_after(core, want->topic_size > 0 ? name : SLICE_NULL);
    want->partition = 0;
    if (!topic)
        return NULL;
    memcpy(want->topic, topic->name.data, topic->name.size);
    want->topic_size = topic->name.size;
    return topic;
}

/* Where there is no memory for one reader more, the others are not looked for. */
static bool walk_step(struct nats_live *live, struct want *want)
{
    const struct broker_topic *topic = walk_topic(live->home->core, want);
    if (!topic || want->is_refused)
        return false;
    uint32_t partition = want->partition;
    bool is_open = !topic->internal && partition < topic->partition_count;
    if (partition == 0)
        want->is_bound = walk_wants_all(live, want, topic);
    if (is_open && walk_wants(live, want, topic, (int32_t)partition))
        want->is_refused = !want_partition(live, topic, (int32_t)partition, -1);
    want->partition = is_open && partition + 1 < topic->partition_count ? partition + 1 : 0;
    want->is_over = want->is_one && want->partition == 0;
    return true;
}

static void walk_ends(struct nats_live *live, struct want *want)
{
    list_remove(&want->node);
    if (!want->conn) {
        free(want);
        refused_retry(live);
        return;
    }
    refused_tell(live);
    want->seq = live->seq_last;
    list_push_back(&live->wants, &want->node);
    wants_look(live);
}

static void walk_run(struct core *core, struct core_task *task)
{
    struct nats_live *live = CONTAINER_OF(task, struct nats_live, walk_task);
    struct list *node = list_first(&live->walks);
    for (unsigned steps = 0; node && steps < NATS_LIVE_STEPS_MAX; steps++) {
        struct want *want = LIST_ENTRY(node, struct want, node);
        if (walk_step(live, want))
            continue;
        walk_ends(live, want);
        node = list_first(&live->walks);
    }
    if (node)
        core_task_post(core, task);
}

static void walk_begin(struct nats_live *live, struct want *want)
{
    list_push_back(&live->walks, &want->node);
    core_task_post(live->home->core, &live->walk_task);
}

static void retry_run(struct core *core, struct core_timer *timer)
{
    struct nats_live *live = CONTAINER_OF(timer, struct nats_live, retry_timer);
    struct want *want = calloc(1, sizeof(*want));
    if (want)
        walk_begin(live, want);
    else
        core_timer_set(core, timer, core_now_ns(core) + RETRY_NS);
}

/* One partition that is named is looked for at once; true: it was none. */
static bool want_one(struct nats_live *live, struct want *want)
{
    struct slice filter = slice_make(want->filter, want->size);
    uint8_t memory[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice name;
    int32_t partition;
    if (!nats_view_has(live->home, filter) ||
        broker_subject_parse(live->home->nats->view_prefix, filter, memory, &name, &partition) !=
            BROKER_SUBJECT_PARTITION)
        return true;
    const struct broker_topic *topic = broker_topic_find(live->home->core, name);
    if (topic && (uint32_t)partition < topic->partition_count && !topic->internal)
        want->is_refused = !want_partition(live, topic, partition, -1);
    return false;
}

static void want_arrives(struct core *core, struct core_message *message)
{
    struct want *want = CONTAINER_OF(message, struct want, message);
    struct nats_live *live = live_of(core);
    want->is_refused = want->is_one = want->is_over = false;
    want->topic_size = want->partition = 0;
    if (!want_one(live, want)) {
        list_push_back(&live->walks, &want->node);
        walk_ends(live, want);
    } else {
        walk_begin(live, want);
    }
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
    struct slice prefix = live->home->nats->view_prefix;
    bool is_bound = nats_bound_is_wanted(live->home, topic);
    for (uint32_t i = first; !topic->internal && i < topic->partition_count; i++) {
        struct slice subject = SLICE_NULL;
        if (prefix.data)
            subject = broker_subject_view(prefix, topic->name, (int32_t)i, memory);
        if (is_bound || is_wanted_now(live, subject))
            (void)want_partition(live, topic, (int32_t)i, 0);
    }
    refused_retry(live);
}

void nats_view_live_rebound(struct nats *nats, const struct broker_topic *topic)
{
    struct nats_live *live = nats->live;
    if (topic->internal || !nats_bound_is_wanted(live->home, topic))
        return;
    struct want *want = calloc(1, sizeof(*want));
    if (!want) {
        live->refused += topic->partition_count;
        refused_retry(live);
        return;
    }
    want->is_one = true;
    want->topic_size = topic->name.size;
    memcpy(want->topic, topic->name.data, topic->name.size);
    walk_begin(live, want);
}

static void recheck_arrives(struct core *core, struct core_message *message)
{
    free(message);
    nats_view_reader_recheck(nats_state_of(core));
}

void nats_view_live_recheck_run(struct core *core, struct core_task *task)
{
    struct nats_core *home = nats_state_of(core);
    nats_announce_flush(home);
    for (unsigned to = 0; to < home->nats->core_count; to++) {
        /* Without memory the readers find out when the next record comes. */
        struct core_message *message = malloc(sizeof(*message));
        if (!message)
            return;
        message->run = recheck_arrives;
        core_send(core, to, message);
    }
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
    list_init(&live->walks);
    core_task_init(&live->walk_task, walk_run);
    core_timer_init(&live->retry_timer, retry_run);
    nats->live = live;
    broker_topic_listen(home->core, topic_has_grown, live);
    return ERR_OK;
}

void nats_view_live_close(struct nats *nats)
{
    struct nats_live *live = nats->live;
    if (!live)
        return;
    broker_topic_listen(live->home->core, NULL, NULL);
    core_task_cancel(&live->walk_task);
    core_timer_cancel(live->home->core, &live->retry_timer);
    list_splice_back(&live->wants, &live->walks);
    list_for_each_safe (node, following, &live->wants)
        free(LIST_ENTRY(node, struct want, node));
    list_init(&live->wants);
    list_for_each_safe (node, following, &live->all) {
        struct nats_reader *reader = LIST_ENTRY(node, struct nats_reader, all);
        if (reader->home) {
            core_timer_cancel(reader->home->core, &reader->timer);
            list_remove(&reader->node);
        }
        reader_free(live, reader);
    }
    map_deinit(&live->readers);
    free(live);
}

// One reader: watches its partition, reads, sends, follows it from core to core.
// SPDX-License-Identifier: Apache-2.0
//
// Nothing is outstanding where reader_next is called: it decides what comes. A reader leaves a core
// only when all it sent has been taken in by the cores of its subscribers, so that what it sends
// from another one cannot overtake it.
#include "nats/bound.h"
#include "nats/view_live.h"

#define READ_SIZE ((size_t)256 << 10)
#define PAUSE_NS  (NATS_STALL_MS * UINT64_C(1000000))

static void reader_next(struct nats_core *home, struct nats_reader *reader);

static bool is_matched(struct nats_core *home, const struct nats_reader *reader)
{
    const struct interest_match *match;
    struct slice subject = slice_make(reader->subject, reader->subject_size);
    return subject.size > 0 &&
           (broker_interest_match(home->view_interest, subject, &match) != ERR_OK ||
            match->plain_count + match->group_count + match->core_count > 0);
}

bool nats_view_reader_is_wanted(struct nats_core *home, const struct nats_reader *reader)
{
    return is_matched(home, reader) || nats_bound_is_wanted(home, reader->topic);
}

static struct broker_partition *partition_of(const struct nats_reader *reader)
{
    return broker_partition_at(reader->topic, reader->partition);
}

static void reader_pause(struct nats_core *home, struct nats_reader *reader)
{
    core_timer_set(home->core, &reader->timer, core_now_ns(home->core) + PAUSE_NS);
}

/* --- travelling ------------------------------------------------------------------------------- */

static void reader_resumes(struct core *core, struct core_timer *timer)
{
    struct nats_reader *reader = CONTAINER_OF(timer, struct nats_reader, timer);
    reader_next(nats_state_of(core), reader);
}

static void reader_arrives(struct core *core, struct core_message *message)
{
    struct nats_reader *reader = CONTAINER_OF(message, struct nats_reader, message);
    struct nats_core *home = nats_state_of(core);
    reader->home = home;
    core_timer_init(&reader->timer, reader_resumes);
    list_push_back(&home->readers, &reader->node);
    home->reader_count++;
    reader_next(home, reader);
}

static void reader_leave(struct nats_core *home, struct nats_reader *reader)
{
    core_timer_cancel(home->core, &reader->timer);
    list_remove(&reader->node);
    home->reader_count--;
    reader->home = NULL;
}

void nats_view_reader_send(struct nats_core *home, struct nats_reader *reader)
{
    unsigned to = broker_partition_home(partition_of(reader));
    reader->message.run = reader_arrives;
    core_send(home->core, to < home->nats->core_count ? to : core_id(home->core), &reader->message);
}

static void reader_end(struct nats_core *home, struct nats_reader *reader)
{
    reader_leave(home, reader);
    reader->message.run = nats_view_live_returns;
    core_send(home->core, 0, &reader->message);
}

/* --- starting --------------------------------------------------------------------------------- */

static void reader_tell_start(struct nats_core *home, struct nats_reader *reader)
{
    reader->has_started = true;
    reader->started.run = nats_view_live_started;
    core_send(home->core, 0, &reader->started);
}

static void reader_located(struct broker_call *call)
{
    struct nats_reader *reader = CONTAINER_OF(call, struct nats_reader, state.call);
    if (call->err && call->err != ERR_NOT_FOUND) {
        /* Nothing can be appended there: nobody need wait for it. */
        if (!reader->has_started)
            reader_tell_start(reader->home, reader);
        reader_pause(reader->home, reader);
        return;
    }
    if (call->err)
        reader->is_gone = reader->is_ending = true;
    else
        reader->offset = reader->state.high_watermark;
    reader_next(reader->home, reader);
}

static void reader_locate(struct nats_core *home, struct nats_reader *reader)
{
    reader->state = (struct broker_partition_state){.call.done = reader_located};
    broker_partition_state(home->core, partition_of(reader), &reader->state);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void reader_failed(struct nats_core *home, struct nats_reader *reader, enum err err)
{
    int64_t next =
        err == ERR_OUT_OF_RANGE ? reader->read.log_start : reader->read.store.offset_next;
    if (err == ERR_NOT_FOUND) {
        reader->is_gone = reader->is_ending = true;
        reader_next(home, reader);
        return;
    }
    if ((err == ERR_OUT_OF_RANGE || err == ERR_CORRUPT) && next > reader->offset) {
        log_warn(home->nats->options.logger, "nats",
                 "subscribers of topic %.*s partition %d go on at offset %lld, not %lld: %s",
                 (int)reader->topic->name.size, (const char *)reader->topic->name.data,
                 reader->partition, (long long)next, (long long)reader->offset, err_text(err));
        reader->offset = next;
    }
    reader_pause(home, reader);
}

static void reader_read(struct nats_core *home, struct nats_reader *reader);

static void reader_got(struct broker_call *call)
{
    struct nats_reader *reader = CONTAINER_OF(call, struct nats_reader, read.call);
    struct nats_core *home = reader->home;
    if (call->err) {
        reader_failed(home, reader, call->err);
        return;
    }
    enum nats_live_result result = nats_view_send_batches(home, reader);
    broker_read_release(&reader->read);
    reader->is_ending |= result == NATS_LIVE_NOBODY;
    if (result == NATS_LIVE_MORE)
        reader_read(home, reader);
    else if (result == NATS_LIVE_PAUSE)
        reader_pause(home, reader);
    else
        reader_next(home, reader);
}

static void reader_read(struct nats_core *home, struct nats_reader *reader)
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
    broker_read(home->core, partition_of(reader), &reader->read);
}

/* Its partition lives on another core, and nothing that it sent from here is on its way. */
static bool is_to_follow(const struct nats_core *home, const struct nats_reader *reader)
{
    unsigned at = broker_partition_home(partition_of(reader));
    return reader->source.parcels_out == 0 && at < home->nats->core_count &&
           at != core_id(home->core);
}

static void reader_watched(struct broker_call *call)
{
    struct nats_reader *reader = CONTAINER_OF(call, struct nats_reader, watch.call);
    reader->is_watching = false;
    if (reader->is_ending || is_to_follow(reader->home, reader))
        reader_next(reader->home, reader);
    else if (call->err)
        reader_pause(reader->home, reader);
    else
        reader_read(reader->home, reader);
}

static void reader_watch(struct nats_core *home, struct nats_reader *reader)
{
    reader->is_watching = true;
    reader->watch = (struct broker_watch){
        .call.done = reader_watched, .offset = reader->offset, .committed = true};
    broker_watch_arm(home->core, partition_of(reader), &reader->watch);
}

/* --- what comes next -------------------------------------------------------------------------- */

/* The newest version of its topic: others may be bound to it. */
static void reader_renew(struct nats_core *home, struct nats_reader *reader)
{
    const struct broker_topic *now = broker_topic_find_id(home->core, &reader->topic->id);
    if (!now) {
        reader->is_gone = reader->is_ending = true;
    } else if (now != reader->topic) {
        broker_topic_unref(reader->topic);
        reader->topic = broker_topic_ref(now);
    }
}

static void reader_next(struct nats_core *home, struct nats_reader *reader)
{
    reader_renew(home, reader);
    reader->is_waiting = !reader->is_gone && !nats_announce_is_heard(home);
    if (reader->is_waiting) {
        if (!home->is_listening)
            reader_pause(home, reader);
        return;
    }
    if (reader->is_ending && !reader->is_gone)
        reader->is_ending = !nats_view_reader_is_wanted(home, reader);
    bool is_settled = reader->source.parcels_out == 0;
    if (reader->is_ending && is_settled) {
        reader_end(home, reader);
    } else if (reader->is_ending) {
        reader_pause(home, reader);
    } else if (is_to_follow(home, reader)) {
        reader_leave(home, reader);
        nats_view_reader_send(home, reader);
    } else if (reader->offset < 0) {
        reader_locate(home, reader);
    } else {
        if (!reader->has_started)
            reader_tell_start(home, reader);
        reader_watch(home, reader);
    }
}

void nats_view_reader_listening(struct nats_core *home)
{
    list_for_each_safe (node, following, &home->readers) {
        struct nats_reader *reader = LIST_ENTRY(node, struct nats_reader, node);
        if (!reader->is_waiting)
            continue;
        core_timer_cancel(home->core, &reader->timer);
        reader_next(home, reader);
    }
}

static void reader_recheck(struct nats_core *home, struct nats_reader *reader)
{
    if (reader->is_ending || nats_view_reader_is_wanted(home, reader))
        return;
    reader->is_ending = true;
    if (reader->is_watching)
        broker_watch_disarm(home->core, &reader->watch);
}

/* The list turns: those that come meanwhile are behind the others, those that go make it shorter.
 */
void nats_view_reader_recheck_run(struct core *core, struct core_task *task)
{
    struct nats_core *home = nats_state_of(core);
    for (unsigned steps = 0; home->recheck_left > 0 && steps < NATS_LIVE_STEPS_MAX; steps++) {
        struct list *node = list_pop_front(&home->readers);
        home->recheck_left = node ? home->recheck_left - 1 : 0;
        if (!node)
            return;
        list_push_back(&home->readers, node);
        reader_recheck(home, LIST_ENTRY(node, struct nats_reader, node));
    }
    if (home->recheck_left > 0)
        core_task_post(core, task);
}

void nats_view_reader_recheck(struct nats_core *home)
{
    home->recheck_left = home->reader_count;
    core_task_post(home->core, &home->recheck_task);
}

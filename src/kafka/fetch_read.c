// Reads the partitions of a fetch within its limits, and waits for records when there are too few.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/error.h"
#include "kafka/fetch_state.h"

static void fetch_step(struct fetch *fetch);

static struct fetch *fetch_of(const struct fetch_part *part)
{
    return part->request->state;
}

static bool part_is_readable(const struct fetch_part *part)
{
    return part->partition && !part->error;
}

/* Where consumers stop. */
static int64_t part_limit(const struct fetch *fetch, const struct fetch_part *part)
{
    return fetch->asked.isolation_level == 1 ? part->read.last_stable : part->read.high_watermark;
}

/* --- one read --------------------------------------------------------------------------------- */

static void part_fail(struct fetch *fetch, struct fetch_part *part, enum err err)
{
    bool gone = err == ERR_NOT_FOUND && part->want.topic.size == 0;
    part->error = gone ? KAFKA_UNKNOWN_TOPIC_ID : kafka_error_of_read(err);
    fetch->cut_short = true;
}

static void part_read_at(struct fetch *fetch, struct fetch_part *part, int64_t offset,
                         size_t size_max, bool want_one);

static void part_done(struct broker_call *call)
{
    struct fetch_part *part = CONTAINER_OF(call, struct fetch_part, read.call);
    struct fetch *fetch = fetch_of(part);
    fetch->reading--;
    if (call->err == ERR_CORRUPT && part->read.store.offset_next > part->read.offset) {
        /* The damage has been reported; the good records behind it are served. */
        part_read_at(fetch, part, part->read.store.offset_next, part->read.size_max,
                     part->read.want_one);
        return;
    }
    if (call->err == ERR_BUSY) {
        fetch->cut_short =
            true; /* no memory to read into: nothing of it now, the client asks again */
    } else if (call->err) {
        part_fail(fetch, part, call->err);
    } else {
        part->chunks = (struct kafka_chunks){part->read.store.chunks, part->read.store.chunk_count};
        fetch->size += part->read.store.size;
    }
    if (fetch->reading == 0)
        fetch_step(fetch);
}

static void part_release(struct fetch_part *part)
{
    if (part->chunks.count)
        broker_read_release(&part->read);
    part->chunks = (struct kafka_chunks){NULL, 0};
}

static void part_read_at(struct fetch *fetch, struct fetch_part *part, int64_t offset,
                         size_t size_max, bool want_one)
{
    part->read = (struct broker_read){
        .call.done = part_done,
        .offset = offset,
        .epoch = part->want.leader_epoch < 0 ? BROKER_EPOCH_ANY : part->want.leader_epoch,
        .size_max = size_max,
        .want_one = want_one,
        .committed = fetch->asked.isolation_level == 1,
    };
    fetch->reading++;
    broker_read(fetch->request->core, part->partition, &part->read);
}

static size_t part_size_max(const struct fetch_part *part)
{
    return (size_t)MAX(part->want.size_max_bytes, 0);
}

/* --- divergence: the log has changed below what a reader has ------------------------------------
 */

static void part_epoch_done(struct broker_call *call)
{
    struct fetch_part *part = CONTAINER_OF(call, struct fetch_part, epoch.call);
    struct fetch *fetch = fetch_of(part);
    fetch->reading--;
    if (call->err) {
        part_fail(fetch, part, call->err);
    } else if (part->want.last_epoch > broker_partition_epoch(part->partition)) {
        part_fail(fetch, part, ERR_OUT_OF_RANGE); /* nothing is known of an epoch to come */
    } else if (part->epoch.out_epoch < part->want.last_epoch ||
               part->epoch.out_end < part->want.offset) {
        part->diverging.epoch = part->epoch.out_epoch;
        part->diverging.end_offset = part->epoch.out_end;
        fetch->cut_short = true;
        part_read_at(fetch, part, part->want.offset, 0, false);
        return;
    } else {
        part_read_at(fetch, part, part->want.offset, part_size_max(part), false);
        return;
    }
    if (fetch->reading == 0)
        fetch_step(fetch);
}

static void part_start(struct fetch *fetch, struct fetch_part *part, bool want_one)
{
    if (part->want.last_epoch < 0 || part->diverging.epoch >= 0) {
        size_t left = fetch->size_max > fetch->size ? fetch->size_max - fetch->size : 0;
        part_read_at(fetch, part, part->want.offset, MIN(part_size_max(part), left), want_one);
        return;
    }
    part->epoch = (struct broker_epoch_end){
        .call.done = part_epoch_done,
        .current_epoch = part->want.leader_epoch < 0 ? BROKER_EPOCH_ANY : part->want.leader_epoch,
        .epoch = part->want.last_epoch,
    };
    fetch->reading++;
    broker_epoch_end(fetch->request->core, part->partition, &part->epoch);
}

/* --- all reads -------------------------------------------------------------------------------- */

/* Starts as many reads as cannot exceed the limit together, one at least. */
static void fetch_wave(struct fetch *fetch)
{
    size_t left = fetch->size_max > fetch->size ? fetch->size_max - fetch->size : 0;
    size_t planned = 0, started = 0;
    bool want_one = fetch->size == 0;
    for (; fetch->next < fetch->part_count && started < KAFKA_FETCH_READS_MAX; fetch->next++) {
        struct fetch_part *part = &fetch->parts[fetch->next];
        if (!part_is_readable(part))
            continue;
        size_t size = MIN(part_size_max(part), left);
        if (started > 0 && planned + size > left)
            break;
        planned += size;
        started++;
        part_start(fetch, part, want_one);
        want_one = false;
    }
}

/* Nothing fits the limits, but there is something: one batch comes whatever its size. */
static bool fetch_force(struct fetch *fetch)
{
    if (fetch->size > 0 || fetch->forced)
        return false;
    fetch->forced = true;
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        if (!part_is_readable(part) || part->diverging.epoch >= 0 ||
            part->read.offset >= part_limit(fetch, part))
            continue;
        part_read_at(fetch, part, part->read.offset, part_size_max(part), true);
        return true;
    }
    return false;
}

static bool fetch_has_readable(const struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i].partition)
            return true;
    return false;
}

static bool fetch_is_enough(const struct fetch *fetch)
{
    size_t wanted = MIN((size_t)MAX(fetch->asked.min_bytes, 0), fetch->size_max);
    return fetch->expired || fetch->cut_short || fetch->size >= wanted ||
           !fetch_has_readable(fetch) || core_now_ns(fetch->request->core) >= fetch->deadline_ns;
}

static void fetch_reads_begin(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++)
        part_release(&fetch->parts[i]);
    fetch->size = 0;
    fetch->next = 0;
    fetch->forced = false;
    fetch_step(fetch);
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* One thing to wait for has come: the others are called off, then all is read again. */
static void fetch_wake(struct fetch *fetch)
{
    if (!fetch->waiting)
        return;
    fetch->waiting = false;
    core_timer_cancel(fetch->request->core, &fetch->timer);
    for (size_t i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i].watched)
            broker_watch_disarm(fetch->request->core, &fetch->watches[i].watch);
}

static void fetch_watched(struct broker_call *call)
{
    struct fetch_watch *watch = CONTAINER_OF(call, struct fetch_watch, watch.call);
    struct fetch *fetch = fetch_of(watch->part);
    watch->part->watched = false;
    fetch->watching--;
    fetch_wake(fetch);
    if (fetch->watching == 0)
        fetch_reads_begin(fetch);
}

static void fetch_timeout(struct core *core, struct core_timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, timer);
    fetch->expired = true;
    fetch_wake(fetch);
}

static void fetch_wait(struct fetch *fetch)
{
    struct core *core = fetch->request->core;
    if (!fetch->watches) {
        fetch->watches =
            arena_alloc_array(&fetch->request->arena, fetch->part_count, sizeof(*fetch->watches));
        if (!fetch->watches) {
            fetch->done(fetch->request);
            return;
        }
    }
    fetch->waiting = true;
    core_timer_set(core, &fetch->timer, fetch->deadline_ns);
    for (size_t i = 0; i < fetch->part_count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        if (!part_is_readable(part))
            continue;
        fetch->watches[i] = (struct fetch_watch){
            .part = part,
            .watch = {.call.done = fetch_watched,
                      .offset = MAX(part_limit(fetch, part), part->want.offset),
                      .committed = fetch->asked.isolation_level == 1}};
        part->watched = true;
        fetch->watching++;
        broker_watch_arm(core, part->partition, &fetch->watches[i].watch);
    }
}

/* --- the course of things --------------------------------------------------------------------- */

static void fetch_step(struct fetch *fetch)
{
    fetch_wave(fetch);
    if (fetch->reading > 0)
        return;
    if (fetch_force(fetch))
        return;
    if (fetch_is_enough(fetch))
        fetch->done(fetch->request);
    else
        fetch_wait(fetch);
}

void kafka_fetch_read_start(struct fetch *fetch)
{
    core_timer_init(&fetch->timer, fetch_timeout);
    fetch_step(fetch);
}

void kafka_fetch_read_expire(struct fetch *fetch)
{
    fetch->expired = true;
    fetch_wake(fetch);
}

void kafka_fetch_read_release(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->part_count; i++)
        part_release(&fetch->parts[i]);
}

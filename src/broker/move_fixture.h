// Load for tests of moves: writers and readers on every core, and who moves the partition.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/broker_fixture.h"

#define CORES 3
#define DEPTH 4 /* appends of one writer under way */

/* Appends from one core without end; its answers come in order with rising offsets. */
struct writer {
    struct fixture *f;
    struct broker_append appends[DEPTH];
    struct core *core;
    struct buf_range batches[DEPTH];
    int64_t *offsets; /* as answered */
    unsigned answered;
    unsigned sent;
    unsigned goal;
    unsigned errors;
    unsigned disorder;
    int64_t last;
};

/* Waits for what the writers append, again and again, from one core. */
struct reader {
    struct fixture *f;
    struct broker_watch watch;
    struct core *core;
    int64_t goal;
    unsigned cancels;
    uint64_t random;
};

struct load {
    struct writer writers[CORES];
    struct reader readers[CORES];
    _Atomic unsigned left;
    sem_t sem;
};
static struct load load;

static inline struct broker_partition *partition_of(struct core *core)
{
    const struct broker_topic *topic = broker_topic_find(core, SLICE_LITERAL("t"));
    return broker_partition_at(topic, 0);
}

static inline void load_one_less(void)
{
    if (atomic_fetch_sub(&load.left, 1) == 1)
        sem_post(&load.sem);
}

static void writer_done(struct broker_call *call);

static inline void writer_send(struct writer *w, unsigned slot)
{
    struct broker_append *append = &w->appends[slot];
    memset(append, 0, sizeof(*append));
    append->batch = w->batches[slot];
    append->call.done = writer_done;
    w->sent++;
    broker_append(w->core, broker_topic_find(w->core, SLICE_LITERAL("t")), 0, append);
}

static inline void writer_done(struct broker_call *call)
{
    struct broker_append *append = CONTAINER_OF(call, struct broker_append, call);
    struct writer *w = NULL;
    for (unsigned i = 0; i < CORES; i++) {
        if (append >= load.writers[i].appends && append < load.writers[i].appends + DEPTH)
            w = &load.writers[i];
    }
    unsigned slot = (unsigned)(append - w->appends);
    w->errors += call->err != ERR_OK;
    w->disorder += slot != w->answered % DEPTH || append->base_offset <= w->last;
    w->last = append->base_offset;
    w->offsets[w->answered++] = append->base_offset;
    if (w->sent < w->goal)
        writer_send(w, slot);
    else if (w->answered == w->goal)
        load_one_less();
}

static inline void writer_start(struct core *core, void *arg)
{
    struct writer *w = arg;
    w->core = core;
    for (unsigned i = 0; i < DEPTH; i++)
        writer_send(w, i);
}

static inline void reader_arm(struct reader *r)
{
    broker_watch_arm(r->core, partition_of(r->core), &r->watch);
    r->random = r->random * 6364136223846793005ull + 1442695040888963407ull;
    if (r->random >> 62 == 0)
        broker_watch_disarm(r->core, &r->watch);
}

/* It fires only when there is something; the next wait is for more. */
static inline void reader_done(struct broker_call *call)
{
    struct broker_watch *watch = CONTAINER_OF(call, struct broker_watch, call);
    struct reader *r = CONTAINER_OF(watch, struct reader, watch);
    if (call->err == ERR_CANCELLED)
        r->cancels++;
    else if (call->err == ERR_OK)
        r->watch.offset++;
    if (r->watch.offset < r->goal)
        reader_arm(r);
    else
        load_one_less();
}

static inline void reader_start(struct core *core, void *arg)
{
    struct reader *r = arg;
    r->core = core;
    r->watch.call.done = reader_done;
    reader_arm(r);
}

static inline void load_start(struct fixture *f, unsigned goal)
{
    struct fixture_batch_options options = {1, 20, -1, 0};
    memset(&load, 0, sizeof(load));
    sem_init(&load.sem, 0, 0);
    load.left = CORES * 2;
    for (unsigned i = 0; i < CORES; i++) {
        struct writer *w = &load.writers[i];
        w->f = f;
        w->goal = goal;
        w->last = -1;
        w->offsets = calloc(goal, sizeof(*w->offsets));
        for (unsigned k = 0; k < DEPTH; k++)
            w->batches[k] = fixture_batch(&options);
        load.readers[i].f = f;
        load.readers[i].goal = (int64_t)goal;
        load.readers[i].random = i;
    }
    for (unsigned i = 0; i < CORES; i++) {
        fixture_on(f, i, writer_start, &load.writers[i]);
        fixture_on(f, i, reader_start, &load.readers[i]);
    }
}

/* Every offset was answered once. */
static inline void load_check(unsigned goal)
{
    unsigned char *seen = calloc(goal, CORES);
    for (unsigned i = 0; i < CORES; i++) {
        struct writer *w = &load.writers[i];
        assert_int_equal(w->errors, 0);
        assert_int_equal(w->disorder, 0);
        for (unsigned k = 0; k < goal; k++) {
            assert_in_range(w->offsets[k], 0, goal * CORES - 1);
            assert_int_equal(seen[w->offsets[k]]++, 0);
        }
        free(w->offsets);
        for (unsigned k = 0; k < DEPTH; k++)
            buf_unref(w->batches[k].buf);
    }
    free(seen);
    sem_destroy(&load.sem);
}

struct mover {
    unsigned to;
    bool started;
};

static inline void mover_fn(struct core *core, void *arg)
{
    struct mover *mover = arg;
    struct broker_partition *partition = partition_of(core);
    mover->started = false;
    if (atomic_load(&partition->home) == core_id(core))
        mover->started = broker_move_start(core, partition, mover->to);
}

/* Moves the partition round and round until the load is over; how often. */
static inline unsigned load_move(struct fixture *f)
{
    unsigned moves = 0;
    while (sem_trywait(&load.sem) != 0) {
        for (unsigned i = 0; i < CORES; i++) {
            struct mover mover = {.to = (i + 1) % CORES};
            fixture_on(f, i, mover_fn, &mover);
            moves += mover.started;
        }
    }
    return moves;
}

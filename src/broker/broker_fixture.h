// A reactor with threads, the store of store_fixture.h and a broker; calls are awaited by the test.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>

#include "broker/state.h"
#ifndef FIXTURE_REAL_STORE
#include "broker/store_fixture.h"
#endif
#include "record/build.h"

struct fixture {
    struct budget budget;
    struct reactor *reactor;
#ifdef FIXTURE_REAL_STORE
    struct store *store;
    const char *dir;
#else
    struct store store;
#endif
    struct broker *broker;
    struct broker_settings settings;
    struct os *os; /* NULL: the real one */
    unsigned core_count;
    pthread_t thread;
    sem_t sem;
};

static inline void *fixture_main(void *arg)
{
    struct fixture *f = arg;
    reactor_run(f->reactor);
    return NULL;
}

#ifdef FIXTURE_REAL_STORE
static inline struct store *fixture_store_open(struct fixture *f)
{
    struct diag diag = {0};
    struct store_options options = {.reactor = f->reactor,
                                    .os = os_posix(),
                                    .data_dir = f->dir,
                                    .journal_size_max_bytes = 32 << 20,
                                    .journal_piece_bytes = 1 << 20,
                                    .direct_size_min_bytes = 1 << 20,
                                    .cache_size_max_bytes = 16 << 20,
                                    .open_files_max = 64};
    if (store_open(&options, &f->store, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
    return f->store;
}
#else
static inline struct store *fixture_store_open(struct fixture *f)
{
    f->store.reactor = f->reactor;
    return &f->store;
}
#endif

static inline void fixture_start(struct fixture *f)
{
    struct diag diag = {0};
    struct os *os = f->os ? f->os : os_posix();
    struct reactor_options options = {
        .os = os,
        .budget = &f->budget,
        .core_count = f->core_count,
        .helper_count = 1,
        .buffers_keep_bytes = 1 << 20,
    };
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    struct broker_options broker = {
        .reactor = f->reactor,
        .store = fixture_store_open(f),
        .os = os,
        .settings = &f->settings,
        .view_prefix = SLICE_LITERAL("kafka"),
        .data_dir = "/",
    };
    if (broker_open(&broker, &f->broker, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
    assert_int_equal(pthread_create(&f->thread, NULL, fixture_main, f), 0);
}

#ifndef FIXTURE_REAL_STORE
static inline struct fixture *fixture_new(unsigned core_count)
{
    struct fixture *f = calloc(1, sizeof(*f));
    budget_init(&f->budget, 256 << 20);
    broker_settings_init(&f->settings);
    fixture_store_init(&f->store);
    f->core_count = core_count;
    sem_init(&f->sem, 0, 0);
    fixture_start(f);
    assert_true(f->store.is_claimed);
    return f;
}

/* A stop without a drain. */
static inline void fixture_stop(struct fixture *f)
{
    reactor_stop(f->reactor);
    pthread_join(f->thread, NULL);
    broker_close(f->broker);
    reactor_close(f->reactor);
    assert_int_equal(atomic_load(&f->store.logs), 0);
    assert_int_equal(budget_used(&f->budget), 0);
}

static inline void fixture_free(struct fixture *f)
{
    fixture_stop(f);
    fixture_store_deinit(&f->store);
    sem_destroy(&f->sem);
    free(f);
}
#endif

/* --- doing something on a core and waiting for it --- */

typedef void (*fixture_fn)(struct core *core, void *arg);
struct fixture_errand {
    struct core_message message;
    struct fixture *f;
    fixture_fn fn;
    void *arg;
};

static inline void fixture_errand_run(struct core *core, struct core_message *message)
{
    struct fixture_errand *errand = CONTAINER_OF(message, struct fixture_errand, message);
    errand->fn(core, errand->arg);
    sem_post(&errand->f->sem);
}

static inline void fixture_on(struct fixture *f, unsigned core, fixture_fn fn, void *arg)
{
    struct fixture_errand errand = {{NULL, fixture_errand_run}, f, fn, arg};
    core_send_from_outside(reactor_core(f->reactor, core), &errand.message);
    while (sem_wait(&f->sem) != 0) {
    }
}

/* A call in the making: fn begins it, done is awaited. */
struct fixture_call {
    struct core_message message;
    struct broker_call *call;
    fixture_fn fn;
    void *arg;
    sem_t *sem;
};

static _Thread_local struct fixture_call *fixture_calling;

struct fixture_waiting {
    struct broker_call *call;
    sem_t *sem;
};
static struct fixture_waiting fixture_waiting;

static inline void fixture_call_done(struct broker_call *call)
{
    CHECK(!fixture_calling); /* never inside the call */
    CHECK(fixture_waiting.call == call);
    sem_post(fixture_waiting.sem);
}

static inline void fixture_call_run(struct core *core, struct core_message *message)
{
    struct fixture_call *c = CONTAINER_OF(message, struct fixture_call, message);
    fixture_calling = c;
    c->fn(core, c->arg);
    fixture_calling = NULL;
    sem_post(c->sem);
}

static inline enum err fixture_call(struct fixture *f, unsigned core, struct broker_call *call,
                                    fixture_fn fn, void *arg)
{
    struct fixture_call c = {{NULL, fixture_call_run}, call, fn, arg, &f->sem};
    call->done = fixture_call_done;
    fixture_waiting = (struct fixture_waiting){call, &f->sem};
    core_send_from_outside(reactor_core(f->reactor, core), &c.message);
    for (unsigned i = 0; i < 2; i++) { /* begun, and done */
        while (sem_wait(&f->sem) != 0) {
        }
    }
    return call->err;
}

/* --- the calls --- */

static inline void fixture_create_fn(struct core *core, void *arg)
{
    broker_topic_create(core, arg);
}

static inline enum err fixture_create(struct fixture *f, unsigned core, const char *name,
                                      int32_t count)
{
    struct broker_topic_create create = {
        .name = slice_text(name), .partition_count = count, .replication_factor = -1};
    return fixture_call(f, core, &create.call, fixture_create_fn, &create);
}

static inline void fixture_alter_fn(struct core *core, void *arg)
{
    broker_settings_alter(core, arg);
}

struct fixture_find {
    struct slice name;
    const struct broker_topic *topic;
};

static inline void fixture_find_fn(struct core *core, void *arg)
{
    struct fixture_find *find = arg;
    find->topic = broker_topic_find(core, find->name);
    if (find->topic)
        broker_topic_ref(find->topic);
}

/* A reference, or NULL. */
static inline const struct broker_topic *fixture_find(struct fixture *f, unsigned core,
                                                      const char *name)
{
    struct fixture_find find = {slice_text(name), NULL};
    fixture_on(f, core, fixture_find_fn, &find);
    return find.topic;
}

/* One batch of count records with values of size bytes each. */
struct fixture_batch_options {
    unsigned count;
    size_t size;
    int64_t timestamp_ms;
    uint16_t attributes;
};

static inline struct buf_range fixture_batch(const struct fixture_batch_options *options)
{
    struct build build;
    struct codec_output out;
    uint8_t *value = calloc(1, options->size + 1);
    build_init(&build, 64 << 20);
    codec_output_init(&out, 64 << 20);
    for (unsigned i = 0; i < options->count; i++) {
        struct build_record record = {.timestamp_ms = options->timestamp_ms,
                                      .value = slice_make(value, options->size)};
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    build.header.attributes |= options->attributes;
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    struct buf_range range = {buf, 0, (uint32_t)out.size};
    build_deinit(&build);
    codec_output_deinit(&out);
    free(value);
    return range;
}

struct fixture_append {
    struct broker_append append;
    const char *topic;
    int32_t partition;
};

static inline void fixture_append_fn(struct core *core, void *arg)
{
    struct fixture_append *a = arg;
    const struct broker_topic *topic = broker_topic_find(core, slice_text(a->topic));
    CHECK(topic);
    broker_append(core, topic, a->partition, &a->append);
}

/* Takes the batch. */
static inline enum err fixture_append(struct fixture *f, unsigned core, struct fixture_append *a,
                                      struct buf_range take_batch)
{
    a->append.batch = take_batch;
    enum err err = fixture_call(f, core, &a->append.call, fixture_append_fn, a);
    buf_unref(take_batch.buf);
    return err;
}

// A journal on the fake disk for tests: bodies follow from log and LSN; crash, replay.
// SPDX-License-Identifier: Apache-2.0
#pragma once

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>

#include "os/fake.h"
#include "os/fake_random.h"
#include "store/journal.h"

#define FIXTURE_LOG_COUNT 3
#define FIXTURE_LSN_MAX   1024

enum fixture_state { FIXTURE_UNUSED, FIXTURE_ADDED, FIXTURE_ACKED, FIXTURE_FAILED };

struct fixture;

struct fixture_entry {
    struct journal_entry entry;
    struct fixture *f;
    enum fixture_state state;
    enum err err;
    uint64_t done_at; /* running number of the call of done */
    uint8_t *body;
    size_t size;
    struct journal_piece *piece; /* referenced */
    unsigned found;
};

struct fixture {
    struct os_fake *fake;
    struct os *os;
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    struct journal *journal;
    struct journal_options options;
    struct journal_replay_result result;
    struct fixture_entry *entries[FIXTURE_LOG_COUNT][FIXTURE_LSN_MAX];
    uint64_t lsn_next[FIXTURE_LOG_COUNT];
    uint64_t checkpoint[FIXTURE_LOG_COUNT]; /* LSNs below need not be found */
    uint64_t lsn_last[FIXTURE_LOG_COUNT];   /* in the replay */
    uint64_t done_count;
    unsigned pressure_count;
};

static inline void fixture_core_open(struct fixture *f)
{
    struct reactor_options options = {
        .os = f->os, .budget = &f->budget, .core_count = 1, .buffers_keep_bytes = 1 << 16};
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    f->core = reactor_core(f->reactor, 0);
    f->options.core = f->core;
}

static inline void fixture_pressure(void *arg, struct journal_piece *oldest)
{
    struct fixture *f = arg;
    assert_non_null(oldest);
    f->pressure_count++;
}

static inline struct fixture *fixture_new(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = os_fake_new(seed);
    f->os = os_fake_os(f->fake);
    budget_init(&f->budget, 64 << 20);
    assert_int_equal(f->os->ops->mkdir(f->os, "/j"), 0);
    int fd = f->os->ops->open(f->os, "/", OS_OPEN_READ | OS_OPEN_DIRECTORY);
    assert_int_equal(f->os->ops->fsync(f->os, fd), 0);
    f->os->ops->close(f->os, fd);
    f->options = (struct journal_options){
        .dir = "/j",
        .piece_bytes = 32768,
        .size_max_bytes = 1 << 20,
        .piece_first = 1,
        .on_pressure = fixture_pressure,
        .arg = f,
    };
    for (unsigned i = 0; i < FIXTURE_LOG_COUNT; i++)
        f->lsn_next[i] = f->checkpoint[i] = 1;
    fixture_core_open(f);
    return f;
}

static inline enum err fixture_open(struct fixture *f)
{
    return journal_open(&f->options, &f->journal);
}

static inline void fixture_turns(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        core_run_once(f->core, 0);
}

static inline struct store_log_key fixture_key(unsigned log)
{
    struct store_log_key key = {.partition = log * 1000};
    memset(key.topic.bytes, (int)log + 1, sizeof(key.topic.bytes));
    return key;
}

/* Bytes that say where they belong, at every place. */
static inline uint8_t fixture_byte(unsigned log, uint64_t lsn, size_t at)
{
    return (uint8_t)(log * 89 + lsn * 31 + at * 7 + at / 251);
}

static inline void fixture_done(struct journal_entry *entry, enum err err)
{
    struct fixture_entry *e = CONTAINER_OF(entry, struct fixture_entry, entry);
    assert_int_equal(e->state, FIXTURE_ADDED);
    e->state = err == ERR_OK ? FIXTURE_ACKED : FIXTURE_FAILED;
    e->err = err;
    e->done_at = ++e->f->done_count;
    if (err == ERR_OK) {
        e->piece = entry->piece;
        journal_piece_ref(e->piece);
    }
}

/* The next LSN of a log; NULL when refused with *out_err. */
static inline struct fixture_entry *fixture_add(struct fixture *f, unsigned log, size_t size,
                                                bool control, enum err *out_err)
{
    uint64_t lsn = f->lsn_next[log];
    assert_true(lsn < FIXTURE_LSN_MAX);
    struct fixture_entry *e = calloc(1, sizeof(*e));
    e->f = f;
    e->size = size;
    e->body = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        e->body[i] = fixture_byte(log, lsn, i);
    e->entry.type = control ? JOURNAL_TRUNCATE : JOURNAL_APPEND;
    e->entry.key = fixture_key(log);
    e->entry.lsn = lsn;
    e->entry.parts[0] = slice_make(e->body, size / 3);
    e->entry.parts[2] = slice_make(e->body + size / 3, size - size / 3);
    e->entry.done = fixture_done;
    e->state = FIXTURE_ADDED;
    enum err err = journal_add(f->journal, &e->entry, control);
    if (out_err)
        *out_err = err;
    if (err != ERR_OK) {
        free(e->body);
        free(e);
        return NULL;
    }
    f->entries[log][lsn] = e;
    f->lsn_next[log]++;
    return e;
}

/* What lies below is in the segments now. */
static inline void fixture_checkpoint(struct fixture *f, unsigned log, uint64_t lsn)
{
    for (uint64_t i = f->checkpoint[log]; i < lsn; i++) {
        struct fixture_entry *e = f->entries[log][i];
        if (e && e->piece)
            journal_piece_unref(e->piece);
        if (e)
            e->piece = NULL;
    }
    f->checkpoint[log] = lsn;
}

/* All memory of this life goes; what is on the disk stays. */
static inline void fixture_close(struct fixture *f)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        for (uint64_t lsn = 0; lsn < FIXTURE_LSN_MAX; lsn++) {
            struct fixture_entry *e = f->entries[log][lsn];
            if (e && e->piece)
                journal_piece_unref(e->piece);
            if (e)
                e->piece = NULL;
        }
    }
    if (f->journal) {
        journal_close(f->journal);
        fixture_turns(f, 4);
    }
    f->journal = NULL;
    reactor_close(f->reactor);
    f->reactor = NULL;
}

static inline void fixture_free(struct fixture *f)
{
    fixture_close(f);
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        for (uint64_t lsn = 0; lsn < FIXTURE_LSN_MAX; lsn++) {
            if (f->entries[log][lsn]) {
                free(f->entries[log][lsn]->body);
                free(f->entries[log][lsn]);
            }
        }
    }
    os_fake_free(f->fake);
    free(f);
}

/* Nothing is invented, bodies are whole, LSNs rise. Keeps the pieces as a log would. */
static inline enum err fixture_found(void *arg, const struct journal_found *found)
{
    struct fixture *f = arg;
    if (found->is_damaged)
        return ERR_OK;
    unsigned log = found->key.partition / 1000;
    assert_true(log < FIXTURE_LOG_COUNT);
    struct store_log_key key = fixture_key(log);
    assert_memory_equal(&key, &found->key, sizeof(key));
    assert_true(found->lsn > 0 && found->lsn < FIXTURE_LSN_MAX);
    struct fixture_entry *e = f->entries[log][found->lsn];
    assert_non_null(e);
    assert_int_equal(e->size, found->body.size);
    assert_memory_equal(e->body, found->body.data, e->size);
    assert_int_equal(found->type, e->entry.type);
    assert_true(found->lsn > f->lsn_last[log]);
    f->lsn_last[log] = found->lsn;
    e->found++;
    if (found->lsn >= f->checkpoint[log]) {
        e->piece = found->piece;
        journal_piece_ref(e->piece);
        uint8_t *again = malloc(e->size + 1);
        struct conn_file *file = journal_piece_file(e->piece);
        assert_int_equal(f->os->ops->pread(f->os, file->fd, again, e->size, found->body_offset),
                         e->size);
        assert_memory_equal(again, e->body, e->size);
        free(again);
    }
    return ERR_OK;
}

static inline enum err fixture_replay(struct fixture *f)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        f->lsn_last[log] = 0;
        for (uint64_t lsn = 0; lsn < FIXTURE_LSN_MAX; lsn++) {
            if (f->entries[log][lsn])
                f->entries[log][lsn]->found = 0;
        }
    }
    enum err err =
        journal_replay(&(struct journal_folder){f->os, NULL, "/j"}, fixture_found, f, &f->result);
    f->options.piece_first = f->result.piece_next;
    return err;
}

/* Acknowledged and not in a segment means found; what is found afterwards counts as such. */
static inline void fixture_check_acked(struct fixture *f)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        uint64_t next = f->checkpoint[log];
        for (uint64_t lsn = f->checkpoint[log]; lsn < f->lsn_next[log]; lsn++) {
            struct fixture_entry *e = f->entries[log][lsn];
            if (e->state == FIXTURE_ACKED && e->found != 1)
                fail_msg("log %u lsn %u was acknowledged and is gone", log, (unsigned)lsn);
            if (e->found && lsn != next)
                fail_msg("log %u has a hole before lsn %u", log, (unsigned)lsn);
            if (e->found) {
                e->state = FIXTURE_ACKED;
                next = lsn + 1;
            }
        }
        /* the log goes on behind what it has */
        for (uint64_t lsn = next; lsn < f->lsn_next[log]; lsn++) {
            free(f->entries[log][lsn]->body);
            free(f->entries[log][lsn]);
            f->entries[log][lsn] = NULL;
        }
        f->lsn_next[log] = next;
    }
}

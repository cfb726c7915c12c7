// Fails the n-th allocation of a log's work, for every n: what was acknowledged stays, all goes on.
// SPDX-License-Identifier: Apache-2.0
//
// The linker's --wrap sends all calls here; the fake disk, which cannot do without, is shielded.
#include "store/log.h"
#include "store/log_fixture.h"

#define BATCH_COUNT 5

/* Allocations that still succeed; below zero: all. The wrappers have no other way to know. */
static long allocations_left = -1;
static bool is_one_alone; /* that fails; else all behind it too */
static const struct os_ops *fake_ops;

static bool allocation_fails(void)
{
    if (allocations_left != 0) {
        allocations_left -= allocations_left > 0;
        return false;
    }
    if (is_one_alone)
        allocations_left = -1;
    return true;
}

#define WRAP(name, params, ...)                                                                    \
    void *__real_##name params;                                                                    \
    void *__wrap_##name params;                                                                    \
    void *__wrap_##name params                                                                     \
    {                                                                                              \
        return allocation_fails() ? NULL : __real_##name(__VA_ARGS__);                             \
    }

WRAP(malloc, (size_t size), size)
WRAP(calloc, (size_t count, size_t size), count, size)
WRAP(realloc, (void *old, size_t size), old, size)

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return allocation_fails() ? NULL : __real_strdup(text);
}

/* --- the fake disk has all the memory it wants --- */

#define SHIELD(type, name, params, ...)                                                            \
    static type shield_##name params                                                               \
    {                                                                                              \
        long left = allocations_left;                                                              \
        allocations_left = -1;                                                                     \
        type result = fake_ops->name(__VA_ARGS__);                                                 \
        allocations_left = left;                                                                   \
        return result;                                                                             \
    }

SHIELD(int, open, (struct os * os, const char *path, unsigned flags), os, path, flags)
SHIELD(ssize_t, pread, (struct os * os, int fd, void *data, size_t size, uint64_t offset), os, fd,
       data, size, offset)
SHIELD(ssize_t, pread_cached, (struct os * os, int fd, void *data, size_t size, uint64_t offset),
       os, fd, data, size, offset)
SHIELD(ssize_t, pwritev,
       (struct os * os, int fd, const struct iovec *parts, int count, uint64_t offset), os, fd,
       parts, count, offset)
SHIELD(int, fdatasync, (struct os * os, int fd), os, fd)
SHIELD(int, fsync, (struct os * os, int fd), os, fd)
SHIELD(int, syncfs, (struct os * os, int fd), os, fd)
SHIELD(int, truncate, (struct os * os, int fd, uint64_t size), os, fd, size)
SHIELD(int, reserve, (struct os * os, int fd, uint64_t offset, uint64_t size), os, fd, offset, size)
SHIELD(int, unlink, (struct os * os, const char *path), os, path)
SHIELD(int, rename, (struct os * os, const char *from, const char *to), os, from, to)
SHIELD(int, mkdir, (struct os * os, const char *path), os, path)
SHIELD(int, list, (struct os * os, const char *path, os_list_fn fn, void *arg), os, path, fn, arg)

static void shield(struct os *os, struct os_ops *out)
{
    fake_ops = os->ops;
    *out = *os->ops;
    out->open = shield_open;
    out->pread = shield_pread;
    out->pread_cached = shield_pread_cached;
    out->pwritev = shield_pwritev;
    out->fdatasync = shield_fdatasync;
    out->fsync = shield_fsync;
    out->syncfs = shield_syncfs;
    out->truncate = shield_truncate;
    out->reserve = shield_reserve;
    out->unlink = shield_unlink;
    out->rename = shield_rename;
    out->mkdir = shield_mkdir;
    out->list = shield_list;
    os->ops = out;
}

/* --- one life --- */

struct torture {
    struct log_fixture *f;
    struct os_ops ops;
    struct log_fixture_append appends[BATCH_COUNT];
    struct buf *bufs[BATCH_COUNT];
    bool is_taken[BATCH_COUNT];
    struct log_fixture_read read;
    unsigned control_count; /* answers to come */
    unsigned done_count;
};

static void control_done(void *arg, enum err err)
{
    struct torture *t = arg;
    t->done_count++;
}

static void prepare(struct torture *t)
{
    static const size_t sizes[BATCH_COUNT] = {100, 6000, 9000, 30, 14000};
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        struct log_fixture_append *a = &t->appends[i];
        struct log_fixture_batch batch = {
            .count = 1, .size = sizes[i], .seed = i + 1, .producer_id = i == 2 ? 77 : 0};
        t->bufs[i] = log_fixture_batch(&batch, &a->size);
        a->append.batch = (struct buf_range){t->bufs[i], 0, a->size};
        a->append.done = log_fixture_append_done;
        assert_int_equal(batch_check(slice_make(t->bufs[i]->data, a->size), &a->append.header),
                         ERR_OK);
    }
    t->read.read = (struct store_read){.offset_limit = INT64_MAX,
                                       .size_max = 1 << 20,
                                       .want_one = true,
                                       .done = log_fixture_read_done};
}

static void append(struct torture *t, unsigned i)
{
    enum err err = store_log_append(t->f->logs[0], &t->appends[i].append);
    assert_true(err == ERR_OK || err == ERR_BUSY || err == ERR_NO_MEMORY || err == ERR_OFFLINE);
    t->is_taken[i] = err == ERR_OK;
}

static void act(struct torture *t)
{
    struct log_fixture *f = t->f;
    append(t, 0);
    append(t, 1);
    log_fixture_turns(f, 6);
    append(t, 2);
    log_fixture_turns(f, 6);
    checkpoint_queue(f->logs[0]);
    log_fixture_turns(f, 10);
    append(t, 3);
    append(t, 4);
    log_fixture_turns(f, 6);
    enum err err = store_log_read(f->logs[0], &t->read.read);
    t->read.is_done = err != ERR_AGAIN;
    t->control_count = 2;
    store_log_start_set(f->logs[0], MIN(1, store_log_durable(f->logs[0])), control_done, t);
    int64_t hole = MAX(store_log_durable(f->logs[0]) - 1, 0);
    store_log_punch(f->logs[0], &hole, 1, control_done, t);
    log_fixture_turns(f, 20);
}

static void check_answers(struct torture *t)
{
    for (unsigned i = 0; i < 10; i++) {
        os_fake_advance(t->f->fake, LOG_RETRY_NS);
        log_fixture_turns(t->f, 5);
    }
    for (unsigned i = 0; i < BATCH_COUNT; i++)
        assert_int_equal(t->appends[i].is_done, t->is_taken[i]);
    assert_true(t->read.is_done);
    assert_int_equal(t->done_count, t->control_count);
    store_read_release(&t->read.read);
}

/* Acknowledged batches are there after a crash, at their offsets. */
static void check_acked(struct torture *t)
{
    struct log_fixture *f = t->f;
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        const struct log_fixture_append *a = &t->appends[i];
        if (!t->is_taken[i] || a->err != ERR_OK || a->append.base_offset < 1)
            continue;
        assert_true(store_log_end(f->logs[0]) > a->append.base_offset);
        struct log_fixture_read read;
        assert_int_equal(log_fixture_read(f, 0, a->append.base_offset, 1, &read), ERR_OK);
        assert_true(read.read.offset_next > a->append.base_offset);
        free(read.bytes);
    }
    struct log_fixture_batch batch = {.count = 1, .size = 100, .seed = 99};
    log_fixture_put(f, 0, &batch);
}

static bool run(long count)
{
    struct torture t = {.f = log_fixture_new(1)};
    shield(t.f->os, &t.ops);
    assert_int_equal(log_fixture_open(t.f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 100, .seed = 98};
    log_fixture_put(t.f, 1, &batch);
    prepare(&t);
    allocations_left = count;
    act(&t);
    bool is_over = allocations_left > 0;
    allocations_left = -1;
    check_answers(&t);
    check_acked(&t);
    for (unsigned i = 0; i < BATCH_COUNT; i++)
        buf_unref(t.bufs[i]);
    log_fixture_free(t.f);
    return is_over;
}

static void a_log_survives_want_of_memory(void **state)
{
    for (int i = 0; i < 2; i++) {
        long count = 0;
        is_one_alone = i == 1;
        while (!run(count))
            count++;
        assert_true(count > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_log_survives_want_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Fails the n-th allocation of a log's work, for every n: what was acknowledged stays, all goes on.
// SPDX-License-Identifier: Apache-2.0
#include "os/fake_torture.h"
#include "store/log.h"
#include "store/log_fixture.h"

#define BATCH_COUNT 5
#define MORE_COUNT  4

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
    t->control_count = 3;
    store_fact_put(f->store, slice_text("fact"), slice_text("value"), control_done, t);
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

/* Another log, which nothing happened to, goes on. */
static void put_more(struct torture *t)
{
    struct log_fixture_batch batch = {.count = 1, .size = 3000, .seed = 97};
    for (int64_t i = 0; i < MORE_COUNT; i++)
        assert_int_equal(log_fixture_put(t->f, 2, &batch), i);
}

static void check_more(struct torture *t)
{
    for (int64_t i = 0; i < MORE_COUNT; i++) {
        struct log_fixture_read read;
        assert_int_equal(log_fixture_read(t->f, 2, i, 1, &read), ERR_OK);
        assert_int_equal(read.read.offset_next, i + 1);
        free(read.bytes);
    }
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

/* Memory may be short, but nothing is damaged by that. */
static void line_check(struct logger *logger, struct slice line)
{
    static const char word[] = "damaged file";
    if (memmem(line.data, line.size, word, sizeof(word) - 1))
        fail_msg("%.*s", (int)line.size, (const char *)line.data);
}

static bool run(long count, bool is_first)
{
    struct torture t = {.f = log_fixture_new(1)};
    t.f->logger.write = line_check;
    t.f->options.logger = &t.f->logger;
    shield(t.f->os, &t.ops);
    assert_int_equal(log_fixture_open(t.f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 100, .seed = 98};
    if (!is_first) /* the journal is not empty */
        log_fixture_put(t.f, 1, &batch);
    prepare(&t);
    allocations_left = count;
    act(&t);
    bool is_over = allocations_left > 0;
    allocations_left = -1;
    check_answers(&t);
    put_more(&t);
    check_acked(&t);
    check_more(&t);
    for (unsigned i = 0; i < BATCH_COUNT; i++)
        buf_unref(t.bufs[i]);
    log_fixture_free(t.f);
    return is_over;
}

static void a_log_survives_want_of_memory(void **state)
{
    for (int i = 0; i < 4; i++) {
        long count = 0;
        is_one_alone = i % 2 == 1;
        while (!run(count, i / 2 == 1))
            count++;
        assert_true(count > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_log_survives_want_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

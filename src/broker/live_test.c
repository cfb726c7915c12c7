// Tests of the broker over the real store: moves under load, and what a restart finds.
// SPDX-License-Identifier: Apache-2.0
#define FIXTURE_REAL_STORE
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/move_fixture.h"

static char dir[64];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    return remove(path);
}

static struct fixture *live_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    budget_init(&f->budget, 256 << 20);
    broker_settings_init(&f->settings);
    f->core_count = CORES;
    f->dir = dir;
    sem_init(&f->sem, 0, 0);
    fixture_start(f);
    return f;
}

static void live_store_drained(void *arg)
{
    struct fixture *f = arg;
    reactor_stop(f->reactor);
}

static void live_broker_drained(void *arg)
{
    struct fixture *f = arg;
    store_drain(f->store, live_store_drained, f);
}

static void live_drain_fn(struct core *core, void *arg)
{
    struct fixture *f = arg;
    broker_drain(f->broker, live_broker_drained, f);
}

static void live_stop(struct fixture *f)
{
    fixture_on(f, 0, live_drain_fn, f);
    pthread_join(f->thread, NULL);
    broker_close(f->broker);
    store_close(f->store);
    reactor_close(f->reactor);
    assert_int_equal(budget_used(&f->budget), 0);
}

static int live_setup(void **state)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/leat-broker-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int live_teardown(void **state)
{
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct read_call {
    struct broker_read read;
};

static void read_fn(struct core *core, void *arg)
{
    struct read_call *r = arg;
    broker_read(core, partition_of(core), &r->read);
}

/* Reads all from core; the offset behind the last batch. */
static int64_t read_all(struct fixture *f, unsigned core)
{
    int64_t offset = 0;
    for (bool more = true; more;) {
        struct read_call r = {.read = {.offset = offset,
                                       .epoch = 0,
                                       .size_max = 1 << 20,
                                       .want_one = true,
                                       .want_memory = true}};
        assert_int_equal(fixture_call(f, core, &r.read.call, read_fn, &r), ERR_OK);
        for (unsigned i = 0; i < r.read.store.chunk_count; i++) {
            struct slice rest = buf_range_slice(r.read.store.chunks[i].bytes);
            while (rest.size > 0) {
                struct batch_header header;
                assert_int_equal(batch_check(rest, &header), ERR_OK);
                assert_int_equal(header.base_offset, offset);
                offset = batch_last_offset(&header) + 1;
                rest = slice_make(rest.data + header.size, rest.size - header.size);
            }
        }
        more = r.read.store.size > 0;
        broker_read_release(&r.read);
    }
    return offset;
}

static void records_survive_moves_and_a_restart(void **state)
{
    enum { GOAL = 1000 };
    struct fixture *f = live_new();
    assert_int_equal(fixture_create(f, 1, "t", 1), ERR_OK);
    load_start(f, GOAL);
    assert_true(load_move(f) > 3);
    load_check(GOAL);
    assert_int_equal(read_all(f, 2), GOAL * CORES);
    live_stop(f);
    fixture_start(f);
    const struct broker_topic *topic = fixture_find(f, 2, "t");
    assert_non_null(topic);
    broker_topic_unref(topic);
    assert_int_equal(read_all(f, 1), GOAL * CORES);
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {2, 10, -1, 0};
    assert_int_equal(fixture_append(f, 2, &a, fixture_batch(&options)), ERR_OK);
    assert_int_equal(a.append.base_offset, GOAL * CORES);
    live_stop(f);
    sem_destroy(&f->sem);
    free(f);
}

static void delete_fn(struct core *core, void *arg)
{
    broker_topic_delete(core, arg);
}

static void a_deleted_topic_leaves_nothing(void **state)
{
    struct fixture *f = live_new();
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {2, 10, -1, 0};
    assert_int_equal(fixture_create(f, 1, "t", 1), ERR_OK);
    assert_int_equal(fixture_append(f, 2, &a, fixture_batch(&options)), ERR_OK);
    const struct broker_topic *topic = fixture_find(f, 2, "t");
    struct broker_topic_delete ask = {.id = topic->id};
    broker_topic_unref(topic);
    assert_int_equal(fixture_call(f, 1, &ask.call, delete_fn, &ask), ERR_OK);
    live_stop(f);
    fixture_start(f);
    assert_null(fixture_find(f, 0, "t"));
    assert_int_equal(fixture_create(f, 1, "t", 1), ERR_OK);
    assert_int_equal(read_all(f, 0), 0);
    live_stop(f);
    sem_destroy(&f->sem);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_survive_moves_and_a_restart, live_setup,
                                        live_teardown),
        cmocka_unit_test_setup_teardown(a_deleted_topic_leaves_nothing, live_setup, live_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

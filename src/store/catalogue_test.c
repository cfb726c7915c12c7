// Tests of the catalogue: group commit, snapshots, power cuts, damage, full disks.
// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "os/fake.h"
#include "os/fake_random.h"
#include "store/catalogue_state.h"

#define KEY_COUNT   40
#define CHANGES_MAX 4096

struct fixture;

/* A change to key at version; the value starts with the version, size 0 deletes. */
struct put {
    struct catalogue_change change;
    struct fixture *f;
    unsigned key;
    uint64_t version;
    char key_bytes[16];
    uint8_t *value;
    enum err err;
    bool is_done;
    uint64_t done_at;
};

struct fixture {
    struct os_fake *fake;
    struct os *os;
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    struct catalogue *catalogue;
    struct put *puts[CHANGES_MAX];
    uint64_t put_count;
    uint64_t done_count;
    uint64_t settled; /* puts below have been judged after a crash */
};

static void core_reopen(struct fixture *f)
{
    struct reactor_options options = {
        .os = f->os, .budget = &f->budget, .core_count = 1, .buffers_keep_bytes = 1 << 16};
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    f->core = reactor_core(f->reactor, 0);
}

static struct fixture *fixture_new(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->fake = os_fake_new(seed);
    f->os = os_fake_os(f->fake);
    budget_init(&f->budget, 64 << 20);
    core_reopen(f);
    return f;
}

static void turns(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        core_run_once(f->core, 0);
}

static enum err open_it(struct fixture *f, struct diag *diag)
{
    return catalogue_open(f->core, "/c", &f->catalogue, diag);
}

static void put_done(struct catalogue_change *change, enum err err)
{
    struct put *put = CONTAINER_OF(change, struct put, change);
    assert_false(put->is_done);
    put->is_done = true;
    put->err = err;
    put->done_at = ++put->f->done_count;
}

static struct put *put_new(struct fixture *f, unsigned key, size_t size)
{
    struct put *put = calloc(1, sizeof(*put));
    assert_true(f->put_count < CHANGES_MAX);
    put->f = f;
    put->key = key;
    put->version = f->put_count;
    f->puts[f->put_count++] = put;
    (void)snprintf(put->key_bytes, sizeof(put->key_bytes), "key-%u", key);
    put->change.key = slice_text(put->key_bytes);
    if (size > 0) {
        size = MAX(size, 8);
        put->value = malloc(size);
        memset(put->value, (int)put->version, size);
        le64_put(put->value, put->version);
        put->change.value = slice_make(put->value, size);
    }
    put->change.done = put_done;
    catalogue_put(f->catalogue, &put->change);
    assert_false(put->is_done);
    return put;
}

static void close_it(struct fixture *f)
{
    if (f->catalogue) {
        catalogue_close(f->catalogue);
        turns(f, 6);
    }
    f->catalogue = NULL;
    reactor_close(f->reactor);
    f->reactor = NULL;
}

static void fixture_free(struct fixture *f)
{
    close_it(f);
    for (uint64_t i = 0; i < f->put_count; i++) {
        free(f->puts[i]->value);
        free(f->puts[i]);
    }
    os_fake_free(f->fake);
    free(f);
}

static void reopen(struct fixture *f)
{
    close_it(f);
    os_fake_kill(f->fake);
    core_reopen(f);
    assert_int_equal(open_it(f, NULL), ERR_OK);
}

static struct slice value_of(struct fixture *f, unsigned key)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "key-%u", key);
    return catalogue_get(f->catalogue, slice_text(name));
}

static bool is_value(struct fixture *f, uint64_t version)
{
    const struct put *put = f->puts[version];
    struct slice value = value_of(f, put->key);
    return put->change.value.data ? slice_equal(value, put->change.value) : value.data == NULL;
}

/* The state after the first count puts, and no other. */
static bool is_state_after(struct fixture *f, uint64_t count)
{
    uint64_t last[KEY_COUNT];
    memset(last, 0xff, sizeof(last));
    for (uint64_t i = 0; i < count; i++) {
        if (!f->puts[i]->is_done || f->puts[i]->err == ERR_OK)
            last[f->puts[i]->key] = i;
    }
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        if (last[key] == UINT64_MAX ? value_of(f, key).data != NULL : !is_value(f, last[key]))
            return false;
    }
    return true;
}

/* All that was acknowledged, and of what was not a first part in order. */
static void check_after_crash(struct fixture *f)
{
    uint64_t acked = f->settled;
    for (uint64_t i = f->settled; i < f->put_count; i++) {
        if (f->puts[i]->is_done && f->puts[i]->err == ERR_OK)
            acked = i + 1;
        else
            f->puts[i]->is_done = false;
    }
    uint64_t count = acked;
    while (count <= f->put_count && !is_state_after(f, count))
        count++;
    if (count > f->put_count)
        fail_msg("%u of %u puts were acknowledged; no state fits", (unsigned)acked,
                 (unsigned)f->put_count);
    for (uint64_t i = f->settled; i < f->put_count; i++) {
        f->puts[i]->is_done = true;
        f->puts[i]->err = i < count ? ERR_OK : ERR_CANCELLED;
    }
    f->settled = f->put_count;
}

static void group_commit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    struct put *first = put_new(f, 0, 20);
    assert_null(value_of(f, 0).data);
    turns(f, 3);
    assert_true(first->is_done);
    assert_true(is_value(f, 0));
    uint64_t before = os_fake_operation_count(f->fake);
    for (unsigned i = 0; i < 100; i++)
        put_new(f, i % KEY_COUNT, i % 7 ? 100 + i : 0);
    turns(f, 3);
    assert_int_equal(os_fake_operation_count(f->fake) - before, 2);
    for (unsigned i = 1; i < 101; i++) {
        assert_int_equal(f->puts[i]->err, ERR_OK);
        assert_int_equal(f->puts[i]->done_at, i + 1);
    }
    assert_true(is_state_after(f, 101));
    reopen(f);
    assert_true(is_state_after(f, 101));
    reopen(f);
    put_new(f, 3, 30);
    turns(f, 3);
    reopen(f);
    assert_true(is_state_after(f, 102));
    fixture_free(f);
}

/* Big values make snapshots come soon. */
static void work(struct fixture *f, struct os_fake_random *random, unsigned rounds)
{
    for (unsigned round = 0; round < rounds && !f->catalogue->is_offline; round++) {
        unsigned count = (unsigned)os_fake_random_below(random, 4);
        for (unsigned i = 0; i < count; i++) {
            unsigned key = (unsigned)os_fake_random_below(random, KEY_COUNT);
            size_t size = os_fake_random_below(random, 5) ? os_fake_random_below(random, 3000) : 0;
            if (os_fake_random_below(random, 6) == 0)
                size = 400000;
            put_new(f, key, size);
        }
        turns(f, 1 + (unsigned)os_fake_random_below(random, 3));
        if (os_fake_random_below(random, 2))
            os_fake_writeback(f->fake, 30);
    }
    turns(f, 30);
}

static void live(struct fixture *f, struct os_fake_random *random, uint64_t cut, bool is_after)
{
    if (cut > 0)
        os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + cut, is_after);
    if (open_it(f, NULL) == ERR_OK)
        work(f, random, 24);
    close_it(f);
    struct os_fake_crash_policy policy = OS_FAKE_CRASH_RANDOM;
    policy.names_in_order = os_fake_random_below(random, 2);
    uint64_t kind = os_fake_random_below(random, 5);
    if (kind < 2)
        policy = kind ? OS_FAKE_CRASH_LOSE_ALL : OS_FAKE_CRASH_KEEP_ALL;
    os_fake_crash(f->fake, os_fake_random_next(random), policy);
    core_reopen(f);
    struct diag diag = {{0}};
    if (open_it(f, &diag) != ERR_OK)
        fail_msg("no start after a crash: %s", diag.text);
    check_after_crash(f);
    close_it(f);
    os_fake_kill(f->fake);
    core_reopen(f);
}

static uint64_t lives(uint64_t seed, uint64_t cut, bool is_after)
{
    struct os_fake_random random = {seed * 1000003};
    struct fixture *f = fixture_new(seed);
    live(f, &random, cut, is_after);
    uint64_t count = os_fake_operation_count(f->fake);
    random.state ^= cut * 7919 + is_after;
    live(f, &random, 1 + os_fake_random_below(&random, 60), os_fake_random_below(&random, 2));
    live(f, &random, 1 + os_fake_random_below(&random, 60), os_fake_random_below(&random, 2));
    fixture_free(f);
    return count;
}

/* One thread: ThreadSanitizer has little to find here and is slow. */
#ifdef __SANITIZE_THREAD__
#define SEED_COUNT 1
#define CUT_STEP   5
#else
#define SEED_COUNT 6
#define CUT_STEP   1
#endif

static void every_operation(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint64_t count = lives(seed, 0, false);
        assert_true(count > 20);
        for (uint64_t cut = 1; cut <= count; cut += CUT_STEP) {
            lives(seed, cut, false);
            lives(seed, cut, true);
        }
    }
}

static void count_snapshot(void *arg, const char *name, bool is_directory)
{
    unsigned *counts = arg;
    counts[0] += catalogue_number(name, "snapshot") > 0;
    counts[1] += catalogue_number(name, "changes") > 0;
    counts[2]++;
}

/* Changes while a snapshot is written in many slices; the one before is kept. */
static void snapshots_in_slices(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    for (unsigned i = 0; i < 600; i++) {
        put_new(f, i * 7 % KEY_COUNT, i % 11 ? 60000 : 0);
        turns(f, i % 3 + 1);
    }
    turns(f, 60);
    unsigned counts[3] = {0};
    assert_int_equal(f->os->ops->list(f->os, "/c", count_snapshot, counts), 0);
    assert_int_equal(counts[0], 2);
    assert_in_range(counts[1], 2, 4);
    assert_int_equal(counts[0] + counts[1], counts[2]);
    assert_true(f->catalogue->snapshot_number > 4);
    assert_true(is_state_after(f, 600));
    uint64_t newest = f->catalogue->snapshot_number;
    reopen(f);
    assert_true(is_state_after(f, 600));
    assert_int_equal(f->catalogue->snapshot_number, newest);
    /* the newest is damaged: the one before and its changes amount to the same */
    close_it(f);
    os_fake_kill(f->fake);
    char *path = catalogue_path("/c", "snapshot", newest);
    assert_int_equal(os_fake_flip(f->fake, path, 300000, 1), 0);
    core_reopen(f);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    assert_true(f->catalogue->snapshot_number < newest);
    assert_true(is_state_after(f, 600));
    free(path);
    fixture_free(f);
}

static void damage_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    for (unsigned i = 0; i < 10; i++) {
        put_new(f, i, 5000);
        turns(f, 3);
    }
    close_it(f);
    os_fake_kill(f->fake);
    char *path = catalogue_path("/c", "changes", 1);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(f->fake);
    unsigned told = 0;
    for (uint64_t at = 100; at < (uint64_t)os_fake_size(f->fake, path, false); at += 700) {
        os_fake_snapshot_restore(f->fake, snapshot);
        assert_int_equal(os_fake_flip(f->fake, path, at, 5), 0);
        core_reopen(f);
        struct diag diag = {{0}};
        enum err err = open_it(f, &diag);
        if (err == ERR_CORRUPT) {
            assert_non_null(strstr(diag.text, "changes-0000000000000001"));
            told++;
        } else {
            assert_int_equal(err, ERR_OK);
            /* padding, the head of the file, or the end that might be torn */
            assert_true(is_state_after(f, 10) || is_state_after(f, 9));
        }
        close_it(f);
    }
    assert_true(told > 50);
    free(path);
    os_fake_snapshot_free(snapshot);
    f->reactor = NULL;
    core_reopen(f);
    fixture_free(f);
}

static void sync_failure_is_final(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(4);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    put_new(f, 0, 20);
    turns(f, 3);
    os_fake_fault_add(f->fake, &(struct os_fake_fault){
                                   .kind = OS_FAKE_SYNC, .count = 1, .error = EIO, .forget = true});
    struct put *lost = put_new(f, 0, 30);
    core_run_once(f->core, 0);
    struct put *queued = put_new(f, 1, 30);
    turns(f, 3);
    assert_int_equal(lost->err, ERR_OFFLINE);
    assert_int_equal(queued->err, ERR_OFFLINE);
    assert_true(is_value(f, 0));
    uint64_t before = os_fake_operation_count(f->fake);
    struct put *late = put_new(f, 2, 30);
    turns(f, 3);
    assert_int_equal(late->err, ERR_OFFLINE);
    assert_int_equal(os_fake_operation_count(f->fake), before);
    fixture_free(f);
}

static void full_disk(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(5);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    put_new(f, 0, 20);
    turns(f, 3);
    os_fake_capacity_set(f->fake, 4096); /* less than there is: nothing is free any more */
    unsigned count = 0;
    for (; count < 2000; count++) {
        struct put *put = put_new(f, count % KEY_COUNT, 50);
        turns(f, 3);
        if (put->err != ERR_OK) {
            assert_int_equal(put->err, ERR_DISK_FULL);
            break;
        }
    }
    /* the reserve is good for a while, and its end is no catastrophe */
    assert_in_range(count, 256, 1999);
    assert_false(f->catalogue->is_offline);
    os_fake_capacity_set(f->fake, 1 << 30);
    struct put *again = put_new(f, 7, 50);
    turns(f, 3);
    assert_int_equal(again->err, ERR_OK);
    assert_true(is_state_after(f, f->put_count));
    reopen(f);
    assert_true(is_state_after(f, f->put_count));
    fixture_free(f);
}

/* No snapshot for lack of space: it is made later. */
static void snapshot_waits_for_space(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(6);
    assert_int_equal(open_it(f, NULL), ERR_OK);
    os_fake_fault_add(f->fake, &(struct os_fake_fault){.kind = OS_FAKE_WRITE,
                                                       .path_part = "snapshot.tmp",
                                                       .error = ENOSPC});
    for (unsigned i = 0; i < 60; i++) {
        put_new(f, i % KEY_COUNT, 60000);
        turns(f, 3);
    }
    assert_int_equal(f->catalogue->snapshot_number, 0);
    os_fake_fault_clear(f->fake);
    os_fake_advance(f->fake, CATALOGUE_RETRY_NS + 1);
    for (unsigned i = 0; i < 4; i++) {
        put_new(f, i, 600);
        turns(f, 30);
    }
    assert_true(f->catalogue->snapshot_number > 0);
    assert_true(is_state_after(f, f->put_count));
    reopen(f);
    assert_true(is_state_after(f, f->put_count));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_commit),
        cmocka_unit_test(every_operation),
        cmocka_unit_test(snapshots_in_slices),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(sync_failure_is_final),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(snapshot_waits_for_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

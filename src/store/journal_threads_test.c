// The journal and the catalogue on the real kernel, with helper threads, in a temporary folder.
// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/catalogue.h"
#include "store/journal.h"

#define ENTRY_COUNT 3000
#define FACT_COUNT  20000

struct fixture {
    struct budget budget;
    struct reactor *reactor;
    struct core *core;
    struct journal *journal;
    struct catalogue *catalogue;
    char dir[64];
    uint64_t done_count;
    uint64_t found_count;
    uint64_t each_count;
};

struct item {
    struct journal_entry entry;
    struct fixture *f;
    uint8_t body[3000];
};

struct fact {
    struct catalogue_change change;
    struct fixture *f;
    char key[16];
    uint8_t value[200];
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "%s/leat-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(f->dir));
    budget_init(&f->budget, 64 << 20);
    return f;
}

static void start(struct fixture *f)
{
    struct reactor_options options = {.os = os_posix(),
                                      .budget = &f->budget,
                                      .core_count = 1,
                                      .helper_count = 2,
                                      .buffers_keep_bytes = 1 << 20};
    assert_int_equal(reactor_open(&options, &f->reactor), ERR_OK);
    f->core = reactor_core(f->reactor, 0);
}

static void remove_file(void *arg, const char *name, bool is_directory)
{
    struct fixture *f = arg;
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    (void)unlink(path);
}

static void fixture_free(struct fixture *f)
{
    os_posix()->ops->list(os_posix(), f->dir, remove_file, f);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
}

static void entry_done(struct journal_entry *entry, enum err err)
{
    struct fixture *f = CONTAINER_OF(entry, struct item, entry)->f;
    assert_int_equal(err, ERR_OK);
    assert_int_equal(entry->lsn, ++f->done_count);
}

static enum err entry_found(void *arg, const struct journal_found *found)
{
    struct fixture *f = arg;
    /* pieces that nobody refers to were recycled: the end is there, in order */
    assert_true(f->found_count == 0 || found->lsn == f->found_count + 1);
    f->found_count = found->lsn;
    for (size_t i = 0; i < found->body.size; i++)
        assert_int_equal(found->body.data[i], (uint8_t)(found->lsn + i));
    return ERR_OK;
}

static void journal_with_threads(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    start(f);
    struct journal_options options = {.core = f->core,
                                      .dir = f->dir,
                                      .piece_bytes = 256 << 10,
                                      .size_max_bytes = 4 << 20,
                                      .piece_first = 1};
    assert_int_equal(journal_open(&options, &f->journal), ERR_OK);
    struct item *items = calloc(ENTRY_COUNT, sizeof(*items));
    unsigned added = 0;
    while (f->done_count < ENTRY_COUNT) {
        for (unsigned i = 0; i < 20 && added < ENTRY_COUNT; i++) {
            struct item *item = &items[added];
            item->f = f;
            item->entry.type = JOURNAL_APPEND;
            item->entry.lsn = added + 1;
            item->entry.done = entry_done;
            for (size_t at = 0; at < sizeof(item->body); at++)
                item->body[at] = (uint8_t)(item->entry.lsn + at);
            item->entry.parts[0] = slice_make(item->body, 100 + added % 2900);
            if (journal_add(f->journal, &item->entry, false) != ERR_OK)
                break;
            added++;
        }
        core_run_once(f->core, 10000000);
    }
    /* through the end of the loops, which is what a stop looks like */
    reactor_stop(f->reactor);
    reactor_run(f->reactor);
    journal_close(f->journal);
    reactor_close(f->reactor);
    struct journal_replay_result result;
    assert_int_equal(
        journal_replay(&(struct journal_folder){os_posix(), NULL, f->dir}, entry_found, f, &result),
        ERR_OK);
    assert_int_equal(result.damage_count, 0);
    assert_int_equal(f->found_count, ENTRY_COUNT);
    free(items);
    fixture_free(f);
}

static void fact_done(struct catalogue_change *change, enum err err)
{
    assert_int_equal(err, ERR_OK);
    CONTAINER_OF(change, struct fact, change)->f->done_count++;
}

static void fact_each(void *arg, struct slice key, struct slice value)
{
    struct fixture *f = arg;
    f->each_count++;
    assert_int_equal(value.data[0], key.data[key.size - 1]);
}

static void catalogue_with_threads(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    start(f);
    assert_int_equal(catalogue_open(f->core, f->dir, &f->catalogue, NULL), ERR_OK);
    struct fact *facts = calloc(FACT_COUNT, sizeof(*facts));
    for (unsigned i = 0; i < FACT_COUNT; i++) {
        struct fact *fact = &facts[i];
        (void)snprintf(fact->key, sizeof(fact->key), "key-%u", i);
        fact->f = f;
        fact->change.key = slice_text(fact->key);
        memset(fact->value, fact->key[strlen(fact->key) - 1], sizeof(fact->value));
        fact->change.value = slice_make(fact->value, sizeof(fact->value));
        fact->change.done = fact_done;
        catalogue_put(f->catalogue, &fact->change);
        if (i % 100 == 0)
            core_run_once(f->core, 0);
    }
    while (f->done_count < FACT_COUNT)
        core_run_once(f->core, 10000000);
    reactor_stop(f->reactor);
    reactor_run(f->reactor);
    catalogue_close(f->catalogue);
    reactor_close(f->reactor);
    start(f);
    assert_int_equal(catalogue_open(f->core, f->dir, &f->catalogue, NULL), ERR_OK);
    catalogue_each(f->catalogue, fact_each, f);
    assert_int_equal(f->each_count, FACT_COUNT);
    catalogue_close(f->catalogue);
    reactor_close(f->reactor);
    free(facts);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journal_with_threads),
        cmocka_unit_test(catalogue_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of index files: they follow a growing segment, outlive the process, and are never trusted.
// SPDX-License-Identifier: Apache-2.0
#include "store/index_file.h"

#include <errno.h>

#include "store/log_fixture.h"

#define BATCHES     60
#define BATCH_SIZE  2000 /* more than the fixture's index interval: an entry each, but the first */
#define LARGE_SIZE  60000
#define LARGE_COUNT 30
#define SEGMENT     "/data/segment.log"

/* --- the files --- */

struct files {
    struct os_fake *fake;
    struct os *os;
    struct index_file_entries entries;
};

static void files_open(struct files *t)
{
    t->fake = os_fake_new(1);
    t->os = os_fake_os(t->fake);
    assert_int_equal(t->os->ops->mkdir(t->os, "/data"), 0);
    text_init(&t->entries.offsets);
    text_init(&t->entries.times);
}

static void files_close(struct files *t)
{
    text_deinit(&t->entries.offsets);
    text_deinit(&t->entries.times);
    os_fake_free(t->fake);
}

/* Entries at each hundredth byte and tenth offset of [from, to), with these timestamps and more. */
static void entries_make(struct files *t, uint32_t from, uint32_t to, int64_t timestamp_ms)
{
    struct index index;
    index_init(&index);
    text_clear(&t->entries.offsets);
    text_clear(&t->entries.times);
    for (uint32_t at = from; at < to; at += 100) {
        struct batch_header header = {
            .base_offset = at / 10, .size = 100, .max_timestamp_ms = timestamp_ms++};
        index.bytes_since = 2;
        assert_int_equal(index_add(&index, 0, at, &header, 1), ERR_OK);
    }
    assert_int_equal(index_encode(&index, 0, &t->entries.offsets, &t->entries.times), ERR_OK);
    index_deinit(&index);
}

static enum err load(struct files *t, uint32_t size, struct index *out)
{
    index_init(out);
    enum err err = index_file_load(t->os, SEGMENT, size, out);
    index_deinit(out);
    return err;
}

/* How many entries are found below the position; -1: nothing that could be believed. */
static int64_t count_below(struct files *t, uint32_t size)
{
    struct index index;
    index_init(&index);
    enum err err = index_file_load(t->os, SEGMENT, size, &index);
    int64_t count = err == ERR_OK ? (int64_t)index.count : -1;
    for (uint32_t i = 0; i < index.count; i++)
        assert_int_equal(index.entries[i].position, 100 * (i + 1));
    index_deinit(&index);
    return count;
}

static void files_grow(void **state)
{
    struct files t;
    files_open(&t);
    entries_make(&t, 100, 500, 1000);
    assert_false(
        index_file_append(t.os, SEGMENT, &t.entries, 100)); /* there is nothing to follow */
    assert_int_equal(count_below(&t, 10000), -1);
    assert_true(index_file_replace(t.os, SEGMENT, &t.entries));
    assert_int_equal(count_below(&t, 10000), 4);
    entries_make(&t, 500, 800, 1002); /* the first two times are none that rise */
    assert_true(index_file_append(t.os, SEGMENT, &t.entries, 500));
    assert_int_equal(count_below(&t, 10000), 7);
    assert_int_equal(count_below(&t, 600), 5);
    assert_int_equal(count_below(&t, 100), 0);
    entries_make(&t, 100, 300, 1);
    assert_true(index_file_replace(t.os, SEGMENT, &t.entries));
    assert_int_equal(count_below(&t, 10000), 2);
    files_close(&t);
}

static void tear(struct files *t, const char *path)
{
    struct iovec part = {(uint8_t[3]){0}, 3};
    int fd = t->os->ops->open(t->os, path, OS_OPEN_WRITE);
    assert_int_equal(t->os->ops->pwritev(t->os, fd, &part, 1, os_fake_size(t->fake, path, false)),
                     3);
    t->os->ops->close(t->os, fd);
}

/* A crash came after the entries and before the checkpoint, or in the middle of an entry. */
static void what_comes_again_is_taken_back(void **state)
{
    struct files t;
    files_open(&t);
    for (uint32_t below = 50; below <= 2050; below += 100) {
        entries_make(&t, 100, 2000, 1000);
        assert_true(index_file_replace(t.os, SEGMENT, &t.entries));
        tear(&t, below % 200 ? "/data/segment.index" : "/data/segment.timeindex");
        uint32_t next = MIN(below + 50, 2000);
        entries_make(&t, next, 2500, 999 + next / 100);
        assert_true(index_file_append(t.os, SEGMENT, &t.entries, below));
        assert_int_equal(count_below(&t, 10000), 24);
        assert_int_equal(os_fake_size(t.fake, "/data/segment.index", false), 24 * 8);
        assert_int_equal(os_fake_size(t.fake, "/data/segment.timeindex", false), 24 * 12);
    }
    files_close(&t);
}

static void what_does_not_follow_is_dropped(void **state)
{
    struct files t;
    files_open(&t);
    entries_make(&t, 100, 500, 1000);
    assert_true(index_file_replace(t.os, SEGMENT, &t.entries));
    entries_make(&t, 400, 800, 2000); /* the segment is another one */
    assert_false(index_file_append(t.os, SEGMENT, &t.entries, 1000));
    assert_int_equal(count_below(&t, 10000), -1);
    assert_true(os_fake_size(t.fake, "/data/segment.timeindex", false) < 0);
    files_close(&t);
}

static void a_full_disk_leaves_no_half_files(void **state)
{
    struct files t;
    struct index index;
    files_open(&t);
    entries_make(&t, 100, 500, 1000);
    assert_true(index_file_replace(t.os, SEGMENT, &t.entries));
    entries_make(&t, 500, 200000, 2000);
    os_fake_capacity_set(t.fake, 16384);
    assert_false(index_file_append(t.os, SEGMENT, &t.entries, 500));
    assert_int_equal(load(&t, 10000, &index), ERR_CORRUPT);
    assert_false(index_file_replace(t.os, SEGMENT, &t.entries));
    assert_true(os_fake_size(t.fake, "/data/segment.index", false) < 0);
    assert_true(os_fake_size(t.fake, "/data/segment.timeindex", false) < 0);
    files_close(&t);
}

/* --- of a log --- */

static const struct os_ops *fake_ops;
static unsigned pread_count;

static ssize_t counted_pread(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    pread_count++;
    return fake_ops->pread(os, fd, data, size, offset);
}

static struct log_fixture *log_open(void)
{
    static struct os_ops counting;
    struct log_fixture *f = log_fixture_new(1);
    f->config.segment_size_bytes = 4 << 20;
    f->options.cache_size_max_bytes = 1; /* readers go to the files */
    f->options.index_save_min = 1;
    f->log_count = 1;
    fake_ops = f->os->ops;
    counting = *fake_ops;
    counting.pread = counted_pread;
    f->os->ops = &counting;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    return f;
}

static void put(struct log_fixture *f, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++)
        (void)log_fixture_put(f, 0,
                              &(struct log_fixture_batch){.count = 1,
                                                          .size = size,
                                                          .timestamp_ms = 1000 + f->logs[0]->end});
    checkpoint_queue(f->logs[0]);
    log_fixture_turns(f, 20);
    assert_int_equal(f->logs[0]->piece_count, 0);
}

/* How often the first reading after a restart asks the disk. */
static unsigned first_reading(struct log_fixture *f, int64_t offset)
{
    struct log_fixture_read read;
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    pread_count = 0;
    assert_int_equal(log_fixture_read(f, 0, offset, 100, &read), ERR_OK);
    unsigned count = pread_count;
    assert_int_equal((int64_t)be64_get(read.bytes), offset);
    free(read.bytes);
    return count;
}

static const struct index *first_index(struct log_fixture *f)
{
    assert_int_equal(f->logs[0]->segments[0]->index_from, 0);
    return &f->logs[0]->segments[0]->index;
}

static void readers_after_a_restart_need_not_walk(void **state)
{
    struct log_fixture *f = log_open();
    put(f, BATCHES, BATCH_SIZE);
    assert_true(first_reading(f, BATCHES - 2) < BATCHES / 2);
    assert_int_equal(first_index(f)->count, BATCHES - 1);
    assert_int_equal(first_index(f)->saved, BATCHES - 1);
    /* what is written after a restart follows, whether somebody has read the files or not */
    put(f, BATCHES, BATCH_SIZE);
    assert_int_equal(first_index(f)->saved, first_index(f)->count);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    put(f, BATCHES, BATCH_SIZE);
    assert_true(first_reading(f, 3 * BATCHES - 2) < BATCHES / 2);
    assert_true(first_index(f)->saved >= 3 * (BATCHES - 1));
    log_fixture_free(f);
}

/* The files, the times, the later half of the times: syncs do not order them. */
static void lost_files_are_made_anew(void **state)
{
    struct log_fixture *f = log_open();
    char path[LOG_PATH_SIZE];
    put(f, BATCHES, BATCH_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        segment_path(f->logs[0], 0, i ? ".timeindex" : ".index", path);
        int fd = f->os->ops->open(f->os, path, OS_OPEN_WRITE);
        assert_int_equal(f->os->ops->truncate(f->os, fd, BATCHES / 2 * INDEX_TIME_ENTRY_SIZE), 0);
        f->os->ops->close(f->os, fd);
        if (i < 2)
            assert_int_equal(f->os->ops->unlink(f->os, path), 0);
        assert_true(first_reading(f, BATCHES - 2) > BATCHES / 2);
        assert_int_equal(first_index(f)->saved, 0);
        put(f, 1, BATCH_SIZE);
        assert_int_equal(first_index(f)->saved, first_index(f)->count);
        assert_true(first_reading(f, BATCHES - 2) < BATCHES / 2);
    }
    log_fixture_free(f);
}

static void the_disk_reads_while_a_reader_sends(void **state)
{
    struct log_fixture *f = log_open();
    struct log_fixture_read read;
    char path[LOG_PATH_SIZE];
    uint8_t byte;
    put(f, LARGE_COUNT, LARGE_SIZE);
    segment_path(f->logs[0], 0, ".log", path);
    (void)first_reading(f, 0);
    assert_int_equal(os_fake_drop_cache(f->fake, path), 0);
    assert_int_equal(log_fixture_read(f, 0, 0, 300000, &read), ERR_OK);
    log_fixture_turns(f, 5);
    int fd = f->logs[0]->segments[0]->file->file.fd;
    for (uint64_t at = 0; at < 2 * read.read.size; at += 4096)
        assert_int_equal(f->os->ops->pread_cached(f->os, fd, &byte, 1, at), 1);
    assert_int_equal(f->os->ops->pread_cached(f->os, fd, &byte, 1, 900000), -EAGAIN);
    free(read.bytes);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_grow),
        cmocka_unit_test(what_comes_again_is_taken_back),
        cmocka_unit_test(what_does_not_follow_is_dropped),
        cmocka_unit_test(a_full_disk_leaves_no_half_files),
        cmocka_unit_test(readers_after_a_restart_need_not_walk),
        cmocka_unit_test(lost_files_are_made_anew),
        cmocka_unit_test(the_disk_reads_while_a_reader_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

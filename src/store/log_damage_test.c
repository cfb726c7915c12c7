// Damage of segments: what is lost is the batch that was hit, it is told, and the rest is read.
// SPDX-License-Identifier: Apache-2.0
#include "store/log_fixture.h"

#include "store/journal_state.h"
#include "store/log.h"

#define BATCH_COUNT 6
#define RECORDS     2
#define EPOCH_AT    12 /* the leader epoch in a batch */

struct damage {
    struct log_fixture *f;
    int64_t first;
    int64_t next;
    unsigned count;
};

static void damage_found(void *arg, struct store_log_key key, int64_t first, int64_t next)
{
    struct damage *d = arg;
    d->first = d->count++ ? MIN(d->first, first) : first;
    d->next = MAX(d->next, next);
}

/* Six batches of two records, checkpointed: nothing of them in the journal. */
static struct log_fixture *filled(uint32_t sizes[BATCH_COUNT])
{
    struct log_fixture *f = log_fixture_new(7);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        struct log_fixture_batch batch = {
            .count = RECORDS, .size = 10 + i, .seed = i, .timestamp_ms = 5000};
        (void)log_fixture_put(f, 0, &batch);
        struct buf *buf = log_fixture_batch(&batch, &sizes[i]);
        buf_unref(buf);
    }
    log_fixture_drain(f);
    log_fixture_close(f);
    return f;
}

/* Reads everything; a bit for every batch that came. */
static unsigned read_through(struct log_fixture *f, unsigned log)
{
    unsigned came = 0;
    int64_t offset = 0;
    while (offset < BATCH_COUNT * RECORDS) {
        struct log_fixture_read r;
        enum err err = log_fixture_read(f, log, offset, 100000, &r);
        assert_true(err == ERR_OK || err == ERR_CORRUPT);
        assert_true(r.read.offset_next > offset);
        struct slice rest = slice_make(r.bytes, r.read.size);
        while (rest.size > 0) {
            struct batch_header header;
            assert_int_equal(batch_header_read(rest, &header), ERR_OK);
            assert_int_equal(batch_check(slice_make(rest.data, header.size), &header), ERR_OK);
            assert_int_equal(header.base_offset % RECORDS, 0);
            came |= 1u << (header.base_offset / RECORDS);
            rest = slice_make(rest.data + header.size, rest.size - header.size);
        }
        offset = r.read.offset_next;
        free(r.bytes);
    }
    assert_int_equal(offset, BATCH_COUNT * RECORDS);
    return came;
}

static void path_of(char *out, size_t size)
{
    struct store_log_key key = log_fixture_key(0);
    char topic[UUID_TEXT_SIZE + 1];
    uuid_to_text(&key.topic, topic);
    (void)snprintf(out, size, "/data/logs/%s-0/%020d.log", topic, 0);
}

static void flips(void **state)
{
    uint32_t sizes[BATCH_COUNT];
    char path[256];
    struct log_fixture *f = filled(sizes);
    path_of(path, sizeof(path));
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(f->fake);
    uint64_t position = 0;
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        for (uint32_t at = 0; at < sizes[i]; at++, position++) {
            os_fake_snapshot_restore(f->fake, snapshot);
            assert_int_equal(os_fake_flip(f->fake, path, position, at % 8), 0);
            assert_int_equal(log_fixture_open(f), ERR_OK);
            unsigned came = read_through(f, 0);
            if (came != (((1u << BATCH_COUNT) - 1) & ~(1u << i)))
                fail_msg("batch %u byte %u bit %u: came %x", i, at, at % 8, came);
            struct damage d = {.f = f};
            store_damage_each(f->store, damage_found, &d);
            if (d.count == 0 || d.first != i * RECORDS || d.next != (i + 1) * RECORDS)
                fail_msg("batch %u byte %u: damage %lld..%lld", i, at, (long long)d.first,
                         (long long)d.next);
            log_fixture_close(f);
        }
    }
    os_fake_snapshot_free(snapshot);
    log_fixture_free(f);
}

static void short_file(void **state)
{
    uint32_t sizes[BATCH_COUNT];
    char path[256];
    struct log_fixture *f = filled(sizes);
    path_of(path, sizeof(path));
    int fd = f->os->ops->open(f->os, path, OS_OPEN_WRITE);
    assert_int_equal(f->os->ops->truncate(f->os, fd, sizes[0] + sizes[1] + 30), 0);
    f->os->ops->close(f->os, fd);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(read_through(f, 0), 3);
    struct damage d = {.f = f};
    store_damage_each(f->store, damage_found, &d);
    assert_int_equal(d.first, 2 * RECORDS);
    assert_int_equal(d.next, BATCH_COUNT * RECORDS);
    log_fixture_free(f);
}

/* A file that cannot be read is like one that is damaged; a file that is gone as well. */
static void gone_file(void **state)
{
    uint32_t sizes[BATCH_COUNT];
    char path[256];
    struct log_fixture *f = filled(sizes);
    path_of(path, sizeof(path));
    assert_int_equal(os_fake_read_error(f->fake, path, 0, 100000, 5), 0);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_batch batch = {.count = 1, .size = 10, .seed = 9};
    enum err err;
    struct log_fixture_append *a = log_fixture_append(f, 1, &batch, &err);
    log_fixture_turns(f, 8);
    assert_true(a->is_done && a->err == ERR_OK);
    free(a);
    log_fixture_close(f);
    assert_int_equal(f->os->ops->unlink(f->os, path), 0);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(read_through(f, 0), 0);
    log_fixture_free(f);
}

/* Groups of a batch each, one block a group, none of them in a segment when the power goes. The
 * first piece holds three before a spare takes over. */
static void journal_flips(void **state)
{
    for (unsigned hit = 0; hit < 3; hit++) {
        struct log_fixture *f = log_fixture_new(3);
        assert_int_equal(log_fixture_open(f), ERR_OK);
        for (unsigned i = 0; i < BATCH_COUNT; i++) {
            struct log_fixture_batch batch = {.count = RECORDS, .size = 50, .seed = i};
            assert_int_equal(log_fixture_put(f, 0, &batch), i * RECORDS);
        }
        log_fixture_close(f);
        os_fake_crash(f->fake, 1, OS_FAKE_CRASH_KEEP_ALL);
        assert_int_equal(
            os_fake_flip(f->fake, "/data/journal/0000000000000001.jnl", 4096 * (1 + hit) + 190, 3),
            0);
        for (unsigned life = 0; life < 2; life++) {
            assert_int_equal(log_fixture_open(f), ERR_OK);
            struct damage d = {.f = f};
            store_damage_each(f->store, damage_found, &d);
            if (life == 0) {
                assert_int_equal(d.count, 1);
                assert_int_equal(d.first, hit * RECORDS);
                assert_int_equal(d.next, (hit + 1) * RECORDS);
            }
            assert_int_equal(store_log_end(f->logs[0]), BATCH_COUNT * RECORDS);
            assert_int_equal(read_through(f, 0), ((1u << BATCH_COUNT) - 1) & ~(1u << hit));
            log_fixture_drain(f);
            log_fixture_close(f);
        }
        log_fixture_free(f);
    }
}

/* Costs the batch that was hit, of the first of two logs, and nothing else. */
static void batch_flip(struct log_fixture *f, uint64_t at, unsigned bit, unsigned hit)
{
    assert_int_equal(os_fake_flip(f->fake, "/data/journal/0000000000000001.jnl", at, bit), 0);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct damage d = {.f = f};
    store_damage_each(f->store, damage_found, &d);
    assert_int_equal(d.count, 1);
    assert_int_equal(d.first, hit * RECORDS);
    assert_int_equal(d.next, (hit + 1) * RECORDS);
    for (unsigned log = 0; log < 2; log++) {
        assert_int_equal(store_log_end(f->logs[log]), BATCH_COUNT * RECORDS);
        unsigned missing = log == 0 ? 1u << hit : 0;
        assert_int_equal(read_through(f, log), ((1u << BATCH_COUNT) - 1) & ~missing);
    }
    struct log_fixture_batch batch = {.count = RECORDS, .size = 50, .seed = 99};
    assert_int_equal(log_fixture_put(f, 0, &batch), BATCH_COUNT * RECORDS);
    log_fixture_close(f);
}

/* One group with batches of two logs, and another that vouches for it: a batch that is hit costs
 * itself, and the log goes on behind it, also when it was the last one. */
static void journal_batch_flips(void **state)
{
    struct log_fixture *f = log_fixture_new(3);
    struct log_fixture_append *appends[2 * BATCH_COUNT];
    uint32_t sizes[BATCH_COUNT];
    enum err err;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < 2 * BATCH_COUNT; i++) {
        struct log_fixture_batch batch = {.count = RECORDS, .size = 50, .seed = i / 2};
        appends[i] = log_fixture_append(f, i % 2, &batch, &err);
        buf_unref(log_fixture_batch(&batch, &sizes[i / 2]));
    }
    log_fixture_turns(f, 8);
    for (unsigned i = 0; i < 2 * BATCH_COUNT; i++) {
        assert_true(appends[i]->is_done && appends[i]->err == ERR_OK);
        free(appends[i]);
    }
    (void)log_fixture_put(f, 2, &(struct log_fixture_batch){.count = 1, .size = 10});
    log_fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_KEEP_ALL);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(f->fake);
    uint64_t at = JOURNAL_BLOCK_SIZE + JOURNAL_HEAD_SIZE;
    for (unsigned hit = 0; hit < BATCH_COUNT; hit++) {
        uint32_t entry = JOURNAL_ENTRY_HEAD_SIZE + LOG_HEAD_SIZE + sizes[hit];
        /* of the first log's, which come first: the leader epoch, which the batch's own checksum
         * does not cover (but the batch before has the same), and all that it does */
        uint32_t batch = JOURNAL_ENTRY_HEAD_SIZE + LOG_HEAD_SIZE;
        for (uint32_t byte = batch + EPOCH_AT; hit > 0 && byte < batch + EPOCH_AT + 4; byte++) {
            os_fake_snapshot_restore(f->fake, snapshot);
            batch_flip(f, at + byte, 5, hit);
        }
        for (uint32_t byte = batch + BATCH_HEADER_SIZE; byte < entry; byte += 13) {
            os_fake_snapshot_restore(f->fake, snapshot);
            batch_flip(f, at + byte, byte % 8, hit);
        }
        at += entry;
    }
    os_fake_snapshot_free(snapshot);
    log_fixture_free(f);
}

static void deleted(void *arg, enum err err)
{
    assert_int_equal(err, ERR_OK);
    *(bool *)arg = true;
}

/* The journal still has its newest entries; those before them went with its checkpoint. */
static void a_deleted_log_is_not_damaged(void **state)
{
    uint32_t sizes[BATCH_COUNT];
    struct log_fixture *f = filled(sizes);
    bool is_deleted = false;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    (void)log_fixture_put(f, 0, &(struct log_fixture_batch){.count = 1, .size = 10});
    store_log_delete(f->logs[0], deleted, &is_deleted);
    for (unsigned i = 0; i < 200 && !is_deleted; i++)
        log_fixture_turns(f, 1);
    assert_true(is_deleted);
    log_fixture_close(f);
    f->log_count = 0;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct damage d = {.f = f};
    store_damage_each(f->store, damage_found, &d);
    assert_int_equal(d.count, 0);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips),
        cmocka_unit_test(short_file),
        cmocka_unit_test(gone_file),
        cmocka_unit_test(journal_flips),
        cmocka_unit_test(journal_batch_flips),
        cmocka_unit_test(a_deleted_log_is_not_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

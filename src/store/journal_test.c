// Tests of the journal: group commit, order, failures, damage, full disks, pieces.
// SPDX-License-Identifier: Apache-2.0
#include "store/journal_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "store/journal_state.h"

static struct fixture *opened(uint64_t seed)
{
    struct fixture *f = fixture_new(seed);
    assert_int_equal(fixture_open(f), ERR_OK);
    return f;
}

/* Until the first spare is in use and there is one behind it: no work in the background any more.
 */
static void settle(struct fixture *f)
{
    fixture_turns(f, 20);
    fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
}

/* Power loss that keeps what was synced, then a replay on a fresh core. */
static void crash_and_replay(struct fixture *f)
{
    if (!os_fake_power_is_off(f->fake))
        os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + 1, false);
    fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    fixture_core_open(f);
    assert_int_equal(fixture_replay(f), ERR_OK);
}

static void group_commit(void **state)
{
    (void)state;
    struct fixture *f = opened(1);
    struct fixture_entry *first = fixture_add(f, 0, 10, false, NULL);
    assert_int_equal(journal_pending(f->journal), 1);
    assert_int_equal(first->state, FIXTURE_ADDED);
    settle(f);
    assert_int_equal(first->state, FIXTURE_ACKED);
    uint64_t before = os_fake_operation_count(f->fake);
    struct fixture_entry *entries[100];
    for (unsigned i = 0; i < 100; i++)
        entries[i] = fixture_add(f, i % 3, i, i % 2, NULL);
    fixture_turns(f, 2);
    /* one write, one sync */
    assert_int_equal(os_fake_operation_count(f->fake) - before, 2);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(entries[i]->state, FIXTURE_ACKED);
        assert_int_equal(entries[i]->done_at, i + 3);
    }
    crash_and_replay(f);
    assert_int_equal(f->result.entry_count, 102);
    assert_int_equal(f->result.damage_count, 0);
    fixture_check_acked(f);
    fixture_free(f);
}

static void first_append_waits_for_no_zeros(void **state)
{
    (void)state;
    struct fixture *f = opened(2);
    uint64_t before = os_fake_operation_count(f->fake);
    struct fixture_entry *e = fixture_add(f, 0, 10, false, NULL);
    fixture_turns(f, 1);
    assert_int_equal(e->state, FIXTURE_ADDED);
    /* create, write, sync, sync the name; the rest is work of the background */
    fixture_turns(f, 1);
    assert_int_equal(e->state, FIXTURE_ACKED);
    assert_in_range(os_fake_operation_count(f->fake) - before, 4, 6);
    fixture_free(f);
}

/* An entry larger than a piece, and one larger than the limit. */
static void large_entries(void **state)
{
    (void)state;
    struct fixture *f = opened(3);
    struct fixture_entry *small = fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
    struct fixture_entry *large = fixture_add(f, 0, 200000, false, NULL);
    fixture_turns(f, 3);
    struct fixture_entry *huge = fixture_add(f, 1, 5 << 20, false, NULL);
    assert_null(huge); /* what lives already counts: first that must go */
    assert_int_equal(small->state, FIXTURE_ACKED);
    assert_int_equal(large->state, FIXTURE_ACKED);
    fixture_turns(f, 3);
    assert_int_equal(f->pressure_count, 1);
    fixture_checkpoint(f, 0, 3);
    huge = fixture_add(f, 1, 5 << 20, false, NULL);
    assert_non_null(huge);
    fixture_turns(f, 20);
    assert_int_equal(huge->state, FIXTURE_ACKED);
    crash_and_replay(f);
    assert_int_equal(huge->found, 1);
    fixture_check_acked(f);
    fixture_free(f);
}

static void count_file(void *arg, const char *name, bool is_directory)
{
    (*(unsigned *)arg)++;
}

static void recycling_and_pressure(void **state)
{
    (void)state;
    struct fixture *f = opened(4);
    uint64_t number_max = 0;
    unsigned file_count = 0;
    for (unsigned i = 1; i < 400; i++) {
        assert_non_null(fixture_add(f, 0, 5000, false, NULL));
        fixture_turns(f, 12);
        if (i > 20)
            fixture_checkpoint(f, 0, i - 20);
        number_max = MAX(number_max, journal_piece_number(journal_current(f->journal)));
    }
    /* 20 live entries are 5 pieces; they turn and turn, and need no more files */
    assert_true(number_max > 80);
    assert_int_equal(f->os->ops->list(f->os, "/j", count_file, &file_count), 0);
    assert_in_range(file_count, 5, 12);
    assert_int_equal(f->pressure_count, 0);
    crash_and_replay(f);
    assert_int_equal(f->result.damage_count, 0);
    fixture_check_acked(f);
    fixture_free(f);
}

static void limit_refuses_until_checkpoint(void **state)
{
    (void)state;
    struct fixture *f = opened(5);
    enum err err = ERR_OK;
    unsigned count = 0;
    while (fixture_add(f, 0, 9000, false, &err)) {
        fixture_turns(f, 12);
        count++;
        assert_true(count < 200);
    }
    assert_int_equal(err, ERR_BUSY);
    assert_in_range(count, 70, 100);
    assert_true(f->pressure_count > 5);
    assert_non_null(fixture_add(f, 1, 50, true, &err));
    fixture_turns(f, 3);
    fixture_checkpoint(f, 0, count / 2);
    assert_non_null(fixture_add(f, 0, 9000, false, &err));
    fixture_turns(f, 12);
    crash_and_replay(f);
    fixture_check_acked(f);
    fixture_free(f);
}

static void sync_failure_is_final(void **state)
{
    (void)state;
    struct fixture *f = opened(6);
    struct fixture_entry *good = fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
    os_fake_fault_add(f->fake, &(struct os_fake_fault){
                                   .kind = OS_FAKE_SYNC, .count = 1, .error = EIO, .forget = true});
    struct fixture_entry *lost = fixture_add(f, 0, 100, false, NULL);
    core_run_once(f->core, 0);
    struct fixture_entry *queued = fixture_add(f, 1, 100, true, NULL);
    fixture_turns(f, 3);
    assert_int_equal(lost->err, ERR_OFFLINE);
    assert_int_equal(queued->err, ERR_OFFLINE);
    assert_true(lost->done_at < queued->done_at);
    assert_true(journal_is_offline(f->journal));
    uint64_t before = os_fake_operation_count(f->fake);
    enum err err = ERR_OK;
    assert_null(fixture_add(f, 1, 100, true, &err));
    assert_int_equal(err, ERR_OFFLINE);
    fixture_turns(f, 10);
    assert_int_equal(os_fake_operation_count(f->fake), before);
    crash_and_replay(f);
    assert_int_equal(good->found, 1);
    fixture_check_acked(f);
    fixture_free(f);
}

static void write_failure_is_final(void **state)
{
    (void)state;
    struct fixture *f = opened(7);
    fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
    os_fake_fault_add(f->fake,
                      &(struct os_fake_fault){.kind = OS_FAKE_WRITE, .count = 1, .error = EIO});
    struct fixture_entry *lost = fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 3);
    assert_int_equal(lost->err, ERR_OFFLINE);
    assert_true(journal_is_offline(f->journal));
    fixture_free(f);
}

static void short_writes_go_on(void **state)
{
    (void)state;
    struct fixture *f = opened(8);
    os_fake_fault_add(f->fake, &(struct os_fake_fault){.kind = OS_FAKE_WRITE, .short_bytes = 777});
    for (unsigned i = 0; i < 20; i++)
        fixture_add(f, i % 3, i * 300, false, NULL);
    fixture_turns(f, 100);
    os_fake_fault_clear(f->fake);
    crash_and_replay(f);
    assert_int_equal(f->result.entry_count, 20);
    fixture_check_acked(f);
    fixture_free(f);
}

/* Appends fail, control entries of other logs go on, what is behind a failed entry fails too; with
 * space it goes on by itself. */
static void full_disk(void **state)
{
    (void)state;
    struct fixture *f = opened(9);
    for (unsigned i = 0; i < 3; i++) {
        fixture_add(f, 0, 3000, false, NULL);
        fixture_turns(f, 12);
    }
    os_fake_capacity_set(f->fake, 3 * 32768 + 8192);
    struct fixture_entry *failed = NULL;
    enum err err = ERR_OK;
    for (unsigned i = 0; i < 60 && !failed && err == ERR_OK; i++) {
        struct fixture_entry *e = fixture_add(f, 0, 3000, false, &err);
        fixture_turns(f, 4);
        if (e && e->state == FIXTURE_FAILED)
            failed = e;
    }
    assert_int_equal(failed ? failed->err : err, ERR_DISK_FULL);
    assert_null(fixture_add(f, 0, 10, false, &err));
    assert_int_equal(err, ERR_DISK_FULL);
    assert_false(journal_is_offline(f->journal));
    if (failed)
        f->lsn_next[0] = failed->entry.lsn; /* a log takes its LSN back */
    for (unsigned i = 0; i < 6; i++) {
        struct fixture_entry *control = fixture_add(f, 1, 50, true, NULL);
        fixture_turns(f, 3);
        assert_int_equal(control->state, FIXTURE_ACKED);
    }
    os_fake_capacity_set(f->fake, 1 << 30);
    os_fake_advance(f->fake, 1100000000);
    fixture_turns(f, 12);
    if (failed) {
        free(failed->body);
        free(failed);
    }
    struct fixture_entry *again = fixture_add(f, 0, 3000, false, &err);
    assert_non_null(again);
    fixture_turns(f, 3);
    assert_int_equal(again->state, FIXTURE_ACKED);
    crash_and_replay(f);
    assert_int_equal(f->result.damage_count, 0);
    fixture_check_acked(f);
    fixture_free(f);
}

/* Below the floor of free space appends stop, long before a write fails. */
static void floor_of_free_space(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(17);
    f->options.free_space_min_bytes = 1 << 20;
    os_fake_capacity_set(f->fake, 1 << 20);
    assert_int_equal(fixture_open(f), ERR_OK);
    struct fixture_entry *first = fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
    assert_int_equal(first->state, FIXTURE_ACKED);
    enum err err = ERR_OK;
    assert_null(fixture_add(f, 0, 100, false, &err));
    assert_int_equal(err, ERR_DISK_FULL);
    struct fixture_entry *control = fixture_add(f, 1, 100, true, &err);
    fixture_turns(f, 3);
    assert_int_equal(control->state, FIXTURE_ACKED);
    os_fake_capacity_set(f->fake, 2 << 20);
    os_fake_advance(f->fake, JOURNAL_RETRY_NS + 1);
    fixture_turns(f, 20);
    assert_non_null(fixture_add(f, 0, 100, false, &err));
    fixture_turns(f, 3);
    fixture_free(f);
}

static void no_space_spares_control_entries(void **state)
{
    (void)state;
    struct fixture *f = opened(10);
    fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
    os_fake_fault_add(f->fake,
                      &(struct os_fake_fault){.kind = OS_FAKE_WRITE, .count = 1, .error = ENOSPC});
    struct fixture_entry *control = fixture_add(f, 1, 20, true, NULL);
    struct fixture_entry *append = fixture_add(f, 0, 200, false, NULL);
    struct fixture_entry *behind = fixture_add(f, 0, 20, true, NULL);
    struct fixture_entry *other = fixture_add(f, 2, 20, true, NULL);
    core_run_once(f->core, 0);
    struct fixture_entry *queued = fixture_add(f, 0, 20, true, NULL);
    fixture_turns(f, 5);
    assert_int_equal(control->state, FIXTURE_ACKED);
    assert_int_equal(append->err, ERR_DISK_FULL);
    assert_int_equal(behind->err, ERR_DISK_FULL);
    assert_int_equal(other->state, FIXTURE_ACKED);
    assert_int_equal(queued->err, ERR_DISK_FULL);
    assert_true(control->done_at < append->done_at && append->done_at < other->done_at &&
                other->done_at < queued->done_at);
    crash_and_replay(f);
    assert_int_equal(f->result.entry_count, 3);
    assert_int_equal(control->found + other->found, 2);
    fixture_free(f);
}

/* A group that found no space is written again in the reserve: what is left of it is no damage. */
static void given_up_group_is_no_damage(void **state)
{
    (void)state;
    struct fixture *f = opened(16);
    fixture_add(f, 0, 100, false, NULL);
    settle(f);
    /* no new spares; the current piece is filled, the next one too, and has to grow */
    os_fake_fault_add(f->fake, &(struct os_fake_fault){.kind = OS_FAKE_OPEN, .error = EMFILE});
    while (f->journal->spare_count > 1 ||
           journal_current(f->journal)->used + JOURNAL_BLOCK_SIZE < 32768) {
        assert_non_null(fixture_add(f, 0, 3000, false, NULL));
        fixture_turns(f, 3);
    }
    struct journal_piece *grown = journal_current(f->journal);
    os_fake_fault_add(
        f->fake, &(struct os_fake_fault){.kind = OS_FAKE_WRITE, .count = 1, .short_bytes = 4096});
    os_fake_fault_add(f->fake, &(struct os_fake_fault){
                                   .kind = OS_FAKE_WRITE, .skip = 1, .count = 1, .error = ENOSPC});
    struct fixture_entry *append = fixture_add(f, 0, 9000, false, NULL);
    struct fixture_entry *control = fixture_add(f, 1, 9000, true, NULL);
    fixture_turns(f, 4);
    assert_int_equal(append->err, ERR_DISK_FULL);
    assert_int_equal(control->state, FIXTURE_ACKED);
    assert_ptr_not_equal(control->piece, grown);
    control = fixture_add(f, 1, 20, true, NULL);
    fixture_turns(f, 4);
    assert_int_equal(control->state, FIXTURE_ACKED);
    os_fake_fault_clear(f->fake);
    os_fake_cut_power(f->fake, os_fake_operation_count(f->fake) + 1, false);
    fixture_close(f);
    os_fake_crash(f->fake, 1, OS_FAKE_CRASH_KEEP_ALL);
    fixture_core_open(f);
    assert_int_equal(fixture_replay(f), ERR_OK);
    assert_int_equal(f->result.damage_count, 0);
    fixture_check_acked(f);
    fixture_free(f);
}

static bool is_group_at(struct fixture *f, const char *path, uint64_t at)
{
    uint8_t magic[4];
    int fd = f->os->ops->open(f->os, path, OS_OPEN_READ);
    assert_int_equal(f->os->ops->pread(f->os, fd, magic, sizeof(magic), at), sizeof(magic));
    f->os->ops->close(f->os, fd);
    return le32_get(magic) == JOURNAL_MAGIC_GROUP;
}

/* Every byte block of a journal is damaged once: only what lies there is lost. */
static void damage_stays_where_it_is(void **state)
{
    (void)state;
    struct fixture *f = opened(11);
    for (unsigned i = 0; i < 24; i++) {
        fixture_add(f, 0, 1000 + 400 * (i % 11), false, NULL);
        fixture_add(f, 1, 1000, false, NULL);
        fixture_turns(f, 12);
    }
    uint64_t last = journal_piece_number(journal_current(f->journal));
    crash_and_replay(f);
    assert_int_equal(f->result.entry_count, 48);
    assert_true(last >= 6);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(f->fake);
    unsigned damaged = 0;
    for (uint64_t number = 1; number <= last; number++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/j/%016llx.jnl", (unsigned long long)number);
        int64_t size = os_fake_size(f->fake, path, false);
        for (int64_t at = 20; at < size; at += JOURNAL_BLOCK_SIZE) {
            fixture_close(f);
            os_fake_snapshot_restore(f->fake, snapshot);
            fixture_core_open(f);
            bool is_head = is_group_at(f, path, (uint64_t)at - 20);
            assert_int_equal(os_fake_flip(f->fake, path, (uint64_t)at, 3), 0);
            assert_int_equal(fixture_replay(f), ERR_OK);
            assert_true(f->result.damage_count <= 1);
            bool is_lost = f->result.entry_count < 48;
            /* the last group is the torn end: nothing vouches for it */
            bool is_last = f->entries[0][24]->found == 0;
            assert_int_equal(f->entries[0][24]->found, f->entries[1][24]->found);
            assert_true(f->result.entry_count >= (is_head || is_last ? 46 : 47));
            if (is_lost && !is_last)
                assert_int_equal(f->result.damage_count, 1);
            damaged += f->result.damage_count > 0;
        }
    }
    assert_true(damaged > 24);
    os_fake_snapshot_free(snapshot);
    fixture_free(f);
}

/* Nine entries in one group, wherever it is hit, in a head or a body: one of them is lost. When it
 * is the last group nothing vouches for it, and all of them are. */
static void hit_group(bool is_last)
{
    struct fixture *f = opened(18);
    settle(f);
    struct fixture_entry *first = fixture_add(f, 0, 10, false, NULL);
    for (unsigned i = 1; i < 9; i++)
        (void)fixture_add(f, i % 3, 10 + 230 * i, false, NULL);
    fixture_turns(f, 4);
    if (!is_last)
        (void)fixture_add(f, 1, 100, false, NULL);
    fixture_turns(f, 4);
    uint64_t begin = first->entry.body_offset - JOURNAL_ENTRY_HEAD_SIZE;
    char path[64];
    (void)snprintf(path, sizeof(path), "/j/%016llx.jnl",
                   (unsigned long long)journal_piece_number(first->piece));
    crash_and_replay(f);
    uint64_t count = f->result.entry_count;
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(f->fake);
    for (uint64_t at = 0; at < 9 * (JOURNAL_ENTRY_HEAD_SIZE + 10) + 230 * 36; at += 7) {
        fixture_close(f);
        os_fake_snapshot_restore(f->fake, snapshot);
        fixture_core_open(f);
        assert_int_equal(os_fake_flip(f->fake, path, begin + at, at % 8), 0);
        assert_int_equal(fixture_replay(f), ERR_OK);
        if (f->result.entry_count != count - (is_last ? 9 : 1) ||
            f->result.damage_count != !is_last)
            fail_msg("byte %u: %u of %u entries", (unsigned)at, (unsigned)f->result.entry_count,
                     (unsigned)count);
    }
    os_fake_snapshot_free(snapshot);
    fixture_free(f);
}

static void damage_costs_one_entry(void **state)
{
    (void)state;
    hit_group(false);
    hit_group(true);
}

static enum err count_entry(void *arg, const struct journal_found *found)
{
    (*(uint64_t *)arg)++;
    return ERR_OK;
}

/* A disk that does not give some blocks back costs what lies there, not the start. */
static void unreadable_blocks(void **state)
{
    (void)state;
    struct fixture *f = opened(12);
    for (unsigned i = 0; i < 10; i++) {
        fixture_add(f, 0, 1000, false, NULL);
        fixture_turns(f, 12);
    }
    uint64_t number = journal_piece_number(journal_current(f->journal));
    char path[64];
    (void)snprintf(path, sizeof(path), "/j/%016llx.jnl", (unsigned long long)number);
    crash_and_replay(f);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(f->fake);
    assert_int_equal(f->result.entry_count, 10);
    for (uint64_t at = 0; at < 8 * 4096; at += 4096) {
        fixture_close(f);
        os_fake_snapshot_restore(f->fake, snapshot);
        fixture_core_open(f);
        assert_int_equal(os_fake_read_error(f->fake, path, at, 4096, EIO), 0);
        uint64_t count = 0;
        assert_int_equal(journal_replay(&(struct journal_folder){f->os, NULL, "/j"}, count_entry,
                                        &count, &f->result),
                         ERR_OK);
        assert_true(count >= 9);
        /* the end of what was written is where nobody can say whether there was more */
        assert_true(f->result.damage_count <= 1);
        assert_true(count == 10 || f->result.damage_count == 1);
        os_fake_read_error(f->fake, path, 0, 0, 0);
    }
    os_fake_snapshot_free(snapshot);
    fixture_free(f);
}

static void direct_data_first(void **state)
{
    (void)state;
    struct fixture *f = opened(13);
    fixture_add(f, 0, 100, false, NULL);
    settle(f);
    assert_int_equal(f->os->ops->mkdir(f->os, "/p"), 0);
    int root = f->os->ops->open(f->os, "/", OS_OPEN_READ | OS_OPEN_DIRECTORY);
    assert_int_equal(f->os->ops->fsync(f->os, root), 0);
    int dir = f->os->ops->open(f->os, "/p", OS_OPEN_READ | OS_OPEN_DIRECTORY);
    int fd = f->os->ops->open(f->os, "/p/0.log", OS_OPEN_WRITE | OS_OPEN_CREATE);
    const struct slice parts[] = {SLICE_LITERAL("abc"), SLICE_LITERAL("de"), SLICE_LITERAL("f"),
                                  SLICE_LITERAL("g")};
    struct journal_direct directs[3] = {
        {.fd = fd, .dir_fd = dir, .offset = 0, .parts = parts, .part_count = 1},
        {.fd = fd, .dir_fd = dir, .offset = 3, .parts = parts + 1, .part_count = 2},
        {.fd = fd, .dir_fd = dir, .offset = 10, .parts = parts + 3, .part_count = 1},
    };
    uint64_t before = os_fake_operation_count(f->fake);
    for (unsigned i = 0; i < 3; i++)
        fixture_add(f, 0, 8, false, NULL)->entry.direct = &directs[i];
    fixture_turns(f, 2);
    /* two writes, sync, sync of the folder, write and sync of the group */
    assert_int_equal(os_fake_operation_count(f->fake) - before, 6);
    crash_and_replay(f);
    assert_int_equal(f->result.entry_count, 5);
    char bytes[11] = {0};
    assert_int_equal(
        os_fake_peek(f->fake, "/p/0.log", true, 0, (struct iovec){bytes, sizeof(bytes)}), 11);
    assert_memory_equal(bytes, "abcdef\0\0\0\0g", 11);
    fixture_free(f);
}

/* A body that looks like a group of this piece, with all checksums right, behind a damaged head. */
static void payload_is_no_group(void **state)
{
    (void)state;
    struct fixture *f = opened(15);
    fixture_add(f, 0, 100, false, NULL);
    settle(f);
    struct fixture_entry *large = fixture_add(f, 0, 3 * JOURNAL_BLOCK_SIZE, false, NULL);
    size_t at = JOURNAL_BLOCK_SIZE - JOURNAL_HEAD_SIZE - JOURNAL_ENTRY_HEAD_SIZE;
    struct journal_head head = {.magic = JOURNAL_MAGIC_GROUP,
                                .number = journal_piece_number(journal_current(f->journal)),
                                .run = f->journal->run + 1,
                                .sequence = f->journal->sequence_next + 1};
    uint8_t entry[JOURNAL_ENTRY_HEAD_SIZE] = {0};
    entry[JOURNAL_ENTRY_AT_TYPE] = JOURNAL_TRUNCATE;
    head.body_size = sizeof(entry);
    head.entry_count = 1;
    head.crc = crc32c(0, entry, sizeof(entry));
    journal_head_put(large->body + at, &head);
    memcpy(large->body + at + JOURNAL_HEAD_SIZE, entry, sizeof(entry));
    fixture_turns(f, 3);
    uint64_t group_at = large->entry.body_offset - JOURNAL_HEAD_SIZE - JOURNAL_ENTRY_HEAD_SIZE;
    fixture_add(f, 1, 100, false, NULL);
    fixture_turns(f, 3);
    char path[64];
    (void)snprintf(path, sizeof(path), "/j/%016llx.jnl", (unsigned long long)head.number);
    fixture_close(f);
    assert_int_equal(os_fake_flip(f->fake, path, group_at, 0), 0);
    fixture_core_open(f);
    assert_int_equal(fixture_replay(f), ERR_OK); /* which checks that nothing is invented */
    assert_int_equal(f->result.entry_count, 3);
    assert_int_equal(f->result.damage_count, 1);
    fixture_free(f);
}

static enum err refuse(void *arg, const struct journal_found *found)
{
    return ERR_NO_MEMORY;
}

static void replay_error_deletes_nothing(void **state)
{
    (void)state;
    struct fixture *f = opened(14);
    fixture_add(f, 0, 100, false, NULL);
    fixture_turns(f, 20);
    crash_and_replay(f);
    struct journal_replay_result result;
    assert_int_equal(
        journal_replay(&(struct journal_folder){f->os, NULL, "/j"}, refuse, NULL, &result),
        ERR_NO_MEMORY);
    crash_and_replay(f);
    assert_int_equal(f->result.entry_count, 1);
    fixture_check_acked(f);
    /* nobody wants it any more: gone with the last reference */
    fixture_checkpoint(f, 0, 2);
    unsigned count = 0;
    assert_int_equal(f->os->ops->list(f->os, "/j", count_file, &count), 0);
    assert_int_equal(count, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_commit),
        cmocka_unit_test(first_append_waits_for_no_zeros),
        cmocka_unit_test(large_entries),
        cmocka_unit_test(recycling_and_pressure),
        cmocka_unit_test(limit_refuses_until_checkpoint),
        cmocka_unit_test(sync_failure_is_final),
        cmocka_unit_test(write_failure_is_final),
        cmocka_unit_test(short_writes_go_on),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(floor_of_free_space),
        cmocka_unit_test(no_space_spares_control_entries),
        cmocka_unit_test(given_up_group_is_no_damage),
        cmocka_unit_test(damage_stays_where_it_is),
        cmocka_unit_test(damage_costs_one_entry),
        cmocka_unit_test(unreadable_blocks),
        cmocka_unit_test(direct_data_first),
        cmocka_unit_test(payload_is_no_group),
        cmocka_unit_test(replay_error_deletes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

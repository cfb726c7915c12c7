// Tests the fake os: file operations, space, faults, cold reads, clocks and its event loop.
// SPDX-License-Identifier: Apache-2.0
#include "os/fake_fixture.h"

#include <signal.h>
#include <sys/epoll.h>

static void files_read_back_what_was_written(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_open(os, "/f");
    assert_true(fd >= 0);
    struct iovec parts[2] = {{"hello ", 6}, {"world", 5}};
    assert_int_equal(os->ops->pwritev(os, fd, parts, 2, 4090), 11);
    char data[32];
    assert_int_equal(os->ops->pread(os, fd, data, sizeof(data), 4088), 13);
    assert_memory_equal(data, "\0\0hello world", 13);
    assert_int_equal(os->ops->pread(os, fd, data, sizeof(data), 4101), 0);
    struct os_stat found;
    assert_int_equal(os->ops->fstat(os, fd, &found), 0);
    assert_int_equal(found.size_bytes, 4101);
    assert_false(found.is_directory);
    assert_int_equal(found.modified_ms, os->ops->wall_ms(os));
    assert_int_equal(os->ops->truncate(os, fd, 4092), 0);
    assert_int_equal(os->ops->truncate(os, fd, 5000), 0);
    assert_int_equal(os->ops->pread(os, fd, data, 6, 4090), 6);
    assert_memory_equal(data, "he\0\0\0\0", 6);
    assert_int_equal(os->ops->close(os, fd), 0);
    assert_int_equal(os->ops->close(os, fd), -EBADF);
    fd = os->ops->open(os, "/f", OS_OPEN_READ);
    assert_int_equal(file_try(os, fd, 0, SLICE_LITERAL("x")), -EBADF);
    assert_int_equal(os->ops->truncate(os, fd, 0), -EINVAL);
    fd = os->ops->open(os, "/f", OS_OPEN_WRITE | OS_OPEN_TRUNCATE);
    assert_int_equal(os->ops->pread(os, fd, data, 1, 0), -EBADF);
    assert_int_equal(os_fake_size(fake, "/f", false), 0);
    os_fake_free(fake);
}

static void count_names(void *arg, const char *name, bool is_directory)
{
    unsigned *seen = arg;
    seen[is_directory]++;
    assert_true(is_directory ? strcmp(name, "e") == 0 : strcmp(name, "f") == 0);
}

static void paths_follow_the_kernel(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    unsigned exclusive = OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE;
    assert_int_equal(os->ops->open(os, "/d/f", exclusive), -ENOENT);
    assert_int_equal(os->ops->mkdir(os, "/d"), 0);
    assert_int_equal(os->ops->mkdir(os, "/d"), 0);
    assert_int_equal(os->ops->mkdir(os, "/d/e"), 0);
    assert_true(os->ops->open(os, "/d/f", exclusive) >= 0);
    assert_int_equal(os->ops->open(os, "/d/f", exclusive), -EEXIST);
    assert_int_equal(os->ops->mkdir(os, "/d/f"), -ENOTDIR);
    assert_int_equal(os->ops->open(os, "/d/f/g", OS_OPEN_READ), -ENOTDIR);
    assert_int_equal(os->ops->open(os, "/d/f", OS_OPEN_DIRECTORY), -ENOTDIR);
    assert_int_equal(os->ops->open(os, "/d", OS_OPEN_WRITE), -EISDIR);
    assert_int_equal(os->ops->open(os, "relative", OS_OPEN_READ), -EINVAL);
    unsigned seen[2] = {0};
    assert_int_equal(os->ops->list(os, "/d/", count_names, seen), 0);
    assert_true(seen[0] == 1 && seen[1] == 1);
    assert_int_equal(os->ops->list(os, "/d/f", count_names, seen), -ENOTDIR);
    assert_int_equal(os->ops->rmdir(os, "/d"), -ENOTEMPTY);
    assert_int_equal(os->ops->unlink(os, "/d/e"), -EISDIR);
    assert_int_equal(os->ops->rmdir(os, "/d/f"), -ENOTDIR);
    assert_int_equal(os->ops->rename(os, "/d", "/d/e/x"), -EINVAL);
    assert_int_equal(os->ops->rename(os, "/d/f", "/d/e"), -EISDIR);
    assert_int_equal(os->ops->rename(os, "/d/e", "/d/f"), -ENOTDIR);
    assert_int_equal(os->ops->rename(os, "/d/f", "/d/e/g"), 0);
    assert_int_equal(os->ops->unlink(os, "/d/f"), -ENOENT);
    assert_int_equal(os->ops->unlink(os, "/d/e/g"), 0);
    assert_int_equal(os->ops->rmdir(os, "/d/e"), 0);
    assert_int_equal(os->ops->rmdir(os, "/d"), 0);
    assert_false(path_exists(os, "/d"));
    os_fake_free(fake);
}

static void lock_is_held_until_close(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int first = file_open(os, "/lock");
    int second = file_open(os, "/lock");
    assert_int_equal(os->ops->lock(os, first), 0);
    assert_int_equal(os->ops->lock(os, first), 0);
    assert_int_equal(os->ops->lock(os, second), -EWOULDBLOCK);
    assert_int_equal(os->ops->close(os, first), 0);
    assert_int_equal(os->ops->lock(os, second), 0);
    os_fake_kill(fake);
    assert_int_equal(os->ops->lock(os, file_open(os, "/lock")), 0);
    os_fake_free(fake);
}

static uint64_t space_free(struct os *os)
{
    struct os_space space;
    assert_int_equal(os->ops->space(os, "/", &space), 0);
    return space.free_bytes;
}

static void full_disk_refuses_and_recovers(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    os_fake_capacity_set(fake, 10 * 4096);
    int fd = file_open(os, "/f");
    file_fill(os, fd, 4000, 200, 'a'); /* two blocks */
    assert_int_equal(space_free(os), 8 * 4096);
    int reserved = file_open(os, "/r");
    assert_int_equal(os->ops->reserve(os, reserved, 0, 9 * 4096), -ENOSPC);
    assert_int_equal(os->ops->reserve(os, reserved, 0, 5 * 4096), 0);
    assert_int_equal(os_fake_size(fake, "/r", false), 0);
    assert_int_equal(space_free(os), 3 * 4096);
    static const uint8_t data[8 * 4096];
    assert_int_equal(file_try(os, fd, 8192, slice_make(data, sizeof(data))), 3 * 4096);
    assert_int_equal(file_try(os, fd, 5 * 4096, slice_make(data, 1)), -ENOSPC);
    file_fill(os, fd, 0, 4096, 'b'); /* space it has */
    file_fill(os, reserved, 0, 5 * 4096, 'r');
    assert_int_equal(file_try(os, reserved, 5 * 4096, slice_make(data, 1)), -ENOSPC);
    assert_int_equal(os->ops->truncate(os, fd, 4096), 0);
    assert_int_equal(space_free(os), 4 * 4096);
    assert_int_equal(os->ops->unlink(os, "/r"), 0);
    assert_int_equal(space_free(os), 4 * 4096);
    assert_int_equal(os->ops->close(os, reserved), 0);
    assert_int_equal(space_free(os), 9 * 4096);
    os_fake_free(fake);
}

static void reservation_survives_when_synced(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    os_fake_capacity_set(fake, 10 * 4096);
    int fd = file_durable(os, "/f", 100, 'a');
    assert_int_equal(os->ops->reserve(os, fd, 0, 6 * 4096), 0);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(space_free(os), 9 * 4096);
    fd = file_open(os, "/f");
    assert_int_equal(os->ops->reserve(os, fd, 0, 6 * 4096), 0);
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(space_free(os), 4 * 4096);
    assert_int_equal(os_fake_size(fake, "/f", true), 100);
    fd = file_open(os, "/f");
    assert_int_equal(os->ops->truncate(os, fd, 50), 0);
    assert_int_equal(space_free(os), 9 * 4096);
    os_fake_free(fake);
}

static void faults_strike_by_countdown(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_open(os, "/f");
    int other = file_open(os, "/other");
    os_fake_fault_add(
        fake, &(struct os_fake_fault){
                  .kind = OS_FAKE_WRITE, .path_part = "/f", .skip = 1, .count = 2, .error = EIO});
    struct slice bytes = SLICE_LITERAL("12345678");
    assert_int_equal(file_try(os, fd, 0, bytes), 8);
    assert_int_equal(file_try(os, other, 0, bytes), 8);
    assert_int_equal(file_try(os, fd, 8, bytes), -EIO);
    assert_int_equal(file_try(os, other, 8, bytes), 8);
    assert_int_equal(file_try(os, fd, 8, bytes), -EIO);
    assert_int_equal(os_fake_size(fake, "/f", false), 8);
    assert_int_equal(file_try(os, fd, 8, bytes), 8);
    os_fake_fault_clear(fake);
    struct os_fake_fault shortened = {.kind = OS_FAKE_WRITE, .short_bytes = 3, .count = 1};
    os_fake_fault_add(fake, &shortened);
    assert_int_equal(file_try(os, fd, 16, bytes), 3);
    assert_int_equal(os_fake_size(fake, "/f", false), 19);
    assert_int_equal(file_try(os, fd, 16, bytes), 8);
    static const struct os_fake_fault every[] = {
        {.kind = OS_FAKE_OPEN, .error = EMFILE},    {.kind = OS_FAKE_READ, .error = EIO},
        {.kind = OS_FAKE_SYNC, .error = EIO},       {.kind = OS_FAKE_TRUNCATE, .error = EIO},
        {.kind = OS_FAKE_RESERVE, .error = ENOSPC}, {.kind = OS_FAKE_NAME, .error = EROFS},
        {.kind = OS_FAKE_STAT, .error = EACCES},    {.kind = OS_FAKE_LOCK, .error = ENOLCK},
    };
    for (size_t i = 0; i < COUNT_OF(every); i++)
        os_fake_fault_add(fake, &every[i]);
    char data[8];
    struct os_stat found;
    assert_int_equal(os->ops->open(os, "/f", OS_OPEN_READ), -EMFILE);
    assert_int_equal(os->ops->pread(os, fd, data, 8, 0), -EIO);
    assert_int_equal(os->ops->pread_cached(os, fd, data, 8, 0), -EIO);
    assert_int_equal(os->ops->fdatasync(os, fd), -EIO);
    assert_int_equal(os->ops->syncfs(os, fd), -EIO);
    assert_int_equal(os->ops->truncate(os, fd, 0), -EIO);
    assert_int_equal(os->ops->reserve(os, fd, 0, 1), -ENOSPC);
    assert_int_equal(os->ops->unlink(os, "/f"), -EROFS);
    assert_int_equal(os->ops->rename(os, "/f", "/g"), -EROFS);
    assert_int_equal(os->ops->fstat(os, fd, &found), -EACCES);
    assert_int_equal(os->ops->lock(os, fd), -ENOLCK);
    os_fake_free(fake);
}

/* After a failed sync that forgets, the next sync succeeds and yet the bytes are not there. */
static void failed_sync_may_forget(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 2048, 'a');
    file_fill(os, fd, 0, 1024, 'b');
    os_fake_fault_add(fake, &(struct os_fake_fault){
                                .kind = OS_FAKE_SYNC, .error = EIO, .count = 1, .forget = true});
    assert_int_equal(os->ops->fdatasync(os, fd), -EIO);
    file_fill(os, fd, 512, 512, 'c');
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    assert_int_equal(sector_letter(fake, "/f", 0), 'b'); /* still in the cache */
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_KEEP_ALL);
    assert_int_equal(sector_letter(fake, "/f", 0), 'a');
    assert_int_equal(sector_letter(fake, "/f", 1), 'c');
    os_fake_snapshot_restore(fake, snapshot);
    assert_int_equal(os_fake_drop_cache(fake, "/f"), 0);
    assert_int_equal(sector_letter(fake, "/f", 0), 'a');
    assert_int_equal(sector_letter(fake, "/f", 1), 'c');
    os_fake_snapshot_free(snapshot);
    os_fake_fault_clear(fake);
    fd = file_open(os, "/f");
    file_fill(os, fd, 0, 512, 'd');
    os_fake_fault_add(fake, &(struct os_fake_fault){.kind = OS_FAKE_SYNC, .error = EIO});
    assert_int_equal(os->ops->fdatasync(os, fd), -EIO);
    os_fake_fault_clear(fake);
    assert_int_equal(os->ops->fdatasync(os, fd), 0); /* one that did not forget */
    os_fake_crash(fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(sector_letter(fake, "/f", 0), 'd');
    os_fake_free(fake);
}

static void cold_pages_need_a_read(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 3 * 4096, 'a');
    char data[3 * 4096];
    assert_int_equal(os->ops->pread_cached(os, fd, data, sizeof(data), 0), sizeof(data));
    assert_int_equal(os_fake_drop_cache(fake, "/f"), 0);
    assert_int_equal(os->ops->pread_cached(os, fd, data, sizeof(data), 0), -EAGAIN);
    assert_int_equal(os->ops->pread(os, fd, data, 10, 100), 10);
    assert_int_equal(os->ops->pread_cached(os, fd, data, sizeof(data), 0), 4096);
    assert_int_equal(os->ops->pread_cached(os, fd, data, 10, 4096), -EAGAIN);
    file_fill(os, fd, 4096, 1, 'b'); /* a write brings the page in */
    assert_int_equal(os->ops->pread_cached(os, fd, data, sizeof(data), 10), 8192 - 10);
    assert_int_equal(os->ops->pread_cached(os, fd, data, 10, sizeof(data)), 0);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_KEEP_ALL);
    fd = file_open(os, "/f");
    assert_int_equal(os->ops->pread_cached(os, fd, data, 10, 0), -EAGAIN);
    os_fake_free(fake);
}

static void media_damage(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 8192, 'a');
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    assert_int_equal(os_fake_flip(fake, "/f", 4097, 1), 0);
    assert_int_equal(os_fake_flip(fake, "/f", 8192, 1), -EINVAL);
    assert_int_equal(os_fake_flip(fake, "/nothing", 0, 1), -ENOENT);
    char data[8192];
    assert_int_equal(os->ops->pread(os, fd, data, 3, 4096), 3);
    assert_memory_equal(data, "aca", 3);
    assert_int_equal(os_fake_peek(fake, "/f", true, 4097, (struct iovec){data, 1}), 1);
    assert_int_equal(data[0], 'c');
    assert_int_equal(os_fake_read_error(fake, "/f", 5000, 10, EIO), 0);
    assert_int_equal(os->ops->pread(os, fd, data, 8192, 0), -EIO);
    assert_int_equal(os->ops->pread(os, fd, data, 5000, 0), 5000);
    assert_int_equal(os->ops->pread(os, fd, data, 1, 5009), -EIO);
    assert_int_equal(os->ops->pread(os, fd, data, 8192, 5010), 8192 - 5010);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_RANDOM);
    fd = file_open(os, "/f");
    assert_int_equal(os->ops->pread(os, fd, data, 1, 5000), -EIO);
    assert_int_equal(os_fake_read_error(fake, "/f", 0, 0, 0), 0);
    assert_int_equal(os->ops->pread(os, fd, data, 1, 5000), 1);
    os_fake_snapshot_restore(fake, snapshot); /* undamaged: copies share nothing that is written */
    assert_int_equal(os_fake_peek(fake, "/f", true, 4097, (struct iovec){data, 1}), 1);
    assert_int_equal(data[0], 'a');
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

static void clocks_move_only_when_told(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    uint64_t mono = os->ops->mono_ns(os);
    int64_t wall = os->ops->wall_ms(os);
    assert_true(mono > 0 && os->ops->mono_ns(os) == mono);
    os_fake_advance(fake, 2500000);
    assert_int_equal(os->ops->mono_ns(os), mono + 2500000);
    assert_int_equal(os->ops->wall_ms(os), wall + 2);
    os_fake_wall_set(fake, 5);
    assert_int_equal(os->ops->wall_ms(os), 5);
    assert_int_equal(os->ops->mono_ns(os), mono + 2500000);
    struct os_fake *twin = os_fake_new(1);
    uint8_t a[13], b[13];
    os->ops->random(os, a, sizeof(a));
    os_fake_os(twin)->ops->random(os_fake_os(twin), b, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
    os->ops->random(os, a, sizeof(a));
    assert_memory_not_equal(a, b, sizeof(a));
    os_fake_free(twin);
    os_fake_free(fake);
}

static void waiting_moves_the_clock(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int poll = os->ops->poll_create(os);
    int event = os->ops->event_create(os);
    struct os_event got[4];
    uint64_t start = os->ops->mono_ns(os);
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLIN, 42, false), -ENOENT);
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLIN, 42, true), 0);
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLIN, 42, true), -EEXIST);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 0), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 7000), 0);
    assert_int_equal(os->ops->mono_ns(os), start + 7000);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, -1), -EDEADLK);
    assert_int_equal(os->ops->event_signal(os, event), 0);
    assert_int_equal(os->ops->event_signal(os, event), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 7000), 1);
    assert_true(got[0].tag == 42 && got[0].events == EPOLLIN);
    assert_int_equal(os->ops->mono_ns(os), start + 7000);
    assert_int_equal(os->ops->event_clear(os, event), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 0), 0);
    const int numbers[] = {SIGTERM, SIGHUP};
    int signals = os->ops->signal_create(os, numbers, 2);
    assert_int_equal(os->ops->poll_set(os, poll, signals, EPOLLIN, 43, true), 0);
    os_fake_signal(fake, SIGTERM);
    os_fake_signal(fake, SIGINT);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, -1), 1);
    assert_int_equal(got[0].tag, 43);
    assert_int_equal(os->ops->signal_read(os, signals), SIGTERM);
    assert_int_equal(os->ops->signal_read(os, signals), -EAGAIN);
    assert_int_equal(os->ops->event_signal(os, event), 0);
    assert_int_equal(os->ops->poll_set(os, poll, event, EPOLLIN, 44, false), 0);
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, -1), 1);
    assert_int_equal(got[0].tag, 44);
    assert_int_equal(os->ops->close(os, event), 0); /* leaves the poll */
    assert_int_equal(os->ops->poll_wait(os, poll, got, 4, 0), 0);
    assert_int_equal(os->ops->poll_set(os, poll, signals, 0, 0, false), 0);
    assert_int_equal(os->ops->poll_set(os, poll, signals, 0, 0, false), -ENOENT);
    assert_int_equal(os->ops->socket(os, AF_INET, SOCK_STREAM), -ENOTSUP);
    assert_int_equal(os->ops->thread_start(os, "x", NULL, NULL, NULL), -ENOTSUP);
    os_fake_free(fake);
}

/* 64 MiB of zeros hold no pages, and copies of a big file share them: else this takes minutes. */
static void big_files_are_cheap(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    os_fake_capacity_set(fake, 65ULL << 20);
    int fd = file_open(os, "/journal");
    static const uint8_t zeros[1 << 20];
    for (uint64_t at = 0; at < 64; at++)
        assert_int_equal(file_try(os, fd, at << 20, slice_make(zeros, sizeof(zeros))), 1 << 20);
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    directory_sync(os, "/");
    assert_int_equal(space_free(os), 1 << 20);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        os_fake_snapshot_restore(fake, snapshot);
        fd = file_open(os, "/journal");
        file_fill(os, fd, seed * 8192, 4096, 'j');
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
    }
    assert_int_equal(os_fake_size(fake, "/journal", true), 64 << 20);
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_read_back_what_was_written),
        cmocka_unit_test(paths_follow_the_kernel),
        cmocka_unit_test(lock_is_held_until_close),
        cmocka_unit_test(full_disk_refuses_and_recovers),
        cmocka_unit_test(reservation_survives_when_synced),
        cmocka_unit_test(faults_strike_by_countdown),
        cmocka_unit_test(failed_sync_may_forget),
        cmocka_unit_test(cold_pages_need_a_read),
        cmocka_unit_test(media_damage),
        cmocka_unit_test(clocks_move_only_when_told),
        cmocka_unit_test(waiting_moves_the_clock),
        cmocka_unit_test(big_files_are_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

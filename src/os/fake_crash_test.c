// Tests what a loss of power may do to the fake disk, and what it may never do.
// SPDX-License-Identifier: Apache-2.0
#include "os/fake_fixture.h"

enum { SEEDS = 300 };

static void unsynced_sector_is_kept_lost_or_garbled(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 8 * 512, 'a');
    file_fill(os, fd, 2 * 512, 3 * 512, 'b');
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    unsigned kept = 0, lost = 0, garbled = 0, mixed = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        os_fake_snapshot_restore(fake, snapshot);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        for (uint64_t sector = 0; sector < 8; sector++) {
            char letter = sector_letter(fake, "/f", sector);
            if (sector < 2 || sector > 4) {
                assert_int_equal(letter, 'a');
                continue;
            }
            kept += letter == 'b';
            lost += letter == 'a';
            garbled += letter == '?';
        }
        mixed += sector_letter(fake, "/f", 2) != sector_letter(fake, "/f", 3);
        assert_int_equal(os_fake_size(fake, "/f", true), 8 * 512);
    }
    assert_true(kept > 100 && lost > 100 && garbled > 20 && mixed > 50);
    assert_int_equal(kept + lost + garbled, 3 * SEEDS);
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

static void policies_keep_or_lose_all(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 4096, 'a');
    file_fill(os, fd, 0, 8192, 'b');
    file_open(os, "/g");
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    os_fake_crash(fake, 7, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(os_fake_size(fake, "/f", false), 4096);
    assert_int_equal(sector_letter(fake, "/f", 7), 'a');
    assert_false(path_exists(os, "/g"));
    os_fake_snapshot_restore(fake, snapshot);
    assert_int_equal(os_fake_size(fake, "/f", false), 8192);
    assert_int_equal(os_fake_size(fake, "/f", true), 4096);
    os_fake_crash(fake, 7, OS_FAKE_CRASH_KEEP_ALL);
    assert_int_equal(os_fake_size(fake, "/f", true), 8192);
    for (uint64_t sector = 0; sector < 16; sector++)
        assert_int_equal(sector_letter(fake, "/f", sector), 'b');
    assert_true(path_exists(os, "/g"));
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

static void unsynced_size_falls_anywhere(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 1000, 'a');
    file_fill(os, fd, 1000, 9000, 'b');
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    unsigned old = 0, new = 0, between = 0, holes = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        os_fake_snapshot_restore(fake, snapshot);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        int64_t size = os_fake_size(fake, "/f", false);
        assert_true(size >= 1000 && size <= 10000);
        assert_int_equal(sector_letter(fake, "/f", 0), 'a');
        old += size == 1000;
        new += size == 10000;
        between += size > 1000 && size < 10000;
        for (uint64_t sector = 2; (int64_t)sector * 512 < size; sector++)
            holes += sector_letter(fake, "/f", sector) == 0;
    }
    assert_true(old > 20 && new > 20 && between > 20 && holes > 20);
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

static void what_lies_beyond_a_lost_size_is_zero_when_the_file_grows(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 100, 'a');
    file_fill(os, fd, 100, 8000, 'b');
    os_fake_crash(fake, 3, (struct os_fake_crash_policy){.keep = 1});
    fd = file_open(os, "/f");
    assert_int_equal(os->ops->truncate(os, fd, 100), 0);
    assert_int_equal(os->ops->truncate(os, fd, 8000), 0);
    char data[8000];
    assert_int_equal(os->ops->pread(os, fd, data, sizeof(data), 0), sizeof(data));
    for (size_t i = 0; i < sizeof(data); i++)
        assert_int_equal(data[i], i < 100 ? 'a' : 0);
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    os_fake_crash(fake, 4, OS_FAKE_CRASH_RANDOM);
    assert_int_equal(sector_letter(fake, "/f", 1), 0);
    assert_int_equal(os_fake_size(fake, "/f", true), 8000);
    os_fake_free(fake);
}

static void truncate_without_sync_may_come_back(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int fd = file_durable(os, "/f", 8192, 'a');
    assert_int_equal(os->ops->truncate(os, fd, 0), 0);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    unsigned old = 0, new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        os_fake_snapshot_restore(fake, snapshot);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        old += os_fake_size(fake, "/f", false) == 8192;
        new += os_fake_size(fake, "/f", false) == 0;
    }
    assert_true(old > 20 && new > 20);
    os_fake_snapshot_restore(fake, snapshot);
    fd = file_open(os, "/f");
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_RANDOM);
    assert_int_equal(os_fake_size(fake, "/f", false), 0);
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

static void name_without_directory_sync_may_vanish(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    int old = file_durable(os, "/old", 512, 'o');
    int fd = file_open(os, "/new");
    file_fill(os, fd, 0, 512, 'n');
    assert_int_equal(os->ops->fsync(os, fd), 0);
    assert_int_equal(os->ops->unlink(os, "/old"), 0);
    assert_int_equal(os->ops->close(os, old), 0);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    unsigned seen[4] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        os_fake_snapshot_restore(fake, snapshot);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        bool has_old = path_exists(os, "/old");
        bool has_new = path_exists(os, "/new");
        seen[has_old * 2 + has_new]++;
        if (has_old)
            assert_int_equal(sector_letter(fake, "/old", 0), 'o');
        if (has_new)
            assert_int_equal(sector_letter(fake, "/new", 0), 'n');
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        assert_true(seen[i] > 20);
    os_fake_snapshot_restore(fake, snapshot);
    directory_sync(os, "/");
    os_fake_crash(fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_true(path_exists(os, "/new"));
    assert_false(path_exists(os, "/old"));
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

static void rename_is_old_or_new(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    file_durable(os, "/f", 512, 'a');
    int fd = file_open(os, "/tmp");
    file_fill(os, fd, 0, 512, 'b');
    assert_int_equal(os->ops->fdatasync(os, fd), 0);
    assert_int_equal(os->ops->rename(os, "/tmp", "/f"), 0);
    struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
    unsigned old = 0, new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        os_fake_snapshot_restore(fake, snapshot);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        char letter = sector_letter(fake, "/f", 0);
        assert_true(letter == 'a' || letter == 'b');
        assert_false(letter == 'b' && path_exists(os, "/tmp"));
        old += letter == 'a';
        new += letter == 'b';
    }
    assert_true(old > 50 && new > 50);
    os_fake_snapshot_restore(fake, snapshot);
    directory_sync(os, "/");
    os_fake_crash(fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_int_equal(sector_letter(fake, "/f", 0), 'b');
    os_fake_snapshot_free(snapshot);
    os_fake_free(fake);
}

/* A durable file moved through new directories: whatever is synced or lost, it has one name. */
static void moved_file_never_disappears(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct os_fake *fake = os_fake_new(seed);
        struct os *os = os_fake_os(fake);
        file_durable(os, "/f", 512, 'a');
        assert_int_equal(os->ops->mkdir(os, "/d"), 0);
        assert_int_equal(os->ops->mkdir(os, "/d/e"), 0);
        assert_int_equal(os->ops->rename(os, "/f", "/d/e/g"), 0);
        if (seed % 3 == 1)
            directory_sync(os, "/d/e");
        if (seed % 3 == 2)
            directory_sync(os, "/");
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        bool has_old = path_exists(os, "/f");
        assert_int_equal(has_old + path_exists(os, "/d/e/g"), 1);
        if (seed % 3 != 0)
            assert_false(has_old);
        assert_int_equal(sector_letter(fake, has_old ? "/f" : "/d/e/g", 0), 'a');
        os_fake_free(fake);
    }
}

static void names_in_order_keep_a_first_part(void **state)
{
    unsigned seen[5] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct os_fake *fake = os_fake_new(seed);
        struct os *os = os_fake_os(fake);
        const char *paths[] = {"/a", "/b", "/c", "/d"};
        for (size_t i = 0; i < COUNT_OF(paths); i++)
            file_open(os, paths[i]);
        struct os_fake_crash_policy policy = OS_FAKE_CRASH_RANDOM;
        policy.names_in_order = true;
        os_fake_crash(fake, seed, policy);
        size_t first = 0;
        while (first < COUNT_OF(paths) && path_exists(os, paths[first]))
            first++;
        seen[first]++;
        for (size_t i = first; i < COUNT_OF(paths); i++)
            assert_false(path_exists(os, paths[i]));
        os_fake_free(fake);
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        assert_true(seen[i] > 10);
}

static void syncfs_makes_everything_durable(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    struct os *os = os_fake_os(fake);
    assert_int_equal(os->ops->mkdir(os, "/d"), 0);
    int fd = file_open(os, "/d/f");
    file_fill(os, fd, 0, 5000, 'x');
    int other = file_open(os, "/g");
    assert_int_equal(os->ops->syncfs(os, other), 0);
    os_fake_crash(fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    assert_true(path_exists(os, "/g"));
    assert_int_equal(os_fake_size(fake, "/d/f", false), 5000);
    assert_int_equal(sector_letter(fake, "/d/f", 9), 'x');
    assert_int_equal(os->ops->pread(os, fd, &(char){0}, 1, 0), -EBADF);
    os_fake_free(fake);
}

/* Writes, syncs and renames until the power goes; false then. */
static bool workload(struct os *os)
{
    int fd = os->ops->open(os, "/t", OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE);
    if (fd < 0)
        return false;
    char data[700];
    memset(data, 'w', sizeof(data));
    struct slice bytes = slice_make(data, sizeof(data));
    int root = os->ops->open(os, "/", OS_OPEN_DIRECTORY);
    return file_try(os, fd, 0, bytes) == 700 && os->ops->fdatasync(os, fd) == 0 &&
           os->ops->rename(os, "/t", "/f") == 0 && root >= 0 && os->ops->fsync(os, root) == 0;
}

static void power_can_go_at_every_operation(void **state)
{
    struct os_fake *fake = os_fake_new(1);
    assert_true(workload(os_fake_os(fake)));
    uint64_t count = os_fake_operation_count(fake);
    assert_int_equal(count, 5);
    os_fake_free(fake);
    for (uint64_t at = 1; at <= 2 * count; at++) {
        fake = os_fake_new(1);
        struct os *os = os_fake_os(fake);
        bool is_after = at > count;
        uint64_t cut = is_after ? at - count : at;
        os_fake_cut_power(fake, cut, is_after);
        assert_false(workload(os));
        assert_true(os_fake_power_is_off(fake));
        assert_int_equal(os_fake_operation_count(fake), cut);
        assert_int_equal(os->ops->open(os, "/x", OS_OPEN_WRITE | OS_OPEN_CREATE), -EIO);
        os_fake_crash(fake, at, OS_FAKE_CRASH_LOSE_ALL);
        assert_int_equal(path_exists(os, "/f"), is_after && cut == 5);
        assert_false(os_fake_power_is_off(fake));
        assert_true(workload(os));
        os_fake_free(fake);
    }
}

static void crashes_repeat_from_their_seed(void **state)
{
    uint8_t images[2][40000];
    for (size_t turn = 0; turn < 2; turn++) {
        struct os_fake *fake = os_fake_new(5);
        struct os *os = os_fake_os(fake);
        int fd = file_durable(os, "/f", 20000, 'a');
        file_fill(os, fd, 5000, 35000, 'b');
        os_fake_writeback(fake, 30);
        file_fill(os, fd, 15000, 5000, 'c');
        os_fake_crash(fake, 77, OS_FAKE_CRASH_RANDOM);
        memset(images[turn], 0, sizeof(images[turn]));
        os_fake_peek(fake, "/f", true, 0, (struct iovec){images[turn], sizeof(images[turn])});
        os_fake_free(fake);
    }
    assert_memory_equal(images[0], images[1], sizeof(images[0]));
}

static void writeback_leaves_middle_versions(void **state)
{
    unsigned first = 0, second = 0, none = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct os_fake *fake = os_fake_new(seed);
        struct os *os = os_fake_os(fake);
        int fd = file_durable(os, "/f", 512, 'a');
        file_fill(os, fd, 0, 512, 'b');
        os_fake_writeback(fake, 50);
        file_fill(os, fd, 0, 512, 'c');
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        char letter = sector_letter(fake, "/f", 0);
        none += letter == 'a';
        first += letter == 'b';
        second += letter == 'c';
        os_fake_free(fake);
    }
    assert_true(none > 20 && first > 20 && second > 20);
}

static void random_path(struct os *os, char out[16])
{
    static const char *const directories[] = {"", "/a", "/b", "/a/c", "/b/d"};
    uint8_t drawn[2];
    os->ops->random(os, drawn, sizeof(drawn));
    const char *directory = directories[drawn[0] % COUNT_OF(directories)];
    size_t size = strlen(directory);
    memcpy(out, directory, size);
    out[size] = '/';
    out[size + 1] = (char)('a' + drawn[1] % 5);
    out[size + 2] = 0;
}

/* One random step; most fail, as they may. */
static void random_step(struct os *os)
{
    char path[16], other[16];
    uint8_t drawn[3];
    random_path(os, path);
    random_path(os, other);
    os->ops->random(os, drawn, sizeof(drawn));
    int fd = -1;
    switch (drawn[0] % 8) {
    case 0:
    case 1:
        fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE);
        if (fd >= 0)
            file_fill(os, fd, drawn[1] * 100U, drawn[2] * 40U + 1, (char)drawn[1]);
        break;
    case 2:
        fd = os->ops->open(os, path, OS_OPEN_READ | OS_OPEN_WRITE);
        if (fd >= 0)
            assert_int_equal(os->ops->truncate(os, fd, drawn[1] * 100U), 0);
        break;
    case 3:
        (void)os->ops->mkdir(os, path);
        break;
    case 4:
        (void)(drawn[1] % 2 ? os->ops->unlink(os, path) : os->ops->rmdir(os, path));
        break;
    case 5:
    case 6:
        (void)os->ops->rename(os, path, other);
        break;
    default:
        fd = os->ops->open(os, path, OS_OPEN_READ);
        if (fd >= 0)
            assert_int_equal(os->ops->fsync(os, fd), 0);
    }
    if (fd >= 0 && drawn[2] % 8 != 0) /* some stay open */
        assert_int_equal(os->ops->close(os, fd), 0);
}

struct tree_walk {
    struct os_fake *fake;
    char path[256];
    uint64_t sum; /* of names, sizes and bytes, in any order */
};

static void walk(void *arg, const char *name, bool is_directory)
{
    struct tree_walk *up = arg;
    struct tree_walk here = {.fake = up->fake};
    size_t size = strlen(up->path);
    assert_true(size + strlen(name) + 2 < sizeof(here.path));
    memcpy(here.path, up->path, size);
    here.path[size] = '/';
    memcpy(here.path + size + 1, name, strlen(name) + 1);
    uint64_t hash = 14695981039346656037ULL;
    for (const char *at = here.path; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 1099511628211ULL;
    if (is_directory) {
        struct os *os = os_fake_os(up->fake);
        assert_int_equal(os->ops->list(os, here.path, walk, &here), 0);
    } else {
        static uint8_t data[64 << 10];
        ssize_t got = os_fake_peek(up->fake, here.path, false, 0, (struct iovec){data, 64 << 10});
        assert_int_equal(got, os_fake_size(up->fake, here.path, false));
        for (ssize_t i = 0; i < got; i++)
            hash = (hash ^ data[i]) * 1099511628211ULL;
    }
    up->sum += hash + here.sum;
}

static uint64_t tree_sum(struct os_fake *fake)
{
    struct tree_walk root = {.fake = fake};
    assert_int_equal(os_fake_os(fake)->ops->list(os_fake_os(fake), "/", walk, &root), 0);
    return root.sum;
}

static void random_work_survives_what_syncs_promise(void **state)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct os_fake *fake = os_fake_new(seed);
        struct os *os = os_fake_os(fake);
        for (size_t step = 0; step < 150; step++)
            random_step(os);
        struct os_fake_snapshot *snapshot = os_fake_snapshot_new(fake);
        uint64_t sum = tree_sum(fake);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM);
        uint64_t image = tree_sum(fake);
        os_fake_crash(fake, seed + 1, OS_FAKE_CRASH_RANDOM); /* nothing is pending any more */
        assert_true(tree_sum(fake) == image);
        os_fake_snapshot_restore(fake, snapshot);
        assert_true(tree_sum(fake) == sum);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_RANDOM); /* copies crash alike */
        assert_true(tree_sum(fake) == image);
        os_fake_snapshot_restore(fake, snapshot);
        int root = os->ops->open(os, "/", OS_OPEN_DIRECTORY);
        assert_int_equal(os->ops->syncfs(os, root), 0);
        os_fake_crash(fake, seed, OS_FAKE_CRASH_LOSE_ALL);
        assert_true(tree_sum(fake) == sum);
        os_fake_snapshot_free(snapshot);
        os_fake_free(fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsynced_sector_is_kept_lost_or_garbled),
        cmocka_unit_test(policies_keep_or_lose_all),
        cmocka_unit_test(unsynced_size_falls_anywhere),
        cmocka_unit_test(what_lies_beyond_a_lost_size_is_zero_when_the_file_grows),
        cmocka_unit_test(truncate_without_sync_may_come_back),
        cmocka_unit_test(name_without_directory_sync_may_vanish),
        cmocka_unit_test(rename_is_old_or_new),
        cmocka_unit_test(moved_file_never_disappears),
        cmocka_unit_test(names_in_order_keep_a_first_part),
        cmocka_unit_test(syncfs_makes_everything_durable),
        cmocka_unit_test(power_can_go_at_every_operation),
        cmocka_unit_test(crashes_repeat_from_their_seed),
        cmocka_unit_test(writeback_leaves_middle_versions),
        cmocka_unit_test(random_work_survives_what_syncs_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

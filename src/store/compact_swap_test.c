// Tests of segments that take each other's place: a power cut anywhere leaves the old or the new.
// SPDX-License-Identifier: Apache-2.0
#include "store/compact.h"
#include "store/log_fixture.h"

#define DIR         "/log"
#define FILE_SIZE   300
#define STALE_INDEX "what the segment of before had"
#define SEED_COUNT  12

static const int64_t bases[] = {0, 10, 20};

struct swap_test {
    struct os_fake *fake;
    struct os *os;
};

static void path_of(char out[64], int64_t base, const char *suffix)
{
    (void)snprintf(out, 64, DIR "/%020lld%s", (long long)base, suffix);
}

static void file_put(struct swap_test *t, int64_t base, const char *suffix, struct slice bytes)
{
    char path[64];
    path_of(path, base, suffix);
    struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.size};
    int fd = t->os->ops->open(t->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE);
    assert_int_equal(t->os->ops->pwritev(t->os, fd, &part, 1, 0), bytes.size);
    assert_int_equal(t->os->ops->fdatasync(t->os, fd), 0);
    t->os->ops->close(t->os, fd);
}

static void dir_sync(struct swap_test *t, const char *path)
{
    int fd = t->os->ops->open(t->os, path, OS_OPEN_READ | OS_OPEN_DIRECTORY);
    assert_int_equal(t->os->ops->fsync(t->os, fd), 0);
    t->os->ops->close(t->os, fd);
}

/* Three segments with their indexes, all of it durable. */
static void begin(struct swap_test *t, uint64_t seed)
{
    static const uint8_t bytes[FILE_SIZE] = {1};
    t->fake = os_fake_new(seed);
    t->os = os_fake_os(t->fake);
    assert_int_equal(t->os->ops->mkdir(t->os, DIR), 0);
    for (unsigned i = 0; i < COUNT_OF(bases); i++) {
        file_put(t, bases[i], ".log", slice_make(bytes, sizeof(bytes)));
        file_put(t, bases[i], ".index", slice_text(STALE_INDEX));
        file_put(t, bases[i], ".timeindex", slice_text(STALE_INDEX));
    }
    dir_sync(t, DIR);
    dir_sync(t, "/");
}

/* The first two become one empty batch. */
static void swap(struct swap_test *t)
{
    struct compact_output output;
    struct batch_header gap = {.base_offset = 0, .last_offset_delta = 19};
    bool is_begun;
    compact_output_init(&output, t->os, DIR);
    output.index_interval = 1;
    output.offset_end = bases[2];
    enum err err = compact_output_open(&output, 0);
    if (err == ERR_OK)
        err = compact_output_drop(&output, &gap);
    if (err == ERR_OK)
        err = compact_output_finish(&output);
    if (err == ERR_OK)
        err = compact_swap_run(&output, bases, 2, &is_begun);
    assert_true(err == ERR_OK || os_fake_power_is_off(t->fake));
    compact_output_deinit(&output);
}

static int64_t size_of(struct swap_test *t, int64_t base, const char *suffix)
{
    char path[64];
    path_of(path, base, suffix);
    return os_fake_size(t->fake, path, false);
}

static bool is_stale(struct swap_test *t, const char *suffix)
{
    char path[64], bytes[sizeof(STALE_INDEX)] = "";
    path_of(path, 0, suffix);
    (void)os_fake_peek(t->fake, path, false, 0, (struct iovec){bytes, sizeof(bytes) - 1});
    return strcmp(bytes, STALE_INDEX) == 0;
}

/* As the opening of the log finds it. True: the new one has its place. */
static bool judge(struct swap_test *t)
{
    assert_int_equal(compact_swap_recover(t->os, DIR), ERR_OK);
    bool is_new = size_of(t, 0, ".log") == BATCH_HEADER_SIZE;
    assert_true(is_new || size_of(t, 0, ".log") == FILE_SIZE);
    /* else offsets would be there twice, or be missing */
    assert_int_equal(size_of(t, bases[1], ".log"), is_new ? -1 : FILE_SIZE);
    assert_int_equal(size_of(t, bases[2], ".log"), FILE_SIZE);
    /* an index that is there is believed */
    assert_false(is_new && is_stale(t, ".index"));
    assert_false(is_new && is_stale(t, ".timeindex"));
    return is_new;
}

static bool is_new_after_cut(uint64_t at, uint64_t seed, struct os_fake_crash_policy policy)
{
    struct swap_test t;
    begin(&t, seed);
    os_fake_cut_power(t.fake, os_fake_operation_count(t.fake) + at, seed % 2);
    swap(&t);
    bool is_over = !os_fake_power_is_off(t.fake);
    os_fake_cut_power(t.fake, 0, false);
    os_fake_crash(t.fake, seed, policy);
    bool is_new = judge(&t);
    assert_true(is_new || !is_over);
    /* what was decided stays so, although nothing of the ending was synced by anybody else */
    os_fake_crash(t.fake, seed + 1, policy);
    assert_int_equal(judge(&t), is_new);
    os_fake_free(t.fake);
    return is_over;
}

static void a_cut_leaves_the_old_or_the_new(void **state)
{
    struct os_fake_crash_policy policies[] = {OS_FAKE_CRASH_RANDOM, OS_FAKE_CRASH_RANDOM,
                                              OS_FAKE_CRASH_LOSE_ALL, OS_FAKE_CRASH_KEEP_ALL};
    policies[1].names_in_order = true;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        for (unsigned i = 0; i < COUNT_OF(policies); i++) {
            uint64_t at = 1;
            while (!is_new_after_cut(at, seed, policies[i]))
                at++;
            assert_true(at > 10);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_cut_leaves_the_old_or_the_new)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of writes past the page cache, on the fake disk, which wants whole blocks for them.
// SPDX-License-Identifier: Apache-2.0
#include "os/fake_fixture.h"
#include "store/uncached.h"

#define FILE_PATH  "/file"
#define BLOCK_SIZE OS_UNCACHED_BLOCK_SIZE

struct place {
    struct os_fake *fake;
    struct os *os;
    struct uncached out;
};

static int setup(void **state)
{
    struct place *place = test_calloc(1, sizeof(*place));
    place->fake = os_fake_new(7);
    place->os = os_fake_os(place->fake);
    place->out.os = place->os;
    place->out.fd = file_open(place->os, FILE_PATH);
    place->out.fd_uncached = uncached_open(place->os, FILE_PATH);
    assert_true(place->out.fd_uncached >= 0);
    place->out.buffer = buf_new(UNCACHED_BUFFER_SIZE);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    place->os->ops->close(place->os, place->out.fd);
    place->os->ops->close(place->os, place->out.fd_uncached);
    buf_unref(place->out.buffer);
    os_fake_free(place->fake);
    test_free(place);
    return 0;
}

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 2654435761u >> 13 | 1);
}

/* size bytes from offset on, in parts of part bytes. */
static enum err run_write(struct place *place, uint64_t offset, size_t size, size_t part)
{
    uint8_t *bytes = test_malloc(part);
    enum err err = ERR_OK;
    uncached_begin(&place->out, offset);
    for (size_t done = 0; done < size && err == ERR_OK; done += part) {
        size_t now = MIN(part, size - done);
        for (size_t i = 0; i < now; i++)
            bytes[i] = byte_at(offset + done + i);
        err = uncached_add(&place->out, slice_make(bytes, now));
    }
    test_free(bytes);
    return err == ERR_OK ? uncached_end(&place->out) : err;
}

/* The file has the bytes of [from, to) and zeros before. */
static void check_file(struct place *place, uint64_t from, uint64_t to)
{
    uint8_t *bytes = test_malloc(to + 1);
    struct os_stat stat;
    assert_int_equal(place->os->ops->fstat(place->os, place->out.fd, &stat), 0);
    assert_int_equal(stat.size_bytes, to);
    ssize_t got = os_fake_peek(place->fake, FILE_PATH, false, 0, (struct iovec){bytes, to});
    assert_int_equal(got, to);
    for (uint64_t at = 0; at < to; at++) {
        if (bytes[at] != (at < from ? 0 : byte_at(at)))
            fail_msg("byte %llu of %llu to %llu", (unsigned long long)at, (unsigned long long)from,
                     (unsigned long long)to);
    }
    test_free(bytes);
}

static void test_runs(void **state)
{
    static const struct {
        uint64_t offset;
        size_t size, part;
    } runs[] = {
        {0, BLOCK_SIZE, BLOCK_SIZE},
        {0, 1, 1},
        {5, 20, 7},
        {4000, 96, 50},
        {4000, 97, 97},
        {4000, 3 * BLOCK_SIZE, 1000},
        {2 * BLOCK_SIZE, 10 * BLOCK_SIZE + 1, 12345},
        {100, UNCACHED_BUFFER_SIZE - 100, 65537},
        {100, UNCACHED_BUFFER_SIZE, 65537},
        {BLOCK_SIZE - 1, 2 * UNCACHED_BUFFER_SIZE + 2, UNCACHED_BUFFER_SIZE},
    };
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        struct place *place = *state;
        assert_int_equal(place->os->ops->truncate(place->os, place->out.fd, 0), 0);
        assert_int_equal(run_write(place, runs[i].offset, runs[i].size, runs[i].part), ERR_OK);
        check_file(place, runs[i].offset, runs[i].offset + runs[i].size);
    }
}

/* A smaller buffer is written as often as it is full: first edge, five pieces, last edge. */
static void test_pieces(void **state)
{
    struct place *place = *state;
    buf_unref(place->out.buffer);
    place->out.buffer = buf_new(UNCACHED_CALM_SIZE);
    uint64_t count = os_fake_operation_count(place->fake);
    assert_int_equal(run_write(place, 100, 5 * UNCACHED_CALM_SIZE - 99, 65537), ERR_OK);
    assert_int_equal(os_fake_operation_count(place->fake), count + 7);
    check_file(place, 100, 5 * UNCACHED_CALM_SIZE + 1);
}

/* One run goes on where the one before ended, in the middle of a block. */
static void test_runs_meet(void **state)
{
    struct place *place = *state;
    uint64_t end = 0;
    for (size_t size = 60000; size < 70000; size += 1234, end += size - 1234)
        assert_int_equal(run_write(place, end, size, 16000), ERR_OK);
    check_file(place, 0, end);
}

/* Whole blocks go past the cache: a file system that cannot is not asked twice, and gets all. */
static void test_refused(void **state)
{
    struct place *place = *state;
    struct os_fake_fault fault = {.kind = OS_FAKE_WRITE, .skip = 1, .count = 1, .error = EINVAL};
    os_fake_fault_add(place->fake, &fault);
    assert_int_equal(run_write(place, 10, 5 * BLOCK_SIZE, 999), ERR_OK);
    os_fake_fault_clear(place->fake);
    check_file(place, 10, 10 + 5 * BLOCK_SIZE);
    uint64_t count = os_fake_operation_count(place->fake);
    assert_int_equal(run_write(place, 0, 4 * BLOCK_SIZE, BLOCK_SIZE), ERR_OK);
    assert_int_equal(os_fake_operation_count(place->fake), count + 1);
    os_fake_fault_add(place->fake, &(struct os_fake_fault){.kind = OS_FAKE_OPEN, .error = EINVAL});
    assert_int_equal(uncached_open(place->os, FILE_PATH), UNCACHED_FD_REFUSED);
    os_fake_fault_clear(place->fake);
}

static void test_short(void **state)
{
    struct place *place = *state;
    static const size_t shorts[] = {1, 511, BLOCK_SIZE, BLOCK_SIZE + 512, 3 * BLOCK_SIZE};
    for (size_t i = 0; i < COUNT_OF(shorts); i++) {
        for (uint64_t skip = 0; skip < 3; skip++) {
            struct os_fake_fault fault = {
                .kind = OS_FAKE_WRITE, .skip = skip, .count = 1, .short_bytes = shorts[i]};
            assert_int_equal(place->os->ops->truncate(place->os, place->out.fd, 0), 0);
            os_fake_fault_add(place->fake, &fault);
            assert_int_equal(run_write(place, 77, 9 * BLOCK_SIZE, 5000), ERR_OK);
            os_fake_fault_clear(place->fake);
            check_file(place, 77, 77 + 9 * BLOCK_SIZE);
        }
    }
}

static void test_errors(void **state)
{
    struct place *place = *state;
    for (uint64_t skip = 0; skip < 3; skip++) { /* first edge, blocks, last edge */
        struct os_fake_fault fault = {
            .kind = OS_FAKE_WRITE, .skip = skip, .count = 1, .error = skip ? ENOSPC : EIO};
        os_fake_fault_add(place->fake, &fault);
        enum err err = run_write(place, 77, 9 * BLOCK_SIZE, 5000);
        assert_int_equal(err, skip ? ERR_DISK_FULL : ERR_IO);
        os_fake_fault_clear(place->fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

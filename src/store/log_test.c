// Tests of a log's daily life: append, read, roll, restart, drain.
// SPDX-License-Identifier: Apache-2.0
#include "store/log_fixture.h"

static struct log_fixture_batch small(uint64_t seed)
{
    return (struct log_fixture_batch){
        .count = 3, .size = 100, .seed = seed, .timestamp_ms = 1000 + (int64_t)seed * 10};
}

/* Reads the whole log; every batch has the next offset; count of records. */
static int64_t read_all(struct log_fixture *f, unsigned log, size_t size_max)
{
    int64_t offset = store_log_start(f->logs[log]);
    while (offset < store_log_durable(f->logs[log])) {
        struct log_fixture_read r;
        assert_int_equal(log_fixture_read(f, log, offset, size_max, &r), ERR_OK);
        assert_true(r.read.size > 0);
        struct slice rest = slice_make(r.bytes, r.read.size);
        while (rest.size > 0) {
            struct batch_header header;
            assert_int_equal(
                batch_check(slice_make(rest.data, MIN(rest.size, be32_get(rest.data + 8) + 12)),
                            &header),
                ERR_OK);
            assert_true(batch_last_offset(&header) >= offset);
            if (header.base_offset != offset)
                assert_true(header.base_offset < offset);
            offset = batch_last_offset(&header) + 1;
            rest = slice_make(rest.data + header.size, rest.size - header.size);
        }
        assert_int_equal(offset, r.read.offset_next);
        free(r.bytes);
    }
    return offset;
}

static void append_and_read(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (uint64_t i = 0; i < 50; i++) {
        struct log_fixture_batch batch = small(i);
        assert_int_equal(log_fixture_put(f, 0, &batch), (int64_t)i * 3);
    }
    assert_int_equal(store_log_end(f->logs[0]), 150);
    assert_int_equal(store_log_durable(f->logs[0]), 150);
    assert_int_equal(read_all(f, 0, 1000), 150);
    log_fixture_free(f);
}

static void crash_and_read(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(log_fixture_open(f), ERR_OK);
        assert_int_equal(read_all(f, 0, 3000), round * 300);
        for (uint64_t i = 0; i < 100; i++) {
            struct log_fixture_batch batch = small(i);
            assert_int_equal(log_fixture_put(f, 0, &batch), (int64_t)(round * 300 + i * 3));
            assert_int_equal(log_fixture_put(f, 1, &batch), (int64_t)(round * 300 + i * 3));
        }
        assert_int_equal(read_all(f, 0, 1000), round * 300 + 300);
        log_fixture_close(f);
        os_fake_crash(f->fake, round, OS_FAKE_CRASH_RANDOM);
    }
    log_fixture_free(f);
}

static void drain_and_read(void **state)
{
    struct log_fixture *f = log_fixture_new(1);
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(log_fixture_open(f), ERR_OK);
        assert_int_equal(read_all(f, 0, 3000), round * 300);
        for (uint64_t i = 0; i < 100; i++) {
            struct log_fixture_batch batch = small(i);
            assert_int_equal(log_fixture_put(f, 0, &batch), (int64_t)(round * 300 + i * 3));
        }
        log_fixture_drain(f);
        log_fixture_close(f);
        os_fake_crash(f->fake, round, OS_FAKE_CRASH_LOSE_ALL);
    }
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_and_read),
        cmocka_unit_test(crash_and_read),
        cmocka_unit_test(drain_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

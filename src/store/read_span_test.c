// Spans read before are served without a helper, and only where a look would find the same.
// SPDX-License-Identifier: Apache-2.0
#include "store/log_fixture.h"

#define BATCH_COUNT 8

/* Eight batches of one record, all in the first segment's file; the size of each. */
static struct log_fixture *filled(uint32_t *out_size)
{
    struct log_fixture *f = log_fixture_new(11);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        struct log_fixture_batch batch = {.count = 1, .size = 500, .seed = i, .timestamp_ms = 5000};
        (void)log_fixture_put(f, 0, &batch);
        struct buf *buf = log_fixture_batch(&batch, out_size);
        buf_unref(buf);
    }
    log_fixture_drain(f);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    return f;
}

/* ERR_OK: answered at once. ERR_AGAIN: by a helper, waited for. The read has gone through. */
static enum err read_some(struct log_fixture *f, int64_t offset, int64_t limit, size_t size_max,
                          struct log_fixture_read *out)
{
    memset(out, 0, sizeof(*out));
    out->read.offset = offset;
    out->read.offset_limit = limit;
    out->read.size_max = size_max;
    out->read.done = log_fixture_read_done;
    enum err err = store_log_read(f->logs[0], &out->read);
    for (unsigned i = 0; i < 100 && err == ERR_AGAIN && !out->is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(err == ERR_OK || out->is_done);
    assert_int_equal(out->read.result, ERR_OK);
    uint64_t position = out->read.chunk_count ? out->read.chunks[0].file_offset : 0;
    size_t size = out->read.size;
    store_read_release(&out->read);
    out->read.size = size;
    out->read.private = NULL;
    out->bytes = (uint8_t *)(uintptr_t)position; /* a number here */
    return err;
}

static void second_reading(void **state)
{
    uint32_t size;
    struct log_fixture *f = filled(&size);
    struct log_fixture_read r;
    size_t size_max = 3 * (size_t)size + size / 2;
    assert_int_equal(read_some(f, 2, INT64_MAX, size_max, &r), ERR_AGAIN);
    assert_int_equal(r.read.size, 3 * size);
    assert_int_equal(r.read.offset_next, 5);
    assert_int_equal(read_some(f, 2, INT64_MAX, size_max, &r), ERR_OK);
    assert_int_equal(r.read.size, 3 * size);
    assert_int_equal(r.read.offset_next, 5);
    assert_int_equal((uintptr_t)r.bytes, 2 * (size_t)size);
    /* as much as the span has: the same; its neighbour: not known */
    assert_int_equal(read_some(f, 2, 5, 3 * (size_t)size, &r), ERR_OK);
    assert_int_equal(r.read.size, 3 * size);
    assert_int_equal(read_some(f, 1, INT64_MAX, size_max, &r), ERR_AGAIN);
    log_fixture_free(f);
}

static void other_ends(void **state)
{
    uint32_t size;
    struct log_fixture *f = filled(&size);
    struct log_fixture_read r;
    size_t size_max = 3 * (size_t)size + size / 2;
    assert_int_equal(read_some(f, 0, INT64_MAX, size_max, &r), ERR_AGAIN);
    assert_int_equal(read_some(f, 0, INT64_MAX, size_max - size, &r), ERR_AGAIN);
    assert_int_equal(r.read.size, 2 * size);
    assert_int_equal(read_some(f, 0, INT64_MAX, size_max + size, &r), ERR_AGAIN);
    assert_int_equal(r.read.size, 4 * size);
    assert_int_equal(read_some(f, 0, 3, size_max + size, &r), ERR_AGAIN);
    assert_int_equal(r.read.size, 3 * size);
    /* what ended at the log's end may have more behind it later */
    assert_int_equal(read_some(f, 6, INT64_MAX, size_max, &r), ERR_AGAIN);
    assert_int_equal(r.read.size, 2 * size);
    assert_int_equal(read_some(f, 6, INT64_MAX, size_max, &r), ERR_AGAIN);
    log_fixture_free(f);
}

static void not_in_the_page_cache(void **state)
{
    uint32_t size;
    char path[256];
    char topic[UUID_TEXT_SIZE + 1];
    struct log_fixture *f = filled(&size);
    struct log_fixture_read r;
    struct store_log_key key = log_fixture_key(0);
    uuid_to_text(&key.topic, topic);
    (void)snprintf(path, sizeof(path), "/data/logs/%s-0/%020d.log", topic, 0);
    assert_int_equal(read_some(f, 0, INT64_MAX, 2 * (size_t)size, &r), ERR_AGAIN);
    assert_int_equal(read_some(f, 0, INT64_MAX, 2 * (size_t)size, &r), ERR_OK);
    assert_int_equal(os_fake_drop_cache(f->fake, path), 0);
    assert_int_equal(read_some(f, 0, INT64_MAX, 2 * (size_t)size, &r), ERR_AGAIN);
    log_fixture_free(f);
}

static void holes_are_looked_for(void **state)
{
    uint32_t size;
    struct log_fixture *f = filled(&size);
    struct log_fixture_read r;
    int64_t hole = 1;
    assert_int_equal(read_some(f, 0, INT64_MAX, 2 * (size_t)size, &r), ERR_AGAIN);
    store_log_punch(f->logs[0], &hole, 1, NULL, NULL);
    log_fixture_turns(f, 20);
    assert_int_equal(read_some(f, 0, INT64_MAX, 2 * (size_t)size, &r), ERR_AGAIN);
    assert_true(r.read.size < 2 * (size_t)size);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_reading),
        cmocka_unit_test(other_ends),
        cmocka_unit_test(not_in_the_page_cache),
        cmocka_unit_test(holes_are_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The tail is served from its segment where that is cheaper and as safe, else from memory.
// SPDX-License-Identifier: Apache-2.0
#include "store/log.h"
#include "store/log_fixture.h"

#define BATCH_SIZE  8000
#define BATCH_COUNT 40 /* more than LOG_WRITE_SIZE_MIN: written behind */

/* One log; the first written batches are in the segment as well, the others in the journal. */
static struct log_fixture *filled(unsigned *out_written)
{
    struct log_fixture *f = log_fixture_new(10);
    f->config.segment_size_bytes = 4 << 20;
    f->options.journal_size_max_bytes = 8 << 20;
    f->options.journal_piece_bytes = 4 << 20;
    assert_int_equal(log_fixture_open(f), ERR_OK);
    f->logs[0]->behind_until_s = UINT32_MAX; /* written through the page cache */
    struct log_fixture_batch batch = {.count = 1, .size = BATCH_SIZE, .timestamp_ms = 5000};
    for (; batch.seed < BATCH_COUNT; batch.seed++)
        (void)log_fixture_put(f, 0, &batch);
    log_fixture_turns(f, 20);
    *out_written = (unsigned)f->logs[0]->tail.written;
    assert_in_range(*out_written, 20, BATCH_COUNT);
    assert_int_equal(f->logs[0]->tail.first, 0);
    for (unsigned i = 0; i < 4; i++, batch.seed++)
        (void)log_fixture_put(f, 0, &batch);
    return f;
}

/* How many bytes of the answer lie in a file. */
static size_t size_in_file(struct log_fixture *f, int64_t offset, size_t size_max)
{
    struct store_read read = {
        .offset = offset, .offset_limit = INT64_MAX, .size_max = size_max, .want_one = true};
    size_t in_file = 0;
    enum err err = store_log_read(f->logs[0], &read);
    for (unsigned i = 0; err == ERR_OK && i < read.chunk_count; i++)
        in_file += read.chunks[i].file ? read.chunks[i].size : 0;
    store_read_release(&read);
    return in_file;
}

/* The same, and all of it is what memory has. */
static size_t read_both(struct log_fixture *f, int64_t offset, size_t size_max)
{
    struct log_fixture_read r;
    struct store_read memory = {.offset = offset,
                                .offset_limit = INT64_MAX,
                                .size_max = size_max,
                                .want_one = true,
                                .want_memory = true};
    size_t in_file = size_in_file(f, offset, size_max);
    assert_int_equal(store_log_read(f->logs[0], &memory), ERR_OK);
    assert_int_equal(log_fixture_read(f, 0, offset, size_max, &r), ERR_OK);
    assert_int_equal(r.read.size, memory.size);
    assert_int_equal(r.read.offset_next, memory.offset_next);
    size_t at = 0;
    for (unsigned i = 0; i < memory.chunk_count; i++) {
        const struct store_chunk *chunk = &memory.chunks[i];
        assert_null(chunk->file);
        assert_memory_equal(r.bytes + at, chunk->bytes.buf->data + chunk->bytes.offset,
                            chunk->size);
        at += chunk->size;
    }
    store_read_release(&memory);
    free(r.bytes);
    return in_file;
}

static void long_stretches_come_from_the_file(void **state)
{
    unsigned written;
    struct log_fixture *f = filled(&written);
    uint32_t each = tail_at(&f->logs[0]->tail, 0)->bytes.size;
    assert_int_equal(read_both(f, 3, 10 * (size_t)each), 10 * (size_t)each);
    assert_int_equal(read_both(f, 3, 10 * (size_t)each + each / 2), 10 * (size_t)each);
    /* less than is worth it */
    assert_int_equal(read_both(f, 3, 7 * (size_t)each), 0);
    /* what is not written yet follows from memory */
    assert_int_equal(read_both(f, written - 10, SIZE_MAX), 10 * (size_t)each);
    assert_int_equal(read_both(f, written, SIZE_MAX), 0);
    log_fixture_free(f);
}

static void not_what_is_not_in_the_page_cache(void **state)
{
    unsigned written;
    char path[256];
    char topic[UUID_TEXT_SIZE + 1];
    struct log_fixture *f = filled(&written);
    uint32_t each = tail_at(&f->logs[0]->tail, 0)->bytes.size;
    struct store_log_key key = log_fixture_key(0);
    uuid_to_text(&key.topic, topic);
    (void)snprintf(path, sizeof(path), "/data/logs/%s-0/%020d.log", topic, 0);
    assert_int_equal(read_both(f, 0, 10 * (size_t)each), 10 * (size_t)each);
    int fd = f->os->ops->open(f->os, path, OS_OPEN_WRITE); /* what is not on disk yet stays */
    assert_int_equal(f->os->ops->fdatasync(f->os, fd), 0);
    f->os->ops->close(f->os, fd);
    assert_int_equal(os_fake_drop_cache(f->fake, path), 0);
    assert_int_equal(size_in_file(f, 0, 10 * (size_t)each), 0);
    log_fixture_free(f);
}

static void not_across_segments_at_once(void **state)
{
    unsigned written;
    struct log_fixture *f = filled(&written);
    uint32_t each = tail_at(&f->logs[0]->tail, 0)->bytes.size;
    f->config.segment_size_bytes = 200 << 10; /* the next batch begins another */
    struct log_fixture_batch batch = {.count = 1, .size = BATCH_SIZE, .timestamp_ms = 5000};
    for (batch.seed = 100; batch.seed < 100 + BATCH_COUNT; batch.seed++)
        (void)log_fixture_put(f, 0, &batch);
    log_fixture_turns(f, 20);
    const struct tail *tail = &f->logs[0]->tail;
    uint64_t second = BATCH_COUNT + 4;
    assert_true(tail->written > second + 10);
    assert_int_equal(tail_at(tail, second)->position, 0);
    /* a file, then the other one by memory: the answer goes on without a gap */
    assert_int_equal(read_both(f, (int64_t)second - 10, 20 * (size_t)each), 10 * (size_t)each);
    log_fixture_free(f);
}

static void not_with_holes(void **state)
{
    unsigned written;
    struct log_fixture *f = filled(&written);
    int64_t hole = 1;
    store_log_punch(f->logs[0], &hole, 1, NULL, NULL);
    log_fixture_turns(f, 20);
    assert_int_equal(size_in_file(f, 3, 200000), 0);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_stretches_come_from_the_file),
        cmocka_unit_test(not_what_is_not_in_the_page_cache),
        cmocka_unit_test(not_across_segments_at_once),
        cmocka_unit_test(not_with_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

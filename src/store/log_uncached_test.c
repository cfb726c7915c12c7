// Tests of when segments are written past the page cache, and of what a crash leaves then.
// SPDX-License-Identifier: Apache-2.0
#include "record/batch.h"
#include "store/log.h"
#include "store/log_fixture.h"
#include "store/tail_write.h"

#define BATCH_SIZE 12000

static struct log_fixture *fixture(uint64_t seed, size_t direct_size_min)
{
    struct log_fixture *f = log_fixture_new(seed);
    f->config.segment_size_bytes = 4 << 20;
    f->options.direct_size_min_bytes = direct_size_min;
    f->options.journal_size_max_bytes = 8 << 20;
    f->options.journal_piece_bytes = 1 << 20;
    return f;
}

static struct segment *active(struct log_fixture *f)
{
    struct store_log *log = f->logs[0];
    return segment_find(log, log->place.segment_base);
}

static void put_many(struct log_fixture *f, unsigned count, uint32_t size)
{
    struct log_fixture_batch batch = {.count = 1, .size = size, .seed = 1};
    for (unsigned i = 0; i < count; i++)
        (void)log_fixture_put(f, 0, &batch);
    log_fixture_turns(f, 20);
}

/* Nobody reads what has left the memory: past the cache. Somebody does: through it. */
static void readers_decide(void **state)
{
    struct log_fixture *f = fixture(1, 1 << 20);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct store_log *log = f->logs[0];
    put_many(f, 40, BATCH_SIZE);
    assert_true(active(f)->file->uncached_fd >= 0);
    assert_true(tail_at(&log->tail, log->tail.first)->is_uncached);
    assert_true(log_is_read_from_memory(log));
    tail_cache_pressure(log->home, 1 << 30);
    assert_true(tail_at(&log->tail, log->tail.first)->base_offset > 0);
    struct log_fixture_read read;
    assert_int_equal(log_fixture_read(f, 0, 0, 100, &read), ERR_OK);
    free(read.bytes);
    assert_false(log_is_read_from_memory(log));
    put_many(f, 40, BATCH_SIZE);
    assert_false(tail_at(&log->tail, log->tail.written - 1)->is_uncached);
    os_fake_advance(f->fake, (LOG_BEHIND_S + 1) * LOG_SECOND_NS);
    log_fixture_turns(f, 5);
    assert_true(log_is_read_from_memory(log));
    log_fixture_free(f);
}

/* Large batches go straight to the segment; a small one before them is not in their way for long.
 */
static void small_before_large(void **state)
{
    struct log_fixture *f = fixture(1, LOG_DIRECT_BATCH_MIN);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct store_log *log = f->logs[0];
    put_many(f, 1, 20000);
    put_many(f, 1, 500);
    uint64_t stuck_max = 0;
    for (unsigned i = 0; i < 100; i++) {
        put_many(f, 1, 20000);
        stuck_max = MAX(stuck_max, log->tail.stuck_blocks);
    }
    assert_true(stuck_max > 0);
    assert_true(stuck_max <= LOG_WRITE_SIZE_MIN / LOG_BLOCK_SIZE + 32);
    assert_true(log->tail.written > log->tail.committed - 20);
    log_fixture_free(f);
}

/* The buffer's size of the next write-behind while groups have so many batches. */
static uint32_t piece_size_of(struct log_fixture *f, unsigned count)
{
    struct store_log *log = f->logs[0];
    struct log_fixture_batch batch = {.count = 1, .size = BATCH_SIZE, .seed = 1};
    uint32_t size = 0;
    log_fixture_turns(f, 100);
    assert_null(log->write);
    for (unsigned round = 0; round < 200 && size == 0; round++) {
        struct log_fixture_append *appends[20];
        enum err err;
        for (unsigned i = 0; i < count; i++)
            appends[i] = log_fixture_append(f, 0, &batch, &err);
        for (unsigned k = 0; k < 50 && !appends[count - 1]->is_done; k++) {
            log_fixture_turns(f, 1);
            if (log->write && log->write->buffer)
                size = log->write->buffer->capacity;
        }
        for (unsigned i = 0; i < count; i++)
            free(appends[i]);
    }
    return size;
}

/* Who commits little at a time does not wait behind much. */
static void small_pieces_for_small_groups(void **state)
{
    struct log_fixture *f = fixture(1, 1 << 20);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(piece_size_of(f, 1), UNCACHED_CALM_SIZE);
    assert_int_equal(piece_size_of(f, 20), UNCACHED_BUFFER_SIZE);
    assert_int_equal(piece_size_of(f, 1), UNCACHED_CALM_SIZE);
    log_fixture_free(f);
}

/* All batches are there, one record each, and right. */
static int64_t count_good(struct log_fixture *f)
{
    int64_t offset = 0;
    while (offset < store_log_durable(f->logs[0])) {
        struct log_fixture_read r;
        struct batch_header header;
        assert_int_equal(log_fixture_read(f, 0, offset, 100000, &r), ERR_OK);
        for (size_t at = 0; at < r.read.size; at += header.size, offset++) {
            struct slice rest = slice_make(r.bytes + at, r.read.size - at);
            assert_int_equal(batch_check(rest, &header), ERR_OK);
            assert_int_equal(header.base_offset, offset);
        }
        assert_int_equal(offset, r.read.offset_next);
        free(r.bytes);
    }
    return offset;
}

/* The power goes at one of the operations of write-behind and direct writes; what was acknowledged
 * is there afterwards. Returns how many. */
static int64_t crash_round(struct log_fixture *f, unsigned round, int64_t acked)
{
    static const uint32_t sizes[] = {BATCH_SIZE, 20000, 700, 65000};
    uint64_t at = os_fake_operation_count(f->fake) + 150 + round * 37 % 180;
    os_fake_cut_power(f->fake, at, round % 2);
    for (unsigned i = 0; i < 200 && !os_fake_power_is_off(f->fake); i++) {
        struct log_fixture_batch batch = {
            .count = 1, .size = sizes[(i / 8 + round) % COUNT_OF(sizes)], .seed = i};
        enum err err;
        struct log_fixture_append *a = log_fixture_append(f, 0, &batch, &err);
        for (unsigned k = 0; a && k < 50 && !a->is_done; k++)
            log_fixture_turns(f, 1);
        if (a && a->is_done && a->err == ERR_OK)
            acked = a->append.base_offset + 1;
        if (a && a->is_done)
            free(a);
        if (!a)
            break;
    }
    log_fixture_close(f);
    os_fake_cut_power(f->fake, 0, false);
    os_fake_crash(f->fake, round, OS_FAKE_CRASH_RANDOM);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_true(count_good(f) >= acked);
    return store_log_durable(f->logs[0]);
}

/* One thread: ThreadSanitizer has little to find here and is slow. */
#ifdef __SANITIZE_THREAD__
#define ROUNDS 4
#else
#define ROUNDS 12
#endif

static void crashes(void **state)
{
    for (unsigned variant = 0; variant < 2; variant++) {
        struct log_fixture *f = fixture(4 + variant, variant ? LOG_DIRECT_BATCH_MIN : 1 << 20);
        assert_int_equal(log_fixture_open(f), ERR_OK);
        int64_t acked = 0;
        for (unsigned round = 0; round < ROUNDS; round++)
            acked = crash_round(f, round, acked);
        assert_true(acked > 8 * ROUNDS);
        log_fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_decide),
        cmocka_unit_test(small_before_large),
        cmocka_unit_test(small_pieces_for_small_groups),
        cmocka_unit_test(crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

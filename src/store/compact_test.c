// Tests of compaction: the latest of each key stays, with its offset; tombstones, lags, holes.
// SPDX-License-Identifier: Apache-2.0
#include "store/compact.h"

#include <errno.h>

#include "store/log_fixture.h"

#define BACKOFF_MS 1000
#define SECOND_NS  1000000000ull

struct keyed {
    unsigned key;
    int value; /* -1: null */
    int64_t timestamp_ms;
};

/* A batch of these records; wide ones have a few KiB. */
static struct buf *keyed_batch(const struct keyed *records, unsigned count, enum batch_codec codec,
                               uint32_t *out_size)
{
    struct build build;
    struct codec_output out;
    uint8_t value[3000] = {0};
    build_init(&build, 1 << 20);
    codec_output_init(&out, 1 << 20);
    for (unsigned i = 0; i < count; i++) {
        memcpy(value, &records[i].value, sizeof(int));
        struct slice bytes = slice_make(value, sizeof(value));
        struct build_record record = {.timestamp_ms = records[i].timestamp_ms,
                                      .key = slice_make(&records[i].key, sizeof(unsigned)),
                                      .value = records[i].value < 0 ? SLICE_NULL : bytes};
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    build.header.attributes = codec;
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    *out_size = (uint32_t)out.size;
    build_deinit(&build);
    codec_output_deinit(&out);
    return buf;
}

static int64_t put_batch(struct log_fixture *f, const struct keyed *records, unsigned count,
                         enum batch_codec codec)
{
    struct log_fixture_append a = {0};
    struct buf *buf = keyed_batch(records, count, codec, &a.size);
    a.append.batch = (struct buf_range){buf, 0, a.size};
    assert_int_equal(batch_check(slice_make(buf->data, a.size), &a.append.header), ERR_OK);
    a.append.done = log_fixture_append_done;
    assert_int_equal(store_log_append(f->logs[0], &a.append), ERR_OK);
    buf_unref(buf);
    for (unsigned i = 0; i < 100 && !a.is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(a.is_done);
    assert_int_equal(a.err, ERR_OK);
    return a.append.base_offset;
}

static int64_t put(struct log_fixture *f, unsigned key, int value)
{
    struct keyed record = {key, value, 1000 + key};
    return put_batch(f, &record, 1, BATCH_CODEC_NONE);
}

static void turns(struct log_fixture *f, uint64_t ns)
{
    os_fake_advance(f->fake, ns);
    log_fixture_turns(f, 3);
}

static void checkpoint(struct log_fixture *f)
{
    checkpoint_queue(f->logs[0]);
    log_fixture_turns(f, 20);
}

/* Long enough for the timer and all slices of what it finds. */
static void clean(struct log_fixture *f)
{
    checkpoint(f);
    for (unsigned i = 0; i < 30; i++)
        turns(f, SECOND_NS / 4);
    assert_null(f->logs[0]->compact);
}

struct found {
    int64_t offset;
    unsigned key;
    int value;
    int64_t timestamp_ms;
};

/* Every record from the offset on; each read must lead on, and every batch be right. */
static unsigned read_all(struct log_fixture *f, int64_t offset, struct found *out, unsigned max)
{
    unsigned count = 0;
    int64_t end = store_log_durable(f->logs[0]);
    while (offset < end) {
        struct log_fixture_read r;
        assert_int_equal(log_fixture_read(f, 0, offset, 10000, &r), ERR_OK);
        assert_true(r.read.size > 0 && r.read.offset_next > offset);
        struct slice rest = slice_make(r.bytes, r.read.size);
        while (rest.size > 0) {
            struct batch_header header;
            struct codec_output scratch;
            struct slice records;
            struct record record;
            codec_output_init(&scratch, 1 << 20);
            assert_int_equal(batch_check(rest, &header), ERR_OK);
            assert_true(batch_last_offset(&header) >= offset);
            assert_int_equal(codec_batch_records(rest, &scratch, &records), ERR_OK);
            assert_int_equal(batch_check_records(&header, records), ERR_OK);
            while (record_next(&records, &record) == ERR_OK) {
                struct found found = {.offset = header.base_offset + record.offset_delta,
                                      .value = -1,
                                      .timestamp_ms =
                                          header.base_timestamp_ms + record.timestamp_delta_ms};
                memcpy(&found.key, record.key.data, sizeof(found.key));
                if (record.value.data)
                    memcpy(&found.value, record.value.data, sizeof(found.value));
                if (found.offset < offset)
                    continue;
                assert_true(count < max);
                assert_true(count == 0 || out[count - 1].offset < found.offset);
                out[count++] = found;
            }
            codec_output_deinit(&scratch);
            rest = slice_make(rest.data + header.size, rest.size - header.size);
        }
        offset = r.read.offset_next;
        free(r.bytes);
    }
    return count;
}

static struct log_fixture *compact_fixture(void)
{
    struct log_fixture *f = log_fixture_new(1);
    f->log_count = 1;
    f->config.retain = false;
    f->config.compact = true;
    f->config.compact_ratio = 0.1;
    f->config.compact_lag_max_ms = INT64_MAX;
    f->config.delete_retention_ms = 60000;
    f->options.compact_backoff_ms = BACKOFF_MS;
    f->options.compact_keys_bytes_max = 1 << 20;
    os_fake_wall_set(f->fake, 1000000);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    return f;
}

static unsigned segment_files(struct log_fixture *f)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < f->logs[0]->segment_count; i++) {
        char path[LOG_PATH_SIZE];
        segment_path(f->logs[0], f->logs[0]->segments[i]->base, ".log", path);
        count += os_fake_size(f->fake, path, false) >= 0;
    }
    return count;
}

static void the_latest_of_each_key_stays(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found found[200];
    for (int i = 0; i < 100; i++)
        put(f, (unsigned)i % 7, i);
    uint32_t before = f->logs[0]->segment_count;
    uint64_t size_before = store_log_size(f->logs[0]);
    assert_true(before > 10);
    clean(f);
    uint32_t segments = f->logs[0]->segment_count;
    assert_true(segments < before / 2);
    assert_int_equal(segment_files(f), segments);
    assert_true(store_log_size(f->logs[0]) < size_before / 3);
    unsigned count = read_all(f, 0, found, COUNT_OF(found));
    int newest[7] = {-1, -1, -1, -1, -1, -1, -1};
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(found[i].offset, found[i].value);
        assert_int_equal(found[i].key, found[i].value % 7);
        assert_int_equal(found[i].timestamp_ms, 1000 + found[i].key);
        newest[found[i].key] = found[i].value;
    }
    for (int key = 0; key < 7; key++)
        assert_int_equal(newest[key], key < 2 ? 98 + key : 91 + key);
    assert_true(count < 7 + 12);                       /* and what the last segments have */
    for (int64_t offset = 0; offset < 100; offset++) { /* from anywhere, the next one */
        struct found first[200];
        unsigned got = read_all(f, offset, first, COUNT_OF(first));
        unsigned at = 0;
        while (at < count && found[at].offset < offset)
            at++;
        assert_int_equal(got, count - at);
        assert_int_equal(first[0].offset, found[at].offset);
    }
    /* the same after a restart, and nothing is dirty any more */
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct found again[200];
    assert_int_equal(read_all(f, 0, again, COUNT_OF(again)), count);
    assert_memory_equal(found, again, count * sizeof(found[0]));
    assert_int_equal(compact_plan_urgency(f->logs[0]), 0);
    log_fixture_free(f);
}

static void batches_lose_records_under_every_codec(void **state)
{
    for (int codec = BATCH_CODEC_NONE; codec <= BATCH_CODEC_ZSTD; codec++) {
        struct log_fixture *f = compact_fixture();
        struct found found[400];
        for (int i = 0; i < 40; i++) {
            struct keyed records[3] = {{(unsigned)i % 5, 3 * i, 5000 - i},
                                       {(unsigned)i + 100, 3 * i + 1, 6000 + i},
                                       {(unsigned)i % 3 + 50, 3 * i + 2, 4000}};
            put_batch(f, records, 3, (enum batch_codec)codec);
        }
        for (int i = 0; i < 8; i++)
            put(f, 900 + (unsigned)i, 0);
        f->config.segment_size_bytes = 16384;
        clean(f);
        unsigned count = read_all(f, 0, found, COUNT_OF(found));
        unsigned unique = 0;
        for (unsigned i = 0; i < count; i++)
            unique += found[i].key >= 100 && found[i].key < 140;
        assert_int_equal(unique, 40); /* keys that came once are all there */
        if (codec == BATCH_CODEC_NONE)
            assert_true(count < 40 + 8 + 8 + 12);
        log_fixture_free(f);
    }
}

static void a_tombstone_goes_when_its_horizon_is_over(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found found[100];
    put(f, 1, 5);
    int64_t tombstone = put(f, 1, -1);
    for (unsigned i = 0; i < 12; i++)
        put(f, 10 + i, 1);
    clean(f);
    unsigned count = read_all(f, 0, found, COUNT_OF(found));
    assert_int_equal(count, 13);
    assert_int_equal(found[0].offset, tombstone);
    assert_int_equal(found[0].timestamp_ms, 1001);
    assert_true(f->logs[0]->clean_horizon_ms > 0);
    log_fixture_close(f); /* the horizon is known after a restart, before the log is open */
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_true(f->logs[0]->clean_horizon_ms > 0);
    turns(f, 30 * SECOND_NS);
    clean(f);
    assert_int_equal(read_all(f, 0, found, COUNT_OF(found)), 13);
    turns(f, 40 * SECOND_NS);
    clean(f);
    count = read_all(f, 0, found, COUNT_OF(found));
    assert_int_equal(count, 12);
    assert_int_equal(found[0].key, 10);
    assert_int_equal(f->logs[0]->clean_horizon_ms, -1);
    log_fixture_free(f);
}

static void young_segments_wait(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found found[100];
    f->config.compact_lag_min_ms = 100000;
    for (int i = 0; i < 30; i++) {
        struct keyed record = {1, i, i < 15 ? 1000 : 999000};
        put_batch(f, &record, 1, BATCH_CODEC_NONE);
    }
    clean(f);
    unsigned count = read_all(f, 0, found, COUNT_OF(found));
    assert_true(count < 30 && count >= 16);
    for (unsigned i = 1; i < count; i++)
        assert_true(found[count - i].value == 30 - (int)i || found[count - i].value < 15);
    turns(f, 200 * SECOND_NS);
    clean(f);
    assert_true(read_all(f, 0, found, COUNT_OF(found)) < count);
    log_fixture_free(f);
}

static void the_ratio_and_the_greatest_lag_decide_when(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found found[100];
    f->config.compact_ratio = 1.0;
    f->config.compact_lag_max_ms = 2000000;
    for (int i = 0; i < 30; i++)
        put(f, 1, i);
    clean(f);
    assert_int_equal(read_all(f, 0, found, COUNT_OF(found)), 30);
    turns(f, 1500 * SECOND_NS);
    clean(f);
    assert_true(read_all(f, 0, found, COUNT_OF(found)) < 10);
    log_fixture_free(f);
}

/* What is read of a file goes on while others take its place. */
static void a_reader_keeps_the_file_it_has(void **state)
{
    struct log_fixture *f = compact_fixture();
    f->options.cache_size_max_bytes = 0;
    for (int i = 0; i < 60; i++)
        put(f, (unsigned)i % 3, i);
    checkpoint(f);
    log_fixture_drain(f);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct log_fixture_read r = {.read = {.offset_limit = INT64_MAX,
                                          .size_max = 8000,
                                          .want_one = true,
                                          .done = log_fixture_read_done}};
    assert_int_equal(store_log_read(f->logs[0], &r.read), ERR_AGAIN);
    for (unsigned i = 0; i < 50 && !r.is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(r.is_done && r.read.chunk_count == 1 && r.read.chunks[0].file);
    clean(f);
    assert_true(f->logs[0]->layout > 0);
    uint8_t bytes[8000];
    struct store_chunk *chunk = &r.read.chunks[0];
    assert_int_equal(
        f->os->ops->pread(f->os, chunk->file->fd, bytes, chunk->size, chunk->file_offset),
        chunk->size);
    struct batch_header header;
    assert_int_equal(batch_check(slice_make(bytes, chunk->size), &header), ERR_OK);
    assert_int_equal(header.base_offset, 0);
    store_read_release(&r.read);
    log_fixture_free(f);
}

static void a_damaged_segment_stays_as_it_is(void **state)
{
    struct log_fixture *f = compact_fixture();
    for (int i = 0; i < 60; i++)
        put(f, (unsigned)i % 3, i);
    checkpoint(f);
    log_fixture_drain(f);
    const struct segment *segment = f->logs[0]->segments[3];
    int64_t base = segment->base;
    uint32_t size = segment->size;
    char path[LOG_PATH_SIZE];
    segment_path(f->logs[0], base, ".log", path);
    log_fixture_close(f);
    assert_int_equal(os_fake_flip(f->fake, path, 4000, 3), 0);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    clean(f);
    assert_int_equal(os_fake_size(f->fake, path, false), size);
    struct log_fixture_read r; /* the damage shows as before, and what is behind it is there */
    assert_int_equal(log_fixture_read(f, 0, base + 1, 8000, &r), ERR_CORRUPT);
    assert_int_equal(r.read.offset_next, base + 2);
    free(r.bytes);
    assert_int_equal(log_fixture_read(f, 0, 0, 8000, &r), ERR_OK);
    free(r.bytes);
    assert_true(store_log_size(f->logs[0]) < 60 * 3000 / 2);
    log_fixture_free(f);
}

/* Cleans with outputs of at most so many bytes. */
static void clean_within(struct log_fixture *f, uint32_t size_max)
{
    checkpoint(f);
    for (unsigned i = 0; i < 90; i++) {
        os_fake_advance(f->fake, SECOND_NS / 12);
        log_fixture_turns(f, 1);
        if (f->logs[0]->compact) /* whose first turn reads keys */
            f->logs[0]->compact->output.size_max = size_max;
    }
    assert_null(f->logs[0]->compact);
}

/* What would become too large stays; all else is cleaned, but a tombstone whose key it may have. */
static void a_segment_that_would_grow_too_large_stays(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found found[100];
    for (unsigned i = 0; i < 7; i++) /* two segments, of which most stays */
        put(f, 10 + i, 1);
    put(f, 12, -1);
    for (int i = 0; i < 30; i++)
        put(f, (unsigned)i % 3, i);
    uint64_t size = f->logs[0]->segments[0]->size;
    assert_true(f->logs[0]->segments[1]->base == 5);
    clean_within(f, 10000);
    assert_int_equal(f->logs[0]->segments[0]->size, size);
    assert_true(f->logs[0]->clean_end > 20);
    assert_true(store_log_size(f->logs[0]) < 38 * 3000 / 2);
    for (unsigned i = 0; i < 12; i++)
        put(f, i % 3, 1);
    turns(f, 70 * SECOND_NS);
    clean_within(f, 10000);
    assert_int_equal(f->logs[0]->clean_horizon_ms, -1);
    unsigned count = read_all(f, 0, found, COUNT_OF(found));
    int value = 0;
    for (unsigned i = 0; i < count; i++)
        value = found[i].key == 12 ? found[i].value : value;
    assert_int_equal(value, -1);
    log_fixture_free(f);
}

static void punched(void *arg, enum err err)
{
    assert_int_equal(err, ERR_OK);
}

/* Single deletions become physical, in a log that is not compacted by key too. */
static void holes_become_physical(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found before[100], after[100];
    f->config.compact = false;
    for (int i = 0; i < 60; i++)
        put(f, 1, i);
    for (int64_t i = 0; i < 50; i++) {
        if (i % 5 != 0)
            store_log_punch(f->logs[0], &i, 1, punched, NULL);
    }
    log_fixture_turns(f, 10);
    unsigned count = read_all(f, 0, before, COUNT_OF(before));
    assert_int_equal(count, 20);
    uint64_t size = store_log_size(f->logs[0]);
    clean(f);
    assert_true(store_log_size(f->logs[0]) < size / 2);
    assert_int_equal(holes_count(&f->logs[0]->holes, 0, 45), 0);
    assert_int_equal(read_all(f, 0, after, COUNT_OF(after)), count);
    assert_memory_equal(before, after, count * sizeof(before[0]));
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(read_all(f, 0, after, COUNT_OF(after)), count);
    assert_memory_equal(before, after, count * sizeof(before[0]));
    log_fixture_free(f);
}

static void keys_beyond_the_memory_are_cleaned_later(void **state)
{
    struct log_fixture *f = compact_fixture();
    f->options.compact_keys_bytes_max = 24 * 20; /* 16 keys */
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    struct found found[200];
    for (int i = 0; i < 120; i++)
        put(f, (unsigned)(i % 40), i);
    for (unsigned i = 0; i < 8; i++)
        clean(f);
    unsigned count = read_all(f, 0, found, COUNT_OF(found));
    assert_true(count <= 40 + 6);
    int newest[40];
    for (unsigned i = 0; i < count; i++)
        newest[found[i].key] = found[i].value;
    for (int key = 0; key < 40; key++)
        assert_int_equal(newest[key], 80 + key);
    assert_int_equal(budget_used(&f->budget) > 8 << 20, false);
    log_fixture_free(f);
}

static void looked_up(struct store_lookup *lookup)
{
    *(bool *)lookup->private = true;
}

static struct store_lookup look_up(struct log_fixture *f, int64_t timestamp_ms)
{
    bool is_done = false;
    struct store_lookup lookup = {
        .timestamp_ms = timestamp_ms, .done = looked_up, .private = &is_done};
    if (timestamp_ms < 0)
        store_log_find_max_time(f->logs[0], &lookup);
    else
        store_log_find_time(f->logs[0], &lookup);
    for (unsigned i = 0; i < 100 && !is_done; i++)
        log_fixture_turns(f, 1);
    assert_true(is_done);
    assert_int_equal(lookup.result, ERR_OK);
    return lookup;
}

/* Times of what is gone are not found, those of what stays are. */
static void times_are_found_among_what_stays(void **state)
{
    struct log_fixture *f = compact_fixture();
    for (int i = 0; i < 40; i++) {
        struct keyed record = {1, i, i == 3 ? 90000 : 1000 + 10 * i};
        struct keyed other[2] = {{2, i, 500}, {3, i, i == 20 ? 80000 : 600}};
        put_batch(f, &record, 1, BATCH_CODEC_NONE);
        put_batch(f, other, 2, BATCH_CODEC_NONE);
    }
    struct keyed last = {4, 0, 70000};
    int64_t last_offset = put_batch(f, &last, 1, BATCH_CODEC_NONE);
    assert_int_equal(look_up(f, -1).found_timestamp_ms, 90000);
    clean(f);
    struct store_lookup found = look_up(f, -1);
    assert_int_equal(found.found_timestamp_ms, 70000);
    assert_int_equal(found.offset, last_offset);
    found = look_up(f, 1000);
    assert_true(found.offset > 90 && found.found_timestamp_ms > 1300);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    assert_int_equal(look_up(f, 1000).offset, found.offset);
    log_fixture_free(f);
}

static void the_disk_is_used_no_more_than_allowed(void **state)
{
    struct log_fixture *f = compact_fixture();
    f->options.compact_bytes_per_s = 10000;
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    for (int i = 0; i < 30; i++)
        put(f, 1, i);
    uint64_t size = store_log_size(f->logs[0]);
    checkpoint(f);
    turns(f, SECOND_NS);
    unsigned seconds = 0;
    for (; f->logs[0]->compact; seconds++)
        turns(f, SECOND_NS);
    assert_true(f->logs[0]->clean_end > 0);
    assert_in_range(seconds, size / 10000, size / 10000 * 3);
    log_fixture_free(f);
}

static bool is_cleaned_there(struct log_fixture *f)
{
    char path[LOG_PATH_SIZE];
    segment_path(f->logs[0], 0, ".cleaned", path);
    return os_fake_size(f->fake, path, false) >= 0;
}

/* Before the point of no return every failure leaves the log as it was, and the next try succeeds.
 */
static void a_failure_leaves_what_was_there(void **state)
{
    static const struct os_fake_fault faults[] = {
        {.kind = OS_FAKE_OPEN, .path_part = ".cleaned", .error = EMFILE},
        {.kind = OS_FAKE_WRITE, .path_part = ".cleaned", .error = ENOSPC},
        {.kind = OS_FAKE_WRITE, .path_part = ".cleaned", .error = EIO},
        {.kind = OS_FAKE_SYNC, .path_part = ".cleaned", .error = EIO},
        {.kind = OS_FAKE_NAME, .path_part = ".cleaned", .error = EIO, .count = 1},
    };
    for (unsigned i = 0; i < COUNT_OF(faults); i++) {
        struct log_fixture *f = compact_fixture();
        struct found found[100];
        for (int j = 0; j < 60; j++)
            put(f, (unsigned)j % 3, j);
        os_fake_fault_add(f->fake, &faults[i]);
        turns(f, SECOND_NS * 2);
        clean(f);
        assert_true(i == 4 || f->logs[0]->clean_end == 0);
        os_fake_fault_clear(f->fake);
        assert_int_equal(store_log_state(f->logs[0]), ERR_OK);
        assert_int_equal(read_all(f, 57, found, COUNT_OF(found)), 3);
        clean(f);
        assert_true(f->logs[0]->clean_end > 50);
        assert_false(is_cleaned_there(f));
        assert_true(read_all(f, 0, found, COUNT_OF(found)) < 12);
        log_fixture_free(f);
    }
}

/* Behind it the log is offline, and the next start ends what was begun. */
static void a_swap_that_fails_is_ended_by_the_next_start(void **state)
{
    static const struct os_fake_fault faults[] = {
        {.kind = OS_FAKE_NAME, .path_part = ".swap", .error = EIO},
        {.kind = OS_FAKE_NAME, .path_part = "5.log", .error = EIO},
    };
    for (unsigned i = 0; i < COUNT_OF(faults); i++) {
        struct log_fixture *f = compact_fixture();
        struct found found[100];
        for (int j = 0; j < 60; j++)
            put(f, (unsigned)j % 3, j);
        os_fake_fault_add(f->fake, &faults[i]);
        clean(f);
        assert_int_equal(store_log_state(f->logs[0]), ERR_OFFLINE);
        os_fake_fault_clear(f->fake);
        log_fixture_close(f);
        os_fake_crash(f->fake, i, OS_FAKE_CRASH_LOSE_ALL);
        assert_int_equal(log_fixture_open(f), ERR_OK);
        assert_true(read_all(f, 0, found, COUNT_OF(found)) < 12);
        assert_true(found[0].offset >= 50);
        log_fixture_free(f);
    }
}

static void a_move_or_a_drain_ends_it(void **state)
{
    struct log_fixture *f = compact_fixture();
    struct found found[200];
    for (int i = 0; i < 100; i++)
        put(f, (unsigned)i % 7, i);
    checkpoint(f);
    os_fake_advance(f->fake, 2 * SECOND_NS);
    for (unsigned i = 0; i < 50 && !f->logs[0]->compact; i++)
        log_fixture_turns(f, 1);
    assert_non_null(f->logs[0]->compact);
    log_fixture_drain(f);
    assert_null(f->logs[0]->compact);
    log_fixture_close(f);
    assert_int_equal(log_fixture_open(f), ERR_OK);
    unsigned count = read_all(f, 0, found, COUNT_OF(found));
    assert_int_equal(found[count - 1].value, 99);
    clean(f);
    assert_true(read_all(f, 0, found, COUNT_OF(found)) < 20);
    log_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_of_each_key_stays),
        cmocka_unit_test(batches_lose_records_under_every_codec),
        cmocka_unit_test(a_tombstone_goes_when_its_horizon_is_over),
        cmocka_unit_test(young_segments_wait),
        cmocka_unit_test(the_ratio_and_the_greatest_lag_decide_when),
        cmocka_unit_test(a_reader_keeps_the_file_it_has),
        cmocka_unit_test(a_damaged_segment_stays_as_it_is),
        cmocka_unit_test(a_segment_that_would_grow_too_large_stays),
        cmocka_unit_test(holes_become_physical),
        cmocka_unit_test(keys_beyond_the_memory_are_cleaned_later),
        cmocka_unit_test(times_are_found_among_what_stays),
        cmocka_unit_test(the_disk_is_used_no_more_than_allowed),
        cmocka_unit_test(a_failure_leaves_what_was_there),
        cmocka_unit_test(a_swap_that_fails_is_ended_by_the_next_start),
        cmocka_unit_test(a_move_or_a_drain_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

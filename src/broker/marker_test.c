// Tests of transactions at a partition: verification, markers, readers of committed records.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"

static struct broker_partition *partition_of(struct core *core)
{
    return broker_partition_at(broker_topic_find(core, SLICE_LITERAL("t")), 0);
}

static struct fixture *started(void)
{
    struct fixture *f = fixture_new(2);
    assert_int_equal(fixture_create(f, 0, "t", 1), ERR_OK);
    return f;
}

/* One transactional record. */
static struct buf_range batch_of(int64_t producer_id, int16_t epoch, int32_t sequence)
{
    struct fixture_batch_options options = {1, 10, -1, BATCH_TRANSACTIONAL};
    struct buf_range batch = fixture_batch(&options);
    struct batch_header header;
    uint8_t *bytes = batch.buf->data + batch.offset;
    assert_int_equal(batch_header_read(buf_range_slice(batch), &header), ERR_OK);
    header.producer_id = producer_id;
    header.producer_epoch = epoch;
    header.base_sequence = sequence;
    batch_header_write(bytes, &header);
    return batch;
}

static enum err put(struct fixture *f, int64_t producer_id, int32_t sequence)
{
    struct fixture_append a = {.topic = "t", .append.is_verified = true};
    a.append.verify_end = INT64_MAX;
    return fixture_append(f, 1, &a, batch_of(producer_id, 0, sequence));
}

static void marker_fn(struct core *core, void *arg)
{
    broker_marker_write(core, broker_topic_find(core, SLICE_LITERAL("t")), 0, arg);
}

static enum err mark(struct fixture *f, int64_t producer_id, bool commit, int64_t *out_offset)
{
    struct broker_marker marker = {
        .producer_id = producer_id, .commit = commit, .coordinator_epoch = 3};
    enum err err = fixture_call(f, 1, &marker.call, marker_fn, &marker);
    *out_offset = marker.offset;
    return err;
}

static void read_fn(struct core *core, void *arg)
{
    broker_read(core, partition_of(core), arg);
}

static void what_begins_a_transaction_must_be_verified(void **state)
{
    struct fixture *f = started();
    struct fixture_append a = {.topic = "t"};
    int64_t offset;
    assert_int_equal(fixture_append(f, 1, &a, batch_of(7, 0, 0)), ERR_UNVERIFIED);
    a.append.is_verified = true;
    assert_int_equal(fixture_append(f, 1, &a, batch_of(7, 0, 0)), ERR_OK);
    a.append.is_verified = false;
    assert_int_equal(fixture_append(f, 1, &a, batch_of(7, 0, 1)), ERR_OK);
    assert_int_equal(mark(f, 7, true, &offset), ERR_OK);
    assert_int_equal(offset, 2);
    /* a batch whose verification is older than the marker is late */
    struct fixture_append late = {.topic = "t"};
    assert_int_equal(fixture_append(f, 0, &late, batch_of(7, 0, 2)), ERR_UNVERIFIED);
    assert_int_equal(mark(f, 7, true, &offset), ERR_OK);
    late.append.is_verified = true;
    assert_int_equal(fixture_append(f, 0, &late, batch_of(7, 0, 2)), ERR_UNVERIFIED);
    assert_int_equal(fixture_append(f, 0, &late, batch_of(7, 0, 2)), ERR_OK);
    fixture_free(f);
}

/* Byte for byte what Kafka writes. */
static void a_marker_is_kafkas(void **state)
{
    struct fixture *f = started();
    int64_t offset;
    assert_int_equal(put(f, 7, 0), ERR_OK);
    assert_int_equal(mark(f, 7, true, &offset), ERR_OK);
    struct broker_read read = {.offset = 1,
                               .epoch = BROKER_EPOCH_ANY,
                               .size_max = 1000,
                               .want_one = true,
                               .want_memory = true};
    assert_int_equal(fixture_call(f, 0, &read.call, read_fn, &read), ERR_OK);
    struct batch_header header;
    struct slice bytes = buf_range_slice(read.store.chunks[0].bytes);
    assert_int_equal(batch_check(bytes, &header), ERR_OK);
    assert_int_equal(header.size, 78);
    assert_int_equal(header.attributes, BATCH_CONTROL | BATCH_TRANSACTIONAL);
    assert_int_equal(header.producer_id, 7);
    assert_int_equal(header.base_sequence, -1);
    static const uint8_t record[] = {0x20, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 3, 0};
    assert_memory_equal(bytes.data + BATCH_HEADER_SIZE, record, sizeof(record));
    broker_read_release(&read);
    fixture_free(f);
}

struct seen {
    int64_t last_stable;
    int64_t high_watermark;
    size_t size;
    uint32_t aborted;
    bool is_aborted;
};

static struct seen read_at(struct fixture *f, int64_t offset, bool committed)
{
    struct broker_read read = {.offset = offset,
                               .epoch = BROKER_EPOCH_ANY,
                               .size_max = 1000,
                               .want_one = true,
                               .want_memory = true,
                               .committed = committed};
    assert_int_equal(fixture_call(f, 0, &read.call, read_fn, &read), ERR_OK);
    struct seen seen = {read.last_stable, read.high_watermark, read.store.size,
                        read.store.aborted_count, false};
    struct batch_header header;
    if (read.store.size > 0) {
        struct slice bytes = buf_range_slice(read.store.chunks[0].bytes);
        assert_int_equal(batch_header_read(bytes, &header), ERR_OK);
        seen.is_aborted = broker_read_is_aborted(&read, &header);
    }
    broker_read_release(&read);
    return seen;
}

static void committed_reads_stop_at_the_oldest_transaction(void **state)
{
    struct fixture *f = started();
    int64_t offset;
    assert_int_equal(put(f, 1, 0), ERR_OK);
    assert_int_equal(put(f, 2, 0), ERR_OK);
    struct seen seen = read_at(f, 0, true);
    assert_int_equal(seen.last_stable, 0);
    assert_int_equal(seen.high_watermark, 2);
    assert_int_equal(seen.size, 0);
    assert_true(read_at(f, 0, false).size > 0);
    assert_int_equal(read_at(f, 0, false).last_stable, 0);
    assert_int_equal(mark(f, 1, false, &offset), ERR_OK);
    seen = read_at(f, 0, true);
    assert_int_equal(seen.last_stable, 1);
    assert_int_equal(seen.aborted, 1);
    assert_true(seen.is_aborted);
    assert_int_equal(read_at(f, 0, false).aborted, 0);
    assert_int_equal(mark(f, 2, true, &offset), ERR_OK);
    seen = read_at(f, 1, true);
    assert_int_equal(seen.last_stable, 4);
    assert_true(seen.size > 0 && !seen.is_aborted);
    fixture_free(f);
}

static void find_fn(struct core *core, void *arg)
{
    broker_offset_find(core, partition_of(core), arg);
}

static int64_t found(struct fixture *f, enum broker_offset_kind kind, bool committed)
{
    struct broker_offset_find find = {
        .kind = kind, .epoch = BROKER_EPOCH_ANY, .timestamp_ms = -1, .committed = committed};
    assert_int_equal(fixture_call(f, 0, &find.call, find_fn, &find), ERR_OK);
    return find.offset;
}

static void offsets_of_committed_records_are_stable(void **state)
{
    struct fixture *f = started();
    int64_t offset;
    assert_int_equal(put(f, 1, 0), ERR_OK);
    assert_int_equal(found(f, BROKER_OFFSET_LATEST, true), 0);
    assert_int_equal(found(f, BROKER_OFFSET_LATEST, false), 1);
    assert_int_equal(found(f, BROKER_OFFSET_TIMESTAMP, true), -1);
    assert_int_equal(found(f, BROKER_OFFSET_TIMESTAMP, false), 0);
    assert_int_equal(mark(f, 1, false, &offset), ERR_OK);
    assert_int_equal(found(f, BROKER_OFFSET_LATEST, true), 2);
    assert_int_equal(found(f, BROKER_OFFSET_TIMESTAMP, true), 0);
    fixture_free(f);
}

struct watching {
    struct broker_watch watch;
    _Atomic unsigned fired;
    sem_t sem;
};

static void watching_done(struct broker_call *call)
{
    struct broker_watch *watch = CONTAINER_OF(call, struct broker_watch, call);
    struct watching *w = CONTAINER_OF(watch, struct watching, watch);
    w->fired++;
    sem_post(&w->sem);
}

static void arm_fn(struct core *core, void *arg)
{
    struct watching *w = arg;
    w->watch.call.done = watching_done;
    broker_watch_arm(core, partition_of(core), &w->watch);
}

static void a_marker_wakes_who_waits_for_committed_records(void **state)
{
    struct fixture *f = started();
    struct watching all = {.watch.offset = 0}, committed = {.watch.committed = true};
    int64_t offset;
    sem_init(&all.sem, 0, 0);
    sem_init(&committed.sem, 0, 0);
    fixture_on(f, 0, arm_fn, &all);
    fixture_on(f, 0, arm_fn, &committed);
    assert_int_equal(put(f, 1, 0), ERR_OK);
    assert_int_equal(sem_wait(&all.sem), 0);
    assert_int_equal(put(f, 1, 1), ERR_OK);
    assert_int_equal(read_at(f, 0, true).size, 0); /* the core has had its turns */
    assert_int_equal(committed.fired, 0);
    assert_int_equal(mark(f, 1, true, &offset), ERR_OK);
    assert_int_equal(sem_wait(&committed.sem), 0);
    sem_destroy(&all.sem);
    sem_destroy(&committed.sem);
    fixture_free(f);
}

static void describe_fn(struct core *core, void *arg)
{
    broker_producers_describe(core, partition_of(core), arg);
}

static void producers_are_described(void **state)
{
    struct fixture *f = started();
    struct broker_producers call = {.count = 0};
    int64_t offset;
    assert_int_equal(fixture_call(f, 0, &call.call, describe_fn, &call), ERR_OK);
    assert_int_equal(call.count, 0);
    assert_int_equal(put(f, 1, 0), ERR_OK);
    assert_int_equal(put(f, 2, 0), ERR_OK);
    assert_int_equal(mark(f, 1, true, &offset), ERR_OK);
    assert_int_equal(fixture_call(f, 1, &call.call, describe_fn, &call), ERR_OK);
    assert_int_equal(call.count, 2);
    for (size_t i = 0; i < call.count; i++) {
        bool is_first = call.producers[i].producer_id == 1;
        assert_int_equal(call.producers[i].transaction_first, is_first ? -1 : 1);
        assert_int_equal(call.producers[i].coordinator_epoch, is_first ? 3 : -1);
    }
    broker_producers_release(&call);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_begins_a_transaction_must_be_verified),
        cmocka_unit_test(a_marker_is_kafkas),
        cmocka_unit_test(committed_reads_stop_at_the_oldest_transaction),
        cmocka_unit_test(offsets_of_committed_records_are_stable),
        cmocka_unit_test(a_marker_wakes_who_waits_for_committed_records),
        cmocka_unit_test(producers_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

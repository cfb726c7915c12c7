// Tests of appends and reads: every rule alone, back-pressure, what is visible, who is woken.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "broker/broker_fixture.h"

static int64_t wall_ms(void)
{
    return os_posix()->ops->wall_ms(os_posix());
}

static struct buf_range batch_of(unsigned count, size_t size)
{
    return fixture_batch(&(struct fixture_batch_options){count, size, wall_ms(), 0});
}

static struct fixture *started(const char *name, const char *value)
{
    struct fixture *f = fixture_new(2);
    struct broker_setting_pair pair = {slice_text(name), slice_text(value)};
    struct broker_topic_create create = {.name = SLICE_LITERAL("t"),
                                         .partition_count = 1,
                                         .replication_factor = 1,
                                         .settings = &pair,
                                         .setting_count = name ? 1 : 0};
    if (fixture_call(f, 0, &create.call, fixture_create_fn, &create) != ERR_OK)
        fail_msg("%s", create.call.diag.text);
    return f;
}

static void offsets_follow_each_other_from_every_core(void **state)
{
    struct fixture *f = started(NULL, NULL);
    for (unsigned i = 0; i < 10; i++) {
        struct fixture_append a = {.topic = "t"};
        assert_int_equal(fixture_append(f, i % 2, &a, batch_of(3, 10)), ERR_OK);
        assert_int_equal(a.append.base_offset, i * 3);
        assert_int_equal(a.append.log_start, 0);
        assert_int_equal(a.append.append_time_ms, -1);
        assert_int_equal(a.append.error_record, -1);
    }
    fixture_free(f);
}

static void a_partition_that_is_not_there_is_not_found(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t", .partition = 1};
    assert_int_equal(fixture_append(f, 1, &a, batch_of(1, 1)), ERR_NOT_FOUND);
    fixture_free(f);
}

static void damage_is_refused(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    struct buf_range batch = batch_of(1, 10);
    batch.buf->data[batch.size - 1] ^= 1;
    assert_int_equal(fixture_append(f, 0, &a, batch), ERR_CORRUPT);
    batch = batch_of(1, 10);
    batch.size -= 1;
    assert_int_equal(fixture_append(f, 0, &a, batch), ERR_CORRUPT);
    batch = batch_of(1, 10);
    batch.size = 20;
    assert_int_equal(fixture_append(f, 0, &a, batch), ERR_CORRUPT);
    batch = batch_of(1, 10);
    batch.buf->data[16] = 1;
    assert_int_equal(fixture_append(f, 0, &a, batch), ERR_RECORD_INVALID);
    assert_true(a.append.call.diag.text[0] != 0);
    fixture_free(f);
}

static void two_batches_are_one_too_many(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    struct buf_range one = batch_of(1, 10);
    struct buf *buf = buf_new(one.size * 2);
    memcpy(buf->data, one.buf->data, one.size);
    memcpy(buf->data + one.size, one.buf->data, one.size);
    assert_int_equal(fixture_append(f, 0, &a, (struct buf_range){buf, 0, one.size * 2}),
                     ERR_RECORD_INVALID);
    buf_unref(one.buf);
    fixture_free(f);
}

static void a_batch_holds_what_it_claims(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    for (int more = -1; more <= 1; more += 2) {
        struct buf_range batch = batch_of(3, 10);
        struct batch_header header;
        uint8_t *bytes = batch.buf->data + batch.offset;
        assert_int_equal(batch_check(buf_range_slice(batch), &header), ERR_OK);
        header.record_count += more;
        header.last_offset_delta += more;
        batch_header_write(bytes, &header);
        assert_int_equal(batch_check(buf_range_slice(batch), &header), ERR_OK);
        assert_int_equal(fixture_append(f, 0, &a, batch), ERR_RECORD_INVALID);
        assert_non_null(strstr(a.append.call.diag.text, "claims"));
    }
    fixture_free(f);
}

static void control_and_transactional_batches_are_refused(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {1, 10, wall_ms(), BATCH_CONTROL};
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_RECORD_INVALID);
    options.attributes = BATCH_TRANSACTIONAL; /* without a producer id */
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_RECORD_INVALID);
    options.attributes = BATCH_CONTROL;
    a.append.internal = true;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_OK);
    fixture_free(f);
}

static void only_the_server_says_that_records_are_delivered(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {1, 10, wall_ms(), BATCH_DELIVERED};
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_RECORD_INVALID);
    assert_non_null(strstr(a.append.call.diag.text, "subscribers"));
    a.append.is_delivered = true;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_OK);
    options.attributes |= BATCH_CONTROL;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_RECORD_INVALID);
    fixture_free(f);
}

static void the_size_is_bounded(void **state)
{
    struct buf_range batch = batch_of(1, 1000);
    char limit[16];
    (void)snprintf(limit, sizeof(limit), "%u", batch.size);
    struct fixture *f = started("max.message.bytes", limit);
    struct fixture_append a = {.topic = "t"};
    assert_int_equal(fixture_append(f, 1, &a, batch), ERR_OK);
    assert_int_equal(fixture_append(f, 1, &a, batch_of(1, 1001)), ERR_TOO_LARGE);
    assert_non_null(strstr(a.append.call.diag.text, "max.message.bytes"));
    fixture_free(f);
}

static void timestamps_lie_in_the_window(void **state)
{
    struct fixture *f = started("message.timestamp.before.max.ms", "60000");
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {2, 10, wall_ms() - 50000, 0};
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_OK);
    options.timestamp_ms = wall_ms() - 70000;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_TIMESTAMP);
    assert_int_equal(a.append.error_record, 0);
    options.timestamp_ms = wall_ms() + 3500000;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_OK);
    options.timestamp_ms = wall_ms() + 3700000;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_TIMESTAMP);
    options.timestamp_ms = -1;
    assert_int_equal(fixture_append(f, 0, &a, fixture_batch(&options)), ERR_OK);
    fixture_free(f);
}

/* count records, of which the one at keyless has no key. */
static struct buf_range keyed_batch(int count, int keyless, enum batch_codec codec)
{
    struct build build;
    struct codec_output out;
    build_init(&build, 1 << 20);
    codec_output_init(&out, 1 << 20);
    for (int i = 0; i < count; i++) {
        struct build_record record = {.timestamp_ms = wall_ms(),
                                      .key = i == keyless ? SLICE_NULL : SLICE_LITERAL(""),
                                      .value = SLICE_LITERAL("value")};
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    build.header.attributes = codec;
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    struct buf_range range = {buf, 0, (uint32_t)out.size};
    build_deinit(&build);
    codec_output_deinit(&out);
    return range;
}

static void a_compacted_topic_wants_keys(void **state)
{
    struct fixture *f = started("cleanup.policy", "compact");
    for (int codec = BATCH_CODEC_NONE; codec <= BATCH_CODEC_ZSTD; codec++) {
        struct fixture_append a = {.topic = "t"};
        struct buf_range batch = keyed_batch(5, 3, (enum batch_codec)codec);
        assert_int_equal(fixture_append(f, 0, &a, batch), ERR_RECORD_INVALID);
        assert_int_equal(a.append.error_record, 3);
        assert_non_null(strstr(a.append.call.diag.text, "key"));
        batch = keyed_batch(5, -1, (enum batch_codec)codec);
        assert_int_equal(fixture_append(f, 1, &a, batch), ERR_OK);
        assert_int_equal(a.append.base_offset, codec * 5);
        assert_int_equal(a.append.error_record, -1);
    }
    fixture_free(f);
    f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    assert_int_equal(fixture_append(f, 0, &a, keyed_batch(5, 3, BATCH_CODEC_LZ4)), ERR_OK);
    fixture_free(f);
}

static void append_time_is_the_servers(void **state)
{
    struct fixture *f = started("message.timestamp.type", "LogAppendTime");
    struct fixture_append a = {.topic = "t"};
    struct fixture_batch_options options = {1, 10, wall_ms() + 9999999, 0};
    int64_t before_ms = wall_ms();
    assert_int_equal(fixture_append(f, 1, &a, fixture_batch(&options)), ERR_OK);
    assert_true(a.append.append_time_ms >= before_ms - 1000);
    assert_true(a.append.append_time_ms <= wall_ms());
    fixture_free(f);
}

static void internal_topics_are_written_by_the_server_only(void **state)
{
    struct fixture *f = fixture_new(2);
    struct broker_topic_create create = {.name = SLICE_LITERAL("__consumer_offsets"),
                                         .partition_count = 2,
                                         .replication_factor = 1,
                                         .internal = true};
    assert_int_equal(fixture_call(f, 1, &create.call, fixture_create_fn, &create), ERR_OK);
    struct fixture_append a = {.topic = "__consumer_offsets", .partition = 1};
    assert_int_equal(fixture_append(f, 0, &a, batch_of(1, 1)), ERR_ACCESS);
    a.append.internal = true;
    assert_int_equal(fixture_append(f, 1, &a, batch_of(1, 1)), ERR_OK);
    fixture_free(f);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct read_call {
    struct broker_read read;
    int32_t partition;
};

static void read_fn(struct core *core, void *arg)
{
    struct read_call *r = arg;
    const struct broker_topic *topic = broker_topic_find(core, SLICE_LITERAL("t"));
    broker_read(core, broker_partition_at(topic, r->partition), &r->read);
}

static enum err read_at(struct fixture *f, struct read_call *r, int64_t offset, int32_t epoch)
{
    memset(r, 0, sizeof(*r));
    r->read.offset = offset;
    r->read.epoch = epoch;
    r->read.size_max = 1 << 20;
    r->read.want_one = true;
    return fixture_call(f, 1, &r->read.call, read_fn, r);
}

static void compression_type_is_what_lies_in_the_log(void **state)
{
    struct fixture *f = started("compression.type", "zstd");
    struct batch_header header;
    struct read_call r;
    for (unsigned i = 0; i < 20; i++) {
        struct fixture_append a = {.topic = "t"};
        assert_int_equal(fixture_append(f, i % 2, &a, batch_of(10, 1000)), ERR_OK);
        assert_int_equal(a.append.base_offset, i * 10);
    }
    assert_int_equal(read_at(f, &r, 35, BROKER_EPOCH_ANY), ERR_OK);
    struct slice bytes = buf_range_slice(r.read.store.chunks[0].bytes);
    assert_int_equal(batch_check(bytes, &header), ERR_OK);
    assert_int_equal(header.base_offset, 30);
    assert_int_equal(header.record_count, 10);
    assert_int_equal(batch_codec(&header), BATCH_CODEC_ZSTD);
    broker_read_release(&r.read);
    fixture_free(f);
}

static void reads_see_what_is_durable(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    struct read_call r;
    assert_int_equal(read_at(f, &r, 0, BROKER_EPOCH_ANY), ERR_OK);
    assert_int_equal(r.read.store.size, 0);
    assert_int_equal(fixture_append(f, 0, &a, batch_of(5, 10)), ERR_OK);
    assert_int_equal(read_at(f, &r, 2, 0), ERR_OK);
    assert_int_equal(r.read.store.offset_next, 5);
    assert_int_equal(r.read.high_watermark, 5);
    assert_int_equal(r.read.last_stable, 5);
    assert_int_equal(r.read.log_start, 0);
    assert_int_equal(r.read.store.chunk_count, 1);
    broker_read_release(&r.read);
    assert_int_equal(read_at(f, &r, 5, 0), ERR_OK);
    assert_int_equal(r.read.store.size, 0);
    assert_int_equal(read_at(f, &r, 6, 0), ERR_OUT_OF_RANGE);
    assert_int_equal(read_at(f, &r, -1, 0), ERR_OUT_OF_RANGE);
    assert_int_equal(r.read.high_watermark, 5);
    assert_int_equal(read_at(f, &r, 0, 1), ERR_EPOCH_UNKNOWN);
    assert_int_equal(read_at(f, &r, 0, -7), ERR_FENCED);
    fixture_free(f);
}

/* --- the store is busy ------------------------------------------------------------------------ */

static void nothing_fn(struct core *core, void *arg)
{
}

#define WAITING 20
struct crowd {
    struct fixture_append appends[WAITING];
    struct buf_range batches[WAITING]; /* each its own: the log stamps it in place */
    _Atomic unsigned done;
    unsigned failed;
    bool in_order;
    sem_t sem;
};
static struct crowd crowd;

static void crowd_done(struct broker_call *call)
{
    struct broker_append *append = CONTAINER_OF(call, struct broker_append, call);
    crowd.failed += call->err != ERR_OK;
    if (append != &crowd.appends[crowd.done].append || append->base_offset != crowd.done)
        crowd.in_order = false;
    if (++crowd.done == WAITING)
        sem_post(&crowd.sem);
}

static void crowd_fn(struct core *core, void *arg)
{
    for (unsigned i = 0; i < WAITING; i++) {
        struct fixture_append *a = &crowd.appends[i];
        *a = (struct fixture_append){.topic = "t"};
        a->append.batch = crowd.batches[i];
        a->append.call.done = crowd_done;
        fixture_append_fn(core, a);
    }
}

static void crowd_init(uint16_t attributes)
{
    memset(&crowd, 0, sizeof(crowd));
    sem_init(&crowd.sem, 0, 0);
    crowd.in_order = true;
    for (unsigned i = 0; i < WAITING; i += 2) {
        crowd.batches[i] = batch_of(1, 100000);
        crowd.batches[i + 1] =
            fixture_batch(&(struct fixture_batch_options){1, 10, wall_ms(), attributes});
    }
}

static void crowd_end(void)
{
    while (sem_wait(&crowd.sem) != 0) {
    }
    assert_int_equal(crowd.failed, 0);
    assert_true(crowd.in_order);
    for (unsigned i = 0; i < WAITING; i++)
        buf_unref(crowd.batches[i].buf);
    sem_destroy(&crowd.sem);
}

struct late {
    struct fixture *f;
    struct fixture_append a;
};

static void late_fn(struct core *core, void *arg)
{
    struct late *late = arg;
    atomic_store(&late->f->store.is_busy, false);
    fixture_append_fn(core, &late->a);
}

/* Also one that comes when there is room again, but others still wait. */
static void what_the_store_cannot_take_waits_in_order(void **state)
{
    struct fixture *f = started(NULL, NULL);
    crowd_init(0);
    struct late late = {f, {.topic = "t"}};
    late.a.append.batch = batch_of(1, 10);
    atomic_store(&f->store.is_busy, true);
    fixture_on(f, 1, crowd_fn, NULL);
    fixture_on(f, 0, nothing_fn, NULL);
    assert_int_equal(sem_trywait(&crowd.sem), -1);
    assert_int_equal(fixture_call(f, 0, &late.a.append.call, late_fn, &late), ERR_OK);
    assert_int_equal(late.a.append.base_offset, WAITING);
    buf_unref(late.a.append.batch.buf);
    crowd_end();
    fixture_free(f);
}

/* Every other batch has the codec already, and must not overtake those that wait for theirs. */
static void compression_keeps_the_order(void **state)
{
    struct fixture *f = started("compression.type", "zstd");
    crowd_init(BATCH_CODEC_ZSTD);
    fixture_on(f, 1, crowd_fn, NULL);
    crowd_end();
    fixture_free(f);
}

/* --- draining --------------------------------------------------------------------------------- */

static void drained(void *arg)
{
    struct fixture *f = arg;
    sem_post(&f->sem);
}

static void drain_fn(struct core *core, void *arg)
{
    struct fixture *f = arg;
    broker_drain(f->broker, drained, f);
}

static void a_drain_waits_for_appends_and_refuses_new_ones(void **state)
{
    struct fixture *f = started(NULL, NULL);
    struct fixture_append a = {.topic = "t"};
    crowd_init(0);
    atomic_store(&f->store.is_held, true);
    fixture_on(f, 1, crowd_fn, NULL);
    fixture_on(f, 0, drain_fn, f);
    assert_int_equal(sem_trywait(&f->sem), -1);
    atomic_store(&f->store.is_held, false);
    while (sem_wait(&f->sem) != 0) {
    }
    assert_int_equal(crowd.done, WAITING);
    assert_int_equal(fixture_append(f, 0, &a, batch_of(1, 1)), ERR_CLOSED);
    assert_int_equal(fixture_append(f, 1, &a, batch_of(1, 1)), ERR_CLOSED);
    assert_int_equal(fixture_create(f, 1, "late", 1), ERR_CLOSED);
    crowd_end();
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_follow_each_other_from_every_core),
        cmocka_unit_test(a_partition_that_is_not_there_is_not_found),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(two_batches_are_one_too_many),
        cmocka_unit_test(a_batch_holds_what_it_claims),
        cmocka_unit_test(control_and_transactional_batches_are_refused),
        cmocka_unit_test(only_the_server_says_that_records_are_delivered),
        cmocka_unit_test(the_size_is_bounded),
        cmocka_unit_test(timestamps_lie_in_the_window),
        cmocka_unit_test(a_compacted_topic_wants_keys),
        cmocka_unit_test(append_time_is_the_servers),
        cmocka_unit_test(internal_topics_are_written_by_the_server_only),
        cmocka_unit_test(compression_type_is_what_lies_in_the_log),
        cmocka_unit_test(reads_see_what_is_durable),
        cmocka_unit_test(what_the_store_cannot_take_waits_in_order),
        cmocka_unit_test(compression_keeps_the_order),
        cmocka_unit_test(a_drain_waits_for_appends_and_refuses_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

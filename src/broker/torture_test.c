// Fails the n-th allocation of appends, for every n: each call is answered, and all goes on.
// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>

#include "broker/state.h"
#include "os/fake_torture.h"
#include "record/build.h"

#define APPEND_COUNT 8
#define TURNS_MAX    200
#define WAIT_NS      1000000000ull
#define WAITS_MAX    40 /* longer than an append waits for memory */
#define PRODUCER_ID  5

enum topic { PLAIN, PACKED, KEYED, TOPIC_COUNT };
static const struct {
    const char *name;
    struct broker_setting_pair setting;
} topics[TOPIC_COUNT] = {
    {"plain", {SLICE_LITERAL("index.interval.bytes"), SLICE_LITERAL("1000")}},
    {"packed", {SLICE_LITERAL("compression.type"), SLICE_LITERAL("zstd")}},
    {"keyed", {SLICE_LITERAL("cleanup.policy"), SLICE_LITERAL("compact")}},
};

/* What is appended; the last one behind the marker of the transaction. */
static const struct {
    enum topic topic;
    size_t size;
    uint16_t attributes;
} plan[APPEND_COUNT] = {
    {PLAIN, 100, 0},
    {PLAIN, 9000, 0},
    {PACKED, 5000, 0},
    {KEYED, 300, 0},
    {KEYED, 7000, BATCH_CODEC_LZ4},
    {PLAIN, 50, BATCH_TRANSACTIONAL},
    {PACKED, 10, 0},
    {PLAIN, 20000, 0},
};

struct append {
    struct broker_append append;
    struct buf *buf;
    unsigned done_count;
};

struct life {
    struct os_fake *fake;
    struct os_ops ops;
    struct budget budget;
    struct broker_settings settings;
    struct reactor *reactor;
    struct core *core;
    struct store *store;
    struct broker *broker;
    struct append appends[APPEND_COUNT];
    struct broker_read read;
    unsigned call_count; /* of others that are done */
};

/* --- opening and closing --- */

static void life_open(struct life *life)
{
    struct os *os = os_fake_os(life->fake);
    struct diag diag = {.text = ""};
    struct reactor_options reactor = {
        .os = os, .budget = &life->budget, .core_count = 1, .buffers_keep_bytes = 1 << 20};
    assert_int_equal(reactor_open(&reactor, &life->reactor), ERR_OK);
    life->core = reactor_core(life->reactor, 0);
    struct store_options store = {.reactor = life->reactor,
                                  .os = os,
                                  .data_dir = "/data",
                                  .journal_size_max_bytes = 8 << 20,
                                  .journal_piece_bytes = 256 << 10,
                                  .direct_size_min_bytes = 1 << 20,
                                  .cache_size_max_bytes = 1 << 20,
                                  .open_files_max = 16};
    assert_int_equal(store_open(&store, &life->store, &diag), ERR_OK);
    struct broker_options broker = {.reactor = life->reactor,
                                    .store = life->store,
                                    .os = os,
                                    .settings = &life->settings,
                                    .view_prefix = SLICE_LITERAL("kafka"),
                                    .data_dir = "/data"};
    if (broker_open(&broker, &life->broker, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
}

static void life_close(struct life *life)
{
    broker_close(life->broker);
    store_close(life->store);
    reactor_close(life->reactor);
    assert_int_equal(budget_used(&life->budget), 0);
}

static void turns(struct life *life, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        core_run_once(life->core, 0);
}

/* --- calls --- */

static bool call_is_done;

static void call_done(struct broker_call *call)
{
    call_is_done = true;
}

/* Begun already. */
static enum err call_wait(struct life *life, const struct broker_call *call)
{
    for (unsigned i = 0; i < TURNS_MAX && !call_is_done; i++)
        turns(life, 1);
    assert_true(call_is_done);
    call_is_done = false;
    return call->err;
}

static void topics_create(struct life *life)
{
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        struct broker_topic_create create = {.call.done = call_done,
                                             .name = slice_text(topics[i].name),
                                             .partition_count = 1,
                                             .replication_factor = 1,
                                             .settings = &topics[i].setting,
                                             .setting_count = 1};
        broker_topic_create(life->core, &create);
        if (call_wait(life, &create.call) != ERR_OK)
            fail_msg("%s: %s", topics[i].name, create.call.diag.text);
    }
}

static const struct broker_topic *topic_of(struct life *life, enum topic topic)
{
    const struct broker_topic *found =
        broker_topic_find(life->core, slice_text(topics[topic].name));
    assert_non_null(found);
    return found;
}

static struct buf_range batch_make(size_t size, uint16_t attributes, int64_t now_ms)
{
    struct build build;
    struct codec_output out;
    uint8_t *value = calloc(1, size);
    build_init(&build, 1 << 20);
    codec_output_init(&out, 1 << 20);
    struct build_record record = {
        .timestamp_ms = now_ms, .key = SLICE_LITERAL("key"), .value = slice_make(value, size)};
    assert_int_equal(build_add(&build, &record), ERR_OK);
    build.header.attributes |= attributes;
    if (attributes & BATCH_TRANSACTIONAL) {
        build.header.producer_id = PRODUCER_ID;
        build.header.producer_epoch = 0;
        build.header.base_sequence = 0;
    }
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    struct buf_range range = {buf, 0, (uint32_t)out.size};
    build_deinit(&build);
    codec_output_deinit(&out);
    free(value);
    return range;
}

/* --- one life --- */

static void append_done(struct broker_call *call)
{
    CONTAINER_OF(call, struct append, append.call)->done_count++;
}

static void other_done(struct broker_call *call)
{
    CONTAINER_OF(call, struct life, read.call)->call_count++;
}

static void prepare(struct life *life)
{
    for (unsigned i = 0; i < APPEND_COUNT; i++) {
        struct append *a = &life->appends[i];
        struct buf_range batch =
            batch_make(plan[i].size, plan[i].attributes, core_wall_ms(life->core));
        a->buf = batch.buf;
        a->append = (struct broker_append){
            .call.done = append_done, .batch = batch, .is_verified = true, .verify_end = INT64_MAX};
    }
    life->read = (struct broker_read){.call.done = other_done,
                                      .epoch = BROKER_EPOCH_ANY,
                                      .size_max = 1 << 20,
                                      .want_one = true,
                                      .want_memory = true,
                                      .committed = true};
}

static void act(struct life *life)
{
    for (unsigned i = 0; i < APPEND_COUNT; i++) {
        broker_append(life->core, topic_of(life, plan[i].topic), 0, &life->appends[i].append);
        if (i % 3 == 2)
            turns(life, 4);
    }
    broker_read(life->core, broker_partition_at(topic_of(life, PLAIN), 0), &life->read);
    turns(life, 20);
}

static bool is_want(enum err err)
{
    return err == ERR_NO_MEMORY || err == ERR_BUSY || err == ERR_OFFLINE;
}

/* Memory is there again. */
static void check_answers(struct life *life)
{
    for (unsigned i = 0; i < WAITS_MAX; i++) {
        os_fake_advance(life->fake, WAIT_NS);
        turns(life, 5);
    }
    for (unsigned i = 0; i < APPEND_COUNT; i++) {
        const struct append *a = &life->appends[i];
        assert_int_equal(a->done_count, 1);
        if (a->append.call.err && !is_want(a->append.call.err))
            fail_msg("append %u: %s", i, err_name(a->append.call.err));
    }
    assert_int_equal(life->call_count, 1);
    assert_true(!life->read.call.err || is_want(life->read.call.err));
    broker_read_release(&life->read);
}

static void check_read(struct life *life, const struct broker_append *append, enum topic topic)
{
    struct batch_header header;
    struct broker_read read = {.call.done = call_done,
                               .offset = append->base_offset,
                               .epoch = BROKER_EPOCH_ANY,
                               .size_max = 1,
                               .want_one = true,
                               .want_memory = true};
    broker_read(life->core, broker_partition_at(topic_of(life, topic), 0), &read);
    assert_int_equal(call_wait(life, &read.call), ERR_OK);
    assert_int_equal(read.store.chunk_count, 1);
    struct slice bytes = buf_range_slice(read.store.chunks[0].bytes);
    assert_int_equal(batch_check(bytes, &header), ERR_OK);
    assert_int_equal(header.base_offset, append->base_offset);
    assert_int_equal(header.producer_id, append->store.header.producer_id);
    assert_int_equal(batch_codec(&header) == BATCH_CODEC_ZSTD, topic == PACKED);
    broker_read_release(&read);
}

/* What was acknowledged is there after a power cut, and each topic takes more. */
static void check_goes_on(struct life *life)
{
    life_close(life);
    os_fake_crash(life->fake, 1, OS_FAKE_CRASH_LOSE_ALL);
    life_open(life);
    for (unsigned i = 0; i < APPEND_COUNT; i++)
        if (!life->appends[i].append.call.err)
            check_read(life, &life->appends[i].append, plan[i].topic);
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        struct broker_append append = {.call.done = call_done,
                                       .batch = batch_make(10, 0, core_wall_ms(life->core))};
        broker_append(life->core, topic_of(life, (enum topic)i), 0, &append);
        buf_unref(append.batch.buf);
        assert_int_equal(call_wait(life, &append.call), ERR_OK);
        check_read(life, &append, (enum topic)i);
    }
    life_close(life);
}

static bool run(long count)
{
    struct life life = {.fake = os_fake_new(1)};
    budget_init(&life.budget, 64 << 20);
    broker_settings_init(&life.settings);
    shield(os_fake_os(life.fake), &life.ops);
    life_open(&life);
    topics_create(&life);
    prepare(&life);
    allocations_left = count;
    act(&life);
    bool is_over = allocations_left > 0;
    allocations_left = -1;
    check_answers(&life);
    check_goes_on(&life);
    for (unsigned i = 0; i < APPEND_COUNT; i++)
        buf_unref(life.appends[i].buf);
    os_fake_free(life.fake);
    return is_over;
}

static void appends_survive_want_of_memory(void **state)
{
    for (int i = 0; i < 2; i++) {
        long count = 0;
        is_one_alone = i == 1;
        while (!run(count))
            count++;
        assert_true(count > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(appends_survive_want_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

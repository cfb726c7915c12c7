// Random producers that claim, write, end, are fenced, time out and meet restarts; then the logs.
// SPDX-License-Identifier: Apache-2.0
//
// The model knows each transaction by a serial number, which its batches carry. What the logs say
// must be what the producers were told: all partitions of a transaction end the same way, as the
// model has it; nobody who was fenced succeeds; every transaction ends.
#include <inttypes.h>

#include "base/endian.h"
#include "base/hash.h"
#include "broker/group_fixture.h"
#include "broker/transaction.h"

#define IDS_MAX        4
#define PARTITIONS_MAX 3
#define SERIALS_MAX    4000
#define LOOKS_MAX      20000
#define TIMEOUT_MS     15000

enum verdict { VERDICT_OPEN, VERDICT_COMMIT, VERDICT_ABORT };

/* An instance of a producer; the newest of an id is alive until it times out. */
struct actor {
    struct transaction_call has;
    bool bump;
    bool is_fenced;
    bool is_open;
    unsigned serial;
    bool wrote[PARTITIONS_MAX];
    int32_t sequence[PARTITIONS_MAX];
    int64_t offset; /* promised to the group; -1: none */
};

struct model {
    struct fixture *f;
    struct group_clock clock;
    uint64_t seed;
    struct actor actors[IDS_MAX];  /* the newest */
    struct actor zombies[IDS_MAX]; /* the one before */
    enum verdict verdicts[SERIALS_MAX];
    unsigned serials;
    int64_t offsets[IDS_MAX]; /* committed, for the group of each id */
    unsigned ends[3];
};

static unsigned dice(struct model *m, unsigned sides)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(m->seed >> 33) % sides;
}

static struct slice id_of(unsigned index)
{
    static const char *const names[IDS_MAX] = {"alpha", "beta", "gamma", "delta"};
    return slice_text(names[index]);
}

/* --- calls --- */

static void claim_fn(struct core *core, void *arg)
{
    broker_transaction_init(core, arg);
}

static void add_fn(struct core *core, void *arg)
{
    broker_transaction_add(core, arg);
}

static void end_fn(struct core *core, void *arg)
{
    broker_transaction_end(core, arg);
}

static void describe_fn(struct core *core, void *arg)
{
    broker_transaction_describe(core, arg);
}

static unsigned any_core(struct model *m)
{
    return dice(m, m->f->core_count);
}

static enum err add(struct model *m, const struct actor *actor, struct transaction_place *place,
                    bool verify_only)
{
    struct transaction_add call = {
        .of = actor->has, .verify_only = verify_only, .places = place, .place_count = 1};
    enum err err = fixture_call(m->f, any_core(m), &call.of.call, add_fn, &call);
    return err ? err : place->err;
}

static struct transaction_place place_of(int32_t partition)
{
    return (struct transaction_place){.topic = SLICE_LITERAL("orders"), .partition = partition};
}

/* Two records? One is enough: its value is the serial number. */
static struct buf_range batch_of(const struct actor *actor, int32_t partition)
{
    struct build build;
    struct codec_output out;
    uint8_t value[4];
    be32_put(value, actor->serial);
    build_init(&build, 1 << 16);
    codec_output_init(&out, 1 << 16);
    struct build_record record = {.timestamp_ms = -1, .value = slice_make(value, sizeof(value))};
    assert_int_equal(build_add(&build, &record), ERR_OK);
    build.header.attributes |= BATCH_TRANSACTIONAL;
    build.header.producer_id = actor->has.producer_id;
    build.header.producer_epoch = actor->has.epoch;
    build.header.base_sequence = actor->sequence[partition];
    assert_int_equal(build_finish(&build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    struct buf_range range = {buf, 0, (uint32_t)out.size};
    build_deinit(&build);
    codec_output_deinit(&out);
    return range;
}

/* As a conversation does it: refused, verified or added, sent again; once more when the marker of
 * the transaction before came in between. */
static enum err produce(struct model *m, struct actor *actor, int32_t partition)
{
    struct fixture_append a = {.topic = "orders", .partition = partition};
    struct transaction_place place = place_of(partition);
    struct buf_range batch = batch_of(actor, partition);
    enum err err = ERR_UNVERIFIED;
    for (unsigned i = 0; err == ERR_UNVERIFIED; i++) {
        assert_true(i < 10);
        buf_ref(batch.buf);
        err = fixture_append(m->f, any_core(m), &a, batch);
        a.append.is_verified = true;
        if (err == ERR_UNVERIFIED && (err = add(m, actor, &place, !actor->bump)) == ERR_OK)
            err = ERR_UNVERIFIED;
    }
    buf_unref(batch.buf);
    if (!err)
        actor->sequence[partition]++;
    return err;
}

/* --- what producers do --- */

static void verdict_set(struct model *m, struct actor *actor, enum verdict verdict)
{
    if (!actor->is_open)
        return;
    m->verdicts[actor->serial] = verdict;
    m->ends[verdict]++;
    actor->is_open = false;
}

static void open_new(struct model *m, struct actor *actor)
{
    CHECK(m->serials < SERIALS_MAX);
    actor->is_open = true;
    actor->serial = m->serials++;
    actor->offset = -1;
    memset(actor->wrote, 0, sizeof(actor->wrote));
}

static void do_claim(struct model *m, unsigned id)
{
    struct actor *actor = &m->actors[id];
    struct transaction_init init = {.of = {.id = id_of(id), .producer_id = -1, .epoch = -1},
                                    .timeout_ms = TIMEOUT_MS};
    bool goes_on = actor->has.id.data && !actor->is_fenced && dice(m, 3) == 0;
    if (goes_on) {
        init.of.producer_id = actor->has.producer_id;
        init.of.epoch = actor->has.epoch;
    }
    assert_int_equal(fixture_call(m->f, any_core(m), &init.of.call, claim_fn, &init), ERR_OK);
    if (actor->has.id.data)
        m->zombies[id] = *actor;
    m->zombies[id].is_fenced = true;
    verdict_set(m, actor, VERDICT_ABORT);
    *actor = (struct actor){
        .has = {.id = id_of(id), .producer_id = init.of.producer_id, .epoch = init.of.epoch},
        .bump = id % 2 == 0};
}

static void do_write(struct model *m, struct actor *actor)
{
    int32_t partition = (int32_t)dice(m, PARTITIONS_MAX);
    if (actor->is_fenced) {
        assert_int_not_equal(produce(m, actor, partition), ERR_OK);
        return;
    }
    bool is_new = !actor->is_open;
    if (is_new)
        open_new(m, actor);
    if (!actor->bump && !actor->wrote[partition]) {
        struct transaction_place place = place_of(partition);
        assert_int_equal(add(m, actor, &place, true), ERR_TXN_ABORTABLE);
        assert_int_equal(add(m, actor, &place, false), ERR_OK);
        assert_int_equal(add(m, actor, &place, true), ERR_OK);
    }
    assert_int_equal(produce(m, actor, partition), ERR_OK);
    actor->wrote[partition] = true;
}

static void do_offsets(struct model *m, unsigned id, struct actor *actor)
{
    struct transaction_place place;
    struct group_offset one = {.topic = SLICE_LITERAL("orders"),
                               .offset = dice(m, 100000),
                               .leader_epoch = -1,
                               .metadata = SLICE_LITERAL(""),
                               .commit_ms = -1};
    struct group_commit commit = {.group_id = id_of(id),
                                  .member_id = SLICE_LITERAL(""),
                                  .generation = -1,
                                  .retention_ms = -1,
                                  .offsets = &one,
                                  .offset_count = 1,
                                  .transactional_id = id_of(id),
                                  .producer_id = actor->has.producer_id,
                                  .producer_epoch = actor->has.epoch};
    if (!actor->is_fenced && !actor->is_open)
        open_new(m, actor);
    place = (struct transaction_place){.topic = SLICE_LITERAL("__consumer_offsets"),
                                       .partition = (int32_t)(hash_java_magnitude(id_of(id)) % 2)};
    enum err err = add(m, actor, &place, false);
    if (!err)
        err = fixture_call(m->f, any_core(m), &commit.call, fixture_commit_fn, &commit);
    if (actor->is_fenced) {
        assert_int_not_equal(err, ERR_OK);
        return;
    }
    assert_int_equal(err, ERR_OK);
    assert_int_equal(one.err, ERR_OK);
    actor->offset = one.offset;
}

static enum err end_once(struct model *m, struct transaction_call *has, bool commit, bool bump)
{
    struct transaction_end end = {.of = *has, .commit = commit, .bump = bump};
    enum err err = fixture_call(m->f, any_core(m), &end.of.call, end_fn, &end);
    if (!err) {
        has->producer_id = end.of.producer_id;
        has->epoch = end.of.epoch;
    }
    return err;
}

static void do_end(struct model *m, unsigned id, struct actor *actor)
{
    bool commit = dice(m, 2);
    struct transaction_call before = actor->has;
    enum err err = end_once(m, &actor->has, commit, actor->bump);
    if (actor->is_fenced) {
        assert_int_not_equal(err, ERR_OK);
        return;
    }
    if (!actor->is_open) {
        if (!actor->bump)
            return; /* a retry of what was last, or too early */
        assert_int_equal(err, commit ? ERR_TXN_STATE : ERR_OK);
    } else {
        assert_int_equal(err, ERR_OK);
        if (commit && actor->offset >= 0)
            m->offsets[id] = actor->offset;
        verdict_set(m, actor, commit ? VERDICT_COMMIT : VERDICT_ABORT);
    }
    if (err == ERR_OK && dice(m, 3) == 0) {
        struct transaction_call again = before;
        assert_int_equal(end_once(m, &again, commit, actor->bump), ERR_OK);
        assert_int_equal(again.epoch, actor->has.epoch);
        assert_int_equal(end_once(m, &before, !commit, actor->bump), ERR_TXN_STATE);
    }
    if (err == ERR_OK && actor->bump)
        memset(actor->sequence, 0, sizeof(actor->sequence));
}

/* --- time, restarts --- */

static bool is_settled(struct model *m, unsigned id)
{
    struct transaction_describe describe = {.of.id = id_of(id)};
    arena_init(&describe.arena, 1 << 20);
    enum err err = fixture_call(m->f, 0, &describe.of.call, describe_fn, &describe);
    bool is_prepared = !err && strncmp(describe.state, "Prepare", 7) == 0;
    bool is_open = !err && strcmp(describe.state, "Ongoing") == 0;
    arena_deinit(&describe.arena);
    /* Open is what the model has open, and nothing else. */
    return !is_prepared && is_open == m->actors[id].is_open;
}

static void settle(struct model *m)
{
    for (unsigned id = 0; id < IDS_MAX; id++)
        for (unsigned i = 0; !is_settled(m, id); i++) {
            assert_true(i < LOOKS_MAX);
            group_clock_pass(&m->clock, m->f, 1);
        }
    for (unsigned id = 0; id < IDS_MAX; id++)
        if (!m->actors[id].is_open || m->actors[id].offset < 0)
            assert_int_equal(fixture_committed(m->f, (const char *)id_of(id).data, "orders", 0),
                             m->offsets[id]);
}

/* Beyond every timeout. */
static void do_wait(struct model *m)
{
    settle(m); /* all is read back: its time runs */
    group_clock_pass(&m->clock, m->f, TIMEOUT_MS + 1000);
    for (unsigned id = 0; id < IDS_MAX; id++) {
        struct actor *actor = &m->actors[id];
        if (!actor->is_open)
            continue;
        verdict_set(m, actor, VERDICT_ABORT);
        actor->is_fenced = true;
    }
    settle(m); /* until the markers are there the partitions know nothing of it */
}

/* --- the logs --- */

struct seen {
    enum verdict verdict;
    bool is_there;
};

static void seen_end(struct seen *seen, unsigned count, const unsigned *pending, enum verdict how)
{
    for (unsigned i = 0; i < count; i++)
        seen[pending[i]].verdict = how;
}

/* One partition of orders: for each serial how it ended here. */
static void log_read(const struct fixture_kept *kept, struct seen *seen)
{
    static unsigned pending[SERIALS_MAX];
    for (size_t i = 0; i < kept->count; i++) {
        struct batch_header header;
        struct slice bytes = slice_make(kept->batches[i].bytes, kept->batches[i].size);
        struct record record;
        assert_int_equal(batch_header_read(bytes, &header), ERR_OK);
        struct slice rest =
            slice_make(bytes.data + BATCH_HEADER_SIZE, bytes.size - BATCH_HEADER_SIZE);
        assert_int_equal(record_next(&rest, &record), ERR_OK);
        if (!(header.attributes & BATCH_CONTROL)) {
            assert_int_equal(record.value.size, 4);
            seen[be32_get(record.value.data)] = (struct seen){VERDICT_OPEN, true};
            continue;
        }
        /* All of this producer's that are still open here. */
        unsigned count = 0;
        for (size_t j = 0; j < i; j++) {
            struct batch_header older;
            struct slice other = slice_make(kept->batches[j].bytes, kept->batches[j].size);
            assert_int_equal(batch_header_read(other, &older), ERR_OK);
            if ((older.attributes & BATCH_CONTROL) || older.producer_id != header.producer_id)
                continue;
            uint32_t serial = be32_get(other.data + other.size - 5);
            if (seen[serial].verdict == VERDICT_OPEN)
                pending[count++] = serial;
        }
        seen_end(seen, count, pending,
                 be16_get(record.key.data + 2) == 1 ? VERDICT_COMMIT : VERDICT_ABORT);
    }
}

static void logs_check(struct model *m, const struct uuid *orders)
{
    static struct seen seen[SERIALS_MAX];
    unsigned logs = 0;
    for (const struct fixture_kept *kept = m->f->store.kept; kept; kept = kept->next) {
        if (!uuid_equal(&kept->key.topic, orders))
            continue;
        memset(seen, 0, sizeof(seen));
        log_read(kept, seen);
        logs++;
        for (unsigned serial = 0; serial < m->serials; serial++)
            if (seen[serial].is_there && seen[serial].verdict != m->verdicts[serial])
                fail_msg("transaction %u is %d in partition %u, not %d", serial,
                         seen[serial].verdict, kept->key.partition, m->verdicts[serial]);
    }
    assert_int_equal(logs, PARTITIONS_MAX);
}

/* Some decisions are durable and their markers are not: the next life writes them. */
static void decide_without_markers(struct model *m)
{
    atomic_store(&m->f->store.is_refusing_markers, true);
    for (unsigned id = 0; id < IDS_MAX; id++) {
        struct actor *actor = &m->actors[id];
        if (!actor->is_open || dice(m, 2))
            continue;
        bool commit = dice(m, 2);
        assert_int_equal(end_once(m, &actor->has, commit, actor->bump), ERR_OK);
        if (commit && actor->offset >= 0)
            m->offsets[id] = actor->offset;
        verdict_set(m, actor, commit ? VERDICT_COMMIT : VERDICT_ABORT);
        if (actor->bump)
            memset(actor->sequence, 0, sizeof(actor->sequence));
    }
}

static void do_restart(struct model *m, const struct uuid *orders)
{
    settle(m);
    fixture_drain_stop(m->f);
    logs_check(m, orders);
    fixture_start(m->f);
    decide_without_markers(m);
    fixture_drain_stop(m->f);
    atomic_store(&m->f->store.is_refusing_markers, false);
    fixture_start(m->f);
}

static void step(struct model *m, const struct uuid *orders)
{
    unsigned way = dice(m, 100);
    unsigned id = dice(m, IDS_MAX);
    bool is_zombie = m->zombies[id].has.id.data && dice(m, 6) == 0;
    struct actor *actor = is_zombie ? &m->zombies[id] : &m->actors[id];
    if (way < 10 || !actor->has.id.data)
        do_claim(m, id);
    else if (way < 55)
        do_write(m, actor);
    else if (way < 65)
        do_offsets(m, id, actor);
    else if (way < 96)
        do_end(m, id, actor);
    else if (way < 98)
        do_wait(m);
    else
        do_restart(m, orders);
}

static void model_run(unsigned core_count, uint64_t seed, unsigned steps)
{
    struct model *m = calloc(1, sizeof(*m));
    m->seed = seed;
    group_clock_init(&m->clock);
    m->f = fixture_groups_new(core_count, &m->clock);
    fixture_stop(m->f);
    m->f->settings.transaction_state_log_num_partitions = 2;
    fixture_start(m->f);
    for (unsigned id = 0; id < IDS_MAX; id++)
        m->offsets[id] = -1;
    assert_int_equal(fixture_create(m->f, 0, "orders", PARTITIONS_MAX), ERR_OK);
    const struct broker_topic *topic = fixture_find(m->f, 0, "orders");
    struct uuid orders = topic->id;
    broker_topic_unref(topic);
    for (unsigned i = 0; i < steps; i++)
        step(m, &orders);
    do_wait(m);
    do_restart(m, &orders);
    settle(m);
    fixture_drain_stop(m->f);
    logs_check(m, &orders);
    assert_true(m->ends[VERDICT_COMMIT] > steps / 50 && m->ends[VERDICT_ABORT] > steps / 50);
    fixture_start(m->f);
    fixture_free(m->f);
    free(m);
}

static void what_producers_were_told_is_in_the_logs(void **state)
{
    const char *given = getenv("LEAT_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
    unsigned cores = *(unsigned *)*state;
    for (unsigned i = 0; i < 3; i++) {
        print_message("seed %" PRIu64 "\n", seed + i);
        model_run(cores, seed + i, 1000);
    }
}

int main(void)
{
    static unsigned one = 1, three = 3;
    const struct CMUnitTest tests[] = {
        {"what_producers_were_told_is_in_the_logs (1 core)",
         what_producers_were_told_is_in_the_logs, NULL, NULL, &one},
        {"what_producers_were_told_is_in_the_logs (3 cores)",
         what_producers_were_told_is_in_the_logs, NULL, NULL, &three},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

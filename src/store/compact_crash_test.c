// Random keyed work with cleanings and power cuts: records are where they were, or rightly gone.
// SPDX-License-Identifier: Apache-2.0
//
// LEAT_SEED=<n> runs that one seed, LEAT_SEEDS=<n> so many from it.
#include "store/compact.h"
#include "store/log_fixture.h"

#define ENTRY_MAX      4096
#define KEY_COUNT      12
#define PRODUCER_COUNT 3
#define SECOND_NS      1000000000ull
#define VALUE_SIZE     700

enum kind { KIND_RECORD, KIND_COMMIT, KIND_ABORT };
enum hole { HOLE_NONE, HOLE_WANTED, HOLE_SURE };

/* What one offset is. */
struct entry {
    enum kind kind;
    unsigned key;
    int value; /* -1: null */
    int64_t timestamp_ms;
    unsigned producer; /* 0: none */
    bool is_aborted;
    uint8_t hole;
    bool is_acked;
    bool is_read;
};

struct pending {
    struct log_fixture_append append;
    int64_t first;
    int64_t next;
};

struct producer {
    int16_t epoch;
    int32_t sequence;
    bool is_open;
};

struct model {
    struct log_fixture *f;
    struct os_fake_random random;
    uint64_t seed;
    unsigned round;
    struct entry entries[ENTRY_MAX];
    int64_t end;
    int64_t start_wanted;
    struct pending *pendings[ENTRY_MAX];
    unsigned pending_count;
    struct producer producers[PRODUCER_COUNT + 1];
};

#define ENSURE(m, x)                                                                               \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("seed %llu round %u: %s (line %d)", (unsigned long long)(m)->seed,            \
                     (m)->round, #x, __LINE__);                                                    \
    } while (0)

static uint64_t dice(struct model *m, uint64_t below)
{
    return os_fake_random_below(&m->random, below);
}

static struct store_log *log_of(struct model *m)
{
    return m->f->logs[0];
}

/* --- work --- */

static void append(struct model *m, struct build *build, const struct entry *entries,
                   unsigned count)
{
    struct codec_output out;
    struct pending *pending = calloc(1, sizeof(*pending));
    struct store_append *a = &pending->append.append;
    codec_output_init(&out, 1 << 20);
    assert_int_equal(build_finish(build, &out), ERR_OK);
    struct buf *buf = buf_new(out.size);
    memcpy(buf->data, out.data, out.size);
    a->batch = (struct buf_range){buf, 0, (uint32_t)out.size};
    assert_int_equal(batch_check(slice_make(out.data, out.size), &a->header), ERR_OK);
    a->done = log_fixture_append_done;
    a->is_verified = true;
    enum err err = store_log_append(log_of(m), a);
    buf_unref(buf);
    codec_output_deinit(&out);
    if (err != ERR_OK) {
        free(pending);
        return;
    }
    ENSURE(m, a->base_offset == m->end && m->end + count < ENTRY_MAX);
    pending->first = m->end;
    memcpy(m->entries + m->end, entries, count * sizeof(*entries));
    m->end += count;
    pending->next = m->end;
    m->pendings[m->pending_count++] = pending;
    struct producer *producer = &m->producers[entries[0].producer];
    producer->is_open = entries[0].producer > 0 && entries[0].kind == KIND_RECORD;
    if (producer->is_open)
        producer->sequence += (int32_t)count;
}

static void stamp(struct model *m, struct build *build, unsigned number, uint16_t attributes)
{
    if (number == 0)
        return;
    build->header.producer_id = 100 + number;
    build->header.producer_epoch = m->producers[number].epoch;
    build->header.base_sequence = attributes & BATCH_CONTROL ? -1 : m->producers[number].sequence;
    build->header.attributes |= attributes;
}

static void work_append(struct model *m)
{
    struct build build;
    struct entry entries[4] = {{0}};
    uint8_t value[VALUE_SIZE] = {0};
    unsigned count = 1 + (unsigned)dice(m, 4);
    unsigned producer = dice(m, 3) == 0 ? 1 + (unsigned)dice(m, PRODUCER_COUNT) : 0;
    build_init(&build, 1 << 20);
    for (unsigned i = 0; i < count; i++) {
        entries[i] = (struct entry){.key = (unsigned)dice(m, KEY_COUNT),
                                    .value = dice(m, 6) ? (int)m->end + (int)i : -1,
                                    .timestamp_ms = 1000 + (int64_t)dice(m, 100000),
                                    .producer = producer};
        memcpy(value, &entries[i].value, sizeof(int));
        struct build_record record = {
            .timestamp_ms = entries[i].timestamp_ms,
            .key = slice_make(&entries[i].key, sizeof(unsigned)),
            .value = entries[i].value < 0 ? SLICE_NULL : slice_make(value, sizeof(value))};
        assert_int_equal(build_add(&build, &record), ERR_OK);
    }
    build.header.attributes = dice(m, 4) ? BATCH_CODEC_NONE : BATCH_CODEC_LZ4;
    stamp(m, &build, producer, BATCH_TRANSACTIONAL);
    append(m, &build, entries, count);
    build_deinit(&build);
}

static void work_marker(struct model *m, unsigned number, bool commit)
{
    struct build build;
    uint8_t key[4] = {0, 0, 0, commit};
    uint8_t value[6] = {0};
    struct entry entry = {.kind = commit ? KIND_COMMIT : KIND_ABORT, .producer = number};
    struct build_record record = {.timestamp_ms = 5000,
                                  .key = slice_make(key, sizeof(key)),
                                  .value = slice_make(value, sizeof(value))};
    build_init(&build, 1 << 20);
    assert_int_equal(build_add(&build, &record), ERR_OK);
    stamp(m, &build, number, BATCH_TRANSACTIONAL | BATCH_CONTROL);
    append(m, &build, &entry, 1);
    build_deinit(&build);
}

static void punched(void *arg, enum err err)
{
    if (err == ERR_OK)
        *(uint8_t *)arg = HOLE_SURE;
}

static void work_punch(struct model *m)
{
    int64_t durable = store_log_durable(log_of(m));
    if (durable == 0)
        return;
    int64_t offset = (int64_t)dice(m, (uint64_t)durable);
    struct entry *entry = &m->entries[offset];
    if (entry->kind != KIND_RECORD || entry->hole != HOLE_NONE)
        return;
    entry->hole = HOLE_WANTED;
    store_log_punch(log_of(m), &offset, 1, punched, &entry->hole);
}

static void trimmed(void *arg, enum err err)
{
}

static void work_trim(struct model *m)
{
    int64_t start = store_log_start(log_of(m));
    int64_t wanted = start + (int64_t)dice(m, 30);
    if (wanted > store_log_durable(log_of(m)))
        return;
    m->start_wanted = MAX(m->start_wanted, wanted);
    store_log_start_set(log_of(m), wanted, trimmed, NULL);
}

static void work(struct model *m, unsigned steps)
{
    for (unsigned i = 0; i < steps && !os_fake_power_is_off(m->f->fake); i++) {
        uint64_t what = dice(m, 100);
        unsigned number = 1 + (unsigned)dice(m, PRODUCER_COUNT);
        if (what < 62)
            work_append(m);
        else if (what < 72 && m->producers[number].is_open)
            work_marker(m, number, dice(m, 2));
        else if (what < 76)
            work_punch(m);
        else if (what < 77)
            work_trim(m);
        else if (what < 84)
            checkpoint_queue(log_of(m));
        else if (what < 88)
            tail_write_start(log_of(m), false);
        else if (what < 90)
            os_fake_writeback(m->f->fake, (unsigned)dice(m, 100));
        else
            os_fake_advance(m->f->fake, SECOND_NS / 2);
        if (what >= 50)
            log_fixture_turns(m->f, 1 + (unsigned)dice(m, 5));
    }
}

/* --- judgement --- */

static void acks_take(struct model *m)
{
    for (unsigned i = 0; i < m->pending_count; i++) {
        struct pending *pending = m->pendings[i];
        bool is_acked = pending->append.is_done && pending->append.err == ERR_OK;
        for (int64_t at = pending->first; at < pending->next && at < m->end; at++)
            m->entries[at].is_acked = m->entries[at].is_acked || is_acked;
        free(pending);
    }
    m->pending_count = 0;
}

/* Whose marker says so, below the end. */
static void aborted_mark(struct model *m)
{
    int64_t first[PRODUCER_COUNT + 1] = {0};
    for (int64_t i = 0; i < m->end; i++)
        m->entries[i].is_aborted = false;
    for (int64_t i = 0; i < m->end; i++) {
        unsigned producer = m->entries[i].producer;
        for (int64_t j = first[producer]; m->entries[i].kind == KIND_ABORT && j < i; j++) {
            if (m->entries[j].producer == producer && m->entries[j].kind == KIND_RECORD)
                m->entries[j].is_aborted = true;
        }
        if (m->entries[i].kind != KIND_RECORD)
            first[producer] = i + 1;
    }
}

static void record_check(struct model *m, const struct batch_header *header,
                         const struct record *record)
{
    int64_t offset = header->base_offset + record->offset_delta;
    ENSURE(m, offset < m->end);
    struct entry *entry = &m->entries[offset];
    entry->is_read = true;
    ENSURE(m, !(header->attributes & BATCH_CONTROL) == (entry->kind == KIND_RECORD));
    ENSURE(m, header->producer_id == (entry->producer ? 100 + (int64_t)entry->producer : -1));
    if (entry->kind != KIND_RECORD)
        return;
    int value = -1;
    if (record->value.data)
        memcpy(&value, record->value.data, sizeof(value));
    ENSURE(m, memcmp(record->key.data, &entry->key, sizeof(entry->key)) == 0);
    ENSURE(m, value == entry->value);
    ENSURE(m, header->base_timestamp_ms + record->timestamp_delta_ms == entry->timestamp_ms);
    ENSURE(m, entry->hole != HOLE_SURE);
}

/* Reads from the offset on; the batches lie without a gap. */
static int64_t read_check(struct model *m, int64_t offset)
{
    struct log_fixture_read r;
    struct codec_output scratch;
    enum err err = log_fixture_read(m->f, 0, offset, 1 + dice(m, 9000), &r);
    ENSURE(m, err == ERR_OK && r.read.size > 0);
    struct slice rest = slice_make(r.bytes, r.read.size);
    codec_output_init(&scratch, 1 << 20);
    int64_t expected = -1;
    while (rest.size > 0) {
        struct batch_header header;
        struct slice records;
        struct record record;
        ENSURE(m, batch_check(rest, &header) == ERR_OK);
        ENSURE(m, expected < 0 ? header.base_offset <= offset : header.base_offset == expected);
        ENSURE(m, codec_batch_records(rest, &scratch, &records) == ERR_OK);
        ENSURE(m, batch_check_records(&header, records) == ERR_OK);
        while (record_next(&records, &record) == ERR_OK)
            record_check(m, &header, &record);
        expected = batch_last_offset(&header) + 1;
        rest = slice_make(rest.data + header.size, rest.size - header.size);
    }
    ENSURE(m, expected == r.read.offset_next && expected > offset);
    codec_output_deinit(&scratch);
    free(r.bytes);
    return expected;
}

static bool has_newer(const struct model *m, int64_t offset)
{
    for (int64_t i = offset + 1; i < m->end; i++) {
        if (m->entries[i].kind == KIND_RECORD && m->entries[i].key == m->entries[offset].key &&
            !m->entries[i].is_aborted)
            return true;
    }
    return false;
}

/* Records of a transaction are nowhere without the marker behind them. */
static void markers_check(struct model *m, int64_t start)
{
    int64_t last_read[PRODUCER_COUNT + 1];
    for (unsigned i = 0; i <= PRODUCER_COUNT; i++)
        last_read[i] = -1;
    for (int64_t i = start; i < m->end; i++) {
        const struct entry *entry = &m->entries[i];
        if (entry->kind != KIND_RECORD) {
            ENSURE(m, entry->is_read || last_read[entry->producer] < 0);
            last_read[entry->producer] = -1;
        } else if (entry->is_read) {
            last_read[entry->producer] = i;
        }
    }
    /* a reader that is told of an aborted transaction finds its end */
    const struct transactions *known = log_of(m)->transactions;
    for (uint32_t i = 0; known && i < known->aborted.count; i++) {
        int64_t marker = known->aborted.entries[i].last_offset;
        ENSURE(m, marker < start || (marker < m->end && m->entries[marker].is_read));
    }
}

static void check(struct model *m)
{
    int64_t start = store_log_start(log_of(m));
    int64_t end = store_log_durable(log_of(m));
    ENSURE(m, store_log_state(log_of(m)) == ERR_OK && end <= m->end && start <= m->start_wanted);
    for (int64_t i = end; i < m->end; i++)
        ENSURE(m, !m->entries[i].is_acked);
    m->end = end;
    aborted_mark(m);
    for (int64_t i = 0; i < m->end; i++)
        m->entries[i].is_read = false;
    for (int64_t offset = start; offset < end;)
        offset = read_check(m, offset);
    for (int64_t i = start; i < end; i++) {
        const struct entry *entry = &m->entries[i];
        if (entry->is_read || entry->kind != KIND_RECORD || entry->hole != HOLE_NONE ||
            entry->is_aborted || entry->value < 0 || has_newer(m, i))
            continue;
        fail_msg("seed %llu round %u: offset %lld is gone", (unsigned long long)m->seed, m->round,
                 (long long)i);
    }
    markers_check(m, start);
    for (int64_t i = start; i < end; i++) { /* it is known by now */
        struct entry *entry = &m->entries[i];
        if (entry->hole == HOLE_WANTED)
            entry->hole = entry->is_read ? HOLE_NONE : HOLE_SURE;
    }
}

static void damage_found(void *arg, struct store_log_key key, int64_t first, int64_t next)
{
    struct model *m = arg;
    fail_msg("seed %llu round %u: damage reported at %lld..%lld", (unsigned long long)m->seed,
             m->round, (long long)first, (long long)next);
}

/* Nothing that should have gone is there below the clean end. */
static void clean_check(struct model *m)
{
    int64_t end = MIN(log_of(m)->clean_end, m->end);
    int64_t newest[KEY_COUNT];
    for (unsigned key = 0; key < KEY_COUNT; key++)
        newest[key] = -1;
    for (int64_t i = 0; i < end; i++) {
        const struct entry *entry = &m->entries[i];
        if (entry->kind == KIND_RECORD && !entry->is_aborted && entry->hole != HOLE_SURE)
            newest[entry->key] = i;
    }
    for (int64_t i = store_log_start(log_of(m)); i < end; i++) {
        const struct entry *entry = &m->entries[i];
        if (!entry->is_read || entry->kind != KIND_RECORD)
            continue;
        ENSURE(m, !entry->is_aborted);
        ENSURE(m, newest[entry->key] <= i);
    }
}

/* --- rounds --- */

static void settle(struct model *m)
{
    for (unsigned i = 0; i < 60; i++)
        log_fixture_turns(m->f, 1);
}

/* As a coordinator does that starts: what was open is aborted. */
static void open_abort(struct model *m)
{
    for (unsigned i = 1; i <= PRODUCER_COUNT; i++) {
        m->producers[i].epoch++;
        m->producers[i].sequence = 0;
        if (m->end > 0)
            work_marker(m, i, false);
    }
    settle(m);
}

static void clean(struct model *m)
{
    if (dice(m, 3))
        checkpoint_queue(log_of(m));
    for (unsigned i = 0; i < 24; i++) {
        os_fake_advance(m->f->fake, SECOND_NS / 4);
        log_fixture_turns(m->f, 4);
    }
}

static void power_off(struct model *m)
{
    settle(m);
    acks_take(m);
    log_fixture_close(m->f);
    acks_take(m);
    struct os_fake_crash_policy policy = OS_FAKE_CRASH_RANDOM;
    if (dice(m, 3) == 0) /* the process alone died */
        policy = OS_FAKE_CRASH_KEEP_ALL;
    policy.names_in_order = dice(m, 2) == 0;
    os_fake_crash(m->f->fake, dice(m, UINT64_MAX), policy);
}

static void come_back(struct model *m)
{
    if (dice(m, 2) == 0)
        os_fake_cut_power(m->f->fake, os_fake_operation_count(m->f->fake) + 1 + dice(m, 30),
                          dice(m, 2));
    if (log_fixture_open(m->f) == ERR_OK && !os_fake_power_is_off(m->f->fake)) {
        clean(m); /* wakes the log: a swap that was cut is ended, and cut again */
        if (!os_fake_power_is_off(m->f->fake)) {
            os_fake_cut_power(m->f->fake, 0, false);
            return;
        }
    }
    ENSURE(m, os_fake_power_is_off(m->f->fake));
    power_off(m);
    ENSURE(m, log_fixture_open(m->f) == ERR_OK);
}

static struct model *model_new(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    m->seed = seed;
    m->random.state = seed * 1000003 + 17;
    m->f = log_fixture_new(seed);
    m->f->log_count = 1;
    m->f->config.segment_size_bytes = 8192 + (uint32_t)dice(m, 3) * 8192;
    m->f->config.retain = false;
    m->f->config.compact = true;
    m->f->config.compact_ratio = 0.01;
    m->f->config.compact_lag_max_ms = INT64_MAX;
    m->f->config.delete_retention_ms = (int64_t)dice(m, 3) * 2000;
    m->f->options.compact_backoff_ms = 1000;
    m->f->options.compact_keys_bytes_max = dice(m, 2) ? 1 << 20 : 24 * 12;
    m->f->options.cache_size_max_bytes = dice(m, 2) * 30000;
    m->f->options.open_files_max = 8;
    os_fake_wall_set(m->f->fake, 1000000);
    ENSURE(m, log_fixture_open(m->f) == ERR_OK);
    return m;
}

static void run_seed(uint64_t seed)
{
    struct model *m = model_new(seed);
    for (m->round = 0; m->round < 4; m->round++) {
        uint64_t cut = os_fake_operation_count(m->f->fake) + 1 + dice(m, 160);
        work(m, 60);
        os_fake_cut_power(m->f->fake, cut, dice(m, 2));
        work(m, 20 + (unsigned)dice(m, 100));
        os_fake_cut_power(m->f->fake, 0, false);
        power_off(m);
        come_back(m);
        check(m);
        open_abort(m);
    }
    acks_take(m);
    for (unsigned i = 0; i < 8; i++)
        clean(m);
    check(m);
    clean_check(m);
    store_damage_each(m->f->store, damage_found, m);
    log_fixture_drain(m->f);
    log_fixture_close(m->f);
    os_fake_crash(m->f->fake, seed, OS_FAKE_CRASH_LOSE_ALL);
    ENSURE(m, log_fixture_open(m->f) == ERR_OK);
    check(m);
    clean_check(m);
    for (unsigned i = 0; i < 20 && m->end > store_log_start(log_of(m)); i++) {
        int64_t start = store_log_start(log_of(m));
        (void)read_check(m, start + (int64_t)dice(m, (uint64_t)(m->end - start)));
    }
    log_fixture_free(m->f);
    free(m);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* One thread: ThreadSanitizer has little to find here and is slow. */
#if defined(__SANITIZE_THREAD__)
#define SEED_COUNT 10
#elif defined(__SANITIZE_ADDRESS__)
#define SEED_COUNT 30
#else
#define SEED_COUNT 120
#endif

static void random_work(void **state)
{
    uint64_t first = number_of("LEAT_SEED", 1);
    uint64_t count = number_of("LEAT_SEEDS", getenv("LEAT_SEED") ? 1 : SEED_COUNT);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_work)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

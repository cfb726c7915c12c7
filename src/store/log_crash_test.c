// Power cuts at any disk operation of random work: what was acknowledged is there, nothing else.
// SPDX-License-Identifier: Apache-2.0
//
// LEAT_SEED=<n> runs that one seed, LEAT_SEEDS=<n> so many from it.
#include "store/log.h"
#include "store/log_fixture.h"

#define BATCH_MAX             4096
#define TRANSACTION_PRODUCERS 3

enum model_hole { HOLE_NONE, HOLE_WANTED, HOLE_SURE };

struct model_batch {
    struct log_fixture_append *append; /* NULL once recovered */
    struct log_fixture_batch made;
    int64_t base;
    bool is_acked;
    uint8_t holes[8]; /* by record */
};

struct model_log {
    struct model_batch batches[BATCH_MAX];
    unsigned count;
    int64_t start_acked;
    int64_t start_wanted;
    bool start_pending;
    int16_t marked_epoch[TRANSACTION_PRODUCERS + 1]; /* the newest of any marker, durable or not */
};

struct crash {
    struct log_fixture *f;
    struct model_log logs[FIXTURE_LOG_COUNT];
    struct os_fake_random random;
    uint64_t seed;
    unsigned round;
    unsigned rest_count;
    bool is_tight; /* the disk gets full now and then */
};

static uint64_t dice(struct crash *c, uint64_t below)
{
    return os_fake_random_below(&c->random, below);
}

#define ENSURE(c, x)                                                                               \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("seed %llu round %u: %s (line %d)", (unsigned long long)(c)->seed,            \
                     (c)->round, #x, __LINE__);                                                    \
    } while (0)

/* --- work --- */

/* Appends that failed (a full disk) gave their offsets back. */
static void failures_take(struct model_log *model)
{
    while (model->count > 0) {
        struct log_fixture_append *a = model->batches[model->count - 1].append;
        if (!a || !a->is_done || a->err != ERR_DISK_FULL)
            return;
        free(a);
        model->count--;
    }
}

static size_t value_size(struct crash *c)
{
    uint64_t kind = dice(c, 10);
    if (kind < 6)
        return 20 + dice(c, 400);
    if (kind < 8)
        return 1500 + dice(c, 5000);
    return 17000 + dice(c, 20000);
}

/* A marker, or the next batch of a producer with transactions; as the model's batches tell. */
static void make_transactional(struct crash *c, const struct model_log *model,
                               struct log_fixture_batch *made)
{
    made->producer_id = 1 + (int64_t)dice(c, TRANSACTION_PRODUCERS);
    made->is_transactional = true;
    bool is_first = true;
    for (unsigned i = 0; i < model->count; i++) {
        const struct log_fixture_batch *before = &model->batches[i].made;
        if (before->producer_id != made->producer_id)
            continue;
        is_first = is_first || before->producer_epoch != made->producer_epoch;
        made->producer_epoch = before->producer_epoch;
        made->sequence = before->marker ? is_first ? 0 : made->sequence
                                        : before->sequence + (int32_t)before->count;
        is_first = false;
    }
    if (dice(c, 3) > 0)
        return;
    made->marker = dice(c, 2) ? FIXTURE_COMMIT : FIXTURE_ABORT;
    made->is_transactional = false;
    made->count = 1;
    made->size = 0;
    made->sequence = -1;
    made->producer_epoch = (int16_t)(made->producer_epoch + (int16_t)dice(c, 2));
}

static void work_append(struct crash *c, unsigned log)
{
    struct model_log *model = &c->logs[log];
    ENSURE(c, model->count < BATCH_MAX);
    failures_take(model);
    struct model_batch *batch = &model->batches[model->count];
    size_t size = value_size(c);
    *batch = (struct model_batch){.made = {.count = 1 + (unsigned)dice(c, size < 1000 ? 4 : 2),
                                           .size = size,
                                           .seed = dice(c, 1000000),
                                           .timestamp_ms = 1000 + (int64_t)dice(c, 1000)}};
    if (dice(c, 3) == 0)
        make_transactional(c, model, &batch->made);
    enum err err;
    batch->append = log_fixture_append(c->f, log, &batch->made, &err);
    /* a marker that found no room on the disk, or whose power went, may leave its epoch behind: its
     * coordinator has decided, and writes it again */
    int16_t *marked = &model->marked_epoch[batch->made.producer_id];
    bool is_old = batch->made.producer_epoch < *marked;
    if (batch->made.marker)
        *marked = MAX(*marked, batch->made.producer_epoch);
    ENSURE(c, err != ERR_UNVERIFIED && (c->is_tight || err != ERR_SEQUENCE));
    ENSURE(c, c->is_tight || is_old || err != ERR_FENCED);
    if (!batch->append)
        return;
    batch->base = batch->append->append.base_offset;
    ENSURE(c, model->count == 0 || batch->base == batch[-1].base + (int64_t)batch[-1].made.count);
    model->count++;
}

/* The log closes as one does that nobody uses, if it may. */
static void rest(struct crash *c, unsigned log)
{
    struct store_log *self = c->f->logs[log];
    if (self->piece_count > 0)
        checkpoint_queue(self);
    for (unsigned i = 0; i < 8 && self->piece_count > 0; i++)
        log_fixture_turns(c->f, 1);
    log_wake_end(self);
    c->rest_count += self->state == LOG_CLOSED;
}

static void start_done(void *arg, enum err err)
{
    struct model_log *model = arg;
    model->start_pending = false;
    if (err == ERR_OK)
        model->start_acked = model->start_wanted;
}

static void work_start(struct crash *c, unsigned log)
{
    struct model_log *model = &c->logs[log];
    int64_t durable = store_log_durable(c->f->logs[log]);
    int64_t start = store_log_start(c->f->logs[log]);
    if (model->start_pending || start >= durable)
        return;
    int64_t wanted = start + 1 + (int64_t)dice(c, (uint64_t)(durable - start));
    if (dice(c, 8) == 0)
        wanted = durable;
    model->start_wanted = MAX(wanted, model->start_wanted);
    model->start_pending = true;
    store_log_start_set(c->f->logs[log], model->start_wanted, start_done, model);
}

static void punch_done(void *arg, enum err err)
{
    if (err == ERR_OK)
        *(uint8_t *)arg = HOLE_SURE;
}

static void work_punch(struct crash *c, unsigned log)
{
    struct model_log *model = &c->logs[log];
    if (model->count == 0)
        return;
    struct model_batch *batch = &model->batches[dice(c, model->count)];
    uint64_t record = dice(c, batch->made.count);
    int64_t offset = batch->base + (int64_t)record;
    if (offset >= store_log_durable(c->f->logs[log]) || batch->holes[record] != HOLE_NONE ||
        batch->made.marker)
        return;
    batch->holes[record] = HOLE_WANTED;
    store_log_punch(c->f->logs[log], &offset, 1, punch_done, &batch->holes[record]);
}

/* What readers of committed records must see follows from the batches that are durable. */
static void check_transactions(struct crash *c, unsigned log)
{
    const struct model_log *model = &c->logs[log];
    const struct store_log *self = c->f->logs[log];
    int64_t first[TRANSACTION_PRODUCERS + 1] = {-1, -1, -1, -1};
    int64_t durable = store_log_durable(self), start = store_log_start(self), stable = durable;
    struct store_aborted expected[BATCH_MAX], *list;
    uint32_t count = 0, have;
    for (unsigned i = 0; i < model->count; i++) {
        const struct model_batch *batch = &model->batches[i];
        int64_t *open = &first[batch->made.producer_id];
        if (batch->base + (int64_t)batch->made.count > durable)
            break;
        if (batch->made.is_transactional && *open < 0)
            *open = batch->base;
        if (batch->made.marker == FIXTURE_ABORT && *open >= 0 && batch->base >= start)
            expected[count++] = (struct store_aborted){batch->made.producer_id, *open, batch->base};
        if (batch->made.marker)
            *open = -1;
    }
    for (unsigned i = 1; i <= TRANSACTION_PRODUCERS; i++)
        stable = first[i] >= 0 ? MIN(stable, first[i]) : stable;
    ENSURE(c, store_log_stable(self) == MAX(stable, start));
    struct transactions_span span = {start, durable, durable};
    enum err err = transactions_aborted(self->transactions, &span, &list, &have);
    ENSURE(c, err == ERR_OK && have == count);
    for (uint32_t i = 0; i < count; i++) {
        bool is_there = false;
        for (uint32_t j = 0; j < have; j++)
            is_there |= memcmp(&list[j], &expected[i], sizeof(*list)) == 0;
        ENSURE(c, is_there);
    }
    if (list)
        budget_release(self->transactions->budget, have * sizeof(*list));
    free(list);
}

static void work(struct crash *c, unsigned steps)
{
    for (unsigned i = 0; i < steps && !os_fake_power_is_off(c->f->fake); i++) {
        unsigned log = (unsigned)dice(c, FIXTURE_LOG_COUNT);
        uint64_t what = dice(c, 100);
        if (what < 70)
            work_append(c, log);
        else if (what < 74)
            work_start(c, log);
        else if (what < 80)
            work_punch(c, log);
        else if (what < 84)
            checkpoint_queue(c->f->logs[log]);
        else if (what < 87)
            tail_write_start(c->f->logs[log], false);
        else if (what < 88 && c->is_tight)
            os_fake_capacity_set(c->f->fake, dice(c, 3) ? 1u << 30 : 200000 + dice(c, 1000000));
        else if (what < 90)
            os_fake_writeback(c->f->fake, (unsigned)dice(c, 100));
        if (what >= 60)
            log_fixture_turns(c->f, 1 + (unsigned)dice(c, 3));
        if (what == 99)
            check_transactions(c, log);
        if (what >= 90 && dice(c, 2) == 0) /* also right after the checkpoint it needs */
            rest(c, log);
    }
}

/* --- judgement --- */

static void acks_take(struct crash *c)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        struct model_log *model = &c->logs[log];
        failures_take(model);
        model->start_pending = false;
        for (unsigned i = 0; i < model->count; i++) {
            struct log_fixture_append *a = model->batches[i].append;
            if (!a)
                continue;
            model->batches[i].is_acked = a->is_done && a->err == ERR_OK;
            free(a);
            model->batches[i].append = NULL;
        }
    }
}

static struct model_batch *batch_at(struct model_log *model, int64_t base)
{
    for (unsigned i = 0; i < model->count; i++) {
        if (model->batches[i].base == base)
            return &model->batches[i];
    }
    return NULL;
}

static void check_record(struct crash *c, const struct model_batch *batch, unsigned at,
                         const struct record *record)
{
    ENSURE(c, record->value.size == batch->made.size);
    for (size_t j = 0; j < batch->made.size; j++)
        ENSURE(c, record->value.data[j] ==
                      (uint8_t)(batch->made.seed * 31 + at * 7 + j * 3 + j / 250));
}

/* The batch's records are those that were sent, but for what was deleted. */
static void check_batch(struct crash *c, struct model_batch *batch, struct slice bytes,
                        const struct batch_header *header)
{
    struct record record;
    bool seen[8] = {false};
    struct slice records =
        slice_make(bytes.data + BATCH_HEADER_SIZE, header->size - BATCH_HEADER_SIZE);
    ENSURE(c, header->last_offset_delta + 1 == (int32_t)batch->made.count);
    while (record_next(&records, &record) == ERR_OK) {
        ENSURE(c, record.offset_delta >= 0 && record.offset_delta < (int64_t)batch->made.count);
        seen[record.offset_delta] = true;
        if (!batch->made.marker)
            check_record(c, batch, (unsigned)record.offset_delta, &record);
    }
    for (unsigned i = 0; i < batch->made.count; i++) {
        ENSURE(c, !(seen[i] && batch->holes[i] == HOLE_SURE));
        ENSURE(c, seen[i] || batch->holes[i] != HOLE_NONE);
        batch->holes[i] = seen[i] ? HOLE_NONE : HOLE_SURE;
    }
}

static int64_t check_piece(struct crash *c, struct model_log *model, int64_t offset,
                           struct slice bytes)
{
    while (bytes.size > 0) {
        struct batch_header header;
        ENSURE(c, batch_header_read(bytes, &header) == ERR_OK && header.size <= bytes.size);
        ENSURE(c, batch_check(slice_make(bytes.data, header.size), &header) == ERR_OK);
        struct model_batch *batch = batch_at(model, header.base_offset);
        ENSURE(c, batch != NULL);
        if (header.base_offset > offset || batch_last_offset(&header) < offset)
            fail_msg("seed %llu round %u: offsets %lld..%lld instead of %lld",
                     (unsigned long long)c->seed, c->round, (long long)header.base_offset,
                     (long long)batch_last_offset(&header), (long long)offset);
        check_batch(c, batch, bytes, &header);
        offset = batch_last_offset(&header) + 1;
        bytes = slice_make(bytes.data + header.size, bytes.size - header.size);
    }
    return offset;
}

static void check_log(struct crash *c, unsigned log)
{
    struct model_log *model = &c->logs[log];
    struct store_log *self = c->f->logs[log];
    int64_t start = store_log_start(self);
    int64_t end = store_log_durable(self);
    ENSURE(c, store_log_state(self) == ERR_OK && end == store_log_end(self));
    ENSURE(c, start >= model->start_acked && start <= MAX(model->start_wanted, 0));
    model->start_acked = model->start_wanted = start;
    unsigned kept = 0;
    for (unsigned i = 0; i < model->count; i++) {
        int64_t next = model->batches[i].base + (int64_t)model->batches[i].made.count;
        ENSURE(c, !model->batches[i].is_acked || next <= end);
        if (next <= end)
            kept = i + 1;
    }
    model->count = kept;
    ENSURE(c, kept == 0 ? end == 0
                        : end == model->batches[kept - 1].base +
                                     (int64_t)model->batches[kept - 1].made.count);
    int64_t offset = start;
    check_transactions(c, log);
    while (offset < end) {
        struct log_fixture_read r;
        enum err err = log_fixture_read(c->f, log, offset, 1 + dice(c, 60000), &r);
        if (err != ERR_OK)
            fail_msg("seed %llu round %u: log %u offset %lld of %lld..%lld: %s",
                     (unsigned long long)c->seed, c->round, log, (long long)offset,
                     (long long)start, (long long)end, err_name(err));
        ENSURE(c, r.read.size > 0);
        offset = check_piece(c, model, offset, slice_make(r.bytes, r.read.size));
        ENSURE(c, offset == r.read.offset_next);
        free(r.bytes);
    }
}

static void damage_found(void *arg, struct store_log_key key, int64_t first, int64_t next)
{
    struct crash *c = arg;
    fail_msg("seed %llu round %u: damage reported in log %u offsets %lld..%lld",
             (unsigned long long)c->seed, c->round, key.partition, (long long)first,
             (long long)next);
}

static void check(struct crash *c)
{
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++)
        check_log(c, log);
    store_damage_each(c->f->store, damage_found, c);
}

/* --- rounds --- */

static void power_off(struct crash *c)
{
    os_fake_capacity_set(c->f->fake, 1u << 30);
    for (unsigned i = 0; i < 60; i++)
        log_fixture_turns(c->f, 1);
    acks_take(c);
    log_fixture_close(c->f);
    for (unsigned log = 0; log < FIXTURE_LOG_COUNT; log++) {
        for (unsigned i = 0; i < c->logs[log].count; i++)
            ENSURE(c, c->logs[log].batches[i].append == NULL);
    }
    struct os_fake_crash_policy policy = OS_FAKE_CRASH_RANDOM;
    policy.names_in_order = dice(c, 2) == 0;
    os_fake_crash(c->f->fake, dice(c, UINT64_MAX), policy);
}

static void come_back(struct crash *c)
{
    if (dice(c, 3) == 0)
        os_fake_cut_power(c->f->fake, os_fake_operation_count(c->f->fake) + 1 + dice(c, 30),
                          dice(c, 2));
    enum err err = log_fixture_open(c->f);
    if (err == ERR_OK && os_fake_power_is_off(c->f->fake) == false) {
        log_fixture_turns(c->f, (unsigned)dice(c, 12));
        if (!os_fake_power_is_off(c->f->fake)) {
            os_fake_cut_power(c->f->fake, 0, false);
            return;
        }
    }
    ENSURE(c, os_fake_power_is_off(c->f->fake));
    power_off(c);
    ENSURE(c, log_fixture_open(c->f) == ERR_OK);
}

/* How often a log closed. */
static unsigned run_seed(uint64_t seed)
{
    struct crash *c = calloc(1, sizeof(*c));
    c->seed = seed;
    c->random.state = seed * 1000003 + 17;
    c->f = log_fixture_new(seed);
    c->f->config.segment_size_bytes = 65536 + (uint32_t)dice(c, 3) * 20000;
    c->f->options.journal_size_max_bytes = 200000 + dice(c, 3) * 200000;
    c->f->options.journal_piece_bytes = 32768;
    c->f->options.direct_size_min_bytes = 17000 + dice(c, 2) * 20000;
    c->f->options.cache_size_max_bytes = dice(c, 3) * 30000;
    c->f->options.open_files_max = 8;
    c->is_tight = dice(c, 4) == 0;
    ENSURE(c, log_fixture_open(c->f) == ERR_OK);
    for (c->round = 0; c->round < 4; c->round++) {
        uint64_t cut = os_fake_operation_count(c->f->fake) + 1 + dice(c, 120);
        os_fake_cut_power(c->f->fake, cut, dice(c, 2));
        work(c, 20 + (unsigned)dice(c, 150));
        os_fake_cut_power(c->f->fake, 0, false);
        power_off(c);
        come_back(c);
        check(c);
    }
    log_fixture_drain(c->f);
    log_fixture_close(c->f);
    os_fake_crash(c->f->fake, seed, OS_FAKE_CRASH_LOSE_ALL);
    ENSURE(c, log_fixture_open(c->f) == ERR_OK);
    check(c);
    log_fixture_free(c->f);
    unsigned rest_count = c->rest_count;
    free(c);
    return rest_count;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* One thread: ThreadSanitizer has little to find here and is slow. */
#ifdef __SANITIZE_THREAD__
#define SEED_COUNT 20
#else
#define SEED_COUNT 300
#endif

static void random_work(void **state)
{
    uint64_t first = number_of("LEAT_SEED", 1);
    uint64_t count = number_of("LEAT_SEEDS", getenv("LEAT_SEED") ? 1 : SEED_COUNT);
    uint64_t rest_count = 0;
    for (uint64_t seed = first; seed < first + count; seed++)
        rest_count += run_seed(seed);
    assert_true(rest_count >= count / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_work)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

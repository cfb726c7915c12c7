// Tests of a log's transactions: rules, what readers see, snapshots, and a naive model at random.
// SPDX-License-Identifier: Apache-2.0
#include "store/transactions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "os/fake_random.h"
#include "record/build.h"

static struct batch_header header_of(int64_t producer_id, int16_t epoch, int64_t offset)
{
    return (struct batch_header){.attributes = BATCH_TRANSACTIONAL,
                                 .producer_id = producer_id,
                                 .producer_epoch = epoch,
                                 .base_offset = offset};
}

static void begin(struct transactions *t, int64_t producer_id, int64_t offset)
{
    struct batch_header header = header_of(producer_id, 0, offset);
    assert_int_equal(transactions_add(t, &header, 1000 + offset), ERR_OK);
}

static void end(struct transactions *t, int64_t producer_id, int64_t offset, bool commit)
{
    struct batch_header header = header_of(producer_id, 0, offset);
    struct transactions_marker marker = {.commit = commit};
    transactions_end(t, &header, &marker);
}

static void aborted_are(const struct transactions *t, int64_t from, int64_t to,
                        const char *expected)
{
    struct store_aborted *list;
    uint32_t count;
    struct text text;
    struct transactions_span span = {from, to, INT64_MAX};
    text_init(&text);
    assert_int_equal(transactions_aborted(t, &span, &list, &count), ERR_OK);
    for (uint32_t i = 0; i < count; i++)
        text_add_format(&text, "%lld@%lld-%lld ", (long long)list[i].producer_id,
                        (long long)list[i].first_offset, (long long)list[i].last_offset);
    text_add(&text, SLICE_LITERAL("."));
    assert_string_equal(text.data, expected);
    text_deinit(&text);
    free(list);
}

static void nothing_is_stable_behind_the_oldest(void **state)
{
    struct transactions *t = transactions_new(1, NULL);
    assert_int_equal(transactions_stable(NULL, 7), 7);
    assert_int_equal(transactions_stable(t, 7), 7);
    begin(t, 1, 10);
    begin(t, 2, 12);
    begin(t, 1, 14);
    assert_int_equal(transactions_stable(t, 9), 9);
    assert_int_equal(transactions_stable(t, 15), 10);
    end(t, 1, 15, true);
    assert_int_equal(transactions_stable(t, 15), 10); /* the marker is not durable */
    assert_int_equal(transactions_stable(t, 16), 12); /* it is, with relaxed durability at once */
    transactions_commit(t, 16);
    assert_int_equal(transactions_stable(t, 16), 12);
    end(t, 2, 16, false);
    transactions_commit(t, 17);
    assert_int_equal(transactions_stable(t, 17), 17);
    assert_int_equal(t->open_count, 0);
    transactions_free(t);
}

static void aborted_ones_are_found_where_they_touch(void **state)
{
    struct transactions *t = transactions_new(1, NULL);
    begin(t, 1, 0);
    begin(t, 2, 5);
    begin(t, 3, 6);
    end(t, 2, 10, false); /* 2@5-10, stable 0 */
    begin(t, 2, 11);
    end(t, 3, 12, true);
    end(t, 1, 15, false); /* 1@0-15, stable 11 */
    end(t, 2, 20, false); /* 2@11-20, stable 21 */
    begin(t, 4, 30);
    end(t, 4, 31, false);
    aborted_are(t, 0, 100, "1@0-15 2@5-10 2@11-20 4@30-31 .");
    assert_int_equal(t->aborted.count, 0);
    transactions_commit(t, 40);
    assert_int_equal(t->aborted.count, 4);
    assert_int_equal(t->aborted.entries[0].stable, 0);
    assert_int_equal(t->aborted.entries[1].stable, 11);
    assert_int_equal(t->aborted.entries[2].stable, 21);
    aborted_are(t, 0, 100, "1@0-15 2@5-10 2@11-20 4@30-31 .");
    aborted_are(t, 0, 1, "1@0-15 .");
    aborted_are(t, 0, 5, "1@0-15 .");
    aborted_are(t, 0, 6, "1@0-15 2@5-10 .");
    aborted_are(t, 10, 11, "1@0-15 2@5-10 .");
    aborted_are(t, 11, 12, "1@0-15 2@11-20 .");
    aborted_are(t, 16, 30, "2@11-20 .");
    aborted_are(t, 21, 30, ".");
    transactions_truncate_start(t, 16);
    aborted_are(t, 0, 100, "2@11-20 4@30-31 .");
    transactions_truncate_start(t, 32);
    aborted_are(t, 0, 100, ".");
    transactions_free(t);
}

static void batches_fit_the_state_of_their_producer(void **state)
{
    struct transactions *t = transactions_new(1, NULL);
    struct batch_header batch = header_of(1, 3, 0), plain = header_of(1, 3, 0);
    struct transactions_marker marker = {.commit = true};
    plain.attributes = 0;
    assert_int_equal(transactions_check(NULL, &batch), ERR_UNVERIFIED);
    assert_int_equal(transactions_check(t, &batch), ERR_UNVERIFIED);
    assert_int_equal(transactions_check(t, &plain), ERR_OK);
    assert_int_equal(transactions_add(t, &batch, 0), ERR_OK);
    assert_int_equal(transactions_check(t, &batch), ERR_OK);
    assert_int_equal(transactions_check(t, &plain), ERR_TXN_STATE);
    batch.producer_epoch = 4;
    assert_int_equal(transactions_check(t, &batch), ERR_UNVERIFIED);
    /* markers */
    batch.producer_epoch = 2;
    assert_int_equal(transactions_check_marker(t, &batch, false), ERR_FENCED);
    batch.producer_epoch = 3;
    assert_int_equal(transactions_check_marker(t, &batch, false), ERR_OK);
    assert_int_equal(transactions_check_marker(t, &batch, true), ERR_FENCED);
    batch.producer_epoch = 4;
    assert_int_equal(transactions_check_marker(t, &batch, true), ERR_OK);
    transactions_end(t, &batch, &marker);
    assert_int_equal(transactions_check_marker(t, &batch, true), ERR_OK); /* once more */
    assert_int_equal(transactions_check(t, &plain), ERR_OK);
    assert_int_equal(transactions_check(t, &batch), ERR_UNVERIFIED);
    transactions_free(t);
}

static struct slice control_batch(struct codec_output *out, uint8_t type, size_t value_size)
{
    const uint8_t key[] = {0, 0, 0, type}, value[] = {0, 0, 0, 0, 1, 2};
    struct build build;
    build_init(&build, 1000);
    struct build_record record = {.key = slice_make(key, sizeof(key)),
                                  .value = slice_make(value, value_size)};
    assert_int_equal(build_add(&build, &record), ERR_OK);
    build.header.attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
    build.header.producer_id = 7;
    out->size = 0;
    assert_int_equal(build_finish(&build, out), ERR_OK);
    build_deinit(&build);
    return slice_make(out->data, out->size);
}

static void markers_are_read(void **state)
{
    struct codec_output out;
    struct batch_header header;
    struct transactions_marker marker = {0};
    codec_output_init(&out, 1000);
    struct slice batch = control_batch(&out, 1, 6);
    assert_int_equal(batch_check(batch, &header), ERR_OK);
    assert_int_equal(transactions_marker_read(batch, &header, &marker), ERR_OK);
    assert_true(marker.commit);
    assert_int_equal(marker.coordinator_epoch, 0x0102);
    batch.size--;
    assert_int_equal(transactions_marker_read(batch, &header, &marker), ERR_CORRUPT);
    batch = control_batch(&out, 0, 6);
    assert_int_equal(batch_check(batch, &header), ERR_OK);
    assert_int_equal(transactions_marker_read(batch, &header, &marker), ERR_OK);
    assert_false(marker.commit);
    batch = control_batch(&out, 2, 6); /* a change of leaders */
    assert_int_equal(batch_check(batch, &header), ERR_OK);
    assert_int_equal(transactions_marker_read(batch, &header, &marker), ERR_NOT_FOUND);
    batch = control_batch(&out, 1, 5);
    assert_int_equal(batch_check(batch, &header), ERR_OK);
    assert_int_equal(transactions_marker_read(batch, &header, &marker), ERR_CORRUPT);
    codec_output_deinit(&out);
}

static void a_snapshot_that_is_cut_is_corrupt(void **state)
{
    struct transactions *t = transactions_new(1, NULL), *again;
    struct text text;
    text_init(&text);
    assert_int_equal(transactions_encode(NULL, 100, &text), ERR_OK);
    assert_int_equal(transactions_encode(t, 100, &text), ERR_OK);
    assert_int_equal(text.size, 0); /* a log without transactions pays nothing */
    for (int64_t i = 0; i < 20; i++) {
        begin(t, 1000000 + i % 3, i * 10);
        if (i < 17)
            end(t, 1000000 + i % 3, i * 10 + 5, i % 2);
    }
    transactions_commit(t, 300);
    assert_int_equal(transactions_encode(t, 300, &text), ERR_OK);
    for (size_t cut = 1; cut < text.size; cut++) {
        again = transactions_new(2, NULL);
        assert_int_equal(transactions_decode(again, slice_make(text.data, cut)), ERR_CORRUPT);
        transactions_free(again);
    }
    text_deinit(&text);
    transactions_free(t);
}

static void what_is_full_begins_nothing_and_ends_everything(void **state)
{
    struct budget budget;
    budget_init(&budget, 1 << 20);
    struct transactions *t = transactions_new(1, &budget);
    int64_t offset = 0, producer_id = 1;
    assert_int_equal(transactions_check_room(NULL), ERR_OK);
    for (; transactions_check_room(t) == ERR_OK; producer_id++)
        begin(t, producer_id, offset++);
    assert_int_equal(transactions_check_room(t), ERR_BUSY);
    assert_in_range(budget_used(&budget), 1 << 20, (1 << 20) + 1000);
    for (int64_t id = 1; id < producer_id; id++)
        end(t, id, offset++, id % 2);
    transactions_commit(t, offset);
    assert_int_equal(t->aborted.count, (producer_id - 1) / 2);
    assert_int_equal(transactions_check_room(t), ERR_OK);
    budget.size_max = SIZE_MAX / 1000;
    while (t->aborted.count < TRANSACTIONS_COUNT_MAX) {
        begin(t, 1, offset++);
        end(t, 1, offset++, false);
        transactions_commit(t, offset);
    }
    assert_int_equal(transactions_check_room(t), ERR_LIMIT);
    transactions_truncate_start(t, offset);
    assert_int_equal(transactions_check_room(t), ERR_OK);
    assert_int_equal(budget_used(&budget), 0);
    transactions_free(t);
}

/* --- a naive model at random --- */

enum what { DATA, COMMIT, ABORT };

struct event {
    enum what what;
    int64_t producer_id;
};

#define EVENT_MAX 2000
#define PRODUCERS 5

struct model {
    struct transactions *t;
    struct os_fake_random random;
    struct budget budget;
    struct event events[EVENT_MAX]; /* one an offset */
    int64_t end;
    int64_t committed;
    int64_t start;
};

static uint64_t dice(struct model *m, uint64_t below)
{
    return os_fake_random_below(&m->random, below);
}

/* The marker that ends the transaction of the record at offset, as [0, limit) tells; -1: none. */
static int64_t model_marker(const struct model *m, int64_t offset, int64_t limit)
{
    for (int64_t i = offset + 1; i < limit; i++) {
        if (m->events[i].producer_id == m->events[offset].producer_id && m->events[i].what != DATA)
            return i;
    }
    return -1;
}

static int64_t model_stable(const struct model *m, int64_t limit)
{
    for (int64_t i = 0; i < limit; i++) {
        if (m->events[i].what == DATA && model_marker(m, i, limit) < 0)
            return i;
    }
    return limit;
}

/* The first record of the transaction that the marker at offset ends; -1: it ends nothing. */
static int64_t model_first(const struct model *m, int64_t offset)
{
    int64_t first = -1;
    for (int64_t i = offset - 1; i >= 0; i--) {
        if (m->events[i].producer_id != m->events[offset].producer_id)
            continue;
        if (m->events[i].what != DATA)
            break;
        first = i;
    }
    return first;
}

static void check_aborted(struct model *m, int64_t from, int64_t to)
{
    struct store_aborted *list;
    uint32_t count, found = 0;
    int64_t before = -1;
    struct transactions_span span = {from, to, m->committed};
    assert_int_equal(transactions_aborted(m->t, &span, &list, &count), ERR_OK);
    for (int64_t i = MAX(from, m->start); i < m->committed; i++) {
        int64_t first = m->events[i].what == ABORT ? model_first(m, i) : -1;
        if (first < 0 || first >= to)
            continue;
        bool is_there = false;
        for (uint32_t j = 0; j < count; j++)
            is_there |= list[j].first_offset == first && list[j].last_offset == i &&
                        list[j].producer_id == m->events[i].producer_id;
        assert_true(is_there);
        found++;
    }
    assert_int_equal(found, count);
    for (uint32_t j = 0; j < count; j++) {
        assert_true(list[j].first_offset > before);
        before = list[j].first_offset;
    }
    budget_release(&m->budget, count * sizeof(*list));
    free(list);
}

static void check(struct model *m)
{
    int64_t stable = model_stable(m, m->committed);
    assert_int_equal(transactions_stable(m->t, m->committed), stable);
    for (unsigned i = 0; i < 3; i++) {
        int64_t from = m->start + (int64_t)dice(m, (uint64_t)(stable - MIN(stable, m->start)) + 1);
        if (from < stable)
            check_aborted(m, from, from + 1 + (int64_t)dice(m, (uint64_t)(stable - from)));
    }
    for (int64_t id = 1; id <= PRODUCERS; id++) {
        int64_t last = m->end - 1;
        while (last >= 0 && m->events[last].producer_id != id)
            last--;
        bool is_open = last >= 0 && m->events[last].what == DATA;
        assert_int_equal(transactions_find(m->t, id) != NULL, is_open);
    }
}

static void restart(struct model *m)
{
    struct text text;
    text_init(&text);
    assert_int_equal(transactions_encode(m->t, m->committed, &text), ERR_OK);
    transactions_free(m->t);
    m->t = transactions_new(dice(m, UINT64_MAX), &m->budget);
    m->end = m->committed;
    if (text.size > 0)
        assert_int_equal(transactions_decode(m->t, text_slice(&text)), ERR_OK);
    text_deinit(&text);
}

static void append(struct model *m)
{
    struct event event = {dice(m, 10) < 7 ? DATA
                          : dice(m, 2)    ? COMMIT
                                          : ABORT,
                          1 + (int64_t)dice(m, PRODUCERS)};
    if (event.what == DATA)
        begin(m->t, event.producer_id, m->end);
    else
        end(m->t, event.producer_id, m->end, event.what == COMMIT);
    m->events[m->end++] = event;
}

static void step(struct model *m)
{
    uint64_t what = dice(m, 100);
    if (what < 70) {
        append(m);
    } else if (what < 92) {
        m->committed += (int64_t)dice(m, (uint64_t)(m->end - m->committed) + 1);
        transactions_commit(m->t, m->committed);
        check(m);
    } else if (what < 94) {
        m->end = m->committed;
        assert_int_equal(transactions_rollback(m->t, m->committed), ERR_OK);
        check(m);
    } else if (what < 96) {
        m->start += (int64_t)dice(m, (uint64_t)(m->committed - m->start) + 1) / 3;
        transactions_truncate_start(m->t, m->start);
    } else if (what < 98) {
        restart(m);
        check(m);
    }
}

static void random_work_matches_a_naive_model(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct model *m = calloc(1, sizeof(*m));
        m->random.state = seed * 7919;
        budget_init(&m->budget, 1 << 20);
        m->t = transactions_new(seed, &m->budget);
        for (unsigned i = 0; i < 400; i++)
            step(m);
        transactions_free(m->t);
        assert_int_equal(budget_used(&m->budget), 0);
        free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_stable_behind_the_oldest),
        cmocka_unit_test(aborted_ones_are_found_where_they_touch),
        cmocka_unit_test(batches_fit_the_state_of_their_producer),
        cmocka_unit_test(markers_are_read),
        cmocka_unit_test(a_snapshot_that_is_cut_is_corrupt),
        cmocka_unit_test(what_is_full_begins_nothing_and_ends_everything),
        cmocka_unit_test(random_work_matches_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the rules for idempotent producers.
// SPDX-License-Identifier: Apache-2.0
#include "store/producers.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"
#include "store/transactions.h"

static struct batch_header header_of(int64_t id, int16_t epoch, int32_t sequence, int32_t count,
                                     int64_t offset)
{
    return (struct batch_header){.producer_id = id,
                                 .producer_epoch = epoch,
                                 .base_sequence = sequence,
                                 .last_offset_delta = count - 1,
                                 .record_count = count,
                                 .base_offset = offset,
                                 .max_timestamp_ms = 1};
}

static enum err offer(struct producers *producers, struct batch_header header, int64_t now_ms)
{
    struct producers_batch batch;
    enum err err = producers_check(producers, &header, &batch);
    return err ? err : producers_add(producers, &header, now_ms);
}

static void test_sequences(void **state)
{
    struct producers producers;
    struct producers_batch batch;
    producers_init(&producers, 1);
    assert_int_equal(offer(&producers, header_of(-1, -1, -1, 3, 0), 1), ERR_OK);
    assert_int_equal(offer(&producers, header_of(7, 0, 40, 10, 3), 1), ERR_OK); /* no state: any */
    assert_int_equal(offer(&producers, header_of(7, 0, 51, 1, 13), 1), ERR_SEQUENCE);
    assert_int_equal(offer(&producers, header_of(7, 0, 50, 1, 13), 1), ERR_OK);
    struct batch_header again = header_of(7, 0, 40, 10, 99);
    assert_int_equal(producers_check(&producers, &again, &batch), ERR_DUPLICATE);
    assert_int_equal(batch.base_offset, 3);
    assert_int_equal(batch.last_offset, 12);
    assert_int_equal(offer(&producers, header_of(7, 0, 40, 9, 99), 1), ERR_SEQUENCE);
    producers_deinit(&producers);
}

static void test_five_batches_are_remembered(void **state)
{
    struct producers producers;
    struct producers_batch batch;
    producers_init(&producers, 1);
    for (int i = 0; i < 7; i++)
        assert_int_equal(offer(&producers, header_of(7, 0, i, 1, i), 1), ERR_OK);
    for (int i = 0; i < 7; i++) {
        struct batch_header again = header_of(7, 0, i, 1, 99);
        assert_int_equal(producers_check(&producers, &again, &batch),
                         i < 2 ? ERR_SEQUENCE : ERR_DUPLICATE);
    }
    producers_deinit(&producers);
}

static void test_epochs_fence(void **state)
{
    struct producers producers;
    producers_init(&producers, 1);
    assert_int_equal(offer(&producers, header_of(7, 3, 0, 1, 0), 1), ERR_OK);
    assert_int_equal(offer(&producers, header_of(7, 2, 1, 1, 1), 1), ERR_FENCED);
    assert_int_equal(offer(&producers, header_of(7, 4, 1, 1, 1), 1), ERR_SEQUENCE);
    assert_int_equal(offer(&producers, header_of(7, 4, 0, 1, 1), 1), ERR_OK);
    assert_int_equal(offer(&producers, header_of(7, 3, 1, 1, 2), 1), ERR_FENCED);
    producers_deinit(&producers);
}

static void test_sequences_wrap(void **state)
{
    struct producers producers;
    producers_init(&producers, 1);
    assert_int_equal(offer(&producers, header_of(7, 0, INT32_MAX - 1, 4, 0), 1), ERR_OK);
    assert_int_equal(offer(&producers, header_of(7, 0, 2, 1, 4), 1), ERR_OK);
    assert_int_equal(offer(&producers, header_of(7, 0, INT32_MAX, 1, 5), 1), ERR_SEQUENCE);
    assert_int_equal(offer(&producers, header_of(8, 0, INT32_MAX, 1, 5), 1), ERR_OK);
    assert_int_equal(offer(&producers, header_of(8, 0, 0, 1, 6), 1), ERR_OK);
    producers_deinit(&producers);
}

static void test_expiry_and_truncation(void **state)
{
    struct producers producers;
    producers_init(&producers, 1);
    assert_int_equal(offer(&producers, header_of(1, 0, 0, 1, 0), 100), ERR_OK);
    assert_int_equal(offer(&producers, header_of(2, 0, 0, 1, 1), 200), ERR_OK);
    assert_int_equal(offer(&producers, header_of(1, 0, 1, 1, 2), 300), ERR_OK);
    producers_expire(&producers, NULL, 250);
    assert_int_equal(producers.known->by_id.count, 1);
    producers_truncate(&producers, 2);
    assert_int_equal(offer(&producers, header_of(1, 0, 1, 1, 2), 300), ERR_OK);
    producers_truncate(&producers, 0);
    assert_null(producers.known);
    producers_deinit(&producers);
}

static enum err mark(struct producers *producers, struct batch_header header, int32_t coordinator)
{
    header.attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
    enum err err = producers_check_marker(producers, &header, coordinator);
    return err ? err : producers_add_marker(producers, &header, coordinator, 100);
}

static void test_markers_fence_and_begin_sequences_anew(void **state)
{
    struct producers producers, again;
    struct text text;
    text_init(&text);
    producers_init(&producers, 1);
    producers_init(&again, 2);
    assert_int_equal(offer(&producers, header_of(7, 3, 0, 5, 0), 1), ERR_OK);
    assert_int_equal(mark(&producers, header_of(7, 2, -1, 1, 5), 0), ERR_FENCED);
    assert_int_equal(mark(&producers, header_of(7, 3, -1, 1, 5), 2), ERR_OK);
    assert_int_equal(mark(&producers, header_of(7, 3, -1, 1, 6), 1), ERR_COORDINATOR_FENCED);
    assert_int_equal(offer(&producers, header_of(7, 3, 5, 1, 6), 1), ERR_OK); /* goes on */
    assert_int_equal(mark(&producers, header_of(7, 4, -1, 1, 7), 2), ERR_OK);
    assert_int_equal(producers_marker_offset(&producers, 7), 7);
    assert_int_equal(offer(&producers, header_of(7, 3, 6, 1, 8), 1), ERR_FENCED);
    assert_int_equal(offer(&producers, header_of(7, 4, 6, 1, 8), 1), ERR_SEQUENCE);
    assert_int_equal(producers_encode(&producers, 8, &text), ERR_OK);
    assert_int_equal(producers_decode(&again, text_slice(&text), 200), ERR_OK);
    assert_int_equal(mark(&again, header_of(7, 4, -1, 1, 8), 1), ERR_COORDINATOR_FENCED);
    assert_int_equal(offer(&again, header_of(7, 4, 6, 1, 8), 1), ERR_SEQUENCE);
    assert_int_equal(offer(&again, header_of(7, 4, 0, 1, 8), 1), ERR_OK);
    text_deinit(&text);
    producers_deinit(&again);
    producers_deinit(&producers);
}

static void test_an_open_transaction_keeps_its_producer(void **state)
{
    struct producers producers;
    struct transactions *transactions = transactions_new(1, NULL);
    struct batch_header header = header_of(7, 0, 0, 1, 0);
    producers_init(&producers, 1);
    assert_int_equal(offer(&producers, header, 100), ERR_OK);
    assert_int_equal(offer(&producers, header_of(8, 0, 0, 1, 1), 100), ERR_OK);
    assert_int_equal(transactions_add(transactions, &header, 100), ERR_OK);
    producers_expire(&producers, transactions, 1000);
    assert_int_equal(producers.known->by_id.count, 1);
    struct transactions_marker marker = {.commit = true};
    header.base_offset = 2;
    transactions_end(transactions, &header, &marker);
    producers_expire(&producers, transactions, 1000);
    assert_null(producers.known);
    transactions_free(transactions);
    producers_deinit(&producers);
}

static void test_snapshot_holds_only_what_is_durable(void **state)
{
    struct producers producers, again;
    struct producers_batch batch;
    struct text text;
    text_init(&text);
    producers_init(&producers, 1);
    producers_init(&again, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(offer(&producers, header_of(7, 1, i, 1, i), 100), ERR_OK);
    assert_int_equal(offer(&producers, header_of(8, 0, 0, 1, 4), 100), ERR_OK);
    assert_int_equal(producers_encode(&producers, 3, &text), ERR_OK);
    assert_int_equal(producers_decode(&again, text_slice(&text), 50), ERR_OK);
    assert_int_equal(again.known->by_id.count, 1);
    struct batch_header next = header_of(7, 1, 3, 1, 3), last = header_of(7, 1, 2, 1, 2);
    assert_int_equal(producers_check(&again, &next, &batch), ERR_OK);
    assert_int_equal(producers_check(&again, &last, &batch), ERR_DUPLICATE);
    producers_expire(&again, NULL, 51); /* its time was capped by the clock at decoding */
    assert_null(again.known);
    for (size_t cut = 1; cut < text.size; cut++)
        assert_int_equal(producers_decode(&again, slice_make(text.data, cut), 50), ERR_CORRUPT);
    text_deinit(&text);
    producers_deinit(&again);
    producers_deinit(&producers);
}

/* What is known is as it was before, by going back or by a restart. */
static void go_back(struct producers *producers, int64_t offset, bool by_restart)
{
    struct text text;
    text_init(&text);
    if (by_restart) {
        assert_int_equal(producers_encode(producers, offset, &text), ERR_OK);
        producers_deinit(producers);
        producers_init(producers, 1);
        assert_int_equal(producers_decode(producers, text_slice(&text), 1), ERR_OK);
    }
    producers_truncate(producers, offset);
    text_deinit(&text);
}

static void test_what_is_not_there_after_all_leaves_what_was_known(void **state)
{
    struct producers_batch batch;
    struct producers producers;
    for (int by_restart = 0; by_restart < 2; by_restart++) {
        for (int known = 1; known <= 6; known++) { /* five batches and more are on their way */
            producers_init(&producers, 1);
            for (int i = 0; i < known + 5; i++)
                assert_int_equal(offer(&producers, header_of(7, 0, i, 1, i), 1), ERR_OK);
            go_back(&producers, known, by_restart);
            struct batch_header last = header_of(7, 0, known - 1, 1, known);
            assert_int_equal(producers_check(&producers, &last, &batch), ERR_DUPLICATE);
            assert_int_equal(offer(&producers, header_of(7, 0, known + 1, 1, 9), 1), ERR_SEQUENCE);
            assert_int_equal(offer(&producers, header_of(7, 0, known, 1, 9), 1), ERR_OK);
            producers_deinit(&producers);
        }
        producers_init(&producers, 1); /* a newer epoch was */
        assert_int_equal(offer(&producers, header_of(7, 3, 0, 2, 0), 1), ERR_OK);
        assert_int_equal(offer(&producers, header_of(7, 4, 0, 1, 2), 1), ERR_OK);
        go_back(&producers, 2, by_restart);
        assert_int_equal(offer(&producers, header_of(7, 2, 0, 1, 2), 1), ERR_FENCED);
        assert_int_equal(offer(&producers, header_of(7, 3, 3, 1, 2), 1), ERR_SEQUENCE);
        assert_int_equal(offer(&producers, header_of(7, 3, 2, 1, 2), 1), ERR_OK);
        producers_deinit(&producers);
        producers_init(&producers, 1); /* the first batch of an epoch that a marker began */
        assert_int_equal(offer(&producers, header_of(7, 3, 0, 1, 0), 1), ERR_OK);
        assert_int_equal(mark(&producers, header_of(7, 4, -1, 1, 1), 0), ERR_OK);
        assert_int_equal(offer(&producers, header_of(7, 4, 0, 1, 2), 1), ERR_OK);
        go_back(&producers, 2, by_restart);
        assert_int_equal(offer(&producers, header_of(7, 3, 1, 1, 2), 1), ERR_FENCED);
        assert_int_equal(offer(&producers, header_of(7, 4, 1, 1, 2), 1), ERR_SEQUENCE);
        assert_int_equal(offer(&producers, header_of(7, 4, 0, 1, 2), 1), ERR_OK);
        producers_deinit(&producers);
    }
}

static void test_they_are_charged(void **state)
{
    struct budget budget;
    struct producers producers;
    budget_init(&budget, 10000);
    producers_init(&producers, 1);
    producers.budget = &budget;
    int64_t id = 0;
    while (producers_check_room(&producers, id) == ERR_OK) {
        assert_int_equal(offer(&producers, header_of(id, 0, 0, 1, id), 1), ERR_OK);
        assert_true(++id < 100);
    }
    assert_int_equal(producers_check_room(&producers, id - 1), ERR_OK); /* it is known */
    assert_true(budget_used(&budget) >= (size_t)id * sizeof(struct producers_entry));
    producers_truncate(&producers, id - 1);
    assert_int_equal(producers_check_room(&producers, id), ERR_OK);
    producers_deinit(&producers);
    assert_int_equal(budget_used(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_five_batches_are_remembered),
        cmocka_unit_test(test_epochs_fence),
        cmocka_unit_test(test_sequences_wrap),
        cmocka_unit_test(test_expiry_and_truncation),
        cmocka_unit_test(test_markers_fence_and_begin_sequences_anew),
        cmocka_unit_test(test_an_open_transaction_keeps_its_producer),
        cmocka_unit_test(test_snapshot_holds_only_what_is_durable),
        cmocka_unit_test(test_what_is_not_there_after_all_leaves_what_was_known),
        cmocka_unit_test(test_they_are_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

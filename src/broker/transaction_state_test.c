// The state machine of one transactional id and its records, call by call.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/transaction_record.h"

struct bench {
    struct budget budget;
    struct transaction t;
    int64_t id_next;
};

static void bench_init(struct bench *b)
{
    budget_init(&b->budget, 1 << 20);
    assert_int_equal(broker_transaction_state_init(&b->t, slice_text("payments"), &b->budget, 7),
                     ERR_OK);
    b->id_next = 1000;
}

static void bench_deinit(struct bench *b)
{
    broker_transaction_state_deinit(&b->t);
    assert_int_equal(budget_used(&b->budget), 0);
}

/* Markers are written at once. */
static void finish(struct bench *b)
{
    if (!broker_transaction_state_is_prepared(&b->t))
        return;
    broker_transaction_part_remove_all(&b->t);
    broker_transaction_state_complete(&b->t, 50);
}

static enum err claim(struct bench *b, struct transaction_call *producer)
{
    struct transaction_init init = {.of = *producer, .timeout_ms = 60000};
    enum transaction_step step;
    init.of.id_new = -1;
    for (;;) {
        enum err err = broker_transaction_state_claim(&b->t, &init, 10, &step);
        if (err)
            return err;
        if (step == TRANSACTION_WANT_ID) {
            init.of.id_new = b->id_next++;
            continue;
        }
        broker_transaction_state_apply(&b->t);
        if (step == TRANSACTION_MOVE)
            break;
        assert_int_equal(step, TRANSACTION_FENCE);
        finish(b);
    }
    broker_transaction_state_told(&b->t, producer);
    return ERR_OK;
}

static struct transaction_call new_claim(struct bench *b)
{
    struct transaction_call producer = {.producer_id = -1, .epoch = -1};
    assert_int_equal(claim(b, &producer), ERR_OK);
    return producer;
}

static enum err add(struct bench *b, const struct transaction_call *producer, int32_t partition,
                    bool verify_only)
{
    struct transaction_place place = {.topic = SLICE_LITERAL("orders"), .partition = partition};
    struct transaction_add call = {
        .of = *producer, .verify_only = verify_only, .places = &place, .place_count = 1};
    enum transaction_step step;
    enum err err = broker_transaction_state_add(&b->t, &call, 20, &step);
    if (!err && step == TRANSACTION_MOVE)
        broker_transaction_state_apply(&b->t);
    return err ? err : place.err;
}

static enum err end(struct bench *b, struct transaction_call *producer, bool commit, bool bump)
{
    struct transaction_end call = {.of = *producer, .commit = commit, .bump = bump};
    enum transaction_step step = TRANSACTION_WANT_ID;
    enum err err = ERR_OK;
    call.of.id_new = -1;
    while (!err && step == TRANSACTION_WANT_ID) {
        err = broker_transaction_state_end(&b->t, &call, 30, &step);
        call.of.id_new = b->id_next++;
    }
    if (err)
        return err;
    if (step == TRANSACTION_MOVE)
        broker_transaction_state_apply(&b->t);
    broker_transaction_state_told(&b->t, producer);
    finish(b);
    return ERR_OK;
}

static void a_claim_fences_and_aborts(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call first = new_claim(&b);
    assert_int_equal(first.producer_id, 1000);
    assert_int_equal(first.epoch, 0);
    assert_int_equal(add(&b, &first, 0, false), ERR_OK);
    struct transaction_call second = new_claim(&b);
    assert_int_equal(second.producer_id, 1000);
    assert_int_equal(second.epoch, 2);
    assert_int_equal(b.t.now.state, TRANSACTION_EMPTY);
    assert_int_equal(add(&b, &first, 0, false), ERR_FENCED);
    assert_int_equal(end(&b, &first, true, false), ERR_FENCED);
    assert_int_equal(end(&b, &first, false, true), ERR_FENCED);
    struct transaction_call stranger = {.producer_id = 5, .epoch = 0};
    assert_int_equal(add(&b, &stranger, 0, false), ERR_PRODUCER_MAPPING);
    assert_int_equal(end(&b, &stranger, true, false), ERR_PRODUCER_MAPPING);
    assert_int_equal(claim(&b, &stranger), ERR_FENCED);
    bench_deinit(&b);
}

/* KIP-360: a producer goes on after an error, with the epoch it has. */
static void a_claim_is_taken_up_by_who_has_it(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    struct transaction_call before = producer;
    assert_int_equal(claim(&b, &producer), ERR_OK);
    assert_int_equal(producer.epoch, 1);
    struct transaction_call again = before; /* the answer got lost */
    assert_int_equal(claim(&b, &again), ERR_OK);
    assert_int_equal(again.epoch, 1);
    new_claim(&b);
    assert_int_equal(claim(&b, &before), ERR_FENCED);
    assert_int_equal(claim(&b, &producer), ERR_FENCED);
    bench_deinit(&b);
}

/* A zombie that claims with its old epoch does not stop what the living has open. */
static void a_zombie_cannot_claim_what_is_open(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call zombie = new_claim(&b);
    struct transaction_call living = new_claim(&b);
    assert_int_equal(add(&b, &living, 0, false), ERR_OK);
    assert_int_equal(claim(&b, &zombie), ERR_FENCED);
    assert_int_equal(end(&b, &living, true, false), ERR_OK);
    assert_int_equal(b.t.now.state, TRANSACTION_COMPLETE_COMMIT);
    bench_deinit(&b);
}

static void partitions_are_verified(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    assert_int_equal(add(&b, &producer, 1, true), ERR_TXN_ABORTABLE);
    assert_int_equal(add(&b, &producer, 1, false), ERR_OK);
    assert_int_equal(add(&b, &producer, 1, true), ERR_OK);
    assert_int_equal(add(&b, &producer, 2, true), ERR_TXN_ABORTABLE);
    assert_int_equal(end(&b, &producer, true, false), ERR_OK);
    assert_int_equal(add(&b, &producer, 1, true), ERR_TXN_ABORTABLE);
    bench_deinit(&b);
}

static void the_first_version_ends(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    assert_int_equal(end(&b, &producer, true, false), ERR_TXN_STATE);
    assert_int_equal(end(&b, &producer, false, false), ERR_TXN_STATE);
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    assert_int_equal(end(&b, &producer, true, false), ERR_OK);
    assert_int_equal(producer.epoch, 0);
    assert_int_equal(end(&b, &producer, true, false), ERR_OK);
    assert_int_equal(end(&b, &producer, false, false), ERR_TXN_STATE);
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    assert_int_equal(end(&b, &producer, false, false), ERR_OK);
    assert_int_equal(b.t.now.state, TRANSACTION_COMPLETE_ABORT);
    bench_deinit(&b);
}

static void the_second_version_gives_epochs(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    struct transaction_call before = producer, retry = producer;
    assert_int_equal(end(&b, &producer, true, true), ERR_OK);
    assert_int_equal(producer.epoch, 1);
    assert_int_equal(end(&b, &retry, true, true), ERR_OK);
    assert_int_equal(retry.epoch, 1);
    retry = before;
    assert_int_equal(end(&b, &retry, false, true), ERR_TXN_STATE);
    assert_int_equal(end(&b, &producer, true, true), ERR_TXN_STATE);
    assert_int_equal(end(&b, &producer, false, true), ERR_OK); /* without anything in it */
    assert_int_equal(producer.epoch, 2);
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    assert_int_equal(add(&b, &before, 0, false), ERR_FENCED);
    retry = before;
    assert_int_equal(end(&b, &retry, true, true), ERR_FENCED);
    bench_deinit(&b);
}

static void the_last_epoch_brings_another_id(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    b.t.now.epoch = producer.epoch = TRANSACTION_EPOCH_LAST;
    struct transaction_call before = producer;
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    assert_int_equal(end(&b, &producer, true, true), ERR_OK);
    assert_int_not_equal(producer.producer_id, before.producer_id);
    assert_int_equal(producer.epoch, 0);
    struct transaction_call retry = before;
    assert_int_equal(end(&b, &retry, true, true), ERR_OK);
    assert_int_equal(retry.producer_id, producer.producer_id);
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    b.t.now.epoch = producer.epoch = TRANSACTION_EPOCH_LAST;
    struct transaction_call other = new_claim(&b); /* fenced with the very last one */
    assert_int_not_equal(other.producer_id, producer.producer_id);
    assert_int_equal(other.epoch, 0);
    bench_deinit(&b);
}

static void what_expires_is_fenced(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    assert_int_equal(add(&b, &producer, 0, false), ERR_OK);
    broker_transaction_state_expire(&b.t, 99);
    broker_transaction_state_apply(&b.t);
    assert_int_equal(b.t.now.epoch, 1);
    finish(&b);
    assert_int_equal(end(&b, &producer, false, true), ERR_FENCED);
    assert_int_equal(end(&b, &producer, false, false), ERR_FENCED);
    assert_int_equal(claim(&b, &producer), ERR_FENCED);
    assert_int_equal(new_claim(&b).epoch, 2);
    bench_deinit(&b);
}

static void what_was_not_written_did_not_happen(void **state)
{
    struct bench b;
    bench_init(&b);
    struct transaction_call producer = new_claim(&b);
    struct transaction_place places[2] = {{.topic = SLICE_LITERAL("a")},
                                          {.topic = SLICE_LITERAL("b")}};
    struct transaction_add call = {.of = producer, .places = places, .place_count = 2};
    enum transaction_step step;
    assert_int_equal(add(&b, &producer, 7, false), ERR_OK);
    assert_int_equal(broker_transaction_state_add(&b.t, &call, 20, &step), ERR_OK);
    assert_int_equal(b.t.by_key.count, 3);
    broker_transaction_state_forget(&b.t);
    assert_int_equal(b.t.by_key.count, 1);
    assert_int_equal(b.t.now.state, TRANSACTION_ONGOING);
    b.budget.size_max = budget_used(&b.budget) + 100; /* one fits, not both */
    assert_int_equal(broker_transaction_state_add(&b.t, &call, 20, &step), ERR_NO_MEMORY);
    assert_int_equal(b.t.by_key.count, 1);
    bench_deinit(&b);
}

static enum err part_add(void *arg, struct slice topic, int32_t partition)
{
    return broker_transaction_part_get(arg, topic, partition) ? ERR_OK : ERR_NO_MEMORY;
}

static void records_come_back(void **state)
{
    struct bench b, c;
    struct codec_output out;
    struct slice id;
    bench_init(&b);
    bench_init(&c);
    codec_output_init(&out, 1 << 16);
    struct transaction_call producer = new_claim(&b);
    b.t.now.epoch = producer.epoch = TRANSACTION_EPOCH_LAST;
    assert_int_equal(add(&b, &producer, 3, false), ERR_OK);
    assert_int_equal(add(&b, &producer, 4, false), ERR_OK);
    struct transaction_end call = {.of = producer, .commit = true, .bump = true};
    enum transaction_step step;
    call.of.id_new = 77;
    assert_int_equal(broker_transaction_state_end(&b.t, &call, 30, &step), ERR_OK);
    assert_int_equal(broker_transaction_record_value(&out, &b.t, true), ERR_OK);
    struct slice bytes = slice_make(out.data, out.size);
    assert_int_equal(broker_transaction_record_read_value(bytes, &c.t.now, part_add, &c.t), ERR_OK);
    assert_int_equal(c.t.now.state, TRANSACTION_PREPARE_COMMIT);
    assert_int_equal(c.t.now.producer_id, producer.producer_id);
    assert_int_equal(c.t.now.producer_id_next, 77);
    assert_int_equal(c.t.now.epoch, INT16_MAX);
    assert_int_equal(c.t.now.version, 2);
    assert_int_equal(c.t.now.timeout_ms, 60000);
    assert_int_equal(c.t.now.start_ms, 20);
    assert_non_null(broker_transaction_part_find(&c.t, slice_text("orders"), 3));
    assert_non_null(broker_transaction_part_find(&c.t, slice_text("orders"), 4));
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_not_equal(broker_transaction_record_read_value(slice_make(bytes.data, size),
                                                                  &c.t.now, part_add, &c.t),
                             ERR_OK);
    out.size = 0;
    assert_int_equal(broker_transaction_record_key(&out, b.t.id), ERR_OK);
    assert_int_equal(broker_transaction_record_read_key(slice_make(out.data, out.size), &id),
                     ERR_OK);
    assert_true(slice_equal(id, b.t.id));
    codec_output_deinit(&out);
    bench_deinit(&b);
    bench_deinit(&c);
}

/* By hand after the layout: what Kafka itself writes, in both versions. */
static void records_of_kafka_are_read(void **state)
{
    static const uint8_t value_0[] = {0, 0, 0, 0, 0, 0, 0, 0,   3, 232, 0, 5, 0, 0, 234, 96,
                                      1, 0, 0, 0, 1, 0, 1, 't', 0, 0,   0, 1, 0, 0, 0,   2,
                                      0, 0, 0, 0, 0, 0, 0, 9,   0, 0,   0, 0, 0, 0, 0,   8};
    static const uint8_t value_1[] = {0,  1, 0, 0, 0,   0, 0, 0,   3, 232, 0, 5, 0, 0, 234,
                                      96, 4, 2, 2, 't', 2, 0, 0,   0, 2,   0, 0, 0, 0, 0,
                                      0,  0, 0, 9, 0,   0, 0, 0,   0, 0,   0, 8, 2, 0, 8,
                                      0,  0, 0, 0, 0,   0, 3, 231, 2, 2,   0, 2};
    struct bench b;
    bench_init(&b);
    assert_int_equal(broker_transaction_record_read_value(slice_make(value_0, sizeof(value_0)),
                                                          &b.t.now, part_add, &b.t),
                     ERR_OK);
    assert_int_equal(b.t.now.producer_id, 1000);
    assert_int_equal(b.t.now.epoch, 5);
    assert_int_equal(b.t.now.state, TRANSACTION_ONGOING);
    assert_int_equal(b.t.now.update_ms, 9);
    assert_int_equal(b.t.now.start_ms, 8);
    assert_non_null(broker_transaction_part_find(&b.t, slice_text("t"), 2));
    assert_int_equal(broker_transaction_record_read_value(slice_make(value_1, sizeof(value_1)),
                                                          &b.t.now, part_add, &b.t),
                     ERR_OK);
    assert_int_equal(b.t.now.state, TRANSACTION_COMPLETE_COMMIT);
    assert_int_equal(b.t.now.producer_id_previous, 999);
    assert_int_equal(b.t.now.version, 2);
    bench_deinit(&b);
}

static void only_allowed_moves(void **state)
{
    unsigned count = 0;
    for (unsigned from = 0; from < TRANSACTION_STATE_COUNT; from++)
        for (unsigned to = 0; to < TRANSACTION_STATE_COUNT; to++)
            count += broker_transaction_state_is_allowed((enum transaction_state)from,
                                                         (enum transaction_state)to);
    assert_int_equal(count, 3 + 4 + 1 + 4 + 1 + 1 + 3);
    assert_false(broker_transaction_state_is_allowed(TRANSACTION_PREPARE_COMMIT,
                                                     TRANSACTION_COMPLETE_ABORT));
    assert_false(
        broker_transaction_state_is_allowed(TRANSACTION_PREPARE_COMMIT, TRANSACTION_ONGOING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_fences_and_aborts),
        cmocka_unit_test(a_claim_is_taken_up_by_who_has_it),
        cmocka_unit_test(a_zombie_cannot_claim_what_is_open),
        cmocka_unit_test(partitions_are_verified),
        cmocka_unit_test(the_first_version_ends),
        cmocka_unit_test(the_second_version_gives_epochs),
        cmocka_unit_test(the_last_epoch_brings_another_id),
        cmocka_unit_test(what_expires_is_fenced),
        cmocka_unit_test(what_was_not_written_did_not_happen),
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(records_of_kafka_are_read),
        cmocka_unit_test(only_allowed_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

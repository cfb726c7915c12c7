// Tests of producer ids: never twice, durable before they are given.
// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_fixture.h"

static void get_fn(struct core *core, void *arg)
{
    broker_producer_id_get(core, arg);
}

static enum err get(struct fixture *f, unsigned core, int64_t *out)
{
    struct broker_producer_id ask = {.producer_id = 0};
    enum err err = fixture_call(f, core, &ask.call, get_fn, &ask);
    if (!err)
        assert_int_equal(ask.epoch, 0);
    *out = ask.producer_id;
    return err;
}

static void ids_rise_on_every_core(void **state)
{
    struct fixture *f = fixture_new(3);
    int64_t id, last = -1;
    unsigned puts = f->store.fact_puts;
    for (unsigned i = 0; i < 2500; i++) {
        assert_int_equal(get(f, i % 3, &id), ERR_OK);
        assert_true(id > last);
        last = id;
    }
    assert_int_equal(f->store.fact_puts - puts, 3); /* blocks of 1,000 */
    fixture_free(f);
}

static void no_id_comes_again_after_a_restart(void **state)
{
    struct fixture *f = fixture_new(2);
    int64_t first, second;
    assert_int_equal(get(f, 1, &first), ERR_OK);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(get(f, 0, &second), ERR_OK);
    assert_true(second > first);
    fixture_free(f);
}

static void without_durability_there_is_no_id(void **state)
{
    struct fixture *f = fixture_new(2);
    int64_t id;
    f->store.fact_err = ERR_DISK_FULL;
    assert_int_equal(get(f, 1, &id), ERR_DISK_FULL);
    assert_int_equal(id, -1);
    f->store.fact_err = ERR_OK;
    assert_int_equal(get(f, 1, &id), ERR_OK);
    assert_int_equal(id, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_rise_on_every_core),
        cmocka_unit_test(no_id_comes_again_after_a_restart),
        cmocka_unit_test(without_durability_there_is_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of quota meters on made-up times: windows, cores, waits, buckets of tokens.
// SPDX-License-Identifier: Apache-2.0
#include "broker/quota_meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS 1000000ull
#define S  (1000 * MS)
/* Far from zero, at the beginning of a window. */
#define START (1000000 * S)

static const struct quota_windows windows = {.count = 11, .size_ns = S};

static uint64_t delay_ms(const struct quota_meter *meter, uint64_t now_ns, double limit_per_s)
{
    uint64_t span_ns;
    uint64_t sum = broker_quota_meter_sum(meter, &windows, now_ns, &span_ns);
    return broker_quota_meter_delay_ms(sum, span_ns, limit_per_s);
}

static void add(struct quota_meter *meter, unsigned core, uint64_t now_ns, uint64_t amount)
{
    broker_quota_meter_add(meter, &windows, (struct quota_moment){core, now_ns}, amount);
}

static void a_burst_may_use_the_windows_that_are_to_come(void **state)
{
    struct quota_meter *meter = broker_quota_meter_new(1, &windows);
    uint64_t span_ns;
    add(meter, 0, START, 10000);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START, &span_ns), 10000);
    assert_int_equal(span_ns, 10 * S);
    assert_int_equal(delay_ms(meter, START, 1000), 0);
    add(meter, 0, START, 1000); /* 1100/s over 10 s: a tenth of 10 s too much */
    assert_int_equal(delay_ms(meter, START, 1000), 1000);
    assert_int_equal(delay_ms(meter, START + 500 * MS, 1000), 500);
    assert_int_equal(delay_ms(meter, START + S, 1000), 1000); /* one whole window more is known */
    assert_true(broker_quota_meter_unref(meter));
}

static void what_is_older_than_the_windows_is_forgotten(void **state)
{
    struct quota_meter *meter = broker_quota_meter_new(1, &windows);
    uint64_t span_ns;
    add(meter, 0, START, 5000);
    add(meter, 0, START + 10 * S, 7);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 10 * S, &span_ns), 5007);
    assert_int_equal(span_ns, 10 * S);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 10 * S + 999 * MS, &span_ns),
                     5007);
    assert_int_equal(span_ns, 10 * S + 999 * MS);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 11 * S, &span_ns), 7);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 22 * S, &span_ns), 0);
    assert_int_equal(span_ns, 10 * S);
    assert_true(broker_quota_meter_unref(meter));
}

static void a_steady_stream_settles_at_its_limit(void **state)
{
    struct quota_meter *meter = broker_quota_meter_new(1, &windows);
    uint64_t now_ns = START, sent = 0;
    while (now_ns < START + 100 * S) {
        add(meter, 0, now_ns, 500);
        sent += 500;
        now_ns += MS + delay_ms(meter, now_ns, 10000) * MS;
    }
    assert_in_range(sent, 95 * 10000,
                    115 * 10000); /* the burst of the first ten seconds is extra */
    assert_true(broker_quota_meter_unref(meter));
}

static void cores_add_up(void **state)
{
    struct quota_meter *meter = broker_quota_meter_new(3, &windows);
    uint64_t span_ns;
    add(meter, 0, START, 1);
    add(meter, 1, START + S, 20);
    add(meter, 2, START + 2 * S, 300);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 2 * S, &span_ns), 321);
    broker_quota_meter_clear(meter, 1);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 2 * S, &span_ns), 301);
    /* A core whose clock is ahead by a window counts from then on. */
    add(meter, 1, START + 3 * S, 5000);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 2 * S, &span_ns), 301);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START + 3 * S, &span_ns), 5301);
    assert_true(broker_quota_meter_unref(meter));
}

static void what_is_taken_back_was_not_there(void **state)
{
    struct quota_meter *meter = broker_quota_meter_new(1, &windows);
    struct quota_moment at = {0, START};
    uint64_t span_ns;
    add(meter, 0, START, 100);
    broker_quota_meter_take_back(meter, &windows, at, 40);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START, &span_ns), 60);
    broker_quota_meter_take_back(meter, &windows, at, 100);
    assert_int_equal(broker_quota_meter_sum(meter, &windows, START, &span_ns), 0);
    add(meter, 0, START, UINT64_MAX); /* more than a cell holds */
    add(meter, 0, START, UINT64_MAX);
    assert_true(broker_quota_meter_sum(meter, &windows, START, &span_ns) > (uint64_t)1 << 47);
    assert_int_equal(delay_ms(meter, START, 1e-3), INT32_MAX);
    assert_true(broker_quota_meter_unref(meter));
}

static void a_bucket_is_full_first_and_gains_its_rate(void **state)
{
    struct quota_meter *meter = broker_quota_meter_new(1, &windows);
    struct quota_bucket bucket = {.rate_per_s = 2, .burst_ns = 11 * S, .strict = true};
    bool refused;
    assert_int_equal(broker_quota_meter_draw(meter, &bucket, START, 22, &refused), 0);
    assert_false(refused);
    /* It is empty, not overdrawn: one more act is let through, however large. */
    assert_int_equal(broker_quota_meter_draw(meter, &bucket, START, 4, &refused), 2000);
    assert_false(refused);
    assert_int_equal(broker_quota_meter_draw(meter, &bucket, START + S, 1, &refused), 1000);
    assert_true(refused);
    assert_int_equal(broker_quota_meter_draw(meter, &bucket, START + 2 * S, 1, &refused), 500);
    assert_false(refused);
    bucket.strict = false;
    assert_int_equal(broker_quota_meter_draw(meter, &bucket, START + 2 * S, 1, &refused), 1000);
    assert_false(refused);
    /* After a long time it holds no more than at first. */
    assert_int_equal(broker_quota_meter_draw(meter, &bucket, START + 1000 * S, 23, &refused), 500);
    assert_true(broker_quota_meter_unref(meter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_may_use_the_windows_that_are_to_come),
        cmocka_unit_test(what_is_older_than_the_windows_is_forgotten),
        cmocka_unit_test(a_steady_stream_settles_at_its_limit),
        cmocka_unit_test(cores_add_up),
        cmocka_unit_test(what_is_taken_back_was_not_there),
        cmocka_unit_test(a_bucket_is_full_first_and_gains_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

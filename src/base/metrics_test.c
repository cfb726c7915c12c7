// Tests of counters and histograms.
// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_counter(void **state)
{
    struct metric_counter counter = {0};
    metric_add(&counter, 3);
    metric_add(&counter, UINT64_MAX); /* one less: gauges go down this way */
    assert_int_equal(metric_get(&counter), 2);
}

/* A single value's quantile is the bound of its bucket: never below it, at most 1/16 above. */
static void test_error_is_bounded(void **state)
{
    static struct histogram histogram;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t step = 0; step < 40; step++) {
            uint64_t value = ((uint64_t)1 << bit) + (((uint64_t)1 << bit) / 40) * step;
            memset(&histogram, 0, sizeof(histogram));
            histogram_add(&histogram, value);
            uint64_t bound = histogram_quantile(&histogram, 5000);
            assert_true(bound >= value);
            assert_true(bound - value <= value / 16);
            assert_true(value >= 16 || bound == value);
        }
    }
    memset(&histogram, 0, sizeof(histogram));
    histogram_add(&histogram, UINT64_MAX);
    assert_true(histogram_quantile(&histogram, 10000) == UINT64_MAX);
}

static void test_buckets_follow_each_other(void **state)
{
    static struct histogram histogram;
    uint64_t value = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        memset(&histogram, 0, sizeof(histogram));
        histogram_add(&histogram, value);
        assert_int_equal(metric_get(&histogram.buckets[i]), 1);
        value = histogram_quantile(&histogram, 10000) + 1;
    }
    assert_int_equal(value, 0);
}

static void test_quantiles(void **state)
{
    static struct histogram histogram;
    assert_int_equal(histogram_quantile(&histogram, 9900), 0);
    for (uint64_t i = 1; i <= 10; i++)
        histogram_add(&histogram, i);
    assert_int_equal(histogram_quantile(&histogram, 0), 1);
    assert_int_equal(histogram_quantile(&histogram, 1000), 1);
    assert_int_equal(histogram_quantile(&histogram, 1001), 2);
    assert_int_equal(histogram_quantile(&histogram, 5000), 5);
    assert_int_equal(histogram_quantile(&histogram, 9900), 10);
    assert_int_equal(histogram_quantile(&histogram, 20000), 10);
    assert_int_equal(metric_get(&histogram.sum), 55);
    assert_int_equal(metric_get(&histogram.count), 10);
}

static void test_merge(void **state)
{
    static struct histogram a, b;
    for (uint64_t i = 0; i < 100; i++)
        histogram_add(i % 2 ? &a : &b, i % 16);
    histogram_merge(&a, &b);
    assert_int_equal(metric_get(&a.count), 100);
    assert_int_equal(metric_get(&b.count), 50);
    assert_int_equal(metric_get(&a.buckets[3]), 7);
    assert_int_equal(metric_get(&a.buckets[4]), 6);
    assert_int_equal(histogram_quantile(&a, 5000), 7);
}

static void values_up_to_a_bound_are_counted(void **state)
{
    struct histogram numbers = {0};
    struct histogram *histogram = &numbers;
    for (uint64_t i = 0; i < 1000; i++)
        histogram_add(histogram, i * 1000);
    assert_int_equal(histogram_count_upto(histogram, UINT64_MAX), 1000);
    assert_int_equal(histogram_count_upto(histogram, 0), 1);
    uint64_t half = histogram_count_upto(histogram, 500000);
    assert_true(half > 460 && half < 540);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_up_to_a_bound_are_counted),
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_error_is_bounded),
        cmocka_unit_test(test_buckets_follow_each_other),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

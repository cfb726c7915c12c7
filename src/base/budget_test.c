// Tests of the memory budget.
// SPDX-License-Identifier: Apache-2.0
#include "base/budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_charge_to_the_brim(void **state)
{
    struct budget budget;
    budget_init(&budget, 1000);
    assert_true(budget_charge(&budget, 600));
    assert_false(budget_charge(&budget, 401));
    assert_false(budget_charge(&budget, SIZE_MAX));
    assert_int_equal(budget_used(&budget), 600);
    assert_int_equal(budget_permille(&budget), 600);
    assert_true(budget_charge(&budget, 400));
    assert_int_equal(budget_permille(&budget), 1000);
    budget_charge_always(&budget, 500);
    assert_int_equal(budget_permille(&budget), 1500);
    assert_false(budget_charge(&budget, 0));
    budget_release(&budget, 1500);
    assert_int_equal(budget_used(&budget), 0);
}

static void test_permille_of_extremes(void **state)
{
    struct budget budget;
    budget_init(&budget, 0);
    assert_int_equal(budget_permille(&budget), 1000);
    budget_init(&budget, SIZE_MAX);
    budget_charge_always(&budget, SIZE_MAX / 2);
    assert_int_equal(budget_permille(&budget), 499);
}

static void *charge_and_release(void *arg)
{
    struct budget *budget = arg;
    size_t held = 0;
    for (int i = 0; i < 20000; i++) {
        if (budget_charge(budget, 7))
            held += 7;
        if (budget_used(budget) > 100)
            return budget;
        if (i % 3 == 0) {
            budget_release(budget, held);
            held = 0;
        }
    }
    budget_release(budget, held);
    return NULL;
}

static void test_threads_never_exceed_it(void **state)
{
    struct budget budget;
    budget_init(&budget, 100);
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, charge_and_release, &budget), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(budget_used(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charge_to_the_brim),
        cmocka_unit_test(test_permille_of_extremes),
        cmocka_unit_test(test_threads_never_exceed_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the newest offsets of keys: what was put is found, memory is bounded and charged.
// SPDX-License-Identifier: Apache-2.0
#include "store/compact_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void keys_make(struct compact_keys *keys, struct budget *budget, uint64_t wanted)
{
    *keys = (struct compact_keys){.hash_keys = {1, 2, 3, 4}};
    assert_true(compact_keys_init(keys, budget, wanted, 1 << 20));
}

static struct slice key_of(const uint64_t *number)
{
    return slice_make(number, sizeof(*number));
}

static void the_newest_offset_is_found(void **state)
{
    struct budget budget;
    struct compact_keys keys;
    budget_init(&budget, 4 << 20);
    keys_make(&keys, &budget, 20000);
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t number = i % 20000;
        assert_true(compact_keys_put(&keys, key_of(&number), (int64_t)i));
    }
    for (uint64_t i = 0; i < 40000; i++)
        assert_int_equal(compact_keys_get(&keys, key_of(&i)), i < 20000 ? (int64_t)i + 40000 : -1);
    assert_true(compact_keys_put(&keys, SLICE_LITERAL(""), 0));
    assert_int_equal(compact_keys_get(&keys, SLICE_LITERAL("")), 0);
    compact_keys_deinit(&keys);
    assert_int_equal(budget_used(&budget), 0);
}

static void no_more_than_its_size_is_taken(void **state)
{
    struct budget budget;
    struct compact_keys keys;
    budget_init(&budget, 4 << 20);
    keys_make(&keys, &budget, UINT32_MAX);
    assert_true(budget_used(&budget) <= 1 << 20);
    uint64_t count = 0;
    while (compact_keys_put(&keys, key_of(&count), (int64_t)count))
        count++;
    assert_true(count > (1 << 20) / 24 * 3 / 4);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(compact_keys_get(&keys, key_of(&i)), i);
    uint64_t known = 7; /* what is known can still be put */
    assert_true(compact_keys_put(&keys, key_of(&known), INT64_MAX - 1));
    assert_int_equal(compact_keys_get(&keys, key_of(&known)), INT64_MAX - 1);
    compact_keys_deinit(&keys);
}

static void a_tight_budget_gives_less_or_nothing(void **state)
{
    struct budget budget;
    struct compact_keys keys = {.hash_keys = {1}};
    budget_init(&budget, 300 << 10);
    assert_true(compact_keys_init(&keys, &budget, UINT32_MAX, 1 << 20));
    assert_true(budget_used(&budget) <= 300 << 10 && budget_used(&budget) > 200 << 10);
    struct compact_keys more = {.hash_keys = {1}};
    assert_false(compact_keys_init(&more, &budget, UINT32_MAX, 1 << 20));
    compact_keys_deinit(&more);
    compact_keys_deinit(&keys);
    assert_int_equal(budget_used(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_offset_is_found),
        cmocka_unit_test(no_more_than_its_size_is_taken),
        cmocka_unit_test(a_tight_budget_gives_less_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

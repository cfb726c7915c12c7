// Tests of the ring, also between two threads.
// SPDX-License-Identifier: Apache-2.0
#include "base/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_fill_and_empty(void **state)
{
    static struct ring ring;
    static char items[10];
    assert_true(ring_init(&ring, 5));
    for (int round = 0; round < 5; round++) {
        assert_true(ring_empty(&ring));
        assert_null(ring_pop(&ring));
        for (int i = 0; i < 8; i++)
            assert_true(ring_push(&ring, &items[i]));
        assert_false(ring_push(&ring, &items[8]));
        assert_false(ring_empty(&ring));
        assert_ptr_equal(ring_pop(&ring), &items[0]);
        assert_true(ring_push(&ring, &items[8]));
        for (int i = 1; i <= 8; i++)
            assert_ptr_equal(ring_pop(&ring), &items[i]);
    }
    ring_deinit(&ring);
    assert_true(ring_init(&ring, 0));
    assert_true(ring_push(&ring, items));
    assert_false(ring_push(&ring, items));
    ring_deinit(&ring);
}

static void test_sides_do_not_share_cache_lines(void **state)
{
    assert_true(offsetof(struct ring, head) % 64 == 0);
    assert_true(offsetof(struct ring, tail) - offsetof(struct ring, tail_seen) >= 56);
    assert_true(offsetof(struct ring, tail) % 64 == 0);
}

#define ITEM_COUNT 100000

struct exchange {
    struct ring ring;
    uint64_t items[ITEM_COUNT];
};

static void *produce(void *arg)
{
    struct exchange *exchange = arg;
    for (uint64_t i = 0; i < ITEM_COUNT; i++) {
        exchange->items[i] = i * 3; /* plain memory, published by the push */
        while (!ring_push(&exchange->ring, &exchange->items[i]))
            sched_yield();
    }
    return NULL;
}

static void test_two_threads_keep_order_and_contents(void **state)
{
    static struct exchange exchange;
    assert_true(ring_init(&exchange.ring, 64));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, &exchange), 0);
    for (uint64_t i = 0; i < ITEM_COUNT;) {
        uint64_t *item = ring_pop(&exchange.ring);
        if (!item) {
            sched_yield();
            continue;
        }
        assert_int_equal(*item, i * 3);
        i++;
    }
    pthread_join(thread, NULL);
    assert_true(ring_empty(&exchange.ring));
    ring_deinit(&exchange.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill_and_empty),
        cmocka_unit_test(test_sides_do_not_share_cache_lines),
        cmocka_unit_test(test_two_threads_keep_order_and_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the buffer pools, also across threads.
// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/poison.h"
#include "base/ring.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

struct fixture {
    struct budget budget;
    struct buf_pool *pool;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    budget_init(&fixture->budget, 100 * MIB);
    fixture->pool = buf_pool_new(&fixture->budget, 8 * MIB);
    *state = fixture;
    return fixture->pool ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    buf_pool_free(fixture->pool);
    size_t left = budget_used(&fixture->budget);
    free(fixture);
    return left == 0 ? 0 : -1;
}

static void test_capacity_and_alignment(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        size_t size;
        size_t capacity;
    } cases[] = {
        {0, 4 * KIB},           {1, 4 * KIB},         {4 * KIB, 4 * KIB},
        {4 * KIB + 1, 8 * KIB}, {64 * KIB, 64 * KIB}, {64 * KIB + 1, 80 * KIB},
        {9 * MIB, 10 * MIB},    {16 * MIB, 16 * MIB}, {16 * MIB + 1, 16 * MIB + 4 * KIB},
    };
    struct buf *bufs[COUNT_OF(cases)];
    size_t charged = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bufs[i] = buf_pool_get(fixture->pool, cases[i].size);
        assert_non_null(bufs[i]);
        assert_int_equal(bufs[i]->capacity, cases[i].capacity);
        assert_int_equal((uintptr_t)bufs[i]->data % 4096, 0);
        memset(bufs[i]->data, (int)i, bufs[i]->capacity);
        charged += cases[i].capacity;
        assert_int_equal(budget_used(&fixture->budget), charged);
    }
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t at = 0; at < bufs[i]->capacity; at += 509)
            assert_int_equal(bufs[i]->data[at], i);
        assert_int_equal(bufs[i]->data[bufs[i]->capacity - 1], i);
        buf_unref(bufs[i]);
    }
    assert_null(buf_pool_get(fixture->pool, SIZE_MAX));
    assert_null(buf_pool_get(fixture->pool, (size_t)1 << 32));
}

static void test_references(void **state)
{
    struct fixture *fixture = *state;
    struct buf *buf = buf_pool_get(fixture->pool, 100);
    assert_true(buf_is_exclusive(buf));
    assert_ptr_equal(buf_ref(buf), buf);
    assert_false(buf_is_exclusive(buf));
    buf_unref(buf);
    assert_true(buf_is_exclusive(buf));
    memset(buf->data, 'x', 10);
    struct buf_range range = {.buf = buf, .offset = 2, .size = 3};
    assert_true(slice_equal_text(buf_range_slice(range), "xxx"));
    assert_null(buf_range_slice((struct buf_range){0}).data);
    buf_unref(buf);
    buf_unref(NULL);
}

static void test_freed_memory_is_used_again(void **state)
{
    struct fixture *fixture = *state;
    struct buf *buf = buf_pool_get(fixture->pool, 100 * KIB);
    buf_unref(buf);
    assert_int_equal(budget_used(&fixture->budget), 112 * KIB);
    struct buf *other = buf_pool_get(fixture->pool, 10 * KIB);
    assert_ptr_not_equal(other, buf);
    struct buf *again = buf_pool_get(fixture->pool, 97 * KIB);
    assert_ptr_equal(again, buf);
    buf_unref(again);
    buf_unref(other);
}

static void test_memory_beyond_what_is_kept_goes_back(void **state)
{
    struct fixture *fixture = *state;
    struct buf *bufs[1200];
    for (size_t i = 0; i < COUNT_OF(bufs); i++) {
        bufs[i] = buf_pool_get(fixture->pool, i % 2 ? 16 * KIB : 64 * KIB);
        assert_non_null(bufs[i]);
        bufs[i]->data[0] = 1;
    }
    for (size_t i = 0; i < COUNT_OF(bufs); i++)
        buf_unref(bufs[i]);
    size_t used = budget_used(&fixture->budget);
    assert_true(used > 7 * MIB && used <= 8 * MIB);
    struct buf *huge = buf_pool_get(fixture->pool, 17 * MIB);
    assert_int_equal(budget_used(&fixture->budget), used + 17 * MIB);
    buf_unref(huge);
    assert_int_equal(budget_used(&fixture->budget), used);
}

static void test_given_up_pages_of_a_slab_are_gone(void **state)
{
    struct budget budget;
    budget_init(&budget, MIB);
    struct buf_pool *pool = buf_pool_new(&budget, 0);
    struct buf *buf = buf_pool_get(pool, 4 * KIB);
    struct buf *holds_slab = buf_pool_get(pool, 4 * KIB);
    uint8_t *data = buf->data;
    memset(data, 'x', 4 * KIB);
    buf_unref(buf);
    /* mapped still, because its slab is: but the kernel has taken the page */
    assert_int_equal(data[0], 0);
    assert_int_equal(data[4 * KIB - 1], 0);
    assert_int_equal(budget_used(&budget), 4 * KIB);
    buf_unref(holds_slab);
    buf_pool_free(pool);
}

static void test_free_memory_is_out_of_bounds(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    struct fixture *fixture = *state;
    struct buf *buf = buf_pool_get(fixture->pool, 4 * KIB);
    assert_false(__asan_address_is_poisoned(buf->data + 100));
    buf_unref(buf);
    assert_true(__asan_address_is_poisoned(buf->data + 100));
    assert_ptr_equal(buf_pool_get(fixture->pool, 4 * KIB), buf);
    assert_false(__asan_address_is_poisoned(buf->data + 100));
    buf_unref(buf);
#else
    skip();
#endif
}

static void test_pressure_takes_what_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct buf *kept[100];
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        kept[i] = buf_pool_get(fixture->pool, 64 * KIB);
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        buf_unref(kept[i]);
    assert_true(budget_used(&fixture->budget) > 5 * MIB);
    struct buf *huge = buf_pool_get(fixture->pool, 99 * MIB);
    assert_non_null(huge);
    assert_null(buf_pool_get(fixture->pool, 2 * MIB));
    assert_int_equal(budget_used(&fixture->budget), 99 * MIB);
    buf_unref(huge);
}

static void test_pool_outlives_its_buffers(void **state)
{
    struct budget budget;
    budget_init(&budget, 10 * MIB);
    struct buf_pool *pool = buf_pool_new(&budget, MIB);
    struct buf *small = buf_pool_get(pool, 1);
    struct buf *big = buf_pool_get(pool, MIB);
    buf_unref(buf_pool_get(pool, 8 * KIB));
    buf_pool_free(pool);
    assert_int_equal(budget_used(&budget), MIB + 4 * KIB);
    small->data[0] = 1;
    buf_unref(small);
    buf_unref(big);
    assert_int_equal(budget_used(&budget), 0);
    buf_pool_free(NULL);
}

static void test_buffers_without_a_pool(void **state)
{
    for (size_t size = 0; size < 20000; size += 1000) {
        struct buf *buf = buf_new(size);
        assert_non_null(buf);
        assert_int_equal(buf->capacity, size);
        if (size >= 4096)
            assert_int_equal((uintptr_t)buf->data % 4096, 0);
        memset(buf->data, 1, size);
        buf_unref(buf_ref(buf));
        buf_unref(buf);
    }
    assert_null(buf_new(SIZE_MAX));
}

static void *unref_all(void *arg)
{
    struct ring *ring = arg;
    for (;;) {
        struct buf *buf = ring_pop(ring);
        if (buf && buf->capacity == 1)
            return buf;
        if (buf) {
            CHECK(buf->data[7] == 77);
            buf_unref(buf);
        } else {
            sched_yield();
        }
    }
}

/* One owner, two others that drop the last or the last but one reference; small free memory so
 * that giving up and reuse both happen. */
static void test_other_threads_send_buffers_home(void **state)
{
    struct budget budget;
    budget_init(&budget, 64 * MIB);
    struct buf_pool *pool = buf_pool_new(&budget, 300 * KIB);
    static struct ring rings[2];
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        assert_true(ring_init(&rings[i], 64));
        assert_int_equal(pthread_create(&threads[i], NULL, unref_all, &rings[i]), 0);
    }
    for (unsigned i = 0; i < 20000; i++) {
        struct buf *buf = buf_pool_get(pool, i % 5 == 0 ? 100 * KIB : i % 3 * 8 * KIB);
        assert_non_null(buf);
        assert_true(buf_is_exclusive(buf));
        buf->data[7] = 77;
        buf_ref(buf);
        for (size_t to = 0; to < 2; to++) {
            while (!ring_push(&rings[to], buf))
                sched_yield();
        }
    }
    struct buf *end = buf_new(1);
    buf_pool_free(pool);
    for (size_t i = 0; i < 2; i++) {
        while (!ring_push(&rings[i], end))
            sched_yield();
        pthread_join(threads[i], NULL);
        ring_deinit(&rings[i]);
    }
    buf_unref(end);
    assert_int_equal(budget_used(&budget), 0);
}

static void test_large_capacities_waste_little(void **state)
{
    struct budget budget;
    budget_init(&budget, 64 * MIB);
    struct buf_pool *pool = buf_pool_new(&budget, MIB);
    for (size_t size = 64 * KIB; size <= 16 * MIB; size += 12345) {
        struct buf *buf = buf_pool_get(pool, size);
        assert_non_null(buf);
        assert_in_range(buf->capacity, size, size + size / 4 + 4 * KIB);
        buf_unref(buf);
    }
    buf_pool_free(pool);
}

struct cache {
    struct buf *kept[4];
    size_t asked;
};

static void cache_give_up(void *arg, size_t size)
{
    struct cache *cache = arg;
    cache->asked = size;
    for (size_t i = 0; i < COUNT_OF(cache->kept); i++)
        buf_unref(cache->kept[i]);
    memset(cache->kept, 0, sizeof(cache->kept));
}

static void test_pressure_reaches_the_caches(void **state)
{
    struct budget budget;
    budget_init(&budget, 4 * MIB);
    struct buf_pool *pool = buf_pool_new(&budget, MIB);
    struct cache cache = {.asked = 0};
    for (size_t i = 0; i < COUNT_OF(cache.kept); i++)
        cache.kept[i] = buf_pool_get(pool, MIB);
    assert_null(buf_pool_get(pool, MIB));
    buf_pool_pressure_set(pool, cache_give_up, &cache);
    struct buf *buf = buf_pool_get(pool, MIB);
    assert_non_null(buf);
    assert_int_equal(cache.asked, MIB);
    buf_unref(buf);
    buf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_capacity_and_alignment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_memory_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_beyond_what_is_kept_goes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pressure_takes_what_is_kept, setup, teardown),
        cmocka_unit_test(test_large_capacities_waste_little),
        cmocka_unit_test(test_pressure_reaches_the_caches),
        cmocka_unit_test(test_given_up_pages_of_a_slab_are_gone),
        cmocka_unit_test_setup_teardown(test_free_memory_is_out_of_bounds, setup, teardown),
        cmocka_unit_test(test_pool_outlives_its_buffers),
        cmocka_unit_test(test_buffers_without_a_pool),
        cmocka_unit_test(test_other_threads_send_buffers_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the bump allocator.
// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_alloc_is_aligned_and_apart(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    uint8_t *blocks[600];
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = arena_alloc(&arena, i * 3);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, i * 3);
    }
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        for (size_t j = 0; j < i * 3; j++)
            assert_int_equal(blocks[i][j], (uint8_t)i);
    }
    assert_true(arena.size_total > 600 * 599 * 3 / 2);
    arena_deinit(&arena);
    assert_int_equal(arena.size_total, 0);
}

static void test_big_block_leaves_the_current_chunk_in_use(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    uint8_t *a = arena_alloc(&arena, 16);
    uint8_t *big = arena_alloc(&arena, 1 << 20);
    uint8_t *b = arena_alloc(&arena, 16);
    memset(big, 1, 1 << 20);
    assert_ptr_equal(b, a + 16);
    arena_deinit(&arena);
}

static void test_limit(void **state)
{
    struct arena arena;
    arena_init(&arena, 10000);
    size_t got = 0;
    while (arena_alloc(&arena, 100))
        got += 100;
    assert_true(got > 8000 && got < 10000);
    assert_true(arena.size_total <= 10000);
    arena_reset(&arena);
    assert_null(arena_alloc(&arena, 10001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 40));
    assert_non_null(arena_alloc(&arena, 100));
    arena_deinit(&arena);
}

static void test_reset_keeps_one_small_chunk(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    arena_reset(&arena);
    void *first = arena_alloc(&arena, 1);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 1), first);
    for (int i = 0; i < 1000; i++)
        assert_non_null(arena_alloc(&arena, 1000));
    arena_reset(&arena);
    assert_true(arena.size_total > 0 && arena.size_total < 70000);
    assert_non_null(arena_alloc(&arena, 5 << 20));
    arena_reset(&arena);
    assert_true(arena.size_total < 70000);
    arena_deinit(&arena);
    assert_non_null(arena_alloc(&arena, 5 << 20));
    arena_reset(&arena);
    assert_int_equal(arena.size_total, 0);
    arena_deinit(&arena);
}

static void test_array(void **state)
{
    struct arena arena;
    arena_init(&arena, 0);
    memset(arena_alloc(&arena, 1000), 0xff, 1000);
    arena_reset(&arena);
    uint64_t *numbers = arena_alloc_array(&arena, 100, sizeof(*numbers));
    for (int i = 0; i < 100; i++)
        assert_int_equal(numbers[i], 0);
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 8 + 1, 8));
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3));
    assert_non_null(arena_alloc_array(&arena, 0, 8));
    arena_deinit(&arena);
}

static void test_copy(void **state)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct slice copy = arena_copy(&arena, SLICE_LITERAL("abc"));
    assert_int_equal(copy.size, 3);
    assert_string_equal((const char *)copy.data, "abc");
    assert_null(arena_copy(&arena, SLICE_NULL).data);
    assert_non_null(arena_copy(&arena, SLICE_LITERAL("")).data);
    static const uint8_t big[5000];
    assert_null(arena_copy(&arena, slice_make(big, sizeof(big))).data);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_aligned_and_apart),
        cmocka_unit_test(test_big_block_leaves_the_current_chunk_in_use),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_reset_keeps_one_small_chunk),
        cmocka_unit_test(test_array),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

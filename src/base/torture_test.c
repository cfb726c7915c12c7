// Torture: the n-th allocation fails, for every n, and whatever asked for it goes on.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/text.h"

/* Counts down to the allocation that fails; 0: none does. The linker sends the allocations of this
 * program through the functions below (see CMakeLists.txt). */
static unsigned countdown;

static bool allocation_fails(void)
{
    return countdown != 0 && --countdown == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(old, size);
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return allocation_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return allocation_fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

/* Runs it with the first, second, third ... allocation failing, until none was reached. */
static void torture(bool (*run)(void))
{
    for (unsigned n = 1;; n++) {
        assert_true(n < 1000);
        countdown = n;
        bool succeeded = run();
        bool reached = countdown == 0;
        countdown = 0;
        assert_int_equal(succeeded, !reached);
        if (!reached)
            return;
    }
}

static bool use_arena(void)
{
    struct arena arena;
    arena_init(&arena, 0);
    bool ok = true;
    for (size_t i = 0; i < 100; i++) {
        uint8_t *data = arena_alloc(&arena, i % 10 == 0 ? 50000 : 1000);
        if (data)
            data[999] = 1;
        ok = ok && data;
    }
    arena_deinit(&arena);
    assert_int_equal(arena.size_total, 0);
    return ok;
}

static bool use_map(void)
{
    struct map map;
    map_init(&map, 1);
    bool ok = true;
    static uint64_t values[200];
    for (uint64_t i = 0; i < COUNT_OF(values); i++) {
        void *old = &map;
        bool done = map_put_u64(&map, i, &values[i], &old);
        assert_ptr_equal(old, done ? NULL : &map);
        assert_ptr_equal(map_get_u64(&map, i), done ? &values[i] : NULL);
        ok = ok && done;
    }
    assert_true(map.count == COUNT_OF(values) || !ok);
    map_deinit(&map);
    return ok;
}

/* An addition is there as a whole or not at all. */
static bool use_text(void)
{
    struct text text;
    text_init(&text);
    for (int i = 0; i < 100 && !text.failed; i++) {
        size_t size = text.size;
        if (i % 3 == 0)
            text_add_json(&text, SLICE_LITERAL("some\nlonger\twords\x01 in\xff here"));
        else if (i % 3 == 1)
            text_add_format(&text, "%d and more of it, %s", i, "to cross the end of the room");
        else
            text_add_text(&text, "plain");
        assert_true(text.failed ? text.size == size : text.size > size);
        assert_true(!text.data || text.data[text.size] == 0);
    }
    bool ok = !text.failed;
    text_deinit(&text);
    return ok;
}

static bool use_ring(void)
{
    static struct ring ring;
    if (!ring_init(&ring, 8))
        return false;
    ring_deinit(&ring);
    return true;
}

static bool use_plain_buffer(void)
{
    struct buf *buf = buf_new(5000);
    bool ok = buf != NULL;
    buf_unref(buf);
    return ok;
}

static bool use_pool(void)
{
    struct budget budget;
    budget_init(&budget, 100 << 20);
    struct buf_pool *pool = buf_pool_new(&budget, 1 << 20);
    if (!pool)
        return false;
    bool ok = true;
    struct buf *bufs[60] = {0};
    for (size_t i = 0; i < COUNT_OF(bufs); i++) {
        bufs[i] = buf_pool_get(pool, i % 4 == 0 ? 200000 : 60000);
        if (bufs[i])
            bufs[i]->data[0] = 1;
        ok = ok && bufs[i];
    }
    for (size_t i = 0; i < COUNT_OF(bufs); i++)
        buf_unref(bufs[i]);
    buf_pool_free(pool);
    assert_int_equal(budget_used(&budget), 0);
    return ok;
}

static void test_arena(void **state)
{
    torture(use_arena);
}

static void test_map(void **state)
{
    torture(use_map);
}

static void test_text(void **state)
{
    torture(use_text);
}

static void test_ring_and_buffers(void **state)
{
    torture(use_ring);
    torture(use_plain_buffer);
    torture(use_pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_ring_and_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

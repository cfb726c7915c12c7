// Tests of the hash maps against a plain array.
// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEY_COUNT 700

struct item {
    uint64_t number;
    char key[24];
    struct slice name;
    bool present;
    bool seen;
};

/* The model: item i is in the map or it is not. */
struct model {
    struct map map;
    struct item items[KEY_COUNT];
    size_t count;
    bool numbers;
    uint64_t random;
};

static uint64_t draw(struct model *model, uint64_t bound)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 33) % bound;
}

static struct model *model_new(bool numbers)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    model->numbers = numbers;
    model->random = 42;
    map_init(&model->map, 7);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        struct item *item = &model->items[i];
        item->number = i * 4096;
        int size = snprintf(item->key, sizeof(item->key), "%.*s%zu", (int)(i % 12), "------------",
                            i / 12);
        item->name = slice_make(item->key, (size_t)size);
    }
    return model;
}

static void model_free(struct model *model)
{
    map_deinit(&model->map);
    free(model);
}

static void model_put(struct model *model, struct item *item)
{
    void *old = &old;
    bool done = model->numbers ? map_put_u64(&model->map, item->number, item, &old)
                               : map_put(&model->map, item->name, item, &old);
    assert_true(done);
    assert_ptr_equal(old, item->present ? item : NULL);
    model->count += !item->present;
    item->present = true;
}

static void model_remove(struct model *model, struct item *item)
{
    void *old = model->numbers ? map_remove_u64(&model->map, item->number)
                               : map_remove(&model->map, item->name);
    assert_ptr_equal(old, item->present ? item : NULL);
    model->count -= item->present;
    item->present = false;
}

static void model_get(struct model *model, struct item *item)
{
    void *found =
        model->numbers ? map_get_u64(&model->map, item->number) : map_get(&model->map, item->name);
    assert_ptr_equal(found, item->present ? item : NULL);
}

/* Walks the map, removing every value for which draw says so: each is seen exactly once. */
static void model_walk(struct model *model, uint64_t remove_one_in)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        model->items[i].seen = false;
    size_t count = model->count;
    size_t seen = 0;
    size_t position = 0;
    for (struct item *item; (item = map_next(&model->map, &position)) != NULL; seen++) {
        assert_true(item->present);
        assert_false(item->seen);
        item->seen = true;
        if (remove_one_in != 0 && draw(model, remove_one_in) == 0)
            model_remove(model, item);
    }
    assert_int_equal(seen, count);
}

static void check_random_operations(bool numbers)
{
    struct model *model = model_new(numbers);
    for (int step = 0; step < 60000; step++) {
        /* the share of removals swings, so that the map grows and shrinks */
        uint64_t share = (uint64_t)(step / 6000) % 2 ? 6 : 3;
        struct item *item = &model->items[draw(model, KEY_COUNT)];
        uint64_t choice = draw(model, 10);
        if (choice < share)
            model_remove(model, item);
        else if (choice < 9)
            model_put(model, item);
        else
            model_get(model, item);
        assert_int_equal(model->map.count, model->count);
        assert_true(model->map.used >= model->map.count);
        if (step % 1000 == 999)
            model_walk(model, step % 3000 == 2999 ? 2 : 0);
    }
    for (size_t i = 0; i < KEY_COUNT; i++)
        model_get(model, &model->items[i]);
    model_walk(model, 1);
    assert_int_equal(model->map.count, 0);
    assert_int_equal(model->map.used, 0); /* the last tombstone goes with the last value */
    model_free(model);
}

static void test_bytes_against_the_model(void **state)
{
    check_random_operations(false);
}

static void test_numbers_against_the_model(void **state)
{
    check_random_operations(true);
}

static void test_empty_map(void **state)
{
    struct map map;
    map_init(&map, 1);
    size_t position = 0;
    assert_null(map_next(&map, &position));
    assert_null(map_get(&map, SLICE_LITERAL("a")));
    assert_null(map_remove_u64(&map, 1));
    map_deinit(&map);
}

static void test_replacing_takes_the_new_key(void **state)
{
    struct map map;
    map_init(&map, 1);
    char old_key[] = "same";
    char new_key[] = "same";
    int a, b;
    void *old = NULL;
    assert_true(map_put(&map, slice_text(old_key), &a, &old));
    assert_null(old);
    assert_true(map_put(&map, slice_text(new_key), &b, &old));
    assert_ptr_equal(old, &a);
    memset(old_key, 'x', 4); /* the old owner may free it now */
    assert_ptr_equal(map_get(&map, SLICE_LITERAL("same")), &b);
    assert_true(map_put(&map, SLICE_LITERAL(""), &a, NULL));
    assert_ptr_equal(map_get(&map, SLICE_LITERAL("")), &a);
    map_deinit(&map);
}

/* A queue's life: constant size, for ever new keys. Tombstones must neither pile up nor grow it. */
static void test_turnover_does_not_grow_it(void **state)
{
    struct map map;
    map_init(&map, 3);
    static char value;
    for (uint64_t i = 0; i < 100000; i++) {
        assert_true(map_put_u64(&map, i, &value, NULL));
        if (i >= 20)
            assert_ptr_equal(map_remove_u64(&map, i - 20), &value);
    }
    assert_int_equal(map.count, 20);
    assert_true(map.capacity <= 64);
    map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_against_the_model),
        cmocka_unit_test(test_numbers_against_the_model),
        cmocka_unit_test(test_empty_map),
        cmocka_unit_test(test_replacing_takes_the_new_key),
        cmocka_unit_test(test_turnover_does_not_grow_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

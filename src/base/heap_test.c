// Tests of the pairing heap against a plain array.
// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NODE_COUNT 300

struct model {
    struct heap heap;
    struct heap_node nodes[NODE_COUNT];
    uint64_t random;
};

static uint64_t draw(struct model *model, uint64_t bound)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 33) % bound;
}

static void check_first(struct model *model)
{
    size_t count = 0;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < NODE_COUNT; i++) {
        if (!model->nodes[i].linked)
            continue;
        count++;
        least = MIN(least, model->nodes[i].key);
    }
    assert_int_equal(model->heap.count, count);
    struct heap_node *first = heap_first(&model->heap);
    if (count == 0) {
        assert_null(first);
        return;
    }
    assert_true(first->linked);
    assert_int_equal(first->key, least);
}

static void test_against_the_model(void **state)
{
    struct model model = {.random = 1};
    heap_init(&model.heap);
    for (size_t i = 0; i < NODE_COUNT; i++)
        heap_node_init(&model.nodes[i]);
    for (int step = 0; step < 40000; step++) {
        struct heap_node *node = &model.nodes[draw(&model, NODE_COUNT)];
        uint64_t choice = draw(&model, 10);
        if (choice < 2 && heap_first(&model.heap))
            heap_remove(&model.heap, heap_first(&model.heap));
        else if (choice < 5)
            heap_remove(&model.heap, node);
        else if (!node->linked)
            heap_insert(&model.heap, node, draw(&model, 1000));
        check_first(&model);
    }
}

static void test_comes_out_in_order(void **state)
{
    static struct heap_node nodes[1 << 16];
    struct heap heap;
    heap_init(&heap);
    for (size_t i = 0; i < COUNT_OF(nodes); i++)
        heap_insert(&heap, &nodes[i], (i * 40503) & 0xffff);
    for (uint64_t i = 0; i < COUNT_OF(nodes); i++) {
        struct heap_node *first = heap_first(&heap);
        assert_int_equal(first->key, i);
        heap_remove(&heap, first);
    }
    assert_null(heap_first(&heap));
    assert_int_equal(heap.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_comes_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

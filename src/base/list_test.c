// Tests of the intrusive list.
// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct item {
    int number;
    struct list node;
};

static void check_order(struct list *head, const int *numbers, size_t count)
{
    size_t i = 0;
    list_for_each (node, head) {
        assert_true(i < count);
        assert_int_equal(LIST_ENTRY(node, struct item, node)->number, numbers[i]);
        assert_ptr_equal(node->next->prev, node);
        i++;
    }
    assert_int_equal(i, count);
}

static void test_push_and_remove(void **state)
{
    struct list head;
    struct item items[4];
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_pop_front(&head));
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_init(&items[i].node);
        if (i < 3)
            list_push_back(&head, &items[i].node);
    }
    list_push_front(&head, &items[3].node);
    check_order(&head, (int[]){3, 0, 1, 2}, 4);
    list_remove(&items[0].node);
    list_remove(&items[0].node);
    check_order(&head, (int[]){3, 1, 2}, 3);
    assert_ptr_equal(list_pop_front(&head), &items[3].node);
    list_insert_before(&items[2].node, &items[0].node);
    check_order(&head, (int[]){1, 0, 2}, 3);
    list_for_each_safe (node, following, &head)
        list_remove(node);
    assert_true(list_empty(&head));
}

static void test_splice(void **state)
{
    struct list a, b;
    struct item items[4];
    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_push_back(i < 2 ? &a : &b, &items[i].node);
    }
    list_splice_back(&a, &b);
    check_order(&a, (int[]){0, 1, 2, 3}, 4);
    assert_true(list_empty(&b));
    list_splice_back(&a, &b);
    list_splice_back(&b, &a);
    check_order(&b, (int[]){0, 1, 2, 3}, 4);
    assert_true(list_empty(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_and_remove),
        cmocka_unit_test(test_splice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

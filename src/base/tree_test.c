// Tests of the AVL tree: against a plain array, and its balance.
// SPDX-License-Identifier: Apache-2.0
#include "base/tree.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KEY_COUNT 500

struct item {
    struct tree_node node;
    int key;
    bool present;
};

struct model {
    struct tree tree;
    struct item items[KEY_COUNT];
    uint64_t random;
};

static int compare(const struct tree_node *a, const struct tree_node *b)
{
    int x = CONTAINER_OF(a, const struct item, node)->key;
    int y = CONTAINER_OF(b, const struct item, node)->key;
    return (x > y) - (x < y);
}

static uint64_t draw(struct model *model, uint64_t bound)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 33) % bound;
}

/* Height; checks parents, balances and their bounds on the way. */
static int check_below(const struct tree_node *node, const struct tree_node *parent)
{
    if (!node)
        return 0;
    assert_ptr_equal(node->parent, parent);
    int left = check_below(node->left, node);
    int right = check_below(node->right, node);
    assert_int_equal(node->balance, right - left);
    assert_in_range(node->balance + 1, 0, 2);
    return MAX(left, right) + 1;
}

static struct tree_node *model_at_least(struct model *model, int key)
{
    for (; key < KEY_COUNT; key++) {
        if (key >= 0 && model->items[key].present)
            return &model->items[key].node;
    }
    return NULL;
}

static struct tree_node *model_at_most(struct model *model, int key)
{
    for (; key >= 0; key--) {
        if (key < KEY_COUNT && model->items[key].present)
            return &model->items[key].node;
    }
    return NULL;
}

static void check_all(struct model *model)
{
    check_below(model->tree.root, NULL);
    size_t count = 0;
    struct tree_node *at = tree_first(&model->tree);
    assert_ptr_equal(tree_last(&model->tree), model_at_most(model, KEY_COUNT));
    for (int key = -1; key <= KEY_COUNT; key++) {
        struct item wanted = {.key = key};
        struct tree_node *above = model_at_least(model, key);
        struct tree_node *below = model_at_most(model, key);
        assert_ptr_equal(tree_at_least(&model->tree, &wanted.node), above);
        assert_ptr_equal(tree_at_most(&model->tree, &wanted.node), below);
        assert_ptr_equal(tree_find(&model->tree, &wanted.node), above == below ? above : NULL);
        if (!above || above != below)
            continue;
        assert_ptr_equal(at, above);
        assert_ptr_equal(tree_next(at), model_at_least(model, key + 1));
        assert_ptr_equal(tree_prev(at), model_at_most(model, key - 1));
        at = tree_next(at);
        count++;
    }
    assert_null(at);
    assert_int_equal(model->tree.count, count);
}

static void test_against_the_model(void **state)
{
    static struct model model = {.random = 9};
    tree_init(&model.tree, compare);
    check_all(&model);
    for (int i = 0; i < KEY_COUNT; i++)
        model.items[i].key = i;
    for (int step = 0; step < 30000; step++) {
        struct item *item = &model.items[draw(&model, KEY_COUNT)];
        bool removes = draw(&model, 10) < ((step / 5000) % 2 ? 6 : 3);
        if (!removes) {
            struct item twin = {.key = item->key};
            struct item *adding = item->present ? &twin : item;
            struct tree_node *old = tree_insert(&model.tree, &adding->node);
            assert_ptr_equal(old, item->present ? &item->node : NULL);
            item->present = true;
        } else if (item->present) {
            tree_remove(&model.tree, &item->node);
            item->present = false;
        }
        if (step % 50 == 0)
            check_all(&model);
        else
            check_below(model.tree.root, NULL);
    }
}

static void test_rising_keys_stay_balanced(void **state)
{
    static struct item items[1 << 14];
    struct tree tree;
    tree_init(&tree, compare);
    for (int i = 0; i < (int)COUNT_OF(items); i++) {
        items[i].key = i;
        assert_null(tree_insert(&tree, &items[i].node));
    }
    assert_in_range(check_below(tree.root, NULL), 14, 20);
    for (int i = 0; i < (int)COUNT_OF(items) - 100; i++)
        tree_remove(&tree, tree_first(&tree));
    assert_in_range(check_below(tree.root, NULL), 7, 9);
    assert_int_equal(tree.count, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_rising_keys_stay_balanced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

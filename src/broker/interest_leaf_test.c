// Tests of the trie's leaves: equal hashes, wildcards in labels, groups that join, long filters.
// SPDX-License-Identifier: Apache-2.0
#include "broker/interest_fixture.h"
#include "broker/interest_state.h"

/* Under this seed the tokens "a" and "abc" have the same hash below the root. */
#define EQUAL_HASH_SEED 20840229

static struct interest *new_equal(void)
{
    struct interest_options options = {.seed = {EQUAL_HASH_SEED, 0}};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    assert_int_equal(
        broker_interest_trie_hash_below(interest, interest->root, SLICE_LITERAL("a.x")),
        broker_interest_trie_hash_below(interest, interest->root, SLICE_LITERAL("abc.x")));
    return interest;
}

static void add(struct interest *interest, struct interest_sub *sub)
{
    assert_int_equal(broker_interest_add(interest, sub), ERR_OK);
}

static void announce(struct interest *interest, const char *subject, uint32_t count)
{
    assert_int_equal(
        broker_interest_remote_set(interest, 2, slice_text(subject), SLICE_NULL, count), ERR_OK);
}

/* The only one that gets the subject; NULL: nobody. */
static const struct interest_sub *taker(struct interest *interest, const char *subject)
{
    const struct interest_match *match = match_of(interest, subject);
    assert_in_range(match->plain_count, 0, 1);
    return match->plain_count > 0 ? match->plain[0] : NULL;
}

/* A leaf is not taken for that of a token which is the beginning of its own and hashes alike. */
static void test_equal_hashes(void **state)
{
    struct interest *interest = new_equal();
    struct interest_sub longer = SUB("abc.x", "");
    struct interest_sub shorter = SUB("a.y", "");
    add(interest, &longer);
    assert_null(taker(interest, "a.x"));
    assert_false(broker_interest_wants(interest, SLICE_LITERAL("a.x")));
    add(interest, &shorter);
    assert_int_equal(nodes_of(interest), 2);
    assert_ptr_equal(taker(interest, "abc.x"), &longer);
    assert_ptr_equal(taker(interest, "a.y"), &shorter);
    assert_null(taker(interest, "a.x"));
    assert_null(taker(interest, "abc.y"));
    broker_interest_remove(interest, &longer);
    assert_ptr_equal(taker(interest, "a.y"), &shorter);
    add(interest, &longer);
    assert_ptr_equal(taker(interest, "abc.x"), &longer);
    broker_interest_remove(interest, &shorter);
    broker_interest_remove(interest, &longer);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* The same of what other cores announce, and of nodes. */
static void test_equal_hashes_of_others(void **state)
{
    struct interest *interest = new_equal();
    struct interest_sub first = SUB("a.1", "");
    struct interest_sub second = SUB("abc.1", "");
    announce(interest, "abc.x", 1);
    announce(interest, "a.y", 1);
    assert_int_equal(nodes_of(interest), 2);
    assert_int_equal(match_of(interest, "a.y")->core_count, 1);
    assert_int_equal(match_of(interest, "abc.y")->core_count, 0);
    add(interest, &first);
    add(interest, &second);
    assert_int_equal(nodes_of(interest), 6);
    assert_ptr_equal(taker(interest, "a.1"), &first);
    assert_ptr_equal(taker(interest, "abc.1"), &second);
    assert_int_equal(match_of(interest, "abc.x")->core_count, 1);
    assert_int_equal(match_of(interest, "a.x")->core_count, 0);
    announce(interest, "a.y", 0);
    announce(interest, "abc.x", 0);
    assert_ptr_equal(taker(interest, "a.1"), &first);
    assert_ptr_equal(taker(interest, "abc.1"), &second);
    broker_interest_remove(interest, &first);
    broker_interest_remove(interest, &second);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* Wildcards inside and at the end of a label, and what begins like it. */
static void test_wildcards_in_labels(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub middle = SUB("m.*.c.*", "");
    struct interest_sub tail = SUB("t.b.>", "");
    struct interest_sub star = SUB("*.1.*.end", "");
    add(interest, &middle);
    add(interest, &tail);
    add(interest, &star);
    assert_int_equal(nodes_of(interest), 3);
    assert_ptr_equal(taker(interest, "m.b.c.d"), &middle);
    assert_ptr_equal(taker(interest, "m.*.c.>"), &middle);
    assert_null(taker(interest, "m.b.c"));
    assert_null(taker(interest, "m.b.c.d.e"));
    assert_null(taker(interest, "m..c.d"));
    assert_null(taker(interest, "m.b.x.d"));
    assert_ptr_equal(taker(interest, "t.b.c"), &tail);
    assert_ptr_equal(taker(interest, "t.b.c.d"), &tail);
    assert_ptr_equal(taker(interest, "t.b.>"), &tail);
    assert_null(taker(interest, "t.b"));
    assert_null(taker(interest, "t.b."));
    assert_null(taker(interest, "t.bc"));
    assert_ptr_equal(taker(interest, "m.1.b.end"), &star);
    assert_int_equal(match_of(interest, "m.1.c.end")->plain_count, 2);
    broker_interest_remove(interest, &middle);
    broker_interest_remove(interest, &tail);
    broker_interest_remove(interest, &star);
    broker_interest_free(interest);
}

/* A group that joins makes a node of the leaf; when it has left the leaf is back. */
static void test_group_joins(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub leaf = SUB("a.b.c", "");
    struct interest_sub member = SUB("a.b.c", "q");
    const struct slice queue = SLICE_LITERAL("q");
    add(interest, &leaf);
    assert_int_equal(nodes_of(interest), 1);
    add(interest, &member);
    assert_int_equal(nodes_of(interest), 4);
    const struct interest_match *match = match_of(interest, "a.b.c");
    assert_ptr_equal(match->plain[0], &leaf);
    assert_ptr_equal(match->groups[0].members[0], &member);
    broker_interest_remove(interest, &member);
    assert_int_equal(nodes_of(interest), 1);
    assert_int_equal(match_of(interest, "a.b.c")->group_count, 0);
    assert_int_equal(broker_interest_remote_set(interest, 1, SLICE_LITERAL("a.b.c"), queue, 2),
                     ERR_OK);
    assert_int_equal(match_of(interest, "a.b.c")->groups[0].remote_members, 2);
    assert_ptr_equal(taker(interest, "a.b.c"), &leaf);
    broker_interest_remove(interest, &leaf);
    assert_int_equal(nodes_of(interest), 4);
    assert_int_equal(broker_interest_remote_set(interest, 1, SLICE_LITERAL("a.b.c"), queue, 0),
                     ERR_OK);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* A filter of that size, and one that goes the same way but for its last byte. */
struct pair {
    char filter[INTEREST_LEAF_SIZE_MAX + 8];
    char beside[INTEREST_LEAF_SIZE_MAX + 8];
};

static void make_pair(struct pair *pair, size_t size)
{
    for (size_t i = 0; i < size; i++)
        pair->filter[i] = i % 2 && i + 1 < size ? '.' : 'x';
    memcpy(pair->beside, pair->filter, size);
    pair->filter[size] = pair->beside[size] = '\0';
    pair->beside[size - 1] = 'y';
}

static size_t depth_of(const char *filter)
{
    size_t depth = 1;
    for (; *filter; filter++)
        depth += *filter == '.';
    return depth;
}

/* The longest leaf splits and comes back whole; what is longer is never one. */
static void test_longest_leaf(void **state)
{
    struct pair pair;
    for (size_t size = INTEREST_LEAF_SIZE_MAX - 2; size <= INTEREST_LEAF_SIZE_MAX + 2; size++) {
        struct interest *interest = new_interest();
        struct interest_sub subs[2];
        struct interest_sub same;
        make_pair(&pair, size);
        size_t depth = depth_of(pair.filter);
        size_t alone = size <= INTEREST_LEAF_SIZE_MAX ? 1 : depth;
        broker_interest_set(&subs[0], slice_text(pair.filter), 0);
        broker_interest_set(&subs[1], slice_text(pair.beside), 0);
        broker_interest_set(&same, slice_text(pair.filter), 0);
        for (int round = 0; round < 2; round++) {
            add(interest, &subs[0]);
            assert_int_equal(nodes_of(interest), alone);
            add(interest, &subs[1]);
            assert_int_equal(nodes_of(interest), depth + 1);
            assert_ptr_equal(taker(interest, pair.filter), &subs[0]);
            assert_ptr_equal(taker(interest, pair.beside), &subs[1]);
            broker_interest_remove(interest, &subs[round]);
            assert_int_equal(nodes_of(interest), alone);
            broker_interest_remove(interest, &subs[1 - round]);
            assert_int_equal(nodes_of(interest), 0);
            add(interest, &subs[0]);
            add(interest, &same);
            assert_int_equal(nodes_of(interest), depth);
            broker_interest_remove(interest, &same);
            assert_int_equal(nodes_of(interest), alone);
            assert_ptr_equal(taker(interest, pair.filter), &subs[0]);
            broker_interest_remove(interest, &subs[0]);
            assert_int_equal(nodes_of(interest), 0);
        }
        broker_interest_free(interest);
    }
}

static void test_longest_leaf_of_others(void **state)
{
    struct pair pair;
    for (size_t size = INTEREST_LEAF_SIZE_MAX - 2; size <= INTEREST_LEAF_SIZE_MAX + 2; size++) {
        struct interest *interest = new_interest();
        make_pair(&pair, size);
        size_t depth = depth_of(pair.filter);
        size_t alone = size <= INTEREST_LEAF_SIZE_MAX ? 1 : depth;
        struct slice filter = slice_text(pair.filter);
        announce(interest, pair.filter, 1);
        assert_int_equal(nodes_of(interest), alone);
        announce(interest, pair.beside, 1);
        assert_int_equal(nodes_of(interest), depth + 1);
        announce(interest, pair.beside, 0);
        assert_int_equal(nodes_of(interest), alone);
        assert_int_equal(match_of(interest, pair.beside)->core_count, 0);
        assert_int_equal(broker_interest_remote_set(interest, 1, filter, SLICE_NULL, 1), ERR_OK);
        assert_int_equal(nodes_of(interest), depth);
        assert_int_equal(match_of(interest, pair.filter)->core_count, 2);
        announce(interest, pair.filter, 0);
        assert_int_equal(nodes_of(interest), alone);
        assert_int_equal(match_of(interest, pair.filter)->core_count, 1);
        assert_int_equal(broker_interest_remote_set(interest, 1, filter, SLICE_NULL, 0), ERR_OK);
        assert_int_equal(nodes_of(interest), 0);
        broker_interest_free(interest);
    }
}

/* A count of more than one is no leaf's, and stays what it is when the others have left. */
static void test_counts_are_kept(void **state)
{
    const struct slice filter = SLICE_LITERAL("a.b");
    struct interest *interest = new_interest();
    struct interest_sub sub = SUB("a.b", "");
    announce(interest, "a.b", 2);
    add(interest, &sub);
    broker_interest_remove(interest, &sub);
    assert_int_equal(broker_interest_remote_get(interest, 2, filter, SLICE_NULL), 2);
    assert_int_equal(nodes_of(interest), 2);
    announce(interest, "a.b", 1);
    assert_int_equal(broker_interest_remote_get(interest, 2, filter, SLICE_NULL), 1);
    assert_int_equal(nodes_of(interest), 1);
    announce(interest, "a.b", 0);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* What takes a leaf's place is under the same label, and in no match the old one is left. */
static void test_replace_leaf(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub beside = SUB("a.x", "");
    struct interest_sub first = SUB("a.b.c", "");
    struct interest_sub second = SUB("a.b.c", "");
    struct interest_sub deeper = SUB("a.b.d", "");
    add(interest, &beside);
    add(interest, &first);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(taker(interest, "a.b.c"), &first);
    broker_interest_replace(interest, &first, &second);
    assert_int_equal(nodes_of(interest), 3);
    assert_ptr_equal(taker(interest, "a.b.c"), &second);
    assert_ptr_equal(taker(interest, "a.x"), &beside);
    add(interest, &deeper);
    assert_ptr_equal(taker(interest, "a.b.c"), &second);
    assert_ptr_equal(taker(interest, "a.b.d"), &deeper);
    broker_interest_remove(interest, &beside);
    broker_interest_remove(interest, &second);
    broker_interest_remove(interest, &deeper);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* An announcement that finds too little memory leaves the leaf in its way whole. */
static void test_announced_without_memory(void **state)
{
    struct budget budget;
    budget_init(&budget, SIZE_MAX);
    struct interest_options options = {.seed = {3, 4}, .budget = &budget};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub sub = SUB("a.b.c.d.e", "");
    const struct slice far = SLICE_LITERAL("a.b.c.d.*");
    unsigned failures = 0;
    add(interest, &sub);
    size_t used = budget_used(&budget);
    for (size_t more = 0;; more += 8) {
        budget.size_max = used + more;
        enum err err = broker_interest_remote_set(interest, 1, far, SLICE_NULL, 1);
        budget.size_max = SIZE_MAX;
        if (!err)
            break;
        failures++;
        assert_int_equal(budget_used(&budget), used);
        assert_int_equal(nodes_of(interest), 1);
        assert_ptr_equal(taker(interest, "a.b.c.d.e"), &sub);
    }
    assert_true(failures > 5);
    assert_int_equal(nodes_of(interest), 6);
    broker_interest_remove(interest, &sub);
    assert_int_equal(nodes_of(interest), 1);
    broker_interest_free(interest);
    assert_int_equal(budget_used(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_equal_hashes_of_others),
        cmocka_unit_test(test_wildcards_in_labels),
        cmocka_unit_test(test_group_joins),
        cmocka_unit_test(test_longest_leaf),
        cmocka_unit_test(test_longest_leaf_of_others),
        cmocka_unit_test(test_counts_are_kept),
        cmocka_unit_test(test_replace_leaf),
        cmocka_unit_test(test_announced_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

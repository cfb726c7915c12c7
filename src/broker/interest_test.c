// Tests of the interest: groups over cores, held matches, the cache, memory.
// SPDX-License-Identifier: Apache-2.0
#include "broker/interest_fixture.h"

static void test_refuses(void **state)
{
    static const char *const WRONG[] = {"", ".", "a..b", "a.", ".a", "a.>.b", ">.a"};
    struct interest *interest = new_interest();
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        struct interest_sub sub;
        broker_interest_set(&sub, slice_text(WRONG[i]), 0);
        assert_int_equal(broker_interest_add(interest, &sub), ERR_INVALID);
        broker_interest_remove(interest, &sub);
        assert_int_equal(match_of(interest, WRONG[i])->plain_count, 0);
    }
    struct interest_sub all = SUB(">", "");
    assert_int_equal(broker_interest_add(interest, &all), ERR_OK);
    assert_int_equal(
        broker_interest_remote_set(interest, 1, SLICE_LITERAL("a"), slice_make("", 0), 1),
        ERR_INVALID);
    assert_int_equal(match_of(interest, "a..b")->plain_count, 0);
    assert_int_equal(match_of(interest, "")->plain_count, 0);
    assert_int_equal(match_of(interest, "a.*")->plain_count, 1);
    assert_int_equal(
        broker_interest_remote_set(interest, INTEREST_CORES_MAX, SLICE_LITERAL("a"), SLICE_NULL, 1),
        ERR_INVALID);
    broker_interest_remove(interest, &all);
    broker_interest_free(interest);
}

/* With memory for nothing, for a bit more, and so on: it goes in as a whole, or nothing changed. */
static void add_with_little(struct interest *interest, struct budget *budget,
                            struct interest_sub *sub)
{
    size_t used = budget_used(budget);
    uint64_t nodes = nodes_of(interest);
    unsigned failures = 0;
    for (size_t more = 0;; more += 8) {
        budget->size_max = used + more;
        enum err err = broker_interest_add(interest, sub);
        budget->size_max = SIZE_MAX;
        if (!err)
            break;
        failures++;
        assert_int_equal(err, ERR_NO_MEMORY);
        assert_false(broker_interest_is_added(sub));
        assert_int_equal(budget_used(budget), used);
        assert_int_equal(nodes_of(interest), nodes);
    }
    assert_true(failures > 5);
    broker_interest_remove(interest, sub);
    assert_int_equal(budget_used(budget), used);
    assert_int_equal(nodes_of(interest), nodes);
}

static void test_no_memory(void **state)
{
    struct budget budget;
    budget_init(&budget, SIZE_MAX);
    struct interest_options options = {.seed = {3, 4}, .budget = &budget};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub alone = SUB("a.b.c.d.e", "");
    struct interest_sub same = SUB("a.b.c.d.e", "");
    struct interest_sub beside = SUB("a.b.c.*", "");
    struct interest_sub above = SUB("a.b", "");
    struct interest_sub group = SUB("x.y", "q");
    assert_int_equal(broker_interest_add(interest, &alone), ERR_OK);
    add_with_little(interest, &budget, &same);
    add_with_little(interest, &budget, &beside);
    add_with_little(interest, &budget, &above);
    add_with_little(interest, &budget, &group);
    assert_int_equal(match_of(interest, "a.b.c.d.e")->plain_count, 1);
    size_t used = budget_used(&budget);
    budget.size_max = used;
    assert_int_equal(broker_interest_remote_set(interest, 1, SLICE_LITERAL("m.n"), SLICE_NULL, 1),
                     ERR_NO_MEMORY);
    assert_int_equal(budget_used(&budget), used);
    broker_interest_remove(interest, &alone);
    broker_interest_free(interest);
    assert_int_equal(budget_used(&budget), 0);
}

/* What another core announced splits, too; without memory to become a leaf again it stays split,
 * and matches all the same. */
static void test_far_without_memory(void **state)
{
    struct budget budget;
    budget_init(&budget, SIZE_MAX);
    struct interest_options options = {.seed = {3, 4}, .budget = &budget};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub sub = SUB("a.b.x", "");
    struct slice far = SLICE_LITERAL("a.b.c.d");
    assert_int_equal(broker_interest_remote_set(interest, 2, far, SLICE_NULL, 1), ERR_OK);
    assert_int_equal(nodes_of(interest), 1);
    for (size_t more = 0;; more += 8) {
        budget.size_max = budget_used(&budget) + more;
        enum err err = broker_interest_add(interest, &sub);
        assert_int_equal(match_of(interest, "a.b.c.d")->core_count, 1);
        assert_int_equal(match_of(interest, "a.b.x")->plain_count, !err);
        assert_int_equal(broker_interest_remote_get(interest, 2, far, SLICE_NULL), 1);
        if (!err)
            break;
    }
    assert_int_equal(nodes_of(interest), 4);
    budget.size_max = 0;
    broker_interest_remove(interest, &sub);
    assert_int_equal(nodes_of(interest), 3);
    assert_int_equal(match_of(interest, "a.b.c.d")->core_count, 1);
    assert_int_equal(broker_interest_remote_set(interest, 2, far, SLICE_NULL, 1), ERR_OK);
    assert_int_equal(broker_interest_remote_set(interest, 2, far, SLICE_NULL, 0), ERR_OK);
    assert_int_equal(nodes_of(interest), 0);
    broker_interest_free(interest);
}

/* Removing while a match is held leaves holes, and does not free what the holder looks at. */
static void test_held(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub plain = SUB("x.*", "");
    struct interest_sub member = SUB("x.y", "workers");
    assert_int_equal(broker_interest_add(interest, &plain), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &member), ERR_OK);
    for (int round = 0; round < 4; round++) {
        const struct interest_match *match = match_of(interest, "x.y");
        broker_interest_hold(interest, match);
        broker_interest_hold(interest, match);
        broker_interest_release(interest, match);
        broker_interest_remove(interest, &plain);
        broker_interest_remove(interest, &member);
        assert_int_equal(match_of(interest, "x.y")->plain_count, 0);
        assert_int_equal(match_of(interest, "x.z")->plain_count, 0);
        assert_int_equal(match->plain_count, 1);
        assert_null(match->plain[0]);
        assert_null(match->groups[0].members[0]);
        assert_true(slice_equal_text(match->groups[0].name, "workers"));
        broker_interest_release(interest, match);
        assert_int_equal(broker_interest_add(interest, &plain), ERR_OK);
        assert_int_equal(broker_interest_add(interest, &member), ERR_OK);
    }
    broker_interest_remove(interest, &plain);
    broker_interest_remove(interest, &member);
    broker_interest_free(interest);
}

/* One subscription in the place of another: nobody is told, and a held match knows. */
static void test_replace(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub first = SUB("x.*", "q");
    struct interest_sub beside = first;
    struct interest_sub second = first;
    assert_int_equal(broker_interest_add(interest, &first), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &beside), ERR_OK);
    (void)match_of(interest, "x.y");
    const struct interest_match *match = match_of(interest, "x.y");
    broker_interest_hold(interest, match);
    broker_interest_replace(interest, &first, &second);
    for (int round = 0; round < 2; round++) {
        const struct interest_group *group = &match->groups[0];
        assert_int_equal(group->member_count, 2);
        assert_true((group->members[0] == &second && group->members[1] == &beside) ||
                    (group->members[0] == &beside && group->members[1] == &second));
        if (round == 0)
            broker_interest_release(interest, match);
        match = match_of(interest, "x.y");
    }
    broker_interest_remove(interest, &first); /* not added any more: harmless */
    broker_interest_remove(interest, &second);
    assert_int_equal(match_of(interest, "x.y")->groups[0].member_count, 1);
    broker_interest_remove(interest, &beside);
    assert_int_equal(match_of(interest, "x.y")->group_count, 0);
    broker_interest_free(interest);
}

static void test_pick_is_fair(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub members[2] = {SUB("a.b", "q"), SUB("a.*", "q")};
    assert_int_equal(broker_interest_add(interest, &members[0]), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &members[1]), ERR_OK);
    assert_int_equal(
        broker_interest_remote_set(interest, 5, SLICE_LITERAL("a.b"), SLICE_LITERAL("q"), 3),
        ERR_OK);
    assert_int_equal(
        broker_interest_remote_set(interest, 7, SLICE_LITERAL("a.>"), SLICE_LITERAL("q"), 5),
        ERR_OK);
    const struct interest_match *match = match_of(interest, "a.b");
    assert_int_equal(match->group_count, 1);
    assert_int_equal(match->core_count, 0);
    uint32_t local[2] = {0};
    uint32_t remote[8] = {0};
    uint64_t random = 1;
    for (size_t i = 0; i < 100000; i++) {
        struct interest_choice choice =
            broker_interest_pick(&match->groups[0], next_random(&random));
        if (choice.is_local)
            local[choice.index]++;
        else
            remote[choice.core]++;
        assert_in_range(broker_interest_pick_local(&match->groups[0], next_random(&random)), 0, 1);
    }
    assert_in_range(local[0], 9500, 10500);
    assert_in_range(local[1], 9500, 10500);
    assert_in_range(remote[5], 29000, 31000);
    assert_in_range(remote[7], 49000, 51000);
    broker_interest_remove(interest, &members[0]);
    broker_interest_remove(interest, &members[1]);
    broker_interest_free(interest);
}

struct log {
    char text[256];
    size_t size;
};

static void note(void *arg, struct slice subject, struct slice queue, uint32_t count)
{
    struct log *log = arg;
    log->size += (size_t)snprintf(log->text + log->size, sizeof(log->text) - log->size,
                                  "%.*s/%.*s=%u ", (int)subject.size, (const char *)subject.data,
                                  (int)queue.size, (const char *)queue.data, count);
}

static void test_announcements(void **state)
{
    struct log log = {0};
    struct interest_options options = {.announce = note, .arg = &log};
    struct interest *interest = broker_interest_new(&options);
    assert_non_null(interest);
    struct interest_sub subs[4] = {SUB("a", ""), SUB("a", ""), SUB("a", "q"), SUB("a", "q")};
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        assert_int_equal(broker_interest_add(interest, &subs[i]), ERR_OK);
    for (size_t i = 0; i < COUNT_OF(subs); i++)
        broker_interest_remove(interest, &subs[i]);
    assert_string_equal(log.text, "a/=1 a/q=1 a/q=2 a/=0 a/q=1 a/q=0 ");
    broker_interest_free(interest);
}

static uint64_t hits_of(const struct interest *interest)
{
    struct interest_stats stats;
    broker_interest_stats(interest, &stats);
    return stats.cache_hits;
}

/* What comes and goes elsewhere does not cost the entry; what touches the subject does. */
struct tapped {
    unsigned asked;
    const char *subject;
};

static void *tap(void *arg, struct slice subject)
{
    struct tapped *tapped = arg;
    tapped->asked++;
    return slice_equal_text(subject, tapped->subject) ? tapped : NULL;
}

static void test_tap_is_asked_once(void **state)
{
    struct tapped tapped = {0, "a.b"};
    struct interest_options options = {.seed = {1, 2}, .tap = tap, .arg = &tapped};
    struct interest *interest = broker_interest_new(&options);
    for (int i = 0; i < 10; i++) {
        assert_ptr_equal(match_of(interest, "a.b")->tap, &tapped);
        assert_null(match_of(interest, "a.c")->tap);
    }
    assert_int_equal(tapped.asked, 4); /* remembered from the second time on */
    tapped.subject = "a.c";
    broker_interest_tap_changed(interest);
    assert_null(match_of(interest, "a.b")->tap);
    assert_ptr_equal(match_of(interest, "a.c")->tap, &tapped);
    assert_null(match_of(interest, "a..c")->tap);
    broker_interest_free(interest);
}

static void test_cache_survives_churn(void **state)
{
    struct interest *interest = new_interest();
    struct interest_sub busy = SUB("orders.eu.*", "");
    struct interest_sub inbox = SUB("_INBOX.abc.*", "");
    struct interest_sub other = SUB("orders.us.1", "");
    struct interest_sub near = SUB("orders.eu.1", "");
    assert_int_equal(broker_interest_add(interest, &busy), ERR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 1);
    uint64_t before = hits_of(interest);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(broker_interest_add(interest, &inbox), ERR_OK);
        assert_int_equal(broker_interest_add(interest, &other), ERR_OK);
        assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 1);
        broker_interest_remove(interest, &inbox);
        broker_interest_remove(interest, &other);
    }
    assert_int_equal(hits_of(interest), before + 1000);
    assert_int_equal(broker_interest_add(interest, &near), ERR_OK);
    assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 2);
    broker_interest_remove(interest, &near);
    assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 1);
    broker_interest_remove(interest, &busy);
    assert_int_equal(match_of(interest, "orders.eu.1")->plain_count, 0);
    broker_interest_free(interest);
}

/* A subject as deep as a control line allows, with wildcards all along. */
static void test_deep(void **state)
{
    struct interest *interest = new_interest();
    char stars[4095];
    char letters[4095];
    for (size_t i = 0; i < sizeof(stars); i++) {
        stars[i] = i % 2 ? '.' : '*';
        letters[i] = i % 2 ? '.' : 'x';
    }
    struct interest_sub subs[2];
    broker_interest_set(&subs[0], slice_make(stars, sizeof(stars)), 0);
    broker_interest_set(&subs[1], slice_make(letters, sizeof(letters)), 0);
    assert_int_equal(broker_interest_add(interest, &subs[0]), ERR_OK);
    assert_int_equal(broker_interest_add(interest, &subs[1]), ERR_OK);
    const struct interest_match *match = NULL;
    assert_int_equal(broker_interest_match(interest, broker_interest_subject(&subs[1]), &match),
                     ERR_OK);
    assert_int_equal(match->plain_count, 2);
    broker_interest_remove(interest, &subs[0]);
    broker_interest_remove(interest, &subs[1]);
    broker_interest_free(interest);
}

#define MANY 100000

struct small_sub {
    struct interest_sub sub;
    char subject[24];
};

/* What the interest keeps of each subscription, and for each that another core announced. */
static void test_memory(void **state)
{
    static const char *const SHAPES[][2] = {{"s.", ""}, {"dev.", ".temp"}, {"dev.", ".*"}};
    struct small_sub *subs = calloc(MANY, sizeof(*subs));
    assert_non_null(subs);
    for (size_t shape = 0; shape < COUNT_OF(SHAPES); shape++) {
        struct interest *interest = new_interest();
        struct interest_stats before;
        struct interest_stats own;
        struct interest_stats far;
        char subject[24];
        broker_interest_stats(interest, &before);
        for (uint32_t i = 0; i < MANY; i++) {
            int size = snprintf(subs[i].subject, sizeof(subs[i].subject), "%s%u%s",
                                SHAPES[shape][0], i, SHAPES[shape][1]);
            broker_interest_set(&subs[i].sub, slice_make(subs[i].subject, (size_t)size), 0);
            assert_int_equal(broker_interest_add(interest, &subs[i].sub), ERR_OK);
        }
        broker_interest_stats(interest, &own);
        assert_in_range(own.size_bytes - before.size_bytes, 0, MANY * 16);
        for (uint32_t i = MANY; i < 2 * MANY; i++) {
            snprintf(subject, sizeof(subject), "%s%u%s", SHAPES[shape][0], i, SHAPES[shape][1]);
            assert_int_equal(
                broker_interest_remote_set(interest, 1, slice_text(subject), SLICE_NULL, 1),
                ERR_OK);
        }
        broker_interest_stats(interest, &far);
        assert_in_range(far.size_bytes - own.size_bytes, 0, MANY * 64);
        assert_int_equal(far.nodes, 2 * MANY + 1);
        for (uint32_t i = 0; i < MANY; i++)
            broker_interest_remove(interest, &subs[i].sub);
        broker_interest_free(interest);
    }
    free(subs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_far_without_memory),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_pick_is_fair),
        cmocka_unit_test(test_announcements),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_tap_is_asked_once),
        cmocka_unit_test(test_cache_survives_churn),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

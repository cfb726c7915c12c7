// Tests of quotas: which rules are taken, which one holds for whom, restarts, several cores.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "broker/broker_fixture.h"
#include "broker/quota_state.h"

#define NAMED(text) true, SLICE_LITERAL(text)
#define EVERY_OTHER true, SLICE_NULL
#define NOT_AT_ALL  false, SLICE_NULL

static struct broker_quota_entity user_client(bool has_user, struct slice user, bool has_client,
                                              struct slice client)
{
    return (struct broker_quota_entity){.has = {has_user, has_client, false},
                                        .names = {user, client, SLICE_NULL}};
}

static struct broker_quota_entity address(const char *text)
{
    return (struct broker_quota_entity){.has = {false, false, true},
                                        .names = {SLICE_NULL, SLICE_NULL, slice_text(text)}};
}

static void alter_fn(struct core *core, void *arg)
{
    broker_quota_alter(core, arg);
}

static enum err alter(struct fixture *f, unsigned core, struct broker_quota_entity entity,
                      struct broker_quota_op op)
{
    struct broker_quota_change change = {.entity = entity, .ops = &op, .op_count = 1};
    struct broker_quota_alter call = {.changes = &change, .change_count = 1};
    struct diag diag;
    assert_int_equal(broker_quota_check(&change, &diag), ERR_OK);
    return fixture_call(f, core, &call.call, alter_fn, &call);
}

static void set(struct fixture *f, struct broker_quota_entity entity, enum broker_quota_key key,
                double limit)
{
    struct broker_quota_op op = {.key = key, .limit = limit};
    assert_int_equal(alter(f, f->core_count - 1, entity, op), ERR_OK);
}

static void unset(struct fixture *f, struct broker_quota_entity entity, enum broker_quota_key key)
{
    struct broker_quota_op op = {.key = key, .remove = true};
    assert_int_equal(alter(f, 0, entity, op), ERR_OK);
}

/* What happens to a client on a core. */
struct use {
    struct broker_quota_client client;
    const char *user;
    const char *id;
    enum broker_quota_key key;
    uint64_t amount;
    bool is_try;
    uint64_t delay_ms;
    bool refused;
    double limit;
};

static void use_fn(struct core *core, void *arg)
{
    struct use *use = arg;
    broker_quota_client_set(core, &use->client, slice_text(use->user), slice_text(use->id));
    use->limit = use->client.shares[use->key].limit;
    if (use->is_try)
        use->delay_ms =
            broker_quota_client_try(core, &use->client, use->key, use->amount, &use->refused);
    else if (use->amount > 0)
        use->delay_ms = broker_quota_client_add(core, &use->client, use->key, use->amount);
}

static void leave_fn(struct core *core, void *arg)
{
    struct use *use = arg;
    broker_quota_client_deinit(core, &use->client);
}

/* The limit that holds. */
static double limit_of(struct fixture *f, const char *user, const char *id,
                       enum broker_quota_key key)
{
    struct use use = {.user = user, .id = id, .key = key};
    fixture_on(f, 0, use_fn, &use);
    fixture_on(f, 0, leave_fn, &use);
    return use.limit;
}

static void the_first_rule_that_says_something_holds(void **state)
{
    static const enum broker_quota_key key = BROKER_QUOTA_PRODUCE;
    struct fixture *f = fixture_new(2);
    struct broker_quota_entity order[] = {
        user_client(NOT_AT_ALL, EVERY_OTHER), user_client(NOT_AT_ALL, NAMED("c")),
        user_client(EVERY_OTHER, NOT_AT_ALL), user_client(EVERY_OTHER, EVERY_OTHER),
        user_client(EVERY_OTHER, NAMED("c")), user_client(NAMED("u"), NOT_AT_ALL),
        user_client(NAMED("u"), EVERY_OTHER), user_client(NAMED("u"), NAMED("c")),
    };
    assert_true(limit_of(f, "u", "c", key) == 0);
    for (unsigned i = 0; i < COUNT_OF(order); i++) {
        set(f, order[i], key, 100 + i);
        assert_true(limit_of(f, "u", "c", key) == 100 + i);
    }
    assert_true(limit_of(f, "u", "d", key) == 106);
    assert_true(limit_of(f, "v", "c", key) == 104);
    assert_true(limit_of(f, "v", "d", key) == 103);
    unset(f, order[7], key);
    assert_true(limit_of(f, "u", "c", key) == 106);
    /* A rule about something else does not stand in the way. */
    set(f, order[7], BROKER_QUOTA_FETCH, 5);
    assert_true(limit_of(f, "u", "c", key) == 106);
    assert_true(limit_of(f, "u", "c", BROKER_QUOTA_FETCH) == 5);
    fixture_free(f);
}

static void check(struct broker_quota_entity entity, enum broker_quota_key key, double limit,
                  enum err expected)
{
    struct broker_quota_op op = {.key = key, .limit = limit};
    struct broker_quota_change change = {.entity = entity, .ops = &op, .op_count = 1};
    struct diag diag = {""};
    assert_int_equal(broker_quota_check(&change, &diag), expected);
    assert_true((expected == ERR_OK) == (diag.text[0] == '\0'));
}

static void what_makes_no_sense_is_refused(void **state)
{
    static char longer[BROKER_QUOTA_NAME_SIZE_MAX + 2];
    struct broker_quota_entity user = user_client(NAMED("u"), NOT_AT_ALL);
    struct broker_quota_entity both = user;
    memset(longer, 'x', sizeof(longer) - 1);
    both.has[BROKER_QUOTA_ADDRESS] = true;
    check(user, BROKER_QUOTA_PRODUCE, 1, ERR_OK);
    check(user, BROKER_QUOTA_PRODUCE, 1.5, ERR_INVALID);
    check(user, BROKER_QUOTA_REQUEST, 1.5, ERR_OK);
    check(user, BROKER_QUOTA_PRODUCE, 0, ERR_INVALID);
    check(user, BROKER_QUOTA_PRODUCE, -1, ERR_INVALID);
    check(user, BROKER_QUOTA_PRODUCE, 1e30, ERR_INVALID);
    check(user, BROKER_QUOTA_REQUEST, 0.0 / 0.0, ERR_INVALID);
    check(user, BROKER_QUOTA_REQUEST, 1.0 / 0.0, ERR_INVALID);
    check(user, BROKER_QUOTA_CONNECT, 1, ERR_INVALID);
    check(both, BROKER_QUOTA_PRODUCE, 1, ERR_INVALID);
    check(user_client(NOT_AT_ALL, NOT_AT_ALL), BROKER_QUOTA_PRODUCE, 1, ERR_INVALID);
    check(user_client(NAMED(""), NOT_AT_ALL), BROKER_QUOTA_PRODUCE, 1, ERR_INVALID);
    check(user_client(true, slice_text(longer), NOT_AT_ALL), BROKER_QUOTA_PRODUCE, 1, ERR_INVALID);
    check(address("10.0.0.1"), BROKER_QUOTA_CONNECT, 1, ERR_OK);
    check(address("::1"), BROKER_QUOTA_CONNECT, 1, ERR_OK);
    check(address("10.0.0.1"), BROKER_QUOTA_PRODUCE, 1, ERR_INVALID);
    check(address("10.0.0.1"), BROKER_QUOTA_CONNECT, 3e9, ERR_INVALID);
    check(address("0:0::1"), BROKER_QUOTA_CONNECT, 1, ERR_INVALID);
    check(address("localhost"), BROKER_QUOTA_CONNECT, 1, ERR_INVALID);
}

struct count {
    size_t rules;
    bool is_set;
};

static void count_fn(struct core *core, void *arg)
{
    struct count *count = arg;
    size_t position = 0;
    while (broker_quota_next(core, &position))
        count->rules++;
    count->is_set = broker_quota_is_set(core, BROKER_QUOTA_FETCH);
}

static struct count count_on(struct fixture *f, unsigned core)
{
    struct count count = {0};
    fixture_on(f, core, count_fn, &count);
    return count;
}

static void rules_survive_a_restart(void **state)
{
    struct fixture *f = fixture_new(2);
    struct broker_quota_entity user = user_client(NAMED("u"), NOT_AT_ALL);
    set(f, user, BROKER_QUOTA_FETCH, 12345);
    set(f, user, BROKER_QUOTA_REQUEST, 0.25);
    set(f, user_client(EVERY_OTHER, NAMED("c")), BROKER_QUOTA_PRODUCE, 7);
    set(f, address("10.1.2.3"), BROKER_QUOTA_CONNECT, 9);
    unset(f, address("10.1.2.3"), BROKER_QUOTA_CONNECT);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned core = 0; core < 2; core++) {
            assert_int_equal(count_on(f, core).rules, 2);
            assert_true(count_on(f, core).is_set);
        }
        assert_true(limit_of(f, "u", "", BROKER_QUOTA_FETCH) == 12345);
        assert_true(limit_of(f, "u", "", BROKER_QUOTA_REQUEST) == 0.25);
        assert_true(limit_of(f, "v", "c", BROKER_QUOTA_PRODUCE) == 7);
        fixture_stop(f);
        fixture_start(f);
    }
    unset(f, user, BROKER_QUOTA_FETCH);
    unset(f, user, BROKER_QUOTA_REQUEST);
    unset(f, user_client(EVERY_OTHER, NAMED("c")), BROKER_QUOTA_PRODUCE);
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(count_on(f, 1).rules, 0);
    assert_false(count_on(f, 1).is_set);
    fixture_free(f);
}

/* More than go out together: all of them are durable before the answer; after an error no more. */
static void many_rules_are_set_at_once(void **state)
{
    enum { RULES = 300 };
    static char names[RULES][8];
    struct broker_quota_op op = {.key = BROKER_QUOTA_FETCH, .limit = 5};
    struct broker_quota_change changes[RULES];
    for (unsigned i = 0; i < RULES; i++) {
        snprintf(names[i], sizeof(names[i]), "c%u", i);
        changes[i] = (struct broker_quota_change){
            .entity = user_client(NOT_AT_ALL, true, slice_text(names[i])),
            .ops = &op,
            .op_count = 1};
    }
    struct fixture *f = fixture_new(2);
    struct broker_quota_alter call = {.changes = changes, .change_count = RULES};
    f->store.fact_err = ERR_IO;
    unsigned puts = f->store.fact_puts;
    assert_int_equal(fixture_call(f, 1, &call.call, alter_fn, &call), ERR_IO);
    assert_true(f->store.fact_puts - puts < RULES);
    assert_int_equal(count_on(f, 0).rules, 0);
    f->store.fact_err = ERR_OK;
    assert_int_equal(fixture_call(f, 1, &call.call, alter_fn, &call), ERR_OK);
    for (unsigned turn = 0; turn < 2; turn++) {
        assert_int_equal(count_on(f, turn).rules, RULES);
        fixture_stop(f);
        fixture_start(f);
    }
    assert_int_equal(count_on(f, 1).rules, RULES);
    fixture_free(f);
}

static void nothing_fn(struct core *core, void *arg)
{
}

static void all_connections_on_all_cores_share_a_limit(void **state)
{
    struct fixture *f = fixture_new(2);
    struct use a = {.user = "u", .id = "a", .key = BROKER_QUOTA_PRODUCE, .amount = 6000};
    struct use b = {.user = "u", .id = "b", .key = BROKER_QUOTA_PRODUCE, .amount = 6000};
    set(f, user_client(NAMED("u"), NOT_AT_ALL), BROKER_QUOTA_PRODUCE, 1000);
    fixture_on(f, 1, use_fn, &a);
    assert_int_equal(a.delay_ms, 0);
    fixture_on(f, 0, nothing_fn, NULL); /* core 1's question to core 0, and the answer */
    fixture_on(f, 1, nothing_fn, NULL);
    fixture_on(f, 0, use_fn, &b); /* 12000 where 10000 may be */
    assert_in_range(b.delay_ms, 500, 2500);
    struct use other = b;
    memset(&other.client, 0, sizeof(other.client));
    other.user = "v";
    other.delay_ms = 0;
    fixture_on(f, 0, use_fn, &other);
    assert_int_equal(other.delay_ms, 0);
    fixture_on(f, 1, leave_fn, &a);
    fixture_on(f, 0, leave_fn, &b);
    fixture_on(f, 0, leave_fn, &other);
    fixture_free(f);
}

static void what_will_not_be_sent_is_not_counted(void **state)
{
    struct fixture *f = fixture_new(1);
    struct use use = {
        .user = "u", .id = "c", .key = BROKER_QUOTA_FETCH, .amount = 50000, .is_try = true};
    set(f, user_client(NAMED("u"), NOT_AT_ALL), BROKER_QUOTA_FETCH, 1000);
    fixture_on(f, 0, use_fn, &use); /* five times too much, but it must come some day */
    assert_false(use.refused);
    assert_true(use.delay_ms > 10000);
    for (unsigned i = 0; i < 3; i++) {
        use.amount = 1000;
        fixture_on(f, 0, use_fn, &use);
        assert_true(use.refused);
        assert_true(use.delay_ms > 30000 && use.delay_ms < 52000);
    }
    fixture_on(f, 0, leave_fn, &use);
    fixture_free(f);
}

static void a_client_without_a_meter_goes_slowly(void **state)
{
    struct fixture *f = fixture_new(1);
    struct use use = {.user = "u", .id = "c", .key = BROKER_QUOTA_PRODUCE, .amount = 1};
    set(f, user_client(NAMED("u"), NOT_AT_ALL), BROKER_QUOTA_PRODUCE, 1000);
    size_t all = f->budget.size_max;
    f->budget.size_max = 0;
    fixture_on(f, 0, use_fn, &use);
    assert_int_equal(use.delay_ms, 1000);
    f->budget.size_max = all;
    fixture_on(f, 0, leave_fn, &use);
    fixture_free(f);
}

static void facts_are_these_bytes(void **state)
{
    static const uint8_t key[] = {'u', 'n', 0, 2, 'a', 'b', 'c', 'd'};
    static const uint8_t value[] = {1, 1, 2, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0};
    struct broker_quota_entity entity = user_client(NAMED("ab"), EVERY_OTHER);
    struct broker_quota_rule rule = {.set = 1u << BROKER_QUOTA_REQUEST};
    uint8_t bytes[QUOTA_KEY_SIZE_MAX];
    rule.limits[BROKER_QUOTA_REQUEST] = 0.5;
    assert_int_equal(broker_quota_facts_key(&entity, bytes), sizeof(key));
    assert_memory_equal(bytes, key, sizeof(key));
    assert_int_equal(broker_quota_facts_value(&rule, bytes), sizeof(value));
    assert_memory_equal(bytes, value, sizeof(value));
    for (size_t size = 0; size < sizeof(value); size++)
        assert_int_equal(broker_quota_facts_value_decode(slice_make(value, size), &rule),
                         ERR_CORRUPT);
    assert_int_equal(broker_quota_facts_value_decode(slice_make(value, sizeof(value)), &rule),
                     ERR_OK);
    for (size_t size = 0; size < sizeof(key); size++)
        if (size != 6) /* the user alone */
            assert_int_equal(broker_quota_facts_key_decode(slice_make(key, size), &entity),
                             ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_that_says_something_holds),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(rules_survive_a_restart),
        cmocka_unit_test(many_rules_are_set_at_once),
        cmocka_unit_test(all_connections_on_all_cores_share_a_limit),
        cmocka_unit_test(what_will_not_be_sent_is_not_counted),
        cmocka_unit_test(a_client_without_a_meter_goes_slowly),
        cmocka_unit_test(facts_are_these_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

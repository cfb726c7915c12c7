// Tests of nats.subjects: what it may be, that no two topics share a subject, and who is told.
// SPDX-License-Identifier: Apache-2.0
#include "broker/binding.h"
#include "broker/broker_fixture.h"

static enum err create(struct fixture *f, const char *name, const char *subjects)
{
    struct broker_setting_pair pair = {slice_text(BROKER_BINDING_NAME), slice_text(subjects)};
    struct broker_topic_create ask = {.name = slice_text(name),
                                      .partition_count = 1,
                                      .replication_factor = -1,
                                      .settings = &pair,
                                      .setting_count = 1};
    return fixture_call(f, f->core_count - 1, &ask.call, fixture_create_fn, &ask);
}

static enum err alter(struct fixture *f, const char *name, enum broker_setting_op op,
                      const char *subjects)
{
    const struct broker_topic *topic = fixture_find(f, 0, name);
    struct broker_setting_change change = {slice_text(BROKER_BINDING_NAME), slice_text(subjects),
                                           op};
    struct broker_settings_alter ask = {
        .topic_id = topic->id, .changes = &change, .change_count = 1};
    broker_topic_unref(topic);
    return fixture_call(f, f->core_count - 1, &ask.call, fixture_alter_fn, &ask);
}

static void delete_fn(struct core *core, void *arg)
{
    broker_topic_delete(core, arg);
}

static void check_text(struct fixture *f, const char *name, const char *subjects)
{
    for (unsigned i = 0; i < f->core_count; i++) {
        const struct broker_topic *topic = fixture_find(f, i, name);
        assert_non_null(topic);
        assert_string_equal(topic->binding ? topic->binding->text : "", subjects);
        broker_topic_unref(topic);
    }
}

static void a_binding_is_a_list_of_subjects(void **state)
{
    static const char *const WRONG[] = {"a..b",  "a b",    "a.>.b",    ".a", "a,a",     "a.*,*.b",
                                        "$JS.>", "$SYS.a", "_INBOX.>", ",",  "kafka.x", "kafka.>"};
    struct fixture *f = fixture_new(2);
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        assert_int_equal(create(f, "wrong", WRONG[i]), ERR_INVALID);
    assert_int_equal(create(f, "t", " orders.> , bills.*.a,x"), ERR_OK);
    check_text(f, "t", "orders.>,bills.*.a,x");
    assert_int_equal(alter(f, "t", BROKER_SETTING_APPEND, "y.*"), ERR_OK);
    assert_int_equal(alter(f, "t", BROKER_SETTING_SUBTRACT, "bills.*.a,none"), ERR_OK);
    check_text(f, "t", "orders.>,x,y.*");
    assert_int_equal(alter(f, "t", BROKER_SETTING_APPEND, "orders.a"), ERR_INVALID);
    assert_int_equal(alter(f, "t", BROKER_SETTING_SET, ""), ERR_OK);
    check_text(f, "t", "");
    fixture_free(f);
}

static void no_two_topics_share_a_subject(void **state)
{
    struct fixture *f = fixture_new(2);
    assert_int_equal(create(f, "a", "orders.*"), ERR_OK);
    assert_int_equal(create(f, "b", "orders.>"), ERR_INVALID);
    assert_int_equal(create(f, "b", "orders.1"), ERR_INVALID);
    assert_int_equal(create(f, "b", "bills"), ERR_OK);
    assert_int_equal(alter(f, "b", BROKER_SETTING_APPEND, "*.x"), ERR_INVALID);
    check_text(f, "b", "bills");
    /* What was given back can be had, what was taken cannot. */
    assert_int_equal(alter(f, "a", BROKER_SETTING_SET, "stock"), ERR_OK);
    assert_int_equal(alter(f, "b", BROKER_SETTING_APPEND, "orders.>"), ERR_OK);
    assert_int_equal(alter(f, "a", BROKER_SETTING_SET, "orders.1"), ERR_INVALID);
    const struct broker_topic *topic = fixture_find(f, 0, "b");
    struct broker_topic_delete ask = {.id = topic->id};
    broker_topic_unref(topic);
    assert_int_equal(fixture_call(f, 0, &ask.call, delete_fn, &ask), ERR_OK);
    assert_int_equal(alter(f, "a", BROKER_SETTING_SET, "orders.1"), ERR_OK);
    fixture_free(f);
}

static void bindings_survive_a_restart(void **state)
{
    struct fixture *f = fixture_new(2);
    assert_int_equal(create(f, "a", "orders.>"), ERR_OK);
    fixture_stop(f);
    fixture_start(f);
    check_text(f, "a", "orders.>");
    assert_int_equal(create(f, "b", "orders.1"), ERR_INVALID);
    fixture_free(f);
}

struct heard {
    unsigned count;
    size_t before;
    size_t after;
};

static void heard_fn(void *arg, const struct broker_topic *before, const struct broker_topic *after)
{
    struct heard *heard = arg;
    heard->count++;
    heard->before = before && before->binding ? before->binding->count : 0;
    heard->after = after && after->binding ? after->binding->count : 0;
}

static void listen_fn(struct core *core, void *arg)
{
    broker_binding_listen(core, heard_fn, arg);
}

static void a_core_is_told_what_changed(void **state)
{
    struct fixture *f = fixture_new(2);
    struct heard heard = {0};
    fixture_on(f, 1, listen_fn, &heard);
    assert_int_equal(fixture_create(f, 0, "plain", 1), ERR_OK);
    assert_int_equal(heard.count, 0);
    assert_int_equal(create(f, "a", "x,y"), ERR_OK);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.after, 2);
    assert_int_equal(alter(f, "a", BROKER_SETTING_SUBTRACT, "x"), ERR_OK);
    assert_int_equal(heard.before, 2);
    assert_int_equal(heard.after, 1);
    assert_int_equal(alter(f, "a", BROKER_SETTING_DELETE, ""), ERR_OK);
    assert_int_equal(heard.count, 3);
    assert_int_equal(heard.after, 0);
    fixture_free(f);
}

static void servers_own_subjects_are_known(void **state)
{
    assert_true(broker_binding_is_reserved(SLICE_LITERAL("$JS.API")));
    assert_true(broker_binding_is_reserved(SLICE_LITERAL("_INBOX.a.b")));
    assert_true(broker_binding_is_reserved(SLICE_LITERAL("$SYS")));
    assert_false(broker_binding_is_reserved(SLICE_LITERAL("_INBOX2.a")));
    assert_false(broker_binding_is_reserved(SLICE_LITERAL("$KV.a")));
    assert_false(broker_binding_is_reserved(SLICE_LITERAL("a.$JS")));
    assert_false(broker_binding_is_reserved(SLICE_LITERAL("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binding_is_a_list_of_subjects),
        cmocka_unit_test(no_two_topics_share_a_subject),
        cmocka_unit_test(bindings_survive_a_restart),
        cmocka_unit_test(a_core_is_told_what_changed),
        cmocka_unit_test(servers_own_subjects_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

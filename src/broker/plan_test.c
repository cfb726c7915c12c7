// Tests of plans: what is wrong is found where it is, and topics become as planned.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "broker/binding.h"
#include "broker/broker_fixture.h"
#include "broker/plan.h"

#define PAIR(name, value)                                                                          \
    {                                                                                              \
        SLICE_LITERAL(name), SLICE_LITERAL(value)                                                  \
    }
#define BOUND(value) PAIR(BROKER_BINDING_NAME, value)

static const struct broker_setting_pair ORDERS[] = {BOUND("orders.>"), PAIR("retention.ms", "77")};
static const struct broker_setting_pair ORDERS_ONE[] = {BOUND("orders.1")};
static const struct broker_setting_pair BILLS[] = {BOUND("bills,paid.*")};
static const struct broker_setting_pair WRONG[] = {PAIR("retention.ms", "77"),
                                                   PAIR("segment.bytes", "x")};
static const struct broker_setting_pair UNKNOWN[] = {PAIR("colour", "blue")};
static const struct broker_setting_pair VIEW[] = {BOUND("kafka.>")};
static const struct broker_setting_pair RESERVED[] = {PAIR("retention.ms", "7"), BOUND("$SYS.x")};
static const struct broker_setting_pair LAGS[] = {PAIR("min.compaction.lag.ms", "9"),
                                                  PAIR("max.compaction.lag.ms", "8")};

static struct broker_plan_topic topic_of(const char *name, int32_t partition_count,
                                         const struct broker_setting_pair *settings, size_t count)
{
    return (struct broker_plan_topic){slice_text(name), partition_count, settings, count};
}

#define TOPIC(name, count, settings) topic_of(name, count, settings, COUNT_OF(settings))

static void check_refused(const struct broker_plan_topic *topics, size_t count, const char *words,
                          struct broker_plan_fault expected)
{
    struct broker_settings settings;
    struct broker_plan plan = {topics, count};
    struct broker_plan_fault fault;
    struct diag diag;
    broker_settings_init(&settings);
    settings.topic_partitions_max = 50;
    settings.partitions_max = 90;
    enum err err = broker_plan_check(&plan, &settings, SLICE_LITERAL("kafka"), &fault, &diag);
    if (!words) {
        assert_int_equal(err, ERR_OK);
        return;
    }
    assert_true(err == ERR_INVALID || err == ERR_LIMIT);
    if (!strstr(diag.text, words))
        fail_msg("'%s' lacks '%s'", diag.text, words);
    assert_int_equal(fault.topic, expected.topic);
    assert_int_equal(fault.part, expected.part);
    if (expected.part == BROKER_PLAN_SETTING)
        assert_int_equal(fault.setting, expected.setting);
}

static void what_is_wrong_is_found_without_data(void **state)
{
    const struct {
        struct broker_plan_topic topics[2];
        const char *words;
        struct broker_plan_fault fault;
    } cases[] = {
        {{TOPIC("a", 3, ORDERS), TOPIC("b", -1, BILLS)}, NULL, {0}},
        {{TOPIC("a", 3, ORDERS), TOPIC("a", 3, BILLS)}, "twice", {1, BROKER_PLAN_TOPIC, 0}},
        {{TOPIC("a.b", 3, ORDERS), TOPIC("a_b", 3, BILLS)}, "collide", {1, BROKER_PLAN_TOPIC, 0}},
        {{TOPIC("a", 3, ORDERS), TOPIC("b c", 3, BILLS)}, "ASCII", {1, BROKER_PLAN_TOPIC, 0}},
        {{TOPIC("a", 3, ORDERS), TOPIC("__consumer_offsets", 3, BILLS)},
         "internal",
         {1, BROKER_PLAN_TOPIC, 0}},
        {{TOPIC("a", 0, ORDERS), TOPIC("b", 3, BILLS)}, "least", {0, BROKER_PLAN_PARTITIONS, 0}},
        {{TOPIC("a", 51, ORDERS), TOPIC("b", 3, BILLS)},
         "leat.topic.partitions.max",
         {0, BROKER_PLAN_PARTITIONS, 0}},
        {{TOPIC("a", 50, ORDERS), TOPIC("b", 41, BILLS)},
         "91 partitions",
         {1, BROKER_PLAN_PARTITIONS, 0}},
        {{TOPIC("a", 3, ORDERS), TOPIC("b", 3, ORDERS_ONE)},
         "'orders.1' overlaps with 'orders.>'",
         {1, BROKER_PLAN_SETTING, 0}},
        {{TOPIC("a", 3, WRONG), TOPIC("b", 3, BILLS)},
         "segment.bytes",
         {0, BROKER_PLAN_SETTING, 1}},
        {{TOPIC("a", 3, BILLS), TOPIC("b", 3, UNKNOWN)}, "colour", {1, BROKER_PLAN_SETTING, 0}},
        {{TOPIC("a", 3, VIEW), TOPIC("b", 3, BILLS)}, "kafka.>", {0, BROKER_PLAN_SETTING, 0}},
        {{TOPIC("a", 3, RESERVED), TOPIC("b", 3, BILLS)}, "$SYS.x", {0, BROKER_PLAN_SETTING, 1}},
        {{TOPIC("a", 3, LAGS), TOPIC("b", 3, BILLS)}, "greater", {0, BROKER_PLAN_TOPIC, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_refused(cases[i].topics, 2, cases[i].words, cases[i].fault);
}

/* --- with a broker ---------------------------------------------------------------------------- */

static void applied(struct broker_plan_apply *apply)
{
    sem_post(apply->arg);
}

static void apply_fn(struct core *core, void *arg)
{
    broker_plan_apply(core, arg);
}

static enum err apply(struct fixture *f, const struct broker_plan_topic *topics, size_t count,
                      struct broker_plan_apply *out)
{
    sem_t over;
    struct broker_plan plan = {topics, count};
    sem_init(&over, 0, 0);
    *out = (struct broker_plan_apply){.plan = &plan, .done = applied, .arg = &over};
    fixture_on(f, 0, apply_fn, out);
    while (sem_wait(&over) != 0) {
    }
    sem_destroy(&over);
    return out->err;
}

static void assert_topic(struct fixture *f, const char *name, uint32_t partition_count,
                         const char *subjects)
{
    const struct broker_topic *topic = fixture_find(f, f->core_count - 1, name);
    assert_non_null(topic);
    assert_int_equal(topic->partition_count, partition_count);
    assert_string_equal(topic->binding ? topic->binding->text : "", subjects);
    broker_topic_unref(topic);
}

static void topics_become_as_planned(void **state)
{
    struct fixture *f = fixture_new(2);
    struct broker_plan_apply done;
    const struct broker_plan_topic plan[] = {TOPIC("a", 3, ORDERS), TOPIC("b", -1, BILLS),
                                             topic_of("c", -1, NULL, 0)};
    assert_int_equal(fixture_create(f, 0, "b", 2), ERR_OK);
    assert_int_equal(apply(f, plan, 3, &done), ERR_OK);
    assert_int_equal(done.created_count, 2);
    assert_int_equal(done.changed_count, 1);
    assert_topic(f, "a", 3, "orders.>");
    assert_topic(f, "b", 2, "bills,paid.*");
    assert_topic(f, "c", 1, "");
    assert_int_equal(apply(f, plan, 3, &done), ERR_OK); /* nothing is left to do */
    assert_int_equal(done.created_count + done.changed_count, 0);
    const struct broker_plan_topic more[] = {TOPIC("a", 5, BILLS), TOPIC("b", 4, ORDERS)};
    assert_int_equal(apply(f, more, 2, &done), ERR_OK); /* subjects change their topics */
    assert_topic(f, "a", 5, "bills,paid.*");
    assert_topic(f, "b", 4, "orders.>");
    const struct broker_topic *topic = fixture_find(f, 0, "a");
    assert_int_equal(topic->config->retention_ms, 77); /* what is not named stays */
    broker_topic_unref(topic);
    fixture_free(f);
}

static void what_does_not_fit_changes_nothing(void **state)
{
    struct fixture *f = fixture_new(1);
    struct broker_plan_apply done;
    const struct broker_plan_topic first[] = {TOPIC("a", 3, ORDERS)};
    const struct broker_plan_topic fewer[] = {TOPIC("b", 1, BILLS), TOPIC("a", 2, BILLS)};
    const struct broker_plan_topic overlapping[] = {TOPIC("b", 1, BILLS),
                                                    TOPIC("c", 1, ORDERS_ONE)};
    const struct broker_plan_topic colliding[] = {TOPIC("b", 1, BILLS),
                                                  topic_of("x_y", 1, NULL, 0)};
    assert_int_equal(apply(f, first, 1, &done), ERR_OK);
    assert_int_equal(fixture_create(f, 0, "x.y", 1), ERR_OK);
    assert_int_equal(apply(f, fewer, 2, &done), ERR_INVALID);
    assert_non_null(strstr(done.diag.text, "has 3 partitions"));
    assert_int_equal(done.fault.topic, 1);
    assert_int_equal(done.fault.part, BROKER_PLAN_PARTITIONS);
    assert_int_equal(apply(f, overlapping, 2, &done), ERR_INVALID);
    assert_non_null(strstr(done.diag.text, "'orders.1' overlaps with 'orders.>'"));
    assert_int_equal(done.fault.topic, 1);
    assert_int_equal(done.fault.part, BROKER_PLAN_SETTING);
    assert_int_equal(apply(f, colliding, 2, &done), ERR_INVALID);
    assert_null(fixture_find(f, 0, "b"));
    assert_int_equal(fixture_create(f, 0, "b", 1), ERR_OK); /* no claim is left behind */
    assert_int_equal(apply(f, &overlapping[0], 1, &done), ERR_OK);
    assert_topic(f, "b", 1, "bills,paid.*");
    fixture_free(f);
}

static void topics_of_a_long_plan_share_commits(void **state)
{
    enum { COUNT = 3 * BROKER_PLAN_MAKING_MAX + 5, THERE = 70 };
    struct fixture *f = fixture_new(2);
    struct broker_plan_topic plan[COUNT];
    struct broker_plan_apply done;
    char names[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "t%d", i);
        plan[i] = topic_of(names[i], 1 + i % 2, NULL, 0);
    }
    assert_int_equal(fixture_create(f, 0, names[THERE], 1), ERR_OK);
    plan[THERE].partition_count = 3; /* grown while others are made */
    assert_int_equal(apply(f, plan, COUNT, &done), ERR_OK);
    assert_int_equal(done.created_count, COUNT - 1);
    assert_int_equal(done.changed_count, 1);
    assert_int_equal(f->store.fact_puts_open_max, BROKER_PLAN_MAKING_MAX);
    for (int i = 0; i < COUNT; i++)
        assert_topic(f, names[i], i == THERE ? 3 : 1 + (uint32_t)i % 2, "");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_found_without_data),
        cmocka_unit_test(topics_become_as_planned),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(topics_of_a_long_plan_share_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

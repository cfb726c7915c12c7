// Tests of the settings of single groups: what is taken, what is in force, on every core and later.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_settings.h"

#include "broker/broker_fixture.h"
#include "broker/config.h"

static void alter_fn(struct core *core, void *arg)
{
    broker_group_settings_alter(core, arg);
}

static enum err set_op(struct fixture *f, const char *group, const char *name, const char *value,
                       enum broker_setting_op op)
{
    struct broker_setting_change change = {slice_text(name), SLICE_NULL, op};
    struct broker_settings_alter ask = {
        .name = slice_text(group), .changes = &change, .change_count = 1};
    if (value)
        change.value = slice_text(value);
    enum err err = fixture_call(f, f->core_count - 1, &ask.call, alter_fn, &ask);
    if (err)
        assert_non_null(strstr(ask.call.diag.text, *group ? name : "name"));
    return err;
}

static enum err set(struct fixture *f, const char *group, const char *name, const char *value)
{
    return set_op(f, group, name, value, value ? BROKER_SETTING_SET : BROKER_SETTING_DELETE);
}

struct look {
    const char *group;
    struct broker_group_settings settings;
    size_t count;
};

static void look_fn(struct core *core, void *arg)
{
    struct look *look = arg;
    size_t position = 0;
    size_t count = 0;
    broker_group_settings_get(core, slice_text(look->group), &look->settings);
    look->count = broker_group_settings_count(core);
    while (broker_group_settings_next(core, &position).data)
        count++;
    assert_int_equal(count, look->count);
}

static struct broker_group_settings get(struct fixture *f, unsigned core, const char *group)
{
    struct look look = {.group = group};
    fixture_on(f, core, look_fn, &look);
    return look.settings;
}

static size_t group_count(struct fixture *f)
{
    struct look look = {.group = ""};
    fixture_on(f, f->core_count - 1, look_fn, &look);
    return look.count;
}

static void a_group_has_what_it_sets_and_else_what_all_have(void **state)
{
    struct fixture *f = fixture_new(2);
    assert_int_equal(set(f, "g", "consumer.session.timeout.ms", "50000"), ERR_OK);
    assert_int_equal(set(f, "g", "share.auto.offset.reset", "by_duration:PT1H"), ERR_OK);
    assert_int_equal(set(f, "g", "share.isolation.level", "read_committed"), ERR_OK);
    assert_int_equal(set(f, "h", "share.renew.acknowledge.enable", "false"), ERR_OK);
    for (unsigned i = 0; i < 4; i++) {
        if (i == 2) { /* and again after a restart */
            fixture_stop(f);
            fixture_start(f);
        }
        struct broker_group_settings g = get(f, i % 2, "g");
        struct broker_group_settings h = get(f, i % 2, "h");
        assert_int_equal(g.consumer_session_timeout_ms, 50000);
        assert_int_equal(g.share_auto_offset_reset, 3600000);
        assert_true(broker_group_settings_is_committed(&g));
        assert_true(g.share_renew_acknowledge_enable);
        assert_int_equal(h.consumer_session_timeout_ms, 45000);
        assert_int_equal(h.consumer_heartbeat_interval_ms, 5000);
        assert_int_equal(h.share_auto_offset_reset, BROKER_RESET_LATEST);
        assert_false(broker_group_settings_is_committed(&h));
        assert_false(h.share_renew_acknowledge_enable);
    }
    assert_int_equal(group_count(f), 2);
    assert_int_equal(set(f, "g", "consumer.session.timeout.ms", NULL), ERR_OK);
    assert_int_equal(get(f, 1, "g").consumer_session_timeout_ms, 45000);
    assert_int_equal(get(f, 1, "g").share_auto_offset_reset, 3600000);
    assert_int_equal(set(f, "h", "share.renew.acknowledge.enable", NULL), ERR_OK);
    assert_int_equal(group_count(f), 1);
    fixture_free(f);
}

static void what_the_broker_does_not_allow_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        enum err err;
    } cases[] = {
        {"consumer.session.timeout.ms", "45000", ERR_OK},
        {"consumer.session.timeout.ms", "44999", ERR_INVALID},
        {"consumer.session.timeout.ms", "60001", ERR_INVALID},
        {"consumer.session.timeout.ms", "x", ERR_INVALID},
        {"consumer.heartbeat.interval.ms", "4999", ERR_INVALID},
        {"consumer.heartbeat.interval.ms", "15001", ERR_INVALID},
        {"share.heartbeat.interval.ms", "15000", ERR_OK},
        {"share.record.lock.duration.ms", "14999", ERR_INVALID},
        {"share.record.lock.duration.ms", "60000", ERR_OK},
        {"share.delivery.count.limit", "11", ERR_INVALID},
        {"share.delivery.count.limit", "2", ERR_OK},
        {"share.partition.max.record.locks", "99", ERR_INVALID},
        {"share.partition.max.record.locks", "4000", ERR_OK},
        {"share.auto.offset.reset", "never", ERR_INVALID},
        {"share.auto.offset.reset", "by_duration:PT-1S", ERR_INVALID},
        {"share.auto.offset.reset", "earliest", ERR_OK},
        {"share.isolation.level", "READ_COMMITTED", ERR_INVALID},
        {"share.renew.acknowledge.enable", "maybe", ERR_INVALID},
        {"streams.session.timeout.ms", "45000", ERR_INVALID},
        {"consumer.assignment.interval.ms", "0", ERR_INVALID},
    };
    struct fixture *f = fixture_new(1);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(set(f, "g", cases[i].name, cases[i].value), cases[i].err);
    assert_int_equal(set(f, "", "consumer.session.timeout.ms", "50000"), ERR_INVALID);
    assert_int_equal(set_op(f, "g", "consumer.session.timeout.ms", "1", BROKER_SETTING_APPEND),
                     ERR_INVALID);
    assert_int_equal(get(f, 0, "g").share_heartbeat_interval_ms, 15000);
    fixture_free(f);
}

/* Limits that are narrower than what was set before hold. */
static void limits_of_a_later_file_hold(void **state)
{
    struct fixture *f = fixture_new(1);
    assert_int_equal(set(f, "g", "consumer.session.timeout.ms", "60000"), ERR_OK);
    assert_int_equal(set(f, "g", "consumer.heartbeat.interval.ms", "5000"), ERR_OK);
    fixture_stop(f);
    f->settings.group_consumer_max_session_timeout_ms = 50000;
    f->settings.group_consumer_min_heartbeat_interval_ms = 6000;
    fixture_start(f);
    assert_int_equal(get(f, 0, "g").consumer_session_timeout_ms, 50000);
    assert_int_equal(get(f, 0, "g").consumer_heartbeat_interval_ms, 6000);
    fixture_free(f);
}

static void the_brokers_own_values_lie_within_its_limits(void **state)
{
    struct broker_settings settings;
    struct diag diag = {""};
    broker_settings_init(&settings);
    assert_int_equal(broker_group_settings_check(&settings, &diag), ERR_OK);
    settings.group_share_session_timeout_ms = 44999;
    assert_int_equal(broker_group_settings_check(&settings, &diag), ERR_INVALID);
    assert_string_equal(diag.text, "group.share.session.timeout.ms must be greater than or equal "
                                   "to group.share.min.session.timeout.ms");
    broker_settings_init(&settings);
    settings.group_consumer_heartbeat_interval_ms = 45000;
    settings.group_consumer_max_heartbeat_interval_ms = 50000;
    assert_int_equal(broker_group_settings_check(&settings, &diag), ERR_INVALID);
    assert_non_null(strstr(diag.text, "group.consumer.session.timeout.ms must be greater"));
}

static void durations_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -3: refused */
        const char *written;
    } cases[] = {
        {"latest", -1, "latest"},
        {"earliest", -2, "earliest"},
        {"by_duration:PT0S", 0, "by_duration:PT0S"},
        {"by_duration:P1D", 86400000, "by_duration:PT24H"},
        {"by_duration:p1dt1h", 90000000, "by_duration:PT25H"},
        {"by_duration:PT1.5S", 1500, "by_duration:PT1.5S"},
        {"by_duration:PT61M1.001S", 3661001, "by_duration:PT1H1M1.001S"},
        {"by_duration:PT1H-30M", 1800000, "by_duration:PT30M"},
        {"by_duration:-PT-5S", 5000, "by_duration:PT5S"},
        {"by_duration:PT9223372036854775S", 9223372036854775000,
         "by_duration:PT2562047788015H12M55S"},
        {"by_duration:PT9223372036854776S", -3, NULL},
        {"by_duration:PT99999999999999999999H", -3, NULL},
        {"by_duration:", -3, NULL},
        {"by_duration:P", -3, NULL},
        {"by_duration:PT", -3, NULL},
        {"by_duration:P1DT", -3, NULL},
        {"by_duration:P1M", -3, NULL},
        {"by_duration:PT1S1M", -3, NULL},
        {"by_duration:PT1.1234567890S", -3, NULL},
        {"by_duration:-PT5S", -3, NULL},
        {"by_duration:PT5S ", -3, NULL},
        {"Latest", -3, NULL},
        {"", -3, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char buffer[CONFIG_VALUE_SIZE];
        int64_t ms = -3;
        bool is_good = broker_config_reset_parse(slice_text(cases[i].text), &ms);
        assert_int_equal(is_good, cases[i].ms != -3);
        if (!is_good)
            continue;
        assert_int_equal(ms, cases[i].ms);
        assert_string_equal(broker_config_reset_text(ms, buffer), cases[i].written);
    }
}

/* More settings than a machine word has bits: the fact counts all of them. */
static void every_setting_of_the_broker_is_counted(void **state)
{
    config_set all = 0;
    for (unsigned i = 0; i < broker_settings_rules().count; i++)
        all |= (config_set)1 << i;
    assert_int_equal(broker_config_set_count(all), broker_settings_rules().count);
    assert_true(broker_settings_rules().count > 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_what_it_sets_and_else_what_all_have),
        cmocka_unit_test(what_the_broker_does_not_allow_is_refused),
        cmocka_unit_test(limits_of_a_later_file_hold),
        cmocka_unit_test(the_brokers_own_values_lie_within_its_limits),
        cmocka_unit_test(durations_are_read_and_written),
        cmocka_unit_test(every_setting_of_the_broker_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of the topics in the configuration: what is read, and every refusal with its place.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "server/settings.h"

#include <cmocka.h>

static enum err fake_read(void *arg, const char *path, struct arena *arena, struct slice *out,
                          struct diag *diag)
{
    *out = arena_copy(arena, slice_text(arg));
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

static enum err load(struct server_settings *settings, const char *file, struct diag *diag)
{
    struct server_conf_source source = {.read = fake_read, .arg = (void *)(uintptr_t)file};
    const char *const arguments[] = {"leatd", "--check", "f"};
    struct server_settings_input input = {
        .argument_count = 3, .arguments = arguments, .source = &source};
    diag->text[0] = 0;
    return server_settings_load(settings, &input, diag);
}

static void assert_setting(const struct broker_plan_topic *topic, size_t index, const char *name,
                           const char *value)
{
    assert_true(index < topic->setting_count);
    const struct broker_setting_pair *pair = &topic->settings[index];
    if (!slice_equal_text(pair->name, name) || !slice_equal_text(pair->value, value))
        fail_msg("%.*s=%.*s", (int)pair->name.size, (const char *)pair->name.data,
                 (int)pair->value.size, (const char *)pair->value.data);
}

static void values_are_written_as_kafka_does(void **state)
{
    static const char file[] = "kafka { num.partitions: 2\n"
                               "  SUBJECT: \"orders.>\"\n"
                               "  topics {\n"
                               "    WEEK: 7d\n"
                               "    orders { partitions: 3, nats.subjects: $SUBJECT\n"
                               "      retention.ms: $WEEK, segment.bytes: 64mib\n"
                               "      Segment.Bytes: 32mib }\n"
                               "    app.log { nats.subjects: [bills, \"paid.*\"]\n"
                               "      cleanup.policy: [compact, delete]\n"
                               "      min.cleanable.dirty.ratio: 0.25, preallocate: no\n"
                               "      leat.durability: async }\n"
                               "    1234 {}\n"
                               "  }\n"
                               "  topics { more { nats.subjects: \"\" } }\n"
                               "}\n";
    struct server_settings settings;
    struct diag diag;
    if (load(&settings, file, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
    const struct broker_plan_topic *topics = settings.plan.topics;
    assert_int_equal(settings.plan.count, 4);
    assert_true(slice_equal_text(topics[0].name, "orders"));
    assert_int_equal(topics[0].partition_count, 3);
    assert_int_equal(topics[0].setting_count, 3);
    assert_setting(&topics[0], 0, "nats.subjects", "orders.>");
    assert_setting(&topics[0], 1, "retention.ms", "604800000");
    assert_setting(&topics[0], 2, "segment.bytes", "33554432");
    assert_true(slice_equal_text(topics[1].name, "app.log"));
    assert_int_equal(topics[1].partition_count, -1);
    assert_setting(&topics[1], 0, "nats.subjects", "bills,paid.*");
    assert_setting(&topics[1], 1, "cleanup.policy", "compact,delete");
    assert_setting(&topics[1], 2, "min.cleanable.dirty.ratio", "0.25");
    assert_setting(&topics[1], 3, "preallocate", "false");
    assert_setting(&topics[1], 4, "leat.durability", "async");
    assert_true(slice_equal_text(topics[2].name, "1234"));
    assert_int_equal(topics[2].setting_count, 0);
    assert_true(slice_equal_text(topics[3].name, "more"));
    assert_setting(&topics[3], 0, "nats.subjects", "");
    server_settings_deinit(&settings);
}

static void what_is_wrong_has_its_place(void **state)
{
    static const struct {
        const char *file;
        const char *place;
        const char *words;
    } cases[] = {
        {"kafka { topics: 3 }", "f:1:17:", "topics is a map"},
        {"kafka {\n topics {\n a: 3\n } }", "f:3:5:", "a topic is a map"},
        {"kafka { topics {\n a { colour: blue } } }", "f:2:6:", "unknown field 'colour'"},
        {"kafka { topics { a {\n partitions: 0 } } }", "f:2:14:", "1 at least"},
        {"kafka { topics { a {\n partitions: many } } }", "f:2:14:", "1 at least"},
        {"kafka { topics { a {\n retention.ms: soon } } }", "f:2:16:", "is a number"},
        {"kafka { topics { a {\n retention.ms: -7 } } }", "f:2:16:", "is not between"},
        {"kafka { topics { a {\n retention.ms: 7dd } } }",
         "f:2:16:", "a text like \"7d\", not '7dd'"},
        {"kafka { topics { a {\n retention.ms: {} } } }", "f:2:16:", "one value, not a map"},
        {"kafka { topics { a {\n preallocate: true } } }", "f:2:15:", "not implemented"},
        {"kafka { topics { a {\n cleanup.policy: never } } }", "f:2:18:", "is none of"},
        {"kafka { topics { a {\n nats.subjects: [[x]] } } }", "f:2:18:", "list of texts"},
        {"kafka { topics { a {\n nats.subjects: \"a..b\" } } }", "f:2:17:", "'a..b'"},
        {"kafka { topics { a {\n nats.subjects: \"kafka.x\" } } }", "f:2:17:", "kafka.x"},
        {"kafka { topics { a {\n nats.subjects: \"$JS.x\" } } }", "f:2:17:", "$JS.x"},
        {"kafka { topics { a { nats.subjects: \"x.>\" }\n b { nats.subjects: x.y } } }",
         "f:2:21:", "topic 'b': nats.subjects: 'x.y' overlaps with 'x.>'"},
        {"kafka { topics { a {}\n a {} } }", "f:2:2:", "twice"},
        {"kafka { topics { a {}\n \"a b\" {} } }", "f:2:2:", "ASCII"},
        {"kafka { topics {\n __consumer_offsets {} } }", "f:2:2:", "internal"},
        {"kafka { topics { a {\n partitions: 2000000000 } } }", "f:2:14:", "partitions"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct server_settings settings;
        struct diag diag;
        assert_int_equal(load(&settings, cases[i].file, &diag), ERR_INVALID);
        if (strncmp(diag.text, cases[i].place, strlen(cases[i].place)) != 0 ||
            !strstr(diag.text, cases[i].words))
            fail_msg("'%s' lacks '%s' or '%s'", diag.text, cases[i].place, cases[i].words);
        server_settings_deinit(&settings);
    }
}

static void another_view_frees_its_subjects(void **state)
{
    struct server_settings settings;
    struct diag diag;
    assert_int_equal(load(&settings,
                          "leat_view: logs\nkafka { topics { a { nats.subjects: \"kafka.>\" } } }",
                          &diag),
                     ERR_OK);
    server_settings_deinit(&settings);
    assert_int_equal(load(&settings,
                          "leat_view: logs\nkafka { topics { a { nats.subjects: \"logs.>\" } } }",
                          &diag),
                     ERR_INVALID);
    server_settings_deinit(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_as_kafka_does),
        cmocka_unit_test(what_is_wrong_has_its_place),
        cmocka_unit_test(another_view_frees_its_subjects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests that the sample configuration in etc/ is right and says the defaults.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "os/os.h"
#include "server/conf_file.h"
#include "server/settings.h"

#include <cmocka.h>

#define SAMPLE "etc/leat.conf"

/* The folder of this file is src/server; the build gives its whole path. */
static void sample_path(char *out, size_t size)
{
    const char *end = strstr(__FILE__, "src/server/sample_test.c");
    assert_non_null(end);
    snprintf(out, size, "%.*s%s", (int)(end - __FILE__), __FILE__, SAMPLE);
}

static void test_the_sample_says_the_defaults(void **state)
{
    char path[1024];
    sample_path(path, sizeof(path));
    struct server_conf_file file = {.os = os_posix()};
    struct server_conf_source source = server_conf_file_source(&file);
    const char *const arguments[] = {"leatd", "--check", path};
    struct server_settings_input nothing = {.argument_count = 1, .arguments = arguments};
    struct server_settings_input sample = {
        .argument_count = 3,
        .arguments = arguments,
        .source = &source,
    };
    struct server_settings defaults;
    struct server_settings settings;
    struct diag diag = {0};
    assert_int_equal(server_settings_load(&defaults, &nothing, &diag), ERR_OK);
    if (server_settings_load(&settings, &sample, &diag) != ERR_OK)
        fail_msg("%s", diag.text);
    assert_int_equal(settings.act, SERVER_ACT_CHECK);
    assert_string_equal(settings.data, "/var/lib/leat");
    assert_int_equal(settings.core_count, defaults.core_count);
    assert_int_equal(settings.memory_bytes, defaults.memory_bytes);
    assert_int_equal(settings.scrub_bytes_per_second, defaults.scrub_bytes_per_second);
    assert_int_equal(settings.kafka_listener_count, 1);
    assert_memory_equal(&settings.kafka_listeners[0], &defaults.kafka_listeners[0],
                        sizeof(settings.kafka_listeners[0]));
#define SETTING(kind, field, name, value, min, max, dynamic, doc)                                  \
    assert_true(settings.broker.field == defaults.broker.field);
#include "broker/settings.def"
#undef SETTING
    server_settings_deinit(&settings);
    server_settings_deinit(&defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sample_says_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

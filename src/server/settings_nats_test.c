// Tests of the NATS settings: numbers, addresses, users, permissions, and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/settings.h"

struct fixture {
    const char *file;
    struct server_settings settings;
    struct diag diag;
};

static enum err fake_read(void *arg, const char *path, struct arena *arena, struct slice *out,
                          struct diag *diag)
{
    *out = arena_copy(arena, slice_text(((struct fixture *)arg)->file));
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

static enum err load(struct fixture *fixture, const char *program)
{
    const char *const arguments[] = {program, "-c", "nats.conf"};
    struct server_conf_source source = {.read = fake_read, .arg = fixture};
    struct server_settings_input input = {
        .argument_count = 3, .arguments = arguments, .source = &source};
    fixture->diag.text[0] = 0;
    return server_settings_load(&fixture->settings, &input, &fixture->diag);
}

static struct nats_config *load_file(struct fixture *fixture, const char *file)
{
    fixture->file = file;
    if (load(fixture, "leatd") != ERR_OK)
        fail_msg("%s: %s", file, fixture->diag.text);
    return fixture->settings.nats;
}

static void assert_refused(const char *file, const char *words)
{
    struct fixture fixture = {.file = file};
    assert_int_equal(load(&fixture, "leatd"), ERR_INVALID);
    if (!strstr(fixture.diag.text, words))
        fail_msg("'%s' lacks '%s'", fixture.diag.text, words);
    server_settings_deinit(&fixture.settings);
}

static void test_numbers(void **state)
{
    struct fixture fixture;
    struct nats_config *config =
        load_file(&fixture, "max_payload: 2mb, ping_interval: \"30s\", write_deadline: 5\n"
                            "max_connections: 10, no_header_support: true, server_name: one");
    assert_int_equal(config->payload_size_max, 2 << 20);
    assert_int_equal(config->ping_interval_ms, 30000);
    assert_int_equal(config->write_deadline_ms, 5000);
    assert_int_equal(config->connections_max, 10);
    assert_true(config->no_headers);
    assert_true(slice_equal_text(config->server_name, "one"));
    server_settings_deinit(&fixture.settings);
    assert_refused("max_payload: 1gb", "'max_payload' must lie between");
    assert_refused("max_payload: lots", "'max_payload' is a number");
    assert_refused("ping_interval: soon", "'ping_interval' is a time");
    assert_refused("max_pending: 2kb", "cannot be higher");
    assert_refused("server_name: \"a b\"", "no spaces");
}

static void test_view(void **state)
{
    struct fixture fixture;
    struct nats_config *config = load_file(&fixture, "max_payload: 2mb");
    assert_true(slice_equal_text(config->view_prefix, "kafka"));
    server_settings_deinit(&fixture.settings);
    config = load_file(&fixture, "leat_view: logs");
    assert_true(slice_equal_text(config->view_prefix, "logs"));
    server_settings_deinit(&fixture.settings);
    config = load_file(&fixture, "leat_view: false");
    assert_null(config->view_prefix.data);
    server_settings_deinit(&fixture.settings);
    assert_refused("leat_view: a.b", "'leat_view' is one token");
    assert_refused("leat_view: \"*\"", "'leat_view' is one token");
    assert_refused("leat_view: true", "'leat_view' is one token");
}

static void test_where(void **state)
{
    struct fixture fixture;
    load_file(&fixture, "port: 5222\nhost: 127.0.0.2\nhttp: 127.0.0.1:8222");
    assert_true(fixture.settings.has_nats && fixture.settings.has_http);
    assert_false(fixture.settings.nats_is_default);
    assert_int_equal(server_address_port(&fixture.settings.nats_address.socket), 5222);
    assert_int_equal(server_address_port(&fixture.settings.http_address.socket), 8222);
    server_settings_deinit(&fixture.settings);
    load_file(&fixture, "listen: none");
    assert_false(fixture.settings.has_nats);
    server_settings_deinit(&fixture.settings);
    fixture.file = "";
    assert_int_equal(load(&fixture, "/usr/bin/nats-server"), ERR_OK);
    assert_int_equal(fixture.settings.kafka_listener_count, 0);
    assert_int_equal(server_address_port(&fixture.settings.nats_address.socket), 4222);
    server_settings_deinit(&fixture.settings);
    assert_refused("port: 70000", "a port is a number");
}

/* The monitoring listens on the host that NATS clients are served on, unless it has its own. */
static void test_where_the_monitoring_is(void **state)
{
    static const struct {
        const char *file;
        const char *address;
    } files[] = {
        {"http: 8222", "127.0.0.1:8222"},
        {"http_port: 8222\nhost: 127.0.0.2", "127.0.0.2:8222"},
        {"http: \":8222\", listen: 127.0.0.3:4222", "127.0.0.3:8222"},
        {"http: 8222\nlisten: \"[::1]:4222\"", "[::1]:8222"},
        {"http: 8222\nlisten: 4222", "0.0.0.0:8222"},
        {"http: 0.0.0.0:8222", "0.0.0.0:8222"},
        {"http: 8222\nlisten: none", "127.0.0.1:8222"},
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct fixture fixture;
        struct text text;
        text_init(&text);
        load_file(&fixture, files[i].file);
        server_address_add(&text, &fixture.settings.http_address.socket);
        assert_string_equal(text.data, files[i].address);
        text_deinit(&text);
        server_settings_deinit(&fixture.settings);
    }
}

static void test_users(void **state)
{
    struct fixture fixture;
    struct nats_config *config =
        load_file(&fixture, "authorization { timeout: 1.5, default_permissions: {pub: d}\n"
                            "users: [ {user: a, pass: x}\n"
                            "{user: b, password: y, permissions: {subscribe: [\"s q\", t],\n"
                            "publish: {deny: [n.>]}, allow_responses: {max: 5, ttl: \"1m\"}}} ] }\n"
                            "no_auth_user: a, kafka { anonymous: true }");
    assert_int_equal(config->auth_timeout_ms, 1500);
    assert_int_equal(config->user_count, 2);
    assert_ptr_equal(config->no_auth_user, &config->users[0]);
    const struct security_permissions *of_a = config->users[0].permissions;
    const struct security_permissions *of_b = config->users[1].permissions;
    assert_int_equal(of_a->publish_allow.count, 1);
    assert_int_equal(of_b->subscribe_allow.count, 2);
    assert_true(slice_equal_text(of_b->subscribe_allow.items[0].queue, "q"));
    assert_null(of_b->subscribe_allow.items[1].queue.data);
    assert_int_equal(of_b->publish_deny.count, 1);
    assert_true(of_b->publish_allow.is_set);
    assert_true(of_b->has_responses);
    assert_int_equal(of_b->responses_max, 5);
    assert_int_equal(of_b->response_ttl_ms, 60000);
    server_settings_deinit(&fixture.settings);
    config = load_file(&fixture, "listen: none, authorization { users: [{user: a, permissions: {\n"
                                 "allow_responses: {max: -1, expires: \"-1s\"}}}] }");
    assert_int_equal(config->users[0].permissions->responses_max, -1);
    assert_int_equal(config->users[0].permissions->response_ttl_ms, -1);
    server_settings_deinit(&fixture.settings);
}

static void test_what_asks_for_nothing_is_fine(void **state)
{
    static const char *const files[] = {
        "jetstream: false",
        "jetstream: disabled",
        "jetstream { store_dir: /x, enabled: false }",
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct fixture fixture;
        (void)load_file(&fixture, files[i]);
        server_settings_deinit(&fixture.settings);
    }
    assert_refused("jetstream: enabled", "'jetstream' is not implemented");
    assert_refused("jetstream {}", "'jetstream' is not implemented");
    assert_refused("jetstream { enabled: true }", "'jetstream' is not implemented");
}

static void test_refused(void **state)
{
    assert_refused("no_auth_user: x", "none of the users");
    assert_refused("authorization {user: a, pass: b, token: c}", "not several");
    assert_refused("authorization {users: [{user: a}, {user: a}]}", "there twice");
    assert_refused("authorization {users: [{nkey: U}]}", "not implemented");
    assert_refused("authorization {users: [{pass: U}]}", "needs a name");
    assert_refused("authorization {users: [{user: a, pasword: b}]}", "did you mean 'password'?");
    assert_refused("authorization {tokn: a}", "did you mean 'token'?");
    assert_refused("authorization {users: [{user: a, permissions: {pub: \"a..b\"}}]}",
                   "no valid subject");
    assert_refused("authorization {auth_callout: {}}", "not implemented");
    assert_refused("jetstream: true", "not implemented");
    assert_refused("trace: true", "not implemented");
    assert_refused("cluster {}", "not implemented");
    assert_refused("accounts {}", "not implemented");
}

/* Two doors to one log: who locks one hears of the other. */
static void test_kafka_is_not_left_open_by_chance(void **state)
{
    struct fixture fixture;
    assert_refused("authorization {token: t}", "kafka { anonymous: true }");
    assert_refused("authorization {user: a, password: b}\nkafka { anonymous: false }", "anonymous");
    assert_refused("authorization {token: t}\nkafka { listen: 9093 }", "anonymous");
    assert_refused("kafka { anonymous: 2 }", "true or false");
    (void)load_file(&fixture, "authorization {token: t}\nkafka { anonymous: true }");
    assert_int_equal(fixture.settings.kafka_listener_count, 1);
    server_settings_deinit(&fixture.settings);
    (void)load_file(&fixture, "authorization {token: t}\nkafka { listen: none }");
    assert_int_equal(fixture.settings.kafka_listener_count, 0);
    server_settings_deinit(&fixture.settings);
    fixture.file = "authorization {token: t}";
    assert_int_equal(load(&fixture, "/usr/bin/nats-server"), ERR_OK);
    server_settings_deinit(&fixture.settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_view),
        cmocka_unit_test(test_where),   cmocka_unit_test(test_where_the_monitoring_is),
        cmocka_unit_test(test_users),   cmocka_unit_test(test_what_asks_for_nothing_is_fine),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_kafka_is_not_left_open_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

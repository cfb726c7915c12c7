// Tests of the settings: defaults, file, command line, Kafka's names, and every refusal.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    const char *file; /* what every configuration file says */
    struct server_settings settings;
    struct diag diag;
    bool is_loaded;
};

static enum err fake_read(void *arg, const char *path, struct arena *arena, struct slice *out,
                          struct diag *diag)
{
    struct fixture *fixture = arg;
    diag_set(diag, "%s: not found", path);
    if (!fixture->file || strcmp(path, "leat.conf") != 0)
        return ERR_NOT_FOUND;
    *out = arena_copy(arena, slice_text(fixture->file));
    return out->data ? ERR_OK : ERR_NO_MEMORY;
}

/* words: the command line with single spaces between its arguments. */
static enum err load(struct fixture *fixture, const char *words)
{
    struct server_conf_source source = {.read = fake_read, .arg = fixture};
    const char *arguments[32] = {"leatd"};
    int count = 1;
    char line[256];
    snprintf(line, sizeof(line), "%s", words);
    for (char *word = line; word && *word;) {
        arguments[count++] = word;
        word = strchr(word, ' ');
        if (word)
            *word++ = 0;
    }
    struct server_settings_input input = {
        .argument_count = count,
        .arguments = arguments,
        .source = &source,
    };
    if (fixture->is_loaded)
        server_settings_deinit(&fixture->settings);
    fixture->is_loaded = true;
    fixture->diag.text[0] = 0;
    return server_settings_load(&fixture->settings, &input, &fixture->diag);
}

static void load_file(struct fixture *fixture, const char *file)
{
    fixture->file = file;
    if (load(fixture, "-c leat.conf") != ERR_OK)
        fail_msg("%s", fixture->diag.text);
}

static void assert_refused(struct fixture *fixture, const char *file, const char *words)
{
    fixture->file = file;
    assert_int_equal(load(fixture, "-c leat.conf"), ERR_INVALID);
    if (!strstr(fixture->diag.text, words))
        fail_msg("'%s' lacks '%s'", fixture->diag.text, words);
}

static void assert_option_refused(struct fixture *fixture, const char *line, const char *words)
{
    assert_int_equal(load(fixture, line), ERR_INVALID);
    if (!strstr(fixture->diag.text, words))
        fail_msg("'%s' lacks '%s'", fixture->diag.text, words);
}

static void assert_listener(const struct fixture *fixture, size_t index, const char *expected)
{
    assert_true(index < fixture->settings.kafka_listener_count);
    const struct server_address *address = &fixture->settings.kafka_listeners[index];
    char host[INET6_ADDRSTRLEN];
    char whole[INET6_ADDRSTRLEN + 16];
    if (address->socket.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->socket;
        assert_int_equal(address->socket_size, sizeof(*v4));
        assert_non_null(inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)));
        snprintf(whole, sizeof(whole), "%s:%u", host, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;
        assert_int_equal(address->socket_size, sizeof(*v6));
        assert_non_null(inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)));
        snprintf(whole, sizeof(whole), "[%s]:%u", host, ntohs(v6->sin6_port));
    }
    assert_string_equal(whole, expected);
}

static void test_defaults(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, ""), ERR_OK);
    const struct server_settings *settings = &fixture->settings;
    assert_int_equal(settings->act, SERVER_ACT_RUN);
    assert_null(settings->file);
    assert_string_equal(settings->data, "./leat-data");
    assert_int_equal(settings->core_count, 0);
    assert_int_equal(settings->memory_bytes, 512 << 20);
    assert_int_equal(settings->scrub_bytes_per_second, 4 << 20);
    assert_int_equal(settings->kafka_listener_count, 1);
    assert_listener(fixture, 0, "127.0.0.1:9092");
    assert_null(settings->kafka_advertised_host);
    assert_int_equal(settings->broker.num_partitions, 1);
    assert_true(settings->broker.auto_create_topics_enable);
    assert_int_equal(settings->broker.log_retention_ms, 604800000);
    assert_string_equal(settings->broker.log_cleanup_policy, "delete");
}

static void test_command_line(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "--data /d --cores 3 --memory=64mib --listen 127.0.0.1:0 "
                                   "--listen [::1]:9093,:9094"),
                     ERR_OK);
    assert_string_equal(fixture->settings.data, "/d");
    assert_int_equal(fixture->settings.core_count, 3);
    assert_int_equal(fixture->settings.memory_bytes, 64 << 20);
    assert_int_equal(fixture->settings.kafka_listener_count, 3);
    assert_listener(fixture, 0, "127.0.0.1:0");
    assert_listener(fixture, 1, "[::1]:9093");
    assert_listener(fixture, 2, "0.0.0.0:9094");
    assert_int_equal(load(fixture, "--version"), ERR_OK);
    assert_int_equal(fixture->settings.act, SERVER_ACT_VERSION);
    assert_int_equal(load(fixture, "-h -c none.conf"), ERR_OK);
    assert_int_equal(fixture->settings.act, SERVER_ACT_HELP);
}

static void test_the_command_line_goes_before_the_file(void **state)
{
    struct fixture *fixture = *state;
    fixture->file =
        "data: /file\ncores: 2\nscrub_rate: 1mib\nkafka { listen: [1.2.3.4:1, 5.6.7.8:2] }";
    assert_int_equal(load(fixture, "--data /line --listen 9000 -c leat.conf"), ERR_OK);
    assert_string_equal(fixture->settings.data, "/line");
    assert_int_equal(fixture->settings.core_count, 2);
    assert_int_equal(fixture->settings.scrub_bytes_per_second, 1 << 20);
    assert_int_equal(fixture->settings.kafka_listener_count, 1);
    assert_listener(fixture, 0, "127.0.0.1:9000");
    assert_int_equal(load(fixture, "--check leat.conf"), ERR_OK);
    assert_int_equal(fixture->settings.act, SERVER_ACT_CHECK);
    assert_listener(fixture, 1, "5.6.7.8:2");
}

static void test_bad_options(void **state)
{
    struct fixture *fixture = *state;
    assert_option_refused(fixture, "--nonsense", "unknown option '--nonsense'");
    assert_option_refused(fixture, "--lisen :1", "did you mean --listen?");
    assert_option_refused(fixture, "leat.conf", "'leat.conf' (-c FILE reads a configuration)");
    assert_option_refused(fixture, "extra", "unknown option 'extra'");
    assert_option_refused(fixture, "--help=yes", "unknown option '--help=yes'");
    assert_option_refused(fixture, "--data", "option --data needs a value");
    assert_option_refused(fixture, "--cores many", "--cores: cores is a number");
    assert_option_refused(fixture, "--cores -1", "--cores: cores is a number");
    assert_option_refused(fixture, "--cores 1025", "--cores: cores is a number");
    assert_option_refused(fixture, "--memory 1mib", "--memory: memory is a size");
    assert_option_refused(fixture, "--listen host:1", "must be numeric");
    assert_option_refused(fixture, "--listen 127.0.0.1:65536", "a port from 0 to 65535");
    assert_option_refused(fixture, "--listen ::1:1", "in brackets");
    assert_option_refused(fixture, "--listen SSL://:9092", "only PLAINTEXT listeners");
    assert_option_refused(fixture, "--listen=", "a port from 0 to 65535");
    assert_int_equal(load(fixture, "-c none.conf"), ERR_NOT_FOUND);
    assert_string_equal(fixture->diag.text, "none.conf: not found");
}

static void test_kafka_names(void **state)
{
    struct fixture *fixture = *state;
    load_file(fixture, "kafka {\n"
                       "  listeners: \"PLAINTEXT://:9092,PLAINTEXT://127.0.0.1:9093\"\n"
                       "  advertised.listeners = PLAINTEXT://kafka.example:19092\n"
                       "  'num.partitions': 3; broker.id 7\n"
                       "  auto.create.topics.enable=false\n"
                       "  log.segment.bytes: 1mib\n"
                       "  log.roll.ms: \"1h30m\"\n"
                       "  log.message.timestamp.type: LogAppendTime\n"
                       "  message.max.bytes: \"2kib\"\n"
                       "  Delete.Topic.Enable: 'false'\n"
                       "  log.dirs: /var/lib/leat\n"
                       "}\n");
    const struct broker_settings *broker = &fixture->settings.broker;
    assert_listener(fixture, 0, "0.0.0.0:9092");
    assert_listener(fixture, 1, "127.0.0.1:9093");
    assert_string_equal(fixture->settings.kafka_advertised_host, "kafka.example");
    assert_int_equal(fixture->settings.kafka_advertised_port, 19092);
    assert_int_equal(broker->num_partitions, 3);
    assert_int_equal(broker->node_id, 7);
    assert_false(broker->auto_create_topics_enable);
    assert_false(broker->delete_topic_enable);
    assert_int_equal(broker->log_segment_bytes, 1 << 20);
    assert_int_equal(broker->log_roll_ms, 5400000);
    assert_string_equal(broker->log_message_timestamp_type, "LogAppendTime");
    assert_int_equal(broker->message_max_bytes, 2048);
    assert_string_equal(fixture->settings.data, "/var/lib/leat");
}

static void test_the_finer_unit_of_retention_wins(void **state)
{
    struct fixture *fixture = *state;
    load_file(fixture, "kafka { log.retention.hours: 2 }");
    assert_int_equal(fixture->settings.broker.log_retention_ms, 7200000);
    load_file(fixture, "kafka { log.retention.minutes: 3, log.retention.hours: 2 }");
    assert_int_equal(fixture->settings.broker.log_retention_ms, 180000);
    load_file(fixture, "kafka { log.retention.ms: 5, log.retention.minutes: 3 }");
    assert_int_equal(fixture->settings.broker.log_retention_ms, 5);
    load_file(fixture, "kafka { log.retention.hours: 2, log.retention.ms: 5 }");
    assert_int_equal(fixture->settings.broker.log_retention_ms, 5);
    load_file(fixture, "kafka { log.retention.hours: -1 }");
    assert_int_equal(fixture->settings.broker.log_retention_ms, -1);
}

static void test_values_outside_their_limits(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "kafka {\n num.partitions: 0 }",
                   "leat.conf:2:18: num.partitions lies between 1 and");
    assert_refused(fixture, "kafka { num.partitions: 3g }", "lies between 1 and 2147483647");
    assert_refused(fixture, "kafka { default.replication.factor: 3 }", "can only be 1");
    assert_refused(fixture, "kafka { num.partitions: many }", "is a number, not 'many'");
    assert_refused(fixture, "kafka { log.retention.ms: '7 d' }",
                   "a number of milliseconds or a text like \"7d\", not '7 d'");
    assert_refused(fixture, "kafka { log.retention.ms: true }", "a number of milliseconds");
    assert_refused(fixture, "kafka { log.retention.hours: 9223372036854775807 }", "lies between");
    assert_refused(fixture, "kafka { log.cleanup.policy: shred }",
                   "log.cleanup.policy can be delete|compact|compact,delete|delete,compact, not");
    assert_refused(fixture, "kafka { log.cleaner.min.cleanable.ratio: 1.5 }", "between 0 and 1");
    assert_refused(fixture, "kafka { log.cleaner.min.cleanable.ratio: half }", "is a number");
    assert_refused(fixture, "kafka { auto.create.topics.enable: 1 }", "is true or false");
    assert_refused(fixture, "kafka { compression.type: [a] }", "compression.type is a text");
    assert_refused(fixture, "kafka { log.dirs: '/a,/b' }", "one folder is expected");
    assert_refused(fixture, "kafka {\n  listen: [ab:1] }", "leat.conf:2:12: 'ab:1': the address");
    assert_refused(fixture, "kafka { listeners: SASL_SSL://:1 }", "only PLAINTEXT listeners");
    assert_refused(fixture, "kafka { advertised.listeners: 'a:1,b:2' }", "one advertised");
    assert_refused(fixture, "kafka { advertised.listeners: '0.0.0.0:1' }", "clients need a host");
    assert_refused(fixture, "kafka { group.min.session.timeout.ms: 2000000 }", "is greater than");
    assert_refused(fixture, "kafka { listen: [':1', none] }", "'none' stands alone");
    assert_refused(fixture, "memory: 3", "leat.conf:1:9: memory is a size");
    assert_refused(fixture, "data: [a]", "'data' is one value, not an array");
    assert_refused(fixture, "kafka: 1", "kafka is a map");
}

static void test_what_is_not_there_is_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "kafka {\n\tlog.cleaner.threads: 1\n}",
                   "leat.conf:2:2: Kafka's setting 'log.cleaner.threads' is not implemented");
    assert_refused(fixture, "kafka { nonsense: 1 }", "1:9: unknown field 'nonsense' in kafka");
    assert_refused(fixture, "jetstream {}", "1:1: nats-server's setting 'jetstream' is not");
    assert_refused(fixture, "\nnonsense: 1", "leat.conf:2:1: unknown field 'nonsense'");
    assert_refused(fixture, "n: 3\nkafka { num.partitions: 1 }", "unknown field 'n'");
}

/* Those of every single node's server.properties, for instance. */
static void test_what_leat_does_anyway_may_be_said(void **state)
{
    struct fixture *fixture = *state;
    load_file(fixture, "kafka { offsets.topic.replication.factor: 1\n"
                       "transaction.state.log.replication.factor = 1\n"
                       "transaction.state.log.min.isr: \"1\"\n"
                       "log.cleaner.enable: true\n"
                       "group.coordinator.rebalance.protocols: 'classic,consumer' }");
    assert_refused(fixture, "kafka { offsets.topic.replication.factor: 3 }",
                   "leat.conf:1:43: offsets.topic.replication.factor can only be 1: a single node");
    assert_refused(fixture, "kafka { log.cleaner.enable: false }", "can only be true: ");
    assert_refused(fixture, "kafka { log.preallocate: [a] }", "can only be false: ");
}

static void test_a_key_that_is_only_a_variable_is_fine(void **state)
{
    struct fixture *fixture = *state;
    load_file(fixture, "n: 3\nkafka { m: $n, num.partitions: $m }");
    assert_int_equal(fixture->settings.broker.num_partitions, 3);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->is_loaded)
        server_settings_deinit(&fixture->settings);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void the_log_level_is_a_word(void **state)
{
    struct fixture fixture = {.file = "log_level: debug"};
    assert_int_equal(load(&fixture, ""), ERR_OK);
    assert_int_equal(fixture.settings.log_level, LOG_INFO);
    assert_int_equal(load(&fixture, "-c leat.conf"), ERR_OK);
    assert_int_equal(fixture.settings.log_level, LOG_DEBUG);
    assert_int_equal(load(&fixture, "-c leat.conf --log-level warn"), ERR_OK);
    assert_int_equal(fixture.settings.log_level, LOG_WARN);
    assert_int_equal(load(&fixture, "--log-level loud"), ERR_INVALID);
    server_settings_deinit(&fixture.settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_command_line),
        TEST(test_the_command_line_goes_before_the_file),
        TEST(test_bad_options),
        TEST(test_kafka_names),
        TEST(test_the_finer_unit_of_retention_wins),
        TEST(test_values_outside_their_limits),
        TEST(test_what_is_not_there_is_refused_by_name),
        TEST(test_what_leat_does_anyway_may_be_said),
        TEST(test_a_key_that_is_only_a_variable_is_fine),
        cmocka_unit_test(the_log_level_is_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

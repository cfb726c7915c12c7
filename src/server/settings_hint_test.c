// Tests of the words for keys that are not taken.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_hint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct server_conf_pair named(const char *key)
{
    return (struct server_conf_pair){.key = slice_text(key),
                                     .place = {.file = "f", .line = 2, .column = 3}};
}

static void test_the_top_level(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"memroy", "f:2:3: unknown field 'memroy', did you mean 'memory'?"},
        {"max_paylod", "f:2:3: unknown field 'max_paylod', did you mean 'max_payload'?"},
        {"num.partitions", "f:2:3: unknown field 'num.partitions': Kafka's settings stand in a "
                           "block of their own, kafka { num.partitions: ... }"},
        {"kafka.listen", "f:2:3: unknown field 'kafka.listen': Kafka's settings stand in a block "
                         "of their own, kafka { listen: ... }"},
        {"num.io.threads", "f:2:3: unknown field 'num.io.threads': Kafka's settings stand in a "
                           "block of their own, kafka { num.io.threads: ... }"},
        {"colour", "f:2:3: unknown field 'colour'"},
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct diag diag = {""};
        struct server_conf_pair pair = named(expected[i][0]);
        assert_int_equal(server_settings_hint_top(&pair, &diag), ERR_INVALID);
        assert_string_equal(diag.text, expected[i][1]);
    }
}

static void test_the_block_kafka(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"num_partitions", "f:2:3: unknown field 'num_partitions' in kafka, did you mean "
                           "'num.partitions'?"},
        {"memory", "f:2:3: unknown field 'memory' in kafka: it stands outside of the block kafka"},
        {"colour", "f:2:3: unknown field 'colour' in kafka"},
        {"queued.max.requests",
         "f:2:3: Kafka's setting 'queued.max.requests' is not implemented in Leat"},
        {"process.roles", "f:2:3: Kafka's setting 'process.roles' is not implemented in Leat: "
                          "every leatd is broker and controller"},
        {"zookeeper.connection.timeout.ms",
         "f:2:3: Kafka's setting 'zookeeper.connection.timeout.ms' is not implemented in Leat: "
         "there is one node, and no ZooKeeper"},
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct diag diag = {""};
        struct server_conf_pair pair = named(expected[i][0]);
        assert_int_equal(server_settings_hint_kafka(&pair, &diag), ERR_INVALID);
        assert_string_equal(diag.text, expected[i][1]);
    }
}

/* Who brings a file of Kafka's need not try once for each line of it. */
static void test_those_further_down_are_named(void **state)
{
    (void)state;
    struct server_conf_pair pairs[10];
    struct diag diag = {""};
    pairs[0] = named("queued.max.requests");
    pairs[1] = named("num.partitions");
    for (size_t i = 2; i < COUNT_OF(pairs); i++)
        pairs[i] = named("broker.rack");
    for (size_t i = 0; i + 1 < COUNT_OF(pairs); i++)
        pairs[i].next = &pairs[i + 1];
    pairs[2].next = NULL;
    assert_int_equal(server_settings_hint_kafka(pairs, &diag), ERR_INVALID);
    assert_string_equal(diag.text, "f:2:3: Kafka's setting 'queued.max.requests' is not "
                                   "implemented in Leat; nor are, further down: broker.rack");
    pairs[2].next = &pairs[3];
    assert_int_equal(server_settings_hint_kafka(pairs, &diag), ERR_INVALID);
    assert_string_equal(diag.text,
                        "f:2:3: Kafka's setting 'queued.max.requests' is not implemented in Leat; "
                        "nor are, further down: broker.rack, broker.rack, broker.rack, "
                        "broker.rack, broker.rack, broker.rack and 2 more");
}

static void test_a_topic(void **state)
{
    (void)state;
    struct slice known[] = {SLICE_LITERAL("partitions"), SLICE_LITERAL("retention.ms")};
    struct diag diag = {""};
    struct server_conf_pair pair = named("partitons");
    struct slice topic = SLICE_LITERAL("orders");
    assert_int_equal(server_settings_hint_topic(&pair, topic, known, 2, &diag), ERR_INVALID);
    assert_string_equal(diag.text, "f:2:3: unknown field 'partitons' in topic 'orders', did you "
                                   "mean 'partitions'?");
    pair = named("colour");
    assert_int_equal(server_settings_hint_topic(&pair, topic, known, 2, &diag), ERR_INVALID);
    assert_string_equal(diag.text, "f:2:3: unknown field 'colour' in topic 'orders'");
}

/* Names from the file may be as long as the file. */
static void test_long_names(void **state)
{
    (void)state;
    static char long_name[5000];
    memset(long_name, 'a', sizeof(long_name) - 1);
    struct server_conf_pair pair = named(long_name);
    struct diag diag = {""};
    struct slice topic = slice_text(long_name);
    assert_int_equal(server_settings_hint_top(&pair, &diag), ERR_INVALID);
    assert_int_equal(strlen(diag.text), strlen("f:2:3: unknown field ''") + 64);
    assert_int_equal(server_settings_hint_kafka(&pair, &diag), ERR_INVALID);
    assert_int_equal(server_settings_hint_topic(&pair, topic, &topic, 1, &diag), ERR_INVALID);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_top_level),
        cmocka_unit_test(test_the_block_kafka),
        cmocka_unit_test(test_those_further_down_are_named),
        cmocka_unit_test(test_a_topic),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

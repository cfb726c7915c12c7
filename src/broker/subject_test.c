// Tests of the names of records and partitions as subjects.
// SPDX-License-Identifier: Apache-2.0
#include "broker/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/subject.h"
#include "record/build.h"

#define PREFIX SLICE_LITERAL("kafka")

static void assert_text(struct slice got, const char *expected)
{
    assert_int_equal(got.size, strlen(expected));
    assert_memory_equal(got.data, expected, got.size);
}

static void names_of_partitions(void **state)
{
    uint8_t out[BROKER_SUBJECT_VIEW_SIZE_MAX];
    assert_text(broker_subject_view(PREFIX, SLICE_LITERAL("t"), 0, out), "kafka.t.0");
    assert_text(broker_subject_view(PREFIX, SLICE_LITERAL("a.b_c-D"), 10, out),
                "kafka.a%2Eb_c-D.10");
    assert_text(broker_subject_view(SLICE_LITERAL("x"), SLICE_LITERAL("..."), -1, out),
                "x.%2E%2E%2E");
    assert_text(broker_subject_view(PREFIX, SLICE_LITERAL("t"), INT32_MAX, out),
                "kafka.t.2147483647");
}

static void longest_name_fits(void **state)
{
    char topic[249];
    char prefix[BROKER_SUBJECT_PREFIX_SIZE_MAX];
    uint8_t *out = malloc(BROKER_SUBJECT_VIEW_SIZE_MAX);
    uint8_t back[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice name;
    int32_t partition;
    memset(topic, '.', sizeof(topic));
    memset(prefix, 'p', sizeof(prefix));
    struct slice whole = slice_make(prefix, sizeof(prefix));
    assert_true(broker_subject_prefix_is_legal(whole));
    struct slice subject =
        broker_subject_view(whole, slice_make(topic, sizeof(topic)), INT32_MAX, out);
    assert_int_equal(subject.size, BROKER_SUBJECT_VIEW_SIZE_MAX);
    assert_int_equal(broker_subject_parse(whole, subject, back, &name, &partition),
                     BROKER_SUBJECT_PARTITION);
    assert_true(slice_equal(name, slice_make(topic, sizeof(topic))));
    assert_int_equal(partition, INT32_MAX);
    free(out);
}

static void names_are_read(void **state)
{
    static const struct {
        const char *subject;
        enum broker_subject_kind kind;
        const char *topic;
        int32_t partition;
    } CASES[] = {
        {"kafka", BROKER_SUBJECT_OTHER, NULL, 0},
        {"", BROKER_SUBJECT_OTHER, NULL, 0},
        {"kafkas.t", BROKER_SUBJECT_OTHER, NULL, 0},
        {"*.t.0", BROKER_SUBJECT_OTHER, NULL, 0},
        {">", BROKER_SUBJECT_OTHER, NULL, 0},
        {"Kafka.t", BROKER_SUBJECT_OTHER, NULL, 0},
        {"kafka.", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka..0", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.x", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.00", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.-1", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.-0", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.2147483648", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.0.0", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.*", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.*", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t.>", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.a%2e", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.a%2", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.a%41", BROKER_SUBJECT_NOTHING, NULL, 0},
        {"kafka.t", BROKER_SUBJECT_TOPIC, "t", 0},
        {"kafka.a%2Eb", BROKER_SUBJECT_TOPIC, "a.b", 0},
        {"kafka.t.0", BROKER_SUBJECT_PARTITION, "t", 0},
        {"kafka.a%2E.77", BROKER_SUBJECT_PARTITION, "a.", 77},
        {"kafka.t.2147483647", BROKER_SUBJECT_PARTITION, "t", INT32_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        uint8_t topic[BROKER_SUBJECT_VIEW_SIZE_MAX];
        struct slice name;
        int32_t partition = 0;
        enum broker_subject_kind kind =
            broker_subject_parse(PREFIX, slice_text(CASES[i].subject), topic, &name, &partition);
        assert_int_equal(kind, CASES[i].kind);
        if (CASES[i].topic)
            assert_text(name, CASES[i].topic);
        if (kind == BROKER_SUBJECT_PARTITION)
            assert_int_equal(partition, CASES[i].partition);
    }
}

static void a_wildcard_first_is_no_view(void **state)
{
    assert_true(broker_subject_is_view(PREFIX, SLICE_LITERAL("kafka.>")));
    assert_true(broker_subject_is_view(PREFIX, SLICE_LITERAL("kafka.*.0")));
    assert_true(broker_subject_is_view(PREFIX, SLICE_LITERAL("kafka.t.*")));
    assert_false(broker_subject_is_view(PREFIX, SLICE_LITERAL(">")));
    assert_false(broker_subject_is_view(PREFIX, SLICE_LITERAL("*.t.0")));
    assert_false(broker_subject_is_view(PREFIX, SLICE_LITERAL("*.*.*")));
    assert_false(broker_subject_is_view(PREFIX, SLICE_LITERAL("kafka")));
    assert_false(broker_subject_is_view(PREFIX, SLICE_LITERAL("kafkaa.t.0")));
}

static void prefixes(void **state)
{
    assert_true(broker_subject_prefix_is_legal(PREFIX));
    assert_true(broker_subject_prefix_is_legal(SLICE_LITERAL("$KAFKA")));
    assert_false(broker_subject_prefix_is_legal(SLICE_LITERAL("")));
    assert_false(broker_subject_prefix_is_legal(SLICE_LITERAL("a.b")));
    assert_false(broker_subject_prefix_is_legal(SLICE_LITERAL("*")));
    assert_false(broker_subject_prefix_is_legal(SLICE_LITERAL(">")));
    assert_false(broker_subject_prefix_is_legal(SLICE_LITERAL("a b")));
    assert_false(broker_subject_prefix_is_legal(SLICE_LITERAL("caf\xc3\xa9")));
}

/* --- the subject of a record ------------------------------------------------------------------ */

struct sample {
    struct codec_output batch;
    struct record record;
};

static void sample_init(struct sample *sample, struct slice key,
                        const struct record_header *headers, size_t count)
{
    struct build build;
    struct batch_header header;
    struct build_record record = {
        .timestamp_ms = 1, .key = key, .headers = headers, .header_count = count};
    codec_output_init(&sample->batch, 1 << 20);
    build_init(&build, 1 << 20);
    assert_int_equal(build_add(&build, &record), ERR_OK);
    assert_int_equal(build_finish(&build, &sample->batch), ERR_OK);
    build_deinit(&build);
    struct slice bytes = slice_make(sample->batch.data, sample->batch.size);
    assert_int_equal(batch_check(bytes, &header), ERR_OK);
    struct slice rest = slice_make(bytes.data + BATCH_HEADER_SIZE, bytes.size - BATCH_HEADER_SIZE);
    assert_int_equal(record_next(&rest, &sample->record), ERR_OK);
}

static void assert_subject(struct slice key, struct slice named, const char *expected)
{
    const struct slice bound[] = {SLICE_LITERAL("orders.*"), SLICE_LITERAL("audit.>")};
    const struct record_header headers[] = {
        {SLICE_LITERAL("other"), SLICE_LITERAL("orders.zzz")},
        {SLICE_LITERAL(BROKER_SUBJECT_HEADER), named},
        {SLICE_LITERAL(BROKER_SUBJECT_HEADER), SLICE_LITERAL("orders.second")},
    };
    struct broker_subject_place place = {PREFIX, SLICE_LITERAL("a.b"), 3, bound, COUNT_OF(bound)};
    uint8_t scratch[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct sample sample;
    sample_init(&sample, key, headers, named.size > 0 ? 3 : 1);
    assert_text(broker_subject_of(&place, &sample.record, scratch), expected);
    codec_output_deinit(&sample.batch);
}

static void subject_of_is_total(void **state)
{
    assert_subject(SLICE_NULL, SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL(""), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("user-1"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("orders.7"), SLICE_NULL, "orders.7");
    assert_subject(SLICE_LITERAL("audit.x.y"), SLICE_NULL, "audit.x.y");
    assert_subject(SLICE_LITERAL("orders.7.8"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("orders.*"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("audit.>"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("audit..x"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("audit.a b"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("audit.a\r\nPUB"), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(slice_make("audit.\0", 7), SLICE_NULL, "kafka.a%2Eb.3");
    assert_subject(SLICE_LITERAL("key"), SLICE_LITERAL("orders.9"), "orders.9");
    assert_subject(SLICE_LITERAL("orders.7"), SLICE_LITERAL("orders.9"), "orders.9");
    assert_subject(SLICE_LITERAL("orders.7"), SLICE_LITERAL("foreign.9"), "orders.7");
    assert_subject(SLICE_LITERAL("key"), SLICE_LITERAL("orders.*"), "kafka.a%2Eb.3");
}

static void reserved_subjects_are_never_bound(void **state)
{
    const struct slice bound[] = {SLICE_LITERAL(">")};
    struct broker_subject_place place = {PREFIX, SLICE_LITERAL("t"), 0, bound, 1};
    static const char *const NOT[] = {"kafka.t.0", "kafka.x", "$JS.API.x", "$SYS.a", "_INBOX.1"};
    assert_true(broker_subject_is_bound(&place, SLICE_LITERAL("kafkas.t")));
    assert_true(broker_subject_is_bound(&place, SLICE_LITERAL("$KV.a")));
    for (size_t i = 0; i < COUNT_OF(NOT); i++)
        assert_false(broker_subject_is_bound(&place, slice_text(NOT[i])));
    place.prefix = SLICE_NULL;
    assert_true(broker_subject_is_bound(&place, SLICE_LITERAL("kafka.t.0")));
}

static void long_keys_are_no_subjects(void **state)
{
    char key[BROKER_SUBJECT_SIZE_MAX + 1];
    memset(key, 'x', sizeof(key));
    memcpy(key, "audit.", 6);
    assert_subject(slice_make(key, sizeof(key)), SLICE_NULL, "kafka.a%2Eb.3");
    char text[sizeof(key)];
    memcpy(text, key, sizeof(key));
    text[sizeof(text) - 1] = 0;
    assert_subject(slice_make(key, sizeof(key) - 1), SLICE_NULL, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_partitions),
        cmocka_unit_test(longest_name_fits),
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(a_wildcard_first_is_no_view),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(subject_of_is_total),
        cmocka_unit_test(reserved_subjects_are_never_bound),
        cmocka_unit_test(long_keys_are_no_subjects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

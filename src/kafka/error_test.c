// Tests of error codes and of names of topics.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kafka/topic.h"

static void every_error_of_ours_has_a_code(void **state)
{
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        int16_t code = kafka_error_of((enum err)i);
        if (i == ERR_OK || i == ERR_DUPLICATE)
            assert_int_equal(code, KAFKA_NONE);
        else
            assert_true(code > 0);
    }
    assert_int_equal(kafka_error_of((enum err)ERR_COUNT), KAFKA_UNKNOWN_SERVER_ERROR);
}

static void codes_are_distinct(void **state)
{
    static const int codes[] = {
#define KAFKA_ERROR(name, code) code,
#include "kafka/error.def"
#undef KAFKA_ERROR
    };
    assert_string_equal(kafka_error_name(KAFKA_NONE), "NONE");
    assert_string_equal(kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    assert_null(kafka_error_name(-2));
    assert_null(kafka_error_name(KAFKA_ERROR_CODE_MAX + 1));
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        assert_non_null(kafka_error_name((int16_t)codes[i]));
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(codes[i], codes[j]);
}

static void an_error_means_what_it_is_about(void **state)
{
    assert_int_equal(kafka_error_of(ERR_FENCED), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(kafka_error_of_read(ERR_FENCED), KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(kafka_error_of_read(ERR_OUT_OF_RANGE), KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(kafka_error_of_append(ERR_INVALID), KAFKA_INVALID_RECORD);
    assert_int_equal(kafka_error_of_append(ERR_SEQUENCE), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(kafka_error_of_append(ERR_DISK_FULL), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(kafka_error_of_change(ERR_INVALID), KAFKA_INVALID_CONFIG);
    assert_int_equal(kafka_error_of_change(ERR_OK), KAFKA_NONE);
}

static void names_of_topics_follow_the_rules(void **state)
{
    static const char *const good[] = {"a", "A-Z_0.9", "...", "__x"};
    static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4"};
    uint8_t longest[KAFKA_TOPIC_NAME_SIZE_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_null(kafka_topic_name_fault(slice_text(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_non_null(kafka_topic_name_fault(slice_text(bad[i])));
    assert_null(kafka_topic_name_fault(slice_make(longest, KAFKA_TOPIC_NAME_SIZE_MAX)));
    assert_non_null(kafka_topic_name_fault(slice_make(longest, sizeof(longest))));
    assert_true(kafka_topic_name_is_internal(SLICE_LITERAL("__consumer_offsets")));
    assert_false(kafka_topic_name_is_internal(SLICE_LITERAL("__consumer_offsets2")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_of_ours_has_a_code),
        cmocka_unit_test(codes_are_distinct),
        cmocka_unit_test(an_error_means_what_it_is_about),
        cmocka_unit_test(names_of_topics_follow_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

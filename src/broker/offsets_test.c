// The records of __consumer_offsets against bytes laid out by hand.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/offsets.h"

#define BYTES(...)                                                                                 \
    slice_make((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t no_random(struct group_env *env)
{
    return 1;
}

static void assert_bytes(const struct codec_output *out, struct slice expected)
{
    assert_int_equal(out->size, expected.size);
    assert_memory_equal(out->data, expected.data, expected.size);
}

static void keys(void **state)
{
    struct codec_output out;
    codec_output_init(&out, 1 << 20);
    struct offsets_key key = {
        .group = SLICE_LITERAL("gr"), .topic = SLICE_LITERAL("t"), .partition = 258};
    assert_int_equal(broker_offsets_key_write(&out, &key), ERR_OK);
    assert_bytes(&out, BYTES(0, 1, 0, 2, 'g', 'r', 0, 1, 't', 0, 0, 1, 2));
    struct offsets_key back;
    assert_int_equal(broker_offsets_key_read(slice_make(out.data, out.size), &back), ERR_OK);
    assert_false(back.is_group);
    assert_true(slice_equal_text(back.topic, "t"));
    assert_int_equal(back.partition, 258);
    for (size_t size = 0; size < out.size; size++)
        assert_int_equal(broker_offsets_key_read(slice_make(out.data, size), &back), ERR_TRUNCATED);
    out.size = 0;
    key = (struct offsets_key){.is_group = true, .group = SLICE_LITERAL("gr")};
    assert_int_equal(broker_offsets_key_write(&out, &key), ERR_OK);
    assert_bytes(&out, BYTES(0, 2, 0, 2, 'g', 'r'));
    assert_int_equal(broker_offsets_key_read(BYTES(0, 3, 0, 1, 'g'), &back), ERR_UNSUPPORTED);
    codec_output_deinit(&out);
}

static void values(void **state)
{
    struct codec_output out;
    codec_output_init(&out, 1 << 20);
    struct offsets_value value = {.offset = 5,
                                  .leader_epoch = -1,
                                  .metadata = SLICE_LITERAL("m"),
                                  .commit_ms = 256,
                                  .expire_ms = -1};
    assert_int_equal(broker_offsets_value_write(&out, &value), ERR_OK);
    assert_bytes(&out, BYTES(0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 255, 255, 255, 255, 2, 'm', 0, 0, 0, 0,
                             0, 0, 1, 0, 0));
    out.size = 0;
    value.expire_ms = 512;
    assert_int_equal(broker_offsets_value_write(&out, &value), ERR_OK);
    assert_bytes(&out, BYTES(0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 'm', 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
                             0, 0, 0, 0, 2, 0));
    struct offsets_value back;
    assert_int_equal(broker_offsets_value_read(slice_make(out.data, out.size), &back), ERR_OK);
    assert_int_equal(back.offset, 5);
    assert_int_equal(back.leader_epoch, -1);
    assert_int_equal(back.expire_ms, 512);
    codec_output_deinit(&out);
}

/* The topic's id comes as a tag; what older versions say is read as well. */
static void values_of_a_topic(void **state)
{
    struct codec_output out;
    struct offsets_value back;
    codec_output_init(&out, 1 << 20);
    struct offsets_value value = {.offset = 5,
                                  .leader_epoch = 7,
                                  .metadata = SLICE_LITERAL(""),
                                  .commit_ms = 256,
                                  .expire_ms = -1};
    memset(value.topic_id.bytes, 9, sizeof(value.topic_id.bytes));
    assert_int_equal(broker_offsets_value_write(&out, &value), ERR_OK);
    assert_bytes(&out, BYTES(0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1,
                             0, 16, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9));
    assert_int_equal(broker_offsets_value_read(slice_make(out.data, out.size), &back), ERR_OK);
    assert_true(uuid_equal(&back.topic_id, &value.topic_id));
    assert_int_equal(back.leader_epoch, 7);
    codec_output_deinit(&out);
    struct slice older =
        BYTES(0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7, 0, 1, 'm', 0, 0, 0, 0, 0, 0, 1, 0);
    assert_int_equal(broker_offsets_value_read(older, &back), ERR_OK);
    assert_int_equal(back.leader_epoch, 7);
    assert_int_equal(back.commit_ms, 256);
    assert_true(slice_equal_text(back.metadata, "m") && uuid_is_zero(&back.topic_id));
}

/* One member of generation 3, its leader, static, protocol "range". */
static const uint8_t group_bytes[] = {
    0,   3,   0,   8,   'c', 'o', 'n', 's', 'u', 'm', 'e', 'r', 0, 0,   0,   3,   0,  5, 'r',
    'a', 'n', 'g', 'e', 0,   2,   'm', '1', 0,   0,   0,   0,   0, 0,   1,   0,   0,  0, 0,
    1,   0,   2,   'm', '1', 0,   1,   'i', 0,   1,   'c', 0,   2, '/', 'h', 0,   0,  0, 9,
    0,   0,   0,   8,   0,   0,   0,   2,   's', 'u', 0,   0,   0, 3,   'a', 's', 's'};

static void groups(void **state)
{
    struct offsets_group stored;
    struct group_restored member;
    struct group_env env = {.random = no_random};
    struct group group;
    assert_int_equal(broker_group_classic_init(&group, &env, SLICE_LITERAL("g")), ERR_OK);
    assert_int_equal(
        broker_offsets_group_read(slice_make(group_bytes, sizeof(group_bytes)), &stored), ERR_OK);
    assert_int_equal(stored.generation, 3);
    assert_int_equal(stored.state_since_ms, 256);
    assert_int_equal(stored.member_count, 1);
    assert_int_equal(broker_offsets_member_read(&stored, &member), ERR_OK);
    assert_true(member.leader);
    assert_true(slice_equal_text(member.instance_id, "i"));
    assert_int_equal(member.rebalance_timeout_ms, 9);
    assert_int_equal(member.session_timeout_ms, 8);
    assert_true(slice_equal_text(member.assignment, "ass"));
    assert_int_equal(stored.members.size, 0);
    /* and out again, byte for byte */
    assert_int_equal(broker_group_member_own(&group, &group.protocol_type, stored.protocol_type),
                     ERR_OK);
    assert_int_equal(broker_group_member_own(&group, &group.protocol_name, stored.protocol),
                     ERR_OK);
    assert_int_equal(broker_group_classic_restore(&group, &member), ERR_OK);
    group.generation = stored.generation;
    group.state_since_ms = stored.state_since_ms;
    struct codec_output out;
    codec_output_init(&out, 1 << 20);
    assert_int_equal(broker_offsets_group_write(&out, &group, false), ERR_OK);
    assert_bytes(&out, slice_make(group_bytes, sizeof(group_bytes)));
    codec_output_deinit(&out);
    group.state = GROUP_STABLE;
    broker_group_classic_kill(&group, ERR_CLOSED);
    broker_group_classic_deinit(&group);
}

static void a_count_is_not_believed(void **state)
{
    struct offsets_group stored;
    assert_int_equal(broker_offsets_group_read(BYTES(0, 3, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 0,
                                                     0, 0, 0, 0, 0, 0, 0, 127, 255, 255, 255),
                                               &stored),
                     ERR_CORRUPT);
}

static void subscriptions(void **state)
{
    bool known;
    struct slice bytes = BYTES(0, 1, 0, 0, 0, 2, 0, 1, 'a', 0, 2, 'b', 'c', 9, 9);
    assert_true(broker_offsets_subscription_has(bytes, SLICE_LITERAL("bc"), &known));
    assert_true(known);
    assert_false(broker_offsets_subscription_has(bytes, SLICE_LITERAL("b"), &known));
    assert_true(known);
    bytes.size = 10;
    assert_false(broker_offsets_subscription_has(bytes, SLICE_LITERAL("a"), &known));
    assert_false(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(values),
        cmocka_unit_test(values_of_a_topic),
        cmocka_unit_test(groups),
        cmocka_unit_test(a_count_is_not_believed),
        cmocka_unit_test(subscriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

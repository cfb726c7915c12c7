// Feeds arbitrary bytes to the readers of __consumer_offsets records.
// SPDX-License-Identifier: Apache-2.0
#include "broker/offsets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_group(struct slice bytes)
{
    struct offsets_group group;
    struct group_restored member;
    if (broker_offsets_group_read(bytes, &group) != ERR_OK)
        return;
    for (int32_t i = 0; i < group.member_count; i++)
        if (broker_offsets_member_read(&group, &member) != ERR_OK)
            return;
}

/* What can be read is written so that the same is read again. */
static void fuzz_value(struct slice bytes)
{
    struct offsets_value value;
    struct offsets_value back;
    if (broker_offsets_value_read(bytes, &value) != ERR_OK)
        return;
    struct codec_output out;
    codec_output_init(&out, 1 << 20);
    bool is_lost = value.expire_ms != -1; /* an expiry leaves no room for epoch and topic */
    enum err err = broker_offsets_value_write(&out, &value);
    CHECK(err == ERR_OK || (is_lost && value.metadata.size > OFFSETS_STRING_SIZE_MAX));
    if (err == ERR_OK) {
        CHECK(broker_offsets_value_read(slice_make(out.data, out.size), &back) == ERR_OK);
        CHECK(back.offset == value.offset && back.commit_ms == value.commit_ms);
        CHECK(back.expire_ms == value.expire_ms && slice_equal(back.metadata, value.metadata));
        CHECK(is_lost || (back.leader_epoch == value.leader_epoch &&
                          uuid_equal(&back.topic_id, &value.topic_id)));
    }
    codec_output_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);
    struct offsets_key key;
    bool known;
    if (broker_offsets_key_read(bytes, &key) == ERR_OK)
        CHECK(key.group.size <= size && key.topic.size <= size);
    fuzz_value(bytes);
    fuzz_group(bytes);
    broker_offsets_subscription_has(bytes, SLICE_LITERAL("t"), &known);
    return 0;
}

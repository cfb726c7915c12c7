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

/* What can be read as the newest version is written as the same bytes. */
static void fuzz_value(struct slice bytes)
{
    struct offsets_value value;
    if (broker_offsets_value_read(bytes, &value) != ERR_OK || bytes.data[1] != 3)
        return;
    struct codec_output out;
    codec_output_init(&out, 1 << 20);
    CHECK(broker_offsets_value_write(&out, &value) == ERR_OK);
    CHECK(out.size <= bytes.size && memcmp(out.data, bytes.data, out.size) == 0);
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

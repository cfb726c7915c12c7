// The rules of topic names.
// SPDX-License-Identifier: Apache-2.0
#include "kafka/topic.h"

const char *kafka_topic_name_fault(struct slice name)
{
    if (name.size == 0)
        return "Topic name is invalid: the empty string is not allowed";
    if (slice_equal_text(name, ".") || slice_equal_text(name, ".."))
        return "Topic name is invalid: '.' and '..' are not allowed";
    if (name.size > KAFKA_TOPIC_NAME_SIZE_MAX)
        return "Topic name is invalid: the length is longer than the max allowed length 249";
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!plain && c != '.' && c != '_' && c != '-')
            return "Topic name is invalid: it contains one or more characters other than ASCII "
                   "alphanumerics, '.', '_' and '-'";
    }
    return NULL;
}

bool kafka_topic_name_is_internal(struct slice name)
{
    return slice_equal_text(name, "__consumer_offsets") ||
           slice_equal_text(name, "__transaction_state") ||
           slice_equal_text(name, "__share_group_state") ||
           slice_equal_text(name, "__cluster_metadata");
}

struct slice kafka_topic_words(struct kafka_request *request, const struct diag *diag)
{
    return diag->text[0] ? arena_copy(&request->arena, slice_text(diag->text)) : SLICE_NULL;
}

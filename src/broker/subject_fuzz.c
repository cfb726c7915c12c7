// Fuzz target of the names of partitions: what is read is written the same.
// SPDX-License-Identifier: Apache-2.0
#include "broker/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t topic[BROKER_SUBJECT_VIEW_SIZE_MAX];
    uint8_t again[BROKER_SUBJECT_VIEW_SIZE_MAX];
    struct slice prefix = SLICE_LITERAL("kafka");
    struct slice subject = slice_make(data, size);
    struct slice name;
    int32_t partition = -1;
    enum broker_subject_kind kind = broker_subject_parse(prefix, subject, topic, &name, &partition);
    CHECK((kind == BROKER_SUBJECT_OTHER) == !broker_subject_is_view(prefix, subject));
    if (kind == BROKER_SUBJECT_TOPIC)
        partition = -1;
    if (kind == BROKER_SUBJECT_TOPIC || kind == BROKER_SUBJECT_PARTITION)
        CHECK(slice_equal(broker_subject_view(prefix, name, partition, again), subject));
    return 0;
}

// Fuzzes the readers of __transaction_state; what they take must come back the same when written.
// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>

#include "broker/transaction_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err part_add(void *arg, struct slice topic, int32_t partition)
{
    return broker_transaction_part_get(arg, topic, partition) ? ERR_OK : ERR_NO_MEMORY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice id;
    struct transaction one, two;
    struct codec_output out;
    struct budget budget;
    budget_init(&budget, SIZE_MAX / 2);
    if (broker_transaction_record_read_key(slice_make(data, size), &id) == ERR_OK)
        CHECK(id.size <= TRANSACTION_ID_SIZE_MAX);
    CHECK(broker_transaction_state_init(&one, slice_text("a"), &budget, 1) == ERR_OK);
    CHECK(broker_transaction_state_init(&two, slice_text("b"), &budget, 2) == ERR_OK);
    codec_output_init(&out, SIZE_MAX / 2);
    if (broker_transaction_record_read_value(slice_make(data, size), &one.next, part_add, &one) ==
        ERR_OK) {
        CHECK(broker_transaction_record_value(&out, &one, true) == ERR_OK);
        CHECK(broker_transaction_record_read_value(slice_make(out.data, out.size), &two.next,
                                                   part_add, &two) == ERR_OK);
        CHECK(two.next.producer_id == one.next.producer_id && two.next.epoch == one.next.epoch);
        CHECK(two.next.state == one.next.state && two.next.version == one.next.version);
        CHECK(two.next.start_ms == one.next.start_ms);
        CHECK(two.next.producer_id_next == one.next.producer_id_next);
        CHECK(one.next.state == TRANSACTION_EMPTY || two.by_key.count == one.by_key.count);
    }
    codec_output_deinit(&out);
    broker_transaction_state_deinit(&one);
    broker_transaction_state_deinit(&two);
    return 0;
}

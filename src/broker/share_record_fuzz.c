// Fuzzes the records of share groups' state: a key, or a value that comes back when written.
// SPDX-License-Identifier: Apache-2.0
#include "broker/share_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cursor_limits limits = {.window_max = 2000, .count_max = 5};

static void value_again(const struct share_cursor *cursor, struct budget *budget)
{
    struct codec_output out;
    struct share_cursor back = {0};
    codec_output_init(&out, (size_t)1 << 24);
    if (broker_share_record_value(&out, cursor, 1) == ERR_OK) {
        broker_cursor_init(&back.cursor, budget, 0, &limits);
        CHECK(broker_share_record_read_value(slice_make(out.data, out.size), &back) == ERR_OK);
        CHECK(back.cursor.start == cursor->cursor.start && back.cursor.end == cursor->cursor.end);
        broker_cursor_deinit(&back.cursor);
    }
    codec_output_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct share_record_key key;
    struct budget budget;
    struct share_cursor cursor = {0};
    struct slice bytes = slice_make(data, size);
    budget_init(&budget, (size_t)1 << 24);
    if (broker_share_record_read_key(bytes, &key) == ERR_OK)
        CHECK(key.group_id.size < size);
    broker_cursor_init(&cursor.cursor, &budget, 0, &limits);
    if (broker_share_record_read_value(bytes, &cursor) == ERR_OK)
        value_again(&cursor, &budget);
    broker_cursor_deinit(&cursor.cursor);
    return 0;
}

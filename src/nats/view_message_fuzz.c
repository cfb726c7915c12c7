// Fuzz target of published messages: what is read as a record is written and read the same.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "nats/view_message.h"
#include "wire/nats_headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(struct slice a, struct slice b)
{
    return !a.data == !b.data && slice_equal(a, b);
}

static void check_same(const struct build_record *a, const struct build_record *b)
{
    CHECK(a->timestamp_ms == b->timestamp_ms && is_same(a->key, b->key));
    CHECK(is_same(a->value, b->value) && a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++)
        CHECK(slice_equal(a->headers[i].key, b->headers[i].key) &&
              is_same(a->headers[i].value, b->headers[i].value));
}

/* Demands in a record are data, but not in what is published. */
static bool has_demand(const struct build_record *record)
{
    for (size_t i = 0; i < record->header_count; i++)
        if (record->headers[i].key.size > 5 && memcmp(record->headers[i].key.data, "Nats-", 5) == 0)
            return true;
    return false;
}

static void check_round(const struct build_record *record)
{
    struct build build;
    struct codec_output batch;
    struct record stored;
    struct arena arena;
    struct build_record again;
    struct nats_view_message message;
    arena_init(&arena, 1 << 24);
    codec_output_init(&batch, 1 << 24);
    build_init(&build, 1 << 24);
    CHECK(build_add(&build, record) == ERR_OK && build_finish(&build, &batch) == ERR_OK);
    struct slice rest = slice_make(batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
    CHECK(record_next(&rest, &stored) == ERR_OK);
    struct nats_view_record view = {
        .offset = 7, .timestamp_ms = record->timestamp_ms, .record = &stored, .size_max = 1 << 24};
    nats_view_message_measure(&view, &message);
    CHECK(message.has_all && message.has_value);
    uint8_t *bytes = malloc(message.size + 2);
    CHECK(bytes);
    nats_view_message_write(&view, &message, bytes);
    struct slice block = slice_make(bytes, message.header_size);
    struct slice value = slice_make(bytes + block.size, message.size - block.size);
    CHECK(wire_nats_headers_check(block) == ERR_OK);
    if (!has_demand(record)) {
        CHECK(nats_view_read_message(
                  &(struct nats_view_published){.block = block, .payload = value, .time_ms = 1},
                  &arena, &again, NULL) == ERR_OK);
        check_same(record, &again);
    }
    free(bytes);
    build_deinit(&build);
    codec_output_deinit(&batch);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct build_record record;
    size_t split = size > 0 ? data[0] : 0;
    if (size == 0 || split > size - 1)
        return 0;
    arena_init(&arena, 1 << 24);
    struct slice block = slice_make(data + 1, size - 1 - split);
    struct slice payload = slice_make(data + size - split, split);
    if (nats_view_read_message(
            &(struct nats_view_published){.block = block, .payload = payload, .time_ms = 5}, &arena,
            &record, NULL) == ERR_OK)
        check_round(&record);
    arena_deinit(&arena);
    return 0;
}

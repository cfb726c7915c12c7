// Fuzzes the batch header, its checks, and the walk over records and their headers.
// SPDX-License-Identifier: Apache-2.0
#include "record/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct slice part, struct slice whole)
{
    return part.data == NULL || (part.data >= whole.data && part.size <= whole.size &&
                                 part.data + part.size <= whole.data + whole.size);
}

static void walk_headers(const struct record *record)
{
    struct slice cursor = record->headers;
    struct record_header header;
    int32_t count = 0;
    enum err err;
    while ((err = record_headers_next(&cursor, &header)) == ERR_OK) {
        CHECK(header.key.data && inside(header.key, record->headers));
        CHECK(inside(header.value, record->headers));
        count++;
    }
    CHECK(err == ERR_NOT_FOUND);
    CHECK(count == record->header_count);
}

static void walk(struct slice records)
{
    struct slice cursor = records;
    struct record record;
    enum err err;
    while ((err = record_next(&cursor, &record)) == ERR_OK) {
        CHECK(record.whole.size >= RECORD_SIZE_MIN && inside(record.whole, records));
        CHECK(record.whole.data + record.whole.size == cursor.data);
        CHECK(inside(record.key, record.whole) && inside(record.value, record.whole));
        walk_headers(&record);
    }
    CHECK(err == ERR_NOT_FOUND ? cursor.size == 0 : err == ERR_CORRUPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);
    struct batch_header header;
    struct diag diag;
    walk(bytes);
    /* Headers as they come, without record_next's check before them. */
    struct slice headers = bytes;
    struct record_header record_header;
    while (record_headers_next(&headers, &record_header) == ERR_OK)
        CHECK(inside(record_header.value, bytes));
    enum err err = batch_header_read(bytes, &header);
    CHECK(err == ERR_OK || err == ERR_CORRUPT ||
          (err == ERR_TRUNCATED && size < BATCH_HEADER_SIZE));
    if (err != ERR_OK)
        return 0;
    CHECK(header.size >= BATCH_HEADER_SIZE && header.record_count >= 0);
    CHECK(batch_last_offset(&header) >= header.base_offset);
    bool produced = batch_check_produced(&header, &diag) == ERR_OK;
    struct slice records = slice_make(data + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE);
    walk(records);
    if (batch_check_records(&header, records) == ERR_OK && produced)
        CHECK(header.record_count == header.last_offset_delta + 1);
    if (batch_check(bytes, &header) == ERR_OK)
        CHECK(header.size <= size);
    return 0;
}

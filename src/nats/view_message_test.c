// Tests of records as messages of the partition view, and back.
// SPDX-License-Identifier: Apache-2.0
#include "nats/view_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "nats/view_base64.h"
#include "wire/nats_headers.h"

#define T(text) SLICE_LITERAL(text)

/* A record as a batch holds it. */
struct stored {
    struct codec_output batch;
    struct record record;
};

static void stored_init(struct stored *stored, const struct build_record *record)
{
    struct build build;
    codec_output_init(&stored->batch, 1 << 20);
    build_init(&build, 1 << 20);
    assert_int_equal(build_add(&build, record), ERR_OK);
    assert_int_equal(build_finish(&build, &stored->batch), ERR_OK);
    build_deinit(&build);
    struct slice rest =
        slice_make(stored->batch.data + BATCH_HEADER_SIZE, stored->batch.size - BATCH_HEADER_SIZE);
    assert_int_equal(record_next(&rest, &stored->record), ERR_OK);
}

/* The message on the heap, exactly as long as it may be; free it. */
static uint8_t *write_message(const struct build_record *record, size_t size_max,
                              struct nats_view_message *out)
{
    struct stored stored;
    stored_init(&stored, record);
    struct nats_view_record view = {.offset = 42,
                                    .timestamp_ms = record->timestamp_ms,
                                    .record = &stored.record,
                                    .size_max = size_max};
    nats_view_message_measure(&view, out);
    uint8_t *bytes = malloc(out->size + 2);
    assert_non_null(bytes);
    nats_view_message_write(&view, out, bytes);
    assert_int_equal(wire_nats_headers_check(slice_make(bytes, out->header_size)), ERR_OK);
    codec_output_deinit(&stored.batch);
    return bytes;
}

static void assert_message(const struct build_record *record, size_t size_max, const char *expected)
{
    struct nats_view_message message;
    uint8_t *bytes = write_message(record, size_max, &message);
    assert_int_equal(message.size + 2, strlen(expected));
    assert_memory_equal(bytes, expected, message.size + 2);
    free(bytes);
}

#define HEAD "NATS/1.0\r\nLeat-Offset: 42\r\nLeat-Timestamp: 7\r\n"

static void keys_and_values(void **state)
{
    struct build_record record = {.timestamp_ms = 7, .value = T("value")};
    assert_message(&record, 1000, HEAD "\r\nvalue\r\n");
    record.key = T("user 1");
    assert_message(&record, 1000, HEAD "Leat-Key: user 1\r\n\r\nvalue\r\n");
    record.key = T("");
    record.value = T("");
    assert_message(&record, 1000, HEAD "Leat-Key: \r\n\r\n\r\n");
    record.key = T(" a");
    assert_message(&record, 1000, HEAD "Leat-Key-Base64: IGE=\r\n\r\n\r\n");
    record.key = T("a ");
    assert_message(&record, 1000, HEAD "Leat-Key-Base64: YSA=\r\n\r\n\r\n");
    record.key = T("\xc3\xa9");
    record.value = SLICE_NULL;
    assert_message(&record, 1000, HEAD "Leat-Key-Base64: w6k=\r\nLeat-Value: null\r\n\r\n\r\n");
    record.key = T("a\r\nX: y");
    assert_message(&record, 1000,
                   HEAD "Leat-Key-Base64: YQ0KWDogeQ==\r\nLeat-Value: null\r\n\r\n\r\n");
}

static void headers_in_order(void **state)
{
    const struct record_header headers[] = {
        {T("a"), T("1")},
        {T("a"), T("2")},
        {T("a"), SLICE_NULL},
        {T("a b"), T("x")},
        {T(""), T("")},
        {T("Leat-Offset"), T("9")},
        {T("leat-key"), T("k")},
        {T("Leat-Subject"), T("orders.1")},
        {T("Leat"), T("is no prefix")},
        {T("Nats-Msg-Id"), T("inert")},
        {T("v"), T(" x")},
        {T("v"), T("x\t")},
        {T("v"), T("a\nb")},
        {T("v"), T("\xff")},
        {T("v"), T("caf\xc3\xa9")},
        {T("v"), T("\xc2\xa0x")},
        {T("v"), T("")},
    };
    struct build_record record = {
        .timestamp_ms = 7, .value = T("v"), .headers = headers, .header_count = COUNT_OF(headers)};
    assert_message(&record, 1000,
                   HEAD "a: 1\r\na: 2\r\nLeat-Header: YQ==:-\r\nLeat-Header: YSBi:eA==\r\n"
                        "Leat-Header: :\r\nLeat-Header: TGVhdC1PZmZzZXQ=:OQ==\r\n"
                        "Leat-Header: bGVhdC1rZXk=:aw==\r\nLeat-Subject: orders.1\r\n"
                        "Leat: is no prefix\r\nNats-Msg-Id: inert\r\nLeat-Header: dg==:IHg=\r\n"
                        "Leat-Header: dg==:eAk=\r\nLeat-Header: dg==:YQpi\r\n"
                        "Leat-Header: dg==:/w==\r\nv: caf\xc3\xa9\r\nLeat-Header: dg==:wqB4\r\n"
                        "v: \r\n\r\nv\r\n");
}

static void too_large(void **state)
{
    const struct record_header headers[] = {{T("a"), T("1")}};
    struct build_record record = {.timestamp_ms = -1,
                                  .key = T("k"),
                                  .value = T("0123456789012345678901234567890123456789"),
                                  .headers = headers,
                                  .header_count = 1};
    static const char WHOLE[] = "NATS/1.0\r\nLeat-Offset: 42\r\nLeat-Timestamp: -1\r\nLeat-Key: k"
                                "\r\na: 1\r\n\r\n0123456789012345678901234567890123456789\r\n";
    static const char LESS[] = "NATS/1.0\r\nLeat-Offset: 42\r\nLeat-Timestamp: -1\r\nLeat-Key: k"
                               "\r\nLeat-Size: 40\r\na: 1\r\n\r\n\r\n";
    static const char LEAST[] = "NATS/1.0\r\nLeat-Offset: 42\r\nLeat-Timestamp: -1\r\n"
                                "Leat-Size: 40\r\n\r\n\r\n";
    assert_message(&record, strlen(WHOLE) - 2, WHOLE);
    assert_message(&record, strlen(WHOLE) - 3, LESS);
    assert_message(&record, strlen(LESS) - 2, LESS);
    assert_message(&record, strlen(LESS) - 3, LEAST);
    assert_message(&record, 1, LEAST);
}

/* --- published -------------------------------------------------------------------------------- */

struct reading {
    struct arena arena;
    struct build_record record;
    struct diag diag;
};

static enum err read_message(struct reading *reading, struct slice block, struct slice payload)
{
    arena_init(&reading->arena, 1 << 20);
    struct nats_view_published published = {.block = block, .payload = payload, .time_ms = 1000};
    return nats_view_read_message(&published, &reading->arena, &reading->record, &reading->diag);
}

static void assert_same(struct slice a, struct slice b)
{
    assert_int_equal(a.data == NULL, b.data == NULL);
    assert_true(slice_equal(a, b));
}

static void assert_same_record(const struct build_record *a, const struct build_record *b)
{
    assert_int_equal(a->timestamp_ms, b->timestamp_ms);
    assert_same(a->key, b->key);
    assert_same(a->value, b->value);
    assert_int_equal(a->header_count, b->header_count);
    for (size_t i = 0; i < a->header_count; i++) {
        assert_true(slice_equal(a->headers[i].key, b->headers[i].key));
        assert_same(a->headers[i].value, b->headers[i].value);
    }
}

static void what_is_seen_can_be_published(void **state)
{
    const struct record_header headers[] = {
        {T("a"), T("1")},
        {T("a"), SLICE_NULL},
        {T("\xff b"), T("\0\1")},
        {T("Leat-Size"), T("9")},
        {T("Leat-Subject"), T("x.y")},
        {T("z"), T("")},
        {T("Leat-Subject"), T(" x")},
    };
    const struct slice texts[] = {SLICE_NULL, T(""), T("abc"), T("\0\xff\n"), T(" x ")};
    for (size_t i = 0; i < COUNT_OF(texts) * COUNT_OF(texts); i++) {
        struct build_record record = {.timestamp_ms = (int64_t)i - 1,
                                      .key = texts[i / COUNT_OF(texts)],
                                      .value = texts[i % COUNT_OF(texts)],
                                      .headers = headers,
                                      .header_count = i % (COUNT_OF(headers) + 1)};
        struct nats_view_message message;
        struct reading reading;
        uint8_t *bytes = write_message(&record, 10000, &message);
        assert_int_equal(read_message(&reading, slice_make(bytes, message.header_size),
                                      slice_make(bytes + message.header_size,
                                                 message.size - message.header_size)),
                         ERR_OK);
        assert_same_record(&record, &reading.record);
        arena_deinit(&reading.arena);
        free(bytes);
    }
}

static void plain_messages(void **state)
{
    struct reading reading;
    assert_int_equal(read_message(&reading, T(""), T("x")), ERR_OK);
    struct build_record expected = {.timestamp_ms = 1000, .value = T("x")};
    assert_same_record(&expected, &reading.record);
    arena_deinit(&reading.arena);
    const struct record_header headers[] = {{T("A"), T("1")}, {T("b"), T("")}};
    assert_int_equal(read_message(&reading, T("NATS/1.0\r\nA: 1\r\nb: \r\n\r\n"), T("")), ERR_OK);
    expected = (struct build_record){
        .timestamp_ms = 1000, .value = T(""), .headers = headers, .header_count = 2};
    assert_same_record(&expected, &reading.record);
    arena_deinit(&reading.arena);
}

static void odd_blocks_are_kept_whole(void **state)
{
    static const char *const ODD[] = {
        "NATS/1.0\r\nA:1\r\n\r\n",   "NATS/1.0\r\nA:  1\r\n\r\n",
        "NATS/1.0\r\nA: 1 \r\n\r\n", "NATS/1.0 503\r\n\r\n",
        "NATS/1.0 \r\nA: 1\r\n\r\n", "NATS/1.0 100 Idle Heartbeat\r\nA: 1\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(ODD); i++) {
        struct reading reading;
        struct record_header header = {T("Leat-Block"), slice_text(ODD[i])};
        struct build_record expected = {
            .timestamp_ms = 1000, .value = T("x"), .headers = &header, .header_count = 1};
        assert_int_equal(read_message(&reading, slice_text(ODD[i]), T("x")), ERR_OK);
        assert_same_record(&expected, &reading.record);
        arena_deinit(&reading.arena);
    }
}

static void refused(void **state)
{
    static const char *const LINES[] = {
        "Nats-Msg-Id: 1",
        "Nats-Expected-Stream: S",
        "Nats-Expected-Last-Sequence: 1",
        "Nats-Rollup: all",
        "Nats-TTL: 1s",
        "Nats-Incr: +1",
        "Nats-Batch-Id: 1",
        "Nats-Schedule: @at",
        "Leat-Size: 1",
        "Leat-Unknown: 1",
        "Leat-Value: nil",
        "Leat-Value: null",
        "Leat-Timestamp: x",
        "Leat-Timestamp: -2",
        "Leat-Key-Base64: YQ",
        "Leat-Key-Base64: YR==",
        "Leat-Header: YQ==",
        "Leat-Header: YQ==:x",
        "Leat-Header: -:YQ==",
        "Leat-Key: a\r\nLeat-Key: b",
        "Nats-Msg-Id:1",
        "A b: 1",
        "A",
    };
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        char block[200];
        struct reading reading;
        (void)snprintf(block, sizeof(block), "NATS/1.0\r\n%s\r\n\r\n", LINES[i]);
        assert_int_equal(read_message(&reading, slice_text(block), T("x")), ERR_INVALID);
        assert_int_not_equal(reading.diag.text[0], 0);
        arena_deinit(&reading.arena);
    }
}

static void base64(void **state)
{
    static const char *const PAIRS[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    static const char *const WRONG[] = {
        "Z", "Zg=", "Zg", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 8=", "Zm-_"};
    uint8_t out[32];
    size_t size;
    for (size_t i = 0; i < COUNT_OF(PAIRS); i++) {
        struct slice plain = slice_text(PAIRS[i][0]);
        size = nats_view_base64_size(plain.size);
        nats_view_base64_write(plain, out);
        assert_true(slice_equal_text(slice_make(out, size), PAIRS[i][1]));
        assert_true(nats_view_base64_read(slice_text(PAIRS[i][1]), out, &size));
        assert_true(slice_equal(slice_make(out, size), plain));
    }
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        assert_false(nats_view_base64_read(slice_text(WRONG[i]), out, &size));
}

/* What comes out on a bound subject is, published there again, the same record. */
static void bound_records_go_round(void **state)
{
    const struct slice subject = T("orders.1");
    const struct record_header headers[] = {{T("A"), T("1")}, {T("Leat-Subject"), subject}};
    const struct build_record records[] = {
        {.timestamp_ms = 5, .key = subject, .value = T("v")},
        {.timestamp_ms = 5, .key = subject, .value = T("v"), .headers = headers, .header_count = 1},
        {.timestamp_ms = 5, .key = subject, .value = T("v"), .headers = headers, .header_count = 2},
        {.timestamp_ms = 5,
         .key = T("ann"),
         .value = T("v"),
         .headers = headers + 1,
         .header_count = 1},
        {.timestamp_ms = 5,
         .key = T("\xff"),
         .value = SLICE_NULL,
         .headers = headers,
         .header_count = 2},
        {.timestamp_ms = 5, .value = T("v"), .headers = headers, .header_count = 2},
    };
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        struct stored stored;
        struct nats_view_message message;
        struct reading reading;
        uint8_t bytes[512];
        stored_init(&stored, &records[i]);
        struct nats_view_record view = {
            .subject = subject, .timestamp_ms = 5, .record = &stored.record, .size_max = 400};
        nats_view_message_measure(&view, &message);
        nats_view_message_write(&view, &message, bytes);
        struct nats_view_published published = {
            .block = slice_make(bytes, message.header_size),
            .payload = slice_make(bytes + message.header_size, message.size - message.header_size),
            .subject = subject,
            .time_ms = 1000,
        };
        arena_init(&reading.arena, 1 << 20);
        assert_int_equal(
            nats_view_read_message(&published, &reading.arena, &reading.record, &reading.diag),
            ERR_OK);
        assert_same_record(&records[i], &reading.record);
        arena_deinit(&reading.arena);
        codec_output_deinit(&stored.batch);
    }
}

static void a_bound_message_names_its_subject(void **state)
{
    struct reading reading;
    struct nats_view_published published = {
        .payload = T("v"), .subject = T("orders.1"), .time_ms = 1000};
    arena_init(&reading.arena, 1 << 20);
    assert_int_equal(
        nats_view_read_message(&published, &reading.arena, &reading.record, &reading.diag), ERR_OK);
    assert_true(slice_equal_text(reading.record.key, "orders.1"));
    assert_int_equal(reading.record.header_count, 0);
    published.block = T("NATS/1.0\r\nLeat-Key: ann\r\n\r\n");
    assert_int_equal(
        nats_view_read_message(&published, &reading.arena, &reading.record, &reading.diag), ERR_OK);
    assert_int_equal(reading.record.header_count, 1);
    assert_true(slice_equal_text(reading.record.headers[0].key, "Leat-Subject"));
    assert_true(slice_equal_text(reading.record.headers[0].value, "orders.1"));
    published.block = T("NATS/1.0\r\nLeat-Subject: orders.2\r\n\r\n");
    assert_int_equal(
        nats_view_read_message(&published, &reading.arena, &reading.record, &reading.diag),
        ERR_INVALID);
    arena_deinit(&reading.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_values),
        cmocka_unit_test(headers_in_order),
        cmocka_unit_test(too_large),
        cmocka_unit_test(what_is_seen_can_be_published),
        cmocka_unit_test(plain_messages),
        cmocka_unit_test(odd_blocks_are_kept_whole),
        cmocka_unit_test(refused),
        cmocka_unit_test(base64),
        cmocka_unit_test(bound_records_go_round),
        cmocka_unit_test(a_bound_message_names_its_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Tests of NATS header blocks.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_check(void **state)
{
    static const char *const GOOD[] = {
        "NATS/1.0\r\n\r\n",
        "NATS/1.0 503\r\n\r\n",
        "NATS/1.0 404 Message Not Found\r\n\r\n",
        "NATS/1.0 503\r\nNats-Subject: nobody.home\r\n\r\n",
        "NATS/1.0\r\nA:1\r\nA:  2 \r\nB:\r\n\r\n",
    };
    static const char *const WRONG[] = {
        "",
        "NATS/1.0",
        "NATS/1.0\r\n",
        "NATS/1.1\r\n\r\n",
        "NATS/1.00\r\n\r\n",
        "NATS/1.0 50\r\n\r\n",
        "NATS/1.0 5030\r\n\r\n",
        "NATS/1.0 503x\r\n\r\n",
        "NATS/1.0 000\r\n\r\n",
        "NATS/1.0 text\r\n\r\n",
        "NATS/1.0\r\nA\r\n\r\n",
        "NATS/1.0\r\n: x\r\n\r\n",
        "NATS/1.0\r\nA b: x\r\n\r\n",
        "NATS/1.0\r\nA: x\ny\r\n\r\n",
        "NATS/1.0\r\nA: x\ry\r\n\r\n",
        "NATS/1.0\r\nA: x\r\n",
        "NATS/1.0\r\nA: x\r\n\r\nmore",
    };
    for (size_t i = 0; i < COUNT_OF(GOOD); i++)
        assert_int_equal(wire_nats_headers_check(slice_text(GOOD[i])), ERR_OK);
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        if (wire_nats_headers_check(slice_text(WRONG[i])) != ERR_INVALID)
            fail_msg("accepted: %s", WRONG[i]);
}

static void test_walk_and_find(void **state)
{
    struct slice block =
        SLICE_LITERAL("NATS/1.0 408  Empty Request\r\nA: 1\r\nbb:two \r\nA: 3\r\n\r\n");
    struct wire_nats_headers headers;
    struct wire_nats_header header;
    struct slice value;
    assert_int_equal(wire_nats_headers_start(block, &headers), ERR_OK);
    assert_int_equal(headers.status, 408);
    assert_true(slice_equal_text(headers.description, "Empty Request"));
    assert_true(wire_nats_headers_next(&headers, &header));
    assert_true(slice_equal_text(header.name, "A") && slice_equal_text(header.value, "1"));
    assert_true(wire_nats_headers_next(&headers, &header));
    assert_true(slice_equal_text(header.line, "bb:two \r\n"));
    assert_true(slice_equal_text(header.value, "two"));
    assert_true(wire_nats_headers_next(&headers, &header));
    assert_false(wire_nats_headers_next(&headers, &header));
    assert_true(wire_nats_headers_find(block, "A", &value) && slice_equal_text(value, "1"));
    assert_false(wire_nats_headers_find(block, "BB", &value));
}

static void check_strip(const char *block, const char *name, bool is_prefix, const char *expected)
{
    uint8_t bytes[256];
    size_t size = strlen(block);
    memcpy(bytes, block, size);
    size = wire_nats_headers_strip(slice_make(bytes, size), slice_text(name), is_prefix, bytes);
    assert_true(slice_equal_text(slice_make(bytes, size), expected));
}

static void test_strip(void **state)
{
    check_strip("NATS/1.0\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n", "A", false, "NATS/1.0\r\nB: 2\r\n\r\n");
    check_strip("NATS/1.0\r\nA: 1\r\n\r\n", "A", false, "");
    check_strip("NATS/1.0 503\r\nA: 1\r\n\r\n", "A", false, "NATS/1.0 503\r\n\r\n");
    check_strip("NATS/1.0\r\nNats-A: 1\r\nX: 2\r\nNats-B: 3\r\n\r\n", "Nats-", true,
                "NATS/1.0\r\nX: 2\r\n\r\n");
    check_strip("NATS/1.0\r\nAb: 1\r\n\r\n", "A", false, "NATS/1.0\r\nAb: 1\r\n\r\n");
    check_strip("no block", "A", false, "no block");
}

static void test_build(void **state)
{
    struct wire_writer writer;
    wire_writer_init_growing(&writer);
    wire_nats_headers_begin(&writer, 503, SLICE_NULL);
    wire_nats_headers_add(&writer, SLICE_LITERAL("Nats-Subject"), SLICE_LITERAL("nobody.home"));
    wire_nats_headers_end(&writer);
    struct slice output = wire_writer_output(&writer);
    assert_true(slice_equal_text(output, "NATS/1.0 503\r\nNats-Subject: nobody.home\r\n\r\n"));
    assert_int_equal(output.size, 43);
    wire_nats_headers_add(&writer, SLICE_LITERAL("A"), SLICE_LITERAL("x\r\nB: y"));
    assert_int_equal(writer.error, ERR_INVALID);
    wire_writer_deinit(&writer);
    wire_writer_init_growing(&writer);
    wire_nats_headers_begin(&writer, 404, SLICE_LITERAL("Message Not Found"));
    wire_nats_headers_end(&writer);
    assert_true(
        slice_equal_text(wire_writer_output(&writer), "NATS/1.0 404 Message Not Found\r\n\r\n"));
    wire_writer_deinit(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_walk_and_find),
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

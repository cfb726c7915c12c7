// Tests of the NATS line protocol: what a real server answered, and every place to split it.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINE_SIZE 256 /* of lines put together by chance */

static const struct wire_nats_limits LIMITS = {
    .control_line_max = 4096, .payload_max = 1048576, .headers = true};

static enum wire_nats_status parse(struct slice input, struct wire_nats_request *out)
{
    return wire_nats_parser_next(input, &LIMITS, out);
}

struct expected {
    const char *input;
    enum wire_nats_status status;
    const char *seen; /* op and arguments, joined by '|' */
};

static const char *text_or(struct slice slice, char *out)
{
    if (!slice.data)
        return "-";
    memcpy(out, slice.data, slice.size);
    out[slice.size] = '\0';
    return out;
}

static void describe(const struct wire_nats_request *request, char *out, size_t size)
{
    static const char *const OPS[] = {"connect", "info", "ping", "pong", "ok",
                                      "err",     "pub",  "hpub", "sub",  "unsub"};
    char a[256];
    char b[256];
    char c[256];
    switch (request->op) {
    case WIRE_NATS_PUB:
    case WIRE_NATS_HPUB:
        snprintf(out, size, "%s|%s|%s|%u|%s", OPS[request->op], text_or(request->subject, a),
                 text_or(request->reply, b), request->header_size, text_or(request->payload, c));
        break;
    case WIRE_NATS_SUB:
        snprintf(out, size, "sub|%s|%s|%s", text_or(request->subject, a),
                 text_or(request->queue, b), text_or(request->sid, c));
        break;
    case WIRE_NATS_UNSUB:
        snprintf(out, size, "unsub|%s|%u", text_or(request->sid, a), request->unsub_max);
        break;
    default:
        snprintf(out, size, "%s|%s", OPS[request->op], text_or(request->args, a));
        break;
    }
}

/* The answers to the first block were recorded from nats-server 2.15.1, the others follow its
 * parser. */
static const struct expected LINES[] = {
    {"FOO\r\n", WIRE_NATS_UNKNOWN, ""},
    {"SUB\r\n", WIRE_NATS_UNKNOWN, ""},
    {"SUB a..b 9\r\n", WIRE_NATS_COMPLETE, "sub|a..b|-|9"},
    {"PUB a.> 1\r\nx\r\n", WIRE_NATS_COMPLETE, "pub|a.>|-|0|x"},
    {"PUB foo 2000000\r\n", WIRE_NATS_PAYLOAD_MAX, ""},
    {"SUB foo\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB foo -1\r\n", WIRE_NATS_CLOSE, ""},
    {"HPUB foo 20 10\r\n", WIRE_NATS_CLOSE, ""},
    {"UNSUB 77\r\n", WIRE_NATS_COMPLETE, "unsub|77|0"},
    {"SUB foo 9\r\n", WIRE_NATS_COMPLETE, "sub|foo|-|9"},
    {"PUB foo 1\r\nxy\r\n", WIRE_NATS_UNKNOWN, ""},
    {"PUB foo $JS.ACK.a.b 1\r\nx\r\n", WIRE_NATS_COMPLETE, "pub|foo|$JS.ACK.a.b|0|x"},
    {"SUB foo q 9\r\n", WIRE_NATS_COMPLETE, "sub|foo|q|9"},
    {"pub foo 0\r\n\r\n", WIRE_NATS_COMPLETE, "pub|foo|-|0|"},
    {"ping\r\n", WIRE_NATS_COMPLETE, "ping|-"},
    {"+OK\r\n", WIRE_NATS_COMPLETE, "ok|-"},
    {"CONNECT {\"verbose\":true}\r\n", WIRE_NATS_COMPLETE, "connect|{\"verbose\":true}"},
    {"CONNECT notjson\r\n", WIRE_NATS_COMPLETE, "connect|notjson"},

    {"\r\n", WIRE_NATS_UNKNOWN, ""},
    {"PIN\r\n", WIRE_NATS_UNKNOWN, ""},
    {"RS+ x y\r\n", WIRE_NATS_UNKNOWN, ""},
    {"LMSG x y\r\n", WIRE_NATS_UNKNOWN, ""},
    {"A+ x\r\n", WIRE_NATS_UNKNOWN, ""},
    {"MSG a 1 0\r\n\r\n", WIRE_NATS_UNKNOWN, ""},
    {"PONG and more\n", WIRE_NATS_COMPLETE, "pong|-"},
    {"pInG\n", WIRE_NATS_COMPLETE, "ping|-"},
    {"-ERR 'x y'\r\n", WIRE_NATS_COMPLETE, "err|'x y'"},
    {"-ERR\r\n", WIRE_NATS_UNKNOWN, ""},
    {"INFO {}\r\n", WIRE_NATS_COMPLETE, "info|{}"},
    {"CONNECT{}\r\n", WIRE_NATS_COMPLETE, "connect|{}"},
    {"CONNECT\r\n", WIRE_NATS_COMPLETE, "connect|"},
    {"PUB \t a.b  \t r.s \t 3 \t\nabc\r\n", WIRE_NATS_COMPLETE, "pub|a.b|r.s|0|abc"},
    {"PUB a b c 1\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB a b c d e f\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB \r\n", WIRE_NATS_CLOSE, ""},
    {"PUB a\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB a 1x\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB a 1234567890\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB a 999999999\r\n", WIRE_NATS_PAYLOAD_MAX, ""},
    {"PUB a 1\r\r\n", WIRE_NATS_CLOSE, ""},
    {"PUB a 2\r\nab\n", WIRE_NATS_UNKNOWN, ""},
    {"PUB a 2\r\nab\rx", WIRE_NATS_UNKNOWN, ""},
    {"PUB a 4\r\n\r\n\r\n\r\n", WIRE_NATS_COMPLETE, "pub|a|-|0|\r\n\r\n"},
    {"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", WIRE_NATS_COMPLETE,
     "hpub|a|-|12|NATS/1.0\r\n\r\nhi"},
    {"HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", WIRE_NATS_COMPLETE, "hpub|a|r|12|NATS/1.0\r\n\r\n"},
    {"HPUB a 12\r\n", WIRE_NATS_CLOSE, ""},
    {"HPUB a x 1 1 1\r\n", WIRE_NATS_CLOSE, ""},
    {"HPUB a x 12\r\n", WIRE_NATS_CLOSE, ""},
    {"HPUB a 1 1000000000\r\n", WIRE_NATS_CLOSE, ""},
    {"HPUB a 12 1048577\r\n", WIRE_NATS_PAYLOAD_MAX, ""},
    {"SUB a q 1 2\r\n", WIRE_NATS_CLOSE, ""},
    {"SUB a 1\r\r\n", WIRE_NATS_COMPLETE, "sub|a|-|1"},
    {"UNSUB 1 5\r\n", WIRE_NATS_COMPLETE, "unsub|1|5"},
    {"UNSUB 1 x\r\n", WIRE_NATS_COMPLETE, "unsub|1|0"},
    {"UNSUB 1 -5\r\n", WIRE_NATS_COMPLETE, "unsub|1|0"},
    {"UNSUB \r\n", WIRE_NATS_CLOSE, ""},
    {"UNSUB 1 2 3\r\n", WIRE_NATS_CLOSE, ""},
};

static void test_lines(void **state)
{
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct wire_nats_request request;
        struct slice input = slice_text(LINES[i].input);
        enum wire_nats_status status = parse(input, &request);
        if (status != LINES[i].status)
            fail_msg("status %d for %s", (int)status, LINES[i].input);
        if (status != WIRE_NATS_COMPLETE)
            continue;
        char seen[1024];
        describe(&request, seen, sizeof(seen));
        assert_string_equal(seen, LINES[i].seen);
        assert_int_equal(request.consumed, input.size);
    }
}

/* Of every prefix the answer is "incomplete", or already the final error; the bytes lie in memory
 * of their own, so that reading one too many is found. */
static void test_split_at_every_byte(void **state)
{
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        struct slice input = slice_text(LINES[i].input);
        bool failed = false;
        for (size_t size = 0; size < input.size; size++) {
            struct wire_nats_request request;
            uint8_t *copy = malloc(size + !size);
            assert_non_null(copy);
            memcpy(copy, input.data, size);
            enum wire_nats_status status = parse(slice_make(copy, size), &request);
            free(copy);
            if (failed)
                assert_int_equal(status, LINES[i].status);
            else if (status != WIRE_NATS_INCOMPLETE)
                assert_int_equal(status, LINES[i].status);
            else if (request.wanted != 0 && LINES[i].status == WIRE_NATS_COMPLETE)
                assert_int_equal(request.wanted, input.size);
            failed = status != WIRE_NATS_INCOMPLETE;
            assert_false(failed && LINES[i].status == WIRE_NATS_COMPLETE);
        }
    }
}

static void test_errors_are_early(void **state)
{
    struct wire_nats_request request;
    assert_int_equal(parse(SLICE_LITERAL("PUX"), &request), WIRE_NATS_UNKNOWN);
    assert_int_equal(parse(SLICE_LITERAL("PU"), &request), WIRE_NATS_INCOMPLETE);
    assert_int_equal(parse(SLICE_LITERAL("SUB\r"), &request), WIRE_NATS_UNKNOWN);
    assert_int_equal(parse(SLICE_LITERAL("PUB foo 1\r\nxy"), &request), WIRE_NATS_UNKNOWN);
    assert_int_equal(parse(SLICE_LITERAL("PUB foo 2000000\n"), &request), WIRE_NATS_PAYLOAD_MAX);
    assert_int_equal(parse(SLICE_LITERAL("PUB foo 100\r\nx"), &request), WIRE_NATS_INCOMPLETE);
    assert_int_equal(request.wanted, 13 + 100 + 2);
}

static void test_control_line_max(void **state)
{
    struct wire_nats_request request;
    struct wire_nats_limits limits = {.control_line_max = 10, .payload_max = 9};
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("SUB 12345678 1\r\n"), &limits, &request),
                     WIRE_NATS_COMPLETE);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("SUB 123456789 1\r\n"), &limits, &request),
                     WIRE_NATS_LINE_TOO_LONG);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("SUB 12345678 1\r"), &limits, &request),
                     WIRE_NATS_INCOMPLETE);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("SUB 12345678 12"), &limits, &request),
                     WIRE_NATS_LINE_TOO_LONG);
    assert_int_equal(
        wire_nats_parser_next(SLICE_LITERAL("PING                "), &limits, &request),
        WIRE_NATS_LINE_TOO_LONG);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("PUB a 10\r\n"), &limits, &request),
                     WIRE_NATS_PAYLOAD_MAX);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("HPUB a 1 2\r\n"), &limits, &request),
                     WIRE_NATS_CLOSE);
    char line[5000];
    memset(line, '9', sizeof(line));
    memcpy(line, "SUB foo ", 8);
    assert_int_equal(parse(slice_make(line, sizeof(line)), &request), WIRE_NATS_LINE_TOO_LONG);
    assert_string_equal(wire_nats_parser_error_text(WIRE_NATS_LINE_TOO_LONG),
                        "maximum control line exceeded");
    assert_null(wire_nats_parser_error_text(WIRE_NATS_CLOSE));
}

static void test_connect_first(void **state)
{
    struct wire_nats_request request;
    struct wire_nats_limits limits = LIMITS;
    limits.connect_first = true;
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("P"), &limits, &request), WIRE_NATS_AUTH);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("\r\n"), &limits, &request),
                     WIRE_NATS_AUTH);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("CX"), &limits, &request),
                     WIRE_NATS_UNKNOWN);
    assert_int_equal(wire_nats_parser_next(SLICE_LITERAL("connect {}\r\n"), &limits, &request),
                     WIRE_NATS_COMPLETE);
}

static void assert_same(struct slice a, struct slice b)
{
    assert_int_equal(a.data != NULL, b.data != NULL);
    assert_true(slice_equal(a, b));
}

/* What PUB says does not depend on how it is written, nor on what was parsed before. */
static void test_plain_pub_is_like_any(void **state)
{
    static const char *const pairs[][2] = {
        {"PUB a.b 3\r\nxyz\r\n", "PUB\ta.b  3 \r\nxyz\r\n"},
        {"PUB a re.ply 0\r\n\r\n", "PUB \ta re.ply  0\r\n\r\n"},
        {"pUb \x7f 001\r\n\r\r\n", "pUb  \x7f 001\n\r\r\n"},
    };
    struct wire_nats_request dirty, request;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        memset(&dirty, 0xff, sizeof(dirty));
        assert_int_equal(parse(slice_text(pairs[i][0]), &dirty), WIRE_NATS_COMPLETE);
        assert_int_equal(parse(slice_text(pairs[i][1]), &request), WIRE_NATS_COMPLETE);
        assert_int_equal(dirty.op, request.op);
        assert_int_equal(dirty.consumed, strlen(pairs[i][0]));
        assert_int_equal(dirty.wanted + dirty.unsub_max + dirty.header_size, 0);
        assert_same(dirty.subject, request.subject);
        assert_same(dirty.reply, request.reply);
        assert_same(dirty.size_text, request.size_text);
        assert_same(dirty.payload, request.payload);
        assert_null(dirty.queue.data);
        assert_null(dirty.sid.data);
        assert_null(dirty.header_text.data);
        assert_null(dirty.args.data);
    }
}

static void assert_same_place(struct slice a, struct slice b, ptrdiff_t apart)
{
    assert_int_equal(a.size, b.size);
    assert_true(a.data ? b.data - a.data == apart : !b.data);
}

/* Lines lie where these end: reading further is an error under AddressSanitizer. */
struct two_ways {
    uint8_t *quick;
    uint8_t *slow;
};

/* A tab behind the verb goes the long way to the same end. */
static void assert_ways_agree(const struct two_ways *ways, const char *line, size_t size)
{
    struct wire_nats_request quick, slow;
    struct wire_nats_limits limits = LIMITS;
    uint8_t *a = ways->quick + LINE_SIZE - size;
    uint8_t *b = ways->slow + LINE_SIZE - size;
    memcpy(a, line, size);
    memcpy(b, line, size);
    b[3] = '\t';
    limits.control_line_max = 20;
    enum wire_nats_status status = wire_nats_parser_next(slice_make(a, size), &limits, &quick);
    assert_int_equal(status, wire_nats_parser_next(slice_make(b, size), &limits, &slow));
    assert_int_equal(quick.wanted, slow.wanted);
    if (status != WIRE_NATS_COMPLETE)
        return;
    assert_int_equal(quick.op, slow.op);
    assert_int_equal(quick.consumed, slow.consumed);
    assert_same_place(quick.subject, slow.subject, b - a);
    assert_same_place(quick.reply, slow.reply, b - a);
    assert_same_place(quick.size_text, slow.size_text, b - a);
    assert_same_place(quick.payload, slow.payload, b - a);
}

/* Lines put together by chance: what is plain and what is not, and where it ends. */
static void test_both_ways_of_pub_agree(void **state)
{
    static const char *const pieces[] = {"a",  "subject.long", "$x",   "7y",  " ",        " ", " ",
                                         "\t", "\r\n",         "\r\n", "\r",  "\n",       "0", "3",
                                         "12", "0000000012",   "5",    "xyz", "999999999"};
    uint64_t random = 2463534242;
    char line[LINE_SIZE];
    struct two_ways ways = {malloc(LINE_SIZE), malloc(LINE_SIZE)};
    assert_true(ways.quick && ways.slow);
    for (unsigned turn = 0; turn < 50000; turn++) {
        size_t size = 4;
        memcpy(line, "PUB ", size);
        unsigned count = turn % 12;
        for (unsigned i = 0; i < count; i++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            const char *piece = pieces[(random >> 33) % COUNT_OF(pieces)];
            memcpy(line + size, piece, strlen(piece));
            size += strlen(piece);
        }
        assert_ways_agree(&ways, line, size);
    }
    free(ways.quick);
    free(ways.slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_errors_are_early),
        cmocka_unit_test(test_control_line_max),
        cmocka_unit_test(test_connect_first),
        cmocka_unit_test(test_plain_pub_is_like_any),
        cmocka_unit_test(test_both_ways_of_pub_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

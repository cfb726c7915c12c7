// Tests of NATS's JSON: the reader's rules, CONNECT's fields, INFO's text.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static enum err decode(const char *json, struct arena *arena, struct wire_nats_connect *out)
{
    wire_nats_json_connect_init(out);
    return wire_nats_json_connect_decode(slice_text(json), arena, out);
}

static void test_connect(void **state)
{
    struct arena arena;
    struct wire_nats_connect c;
    arena_init(&arena, 0);
    assert_int_equal(decode("{\"verbose\":false,\"pedantic\":false,\"tls_required\":false,"
                            "\"name\":\"\",\"lang\":\"C\",\"version\":\"3.4.1\",\"protocol\":1,"
                            "\"echo\":true,\"headers\":true,\"no_responders\":true}",
                            &arena, &c),
                     ERR_OK);
    assert_true(!c.verbose && !c.pedantic && c.echo && c.headers && c.no_responders);
    assert_int_equal(c.protocol, 1);
    assert_true(slice_equal_text(c.lang, "C") && c.name.data && c.name.size == 0);
    assert_null(c.user.data);
    assert_int_equal(decode("{}", &arena, &c), ERR_OK);
    assert_true(c.verbose && c.pedantic && c.echo && !c.headers);
    assert_int_equal(decode(" {\"User\":\"a\\u00e9\\n\\ud83d\\ude00\\ud800\",\"PASS\":\"\xff\","
                            "\"x\":{\"y\":[1,{\"user\":\"no\"}]},\"verbose\":null,\"echo\":false} ",
                            &arena, &c),
                     ERR_OK);
    assert_true(slice_equal_text(c.user, "a\xc3\xa9\n\xf0\x9f\x98\x80\xef\xbf\xbd"));
    assert_true(slice_equal_text(c.pass, "\xef\xbf\xbd"));
    assert_true(c.verbose && !c.echo);
    assert_int_equal(
        wire_nats_json_connect_decode(SLICE_LITERAL("{\"verbose\":false}"), &arena, &c), ERR_OK);
    assert_true(!c.verbose && !c.echo);
    assert_int_equal(
        decode("{\"account\":\"x\",\"new_account\":true,\"sig\":\"s\",\"nkey\":\"n\"}", &arena, &c),
        ERR_OK);
    assert_true(slice_equal_text(c.account, "x") && c.new_account);
    arena_deinit(&arena);
}

static void test_wrong(void **state)
{
    static const char *const WRONG[] = {
        "",
        "notjson",
        "{",
        "{\"verbose\":1}",
        "{\"user\":true}",
        "[]",
        "\"x\"",
        "{}x",
        "{\"a\":1,}",
        "{\"protocol\":\"1\"}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"protocol\":1.5}",
        "{\"a\":-}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":[1 2]}",
        "{\"a\":tru}",
        "{\"a\":[}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":1e}",
        "{\"a\":\"x",
        "{,}",
        "{\"protocol\":99999999999999999999}",
    };
    struct arena arena;
    struct wire_nats_connect connect;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        if (decode(WRONG[i], &arena, &connect) != ERR_INVALID)
            fail_msg("accepted: %s", WRONG[i]);
    char deep[2 * 70 + 1];
    memset(deep, '[', 70);
    memset(deep + 70, ']', 70);
    deep[140] = '\0';
    struct wire_nats_json json;
    struct wire_nats_json_token token;
    wire_nats_json_init(&json, slice_text(deep));
    assert_int_equal(wire_nats_json_next(&json, &token), ERR_OK);
    assert_int_equal(wire_nats_json_skip(&json, &token), ERR_INVALID);
    wire_nats_json_init(&json, slice_make(deep + 6, 128));
    assert_int_equal(wire_nats_json_next(&json, &token), ERR_OK);
    assert_int_equal(wire_nats_json_skip(&json, &token), ERR_OK);
    assert_true(wire_nats_json_is_object(SLICE_LITERAL(" {\"a\":[1,2e5,-0.5]} ")));
    assert_false(wire_nats_json_is_object(SLICE_LITERAL("[1]")));
    assert_false(wire_nats_json_is_object(SLICE_LITERAL("{} {}")));
    arena_deinit(&arena);
}

/* The line a real server sent, without its JetStream fields. */
static void test_info(void **state)
{
    struct text text;
    text_init(&text);
    struct wire_nats_info info = {.server_id = SLICE_LITERAL("NC"),
                                  .server_name = SLICE_LITERAL("S1"),
                                  .version = SLICE_LITERAL("2.15.1"),
                                  .proto = 1,
                                  .go = SLICE_LITERAL("go1.27.2"),
                                  .host = SLICE_LITERAL("127.0.0.1"),
                                  .port = 14222,
                                  .headers = true,
                                  .max_payload = 1048576,
                                  .client_id = 5,
                                  .client_ip = SLICE_LITERAL("127.0.0.1"),
                                  .connect_info = true,
                                  .remote_account = SLICE_LITERAL("$G")};
    wire_nats_json_info_encode(&info, &text);
    assert_string_equal(text.data,
                        "INFO {\"server_id\":\"NC\",\"server_name\":\"S1\",\"version\":\"2.15.1\","
                        "\"proto\":1,\"go\":\"go1.27.2\",\"host\":\"127.0.0.1\",\"port\":14222,"
                        "\"headers\":true,\"max_payload\":1048576,\"client_id\":5,"
                        "\"client_ip\":\"127.0.0.1\",\"connect_info\":true,"
                        "\"remote_account\":\"$G\"} \r\n");
    const struct slice urls[] = {SLICE_LITERAL("a:1"), SLICE_LITERAL("b:2")};
    info.connect_urls = urls;
    info.connect_urls_count = 2;
    text_clear(&text);
    wire_nats_json_info_encode(&info, &text);
    assert_non_null(strstr(text.data, ",\"connect_urls\":[\"a:1\",\"b:2\"],\"connect_info\""));
    assert_true(wire_nats_json_is_object(slice_make(text.data + 5, text.size - 8)));
    text_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

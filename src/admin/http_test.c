// Requests that parse and requests that do not.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/http.h"

static enum err parse(const char *text, struct admin_http_request *out)
{
    return admin_http_parse(slice_text(text), out);
}

static void test_parts(void **state)
{
    struct admin_http_request request;
    struct slice value;
    const char *text = "GET /connz?limit=5&subs=1 HTTP/1.1\r\nHost: x\r\nA: b:c\r\n\r\nGET /";
    assert_int_equal(parse(text, &request), ERR_OK);
    assert_int_equal(request.consumed, strlen(text) - 5);
    assert_true(slice_equal_text(request.method, "GET"));
    assert_true(slice_equal_text(request.path, "/connz"));
    assert_true(request.keep_alive);
    assert_true(admin_http_query(request.query, "subs", &value));
    assert_true(slice_equal_text(value, "1"));
    assert_true(admin_http_query(request.query, "limit", &value));
    assert_true(slice_equal_text(value, "5"));
    assert_false(admin_http_query(request.query, "imit", &value));
    assert_int_equal(parse("GET / HTTP/1.1\r\nconnection: Close\r\n\r\n", &request), ERR_OK);
    assert_false(request.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &request), ERR_OK);
    assert_false(request.keep_alive);
}

static void test_values_are_decoded(void **state)
{
    static const char *const wrong[] = {"%", "a%4", "%4x", "%g0"};
    uint8_t bytes[32];
    struct slice value;
    assert_true(admin_http_decode(slice_text("%24G+a%2Bb%3D%c3"), bytes, &value));
    assert_true(slice_equal_text(value, "$G a+b=\xc3"));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(admin_http_decode(slice_text(wrong[i]), bytes, &value));
}

static void test_every_split(void **state)
{
    struct admin_http_request request;
    const char *text = "GET /varz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (size_t size = 0; size < strlen(text); size++)
        assert_int_equal(admin_http_parse(slice_make(text, size), &request), ERR_AGAIN);
    assert_int_equal(parse(text, &request), ERR_OK);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        " / HTTP/1.1\r\n\r\n",
        "GET x HTTP/1.1\r\n\r\n",
        "GET / HTTP/2\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\n\r\n",
    };
    struct admin_http_request request;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(parse(wrong[i], &request), ERR_INVALID);
    char *big = malloc(ADMIN_HTTP_HEAD_SIZE_MAX);
    memset(big, 'x', ADMIN_HTTP_HEAD_SIZE_MAX);
    assert_int_equal(admin_http_parse(slice_make(big, ADMIN_HTTP_HEAD_SIZE_MAX), &request),
                     ERR_TOO_LARGE);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_values_are_decoded),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

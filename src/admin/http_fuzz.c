// Requests of any bytes: what parses lies inside the input, and parses alike with more behind it.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "admin/http.h"

static void check_inside(struct slice input, struct slice part)
{
    CHECK(!part.data ||
          (part.data >= input.data && part.data + part.size <= input.data + input.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    struct admin_http_request request;
    struct slice value;
    if (admin_http_parse(input, &request) != ERR_OK)
        return 0;
    CHECK(request.consumed <= size && request.consumed <= ADMIN_HTTP_HEAD_SIZE_MAX);
    check_inside(input, request.method);
    check_inside(input, request.path);
    check_inside(input, request.query);
    if (admin_http_query(request.query, "limit", &value))
        check_inside(input, value);
    uint8_t bytes[ADMIN_HTTP_HEAD_SIZE_MAX];
    if (admin_http_decode(request.query, bytes, &value))
        CHECK(value.size <= request.query.size);
    struct admin_http_request again;
    input.size = request.consumed;
    CHECK(admin_http_parse(input, &again) == ERR_OK);
    CHECK(again.consumed == request.consumed && slice_equal(again.path, request.path));
    input.size--;
    CHECK(admin_http_parse(input, &again) == ERR_AGAIN);
    return 0;
}

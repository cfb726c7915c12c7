// Fuzz target of NATS header blocks: walked, stripped and built again.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "wire/nats_headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block that passes the check, built again from its fields, passes it and has the same fields. */
static void check_rebuilt(struct slice block)
{
    struct wire_nats_headers headers;
    struct wire_nats_headers again;
    struct wire_nats_header header;
    struct wire_nats_header copy;
    struct wire_writer writer;
    wire_writer_init_growing(&writer);
    CHECK(wire_nats_headers_start(block, &headers) == ERR_OK);
    wire_nats_headers_begin(&writer, headers.status, headers.description);
    while (wire_nats_headers_next(&headers, &header))
        wire_nats_headers_add(&writer, header.name, header.value);
    wire_nats_headers_end(&writer);
    CHECK(writer.error == ERR_OK);
    CHECK(wire_nats_headers_check(wire_writer_output(&writer)) == ERR_OK);
    CHECK(wire_nats_headers_start(block, &headers) == ERR_OK);
    CHECK(wire_nats_headers_start(wire_writer_output(&writer), &again) == ERR_OK);
    CHECK(headers.status == again.status && slice_equal(headers.description, again.description));
    while (wire_nats_headers_next(&headers, &header)) {
        CHECK(wire_nats_headers_next(&again, &copy));
        CHECK(slice_equal(header.name, copy.name) && slice_equal(header.value, copy.value));
    }
    CHECK(!wire_nats_headers_next(&again, &copy));
    wire_writer_deinit(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice block = slice_make(data, size);
    struct slice value;
    bool good = wire_nats_headers_check(block) == ERR_OK;
    if (good)
        check_rebuilt(block);
    uint8_t *out = malloc(size + !size);
    CHECK(out);
    memcpy(out, data, size);
    size_t left = wire_nats_headers_strip(slice_make(out, size), SLICE_LITERAL("Nats-"), true, out);
    CHECK(left <= size);
    if (good && left > 0)
        CHECK(wire_nats_headers_check(slice_make(out, left)) == ERR_OK);
    left = wire_nats_headers_strip(block, SLICE_LITERAL("A"), false, out);
    CHECK(left <= size && !wire_nats_headers_find(slice_make(out, left), "A", &value));
    free(out);
    return 0;
}

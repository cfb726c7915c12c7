// Fuzz target of NATS's JSON: any bytes as CONNECT, and what was read written again.
// SPDX-License-Identifier: Apache-2.0
#include "wire/nats_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_strings(const struct wire_nats_connect *connect)
{
    const struct slice strings[] = {connect->user, connect->pass, connect->name, connect->jwt};
    for (size_t i = 0; i < COUNT_OF(strings); i++)
        CHECK(!strings[i].data || text_is_utf8(strings[i]));
}

/* Strings that were read survive being written and read again. */
static void check_again(const struct wire_nats_connect *connect, struct arena *arena)
{
    struct text text;
    struct wire_nats_connect again;
    text_init(&text);
    text_add_text(&text, "{\"user\":");
    text_add_json(&text, connect->user);
    text_add_text(&text, "}");
    wire_nats_json_connect_init(&again);
    CHECK(wire_nats_json_connect_decode(text_slice(&text), arena, &again) == ERR_OK);
    CHECK(slice_equal(again.user, connect->user));
    text_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_nats_connect connect;
    struct arena arena;
    struct slice input = slice_make(data, size);
    arena_init(&arena, 0);
    wire_nats_json_connect_init(&connect);
    if (wire_nats_json_connect_decode(input, &arena, &connect) == ERR_OK) {
        CHECK(wire_nats_json_is_object(input));
        check_strings(&connect);
        check_again(&connect, &arena);
    }
    arena_deinit(&arena);
    return 0;
}

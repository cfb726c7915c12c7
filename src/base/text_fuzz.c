// Fuzz target of text: numbers, UTF-8, JSON strings, identifiers.
// SPDX-License-Identifier: Apache-2.0
#include <math.h>

#include "base/hash.h"
#include "base/text.h"
#include "base/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_numbers(struct slice input)
{
    int64_t number;
    uint64_t unsigned_number;
    double real;
    bool truth;
    struct text text;
    text_init(&text);
    if (text_parse_i64(input, &number)) {
        int64_t again = 0;
        text_add_format(&text, "%lld", (long long)number);
        CHECK(text_parse_i64(text_slice(&text), &again) && again == number);
        CHECK(text_parse_double(input, &real) || input.size > TEXT_DOUBLE_SIZE_MAX);
    }
    if (text_parse_u64(input, &unsigned_number) && unsigned_number <= INT64_MAX)
        CHECK(text_parse_i64(input, &number) && (uint64_t)number == unsigned_number);
    if (text_parse_double(input, &real))
        CHECK(isfinite(real));
    if (text_parse_bool(input, &truth))
        CHECK(input.size == (truth ? 4 : 5));
    text_deinit(&text);
}

static void check_utf8(struct slice input)
{
    struct text text;
    text_init(&text);
    text_add_json(&text, input);
    CHECK(!text.failed && text.size >= 2);
    CHECK(text_is_utf8(text_slice(&text)));
    for (size_t i = 0; i < text.size; i++)
        CHECK((uint8_t)text.data[i] >= 0x20);
    text_deinit(&text);
    (void)hash_java_string(input);
}

static void check_uuid(struct slice input)
{
    struct uuid uuid;
    char text[UUID_TEXT_SIZE + 1];
    if (!uuid_from_text(input, &uuid))
        return;
    uuid_to_text(&uuid, text);
    CHECK(slice_equal_text(input, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    check_numbers(input);
    check_utf8(input);
    check_uuid(input);
    return 0;
}

// Tests of pushed metrics: gauges and sums are found, broken input is not followed.
// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Two metrics "m.a" (a gauge of 1.5 with an attribute k=v and one that is no text) and "m.b" (a sum
 * of -2), and an unknown one. */
static const uint8_t sample[] = {
    0x0a, 0x4d, 0x0a, 0x00, 0x12, 0x49, 0x0a, 0x00, 0x12, 0x25, 0x0a, 0x03, 0x6d, 0x2e, 0x61, 0x2a,
    0x1e, 0x0a, 0x1c, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x3a, 0x08, 0x0a, 0x01,
    0x6b, 0x12, 0x03, 0x0a, 0x01, 0x76, 0x3a, 0x07, 0x0a, 0x01, 0x6e, 0x12, 0x02, 0x18, 0x01, 0x12,
    0x16, 0x3a, 0x0f, 0x10, 0x02, 0x0a, 0x09, 0x31, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x18, 0x01, 0x0a, 0x03, 0x6d, 0x2e, 0x62, 0x12, 0x06, 0x0a, 0x01, 0x68, 0x4a, 0x01, 0xff};

struct seen {
    unsigned count;
    struct wire_otlp_point points[4];
};

static void see(void *arg, const struct wire_otlp_point *point)
{
    struct seen *seen = arg;
    assert_true(seen->count < COUNT_OF(seen->points));
    seen->points[seen->count++] = *point;
}

static void gauges_and_sums_are_read(void **state)
{
    struct seen seen = {0};
    assert_int_equal(wire_otlp_read(slice_make(sample, sizeof(sample)), see, &seen), ERR_OK);
    assert_int_equal(seen.count, 2);
    assert_true(slice_equal_text(seen.points[0].metric, "m.a"));
    assert_true(seen.points[0].value == 1.5);
    assert_int_equal(seen.points[0].attribute_count, 1);
    assert_true(slice_equal_text(seen.points[0].attributes[0].name, "k"));
    assert_true(slice_equal_text(seen.points[0].attributes[0].value, "v"));
    assert_true(slice_equal_text(seen.points[1].metric, "m.b"));
    assert_true(seen.points[1].value == -2);
}

static void what_is_cut_or_no_message_is_refused(void **state)
{
    static const uint8_t groups[] = {0x0b, 0x0c};
    static const uint8_t zero[] = {0x02, 0x00};
    static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct seen seen = {0};
    for (size_t size = 1; size < sizeof(sample); size++) {
        seen.count = 0;
        assert_int_equal(wire_otlp_read(slice_make(sample, size), see, &seen), ERR_CORRUPT);
    }
    assert_int_equal(wire_otlp_read(slice_make(groups, 2), see, &seen), ERR_CORRUPT);
    assert_int_equal(wire_otlp_read(slice_make(zero, 2), see, &seen), ERR_CORRUPT);
    assert_int_equal(wire_otlp_read(slice_make(endless, sizeof(endless)), see, &seen), ERR_CORRUPT);
    assert_int_equal(wire_otlp_read(slice_make(sample, 0), see, &seen), ERR_OK);
}

static void too_many_attributes_are_refused(void **state)
{
    static const uint8_t attribute[] = {0x3a, 0x08, 0x0a, 1, 'k', 0x12, 3, 0x0a, 1, 'v'};
    uint8_t bytes[512];
    struct seen seen = {0};
    for (unsigned count = WIRE_OTLP_ATTRIBUTES_MAX; count <= WIRE_OTLP_ATTRIBUTES_MAX + 1;
         count++) {
        size_t point = 9 + count * sizeof(attribute);
        size_t at = sizeof(bytes);
        for (unsigned i = 0; i < count; i++)
            memcpy(bytes + (at -= sizeof(attribute)), attribute, sizeof(attribute));
        at -= 9;
        memset(bytes + at, 0, 9);
        bytes[at] = 0x21;
        /* Every size needs two bytes of a varint from here on. */
        static const uint8_t tags[] = {0x0a, 0x2a, 0x12, 0x12, 0x0a};
        size_t size = point;
        for (unsigned i = 0; i < COUNT_OF(tags); i++) {
            at -= 3;
            bytes[at] = tags[i];
            bytes[at + 1] = (uint8_t)(size & 0x7f) | 0x80;
            bytes[at + 2] = (uint8_t)(size >> 7);
            size += 3;
            if (tags[i] != 0x2a)
                continue;
            at -= 3;
            memcpy(bytes + at, "\x0a\x01m", 3);
            size += 3;
        }
        seen.count = 0;
        assert_int_equal(wire_otlp_read(slice_make(bytes + at, sizeof(bytes) - at), see, &seen),
                         count > WIRE_OTLP_ATTRIBUTES_MAX ? ERR_TOO_LARGE : ERR_OK);
        assert_int_equal(seen.count, count > WIRE_OTLP_ATTRIBUTES_MAX ? 0 : 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gauges_and_sums_are_read),
        cmocka_unit_test(what_is_cut_or_no_message_is_refused),
        cmocka_unit_test(too_many_attributes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

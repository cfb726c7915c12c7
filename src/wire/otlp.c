// Walks OpenTelemetry's MetricsData with a small protobuf reader that only looks ahead.
// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp.h"

#include <stdbool.h>

enum wire_type { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };

/* Numbers of the fields that are looked at (opentelemetry/proto/metrics/v1/metrics.proto). */
enum {
    DATA_RESOURCE_METRICS = 1,
    RESOURCE_SCOPE_METRICS = 2,
    SCOPE_METRICS = 2,
    METRIC_NAME = 1,
    METRIC_GAUGE = 5,
    METRIC_SUM = 7,
    POINTS = 1,
    POINT_DOUBLE = 4,
    POINT_INT = 6,
    POINT_ATTRIBUTES = 7,
    ATTRIBUTE_KEY = 1,
    ATTRIBUTE_VALUE = 2,
    VALUE_TEXT = 1,
};

/* One field of a message. */
struct field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* of a number */
    struct slice bytes; /* of a text or an inner message */
};

struct walk {
    wire_otlp_fn fn;
    void *arg;
    enum err err;
};

static bool take_varint(struct slice *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < in->size; i++) {
        value |= (uint64_t)(in->data[i] & 0x7f) << (7 * i);
        if (in->data[i] & 0x80)
            continue;
        *out = value;
        *in = slice_make(in->data + i + 1, in->size - i - 1);
        return true;
    }
    return false;
}

static bool take_fixed(struct slice *in, unsigned size, uint64_t *out)
{
    uint64_t value = 0;
    if (in->size < size)
        return false;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)in->data[i] << (8 * i);
    *out = value;
    *in = slice_make(in->data + size, in->size - size);
    return true;
}

static bool take_bytes(struct slice *in, struct slice *out)
{
    uint64_t size;
    if (!take_varint(in, &size) || size > in->size)
        return false;
    *out = slice_make(in->data, (size_t)size);
    *in = slice_make(in->data + size, in->size - (size_t)size);
    return true;
}

static bool take_field(struct slice *in, struct field *out)
{
    uint64_t tag;
    *out = (struct field){.number = 0};
    if (!take_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return false;
    out->number = (uint32_t)(tag >> 3);
    out->type = (enum wire_type)(tag & 7);
    switch (out->type) {
    case WIRE_VARINT:
        return take_varint(in, &out->value);
    case WIRE_FIXED64:
        return take_fixed(in, 8, &out->value);
    case WIRE_BYTES:
        return take_bytes(in, &out->bytes);
    case WIRE_FIXED32:
        return take_fixed(in, 4, &out->value);
    default:
        return false; /* groups are gone from protobuf */
    }
}

/* The next field of in; false at its end, or when it is broken. */
static bool next(struct walk *walk, struct slice *in, struct field *out)
{
    if (walk->err || in->size == 0)
        return false;
    if (take_field(in, out))
        return true;
    walk->err = ERR_CORRUPT;
    return false;
}

static void attribute_read(struct walk *walk, struct slice in, struct wire_otlp_point *point)
{
    struct wire_otlp_attribute attribute = {SLICE_NULL, SLICE_NULL};
    struct field field, inner;
    while (next(walk, &in, &field)) {
        if (field.type != WIRE_BYTES)
            continue;
        if (field.number == ATTRIBUTE_KEY)
            attribute.name = field.bytes;
        if (field.number != ATTRIBUTE_VALUE)
            continue;
        while (next(walk, &field.bytes, &inner))
            if (inner.number == VALUE_TEXT && inner.type == WIRE_BYTES)
                attribute.value = inner.bytes;
    }
    if (!attribute.name.data || !attribute.value.data)
        return;
    if (point->attribute_count == WIRE_OTLP_ATTRIBUTES_MAX)
        walk->err = ERR_TOO_LARGE;
    else
        point->attributes[point->attribute_count++] = attribute;
}

static void point_read(struct walk *walk, struct slice in, struct slice metric)
{
    struct wire_otlp_point point = {.metric = metric};
    struct field field;
    bool has_value = false;
    while (next(walk, &in, &field)) {
        if (field.number == POINT_DOUBLE && field.type == WIRE_FIXED64) {
            memcpy(&point.value, &field.value, sizeof(point.value));
            has_value = true;
        } else if (field.number == POINT_INT && field.type == WIRE_FIXED64) {
            point.value = (double)(int64_t)field.value;
            has_value = true;
        } else if (field.number == POINT_ATTRIBUTES && field.type == WIRE_BYTES) {
            attribute_read(walk, field.bytes, &point);
        }
    }
    if (!walk->err && has_value)
        walk->fn(walk->arg, &point);
}

static struct slice metric_name(struct walk *walk, struct slice in)
{
    struct slice name = SLICE_NULL;
    struct field field;
    while (next(walk, &in, &field))
        if (field.number == METRIC_NAME && field.type == WIRE_BYTES)
            name = field.bytes;
    return name;
}

static void metric_read(struct walk *walk, struct slice in)
{
    struct slice name = metric_name(walk, in);
    struct field field, inner;
    while (name.size > 0 && next(walk, &in, &field)) {
        bool is_read = field.number == METRIC_GAUGE || field.number == METRIC_SUM;
        if (!is_read || field.type != WIRE_BYTES)
            continue;
        while (next(walk, &field.bytes, &inner))
            if (inner.number == POINTS && inner.type == WIRE_BYTES)
                point_read(walk, inner.bytes, name);
    }
}

/* The nth message of a chain of them, one inside the other. */
static void chain_read(struct walk *walk, struct slice in, unsigned level)
{
    static const uint32_t numbers[] = {DATA_RESOURCE_METRICS, RESOURCE_SCOPE_METRICS,
                                       SCOPE_METRICS};
    struct field field;
    while (next(walk, &in, &field)) {
        if (field.number != numbers[level] || field.type != WIRE_BYTES)
            continue;
        if (level + 1 == COUNT_OF(numbers))
            metric_read(walk, field.bytes);
        else
            chain_read(walk, field.bytes, level + 1);
    }
}

enum err wire_otlp_read(struct slice data, wire_otlp_fn fn, void *arg)
{
    struct walk walk = {.fn = fn, .arg = arg};
    chain_read(&walk, data, 0);
    return walk.err;
}

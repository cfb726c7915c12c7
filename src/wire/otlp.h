// Metrics in OpenTelemetry's protobuf, as Kafka clients push them (KIP-714).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

#define WIRE_OTLP_ATTRIBUTES_MAX 16

struct wire_otlp_attribute {
    struct slice name;
    struct slice value; /* texts only; others are left out */
};

/* One value of a gauge or a sum; slices point into the input. */
struct wire_otlp_point {
    struct slice metric;
    double value;
    struct wire_otlp_attribute attributes[WIRE_OTLP_ATTRIBUTES_MAX];
    unsigned attribute_count;
};
typedef void (*wire_otlp_fn)(void *arg, const struct wire_otlp_point *point);

/* Calls fn for each point of a MetricsData message; other kinds of metrics are stepped over.
 * ERR_CORRUPT: no such message (fn may have been called before). ERR_TOO_LARGE: a point with more
 * attributes than the maximum. */
NODISCARD enum err wire_otlp_read(struct slice data, wire_otlp_fn fn, void *arg);

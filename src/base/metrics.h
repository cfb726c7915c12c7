// Counters, gauges and log-linear histograms: written by one core, read by any.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdatomic.h>

#include "base/check.h"

struct metric_counter {
    _Atomic uint64_t value;
};

/* Only the owning core adds: a relaxed load and store, no locked instruction. */
static inline void metric_add(struct metric_counter *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + amount, memory_order_relaxed);
}

static inline uint64_t metric_get(const struct metric_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* 16 steps a power of two: at most 6.25 % error over the whole range of 64 bits. */
#define HISTOGRAM_STEP_COUNT   16
#define HISTOGRAM_BUCKET_COUNT ((64 - 4 + 1) * HISTOGRAM_STEP_COUNT)

struct histogram {
    struct metric_counter buckets[HISTOGRAM_BUCKET_COUNT];
    struct metric_counter count;
    struct metric_counter sum;
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* Adds from's numbers to into; from may be changing. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* How many values were at most bound, to within the width of its bucket. */
uint64_t histogram_count_upto(const struct histogram *histogram, uint64_t bound);
/* Upper bound of the bucket that holds the given permyriad (9900 = p99); 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned permyriad);

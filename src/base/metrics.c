// Histograms: values 0 to 15 one by one, then 16 buckets a power of two.
// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#define PERMYRIAD_MAX 10000

static size_t bucket_index(uint64_t value)
{
    if (value < HISTOGRAM_STEP_COUNT)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - 4;
    return (size_t)(shift + 1) * HISTOGRAM_STEP_COUNT +
           (size_t)((value >> shift) & (HISTOGRAM_STEP_COUNT - 1));
}

/* The greatest value in the bucket. */
static uint64_t bucket_bound(size_t index)
{
    if (index < HISTOGRAM_STEP_COUNT)
        return index;
    unsigned shift = (unsigned)(index / HISTOGRAM_STEP_COUNT) - 1;
    uint64_t step = HISTOGRAM_STEP_COUNT + index % HISTOGRAM_STEP_COUNT;
    return ((step + 1) << shift) - 1; /* wraps to the greatest number in the last bucket */
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    metric_add(&histogram->buckets[bucket_index(value)], 1);
    metric_add(&histogram->count, 1);
    metric_add(&histogram->sum, value);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t amount = metric_get(&from->buckets[i]);
        if (amount != 0)
            metric_add(&into->buckets[i], amount);
    }
    metric_add(&into->count, metric_get(&from->count));
    metric_add(&into->sum, metric_get(&from->sum));
}

uint64_t histogram_count_upto(const struct histogram *histogram, uint64_t bound)
{
    uint64_t count = 0;
    size_t last = bucket_index(bound);
    for (size_t i = 0; i <= last; i++)
        count += metric_get(&histogram->buckets[i]);
    return count;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned permyriad)
{
    /* count may be ahead of the buckets, so these are counted anew */
    uint64_t total = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        total += metric_get(&histogram->buckets[i]);
    if (total == 0)
        return 0;
    unsigned part = MIN(permyriad, PERMYRIAD_MAX);
    unsigned __int128 product = (unsigned __int128)total * part;
    uint64_t rank = (uint64_t)((product + PERMYRIAD_MAX - 1) / PERMYRIAD_MAX);
    uint64_t seen = 0;
    size_t last = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        uint64_t amount = metric_get(&histogram->buckets[i]);
        seen += amount;
        if (amount != 0)
            last = i;
        if (amount != 0 && seen >= rank)
            break;
    }
    return bucket_bound(last);
}

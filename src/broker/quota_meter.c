// Rates over windows of time and buckets of tokens, with the formulas of Kafka's quotas.
// SPDX-License-Identifier: Apache-2.0
#include "broker/quota_meter.h"

#include <stdlib.h>

#define CELLS_PER_LINE 8
#define AMOUNT_BITS    48
#define AMOUNT_MAX     (((uint64_t)1 << AMOUNT_BITS) - 1)
/* A wait is told as a positive number of 32 bits. */
#define DELAY_MS_MAX INT32_MAX

static unsigned meter_stride(const struct quota_windows *windows)
{
    return (windows->count + CELLS_PER_LINE - 1) / CELLS_PER_LINE * CELLS_PER_LINE;
}

size_t broker_quota_meter_size(unsigned core_count, const struct quota_windows *windows)
{
    return sizeof(struct quota_meter) +
           (size_t)core_count * meter_stride(windows) * sizeof(_Atomic uint64_t);
}

struct quota_meter *broker_quota_meter_new(unsigned core_count, const struct quota_windows *windows)
{
    struct quota_meter *meter = calloc(1, broker_quota_meter_size(core_count, windows));
    if (!meter)
        return NULL;
    atomic_init(&meter->refs, 1);
    meter->core_count = core_count;
    meter->stride = meter_stride(windows);
    return meter;
}

struct quota_meter *broker_quota_meter_ref(struct quota_meter *meter)
{
    atomic_fetch_add_explicit(&meter->refs, 1, memory_order_relaxed);
    return meter;
}

bool broker_quota_meter_unref(struct quota_meter *meter)
{
    if (!meter || atomic_fetch_sub_explicit(&meter->refs, 1, memory_order_acq_rel) != 1)
        return false;
    free(meter);
    return true;
}

/* --- rates ------------------------------------------------------------------------------------ */

static _Atomic uint64_t *meter_cell(struct quota_meter *meter, const struct quota_windows *windows,
                                    unsigned core, uint64_t window)
{
    return &meter->cells[(size_t)core * meter->stride + window % windows->count];
}

/* The cell's amount when it is of this window. */
static uint64_t cell_amount(uint64_t cell, uint64_t window)
{
    return (uint16_t)(cell >> AMOUNT_BITS) == (uint16_t)window ? cell & AMOUNT_MAX : 0;
}

static void cell_set(_Atomic uint64_t *cell, uint64_t window, uint64_t amount)
{
    atomic_store_explicit(cell, (window << AMOUNT_BITS) | MIN(amount, AMOUNT_MAX),
                          memory_order_relaxed);
}

void broker_quota_meter_add(struct quota_meter *meter, const struct quota_windows *windows,
                            struct quota_moment at, uint64_t amount)
{
    uint64_t window = at.now_ns / windows->size_ns;
    _Atomic uint64_t *cell = meter_cell(meter, windows, at.core, window);
    uint64_t before = cell_amount(atomic_load_explicit(cell, memory_order_relaxed), window);
    cell_set(cell, window, before + MIN(amount, AMOUNT_MAX));
}

void broker_quota_meter_take_back(struct quota_meter *meter, const struct quota_windows *windows,
                                  struct quota_moment at, uint64_t amount)
{
    uint64_t window = at.now_ns / windows->size_ns;
    _Atomic uint64_t *cell = meter_cell(meter, windows, at.core, window);
    uint64_t before = cell_amount(atomic_load_explicit(cell, memory_order_relaxed), window);
    cell_set(cell, window, before - MIN(amount, before));
}

void broker_quota_meter_clear(struct quota_meter *meter, unsigned core)
{
    for (unsigned i = 0; i < meter->stride; i++)
        atomic_store_explicit(&meter->cells[(size_t)core * meter->stride + i], 0,
                              memory_order_relaxed);
}

void broker_quota_meter_carry(struct quota_meter *into, const struct quota_meter *from,
                              struct quota_moment at)
{
    size_t start = (size_t)at.core * into->stride;
    uint64_t debt_ns = atomic_load_explicit(&from->full_ns, memory_order_relaxed);
    uint64_t full_ns = atomic_load_explicit(&into->full_ns, memory_order_relaxed);
    for (size_t i = start; i < start + into->stride; i++)
        atomic_store_explicit(&into->cells[i],
                              atomic_load_explicit(&from->cells[i], memory_order_relaxed),
                              memory_order_relaxed);
    if (debt_ns <= at.now_ns)
        return;
    debt_ns -= at.now_ns;
    while (!atomic_compare_exchange_weak_explicit(
        &into->full_ns, &full_ns, MAX(full_ns, at.now_ns) + MIN(debt_ns, UINT64_MAX / 4),
        memory_order_relaxed, memory_order_relaxed)) {
    }
}

uint64_t broker_quota_meter_sum(const struct quota_meter *meter,
                                const struct quota_windows *windows, uint64_t now_ns,
                                uint64_t *out_span_ns)
{
    uint64_t newest = now_ns / windows->size_ns;
    uint64_t oldest = newest;
    uint64_t sum = 0;
    for (unsigned age = 0; age < windows->count && age <= newest; age++) {
        uint64_t window = newest - age;
        uint64_t amount = 0;
        for (unsigned core = 0; core < meter->core_count; core++) {
            const _Atomic uint64_t *cell =
                &meter->cells[(size_t)core * meter->stride + window % windows->count];
            amount += cell_amount(atomic_load_explicit(cell, memory_order_relaxed), window);
        }
        sum += amount;
        oldest = amount > 0 ? window : oldest;
    }
    uint64_t span_ns = now_ns - oldest * windows->size_ns;
    uint64_t whole = span_ns / windows->size_ns;
    if (whole < windows->count - 1)
        span_ns += (windows->count - 1 - whole) * windows->size_ns;
    *out_span_ns = MAX(span_ns, (uint64_t)1000000);
    return sum;
}

uint64_t broker_quota_meter_delay_ms(uint64_t sum, uint64_t span_ns, double limit_per_s)
{
    double rate_per_s = (double)sum * 1e9 / (double)span_ns;
    if (rate_per_s <= limit_per_s)
        return 0;
    double delay_ms = (rate_per_s - limit_per_s) / limit_per_s * ((double)span_ns / 1e6) + 0.5;
    return delay_ms < DELAY_MS_MAX ? (uint64_t)delay_ms : DELAY_MS_MAX;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The bucket is the time at which it will be full: that is one word whatever the rate, and it is
 * overdrawn when that lies further away than it takes to fill it. */
uint64_t broker_quota_meter_draw(struct quota_meter *meter, const struct quota_bucket *bucket,
                                 uint64_t now_ns, uint64_t count, bool *out_refused)
{
    uint64_t full_ns = atomic_load_explicit(&meter->full_ns, memory_order_relaxed);
    uint64_t after_ns;
    double cost_ns = (double)count / bucket->rate_per_s * 1e9;
    uint64_t cost = cost_ns < (double)(UINT64_MAX / 4) ? (uint64_t)cost_ns : UINT64_MAX / 4;
    *out_refused = false;
    do {
        after_ns = full_ns;
        if (bucket->strict && full_ns > now_ns && full_ns - now_ns > bucket->burst_ns) {
            *out_refused = true;
            break;
        }
        uint64_t from_ns = MAX(full_ns, now_ns);
        after_ns = from_ns > UINT64_MAX / 2 ? from_ns : from_ns + cost;
    } while (!atomic_compare_exchange_weak_explicit(&meter->full_ns, &full_ns, after_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (after_ns <= now_ns || after_ns - now_ns <= bucket->burst_ns)
        return 0;
    uint64_t over_ms = (after_ns - now_ns - bucket->burst_ns + 500000) / 1000000;
    return MIN(MAX(over_ms, (uint64_t)1), (uint64_t)DELAY_MS_MAX);
}

// How much of something went by lately: windows of time, shared by cores without a lock.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

/* count windows of size_ns each, the newest of which is still being filled. */
struct quota_windows {
    unsigned count;
    uint64_t size_ns;
};

/* Each core adds to cells of its own and reads those of all. A cell is one word, the window's
 * number modulo 2^16 above 48 bits of amount, so that no reader sees half of a change. */
struct quota_meter {
    _Atomic uint32_t refs;
    unsigned core_count;
    unsigned stride;          /* cells a core, whole cache lines */
    _Atomic uint64_t full_ns; /* of a bucket of tokens: when it will be full */
    _Atomic uint64_t cells[];
};

/* One reference; NULL: out of memory. */
struct quota_meter *broker_quota_meter_new(unsigned core_count,
                                           const struct quota_windows *windows);
size_t broker_quota_meter_size(unsigned core_count, const struct quota_windows *windows);
struct quota_meter *broker_quota_meter_ref(struct quota_meter *meter);
/* True when that was the last one. */
bool broker_quota_meter_unref(struct quota_meter *meter);

/* On that core only. */
struct quota_moment {
    unsigned core;
    uint64_t now_ns;
};
void broker_quota_meter_add(struct quota_meter *meter, const struct quota_windows *windows,
                            struct quota_moment at, uint64_t amount);
/* Of what was added in this turn. */
void broker_quota_meter_take_back(struct quota_meter *meter, const struct quota_windows *windows,
                                  struct quota_moment at, uint64_t amount);
/* What from counted on this core goes to into, which has nothing of this core yet. */
void broker_quota_meter_carry(struct quota_meter *into, const struct quota_meter *from,
                              struct quota_moment at);
/* Forgets what this core added. */
void broker_quota_meter_clear(struct quota_meter *meter, unsigned core);
/* What all cores added within the windows; *out_span_ns is the time it is spread over: since the
 * beginning of the oldest window that has something, but no less than all whole windows. */
uint64_t broker_quota_meter_sum(const struct quota_meter *meter,
                                const struct quota_windows *windows, uint64_t now_ns,
                                uint64_t *out_span_ns);
/* How long to wait until the rate is limit_per_s again, in milliseconds; 0 when it is not over. */
uint64_t broker_quota_meter_delay_ms(uint64_t sum, uint64_t span_ns, double limit_per_s);

/* A bucket that gains rate_per_s tokens and holds as many as come in burst_ns. Takes count even
 * when they are not there, unless strict and it is overdrawn already (then *out_refused). Returns
 * how long until it is no longer overdrawn, in milliseconds. Any core. */
struct quota_bucket {
    double rate_per_s;
    uint64_t burst_ns;
    bool strict;
};
uint64_t broker_quota_meter_draw(struct quota_meter *meter, const struct quota_bucket *bucket,
                                 uint64_t now_ns, uint64_t count, bool *out_refused);

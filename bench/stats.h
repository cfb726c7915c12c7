// Clocks, histograms of times, and how they are printed, for the benchmarks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

/* Says what failed, and why (errno), and ends the program. */
_Noreturn void stats_die(const char *what);
/* The same with own words. */
_Noreturn void stats_die_of(const char *format, ...) PRINTF_LIKE(1, 2);

uint64_t stats_now_ns(void);
/* CPU time of another process; ends the program when it is not there. */
uint64_t stats_cpu_ns(int pid);

#define STATS_STEPS 64 /* a power of two; the error of a quantile is below 1 / STATS_STEPS */

struct stats_times {
    uint64_t count;
    uint64_t max_ns;
    uint64_t counts[64 * STATS_STEPS];
};

void stats_times_add(struct stats_times *times, uint64_t ns);
/* part: 0 to 1. In microseconds. */
double stats_times_us(const struct stats_times *times, double part);

/* One measurement; a pid of 0 means that no server was watched. */
struct stats_run {
    int pid;
    uint64_t started_ns;
    uint64_t cpu_ns; /* at the start; at the end what was used */
    uint64_t taken_ns;
    uint64_t requests;
    uint64_t records;
    uint64_t bytes; /* of record batches */
    struct stats_times times;
};

void stats_run_start(struct stats_run *run, int pid);
void stats_run_end(struct stats_run *run);
/* One line of JSON, or one for people. */
void stats_run_print(const struct stats_run *run, bool json);

// Clocks, histograms of times, and how they are printed, for the benchmarks.
// SPDX-License-Identifier: Apache-2.0
#include "bench/stats.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void stats_die_of(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void stats_die(const char *what)
{
    stats_die_of("%s: %s", what, strerror(errno));
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now))
        stats_die("clock");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t stats_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t stats_cpu_ns(int pid)
{
    clockid_t clock;
    int error = clock_getcpuclockid(pid, &clock);
    if (error)
        stats_die_of("process %d: %s", pid, strerror(error));
    return clock_ns(clock);
}

/* Values below STATS_STEPS have a place each; above, every power of two has STATS_STEPS places. */
static size_t place_of(uint64_t ns)
{
    if (ns < STATS_STEPS)
        return (size_t)ns;
    int shift = 63 - __builtin_clzll(ns) - __builtin_ctz(STATS_STEPS);
    return (size_t)(shift + 1) * STATS_STEPS + (size_t)(ns >> shift) - STATS_STEPS;
}

static uint64_t middle_of(size_t place)
{
    if (place < STATS_STEPS)
        return place;
    int shift = (int)(place / STATS_STEPS) - 1;
    uint64_t low = (uint64_t)(place % STATS_STEPS + STATS_STEPS) << shift;
    return low + (1ull << shift) / 2;
}

void stats_times_add(struct stats_times *times, uint64_t ns)
{
    size_t place = place_of(ns);
    CHECK(place < COUNT_OF(times->counts));
    times->counts[place]++;
    times->count++;
    times->max_ns = MAX(times->max_ns, ns);
}

double stats_times_us(const struct stats_times *times, double part)
{
    uint64_t wanted = (uint64_t)((double)times->count * part), seen = 0;
    if (wanted >= times->count)
        return (double)times->max_ns / 1e3;
    for (size_t place = 0; place < COUNT_OF(times->counts); place++) {
        seen += times->counts[place];
        if (seen > wanted)
            return (double)MIN(middle_of(place), times->max_ns) / 1e3;
    }
    return 0;
}

void stats_run_start(struct stats_run *run, int pid)
{
    *run = (struct stats_run){.pid = pid};
    run->cpu_ns = pid ? stats_cpu_ns(pid) : 0;
    run->started_ns = stats_now_ns();
}

void stats_run_end(struct stats_run *run)
{
    run->taken_ns = stats_now_ns() - run->started_ns;
    run->cpu_ns = run->pid ? stats_cpu_ns(run->pid) - run->cpu_ns : 0;
}

static double per(double value, double what)
{
    return what > 0 ? value / what : 0;
}

void stats_run_print(const struct stats_run *run, bool json)
{
    const struct stats_times *times = &run->times;
    double seconds = (double)run->taken_ns / 1e9, cpu = (double)run->cpu_ns / 1e9;
    double records = (double)run->records, bytes = (double)run->bytes;
    const char *format =
        json ? "{\"seconds\": %.6f, \"requests\": %llu, \"records\": %llu, \"bytes\": %llu, "
               "\"records_s\": %.1f, \"mb_s\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
               "\"p999_us\": %.1f, \"max_us\": %.1f, \"cpu_s\": %.6f, \"cpu_s_m\": %.5f, "
               "\"cpu_s_gb\": %.5f, \"cpu_us_request\": %.3f}\n"
             : "%.2f s, %llu requests, %llu records, %llu bytes: %.0f records/s, %.1f MB/s; "
               "p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f us; server CPU %.3f s: %.4f s/M records, "
               "%.4f s/GB, %.1f us/request\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    printf(format, seconds, (unsigned long long)run->requests, (unsigned long long)run->records,
           (unsigned long long)run->bytes, per(records, seconds), per(bytes / 1e6, seconds),
           stats_times_us(times, 0.5), stats_times_us(times, 0.99), stats_times_us(times, 0.999),
           (double)times->max_ns / 1e3, cpu, per(cpu, records / 1e6), per(cpu, bytes / 1e9),
           per(cpu * 1e6, (double)run->requests));
#pragma GCC diagnostic pop
}

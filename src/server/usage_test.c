// Tests of what /proc tells, and of the percentage between two readings.
// SPDX-License-Identifier: Apache-2.0
#include "server/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const STAT =
    "42 (a) b (c)) S 1 42 42 0 -1 4194560 900 0 3 0 250 50 0 0 20 0 4 0 77 99 12 1844";

static void cpu_time_is_found_behind_any_name(void **state)
{
    assert_int_equal(server_usage_cpu_ns(slice_text(STAT)), 3000000000);
    assert_int_equal(server_usage_cpu_ns(slice_text("42 (x) S 1 2 3 4 5 6 7 8 9 10 1 1")),
                     20000000);
    assert_int_equal(server_usage_cpu_ns(slice_text("42 (x) S 1 2")), 0);
    assert_int_equal(server_usage_cpu_ns(slice_text("42 (x")), 0);
    assert_int_equal(server_usage_cpu_ns(SLICE_NULL), 0);
}

static void memory_is_that_which_is_resident(void **state)
{
    const char *status = "Name:\tx\nVmHWM:\t    9000 kB\nVmRSS:\t    5120 kB\nRssAnon:\t 1 kB\n";
    assert_int_equal(server_usage_memory_bytes(slice_text(status)), 5120 * 1024);
    assert_int_equal(server_usage_memory_bytes(slice_text("VmRSS 1")), 0);
    assert_int_equal(server_usage_memory_bytes(slice_text("a\nVmRSS:")), 0);
    assert_int_equal(server_usage_memory_bytes(SLICE_NULL), 0);
}

struct proc {
    struct os os;
    const char *stat;
    int open_count;
};

static int proc_open(struct os *os, const char *path, unsigned flags)
{
    struct proc *proc = CONTAINER_OF(os, struct proc, os);
    proc->open_count++;
    return strcmp(path, "/proc/self/stat") == 0 ? 1 : 2;
}

static int proc_close(struct os *os, int fd)
{
    CONTAINER_OF(os, struct proc, os)->open_count--;
    return 0;
}

static ssize_t proc_pread(struct os *os, int fd, void *data, size_t size, uint64_t offset)
{
    const char *text =
        fd == 1 ? CONTAINER_OF(os, struct proc, os)->stat : "Name:\tx\nVmRSS:\t 8 kB\n";
    size_t count = strlen(text);
    assert_true(offset == 0 && count < size);
    memcpy(data, text, count);
    return (ssize_t)count;
}

static void the_percentage_is_that_since_the_last_reading(void **state)
{
    static const struct os_ops ops = {.open = proc_open, .close = proc_close, .pread = proc_pread};
    const uint64_t second_ns = 1000000000;
    struct proc proc = {.os = {.ops = &ops}, .stat = "1 (x) S 1 2 3 4 5 6 7 8 9 10 40 10"};
    struct server_usage usage = {0};
    server_usage_read(&usage, &proc.os, 7 * second_ns, 5 * second_ns);
    assert_int_equal(usage.memory_bytes, 8192);
    assert_true(usage.cpu_percent > 24.9 && usage.cpu_percent < 25.1);
    proc.stat = "1 (x) S 1 2 3 4 5 6 7 8 9 10 200 50";
    server_usage_read(&usage, &proc.os, 7 * second_ns + 1, 5 * second_ns);
    assert_true(usage.cpu_percent > 24.9 && usage.cpu_percent < 25.1);
    server_usage_read(&usage, &proc.os, 8 * second_ns, 5 * second_ns);
    assert_true(usage.cpu_percent > 199.9 && usage.cpu_percent < 200.1);
    assert_int_equal(proc.open_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_time_is_found_behind_any_name),
        cmocka_unit_test(memory_is_that_which_is_resident),
        cmocka_unit_test(the_percentage_is_that_since_the_last_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

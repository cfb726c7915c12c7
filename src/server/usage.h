// What the process takes of the machine, as /proc tells it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "os/os.h"

struct server_usage {
    uint64_t at_ns;  /* when it was read */
    uint64_t cpu_ns; /* of all threads since the process began */
    double cpu_percent;
    uint64_t memory_bytes; /* resident; 0: not known */
};

/* Reads it again; the percentage is that of the time since the last reading, if that is a second
 * ago, else as it was. The first time it is that since start_ns. For one core. */
void server_usage_read(struct server_usage *usage, struct os *os, uint64_t now_ns,
                       uint64_t start_ns);
/* CPU time in a text such as /proc/self/stat, whose program's name may have anything in it. 0: it
 * is not there. */
uint64_t server_usage_cpu_ns(struct slice stat);
/* Resident memory in a text such as /proc/self/status; 0: it is not there. */
uint64_t server_usage_memory_bytes(struct slice status);

// The slow look at old data: whether what lies in the segments is still what was written.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "store/store.h"

/* One a core. It reads what has left the memory of tails, log by log, through the helpers, no
 * faster than the rate; damage is told as that which a reader meets. A pass over all logs begins a
 * day after the one before it began. */
struct scrub {
    struct core_timer timer;
    struct store_read read;
    struct store_log *log; /* NULL: between logs */
    int64_t offset;        /* in it, to be read next */
    uint64_t pass_at_ns;   /* when the next pass may begin */
    size_t pass_left;      /* logs of this pass */
    bool is_reading;
    bool is_answered; /* what was read is to be looked at */
    bool was_closed;  /* nobody else needed the log open */
};

struct log_core;
/* Nothing happens with a rate of 0. */
void scrub_start(struct log_core *home);
void scrub_stop(struct log_core *home);
/* The log leaves the core, or this world; nothing of it is being read. */
void scrub_forget(struct store_log *log);

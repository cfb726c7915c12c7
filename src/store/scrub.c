// The slow look at old data: one piece after the other of one log after the other.
// SPDX-License-Identifier: Apache-2.0
#include "store/scrub.h"

#include "store/log.h"

#define SCRUB_FIRST_NS  60000000000ull    /* a start has other things to do */
#define SCRUB_PASS_NS   86400000000000ull /* from begin to begin */
#define SCRUB_STEP_NS   10000000ull
#define SCRUB_READ_SIZE (256u << 10)
#define SCRUB_SKIP_MAX  256u /* logs with nothing to read, at a time */

static void timer_set(struct log_core *home, uint64_t after_ns)
{
    core_timer_set(home->core, &home->scrub.timer, core_now_ns(home->core) + after_ns);
}

/* Behind it memory has the batches, or there is nothing. */
static int64_t limit_of(const struct store_log *log)
{
    const struct tail *tail = &log->tail;
    return tail->next > tail->first ? tail_at(tail, tail->first)->base_offset : log->committed;
}

static bool is_worth_it(const struct store_log *log)
{
    return log->err == ERR_OK && !log->is_moving && !log->is_deleted && !log->is_failing &&
           limit_of(log) > log->start;
}

static void leave(struct scrub *scrub)
{
    struct store_log *log = scrub->log;
    scrub->log = NULL;
    if (!scrub->was_closed)
        return;
    log->is_visited = true;
    log_wake_undo(log);
}

/* False: not now; the timer is set. */
static bool next_log(struct log_core *home)
{
    struct scrub *scrub = &home->scrub;
    uint64_t now_ns = core_now_ns(home->core);
    if (scrub->pass_left == 0) {
        if (now_ns < scrub->pass_at_ns) {
            timer_set(home, scrub->pass_at_ns - now_ns);
            return false;
        }
        scrub->pass_at_ns = now_ns + SCRUB_PASS_NS;
        list_for_each (node, &home->all)
            scrub->pass_left++;
    }
    for (unsigned i = 0; i < SCRUB_SKIP_MAX && scrub->pass_left > 0; i++) {
        struct list *node = list_pop_front(&home->all);
        if (!node) { /* they left meanwhile */
            scrub->pass_left = 0;
            break;
        }
        struct store_log *log = LIST_ENTRY(node, struct store_log, all_node);
        list_push_back(&home->all, node);
        scrub->pass_left--;
        if (!is_worth_it(log))
            continue;
        scrub->log = log;
        scrub->offset = log->start;
        scrub->was_closed = log->state == LOG_CLOSED;
        return true;
    }
    timer_set(home, SCRUB_STEP_NS);
    return false;
}

/* What a piece of so many bytes leaves to wait. */
static uint64_t pause_ns(const struct log_core *home, size_t size)
{
    uint64_t rate = home->store->options.scrub_bytes_per_second;
    return MAX((uint64_t)size * 1000000000u / rate, SCRUB_STEP_NS);
}

static void take_result(struct log_core *home, enum err err)
{
    struct scrub *scrub = &home->scrub;
    size_t size = scrub->read.size;
    scrub->is_reading = false;
    store_read_release(&scrub->read);
    if (err == ERR_BUSY) { /* memory is short: the same again, later */
        timer_set(home, 100 * SCRUB_STEP_NS);
        return;
    }
    /* damage has been told by who found it */
    bool is_more = (err == ERR_OK || err == ERR_CORRUPT) && scrub->read.offset_next > scrub->offset;
    scrub->offset = scrub->read.offset_next;
    if (!is_more)
        leave(scrub);
    timer_set(home, pause_ns(home, size));
}

static void read_done(struct store_read *read)
{
    struct scrub *scrub = CONTAINER_OF(read, struct scrub, read);
    struct log_core *home = CONTAINER_OF(scrub, struct log_core, scrub);
    scrub->is_reading = false;
    scrub->is_answered = true;
    /* the log may not be closed in here: goes on in a turn to come */
    timer_set(home, 0);
}

static void read_start(struct log_core *home)
{
    struct scrub *scrub = &home->scrub;
    scrub->offset = MAX(scrub->offset, scrub->log->start);
    scrub->read = (struct store_read){.offset = scrub->offset,
                                      .offset_limit = limit_of(scrub->log),
                                      .size_max = SCRUB_READ_SIZE,
                                      .want_one = true,
                                      .want_memory = true,
                                      .done = read_done};
    scrub->is_reading = true;
    bool is_used = scrub->log->is_used;
    enum err err = store_log_read(scrub->log, &scrub->read);
    scrub->log->is_used = is_used; /* by others */
    if (err != ERR_AGAIN)
        take_result(home, err);
}

static void timer_run(struct core *core, struct core_timer *timer)
{
    struct scrub *scrub = CONTAINER_OF(timer, struct scrub, timer);
    struct log_core *home = CONTAINER_OF(scrub, struct log_core, scrub);
    if (home->store->is_closing || home->store->is_draining || scrub->is_reading)
        return;
    if (scrub->is_answered) {
        scrub->is_answered = false;
        take_result(home, scrub->read.result);
        return;
    }
    if (!scrub->log && !next_log(home))
        return;
    if (is_worth_it(scrub->log) && scrub->offset < limit_of(scrub->log)) {
        read_start(home);
        return;
    }
    leave(scrub);
    timer_set(home, SCRUB_STEP_NS);
}

void scrub_start(struct log_core *home)
{
    core_timer_init(&home->scrub.timer, timer_run);
    if (home->store->options.scrub_bytes_per_second > 0)
        timer_set(home, SCRUB_FIRST_NS);
}

void scrub_stop(struct log_core *home)
{
    core_timer_cancel(home->core, &home->scrub.timer);
}

void scrub_forget(struct store_log *log)
{
    struct scrub *scrub = &log->home->scrub;
    if (scrub->log != log)
        return;
    CHECK(!scrub->is_reading);
    if (scrub->is_answered)
        store_read_release(&scrub->read);
    scrub->is_answered = false;
    scrub->log = NULL;
    timer_set(log->home, SCRUB_STEP_NS);
}

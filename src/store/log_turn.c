// Each log's turn once in a while: what time lets go of it, and its end when nobody uses it.
// SPDX-License-Identifier: Apache-2.0
//
// A log that was neither written nor read between two of its turns closes: then it takes as little
// memory as after a start, and no descriptor. The next use opens it again.
#include "store/log.h"

#define TURN_INTERVAL_NS 300000000000ull /* from one turn of a log to its next */
#define TURN_STEP_NS     100000000ull    /* several logs at a time rather than more often */
#define TURN_COUNT_MAX   256u            /* at a time */

static void timer_set(struct log_core *home)
{
    uint64_t step_ns = MAX(TURN_INTERVAL_NS / MAX(home->turn_count, 1u), TURN_STEP_NS);
    home->turn_due_ns = core_now_ns(home->core) + step_ns;
    core_timer_set(home->core, &home->turn_timer, home->turn_due_ns);
}

static void turn(struct store_log *log)
{
    bool is_used = log->is_used;
    log->is_used = false;
    log_retain_turn(log);
    log_wake_undo(log);
    if (!is_used)
        log_wake_end(log);
}

/* How many are due by the time that has passed; the part of one that is left over is kept. */
static unsigned due(struct log_core *home)
{
    uint64_t now_ns = core_now_ns(home->core), each_ns = TURN_INTERVAL_NS / home->turn_count;
    uint64_t count = (now_ns - home->turn_at_ns) / each_ns;
    home->turn_at_ns += count * each_ns;
    return (unsigned)MIN(count, MIN(home->turn_count, TURN_COUNT_MAX));
}

static void timer_run(struct core *core, struct core_timer *timer)
{
    struct log_core *home = CONTAINER_OF(timer, struct log_core, turn_timer);
    for (unsigned count = due(home); count > 0; count--) {
        struct list *node = list_pop_front(&home->turns);
        list_push_back(&home->turns, node);
        turn(LIST_ENTRY(node, struct store_log, turn_node));
    }
    timer_set(home);
}

void log_turn_init(struct log_core *home)
{
    list_init(&home->turns);
    core_timer_init(&home->turn_timer, timer_run);
}

void log_turn_add(struct store_log *log)
{
    struct log_core *home = log->home;
    list_push_back(&home->turns, &log->turn_node);
    uint64_t now_ns = core_now_ns(home->core);
    if (home->turn_count++ == 0) {
        home->turn_at_ns = now_ns;
        home->turn_due_ns = UINT64_MAX;
    }
    /* with each more the next turn comes sooner */
    uint64_t step_ns = MAX(TURN_INTERVAL_NS / home->turn_count, TURN_STEP_NS);
    if (now_ns + step_ns < home->turn_due_ns)
        timer_set(home);
}

void log_turn_remove(struct store_log *log)
{
    struct log_core *home = log->home;
    if (list_empty(&log->turn_node))
        return;
    list_remove(&log->turn_node);
    if (--home->turn_count == 0)
        core_timer_cancel(home->core, &home->turn_timer);
}

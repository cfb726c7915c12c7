// Compaction: on each core one log at a time is cleaned, in the background and within a budget.
// SPDX-License-Identifier: Apache-2.0
//
// A timer looks for the most urgent log (compact_plan.c). Its dirty part, what no cleaning has seen
// yet, is read for its keys (compact_slice.c, compact_keys.c); then all its sealed segments are
// read again from the beginning, and what stays of them (compact_judge.c) is written into new ones
// (compact_output.c), several into one where they have become small. Each new segment takes the
// place of its inputs when it is whole and durable (compact_swap.c). Nothing else depends on it: a
// cleaning may be called off or killed anywhere, and the next one begins again.
//
// Work is done by a helper, about a mebibyte at a time. Between two slices the run rests as long as
// it has worked, and longer where log.cleaner.io.max.bytes.per.second says so. Memory is charged to
// the budget. The reads of a log's segments wait while files take each other's place: the swap
// begins when none is under way, and ends after four syncs of a folder.
#include "store/compact.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/read.h"
#include "store/tail_write.h"

#define COMPACT_BUFFERS_SIZE ((size_t)4 << 20) /* of a run, besides the keys */
#define COMPACT_REST_MIN_NS  1000000ull
#define COMPACT_NS           1000000000ull

static void next_slice(struct compact_run *run);
static void run_end(struct compact_run *run);

static void timer_set(struct log_core *home, uint64_t delay_ns)
{
    core_timer_set(home->core, &home->compact_timer, core_now_ns(home->core) + delay_ns);
}

static uint64_t backoff_ns(const struct log_core *home)
{
    int64_t ms = home->store->options.compact_backoff_ms;
    return (uint64_t)MIN(ms, INT64_MAX / 1000000) * 1000000u;
}

/* --- a run --- */

static void run_free(struct compact_run *run)
{
    struct log_core *home = run->home;
    core_timer_cancel(home->core, &run->timer);
    run->log->compact = NULL;
    home->compact = NULL;
    compact_keys_deinit(&run->keys);
    compact_judge_deinit(&run->judge);
    compact_output_deinit(&run->output);
    epochs_deinit(&run->scope.epochs);
    segment_file_unref(run->file);
    free(run->window.data);
    free(run->inputs);
    free(run->dir);
    free(run);
    budget_release(reactor_budget(home->store->options.reactor), COMPACT_BUFFERS_SIZE);
}

static void rested(struct core *core, struct core_timer *timer)
{
    next_slice(CONTAINER_OF(timer, struct compact_run, timer));
}

static struct compact_run *run_new(struct store_log *log)
{
    struct log_core *home = log->home;
    if (!budget_charge(reactor_budget(home->store->options.reactor), COMPACT_BUFFERS_SIZE))
        return NULL;
    struct compact_run *run = calloc(1, sizeof(*run));
    if (!run) {
        budget_release(reactor_budget(home->store->options.reactor), COMPACT_BUFFERS_SIZE);
        return NULL;
    }
    char dir[LOG_PATH_SIZE];
    log_dir_path(log, dir);
    run->log = log;
    run->home = home;
    run->dir = strdup(dir);
    run->started_ns = core_now_ns(home->core);
    core_timer_init(&run->timer, rested);
    compact_judge_init(&run->judge);
    compact_output_init(&run->output, home->store->os, run->dir);
    epochs_init(&run->scope.epochs);
    run->window.capacity = 1u << 20;
    run->window.data = malloc(run->window.capacity);
    log->compact = home->compact = run;
    if (run->dir && run->window.data)
        return run;
    run_free(run);
    return NULL;
}

/* The best of the logs here; what is running already is left alone. */
static void tick(struct core *core, struct core_timer *timer)
{
    struct log_core *home = CONTAINER_OF(timer, struct log_core, compact_timer);
    struct store_log *best = NULL;
    uint64_t urgency = 0;
    timer_set(home, backoff_ns(home));
    if (home->compact || home->store->is_draining || home->store->is_closing ||
        store_is_full(home->store))
        return;
    list_for_each (node, &home->all) {
        struct store_log *log = LIST_ENTRY(node, struct store_log, all_node);
        uint64_t its = compact_plan_urgency(log);
        if (its > urgency) {
            urgency = its;
            best = log;
        }
    }
    struct compact_run *run = best ? run_new(best) : NULL;
    if (!run)
        return;
    run->phase = COMPACT_OPEN;
    if (best->state == LOG_OPEN)
        compact_log_opened(best);
    else
        log_wake(best);
}

void compact_start(struct log_core *home)
{
    core_timer_init(&home->compact_timer, tick);
    if (backoff_ns(home) > 0)
        timer_set(home, backoff_ns(home));
}

void compact_log_opened(struct store_log *log)
{
    struct compact_run *run = log->compact;
    if (!run || run->phase != COMPACT_OPEN)
        return;
    log_decode(log);
    enum err err = run->is_cancelled ? ERR_CANCELLED : compact_plan_make(run);
    if (err == ERR_OK) {
        next_slice(run);
        return;
    }
    run->cause = err == ERR_NOT_FOUND ? ERR_CANCELLED : err;
    run_end(run);
}

/* --- its end --- */

static void run_tell(const struct compact_run *run)
{
    const struct store_log *log = run->log;
    if (run->cause != ERR_OK && run->cause != ERR_CANCELLED)
        log_warn(log->store->logger, "store", "compaction failed log=%s error=%s",
                 log_name(&log->key).text, err_name(run->cause));
    else if (run->cause == ERR_OK)
        log_info(log->store->logger, "store",
                 "compacted log=%s end=%lld before_bytes=%llu bytes=%llu keys=%llu ms=%llu",
                 log_name(&log->key).text, (long long)run->end,
                 (unsigned long long)run->bytes_before, (unsigned long long)run->bytes_after,
                 (unsigned long long)run->keys.count,
                 (unsigned long long)(core_now_ns(run->home->core) - run->started_ns) / 1000000u);
}

static void run_end(struct compact_run *run)
{
    struct store_log *log = run->log;
    struct log_core *home = run->home;
    bool is_done = run->cause == ERR_OK;
    bool is_changed = run->bytes_before > 0;
    if (run->judge.transactions.over_count > 0 && log->transactions) {
        transactions_forget(log->transactions, run->judge.transactions.over,
                            run->judge.transactions.over_count);
        is_changed = true;
    }
    if (is_done && run->is_judged && run->judge.is_compact) {
        is_changed = is_changed || log->clean_end != run->end ||
                     log->clean_horizon_ms != run->judge.horizon_min_ms;
        log->clean_end = MAX(log->clean_end, run->end);
        log->clean_horizon_ms = run->judge.horizon_min_ms;
    }
    compact_plan_note(log);
    run_tell(run);
    run_free(run);
    if (is_changed && log->err == ERR_OK && !log->is_deleted) {
        log->is_checkpoint_forced = true;
        checkpoint_queue(log);
    }
    if (is_done && is_changed && !log->store->is_draining) /* more may wait */
        timer_set(home, MIN(backoff_ns(home), COMPACT_NS / 10));
    log_retain_unlink(log);
    log_wake_undo(log);
    log_settle_check(log);
}

void compact_cancel(struct store_log *log)
{
    struct compact_run *run = log->compact;
    if (!run || run->is_cancelled)
        return;
    run->is_cancelled = true;
    if (run->is_at_work || (run->phase == COMPACT_OPEN && log->state == LOG_WAKING))
        return; /* it comes back */
    log->is_swap_wanted = log->is_swapping = false;
    core_timer_cancel(run->home->core, &run->timer);
    next_slice(run);
    read_wake(log);
}

void compact_drop(struct store_log *log)
{
    if (log->compact)
        run_free(log->compact);
}

/* --- slices --- */

static uint64_t rest_ns(struct compact_run *run)
{
    const struct store *store = run->home->store;
    double rate = store->options.compact_bytes_per_s / store->core_count;
    double disk_ns = rate > 0 ? (double)run->slice_bytes / rate * (double)COMPACT_NS : 0;
    uint64_t rest = run->slice_ns;
    if (disk_ns > (double)(2 * run->slice_ns))
        rest = (uint64_t)MIN(disk_ns, 3600e9) - run->slice_ns;
    run->owed_ns += rest;
    if (run->owed_ns < COMPACT_REST_MIN_NS)
        return 0;
    rest = run->owed_ns;
    run->owed_ns = 0;
    return rest;
}

static void slice_run(struct core_work *work)
{
    compact_slice_run(CONTAINER_OF(work, struct compact_run, work));
}

static void slice_done(struct core *core, struct core_work *work)
{
    struct compact_run *run = CONTAINER_OF(work, struct compact_run, work);
    struct store_log *log = run->log;
    run->is_at_work = false;
    run->home->job_count--;
    if (run->damage_first >= 0)
        store_damage_add(log->store, core, &log->key, run->damage_first, run->damage_next);
    core_task_post(core, &run->home->finish_task);
    uint64_t rest = run->err == ERR_OK && !run->is_cancelled ? rest_ns(run) : 0;
    if (rest > 0 && run->phase != COMPACT_SWAP && !log->store->is_closing)
        core_timer_set(core, &run->timer, core_now_ns(core) + rest);
    else
        next_slice(run);
}

static void submit(struct compact_run *run)
{
    run->is_at_work = true;
    run->home->job_count++;
    run->work.run = slice_run;
    run->work.done = slice_done;
    core_work_submit(run->home->core, CORE_LANE_BULK, &run->work);
}

static void next_slice(struct compact_run *run)
{
    struct store_log *log = run->log;
    if (log->store->is_closing)
        return; /* goes with the log */
    if (run->cause == ERR_OK)
        run->cause = run->is_cancelled || log->err != ERR_OK ? ERR_CANCELLED : run->err;
    if (run->cause == ERR_OK && store_is_full(log->store) && run->output.file)
        run->cause = ERR_DISK_FULL; /* what it would free is less urgent than what it takes */
    bool is_over = run->phase == COMPACT_END || (run->cause != ERR_OK && !run->output.file);
    if (is_over) {
        run_end(run);
        return;
    }
    if (run->cause != ERR_OK)
        run->phase = COMPACT_DISCARD;
    log->is_swap_wanted = run->phase == COMPACT_SWAP;
    if (log->is_swap_wanted)
        compact_swap_check(log);
    else
        submit(run);
}

/* --- the swap --- */

/* Are the inputs what they were? A trim may have taken the first ones. */
static bool inputs_are_there(const struct compact_run *run)
{
    for (uint32_t i = run->group; i < run->at; i++) {
        const struct segment *segment = segment_find(run->log, run->inputs[i].base);
        if (!segment || segment->size != run->inputs[i].size)
            return false;
    }
    return true;
}

static void swap_run(struct core_work *work)
{
    struct log_write *write = CONTAINER_OF(work, struct log_write, work);
    struct compact_run *run = write->log->compact;
    int64_t *bases = calloc(run->at - run->group, sizeof(*bases));
    run->is_swap_begun = false;
    write->err = bases ? ERR_OK : ERR_NO_MEMORY;
    for (uint32_t i = run->group; bases && i < run->at; i++)
        bases[i - run->group] = run->inputs[i].base;
    if (bases)
        write->err =
            compact_swap_run(&run->output, bases, run->at - run->group, &run->is_swap_begun);
    free(bases);
}

/* Memory has the batches as they were before. */
static void tail_forget(struct store_log *log, int64_t end)
{
    uint64_t before = log->tail.cached_bytes;
    while (log->tail.first < log->tail.written &&
           tail_at(&log->tail, log->tail.first)->base_offset < end && tail_drop_front(log))
        ;
    tail_cache_account(log, before);
}

static void swap_install(struct compact_run *run)
{
    struct store_log *log = run->log;
    struct segment *segment = segment_find(log, run->output.base);
    uint64_t before = segment->size;
    for (uint32_t i = run->group + 1; i < run->at; i++) {
        struct segment *other = segment_find(log, run->inputs[i].base);
        before += other->size;
        segment->modified_ms = MAX(segment->modified_ms, other->modified_ms);
        segment_remove(log, other);
    }
    segment->size = (uint32_t)run->output.written;
    index_deinit(&segment->index);
    segment->index = run->output.index;
    segment->index_from = 0;
    index_init(&run->output.index);
    segment_file_replace(log, segment, run->output.file);
    run->output.file = NULL;
    log->layout++;
    tail_forget(log, run->output.offset_end);
    log->sealed_bytes += segment->size;
    log->sealed_bytes -= MIN(log->sealed_bytes, before);
    if (!run->judge.is_hole_left)
        (void)!holes_remove(&log->holes, &run->judge.holes, run->output.base,
                            run->output.offset_end); /* what stays is only asked in vain */
    run->bytes_before += before;
    run->bytes_after += segment->size;
    run->group = run->at;
    run->phase = COMPACT_REWRITE;
}

static void swap_done(struct core *core, struct core_work *work)
{
    struct log_write *write = CONTAINER_OF(work, struct log_write, work);
    struct store_log *log = write->log;
    struct compact_run *run = log->compact;
    run->is_at_work = false;
    run->err = write->err;
    log->write = NULL;
    log->home->job_count--;
    log->is_swap_wanted = log->is_swapping = false;
    if (run->err == ERR_OK) {
        swap_install(run);
    } else if (run->is_swap_begun) { /* the next start ends it */
        segment_file_unref(run->output.file);
        run->output.file = NULL;
        log_offline(log, "a rewritten segment could not take its place");
    }
    tail_write_free(write);
    log_mark_dirty(log);
    read_wake(log);
    next_slice(run);
    log_settle_check(log);
}

void compact_swap_check(struct store_log *log)
{
    struct compact_run *run = log->compact;
    if (!log->is_swap_wanted || !run || run->is_at_work || log->write || log->state != LOG_OPEN ||
        log->store->is_closing)
        return;
    log->is_swapping = true;
    if (!list_empty(&log->jobs))
        return;
    struct log_write *write = inputs_are_there(run) ? tail_write_new(log) : NULL;
    if (!write) {
        compact_cancel(log);
        return;
    }
    log->write = write;
    run->is_at_work = true;
    log->home->job_count++;
    write->work.run = swap_run;
    write->work.done = swap_done;
    core_work_submit(log->home->core, CORE_LANE_BULK, &write->work);
}

// Which log is to be compacted, and what of it.
// SPDX-License-Identifier: Apache-2.0
//
// A segment takes part when it is sealed and when a published checkpoint covers it: a replay then
// writes nothing into it. A log that is closed is judged by the numbers of its checkpoint, so that
// looking at many costs little.
#include <stdlib.h>

#include "store/compact.h"

/* A log whose segments have lost so much to single deletions that they are rewritten for it: this
 * part of a segment's offsets. */
#define PLAN_HOLES_PART 2

#define URGENCY_FORCED ((uint64_t)1 << 40)

static int64_t segment_end(const struct store_log *log, uint32_t at)
{
    return log->segments[at + 1]->base;
}

static bool may_rewrite(const struct store_log *log, uint32_t at)
{
    const struct segment *segment = log->segments[at];
    return at + 1 < log->segment_count && segment->is_sealed && segment->is_cut &&
           segment_end(log, at) <= log->checkpoint_base &&
           segment_end(log, at) <= transactions_stable(log->transactions, log->committed);
}

struct sums {
    uint64_t clean_bytes;
    uint64_t dirty_bytes; /* that may be compacted now */
    uint64_t later_bytes; /* sealed, but no checkpoint covers them */
    int64_t dirty_ms;     /* timestamp of the first dirty segment; -1: not known */
};

static void sums_make(const struct store_log *log, struct sums *sums)
{
    *sums = (struct sums){.dirty_ms = -1};
    for (uint32_t i = 0; i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment_end(log, i) <= log->start)
            continue;
        if (segment_end(log, i) <= log->clean_end) {
            sums->clean_bytes += segment->size;
            continue;
        }
        if (sums->dirty_bytes + sums->later_bytes == 0)
            sums->dirty_ms = segment->first_ms >= 0 ? segment->first_ms : segment->modified_ms;
        if (may_rewrite(log, i))
            sums->dirty_bytes += segment->size;
        else if (segment->is_sealed)
            sums->later_bytes += segment->size;
    }
}

void compact_plan_note(struct store_log *log)
{
    struct sums sums;
    if (log->state != LOG_OPEN || !log->config->compact)
        return;
    sums_make(log, &sums);
    log->clean_bytes = sums.clean_bytes;
    log->dirty_ms = sums.dirty_bytes + sums.later_bytes > 0 ? sums.dirty_ms : -1;
}

static bool is_holed(const struct store_log *log, uint32_t at)
{
    int64_t first = log->segments[at]->base, next = segment_end(log, at);
    return next > log->start &&
           holes_count(&log->holes, first, next) * PLAN_HOLES_PART >= (uint64_t)(next - first);
}

static uint64_t holes_urgency(const struct store_log *log)
{
    if (log->state != LOG_OPEN || log->holes.count == 0)
        return 0;
    for (uint32_t i = 0; i + 1 < log->segment_count; i++) {
        if (may_rewrite(log, i) && is_holed(log, i))
            return 1;
    }
    return 0;
}

static bool is_past(const struct store_log *log, int64_t since_ms, int64_t lag_ms)
{
    int64_t now_ms = core_wall_ms(log->home->core);
    return since_ms >= 0 && now_ms - since_ms > lag_ms;
}

static bool has_expired(const struct store_log *log)
{
    return log->clean_horizon_ms >= 0 && is_past(log, log->clean_horizon_ms, 0);
}

/* In permille of what could be compacted, or more when it must be. */
static uint64_t keys_urgency(struct store_log *log)
{
    const struct store_log_config *config = log->config;
    struct sums sums = {.clean_bytes = log->clean_bytes, .dirty_ms = log->dirty_ms};
    if (log->state == LOG_OPEN)
        sums_make(log, &sums);
    else
        sums.dirty_bytes = log->sealed_bytes - MIN(log->sealed_bytes, log->clean_bytes);
    bool is_forced = is_past(log, sums.dirty_ms, config->compact_lag_max_ms);
    uint64_t dirty = sums.dirty_bytes + sums.later_bytes;
    uint64_t all = sums.clean_bytes + dirty;
    bool is_young = config->compact_lag_min_ms > 0 && sums.dirty_ms >= 0 &&
                    !is_past(log, sums.dirty_ms, config->compact_lag_min_ms);
    bool is_dirty = dirty > 0 && !is_young &&
                    (is_forced || (double)dirty > config->compact_ratio * (double)all);
    bool is_covered = log->state == LOG_OPEN ? sums.dirty_bytes > 0 : log->piece_count == 0;
    if (is_dirty && !is_covered) {
        checkpoint_queue(log);
        return 0;
    }
    if (!is_dirty && !has_expired(log))
        return 0;
    return 1 + (is_forced ? URGENCY_FORCED : 0) + (all > 0 ? sums.dirty_bytes * 1000 / all : 0);
}

uint64_t compact_plan_urgency(struct store_log *log)
{
    if (log->err != ERR_OK || log->is_moving || log->is_deleted || log->is_failing ||
        log->compact || log->state == LOG_WAKING || (log->state == LOG_CLOSED && log->write) ||
        log->place.segment_base < 0)
        return 0;
    if (log->is_checkpoint_forced || log->checkpoint_state == LOG_CP_PUBLISH) {
        /* what the last cleaning forgot must be so for good before the next relies on it */
        checkpoint_queue(log);
        return 0;
    }
    return log->config->compact ? keys_urgency(log) : holes_urgency(log);
}

/* --- the plan --- */

static enum err inputs_make(struct compact_run *run)
{
    const struct store_log *log = run->log;
    bool is_compact = log->config->compact;
    run->inputs = calloc(log->segment_count + 1, sizeof(*run->inputs));
    if (!run->inputs)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i + 1 < log->segment_count && may_rewrite(log, i); i++) {
        if (segment_end(log, i) <= log->start)
            continue;
        run->inputs[run->input_count++] =
            (struct compact_input){.base = log->segments[i]->base,
                                   .offset_end = segment_end(log, i),
                                   .size = log->segments[i]->size,
                                   .is_wanted = is_compact || is_holed(log, i)};
    }
    return run->input_count > 0 ? ERR_OK : ERR_NOT_FOUND;
}

static enum err scope_make(struct compact_run *run)
{
    const struct store_log *log = run->log;
    run->scope.index_interval = log->config->index_interval_bytes;
    run->output.index_interval = log->config->index_interval_bytes;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < log->epochs.count && err == ERR_OK; i++)
        err = epochs_add(&run->scope.epochs, log->epochs.entries[i].epoch,
                         log->epochs.entries[i].start_offset);
    if (err == ERR_OK)
        err = holes_copy(&log->holes, &run->judge.holes);
    if (err == ERR_OK)
        err = compact_transactions_take(&run->judge.transactions, log->transactions,
                                        core_random(run->home->core));
    return err;
}

/* The dirty part, and memory for its keys. */
static enum err keys_make(struct compact_run *run)
{
    struct store_log *log = run->log;
    struct store *store = log->store;
    run->dirty = MAX(log->clean_end, run->inputs[0].base);
    run->is_over = has_expired(log);
    run->judge.is_compact = true;
    run->judge.end = run->end;
    run->judge.now_ms = core_wall_ms(run->home->core);
    run->judge.horizon_ms =
        run->judge.now_ms + MIN(log->config->delete_retention_ms, INT64_MAX - run->judge.now_ms);
    if (run->dirty >= run->end)
        return ERR_OK;
    for (unsigned i = 0; i < COUNT_OF(run->keys.hash_keys); i++)
        run->keys.hash_keys[i] = core_random(run->home->core);
    if (!compact_keys_init(&run->keys, reactor_budget(store->options.reactor),
                           (uint64_t)(run->end - run->dirty),
                           store->options.compact_keys_bytes_max / store->core_count))
        return ERR_BUSY;
    run->judge.keys = &run->keys;
    run->phase = COMPACT_MAP;
    return ERR_OK;
}

enum err compact_plan_make(struct compact_run *run)
{
    struct store_log *log = run->log;
    enum err err = inputs_make(run);
    if (err == ERR_OK)
        err = scope_make(run);
    if (err != ERR_OK)
        return err;
    run->end = run->inputs[run->input_count - 1].offset_end;
    run->segment_size_bytes = log->config->segment_size_bytes;
    run->lag_min_ms = log->config->compact_lag_min_ms;
    run->phase = COMPACT_REWRITE;
    return log->config->compact ? keys_make(run) : ERR_OK;
}

// The helper's part of a cleaning: reads keys of the dirty part, then rewrites segments, in slices.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "store/compact.h"
#include "store/read.h"

#define SLICE_BYTES (1u << 20)

static struct compact_input *input_of(struct compact_run *run)
{
    return &run->inputs[run->at];
}

static void input_close(struct compact_run *run)
{
    segment_file_unref(run->file);
    run->file = NULL;
}

static enum err input_open(struct compact_run *run)
{
    const struct compact_input *input = input_of(run);
    char path[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%020lld.log", run->dir, (long long)input->base);
    enum err err = read_segment_open(run->output.os, path, &run->file);
    if (err != ERR_OK) /* a trim may have taken it */
        return err == ERR_NOT_FOUND ? ERR_CANCELLED : err;
    run->scope.base = input->base;
    run->scope.limit = input->size;
    run->scope.offset_end = input->offset_end;
    run->window.os = run->output.os;
    run->window.fd = run->file->file.fd;
    run->window.at = run->window.size = 0;
    run->step = (struct read_step){0, input->base};
    return ERR_OK;
}

static void damage_note(struct compact_run *run, int64_t first, int64_t next)
{
    if (first >= next)
        return;
    if (run->damage_first < 0)
        run->damage_first = first;
    run->damage_next = next;
}

/* The next whole good batch. ERR_CORRUPT: something else is here. ERR_NOT_FOUND: the input ends. */
static enum err batch_next(struct compact_run *run, struct batch_header *header, struct slice *out)
{
    enum err err = read_file_header(&run->window, &run->scope, &run->step, header);
    *out = SLICE_NULL;
    if (err == ERR_NOT_FOUND)
        return run->step.expected == run->scope.offset_end ? err : ERR_CORRUPT;
    if (err != ERR_OK)
        return err;
    const uint8_t *bytes;
    ssize_t got = read_file_get(&run->window, run->step.position, header->size, &bytes);
    if (got < (ssize_t)header->size)
        return got >= 0 ? ERR_CORRUPT : err_from_errno((int)-got);
    *out = slice_make(bytes, header->size);
    if (!read_file_check(&run->scope, *out))
        return ERR_CORRUPT;
    run->step.position += header->size;
    run->step.expected = batch_last_offset(header) + 1;
    run->slice_bytes += header->size;
    return ERR_OK;
}

/* --- keys --- */

/* Too new to be compacted? Its index knows the greatest timestamp. */
static enum err input_is_young(struct compact_run *run, bool *out)
{
    struct index index;
    char path[LOG_PATH_SIZE];
    *out = false;
    if (run->lag_min_ms <= 0)
        return ERR_OK;
    (void)snprintf(path, sizeof(path), "%s/%020lld.log", run->dir, (long long)input_of(run)->base);
    index_init(&index);
    enum err err = read_file_index(&run->window, &run->scope, path, input_of(run)->size, &index);
    *out = err == ERR_OK && index.timestamp_max_ms > run->judge.now_ms - run->lag_min_ms;
    index_deinit(&index);
    return err;
}

static void map_end(struct compact_run *run)
{
    input_close(run);
    run->phase = run->end > run->dirty || run->is_over ? COMPACT_REWRITE : COMPACT_END;
    run->at = run->group = 0;
    run->judge.end = run->end;
}

/* Behind the damage the walk goes on: keys that are lost keep what is older alive. */
static enum err map_pass_damage(struct compact_run *run)
{
    int64_t first = run->step.expected >= 0 ? run->step.expected : run->scope.base;
    input_of(run)->is_left = true;
    enum err err = read_file_resync(&run->window, &run->scope, &run->step);
    struct batch_header header;
    if (err == ERR_NOT_FOUND) {
        damage_note(run, first, run->scope.offset_end);
        return ERR_OK;
    }
    if (err == ERR_OK)
        err = read_file_header(&run->window, &run->scope, &run->step, &header);
    if (err != ERR_OK)
        return err;
    damage_note(run, first, header.base_offset);
    run->step.expected = header.base_offset;
    return ERR_OK;
}

static enum err map_input_begin(struct compact_run *run)
{
    bool is_young;
    enum err err = input_open(run);
    if (err == ERR_OK)
        err = input_is_young(run, &is_young);
    if (err != ERR_OK)
        return err;
    if (is_young) {
        run->end = MIN(run->end, input_of(run)->base);
        map_end(run);
    }
    return ERR_OK;
}

static enum err map_step(struct compact_run *run)
{
    struct batch_header header;
    struct slice batch;
    if (run->at == run->input_count) {
        map_end(run);
        return ERR_OK;
    }
    if (!run->file) {
        if (input_of(run)->offset_end > run->dirty)
            return map_input_begin(run);
        run->at++;
        return ERR_OK;
    }
    enum err err = batch_next(run, &header, &batch);
    if (err == ERR_CORRUPT)
        return map_pass_damage(run);
    if (err == ERR_NOT_FOUND) {
        input_close(run);
        run->at++;
        return ERR_OK;
    }
    if (err != ERR_OK || batch_last_offset(&header) < run->dirty)
        return err;
    int64_t end = run->end;
    err = compact_judge_keys(&run->judge, &run->keys, batch, &end);
    if (err == ERR_OK && end < run->end) { /* the memory is full */
        run->end = end;
        map_end(run);
    }
    return err;
}

/* --- rewriting --- */

static bool is_rewritten(const struct compact_run *run, const struct compact_input *input)
{
    return input->is_wanted && !input->is_left && input->base < run->end;
}

/* May the input at hand go into the output as well? */
static bool joins(const struct compact_run *run)
{
    const struct compact_input *input = &run->inputs[run->at];
    return run->at < run->input_count && is_rewritten(run, input) &&
           compact_output_size(&run->output) + input->size <= run->segment_size_bytes &&
           input->offset_end - 1 - run->output.base <= INT32_MAX;
}

/* This input stays as it is; those before it are rewritten without it. */
static void rewrite_without(struct compact_run *run, uint32_t input)
{
    run->inputs[input].is_left = true;
    run->judge.is_left = true;
    run->judge.transactions.is_blind = true;
    input_close(run);
    compact_output_discard(&run->output);
    run->at = run->group;
}

/* Batches may grow when they are built again. */
static enum err rewrite_too_large(struct compact_run *run, uint32_t input)
{
    log_warn(run->log->store->logger, "store",
             "compaction leaves a segment as it is, the new one would be too large "
             "file=%s/%020lld.log",
             run->dir, (long long)run->inputs[input].base);
    rewrite_without(run, input);
    return ERR_OK;
}

/* The inputs from group up to at have been read. */
static enum err output_end(struct compact_run *run)
{
    run->output.offset_end = run->inputs[run->at - 1].offset_end;
    if (run->at - run->group == 1 && !run->output.is_changed) {
        compact_output_discard(&run->output);
        run->group = run->at;
        return ERR_OK;
    }
    uint64_t before = run->output.written;
    enum err err = compact_output_finish(&run->output);
    if (err == ERR_TOO_LARGE)
        return rewrite_too_large(run, run->at - 1);
    run->slice_bytes += run->output.written - before;
    if (err == ERR_OK)
        run->phase = COMPACT_SWAP;
    return err;
}

static enum err rewrite_input_end(struct compact_run *run)
{
    input_close(run);
    run->at++;
    return joins(run) ? ERR_OK : output_end(run);
}

static void rewrite_damaged(struct compact_run *run)
{
    int64_t first = run->step.expected >= 0 ? run->step.expected : run->scope.base;
    damage_note(run, first, input_of(run)->offset_end);
    rewrite_without(run, run->at);
}

static enum err rewrite_batch(struct compact_run *run, const struct batch_header *header,
                              struct slice batch)
{
    enum compact_verdict verdict;
    struct batch_header after;
    enum err err = compact_judge_batch(&run->judge, header, batch, &verdict);
    if (err != ERR_OK)
        return err;
    if (verdict == COMPACT_GONE)
        return compact_output_drop(&run->output, header);
    uint64_t before = run->output.written;
    if (verdict == COMPACT_REBUILT) {
        run->output.is_changed = true;
        batch = slice_make(run->judge.rebuilt.data, run->judge.rebuilt.size);
    }
    err = batch_header_read(batch, &after);
    if (err == ERR_OK)
        err = compact_output_add(&run->output, &after, batch);
    run->slice_bytes += run->output.written - before;
    return err;
}

static enum err rewrite_step(struct compact_run *run)
{
    struct batch_header header;
    struct slice batch;
    enum err err = ERR_OK;
    if (run->at == run->input_count || input_of(run)->base >= run->end) {
        run->is_judged = true;
        run->phase = COMPACT_END;
        return ERR_OK;
    }
    if (!run->file) {
        if (!run->output.file && !is_rewritten(run, input_of(run))) {
            run->judge.transactions.is_blind = run->judge.is_left = true;
            run->group = ++run->at;
            return ERR_OK;
        }
        err = input_open(run);
        if (err == ERR_OK && !run->output.file) {
            run->judge.is_hole_left = false;
            run->group = run->at;
            err = compact_output_open(&run->output, input_of(run)->base);
        }
        return err;
    }
    err = batch_next(run, &header, &batch);
    if (err == ERR_NOT_FOUND)
        return rewrite_input_end(run);
    if (err == ERR_OK)
        err = rewrite_batch(run, &header, batch);
    if (err == ERR_TOO_LARGE)
        return rewrite_too_large(run, run->at);
    if (err != ERR_CORRUPT)
        return err;
    rewrite_damaged(run);
    return ERR_OK;
}

void compact_slice_run(struct compact_run *run)
{
    struct os *os = run->output.os;
    uint64_t start_ns = os->ops->mono_ns(os);
    enum compact_phase phase = run->phase;
    run->slice_bytes = 0;
    run->damage_first = -1;
    run->err = ERR_OK;
    if (phase == COMPACT_DISCARD) {
        input_close(run);
        compact_output_discard(&run->output);
        run->phase = COMPACT_END;
    }
    while (run->err == ERR_OK && run->phase == phase && phase != COMPACT_DISCARD &&
           run->slice_bytes < SLICE_BYTES)
        run->err = phase == COMPACT_MAP ? map_step(run) : rewrite_step(run);
    run->slice_ns = os->ops->mono_ns(os) - start_ns;
}

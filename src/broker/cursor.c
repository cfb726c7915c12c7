// A durable reader with acknowledgement, as a pure state machine: what became of each offset.
// SPDX-License-Identifier: Apache-2.0
#include "broker/cursor.h"

#include <stdlib.h>
#include <string.h>

#define RUNS_MIN 8

void broker_cursor_init(struct cursor *cursor, struct budget *budget, int64_t start,
                        const struct cursor_limits *limits)
{
    *cursor = (struct cursor){.start = start,
                              .end = start,
                              .budget = budget,
                              .window_max = limits->window_max,
                              .count_max = limits->count_max};
}

void broker_cursor_deinit(struct cursor *cursor)
{
    if (cursor->runs)
        budget_release(cursor->budget, cursor->run_capacity * sizeof(*cursor->runs));
    free(cursor->runs);
    cursor->runs = NULL;
    cursor->run_count = cursor->run_capacity = 0;
}

/* --- runs --- */

/* Room for extra runs more, so that what follows cannot fail. */
static enum err reserve(struct cursor *cursor, size_t extra)
{
    size_t wanted = cursor->run_count + extra;
    if (wanted <= cursor->run_capacity)
        return ERR_OK;
    size_t capacity = MAX(MAX(cursor->run_capacity * 2, wanted), (size_t)RUNS_MIN);
    size_t more = (capacity - cursor->run_capacity) * sizeof(*cursor->runs);
    if (!budget_charge(cursor->budget, more))
        return ERR_NO_MEMORY;
    struct cursor_run *runs = realloc(cursor->runs, capacity * sizeof(*runs));
    if (!runs) {
        budget_release(cursor->budget, more);
        return ERR_NO_MEMORY;
    }
    cursor->runs = runs;
    cursor->run_capacity = capacity;
    return ERR_OK;
}

/* The run that ends beyond offset, or run_count. */
static size_t find(const struct cursor *cursor, int64_t offset)
{
    size_t low = 0, high = cursor->run_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cursor->runs[middle].next > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* A run begins at offset; its index. There is room. */
static size_t cut(struct cursor *cursor, int64_t offset)
{
    size_t index = find(cursor, offset);
    if (index == cursor->run_count || cursor->runs[index].first >= offset)
        return index;
    CHECK(cursor->run_count < cursor->run_capacity);
    struct cursor_run *run = &cursor->runs[index];
    memmove(run + 1, run, (cursor->run_count - index) * sizeof(*run));
    cursor->run_count++;
    run[0].next = offset;
    run[1].first = offset;
    return index + 1;
}

/* The end moves, over offsets in this state. There is room. */
static void extend(struct cursor *cursor, int64_t end, enum cursor_state state)
{
    if (end <= cursor->end)
        return;
    CHECK(cursor->run_count < cursor->run_capacity);
    cursor->runs[cursor->run_count++] =
        (struct cursor_run){.first = cursor->end, .next = end, .state = state};
    cursor->end = end;
}

static bool is_over(const struct cursor_run *run)
{
    return run->state == CURSOR_DONE || run->state == CURSOR_DEAD;
}

/* What is over and over again need not be told apart by count. */
static bool is_same(const struct cursor_run *a, const struct cursor_run *b)
{
    if (a->state != b->state)
        return false;
    if (is_over(a))
        return true;
    return a->count == b->count && (a->state != CURSOR_LOCKED ||
                                    (a->owner == b->owner && a->deadline_ms == b->deadline_ms));
}

static void tidy(struct cursor *cursor)
{
    size_t kept = 0, from = 0;
    while (from < cursor->run_count && is_over(&cursor->runs[from]))
        cursor->start = cursor->runs[from++].next;
    for (; from < cursor->run_count; from++) {
        const struct cursor_run *run = &cursor->runs[from];
        if (kept > 0 && is_same(&cursor->runs[kept - 1], run))
            cursor->runs[kept - 1].next = run->next;
        else
            cursor->runs[kept++] = *run;
    }
    cursor->run_count = kept;
}

/* Free again, unless it was delivered often enough. */
static void unlock(const struct cursor *cursor, struct cursor_run *run)
{
    run->state = run->count >= cursor->count_max ? CURSOR_DEAD : CURSOR_FREE;
    run->owner = 0;
    run->deadline_ms = 0;
}

/* --- delivering --- */

int64_t broker_cursor_wanted(const struct cursor *cursor, int64_t from)
{
    for (size_t i = find(cursor, from); i < cursor->run_count; i++)
        if (cursor->runs[i].state == CURSOR_FREE)
            return MAX(cursor->runs[i].first, from);
    return cursor->end - cursor->start < cursor->window_max ? MAX(cursor->end, from) : -1;
}

enum err broker_cursor_lock(struct cursor *cursor, struct cursor_lock *lock)
{
    lock->count = 0;
    enum err err = reserve(cursor, 5);
    if (err)
        return err;
    int64_t first = MAX(lock->first, cursor->start);
    if (first > cursor->end)
        extend(cursor, first, CURSOR_FREE);
    int64_t limit = cursor->start + cursor->window_max;
    int64_t fresh = MAX(first, cursor->end);
    fresh = lock->count_max < INT64_MAX - fresh ? fresh + lock->count_max : INT64_MAX;
    extend(cursor, MIN(MIN(lock->next, limit), fresh), CURSOR_FREE);
    int64_t next = MIN(lock->next, cursor->end);
    int64_t left = lock->count_max;
    while (first < next && left > 0) {
        err = reserve(cursor, 2);
        if (err)
            break;
        size_t index = cut(cursor, first);
        int64_t until = MIN(cursor->runs[index].next, next);
        if (cursor->runs[index].state == CURSOR_FREE) {
            until = MIN(until, first + left);
            cut(cursor, until);
            struct cursor_run *run = &cursor->runs[index];
            run->state = CURSOR_LOCKED;
            run->count++;
            run->owner = lock->owner;
            run->deadline_ms = lock->deadline_ms;
            lock->locked(lock->arg, run);
            left -= until - first;
        }
        first = until;
    }
    lock->count = lock->count_max - left;
    tidy(cursor);
    return lock->count > 0 ? ERR_OK : err;
}

enum err broker_cursor_kill(struct cursor *cursor, int64_t first, int64_t next)
{
    if (next <= cursor->start || next <= first)
        return ERR_OK;
    enum err err = reserve(cursor, 3);
    if (err)
        return err;
    first = MAX(first, cursor->start);
    size_t index = cut(cursor, first);
    size_t end = cut(cursor, next);
    for (; index < end; index++)
        if (cursor->runs[index].state == CURSOR_FREE)
            cursor->runs[index].state = CURSOR_DEAD;
    if (first <= cursor->end)
        extend(cursor, next, CURSOR_DEAD);
    tidy(cursor);
    return ERR_OK;
}

enum err broker_cursor_trim(struct cursor *cursor, int64_t start)
{
    if (start <= cursor->start)
        return ERR_OK;
    enum err err = reserve(cursor, 1);
    if (err)
        return err;
    size_t index = cut(cursor, start);
    memmove(cursor->runs, cursor->runs + index,
            (cursor->run_count - index) * sizeof(*cursor->runs));
    cursor->run_count -= index;
    cursor->start = start;
    cursor->end = MAX(cursor->end, start);
    tidy(cursor);
    return ERR_OK;
}

/* --- acknowledging --- */

bool broker_cursor_holds(const struct cursor *cursor, uint64_t owner, int64_t first, int64_t next)
{
    if (first >= next)
        return false;
    if (next > cursor->end)
        return false;
    for (size_t i = find(cursor, first); i < cursor->run_count && cursor->runs[i].first < next; i++)
        if (cursor->runs[i].state != CURSOR_LOCKED || cursor->runs[i].owner != owner)
            return false;
    return true;
}

enum err broker_cursor_acknowledge(struct cursor *cursor, int64_t first, int64_t next,
                                   enum cursor_verb verb, int64_t deadline_ms)
{
    enum err err = reserve(cursor, 2);
    if (err)
        return err;
    size_t index = cut(cursor, MAX(first, cursor->start));
    size_t end = cut(cursor, next);
    for (; index < end; index++) {
        struct cursor_run *run = &cursor->runs[index];
        CHECK(run->state == CURSOR_LOCKED);
        switch (verb) {
        case CURSOR_ACCEPT:
            run->state = CURSOR_DONE;
            break;
        case CURSOR_RELEASE:
            unlock(cursor, run);
            break;
        case CURSOR_RENEW:
            run->deadline_ms = deadline_ms;
            break;
        case CURSOR_GAP:
        case CURSOR_REJECT:
            run->state = CURSOR_DEAD;
            break;
        }
    }
    tidy(cursor);
    return ERR_OK;
}

bool broker_cursor_release(struct cursor *cursor, uint64_t owner)
{
    bool is_changed = false;
    for (size_t i = 0; i < cursor->run_count; i++) {
        struct cursor_run *run = &cursor->runs[i];
        if (run->state != CURSOR_LOCKED || run->owner != owner)
            continue;
        run->count--;
        unlock(cursor, run);
        is_changed = true;
    }
    tidy(cursor);
    return is_changed;
}

bool broker_cursor_expire(struct cursor *cursor, int64_t now_ms)
{
    bool is_changed = false;
    for (size_t i = 0; i < cursor->run_count; i++) {
        struct cursor_run *run = &cursor->runs[i];
        if (run->state != CURSOR_LOCKED || run->deadline_ms > now_ms)
            continue;
        unlock(cursor, run);
        is_changed = true;
    }
    tidy(cursor);
    return is_changed;
}

int64_t broker_cursor_over(const struct cursor *cursor)
{
    int64_t count = 0;
    for (size_t i = 0; i < cursor->run_count; i++)
        if (is_over(&cursor->runs[i]))
            count += cursor->runs[i].next - cursor->runs[i].first;
    return count;
}

int64_t broker_cursor_deadline_ms(const struct cursor *cursor)
{
    int64_t deadline_ms = CURSOR_NEVER_MS;
    for (size_t i = 0; i < cursor->run_count; i++)
        if (cursor->runs[i].state == CURSOR_LOCKED)
            deadline_ms = MIN(deadline_ms, cursor->runs[i].deadline_ms);
    return deadline_ms;
}

/* --- restoring --- */

enum err broker_cursor_restore(struct cursor *cursor, const struct cursor_run *run)
{
    bool is_state =
        run->state == CURSOR_FREE || run->state == CURSOR_DONE || run->state == CURSOR_DEAD;
    if (run->first < 0 || run->next <= run->first || run->count < 0 || !is_state)
        return ERR_CORRUPT;
    if (run->next <= cursor->start)
        return ERR_OK;
    enum err err = reserve(cursor, 4);
    if (err)
        return err;
    int64_t first = MAX(run->first, cursor->start);
    extend(cursor, first, CURSOR_FREE);
    extend(cursor, run->next, CURSOR_FREE);
    size_t index = cut(cursor, first);
    size_t end = cut(cursor, run->next);
    cursor->runs[index].next = run->next;
    cursor->runs[index].state = run->state;
    cursor->runs[index].count = run->count;
    memmove(&cursor->runs[index + 1], &cursor->runs[end],
            (cursor->run_count - end) * sizeof(*cursor->runs));
    cursor->run_count -= end - index - 1;
    return ERR_OK;
}

void broker_cursor_restored(struct cursor *cursor)
{
    tidy(cursor);
}

// A durable reader with acknowledgement, as a pure state machine: what became of each offset.
// SPDX-License-Identifier: Apache-2.0
//
// Everything before start is over. Between start and end lie runs, without gaps: offsets in one
// state, delivered equally often. Beyond end nothing has been looked at. Time is handed in.
//
//   FREE -> LOCKED (lock)          LOCKED -> DONE (accept), DEAD (reject), FREE (release, expire)
//   FREE -> DEAD (kill)            instead of FREE, DEAD when delivered often enough
//
// DONE and DEAD at the front move start. Locks are memory; all else can be written down as runs.
#pragma once

#include "base/budget.h"
#include "base/err.h"

/* The numbers are those of Kafka's records of state; LOCKED is never written. */
enum cursor_state { CURSOR_FREE = 0, CURSOR_LOCKED = 1, CURSOR_DONE = 2, CURSOR_DEAD = 4 };

enum cursor_verb { CURSOR_GAP, CURSOR_ACCEPT, CURSOR_RELEASE, CURSOR_REJECT, CURSOR_RENEW };

#define CURSOR_NEVER_MS INT64_MAX

/* Offsets from first to before next. */
struct cursor_run {
    int64_t first;
    int64_t next;
    enum cursor_state state;
    int16_t count;       /* deliveries */
    uint64_t owner;      /* of the lock */
    int64_t deadline_ms; /* of the lock */
};

struct cursor {
    int64_t start;
    int64_t end;
    struct cursor_run *runs;
    size_t run_count;
    size_t run_capacity;
    int64_t window_max; /* offsets between start and end */
    int16_t count_max;  /* deliveries */
    struct budget *budget;
};

struct cursor_limits {
    int64_t window_max;
    int16_t count_max;
};

void broker_cursor_init(struct cursor *cursor, struct budget *budget, int64_t start,
                        const struct cursor_limits *limits);
void broker_cursor_deinit(struct cursor *cursor);
/* The first offset that may be delivered now, from `from` on; -1: none before something ends. */
int64_t broker_cursor_wanted(const struct cursor *cursor, int64_t from);

struct cursor_lock {
    uint64_t owner;
    int64_t deadline_ms;
    int64_t first; /* a batch, up to before next */
    int64_t next;
    int64_t count_max; /* offsets to lock at most */
    /* Each piece that is locked. */
    void (*locked)(void *arg, const struct cursor_run *run);
    void *arg;
    int64_t count; /* out */
};
/* Locks what is free of the range and within the window; offsets between end and first are free.
 * ERR_NO_MEMORY: as it was. */
NODISCARD enum err broker_cursor_lock(struct cursor *cursor, struct cursor_lock *lock);
/* What is free there will never be delivered. ERR_NO_MEMORY: as it was. */
NODISCARD enum err broker_cursor_kill(struct cursor *cursor, int64_t first, int64_t next);
/* The log begins at start now; whatever was before is over. ERR_NO_MEMORY: as it was. */
NODISCARD enum err broker_cursor_trim(struct cursor *cursor, int64_t start);
/* Everything from start on is locked by owner, except what lies before the cursor's start. */
bool broker_cursor_holds(const struct cursor *cursor, uint64_t owner, int64_t first, int64_t next);
/* After broker_cursor_holds; deadline_ms is for RENEW. ERR_NO_MEMORY: as it was. */
NODISCARD enum err broker_cursor_acknowledge(struct cursor *cursor, int64_t first, int64_t next,
                                             enum cursor_verb verb, int64_t deadline_ms);
/* The owner has gone: what it holds is free, as if it had not been delivered. True: it held some.
 */
bool broker_cursor_release(struct cursor *cursor, uint64_t owner);
/* Locks that end at now_ms or before. True: there were some. */
bool broker_cursor_expire(struct cursor *cursor, int64_t now_ms);
/* Offsets from start on that are over. */
int64_t broker_cursor_over(const struct cursor *cursor);
/* When the next lock ends. */
int64_t broker_cursor_deadline_ms(const struct cursor *cursor);
/* A run that was written down, in any order; start does not move before broker_cursor_restored.
 * ERR_CORRUPT: no such run can be; ERR_NO_MEMORY. */
NODISCARD enum err broker_cursor_restore(struct cursor *cursor, const struct cursor_run *run);
void broker_cursor_restored(struct cursor *cursor);

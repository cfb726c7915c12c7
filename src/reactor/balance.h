// Placement: cores fill up one after another; busy cores hand connections to the next.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "reactor/conn.h"

struct balance_options {
    unsigned busy_permille; /* above it for busy_ms: hand over (default 700) */
    unsigned
        calm_permille; /* two neighbours together below it for calm_ms: take back (default 350) */
    unsigned busy_ms;  /* default 500 */
    unsigned calm_ms;  /* default 5000 */
};

/* New connections start on core 0. Every tick looks at the loads and moves idle-at-this-moment
 * connections (can_move, empty output; unconsumed input goes with them) with their traffic in mind.
 */
void balance_start(struct reactor *reactor, const struct balance_options *options);
/* Tells a room that connections of core `from` went to core `to`, so that it can move what they
 * use. */
typedef void (*balance_moved_fn)(void *arg, struct core *from, unsigned to);
void balance_on_moved(struct reactor *reactor, balance_moved_fn fn, void *arg);
/* On the core that gives: half of the traffic since placement looked last, or all connections, are
 * to go to core `to`. Returns how many went at once. What placement does, and tests. */
unsigned balance_hand_over(struct core *core, unsigned to, bool all);
/* Pure decision, for tests: fills out_to with the core that core i should hand half its load to, or
 * i. */
void balance_decide(const unsigned *busy_permille, unsigned count,
                    const struct balance_options *options, unsigned *out_to);

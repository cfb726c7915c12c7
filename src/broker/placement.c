// Which core a partition should live on: the one that talks to it.
// SPDX-License-Identifier: Apache-2.0
//
// Every partition begins on core 0. When connections have moved away, those partitions follow whose
// calls come mostly from one other core, for some windows in a row. All is done when a call comes:
// partitions that nobody touches cost nothing.
#include "broker/state.h"

#define PLACEMENT_WINDOW_NS 1000000000ull
#define PLACEMENT_CALLS_MIN 16 /* a window is over after this many calls at least */
#define PLACEMENT_PERCENT   75
#define PLACEMENT_STREAK    2

static void placement_window(struct core *core, struct broker_partition *partition)
{
    struct partition_traffic *traffic = &partition->traffic;
    bool won =
        (uint64_t)traffic->candidate_count * 100 >= (uint64_t)traffic->count * PLACEMENT_PERCENT;
    unsigned candidate = traffic->candidate;
    unsigned streak = won ? traffic->streak + 1u : 0;
    bool is_same = traffic->voted == candidate;
    *traffic = (struct partition_traffic){
        .window_ns = core_now_ns(core),
        .candidate = traffic->voted,
        .voted = traffic->voted,
        .streak = (uint16_t)(is_same ? MIN(streak, PLACEMENT_STREAK) : 0),
    };
    if (won && is_same && candidate != core_id(core) && streak >= PLACEMENT_STREAK)
        broker_move_start(core, partition, candidate);
}

void broker_placement_count(struct core *core, struct broker_partition *partition,
                            const struct core *origin)
{
    struct partition_traffic *traffic = &partition->traffic;
    unsigned from = core_id(origin);
    if (partition->broker->core_count < 2 || partition->internal)
        return;
    if (traffic->window_ns == 0) {
        traffic->window_ns = core_now_ns(core);
        traffic->candidate = (uint16_t)from;
        traffic->voted = (uint16_t)from;
    }
    traffic->count++;
    if (from == traffic->candidate)
        traffic->candidate_count++;
    if (traffic->votes == 0)
        traffic->voted = (uint16_t)from;
    traffic->votes += from == traffic->voted ? 1u : -1u;
    if (traffic->count >= PLACEMENT_CALLS_MIN &&
        core_now_ns(core) - traffic->window_ns >= PLACEMENT_WINDOW_NS)
        placement_window(core, partition);
}

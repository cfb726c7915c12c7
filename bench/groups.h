// The loads on a group coordinator: members at rest, a rebalance, commits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdbool.h>

#include "bench/options.h"

/* Runs options->mode and prints one line; false: it is none of beat, join and commit.
 *   beat    groups x members join, then only beat, each every three seconds.
 *   join    members of one group join; then all of them join again at once.
 *   commit  every group commits its offset in each of the partitions, in_flight requests at once.
 */
bool groups_run(const struct options *options);

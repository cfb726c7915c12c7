// Where a topic's partition stands in a list of partitions: a map instead of a walk.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/map.h"

/* Topics get numbers from 0 on, in the order in which they come. Their names are borrowed. */
struct cli_lookup {
    struct map topics;
    struct map places;
    size_t topic_count;
};

/* seed: any number, better one that a server cannot know. */
void cli_lookup_init(struct cli_lookup *lookup, uint64_t seed);
void cli_lookup_deinit(struct cli_lookup *lookup);
/* The topic's number, a new one where it was not known. */
size_t cli_lookup_topic(struct cli_lookup *lookup, struct slice topic);
/* The partition (-1 too) stands at index of the list from now on. */
void cli_lookup_put(struct cli_lookup *lookup, struct slice topic, int32_t partition, size_t index);
/* Where it stands; false: nowhere. */
bool cli_lookup_find(const struct cli_lookup *lookup, struct slice topic, int32_t partition,
                     size_t *out_index);

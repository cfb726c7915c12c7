// Did you mean: the known word that is nearest to one that is not known.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/slice.h"

/* Edits (insert, delete, replace, swap neighbours) between two words, in any case; words are looked
 * at up to 64 bytes. */
size_t nearest_distance(struct slice a, struct slice b);

/* Collects the nearest of many candidates. */
struct nearest {
    struct slice word;
    struct slice best; /* null: nothing near enough */
    size_t distance;
};

void nearest_init(struct nearest *nearest, struct slice word);
/* candidate must live as long as nearest->best is used. */
void nearest_offer(struct nearest *nearest, struct slice candidate);

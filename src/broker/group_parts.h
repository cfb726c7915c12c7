// Sets of topic partitions and of names, as groups keep them: sorted, each in a block of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/budget.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"

struct group_part {
    struct uuid topic;
    int32_t index;
};
_Static_assert(sizeof(struct group_part) == 20, "a key of a map has no gaps");

/* Sorted by topic and index, each once. */
struct group_parts {
    struct group_part *items;
    size_t count;
};

/* Sorted, each once; the bytes lie behind the array. */
struct group_names {
    struct slice *items;
    size_t count;
    size_t size; /* of the block */
};

int broker_group_parts_compare(const struct group_part *a, const struct group_part *b);
bool broker_group_parts_has(const struct group_parts *parts, const struct group_part *part);
bool broker_group_parts_equal(const struct group_parts *a, const struct group_parts *b);
/* Any in common. */
bool broker_group_parts_meet(const struct group_parts *a, const struct group_parts *b);
/* All of a are in b. */
bool broker_group_parts_within(const struct group_parts *a, const struct group_parts *b);
/* Room for count parts, charged; *out is empty. ERR_NO_MEMORY. Free it with the same room. */
NODISCARD enum err broker_group_parts_room(struct budget *budget, size_t room,
                                           struct group_parts *out);
/* Sorts what was put into the room and drops repetitions, which stay charged. */
void broker_group_parts_sort(struct group_parts *parts);
/* Replaces *own by a block that fits. */
NODISCARD enum err broker_group_parts_set(struct budget *budget, struct group_parts *own,
                                          const struct group_parts *from);
void broker_group_parts_free(struct budget *budget, struct group_parts *own, size_t room);

/* Replaces *own by sorted copies of the given names. */
NODISCARD enum err broker_group_parts_names(struct budget *budget, struct group_names *own,
                                            const struct slice *names, size_t count);
void broker_group_parts_names_free(struct budget *budget, struct group_names *own);
bool broker_group_parts_names_equal(const struct group_names *a, const struct group_names *b);
bool broker_group_parts_names_have(const struct group_names *names, struct slice name);

/* Replaces *own by a copy in a block of its own; null for null. */
NODISCARD enum err broker_group_parts_text(struct budget *budget, struct slice *own,
                                           struct slice bytes);
void broker_group_parts_text_free(struct budget *budget, struct slice *own);

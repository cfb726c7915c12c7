// The tree of a regular expression, between its parser and its compiler.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum regex_kind {
    REGEX_EMPTY,
    REGEX_SET,    /* one byte of the set */
    REGEX_ALL,    /* children one after the other */
    REGEX_ANY,    /* one of the children */
    REGEX_REPEAT, /* the child, min to max times; max -1: without end */
    REGEX_BEGIN,  /* of the text */
    REGEX_BEGIN_LINE,
    REGEX_END,
    REGEX_END_LINE,
    REGEX_WORD_EDGE,
    REGEX_NO_WORD_EDGE,
};

#define REGEX_NONE UINT32_MAX

struct regex_set {
    uint64_t bits[4];
};

struct regex_node {
    enum regex_kind kind;
    uint32_t child; /* the first, or REGEX_NONE */
    uint32_t next;  /* the next child of the same parent */
    uint32_t set;   /* index */
    int32_t min;
    int32_t max;
};

struct regex_tree {
    struct regex_node *nodes;
    size_t node_count;
    size_t node_capacity;
    struct regex_set *sets;
    size_t set_count;
    size_t set_capacity;
    uint32_t root;
};

/* ERR_INVALID with words, ERR_NO_MEMORY. Free the tree in any case. */
NODISCARD enum err regex_parse(struct slice text, struct regex_tree *out, struct diag *diag);
void regex_parse_free(struct regex_tree *tree);

static inline bool regex_set_has(const struct regex_set *set, uint8_t byte)
{
    return set->bits[byte >> 6] >> (byte & 63) & 1;
}

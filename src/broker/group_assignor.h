// Which member of a group reads which partition: the assignors "uniform" and "range". KIP-848.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "broker/group_parts.h"

/* Sorted by id. */
struct assignor_topic {
    struct uuid id;
    uint32_t partition_count;
    size_t base; /* the assignor's: of its partition 0 among all */
};

struct assignor_member {
    struct slice sort;      /* instance id, or member id: the order of range */
    const uint32_t *topics; /* subscribed: indices of topics, ascending */
    size_t topic_count;
    const struct group_parts *before; /* what it had: kept where balance allows (uniform) */
    size_t count;                     /* the assignor's */
};

enum assignor_kind { ASSIGNOR_UNIFORM, ASSIGNOR_RANGE };

struct assignor {
    enum assignor_kind kind;
    struct assignor_topic *topics;
    size_t topic_count;
    struct assignor_member *members;
    size_t member_count;
    size_t partition_count; /* out: of all topics */
    int32_t *owners;        /* out: per partition of all topics the member's index, -1: nobody's */
};

/* ERR_NO_MEMORY. Free owners afterwards. */
NODISCARD enum err broker_group_assignor_run(struct assignor *assignor);
/* The parts of every member: fills parts[member_count], blocks of count, charged. */
NODISCARD enum err broker_group_assignor_parts(const struct assignor *assignor,
                                               struct budget *budget, struct group_parts *parts);

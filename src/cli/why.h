// Why a consumer group does not move: one reason, decided from gathered facts alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/text.h"

struct cli_why_member {
    struct slice id;
    struct slice instance; /* null: not static */
    struct slice client;
    struct slice host;
    size_t partition_count; /* assigned to it */
    struct slice assigned;  /* share groups: in words; null in others */
};

struct cli_why_partition {
    struct slice topic;
    int32_t partition;
    bool exists;
    int32_t leader;          /* -1: offline */
    int member;              /* index into members; -1: nobody reads it */
    bool subscribed;         /* by some member */
    int64_t committed;       /* -1: nothing committed */
    int64_t committed_later; /* the same, a moment later; -2: not looked at */
    int64_t start;           /* of the log; -1: not known */
    int64_t end;
    int64_t stable; /* the last stable offset; -1: not known */
    /* Of a share group: committed is where it starts, and the server tells the lag. */
    bool shared;
    int64_t told_lag; /* -1: not known */
    int64_t told_lag_later;
    bool barren; /* up to there lie no records, only marks, gaps, and what was aborted */
    /* The oldest open transaction; producer -1: none known. */
    int64_t open_producer;
    int64_t open_offset;
    int64_t open_last_ms;
    struct slice open_id; /* its transactional id; may be null */
};

enum cli_why_state {
    CLI_WHY_MISSING, /* there is no such group */
    CLI_WHY_LOADING, /* its coordinator is not ready */
    CLI_WHY_EMPTY,
    CLI_WHY_JOINING, /* waits for members to join again */
    CLI_WHY_SYNCING, /* waits for the leader's assignment, or for members to take theirs */
    CLI_WHY_STABLE,
    CLI_WHY_FOREIGN, /* no group of consumers: members with another protocol */
};

struct cli_why_facts {
    struct slice group;
    enum cli_why_state state;
    bool modern; /* KIP-848 */
    bool share;  /* KIP-932 */
    struct cli_why_member *members;
    size_t member_count;
    struct cli_why_partition *partitions;
    size_t partition_count;
    int64_t now_ms;
    int64_t watched_ms; /* between committed and committed_later */
};

enum cli_why_reason {
    CLI_WHY_NO_GROUP,
    CLI_WHY_COORDINATOR,
    CLI_WHY_NOT_CONSUMERS,
    CLI_WHY_NO_MEMBERS,
    CLI_WHY_REBALANCING,
    CLI_WHY_NO_TOPIC,
    CLI_WHY_OFFLINE,
    CLI_WHY_BELOW_START,
    CLI_WHY_BEHIND_END,
    CLI_WHY_NOT_ASSIGNED,
    CLI_WHY_NOT_SUBSCRIBED,
    CLI_WHY_OPEN_TRANSACTION,
    CLI_WHY_NEVER_COMMITTED,
    CLI_WHY_NOT_COMMITTING,
    CLI_WHY_NOT_ACKNOWLEDGED, /* share groups: records wait, or members hold them */
    CLI_WHY_MOVING,
    CLI_WHY_CAUGHT_UP,
    CLI_WHY_NOTHING_READ, /* no topic is subscribed to, or nothing was read of it yet */
};

struct cli_why_answer {
    enum cli_why_reason reason;
    bool stuck;                                /* somebody has to do something */
    const struct cli_why_partition *partition; /* NULL: the group as a whole */
    const struct cli_why_member *member;       /* NULL: none in particular */
    int64_t lag;                               /* of all partitions, as far as known */
    const char *what;                          /* sentences, in the arena */
    const char *fix;                           /* NULL: nothing to do */
};

/* Decides. Of several reasons the one comes first without whose removal the others would not help.
 * ERR_NO_MEMORY. */
NODISCARD enum err cli_why_decide(const struct cli_why_facts *facts, struct arena *arena,
                                  struct cli_why_answer *out);
/* What a reader of committed records can still get of a partition, or what a share group has not
 * done with; 0 when it is not known. */
int64_t cli_why_lag(const struct cli_why_partition *partition);
/* Short name such as "no-members", for programs. */
const char *cli_why_name(enum cli_why_reason reason);

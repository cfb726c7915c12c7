// Everything that servers tell about one consumer group, gathered for describe, lag and why.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cluster.h"
#include "cli/why.h"

struct cli_facts {
    struct cli_why_facts why;
    struct slice state; /* in the server's words */
    struct slice assignor;
    int32_t coordinator;
};

/* Members, committed offsets and log ends of a group, in order of topics and partitions. topic: of
 * this topic alone (null: of all). A group that is not there is CLI_OK with state CLI_WHY_MISSING.
 */
enum cli_exit cli_facts_gather(struct cli *cli, struct slice group, struct slice topic,
                               struct cli_facts *out);
/* Fills committed_later of the same facts. */
enum cli_exit cli_facts_look_again(struct cli *cli, struct cli_facts *facts);
/* Fills what hangs, where a last stable offset lies before the end. */
void cli_facts_find_open(struct cli *cli, struct cli_facts *facts);
/* Fills barren: looks into the logs between committed and stable offsets. */
void cli_facts_find_records(struct cli *cli, struct cli_facts *facts);
struct kafka_fetch_response_partition;
/* The answer of a fetch has a record at or behind *from that a reader of committed records is
 * given. Else *from is where the batches end; aborted transactions that ended are taken out. */
bool cli_facts_has_record(struct kafka_fetch_response_partition *part, int64_t *from);
/* Says that the group is not there, with the nearest name that is. */
enum cli_exit cli_facts_missing(struct cli *cli, struct slice group);

/* The partitions in an assignment of the consumer protocol, and the topics of a subscription:
 * calls take for each (partition -1 in a subscription). False: the bytes are damaged. */
typedef void (*cli_facts_take_fn)(void *arg, struct slice topic, int32_t partition);
bool cli_facts_assignment(struct slice bytes, cli_facts_take_fn take, void *arg);
bool cli_facts_subscription(struct slice bytes, cli_facts_take_fn take, void *arg);

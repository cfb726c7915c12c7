// What servers tell about one share group (KIP-932).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cluster.h"
#include "wire/kafka_describe_share_group_offsets.h"
#include "wire/kafka_share_group_describe.h"

/* State and members, from the group's coordinator. False: there is no share group of that name, or
 * the server knows no such groups. */
bool cli_facts_share_describe(struct cli *cli, struct slice group, int32_t coordinator,
                              struct kafka_share_group_describe_response *out);
/* Start offsets and lag of all partitions that the group has begun. Errors are said. */
enum cli_exit cli_facts_share_offsets(struct cli *cli, struct slice group, int32_t coordinator,
                                      struct kafka_describe_share_group_offsets_response *out);
/* The group's share.isolation.level is read_committed; false, too, where the server tells none. */
bool cli_facts_share_is_committed(struct cli *cli, struct slice group);

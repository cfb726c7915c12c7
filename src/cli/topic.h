// The commands leat topic.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

enum cli_exit cli_topic_list(struct cli *cli);
enum cli_exit cli_topic_describe(struct cli *cli);
enum cli_exit cli_topic_create(struct cli *cli);
enum cli_exit cli_topic_delete(struct cli *cli);
enum cli_exit cli_topic_grow(struct cli *cli);
enum cli_exit cli_topic_trim(struct cli *cli);

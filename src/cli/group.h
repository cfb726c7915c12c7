// The commands leat group.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

enum cli_exit cli_group_list(struct cli *cli);
enum cli_exit cli_group_describe(struct cli *cli);
enum cli_exit cli_group_lag(struct cli *cli);
enum cli_exit cli_group_delete(struct cli *cli);
enum cli_exit cli_group_forget(struct cli *cli);
enum cli_exit cli_group_seek(struct cli *cli);
enum cli_exit cli_group_why(struct cli *cli);

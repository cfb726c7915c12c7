// The commands leat cluster.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

enum cli_exit cli_overview_show(struct cli *cli);
enum cli_exit cli_overview_apis(struct cli *cli);

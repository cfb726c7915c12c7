// The command leat produce.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

extern const char cli_produce_details[];
enum cli_exit cli_produce_run(struct cli *cli);

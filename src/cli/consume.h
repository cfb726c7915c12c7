// The command leat consume.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

extern const char cli_consume_details[];
enum cli_exit cli_consume_run(struct cli *cli);

// The command leat doctor.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

enum cli_exit cli_doctor_run(struct cli *cli);

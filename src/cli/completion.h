// Completion for shells: small scripts that ask `leat __complete`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

/* The command completion. */
enum cli_exit cli_completion_script(struct cli *cli);
/* Prints what may stand in place of the last word, a line each; never says an error. */
enum cli_exit cli_completion_words(struct cli *cli, char **words, size_t count);

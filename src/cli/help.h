// Help texts, made from the tables of commands and flags.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"

/* The list of all commands; asked: on stdout with exit code 0, else it is the answer to a command
 * line without a command. */
enum cli_exit cli_help_all(struct cli *cli, bool asked);
enum cli_exit cli_help_noun(struct cli *cli, const char *noun, bool asked);
enum cli_exit cli_help_command(struct cli *cli, const struct cli_command *command);
/* The commands help and version. */
enum cli_exit cli_help_show(struct cli *cli);
enum cli_exit cli_help_version(struct cli *cli);

// The table of commands, and how a command line finds its row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

typedef enum cli_exit (*cli_command_fn)(struct cli *cli);

struct cli_command {
    const char *noun; /* "" for one word */
    const char *verb; /* NULL: the row is about the noun, and summary says what it is */
    const char *aliases;
    const char *arguments;
    size_t argument_count_min;
    size_t argument_count_max;
    const char *flags;
    cli_command_fn run;
    const char *summary;
    const char *details;
};

extern const struct cli_command cli_command_rows[];
extern const size_t cli_command_count;

/* The words name this command, or one of its other names. */
const struct cli_command *cli_command_find(const char *noun, const char *verb);
bool cli_command_is_noun(const char *word);
/* Finds the command, parses its flags, runs it. argv without the program's name. */
enum cli_exit cli_command_run(struct cli *cli, char **argv, size_t count);

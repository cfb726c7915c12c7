// The program leat: looks at the terminal and the environment, and runs one command.
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "cli/command.h"

int main(int argc, char **argv)
{
    struct cli cli = {.timeout_ms = 10000};
    arena_init(&cli.arena, 0);
    const char *bootstrap = getenv("LEAT_BOOTSTRAP");
    cli.bootstrap = bootstrap && *bootstrap ? bootstrap : "127.0.0.1:9092";
    cli.in_is_terminal = isatty(STDIN_FILENO) == 1;
    cli.out_is_terminal = isatty(STDOUT_FILENO) == 1;
    cli.error_is_terminal = isatty(STDERR_FILENO) == 1;
    const char *no_colour = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    bool colour = !(no_colour && *no_colour) && kind && strcmp(kind, "dumb") != 0;
    cli.out_colour = colour && cli.out_is_terminal;
    cli.error_colour = colour && cli.error_is_terminal;
    /* A reader that went away is an error of a write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    enum cli_exit result =
        cli_command_run(&cli, argc > 0 ? argv + 1 : argv, argc > 0 ? (size_t)argc - 1 : 0);
    cli_cluster_close(&cli);
    arena_deinit(&cli.arena);
    /* A reader that has seen enough is no failure worth words; a full disk is. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && !result) {
        result = CLI_FAILED;
        if (errno != EPIPE)
            fprintf(stderr, "leat: cannot write to stdout: %s\n", strerror(errno));
    }
    return (int)result;
}

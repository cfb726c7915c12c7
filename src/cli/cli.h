// What every command of leat is given: memory, flags, the terminal, and the cluster it talks to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/arena.h"
#include "base/text.h"
#include "cli/flags.h"

struct cli_cluster;
struct cli_command;

/* The exit codes of the program. Functions that return one have said what went wrong. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_DENIED = 4,
    CLI_UNREACHABLE = 5,
    CLI_PARTIAL = 8, /* some of what was asked for was done */
};

enum cli_format {
    CLI_FORMAT_TEXT,
    CLI_FORMAT_WIDE,
    CLI_FORMAT_JSON,
    CLI_FORMAT_JSONL,
    CLI_FORMAT_YAML,
    CLI_FORMAT_CSV,
    CLI_FORMAT_COUNT,
};

/* Lives as long as the program; everything that a command makes lies in its arena. */
struct cli {
    struct arena arena;
    struct cli_flags flags;
    const struct cli_command *command;
    char **arguments; /* those that are no flags */
    size_t argument_count;
    enum cli_format format;
    const char *bootstrap; /* "HOST:PORT[,HOST:PORT...]" */
    int timeout_ms;        /* for each question to a server */
    bool in_is_terminal;
    bool out_is_terminal;
    bool error_is_terminal;
    bool out_colour;
    bool error_colour;
    struct cli_cluster *cluster; /* NULL until cli_cluster_open */
};

/* Never NULL: a client that has no memory left says so and ends. Zeroed. */
void *cli_alloc(struct cli *cli, size_t count, size_t size);
/* Says so and ends. */
_Noreturn void cli_out_of_memory(void);
/* Formatted text in the arena. */
const char *cli_words(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* The bytes as text that ends with a NUL; null gives "". */
const char *cli_string(struct cli *cli, struct slice bytes);

/* Says on stderr what went wrong and, in a second line, how to go on (fix may be NULL). Gives exit
 * back. */
enum cli_exit cli_fail(struct cli *cli, enum cli_exit exit, const char *fix, const char *format,
                       ...) PRINTF_LIKE(4, 5);
/* A line on stderr about what was done; not with --quiet. */
void cli_note(struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* Before something is destroyed: true with --yes, or when a person at the terminal agrees. False
 * says why. what: "delete topic orders and its 12 records". */
bool cli_confirm(struct cli *cli, const char *what);
/* The wall clock. */
int64_t cli_now_ms(void);
/* Waits. */
void cli_pause(int64_t ms);
/* Bytes to stdout as they are; false once nobody reads them any more. */
bool cli_write(struct slice bytes);

// The flags of the command line, parsed from one table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum cli_flag {
#define CLI_FLAG(id, name, letter, value, text) CLI_FLAG_##id,
#include "cli/flags.def"
#undef CLI_FLAG
    CLI_FLAG_COUNT_ALL
};

struct cli_flag_row {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* NULL: takes none */
    const char *text;
};

/* The flags that were given, in their order, and the other arguments. */
struct cli_flags {
    struct {
        enum cli_flag flag;
        const char *value; /* NULL: the flag takes none */
    } * given;
    size_t count;
    char **arguments;
    size_t argument_count;
};

const struct cli_flag_row *cli_flags_row(enum cli_flag flag);
/* The flag goes with every command. */
bool cli_flags_is_global(enum cli_flag flag);
/* The flag of that name, or of that letter; of several with one letter the one in names, which
 * lists names between blanks. False: there is none. */
bool cli_flags_find(struct slice name, enum cli_flag *out);
bool cli_flags_find_letter(char letter, const char *names, enum cli_flag *out);
/* names, which lists flags between blanks, has this one. */
bool cli_flags_listed(const char *names, enum cli_flag flag);

/* Splits argv[0, count) into flags and other arguments; "--" ends the flags. names: those that the
 * command takes besides the global ones. flags->arguments has room for count, flags->given for as
 * many as argv has bytes. On ERR_INVALID diag says what is wrong. */
NODISCARD enum err cli_flags_parse(char **argv, size_t count, const char *names,
                                   struct cli_flags *flags, struct diag *diag);
/* How many arguments at the start are global flags and their values. */
size_t cli_flags_leading(char **argv, size_t count);

bool cli_flags_has(const struct cli_flags *flags, enum cli_flag flag);
/* The last value given, else fallback. */
const char *cli_flags_text(const struct cli_flags *flags, enum cli_flag flag, const char *fallback);
/* The next value of a flag at or after *position, which moves behind it; NULL at the end. */
const char *cli_flags_next(const struct cli_flags *flags, enum cli_flag flag, size_t *position);

// Finds and runs commands.
// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include "base/nearest.h"
#include "cli/completion.h"
#include "cli/config.h"
#include "cli/consume.h"
#include "cli/doctor.h"
#include "cli/group.h"
#include "cli/help.h"
#include "cli/overview.h"
#include "cli/produce.h"
#include "cli/stamp.h"
#include "cli/topic.h"
#include "cli/txn.h"

const struct cli_command cli_command_rows[] = {
#define CLI_NOUN(noun, summary) {noun, NULL, "", "", 0, 0, "", NULL, summary, ""},
#define CLI_COMMAND(noun, verb, aliases, arguments, min, max, flags, run, summary, details)        \
    {noun, verb, aliases, arguments, min, max, flags, run, summary, details},
#include "cli/commands.def"
#undef CLI_NOUN
#undef CLI_COMMAND
};

const size_t cli_command_count = COUNT_OF(cli_command_rows);

static bool is_listed(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; size > 0 && (at = strstr(at, word)) != NULL; at += size)
        if ((at == list || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
            return true;
    return false;
}

const struct cli_command *cli_command_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        if (row->verb && strcmp(row->noun, noun) == 0 &&
            (strcmp(row->verb, verb) == 0 || is_listed(row->aliases, verb)))
            return row;
    }
    return NULL;
}

bool cli_command_is_noun(const char *word)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (*word && !cli_command_rows[i].verb && strcmp(cli_command_rows[i].noun, word) == 0)
            return true;
    return false;
}

/* What may stand at this place: verbs of the noun, or nouns and single words for noun "". */
static struct slice nearest_word(const char *noun, const char *word)
{
    struct nearest nearest;
    nearest_init(&nearest, slice_text(word));
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        if (row->verb && strcmp(row->noun, noun) == 0)
            nearest_offer(&nearest, slice_text(row->verb));
        if (!row->verb && *noun == '\0' && *row->noun)
            nearest_offer(&nearest, slice_text(row->noun));
    }
    return nearest.best;
}

static enum cli_exit unknown(struct cli *cli, const char *noun, const char *word)
{
    struct slice best = nearest_word(noun, word);
    const char *blank = *noun ? " " : "";
    const char *fix = best.data ? cli_words(cli, "did you mean: leat %s%s%.*s", noun, blank,
                                            (int)best.size, (const char *)best.data)
                                : cli_words(cli, "leat %s%s--help lists the commands", noun, blank);
    return cli_fail(cli, CLI_USAGE, fix, "there is no command '%s%s%s'", noun, blank, word);
}

static bool parse_format(const char *text, enum cli_format *out)
{
    static const char *const names[] = {"text", "wide", "json", "jsonl", "yaml", "csv"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum cli_format)i;
            return true;
        }
    }
    return false;
}

static enum cli_exit apply_globals(struct cli *cli)
{
    const char *format = cli_flags_text(&cli->flags, CLI_FLAG_FORMAT, "text");
    if (!parse_format(format, &cli->format))
        return cli_fail(cli, CLI_USAGE, "it is one of text, wide, json, jsonl, yaml, csv",
                        "there is no format '%s'", format);
    cli->bootstrap = cli_flags_text(&cli->flags, CLI_FLAG_BOOTSTRAP, cli->bootstrap);
    const char *timeout = cli_flags_text(&cli->flags, CLI_FLAG_TIMEOUT, "10s");
    int64_t ms;
    if (!cli_stamp_parse_duration(slice_text(timeout), &ms) || ms < 1 || ms > 3600000)
        return cli_fail(cli, CLI_USAGE, "write it as 500ms, 10s or 2m; at most an hour",
                        "'%s' is no timeout", timeout);
    cli->timeout_ms = (int)ms;
    const char *color = cli_flags_text(&cli->flags, CLI_FLAG_COLOR, "auto");
    if (strcmp(color, "always") == 0)
        cli->out_colour = cli->error_colour = true;
    else if (strcmp(color, "never") == 0)
        cli->out_colour = cli->error_colour = false;
    else if (strcmp(color, "auto") != 0)
        return cli_fail(cli, CLI_USAGE, "it is one of auto, always, never",
                        "'%s' says not when to use colour", color);
    return CLI_OK;
}

static const char *name_of(struct cli *cli)
{
    const struct cli_command *row = cli->command;
    return cli_words(cli, "leat %s%s%s", row->noun, *row->noun ? " " : "", row->verb);
}

static enum cli_exit run_row(struct cli *cli, char **argv, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(argv[i]) + 1;
    cli->flags.given = cli_alloc(cli, bytes + 1, sizeof(*cli->flags.given));
    cli->flags.arguments = cli_alloc(cli, count + 1, sizeof(*cli->flags.arguments));
    struct diag diag = {""};
    const char *help = cli_words(cli, "%s --help says more", name_of(cli));
    if (cli_flags_parse(argv, count, cli->command->flags, &cli->flags, &diag))
        return cli_fail(cli, CLI_USAGE, help, "%s", diag.text);
    cli->arguments = cli->flags.arguments;
    cli->argument_count = cli->flags.argument_count;
    enum cli_exit result = apply_globals(cli);
    if (result)
        return result;
    if (cli_flags_has(&cli->flags, CLI_FLAG_HELP))
        return cli_help_command(cli, cli->command);
    if (cli->argument_count < cli->command->argument_count_min ||
        cli->argument_count > cli->command->argument_count_max)
        return cli_fail(cli, CLI_USAGE, help, "usage: %s %s%s[FLAGS]", name_of(cli),
                        cli->command->arguments, *cli->command->arguments ? " " : "");
    return cli->command->run(cli);
}

static enum cli_exit find_and_run(struct cli *cli, char **argv, size_t count)
{
    const char *word = argv[0];
    if (word[0] == '-')
        return cli_fail(cli, CLI_USAGE, "usage: leat COMMAND [FLAGS]; leat --help lists commands",
                        "%s stands before the command, or is no flag", word);
    cli->command = cli_command_find("", word);
    if (cli->command)
        return run_row(cli, argv + 1, count - 1);
    if (!cli_command_is_noun(word))
        return unknown(cli, "", word);
    if (count == 1 || argv[1][0] == '-')
        return cli_help_noun(cli, word, count > 1);
    cli->command = cli_command_find(word, argv[1]);
    if (!cli->command)
        return unknown(cli, word, argv[1]);
    return run_row(cli, argv + 2, count - 2);
}

static bool asks_for_help(char **argv, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

enum cli_exit cli_command_run(struct cli *cli, char **argv, size_t count)
{
    if (count == 0)
        return cli_help_all(cli, false);
    if (strcmp(argv[0], "-V") == 0 || strcmp(argv[0], "--version") == 0)
        return cli_help_version(cli);
    if (strcmp(argv[0], "__complete") == 0)
        return cli_completion_words(cli, argv + 1, count - 1);
    /* Global flags may stand before the command, too: they are moved behind it. */
    size_t leading = cli_flags_leading(argv, count);
    if (leading == count)
        return cli_help_all(cli, asks_for_help(argv, count));
    char **moved = cli_alloc(cli, count, sizeof(*moved));
    memcpy(moved, argv + leading, (count - leading) * sizeof(*moved));
    size_t words = cli_command_is_noun(moved[0]) && count - leading > 1 ? 2 : 1;
    memmove(moved + words + leading, moved + words, (count - leading - words) * sizeof(*moved));
    memcpy(moved + words, argv, leading * sizeof(*moved));
    return find_and_run(cli, moved, count);
}

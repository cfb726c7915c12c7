// Prints help for people, and for programs as a document.
// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <stdio.h>

#include "cli/doc.h"

static const char head[] = "leat: the command line of Leat, and of any other Kafka server.\n"
                           "\n"
                           "usage: leat COMMAND [ARGUMENTS] [FLAGS]\n";

static const char tail[] =
    "\n"
    "The server is named with -b HOST:PORT or in LEAT_BOOTSTRAP, else it is 127.0.0.1:9092.\n"
    "leat COMMAND --help explains a command.\n";

static const char exit_codes[] =
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 denied, 5 unreachable or too late,\n"
    "8 done in part. Data goes to stdout, everything else to stderr.\n";

static const char *bold(const struct cli *cli, bool on)
{
    return !cli->out_colour ? "" : on ? "\033[1m" : "\033[0m";
}

static void list_rows(struct cli *cli, const char *noun, struct text *out)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        if (!row->verb || strcmp(row->noun, noun) != 0)
            continue;
        const char *name =
            cli_words(cli, "%s%s%s %s", row->noun, *noun ? " " : "", row->verb, row->arguments);
        text_add_format(out, "  %-38s %s\n", name, row->summary);
    }
}

static enum cli_exit print(struct cli *cli, struct text *out, bool asked)
{
    if (out->failed)
        return cli_fail(cli, CLI_FAILED, NULL, "out of memory");
    fwrite(out->data, 1, out->size, asked ? stdout : stderr);
    text_deinit(out);
    return asked ? CLI_OK : CLI_USAGE;
}

enum cli_exit cli_help_all(struct cli *cli, bool asked)
{
    struct text out;
    text_init(&out);
    text_add_text(&out, head);
    const char *last = NULL;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        if (!row->verb && *row->noun)
            text_add_format(&out, "\n%s%s%s: %s\n", bold(cli, true), row->noun, bold(cli, false),
                            row->summary);
        else if (!row->verb && last)
            text_add_text(&out, "\n");
        last = row->noun;
        if (!row->verb)
            continue;
        const char *name = cli_words(cli, "%s%s%s %s", row->noun, *row->noun ? " " : "", row->verb,
                                     row->arguments);
        text_add_format(&out, "  %-38s %s\n", name, row->summary);
    }
    text_add_text(&out, tail);
    text_add_text(&out, exit_codes);
    return print(cli, &out, asked);
}

enum cli_exit cli_help_noun(struct cli *cli, const char *noun, bool asked)
{
    struct text out;
    text_init(&out);
    for (size_t i = 0; i < cli_command_count; i++)
        if (!cli_command_rows[i].verb && strcmp(cli_command_rows[i].noun, noun) == 0)
            text_add_format(&out, "%s%s%s: %s\n\n", bold(cli, true), noun, bold(cli, false),
                            cli_command_rows[i].summary);
    list_rows(cli, noun, &out);
    text_add_text(&out, tail);
    return print(cli, &out, asked);
}

static void add_flag(struct cli *cli, enum cli_flag flag, struct text *out)
{
    const struct cli_flag_row *row = cli_flags_row(flag);
    const char *letter = row->letter ? cli_words(cli, "-%c,", row->letter) : "";
    const char *name =
        cli_words(cli, "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
    text_add_format(out, "  %-3s %-26s %s\n", letter, name, row->text);
}

enum cli_exit cli_help_command(struct cli *cli, const struct cli_command *command)
{
    struct text out;
    text_init(&out);
    const char *blank = *command->noun ? " " : "";
    text_add_format(&out, "%sleat %s%s%s%s: %s\n\n", bold(cli, true), command->noun, blank,
                    command->verb, bold(cli, false), command->summary);
    text_add_format(&out, "usage: leat %s%s%s %s%s[FLAGS]\n", command->noun, blank, command->verb,
                    command->arguments, *command->arguments ? " " : "");
    if (*command->aliases)
        text_add_format(&out, "also:  %s\n", command->aliases);
    if (*command->details)
        text_add_format(&out, "\n%s", command->details);
    if (*command->flags)
        text_add_format(&out, "\n%sFlags%s\n", bold(cli, true), bold(cli, false));
    for (int flag = 0; flag < CLI_FLAG_COUNT_ALL; flag++)
        if (cli_flags_listed(command->flags, (enum cli_flag)flag))
            add_flag(cli, (enum cli_flag)flag, &out);
    text_add_format(&out, "\n%sFlags of every command%s\n", bold(cli, true), bold(cli, false));
    for (int flag = 0; flag < CLI_FLAG_COUNT_ALL; flag++)
        if (cli_flags_is_global((enum cli_flag)flag))
            add_flag(cli, (enum cli_flag)flag, &out);
    return print(cli, &out, true);
}

static struct cli_doc *describe_all(struct cli *cli)
{
    struct cli_doc *list = cli_doc_list(cli);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        if (!row->verb)
            continue;
        struct cli_doc *doc = cli_doc_row(cli, list);
        cli_doc_add_text(
            cli, doc, "command",
            slice_text(cli_words(cli, "leat %s%s%s", row->noun, *row->noun ? " " : "", row->verb)));
        cli_doc_add_text(cli, doc, "arguments", slice_text(row->arguments));
        cli_doc_add_text(cli, doc, "summary", slice_text(row->summary));
        bool destroys = cli_flags_listed(row->flags, CLI_FLAG_YES);
        bool changes = destroys || cli_flags_listed(row->flags, CLI_FLAG_DRY_RUN) ||
                       strcmp(row->verb, "produce") == 0;
        const char *impact = destroys ? "destroys" : changes ? "changes" : "reads";
        cli_doc_add_text(cli, doc, "impact", slice_text(impact));
        cli_doc_add_text(cli, doc, "details", slice_text(row->details))->hidden = true;
        struct cli_doc *flags = cli_doc_add_list(cli, doc, "flags");
        flags->hidden = true;
        for (int flag = 0; flag < CLI_FLAG_COUNT_ALL; flag++) {
            if (!cli_flags_is_global((enum cli_flag)flag) &&
                !cli_flags_listed(row->flags, (enum cli_flag)flag))
                continue;
            const struct cli_flag_row *known = cli_flags_row((enum cli_flag)flag);
            struct cli_doc *one = cli_doc_row(cli, flags);
            cli_doc_add_text(cli, one, "flag", slice_text(cli_words(cli, "--%s", known->name)));
            cli_doc_add_text(cli, one, "value", slice_text(known->value));
            cli_doc_add_text(cli, one, "text", slice_text(known->text));
        }
    }
    return list;
}

enum cli_exit cli_help_show(struct cli *cli)
{
    if (cli->format != CLI_FORMAT_TEXT && cli->argument_count == 0)
        return cli_doc_print(cli, describe_all(cli));
    if (cli->argument_count == 0)
        return cli_help_all(cli, true);
    const char *word = cli->arguments[0];
    bool is_noun = cli_command_is_noun(word);
    if (is_noun && cli->argument_count == 1)
        return cli_help_noun(cli, word, true);
    const struct cli_command *row =
        is_noun ? cli_command_find(word, cli->arguments[1]) : cli_command_find("", word);
    if (!row)
        return cli_fail(cli, CLI_USAGE, "leat --help lists the commands",
                        "there is no command '%s%s%s'", word, is_noun ? " " : "",
                        is_noun ? cli->arguments[1] : "");
    return cli_help_command(cli, row);
}

enum cli_exit cli_help_version(struct cli *cli)
{
    if (cli->format == CLI_FORMAT_TEXT || cli->format == CLI_FORMAT_WIDE) {
        puts("leat " LEAT_VERSION);
        return CLI_OK;
    }
    struct cli_doc *doc = cli_doc_record(cli);
    cli_doc_add_text(cli, doc, "version", SLICE_LITERAL(LEAT_VERSION));
    return cli_doc_print(cli, doc);
}

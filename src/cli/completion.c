// Completes commands, flags, topics and groups.
// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <stdio.h>

#include "cli/cluster.h"
#include "cli/command.h"
#include "wire/kafka_list_groups.h"

/* Long enough for a server near by; a shell must not hang. */
#define TIMEOUT_MS 1000

static const char bash_script[] =
    "# bash completion of leat; source it, or put it where bash-completion looks.\n"
    "_leat() {\n"
    "    local words=(\"${COMP_WORDS[@]:1:COMP_CWORD}\")\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(leat __complete \"${words[@]}\" 2>/dev/null))\n"
    "}\n"
    "complete -o default -o bashdefault -F _leat leat\n";

static const char zsh_script[] =
    "#compdef leat\n"
    "# zsh completion of leat; put it as _leat into a folder of $fpath.\n"
    "_leat() {\n"
    "    local -a found\n"
    "    found=(\"${(@f)$(leat __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    [[ -n \"${found[1]}\" ]] && compadd -Q -- \"${found[@]}\" || _files\n"
    "}\n"
    "if [ \"$funcstack[1]\" = \"_leat\" ]; then _leat; else compdef _leat leat; fi\n";

static const char fish_script[] = "# fish completion of leat.\n"
                                  "function __leat_complete\n"
                                  "    set -l words (commandline -opc)\n"
                                  "    leat __complete $words[2..] (commandline -ct) 2>/dev/null\n"
                                  "end\n"
                                  "complete -c leat -f -a '(__leat_complete)'\n";

enum cli_exit cli_completion_script(struct cli *cli)
{
    const char *shell = cli->arguments[0];
    const char *script = strcmp(shell, "bash") == 0   ? bash_script
                         : strcmp(shell, "zsh") == 0  ? zsh_script
                         : strcmp(shell, "fish") == 0 ? fish_script
                                                      : NULL;
    if (!script)
        return cli_fail(cli, CLI_USAGE, "it is one of bash, zsh, fish",
                        "there is no completion for '%s'", shell);
    fputs(script, stdout);
    return CLI_OK;
}

/* What leads a terminal astray is not offered. */
static void offer(struct slice word, const char *start)
{
    size_t size = strlen(start);
    if (word.size < size || memcmp(word.data, start, size) != 0)
        return;
    for (size_t i = 0; i < word.size; i++)
        if (word.data[i] <= ' ' || word.data[i] == 0x7f)
            return;
    (void)cli_write(word);
    (void)cli_write(SLICE_LITERAL("\n"));
}

static void offer_topics(struct cli *cli, const char *start)
{
    struct kafka_metadata_request request;
    struct kafka_metadata_response response;
    kafka_metadata_request_init(&request);
    request.allow_auto_topic_creation = false;
    struct cli_cluster_call call = {.node = CLI_CLUSTER_ANY,
                                    .key = KAFKA_API_METADATA,
                                    .request = &request,
                                    .response = &response,
                                    .quiet = true};
    if (cli_cluster_call(cli, &call))
        return;
    for (size_t i = 0; i < response.topics_count; i++)
        if (!response.topics[i].is_internal)
            offer(response.topics[i].name, start);
}

static void offer_groups(struct cli *cli, const char *start)
{
    if (cli_cluster_open(cli))
        return;
    for (size_t node = 0; node < cli->cluster->node_count; node++) {
        struct kafka_list_groups_request request;
        struct kafka_list_groups_response response;
        kafka_list_groups_request_init(&request);
        struct cli_cluster_call call = {.node = cli->cluster->nodes[node].id,
                                        .key = KAFKA_API_LIST_GROUPS,
                                        .request = &request,
                                        .response = &response,
                                        .quiet = true};
        if (cli_cluster_call(cli, &call))
            continue;
        for (size_t i = 0; i < response.groups_count; i++)
            offer(response.groups[i].group_id, start);
    }
}

static void offer_flags(const struct cli_command *command, struct cli *cli, const char *start)
{
    for (int flag = 0; flag < CLI_FLAG_COUNT_ALL; flag++)
        if (cli_flags_is_global((enum cli_flag)flag) ||
            cli_flags_listed(command->flags, (enum cli_flag)flag))
            offer(slice_text(cli_words(cli, "--%s", cli_flags_row((enum cli_flag)flag)->name)),
                  start);
}

static void offer_list(const char *list, struct cli *cli, const char *start)
{
    while (*list) {
        size_t size = strcspn(list, " ");
        offer(slice_text(cli_string(cli, slice_make(list, size))), start);
        list += size + (list[size] == ' ');
    }
}

/* Behind config's verb: what kind, then which one of it. */
static void offer_resource(struct cli *cli, char **given, size_t count, const char *start)
{
    if (count == 0)
        offer_list("topic broker group", cli, start);
    else if (count == 1 && strcmp(given[0], "topic") == 0)
        offer_topics(cli, start);
    else if (count == 1 && strcmp(given[0], "group") == 0)
        offer_groups(cli, start);
    else if (count == 1 && strcmp(given[0], "broker") == 0)
        offer_list("default", cli, start);
}

/* given: the words between the command and the one that begins with start. */
static void offer_argument(struct cli *cli, const struct cli_command *command, char **given,
                           size_t count)
{
    const char *start = given[count];
    bool is_of_groups = strncmp(command->arguments, "GROUP", 5) == 0;
    bool has_topics = strstr(command->arguments, "TOPIC") != NULL;
    if (has_topics && (!is_of_groups || count > 0))
        offer_topics(cli, start);
    else if (is_of_groups)
        offer_groups(cli, start);
    if (strncmp(command->arguments, "SHELL", 5) == 0)
        offer_list("bash zsh fish", cli, start);
    if (strncmp(command->arguments, "KIND", 4) == 0)
        offer_resource(cli, given, count, start);
}

/* The value of a flag that the word before names. */
static bool offer_value(struct cli *cli, const char *before, const char *start)
{
    static const struct {
        const char *flag;
        const char *values;
    } known[] = {{"--format", "text wide json jsonl yaml csv"},
                 {"--color", "auto always never"},
                 {"--compression", "none gzip snappy lz4 zstd"},
                 {"--acks", "all 1 0"},
                 {"--offset", "start end"},
                 {"--to", "start end"},
                 {"--before", "end"},
                 {"--state", "stable empty ongoing"}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(before, known[i].flag) == 0) {
            offer_list(known[i].values, cli, start);
            return true;
        }
    }
    if (strcmp(before, "--group") == 0 || strcmp(before, "-g") == 0) {
        offer_groups(cli, start);
        return true;
    }
    return false;
}

static void offer_first(const char *noun, const char *start)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *row = &cli_command_rows[i];
        if (row->verb && strcmp(row->noun, noun) == 0)
            offer(slice_text(row->verb), start);
        else if (!row->verb && !*noun && *row->noun)
            offer(slice_text(row->noun), start);
    }
}

/* -b before the word decides whom to ask. */
static void find_bootstrap(struct cli *cli, char **words, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (strcmp(words[i], "-b") == 0 || strcmp(words[i], "--bootstrap") == 0)
            cli->bootstrap = words[i + 1];
}

enum cli_exit cli_completion_words(struct cli *cli, char **words, size_t count)
{
    /* A shell's prompt is no place for errors. */
    if (!freopen("/dev/null", "w", stderr))
        return CLI_OK;
    cli->timeout_ms = TIMEOUT_MS;
    find_bootstrap(cli, words, count);
    size_t leading = count > 1 ? cli_flags_leading(words, count - 1) : 0;
    words += leading;
    count -= leading;
    const char *start = count > 0 ? words[count - 1] : "";
    if (count <= 1) {
        offer_first("", start);
        return CLI_OK;
    }
    bool is_noun = cli_command_is_noun(words[0]);
    if (is_noun && count == 2) {
        offer_first(words[0], start);
        return CLI_OK;
    }
    const struct cli_command *command =
        is_noun ? cli_command_find(words[0], words[1]) : cli_command_find("", words[0]);
    if (!command || offer_value(cli, words[count - 2], start))
        return CLI_OK;
    size_t first = is_noun ? 2 : 1;
    if (start[0] == '-')
        offer_flags(command, cli, start);
    else
        offer_argument(cli, command, words + first, count - 1 - first);
    return CLI_OK;
}

// Memory, messages and questions of the command line.
// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/escape.h"

void *cli_alloc(struct cli *cli, size_t count, size_t size)
{
    void *memory = arena_alloc_array(&cli->arena, count, size);
    if (!memory)
        cli_out_of_memory();
    return memory;
}

void cli_out_of_memory(void)
{
    fputs("leat: out of memory\n", stderr);
    exit(CLI_FAILED);
}

PRINTF_LIKE(2, 0)
static const char *words_of(struct cli *cli, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    CHECK(size >= 0);
    char *words = cli_alloc(cli, (size_t)size + 1, 1);
    (void)vsnprintf(words, (size_t)size + 1, format, again);
    va_end(again);
    return words;
}

const char *cli_words(struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *words = words_of(cli, format, arguments);
    va_end(arguments);
    return words;
}

const char *cli_string(struct cli *cli, struct slice bytes)
{
    char *copy = cli_alloc(cli, bytes.size + 1, 1);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

/* What came from a server must not steer the terminal. */
static void say(struct cli *cli, const char *before, const char *words)
{
    struct text line;
    text_init(&line);
    text_add_text(&line, before);
    if (cli->error_is_terminal)
        cli_escape_add(&line, slice_text(words), CLI_ESCAPE_LINES);
    else
        text_add_text(&line, words);
    text_add_text(&line, "\n");
    if (!line.failed)
        fwrite(line.data, 1, line.size, stderr);
    text_deinit(&line);
}

enum cli_exit cli_fail(struct cli *cli, enum cli_exit exit_code, const char *fix,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *words = words_of(cli, format, arguments);
    va_end(arguments);
    fflush(stdout);
    say(cli, cli->error_colour ? "\033[31mleat:\033[0m " : "leat: ", words);
    if (fix)
        say(cli, "      ", fix);
    return exit_code;
}

void cli_note(struct cli *cli, const char *format, ...)
{
    if (cli_flags_has(&cli->flags, CLI_FLAG_QUIET))
        return;
    va_list arguments;
    va_start(arguments, format);
    const char *words = words_of(cli, format, arguments);
    va_end(arguments);
    fflush(stdout);
    say(cli, "", words);
}

bool cli_confirm(struct cli *cli, const char *what)
{
    if (cli_flags_has(&cli->flags, CLI_FLAG_YES))
        return true;
    if (!cli->in_is_terminal || !cli->error_is_terminal) {
        (void)cli_fail(cli, CLI_USAGE, "say --yes to do it, or --dry-run to see what would be done",
                       "this would %s, and nobody is there to ask", what);
        return false;
    }
    say(cli, "", cli_words(cli, "This will %s.", what));
    fputs("Type yes to go on: ", stderr);
    char line[16];
    if (fgets(line, sizeof(line), stdin) && strcmp(line, "yes\n") == 0)
        return true;
    (void)cli_fail(cli, CLI_FAILED, NULL, "nothing was done");
    return false;
}

int64_t cli_now_ms(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cli_pause(int64_t ms)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL);
}

bool cli_write(struct slice bytes)
{
    return bytes.size == 0 || fwrite(bytes.data, 1, bytes.size, stdout) == bytes.size;
}

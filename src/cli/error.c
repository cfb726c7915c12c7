// The table of Kafka's error codes.
// SPDX-License-Identifier: Apache-2.0
#include "cli/error.h"

static const struct cli_error rows[] = {
#define CLI_ERROR(code, name, exit, what, fix) {code, #name, exit, what, fix},
#include "cli/error.def"
#undef CLI_ERROR
};

static const struct cli_error unknown_row = {0, NULL, CLI_FAILED, "the server refuses it", NULL};

const struct cli_error *cli_error_of(int16_t code)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].code == code)
            return &rows[i];
    return &unknown_row;
}

enum cli_exit cli_error_say(struct cli *cli, const char *subject, int16_t code,
                            struct slice message)
{
    const struct cli_error *row = cli_error_of(code);
    const char *name = row->name ? row->name : cli_words(cli, "error %d", code);
    if (message.size > 0)
        return cli_fail(cli, row->exit, row->fix, "%s: %.*s [%s]", subject, (int)message.size,
                        (const char *)message.data, name);
    return cli_fail(cli, row->exit, row->fix, "%s: %s [%s]", subject, row->what, name);
}

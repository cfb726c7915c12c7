// What Kafka's error codes mean for a person.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cli.h"

struct cli_error {
    int16_t code;
    const char *name; /* such as "INVALID_CONFIG" */
    enum cli_exit exit;
    const char *what;
    const char *fix; /* NULL: nothing */
};

/* Never NULL; a code that is not known gets a row of its own without a name. */
const struct cli_error *cli_error_of(int16_t code);
/* Says "subject: what" with the server's words (may be null) where it sent some. code is not 0. */
enum cli_exit cli_error_say(struct cli *cli, const char *subject, int16_t code,
                            struct slice message);

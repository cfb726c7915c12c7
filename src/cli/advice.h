// What is wrong with an address that a server advertises, and what to set instead.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/text.h"
#include "cli/ask.h"

struct cli_advice_case {
    struct cli_ask_address dialled; /* the bootstrap server, which answers */
    const char *host;               /* advertised */
    int32_t port;
    enum err err;       /* of connecting there; ERR_OK: it works */
    const char *words;  /* that go with err */
    bool other_cluster; /* it works, but is another cluster */
};

enum cli_advice_level { CLI_ADVICE_OK, CLI_ADVICE_WARNING, CLI_ADVICE_PROBLEM };

/* "127.0.0.1", "::1", "localhost" and their like. */
bool cli_advice_is_loopback(const char *host);
/* Adds one or more sentences to *what and, unless all is well, to *fix. */
enum cli_advice_level cli_advice_address(const struct cli_advice_case *found, struct text *what,
                                         struct text *fix);
/* Of the disk under a log folder, sizes in bytes; total 0 or less: not known. */
enum cli_advice_level cli_advice_disk(int64_t total, int64_t usable, struct text *what,
                                      struct text *fix);

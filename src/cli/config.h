// Settings of topics and servers: the commands leat config, and what others need of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/doc.h"

enum cli_config_kind { CLI_CONFIG_TOPIC = 2, CLI_CONFIG_BROKER = 4, CLI_CONFIG_GROUP = 32 };

struct cli_config_query {
    enum cli_config_kind kind;
    struct slice name;        /* "" for what all brokers share */
    const struct slice *keys; /* with key_count 0: all */
    size_t key_count;
    bool all; /* defaults, too */
};

/* Adds a row for each setting to a list of a document. */
enum cli_exit cli_config_add(struct cli *cli, const struct cli_config_query *query,
                             struct cli_doc *list);

struct cli_config_pair {
    struct slice key;
    struct slice value; /* null for "key=": back to the default */
};
/* "key=value"; in names that end in ms or bytes a value with a unit becomes the number. */
enum cli_exit cli_config_parse(struct cli *cli, const char *text, struct cli_config_pair *out);

/* Says which of the names the key was meant to be, unless it is one of them or like none. */
void cli_config_hint(struct cli *cli, struct slice key, const struct slice *names, size_t count);

enum cli_exit cli_config_topic(struct cli *cli);
enum cli_exit cli_config_show(struct cli *cli);
enum cli_exit cli_config_set(struct cli *cli);
enum cli_exit cli_config_unset(struct cli *cli);

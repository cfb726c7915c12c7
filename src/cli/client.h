// What the commands that move records share of librdkafka.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>

#include "cli/cli.h"

/* Settings of a client: the bootstrap servers, a quiet log, and what -X says. */
enum cli_exit cli_client_conf(struct cli *cli, rd_kafka_conf_t **out);
/* Sets one; a value that librdkafka refuses is said. *conf is destroyed then. */
enum cli_exit cli_client_set(struct cli *cli, rd_kafka_conf_t **conf, const char *name,
                             const char *value);
/* conf belongs to the callee. */
enum cli_exit cli_client_new(struct cli *cli, rd_kafka_type_t type, rd_kafka_conf_t *take_conf,
                             rd_kafka_t **out);
/* The exit code that goes with an error. */
enum cli_exit cli_client_exit(rd_kafka_resp_err_t err);
/* Why a client does not reach a server, in librdkafka's words; err 0: it has not complained. */
struct cli_client_trouble {
    rd_kafka_resp_err_t err;
    char words[512];
};
/* For error callbacks. What says least gives way: that all servers are down, then that a connection
 * came to nothing. */
void cli_client_complain(struct cli_client_trouble *trouble, int err, const char *words);
/* From now on SIGINT and SIGTERM wait until _stop_asked looks; before any client is made. */
void cli_client_stop_watch(void);
bool cli_client_stop_asked(void);

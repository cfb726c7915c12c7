// The servers of the cluster, and questions to the right one of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/ask.h"
#include "cli/cli.h"
#include "wire/kafka_apis.h"
#include "wire/kafka_metadata.h"

#define CLI_CLUSTER_ANY        (-1)
#define CLI_CLUSTER_CONTROLLER (-2)

struct cli_cluster_node {
    int32_t id;
    struct slice host;
    int32_t port;
    struct slice rack; /* may be null */
    struct cli_ask *ask;
};

struct cli_cluster {
    struct cli_ask *bootstrap;
    const char *bootstrap_name; /* the one that answered */
    struct slice id;
    int32_t controller;
    struct cli_cluster_node *nodes;
    size_t node_count;
};

/* Connects to the first bootstrap server that answers and learns the cluster; once. */
enum cli_exit cli_cluster_open(struct cli *cli);
void cli_cluster_close(struct cli *cli);

struct cli_cluster_call {
    int32_t node; /* an id, or one of CLI_CLUSTER_* */
    int16_t key;
    int16_t version_max; /* 0: none */
    const void *request;
    void *response;
    bool quiet; /* errors are not said: CLI_FAILED for an API that is not there */
};

/* Asks; opens the cluster if need be. With one server in the cluster every question goes to the
 * bootstrap connection, whatever the server advertises. */
enum cli_exit cli_cluster_call(struct cli *cli, const struct cli_cluster_call *call);
/* The server answers this API. */
bool cli_cluster_knows(struct cli *cli, int16_t key);
/* The node that coordinates a group (key_type 0) or a transactional id (1). */
enum cli_exit cli_cluster_coordinator(struct cli *cli, struct slice key, int8_t key_type,
                                      int32_t *out_node);

// Bootstrap, nodes, coordinators.
// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster.h"

#include "cli/error.h"
#include "wire/kafka_find_coordinator.h"

static const char unreachable_fix[] =
    "start a server (leatd), or name another one with -b HOST:PORT or in LEAT_BOOTSTRAP";

static enum cli_exit learn(struct cli *cli, struct cli_cluster *cluster)
{
    /* No topics: the servers alone are asked for. */
    struct kafka_metadata_request request;
    struct kafka_metadata_response response;
    kafka_metadata_request_init(&request);
    request.topics = cli_alloc(cli, 1, sizeof(*request.topics));
    request.allow_auto_topic_creation = false;
    struct cli_ask_call call = {.key = KAFKA_API_METADATA,
                                .request = &request,
                                .response = &response,
                                .arena = &cli->arena};
    struct diag diag = {""};
    if (cli_ask_call(cluster->bootstrap, &call, &diag))
        return cli_fail(cli, CLI_UNREACHABLE, NULL, "%s: %s", cluster->bootstrap_name, diag.text);
    cluster->id = response.cluster_id;
    cluster->controller = response.controller_id;
    cluster->node_count = response.brokers_count;
    cluster->nodes = cli_alloc(cli, MAX(cluster->node_count, 1), sizeof(*cluster->nodes));
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct kafka_metadata_response_broker *broker = &response.brokers[i];
        cluster->nodes[i] = (struct cli_cluster_node){.id = broker->node_id,
                                                      .host = broker->host,
                                                      .port = broker->port,
                                                      .rack = broker->rack};
    }
    return CLI_OK;
}

/* Cuts the next address off a list between commas. */
static bool next_address(struct slice *rest, struct slice *out)
{
    if (rest->size == 0)
        return false;
    const uint8_t *comma = memchr(rest->data, ',', rest->size);
    size_t size = comma ? (size_t)(comma - rest->data) : rest->size;
    *out = slice_make(rest->data, size);
    size_t used = comma ? size + 1 : size;
    *rest = slice_make(rest->data + used, rest->size - used);
    return true;
}

enum cli_exit cli_cluster_open(struct cli *cli)
{
    if (cli->cluster)
        return CLI_OK;
    struct cli_cluster *cluster = cli_alloc(cli, 1, sizeof(*cluster));
    struct slice rest = slice_text(cli->bootstrap), one;
    struct diag diag = {""};
    while (!cluster->bootstrap && next_address(&rest, &one)) {
        struct cli_ask_address address;
        cluster->bootstrap_name = cli_string(cli, one);
        if (!cli_ask_parse_address(one, "9092", &cli->arena, &address))
            return cli_fail(cli, CLI_USAGE, "write it as HOST:PORT, such as -b 127.0.0.1:9092",
                            "'%s' is no address", cluster->bootstrap_name);
        if (cli_ask_open(&address, cli->timeout_ms, &cluster->bootstrap, &diag))
            cluster->bootstrap = NULL;
    }
    if (!cluster->bootstrap)
        return cli_fail(cli, CLI_UNREACHABLE, unreachable_fix, "cannot reach %s: %s",
                        cli->bootstrap, diag.text);
    cli->cluster = cluster;
    enum cli_exit result = learn(cli, cluster);
    if (result)
        cli_cluster_close(cli);
    return result;
}

void cli_cluster_close(struct cli *cli)
{
    struct cli_cluster *cluster = cli->cluster;
    if (!cluster)
        return;
    for (size_t i = 0; i < cluster->node_count; i++)
        if (cluster->nodes[i].ask)
            cli_ask_close(cluster->nodes[i].ask);
    cli_ask_close(cluster->bootstrap);
    cli->cluster = NULL;
}

static enum cli_exit node_of(struct cli *cli, int32_t id, bool quiet, struct cli_ask **out)
{
    struct cli_cluster *cluster = cli->cluster;
    if (id == CLI_CLUSTER_CONTROLLER)
        id = cluster->controller;
    *out = cluster->bootstrap;
    if (id < 0 || cluster->node_count <= 1)
        return CLI_OK;
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct cli_cluster_node *node = &cluster->nodes[i];
        if (node->id != id)
            continue;
        struct diag diag = {""};
        struct cli_ask_address address = {.host = cli_string(cli, node->host),
                                          .port = cli_words(cli, "%d", node->port)};
        if (!node->ask && cli_ask_open(&address, cli->timeout_ms, &node->ask, &diag)) {
            node->ask = NULL;
            if (quiet)
                return CLI_UNREACHABLE;
            return cli_fail(cli, CLI_UNREACHABLE, "leat doctor looks at advertised addresses",
                            "cannot reach broker %d at %s:%s: %s", id, address.host, address.port,
                            diag.text);
        }
        *out = node->ask;
        return CLI_OK;
    }
    return CLI_OK;
}

enum cli_exit cli_cluster_call(struct cli *cli, const struct cli_cluster_call *call)
{
    struct cli_ask *ask;
    enum cli_exit result = cli_cluster_open(cli);
    if (!result)
        result = node_of(cli, call->node, call->quiet, &ask);
    if (result)
        return result;
    struct cli_ask_call question = {.key = call->key,
                                    .version_max = call->version_max,
                                    .request = call->request,
                                    .response = call->response,
                                    .arena = &cli->arena};
    struct diag diag = {""};
    enum err err = cli_ask_call(ask, &question, &diag);
    if (!err)
        return CLI_OK;
    result = err == ERR_UNSUPPORTED ? CLI_FAILED : CLI_UNREACHABLE;
    if (call->quiet)
        return result;
    const char *fix = err == ERR_UNSUPPORTED ? "it is older than this command, or has no such thing"
                                             : "try again, or give it longer with --timeout";
    return cli_fail(cli, result, fix, "%s: %s", cli->cluster->bootstrap_name, diag.text);
}

bool cli_cluster_knows(struct cli *cli, int16_t key)
{
    return cli->cluster && cli_ask_version(cli->cluster->bootstrap, key) >= 0;
}

enum cli_exit cli_cluster_coordinator(struct cli *cli, struct slice key, int8_t key_type,
                                      int32_t *out_node)
{
    struct kafka_find_coordinator_request request;
    struct kafka_find_coordinator_response response;
    kafka_find_coordinator_request_init(&request);
    request.key = key;
    request.key_type = key_type;
    request.coordinator_keys = &key;
    request.coordinator_keys_count = 1;
    struct cli_cluster_call call = {.node = CLI_CLUSTER_ANY,
                                    .key = KAFKA_API_FIND_COORDINATOR,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    int16_t code = response.error_code;
    struct slice message = response.error_message;
    *out_node = response.node_id;
    if (response.coordinators_count > 0) {
        code = response.coordinators[0].error_code;
        message = response.coordinators[0].error_message;
        *out_node = response.coordinators[0].node_id;
    }
    return code ? cli_error_say(cli, cli_string(cli, key), code, message) : CLI_OK;
}

// Makes librdkafka's clients.
// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

enum cli_exit cli_client_set(struct cli *cli, rd_kafka_conf_t **conf, const char *name,
                             const char *value)
{
    char words[256];
    if (rd_kafka_conf_set(*conf, name, value, words, sizeof(words)) == RD_KAFKA_CONF_OK)
        return CLI_OK;
    rd_kafka_conf_destroy(*conf);
    *conf = NULL;
    return cli_fail(cli, CLI_USAGE, "librdkafka's CONFIGURATION.md lists its settings", "%s",
                    words);
}

enum cli_exit cli_client_conf(struct cli *cli, rd_kafka_conf_t **out)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum cli_exit result = cli_client_set(cli, &conf, "bootstrap.servers", cli->bootstrap);
    if (!result)
        result = cli_client_set(cli, &conf, "client.id", "leat");
    /* What goes wrong is said by the commands, in their words. */
    if (!result)
        result = cli_client_set(cli, &conf, "log_level", "0");
    if (!result)
        result = cli_client_set(cli, &conf, "reconnect.backoff.max.ms", "1000");
    size_t position = 0;
    const char *text;
    while (!result && (text = cli_flags_next(&cli->flags, CLI_FLAG_PROPERTY, &position)) != NULL) {
        const char *equals = strchr(text, '=');
        if (!equals || equals == text) {
            rd_kafka_conf_destroy(conf);
            return cli_fail(cli, CLI_USAGE, "write it as -X KEY=VALUE", "'%s' is no setting", text);
        }
        const char *name = cli_string(cli, slice_make(text, (size_t)(equals - text)));
        result = cli_client_set(cli, &conf, name, equals + 1);
    }
    *out = conf;
    return result;
}

enum cli_exit cli_client_new(struct cli *cli, rd_kafka_type_t type, rd_kafka_conf_t *take_conf,
                             rd_kafka_t **out)
{
    char words[256];
    *out = rd_kafka_new(type, take_conf, words, sizeof(words));
    if (*out)
        return CLI_OK;
    rd_kafka_conf_destroy(take_conf);
    return cli_fail(cli, CLI_USAGE, NULL, "%s", words);
}

enum cli_exit cli_client_exit(rd_kafka_resp_err_t err)
{
    switch (err) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__SSL:
        return CLI_UNREACHABLE;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return CLI_DENIED;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return CLI_NOT_FOUND;
    default:
        return CLI_FAILED;
    }
}

void cli_client_complain(struct cli_client_trouble *trouble, int err, const char *words)
{
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && trouble->err)
        return;
    if (err == RD_KAFKA_RESP_ERR__TRANSPORT && trouble->err &&
        trouble->err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return;
    trouble->err = (rd_kafka_resp_err_t)err;
    snprintf(trouble->words, sizeof(trouble->words), "%s", words);
}

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void cli_client_stop_watch(void)
{
    sigset_t set = stop_signals();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool cli_client_stop_asked(void)
{
    sigset_t set = stop_signals();
    struct timespec now = {0, 0};
    return sigtimedwait(&set, NULL, &now) > 0;
}

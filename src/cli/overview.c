// leat cluster info and apis.
// SPDX-License-Identifier: Apache-2.0
#include "cli/overview.h"

#include "cli/doc.h"
#include "cli/topics.h"
#include "wire/kafka_api_versions.h"

static void add_brokers(struct cli *cli, struct cli_doc *record)
{
    struct cli_doc *list = cli_doc_add_list(cli, record, "brokers");
    for (size_t i = 0; i < cli->cluster->node_count; i++) {
        const struct cli_cluster_node *node = &cli->cluster->nodes[i];
        struct cli_doc *row = cli_doc_row(cli, list);
        cli_doc_add(cli, row, "broker", CLI_DOC_NUMBER, node->id);
        cli_doc_add_text(cli, row, "host", node->host);
        cli_doc_add(cli, row, "port", CLI_DOC_NUMBER, node->port);
        cli_doc_add_text(cli, row, "rack", node->rack);
        cli_doc_add(cli, row, "controller", CLI_DOC_BOOL, node->id == cli->cluster->controller);
    }
}

static void add_features(struct cli *cli, struct cli_doc *record)
{
    const struct kafka_api_versions_response *versions = cli_ask_versions(cli->cluster->bootstrap);
    struct cli_doc *list = cli_doc_add_list(cli, record, "features");
    for (size_t i = 0; i < versions->supported_features_count; i++) {
        const struct kafka_api_versions_response_supported_feature *feature =
            &versions->supported_features[i];
        struct cli_doc *row = cli_doc_row(cli, list);
        int64_t level = -1;
        for (size_t k = 0; k < versions->finalized_features_count; k++)
            if (slice_equal(versions->finalized_features[k].name, feature->name))
                level = versions->finalized_features[k].max_version_level;
        cli_doc_add_text(cli, row, "feature", feature->name);
        cli_doc_add(cli, row, "level", level < 0 ? CLI_DOC_NULL : CLI_DOC_NUMBER, level);
        cli_doc_add(cli, row, "min", CLI_DOC_NUMBER, feature->min_version);
        cli_doc_add(cli, row, "max", CLI_DOC_NUMBER, feature->max_version);
    }
    list->hidden = !list->first;
}

enum cli_exit cli_overview_show(struct cli *cli)
{
    struct kafka_metadata_response topics;
    enum cli_exit result = cli_topics_fetch(cli, NULL, 0, &topics);
    if (result)
        return result;
    int64_t partitions = 0, internal = 0, offline = 0, topic_count = 0;
    for (size_t t = 0; t < topics.topics_count; t++) {
        topic_count += !topics.topics[t].is_internal;
        *(topics.topics[t].is_internal ? &internal : &partitions) +=
            (int64_t)topics.topics[t].partitions_count;
        for (size_t p = 0; p < topics.topics[t].partitions_count; p++)
            offline += topics.topics[t].partitions[p].leader_id < 0;
    }
    struct cli_doc *record = cli_doc_record(cli);
    cli_doc_add_text(cli, record, "cluster", cli->cluster->id);
    cli_doc_add_text(cli, record, "asked", slice_text(cli->cluster->bootstrap_name));
    cli_doc_add(cli, record, "controller", CLI_DOC_NUMBER, cli->cluster->controller);
    cli_doc_add(cli, record, "topics", CLI_DOC_NUMBER, topic_count);
    cli_doc_add(cli, record, "partitions", CLI_DOC_NUMBER, partitions);
    cli_doc_add(cli, record, "internal_partitions", CLI_DOC_NUMBER, internal);
    cli_doc_add(cli, record, "partitions_offline", CLI_DOC_NUMBER, offline);
    cli_doc_add(cli, record, "apis", CLI_DOC_NUMBER,
                (int64_t)cli_ask_versions(cli->cluster->bootstrap)->api_keys_count);
    add_brokers(cli, record);
    add_features(cli, record);
    return cli_doc_print(cli, record);
}

enum cli_exit cli_overview_apis(struct cli *cli)
{
    enum cli_exit result = cli_cluster_open(cli);
    if (result)
        return result;
    const struct kafka_api_versions_response *versions = cli_ask_versions(cli->cluster->bootstrap);
    struct cli_doc *list = cli_doc_list(cli);
    for (size_t i = 0; i < versions->api_keys_count; i++) {
        const struct kafka_api_versions_response_api_version *known = &versions->api_keys[i];
        const struct kafka_api *api = kafka_api_find(known->api_key);
        struct cli_doc *row = cli_doc_row(cli, list);
        int16_t used = cli_ask_version(cli->cluster->bootstrap, known->api_key);
        cli_doc_add(cli, row, "key", CLI_DOC_NUMBER, known->api_key);
        cli_doc_add_text(cli, row, "name", slice_text(api ? api->name : NULL));
        cli_doc_add(cli, row, "min", CLI_DOC_NUMBER, known->min_version);
        cli_doc_add(cli, row, "max", CLI_DOC_NUMBER, known->max_version);
        cli_doc_add(cli, row, "used", used < 0 ? CLI_DOC_NULL : CLI_DOC_NUMBER, used);
    }
    return cli_doc_print(cli, list);
}

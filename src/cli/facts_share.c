// Asks for a share group's members, start offsets and isolation.
// SPDX-License-Identifier: Apache-2.0
#include "cli/facts_share.h"

#include "cli/config.h"
#include "cli/error.h"
#include "wire/kafka_describe_configs.h"

bool cli_facts_share_describe(struct cli *cli, struct slice group, int32_t coordinator,
                              struct kafka_share_group_describe_response *out)
{
    if (!cli_cluster_knows(cli, KAFKA_API_SHARE_GROUP_DESCRIBE))
        return false;
    struct kafka_share_group_describe_request request = {.group_ids = &group, .group_ids_count = 1};
    struct cli_cluster_call call = {.node = coordinator,
                                    .key = KAFKA_API_SHARE_GROUP_DESCRIBE,
                                    .request = &request,
                                    .response = out,
                                    .quiet = true};
    return !cli_cluster_call(cli, &call) && out->groups_count == 1 && !out->groups[0].error_code;
}

enum cli_exit cli_facts_share_offsets(struct cli *cli, struct slice group, int32_t coordinator,
                                      struct kafka_describe_share_group_offsets_response *out)
{
    struct kafka_describe_share_group_offsets_request_group asked;
    struct kafka_describe_share_group_offsets_request request;
    kafka_describe_share_group_offsets_request_group_init(&asked);
    kafka_describe_share_group_offsets_request_init(&request);
    asked.group_id = group;
    asked.topics = NULL; /* all */
    request.groups = &asked;
    request.groups_count = 1;
    struct cli_cluster_call call = {.node = coordinator,
                                    .key = KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS,
                                    .request = &request,
                                    .response = out};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    if (out->groups_count != 1)
        return cli_fail(cli, CLI_FAILED, NULL, "the server's answer has no group");
    if (out->groups[0].error_code)
        return cli_error_say(cli, cli_string(cli, group), out->groups[0].error_code,
                             out->groups[0].error_message);
    return CLI_OK;
}

bool cli_facts_share_is_committed(struct cli *cli, struct slice group)
{
    struct slice key = SLICE_LITERAL("share.isolation.level");
    struct kafka_describe_configs_request_resource resource;
    struct kafka_describe_configs_request request;
    struct kafka_describe_configs_response response;
    kafka_describe_configs_request_resource_init(&resource);
    kafka_describe_configs_request_init(&request);
    resource.resource_type = CLI_CONFIG_GROUP;
    resource.resource_name = group;
    resource.configuration_keys = &key;
    resource.configuration_keys_count = 1;
    request.resources = &resource;
    request.resources_count = 1;
    struct cli_cluster_call call = {.node = CLI_CLUSTER_ANY,
                                    .key = KAFKA_API_DESCRIBE_CONFIGS,
                                    .request = &request,
                                    .response = &response,
                                    .quiet = true};
    if (cli_cluster_call(cli, &call) || response.results_count != 1 ||
        response.results[0].configs_count != 1)
        return false;
    return slice_equal_text(response.results[0].configs[0].value, "read_committed");
}

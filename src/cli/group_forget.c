// leat group forget: takes a group's offsets in some topics away.
// SPDX-License-Identifier: Apache-2.0
#include "cli/error.h"
#include "cli/facts.h"
#include "cli/group.h"
#include "wire/kafka_delete_share_group_offsets.h"
#include "wire/kafka_offset_delete.h"

/* What the group has of the topic, in a request for it; false: nothing. */
static bool take_topic(struct cli *cli, const struct cli_facts *facts, struct slice name,
                       struct kafka_offset_delete_request_topic *out)
{
    kafka_offset_delete_request_topic_init(out);
    out->name = name;
    out->partitions = cli_alloc(cli, facts->why.partition_count, sizeof(*out->partitions));
    for (size_t i = 0; i < facts->why.partition_count; i++) {
        const struct cli_why_partition *p = &facts->why.partitions[i];
        if (p->committed >= 0 && slice_equal(p->topic, name))
            out->partitions[out->partitions_count++].partition_index = p->partition;
    }
    return out->partitions_count > 0;
}

static enum cli_exit send_offsets(struct cli *cli,
                                  const struct kafka_offset_delete_request *request,
                                  int32_t coordinator)
{
    struct kafka_offset_delete_response response;
    struct cli_cluster_call call = {.node = coordinator,
                                    .key = KAFKA_API_OFFSET_DELETE,
                                    .request = request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (!result && response.error_code)
        return cli_error_say(cli, cli_string(cli, request->group_id), response.error_code,
                             SLICE_NULL);
    for (size_t t = 0; !result && t < response.topics_count; t++) {
        const struct kafka_offset_delete_response_topic *topic = &response.topics[t];
        for (size_t p = 0; !result && p < topic->partitions_count; p++)
            if (topic->partitions[p].error_code)
                result =
                    cli_error_say(cli,
                                  cli_words(cli, "%s partition %d", cli_string(cli, topic->name),
                                            topic->partitions[p].partition_index),
                                  topic->partitions[p].error_code, SLICE_NULL);
    }
    return result;
}

/* The same for a share group (KIP-932), which knows topics as a whole. */
static enum cli_exit send_starts(struct cli *cli, const struct kafka_offset_delete_request *offsets,
                                 int32_t coordinator)
{
    struct kafka_delete_share_group_offsets_request request = {.group_id = offsets->group_id};
    struct kafka_delete_share_group_offsets_response response;
    request.topics_count = offsets->topics_count;
    request.topics = cli_alloc(cli, offsets->topics_count, sizeof(*request.topics));
    for (size_t i = 0; i < offsets->topics_count; i++)
        request.topics[i].topic_name = offsets->topics[i].name;
    struct cli_cluster_call call = {.node = coordinator,
                                    .key = KAFKA_API_DELETE_SHARE_GROUP_OFFSETS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (!result && response.error_code)
        return cli_error_say(cli, cli_string(cli, request.group_id), response.error_code,
                             response.error_message);
    for (size_t t = 0; !result && t < response.responses_count; t++)
        if (response.responses[t].error_code)
            result = cli_error_say(cli, cli_string(cli, response.responses[t].topic_name),
                                   response.responses[t].error_code,
                                   response.responses[t].error_message);
    return result;
}

enum cli_exit cli_group_forget(struct cli *cli)
{
    struct cli_facts facts;
    struct kafka_offset_delete_request request;
    enum cli_exit result = cli_facts_gather(cli, slice_text(cli->arguments[0]), SLICE_NULL, &facts);
    if (result)
        return result;
    kafka_offset_delete_request_init(&request);
    request.group_id = facts.why.group;
    request.topics = cli_alloc(cli, cli->argument_count, sizeof(*request.topics));
    for (size_t i = 1; i < cli->argument_count; i++) {
        struct slice name = slice_text(cli->arguments[i]);
        if (!take_topic(cli, &facts, name, &request.topics[request.topics_count++]))
            return cli_fail(cli, CLI_NOT_FOUND, NULL, "group %s has no offsets in %s",
                            cli->arguments[0], cli->arguments[i]);
    }
    const char *what =
        cli_words(cli, "take the offsets of group %s in %zu topic%s away", cli->arguments[0],
                  request.topics_count, request.topics_count == 1 ? "" : "s");
    if (cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN)) {
        cli_note(cli, "This would %s.", what);
        return CLI_OK;
    }
    if (!cli_confirm(cli, what))
        return CLI_USAGE;
    result = (facts.why.share ? send_starts : send_offsets)(cli, &request, facts.coordinator);
    if (!result)
        cli_note(cli, "Group %s has no offsets there any more.", cli->arguments[0]);
    return result;
}

// leat group seek: commits other offsets in the name of a group without members.
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdlib.h>

#include "cli/doc.h"
#include "cli/error.h"
#include "cli/facts.h"
#include "cli/group.h"
#include "cli/topics.h"
#include "wire/kafka_alter_share_group_offsets.h"
#include "wire/kafka_offset_commit.h"

#define OFFSET_COMMIT_BY_NAME 9 /* version 10 knows topics by id alone */

static int place_order(const void *a, const void *b)
{
    const struct cli_place *place = a;
    const struct cli_why_partition *p = b;
    int order = slice_compare(place->topic, p->topic);
    return order ? order : (place->partition > p->partition) - (place->partition < p->partition);
}

static int64_t committed_at(const struct cli_facts *facts, const struct cli_place *place)
{
    size_t count = facts->why.partition_count;
    const struct cli_why_partition *found =
        count > 0 ? bsearch(place, facts->why.partitions, count, sizeof(*found), place_order)
                  : NULL;
    return found ? found->committed : -1;
}

/* Topics of the arguments, else those in which the group has offsets. */
static size_t take_topics(struct cli *cli, const struct cli_facts *facts, struct slice **out)
{
    size_t count = 0;
    struct slice *names =
        cli_alloc(cli, cli->argument_count + facts->why.partition_count, sizeof(*names));
    for (size_t i = 1; i < cli->argument_count; i++)
        names[count++] = slice_text(cli->arguments[i]);
    for (size_t i = 0; cli->argument_count == 1 && i < facts->why.partition_count; i++) {
        const struct cli_why_partition *p = &facts->why.partitions[i];
        bool is_last = count > 0 && slice_equal(names[count - 1], p->topic);
        if (p->committed >= 0 && p->exists && !is_last)
            names[count++] = p->topic;
    }
    *out = names;
    return count;
}

static enum cli_exit send_commit(struct cli *cli, const struct cli_facts *facts,
                                 const struct cli_place *places, size_t count)
{
    struct kafka_offset_commit_request request;
    struct kafka_offset_commit_response response;
    kafka_offset_commit_request_init(&request);
    request.group_id = facts->why.group;
    request.member_id = slice_text("");
    request.topics = cli_alloc(cli, count, sizeof(*request.topics));
    struct kafka_offset_commit_request_partition *partitions =
        cli_alloc(cli, count, sizeof(*partitions));
    struct kafka_offset_commit_request_topic *topic = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!topic || !slice_equal(topic->name, places[i].topic)) {
            topic = &request.topics[request.topics_count++];
            topic->name = places[i].topic;
            topic->partitions = &partitions[i];
        }
        kafka_offset_commit_request_partition_init(&partitions[i]);
        partitions[i].partition_index = places[i].partition;
        partitions[i].committed_offset = places[i].offset;
        partitions[i].committed_metadata = slice_text("");
        topic->partitions_count++;
    }
    struct cli_cluster_call call = {.node = facts->coordinator,
                                    .key = KAFKA_API_OFFSET_COMMIT,
                                    .version_max = OFFSET_COMMIT_BY_NAME,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    for (size_t t = 0; !result && t < response.topics_count; t++)
        for (size_t p = 0; !result && p < response.topics[t].partitions_count; p++)
            if (response.topics[t].partitions[p].error_code)
                result = cli_error_say(cli,
                                       cli_words(cli, "%s partition %d",
                                                 cli_string(cli, response.topics[t].name),
                                                 response.topics[t].partitions[p].partition_index),
                                       response.topics[t].partitions[p].error_code, SLICE_NULL);
    return result;
}

/* The same for a share group: where it starts. */
static enum cli_exit send_start(struct cli *cli, const struct cli_facts *facts,
                                const struct cli_place *places, size_t count)
{
    struct kafka_alter_share_group_offsets_request request = {.group_id = facts->why.group};
    struct kafka_alter_share_group_offsets_response response;
    struct kafka_alter_share_group_offsets_request_topic *topic = NULL;
    struct kafka_alter_share_group_offsets_request_partition *partitions =
        cli_alloc(cli, count, sizeof(*partitions));
    request.topics = cli_alloc(cli, count, sizeof(*request.topics));
    for (size_t i = 0; i < count; i++) {
        if (!topic || !slice_equal(topic->topic_name, places[i].topic)) {
            topic = &request.topics[request.topics_count++];
            topic->topic_name = places[i].topic;
            topic->partitions = &partitions[i];
        }
        partitions[i].partition_index = places[i].partition;
        partitions[i].start_offset = places[i].offset;
        topic->partitions_count++;
    }
    struct cli_cluster_call call = {.node = facts->coordinator,
                                    .key = KAFKA_API_ALTER_SHARE_GROUP_OFFSETS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (!result && response.error_code)
        return cli_error_say(cli, cli_string(cli, facts->why.group), response.error_code,
                             response.error_message);
    for (size_t t = 0; !result && t < response.responses_count; t++) {
        const struct kafka_alter_share_group_offsets_response_topic *to = &response.responses[t];
        for (size_t p = 0; !result && p < to->partitions_count; p++)
            if (to->partitions[p].error_code)
                result =
                    cli_error_say(cli,
                                  cli_words(cli, "%s partition %d", cli_string(cli, to->topic_name),
                                            to->partitions[p].partition_index),
                                  to->partitions[p].error_code, to->partitions[p].error_message);
    }
    return result;
}

static enum cli_exit print(struct cli *cli, const struct cli_facts *facts,
                           const struct cli_place *places, size_t count)
{
    struct cli_doc *list = cli_doc_list(cli);
    for (size_t i = 0; i < count; i++) {
        struct cli_doc *row = cli_doc_row(cli, list);
        int64_t before = committed_at(facts, &places[i]);
        cli_doc_add_text(cli, row, "topic", places[i].topic);
        cli_doc_add(cli, row, "partition", CLI_DOC_NUMBER, places[i].partition);
        cli_doc_add(cli, row, "before", before < 0 ? CLI_DOC_NULL : CLI_DOC_NUMBER, before);
        cli_doc_add(cli, row, "after", CLI_DOC_NUMBER, places[i].offset);
    }
    return cli_doc_print(cli, list);
}

static enum cli_exit check_places(struct cli *cli, const struct cli_place *places, size_t count)
{
    if (count == 0)
        return cli_fail(cli, CLI_NOT_FOUND,
                        "name the topic: leat group seek GROUP TOPIC --to WHERE",
                        "the group has no offsets yet");
    for (size_t i = 0; i < count; i++)
        if (places[i].error)
            return cli_error_say(cli,
                                 cli_words(cli, "%s partition %d", cli_string(cli, places[i].topic),
                                           places[i].partition),
                                 places[i].error, SLICE_NULL);
    return CLI_OK;
}

enum cli_exit cli_group_seek(struct cli *cli)
{
    const char *to = cli_flags_text(&cli->flags, CLI_FLAG_TO, NULL);
    struct cli_span_point point;
    if (!to)
        return cli_fail(cli, CLI_USAGE, "such as --to start, --to end, --to 4711, --to @-1h",
                        "--to says where");
    if (cli_span_parse_point(slice_text(to), cli_now_ms(), &point))
        return cli_fail(cli, CLI_USAGE, "such as --to start, --to end, --to 4711, --to @-1h",
                        "'%s' is no place in a log", to);
    struct cli_facts facts;
    struct kafka_metadata_response topics = {0};
    struct slice group = slice_text(cli->arguments[0]), *names;
    struct cli_place *places = NULL;
    size_t count = 0;
    enum cli_exit result = cli_facts_gather(cli, group, SLICE_NULL, &facts);
    if (result)
        return result;
    if (facts.why.member_count > 0)
        return cli_fail(cli, CLI_FAILED,
                        "stop them first, or they would overwrite it; leat group describe "
                        "says where they run",
                        "group %s has %zu running member%s", cli->arguments[0],
                        facts.why.member_count, facts.why.member_count == 1 ? "" : "s");
    size_t name_count = take_topics(cli, &facts, &names);
    if (name_count > 0)
        result = cli_topics_require(cli, names, name_count, &topics);
    if (!result)
        result = cli_topics_places(cli, &topics, &places, &count);
    if (!result)
        result = cli_topics_resolve(cli, &point, places, count);
    if (!result)
        result = check_places(cli, places, count);
    bool dry = cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN);
    if (!result && !dry) {
        if (!cli_confirm(cli, cli_words(cli, "move %zu offset%s of group %s to %s", count,
                                        count == 1 ? "" : "s", cli->arguments[0], to)))
            return CLI_USAGE;
        result = (facts.why.share ? send_start : send_commit)(cli, &facts, places, count);
    }
    if (!result)
        result = print(cli, &facts, places, count);
    if (!result && dry)
        cli_note(cli, "Nothing was changed (--dry-run).");
    return result;
}

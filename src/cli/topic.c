// leat topic list and describe.
// SPDX-License-Identifier: Apache-2.0
#include "cli/topic.h"

#include "cli/config.h"
#include "cli/doc.h"
#include "cli/error.h"
#include "cli/topics.h"

/* Starts and ends of all partitions of all topics, in their order. */
struct extents {
    struct cli_place *starts;
    struct cli_place *ends;
    size_t count;
};

static enum cli_exit fetch_extents(struct cli *cli, const struct kafka_metadata_response *topics,
                                   struct extents *out)
{
    struct extents extents;
    enum cli_exit result = cli_topics_places(cli, topics, &extents.starts, &extents.count);
    extents.ends = cli_alloc(cli, MAX(extents.count, 1), sizeof(*extents.ends));
    for (size_t i = 0; i < extents.count; i++) {
        extents.starts[i].timestamp_ms = CLI_PLACE_START;
        extents.ends[i] = extents.starts[i];
        extents.ends[i].timestamp_ms = CLI_PLACE_END;
    }
    if (!result)
        result = cli_topics_offsets(cli, extents.starts, extents.count, false);
    if (!result)
        result = cli_topics_offsets(cli, extents.ends, extents.count, false);
    *out = extents;
    return result;
}

static enum cli_doc_kind known(int64_t number, enum cli_doc_kind kind)
{
    return number < 0 ? CLI_DOC_NULL : kind;
}

enum cli_exit cli_topic_list(struct cli *cli)
{
    struct kafka_metadata_response topics;
    struct extents extents;
    enum cli_exit result = cli_topics_fetch(cli, NULL, 0, &topics);
    if (!result)
        result = fetch_extents(cli, &topics, &extents);
    if (result)
        return result;
    size_t size_count;
    struct cli_topic_sizes *sizes = cli_topics_sizes(cli, &size_count);
    struct cli_doc *list = cli_doc_list(cli);
    list->no_rows = "There are no topics yet. leat topic create NAME makes one.";
    size_t place = 0;
    for (size_t t = 0; t < topics.topics_count; t++) {
        const struct kafka_metadata_response_topic *topic = &topics.topics[t];
        int64_t records = 0;
        for (size_t p = 0; p < topic->partitions_count; p++, place++)
            records += extents.ends[place].offset - extents.starts[place].offset;
        if (topic->is_internal && !cli_flags_has(&cli->flags, CLI_FLAG_INTERNAL))
            continue;
        struct cli_doc *row = cli_doc_row(cli, list);
        int64_t size = cli_topics_size_of(sizes, size_count, topic->name, -1);
        size_t replicas = topic->partitions_count ? topic->partitions[0].replica_nodes_count : 0;
        cli_doc_add_text(cli, row, "topic", topic->name);
        cli_doc_add(cli, row, "partitions", CLI_DOC_NUMBER, (int64_t)topic->partitions_count);
        cli_doc_add(cli, row, "replicas", CLI_DOC_NUMBER, (int64_t)replicas);
        cli_doc_add(cli, row, "records", CLI_DOC_NUMBER, records);
        cli_doc_add(cli, row, "size_bytes", known(size, CLI_DOC_BYTES), size);
        cli_doc_add(cli, row, "internal", CLI_DOC_BOOL, topic->is_internal)->wide = true;
    }
    return cli_doc_print(cli, list);
}

static void add_numbers(struct cli *cli, struct cli_doc *row, const char *name,
                        const int32_t *numbers, size_t count)
{
    struct cli_doc *list = cli_doc_add_list(cli, row, name);
    for (size_t i = 0; i < count; i++)
        cli_doc_push_number(cli, list, numbers[i]);
}

/* The part of describe that is about partitions; places are those of this topic. */
static void add_partitions(struct cli *cli, struct cli_doc *record,
                           const struct kafka_metadata_response_topic *topic,
                           const struct extents *places)
{
    size_t size_count;
    struct cli_topic_sizes *sizes = cli_topics_sizes(cli, &size_count);
    struct cli_doc *list = cli_doc_add_list(cli, record, "partitions");
    for (size_t p = 0; p < topic->partitions_count; p++) {
        const struct kafka_metadata_response_partition *partition = &topic->partitions[p];
        struct cli_doc *row = cli_doc_row(cli, list);
        int64_t start = places->starts[p].offset, end = places->ends[p].offset;
        bool both = start >= 0 && end >= 0;
        int64_t size =
            cli_topics_size_of(sizes, size_count, topic->name, partition->partition_index);
        cli_doc_add(cli, row, "partition", CLI_DOC_NUMBER, partition->partition_index);
        cli_doc_add(cli, row, "leader", known(partition->leader_id, CLI_DOC_NUMBER),
                    partition->leader_id);
        add_numbers(cli, row, "replicas", partition->replica_nodes, partition->replica_nodes_count);
        add_numbers(cli, row, "in_sync", partition->isr_nodes, partition->isr_nodes_count);
        cli_doc_add(cli, row, "epoch", CLI_DOC_NUMBER, partition->leader_epoch)->wide = true;
        cli_doc_add(cli, row, "start", known(start, CLI_DOC_NUMBER), start);
        cli_doc_add(cli, row, "end", known(end, CLI_DOC_NUMBER), end);
        cli_doc_add(cli, row, "records", both ? CLI_DOC_NUMBER : CLI_DOC_NULL, end - start);
        cli_doc_add(cli, row, "size_bytes", known(size, CLI_DOC_BYTES), size);
        const char *trouble =
            partition->error_code ? cli_error_of(partition->error_code)->what : NULL;
        struct cli_doc *cell = cli_doc_add_text(cli, row, "trouble", slice_text(trouble));
        cell->hidden = !trouble;
    }
}

static enum cli_exit describe_one(struct cli *cli, struct cli_doc *list,
                                  const struct kafka_metadata_response_topic *topic,
                                  const struct extents *places)
{
    struct cli_doc *record = cli_doc_row(cli, list);
    char id[UUID_TEXT_SIZE + 1];
    uuid_to_text(&topic->topic_id, id);
    int64_t records = 0;
    for (size_t p = 0; p < topic->partitions_count; p++)
        records += places->ends[p].offset - places->starts[p].offset;
    cli_doc_add_text(cli, record, "topic", topic->name);
    cli_doc_add_text(cli, record, "id", slice_text(cli_words(cli, "%s", id)));
    cli_doc_add(cli, record, "internal", CLI_DOC_BOOL, topic->is_internal)->wide = true;
    cli_doc_add(cli, record, "records", CLI_DOC_NUMBER, records);
    add_partitions(cli, record, topic, places);
    struct cli_config_query query = {.kind = CLI_CONFIG_TOPIC, .name = topic->name};
    struct cli_doc *settings = cli_doc_add_list(cli, record, "settings");
    settings->no_rows = "All settings are the defaults.";
    return cli_config_add(cli, &query, settings);
}

enum cli_exit cli_topic_describe(struct cli *cli)
{
    struct slice *names = cli_alloc(cli, cli->argument_count, sizeof(*names));
    for (size_t i = 0; i < cli->argument_count; i++)
        names[i] = slice_text(cli->arguments[i]);
    struct kafka_metadata_response topics;
    struct extents extents;
    enum cli_exit result = cli_topics_require(cli, names, cli->argument_count, &topics);
    if (!result)
        result = fetch_extents(cli, &topics, &extents);
    struct cli_doc *list = cli_doc_list(cli);
    for (size_t t = 0; !result && t < topics.topics_count; t++) {
        result = describe_one(cli, list, &topics.topics[t], &extents);
        extents.starts += topics.topics[t].partitions_count;
        extents.ends += topics.topics[t].partitions_count;
    }
    if (result)
        return result;
    return cli_doc_print(cli, list);
}

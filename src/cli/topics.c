// Metadata, ListOffsets by leader, DescribeLogDirs.
// SPDX-License-Identifier: Apache-2.0
#include "cli/topics.h"

#include <stdlib.h>

#include "base/nearest.h"
#include "cli/error.h"
#include "cli/lookup.h"
#include "wire/kafka_describe_log_dirs.h"
#include "wire/kafka_list_offsets.h"

#define LEADER_NOT_AVAILABLE 5
#define TOUCH_COUNT          10
#define TOUCH_PAUSE_MS       100

enum cli_exit cli_topics_fetch(struct cli *cli, const struct slice *names, size_t count,
                               struct kafka_metadata_response *out)
{
    struct kafka_metadata_request request;
    kafka_metadata_request_init(&request);
    request.allow_auto_topic_creation = false;
    request.topics_count = count;
    if (count > 0)
        request.topics = cli_alloc(cli, count, sizeof(*request.topics));
    for (size_t i = 0; i < count; i++)
        request.topics[i].name = names[i];
    struct cli_cluster_call call = {
        .node = CLI_CLUSTER_ANY, .key = KAFKA_API_METADATA, .request = &request, .response = out};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (!result)
        cli_topics_sort(out);
    return result;
}

static enum cli_exit missing(struct cli *cli, struct slice name)
{
    struct kafka_metadata_response all;
    enum cli_exit result = cli_topics_fetch(cli, NULL, 0, &all);
    if (result)
        return result;
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < all.topics_count; i++)
        nearest_offer(&nearest, all.topics[i].name);
    const char *fix =
        nearest.best.data
            ? cli_words(cli, "did you mean '%s'? leat topic list has all of them",
                        cli_string(cli, nearest.best))
            : cli_words(cli,
                        "leat topic list has those that are there; leat topic create %s "
                        "makes it",
                        cli_string(cli, name));
    return cli_fail(cli, CLI_NOT_FOUND, fix, "there is no topic '%s'", cli_string(cli, name));
}

enum cli_exit cli_topics_require(struct cli *cli, const struct slice *names, size_t count,
                                 struct kafka_metadata_response *out)
{
    enum cli_exit result = cli_topics_fetch(cli, names, count, out);
    for (size_t i = 0; !result && i < out->topics_count; i++) {
        int16_t code = out->topics[i].error_code;
        if (code == 3 || code == 17)
            result = missing(cli, out->topics[i].name);
        else if (code != 0 && code != LEADER_NOT_AVAILABLE)
            result = cli_error_say(cli, cli_string(cli, out->topics[i].name), code, SLICE_NULL);
    }
    return result;
}

enum cli_exit cli_topics_touch(struct cli *cli, struct slice name)
{
    struct kafka_metadata_response found;
    enum cli_exit result = cli_topics_fetch(cli, &name, 1, &found);
    if (result || cli_topics_find(&found, name))
        return result;
    struct kafka_metadata_request_topic topic;
    struct kafka_metadata_request request;
    kafka_metadata_request_topic_init(&topic);
    kafka_metadata_request_init(&request);
    topic.name = name;
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = true;
    struct cli_cluster_call call = {.node = CLI_CLUSTER_ANY,
                                    .key = KAFKA_API_METADATA,
                                    .request = &request,
                                    .response = &found};
    /* Kafka says that it is not there while it makes it. */
    for (int turn = 0; turn < TOUCH_COUNT; turn++) {
        result = cli_cluster_call(cli, &call);
        if (result)
            return result;
        if (cli_topics_find(&found, name)) {
            cli_note(cli, "Topic %s is new.", cli_string(cli, name));
            return CLI_OK;
        }
        cli_pause(TOUCH_PAUSE_MS);
    }
    return cli_topics_require(cli, &name, 1, &found);
}

const struct kafka_metadata_response_topic *
cli_topics_find(const struct kafka_metadata_response *topics, struct slice name)
{
    size_t low = 0, high = topics->topics_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(topics->topics[middle].name, name);
        if (order == 0)
            return topics->topics[middle].error_code == 0 ? &topics->topics[middle] : NULL;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int compare_topics(const void *a, const void *b)
{
    const struct kafka_metadata_response_topic *one = a, *other = b;
    return slice_compare(one->name, other->name);
}

static int compare_partitions(const void *a, const void *b)
{
    const struct kafka_metadata_response_partition *one = a, *other = b;
    return (one->partition_index > other->partition_index) -
           (one->partition_index < other->partition_index);
}

void cli_topics_sort(struct kafka_metadata_response *topics)
{
    if (topics->topics_count > 1)
        qsort(topics->topics, topics->topics_count, sizeof(*topics->topics), compare_topics);
    for (size_t i = 0; i < topics->topics_count; i++)
        if (topics->topics[i].partitions_count > 1)
            qsort(topics->topics[i].partitions, topics->topics[i].partitions_count,
                  sizeof(*topics->topics[i].partitions), compare_partitions);
}

/* --- ListOffsets --- */

static bool is_wanted(struct cli *cli, int32_t partition)
{
    size_t position = 0;
    const char *text;
    bool any = false;
    while ((text = cli_flags_next(&cli->flags, CLI_FLAG_PARTITION, &position)) != NULL) {
        int64_t number;
        any = true;
        if (text_parse_i64(slice_text(text), &number) && number == partition)
            return true;
    }
    return !any;
}

/* Every --partition is a partition of one of the topics. */
static enum cli_exit check_wanted(struct cli *cli, const struct kafka_metadata_response *topics)
{
    size_t position = 0;
    const char *text;
    while ((text = cli_flags_next(&cli->flags, CLI_FLAG_PARTITION, &position)) != NULL) {
        int64_t number;
        if (!text_parse_i64(slice_text(text), &number) || number < 0)
            return cli_fail(cli, CLI_USAGE, "a number from 0 on", "'%s' is no partition", text);
        bool found = false;
        for (size_t t = 0; t < topics->topics_count; t++)
            found |= number < (int64_t)topics->topics[t].partitions_count;
        if (!found)
            return cli_fail(cli, CLI_NOT_FOUND, "leat topic describe TOPIC lists them",
                            "there is no partition %s", text);
    }
    return CLI_OK;
}

enum cli_exit cli_topics_places(struct cli *cli, const struct kafka_metadata_response *topics,
                                struct cli_place **out, size_t *out_count)
{
    size_t count = 0;
    for (size_t t = 0; t < topics->topics_count; t++)
        count += topics->topics[t].partitions_count;
    struct cli_place *places = cli_alloc(cli, MAX(count, 1), sizeof(*places));
    *out = places;
    *out_count = 0;
    for (size_t t = 0; t < topics->topics_count; t++) {
        const struct kafka_metadata_response_topic *topic = &topics->topics[t];
        for (size_t p = 0; p < topic->partitions_count; p++)
            if (is_wanted(cli, topic->partitions[p].partition_index))
                places[(*out_count)++] =
                    (struct cli_place){.topic = topic->name,
                                       .partition = topic->partitions[p].partition_index,
                                       .leader = topic->partitions[p].leader_id};
    }
    return check_wanted(cli, topics);
}

/* Those that are asked for, and where each of them stands. */
struct places {
    struct cli *cli;
    struct cli_place *items;
    size_t count;
    struct cli_lookup lookup;
};

static void take_offset(const struct places *places, struct slice topic,
                        const struct kafka_list_offsets_response_partition *answer)
{
    size_t index;
    if (!cli_lookup_find(&places->lookup, topic, answer->partition_index, &index))
        return;
    struct cli_place *place = &places->items[index];
    place->offset = answer->offset;
    place->found_ms = answer->timestamp;
    place->error = answer->error_code;
}

/* One request for the places with this leader; a topic of the request is a run of
 * places of one topic. */
static enum cli_exit ask_leader(struct places *asked, int32_t leader, bool committed)
{
    struct cli *cli = asked->cli;
    const struct cli_place *places = asked->items;
    size_t count = asked->count;
    struct kafka_list_offsets_request request;
    struct kafka_list_offsets_response response;
    kafka_list_offsets_request_init(&request);
    request.replica_id = -1;
    request.isolation_level = committed ? 1 : 0;
    request.timeout_ms = cli->timeout_ms;
    request.topics = cli_alloc(cli, count, sizeof(*request.topics));
    struct kafka_list_offsets_request_topic *topic = NULL;
    struct kafka_list_offsets_request_partition *partitions =
        cli_alloc(cli, count, sizeof(*partitions));
    for (size_t i = 0; i < count; i++) {
        if (places[i].leader != leader)
            continue;
        if (!topic || !slice_equal(topic->name, places[i].topic)) {
            topic = &request.topics[request.topics_count++];
            topic->name = places[i].topic;
            topic->partitions = partitions;
        }
        kafka_list_offsets_request_partition_init(partitions);
        partitions->partition_index = places[i].partition;
        partitions->timestamp = places[i].timestamp_ms;
        partitions++;
        topic->partitions_count++;
    }
    struct cli_cluster_call call = {
        .node = leader, .key = KAFKA_API_LIST_OFFSETS, .request = &request, .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    for (size_t t = 0; t < response.topics_count; t++)
        for (size_t p = 0; p < response.topics[t].partitions_count; p++)
            take_offset(asked, response.topics[t].name, &response.topics[t].partitions[p]);
    return CLI_OK;
}

enum cli_exit cli_topics_offsets(struct cli *cli, struct cli_place *places, size_t count,
                                 bool committed)
{
    struct places asked = {.cli = cli, .items = places, .count = count};
    struct map leaders; /* those that were asked */
    enum cli_exit result = CLI_OK;
    cli_lookup_init(&asked.lookup, (uint64_t)cli_now_ms());
    map_init(&leaders, (uint64_t)cli_now_ms());
    for (size_t i = 0; i < count; i++) {
        places[i].offset = places[i].found_ms = -1;
        places[i].error = places[i].leader < 0 ? LEADER_NOT_AVAILABLE : 0;
        cli_lookup_put(&asked.lookup, places[i].topic, places[i].partition, i);
    }
    for (size_t i = 0; !result && i < count; i++) {
        uint32_t leader = (uint32_t)places[i].leader;
        if (places[i].leader < 0 || map_get_u64(&leaders, leader))
            continue;
        if (!map_put_u64(&leaders, leader, places, NULL))
            cli_out_of_memory();
        result = ask_leader(&asked, places[i].leader, committed);
    }
    map_deinit(&leaders);
    cli_lookup_deinit(&asked.lookup);
    return result;
}

static enum cli_exit ask_with(struct cli *cli, struct cli_place *places, size_t count,
                              int64_t timestamp_ms, struct cli_place **out)
{
    struct cli_place *copy = cli_alloc(cli, count, sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        copy[i] = places[i];
        copy[i].timestamp_ms = timestamp_ms;
    }
    *out = copy;
    return cli_topics_offsets(cli, copy, count, false);
}

static int64_t offset_of(const struct cli_span_point *point, int64_t start, int64_t end,
                         int64_t found)
{
    int64_t offset = end;
    if (point->kind == CLI_SPAN_START)
        offset = start + MIN(point->number, end - start);
    else if (point->kind == CLI_SPAN_END)
        offset = end - MIN(point->number, end - start);
    else if (point->kind == CLI_SPAN_OFFSET)
        offset = point->number;
    else if (point->kind == CLI_SPAN_TIME && found >= 0)
        offset = found;
    return MAX(MIN(offset, end), start);
}

enum cli_exit cli_topics_resolve(struct cli *cli, const struct cli_span_point *point,
                                 struct cli_place *places, size_t count)
{
    struct cli_place *starts, *ends, *times = NULL;
    enum cli_exit result = ask_with(cli, places, count, CLI_PLACE_START, &starts);
    if (!result)
        result = ask_with(cli, places, count, CLI_PLACE_END, &ends);
    if (!result && point->kind == CLI_SPAN_TIME)
        result = ask_with(cli, places, count, point->number, &times);
    for (size_t i = 0; !result && i < count; i++) {
        int16_t error = starts[i].error ? starts[i].error : ends[i].error;
        if (times && !error)
            error = times[i].error;
        places[i].error = error;
        places[i].offset = error ? -1
                                 : offset_of(point, starts[i].offset, ends[i].offset,
                                             times ? times[i].offset : -1);
    }
    return result;
}

/* --- DescribeLogDirs --- */

static bool ask_sizes(struct cli *cli, int32_t node, struct kafka_describe_log_dirs_response *out)
{
    struct kafka_describe_log_dirs_request request;
    kafka_describe_log_dirs_request_init(&request);
    struct cli_cluster_call call = {.node = node,
                                    .key = KAFKA_API_DESCRIBE_LOG_DIRS,
                                    .request = &request,
                                    .response = out,
                                    .quiet = true};
    return cli_cluster_call(cli, &call) == CLI_OK;
}

static size_t partitions_in(const struct kafka_describe_log_dirs_response *answer)
{
    size_t count = 0;
    for (size_t r = 0; r < answer->results_count; r++)
        for (size_t t = 0; t < answer->results[r].topics_count; t++)
            count += answer->results[r].topics[t].partitions_count;
    return count;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct cli_topic_sizes *one = a, *other = b;
    int order = slice_compare(one->topic, other->topic);
    return order ? order
                 : (one->partition > other->partition) - (one->partition < other->partition);
}

struct cli_topic_sizes *cli_topics_sizes(struct cli *cli, size_t *out_count)
{
    size_t node_count = cli->cluster ? cli->cluster->node_count : 0;
    struct kafka_describe_log_dirs_response *answers =
        cli_alloc(cli, MAX(node_count, 1), sizeof(*answers));
    size_t count = 0;
    for (size_t n = 0; n < node_count; n++) {
        if (!ask_sizes(cli, cli->cluster->nodes[n].id, &answers[n]))
            answers[n].results_count = 0;
        count += partitions_in(&answers[n]);
    }
    struct cli_topic_sizes *sizes = cli_alloc(cli, MAX(count, 1), sizeof(*sizes));
    struct cli_topic_sizes *next = sizes;
    for (size_t n = 0; n < node_count; n++) {
        for (size_t r = 0; r < answers[n].results_count; r++) {
            const struct kafka_describe_log_dirs_response_result *folder = &answers[n].results[r];
            for (size_t t = 0; t < folder->topics_count; t++)
                for (size_t p = 0; p < folder->topics[t].partitions_count; p++)
                    *next++ = (struct cli_topic_sizes){
                        folder->topics[t].name, folder->topics[t].partitions[p].partition_index,
                        folder->topics[t].partitions[p].partition_size};
        }
    }
    if (count > 1)
        qsort(sizes, count, sizeof(*sizes), compare_sizes);
    *out_count = count;
    return sizes;
}

int64_t cli_topics_size_of(const struct cli_topic_sizes *sizes, size_t count, struct slice topic,
                           int32_t partition)
{
    const struct cli_topic_sizes wanted = {.topic = topic, .partition = partition};
    size_t low = 0, high = count;
    int64_t size = -1;
    while (low < high) { /* the first that is not before it */
        size_t middle = low + (high - low) / 2;
        if (compare_sizes(&sizes[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && slice_equal(sizes[low].topic, topic) &&
           (partition < 0 || sizes[low].partition == partition);
         low++)
        size = MAX(size, 0) + sizes[low].size_bytes;
    return size;
}

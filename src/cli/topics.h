// What the cluster says about topics, and offsets in their logs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/cluster.h"
#include "cli/span.h"

/* Metadata of the named topics, of all with count 0. A topic that is not there is in the answer
 * with its error code. */
enum cli_exit cli_topics_fetch(struct cli *cli, const struct slice *names, size_t count,
                               struct kafka_metadata_response *out);
/* The same, and says so when one is missing, with the nearest name that exists. */
enum cli_exit cli_topics_require(struct cli *cli, const struct slice *names, size_t count,
                                 struct kafka_metadata_response *out);
/* Makes sure that the topic is there: a server that makes topics on its own is led to make it. */
enum cli_exit cli_topics_touch(struct cli *cli, struct slice name);
/* The topic of that name in an answer of cli_topics_fetch (which are in order); NULL: none without
 * an error. */
const struct kafka_metadata_response_topic *
cli_topics_find(const struct kafka_metadata_response *topics, struct slice name);
/* Orders topics by name and partitions by number. */
void cli_topics_sort(struct kafka_metadata_response *topics);

/* A question for an offset of one partition, and its answer. */
struct cli_place {
    struct slice topic;
    int32_t partition;
    int32_t leader;       /* -1: none, then error is 5 */
    int64_t timestamp_ms; /* or one of the constants below */
    int64_t offset;       /* -1: none */
    int64_t found_ms;     /* timestamp of the record found; -1: none */
    int16_t error;
};

#define CLI_PLACE_END    (-1)
#define CLI_PLACE_START  (-2)
#define CLI_PLACE_NEWEST (-3) /* the record with the greatest timestamp */

/* A place for every partition of the topics, or for those alone that --partition names. */
enum cli_exit cli_topics_places(struct cli *cli, const struct kafka_metadata_response *topics,
                                struct cli_place **out, size_t *out_count);
/* Asks for all places; committed: up to the last stable offset. Errors of single places stand in
 * them. */
enum cli_exit cli_topics_offsets(struct cli *cli, struct cli_place *places, size_t count,
                                 bool committed);
/* The offset of a point in each of places, whose timestamp_ms is not used: offsets before the start
 * or behind the end are moved to them. */
enum cli_exit cli_topics_resolve(struct cli *cli, const struct cli_span_point *point,
                                 struct cli_place *places, size_t count);

/* Bytes of a topic's partition on disk. */
struct cli_topic_sizes {
    struct slice topic;
    int32_t partition;
    int64_t size_bytes;
};
/* What all servers say, in order of topics and partitions; *out_count 0 when they do not say it. */
struct cli_topic_sizes *cli_topics_sizes(struct cli *cli, size_t *out_count);
/* Of a topic, of one of its partitions (-1: of all); -1: not known. */
int64_t cli_topics_size_of(const struct cli_topic_sizes *sizes, size_t count, struct slice topic,
                           int32_t partition);

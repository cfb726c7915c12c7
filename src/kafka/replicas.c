// Where replicas lie and which of them leads: the answers of a node that has the only ones.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_alter_partition_reassignments.h"
#include "wire/kafka_alter_replica_log_dirs.h"
#include "wire/kafka_elect_leaders.h"
#include "wire/kafka_list_partition_reassignments.h"

#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/state.h"
#include "kafka/topic.h"

/* NULL: there is no such partition. */
static const struct broker_partition *find(const struct kafka_request *request, struct slice name,
                                           int32_t index)
{
    const struct broker_topic *topic = broker_topic_find(request->core, name);
    return topic ? broker_partition_at(topic, index) : NULL;
}

/* --- ElectLeaders ----------------------------------------------------------------------------- */

enum election { ELECTION_PREFERRED, ELECTION_UNCLEAN, ELECTION_COUNT };

static void elect_one(const struct kafka_request *request, int8_t election, struct slice topic,
                      struct kafka_elect_leaders_response_partition *out)
{
    const struct broker_partition *partition = find(request, topic, out->partition_id);
    if (election < 0 || election >= ELECTION_COUNT) {
        out->error_code = KAFKA_INVALID_REQUEST;
        out->error_message = SLICE_LITERAL("Unknown election type");
    } else if (!partition) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->error_message = SLICE_LITERAL("No such topic or partition");
    } else if (!broker_partition_is_offline(partition)) {
        out->error_code = KAFKA_ELECTION_NOT_NEEDED;
        out->error_message = SLICE_LITERAL("Leader election not needed for topic partition.");
    } else {
        out->error_code = election == ELECTION_UNCLEAN ? KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE
                                                       : KAFKA_PREFERRED_LEADER_NOT_AVAILABLE;
        out->error_message = SLICE_LITERAL("The only replica is offline.");
    }
}

/* False: the request has been rejected. */
static bool elect_topic(struct kafka_request *request,
                        const struct kafka_elect_leaders_request *asked, size_t index,
                        struct kafka_elect_leaders_response_topic *out)
{
    const struct kafka_elect_leaders_request_topic *topic = &asked->topic_partitions[index];
    out->topic = topic->topic;
    out->partition_result =
        kafka_request_alloc(request, topic->partitions_count, sizeof(*out->partition_result));
    if (!out->partition_result)
        return false;
    out->partition_result_count = topic->partitions_count;
    for (size_t i = 0; i < topic->partitions_count; i++) {
        out->partition_result[i].partition_id = topic->partitions[i];
        elect_one(request, asked->election_type, topic->topic, &out->partition_result[i]);
    }
    return true;
}

void kafka_replicas_elect_handle(struct kafka_request *request)
{
    struct kafka_elect_leaders_request asked;
    struct kafka_elect_leaders_response response;
    if (!kafka_request_decode(request, elect_leaders, &asked))
        return;
    kafka_elect_leaders_response_init(&response);
    if (asked.election_type < 0 || asked.election_type >= ELECTION_COUNT)
        response.error_code = KAFKA_INVALID_REQUEST;
    size_t count = asked.topic_partitions_count; /* none named, all: nothing needs an election */
    response.replica_election_results =
        kafka_request_alloc(request, count, sizeof(*response.replica_election_results));
    if (!response.replica_election_results)
        return;
    response.replica_election_results_count = count;
    for (size_t i = 0; i < count; i++)
        if (!elect_topic(request, &asked, i, &response.replica_election_results[i]))
            return;
    kafka_request_answer(request, elect_leaders, &response);
}

/* --- reassignments ---------------------------------------------------------------------------- */

static void
reassign_judge(struct kafka_request *request, struct slice topic,
               const struct kafka_alter_partition_reassignments_request_partition *asked,
               struct kafka_alter_partition_reassignments_response_partition *out)
{
    struct diag diag = {""};
    int32_t node = broker_node_id(broker_of(request->core));
    out->partition_index = asked->partition_index;
    if (!find(request, topic, asked->partition_index)) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        diag_set(&diag, "This server does not host this topic-partition.");
    } else if (!asked->replicas) {
        out->error_code = KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
        diag_set(&diag, "No partition reassignment is in progress.");
    } else if (asked->replicas_count == 0) {
        out->error_code = KAFKA_INVALID_REPLICA_ASSIGNMENT;
        diag_set(&diag, "The manual partition assignment includes an empty replica list.");
    } else if (asked->replicas_count > 1 || asked->replicas[0] != node) {
        /* The one replica where it is needs no work; anywhere else there is nobody. */
        out->error_code = KAFKA_INVALID_REPLICA_ASSIGNMENT;
        diag_set(&diag, "The manual partition assignment can only be node %d.", node);
    }
    out->error_message = kafka_topic_words(request, &diag);
}

void kafka_replicas_reassign_handle(struct kafka_request *request)
{
    struct kafka_alter_partition_reassignments_request asked;
    struct kafka_alter_partition_reassignments_response response;
    if (!kafka_request_decode(request, alter_partition_reassignments, &asked))
        return;
    kafka_alter_partition_reassignments_response_init(&response);
    response.allow_replication_factor_change = asked.allow_replication_factor_change;
    response.responses =
        kafka_request_alloc(request, asked.topics_count, sizeof(*response.responses));
    if (!response.responses)
        return;
    response.responses_count = asked.topics_count;
    for (size_t i = 0; i < asked.topics_count; i++) {
        const struct kafka_alter_partition_reassignments_request_topic *topic = &asked.topics[i];
        struct kafka_alter_partition_reassignments_response_topic *out = &response.responses[i];
        out->name = topic->name;
        out->partitions =
            kafka_request_alloc(request, topic->partitions_count, sizeof(*out->partitions));
        if (!out->partitions)
            return;
        out->partitions_count = topic->partitions_count;
        for (size_t j = 0; j < topic->partitions_count; j++)
            reassign_judge(request, topic->name, &topic->partitions[j], &out->partitions[j]);
    }
    kafka_request_answer(request, alter_partition_reassignments, &response);
}

void kafka_replicas_reassignments_handle(struct kafka_request *request)
{
    struct kafka_list_partition_reassignments_request asked;
    struct kafka_list_partition_reassignments_response response;
    if (!kafka_request_decode(request, list_partition_reassignments, &asked))
        return;
    kafka_list_partition_reassignments_response_init(&response);
    kafka_request_answer(request, list_partition_reassignments, &response);
}

/* --- AlterReplicaLogDirs ---------------------------------------------------------------------- */

static int16_t dir_judge(const struct kafka_request *request, struct slice path, struct slice topic,
                         int32_t index)
{
    const struct kafka *kafka = kafka_core(request->core)->kafka;
    if (!kafka->options.data_dir || !slice_equal_text(path, kafka->options.data_dir))
        return KAFKA_LOG_DIR_NOT_FOUND;
    return find(request, topic, index) ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static bool dir_fill(struct kafka_request *request, struct slice path,
                     const struct kafka_alter_replica_log_dirs_request_topic *asked,
                     struct kafka_alter_replica_log_dirs_response_topic *out)
{
    out->topic_name = asked->name;
    out->partitions =
        kafka_request_alloc(request, asked->partitions_count, sizeof(*out->partitions));
    if (!out->partitions)
        return false;
    out->partitions_count = asked->partitions_count;
    for (size_t i = 0; i < asked->partitions_count; i++) {
        out->partitions[i].partition_index = asked->partitions[i];
        out->partitions[i].error_code = dir_judge(request, path, asked->name, asked->partitions[i]);
    }
    return true;
}

void kafka_replicas_dirs_handle(struct kafka_request *request)
{
    struct kafka_alter_replica_log_dirs_request asked;
    struct kafka_alter_replica_log_dirs_response response;
    size_t count = 0;
    if (!kafka_request_decode(request, alter_replica_log_dirs, &asked))
        return;
    for (size_t i = 0; i < asked.dirs_count; i++)
        count += asked.dirs[i].topics_count;
    kafka_alter_replica_log_dirs_response_init(&response);
    response.results = kafka_request_alloc(request, count, sizeof(*response.results));
    if (!response.results)
        return;
    for (size_t i = 0; i < asked.dirs_count; i++)
        for (size_t j = 0; j < asked.dirs[i].topics_count; j++)
            if (!dir_fill(request, asked.dirs[i].path, &asked.dirs[i].topics[j],
                          &response.results[response.results_count++]))
                return;
    kafka_request_answer(request, alter_replica_log_dirs, &response);
}

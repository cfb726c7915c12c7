// The quorum of metadata as clients see it: this node alone.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_add_raft_voter.h"
#include "wire/kafka_describe_quorum.h"
#include "wire/kafka_remove_raft_voter.h"
#include "wire/kafka_unregister_broker.h"

#include "kafka/endpoint.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

#define QUORUM_TOPIC "__cluster_metadata"

struct quorum {
    struct kafka_describe_quorum_response response;
    struct kafka_describe_quorum_response_topic topic;
    struct kafka_describe_quorum_response_partition partition;
    struct kafka_describe_quorum_response_replica voter;
    struct kafka_describe_quorum_response_node node;
    struct kafka_describe_quorum_response_listener listener;
};

/* There is no log of metadata that could be fetched: its offsets are 0, and the one voter has all
 * of it at every moment. */
static void quorum_fill(struct kafka_request *request, struct quorum *quorum,
                        const struct kafka_endpoint *endpoint)
{
    quorum->voter = (struct kafka_describe_quorum_response_replica){
        .replica_id = endpoint->node_id,
        .last_fetch_timestamp = core_wall_ms(request->core),
        .last_caught_up_timestamp = core_wall_ms(request->core),
    };
    quorum->listener =
        (struct kafka_describe_quorum_response_listener){.name = SLICE_LITERAL("PLAINTEXT"),
                                                         .host = endpoint->host,
                                                         .port = (uint16_t)endpoint->port};
    quorum->node = (struct kafka_describe_quorum_response_node){
        .node_id = endpoint->node_id, .listeners = &quorum->listener, .listeners_count = 1};
    quorum->partition.leader_id = endpoint->node_id;
    quorum->partition.current_voters = &quorum->voter;
    quorum->partition.current_voters_count = 1;
    quorum->response.nodes = &quorum->node;
    quorum->response.nodes_count = 1;
}

void kafka_quorum_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_quorum_request asked;
    struct kafka_endpoint endpoint;
    struct quorum quorum = {0};
    if (!kafka_request_decode(request, describe_quorum, &asked) ||
        !kafka_endpoint_of(request, &endpoint))
        return;
    kafka_describe_quorum_response_init(&quorum.response);
    if (asked.topics_count == 0) {
        kafka_request_answer(request, describe_quorum, &quorum.response);
        return;
    }
    if (asked.topics_count != 1 || asked.topics[0].partitions_count != 1) {
        quorum.response.error_code = KAFKA_INVALID_REQUEST;
        kafka_request_answer(request, describe_quorum, &quorum.response);
        return;
    }
    kafka_describe_quorum_response_topic_init(&quorum.topic);
    kafka_describe_quorum_response_partition_init(&quorum.partition);
    quorum.topic.topic_name = asked.topics[0].topic_name;
    quorum.topic.partitions = &quorum.partition;
    quorum.topic.partitions_count = 1;
    quorum.partition.partition_index = asked.topics[0].partitions[0].partition_index;
    quorum.response.topics = &quorum.topic;
    quorum.response.topics_count = 1;
    if (slice_equal_text(quorum.topic.topic_name, QUORUM_TOPIC) &&
        quorum.partition.partition_index == 0)
        quorum_fill(request, &quorum, &endpoint);
    else
        quorum.partition.error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    kafka_request_answer(request, describe_quorum, &quorum.response);
}

void kafka_quorum_unregister_handle(struct kafka_request *request)
{
    struct kafka_unregister_broker_request asked;
    struct kafka_unregister_broker_response response;
    if (!kafka_request_decode(request, unregister_broker, &asked))
        return;
    kafka_unregister_broker_response_init(&response);
    bool is_this = asked.broker_id == broker_node_id(broker_of(request->core));
    response.error_code = is_this ? KAFKA_INVALID_REQUEST : KAFKA_BROKER_ID_NOT_REGISTERED;
    response.error_message = is_this ? SLICE_LITERAL("The only node cannot be unregistered.")
                                     : SLICE_LITERAL("The given broker ID was not registered.");
    kafka_request_answer(request, unregister_broker, &response);
}

/* Who names another cluster is wrong here. */
static int16_t voters_refuse(struct kafka_request *request, struct slice cluster_id,
                             struct slice *out_words)
{
    const char *here = broker_cluster_id(broker_of(request->core));
    struct diag diag = {"The set of voters cannot be changed."};
    bool is_other = cluster_id.data && !slice_equal_text(cluster_id, here);
    if (is_other)
        diag_set(&diag, "The given id \"%.*s\" doesn't match the cluster id \"%s\"",
                 (int)MIN(cluster_id.size, (size_t)64), (const char *)cluster_id.data, here);
    *out_words = kafka_topic_words(request, &diag);
    return is_other ? KAFKA_INCONSISTENT_CLUSTER_ID : KAFKA_UNSUPPORTED_VERSION;
}

/* As Kafka with a fixed set of voters (kraft.version 0). */
void kafka_quorum_voter_add_handle(struct kafka_request *request)
{
    struct kafka_add_raft_voter_request asked;
    struct kafka_add_raft_voter_response response;
    if (!kafka_request_decode(request, add_raft_voter, &asked))
        return;
    kafka_add_raft_voter_response_init(&response);
    response.error_code = voters_refuse(request, asked.cluster_id, &response.error_message);
    kafka_request_answer(request, add_raft_voter, &response);
}

void kafka_quorum_voter_remove_handle(struct kafka_request *request)
{
    struct kafka_remove_raft_voter_request asked;
    struct kafka_remove_raft_voter_response response;
    if (!kafka_request_decode(request, remove_raft_voter, &asked))
        return;
    kafka_remove_raft_voter_response_init(&response);
    response.error_code = voters_refuse(request, asked.cluster_id, &response.error_message);
    kafka_request_answer(request, remove_raft_voter, &response);
}

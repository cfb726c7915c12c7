// DescribeCluster and DescribeLogDirs: the node and its disk.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_describe_cluster.h"
#include "wire/kafka_describe_log_dirs.h"

#include "kafka/endpoint.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/state.h"
#include "kafka/topic.h"

enum endpoint_type { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

void kafka_cluster_describe_handle(struct kafka_request *request)
{
    struct kafka_describe_cluster_request asked;
    struct kafka_describe_cluster_response response;
    struct kafka_endpoint endpoint;
    if (!kafka_request_decode(request, describe_cluster, &asked) ||
        !kafka_endpoint_of(request, &endpoint))
        return;
    kafka_describe_cluster_response_init(&response);
    struct kafka_describe_cluster_response_broker node = {
        .broker_id = endpoint.node_id, .host = endpoint.host, .port = endpoint.port};
    if (asked.endpoint_type == ENDPOINT_BROKERS) {
        response.cluster_id = slice_text(broker_cluster_id(broker_of(request->core)));
        response.controller_id = endpoint.node_id;
        response.brokers = &node;
        response.brokers_count = 1;
        if (asked.include_cluster_authorized_operations)
            response.cluster_authorized_operations = KAFKA_OPERATIONS_CLUSTER;
    } else if (asked.endpoint_type == ENDPOINT_CONTROLLERS) {
        response.error_code = KAFKA_MISMATCHED_ENDPOINT_TYPE;
        response.error_message =
            SLICE_LITERAL("The request was sent to an endpoint of type BROKER, "
                          "but we wanted an endpoint of type CONTROLLER");
    } else {
        response.error_code = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = SLICE_LITERAL("Unsupported endpoint type");
    }
    kafka_request_answer(request, describe_cluster, &response);
}

/* --- DescribeLogDirs -------------------------------------------------------------------------- */

struct dirs_part {
    struct broker_partition_state call;
    struct kafka_request *request;
    struct kafka_describe_log_dirs_response_partition *out;
};

struct dirs {
    struct kafka_describe_log_dirs_request asked;
    struct kafka_describe_log_dirs_response_topic *topics;
    size_t topic_count;
    size_t pending;
};

static void dirs_answer(struct kafka_request *request)
{
    struct dirs *state = request->state;
    const struct kafka *kafka = kafka_core(request->core)->kafka;
    struct kafka_describe_log_dirs_response response;
    struct kafka_describe_log_dirs_response_result dir;
    uint64_t total_bytes, free_bytes;
    kafka_describe_log_dirs_response_init(&response);
    kafka_describe_log_dirs_response_result_init(&dir);
    broker_space(request->core, &total_bytes, &free_bytes);
    dir.log_dir = slice_text(kafka->options.data_dir ? kafka->options.data_dir : "");
    dir.topics = state->topics;
    dir.topics_count = state->topic_count;
    dir.total_bytes = (int64_t)MIN(total_bytes, (uint64_t)INT64_MAX);
    dir.usable_bytes = (int64_t)MIN(free_bytes, (uint64_t)INT64_MAX);
    response.results = &dir;
    response.results_count = 1;
    kafka_request_answer(request, describe_log_dirs, &response);
}

static void dirs_part_done(struct broker_call *call)
{
    struct dirs_part *part = CONTAINER_OF(call, struct dirs_part, call.call);
    struct dirs *state = part->request->state;
    part->out->partition_size =
        call->err ? 0 : (int64_t)MIN(part->call.size_bytes, (uint64_t)INT64_MAX);
    if (--state->pending == 0)
        dirs_answer(part->request);
}

static bool dirs_part_add(struct kafka_request *request, const struct broker_topic *topic,
                          int32_t index, struct kafka_describe_log_dirs_response_topic *out)
{
    struct dirs *state = request->state;
    struct broker_partition *partition = broker_partition_at(topic, index);
    if (!partition)
        return true; /* what is not there is left out */
    struct dirs_part *part = arena_alloc_array(&request->arena, 1, sizeof(*part));
    if (!part)
        return false;
    part->request = request;
    part->out = &out->partitions[out->partitions_count++];
    kafka_describe_log_dirs_response_partition_init(part->out);
    part->out->partition_index = index;
    part->call.call.done = dirs_part_done;
    state->pending++;
    broker_partition_state(request->core, partition, &part->call);
    return true;
}

/* only NULL: all partitions. */
static bool dirs_topic_add(struct kafka_request *request, const struct broker_topic *topic,
                           const struct kafka_describe_log_dirs_request_topic *only)
{
    struct dirs *state = request->state;
    size_t count = only ? only->partitions_count : topic->partition_count;
    struct kafka_describe_log_dirs_response_topic *out = &state->topics[state->topic_count];
    kafka_describe_log_dirs_response_topic_init(out);
    out->name = arena_copy(&request->arena, topic->name);
    out->partitions = arena_alloc_array(&request->arena, count, sizeof(*out->partitions));
    if (!out->name.data || !out->partitions)
        return false;
    state->topic_count++;
    for (size_t i = 0; i < count; i++)
        if (!dirs_part_add(request, topic, only ? only->partitions[i] : (int32_t)i, out))
            return false;
    return true;
}

static bool dirs_fill(struct kafka_request *request)
{
    struct dirs *state = request->state;
    bool all = !state->asked.topics;
    size_t count = all ? broker_topic_count(request->core) : state->asked.topics_count;
    state->topics = arena_alloc_array(&request->arena, count, sizeof(*state->topics));
    if (!state->topics)
        return false;
    bool ok = true;
    const struct broker_topic *topic = all ? broker_topic_after(request->core, SLICE_NULL) : NULL;
    for (; topic && ok && state->topic_count < count;
         topic = broker_topic_after(request->core, topic->name))
        ok = dirs_topic_add(request, topic, NULL);
    for (size_t i = 0; !all && ok && i < count; i++) {
        topic = broker_topic_find(request->core, state->asked.topics[i].topic);
        ok = !topic || dirs_topic_add(request, topic, &state->asked.topics[i]);
    }
    return ok;
}

void kafka_cluster_log_dirs_handle(struct kafka_request *request)
{
    struct dirs *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, describe_log_dirs, &state->asked))
        return;
    if (!dirs_fill(request))
        log_warn(core_logger(request->core), "kafka",
                 "DescribeLogDirs answered in part: out of memory");
    if (state->pending == 0)
        dirs_answer(request);
}

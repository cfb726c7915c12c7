// DescribeTopicPartitions: metadata of topics page by page. KIP-966.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_describe_topic_partitions.h"

#include <stdlib.h>

#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/topic.h"

#define PARTITIONS_MAX 2000 /* max.request.partition.size.limit */

struct page {
    struct kafka_request *request;
    struct kafka_describe_topic_partitions_request asked;
    struct kafka_describe_topic_partitions_response response;
    struct kafka_describe_topic_partitions_response_cursor next;
    size_t capacity; /* of response.topics */
    uint32_t left;   /* partitions that may still be told */
    int32_t *node;
};

static int name_compare(const void *a, const void *b)
{
    const struct kafka_describe_topic_partitions_request_topic *left = a, *right = b;
    return slice_compare(left->name, right->name);
}

static uint32_t first_partition(const struct page *page, struct slice name)
{
    const struct kafka_describe_topic_partitions_request_cursor *cursor = page->asked.cursor;
    return cursor && slice_equal(cursor->topic_name, name) ? (uint32_t)cursor->partition_index : 0;
}

/* The page is full: it goes on here. */
static void page_end(struct page *page, struct slice name, uint32_t partition)
{
    page->next.topic_name = name;
    page->next.partition_index = (int32_t)partition;
    page->response.next_cursor = &page->next;
}

static struct kafka_describe_topic_partitions_response_topic *page_add(struct page *page,
                                                                       struct slice name)
{
    struct kafka_describe_topic_partitions_response_topic *out =
        &page->response.topics[page->response.topics_count++];
    kafka_describe_topic_partitions_response_topic_init(out);
    out->name = name;
    out->topic_authorized_operations = KAFKA_OPERATIONS_TOPIC;
    return out;
}

static void partition_fill(const struct page *page, const struct broker_topic *topic,
                           uint32_t index,
                           struct kafka_describe_topic_partitions_response_partition *out)
{
    const struct broker_partition *partition = broker_partition_at(topic, (int32_t)index);
    bool offline = broker_partition_is_offline(partition);
    kafka_describe_topic_partitions_response_partition_init(out);
    out->error_code = offline ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
    out->partition_index = (int32_t)index;
    out->leader_id = offline ? -1 : *page->node;
    out->leader_epoch = broker_partition_epoch(partition);
    out->replica_nodes = page->node;
    out->replica_nodes_count = 1;
    out->isr_nodes = page->node;
    out->isr_nodes_count = offline ? 0 : 1;
    out->eligible_leader_replicas = page->node; /* empty, not null */
    out->last_known_elr = page->node;
    out->offline_replicas = page->node;
    out->offline_replicas_count = offline ? 1 : 0;
}

/* A cursor stands in one of the topics that were asked for, if any were. */
static bool cursor_is_right(const struct page *page)
{
    const struct kafka_describe_topic_partitions_request_cursor *cursor = page->asked.cursor;
    if (!cursor)
        return true;
    bool found = page->asked.topics_count == 0;
    for (size_t i = 0; !found && i < page->asked.topics_count; i++)
        found = slice_equal(page->asked.topics[i].name, cursor->topic_name);
    return found && cursor->partition_index >= 0;
}

static void refuse_all(struct page *page)
{
    for (size_t i = 0; i < page->asked.topics_count; i++) {
        struct kafka_describe_topic_partitions_response_topic *refused =
            page_add(page, page->asked.topics[i].name);
        refused->error_code = KAFKA_INVALID_REQUEST;
        refused->topic_authorized_operations = INT32_MIN; /* not told */
    }
}

/* False: the page is full, or the request has been rejected (then *out_rejected). */
static bool topic_fill(struct page *page, const struct broker_topic *topic, bool *out_rejected)
{
    uint32_t first = first_partition(page, topic->name);
    if (page->left == 0) {
        page_end(page, topic->name, first);
        return false;
    }
    first = MIN(first, topic->partition_count);
    uint32_t count = MIN(topic->partition_count - first, page->left);
    struct kafka_describe_topic_partitions_response_topic *out = page_add(page, topic->name);
    out->topic_id = topic->id;
    out->is_internal = topic->internal;
    out->partitions = kafka_request_alloc(page->request, count, sizeof(*out->partitions));
    if (!out->partitions) {
        *out_rejected = true;
        return false;
    }
    out->partitions_count = count;
    for (uint32_t i = 0; i < count; i++)
        partition_fill(page, topic, first + i, &out->partitions[i]);
    page->left -= count;
    if (first + count == topic->partition_count)
        return true;
    page_end(page, topic->name, first + count);
    return false;
}

static void fill_all(struct page *page, bool *out_rejected)
{
    struct core *core = page->request->core;
    struct slice from = page->asked.cursor ? page->asked.cursor->topic_name : SLICE_NULL;
    const struct broker_topic *topic = from.data ? broker_topic_find(core, from) : NULL;
    if (!topic)
        topic = broker_topic_after(core, from);
    for (; topic && page->response.topics_count < page->capacity;
         topic = broker_topic_after(core, topic->name))
        if (!topic_fill(page, topic, out_rejected))
            return;
}

static void fill_asked(struct page *page, bool *out_rejected)
{
    struct core *core = page->request->core;
    struct slice before = SLICE_NULL;
    qsort(page->asked.topics, page->asked.topics_count, sizeof(*page->asked.topics), name_compare);
    for (size_t i = 0; i < page->asked.topics_count; i++) {
        struct slice name = page->asked.topics[i].name;
        bool again = before.data && slice_equal(before, name);
        before = name;
        if (again ||
            (page->asked.cursor && slice_compare(name, page->asked.cursor->topic_name) < 0))
            continue;
        const struct broker_topic *topic = broker_topic_find(core, name);
        if (!topic && page->left == 0) {
            page_end(page, name, first_partition(page, name));
            return;
        }
        if (!topic)
            page_add(page, name)->error_code = kafka_topic_name_fault(name)
                                                   ? KAFKA_INVALID_TOPIC_EXCEPTION
                                                   : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        else if (!topic_fill(page, topic, out_rejected))
            return;
    }
}

void kafka_topic_partitions_handle(struct kafka_request *request)
{
    struct page page = {.request = request};
    bool rejected = false;
    int32_t node = broker_node_id(broker_of(request->core));
    if (!kafka_request_decode(request, describe_topic_partitions, &page.asked))
        return;
    kafka_describe_topic_partitions_response_init(&page.response);
    page.node = &node;
    page.left = (uint32_t)MAX(1, MIN(page.asked.response_partition_limit, PARTITIONS_MAX));
    page.capacity = page.asked.topics_count
                        ? page.asked.topics_count
                        : MIN(broker_topic_count(request->core), (size_t)page.left + 1);
    page.response.topics =
        kafka_request_alloc(request, page.capacity, sizeof(*page.response.topics));
    if (!page.response.topics)
        return;
    if (!cursor_is_right(&page))
        refuse_all(&page);
    else if (page.asked.topics_count)
        fill_asked(&page, &rejected);
    else
        fill_all(&page, &rejected);
    if (!rejected)
        kafka_request_answer(request, describe_topic_partitions, &page.response);
}

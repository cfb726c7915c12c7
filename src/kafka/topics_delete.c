// DeleteTopics, by name or by id.
// SPDX-License-Identifier: Apache-2.0
#include "wire/kafka_delete_topics.h"

#include "base/map.h"
#include "kafka/error.h"
#include "kafka/handlers.h"
#include "kafka/quota.h"
#include "kafka/topic.h"

/* From this version on clients know THROTTLING_QUOTA_EXCEEDED (KIP-599). */
#define DELETE_STRICT_VERSION 5

struct delete_one {
    struct broker_topic_delete delete;
    struct kafka_request *request;
    struct kafka_delete_topics_response_topic *out;
};

struct delete_topics {
    struct kafka_delete_topics_request asked;
    struct kafka_delete_topics_response response;
    size_t pending;
};

static void topic_deleted(struct broker_call *call)
{
    struct delete_one *one = CONTAINER_OF(call, struct delete_one, delete.call);
    struct delete_topics *state = one->request->state;
    if (call->err) {
        one->out->error_code = kafka_error_of_change(call->err);
        one->out->error_message = kafka_topic_words(one->request, &call->diag);
    }
    if (--state->pending == 0)
        kafka_request_answer(one->request, delete_topics, &state->response);
}

static int16_t delete_judge(const struct kafka_request *request,
                            const struct kafka_delete_topics_request_topic *asked,
                            const struct broker_topic *topic, const char **words)
{
    bool has_id = !uuid_is_zero(&asked->topic_id), has_name = asked->name.data != NULL;
    *words = NULL;
    if (has_id == has_name) {
        *words = has_id ? "You may not specify both topic name and topic id."
                        : "Neither topic name nor id were specified.";
        return KAFKA_INVALID_REQUEST;
    }
    if (!broker_settings_now(request->core)->delete_topic_enable) {
        *words = "Topic deletion is disabled.";
        return request->version < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED;
    }
    if (!topic) {
        *words = has_id ? "This server does not host this topic ID."
                        : "This server does not host this topic-partition.";
        return has_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return KAFKA_NONE;
}

static void delete_start(struct kafka_request *request,
                         const struct kafka_delete_topics_request_topic *asked,
                         struct delete_one *one, struct map *seen)
{
    struct delete_topics *state = request->state;
    const struct broker_topic *topic = asked->name.data
                                           ? broker_topic_find(request->core, asked->name)
                                           : broker_topic_find_id(request->core, &asked->topic_id);
    const char *words;
    kafka_delete_topics_response_topic_init(one->out);
    one->out->name = asked->name;
    one->out->topic_id = asked->topic_id;
    one->out->error_code = delete_judge(request, asked, topic, &words);
    void *before = NULL;
    if (!one->out->error_code &&
        (!map_put(seen, slice_make(topic->id.bytes, sizeof(topic->id.bytes)), one, &before) ||
         before)) {
        words = "Duplicate topic name or id.";
        one->out->error_code = KAFKA_INVALID_REQUEST;
    }
    if (!one->out->error_code &&
        kafka_quota_change(request, topic->partition_count, DELETE_STRICT_VERSION)) {
        words = "The throttling quota has been exceeded.";
        one->out->error_code = KAFKA_THROTTLING_QUOTA_EXCEEDED;
    }
    one->out->error_message = slice_text(words);
    if (one->out->error_code)
        return;
    one->out->name = arena_copy(&request->arena, topic->name);
    one->out->topic_id = topic->id;
    one->request = request;
    one->delete.call.done = topic_deleted;
    one->delete.id = topic->id;
    state->pending++;
    broker_topic_delete(request->core, &one->delete);
}

void kafka_topics_delete_handle(struct kafka_request *request)
{
    struct delete_topics *state = kafka_request_alloc(request, 1, sizeof(*state));
    request->state = state;
    if (!state || !kafka_request_decode(request, delete_topics, &state->asked))
        return;
    kafka_delete_topics_response_init(&state->response);
    bool named = request->version < 6;
    size_t count = named ? state->asked.topic_names_count : state->asked.topics_count;
    state->response.responses =
        kafka_request_alloc(request, count, sizeof(*state->response.responses));
    if (!state->response.responses)
        return;
    state->response.responses_count = count;
    struct delete_one *ones = kafka_request_alloc(request, count, sizeof(*ones));
    if (!ones)
        return;
    struct map seen;
    map_init(&seen, core_random(request->core));
    for (size_t i = 0; i < count; i++) {
        struct kafka_delete_topics_request_topic by_name = {0};
        if (named)
            by_name.name = state->asked.topic_names[i];
        ones[i].out = &state->response.responses[i];
        delete_start(request, named ? &by_name : &state->asked.topics[i], &ones[i], &seen);
    }
    map_deinit(&seen);
    if (state->pending == 0)
        kafka_request_answer(request, delete_topics, &state->response);
}

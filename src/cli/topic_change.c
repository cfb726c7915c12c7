// leat topic create, delete, grow and trim.
// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "cli/config.h"
#include "cli/doc.h"
#include "cli/error.h"
#include "cli/topic.h"
#include "cli/topics.h"
#include "wire/kafka_create_partitions.h"
#include "wire/kafka_create_topics.h"
#include "wire/kafka_delete_records.h"
#include "wire/kafka_delete_topics.h"

#define UNKNOWN_TOPIC  3
#define TOPIC_EXISTS   36
#define INVALID_CONFIG 40
#define COUNT_MAX      1000000
#define ASK_ALLOWED_MS 60000

/* Some failed: the worst that was said, or partial when others were done. */
static enum cli_exit sum_up(size_t done, size_t failed, enum cli_exit last)
{
    return failed == 0 ? CLI_OK : done > 0 ? CLI_PARTIAL : last;
}

static enum cli_exit take_count(struct cli *cli, enum cli_flag flag, int64_t *out)
{
    const char *text = cli_flags_text(&cli->flags, flag, NULL);
    *out = -1;
    if (!text)
        return CLI_OK;
    if (!text_parse_i64(slice_text(text), out) || *out < 1 || *out > COUNT_MAX)
        return cli_fail(cli, CLI_USAGE, "a number from 1 on", "'%s' is no number of %s", text,
                        cli_flags_row(flag)->name);
    return CLI_OK;
}

static enum cli_exit take_settings(struct cli *cli, struct kafka_create_topics_request_topic *topic)
{
    size_t position = 0;
    const char *text;
    topic->configs = cli_alloc(cli, cli->flags.count + 1, sizeof(*topic->configs));
    while ((text = cli_flags_next(&cli->flags, CLI_FLAG_SET, &position)) != NULL) {
        struct cli_config_pair pair;
        enum cli_exit result = cli_config_parse(cli, text, &pair);
        if (result)
            return result;
        topic->configs[topic->configs_count++] =
            (struct kafka_create_topics_request_config){.name = pair.key, .value = pair.value};
    }
    return CLI_OK;
}

/* A setting was refused: perhaps its name was mistyped. All names come with a topic that could be
 * made. */
static void hint_at_settings(struct cli *cli, const struct kafka_create_topics_request *asked)
{
    struct kafka_create_topics_request_topic topic = asked->topics[0];
    struct kafka_create_topics_request request = *asked;
    struct kafka_create_topics_response response;
    topic.configs_count = 0;
    request.topics = &topic;
    request.topics_count = 1;
    request.validate_only = true;
    struct cli_cluster_call call = {.node = CLI_CLUSTER_CONTROLLER,
                                    .key = KAFKA_API_CREATE_TOPICS,
                                    .request = &request,
                                    .response = &response};
    if (cli_cluster_call(cli, &call) || response.topics_count == 0)
        return;
    size_t count = response.topics[0].configs_count;
    struct slice *names = cli_alloc(cli, count, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = response.topics[0].configs[i].name;
    for (size_t i = 0; i < asked->topics[0].configs_count; i++)
        cli_config_hint(cli, asked->topics[0].configs[i].name, names, count);
}

static enum cli_exit say_created(struct cli *cli, const struct kafka_create_topics_request *request,
                                 const struct kafka_create_topics_response *response)
{
    bool dry = cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN);
    bool is_hinted = false; /* all topics have the same settings */
    size_t failed = 0, done = 0;
    enum cli_exit last = CLI_OK;
    for (size_t i = 0; i < response->topics_count; i++) {
        const struct kafka_create_topics_response_topic *topic = &response->topics[i];
        const char *name = cli_string(cli, topic->name);
        if (topic->error_code == TOPIC_EXISTS &&
            cli_flags_has(&cli->flags, CLI_FLAG_IF_NOT_EXISTS)) {
            cli_note(cli, "Topic %s is there already.", name);
            done++;
        } else if (topic->error_code) {
            last = cli_error_say(cli, name, topic->error_code, topic->error_message);
            if (topic->error_code == INVALID_CONFIG && !is_hinted)
                hint_at_settings(cli, request);
            is_hinted = is_hinted || topic->error_code == INVALID_CONFIG;
            failed++;
        } else {
            const char *count = topic->num_partitions > 0
                                    ? cli_words(cli, " with %d partition%s", topic->num_partitions,
                                                topic->num_partitions == 1 ? "" : "s")
                                    : "";
            cli_note(cli, "Topic %s%s %s.", name, count, dry ? "would be made" : "is made");
            done++;
        }
    }
    return sum_up(done, failed, last);
}

enum cli_exit cli_topic_create(struct cli *cli)
{
    int64_t partitions, replicas;
    enum cli_exit result = take_count(cli, CLI_FLAG_PARTITIONS, &partitions);
    if (!result)
        result = take_count(cli, CLI_FLAG_REPLICAS, &replicas);
    if (result)
        return result;
    struct kafka_create_topics_request request;
    struct kafka_create_topics_response response;
    kafka_create_topics_request_init(&request);
    request.timeout_ms = MIN(cli->timeout_ms, ASK_ALLOWED_MS);
    request.validate_only = cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN);
    request.topics_count = cli->argument_count;
    request.topics = cli_alloc(cli, request.topics_count, sizeof(*request.topics));
    for (size_t i = 0; i < request.topics_count; i++) {
        struct kafka_create_topics_request_topic *topic = &request.topics[i];
        kafka_create_topics_request_topic_init(topic);
        topic->name = slice_text(cli->arguments[i]);
        topic->num_partitions = (int32_t)partitions;
        topic->replication_factor = (int16_t)MIN(replicas, INT16_MAX);
        result = take_settings(cli, topic);
        if (result)
            return result;
    }
    struct cli_cluster_call call = {.node = CLI_CLUSTER_CONTROLLER,
                                    .key = KAFKA_API_CREATE_TOPICS,
                                    .request = &request,
                                    .response = &response};
    result = cli_cluster_call(cli, &call);
    return result ? result : say_created(cli, &request, &response);
}

/* --- delete --- */

static enum cli_exit send_delete(struct cli *cli, const struct slice *names, size_t count)
{
    struct kafka_delete_topics_request request;
    struct kafka_delete_topics_response response;
    kafka_delete_topics_request_init(&request);
    request.timeout_ms = MIN(cli->timeout_ms, ASK_ALLOWED_MS);
    request.topics = cli_alloc(cli, count, sizeof(*request.topics));
    request.topic_names = cli_alloc(cli, count, sizeof(*request.topic_names));
    request.topics_count = request.topic_names_count = count;
    for (size_t i = 0; i < count; i++)
        request.topics[i].name = request.topic_names[i] = names[i];
    struct cli_cluster_call call = {.node = CLI_CLUSTER_CONTROLLER,
                                    .key = KAFKA_API_DELETE_TOPICS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    size_t failed = 0;
    for (size_t i = 0; i < response.responses_count; i++) {
        const struct kafka_delete_topics_response_topic *topic = &response.responses[i];
        const char *name = cli_string(cli, topic->name);
        if (topic->error_code) {
            result = cli_error_say(cli, name, topic->error_code, topic->error_message);
            failed++;
        } else {
            cli_note(cli, "Topic %s is deleted.", name);
        }
    }
    return sum_up(response.responses_count - failed, failed, result);
}

enum cli_exit cli_topic_delete(struct cli *cli)
{
    struct slice *names = cli_alloc(cli, cli->argument_count, sizeof(*names));
    size_t count = 0;
    struct kafka_metadata_response topics;
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct slice name = slice_text(cli->arguments[i]);
        bool may_miss = cli_flags_has(&cli->flags, CLI_FLAG_IF_EXISTS);
        enum cli_exit result = may_miss ? cli_topics_fetch(cli, &name, 1, &topics)
                                        : cli_topics_require(cli, &name, 1, &topics);
        if (result)
            return result;
        if (cli_topics_find(&topics, name))
            names[count++] = name;
        else
            cli_note(cli, "Topic %s is not there.", cli->arguments[i]);
    }
    if (count == 0)
        return CLI_OK;
    struct text what;
    text_init(&what);
    text_add_format(&what, "delete topic%s ", count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++)
        text_add_format(&what, "%s%s", i ? ", " : "", cli_string(cli, names[i]));
    text_add_text(&what, " with all records");
    const char *words = cli_string(cli, text_slice(&what));
    text_deinit(&what);
    if (cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN)) {
        cli_note(cli, "This would %s.", words);
        return CLI_OK;
    }
    return cli_confirm(cli, words) ? send_delete(cli, names, count) : CLI_USAGE;
}

/* --- grow --- */

static enum cli_exit send_grow(struct cli *cli, struct slice name, int32_t count)
{
    struct kafka_create_partitions_request_topic topic;
    struct kafka_create_partitions_request request;
    struct kafka_create_partitions_response response;
    kafka_create_partitions_request_init(&request);
    kafka_create_partitions_request_topic_init(&topic);
    topic.name = name;
    topic.count = count;
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = MIN(cli->timeout_ms, ASK_ALLOWED_MS);
    request.validate_only = cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN);
    struct cli_cluster_call call = {.node = CLI_CLUSTER_CONTROLLER,
                                    .key = KAFKA_API_CREATE_PARTITIONS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    if (response.results_count > 0 && response.results[0].error_code)
        return cli_error_say(cli, cli_string(cli, name), response.results[0].error_code,
                             response.results[0].error_message);
    cli_note(cli, "Topic %s %s %d partitions.", cli_string(cli, name),
             request.validate_only ? "would have" : "has", count);
    return CLI_OK;
}

enum cli_exit cli_topic_grow(struct cli *cli)
{
    struct slice name = slice_text(cli->arguments[0]);
    struct slice count_text = slice_text(cli->arguments[1]);
    struct kafka_metadata_response topics;
    enum cli_exit result = cli_topics_require(cli, &name, 1, &topics);
    if (result)
        return result;
    bool more = count_text.size > 0 && count_text.data[0] == '+';
    if (more)
        count_text = slice_make(count_text.data + 1, count_text.size - 1);
    int64_t count;
    if (!text_parse_i64(count_text, &count) || count < 1 || count > COUNT_MAX)
        return cli_fail(cli, CLI_USAGE, "the new number of partitions, or +N for N more",
                        "'%s' is no number of partitions", cli->arguments[1]);
    int64_t now = (int64_t)topics.topics[0].partitions_count;
    if (more)
        count += now;
    if (count <= now)
        return cli_fail(cli, CLI_USAGE, "partitions can only be added",
                        "topic %s has %" PRId64 " partition%s already", cli->arguments[0], now,
                        now == 1 ? "" : "s");
    return send_grow(cli, name, (int32_t)count);
}

/* --- trim --- */

static enum cli_exit send_trim(struct cli *cli, const struct cli_place *place)
{
    struct kafka_delete_records_request_partition partition = {.partition_index = place->partition,
                                                               .offset = place->offset};
    struct kafka_delete_records_request_topic topic = {
        .name = place->topic, .partitions = &partition, .partitions_count = 1};
    struct kafka_delete_records_request request = {
        .topics = &topic, .topics_count = 1, .timeout_ms = MIN(cli->timeout_ms, ASK_ALLOWED_MS)};
    struct kafka_delete_records_response response;
    struct cli_cluster_call call = {.node = place->leader,
                                    .key = KAFKA_API_DELETE_RECORDS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    const char *name =
        cli_words(cli, "%s partition %d", cli_string(cli, place->topic), place->partition);
    int16_t code = response.topics_count > 0 && response.topics[0].partitions_count > 0
                       ? response.topics[0].partitions[0].error_code
                       : -1;
    if (code)
        return cli_error_say(cli, name, code, SLICE_NULL);
    cli_note(cli, "%s starts at offset %" PRId64 ".", name,
             response.topics[0].partitions[0].low_watermark);
    return CLI_OK;
}

enum cli_exit cli_topic_trim(struct cli *cli)
{
    struct slice name = slice_text(cli->arguments[0]);
    const char *before = cli_flags_text(&cli->flags, CLI_FLAG_BEFORE, NULL);
    struct cli_span_point point;
    if (!before || cli_span_parse_point(slice_text(before), cli_now_ms(), &point))
        return cli_fail(cli, CLI_USAGE, "such as --before 4711, --before -1000, --before @-7d",
                        before ? "'%s' is no place in a log" : "--before%s says up to where",
                        before ? before : "");
    struct kafka_metadata_response topics;
    enum cli_exit result = cli_topics_require(cli, &name, 1, &topics);
    if (result)
        return result;
    struct cli_place *places;
    size_t count;
    result = cli_topics_places(cli, &topics, &places, &count);
    if (!result)
        result = cli_topics_resolve(cli, &point, places, count);
    if (result)
        return result;
    const char *what =
        cli_words(cli, "delete the records of %s before %s", cli->arguments[0], before);
    if (cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN)) {
        for (size_t i = 0; i < count; i++)
            cli_note(cli, "Partition %d would start at offset %" PRId64 ".", places[i].partition,
                     places[i].offset);
        return CLI_OK;
    }
    if (!cli_confirm(cli, what))
        return CLI_USAGE;
    for (size_t i = 0; !result && i < count; i++)
        result = places[i].error
                     ? cli_error_say(cli, cli->arguments[0], places[i].error, SLICE_NULL)
                     : send_trim(cli, &places[i]);
    return result;
}

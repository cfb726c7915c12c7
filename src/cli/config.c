// DescribeConfigs and IncrementalAlterConfigs.
// SPDX-License-Identifier: Apache-2.0
#include "cli/config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "cli/error.h"
#include "cli/stamp.h"
#include "cli/topics.h"
#include "wire/kafka_describe_configs.h"
#include "wire/kafka_incremental_alter_configs.h"

#define OPERATION_SET    0
#define OPERATION_DELETE 1
#define INVALID_CONFIG   40
#define SOURCE_DEFAULT   5
#define SOURCE_STATIC    4

static const char *source_name(int8_t source)
{
    static const char *const names[] = {"unknown",        "topic",  "broker", "all brokers", "file",
                                        "server default", "logger", "client", "group"};
    return source >= 0 && (size_t)source < COUNT_OF(names) ? names[source] : names[0];
}

static int compare_configs(const void *a, const void *b)
{
    const struct kafka_describe_configs_response_config *one = a, *other = b;
    return slice_compare(one->name, other->name);
}

static enum cli_exit fetch(struct cli *cli, const struct cli_config_query *query,
                           struct kafka_describe_configs_response_result *out)
{
    struct kafka_describe_configs_request_resource resource;
    struct kafka_describe_configs_request request;
    struct kafka_describe_configs_response response;
    kafka_describe_configs_request_resource_init(&resource);
    kafka_describe_configs_request_init(&request);
    resource.resource_type = (int8_t)query->kind;
    resource.resource_name = query->name;
    if (query->key_count > 0)
        resource.configuration_keys = (struct slice *)query->keys;
    resource.configuration_keys_count = query->key_count;
    request.resources = &resource;
    request.resources_count = 1;
    int64_t node = CLI_CLUSTER_ANY;
    if (query->kind == CLI_CONFIG_BROKER && query->name.size > 0 &&
        (!text_parse_i64(query->name, &node) || node < 0 || node > INT32_MAX))
        return cli_fail(cli, CLI_USAGE, "the number of a broker, or the word default",
                        "'%s' is no broker", cli_string(cli, query->name));
    struct cli_cluster_call call = {.node = (int32_t)node,
                                    .key = KAFKA_API_DESCRIBE_CONFIGS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    if (response.results_count != 1)
        return cli_fail(cli, CLI_FAILED, NULL, "the server's answer has no settings");
    *out = response.results[0];
    if (out->error_code)
        return cli_error_say(cli, query->name.size ? cli_string(cli, query->name) : "settings",
                             out->error_code, out->error_message);
    if (out->configs_count > 1)
        qsort(out->configs, out->configs_count, sizeof(*out->configs), compare_configs);
    return CLI_OK;
}

enum cli_exit cli_config_add(struct cli *cli, const struct cli_config_query *query,
                             struct cli_doc *list)
{
    struct kafka_describe_configs_response_result found = {0};
    enum cli_exit result = fetch(cli, query, &found);
    if (result)
        return result;
    for (size_t i = 0; i < found.configs_count; i++) {
        const struct kafka_describe_configs_response_config *config = &found.configs[i];
        bool own = config->config_source != SOURCE_DEFAULT &&
                   !(query->kind != CLI_CONFIG_BROKER && config->config_source == SOURCE_STATIC);
        if (!own && !query->all && query->key_count == 0)
            continue;
        struct cli_doc *row = cli_doc_row(cli, list);
        cli_doc_add_text(cli, row, "setting", config->name);
        cli_doc_add_text(cli, row, "value",
                         config->is_sensitive ? SLICE_LITERAL("(hidden)") : config->value);
        cli_doc_add_text(cli, row, "from", slice_text(source_name(config->config_source)));
        cli_doc_add(cli, row, "read_only", CLI_DOC_BOOL, config->read_only)->wide = true;
    }
    return CLI_OK;
}

/* --- parsing --- */

static bool ends_with(struct slice text, const char *end)
{
    size_t size = strlen(end);
    return text.size >= size && memcmp(text.data + text.size - size, end, size) == 0;
}

static bool parse_size(struct slice text, int64_t *out)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1LL << 40},
                 {"kb", 1 << 10},  {"mb", 1 << 20},  {"gb", 1 << 30},  {"k", 1000},
                 {"m", 1000000},   {"g", 1000000000}};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t size = strlen(units[i].unit);
        if (text.size <= size ||
            strncasecmp((const char *)text.data + text.size - size, units[i].unit, size) != 0)
            continue;
        int64_t number;
        return text_parse_i64(slice_make(text.data, text.size - size), &number) && number >= 0 &&
               !__builtin_mul_overflow(number, units[i].bytes, out);
    }
    return false;
}

enum cli_exit cli_config_parse(struct cli *cli, const char *text, struct cli_config_pair *out)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return cli_fail(cli, CLI_USAGE, "write it as KEY=VALUE, such as retention.ms=7d",
                        "'%s' is no setting", text);
    out->key = slice_make(text, (size_t)(equals - text));
    out->value = slice_text(equals + 1);
    int64_t number;
    if (out->value.size == 0) {
        out->value = SLICE_NULL;
    } else if (!text_parse_i64(out->value, &number)) {
        bool known =
            (ends_with(out->key, ".ms") && cli_stamp_parse_duration(out->value, &number)) ||
            (ends_with(out->key, "bytes") && parse_size(out->value, &number));
        if (known)
            out->value = slice_text(cli_words(cli, "%" PRId64, number));
    }
    return CLI_OK;
}

void cli_config_hint(struct cli *cli, struct slice key, const struct slice *names, size_t count)
{
    struct nearest nearest;
    /* Kafka has some in hours and minutes, too; servers answer those in milliseconds. */
    static const char *const units[] = {".hours", ".minutes", ".seconds"};
    struct slice meant = key;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (ends_with(key, units[i]))
            meant = slice_text(cli_words(cli, "%.*s.ms", (int)(key.size - strlen(units[i])),
                                         (const char *)key.data));
    nearest_init(&nearest, meant);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&nearest, names[i]);
    if (nearest.best.data && !slice_equal(nearest.best, key))
        cli_note(cli, "      did you mean %s?", cli_string(cli, nearest.best));
}

/* --- changing --- */

struct change {
    enum cli_config_kind kind;
    struct slice name;
    struct cli_config_pair *pairs; /* value null: delete */
    size_t count;
};

/* The settings that a server knows for a thing of that kind. */
struct known {
    struct slice *names;
    size_t count;
};

static bool look_up(struct cli *cli, enum cli_config_kind kind, struct slice name,
                    struct known *out)
{
    struct cli_config_query query = {.kind = kind, .name = name, .all = true};
    struct kafka_describe_configs_response_result found = {0};
    if (kind == CLI_CONFIG_BROKER && name.size == 0)
        query.name = slice_text(cli_words(cli, "%d", cli->cluster->controller));
    if (fetch(cli, &query, &found))
        return false;
    out->count = found.configs_count;
    out->names = cli_alloc(cli, MAX(out->count, 1), sizeof(*out->names));
    for (size_t i = 0; i < out->count; i++)
        out->names[i] = found.configs[i].name;
    return true;
}

/* The server refused: perhaps a name was mistyped. */
static void hint_at_name(struct cli *cli, const struct change *change)
{
    struct known known;
    if (!look_up(cli, change->kind, change->name, &known))
        return;
    for (size_t i = 0; i < change->count; i++)
        cli_config_hint(cli, change->pairs[i].key, known.names, known.count);
}

/* Servers take it without a word when a name is asked for, or unset, that means nothing to them. */
static enum cli_exit check_key(struct cli *cli, const struct known *known, struct slice key)
{
    for (size_t i = 0; i < known->count; i++)
        if (slice_equal(known->names[i], key))
            return CLI_OK;
    enum cli_exit result = cli_fail(cli, CLI_USAGE, "--all lists those that there are",
                                    "there is no setting '%s'", cli_string(cli, key));
    cli_config_hint(cli, key, known->names, known->count);
    return result;
}

static enum cli_exit check_unset(struct cli *cli, const struct change *change)
{
    struct known known;
    bool any = false;
    for (size_t i = 0; i < change->count; i++)
        any = any || !change->pairs[i].value.data;
    enum cli_exit result = CLI_OK;
    if (any && look_up(cli, change->kind, change->name, &known))
        for (size_t i = 0; !result && i < change->count; i++)
            if (!change->pairs[i].value.data)
                result = check_key(cli, &known, change->pairs[i].key);
    return result;
}

static enum cli_exit send_change(struct cli *cli, const struct change *change)
{
    struct kafka_incremental_alter_configs_request_resource resource = {
        .resource_type = (int8_t)change->kind, .resource_name = change->name};
    struct kafka_incremental_alter_configs_request request = {
        .resources = &resource,
        .resources_count = 1,
        .validate_only = cli_flags_has(&cli->flags, CLI_FLAG_DRY_RUN)};
    struct kafka_incremental_alter_configs_response response;
    resource.configs = cli_alloc(cli, change->count, sizeof(*resource.configs));
    resource.configs_count = change->count;
    for (size_t i = 0; i < change->count; i++) {
        resource.configs[i].name = change->pairs[i].key;
        resource.configs[i].value = change->pairs[i].value;
        resource.configs[i].config_operation =
            change->pairs[i].value.data ? OPERATION_SET : OPERATION_DELETE;
    }
    int64_t node = CLI_CLUSTER_CONTROLLER;
    if (change->kind == CLI_CONFIG_BROKER && change->name.size > 0 &&
        (!text_parse_i64(change->name, &node) || node < 0 || node > INT32_MAX))
        return cli_fail(cli, CLI_USAGE, "the number of a broker, or the word default",
                        "'%s' is no broker", cli_string(cli, change->name));
    struct cli_cluster_call call = {.node = (int32_t)node,
                                    .key = KAFKA_API_INCREMENTAL_ALTER_CONFIGS,
                                    .request = &request,
                                    .response = &response};
    enum cli_exit result = cli_cluster_call(cli, &call);
    if (result)
        return result;
    const char *name = change->name.size ? cli_string(cli, change->name) : "all brokers";
    if (response.responses_count > 0 && response.responses[0].error_code) {
        result = cli_error_say(cli, name, response.responses[0].error_code,
                               response.responses[0].error_message);
        if (response.responses[0].error_code == INVALID_CONFIG)
            hint_at_name(cli, change);
        return result;
    }
    for (size_t i = 0; i < change->count; i++) {
        struct cli_config_pair *pair = &change->pairs[i];
        const char *tense = request.validate_only ? "would be" : "is";
        if (pair->value.data)
            cli_note(cli, "%s: %s %s %s.", name, cli_string(cli, pair->key), tense,
                     cli_string(cli, pair->value));
        else
            cli_note(cli, "%s: %s %s the default again.", name, cli_string(cli, pair->key), tense);
    }
    return CLI_OK;
}

/* --- the commands --- */

static enum cli_exit check_topic(struct cli *cli, struct slice name)
{
    struct kafka_metadata_response topics;
    return cli_topics_require(cli, &name, 1, &topics);
}

/* The first arguments: KIND and, where it is there, NAME. */
static enum cli_exit take_target(struct cli *cli, enum cli_config_kind *out_kind,
                                 struct slice *out_name)
{
    const char *kind = cli->arguments[0];
    *out_name = slice_text(cli->argument_count > 1 ? cli->arguments[1] : "");
    if (strcmp(kind, "topic") == 0) {
        *out_kind = CLI_CONFIG_TOPIC;
        if (out_name->size == 0)
            return cli_fail(cli, CLI_USAGE, "leat config show topic TOPIC", "which topic?");
        return check_topic(cli, *out_name);
    }
    if (strcmp(kind, "group") == 0) {
        *out_kind = CLI_CONFIG_GROUP; /* a group may have settings before it is there */
        if (out_name->size == 0)
            return cli_fail(cli, CLI_USAGE, "leat config show group GROUP", "which group?");
        return cli_cluster_open(cli);
    }
    if (strcmp(kind, "broker") != 0)
        return cli_fail(cli, CLI_USAGE, "it is one of topic, broker, group",
                        "there are no settings of kind '%s'", kind);
    *out_kind = CLI_CONFIG_BROKER;
    enum cli_exit result = cli_cluster_open(cli);
    if (!result && out_name->size == 0 && cli->cluster->node_count > 0)
        *out_name = slice_text(cli_words(cli, "%d", cli->cluster->nodes[0].id));
    else if (slice_equal_text(*out_name, "default"))
        *out_name = slice_text("");
    return result;
}

static enum cli_exit show(struct cli *cli, struct cli_config_query *query)
{
    struct cli_doc *list = cli_doc_list(cli);
    list->no_rows = "All settings are the defaults; --all shows them.";
    query->all = cli_flags_has(&cli->flags, CLI_FLAG_ALL);
    enum cli_exit result = cli_config_add(cli, query, list);
    return result ? result : cli_doc_print(cli, list);
}

enum cli_exit cli_config_show(struct cli *cli)
{
    struct cli_config_query query = {0};
    enum cli_exit result = take_target(cli, &query.kind, &query.name);
    if (result)
        return result;
    struct slice *keys = cli_alloc(cli, cli->argument_count, sizeof(*keys));
    for (size_t i = 2; i < cli->argument_count; i++)
        keys[query.key_count++] = slice_text(cli->arguments[i]);
    query.keys = keys;
    struct known known;
    if (query.key_count > 0 && look_up(cli, query.kind, query.name, &known))
        for (size_t i = 0; !result && i < query.key_count; i++)
            result = check_key(cli, &known, keys[i]);
    if (result)
        return result;
    return show(cli, &query);
}

enum cli_exit cli_config_topic(struct cli *cli)
{
    struct slice name = slice_text(cli->arguments[0]);
    struct change change = {.kind = CLI_CONFIG_TOPIC, .name = name};
    enum cli_exit result = check_topic(cli, name);
    if (result)
        return result;
    if (cli->argument_count == 1) {
        struct cli_config_query query = {.kind = CLI_CONFIG_TOPIC, .name = name};
        return show(cli, &query);
    }
    change.count = cli->argument_count - 1;
    change.pairs = cli_alloc(cli, change.count, sizeof(*change.pairs));
    for (size_t i = 0; !result && i < change.count; i++)
        result = cli_config_parse(cli, cli->arguments[i + 1], &change.pairs[i]);
    if (!result)
        result = check_unset(cli, &change);
    return result ? result : send_change(cli, &change);
}

static enum cli_exit change_by_arguments(struct cli *cli, bool unset)
{
    struct change change = {.count = cli->argument_count - 2};
    enum cli_exit result = take_target(cli, &change.kind, &change.name);
    change.pairs = cli_alloc(cli, change.count, sizeof(*change.pairs));
    for (size_t i = 0; !result && i < change.count; i++) {
        if (unset)
            change.pairs[i].key = slice_text(cli->arguments[i + 2]);
        else
            result = cli_config_parse(cli, cli->arguments[i + 2], &change.pairs[i]);
    }
    if (!result)
        result = check_unset(cli, &change);
    return result ? result : send_change(cli, &change);
}

enum cli_exit cli_config_set(struct cli *cli)
{
    return change_by_arguments(cli, false);
}

enum cli_exit cli_config_unset(struct cli *cli)
{
    return change_by_arguments(cli, true);
}

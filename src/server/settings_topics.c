// Reads the topics of the kafka block by the tables of topics' settings.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_topics.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "broker/binding.h"
#include "server/settings_hint.h"
#include "server/settings_kafka.h"

#define NUMBER_SIZE 24
#define NAME_SHOWN  249

enum kind { KIND_BOOL, KIND_INT, KIND_LONG, KIND_DOUBLE, KIND_TEXT, KIND_LIST };

static const struct topic_key {
    const char *name;
    enum kind kind;
} topic_keys[] = {
#define TOPIC_CONFIG(kind, field, name, synonym, value, min, max, doc) {name, KIND_##kind},
#include "broker/topic_config.def"
#undef TOPIC_CONFIG
#define TOPIC_FIXED(kind, name, value) {name, KIND_##kind},
#include "broker/topic_fixed.def"
#undef TOPIC_FIXED
    {BROKER_BINDING_NAME, KIND_LIST},
};

/* Where the parts of one topic stand. */
struct server_topic_places {
    struct server_conf_place topic;
    struct server_conf_place partitions;
    struct server_conf_place settings[];
};

/* A topic as it is read. */
struct reading {
    struct arena *arena;
    struct diag *diag;
    struct broker_plan_topic *topic;
    struct broker_setting_pair *settings;
    struct server_topic_places *places;
};

/* --- values as Kafka writes them -------------------------------------------------------------- */

static bool is_scalar(const struct server_conf_value *value)
{
    return value->type != SERVER_CONF_MAP && value->type != SERVER_CONF_ARRAY;
}

static enum err read_number(struct reading *reading, const struct topic_key *key,
                            const struct server_conf_value *value, struct slice *out)
{
    int64_t number;
    if (server_settings_kafka_number(value, key->name, &number) != ERR_OK)
        return server_settings_kafka_complain(value, key->name, reading->diag);
    char *text = arena_alloc(reading->arena, NUMBER_SIZE);
    if (!text)
        return ERR_NO_MEMORY;
    int size = snprintf(text, NUMBER_SIZE, "%" PRId64, number);
    *out = slice_make(text, (size_t)size);
    return ERR_OK;
}

static enum err read_bool(struct reading *reading, const struct topic_key *key,
                          const struct server_conf_value *value, struct slice *out)
{
    bool truth = value->type == SERVER_CONF_BOOL && value->boolean;
    if (value->type != SERVER_CONF_BOOL &&
        (value->type != SERVER_CONF_STRING || !text_parse_bool(value->text, &truth)))
        return server_conf_complain(reading->diag, &value->place, "%s is true or false", key->name);
    *out = truth ? SLICE_LITERAL("true") : SLICE_LITERAL("false");
    return ERR_OK;
}

/* An array becomes one text with commas. */
static enum err read_list(struct reading *reading, const struct topic_key *key,
                          const struct server_conf_value *value, struct slice *out)
{
    size_t size = 1;
    for (const struct server_conf_item *item = value->items; item; item = item->next) {
        if (!is_scalar(&item->value) || item->value.text.size == 0)
            return server_conf_complain(reading->diag, &item->value.place, "%s is a list of texts",
                                        key->name);
        size += item->value.text.size + 1;
    }
    char *text = arena_alloc(reading->arena, size);
    if (!text)
        return ERR_NO_MEMORY;
    size = 0;
    for (const struct server_conf_item *item = value->items; item; item = item->next) {
        if (size > 0)
            text[size++] = ',';
        memcpy(text + size, item->value.text.data, item->value.text.size);
        size += item->value.text.size;
    }
    *out = slice_make(text, size);
    return ERR_OK;
}

static enum err read_value(struct reading *reading, const struct topic_key *key,
                           const struct server_conf_value *value, struct slice *out)
{
    if (key->kind == KIND_LIST && value->type == SERVER_CONF_ARRAY)
        return read_list(reading, key, value, out);
    if (!is_scalar(value))
        return server_conf_complain(reading->diag, &value->place, "%s is one value, not %s",
                                    key->name, server_conf_type_name(value->type));
    if (key->kind == KIND_INT || key->kind == KIND_LONG)
        return read_number(reading, key, value, out);
    if (key->kind == KIND_BOOL)
        return read_bool(reading, key, value, out);
    *out = value->text;
    return ERR_OK;
}

/* --- topics ----------------------------------------------------------------------------------- */

static const struct topic_key *find_key(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(topic_keys); i++)
        if (server_conf_key_equal(name, topic_keys[i].name))
            return &topic_keys[i];
    return NULL;
}

static enum err apply_partitions(struct reading *reading, const struct server_conf_value *value)
{
    int64_t count;
    if (server_settings_kafka_number(value, "partitions", &count) != ERR_OK || count < 1 ||
        count > INT32_MAX)
        return server_conf_complain(reading->diag, &value->place,
                                    "partitions is a number, 1 at least");
    reading->topic->partition_count = (int32_t)count;
    reading->places->partitions = value->place;
    return ERR_OK;
}

/* The last one of a name counts, as everywhere in the file. */
static enum err apply_setting(struct reading *reading, const struct topic_key *key,
                              const struct server_conf_value *value)
{
    struct broker_plan_topic *topic = reading->topic;
    struct slice text;
    enum err err = read_value(reading, key, value, &text);
    size_t at = 0;
    if (err)
        return err;
    while (at < topic->setting_count && !slice_equal_text(reading->settings[at].name, key->name))
        at++;
    topic->setting_count = MAX(topic->setting_count, at + 1);
    reading->settings[at] = (struct broker_setting_pair){slice_text(key->name), text};
    reading->places->settings[at] = value->place;
    return ERR_OK;
}

static enum err apply_pair(struct reading *reading, const struct server_conf_pair *pair)
{
    if (server_conf_key_equal(pair->key, "partitions"))
        return apply_partitions(reading, &pair->value);
    const struct topic_key *key = find_key(pair->key);
    if (key)
        return apply_setting(reading, key, &pair->value);
    if (pair->is_used)
        return ERR_OK;
    struct slice known[COUNT_OF(topic_keys) + 1] = {SLICE_LITERAL("partitions")};
    for (size_t i = 0; i < COUNT_OF(topic_keys); i++)
        known[i + 1] = slice_text(topic_keys[i].name);
    return server_settings_hint_topic(pair, reading->topic->name, known, COUNT_OF(known),
                                      reading->diag);
}

static enum err apply_topic(struct reading *reading, const struct server_conf_pair *pair)
{
    struct arena *arena = reading->arena;
    size_t count = 1;
    for (const struct server_conf_pair *each = pair->value.pairs; each; each = each->next)
        count++;
    count = MIN(count, COUNT_OF(topic_keys));
    reading->places =
        arena_alloc(arena, sizeof(*reading->places) + count * sizeof(struct server_conf_place));
    reading->settings = arena_alloc_array(arena, count, sizeof(*reading->settings));
    if (!reading->places || !reading->settings)
        return ERR_NO_MEMORY;
    reading->places->topic = reading->places->partitions = pair->place;
    *reading->topic = (struct broker_plan_topic){
        .name = pair->key,
        .partition_count = -1,
        .settings = reading->settings,
    };
    enum err err = ERR_OK;
    for (const struct server_conf_pair *each = pair->value.pairs; each && !err; each = each->next)
        err = apply_pair(reading, each);
    return err;
}

/* Room for more topics behind those that are there. */
static enum err make_room(struct server_settings *settings, const struct server_conf_value *map,
                          struct broker_plan_topic **out_topics,
                          const struct server_topic_places ***out_places)
{
    size_t count = settings->plan.count;
    size_t before = count;
    for (const struct server_conf_pair *pair = map->pairs; pair; pair = pair->next)
        count++;
    *out_topics = arena_alloc_array(&settings->arena, count, sizeof(**out_topics));
    *out_places = arena_alloc_array(&settings->arena, count, sizeof(const void *));
    if (!*out_topics || !*out_places)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < before; i++) {
        (*out_topics)[i] = settings->plan.topics[i];
        (*out_places)[i] = settings->plan_places[i];
    }
    settings->plan.topics = *out_topics;
    settings->plan_places = *out_places;
    return ERR_OK;
}

enum err server_settings_topics_apply(struct server_settings *settings,
                                      const struct server_conf_value *map, struct diag *diag)
{
    struct broker_plan_topic *topics;
    const struct server_topic_places **places;
    if (map->type != SERVER_CONF_MAP)
        return server_conf_complain(diag, &map->place, "topics is a map: topics { name { ... } }");
    enum err err = make_room(settings, map, &topics, &places);
    for (const struct server_conf_pair *pair = map->pairs; pair && !err; pair = pair->next) {
        size_t at = settings->plan.count;
        struct reading reading = {.arena = &settings->arena, .diag = diag};
        if (pair->value.type != SERVER_CONF_MAP) {
            if (pair->is_used)
                continue;
            return server_conf_complain(diag, &pair->value.place,
                                        "a topic is a map: '%s { partitions: 3 }'",
                                        (const char *)pair->key.data);
        }
        reading.topic = &topics[at];
        err = apply_topic(&reading, pair);
        places[at] = reading.places;
        settings->plan.count = at + 1;
    }
    return err;
}

/* --- faults ----------------------------------------------------------------------------------- */

void server_settings_topics_complain(const struct server_settings *settings,
                                     const struct broker_plan_fault *fault, struct diag *diag)
{
    const struct broker_plan_topic *topic = &settings->plan.topics[fault->topic];
    const struct server_topic_places *places = settings->plan_places[fault->topic];
    const struct server_conf_place *place = &places->topic;
    struct diag why = *diag;
    if (fault->part == BROKER_PLAN_PARTITIONS)
        place = &places->partitions;
    else if (fault->part == BROKER_PLAN_SETTING)
        place = &places->settings[fault->setting];
    (void)server_conf_complain(diag, place, "topic '%.*s': %s",
                               (int)MIN(topic->name.size, (size_t)NAME_SHOWN),
                               (const char *)topic->name.data, why.text);
}

enum err server_settings_topics_check(const struct server_settings *settings, struct diag *diag)
{
    struct broker_plan_fault fault;
    if (settings->plan.count == 0)
        return ERR_OK;
    enum err err = broker_plan_check(&settings->plan, &settings->broker,
                                     settings->nats->view_prefix, &fault, diag);
    if (err != ERR_INVALID && err != ERR_LIMIT)
        return err;
    server_settings_topics_complain(settings, &fault, diag);
    return ERR_INVALID;
}

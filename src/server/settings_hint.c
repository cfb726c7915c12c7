// Looks names up in the tables of settings, for words that lead on.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_hint.h"

#include <stdio.h>

#include "base/nearest.h"

#define SHOWN       64 /* bytes of a name from the file */
#define TOPIC_SHOWN 249
#define LISTED      6 /* names in one message */
#define HINT_SIZE   96

/* What the top level takes; settings.c and settings_nats.c apply it. */
static const char *const top_names[] = {
    "data",     "cores",     "memory",      "scrub_rate",    "log_level",
    "kafka",    "leat_view", "listen",      "host",          "port",
    "http",     "http_port", "server_name", "authorization", "no_auth_user",
    "pid_file", "log_file",  "debug",       "jetstream",     "ports_file_dir",
#define NATS_NUMBER(key, kind, field, min, max) key,
#include "server/nats_settings_known.def"
#undef NATS_NUMBER
};

/* What the block kafka takes; settings_kafka.c applies it. */
static const char *const kafka_names[] = {
    "listen", "listeners", "advertised.listeners", "log.dirs", "log.dir", "topics", "anonymous",
#define SETTING(kind, field, text, value, low, high, dynamic, doc) text,
#include "broker/settings.def"
#undef SETTING
#define KAFKA_ALIAS(name, same)                  name,
#define KAFKA_SCALED(name, same, multiple, rank) name,
#define KAFKA_FIXED(name, words, why)            name,
#include "server/kafka_settings.def"
};

static const char *const absent_names[] = {
#define KAFKA_ABSENT(name) name,
#include "server/kafka_settings.def"
};

/* What stands in the place of a setting that is absent. */
static const struct {
    const char *name;
    const char *words;
} instead[] = {
#define KAFKA_INSTEAD(name, words) {name, words},
#include "server/kafka_settings.def"
};

static bool is_one_of(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (server_conf_key_equal(name, names[i]))
            return true;
    return false;
}

bool server_settings_hint_is_absent(struct slice name)
{
    return is_one_of(name, absent_names, COUNT_OF(absent_names));
}

static int shown(struct slice name)
{
    return (int)MIN(name.size, (size_t)SHOWN);
}

/* out has HINT_SIZE bytes; empty when nothing is near. Gives out. */
static const char *did_you_mean(const struct nearest *nearest, char *out)
{
    *out = 0;
    if (nearest->best.data)
        (void)snprintf(out, HINT_SIZE, ", did you mean '%.*s'?", shown(nearest->best),
                       (const char *)nearest->best.data);
    return out;
}

static const char *did_you_mean_of(struct slice name, const char *const *names, size_t count,
                                   char *out)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&nearest, slice_text(names[i]));
    return did_you_mean(&nearest, out);
}

enum err server_settings_hint_top(const struct server_conf_pair *pair, struct diag *diag)
{
    struct slice key = pair->key;
    struct slice prefix = SLICE_LITERAL("kafka.");
    bool has_prefix = key.size > prefix.size && memcmp(key.data, prefix.data, prefix.size) == 0;
    if (has_prefix)
        key = slice_make(key.data + prefix.size, key.size - prefix.size);
    if (is_one_of(key, kafka_names, COUNT_OF(kafka_names)) || server_settings_hint_is_absent(key))
        return server_conf_complain(diag, &pair->place,
                                    "unknown field '%.*s': Kafka's settings stand in a block of "
                                    "their own, kafka { %.*s: ... }",
                                    shown(pair->key), (const char *)pair->key.data, shown(key),
                                    (const char *)key.data);
    char hint[HINT_SIZE];
    return server_conf_complain(diag, &pair->place, "unknown field '%.*s'%s", shown(pair->key),
                                (const char *)pair->key.data,
                                did_you_mean_of(key, top_names, COUNT_OF(top_names), hint));
}

/* Kafka has it, Leat does not: names those below, too, so that they need not be met one by one. */
static enum err complain_absent(const struct server_conf_pair *pair, struct diag *diag)
{
    char more[(LISTED + 1) * (SHOWN + 4)] = "";
    size_t size = 0, count = 0;
    const char *why = "";
    for (size_t i = 0; i < COUNT_OF(instead); i++)
        if (server_conf_key_equal(pair->key, instead[i].name))
            why = instead[i].words;
    for (const struct server_conf_pair *next = pair->next; next; next = next->next) {
        if (!server_settings_hint_is_absent(next->key) || count++ >= LISTED)
            continue;
        size += (size_t)snprintf(more + size, sizeof(more) - size, "%s%.*s",
                                 count == 1 ? "; nor are, further down: " : ", ", shown(next->key),
                                 (const char *)next->key.data);
    }
    if (count > LISTED)
        (void)snprintf(more + size, sizeof(more) - size, " and %zu more", count - LISTED);
    return server_conf_complain(
        diag, &pair->place, "Kafka's setting '%.*s' is not implemented in Leat%s%s%s",
        shown(pair->key), (const char *)pair->key.data, *why ? ": " : "", why, more);
}

enum err server_settings_hint_kafka(const struct server_conf_pair *pair, struct diag *diag)
{
    if (server_settings_hint_is_absent(pair->key))
        return complain_absent(pair, diag);
    if (is_one_of(pair->key, top_names, COUNT_OF(top_names)))
        return server_conf_complain(diag, &pair->place,
                                    "unknown field '%.*s' in kafka: it stands outside of the block "
                                    "kafka",
                                    shown(pair->key), (const char *)pair->key.data);
    char hint[HINT_SIZE];
    return server_conf_complain(
        diag, &pair->place, "unknown field '%.*s' in kafka%s", shown(pair->key),
        (const char *)pair->key.data,
        did_you_mean_of(pair->key, kafka_names, COUNT_OF(kafka_names), hint));
}

enum err server_settings_hint_topic(const struct server_conf_pair *pair, struct slice topic,
                                    const struct slice *known, size_t count, struct diag *diag)
{
    struct nearest nearest;
    nearest_init(&nearest, pair->key);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&nearest, known[i]);
    char hint[HINT_SIZE];
    return server_conf_complain(diag, &pair->place, "unknown field '%.*s' in topic '%.*s'%s",
                                shown(pair->key), (const char *)pair->key.data,
                                (int)MIN(topic.size, (size_t)TOPIC_SHOWN), (const char *)topic.data,
                                did_you_mean(&nearest, hint));
}

// Reads the kafka block by the tables broker/settings.def and server/kafka_settings.def.
// SPDX-License-Identifier: Apache-2.0
#include "server/settings_kafka.h"

#include "base/text.h"
#include "broker/group_settings.h"
#include "server/conf_scalar.h"
#include "server/settings_hint.h"
#include "server/settings_topics.h"

enum kind { KIND_BOOL, KIND_INT, KIND_LONG, KIND_DOUBLE, KIND_TEXT, KIND_LIST };

struct setting {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct broker_settings */
    int64_t min;
    int64_t max;
    const char *words; /* allowed texts with '|' between them, or NULL: any */
};

#define LIMITS_BOOL(low, high)   .min = low, .max = high
#define LIMITS_INT(low, high)    .min = low, .max = high
#define LIMITS_LONG(low, high)   .min = low, .max = high
#define LIMITS_DOUBLE(low, high) .min = low, .max = high
#define LIMITS_TEXT(low, high)   .words = low
#define LIMITS_LIST(low, high)   .words = low

static const struct setting settings_table[] = {
#define SETTING(kind_name, field, text, value, low, high, dynamic, doc)                            \
    {.name = text,                                                                                 \
     .kind = KIND_##kind_name,                                                                     \
     .offset = offsetof(struct broker_settings, field),                                            \
     LIMITS_##kind_name(low, high)},
#include "broker/settings.def"
#undef SETTING
};

/* Another name of a setting: its numbers are multiplied; the lowest rank that is given wins. */
struct other_name {
    const char *name;
    const char *target;
    int64_t factor;
    int rank;
};

static const struct other_name other_names[] = {
#define KAFKA_ALIAS(text, same)                   {.name = text, .target = same, .factor = 1},
#define KAFKA_SCALED(text, same, multiple, order) {text, same, multiple, order},
#include "server/kafka_settings.def"
};

/* Settings whose values are given: whatever else is asked for is refused. */
struct fixed_name {
    const char *name;
    const char *words; /* with '|' between them */
    const char *why;
};

static const struct fixed_name fixed_names[] = {
#define KAFKA_FIXED(text, values, reason) {text, values, reason},
#include "server/kafka_settings.def"
};

/* What one walk over the block knows. */
struct walk {
    struct server_settings *settings;
    struct diag *diag;
    int rank[COUNT_OF(settings_table)]; /* of the name that gave the value, plus 1 */
};

/* --- listeners -------------------------------------------------------------------------------- */

/* Cuts the next part before a comma off *rest, spaces around it removed. */
static struct slice next_part(struct slice *rest)
{
    const uint8_t *comma = memchr(rest->data, ',', rest->size);
    struct slice part = slice_make(rest->data, comma ? (size_t)(comma - rest->data) : rest->size);
    size_t used = part.size + (comma ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->size - used);
    while (part.size > 0 && part.data[0] == ' ')
        part = slice_make(part.data + 1, part.size - 1);
    while (part.size > 0 && part.data[part.size - 1] == ' ')
        part.size--;
    return part;
}

enum err server_settings_kafka_listen_more(struct server_settings *settings, struct slice text,
                                           struct diag *diag)
{
    struct slice rest = text;
    do {
        size_t count = settings->kafka_listener_count;
        if (slice_equal_text(rest, "none")) {
            diag_set(diag, "'none' stands alone, without addresses to listen on");
            return ERR_INVALID;
        }
        if (count == SERVER_SETTINGS_LISTENERS_MAX) {
            diag_set(diag, "more than %d addresses to listen on", SERVER_SETTINGS_LISTENERS_MAX);
            return ERR_INVALID;
        }
        enum err err =
            server_address_parse(next_part(&rest), &settings->kafka_listeners[count], diag);
        if (err)
            return err;
        settings->kafka_listener_count++;
    } while (rest.size > 0);
    return ERR_OK;
}

enum err server_settings_kafka_listen(struct server_settings *settings, struct slice text,
                                      struct diag *diag)
{
    settings->kafka_listener_count = 0;
    if (slice_equal_text(text, "none"))
        return ERR_OK;
    return server_settings_kafka_listen_more(settings, text, diag);
}

/* Puts file and line before the words of an error that knows neither. */
static enum err place_error(struct diag *diag, const struct server_conf_value *value, enum err err)
{
    if (err != ERR_INVALID && err != ERR_UNSUPPORTED)
        return err;
    struct diag why = *diag;
    return server_conf_complain(diag, &value->place, "%s", why.text);
}

static bool is_scalar(const struct server_conf_value *value)
{
    return value->type != SERVER_CONF_MAP && value->type != SERVER_CONF_ARRAY;
}

static enum err apply_listen(struct walk *walk, const struct server_conf_value *value)
{
    if (is_scalar(value))
        return place_error(walk->diag, value,
                           server_settings_kafka_listen(walk->settings, value->text, walk->diag));
    if (value->type != SERVER_CONF_ARRAY || !value->items)
        return server_conf_complain(walk->diag, &value->place,
                                    "an address or several are expected");
    walk->settings->kafka_listener_count = 0;
    for (const struct server_conf_item *item = value->items; item; item = item->next) {
        if (!is_scalar(&item->value))
            return server_conf_complain(walk->diag, &item->value.place, "an address is expected");
        enum err err =
            server_settings_kafka_listen_more(walk->settings, item->value.text, walk->diag);
        if (err)
            return place_error(walk->diag, &item->value, err);
    }
    return ERR_OK;
}

static enum err apply_advertised(struct walk *walk, const struct server_conf_value *value)
{
    struct server_settings *settings = walk->settings;
    struct slice host;
    if (!is_scalar(value))
        return server_conf_complain(walk->diag, &value->place, "one address is expected");
    if (memchr(value->text.data, ',', value->text.size))
        return server_conf_complain(walk->diag, &value->place,
                                    "one advertised listener is all there can be so far");
    enum err err = server_address_parse_name(value->text, &settings->arena, &host,
                                             &settings->kafka_advertised_port, walk->diag);
    if (err)
        return place_error(walk->diag, value, err);
    settings->kafka_advertised_host = (const char *)host.data;
    return ERR_OK;
}

static enum err apply_data(struct walk *walk, const struct server_conf_value *value)
{
    if (!is_scalar(value) || value->text.size == 0 ||
        memchr(value->text.data, 0, value->text.size) ||
        memchr(value->text.data, ',', value->text.size))
        return server_conf_complain(walk->diag, &value->place, "one folder is expected");
    walk->settings->data = (const char *)value->text.data;
    return ERR_OK;
}

/* --- settings of the table -------------------------------------------------------------------- */

static bool ends_in_ms(const char *name)
{
    size_t size = strlen(name);
    return size > 3 && strcmp(name + size - 3, ".ms") == 0;
}

enum err server_settings_kafka_number(const struct server_conf_value *value, const char *name,
                                      int64_t *out)
{
    if (value->type == SERVER_CONF_INTEGER) {
        *out = value->integer;
        return ERR_OK;
    }
    if (value->type != SERVER_CONF_STRING)
        return ERR_INVALID;
    return ends_in_ms(name) ? server_conf_scalar_duration_ms(value->text, out)
                            : server_conf_scalar_integer(value->text, out);
}

enum err server_settings_kafka_complain(const struct server_conf_value *value, const char *name,
                                        struct diag *diag)
{
    const char *unit = ends_in_ms(name) ? " of milliseconds or a text like \"7d\"" : "";
    if (value->type == SERVER_CONF_STRING)
        return server_conf_complain(diag, &value->place, "%s is a number%s, not '%s'", name, unit,
                                    (const char *)value->text.data);
    return server_conf_complain(diag, &value->place, "%s is a number%s, not %s", name, unit,
                                server_conf_type_name(value->type));
}

static enum err apply_number(struct walk *walk, const struct setting *setting,
                             const struct other_name *other, const struct server_conf_value *value)
{
    const char *name = other ? other->name : setting->name;
    int64_t factor = other ? other->factor : 1;
    int64_t number;
    if (server_settings_kafka_number(value, name, &number) != ERR_OK)
        return server_settings_kafka_complain(value, name, walk->diag);
    if (factor > 1 && number != -1 && __builtin_mul_overflow(number, factor, &number))
        number = INT64_MIN;
    if (setting->min == setting->max && number != setting->min)
        return server_conf_complain(walk->diag, &value->place, "%s can only be %lld", name,
                                    (long long)setting->min);
    if (number < setting->min || number > setting->max)
        return server_conf_complain(walk->diag, &value->place, "%s lies between %lld and %lld",
                                    name,
                                    (long long)(setting->min / (setting->min > 0 ? factor : 1)),
                                    (long long)(setting->max / factor));
    char *field = (char *)&walk->settings->broker + setting->offset;
    if (setting->kind == KIND_LONG)
        *(int64_t *)field = number;
    else
        *(int32_t *)field = (int32_t)number;
    return ERR_OK;
}

static enum err apply_double(struct walk *walk, const struct setting *setting,
                             const struct server_conf_value *value)
{
    double number;
    if (value->type == SERVER_CONF_INTEGER)
        number = (double)value->integer;
    else if (value->type == SERVER_CONF_FLOAT)
        number = value->number;
    else if (value->type != SERVER_CONF_STRING || !text_parse_double(value->text, &number))
        return server_conf_complain(walk->diag, &value->place, "%s is a number, not %s",
                                    setting->name, server_conf_type_name(value->type));
    if (number < (double)setting->min ||
        (setting->max != INT64_MAX && number > (double)setting->max))
        return server_conf_complain(walk->diag, &value->place, "%s lies between %lld and %lld",
                                    setting->name, (long long)setting->min,
                                    (long long)setting->max);
    *(double *)((char *)&walk->settings->broker + setting->offset) = number;
    return ERR_OK;
}

static enum err apply_bool(struct walk *walk, const struct setting *setting,
                           const struct server_conf_value *value)
{
    bool truth = value->type == SERVER_CONF_BOOL && value->boolean;
    if (value->type != SERVER_CONF_BOOL &&
        (value->type != SERVER_CONF_STRING || !text_parse_bool(value->text, &truth)))
        return server_conf_complain(walk->diag, &value->place, "%s is true or false",
                                    setting->name);
    *(bool *)((char *)&walk->settings->broker + setting->offset) = truth;
    return ERR_OK;
}

static bool is_word_of(const char *words, struct slice text)
{
    while (words) {
        const char *bar = strchr(words, '|');
        size_t size = bar ? (size_t)(bar - words) : strlen(words);
        if (slice_equal(text, slice_make(words, size)))
            return true;
        words = bar ? bar + 1 : NULL;
    }
    return false;
}

static enum err apply_text(struct walk *walk, const struct setting *setting,
                           const struct server_conf_value *value)
{
    if (!is_scalar(value) || memchr(value->text.data, 0, value->text.size))
        return server_conf_complain(walk->diag, &value->place, "%s is a text", setting->name);
    if (setting->words && !is_word_of(setting->words, value->text))
        return server_conf_complain(walk->diag, &value->place, "%s can be %s, not '%s'",
                                    setting->name, setting->words, (const char *)value->text.data);
    *(const char **)((char *)&walk->settings->broker + setting->offset) =
        (const char *)value->text.data;
    return ERR_OK;
}

static const struct other_name *find_other_name(struct slice key)
{
    for (size_t i = 0; i < COUNT_OF(other_names); i++)
        if (server_conf_key_equal(key, other_names[i].name))
            return &other_names[i];
    return NULL;
}

static const struct fixed_name *find_fixed_name(struct slice key)
{
    for (size_t i = 0; i < COUNT_OF(fixed_names); i++)
        if (server_conf_key_equal(key, fixed_names[i].name))
            return &fixed_names[i];
    return NULL;
}

static enum err apply_setting(struct walk *walk, size_t index, const struct other_name *other,
                              const struct server_conf_value *value)
{
    const struct setting *setting = &settings_table[index];
    struct broker_settings before = walk->settings->broker;
    enum err err;
    if (setting->kind == KIND_BOOL)
        err = apply_bool(walk, setting, value);
    else if (setting->kind == KIND_DOUBLE)
        err = apply_double(walk, setting, value);
    else if (setting->kind == KIND_TEXT || setting->kind == KIND_LIST)
        err = apply_text(walk, setting, value);
    else
        err = apply_number(walk, setting, other, value);
    int rank = (other ? other->rank : 0) + 1;
    if (err)
        return err;
    if (walk->rank[index] > 0 && walk->rank[index] < rank)
        walk->settings->broker = before;
    else
        walk->rank[index] = rank;
    return ERR_OK;
}

static enum err apply_fixed(struct walk *walk, const struct fixed_name *fixed,
                            const struct server_conf_value *value)
{
    if (is_scalar(value) && is_word_of(fixed->words, value->text))
        return ERR_OK;
    return server_conf_complain(walk->diag, &value->place, "%s can only be %s: %s", fixed->name,
                                fixed->words, fixed->why);
}

static enum err apply_anonymous(struct walk *walk, const struct server_conf_value *value)
{
    bool truth = value->type == SERVER_CONF_BOOL && value->boolean;
    if (value->type != SERVER_CONF_BOOL &&
        (value->type != SERVER_CONF_STRING || !text_parse_bool(value->text, &truth)))
        return server_conf_complain(walk->diag, &value->place, "anonymous is true or false");
    walk->settings->kafka_anonymous = truth;
    return ERR_OK;
}

static enum err apply_pair(struct walk *walk, const struct server_conf_pair *pair)
{
    const struct server_conf_value *value = &pair->value;
    if (server_conf_key_equal(pair->key, "anonymous"))
        return apply_anonymous(walk, value);
    if (server_conf_key_equal(pair->key, "listen") || server_conf_key_equal(pair->key, "listeners"))
        return apply_listen(walk, value);
    if (server_conf_key_equal(pair->key, "advertised.listeners"))
        return apply_advertised(walk, value);
    if (server_conf_key_equal(pair->key, "log.dirs") || server_conf_key_equal(pair->key, "log.dir"))
        return apply_data(walk, value);
    if (server_conf_key_equal(pair->key, "topics") && !(is_scalar(value) && pair->is_used))
        return server_settings_topics_apply(walk->settings, value, walk->diag);
    const struct other_name *other = find_other_name(pair->key);
    struct slice name = other ? slice_text(other->target) : pair->key;
    for (size_t i = 0; i < COUNT_OF(settings_table); i++)
        if (server_conf_key_equal(name, settings_table[i].name))
            return apply_setting(walk, i, other, value);
    const struct fixed_name *fixed = find_fixed_name(pair->key);
    if (fixed)
        return apply_fixed(walk, fixed, value);
    if (pair->is_used && !server_settings_hint_is_absent(pair->key))
        return ERR_OK;
    return server_settings_hint_kafka(pair, walk->diag);
}

enum err server_settings_kafka_apply(struct server_settings *settings,
                                     const struct server_conf_value *map, struct diag *diag)
{
    struct walk walk = {.settings = settings, .diag = diag};
    if (map->type != SERVER_CONF_MAP)
        return server_conf_complain(diag, &map->place, "kafka is a map: kafka { ... }");
    for (const struct server_conf_pair *pair = map->pairs; pair; pair = pair->next) {
        enum err err = apply_pair(&walk, pair);
        if (err)
            return err;
    }
    const struct broker_settings *broker = &settings->broker;
    if (broker->group_min_session_timeout_ms > broker->group_max_session_timeout_ms)
        return server_conf_complain(
            diag, &map->place,
            "group.min.session.timeout.ms is greater than group.max.session.timeout.ms");
    struct diag why = {""};
    if (broker_group_settings_check(broker, &why) != ERR_OK)
        return server_conf_complain(diag, &map->place, "%s", why.text);
    return ERR_OK;
}

// Checks settings against their table and keeps them as typed values.
// SPDX-License-Identifier: Apache-2.0
#include "broker/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

/* Every word that a setting of kind TEXT or LIST may have. Values point here, so nobody owns them.
 */
static const char *const config_words[] = {
    "CreateTime",
    "LogAppendTime",
    "async",
    "compact",
    "compact,delete",
    "delete",
    "delete,compact",
    "fsync",
    "gzip",
    "lz4",
    "producer",
    "snappy",
    "uncompressed",
    "zstd",
    /* of consumer groups */
    "bidirectional",
    "disabled",
    "downgrade",
    "range",
    "range,uniform",
    "read_committed",
    "read_uncommitted",
    "uniform",
    "uniform,range",
    "upgrade",
};

const char *broker_config_word(struct slice text)
{
    for (unsigned i = 0; i < COUNT_OF(config_words); i++) {
        if (slice_equal_text(text, config_words[i]))
            return config_words[i];
    }
    return NULL;
}

const struct config_rule *broker_config_find(struct config_rules rules, struct slice name)
{
    for (unsigned i = 0; i < rules.count; i++) {
        if (slice_equal_text(name, rules.rules[i].name))
            return &rules.rules[i];
    }
    return NULL;
}

const char *broker_config_name_at(struct config_rules rules, size_t offset)
{
    for (unsigned i = 0; i < rules.count; i++)
        if (rules.rules[i].offset == offset)
            return rules.rules[i].name;
    CHECK(false);
    return NULL;
}

static struct slice config_trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_make(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool config_has_word(const char *words, struct slice text)
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

static enum err config_number(const struct config_rule *rule, struct slice text, void *field,
                              struct diag *diag)
{
    int64_t number;
    int shown = (int)MIN(text.size, 64);
    if (!text_parse_i64(text, &number)) {
        diag_set(diag, "%s: '%.*s' is not a whole number", rule->name, shown,
                 (const char *)text.data);
        return ERR_INVALID;
    }
    if (number < rule->min || number > rule->max) {
        if (rule->min == rule->max)
            diag_set(diag, "%s: only %" PRId64 " is possible, not %" PRId64, rule->name, rule->min,
                     number);
        else
            diag_set(diag, "%s: %" PRId64 " is not between %" PRId64 " and %" PRId64, rule->name,
                     number, rule->min, rule->max);
        return ERR_INVALID;
    }
    if (number == 0 && strcmp(rule->name, "compression.gzip.level") == 0) {
        diag_set(diag, "%s: 0 is not between 1 and 9, nor -1", rule->name);
        return ERR_INVALID;
    }
    if (rule->type == CONFIG_TYPE_LONG)
        *(int64_t *)field = number;
    else
        *(int32_t *)field = (int32_t)number;
    return ERR_OK;
}

static enum err config_double(const struct config_rule *rule, struct slice text, double *field,
                              struct diag *diag)
{
    double number;
    if (!text_parse_double(text, &number)) {
        diag_set(diag, "%s: '%.*s' is not a number", rule->name, (int)MIN(text.size, 64),
                 (const char *)text.data);
        return ERR_INVALID;
    }
    bool is_bounded = rule->max != INT64_MAX;
    if (number < (double)rule->min || (is_bounded && number > (double)rule->max)) {
        diag_set(diag, "%s: %.*s is not between %" PRId64 " and %" PRId64, rule->name,
                 (int)MIN(text.size, 64), (const char *)text.data, rule->min, rule->max);
        return ERR_INVALID;
    }
    *field = number;
    return ERR_OK;
}

static enum err config_text(const struct config_rule *rule, struct slice text, void *field,
                            struct diag *diag)
{
    const char *word = config_has_word(rule->words, text) ? broker_config_word(text) : NULL;
    if (!word) {
        diag_set(diag, "%s: '%.*s' is none of %s", rule->name, (int)MIN(text.size, 64),
                 (const char *)text.data, rule->words);
        return ERR_INVALID;
    }
    *(const char **)field = word;
    return ERR_OK;
}

/* Cuts the part before the next comma off *rest. */
static struct slice config_list_next(struct slice *rest)
{
    const uint8_t *comma = memchr(rest->data, ',', rest->size);
    struct slice part = slice_make(rest->data, comma ? (size_t)(comma - rest->data) : rest->size);
    size_t used = part.size + (comma ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->size - used);
    return config_trim(part);
}

struct list_change {
    struct slice list;
    struct slice more;
    struct slice less;
};

static bool config_list_has(struct slice list, struct slice part)
{
    while (list.size > 0) {
        if (slice_equal(config_list_next(&list), part))
            return true;
    }
    return false;
}

static enum err config_list_add(const struct config_rule *rule, struct slice parts,
                                struct slice less, struct text *made, struct diag *diag)
{
    const char *word;
    while (parts.size > 0) {
        struct slice part = config_list_next(&parts);
        enum err err = config_text(rule, part, &word, diag);
        if (err)
            return err;
        if (config_list_has(text_slice(made), part) || config_list_has(less, part))
            continue;
        text_add_text(made, made->size > 0 ? "," : "");
        text_add(made, part);
    }
    return ERR_OK;
}

static enum err config_reset(const struct config_rule *rule, struct slice text, int64_t *field,
                             struct diag *diag)
{
    if (broker_config_reset_parse(text, field))
        return ERR_OK;
    diag_set(diag, "%s: '%.*s' is none of earliest, latest and by_duration:PnDTnHnMn.nS",
             rule->name, (int)MIN(text.size, 64), (const char *)text.data);
    return ERR_INVALID;
}

/* The parts of list and more, each once, but for those of less. Each list that a setting can have
 * is a word of its table. */
static enum err config_list_make(const struct config_rule *rule, const struct list_change *change,
                                 void *field, struct diag *diag)
{
    struct text made;
    text_init(&made);
    enum err err = config_list_add(rule, change->list, change->less, &made, diag);
    if (!err)
        err = config_list_add(rule, change->more, change->less, &made, diag);
    if (!err && made.failed)
        err = ERR_NO_MEMORY;
    if (!err)
        err = config_text(rule, text_slice(&made), field, diag);
    text_deinit(&made);
    return err;
}

enum err broker_config_parse(const struct config_rule *rule, struct slice text, void *object,
                             struct diag *diag)
{
    void *field = (char *)object + rule->offset;
    bool truth;
    text = config_trim(text);
    if (text.size > CONFIG_TEXT_SIZE_MAX) {
        diag_set(diag, "%s: the value is longer than %d bytes", rule->name, CONFIG_TEXT_SIZE_MAX);
        return ERR_INVALID;
    }
    switch (rule->type) {
    case CONFIG_TYPE_BOOL:
        if (!text_parse_bool(text, &truth)) {
            diag_set(diag, "%s: '%.*s' is neither true nor false", rule->name,
                     (int)MIN(text.size, 64), (const char *)text.data);
            return ERR_INVALID;
        }
        *(bool *)field = truth;
        return ERR_OK;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_LONG:
        return config_number(rule, text, field, diag);
    case CONFIG_TYPE_LIST:
        return config_list_make(rule, &(struct list_change){.more = text}, field, diag);
    case CONFIG_TYPE_TEXT:
        return config_text(rule, text, field, diag);
    case CONFIG_TYPE_DOUBLE:
        return config_double(rule, text, field, diag);
    case CONFIG_TYPE_RESET:
        return config_reset(rule, text, field, diag);
    }
    CHECK(false);
    return ERR_INVALID;
}

/* As Java writes a double, by the fewest digits that tell it from others. */
static const char *config_double_text(double number, char buffer[CONFIG_VALUE_SIZE])
{
    int digits = 0;
    do
        (void)snprintf(buffer, CONFIG_VALUE_SIZE, "%.*e", digits, number);
    while (strtod(buffer, NULL) != number && digits++ < 17);
    const char *mark = strchr(buffer, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10);
    if (number == 0 || (exponent >= -3 && exponent < 7)) {
        (void)snprintf(buffer, CONFIG_VALUE_SIZE, "%.*f", MAX(digits - exponent, 1), number);
        return buffer;
    }
    (void)snprintf(buffer, CONFIG_VALUE_SIZE, "%.*e", MAX(digits, 1), number);
    char *end = strchr(buffer, 'e');
    (void)snprintf(end, (size_t)(buffer + CONFIG_VALUE_SIZE - end), "E%d", exponent);
    return buffer;
}

const char *broker_config_text(const struct config_rule *rule, const void *object,
                               char buffer[CONFIG_VALUE_SIZE])
{
    const void *field = (const char *)object + rule->offset;
    switch (rule->type) {
    case CONFIG_TYPE_BOOL:
        return *(const bool *)field ? "true" : "false";
    case CONFIG_TYPE_INT:
        (void)snprintf(buffer, CONFIG_VALUE_SIZE, "%" PRId32, *(const int32_t *)field);
        return buffer;
    case CONFIG_TYPE_LONG:
        (void)snprintf(buffer, CONFIG_VALUE_SIZE, "%" PRId64, *(const int64_t *)field);
        return buffer;
    case CONFIG_TYPE_DOUBLE:
        return config_double_text(*(const double *)field, buffer);
    case CONFIG_TYPE_RESET:
        return broker_config_reset_text(*(const int64_t *)field, buffer);
    default:
        return *(const char *const *)field;
    }
}

static size_t config_size(const struct config_rule *rule)
{
    switch (rule->type) {
    case CONFIG_TYPE_BOOL:
        return sizeof(bool);
    case CONFIG_TYPE_INT:
        return sizeof(int32_t);
    case CONFIG_TYPE_LONG:
    case CONFIG_TYPE_RESET:
        return sizeof(int64_t);
    case CONFIG_TYPE_DOUBLE:
        return sizeof(double);
    default:
        return sizeof(const char *);
    }
}

void broker_config_copy(const struct config_rule *rule, void *to, const void *from,
                        size_t from_offset)
{
    memcpy((char *)to + rule->offset, (const char *)from + from_offset, config_size(rule));
}

size_t broker_config_set_count(config_set set)
{
    return (size_t)__builtin_popcountll((uint64_t)set) +
           (size_t)__builtin_popcountll((uint64_t)(set >> 64));
}

bool broker_config_equal(const struct config_rule *rule, const void *a, const void *b)
{
    char text_a[CONFIG_VALUE_SIZE];
    char text_b[CONFIG_VALUE_SIZE];
    return strcmp(broker_config_text(rule, a, text_a), broker_config_text(rule, b, text_b)) == 0;
}

static enum err config_list_change(struct config_layer *layer, const struct config_rule *rule,
                                   const struct broker_setting_change *change, struct diag *diag)
{
    config_set bit = (config_set)1 << (rule - layer->rules.rules);
    const void *now = *layer->set & bit ? layer->values : layer->effective;
    char buffer[CONFIG_VALUE_SIZE];
    if (rule->type != CONFIG_TYPE_LIST) {
        diag_set(diag, "%s is no list that could be appended to or subtracted from", rule->name);
        return ERR_INVALID;
    }
    if (change->value.size > CONFIG_TEXT_SIZE_MAX) {
        diag_set(diag, "%s: the value is longer than %d bytes", rule->name, CONFIG_TEXT_SIZE_MAX);
        return ERR_INVALID;
    }
    struct list_change list = {.list = slice_text(broker_config_text(rule, now, buffer))};
    const char *made;
    if (change->op == BROKER_SETTING_APPEND)
        list.more = change->value;
    else
        list.less = change->value;
    enum err err = config_list_make(rule, &list, &made, diag);
    if (err || slice_equal_text(list.list, made))
        return err;
    *(const char **)((char *)layer->values + rule->offset) = made;
    *layer->set |= bit;
    return ERR_OK;
}

enum err broker_config_change(struct config_layer *layer,
                              const struct broker_setting_change *change, struct diag *diag)
{
    const struct config_rule *rule = broker_config_find(layer->rules, change->name);
    if (!rule && change->op == BROKER_SETTING_DELETE)
        return ERR_OK; /* it is not set, as Kafka sees it */
    if (!rule) {
        diag_set(diag, "%.*s: not a setting that is implemented", (int)MIN(change->name.size, 249),
                 (const char *)change->name.data);
        return ERR_INVALID;
    }
    if (layer->dynamic_only && !rule->dynamic) {
        diag_set(diag, "%s cannot be changed while the server runs", rule->name);
        layer->is_fixed = true;
        return ERR_INVALID;
    }
    config_set bit = (config_set)1 << (rule - layer->rules.rules);
    if (change->op == BROKER_SETTING_DELETE ||
        (change->op == BROKER_SETTING_SET && !change->value.data)) {
        *layer->set &= ~bit;
        return ERR_OK;
    }
    if (change->op != BROKER_SETTING_SET)
        return config_list_change(layer, rule, change, diag);
    enum err err = broker_config_parse(rule, change->value, layer->values, diag);
    if (!err)
        *layer->set |= bit;
    return err;
}

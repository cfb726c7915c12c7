// Checks settings against their table and keeps them as typed values.
// SPDX-License-Identifier: Apache-2.0
#include "broker/config.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"

/* Every word that a setting of kind TEXT or LIST may have. Values point here, so nobody owns them.
 */
static const char *const config_words[] = {
    "CreateTime",
    "LogAppendTime",
    "async",
    "delete",
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

static enum err config_text(const struct config_rule *rule, struct slice text, void *field,
                            struct diag *diag)
{
    const char *word = config_has_word(rule->words, text) ? broker_config_word(text) : NULL;
    if (!word) {
        const char *why =
            slice_equal_text(text, "compact") ? " (compaction is not implemented)" : "";
        diag_set(diag, "%s: '%.*s' is none of %s%s", rule->name, (int)MIN(text.size, 64),
                 (const char *)text.data, rule->words, why);
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

/* So far a list has one word at most: the one it may have. */
static enum err config_list(const struct config_rule *rule, struct slice text, void *field,
                            struct diag *diag)
{
    struct slice rest = text;
    const char *word = NULL;
    do {
        struct slice part = rest.size > 0 ? config_list_next(&rest) : rest;
        enum err err = config_text(rule, part, &word, diag);
        if (err)
            return err;
    } while (rest.size > 0);
    *(const char **)field = word;
    return ERR_OK;
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
        return config_list(rule, text, field, diag);
    case CONFIG_TYPE_TEXT:
        return config_text(rule, text, field, diag);
    case CONFIG_TYPE_DOUBLE:
        break;
    }
    CHECK(false);
    return ERR_INVALID;
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
        return sizeof(int64_t);
    default:
        return sizeof(const char *);
    }
}

void broker_config_copy(const struct config_rule *rule, void *to, const void *from,
                        size_t from_offset)
{
    memcpy((char *)to + rule->offset, (const char *)from + from_offset, config_size(rule));
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
    uint64_t bit = (uint64_t)1 << (rule - layer->rules.rules);
    const void *now = *layer->set & bit ? layer->values : layer->effective;
    struct slice rest = change->value;
    char buffer[CONFIG_VALUE_SIZE];
    if (rule->type != CONFIG_TYPE_LIST) {
        diag_set(diag, "%s is no list that could be appended to or subtracted from", rule->name);
        return ERR_INVALID;
    }
    struct slice old = slice_text(broker_config_text(rule, now, buffer));
    if (change->op == BROKER_SETTING_APPEND) {
        enum err err = broker_config_parse(rule, change->value, layer->values, diag);
        if (!err)
            *layer->set |= bit;
        return err;
    }
    while (rest.size > 0) {
        if (slice_equal(config_list_next(&rest), old)) {
            diag_set(diag, "%s: nothing would be left; it is one of %s", rule->name, rule->words);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

enum err broker_config_change(struct config_layer *layer,
                              const struct broker_setting_change *change, struct diag *diag)
{
    const struct config_rule *rule = broker_config_find(layer->rules, change->name);
    if (!rule) {
        diag_set(diag, "%.*s: not a setting that is implemented", (int)MIN(change->name.size, 249),
                 (const char *)change->name.data);
        return ERR_INVALID;
    }
    if (layer->dynamic_only && !rule->dynamic) {
        diag_set(diag, "%s cannot be changed while the server runs", rule->name);
        return ERR_INVALID;
    }
    uint64_t bit = (uint64_t)1 << (rule - layer->rules.rules);
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

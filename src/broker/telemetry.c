// Tables of subscriptions, and what is told about them.
// SPDX-License-Identifier: Apache-2.0
#include "broker/telemetry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/config.h"
#include "broker/telemetry_state.h"

struct telemetry_table *broker_telemetry_table_ref(struct telemetry_table *table)
{
    if (table)
        atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void broker_telemetry_table_unref(struct telemetry_table *table)
{
    if (table && atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) == 1)
        free(table);
}

static size_t rule_size(const struct broker_telemetry_rule *rule)
{
    return sizeof(*rule) + rule->name.size + rule->metrics.size + rule->match.size;
}

static struct slice copy_to(uint8_t **at, struct slice bytes)
{
    uint8_t *to = *at;
    if (bytes.size > 0)
        memcpy(to, bytes.data, bytes.size);
    *at += bytes.size;
    return slice_make(to, bytes.size);
}

static void table_add(struct telemetry_table *table, const struct broker_telemetry_rule *rule,
                      uint8_t **at)
{
    struct broker_telemetry_rule *copy = &table->rules[table->count++];
    *copy = *rule;
    copy->name = copy_to(at, rule->name);
    copy->metrics = copy_to(at, rule->metrics);
    copy->match = copy_to(at, rule->match);
}

enum err broker_telemetry_table_put(const struct telemetry_table *old,
                                    const struct broker_telemetry_rule *rule,
                                    struct telemetry_table **out)
{
    size_t size = sizeof(struct telemetry_table) + rule_size(rule);
    size_t old_count = old ? old->count : 0;
    for (size_t i = 0; i < old_count; i++)
        size += rule_size(&old->rules[i]);
    struct telemetry_table *table = calloc(1, size);
    if (!table)
        return ERR_NO_MEMORY;
    atomic_init(&table->refs, 1);
    uint8_t *at = (uint8_t *)&table->rules[old_count + 1];
    for (size_t i = 0; i < old_count; i++)
        if (!slice_equal(old->rules[i].name, rule->name))
            table_add(table, &old->rules[i], &at);
    if (rule->set)
        table_add(table, rule, &at);
    enum err err = table->count > BROKER_TELEMETRY_RULES_MAX ? ERR_LIMIT : ERR_OK;
    if (err || table->count == 0) {
        free(table);
        table = NULL;
    }
    *out = table;
    return err;
}

const struct broker_telemetry_rule *broker_telemetry_next(struct core *core, size_t *position)
{
    const struct telemetry_table *table = broker_core(core)->telemetry;
    return table && *position < table->count ? &table->rules[(*position)++] : NULL;
}

const struct broker_telemetry_rule *broker_telemetry_find(struct core *core, struct slice name)
{
    const struct broker_telemetry_rule *rule;
    size_t position = 0;
    while ((rule = broker_telemetry_next(core, &position)))
        if (slice_equal(rule->name, name))
            return rule;
    return NULL;
}

/* --- description ------------------------------------------------------------------------------ */

struct telling {
    config_entry_fn fn;
    void *arg;
    unsigned set;
};

static void tell(const struct telling *telling, enum telemetry_setting setting, const char *value)
{
    static const struct {
        const char *name;
        const char *value;
        enum config_type type;
        const char *doc;
    } all[TELEMETRY_COUNT] = {
        {"interval.ms", "300000", CONFIG_TYPE_INT, "How often clients push, in milliseconds."},
        {"metrics", "", CONFIG_TYPE_LIST, "Prefixes of the metrics that are pushed; *: all."},
        {"match", "", CONFIG_TYPE_LIST, "Which clients push: key=pattern, all of which must fit."},
    };
    bool is_set = telling->set & 1u << setting;
    struct config_entry entry = {
        .name = all[setting].name,
        .value = value,
        .source = is_set ? CONFIG_SOURCE_METRICS : CONFIG_SOURCE_DEFAULT,
        .type = all[setting].type,
        .doc = all[setting].doc,
    };
    if (is_set)
        entry.synonyms[entry.synonym_count++] =
            (struct config_synonym){entry.name, value, CONFIG_SOURCE_METRICS};
    entry.synonyms[entry.synonym_count++] =
        (struct config_synonym){entry.name, all[setting].value, CONFIG_SOURCE_DEFAULT};
    telling->fn(telling->arg, &entry);
}

static void tell_text(const struct telling *telling, enum telemetry_setting setting,
                      struct slice value)
{
    char text[CONFIG_TEXT_SIZE_MAX + 1];
    CHECK(value.size < sizeof(text));
    if (value.size > 0)
        memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    tell(telling, setting, text);
}

void broker_telemetry_each(struct core *core, struct slice name, config_entry_fn fn, void *arg)
{
    static const struct broker_telemetry_rule defaults = {.interval_ms =
                                                              BROKER_TELEMETRY_INTERVAL_MS};
    const struct broker_telemetry_rule *rule = broker_telemetry_find(core, name);
    char number[CONFIG_VALUE_SIZE];
    if (!rule)
        rule = &defaults;
    struct telling telling = {.fn = fn, .arg = arg, .set = rule->set};
    (void)snprintf(number, sizeof(number), "%" PRId32, rule->interval_ms);
    tell(&telling, TELEMETRY_INTERVAL, number);
    tell_text(&telling, TELEMETRY_METRICS, rule->metrics);
    tell_text(&telling, TELEMETRY_MATCH, rule->match);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Every core's view at once: no loop runs yet. */
enum err broker_telemetry_load(struct broker *broker, struct slice key, struct slice value)
{
    struct broker_core *here = &broker->cores[0];
    struct telemetry_table *table;
    struct broker_telemetry_rule rule = {
        .name = slice_make(key.data + sizeof(FACT_TELEMETRY_PREFIX) - 1,
                           key.size - (sizeof(FACT_TELEMETRY_PREFIX) - 1))};
    enum err err = broker_telemetry_facts_decode(value, &rule);
    if (!err &&
        (rule.metrics.size > CONFIG_TEXT_SIZE_MAX || rule.match.size > CONFIG_TEXT_SIZE_MAX))
        err = ERR_CORRUPT;
    if (!err)
        err = broker_telemetry_table_put(here->telemetry, &rule, &table);
    if (err)
        return err;
    broker_telemetry_table_unref(here->telemetry);
    here->telemetry = table;
    return ERR_OK;
}

void broker_telemetry_loaded(struct broker *broker)
{
    for (unsigned i = 1; i < broker->core_count; i++)
        broker->cores[i].telemetry = broker_telemetry_table_ref(broker->cores[0].telemetry);
}

void broker_telemetry_close(struct broker *broker)
{
    for (unsigned i = 0; i < broker->core_count; i++) {
        broker_telemetry_table_unref(broker->cores[i].telemetry);
        broker->cores[i].telemetry = NULL;
    }
    broker_telemetry_push_close(broker);
}

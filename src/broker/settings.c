// The broker's settings: defaults, the layers above the file, and what is told about them.
// SPDX-License-Identifier: Apache-2.0
#include "broker/settings.h"

#include <stdlib.h>

#include "broker/state.h"

#define LIMITS_BOOL(low, high)   .min = low, .max = high
#define LIMITS_INT(low, high)    .min = low, .max = high
#define LIMITS_LONG(low, high)   .min = low, .max = high
#define LIMITS_DOUBLE(low, high) .min = low, .max = high
#define LIMITS_TEXT(low, high)   .words = low
#define LIMITS_LIST(low, high)   .words = low

static const struct config_rule settings_rules[] = {
#define SETTING(kind, field_name, text, value, low, high, is_dynamic, words_for_people)            \
    {.name = text,                                                                                 \
     .type = CONFIG_TYPE_##kind,                                                                   \
     .dynamic = is_dynamic,                                                                        \
     .offset = offsetof(struct broker_settings, field_name),                                       \
     LIMITS_##kind(low, high),                                                                     \
     .doc = words_for_people},
#include "broker/settings.def"
#undef SETTING
};
_Static_assert(COUNT_OF(settings_rules) <= CONFIG_RULES_MAX, "config_set has no room for all");

void broker_settings_init(struct broker_settings *settings)
{
    *settings = (struct broker_settings){
#define SETTING(kind, field, name, value, min, max, dynamic, doc) .field = value,
#include "broker/settings.def"
#undef SETTING
    };
}

struct config_rules broker_settings_rules(void)
{
    return (struct config_rules){settings_rules, COUNT_OF(settings_rules)};
}

const struct broker_settings *broker_settings_now(struct core *core)
{
    return &broker_core(core)->settings->values;
}

/* --- versions --------------------------------------------------------------------------------- */

enum err broker_settings_version_new(const struct broker_settings *file,
                                     struct settings_version **out)
{
    struct settings_version *version = calloc(1, sizeof(*version));
    if (!version)
        return ERR_NO_MEMORY;
    atomic_init(&version->refs, 1);
    version->file = *file;
    for (unsigned i = 0; i < COUNT_OF(settings_rules); i++) {
        const struct config_rule *rule = &settings_rules[i];
        char buffer[CONFIG_VALUE_SIZE];
        if (rule->type != CONFIG_TYPE_TEXT && rule->type != CONFIG_TYPE_LIST)
            continue;
        const char *text = broker_config_text(rule, file, buffer);
        const char *word = text ? broker_config_word(slice_text(text)) : NULL;
        if (!word) {
            free(version);
            return ERR_INVALID;
        }
        *(const char **)((char *)&version->file + rule->offset) = word;
    }
    version->cluster = version->file;
    version->node = version->file;
    broker_settings_version_resolve(version);
    *out = version;
    return ERR_OK;
}

struct settings_version *broker_settings_version_copy(const struct settings_version *version)
{
    struct settings_version *copy = malloc(sizeof(*copy));
    if (!copy)
        return NULL;
    memcpy(copy, version, sizeof(*copy));
    atomic_init(&copy->refs, 1);
    copy->generation++;
    return copy;
}

void broker_settings_version_resolve(struct settings_version *version)
{
    version->values = version->file;
    for (unsigned i = 0; i < COUNT_OF(settings_rules); i++) {
        const struct config_rule *rule = &settings_rules[i];
        config_set bit = (config_set)1 << i;
        if (version->node_set & bit)
            broker_config_copy(rule, &version->values, &version->node, rule->offset);
        else if (version->cluster_set & bit)
            broker_config_copy(rule, &version->values, &version->cluster, rule->offset);
    }
}

struct settings_version *broker_settings_version_ref(struct settings_version *version)
{
    atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed);
    return version;
}

void broker_settings_version_unref(struct settings_version *version)
{
    if (version && atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel) == 1)
        free(version);
}

/* --- description ------------------------------------------------------------------------------ */

/* Texts of the synonyms of one entry. */
struct description {
    struct config_entry entry;
    char texts[CONFIG_SYNONYMS_MAX][CONFIG_VALUE_SIZE];
};

static void settings_add(struct description *d, const struct config_rule *rule, const void *values,
                         enum config_source source)
{
    unsigned at = d->entry.synonym_count;
    CHECK(at < CONFIG_SYNONYMS_MAX);
    d->entry.synonyms[at].name = rule->name;
    d->entry.synonyms[at].value = broker_config_text(rule, values, d->texts[at]);
    d->entry.synonyms[at].source = source;
    d->entry.synonym_count++;
}

/* The places that give a broker setting its value, the strongest first. */
static void settings_add_layers(struct description *d, const struct settings_version *version,
                                const struct broker_settings *defaults, unsigned rule_index)
{
    const struct config_rule *rule = &settings_rules[rule_index];
    config_set bit = (config_set)1 << rule_index;
    if (version->node_set & bit)
        settings_add(d, rule, &version->node, CONFIG_SOURCE_BROKER_DYNAMIC);
    if (version->cluster_set & bit)
        settings_add(d, rule, &version->cluster, CONFIG_SOURCE_DEFAULT_BROKER_DYNAMIC);
    if (!broker_config_equal(rule, &version->file, defaults))
        settings_add(d, rule, &version->file, CONFIG_SOURCE_BROKER_STATIC);
    settings_add(d, rule, defaults, CONFIG_SOURCE_DEFAULT);
}

void broker_settings_each(struct core *core, bool cluster, config_entry_fn fn, void *arg)
{
    const struct settings_version *version = broker_core(core)->settings;
    struct broker_settings defaults;
    broker_settings_init(&defaults);
    for (unsigned i = 0; i < COUNT_OF(settings_rules); i++) {
        const struct config_rule *rule = &settings_rules[i];
        struct description d;
        if (cluster && !(version->cluster_set & (config_set)1 << i))
            continue;
        memset(&d, 0, sizeof(d));
        if (cluster)
            settings_add(&d, rule, &version->cluster, CONFIG_SOURCE_DEFAULT_BROKER_DYNAMIC);
        else
            settings_add_layers(&d, version, &defaults, i);
        d.entry.name = rule->name;
        d.entry.value = d.entry.synonyms[0].value;
        d.entry.source = d.entry.synonyms[0].source;
        d.entry.type = rule->type;
        d.entry.read_only = !rule->dynamic;
        d.entry.doc = rule->doc;
        fn(arg, &d.entry);
    }
}

static unsigned settings_index_of(size_t offset)
{
    for (unsigned i = 0; i < COUNT_OF(settings_rules); i++) {
        if (settings_rules[i].offset == offset)
            return i;
    }
    CHECK(false);
    return 0;
}

void broker_settings_synonyms(struct core *core, const struct config_own *own, config_entry_fn fn,
                              void *arg)
{
    const struct config_rule *rule = own->rule;
    struct description d;
    struct broker_settings defaults;
    broker_settings_init(&defaults);
    memset(&d, 0, sizeof(d));
    if (own->values)
        settings_add(&d, rule, own->values, own->source);
    if (rule->synonym == CONFIG_SYNONYM_NONE)
        settings_add(&d, rule, own->defaults, CONFIG_SOURCE_DEFAULT);
    else
        settings_add_layers(&d, broker_core(core)->settings, &defaults,
                            settings_index_of(rule->synonym));
    d.entry.name = rule->name;
    d.entry.value = d.entry.synonyms[0].value;
    d.entry.source = d.entry.synonyms[0].source;
    d.entry.type = rule->type;
    d.entry.doc = rule->doc;
    fn(arg, &d.entry);
}

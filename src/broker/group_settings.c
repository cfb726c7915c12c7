// Settings of single groups: their table, what is in force, and what is told about them.
// SPDX-License-Identifier: Apache-2.0
#include "broker/group_settings.h"

#include "broker/group_settings_state.h"

#define LIMITS_BOOL(low, high)  .min = low, .max = high
#define LIMITS_RESET(low, high) .min = low, .max = high
#define LIMITS_TEXT(low, high)  .words = low

static const struct config_rule group_rules[] = {
#define GROUP_LIMITED(field, text, same, least, most, low, words_for_people)                       \
    {.name = text,                                                                                 \
     .type = CONFIG_TYPE_INT,                                                                      \
     .dynamic = true,                                                                              \
     .offset = offsetof(struct broker_group_settings, field),                                      \
     .synonym = offsetof(struct broker_settings, same),                                            \
     .min = low,                                                                                   \
     .max = INT32_MAX,                                                                             \
     .doc = words_for_people},
#define GROUP_OWN(kind, field, text, value, low, high, words_for_people)                           \
    {.name = text,                                                                                 \
     .type = CONFIG_TYPE_##kind,                                                                   \
     .dynamic = true,                                                                              \
     .offset = offsetof(struct broker_group_settings, field),                                      \
     .synonym = CONFIG_SYNONYM_NONE,                                                               \
     LIMITS_##kind(low, high),                                                                     \
     .doc = words_for_people},
#include "broker/group_settings.def"
#undef GROUP_LIMITED
#undef GROUP_OWN
};

/* Between which of the broker's values those of a group lie. */
struct group_limit {
    size_t least; /* offsets in struct broker_settings */
    size_t most;
    bool is_there;
};

static const struct group_limit group_limits[] = {
#define GROUP_LIMITED(field, text, same, low, high, min, doc)                                      \
    {offsetof(struct broker_settings, low), offsetof(struct broker_settings, high), true},
#define GROUP_OWN(kind, field, text, value, min, max, doc) {.is_there = false},
#include "broker/group_settings.def"
#undef GROUP_LIMITED
#undef GROUP_OWN
};
_Static_assert(COUNT_OF(group_rules) == COUNT_OF(group_limits), "one for each");

struct config_rules broker_group_settings_rules(void)
{
    return (struct config_rules){group_rules, COUNT_OF(group_rules)};
}

void broker_group_settings_base(const struct broker_settings *settings,
                                struct broker_group_settings *out)
{
    *out = (struct broker_group_settings){
#define GROUP_LIMITED(field, name, same, least, most, min, doc) .field = settings->same,
#define GROUP_OWN(kind, field, name, value, min, max, doc)      .field = value,
#include "broker/group_settings.def"
#undef GROUP_LIMITED
#undef GROUP_OWN
    };
}

static int32_t number_at(const void *object, size_t offset)
{
    return *(const int32_t *)(const void *)((const char *)object + offset);
}

/* What was set may lie beyond limits that the broker was given since. */
static void rule_apply(const struct group_rule *rule, const struct broker_settings *settings,
                       struct broker_group_settings *out)
{
    for (unsigned i = 0; i < COUNT_OF(group_rules); i++) {
        const struct group_limit *limit = &group_limits[i];
        size_t offset = group_rules[i].offset;
        if (!(rule->set & (config_set)1 << i))
            continue;
        broker_config_copy(&group_rules[i], out, &rule->values, offset);
        if (!limit->is_there)
            continue;
        int32_t *number = (int32_t *)(void *)((char *)out + offset);
        *number = MIN(*number, number_at(settings, limit->most));
        *number = MAX(*number, number_at(settings, limit->least));
    }
}

void broker_group_settings_get(struct core *core, struct slice group_id,
                               struct broker_group_settings *out)
{
    const struct broker_settings *settings = broker_settings_now(core);
    const struct group_rule *rule = broker_group_settings_find(core, group_id);
    broker_group_settings_base(settings, out);
    if (rule)
        rule_apply(rule, settings, out);
}

bool broker_group_settings_is_committed(const struct broker_group_settings *settings)
{
    return strcmp(settings->share_isolation_level, "read_committed") == 0;
}

void broker_group_settings_each(struct core *core, struct slice group_id, config_entry_fn fn,
                                void *arg)
{
    const struct group_rule *rule = broker_group_settings_find(core, group_id);
    struct broker_group_settings base;
    broker_group_settings_base(broker_settings_now(core), &base);
    for (unsigned i = 0; i < COUNT_OF(group_rules); i++) {
        struct config_own own = {
            .rule = &group_rules[i], .source = CONFIG_SOURCE_GROUP, .defaults = &base};
        if (rule && rule->set & (config_set)1 << i)
            own.values = &rule->values;
        broker_settings_synonyms(core, &own, fn, arg);
    }
}

/* --- limits ----------------------------------------------------------------------------------- */

static enum err pair_judge(struct diag *diag, const char *session, const char *heartbeat,
                           bool is_good)
{
    if (is_good)
        return ERR_OK;
    diag_set(diag, "%s must be greater than %s", session, heartbeat);
    return ERR_INVALID;
}

enum err broker_group_settings_judge(const struct broker_settings *settings,
                                     const struct group_rule *rule, struct diag *diag)
{
    struct broker_group_settings all;
    struct config_rules table = broker_settings_rules();
    broker_group_settings_base(settings, &all);
    for (unsigned i = 0; i < COUNT_OF(group_rules); i++) {
        const struct group_limit *limit = &group_limits[i];
        if (!(rule->set & (config_set)1 << i))
            continue;
        broker_config_copy(&group_rules[i], &all, &rule->values, group_rules[i].offset);
        if (!limit->is_there)
            continue;
        int32_t number = number_at(&rule->values, group_rules[i].offset);
        bool is_low = number < number_at(settings, limit->least);
        if (!is_low && number <= number_at(settings, limit->most))
            continue;
        diag_set(diag, "%s must be %s than or equal to %s", group_rules[i].name,
                 is_low ? "greater" : "less",
                 broker_config_name_at(table, is_low ? limit->least : limit->most));
        return ERR_INVALID;
    }
    enum err err = pair_judge(diag, "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms",
                              all.consumer_session_timeout_ms > all.consumer_heartbeat_interval_ms);
    return err ? err
               : pair_judge(diag, "share.session.timeout.ms", "share.heartbeat.interval.ms",
                            all.share_session_timeout_ms > all.share_heartbeat_interval_ms);
}

enum err broker_group_settings_check(const struct broker_settings *settings, struct diag *diag)
{
    struct config_rules table = broker_settings_rules();
    for (unsigned i = 0; i < COUNT_OF(group_rules); i++) {
        const struct group_limit *limit = &group_limits[i];
        if (!limit->is_there)
            continue;
        int32_t number = number_at(settings, group_rules[i].synonym);
        bool is_low = number < number_at(settings, limit->least);
        if (!is_low && number <= number_at(settings, limit->most))
            continue;
        diag_set(diag, "%s must be %s than or equal to %s",
                 broker_config_name_at(table, group_rules[i].synonym), is_low ? "greater" : "less",
                 broker_config_name_at(table, is_low ? limit->least : limit->most));
        return ERR_INVALID;
    }
    enum err err = pair_judge(diag, "group.consumer.session.timeout.ms",
                              "group.consumer.heartbeat.interval.ms",
                              settings->group_consumer_session_timeout_ms >
                                  settings->group_consumer_heartbeat_interval_ms);
    return err ? err
               : pair_judge(diag, "group.share.session.timeout.ms",
                            "group.share.heartbeat.interval.ms",
                            settings->group_share_session_timeout_ms >
                                settings->group_share_heartbeat_interval_ms);
}

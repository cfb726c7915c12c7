// Changes of subscriptions: checked, made durable, spread to every core.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/config.h"
#include "broker/owner.h"
#include "broker/telemetry_state.h"

/* No topic has this name. */
#define TELEMETRY_LOCK SLICE_LITERAL("\1client-metrics")

#define INTERVAL_MS_MIN 100
#define INTERVAL_MS_MAX 3600000

struct telemetry_work {
    struct core *core;
    struct broker_settings_alter *alter;
    struct telemetry_table *table;
    struct spread *spread;
    struct broker_telemetry_rule rule;
    struct text lists[TELEMETRY_COUNT]; /* of those that are lists */
    struct text key;
    struct text fact;
};

static void work_free(struct telemetry_work *work)
{
    broker_owner_spread_free(work->spread, broker_core(work->core)->broker->core_count);
    broker_telemetry_table_unref(work->table);
    for (unsigned i = 0; i < TELEMETRY_COUNT; i++)
        text_deinit(&work->lists[i]);
    text_deinit(&work->key);
    text_deinit(&work->fact);
    free(work);
}

static void work_end(struct core *core, struct telemetry_work *work, enum err err)
{
    struct broker_call *call = &work->alter->call;
    work_free(work);
    broker_owner_unlock(core, TELEMETRY_LOCK);
    broker_owner_end(core, call, err);
}

static void spread_here(struct core *core, void *arg)
{
    const struct telemetry_work *work = arg;
    struct broker_core *here = broker_core(core);
    broker_telemetry_table_unref(here->telemetry);
    here->telemetry = broker_telemetry_table_ref(work->table);
}

static void work_is_spread(struct core *core, void *arg)
{
    work_end(core, arg, ERR_OK);
}

static void work_is_stored(void *arg, enum err err)
{
    struct telemetry_work *work = arg;
    if (err) {
        work_end(work->core, work, err);
        return;
    }
    struct spread *spread = work->spread;
    work->spread = NULL;
    spread->apply = spread_here;
    spread->done = work_is_spread;
    spread->arg = work;
    broker_owner_spread(work->core, spread);
}

/* --- what is set ------------------------------------------------------------------------------ */

static bool setting_find(struct slice name, enum telemetry_setting *out)
{
    static const char *const names[TELEMETRY_COUNT] = {"interval.ms", "metrics", "match"};
    for (unsigned i = 0; i < TELEMETRY_COUNT; i++) {
        if (!slice_equal_text(name, names[i]))
            continue;
        *out = (enum telemetry_setting)i;
        return true;
    }
    return false;
}

static struct slice list_next(struct slice *rest)
{
    const uint8_t *comma = rest->size ? memchr(rest->data, ',', rest->size) : NULL;
    struct slice word = slice_make(rest->data, comma ? (size_t)(comma - rest->data) : rest->size);
    size_t used = word.size + (comma ? 1 : 0);
    *rest = slice_make(rest->data + used, rest->size - used);
    return word;
}

static bool list_has(struct slice list, struct slice word)
{
    while (list.size > 0)
        if (slice_equal(list_next(&list), word))
            return true;
    return false;
}

/* Adds the words of from that are not in without. */
static void list_add(struct text *list, struct slice from, struct slice without)
{
    while (from.size > 0) {
        struct slice word = list_next(&from);
        if (word.size == 0 || list_has(without, word))
            continue;
        if (list->size > 0)
            text_add_text(list, ",");
        text_add(list, word);
    }
}

static enum err list_change(struct telemetry_work *work, enum telemetry_setting setting,
                            const struct broker_setting_change *change)
{
    struct diag *diag = &work->alter->call.diag;
    struct slice *value = setting == TELEMETRY_METRICS ? &work->rule.metrics : &work->rule.match;
    struct text next;
    enum err err = ERR_OK;
    text_init(&next);
    if (change->op == BROKER_SETTING_SUBTRACT)
        list_add(&next, *value, change->value);
    else if (change->op == BROKER_SETTING_APPEND)
        list_add(&next, *value, SLICE_NULL);
    if (change->op == BROKER_SETTING_SET)
        list_add(&next, change->value, SLICE_NULL);
    else if (change->op == BROKER_SETTING_APPEND)
        list_add(&next, change->value, *value);
    if (next.failed)
        err = ERR_NO_MEMORY;
    if (!err && next.size > CONFIG_TEXT_SIZE_MAX) {
        diag_set(diag, "a list of more than %d bytes", CONFIG_TEXT_SIZE_MAX);
        err = ERR_INVALID;
    }
    if (!err && setting == TELEMETRY_MATCH)
        err = broker_telemetry_match_check(text_slice(&next), diag);
    if (err) {
        text_deinit(&next);
        return err;
    }
    text_deinit(&work->lists[setting]);
    work->lists[setting] = next;
    *value = text_slice(&next);
    work->rule.set |= 1u << setting;
    return ERR_OK;
}

static void setting_unset(struct telemetry_work *work, enum telemetry_setting setting)
{
    work->rule.set &= ~(1u << setting);
    if (setting == TELEMETRY_INTERVAL)
        work->rule.interval_ms = BROKER_TELEMETRY_INTERVAL_MS;
    else if (setting == TELEMETRY_METRICS)
        work->rule.metrics = SLICE_LITERAL("");
    else
        work->rule.match = SLICE_LITERAL("");
}

static enum err rule_change(struct telemetry_work *work, const struct broker_setting_change *change)
{
    struct diag *diag = &work->alter->call.diag;
    enum telemetry_setting setting;
    int64_t number;
    if (!setting_find(change->name, &setting)) {
        diag_set(diag, "Unknown client metrics configuration: %.*s",
                 (int)MIN(change->name.size, (size_t)64), (const char *)change->name.data);
        work->alter->is_misasked = true;
        return ERR_INVALID;
    }
    if (change->op == BROKER_SETTING_DELETE || !change->value.data) {
        setting_unset(work, setting);
        return ERR_OK;
    }
    if (setting != TELEMETRY_INTERVAL)
        return list_change(work, setting, change);
    bool is_number = change->op == BROKER_SETTING_SET && text_parse_i64(change->value, &number);
    if (!is_number || number < INTERVAL_MS_MIN || number > INTERVAL_MS_MAX) {
        work->alter->is_misasked = is_number;
        diag_set(diag, "interval.ms is a number of %d to %d", INTERVAL_MS_MIN, INTERVAL_MS_MAX);
        return ERR_INVALID;
    }
    work->rule.interval_ms = (int32_t)number;
    work->rule.set |= 1u << TELEMETRY_INTERVAL;
    return ERR_OK;
}

static enum err work_prepare(struct telemetry_work *work)
{
    struct broker_settings_alter *alter = work->alter;
    const struct broker_telemetry_rule *now = broker_telemetry_find(work->core, alter->name);
    if (alter->name.size == 0 || alter->name.size > BROKER_TELEMETRY_NAME_SIZE_MAX) {
        diag_set(&alter->call.diag, "The name of a subscription has 1 to %d bytes",
                 BROKER_TELEMETRY_NAME_SIZE_MAX);
        return ERR_INVALID;
    }
    if (now && !alter->replace_all)
        work->rule = *now;
    else
        for (unsigned i = 0; i < TELEMETRY_COUNT; i++)
            setting_unset(work, (enum telemetry_setting)i);
    work->rule.name = alter->name;
    enum err err = ERR_OK;
    for (size_t i = 0; i < alter->change_count && !err; i++)
        err = rule_change(work, &alter->changes[i]);
    if (!err)
        err = broker_telemetry_table_put(broker_core(work->core)->telemetry, &work->rule,
                                         &work->table);
    if (err)
        return err;
    work->spread = broker_owner_spread_new(work->core, SLICE_NULL);
    text_add_text(&work->key, FACT_TELEMETRY_PREFIX);
    text_add(&work->key, alter->name);
    broker_telemetry_facts_encode(&work->rule, &work->fact);
    return work->spread && !work->key.failed && !work->fact.failed ? ERR_OK : ERR_NO_MEMORY;
}

static void alter_serve(struct core *core, struct broker_call *call)
{
    struct broker_settings_alter *alter = CONTAINER_OF(call, struct broker_settings_alter, call);
    if (!broker_owner_begin(core, call))
        return;
    enum err err = broker_owner_lock(core, TELEMETRY_LOCK, call);
    if (err == ERR_AGAIN)
        return;
    struct telemetry_work *work = err ? NULL : calloc(1, sizeof(*work));
    if (!work) {
        if (!err)
            broker_owner_unlock(core, TELEMETRY_LOCK);
        broker_owner_end(core, call, ERR_NO_MEMORY);
        return;
    }
    work->core = core;
    work->alter = alter;
    err = work_prepare(work);
    if (err || alter->validate_only) {
        work_end(core, work, err);
        return;
    }
    store_fact_put(broker_core(core)->broker->store, text_slice(&work->key),
                   work->rule.set ? text_slice(&work->fact) : SLICE_NULL, work_is_stored, work);
}

void broker_telemetry_alter(struct core *core, struct broker_settings_alter *alter)
{
    alter->call.diag.text[0] = 0;
    broker_call_to_owner(core, &alter->call, alter_serve);
}

// Changes of a group's settings: checked, made durable, spread to every core.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/group_settings_state.h"
#include "broker/owner.h"

/* No topic has this name. */
#define GROUP_LOCK SLICE_LITERAL("\1groups")

struct group_work {
    struct core *core;
    struct broker_settings_alter *alter;
    struct group_rule *rule;
    struct group_table *table;
    struct spread *spread;
    struct text key;
    struct text fact;
};

static void work_end(struct core *core, struct group_work *work, enum err err)
{
    struct broker_call *call = &work->alter->call;
    broker_owner_spread_free(work->spread, broker_core(core)->broker->core_count);
    broker_group_settings_table_unref(work->table);
    broker_group_settings_rule_unref(work->rule);
    text_deinit(&work->key);
    text_deinit(&work->fact);
    free(work);
    broker_owner_unlock(core, GROUP_LOCK);
    broker_owner_end(core, call, err);
}

static void spread_here(struct core *core, void *arg)
{
    const struct group_work *work = arg;
    struct broker_core *here = broker_core(core);
    broker_group_settings_table_unref(here->group_table);
    here->group_table = broker_group_settings_table_ref(work->table);
}

static void work_is_spread(struct core *core, void *arg)
{
    work_end(core, arg, ERR_OK);
}

static void work_is_stored(void *arg, enum err err)
{
    struct group_work *work = arg;
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

static enum err rule_change(struct group_work *work)
{
    struct broker_settings_alter *alter = work->alter;
    struct diag *diag = &alter->call.diag;
    const struct group_rule *now = broker_group_settings_find(work->core, alter->name);
    struct group_rule *rule = work->rule;
    struct broker_group_settings base;
    broker_group_settings_base(broker_settings_now(work->core), &base);
    struct config_layer layer = {.rules = broker_group_settings_rules(),
                                 .set = &rule->set,
                                 .values = &rule->values,
                                 .effective = &base};
    if (now && !alter->replace_all) {
        rule->set = now->set;
        rule->values = now->values;
    }
    enum err err = ERR_OK;
    for (size_t i = 0; i < alter->change_count && !err; i++)
        err = broker_config_change(&layer, &alter->changes[i], diag);
    return err ? err : broker_group_settings_judge(broker_settings_now(work->core), rule, diag);
}

static enum err work_prepare(struct group_work *work)
{
    struct broker_settings_alter *alter = work->alter;
    if (alter->name.size == 0 || alter->name.size > BROKER_GROUP_SETTINGS_NAME_SIZE_MAX) {
        diag_set(&alter->call.diag, "The name of a group has 1 to %d bytes",
                 BROKER_GROUP_SETTINGS_NAME_SIZE_MAX);
        return ERR_INVALID;
    }
    work->rule = broker_group_settings_rule_new(work->core, alter->name);
    enum err err = work->rule ? rule_change(work) : ERR_NO_MEMORY;
    if (!err)
        err = broker_group_settings_table_check(broker_core(work->core)->group_table, work->rule);
    /* One request may name a great many groups: what is refused or only validated copies nothing.
     */
    if (!err && !alter->validate_only)
        err = broker_group_settings_table_put(work->core, broker_core(work->core)->group_table,
                                              work->rule, &work->table);
    if (err || alter->validate_only)
        return err;
    work->spread = broker_owner_spread_new(work->core, SLICE_NULL);
    text_add_text(&work->key, FACT_GROUP_PREFIX);
    text_add(&work->key, alter->name);
    broker_facts_settings_encode(broker_group_settings_rules(), work->rule->set,
                                 &work->rule->values, &work->fact);
    return work->spread && !work->key.failed && !work->fact.failed ? ERR_OK : ERR_NO_MEMORY;
}

static void alter_serve(struct core *core, struct broker_call *call)
{
    struct broker_settings_alter *alter = CONTAINER_OF(call, struct broker_settings_alter, call);
    if (!broker_owner_begin(core, call))
        return;
    enum err err = broker_owner_lock(core, GROUP_LOCK, call);
    if (err == ERR_AGAIN)
        return;
    struct group_work *work = err ? NULL : calloc(1, sizeof(*work));
    if (!work) {
        if (!err)
            broker_owner_unlock(core, GROUP_LOCK);
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
                   work->rule->set ? text_slice(&work->fact) : SLICE_NULL, work_is_stored, work);
}

void broker_group_settings_alter(struct core *core, struct broker_settings_alter *alter)
{
    alter->call.diag.text[0] = 0;
    broker_call_to_owner(core, &alter->call, alter_serve);
}

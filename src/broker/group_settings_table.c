// Tables of groups with settings of their own: copied for each change, looked up by name.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/group_settings_state.h"
#include "broker/owner.h"

struct group_rule *broker_group_settings_rule_new(struct core *core, struct slice name)
{
    struct budget *budget = reactor_budget(core_reactor(core));
    size_t size = sizeof(struct group_rule) + name.size;
    if (!budget_charge(budget, size))
        return NULL;
    struct group_rule *rule = calloc(1, size);
    if (!rule) {
        budget_release(budget, size);
        return NULL;
    }
    atomic_init(&rule->refs, 1);
    rule->budget = budget;
    memcpy(rule->bytes, name.data, name.size);
    rule->name = slice_make(rule->bytes, name.size);
    return rule;
}

void broker_group_settings_rule_unref(struct group_rule *rule)
{
    if (!rule || atomic_fetch_sub_explicit(&rule->refs, 1, memory_order_acq_rel) != 1)
        return;
    budget_release(rule->budget, sizeof(*rule) + rule->name.size);
    free(rule);
}

struct group_table *broker_group_settings_table_ref(struct group_table *table)
{
    if (table)
        atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void broker_group_settings_table_unref(struct group_table *table)
{
    size_t position = 0;
    struct group_rule *rule;
    if (!table || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1)
        return;
    while ((rule = map_next(&table->rules, &position)))
        broker_group_settings_rule_unref(rule);
    map_deinit(&table->rules);
    free(table);
}

static bool table_add(struct group_table *table, struct group_rule *rule)
{
    if (!map_put(&table->rules, rule->name, rule, NULL))
        return false;
    atomic_fetch_add_explicit(&rule->refs, 1, memory_order_relaxed);
    return true;
}

enum err broker_group_settings_table_check(const struct group_table *old,
                                           const struct group_rule *rule)
{
    bool is_more = old && rule->set && !map_get(&old->rules, rule->name);
    return is_more && old->rules.count >= BROKER_GROUP_SETTINGS_MAX ? ERR_LIMIT : ERR_OK;
}

enum err broker_group_settings_table_put(struct core *core, const struct group_table *old,
                                         struct group_rule *rule, struct group_table **out)
{
    struct group_table *table = calloc(1, sizeof(*table));
    size_t position = 0;
    struct group_rule *other;
    if (!table)
        return ERR_NO_MEMORY;
    atomic_init(&table->refs, 1);
    map_init(&table->rules, core_random(core));
    bool is_good = true;
    while (is_good && old && (other = map_next(&old->rules, &position)))
        if (!slice_equal(other->name, rule->name))
            is_good = table_add(table, other);
    if (is_good && rule->set)
        is_good = table_add(table, rule);
    enum err err = is_good ? ERR_OK : ERR_NO_MEMORY;
    if (err || table->rules.count == 0) {
        broker_group_settings_table_unref(table);
        table = NULL;
    }
    if (!err)
        *out = table;
    return err;
}

const struct group_rule *broker_group_settings_find(struct core *core, struct slice name)
{
    const struct group_table *table = broker_core(core)->group_table;
    return table ? map_get(&table->rules, name) : NULL;
}

struct slice broker_group_settings_next(struct core *core, size_t *position)
{
    const struct group_table *table = broker_core(core)->group_table;
    const struct group_rule *rule = table ? map_next(&table->rules, position) : NULL;
    return rule ? rule->name : SLICE_NULL;
}

size_t broker_group_settings_count(struct core *core)
{
    const struct group_table *table = broker_core(core)->group_table;
    return table ? table->rules.count : 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Facts come one by one and no loop runs yet: the table grows in place. */
static enum err load_put(struct broker_core *here, struct group_rule *rule)
{
    if (!here->group_table) {
        here->group_table = calloc(1, sizeof(*here->group_table));
        if (!here->group_table)
            return ERR_NO_MEMORY;
        atomic_init(&here->group_table->refs, 1);
        map_init(&here->group_table->rules, core_random(here->core));
    }
    return table_add(here->group_table, rule) ? ERR_OK : ERR_NO_MEMORY;
}

enum err broker_group_settings_load(struct broker *broker, struct slice key, struct slice value,
                                    struct diag *diag)
{
    struct broker_core *here = &broker->cores[0];
    size_t prefix = sizeof(FACT_GROUP_PREFIX) - 1;
    struct slice name = slice_make(key.data + prefix, key.size - prefix);
    if (name.size == 0 || name.size > BROKER_GROUP_SETTINGS_NAME_SIZE_MAX)
        return ERR_CORRUPT;
    struct group_rule *rule = broker_group_settings_rule_new(here->core, name);
    if (!rule)
        return ERR_NO_MEMORY;
    struct config_layer layer = {.rules = broker_group_settings_rules(),
                                 .set = &rule->set,
                                 .values = &rule->values,
                                 .effective = &rule->values};
    enum err err = broker_facts_settings_decode(value, &layer, diag);
    if (!err)
        err = load_put(here, rule);
    broker_group_settings_rule_unref(rule);
    return err;
}

void broker_group_settings_loaded(struct broker *broker)
{
    for (unsigned i = 1; i < broker->core_count; i++)
        broker->cores[i].group_table =
            broker_group_settings_table_ref(broker->cores[0].group_table);
}

void broker_group_settings_close(struct broker *broker)
{
    for (unsigned i = 0; i < broker->core_count; i++) {
        broker_group_settings_table_unref(broker->cores[i].group_table);
        broker->cores[i].group_table = NULL;
    }
}

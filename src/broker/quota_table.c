// Tables of quota rules: copied for each change, looked up by whom they are for.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "broker/quota_state.h"

static void rule_unref(struct quota_rule *rule)
{
    if (!rule || atomic_fetch_sub_explicit(&rule->refs, 1, memory_order_acq_rel) != 1)
        return;
    budget_release(rule->budget, sizeof(*rule) + rule->key.size);
    free(rule);
}

static struct quota_rule *rule_new(struct core *core, struct slice key)
{
    struct budget *budget = reactor_budget(core_reactor(core));
    if (!budget_charge(budget, sizeof(struct quota_rule) + key.size))
        return NULL;
    struct quota_rule *rule = calloc(1, sizeof(*rule) + key.size);
    if (!rule) {
        budget_release(budget, sizeof(*rule) + key.size);
        return NULL;
    }
    atomic_init(&rule->refs, 1);
    rule->budget = budget;
    memcpy(rule->bytes, key.data, key.size);
    rule->key = slice_make(rule->bytes, key.size);
    CHECK(broker_quota_facts_key_decode(rule->key, &rule->face.entity) == ERR_OK);
    return rule;
}

const struct quota_table *broker_quota_table_ref(const struct quota_table *table)
{
    if (table)
        atomic_fetch_add_explicit(&((struct quota_table *)(uintptr_t)table)->refs, 1,
                                  memory_order_relaxed);
    return table;
}

void broker_quota_table_unref(const struct quota_table *table)
{
    struct quota_table *last = (struct quota_table *)(uintptr_t)table;
    size_t position = 0;
    struct quota_rule *rule;
    if (!table || atomic_fetch_sub_explicit(&last->refs, 1, memory_order_acq_rel) != 1)
        return;
    while ((rule = map_next(&last->rules, &position)))
        rule_unref(rule);
    map_deinit(&last->rules);
    free(last);
}

const struct quota_rule *broker_quota_table_find(const struct quota_table *table,
                                                 const struct broker_quota_entity *entity)
{
    uint8_t key[QUOTA_KEY_SIZE_MAX];
    size_t size = broker_quota_facts_key(entity, key);
    return map_get(&table->rules, slice_make(key, size));
}

static struct quota_table *table_copy(struct core *core, const struct quota_table *old)
{
    struct quota_table *table = calloc(1, sizeof(*table));
    size_t position = 0;
    struct quota_rule *rule;
    if (!table)
        return NULL;
    atomic_init(&table->refs, 1);
    table->generation = core_random(core) | 1; /* never that of another table, nor 0 */
    map_init(&table->rules, core_random(core));
    while (old && (rule = map_next(&old->rules, &position))) {
        if (!map_put(&table->rules, rule->key, rule, NULL)) {
            broker_quota_table_unref(table);
            return NULL;
        }
        atomic_fetch_add_explicit(&rule->refs, 1, memory_order_relaxed);
    }
    return table;
}

static enum err table_apply(struct core *core, struct quota_table *table,
                            const struct broker_quota_change *change)
{
    uint8_t bytes[QUOTA_KEY_SIZE_MAX];
    struct slice key = slice_make(bytes, broker_quota_facts_key(&change->entity, bytes));
    struct quota_rule *rule = rule_new(core, key);
    const struct quota_rule *before = map_get(&table->rules, key);
    void *old = NULL;
    if (!rule)
        return ERR_NO_MEMORY;
    if (before) {
        rule->face.set = before->face.set;
        memcpy(rule->face.limits, before->face.limits, sizeof(rule->face.limits));
    }
    for (size_t i = 0; i < change->op_count; i++) {
        const struct broker_quota_op *op = &change->ops[i];
        rule->face.set &= ~(1u << op->key);
        if (op->remove)
            continue;
        rule->face.set |= 1u << op->key;
        rule->face.limits[op->key] = op->limit;
    }
    /* The old one goes first: its key is the entry's. */
    old = map_remove(&table->rules, key);
    rule_unref(old);
    if (rule->face.set == 0) {
        rule_unref(rule);
        return ERR_OK;
    }
    if (!map_put(&table->rules, rule->key, rule, NULL)) {
        rule_unref(rule);
        return ERR_NO_MEMORY;
    }
    return table->rules.count > BROKER_QUOTA_RULES_MAX ? ERR_LIMIT : ERR_OK;
}

enum err broker_quota_table_load(struct core *core, const struct broker_quota_rule *rule)
{
    struct quota_core *here = broker_quota_core(core);
    struct broker_quota_op ops[BROKER_QUOTA_COUNT];
    struct broker_quota_change change = {.entity = rule->entity, .ops = ops};
    for (unsigned i = 0; i < BROKER_QUOTA_COUNT; i++)
        if (rule->set & 1u << i)
            ops[change.op_count++] =
                (struct broker_quota_op){.key = (enum broker_quota_key)i, .limit = rule->limits[i]};
    struct quota_table *table = (struct quota_table *)(uintptr_t)here->table;
    if (!table)
        here->table = table = table_copy(core, NULL);
    if (!table)
        return ERR_NO_MEMORY;
    table->set |= rule->set;
    return table_apply(core, table, &change);
}

enum err broker_quota_table_change(struct core *core, const struct quota_table *old,
                                   const struct broker_quota_change *changes, size_t count,
                                   struct quota_table **out)
{
    struct quota_table *table = table_copy(core, old);
    enum err err = table ? ERR_OK : ERR_NO_MEMORY;
    size_t position = 0;
    const struct quota_rule *rule;
    for (size_t i = 0; i < count && !err; i++)
        err = table_apply(core, table, &changes[i]);
    if (err) {
        broker_quota_table_unref(table);
        return err;
    }
    while ((rule = map_next(&table->rules, &position)))
        table->set |= rule->face.set;
    if (table->rules.count == 0) {
        broker_quota_table_unref(table);
        table = NULL;
    }
    *out = table;
    return ERR_OK;
}

// Quota rules: checked, made durable, and spread to every core.
// SPDX-License-Identifier: Apache-2.0
#include "broker/quota.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>

#include "broker/owner.h"
#include "broker/quota_state.h"

/* No topic has this name. */
#define QUOTA_LOCK SLICE_LITERAL("\1quota")

/* Facts of one change that are under way together. */
#define QUOTA_FACTS_AT_ONCE 128

struct quota_kind {
    const char *name;
    bool of_address;
    bool whole; /* no fractions */
    double max;
};

static const struct quota_kind quota_kinds[BROKER_QUOTA_COUNT] = {
    [BROKER_QUOTA_PRODUCE] = {"producer_byte_rate", false, true, 0x1p63},
    [BROKER_QUOTA_FETCH] = {"consumer_byte_rate", false, true, 0x1p63},
    [BROKER_QUOTA_REQUEST] = {"request_percentage", false, false, INFINITY},
    [BROKER_QUOTA_CHANGE] = {"controller_mutation_rate", false, false, INFINITY},
    [BROKER_QUOTA_CONNECT] = {"connection_creation_rate", true, true, INT32_MAX},
};
static const char *const quota_parts[BROKER_QUOTA_PART_COUNT] = {"user", "client-id", "ip"};

const char *broker_quota_name(enum broker_quota_key key)
{
    return quota_kinds[key].name;
}

bool broker_quota_find(struct slice name, enum broker_quota_key *out)
{
    for (unsigned i = 0; i < BROKER_QUOTA_COUNT; i++) {
        if (!slice_equal_text(name, quota_kinds[i].name))
            continue;
        *out = (enum broker_quota_key)i;
        return true;
    }
    return false;
}

const char *broker_quota_part_name(enum broker_quota_part part)
{
    return quota_parts[part];
}

bool broker_quota_part_find(struct slice name, enum broker_quota_part *out)
{
    for (unsigned i = 0; i < BROKER_QUOTA_PART_COUNT; i++) {
        if (!slice_equal_text(name, quota_parts[i]))
            continue;
        *out = (enum broker_quota_part)i;
        return true;
    }
    return false;
}

/* --- what may be a rule ----------------------------------------------------------------------- */

/* An address in the one way of writing it that connections are compared with. */
static bool address_is_plain(struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    char again[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (text.size >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    int family = memchr(copy, ':', text.size) ? AF_INET6 : AF_INET;
    return inet_pton(family, copy, bytes) == 1 && inet_ntop(family, bytes, again, sizeof(again)) &&
           strcmp(copy, again) == 0;
}

static enum err entity_check(const struct broker_quota_entity *entity, struct diag *diag)
{
    const bool *has = entity->has;
    if (!has[BROKER_QUOTA_USER] && !has[BROKER_QUOTA_CLIENT] && !has[BROKER_QUOTA_ADDRESS]) {
        diag_set(diag, "Invalid empty client quota entity");
        return ERR_INVALID;
    }
    if (has[BROKER_QUOTA_ADDRESS] && (has[BROKER_QUOTA_USER] || has[BROKER_QUOTA_CLIENT])) {
        diag_set(diag, "Invalid quota entity combination, ip entity should not be combined with "
                       "user or client-id");
        return ERR_INVALID;
    }
    for (unsigned i = 0; i < BROKER_QUOTA_PART_COUNT; i++) {
        struct slice name = entity->names[i];
        if (!has[i] || !name.data)
            continue;
        if (name.size == 0 || name.size > BROKER_QUOTA_NAME_SIZE_MAX) {
            diag_set(diag, "The name of a %s has 1 to %d bytes", quota_parts[i],
                     BROKER_QUOTA_NAME_SIZE_MAX);
            return ERR_INVALID;
        }
        if (i == BROKER_QUOTA_ADDRESS && !address_is_plain(name)) {
            diag_set(diag, "%.*s is not a valid IP (names of hosts are not looked up)",
                     (int)MIN(name.size, (size_t)64), (const char *)name.data);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

static enum err op_check(const struct broker_quota_entity *entity, const struct broker_quota_op *op,
                         struct diag *diag)
{
    const struct quota_kind *kind = &quota_kinds[op->key];
    if (kind->of_address != entity->has[BROKER_QUOTA_ADDRESS]) {
        diag_set(diag, "Invalid configuration key %s for this entity", kind->name);
        return ERR_INVALID;
    }
    if (op->remove)
        return ERR_OK;
    if (!isfinite(op->limit) || op->limit <= 0) {
        diag_set(diag, "Quota %s must be greater than 0", kind->name);
        return ERR_INVALID;
    }
    if (op->limit > kind->max) {
        diag_set(diag, "Proposed value for %s is too large", kind->name);
        return ERR_INVALID;
    }
    if (kind->whole && (double)(uint64_t)op->limit != op->limit) {
        diag_set(diag, "%s cannot be a fractional value", kind->name);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err broker_quota_check(const struct broker_quota_change *change, struct diag *diag)
{
    enum err err = entity_check(&change->entity, diag);
    for (size_t i = 0; i < change->op_count && !err; i++)
        err = op_check(&change->entity, &change->ops[i], diag);
    return err;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* One rule on its way to the disk. */
struct quota_fact {
    struct quota_work *work;
    size_t key_size;
    size_t value_size; /* 0: it is deleted */
    uint8_t value[FACT_QUOTA_VALUE_SIZE_MAX];
    uint8_t key[];
};

struct quota_work {
    struct core *core;
    struct broker_quota_alter *alter;
    struct quota_table *table;
    struct spread *spread;
    size_t next; /* the first fact that is not on its way */
    size_t left; /* facts on their way that are not durable */
    enum err err;
    struct quota_fact *facts[];
};

static void work_free(struct quota_work *work)
{
    if (!work)
        return;
    broker_owner_spread_free(work->spread, broker_core(work->core)->broker->core_count);
    broker_quota_table_unref(work->table);
    for (size_t i = 0; i < work->alter->change_count; i++)
        free(work->facts[i]);
    free(work);
}

static void work_end(struct core *core, struct quota_work *work, enum err err)
{
    struct broker_call *call = &work->alter->call;
    work_free(work);
    broker_owner_unlock(core, QUOTA_LOCK);
    broker_owner_end(core, call, err);
}

static void spread_here(struct core *core, void *arg)
{
    const struct quota_work *work = arg;
    struct quota_core *here = broker_quota_core(core);
    broker_quota_table_unref(here->table);
    here->table = broker_quota_table_ref(work->table);
}

static void work_is_spread(struct core *core, void *arg)
{
    work_end(core, arg, ERR_OK);
}

static void facts_put(struct quota_work *work);

static void fact_is_stored(void *arg, enum err err)
{
    const struct quota_fact *fact = arg;
    struct quota_work *work = fact->work;
    work->err = work->err ? work->err : err;
    if (--work->left > 0)
        return;
    if (!work->err && work->next < work->alter->change_count) {
        facts_put(work);
        return;
    }
    if (work->err) {
        work_end(work->core, work, work->err);
        return;
    }
    struct spread *spread = work->spread;
    work->spread = NULL;
    spread->apply = spread_here;
    spread->done = work_is_spread;
    spread->arg = work;
    broker_owner_spread(work->core, spread);
}

/* Some at a time: others want to do something on this core, too. */
static void facts_put(struct quota_work *work)
{
    struct store *store = broker_core(work->core)->broker->store;
    size_t first = work->next;
    size_t end = MIN(first + QUOTA_FACTS_AT_ONCE, work->alter->change_count);
    work->next = end;
    work->left = end - first;
    for (size_t i = first; i < end; i++) {
        struct quota_fact *fact = work->facts[i];
        store_fact_put(store, slice_make(fact->key, fact->key_size),
                       fact->value_size ? slice_make(fact->value, fact->value_size) : SLICE_NULL,
                       fact_is_stored, fact);
    }
}

static struct quota_fact *fact_new(struct quota_work *work,
                                   const struct broker_quota_entity *entity)
{
    uint8_t key[QUOTA_KEY_SIZE_MAX];
    size_t size = broker_quota_facts_key(entity, key);
    size_t prefix = sizeof(FACT_QUOTA_PREFIX) - 1;
    struct quota_fact *fact = calloc(1, sizeof(*fact) + prefix + size);
    const struct quota_rule *rule =
        work->table ? broker_quota_table_find(work->table, entity) : NULL;
    if (!fact)
        return NULL;
    fact->work = work;
    memcpy(fact->key, FACT_QUOTA_PREFIX, prefix);
    memcpy(fact->key + prefix, key, size);
    fact->key_size = prefix + size;
    fact->value_size = rule ? broker_quota_facts_value(&rule->face, fact->value) : 0;
    return fact;
}

static enum err work_prepare(struct quota_work *work)
{
    const struct broker_quota_alter *alter = work->alter;
    enum err err = broker_quota_table_change(work->core, broker_quota_core(work->core)->table,
                                             alter->changes, alter->change_count, &work->table);
    if (err)
        return err;
    work->spread = broker_owner_spread_new(work->core, SLICE_NULL);
    for (size_t i = 0; i < alter->change_count; i++) {
        work->facts[i] = fact_new(work, &alter->changes[i].entity);
        if (!work->facts[i])
            return ERR_NO_MEMORY;
    }
    return work->spread ? ERR_OK : ERR_NO_MEMORY;
}

static void alter_serve(struct core *core, struct broker_call *call)
{
    struct broker_quota_alter *alter = CONTAINER_OF(call, struct broker_quota_alter, call);
    if (!broker_owner_begin(core, call))
        return;
    enum err err = broker_owner_lock(core, QUOTA_LOCK, call);
    if (err == ERR_AGAIN)
        return;
    if (err) {
        broker_owner_end(core, call, err);
        return;
    }
    struct quota_work *work =
        calloc(1, sizeof(*work) + alter->change_count * sizeof(struct quota_fact *));
    if (work) {
        work->core = core;
        work->alter = alter;
        err = work_prepare(work);
    }
    if (err || !work || alter->change_count == 0) {
        work_free(work);
        broker_owner_unlock(core, QUOTA_LOCK);
        broker_owner_end(core, call, work ? err : ERR_NO_MEMORY);
        return;
    }
    facts_put(work);
}

void broker_quota_alter(struct core *core, struct broker_quota_alter *alter)
{
    alter->call.diag.text[0] = 0;
    broker_call_to_owner(core, &alter->call, alter_serve);
}

const struct broker_quota_rule *broker_quota_next(struct core *core, size_t *position)
{
    const struct quota_table *table = broker_quota_core(core)->table;
    const struct quota_rule *rule = table ? map_next(&table->rules, position) : NULL;
    return rule ? &rule->face : NULL;
}

/* --- opening ---------------------------------------------------------------------------------- */

struct quota_core *broker_quota_core(const struct core *core)
{
    return broker_core(core)->quota;
}

enum err broker_quota_open(struct broker *broker)
{
    for (unsigned i = 0; i < broker->core_count; i++) {
        struct quota_core *here = calloc(1, sizeof(*here));
        if (!here)
            return ERR_NO_MEMORY;
        map_init(&here->locals, core_random(broker->cores[i].core));
        list_init(&here->order);
        broker_quota_local_core_init(here);
        broker->cores[i].quota = here;
    }
    return ERR_OK;
}

/* Every core's view at once: no loop runs yet. Facts come one by one: the table grows in place. */
enum err broker_quota_load(struct broker *broker, struct slice key, struct slice value)
{
    struct core *core = broker->cores[0].core;
    struct broker_quota_rule rule = {.set = 0};
    struct slice entity = slice_make(key.data + sizeof(FACT_QUOTA_PREFIX) - 1,
                                     key.size - (sizeof(FACT_QUOTA_PREFIX) - 1));
    enum err err = broker_quota_facts_key_decode(entity, &rule.entity);
    if (!err)
        err = broker_quota_facts_value_decode(value, &rule);
    if (!err)
        err = broker_quota_table_load(core, &rule);
    return err;
}

void broker_quota_loaded(struct broker *broker)
{
    const struct quota_table *table = broker->cores[0].quota->table;
    for (unsigned i = 1; i < broker->core_count; i++)
        broker->cores[i].quota->table = broker_quota_table_ref(table);
}

void broker_quota_close(struct broker *broker)
{
    for (unsigned i = 0; i < broker->core_count; i++) {
        struct quota_core *here = broker->cores[i].quota;
        if (!here)
            continue;
        broker_quota_local_free_all(broker->cores[i].core);
        map_deinit(&here->locals);
        broker_quota_table_unref(here->table);
        free(here);
        broker->cores[i].quota = NULL;
    }
}

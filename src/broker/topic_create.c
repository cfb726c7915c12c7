// Makes topics.
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/text.h"
#include "broker/binding.h"
#include "broker/owner.h"

/* A topic on its way to the catalogue and to all cores. */
struct creation {
    struct core *core;
    struct broker_topic_create *create;
    struct topic_version *version;
    struct broker_binding *binding; /* claimed; NULL: none */
    struct spread *spread;
    struct text fact;
    uint8_t key[FACT_TOPIC_KEY_SIZE];
};

static enum err create_fault(struct broker_topic_create *create, enum broker_topic_fault fault,
                             enum err err)
{
    create->out_fault = err ? fault : BROKER_TOPIC_FAULT_NONE;
    return err;
}

/* --- what is asked for ------------------------------------------------------------------------ */

static enum err create_check_name(struct broker_topic_create *create)
{
    struct diag *diag = &create->call.diag;
    enum err err = broker_topic_name_check(create->name, diag);
    if (!err && !create->internal && broker_topic_name_is_internal(create->name)) {
        diag_set(diag, "internal topics are made by the server alone");
        err = ERR_INVALID;
    }
    return create_fault(create, BROKER_TOPIC_FAULT_NAME, err);
}

static enum err create_check_counts(struct core *core, struct broker_topic_create *create)
{
    const struct broker_settings *settings = broker_settings_now(core);
    struct diag *diag = &create->call.diag;
    int32_t count = create->partition_count;
    create->out_partition_count = count == -1 ? settings->num_partitions : count;
    if (count != -1 && count <= 0) {
        diag_set(diag, "a topic has at least one partition, not %d", count);
        return create_fault(create, BROKER_TOPIC_FAULT_PARTITIONS, ERR_INVALID);
    }
    if (create->replication_factor != -1 && create->replication_factor <= 0) {
        diag_set(diag, "a topic has at least one replica, not %d", create->replication_factor);
        return create_fault(create, BROKER_TOPIC_FAULT_REPLICAS, ERR_INVALID);
    }
    if (create->replication_factor > 1) {
        diag_set(diag, "%d replicas need as many nodes; there is one", create->replication_factor);
        return create_fault(create, BROKER_TOPIC_FAULT_REPLICAS, ERR_LIMIT);
    }
    return create_fault(create, BROKER_TOPIC_FAULT_PARTITIONS,
                        broker_topic_count_check(core, create->out_partition_count, 0, diag));
}

enum err broker_topic_count_check(struct core *core, int32_t count, int32_t before,
                                  struct diag *diag)
{
    const struct broker_settings *settings = broker_settings_now(core);
    size_t total = broker_owner_of(core)->partition_count + (size_t)(count - before);
    if (count > settings->topic_partitions_max) {
        diag_set(diag, "%d partitions: leat.topic.partitions.max is %d", count,
                 settings->topic_partitions_max);
        return ERR_LIMIT;
    }
    if (total > (size_t)settings->partitions_max) {
        diag_set(diag, "%zu partitions in all: leat.partitions.max is %d", total,
                 settings->partitions_max);
        return ERR_LIMIT;
    }
    return ERR_OK;
}

/* --- making it -------------------------------------------------------------------------------- */

void broker_topic_partitions_drop(struct broker_partition **partitions, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        broker_partition_drop(partitions[i]);
}

enum err broker_topic_partitions_new(struct core *core, const struct partitions_new *options,
                                     struct broker_partition **out)
{
    for (uint32_t i = 0; i < options->count; i++) {
        struct store_log_key key = {options->id, options->first + i};
        enum err err =
            broker_partition_new(broker_core(core)->broker, core, &key, options->settings, &out[i]);
        if (err) {
            broker_topic_partitions_drop(out, i);
            return err;
        }
    }
    return ERR_OK;
}

static void creation_free(struct creation *creation)
{
    broker_owner_spread_free(creation->spread, broker_core(creation->core)->broker->core_count);
    text_deinit(&creation->fact);
    free(creation);
}

/* The topic's name stays claimed and locked only while the call is under way. */
static void create_end(struct core *core, struct broker_topic_create *create, enum err err)
{
    broker_owner_unlock(core, create->name);
    broker_owner_end(core, &create->call, err);
}

static void creation_undo(struct core *core, struct creation *creation, enum err err)
{
    struct broker_topic_create *create = creation->create;
    const struct broker_topic *topic = creation->version ? &creation->version->topic : NULL;
    if (topic) {
        broker_topic_partitions_drop(topic->partitions, topic->partition_count);
        broker_topic_unref(topic);
    }
    broker_owner_of(core)->partition_count -= (size_t)create->out_partition_count;
    broker_binding_release(core, &create->out_id, creation->binding);
    broker_topic_name_release(broker_owner_of(core), create->name);
    creation_free(creation);
    create_end(core, create, err);
}

static void creation_spread(struct core *core, void *arg)
{
    struct creation *creation = arg;
    struct broker_topic_create *create = creation->create;
    creation_free(creation);
    create_end(core, create, ERR_OK);
}

static void creation_stored(void *arg, enum err err)
{
    struct creation *creation = arg;
    struct core *core = creation->core;
    if (err) {
        creation_undo(core, creation, err);
        return;
    }
    struct spread *spread = creation->spread;
    bool is_stale = creation->version->settings->generation !=
                    broker_core(core)->settings->generation; /* it changed meanwhile */
    creation->spread = NULL;
    spread->topic = &creation->version->topic;
    spread->done = creation_spread;
    spread->arg = creation;
    broker_owner_spread(core, spread);
    if (is_stale)
        broker_settings_refresh(core);
}

static enum err creation_version(struct core *core, struct creation *creation,
                                 struct topic_settings *settings)
{
    struct broker_topic_create *create = creation->create;
    struct broker *broker = broker_core(core)->broker;
    uint32_t count = (uint32_t)create->out_partition_count;
    struct broker_partition **partitions = calloc(count, sizeof(struct broker_partition *));
    struct topic_version_options options = {
        .broker = broker,
        .id = create->out_id,
        .name = create->name,
        .internal = create->internal,
        .created_ms = core_wall_ms(core),
        .partition_count = count,
        .settings = settings,
        .partitions = partitions,
    };
    enum err err = partitions ? ERR_OK : ERR_NO_MEMORY;
    if (!err)
        err = broker_topic_partitions_new(
            core, &(struct partitions_new){options.id, settings, 0, count}, partitions);
    for (uint32_t i = 0; !err && create->internal && i < count; i++)
        partitions[i]->internal = true;
    if (!err) {
        creation->version = broker_topic_version_new(&options);
        if (!creation->version) {
            broker_topic_partitions_drop(partitions, count);
            err = ERR_NO_MEMORY;
        }
    }
    free(partitions);
    return err;
}

static void creation_begin(struct core *core, struct broker_topic_create *create,
                           struct topic_settings *settings)
{
    struct creation *creation = calloc(1, sizeof(*creation));
    if (!creation) {
        broker_binding_release(core, &create->out_id, settings->binding);
        broker_topic_name_release(broker_owner_of(core), create->name);
        create_end(core, create, ERR_NO_MEMORY);
        return;
    }
    creation->core = core;
    creation->create = create;
    text_init(&creation->fact);
    broker_owner_of(core)->partition_count += (size_t)create->out_partition_count;
    creation->binding = settings->binding;
    enum err err = creation_version(core, creation, settings);
    if (!err) {
        struct fact_topic fact = {create->out_id,
                                  create->name,
                                  create->internal,
                                  (uint32_t)create->out_partition_count,
                                  creation->version->topic.created_ms,
                                  settings};
        broker_facts_topic_encode(&fact, &creation->fact);
        broker_facts_topic_key(&create->out_id, creation->key);
        creation->spread = broker_owner_spread_new(core, create->name);
        if (creation->fact.failed || !creation->spread)
            err = ERR_NO_MEMORY;
    }
    if (err) {
        creation_undo(core, creation, err);
        return;
    }
    store_fact_put(broker_core(core)->broker->store,
                   slice_make(creation->key, sizeof(creation->key)), text_slice(&creation->fact),
                   creation_stored, creation);
}

/* --- the call --------------------------------------------------------------------------------- */

static enum err create_settings(struct core *core, struct broker_topic_create *create,
                                struct topic_settings **out)
{
    const struct settings_version *base = broker_core(core)->settings;
    *out = broker_topic_config_new(base);
    if (!*out)
        return ERR_NO_MEMORY;
    enum err err = broker_settings_pairs_apply(*out, create->settings, create->setting_count,
                                               &create->call.diag);
    if (!err) {
        broker_topic_config_resolve(*out, base);
        err = broker_topic_config_check(*out, &create->call.diag);
    }
    return create_fault(create, BROKER_TOPIC_FAULT_SETTINGS, err);
}

/* With the name locked. True: it is being made; the call ends later. */
static enum err create_locked(struct core *core, struct broker_topic_create *create,
                              struct topic_settings *settings, bool *out_begun)
{
    struct owner *owner = broker_owner_of(core);
    if (broker_topic_find(core, create->name))
        return ERR_EXISTS;
    enum err err = broker_topic_name_claim(owner, create->name, &create->call.diag);
    if (err)
        return create_fault(create, BROKER_TOPIC_FAULT_NAME, err);
    struct os *os = broker_core(core)->broker->os;
    uint8_t random[16];
    os->ops->random(os, random, sizeof(random));
    create->out_id = uuid_from_random(random);
    struct broker_binding *binding = settings->binding;
    err = create->validate_only
              ? broker_binding_check(core, &create->out_id, binding, &create->call.diag)
              : broker_binding_take(core, &create->out_id, binding, &create->call.diag);
    if (err || create->validate_only) {
        broker_topic_name_release(owner, create->name);
        return create_fault(create, BROKER_TOPIC_FAULT_SETTINGS, err);
    }
    *out_begun = true;
    creation_begin(core, create, settings);
    return ERR_OK;
}

static void create_serve(struct core *core, struct broker_call *call)
{
    struct broker_topic_create *create = CONTAINER_OF(call, struct broker_topic_create, call);
    struct topic_settings *settings = NULL;
    bool is_begun = false;
    if (!broker_owner_begin(core, call))
        return;
    enum err err = create_check_name(create);
    if (!err && broker_topic_find(core, create->name))
        err = ERR_EXISTS;
    if (!err)
        err = create_check_counts(core, create);
    if (!err)
        err = create_settings(core, create, &settings);
    if (!err)
        err = broker_owner_lock(core, create->name, call);
    bool is_locked = !err && settings;
    if (is_locked)
        err = create_locked(core, create, settings, &is_begun);
    if (!err && create->validate_only)
        create->out_settings = broker_topic_config_ref(settings);
    broker_topic_config_unref(settings);
    if (is_begun || err == ERR_AGAIN)
        return;
    if (is_locked)
        broker_owner_unlock(core, create->name);
    broker_owner_end(core, call, err);
}

void broker_topic_create(struct core *core, struct broker_topic_create *create)
{
    create->out_fault = BROKER_TOPIC_FAULT_NONE;
    create->out_partition_count = -1;
    create->out_settings = NULL;
    memset(&create->out_id, 0, sizeof(create->out_id));
    create->call.diag.text[0] = 0;
    broker_call_to_owner(core, &create->call, create_serve);
}

void broker_topic_create_release(struct broker_topic_create *create)
{
    broker_topic_config_unref(create->out_settings);
    create->out_settings = NULL;
}
